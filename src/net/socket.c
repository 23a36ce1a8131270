/* socket.c - see socket.h. */
/* SPDX-License-Identifier: MIT */
#include "net/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/admission.h"

enum { TLS_GATHER = 16 * 1024, LINGER_MS = 1000 };

struct mw_socket *mw_socket_new(struct mw_engine *engine, int fd, SSL *ssl, const struct mw_socket_events *events,
                                void *owner)
{
    struct mw_socket *socket = calloc(1, sizeof *socket);

    if (!socket)
        return NULL;
    *socket = (struct mw_socket){.engine = engine,
                                 .fd = fd,
                                 .ssl = ssl,
                                 .events = events,
                                 .owner = owner,
                                 .reading = true,
                                 .drained = true,
                                 .full = true};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = socket};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        free(socket);
        return NULL;
    }
    if (ssl)
        mw_socket_start_tls(socket, ssl);
    socket->next_open = engine->sockets;
    socket->open_link = &engine->sockets;
    if (socket->next_open)
        socket->next_open->open_link = &socket->next_open;
    engine->sockets = socket;
    mw_engine_hold(engine);
    return socket;
}

void mw_socket_start_tls(struct mw_socket *socket, SSL *ssl)
{
    /* RELEASE_BUFFERS: an idle TLS connection gives 32 KiB back. */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    socket->ssl = ssl;
}

/* In the next turn, whatever epoll says. */
static void visit_again(struct mw_socket *socket)
{
    if (socket->queued_again || socket->fd < 0)
        return;
    socket->queued_again = true;
    socket->next = socket->engine->again;
    socket->engine->again = socket;
}

/* What a failed SSL call means, in our terms. */
static ssize_t tls_result(struct mw_socket *socket, int result)
{
    switch (SSL_get_error(socket->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return MW_SOCKET_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        socket->ssl_wants_write = socket->full = true;
        return MW_SOCKET_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return MW_SOCKET_EOF;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        if (errno == 0)
            errno = ECONNRESET;
        return MW_SOCKET_ERROR;
    default:
        ERR_clear_error();
        errno = EPROTO;
        return MW_SOCKET_ERROR;
    }
}

static ssize_t tls_read(struct mw_socket *socket, uint8_t *buffer, size_t size)
{
    size_t len = 0;

    /* A record holds at most 16 KiB; take as many as there are. */
    while (len < size) {
        size_t room = size - len;
        errno = 0;
        ERR_clear_error();
        int count = SSL_read(socket->ssl, buffer + len, room > INT32_MAX ? INT32_MAX : (int)room);
        if (count <= 0 && len) {
            /* A good-bye or a failure behind the data: epoll has nothing more to tell of it. */
            if (SSL_get_error(socket->ssl, count) != SSL_ERROR_WANT_READ)
                socket->hung_up = true;
            break;
        }
        if (count <= 0)
            return tls_result(socket, count);
        len += (size_t)count;
    }
    return (ssize_t)len;
}

static ssize_t plain_read(const struct mw_socket *socket, void *buffer, size_t size)
{
    for (;;) {
        ssize_t count = recv(socket->fd, buffer, size, 0);
        if (count >= 0)
            return count;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return MW_SOCKET_AGAIN;
        if (errno != EINTR)
            return MW_SOCKET_ERROR;
    }
}

ssize_t mw_socket_read(struct mw_socket *socket, void *buffer, size_t size)
{
    ssize_t count = socket->ssl ? tls_read(socket, buffer, size) : plain_read(socket, buffer, size);

    /* Less than there was room for: that was all, and epoll tells when there is more. The end itself it has told of already. */
    if (count > 0 && ((size_t)count == size || socket->hung_up))
        mw_socket_read_again(socket);
    else
        socket->drained = true;
    if (count > 0)
        socket->engine->counters.bytes_received += (uint64_t)count;
    return count;
}

static ssize_t tls_write(struct mw_socket *socket, const struct iovec *iov, int count)
{
    uint8_t gathered[TLS_GATHER];
    const void *data = iov[0].iov_base;
    size_t len = iov[0].iov_len;

    /* One record for many small frames. */
    if (count > 1 && len < TLS_GATHER) {
        len = 0;
        for (int i = 0; i < count && len < TLS_GATHER; i++) {
            size_t part = iov[i].iov_len < TLS_GATHER - len ? iov[i].iov_len : TLS_GATHER - len;
            memcpy(gathered + len, iov[i].iov_base, part);
            len += part;
        }
        data = gathered;
    }
    errno = 0;
    ERR_clear_error();
    int done = SSL_write(socket->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len);
    if (done > 0) {
        socket->written += (uint32_t)done;
        return done;
    }
    ssize_t result = tls_result(socket, done);
    return result == MW_SOCKET_EOF ? MW_SOCKET_ERROR : result;
}

static ssize_t plain_write(struct mw_socket *socket, const struct iovec *iov, int count)
{
    for (;;) {
        struct msghdr header = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
        ssize_t done = count == 1 ? send(socket->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                                  : sendmsg(socket->fd, &header, MSG_NOSIGNAL);
        if (done >= 0) {
            size_t offered = 0;
            for (int i = 0; i < count; i++)
                offered += iov[i].iov_len;
            socket->full = (size_t)done < offered;
            socket->written += (uint32_t)done;
            return done;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            socket->full = true;
            return MW_SOCKET_AGAIN;
        }
        if (errno != EINTR)
            return MW_SOCKET_ERROR;
    }
}

ssize_t mw_socket_write(struct mw_socket *socket, const struct iovec *iov, int count)
{
    ssize_t done = socket->ssl ? tls_write(socket, iov, count) : plain_write(socket, iov, count);

    if (done > 0)
        socket->engine->counters.bytes_sent += (uint64_t)done;
    return done;
}

uint32_t mw_socket_taken(const struct mw_socket *socket)
{
    int waiting = 0;

    ioctl(socket->fd, SIOCOUTQ, &waiting);
    return socket->written - (uint32_t)waiting;
}

/* Also what epoll told while nobody wanted to hear it. */
void mw_socket_want_read(struct mw_socket *socket, bool on)
{
    if (on && !socket->reading && (socket->ssl || !socket->drained))
        mw_socket_read_again(socket);
    socket->reading = on;
}

void mw_socket_want_write(struct mw_socket *socket, bool on)
{
    if (on && !socket->writing && !socket->full)
        visit_again(socket);
    socket->writing = on;
}

void mw_socket_read_again(struct mw_socket *socket)
{
    socket->drained = false;
    visit_again(socket);
}

void mw_socket_shutdown(struct mw_socket *socket)
{
    if (socket->ssl && SSL_is_init_finished(socket->ssl)) {
        ERR_clear_error();
        SSL_shutdown(socket->ssl);
        ERR_clear_error();
    }
    shutdown(socket->fd, SHUT_WR);
}

static bool unlink_socket(struct mw_socket **link, const struct mw_socket *socket)
{
    while (*link && *link != socket)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = socket->next;
    return true;
}

void mw_socket_close(struct mw_socket *socket)
{
    struct mw_engine *engine = socket->engine;

    if (socket->fd < 0)
        return;
    if (socket->ssl) {
        if (SSL_is_init_finished(socket->ssl)) {
            ERR_clear_error();
            SSL_shutdown(socket->ssl);
            ERR_clear_error();
        }
        SSL_free(socket->ssl);
    }
    close(socket->fd);
    socket->fd = -1;
    *socket->open_link = socket->next_open;
    if (socket->next_open)
        socket->next_open->open_link = socket->open_link;
    mw_admission_leave(engine, socket->admission);
    if (socket->queued_again && !unlink_socket(&engine->again, socket))
        unlink_socket(&engine->again_now, socket);
    socket->next = engine->closed;
    engine->closed = socket;
    mw_engine_release(engine);
}

void mw_socket_abort(struct mw_socket *socket)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (socket->ssl)
        SSL_set_quiet_shutdown(socket->ssl, 1);
    mw_socket_close(socket);
}

struct lingering {
    struct mw_wheel_node timer;
    struct mw_socket *socket;
};

static void linger_end(struct lingering *lingering)
{
    mw_wheel_cancel(&lingering->socket->engine->wheel, &lingering->timer);
    mw_socket_close(lingering->socket);
    free(lingering);
}

static void linger_timeout(struct mw_wheel_node *node)
{
    linger_end((struct lingering *)node);
}

static void linger_readable(void *owner)
{
    struct lingering *lingering = owner;
    struct mw_engine *engine = lingering->socket->engine;
    ssize_t count = mw_socket_read(lingering->socket, engine->receive, MW_RECEIVE_BUFFER);

    if (count == MW_SOCKET_EOF || count == MW_SOCKET_ERROR)
        linger_end(lingering);
}

static void linger_retire(void *owner, bool now)
{
    if (now)
        linger_end(owner);
}

void mw_socket_linger(struct mw_socket *socket)
{
    static const struct mw_socket_events events = {.readable = linger_readable, .retire = linger_retire};
    struct lingering *lingering = calloc(1, sizeof *lingering);

    mw_socket_shutdown(socket);
    if (!lingering) {
        mw_socket_close(socket);
        return;
    }
    lingering->socket = socket;
    lingering->timer.fire = linger_timeout;
    mw_socket_set_owner(socket, &events, lingering);
    mw_socket_want_write(socket, false);
    mw_socket_want_read(socket, true);
    mw_wheel_set(&socket->engine->wheel, &lingering->timer, LINGER_MS);
}

void mw_socket_retire_all(struct mw_engine *engine, bool now)
{
    struct mw_socket *next;

    for (struct mw_socket *socket = engine->sockets; socket; socket = next) {
        next = socket->next_open;
        if (socket->events->retire)
            socket->events->retire(socket->owner, now);
    }
}

void mw_socket_peer(const struct mw_socket *socket, char *address, size_t size, int *port)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;

    getpeername(socket->fd, (struct sockaddr *)&peer, &len);
    mw_address_format(&peer, address, size, port);
}

/* That the connection is over is told, once, also to who wants to hear nothing. */
static bool unheard(const struct mw_socket *socket)
{
    return socket->over && !socket->reading && !socket->writing;
}

void mw_socket_dispatch(struct mw_socket *socket, uint32_t events)
{
    const uint32_t over = EPOLLERR | EPOLLHUP;

    if (socket->fd < 0)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | over))
        socket->drained = false;
    if (events & (EPOLLRDHUP | over))
        socket->hung_up = true;
    if (events & over)
        socket->over = true;
    if (events & (EPOLLOUT | over))
        socket->full = false;
    /* TLS may have to write before it can read, or the other way round. */
    if (socket->ssl_wants_write && !socket->full)
        socket->ssl_wants_write = socket->drained = false;
    if (socket->writing && (!socket->full || (socket->ssl && events & EPOLLIN)))
        socket->events->writable(socket->owner);
    if (socket->fd < 0)
        return;
    if (socket->reading && !socket->drained) {
        socket->events->readable(socket->owner);
    } else if (unheard(socket)) {
        socket->over = false;
        socket->events->readable(socket->owner);
    }
    if (socket->fd >= 0 && unheard(socket))
        visit_again(socket);
}
