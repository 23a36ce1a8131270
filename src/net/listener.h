/* listener.h - a listening socket, TCP or Unix: accepts, counts, and hands each connection on.
 * Owns its descriptor and, for Unix sockets that it made itself, the name in the file system. Calls up for each connection. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_LISTENER_H
#define MW_NET_LISTENER_H

#include "net/admission.h"
#include "net/inherited.h"
#include "net/socket.h"

struct mw_listener;

struct mw_listener_options {
    const char *host; /* numeric address; NULL: all interfaces, IPv6 and IPv4 */
    int port;         /* 0: one that is free; -1: only an inherited socket will do */
    const char *path; /* Unix socket instead of host and port */
    int backlog;
    unsigned reserved_descriptors; /* of RLIMIT_NOFILE, that connections don't get */
    struct mw_admission_limits admission;
    /* For those who look after the process: keeps it running for nobody, counts nobody, may use the reserved descriptors. */
    bool background;
    /* A connection that may be served: `fd` is non-blocking; `admission` must be given to its socket. */
    void (*accepted)(void *owner, int fd, struct mw_admission *admission);
    void *owner;
    /* One of these is taken instead of binding, when it has this name (NULL: none has) or is bound to this address. */
    const struct mw_inherited *inherited;
    const char *inherited_name;
};

/* NULL with a sentence in `why` and the errno in `*error` (ENOENT: nothing of that name was inherited). */
struct mw_listener *mw_listener_open(struct mw_engine *engine, const struct mw_listener_options *options, char *why,
                                     size_t size, int *error);
/* Stops accepting; its memory goes when the loop has let go of it. */
void mw_listener_close(struct mw_listener *listener);
/* As mw_socket_peer, for the address it is bound to. */
void mw_listener_address(const struct mw_listener *listener, char *address, size_t size, int *port);

#endif
