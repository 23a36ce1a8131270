/* wire.h - libwebsockets as a guest on our loop: it opens the door for TLS connections. It accepts and negotiates TLS, with the
 * certificates and rules of tls_server.h; when the first decrypted bytes come, takeover.h makes the connection ours.
 * Owns the lws context, made when the first TLS listener needs it. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_WIRE_H
#define MW_NET_WIRE_H

#include "net/socket.h"
#include "net/tls_server.h"

struct mw_wire;
struct mw_wire_vhost; /* the TLS side of one listener */

/* NULL with a sentence in `why`. One reference. */
struct mw_wire_vhost *mw_wire_vhost_new(struct mw_engine *engine, const struct mw_tls_server_options *options,
                                        uint32_t handshake_timeout_ms, char *why, size_t size);
struct mw_tls_server *mw_wire_vhost_tls(const struct mw_wire_vhost *vhost);
void mw_wire_vhost_release(struct mw_wire_vhost *vhost);

/* `ready` gets the socket with the first bytes that came through it. */
typedef void (*mw_wire_ready)(void *owner, struct mw_socket *socket, const void *early, size_t len);

/* Takes over an accepted descriptor and its admission. A failed handshake ends silently, as on any web server. */
void mw_wire_accept(struct mw_wire_vhost *vhost, int fd, struct mw_admission *admission, mw_wire_ready ready,
                    void *owner);
/* Drops the connections that are not ready yet for this owner, who hears no more of them. */
void mw_wire_retire(struct mw_engine *engine, const void *owner);
/* Connections whose handshake goes on are dropped; then lws is destroyed. Run the loop, then mw_wire_free. */
void mw_wire_close(struct mw_engine *engine);
void mw_wire_free(struct mw_engine *engine);

#endif
