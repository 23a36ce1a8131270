/* listener.c - see listener.h.
 * The listener is ours, not libwebsockets': on EMFILE lws spins, and it can't count addresses or keep descriptors back. */
/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/tally.h"
#include "net/address.h"

enum {
    ACCEPTS_PER_EVENT = 64,
    REST_MS = 100, /* how long accepting rests when descriptors run out */
};

struct mw_listener {
    uv_poll_t poll;
    uv_timer_t rest;
    struct mw_engine *engine;
    int fd;
    int open_handles;
    rlim_t fd_limit; /* from this number on descriptors are for files, clients and logs */
    struct mw_tally rests;
    char *path;
    struct mw_inherited_socket *inherited; /* its name in the file system is its maker's; NULL: bound here */
    dev_t device;                          /* of the Unix socket's name: another process may have taken it over since */
    ino_t inode;
    struct mw_admission_limits admission;
    bool background;
    void (*accepted)(void *owner, int fd, struct mw_admission *admission);
    void *owner;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer)
{
    struct mw_listener *listener = timer->data;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Out of descriptors: without a rest the loop would spin on the connections that it can't accept. */
static void rest(struct mw_listener *listener, const char *why)
{
    size_t times = mw_tally_add(&listener->rests, mw_engine_now_ms(listener->engine));

    if (times == 1)
        mw_log(MW_LOG_WARNING, "no new connections for %d ms: %s", REST_MS, why);
    else if (times)
        mw_log(MW_LOG_WARNING, "no new connections for %d ms, %zu times: %s", REST_MS, times, why);
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->rest, on_rested, REST_MS, 0);
}

static bool admit(struct mw_listener *listener, int fd, const struct sockaddr *peer)
{
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
                               "Content-Length: 0\r\n\r\n";
    struct mw_admission *admission = NULL;
    uint64_t *refused = listener->engine->counters.refused;

    if (listener->background) {
        listener->accepted(listener->owner, fd, NULL);
        return true;
    }
    switch (mw_admission_enter(listener->engine, peer, &listener->admission, &admission)) {
    case MW_ADMITTED:
        listener->engine->counters.accepted++;
        listener->accepted(listener->owner, fd, admission);
        return true;
    case MW_ADMISSION_FULL:
        refused[MW_REFUSED_CONNECTIONS]++;
        /* Best effort; a TLS client sees a closed connection. */
        (void)!send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case MW_ADMISSION_ADDRESS_FULL:
        refused[MW_REFUSED_ADDRESS]++;
        break;
    case MW_ADMISSION_TOO_FAST:
        refused[MW_REFUSED_CONNECTS]++;
        break;
    }
    close(fd);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct mw_listener *listener = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                rest(listener, strerror(errno));
            return;
        }
        if (!listener->background && (rlim_t)fd >= listener->fd_limit) {
            close(fd);
            listener->engine->counters.refused[MW_REFUSED_DESCRIPTORS]++;
            rest(listener, "only the reserved descriptors are left (ulimit -n)");
            return;
        }
        admit(listener, fd, (struct sockaddr *)&peer);
        if (listener->fd < 0)
            return;
    }
}

/* ---- opening ---- */

static socklen_t tcp_address(const struct mw_listener_options *options, struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof *address);
    if (!options->host) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)options->port);
        return sizeof *v6;
    }
    if (inet_pton(AF_INET, options->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)options->port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, options->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)options->port);
        return sizeof *v6;
    }
    /* A name such as "localhost": looked up once, while the program starts. */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%d", options->port);
    if (getaddrinfo(options->host, port, &hints, &found) || !found) {
        errno = EADDRNOTAVAIL;
        return 0;
    }
    socklen_t len = found->ai_addrlen;
    memcpy(address, found->ai_addr, len);
    freeaddrinfo(found);
    return len;
}

static int bind_tcp(const struct mw_listener_options *options)
{
    struct sockaddr_storage address = {0};
    socklen_t len = tcp_address(options, &address);
    int one = 1, zero = 0;

    if (!len)
        return -1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && !options->host && errno == EAFNOSUPPORT) {
        /* A machine without IPv6: "all interfaces" means IPv4 there. */
        struct mw_listener_options v4 = *options;
        v4.host = "0.0.0.0";
        return bind_tcp(&v4);
    }
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* What is accepted inherits it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->host ? &one : &zero, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A socket file that nobody listens on is left over from a crash. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat info;

    if (lstat(address->sun_path, &info) || !S_ISSOCK(info.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) && errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static int bind_unix(struct mw_listener *listener, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    remove_stale(&address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || stat(path, &info)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    listener->path = strdup(path);
    listener->device = info.st_dev;
    listener->inode = info.st_ino;
    return fd;
}

/* ---- inherited sockets ---- */

static struct mw_inherited_socket *find_inherited(const struct mw_listener_options *options)
{
    struct sockaddr_storage address = {0};
    struct mw_inherited_socket *found = NULL;

    if (!options->inherited || !options->inherited->count)
        return NULL;
    if (options->inherited_name)
        found = mw_inherited_by_name(options->inherited, options->inherited_name);
    if (found)
        return found;
    if (options->path) {
        struct sockaddr_un *local = (struct sockaddr_un *)&address;
        local->sun_family = AF_UNIX;
        if (strlen(options->path) >= sizeof local->sun_path)
            return NULL;
        memcpy(local->sun_path, options->path, strlen(options->path));
    } else if (options->port <= 0 || !tcp_address(options, &address)) {
        return NULL;
    }
    return mw_inherited_by_address(options->inherited, &address);
}

/* A descriptor that listens, or -1 with errno set. */
static int take_inherited(struct mw_listener *listener, struct mw_inherited_socket *inherited)
{
    struct sockaddr_un address = {0};
    socklen_t len = sizeof address;
    int fd = mw_inherited_take(inherited);

    if (fd < 0)
        return -1;
    listener->inherited = inherited;
    getsockname(fd, (struct sockaddr *)&address, &len);
    if (address.sun_family == AF_UNIX)
        listener->path = strndup(address.sun_path, sizeof address.sun_path);
    return fd;
}

/* Binds, unless the socket is there already. */
static int open_socket(struct mw_listener *listener, const struct mw_listener_options *options)
{
    struct mw_inherited_socket *inherited = find_inherited(options);

    if (inherited)
        return take_inherited(listener, inherited);
    if (!options->path && options->port < 0) {
        errno = ENOENT;
        return -1;
    }
    int fd = options->path ? bind_unix(listener, options->path) : bind_tcp(options);
    if (fd < 0 || listen(fd, options->backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void explain(const struct mw_listener_options *options, int error, char *why, size_t size)
{
    if (!options->path && options->port < 0)
        snprintf(why, size, "no inherited socket is free that is named \"%s\"", options->inherited_name);
    else if (options->path)
        snprintf(why, size, "cannot listen on %s: %s", options->path, strerror(error));
    else
        snprintf(why, size, "cannot listen on %s port %d: %s", options->host ? options->host : "all interfaces",
                 options->port, strerror(error));
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mw_listener *listener = handle->data;

    if (--listener->open_handles)
        return;
    free(listener->path);
    free(listener);
}

struct mw_listener *mw_listener_open(struct mw_engine *engine, const struct mw_listener_options *options, char *why,
                                     size_t size, int *error)
{
    struct mw_listener *listener = calloc(1, sizeof *listener);
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    if (!listener) {
        *error = ENOMEM;
        snprintf(why, size, "out of memory");
        return NULL;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur <= options->reserved_descriptors) {
        *error = EMFILE;
        snprintf(why, size, "reserved_descriptors = %u leaves none of this process's %llu descriptors (ulimit -n)",
                 options->reserved_descriptors, (unsigned long long)limit.rlim_cur);
        free(listener);
        return NULL;
    }
    listener->fd = open_socket(listener, options);
    if (listener->fd < 0) {
        *error = errno;
        explain(options, *error, why, size);
        free(listener->path);
        free(listener);
        return NULL;
    }
    listener->fd_limit = limit.rlim_cur;
    if (limit.rlim_cur != RLIM_INFINITY)
        listener->fd_limit -= options->reserved_descriptors;
    listener->engine = engine;
    listener->admission = options->admission;
    listener->background = options->background;
    listener->accepted = options->accepted;
    listener->owner = options->owner;
    uv_poll_init(engine->loop, &listener->poll, listener->fd);
    uv_timer_init(engine->loop, &listener->rest);
    listener->open_handles = 2;
    listener->poll.data = listener->rest.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    if (listener->background) {
        uv_unref((uv_handle_t *)&listener->poll);
        uv_unref((uv_handle_t *)&listener->rest);
    }
    return listener;
}

void mw_listener_close(struct mw_listener *listener)
{
    struct stat info;

    if (listener->fd < 0)
        return;
    if (listener->inherited)
        mw_inherited_give_back(listener->inherited);
    else if (listener->path && stat(listener->path, &info) == 0 && info.st_dev == listener->device &&
             info.st_ino == listener->inode)
        unlink(listener->path);
    uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
    uv_close((uv_handle_t *)&listener->rest, on_handle_closed);
    close(listener->fd);
    listener->fd = -1;
}

void mw_listener_address(const struct mw_listener *listener, char *address, size_t size, int *port)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;

    *port = 0;
    if (listener->path) {
        snprintf(address, size, "%s", listener->path);
        return;
    }
    if (listener->fd >= 0)
        getsockname(listener->fd, (struct sockaddr *)&bound, &len);
    mw_address_format(&bound, address, size, port);
}
