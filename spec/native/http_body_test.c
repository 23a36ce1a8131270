/* http_body_test.c - net/http_body.h: bodies by length, until the end, and chunked (RFC 9112 §6.3,
 * §7.1). Every row is fed whole, cut in two at every byte, and one byte at a time. */
/* SPDX-License-Identifier: MIT */
#include "net/http_body.h"

#include "check.h"

enum verdict { DONE, MORE, MALFORMED };

struct outcome {
    enum verdict verdict;
    size_t used; /* bytes of the text that belong to the body */
    char payload[1 << 16];
    size_t len;
};

/* Feeds one piece to its end, or to the body's. */
static void feed_piece(struct mw_http_body *body, struct outcome *outcome, const char *text, size_t len)
{
    char *copy = check_copy(text, len);
    size_t at = 0;
    while (at < len && !body->done) {
        struct mw_span piece = {NULL, 99};
        ptrdiff_t used = mw_http_body_feed(body, copy + at, len - at, &piece);
        if (used <= 0) {
            EXPECT(used == -1);
            EXPECT(mw_http_body_feed(body, copy + at, len - at, &piece) == -1);
            outcome->verdict = MALFORMED;
            break;
        }
        EXPECT((size_t)used <= len - at && piece.len <= (size_t)used);
        EXPECT(!piece.len || (piece.at >= copy + at && piece.at + piece.len <= copy + at + used));
        memcpy(outcome->payload + outcome->len, piece.at, piece.len);
        outcome->len += piece.len;
        at += (size_t)used;
    }
    outcome->used += at;
    if (body->done) {
        struct mw_span piece;
        EXPECT(mw_http_body_feed(body, copy, len, &piece) == 0 && piece.len == 0);
        outcome->verdict = DONE;
    }
    free(copy);
}

/* `split` bytes first, then the rest in pieces of `step`. */
static void feed(struct outcome *outcome, const struct mw_http_body *start, const char *text, size_t len, size_t split,
                 size_t step)
{
    struct mw_http_body body = *start;
    outcome->verdict = body.done ? DONE : MORE;
    outcome->used = outcome->len = 0;
    feed_piece(&body, outcome, text, split);
    for (size_t at = split; at < len && outcome->verdict == MORE; at += step) {
        if (step > len - at)
            step = len - at;
        feed_piece(&body, outcome, text + at, step);
    }
}

static void feed_all_ways(const struct mw_http_body *start, const char *text, size_t len, enum verdict verdict,
                          const char *payload, size_t used)
{
    static struct outcome outcome;
    for (size_t split = 0; split <= len + 1; split++) {
        if (split <= len)
            feed(&outcome, start, text, len, split, SIZE_MAX);
        else
            feed(&outcome, start, text, len, 0, 1);
        EXPECT(outcome.verdict == verdict);
        EXPECT(outcome.len == strlen(payload) && memcmp(outcome.payload, payload, outcome.len) == 0);
        if (verdict == DONE)
            EXPECT(outcome.used == used);
    }
}

struct row {
    const char *name;
    enum verdict verdict;
    const char *text;
    size_t len;
    const char *payload;
    size_t behind; /* bytes at the end of `text` that are not the body's */
};

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct row rows[] = {
    {"one chunk", DONE, TEXT("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
    {"nothing", DONE, TEXT("0\r\n\r\n"), "", 0},
    {"many chunks", DONE, TEXT("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), "abcdef", 0},
    {"bytes behind", DONE, TEXT("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), "a", 16},
    {"sizes in both cases", DONE, TEXT("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0},
    {"zeros before a size", DONE, TEXT("0000000000000000000003\r\nabc\r\n000\r\n\r\n"), "abc", 0},
    {"CR and LF inside a chunk", DONE, TEXT("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", 0},
    {"an end that is payload", DONE, TEXT("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), "0\r\n\r\n", 0},
    {"extensions (§7.1.1)", DONE, TEXT("1;a\r\nx\r\n1;a=b;c=\"d e\"\r\ny\r\n0;z\r\n\r\n"), "xy", 0},
    {"blanks before an extension", DONE, TEXT("1 \t;a = b\r\nx\r\n0\r\n\r\n"), "x", 0},
    {"trailers (§7.1.2)", DONE, TEXT("1\r\nx\r\n0\r\nA: b\r\nContent-Length: 7\r\nC:\r\n\r\n"), "x", 0},
    {"a trailer of obs-text", DONE, TEXT("0\r\nA: \xc3\xa9\t\r\n\r\n"), "", 0},
    {"not yet the end", MORE, TEXT("1\r\nx\r\n0\r\n\r"), "x", 0},
    {"a chunk cut short", MORE, TEXT("5\r\nhel"), "hel", 0},
    {"the largest size", MORE, TEXT("7fffffffffffffff\r\nabc"), "abc", 0},

    {"no size", MALFORMED, TEXT("\r\n"), "", 0},
    {"no size before an extension", MALFORMED, TEXT(";a\r\n"), "", 0},
    {"a letter that is no digit", MALFORMED, TEXT("g\r\n"), "", 0},
    {"a minus", MALFORMED, TEXT("-1\r\n"), "", 0},
    {"a plus", MALFORMED, TEXT("+1\r\nx\r\n0\r\n\r\n"), "", 0},
    {"0x", MALFORMED, TEXT("0x1\r\nx\r\n0\r\n\r\n"), "", 0},
    {"an underscore", MALFORMED, TEXT("1_0\r\n"), "", 0},
    {"a blank before the size", MALFORMED, TEXT(" 1\r\nx\r\n0\r\n\r\n"), "", 0},
    {"a blank behind the size", MALFORMED, TEXT("1 \r\nx\r\n0\r\n\r\n"), "", 0},
    {"a second size", MALFORMED, TEXT("1 2\r\nx\r\n0\r\n\r\n"), "", 0},
    {"a size of 2^63", MALFORMED, TEXT("8000000000000000\r\n"), "", 0},
    {"a size of 2^64 + 1 (overflow)", MALFORMED, TEXT("10000000000000001\r\nx\r\n0\r\n\r\n"), "", 0},
    {"bare LF behind the size", MALFORMED, TEXT("1\nx\r\n0\r\n\r\n"), "", 0},
    {"bare CR behind the size", MALFORMED, TEXT("1\rx\r\n0\r\n\r\n"), "", 0},
    {"bare LF in an extension", MALFORMED, TEXT("1;a\nx\r\n0\r\n\r\n"), "", 0},
    {"bare CR in an extension", MALFORMED, TEXT("1;a\rb\r\nx\r\n0\r\n\r\n"), "", 0},
    {"a NUL in an extension", MALFORMED, TEXT("1;\0\r\nx\r\n0\r\n\r\n"), "", 0},
    {"a NUL for a size", MALFORMED, TEXT("\0\r\n"), "", 0},
    {"a chunk longer than its size", MALFORMED, TEXT("1\r\nxy\r\n0\r\n\r\n"), "x", 0},
    {"a chunk shorter than its size", MALFORMED, TEXT("3\r\nx\r\n0\r\n\r\n"), "x\r\n", 0},
    {"LF alone behind a chunk", MALFORMED, TEXT("1\r\nx\n0\r\n\r\n"), "x", 0},
    {"CR alone behind a chunk", MALFORMED, TEXT("1\r\nx\r0\r\n\r\n"), "x", 0},
    {"two line ends behind a chunk", MALFORMED, TEXT("1\r\nx\r\n\r\n0\r\n\r\n"), "x", 0},
    {"bare LF for the end", MALFORMED, TEXT("0\r\n\n"), "", 0},
    {"bare CR for the end", MALFORMED, TEXT("0\r\n\rx"), "", 0},
    {"a trailer without a colon", MALFORMED, TEXT("0\r\nabc\r\n\r\n"), "", 0},
    {"a trailer without a name", MALFORMED, TEXT("0\r\n: b\r\n\r\n"), "", 0},
    {"a trailer with a blank before the colon", MALFORMED, TEXT("0\r\nA : b\r\n\r\n"), "", 0},
    {"a folded trailer", MALFORMED, TEXT("0\r\nA: b\r\n c\r\n\r\n"), "", 0},
    {"a trailer with a bare LF", MALFORMED, TEXT("0\r\nA: b\n\r\n"), "", 0},
    {"a trailer with a NUL", MALFORMED, TEXT("0\r\nA: \0\r\n\r\n"), "", 0},
    {"a request where trailers are", MALFORMED, TEXT("0\r\nGET / HTTP/1.1\r\n\r\n"), "", 0},
};

static void test_chunked(const struct row *row)
{
    struct mw_http_body body;
    check_test("chunked, %s: %s",
               row->verdict == DONE   ? "whole"
               : row->verdict == MORE ? "unfinished"
                                      : "malformed",
               row->name);
    mw_http_body_start(&body, MW_HTTP_CHUNKED, 0);
    feed_all_ways(&body, row->text, row->len, row->verdict, row->payload, row->len - row->behind);
}

/* `before`, `fill` letters, `after`. */
static enum verdict verdict_of_long(const char *before, size_t fill, const char *after)
{
    static char text[1 << 16];
    static struct outcome outcome;
    struct mw_http_body body;
    size_t len = strlen(before) + fill + strlen(after);
    memset(text, 'a', sizeof text);
    memcpy(text, before, strlen(before));
    memcpy(text + strlen(before) + fill, after, strlen(after));
    mw_http_body_start(&body, MW_HTTP_CHUNKED, 0);
    feed(&outcome, &body, text, len, 0, 1);
    enum verdict in_bytes = outcome.verdict;
    feed(&outcome, &body, text, len, len, 1);
    EXPECT(outcome.verdict == in_bytes);
    return in_bytes;
}

static void test_bounds(void)
{
    check_test("a chunk-size line of 4 KiB is taken, a longer one is not");
    EXPECT(verdict_of_long("1;", 4096 - 4, "\r\nx\r\n0\r\n\r\n") == DONE);
    EXPECT(verdict_of_long("1;", 4096 - 3, "\r\nx\r\n0\r\n\r\n") == MALFORMED);
    EXPECT(verdict_of_long("1;", 4096 - 1, "") == MALFORMED);
    check_test("a line of zeros is bounded too");
    EXPECT(verdict_of_long("1\r\nx\r\n0;", 5000, "\r\n\r\n") == MALFORMED);
    check_test("a trailer line of 4 KiB is taken, a longer one is not");
    EXPECT(verdict_of_long("0\r\nA:", 4096 - 4, "\r\n\r\n") == DONE);
    EXPECT(verdict_of_long("0\r\nA:", 4096 - 3, "\r\n\r\n") == MALFORMED);

    check_test("trailers of 16 KiB are taken, more is not");
    for (size_t count = 16384 / 16 - 2; count < 16384 / 16 + 2; count++) {
        static char text[20000];
        text[0] = '\0';
        check_append(text, sizeof text, "0\r\n");
        for (size_t i = 0; i < count; i++)
            check_append(text, sizeof text, "Name12: value1\r\n");
        check_append(text, sizeof text, "\r\n");
        EXPECT((verdict_of_long(text, 0, "") == DONE) == (count * 16 + 2 <= 16384));
    }
    check_test("many small chunks have no bound");
    static char text[60004];
    for (size_t i = 0; i < 10000; i++)
        memcpy(text + i * 6, "1\r\nx\r\n", 6);
    EXPECT(verdict_of_long(text, 0, "") == MORE);
}

static void test_length(void)
{
    struct mw_http_body body;
    check_test("by length: exactly that many bytes");
    mw_http_body_start(&body, MW_HTTP_LENGTH, 5);
    feed_all_ways(&body, "helloGET", 8, DONE, "hello", 5);
    feed_all_ways(&body, "hell", 4, MORE, "hell", 0);
    check_test("by length: none");
    mw_http_body_start(&body, MW_HTTP_LENGTH, 0);
    EXPECT(body.done);
    feed_all_ways(&body, "GET", 3, DONE, "", 0);
    check_test("by length: the largest");
    mw_http_body_start(&body, MW_HTTP_LENGTH, INT64_MAX);
    feed_all_ways(&body, "abc", 3, MORE, "abc", 0);
    check_test("until the end: everything");
    mw_http_body_start(&body, MW_HTTP_UNTIL_CLOSE, 0);
    feed_all_ways(&body, "0\r\n\r\n", 5, MORE, "0\r\n\r\n", 0);
    check_test("no bytes are no progress");
    struct mw_span piece;
    EXPECT(mw_http_body_feed(&body, NULL, 0, &piece) == 0 && piece.len == 0);
    mw_http_body_start(&body, MW_HTTP_CHUNKED, 0);
    EXPECT(mw_http_body_feed(&body, NULL, 0, &piece) == 0 && piece.len == 0);
}

static void test_framing(void)
{
    static const struct {
        const char *name;
        int64_t length;
        uint64_t remaining;
        enum mw_http_framing framing;
        int status; /* 0: a request */
        bool chunked;
        bool was_head;
    } framings[] = {
        {"a request without a length has none (§6.3, 7)", -1, 0, MW_HTTP_LENGTH, 0, false, false},
        {"a request with a length", 7, 7, MW_HTTP_LENGTH, 0, false, false},
        {"a chunked request", -1, 0, MW_HTTP_CHUNKED, 0, true, false},
        {"a response without a length (§6.3, 8)", -1, 0, MW_HTTP_UNTIL_CLOSE, 200, false, false},
        {"a response with a length", 7, 7, MW_HTTP_LENGTH, 200, false, false},
        {"a chunked response", -1, 0, MW_HTTP_CHUNKED, 200, true, false},
        {"a response to HEAD (§6.3, 1)", 7, 0, MW_HTTP_LENGTH, 200, false, true},
        {"a chunked response to HEAD", -1, 0, MW_HTTP_LENGTH, 200, true, true},
        {"a 101", -1, 0, MW_HTTP_LENGTH, 101, false, false},
        {"a 204 that lies", 7, 0, MW_HTTP_LENGTH, 204, false, false},
        {"a 304 with the length of the page", 7, 0, MW_HTTP_LENGTH, 304, false, false},
        {"a 205 with a length", 0, 0, MW_HTTP_LENGTH, 205, false, false},
    };
    for (size_t i = 0; i < sizeof framings / sizeof framings[0]; i++) {
        static struct mw_http_head head;
        struct mw_http_body body;
        check_test("framing: %s", framings[i].name);
        head.chunked = framings[i].chunked;
        head.content_length = framings[i].length;
        head.status = framings[i].status;
        if (head.status)
            mw_http_body_of_response(&body, &head, framings[i].was_head);
        else
            mw_http_body_of_request(&body, &head);
        EXPECT(body.framing == framings[i].framing && body.remaining == framings[i].remaining);
        EXPECT(body.done == (body.framing == MW_HTTP_LENGTH && !body.remaining));
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        test_chunked(&rows[i]);
    test_bounds();
    test_length();
    test_framing();
    return check_done();
}
