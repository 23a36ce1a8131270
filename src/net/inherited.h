/* inherited.h - listening sockets that whoever started the process opened for it: systemd's socket activation, or the parent
 * of --supervise. A listener takes one instead of binding; it stays open beside it, and can be taken again.
 * Owns the descriptors. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_INHERITED_H
#define MW_NET_INHERITED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct mw_inherited_socket {
    int fd;
    char *name; /* what the manager calls it; "" without a name */
    bool taken;
    bool asked_for; /* it was taken once */
};

struct mw_inherited {
    struct mw_inherited_socket *sockets;
    size_t count;
};

/* Reads LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, and takes them out of the environment. */
void mw_inherited_open(struct mw_inherited *inherited);
/* Tells in the log which ones no listener ever asked for. */
void mw_inherited_tell_unused(const struct mw_inherited *inherited);
void mw_inherited_close(struct mw_inherited *inherited);

/* The first that is free and has this name, or is bound to this address ("all interfaces" is the same in IPv4 and IPv6).
 * NULL: there is none. */
struct mw_inherited_socket *mw_inherited_by_name(const struct mw_inherited *inherited, const char *name);
struct mw_inherited_socket *mw_inherited_by_address(const struct mw_inherited *inherited,
                                                    const struct sockaddr_storage *address);
/* A descriptor of one's own for it; -1 with errno set. */
int mw_inherited_take(struct mw_inherited_socket *socket);
void mw_inherited_give_back(struct mw_inherited_socket *socket);

#endif
