/* http_response_test.c - net/http_head.h: which responses are taken and which are refused. */
/* SPDX-License-Identifier: MIT */
#include "feed_head.h"

struct response_row {
    const char *name;
    const char *text;
    size_t len;
    int status; /* 0: refused */
    const char *reason;
    int64_t content_length;
    const char *flags;
};

static const struct response_row response_rows[] = {
    {"a plain answer", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), 200, "OK", 3, "k"},
    {"a reason of several words", TEXT("HTTP/1.1 404 Not Found\r\n\r\n"), 404, "Not Found", -1, "k"},
    {"an empty reason (9112 §4)", TEXT("HTTP/1.1 200 \r\n\r\n"), 200, "", -1, "k"},
    {"no reason and no space", TEXT("HTTP/1.1 200\r\n\r\n"), 200, "", -1, "k"},
    {"obs-text and a tab in the reason", TEXT("HTTP/1.1 200 d\xe9j\xe0\tvu\r\n\r\n"), 200, "d\xe9j\xe0\tvu", -1, "k"},
    {"HTTP/1.0", TEXT("HTTP/1.0 200 OK\r\n\r\n"), 200, "OK", -1, ""},
    {"a status nobody knows", TEXT("HTTP/1.1 799 ?\r\n\r\n"), 799, "?", -1, "k"},
    {"chunked", TEXT("HTTP/1.1 200 OK\r\n" CHUNKED "\r\n"), 200, "OK", -1, "kc"},
    {"an upgrade", TEXT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"), 101,
     "Switching Protocols", -1, "ku"},
    {"Expect means nothing here", TEXT("HTTP/1.1 200 OK\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"), 200, "OK", 1, "k"},
    {"two Hosts mean nothing here", TEXT("HTTP/1.1 200 OK\r\nHost: /\r\nHost: /\r\n\r\n"), 200, "OK", -1, "k"},
    {"a status of two digits", TEXT("HTTP/1.1 20 OK\r\n\r\n"), 0, "", 0, ""},
    {"a status of four digits", TEXT("HTTP/1.1 2000 OK\r\n\r\n"), 0, "", 0, ""},
    {"a status of letters", TEXT("HTTP/1.1 abc OK\r\n\r\n"), 0, "", 0, ""},
    {"a status below 100", TEXT("HTTP/1.1 099 OK\r\n\r\n"), 0, "", 0, ""},
    {"no status", TEXT("HTTP/1.1\r\n\r\n"), 0, "", 0, ""},
    {"two spaces before the status", TEXT("HTTP/1.1  200 OK\r\n\r\n"), 0, "", 0, ""},
    {"HTTP/2.0", TEXT("HTTP/2.0 200 OK\r\n\r\n"), 0, "", 0, ""},
    {"something else", TEXT("ICY 200 OK\r\n\r\n"), 0, "", 0, ""},
    {"an empty line first", TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), 0, "", 0, ""},
    {"SSH", TEXT("SSH-2.0-OpenSSH_9.2\r\n"), 0, "", 0, ""},
    {"bare LF", TEXT("HTTP/1.1 200 OK\nA: b\n\n"), 0, "", 0, ""},
    {"a folded line", TEXT("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), 0, "", 0, ""},
    {"a blank before a colon", TEXT("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), 0, "", 0, ""},
    {"two lengths", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 0, "", 0, ""},
    {"both framings", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" CHUNKED "\r\n"), 0, "", 0, ""},
    {"an unknown coding", TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 0, "", 0, ""},
    {"chunked in HTTP/1.0", TEXT("HTTP/1.0 200 OK\r\n" CHUNKED "\r\n"), 0, "", 0, ""},
    {"a NUL in the reason", TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), 0, "", 0, ""},
};

static void test_response(const struct response_row *row)
{
    struct outcome whole;
    check_test("a response, %s: %s", row->status ? "taken" : "refused", row->name);
    feed_all_ways(&whole, mw_http_parse_response, row->text, row->len, &limits);
    EXPECT(whole.result == (row->status ? MW_HTTP_OK : MW_HTTP_INVALID));
    if (row->status && whole.result == MW_HTTP_OK) {
        const struct mw_http_head *head = &whole.head;
        EXPECT(head->status == row->status);
        EXPECT(head->reason.len == strlen(row->reason) && !memcmp(head->reason.at, row->reason, head->reason.len));
        EXPECT(head->content_length == row->content_length);
        EXPECT(head->keep_alive == (strchr(row->flags, 'k') != NULL));
        EXPECT(head->chunked == (strchr(row->flags, 'c') != NULL));
        EXPECT(head->upgrade == (strchr(row->flags, 'u') != NULL));
        EXPECT(!head->expect_continue);
    }
    free(whole.data);
}

int main(void)
{
    for (size_t i = 0; i < sizeof response_rows / sizeof response_rows[0]; i++)
        test_response(&response_rows[i]);
    return check_done();
}
