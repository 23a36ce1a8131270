/* tls_refusals.h - the account of clients that a listener has refused for their certificates: the first is told at once, what
 * follows within some seconds is counted, because clients must not be able to fill a disk. Owns nothing but its timer. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_TLS_REFUSALS_H
#define MW_NET_TLS_REFUSALS_H

#include <openssl/ssl.h>

#include "net/engine.h"

struct mw_tls_refusals {
    struct mw_wheel_node quiet; /* first; set while clients are only counted */
    struct mw_engine *engine;
    unsigned count; /* since the last line */
};

void mw_tls_refusals_begin(struct mw_tls_refusals *refusals, struct mw_engine *engine);
/* `detail` is the end of the sentence. */
void mw_tls_refusals_add(struct mw_tls_refusals *refusals, const SSL *ssl, const char *what, const char *detail);
void mw_tls_refusals_end(struct mw_tls_refusals *refusals);

#endif
