/* http_body.h - the framing of an HTTP/1.1 body (RFC 9112 §6, §7): by length, chunked, or until the
 * connection closes. A small state machine over the caller's bytes; owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_BODY_H
#define MW_NET_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http_head.h"

enum mw_http_framing { MW_HTTP_LENGTH, MW_HTTP_CHUNKED, MW_HTTP_UNTIL_CLOSE };

struct mw_http_body {
    enum mw_http_framing framing;
    uint64_t remaining;     /* of the body or of the current chunk */
    int state;              /* private to http_body.c */
    uint32_t line_bytes;    /* of the current chunk-size or trailer line */
    uint32_t trailer_bytes; /* of all trailer lines so far */
    bool done;
};

void mw_http_body_start(struct mw_http_body *body, enum mw_http_framing framing, uint64_t length);
/* The framing a request or a response has (RFC 9112 §6.3); a response to HEAD or with 1xx/204/304
 * has length 0. */
void mw_http_body_of_request(struct mw_http_body *body, const struct mw_http_head *head);
void mw_http_body_of_response(struct mw_http_body *body, const struct mw_http_head *head, bool was_head_request);

/* Takes bytes from `data`: returns how many were used (0 is possible only with len 0 or when done)
 * and sets `piece` to the payload among them (len 0 when there was none). Call again with the rest
 * until all is used or `done`. -1: malformed, now and ever after. Chunk extensions and trailers are
 * checked and skipped, each line bounded to 4 KiB and trailers to 16 KiB. */
ptrdiff_t mw_http_body_feed(struct mw_http_body *body, const char *data, size_t len, struct mw_span *piece);

#endif
