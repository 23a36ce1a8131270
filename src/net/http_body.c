/* http_body.c - see http_body.h. */
/* SPDX-License-Identifier: MIT */
#include "net/http_body.h"

enum { LINE_MAX_BYTES = 4096, TRAILERS_MAX_BYTES = 16384 };

enum state {
    SIZE_FIRST, /* a hex digit must come */
    SIZE,
    SIZE_BLANK, /* blanks behind the size: only an extension may follow (RFC 9112 §7.1.1) */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a trailer's name or the end must come */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    FAILED,
};

void mw_http_body_start(struct mw_http_body *body, enum mw_http_framing framing, uint64_t length)
{
    *body = (struct mw_http_body){.framing = framing, .state = SIZE_FIRST};
    if (framing == MW_HTTP_LENGTH) {
        body->remaining = length;
        body->done = length == 0;
    }
}

void mw_http_body_of_request(struct mw_http_body *body, const struct mw_http_head *head)
{
    if (head->chunked)
        mw_http_body_start(body, MW_HTTP_CHUNKED, 0);
    else
        mw_http_body_start(body, MW_HTTP_LENGTH, head->content_length > 0 ? (uint64_t)head->content_length : 0);
}

void mw_http_body_of_response(struct mw_http_body *body, const struct mw_http_head *head, bool was_head_request)
{
    if (was_head_request || head->status < 200 || head->status == 204 || head->status == 304)
        mw_http_body_start(body, MW_HTTP_LENGTH, 0);
    else if (head->chunked)
        mw_http_body_start(body, MW_HTTP_CHUNKED, 0);
    else if (head->content_length >= 0)
        mw_http_body_start(body, MW_HTTP_LENGTH, (uint64_t)head->content_length);
    else
        mw_http_body_start(body, MW_HTTP_UNTIL_CLOSE, 0);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = mw_http_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int add_digit(struct mw_http_body *body, char c)
{
    if (body->remaining > (uint64_t)INT64_MAX >> 4)
        return FAILED;
    body->remaining = body->remaining << 4 | (uint64_t)hex_value(c);
    return SIZE;
}

static int after_size(char c)
{
    if (c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? SIZE_BLANK : FAILED;
}

static int after_size_line(struct mw_http_body *body)
{
    body->line_bytes = 0;
    return body->remaining ? DATA : TRAILER_FIRST;
}

static int expect(char c, char wanted, int next)
{
    return c == wanted ? next : FAILED;
}

/* The state after one byte that is no payload. */
static int step(struct mw_http_body *body, char c)
{
    switch ((enum state)body->state) {
    case SIZE_FIRST:
        body->remaining = 0;
        return hex_value(c) < 0 ? FAILED : add_digit(body, c);
    case SIZE:
        if (hex_value(c) >= 0)
            return add_digit(body, c);
        return c == '\r' ? SIZE_LF : after_size(c);
    case SIZE_BLANK:
        return after_size(c);
    case EXTENSION:
        if (c == '\r')
            return SIZE_LF;
        return mw_http_is_text_char(c) ? EXTENSION : FAILED;
    case SIZE_LF:
        return c == '\n' ? after_size_line(body) : FAILED;
    case DATA_CR:
        return expect(c, '\r', DATA_LF);
    case DATA_LF:
        body->line_bytes = 0;
        return expect(c, '\n', SIZE_FIRST);
    case TRAILER_FIRST:
        if (c == '\r')
            return LAST_LF;
        return mw_http_is_token_char(c) ? TRAILER_NAME : FAILED;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return mw_http_is_token_char(c) ? TRAILER_NAME : FAILED;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return mw_http_is_text_char(c) ? TRAILER_VALUE : FAILED;
    case TRAILER_LF:
        body->line_bytes = 0;
        return expect(c, '\n', TRAILER_FIRST);
    case LAST_LF:
        body->done = c == '\n';
        return expect(c, '\n', LAST_LF);
    case DATA:
    case FAILED:
        break;
    }
    return FAILED;
}

static void step_bounded(struct mw_http_body *body, char c)
{
    bool in_trailers = body->state >= TRAILER_FIRST;
    body->line_bytes++;
    if (in_trailers)
        body->trailer_bytes++;
    if (body->line_bytes > LINE_MAX_BYTES || body->trailer_bytes > TRAILERS_MAX_BYTES)
        body->state = FAILED;
    else
        body->state = step(body, c);
}

/* As much of `data` as belongs to the body or the current chunk. */
static size_t take(struct mw_http_body *body, const char *data, size_t len, struct mw_span *piece)
{
    size_t part = len < body->remaining ? len : (size_t)body->remaining;
    *piece = (struct mw_span){data, part};
    body->remaining -= part;
    return part;
}

static ptrdiff_t feed_chunked(struct mw_http_body *body, const char *data, size_t len, struct mw_span *piece)
{
    size_t at = 0;
    while (at < len && !body->done && body->state != DATA && body->state != FAILED)
        step_bounded(body, data[at++]);
    if (body->state == FAILED)
        return -1;
    if (body->state == DATA && at < len) {
        at += take(body, data + at, len - at, piece);
        if (!body->remaining)
            body->state = DATA_CR;
    }
    return (ptrdiff_t)at;
}

ptrdiff_t mw_http_body_feed(struct mw_http_body *body, const char *data, size_t len, struct mw_span *piece)
{
    *piece = (struct mw_span){data, 0};
    if (body->done)
        return 0;
    switch (body->framing) {
    case MW_HTTP_CHUNKED:
        return feed_chunked(body, data, len, piece);
    case MW_HTTP_LENGTH:
        take(body, data, len, piece);
        body->done = body->remaining == 0;
        break;
    case MW_HTTP_UNTIL_CLOSE:
        piece->len = len;
        break;
    }
    return (ptrdiff_t)piece->len;
}
