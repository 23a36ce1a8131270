/* socket.h - one connected stream, plain or TLS, watched by the engine's epoll set: edge-triggered, registered once for all
 * events, so that neither reading nor waiting for room ever asks for a system call.
 * Owns descriptor and SSL. Tells its current owner (an HTTP exchange, a WebSocket, …) when it can be read or written; the
 * owner may change without a system call. This is the one place where bytes enter and leave. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_SOCKET_H
#define MW_NET_SOCKET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/engine.h"

struct mw_admission;

struct mw_socket_events {
    void (*readable)(void *owner);
    void (*writable)(void *owner); /* only after mw_socket_want_write */
    /* The process ends: finish soon (what is idle, now), or at once. NULL: nothing to do. */
    void (*retire)(void *owner, bool now);
};

struct mw_socket {
    struct mw_engine *engine;
    SSL *ssl;
    const struct mw_socket_events *events;
    void *owner;
    struct mw_admission *admission; /* NULL: not counted */
    struct mw_socket *next_open;    /* engine->sockets */
    struct mw_socket **open_link;
    struct mw_socket *next; /* in engine->again or engine->closed */
    int fd;                 /* -1: closed */
    uint32_t written;       /* bytes that the kernel took from us, ever (TLS: before they were encrypted) */
    bool reading;           /* the owner wants bytes */
    bool writing;           /* the owner waits for room */
    bool drained;           /* the last read took all there was: epoll will tell of more */
    bool full;              /* the kernel refused bytes: epoll will tell of room */
    bool hung_up;           /* the peer sends no more (epoll has told, and tells it only once) */
    bool over;              /* neither side sends any more, and the owner may not know */
    bool queued_again;
    bool ssl_wants_write; /* reading can go on only after a write, or the other way round */
};

enum { MW_SOCKET_AGAIN = -1, MW_SOCKET_EOF = 0, MW_SOCKET_ERROR = -2 };

/* Takes over a non-blocking descriptor (and an SSL that is already set up on it); NULL with errno set. Counts as alive. */
struct mw_socket *mw_socket_new(struct mw_engine *engine, int fd, SSL *ssl, const struct mw_socket_events *events,
                                void *owner);
/* From here on the bytes go through this SSL, which the socket owns. */
void mw_socket_start_tls(struct mw_socket *socket, SSL *ssl);
static inline void mw_socket_set_owner(struct mw_socket *socket, const struct mw_socket_events *events, void *owner)
{
    socket->events = events;
    socket->owner = owner;
}
/* Bytes read, MW_SOCKET_EOF, MW_SOCKET_AGAIN, or MW_SOCKET_ERROR with errno set (EPROTO for TLS). */
ssize_t mw_socket_read(struct mw_socket *socket, void *buffer, size_t size);
/* Bytes written (perhaps not all), MW_SOCKET_AGAIN or MW_SOCKET_ERROR. */
ssize_t mw_socket_write(struct mw_socket *socket, const struct iovec *iov, int count);
/* How many of the bytes written the peer's kernel has acknowledged (TLS: about as many), modulo 2^32. */
uint32_t mw_socket_taken(const struct mw_socket *socket);
void mw_socket_want_read(struct mw_socket *socket, bool on);
void mw_socket_want_write(struct mw_socket *socket, bool on);
/* The owner stopped before it saw MW_SOCKET_AGAIN: call it again in the next turn. */
void mw_socket_read_again(struct mw_socket *socket);
/* No more bytes from us (TLS: close_notify, then FIN). */
void mw_socket_shutdown(struct mw_socket *socket);
/* Closes now; the owner is not called any more. The memory goes when no event can mention it. */
void mw_socket_close(struct mw_socket *socket);
/* As mw_socket_close, with a reset: the peer learns at once, unsent bytes are lost. */
void mw_socket_abort(struct mw_socket *socket);
/* Says good-bye and discards what still comes, until the peer closes or a second has passed, so that our last bytes are
 * not destroyed by a reset (RFC 9112 §9.6). The owner is not called any more. */
void mw_socket_linger(struct mw_socket *socket);
/* "192.0.2.1" or "::1" or "unix" and a port (0 for Unix sockets). */
void mw_socket_peer(const struct mw_socket *socket, char *address, size_t size, int *port);
/* Tells the owners of all sockets to finish. */
void mw_socket_retire_all(struct mw_engine *engine, bool now);
/* For the engine. */
static inline void mw_socket_prefetch_owner(const struct mw_socket *socket)
{
    for (int line = 0; line < 3; line++)
        __builtin_prefetch((const char *)socket->owner + 64 * line);
}
void mw_socket_dispatch(struct mw_socket *socket, uint32_t events);

#endif
