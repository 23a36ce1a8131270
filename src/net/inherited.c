/* inherited.c - see inherited.h. The protocol is that of sd_listen_fds(3). */
/* SPDX-License-Identifier: MIT */
#include "net/inherited.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "net/address.h"

enum { FIRST = 3, SOCKETS_MAX = 1024 };

static long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    long number = text ? strtol(text, &end, 10) : 0;

    return end && *end == '\0' ? number : 0;
}

static bool listens(int fd)
{
    int type = 0, is_listening = 0;
    socklen_t len = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening;
}

static struct sockaddr_storage address_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;

    memset(&address, 0, sizeof address);
    getsockname(fd, (struct sockaddr *)&address, &len);
    return address;
}

/* As it has to be for our listener: nothing blocks, nothing waits for more bytes, and no child of a script gets it. */
static void prepare(int fd)
{
    int one = 1;

    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (address_of(fd).ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void mw_inherited_open(struct mw_inherited *inherited)
{
    long count = number_of("LISTEN_FDS");

    *inherited = (struct mw_inherited){0};
    if (number_of("LISTEN_PID") != (long)getpid())
        return;
    char *names = getenv("LISTEN_FDNAMES"), *copy = strdup(names ? names : ""), *rest = copy;
    if (copy && count > 0 && count <= SOCKETS_MAX)
        inherited->sockets = calloc((size_t)count, sizeof *inherited->sockets);
    for (int fd = FIRST; inherited->sockets && fd < FIRST + count; fd++) {
        char *name = strsep(&rest, ":");
        if (!listens(fd)) {
            mw_log(MW_LOG_WARNING, "inherited descriptor %d is not a listening stream socket: left alone", fd);
            continue;
        }
        prepare(fd);
        inherited->sockets[inherited->count++] =
            (struct mw_inherited_socket){fd, strdup(name ? name : ""), false, false};
    }
    free(copy);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
}

void mw_inherited_tell_unused(const struct mw_inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++) {
        const struct mw_inherited_socket *socket = &inherited->sockets[i];
        const struct sockaddr_storage address = address_of(socket->fd);
        char text[128];
        int port;
        if (socket->asked_for)
            continue;
        if (address.ss_family == AF_UNIX)
            mw_log(MW_LOG_WARNING, "nothing listens on the inherited socket \"%s\" (%.107s)", socket->name,
                   ((const struct sockaddr_un *)&address)->sun_path);
        else {
            mw_address_format(&address, text, sizeof text, &port);
            mw_log(MW_LOG_WARNING, "nothing listens on the inherited socket \"%s\" (%s port %d)", socket->name, text,
                   port);
        }
    }
}

void mw_inherited_close(struct mw_inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++) {
        close(inherited->sockets[i].fd);
        free(inherited->sockets[i].name);
    }
    free(inherited->sockets);
    *inherited = (struct mw_inherited){0};
}

struct mw_inherited_socket *mw_inherited_by_name(const struct mw_inherited *inherited, const char *name)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct mw_inherited_socket *socket = &inherited->sockets[i];
        if (!socket->taken && socket->name && strcmp(socket->name, name) == 0)
            return socket;
    }
    return NULL;
}

/* The port, and where it is: an address of 16 bytes, all zero for every interface. */
static bool normalise(const struct sockaddr_storage *address, in_port_t *port, struct in6_addr *at)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    memset(at, 0, sizeof *at);
    if (address->ss_family == AF_INET6) {
        *port = v6->sin6_port;
        *at = v6->sin6_addr;
        return true;
    }
    if (address->ss_family != AF_INET)
        return false;
    *port = v4->sin_port;
    if (v4->sin_addr.s_addr != htonl(INADDR_ANY)) {
        at->s6_addr[10] = at->s6_addr[11] = 0xff;
        memcpy(&at->s6_addr[12], &v4->sin_addr, sizeof v4->sin_addr);
    }
    return true;
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct in6_addr at_a, at_b;
    in_port_t port_a, port_b;

    if (a->ss_family == AF_UNIX && b->ss_family == AF_UNIX)
        return strncmp(((const struct sockaddr_un *)a)->sun_path, ((const struct sockaddr_un *)b)->sun_path,
                       sizeof((const struct sockaddr_un *)a)->sun_path) == 0;
    return normalise(a, &port_a, &at_a) && normalise(b, &port_b, &at_b) && port_a == port_b &&
           memcmp(&at_a, &at_b, sizeof at_a) == 0;
}

struct mw_inherited_socket *mw_inherited_by_address(const struct mw_inherited *inherited,
                                                    const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct mw_inherited_socket *socket = &inherited->sockets[i];
        const struct sockaddr_storage bound = address_of(socket->fd);
        if (!socket->taken && is_same(&bound, address))
            return socket;
    }
    return NULL;
}

int mw_inherited_take(struct mw_inherited_socket *socket)
{
    int fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        socket->taken = socket->asked_for = true;
    return fd;
}

void mw_inherited_give_back(struct mw_inherited_socket *socket)
{
    socket->taken = false;
}
