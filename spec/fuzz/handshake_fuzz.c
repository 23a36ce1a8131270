/* handshake_fuzz.c - heads of HTTP messages, and the opening handshake over them. The first character chooses the side and
 * the limits; the rest is a head, given whole and in pieces. What is accepted must be what the header files promise. */
/* SPDX-License-Identifier: MIT */
#include "net/handshake.h"

#include "../native/feed_head.h"

#include "fuzz.h"

enum { LEN_MAX = 1200 };

/* Of the example in RFC 6455 §1.3; its answer is "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=". */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char OFFERED[] = "chat, superchat";

static bool inside(struct mw_span span, const struct outcome *whole)
{
    return !span.len || (span.at >= whole->data && span.at + span.len <= whole->data + whole->head_len);
}

static void check_headers(const struct outcome *whole, const struct mw_http_limits *with)
{
    const struct mw_http_head *head = &whole->head;

    REQUIRE(whole->head_len <= whole->used && whole->head_len <= with->head_bytes);
    REQUIRE(head->header_count <= with->header_count);
    for (size_t i = 0; i < head->header_count; i++) {
        struct mw_span name = head->headers[i].name, value = head->headers[i].value;
        REQUIRE(inside(name, whole) && inside(value, whole) && mw_http_is_token(name));
        for (size_t at = 0; at < name.len; at++)
            REQUIRE(name.at[at] == mw_http_lower(name.at[at]));
        for (size_t at = 0; at < value.len; at++)
            REQUIRE(mw_http_is_text_char(value.at[at]));
        REQUIRE(mw_span_trim(value).len == value.len);
    }
    /* Two framings are how requests are smuggled. */
    REQUIRE(!head->chunked || head->content_length < 0);
    REQUIRE(head->content_length >= -1);
    REQUIRE(head->minor >= 0 && head->minor <= 9);
    REQUIRE(!(head->chunked || head->upgrade || head->expect_continue) || head->minor >= 1);
}

static void check_request(const struct outcome *whole)
{
    const struct mw_http_head *head = &whole->head;
    char accept[MW_WS_ACCEPT_LEN + 1];
    const char *why = NULL;
    size_t cursor = 0, count;
    struct mw_span protocol;
    bool malformed = false;

    REQUIRE(mw_http_is_token(head->method) && inside(head->method, whole));
    REQUIRE(head->target.len && inside(head->target, whole));
    mw_http_find(head, "host", &count);
    REQUIRE(count == 1 || (count == 0 && head->minor == 0));
    int status = mw_handshake_check(head, &why);
    REQUIRE(status == 0 || ((status == 400 || status == 405 || status == 426) && why));
    if (status == 0) {
        const struct mw_http_header *key = mw_http_find(head, "sec-websocket-key", &count);
        REQUIRE(head->upgrade && key && count == 1);
        REQUIRE(mw_handshake_accept(key->value.at, key->value.len, accept) && strlen(accept) == MW_WS_ACCEPT_LEN);
    }
    while (mw_handshake_next_protocol(head, &cursor, &protocol, &malformed))
        REQUIRE(inside(protocol, whole) && mw_http_is_token(protocol));
}

static void check_response(const struct outcome *whole)
{
    struct mw_span protocol = {0};
    const char *why = NULL;

    REQUIRE(whole->head.status >= 100 && whole->head.status <= 999);
    REQUIRE(inside(whole->head.reason, whole));
    if (mw_handshake_confirm(&whole->head, KEY, OFFERED, &protocol, &why)) {
        REQUIRE(why);
        return;
    }
    REQUIRE(whole->head.status == 101);
    REQUIRE(!protocol.len || (protocol.len == 4 && !memcmp(protocol.at, "chat", 4)) ||
            (protocol.len == 9 && !memcmp(protocol.at, "superchat", 9)));
}

void fuzz_one(const uint8_t *data, size_t len)
{
    static const struct mw_http_limits tight = {.head_bytes = 256, .header_count = 6};
    struct fuzz_input input = {data, len};
    uint8_t choice = fuzz_take(&input);
    const struct mw_http_limits *with = choice & 2 ? &tight : &limits;
    bool is_request = choice & 1;
    struct outcome whole;

    if (!input.len || input.len > LEN_MAX)
        return;
    check_test("%s", is_request ? "a request" : "a response");
    feed_all_ways(&whole, is_request ? mw_http_parse_request : mw_http_parse_response, (const char *)input.data,
                  input.len, with);
    REQUIRE(!check.errors);
    check.name[0] = '\0';
    if (whole.result == MW_HTTP_OK) {
        check_headers(&whole, with);
        if (is_request)
            check_request(&whole);
        else
            check_response(&whole);
    } else if (whole.result == MW_HTTP_INVALID) {
        REQUIRE(whole.error.why && (!is_request || (whole.error.status >= 400 && whole.error.status < 600)));
    }
    free(whole.data);
}
