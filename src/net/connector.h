/* connector.h - opens a connection to somewhere else: name, address, HTTP proxy, TLS, one after the other, each with its own
 * reason when it fails. Names are resolved off the loop. Owns what it opens until it hands the socket over.
 * Exactly one of its two events comes, never from inside mw_connector_start. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_CONNECTOR_H
#define MW_NET_CONNECTOR_H

#include "net/socket.h"

struct mw_connector_options {
    const char *host;
    int port;
    const char *path;       /* Unix socket instead of host and port */
    const char *proxy_host; /* NULL: none */
    int proxy_port;
    bool tls;
    bool tls_verify;
    const char *tls_ca;      /* NULL: the system's */
    const char *server_name; /* NULL: host */
    uint32_t timeout_ms;     /* until the socket is ready; 0: none */
};

struct mw_connector_events {
    void (*connected)(void *owner, struct mw_socket *socket);
    /* `code`: "dns" "refused" "unreachable" "timeout" "proxy" "tls" "reset" "connect" */
    void (*failed)(void *owner, const char *message, const char *code);
};

struct mw_connector;

/* Copies the options. NULL when memory is short. */
struct mw_connector *mw_connector_start(struct mw_engine *engine, const struct mw_connector_options *options,
                                        const struct mw_connector_events *events, void *owner);
/* No event comes any more. */
void mw_connector_cancel(struct mw_connector *connector);

#endif
