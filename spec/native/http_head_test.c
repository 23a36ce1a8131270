/* http_head_test.c - net/http_head.h: finding headers, the limits, and what a slow sender costs.
 * The messages themselves are in http_request_test.c and http_response_test.c. */
/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "feed_head.h"

static void test_lookup(void)
{
    static const char text[] =
        GET "Accept: a\r\nX-List: one, Two ,,three\r\naccept: b\r\nX-List:\r\nX-LIST: four\r\n\r\n";
    struct outcome outcome;
    size_t count = 9;
    check_test("finding headers and tokens");
    feed(&outcome, mw_http_parse_request, text, sizeof text - 1, SIZE_MAX, &limits);
    const struct mw_http_header *accept = mw_http_find(&outcome.head, "accept", &count);
    EXPECT(accept && count == 2 && accept->value.len == 1 && accept->value.at[0] == 'a');
    EXPECT(accept && memcmp(accept->name.at, "accept", 6) == 0);
    EXPECT(mw_http_find(&outcome.head, "host", NULL) != NULL);
    EXPECT(!mw_http_find(&outcome.head, "hos", &count) && count == 0);
    EXPECT(!mw_http_find(&outcome.head, "hosts", NULL));
    EXPECT(mw_http_has_token(&outcome.head, "x-list", "one"));
    EXPECT(mw_http_has_token(&outcome.head, "x-list", "TWO"));
    EXPECT(mw_http_has_token(&outcome.head, "x-list", "three"));
    EXPECT(mw_http_has_token(&outcome.head, "x-list", "four"));
    EXPECT(!mw_http_has_token(&outcome.head, "x-list", "thre"));
    EXPECT(!mw_http_has_token(&outcome.head, "x-list", "fours"));
    EXPECT(!mw_http_has_token(&outcome.head, "y-list", "one"));
    free(outcome.data);
}

/* --- limits --- */

/* `before`, then `fill` times 'a', then `after`, judged under `with`; 0 for MW_HTTP_OK, -1 for
 * MW_HTTP_PARTIAL. */
static int status_of_long(const char *before, size_t fill, const char *after, const struct mw_http_limits *with)
{
    size_t len = strlen(before) + fill + strlen(after);
    char *text = malloc(len + 1);
    struct outcome whole;
    struct outcome pieces;
    if (!text)
        abort();
    memset(text, 'a', len);
    memcpy(text, before, strlen(before));
    memcpy(text + strlen(before) + fill, after, strlen(after));
    feed(&whole, mw_http_parse_request, text, len, SIZE_MAX, with);
    feed(&pieces, mw_http_parse_request, text, len, 1, with);
    EXPECT(pieces.result == whole.result && pieces.error.status == whole.error.status);
    int status = whole.result == MW_HTTP_OK ? 0 : whole.result == MW_HTTP_PARTIAL ? -1 : whole.error.status;
    free(pieces.data);
    free(whole.data);
    free(text);
    return status;
}

static void test_limits(void)
{
    static const char rest[] = " HTTP/1.1\r\n" HOST "\r\n";
    const size_t line = MW_HTTP_REQUEST_LINE - strlen("GET / HTTP/1.1");

    check_test("a request line of 8 KiB is taken, one byte more is 414 (9112 §3)");
    EXPECT(status_of_long("GET /", line, rest, &limits) == 0);
    EXPECT(status_of_long("GET /", line + 1, rest, &limits) == 414);
    EXPECT(status_of_long("\r\nGET /", line, rest, &limits) == 0);
    EXPECT(status_of_long("\r\nGET /", line + 1, rest, &limits) == 414);
    check_test("414 comes before the line ends and before what is wrong behind");
    EXPECT(status_of_long("GET /", MW_HTTP_REQUEST_LINE - 5, "", &limits) == -1);
    EXPECT(status_of_long("GET /", MW_HTTP_REQUEST_LINE - 4, "", &limits) == 414);
    EXPECT(status_of_long("GET /", MW_HTTP_REQUEST_LINE - 4, "\n", &limits) == 414);
    EXPECT(status_of_long("GET /", MW_HTTP_REQUEST_LINE - 5, "\n", &limits) == 400);
    EXPECT(status_of_long("", MW_HTTP_REQUEST_LINE + 1, "", &limits) == 414);
    check_test("a long header is no long request line");
    EXPECT(status_of_long(GET "A: ", 9000, "\r\n\r\n", &limits) == 0);

    static const char start[] = GET "A: ";
    const size_t room = limits.head_bytes - (sizeof start - 1) - 4;
    check_test("a head as large as the limit is taken, one byte more is 431 (RFC 6585 §5)");
    EXPECT(status_of_long(start, room, "\r\n\r\n", &limits) == 0);
    EXPECT(status_of_long(start, room, "\r\n\r\nmore", &limits) == 0);
    EXPECT(status_of_long(start, room + 1, "\r\n\r\n", &limits) == 431);
    EXPECT(status_of_long(start, room + 2, "\r\n\r\n", &limits) == 431);
    EXPECT(status_of_long(start, room + 3, "\r\n\r\n", &limits) == 431);
    EXPECT(status_of_long(start, room + 4, "\r\n\r\n", &limits) == 431);
    EXPECT(status_of_long(start, room + 4, "", &limits) == 431);
    EXPECT(status_of_long(start, room + 3, "", &limits) == -1);
    EXPECT(status_of_long(start, 40000, "\r\n\r\n", &limits) == 431);
    check_test("a small limit falls before the one of the request line");
    static const struct mw_http_limits small = {.head_bytes = 256, .header_count = 100};
    EXPECT(status_of_long("GET /", 1000, rest, &small) == 431);
}

static void test_header_count(size_t count, size_t limit, int status)
{
    struct mw_http_limits with = {.head_bytes = 65536, .header_count = limit};
    char text[16384] = "GET / HTTP/1.0\r\n";
    struct outcome whole;
    check_test("%zu headers where %zu are allowed", count, limit);
    for (size_t i = 0; i < count; i++)
        check_append(text, sizeof text, "X-Name: value\r\n");
    check_append(text, sizeof text, "\r\n");
    feed_all_ways(&whole, mw_http_parse_request, text, strlen(text), &with);
    EXPECT(whole.result == (status ? MW_HTTP_INVALID : MW_HTTP_OK));
    EXPECT(whole.error.status == status);
    if (!status)
        EXPECT(whole.head.header_count == count);
    free(whole.data);
}

/* Half a megabyte in one line, one byte at a time: seconds if each byte cost a look at those
 * before. */
static void test_slow_sender(void)
{
    enum { LEN = 1 << 19 };
    static const struct mw_http_limits wide = {.head_bytes = LEN + 64, .header_count = 100};
    static const char start[] = GET "A: ";
    char *text = malloc(LEN);
    struct mw_http_head head;
    struct mw_http_error error;
    size_t scanned = 0;
    size_t head_len;
    bool partial = true;
    if (!text)
        abort();
    check_test("a head sent one byte at a time costs what it costs in one piece");
    memset(text, 'a', LEN);
    memcpy(text, start, sizeof start - 1);
    clock_t begin = clock();
    for (size_t len = 1; len <= LEN; len++)
        partial =
            mw_http_parse_request(&head, text, len, &wide, &scanned, &head_len, &error) == MW_HTTP_PARTIAL && partial;
    EXPECT(partial);
    EXPECT((double)(clock() - begin) / CLOCKS_PER_SEC < 1.0);
    free(text);
}

int main(void)
{
    test_lookup();
    test_limits();
    test_header_count(100, 100, 0);
    test_header_count(101, 100, 431);
    test_header_count(256, 1000, 0);
    test_header_count(257, 1000, 431);
    test_header_count(600, 1000, 431);
    test_slow_sender();
    return check_done();
}
