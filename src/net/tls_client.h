/* tls_client.h - the client side of TLS on a socket that is already connected: SNI, verification, and a precise reason when
 * the handshake fails. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_TLS_CLIENT_H
#define MW_NET_TLS_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct mw_tls_client_options {
    const char *server_name; /* for SNI and verification: a host name or an IP address */
    const char *ca;          /* a file of trusted certificates; NULL: the system's */
    bool verify;
};

/* A client SSL on `fd`, TLS 1.2 or later, ALPN http/1.1; NULL with a sentence in `why`. */
SSL *mw_tls_client_new(int fd, const struct mw_tls_client_options *options, char *why, size_t size);

enum mw_tls_step { MW_TLS_DONE, MW_TLS_READ, MW_TLS_WRITE, MW_TLS_FAILED };

/* Goes on with the handshake; says what to wait for. On MW_TLS_FAILED `why` is a sentence. */
enum mw_tls_step mw_tls_client_step(SSL *ssl, char *why, size_t size);

#endif
