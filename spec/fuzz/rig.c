/* rig.c - see rig.h. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sanitizer/asan_interface.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "net/connection.h"

enum {
    PIECE = 32 * 1024, /* sent at once; less than any socket's buffer */
    GUARD = 4096,      /* bytes of the receive buffer behind the last one that nobody may read */
    TURNS_MAX = 100000,
    BACKLOG = 4,
};

static struct {
    bool ready;
    uv_loop_t loop;
    struct mw_engine engine;
    int listener;
    char path[64];
} rig;

/* In the place of libcrypto's: the same input is to do the same. No TLS is spoken here. */
int RAND_bytes(unsigned char *bytes, int count)
{
    memset(bytes, 0x5a, (size_t)count);
    return 1;
}

struct mw_engine *rig_engine(void)
{
    if (!rig.ready) {
        REQUIRE(uv_loop_init(&rig.loop) == 0);
        REQUIRE(mw_engine_init(&rig.engine, &rig.loop) == 0);
        rig.listener = -1;
        rig.ready = true;
    }
    return &rig.engine;
}

struct mw_socket *rig_pair(int *peer)
{
    struct mw_engine *engine = rig_engine();
    int pair[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    struct mw_socket *socket = mw_socket_new(engine, pair[0], NULL, NULL, NULL);
    REQUIRE(socket);
    *peer = pair[1];
    return socket;
}

/* Its name is gone again before anybody connects: the way leads through our own descriptor. */
static void listen_on_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/moonwire-fuzz-XXXXXX";

    REQUIRE(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(rig.listener >= 0);
    REQUIRE(bind(rig.listener, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(listen(rig.listener, BACKLOG) == 0);
    int handle = open(address.sun_path, O_PATH | O_CLOEXEC);
    REQUIRE(handle >= 0);
    unlink(address.sun_path);
    rmdir(folder);
    snprintf(rig.path, sizeof rig.path, "/proc/self/fd/%d", handle);
}

const char *rig_path(void)
{
    rig_engine();
    if (rig.listener < 0)
        listen_on_path();
    return rig.path;
}

int rig_accept(void)
{
    return accept4(rig.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

struct mw_socket *rig_socket(void)
{
    REQUIRE(!rig.engine.sockets || !rig.engine.sockets->next_open);
    return rig.engine.sockets;
}

void rig_end_turn(void)
{
    mw_engine_end_turn(&rig.engine);
}

static void dispatch(struct mw_socket *socket, uint32_t events)
{
    rig.engine.depth++;
    mw_socket_dispatch(socket, events);
    rig.engine.depth--;
    mw_engine_end_turn(&rig.engine);
}

static bool receive(int peer, struct mw_buffer *answer)
{
    uint8_t bytes[PIECE];
    ssize_t count;
    bool any = false;

    while ((count = recv(peer, bytes, sizeof bytes, 0)) > 0) {
        REQUIRE(mw_buffer_append(answer, bytes, (size_t)count));
        any = true;
    }
    return any;
}

/* As the engine does it at the beginning of a turn. */
static bool visit_again(void)
{
    struct mw_socket *socket = rig.engine.again;

    if (!socket)
        return false;
    rig.engine.again = socket->next;
    socket->queued_again = false;
    dispatch(socket, EPOLLIN);
    return true;
}

void rig_settle(int peer, struct mw_buffer *answer)
{
    int turns = 0;
    bool moved = true;

    mw_engine_end_turn(&rig.engine);
    while (moved) {
        REQUIRE(++turns < TURNS_MAX);
        moved = visit_again();
        if (receive(peer, answer)) {
            moved = true;
            if (rig_socket())
                dispatch(rig_socket(), EPOLLOUT);
        }
    }
}

/* What lies in the receive buffer behind `len` bytes was never received. */
static void guard(size_t len)
{
    if (len + GUARD <= MW_RECEIVE_BUFFER)
        ASAN_POISON_MEMORY_REGION(rig.engine.receive + len, GUARD);
}

static void unguard(void)
{
    ASAN_UNPOISON_MEMORY_REGION(rig.engine.receive, MW_RECEIVE_BUFFER);
}

/* A connection puts what it kept of the last read in front of the next one. */
static size_t kept_by(const struct mw_socket *socket)
{
    if (socket->events->readable != mw_connection_readable)
        return 0;
    const struct mw_connection *connection = socket->owner;
    return connection->assembly ? connection->assembly->carry.len : 0;
}

static size_t unread_of(const struct mw_socket *socket)
{
    int count = 0;

    REQUIRE(ioctl(socket->fd, FIONREAD, &count) == 0);
    return (size_t)count;
}

void rig_send(int peer, const void *data, size_t len, struct mw_buffer *answer)
{
    const uint8_t *at = data;

    while (len) {
        struct mw_socket *socket = rig_socket();
        ssize_t done = send(peer, at, len < PIECE ? len : PIECE, MSG_NOSIGNAL);
        if (done < 0) {
            /* Closed, or nobody reads now: the target's inputs are too short to fill a socket otherwise. */
            REQUIRE(errno == EPIPE || errno == ECONNRESET || errno == EAGAIN);
            return;
        }
        at += done;
        len -= (size_t)done;
        if (socket) {
            guard(kept_by(socket) + unread_of(socket));
            dispatch(socket, EPOLLIN);
            unguard();
        }
        rig_settle(peer, answer);
    }
}

void rig_open(int peer, struct mw_buffer *request)
{
    dispatch(rig_socket(), EPOLLOUT);
    rig_settle(peer, request);
}

void rig_half_close(int peer, struct mw_buffer *answer)
{
    struct mw_socket *socket = rig_socket();

    shutdown(peer, SHUT_WR);
    if (socket)
        dispatch(socket, EPOLLIN | EPOLLRDHUP);
    rig_settle(peer, answer);
}

void rig_done(int peer)
{
    struct mw_engine *engine = &rig.engine;

    if (peer >= 0)
        close(peer);
    mw_socket_retire_all(engine, true);
    if (engine->sockets)
        dispatch(engine->sockets, EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    mw_engine_end_turn(engine);
    REQUIRE(!engine->sockets && !engine->again && !engine->again_now && !engine->closed);
    REQUIRE(!engine->turn_head && !engine->depth);
    REQUIRE(!engine->alive);
    REQUIRE(!engine->wheel.count);
}
