/* handshake.h - the opening handshake of RFC 6455 §4, both roles, over parsed heads.
 * Decides and formats; owns nothing, knows no socket. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HANDSHAKE_H
#define MW_NET_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/http_head.h"

enum { MW_WS_KEY_LEN = 24, MW_WS_ACCEPT_LEN = 28 };

/* A server's check of a request (§4.2.1): method GET (else 405), HTTP/1.1, asking for the upgrade
 * and without a body, Sec-WebSocket-Version 13 (else 426: the answer carries that header), one
 * Sec-WebSocket-Key of 16 bytes in base64. 0 when fine, else the status to answer with `*why`. Host
 * is checked with the head. */
int mw_handshake_check(const struct mw_http_head *head, const char **why);
/* Sec-WebSocket-Accept for a key of MW_WS_KEY_LEN bytes, NUL-terminated; false (and empty) when
 * libcrypto fails. */
bool mw_handshake_accept(const char *key, size_t len, char accept[MW_WS_ACCEPT_LEN + 1]);
/* A fresh random key, NUL-terminated; false when there is no randomness. */
bool mw_handshake_key(char key[MW_WS_KEY_LEN + 1]);
/* Steps through the offered subprotocols in order: `*cursor` starts at 0 (an opaque position);
 * false at the end. Elements that are no tokens (RFC 9110 §5.6.2) end the walk with `*malformed`
 * set; empty ones are skipped. */
bool mw_handshake_next_protocol(const struct mw_http_head *head, size_t *cursor, struct mw_span *protocol,
                                bool *malformed);
/* A client's check of the answer to `key` (§4.1): 101, Upgrade, Connection, Sec-WebSocket-Accept, a
 * subprotocol only if it is one of the comma-separated `offered` (NULL: none). `protocol` is what
 * was chosen (len 0: nothing). 0 when fine, else -1 with `*why`. Extensions are deflate.h's to
 * check. */
int mw_handshake_confirm(const struct mw_http_head *head, const char *key, const char *offered,
                         struct mw_span *protocol, const char **why);

#endif
