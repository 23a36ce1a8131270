/* tls_server.h - the TLS side of one listener: which certificate a client is shown, whom it believes, and how both are renewed
 * while connections go on.
 * Owns one SSL_CTX for each pair of files, which a reload replaces; connections keep theirs alive for as long as they need it.
 * Watches the files and SIGHUP from mw_tls_server_new to mw_tls_server_stop, without keeping the loop alive. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_TLS_SERVER_H
#define MW_NET_TLS_SERVER_H

#include <openssl/ssl.h>

#include "net/engine.h"

struct mw_tls_server;

enum mw_tls_clients { MW_TLS_CLIENTS_ANY, MW_TLS_CLIENTS_OPTIONAL, MW_TLS_CLIENTS_REQUIRED };

struct mw_tls_files {
    const char *cert; /* PEM file: certificate and chain */
    const char *key;  /* PEM file */
};

struct mw_tls_server_options {
    const struct mw_tls_files *pairs; /* the first is for clients that name no host, or an unknown one */
    size_t count;                     /* at least 1 */
    const char *client_ca;            /* PEM file; with MW_TLS_CLIENTS_ANY not looked at */
    enum mw_tls_clients clients;      /* who needs a certificate */
    int min_version;                  /* TLS1_2_VERSION or TLS1_3_VERSION */
    uint32_t reload_ms;               /* between looks at the files; 0: never */
};

/* NULL with a sentence in `why`. */
struct mw_tls_server *mw_tls_server_new(struct mw_engine *engine, const struct mw_tls_server_options *options,
                                        char *why, size_t size);
/* Handshakes begin in this context, made by libwebsockets, and go on in one of ours. False when memory ran out. */
bool mw_tls_server_attach(struct mw_tls_server *server, SSL_CTX *front);
/* Reads all files again. What is wrong stays as it was: then false, with a sentence in `why` about the first. */
bool mw_tls_server_reload(struct mw_tls_server *server, char *why, size_t size);
/* The listener is closed: no file and no signal is looked at any more. */
void mw_tls_server_stop(struct mw_tls_server *server);
/* No new handshake may come. Its memory goes when the loop has let go of it. */
void mw_tls_server_free(struct mw_tls_server *server);

/* The certificate that the peer of a server's connection has proved to hold, and that an authority of ours has signed; NULL:
 * there is none. Lives as long as the SSL. */
X509 *mw_tls_server_client(const SSL *ssl);

#endif
