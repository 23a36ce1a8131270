/* http_request_test.c - net/http_head.h: which requests are taken, which are refused and with which
 * status. */
/* SPDX-License-Identifier: MIT */
#include "feed_head.h"

/* --- refused requests --- */

struct bad_row {
    int status;
    const char *name;
    const char *text;
    size_t len;
};

#define POST "POST / HTTP/1.1\r\n" HOST

static const struct bad_row bad_rows[] = {
    /* request line: RFC 9112 §3 */
    {400, "no method (§3.1)", TEXT(" / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a method with a parenthesis (§3.1, 9110 §5.6.2)", TEXT("GE(T / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a method with a quote", TEXT("\"GET\" / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a method of obs-text", TEXT("G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a method with a NUL", TEXT("G\0T / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a method with a colon", TEXT("GET: / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "two spaces before the target (§3)", TEXT("GET  / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "two spaces behind the target (§3)", TEXT("GET /  HTTP/1.1\r\n" HOST "\r\n")},
    {400, "tabs for spaces (§3)", TEXT("GET\t/\tHTTP/1.1\r\n" HOST "\r\n")},
    {400, "a space behind the version", TEXT("GET / HTTP/1.1 \r\n" HOST "\r\n")},
    {400, "a space in the target (§3.2)", TEXT("GET /a b HTTP/1.1\r\n" HOST "\r\n")},
    {400, "HTTP/0.9 (§2.3)", TEXT("GET /\r\n\r\n")},
    {400, "only a method", TEXT("GET\r\n" HOST "\r\n")},
    {400, "no target", TEXT("GET HTTP/1.1\r\n" HOST "\r\n")},
    {400, "junk for a version", TEXT("GET / HTML/1.1\r\n" HOST "\r\n")},
    {400, "a small http (§2.3: case matters)", TEXT("GET / http/1.1\r\n" HOST "\r\n")},
    {400, "a version without a minor", TEXT("GET / HTTP/1\r\n" HOST "\r\n")},
    {400, "a version of two digits", TEXT("GET / HTTP/1.10\r\n" HOST "\r\n")},
    {400, "a version with a letter", TEXT("GET / HTTP/1.x\r\n" HOST "\r\n")},
    {400, "a version with a comma", TEXT("GET / HTTP/1,1\r\n" HOST "\r\n")},
    {400, "a version with a plus", TEXT("GET / HTTP/+.1\r\n" HOST "\r\n")},
    {505, "HTTP/2.0 (9110 §15.6.6)", TEXT("GET / HTTP/2.0\r\n" HOST "\r\n")},
    {505, "HTTP/1.2", TEXT("GET / HTTP/1.2\r\n" HOST "\r\n")},
    {505, "HTTP/0.9 by name", TEXT("GET / HTTP/0.9\r\n\r\n")},
    {505, "HTTP/3.7", TEXT("GET / HTTP/3.7\r\n" HOST "\r\n")},
    {505, "the preface of HTTP/2 (9113 §3.4)", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {400, "a relative target (§3.2)", TEXT("GET index.html HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a target of an authority (§3.2.3)", TEXT("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a star with GET (§3.2.4)", TEXT("GET * HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a star with a small options (9110 §9.1)", TEXT("options * HTTP/1.1\r\n" HOST "\r\n")},
    {400, "more than a star", TEXT("OPTIONS *a HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a fragment (§3.2.1)", TEXT("GET /a#b HTTP/1.1\r\n" HOST "\r\n")},
    {400, "another scheme", TEXT("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "an http URI without a host (9110 §4.2.1)", TEXT("GET http:///a HTTP/1.1\r\n" HOST "\r\n")},
    {400, "an http URI with a user (9110 §4.2.4)", TEXT("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "an http URI with a port of letters", TEXT("GET http://a:b/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "just a scheme", TEXT("GET http:// HTTP/1.1\r\n" HOST "\r\n")},
    {400, "obs-text in the target (§3.2)", TEXT("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a control character in the target", TEXT("GET /\x01 HTTP/1.1\r\n" HOST "\r\n")},
    {400, "DEL in the target", TEXT("GET /\x7f HTTP/1.1\r\n" HOST "\r\n")},
    {400, "a tab in the target", TEXT("GET /\t HTTP/1.1\r\n" HOST "\r\n")},
    {400, "two empty lines first (§2.2)", TEXT("\r\n\r\n" GET "\r\n")},
    {400, "the start of TLS", TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},

    /* line ends: RFC 9112 §2.2 */
    {400, "bare LF behind the request line", TEXT("GET / HTTP/1.1\n" HOST "\r\n")},
    {400, "bare LF behind a header", TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n")},
    {400, "bare LF for the blank line", TEXT(GET "\n")},
    {400, "bare LF in a value", TEXT(GET "A: b\nC: d\r\n\r\n")},
    {400, "bare LF before the request", TEXT("\n" GET "\r\n")},
    {400, "bare CR in the request line", TEXT("GET /\r HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bare CR in a value", TEXT(GET "A: b\rC: d\r\n\r\n")},
    {400, "CR CR LF", TEXT("GET / HTTP/1.1\r\r\n" HOST "\r\n")},
    {400, "LF CR", TEXT("GET / HTTP/1.1\n\r" HOST "\n\r")},
    {400, "CR and a blank before the request", TEXT("\r " GET "\r\n")},

    /* header lines: RFC 9112 §5, RFC 9110 §5 */
    {400, "a folded line (§5.2)", TEXT(GET "A: b\r\n c\r\n\r\n")},
    {400, "a line folded with a tab (§5.2)", TEXT(GET "A: b\r\n\tc\r\n\r\n")},
    {400, "a blank before the first header (§2.2)", TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
    {400, "a line of blanks", TEXT(GET "  \r\n\r\n")},
    {400, "a blank before the colon (§5.1)", TEXT("GET / HTTP/1.1\r\nHost : a\r\n\r\n")},
    {400, "a tab before the colon (§5.1)", TEXT(GET "Content-Length\t: 5\r\n\r\n")},
    {400, "an empty name (9110 §5.1)", TEXT(GET ": b\r\n\r\n")},
    {400, "only a colon", TEXT(GET ":\r\n\r\n")},
    {400, "no colon (§5)", TEXT(GET "nonsense\r\n\r\n")},
    {400, "a blank in a name", TEXT(GET "A B: c\r\n\r\n")},
    {400, "a slash in a name", TEXT(GET "A/B: c\r\n\r\n")},
    {400, "obs-text in a name", TEXT(GET "A\xc3\xa9: c\r\n\r\n")},
    {400, "a NUL in a name", TEXT(GET "A\0: c\r\n\r\n")},
    {400, "a bracket in a name", TEXT(GET "[A]: c\r\n\r\n")},
    {400, "a NUL in a value (9110 §5.5)", TEXT(GET "A: b\0c\r\n\r\n")},
    {400, "an escape character in a value", TEXT(GET "A: \x1b[0m\r\n\r\n")},
    {400, "a vertical tab around a value",
     TEXT(GET "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n")},
    {400, "a form feed in a value", TEXT(GET "A: b\x0c\r\n\r\n")},
    {400, "DEL in a value", TEXT(GET "A: \x7f\r\n\r\n")},
    {400, "an unfinished line with a control character", TEXT(GET "A: \x02")},

    /* Host: RFC 9112 §3.2 */
    {400, "no Host", TEXT("GET / HTTP/1.1\r\n\r\n")},
    {400, "Host twice", TEXT(GET "Host: a\r\n\r\n")},
    {400, "Host twice in HTTP/1.0", TEXT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n")},
    {400, "an empty Host (9110 §4.2.1)", TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
    {400, "Host of a port alone", TEXT("GET / HTTP/1.1\r\nHost: :80\r\n\r\n")},
    {400, "Host with a path", TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
    {400, "Host with a blank", TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")},
    {400, "Host with a user", TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")},
    {400, "Host with a comma and another (a list)", TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")},
    {400, "Host with a bad port", TEXT("GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n")},
    {400, "Host with a large port", TEXT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n")},
    {400, "Host with two ports", TEXT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n")},
    {400, "Host of an open bracket", TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")},
    {400, "Host with text behind the bracket", TEXT("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n")},
    {400, "Host of empty brackets", TEXT("GET / HTTP/1.1\r\nHost: []\r\n\r\n")},
    {400, "Host of letters in brackets", TEXT("GET / HTTP/1.1\r\nHost: [xyz]\r\n\r\n")},
    {400, "Host with half an escape", TEXT("GET / HTTP/1.1\r\nHost: a%4\r\n\r\n")},
    {400, "Host of obs-text", TEXT("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n")},

    /* framing: RFC 9112 §6, RFC 9110 §8.6 */
    {400, "Content-Length twice (9110 §8.6)", TEXT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n")},
    {400, "Content-Length twice the same", TEXT(POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n")},
    {400, "Content-Length as a list", TEXT(POST "Content-Length: 5, 5\r\n\r\n")},
    {400, "Content-Length empty", TEXT(POST "Content-Length:\r\n\r\n")},
    {400, "Content-Length with a plus", TEXT(POST "Content-Length: +5\r\n\r\n")},
    {400, "Content-Length below zero", TEXT(POST "Content-Length: -1\r\n\r\n")},
    {400, "Content-Length in hex", TEXT(POST "Content-Length: 0x5\r\n\r\n")},
    {400, "Content-Length with a point", TEXT(POST "Content-Length: 5.0\r\n\r\n")},
    {400, "Content-Length with a blank inside", TEXT(POST "Content-Length: 5 5\r\n\r\n")},
    {400, "Content-Length of 2^63", TEXT(POST "Content-Length: 9223372036854775808\r\n\r\n")},
    {400, "Content-Length of 2^64 + 5", TEXT(POST "Content-Length: 18446744073709551621\r\n\r\n")},
    {400, "Content-Length of 40 digits", TEXT(POST "Content-Length: 1000000000000000000000000000000000000000\r\n\r\n")},
    {400, "both framings, CL.TE (§6.1)", TEXT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, "both framings, TE.CL (§6.1)", TEXT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")},
    {400, "chunked in HTTP/1.0 (§6.1)", TEXT("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n")},
    {400, "Transfer-Encoding twice (§6.1)",
     TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, "Transfer-Encoding in two headers",
     TEXT(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, "Transfer-Encoding empty", TEXT(POST "Transfer-Encoding:\r\n\r\n")},
    {501, "gzip, chunked (§6.1)", TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n")},
    {400, "chunked twice in a list", TEXT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n")},
    {400, "identity", TEXT(POST "Transfer-Encoding: identity\r\n\r\n")},
    {400, "chunked, identity", TEXT(POST "Transfer-Encoding: chunked, identity\r\n\r\n")},
    {400, "xchunked", TEXT(POST "Transfer-Encoding: xchunked\r\n\r\n")},
    {400, "chunked with a parameter", TEXT(POST "Transfer-Encoding: chunked;a=b\r\n\r\n")},
    {400, "chunked in quotes", TEXT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n")},
    {400, "chunked with a comma", TEXT(POST "Transfer-Encoding: chunked,\r\n\r\n")},
    {417, "another expectation (9110 §10.1.1)", TEXT(POST "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n")},
    {417, "an empty expectation", TEXT(POST "Expect:\r\n\r\n")},
    {417, "a good and a bad expectation", TEXT(POST "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: x\r\n\r\n")},
};

static void test_bad(const struct bad_row *row)
{
    struct outcome whole;
    check_test("%d: %s", row->status, row->name);
    feed_all_ways(&whole, mw_http_parse_request, row->text, row->len, &limits);
    EXPECT(whole.result == MW_HTTP_INVALID);
    EXPECT(whole.error.status == row->status);
    EXPECT(whole.error.why && whole.error.why[0]);
    free(whole.data);
}

/* --- taken requests --- */

struct good_row {
    const char *name;
    const char *text;
    size_t len;
    const char *method;
    const char *target;
    int minor;
    size_t header_count;
    int64_t content_length;
    const char *flags; /* of k(eep alive) c(hunked) e(xpects 100) u(pgrade) */
};

#define UPGRADE "Upgrade: websocket\r\n"

static const struct good_row good_rows[] = {
    {"the smallest", TEXT(GET "\r\n"), "GET", "/", 1, 1, -1, "k"},
    {"HTTP/1.0 without a Host", TEXT("GET / HTTP/1.0\r\n\r\n"), "GET", "/", 0, 0, -1, ""},
    {"HTTP/1.0 that stays", TEXT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "GET", "/", 0, 1, -1, "k"},
    {"HTTP/1.0 with both", TEXT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "GET", "/", 0, 1, -1, ""},
    {"HTTP/1.1 that goes", TEXT(GET "Connection: close\r\n\r\n"), "GET", "/", 1, 2, -1, ""},
    {"close in a list in another case", TEXT(GET "connection: te , CLOSE\r\n\r\n"), "GET", "/", 1, 2, -1, ""},
    {"close in the second header", TEXT(GET "Connection: te\r\nConnection: close\r\n\r\n"), "GET", "/", 1, 3, -1, ""},
    {"closed is not close", TEXT(GET "Connection: closed\r\n\r\n"), "GET", "/", 1, 2, -1, "k"},
    {"one empty line first (9112 §2.2)", TEXT("\r\n" GET "\r\n"), "GET", "/", 1, 1, -1, "k"},
    {"a method nobody knows", TEXT("BREW /pot HTTP/1.1\r\n" HOST "\r\n"), "BREW", "/pot", 1, 1, -1, "k"},
    {"a method of odd tchars", TEXT("!#$%&'*+-.^_`|~0aZ / HTTP/1.1\r\n" HOST "\r\n"), "!#$%&'*+-.^_`|~0aZ", "/", 1, 1,
     -1, "k"},
    {"OPTIONS *", TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS", "*", 1, 1, -1, "k"},
    {"a whole URI (9112 §3.2.2)", TEXT("GET http://a:80/b?c HTTP/1.1\r\n" HOST "\r\n"), "GET", "http://a:80/b?c", 1, 1,
     -1, "k"},
    {"a whole URI without a path", TEXT("GET HTTPS://a?b HTTP/1.1\r\n" HOST "\r\n"), "GET", "HTTPS://a?b", 1, 1, -1,
     "k"},
    {"a whole URI of a host only", TEXT("GET http://[::1] HTTP/1.1\r\n" HOST "\r\n"), "GET", "http://[::1]", 1, 1, -1,
     "k"},
    {"letters browsers leave bare", TEXT("GET /a?b={\"|\"}<>\\^` HTTP/1.1\r\n" HOST "\r\n"), "GET",
     "/a?b={\"|\"}<>\\^`", 1, 1, -1, "k"},
    {"bytes behind the head", TEXT(GET "\r\nGET /next"), "GET", "/", 1, 1, -1, "k"},
    {"blanks around values", TEXT("GET / HTTP/1.1\r\nHost: \t a \t\r\nA:b\r\nC: \r\nD:\r\n\r\n"), "GET", "/", 1, 4, -1,
     "k"},
    {"obs-text and tabs in values", TEXT(GET "A: \xff\tb\xc3\xa9\r\n\r\n"), "GET", "/", 1, 2, -1, "k"},
    {"Host with a port", TEXT("GET / HTTP/1.1\r\nHost: example.com:65535\r\n\r\n"), "GET", "/", 1, 1, -1, "k"},
    {"Host with an empty port (9110 §7.2)", TEXT("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "GET", "/", 1, 1, -1, "k"},
    {"Host of an address", TEXT("GET / HTTP/1.1\r\nHOST: [2001:db8::ffff:1.2.3.4]:8080\r\n\r\n"), "GET", "/", 1, 1, -1,
     "k"},
    {"Host with an underscore and an escape", TEXT("GET / HTTP/1.1\r\nHost: my_host%2d-1\r\n\r\n"), "GET", "/", 1, 1,
     -1, "k"},
    {"a length", TEXT(POST "Content-Length: 42\r\n\r\n"), "POST", "/", 1, 2, 42, "k"},
    {"a length of nothing", TEXT(POST "Content-Length: 0\r\n\r\n"), "POST", "/", 1, 2, 0, "k"},
    {"a length with zeros before", TEXT(POST "Content-Length: 0007\r\n\r\n"), "POST", "/", 1, 2, 7, "k"},
    {"the largest length", TEXT(POST "Content-Length: 9223372036854775807\r\n\r\n"), "POST", "/", 1, 2, INT64_MAX, "k"},
    {"chunked", TEXT(POST CHUNKED "\r\n"), "POST", "/", 1, 2, -1, "kc"},
    {"Chunked in another case", TEXT(POST "transfer-encoding:CHUNKED\r\n\r\n"), "POST", "/", 1, 2, -1, "kc"},
    {"Expect with a length", TEXT(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"), "POST", "/", 1, 3, 1,
     "ke"},
    {"Expect with chunks", TEXT(POST CHUNKED "Expect: 100-continue\r\n\r\n"), "POST", "/", 1, 3, -1, "kce"},
    {"Expect without a body (9110 §10.1.1)", TEXT(GET "Expect: 100-continue\r\n\r\n"), "GET", "/", 1, 2, -1, "k"},
    {"Expect in HTTP/1.0 (9110 §10.1.1)", TEXT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
     "POST", "/", 0, 2, 1, ""},
    {"an upgrade", TEXT(GET UPGRADE "Connection: Upgrade\r\n\r\n"), "GET", "/", 1, 3, -1, "ku"},
    {"an upgrade as Firefox asks", TEXT(GET "Connection: keep-alive, Upgrade\r\n" UPGRADE "\r\n"), "GET", "/", 1, 3, -1,
     "ku"},
    {"an upgrade in lists and cases", TEXT(GET "connection: x,uPGRADE\r\nUPGRADE: h2c, WebSocket\r\n\r\n"), "GET", "/",
     1, 3, -1, "ku"},
    {"Upgrade without Connection (9110 §7.8)", TEXT(GET UPGRADE "\r\n"), "GET", "/", 1, 2, -1, "k"},
    {"Connection without Upgrade", TEXT(GET "Connection: upgrade\r\n\r\n"), "GET", "/", 1, 2, -1, "k"},
    {"an upgrade to something else", TEXT(GET "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"), "GET", "/", 1, 3, -1,
     "k"},
    {"an upgrade in HTTP/1.0 (9110 §7.8)", TEXT("GET / HTTP/1.0\r\n" UPGRADE "Connection: upgrade\r\n\r\n"), "GET", "/",
     0, 2, -1, ""},
};

static void test_good(const struct good_row *row)
{
    struct outcome whole;
    const char *end = strstr(row->text + 2, "\r\n\r\n");
    check_test("taken: %s", row->name);
    feed_all_ways(&whole, mw_http_parse_request, row->text, row->len, &limits);
    if (EXPECT(whole.result == MW_HTTP_OK)) {
        const struct mw_http_head *head = &whole.head;
        EXPECT(whole.head_len == (size_t)(end - row->text) + 4);
        EXPECT(head->method.len == strlen(row->method) && !memcmp(head->method.at, row->method, head->method.len));
        EXPECT(head->target.len == strlen(row->target) && !memcmp(head->target.at, row->target, head->target.len));
        EXPECT(head->minor == row->minor);
        EXPECT(head->header_count == row->header_count);
        EXPECT(head->content_length == row->content_length);
        EXPECT(head->keep_alive == (strchr(row->flags, 'k') != NULL));
        EXPECT(head->chunked == (strchr(row->flags, 'c') != NULL));
        EXPECT(head->expect_continue == (strchr(row->flags, 'e') != NULL));
        EXPECT(head->upgrade == (strchr(row->flags, 'u') != NULL));
    } else {
        fprintf(stderr, "%d %s\n", whole.error.status, whole.error.why);
    }
    free(whole.data);

    check_test("every part of it is just a part: %s", row->name);
    for (size_t len = 0; len < (size_t)(end - row->text) + 4; len++) {
        feed(&whole, mw_http_parse_request, row->text, len, SIZE_MAX, &limits);
        EXPECT(whole.result == MW_HTTP_PARTIAL);
        free(whole.data);
    }
}

/* --- noise --- */

/* Good heads with a few bytes changed: no crash, and the same judgement in pieces. */
static void test_mutations(void)
{
    static const char bytes[] = "\0\r\n\t :,/*a1A\x7f\x80\xff";
    uint64_t seed = 11;
    check_test("20,000 heads with changed bytes are judged the same in pieces");
    for (int i = 0; i < 20000; i++) {
        const struct good_row *row = &good_rows[check_random(&seed) % (sizeof good_rows / sizeof good_rows[0])];
        char *text = check_copy(row->text, row->len);
        struct outcome whole;
        struct outcome pieces;
        for (uint32_t changes = 1 + check_random(&seed) % 3; changes; changes--)
            text[check_random(&seed) % row->len] = bytes[check_random(&seed) % (sizeof bytes - 1)];
        feed(&whole, mw_http_parse_request, text, row->len, SIZE_MAX, &limits);
        feed(&pieces, mw_http_parse_request, text, row->len, 1 + check_random(&seed) % 5, &limits);
        EXPECT(whole.result == pieces.result && whole.error.status == pieces.error.status);
        if (whole.result == MW_HTTP_OK && pieces.result == MW_HTTP_OK)
            EXPECT(same_head(&whole.head, &pieces.head));
        free(whole.data);
        free(pieces.data);
        free(text);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++)
        test_bad(&bad_rows[i]);
    for (size_t i = 0; i < sizeof good_rows / sizeof good_rows[0]; i++)
        test_good(&good_rows[i]);
    test_mutations();
    return check_done();
}
