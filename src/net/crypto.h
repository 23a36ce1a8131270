/* crypto.h - OpenSSL and memory: it tells a failure to get some as one of TLS, or not at all, and what it could not set up when it
 * was first used it either never tries again or trips over. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_CRYPTO_H
#define MW_NET_CRYPTO_H

#include <stdbool.h>

/* Before anything else of OpenSSL: sets up what is shared by all connections. A lack of memory ends the process meanwhile, with a
 * line in the log and 1; later it is only told there. False: OpenSSL can't be used for another reason. */
bool mw_crypto_prepare(void);

#endif
