/* http_head.h - the head of an HTTP/1.1 message (RFC 9112 §2-§6), request or response, parsed
 * strictly and in place. Owns nothing: every span points into the caller's bytes, which must
 * outlive it. Knows no socket.
 * Strict on purpose: what two parsers could read differently (bare LF,
 * folded lines, blanks before a colon, repeated or odd Content-Length, Transfer-Encoding beside
 * Content-Length) is refused, so that nothing can be smuggled past a proxy. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_HEAD_H
#define MW_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http_text.h"

struct mw_http_header {
    struct mw_span name;  /* lower-cased in place */
    struct mw_span value; /* without blanks around it */
};

enum { MW_HTTP_HEADERS_MAX = 256, MW_HTTP_REQUEST_LINE = 8192 };

struct mw_http_limits {
    size_t head_bytes;   /* whole head with its blank line, 16384 by default */
    size_t line_bytes;   /* a request's first line; 0: MW_HTTP_REQUEST_LINE */
    size_t header_count; /* at most MW_HTTP_HEADERS_MAX */
};

struct mw_http_head {
    struct mw_span method; /* requests */
    struct mw_span target;
    struct mw_span reason; /* responses */
    int status;
    int minor; /* HTTP/1.x */
    size_t header_count;
    struct mw_http_header headers[MW_HTTP_HEADERS_MAX];
    /* Derived from the headers: */
    int64_t content_length; /* -1 when not given */
    bool chunked;
    bool keep_alive;      /* the sender allows another message on this connection */
    bool expect_continue; /* the body waits for a 100 (never without a body or in HTTP/1.0) */
    bool upgrade;         /* Connection: upgrade and Upgrade: websocket, in HTTP/1.1 */
};

enum mw_http_result { MW_HTTP_PARTIAL, MW_HTTP_OK, MW_HTTP_INVALID };

struct mw_http_error {
    int status;      /* what a server answers: 400 414 417 431 501 505 … */
    const char *why; /* one sentence, names what was wrong */
};

/* Parses a request head from the `len` bytes at `data`, which may have moved since the last call
 * but not changed. `*scanned` starts at 0 and lets a call continue where the last one stopped, so
 * that a head costs the same in whatever pieces it arrives; it is 0 again after MW_HTTP_OK. On
 * MW_HTTP_OK `*head_len` is the length of the head with its blank line, and `head` is filled;
 * before, `head` is scratch.
 * One empty line before the request line is skipped (RFC 9112 §2.2). Wrong bytes are reported as
 * soon as they are there, wrong lines when they end, and what depends on several lines (framing,
 * Host, the number of headers) when the head is complete. */
enum mw_http_result mw_http_parse_request(struct mw_http_head *head, char *data, size_t len,
                                          const struct mw_http_limits *limits, size_t *scanned, size_t *head_len,
                                          struct mw_http_error *error);
/* The same for a response's head. Wider than for requests: the reason may be missing, there is no
 * rule for Host, and the status may be anything from 100 to 999. `error->status` means nothing
 * here. */
enum mw_http_result mw_http_parse_response(struct mw_http_head *head, char *data, size_t len,
                                           const struct mw_http_limits *limits, size_t *scanned, size_t *head_len,
                                           struct mw_http_error *error);

/* The first header of that (lower-case) name, or NULL; `count`, if not NULL, gets how many there
 * are. */
const struct mw_http_header *mw_http_find(const struct mw_http_head *head, const char *name, size_t *count);
/* True when `token`, in any case, is one of the comma-separated values of all headers of that
 * name. */
bool mw_http_has_token(const struct mw_http_head *head, const char *name, const char *token);

#endif
