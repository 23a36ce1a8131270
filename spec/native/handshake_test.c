/* handshake_test.c - net/handshake.h against RFC 6455 §4. */
/* SPDX-License-Identifier: MIT */
#include "net/handshake.h"

#include "check.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* §1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define GET "GET /chat HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEYED "Sec-WebSocket-Key: " KEY "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

/* Parses a head that must be good; the spans point into `data`, which the caller frees. */
static char *parse(struct mw_http_head *head, const char *text, bool request)
{
    static const struct mw_http_limits limits = {.head_bytes = 16384, .header_count = 100};
    size_t len = strlen(text);
    size_t scanned = 0;
    size_t head_len = 0;
    struct mw_http_error error = {0, ""};
    char *data = check_copy(text, len);
    enum mw_http_result result = (request ? mw_http_parse_request : mw_http_parse_response)(
        head, data, len, &limits, &scanned, &head_len, &error);
    if (!EXPECT(result == MW_HTTP_OK))
        fprintf(stderr, "%d %s\n", error.status, error.why);
    return data;
}

struct row {
    const char *name;
    const char *text;
    int status; /* 0: fine */
};

static const struct row requests[] = {
    {"the example of §1.2", GET UPGRADE KEYED VERSION "\r\n", 0},
    {"with what browsers add",
     GET UPGRADE KEYED VERSION "Origin: http://a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 0},
    {"with a length of nothing", GET UPGRADE KEYED VERSION "Content-Length: 0\r\n\r\n", 0},
    {"a key of plus and slash", GET UPGRADE VERSION "Sec-WebSocket-Key: +/+/+/+/+/+/+/+/+/+/+w==\r\n\r\n", 0},
    {"POST (§4.1)", "POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEYED VERSION "\r\n", 405},
    {"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEYED VERSION "\r\n", 405},
    {"a small get", "get / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEYED VERSION "\r\n", 405},
    {"HTTP/1.0 (§4.2.1)", "GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE KEYED VERSION "\r\n", 400},
    {"no Upgrade", GET "Connection: upgrade\r\n" KEYED VERSION "\r\n", 426},
    {"no Connection", GET "Upgrade: websocket\r\n" KEYED VERSION "\r\n", 426},
    {"an upgrade to something else", GET "Upgrade: h2c\r\nConnection: upgrade\r\n" KEYED VERSION "\r\n", 426},
    {"a body by length (9110 §7.8)", GET UPGRADE KEYED VERSION "Content-Length: 5\r\n\r\n", 400},
    {"a chunked body", GET UPGRADE KEYED VERSION "Transfer-Encoding: chunked\r\n\r\n", 400},
    {"no version (§4.4)", GET UPGRADE KEYED "\r\n", 426},
    {"version 8", GET UPGRADE KEYED "Sec-WebSocket-Version: 8\r\n\r\n", 426},
    {"version 013", GET UPGRADE KEYED "Sec-WebSocket-Version: 013\r\n\r\n", 426},
    {"versions 13, 8", GET UPGRADE KEYED "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426},
    {"an empty version", GET UPGRADE KEYED "Sec-WebSocket-Version:\r\n\r\n", 426},
    {"the version twice (§11.3.5)", GET UPGRADE KEYED VERSION VERSION "\r\n", 400},
    {"no key", GET UPGRADE VERSION "\r\n", 400},
    {"an empty key", GET UPGRADE VERSION "Sec-WebSocket-Key:\r\n\r\n", 400},
    {"the key twice (§11.3.1)", GET UPGRADE VERSION KEYED KEYED "\r\n", 400},
    {"a key of 15 bytes", GET UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n\r\n", 400},
    {"a key of 17 bytes", GET UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", 400},
    {"a key of 18 bytes", GET UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n", 400},
    {"a key without its padding", GET UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n", 400},
    {"a key with a character base64 lacks", GET UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==\r\n\r\n",
     400},
    {"a key with padding inside", GET UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j=Q==\r\n\r\n", 400},
    {"a key and a comma", GET UPGRADE VERSION "Sec-WebSocket-Key: " KEY ",\r\n\r\n", 400},
};

static void test_request(const struct row *row)
{
    static struct mw_http_head head;
    const char *why = NULL;
    check_test("%d: %s", row->status ? row->status : 101, row->name);
    char *data = parse(&head, row->text, true);
    EXPECT(mw_handshake_check(&head, &why) == row->status);
    EXPECT((why != NULL) == (row->status != 0));
    free(data);
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPTED "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define CHOSEN "Sec-WebSocket-Protocol: "

struct answer {
    const char *name;
    const char *text;
    const char *offered;
    const char *protocol; /* NULL: refused */
};

static const struct answer answers[] = {
    {"the example of §1.2", SWITCHING UPGRADE ACCEPTED CHOSEN "chat\r\n\r\n", "chat, superchat", "chat"},
    {"the second one offered", SWITCHING UPGRADE ACCEPTED CHOSEN "superchat\r\n\r\n", "chat, superchat", "superchat"},
    {"no subprotocol asked for", SWITCHING UPGRADE ACCEPTED "\r\n", NULL, ""},
    {"no subprotocol chosen", SWITCHING UPGRADE ACCEPTED "\r\n", "chat", ""},
    {"another case of the headers", SWITCHING "UPGRADE: WebSocket\r\nconnection: UPGRADE\r\n" ACCEPTED "\r\n", NULL,
     ""},
    {"no reason", "HTTP/1.1 101\r\n" UPGRADE ACCEPTED "\r\n", NULL, ""},
    {"status 200", "HTTP/1.1 200 OK\r\n" UPGRADE ACCEPTED "\r\n", NULL, NULL},
    {"status 100", "HTTP/1.1 100 Continue\r\n" UPGRADE ACCEPTED "\r\n", NULL, NULL},
    {"HTTP/1.0", "HTTP/1.0 101 Switching\r\n" UPGRADE ACCEPTED "\r\n", NULL, NULL},
    {"no Upgrade", SWITCHING "Connection: Upgrade\r\n" ACCEPTED "\r\n", NULL, NULL},
    {"no Connection", SWITCHING "Upgrade: websocket\r\n" ACCEPTED "\r\n", NULL, NULL},
    {"another Upgrade", SWITCHING "Connection: Upgrade\r\nUpgrade: h2c\r\n" ACCEPTED "\r\n", NULL, NULL},
    {"no Accept", SWITCHING UPGRADE "\r\n", NULL, NULL},
    {"an empty Accept", SWITCHING UPGRADE "Sec-WebSocket-Accept:\r\n\r\n", NULL, NULL},
    {"the Accept of another key", SWITCHING UPGRADE "Sec-WebSocket-Accept: t3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", NULL,
     NULL},
    {"the Accept in another case", SWITCHING UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", NULL,
     NULL},
    {"the Accept cut short", SWITCHING UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n", NULL, NULL},
    {"the key for an Accept", SWITCHING UPGRADE "Sec-WebSocket-Accept: " KEY "\r\n\r\n", NULL, NULL},
    {"the Accept twice", SWITCHING UPGRADE ACCEPTED ACCEPTED "\r\n", NULL, NULL},
    {"a subprotocol without asking", SWITCHING UPGRADE ACCEPTED CHOSEN "chat\r\n\r\n", NULL, NULL},
    {"a subprotocol not offered", SWITCHING UPGRADE ACCEPTED CHOSEN "cha\r\n\r\n", "chat, superchat", NULL},
    {"a subprotocol in another case", SWITCHING UPGRADE ACCEPTED CHOSEN "Chat\r\n\r\n", "chat", NULL},
    {"two subprotocols", SWITCHING UPGRADE ACCEPTED CHOSEN "chat, superchat\r\n\r\n", "chat, superchat", NULL},
    {"two headers", SWITCHING UPGRADE ACCEPTED CHOSEN "chat\r\n" CHOSEN "chat\r\n\r\n", "chat", NULL},
    {"an empty subprotocol", SWITCHING UPGRADE ACCEPTED CHOSEN "\r\n\r\n", "chat,,", NULL},
};

static void test_answer(const struct answer *answer)
{
    static struct mw_http_head head;
    struct mw_span protocol;
    const char *why = NULL;
    check_test("an answer, %s: %s", answer->protocol ? "taken" : "refused", answer->name);
    char *data = parse(&head, answer->text, false);
    int result = mw_handshake_confirm(&head, KEY, answer->offered, &protocol, &why);
    EXPECT(result == (answer->protocol ? 0 : -1));
    EXPECT((why != NULL) == (answer->protocol == NULL));
    if (answer->protocol)
        EXPECT(protocol.len == strlen(answer->protocol) && !memcmp(protocol.at, answer->protocol, protocol.len));
    free(data);
}

static const struct {
    const char *name;
    const char *headers;
    const char *walk; /* what is found, separated by '|'; a '!' at the end: malformed there */
} walks[] = {
    {"none", "", ""},
    {"one", CHOSEN "chat\r\n", "chat"},
    {"two", CHOSEN "chat, superchat\r\n", "chat|superchat"},
    {"two headers", CHOSEN "a,b\r\nX: y\r\nsec-websocket-protocol: c\r\n", "a|b|c"},
    {"empty elements (9110 §5.6.1)", CHOSEN ", a,, ,b,\r\n" CHOSEN "\r\n" CHOSEN ",\r\n" CHOSEN "c\r\n", "a|b|c"},
    {"odd tokens", CHOSEN "v1.json+x, ~!#$%&'*^_`|\r\n", "v1.json+x|~!#$%&'*^_`|"},
    {"a blank inside", CHOSEN "a, b c, d\r\n", "a|!"},
    {"a slash", CHOSEN "a/b\r\n", "!"},
    {"quotes", CHOSEN "\"a\"\r\n", "!"},
    {"obs-text", CHOSEN "a, \xc3\xa9\r\n", "a|!"},
    {"malformed in the second header", CHOSEN "a\r\n" CHOSEN "b;c\r\n", "a|!"},
};

static void test_walks(void)
{
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        static struct mw_http_head head;
        struct mw_span protocol;
        char text[512];
        char found[512] = "";
        size_t cursor = 0;
        bool malformed;
        check_test("subprotocols: %s", walks[i].name);
        snprintf(text, sizeof text, GET "%s\r\n", walks[i].headers);
        char *data = parse(&head, text, true);
        while (mw_handshake_next_protocol(&head, &cursor, &protocol, &malformed)) {
            if (found[0])
                check_append(found, sizeof found, "|");
            strncat(found, protocol.at, protocol.len);
        }
        if (malformed)
            check_append(found, sizeof found, found[0] ? "|!" : "!");
        if (!EXPECT(strcmp(found, walks[i].walk) == 0))
            fprintf(stderr, "found %s\n", found);
        free(data);
    }
    check_test("subprotocols: a token of 4 KiB (a session in a subprotocol)");
    static struct mw_http_head head;
    static char text[5000];
    struct mw_span protocol;
    size_t cursor = 0;
    bool malformed;
    check_append(text, sizeof text, GET CHOSEN "v1, ");
    memset(text + strlen(text), 'x', 4096);
    check_append(text, sizeof text, "\r\n\r\n");
    char *data = parse(&head, text, true);
    EXPECT(mw_handshake_next_protocol(&head, &cursor, &protocol, &malformed) && protocol.len == 2);
    EXPECT(mw_handshake_next_protocol(&head, &cursor, &protocol, &malformed) && protocol.len == 4096);
    EXPECT(!mw_handshake_next_protocol(&head, &cursor, &protocol, &malformed) && !malformed);
    EXPECT(!mw_handshake_next_protocol(&head, &cursor, &protocol, &malformed));
    free(data);
}

static void test_keys(void)
{
    char accept[MW_WS_ACCEPT_LEN + 1];
    char key[MW_WS_KEY_LEN + 1];
    char other[MW_WS_KEY_LEN + 1];
    check_test("the Accept of the example key (§1.3)");
    EXPECT(mw_handshake_accept(KEY, MW_WS_KEY_LEN, accept) && strcmp(accept, ACCEPT) == 0);
    EXPECT(!mw_handshake_accept(KEY, MW_WS_KEY_LEN - 1, accept) && !accept[0]);
    check_test("keys are fresh, and good enough for our own check");
    EXPECT(mw_handshake_key(key) && mw_handshake_key(other));
    EXPECT(strlen(key) == MW_WS_KEY_LEN && strcmp(key, other) != 0);
    static struct mw_http_head head;
    char text[512];
    const char *why = NULL;
    snprintf(text, sizeof text, GET UPGRADE VERSION "Sec-WebSocket-Key: %s\r\n\r\n", key);
    char *data = parse(&head, text, true);
    EXPECT(mw_handshake_check(&head, &why) == 0);
    free(data);
}

int main(void)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        test_request(&requests[i]);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        test_answer(&answers[i]);
    test_walks();
    test_keys();
    return check_done();
}
