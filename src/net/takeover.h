/* takeover.h - taking a connection away from libwebsockets, with its SSL, so that lws closes something else.
 * Two steps, because lws closes the descriptor it finds inside the SSL until the wsi is destroyed. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_TAKEOVER_H
#define MW_NET_TAKEOVER_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct mw_takeover {
    int fd;
    SSL *ssl;
};

/* What lws is left with: one end of a socket pair whose other end is closed (libuv can't poll /dev/null); -1 on failure. */
int mw_takeover_stub(void);
/* In an lws callback, which then returns -1. False when descriptors ran out; nothing was changed then. */
bool mw_takeover_begin(struct mw_takeover *takeover, struct lws *wsi, int stub);
/* In LWS_CALLBACK_WSI_DESTROY: descriptor and SSL are ours alone. */
void mw_takeover_end(struct mw_takeover *takeover);

#endif
