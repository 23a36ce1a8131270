/* feed_head.h - what the tests of net/http_head.h share: a head is fed whole and in pieces, each
 * time at another address, and must end the same way. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SPEC_FEED_HEAD_H
#define MW_SPEC_FEED_HEAD_H

#include "net/http_head.h"

#include "check.h"

#define TEXT(literal) literal, sizeof(literal) - 1
#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct mw_http_limits limits = {.head_bytes = 16384, .header_count = 100};

struct outcome {
    enum mw_http_result result;
    struct mw_http_error error;
    size_t head_len;
    size_t used; /* bytes that were there when it was decided */
    char *data;  /* the caller frees it */
    struct mw_http_head head;
};

typedef enum mw_http_result parse_function(struct mw_http_head *, char *, size_t, const struct mw_http_limits *,
                                           size_t *, size_t *, struct mw_http_error *);

/* Feeds `step` bytes at a time, moving the bytes each time. */
static inline void feed(struct outcome *outcome, parse_function *parse, const char *text, size_t len, size_t step,
                        const struct mw_http_limits *with)
{
    size_t scanned = 0;
    memset(outcome, 0x5a, sizeof *outcome);
    outcome->data = NULL;
    outcome->error.status = 0;
    outcome->used = 0;
    do {
        outcome->used = len - outcome->used < step ? len : outcome->used + step;
        free(outcome->data);
        outcome->data = check_copy(text, outcome->used);
        outcome->result =
            parse(&outcome->head, outcome->data, outcome->used, with, &scanned, &outcome->head_len, &outcome->error);
    } while (outcome->result == MW_HTTP_PARTIAL && outcome->used < len);
}

static inline bool same_span(struct mw_span a, struct mw_span b)
{
    return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool same_head(const struct mw_http_head *a, const struct mw_http_head *b)
{
    bool same = same_span(a->method, b->method) && same_span(a->target, b->target) && a->status == b->status &&
                same_span(a->reason, b->reason) && a->minor == b->minor && a->header_count == b->header_count &&
                a->content_length == b->content_length && a->chunked == b->chunked && a->keep_alive == b->keep_alive &&
                a->expect_continue == b->expect_continue && a->upgrade == b->upgrade;
    for (size_t i = 0; same && i < a->header_count; i++)
        same = same_span(a->headers[i].name, b->headers[i].name) && same_span(a->headers[i].value, b->headers[i].value);
    return same;
}

/* Whole, then in pieces of 1, 2, 3 and 7 bytes; `whole` is left for more checks. */
static inline void feed_all_ways(struct outcome *whole, parse_function *parse, const char *text, size_t len,
                                 const struct mw_http_limits *with)
{
    static const size_t steps[] = {1, 2, 3, 7};
    feed(whole, parse, text, len, SIZE_MAX, with);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct outcome pieces;
        feed(&pieces, parse, text, len, steps[i], with);
        EXPECT(pieces.result == whole->result);
        if (whole->result == MW_HTTP_INVALID) {
            EXPECT(pieces.error.status == whole->error.status);
            EXPECT(pieces.error.why == whole->error.why || strcmp(pieces.error.why, whole->error.why) == 0);
        }
        if (whole->result == MW_HTTP_OK) {
            EXPECT(pieces.head_len == whole->head_len);
            EXPECT(same_head(&pieces.head, &whole->head));
        }
        free(pieces.data);
    }
}

#endif
