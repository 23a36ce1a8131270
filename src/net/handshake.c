/* handshake.c - see handshake.h. */
/* SPDX-License-Identifier: MIT */
#include "net/handshake.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 §1.3 */

enum { GUID_LEN = sizeof GUID - 1, NONCE_LEN = 16, SHA1_LEN = 20 };

static bool is_base64_char(char c)
{
    return mw_http_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
}

/* Sixteen bytes are 22 letters and "==". The unused bits of the last letter are left unchecked (RFC
 * 4648 §3.5 allows both), since nothing here ever decodes the key. */
static bool is_key(struct mw_span value)
{
    if (value.len != MW_WS_KEY_LEN || memcmp(value.at + MW_WS_KEY_LEN - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < MW_WS_KEY_LEN - 2; i++) {
        if (!is_base64_char(value.at[i]))
            return false;
    }
    return true;
}

static int refuse(int status, const char *sentence, const char **why)
{
    *why = sentence;
    return status;
}

int mw_handshake_check(const struct mw_http_head *head, const char **why)
{
    if (head->method.len != 3 || memcmp(head->method.at, "GET", 3) != 0)
        return refuse(405, "a WebSocket is opened with GET", why);
    if (head->minor < 1)
        return refuse(400, "a WebSocket is opened with HTTP/1.1", why);
    if (!head->upgrade)
        return refuse(426, "the request does not ask for a WebSocket", why);
    if (head->chunked || head->content_length > 0)
        return refuse(400, "a request for a WebSocket has no body", why);

    size_t count;
    const struct mw_http_header *version = mw_http_find(head, "sec-websocket-version", &count);
    if (count > 1)
        return refuse(400, "Sec-WebSocket-Version is repeated", why);
    if (!version || !mw_span_is(version->value, "13"))
        return refuse(426, "Sec-WebSocket-Version is not 13", why);

    const struct mw_http_header *key = mw_http_find(head, "sec-websocket-key", &count);
    if (count > 1)
        return refuse(400, "Sec-WebSocket-Key is repeated", why);
    if (!key || !is_key(key->value))
        return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64", why);
    return 0;
}

/* Looking an algorithm up costs OpenSSL 3 more than hashing these 60 bytes: both are kept for the life of the process. */
static bool sha1(const unsigned char *input, size_t len, unsigned char digest[EVP_MAX_MD_SIZE])
{
    static EVP_MD *algorithm;
    static EVP_MD_CTX *context;

    if (!algorithm)
        algorithm = EVP_MD_fetch(NULL, "SHA1", NULL);
    if (!context)
        context = EVP_MD_CTX_new();
    return algorithm && context && EVP_DigestInit_ex(context, algorithm, NULL) &&
           EVP_DigestUpdate(context, input, len) && EVP_DigestFinal_ex(context, digest, NULL);
}

bool mw_handshake_accept(const char *key, size_t len, char accept[MW_WS_ACCEPT_LEN + 1])
{
    unsigned char input[MW_WS_KEY_LEN + GUID_LEN];
    unsigned char digest[EVP_MAX_MD_SIZE];
    accept[0] = '\0';
    if (len != MW_WS_KEY_LEN)
        return false;
    memcpy(input, key, MW_WS_KEY_LEN);
    memcpy(input + MW_WS_KEY_LEN, GUID, GUID_LEN);
    if (!sha1(input, sizeof input, digest))
        return false;
    EVP_EncodeBlock((unsigned char *)accept, digest, SHA1_LEN);
    return true;
}

bool mw_handshake_key(char key[MW_WS_KEY_LEN + 1])
{
    unsigned char nonce[NONCE_LEN];
    key[0] = '\0';
    if (RAND_bytes(nonce, sizeof nonce) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    return true;
}

/* The cursor counts bytes of all values of the header in order, one more at the end of each. */
bool mw_handshake_next_protocol(const struct mw_http_head *head, size_t *cursor, struct mw_span *protocol,
                                bool *malformed)
{
    size_t before = 0;
    *malformed = false;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!mw_span_is(head->headers[i].name, "sec-websocket-protocol"))
            continue;
        struct mw_span value = head->headers[i].value;
        size_t end = before + value.len + 1;
        while (*cursor < end) {
            size_t skip = *cursor - before;
            struct mw_span rest = {value.at + skip, value.len - skip};
            *protocol = mw_span_cut(&rest, ',');
            *cursor = rest.at ? end - 1 - rest.len : end;
            if (!protocol->len)
                continue;
            *malformed = !mw_http_is_token(*protocol);
            return !*malformed;
        }
        before = end;
    }
    return false;
}

static bool was_offered(struct mw_span protocol, const char *offered)
{
    struct mw_span rest = {offered, offered ? strlen(offered) : 0};
    while (rest.at) {
        struct mw_span one = mw_span_cut(&rest, ',');
        if (one.len == protocol.len && memcmp(one.at, protocol.at, one.len) == 0)
            return protocol.len > 0;
    }
    return false;
}

int mw_handshake_confirm(const struct mw_http_head *head, const char *key, const char *offered,
                         struct mw_span *protocol, const char **why)
{
    *protocol = (struct mw_span){"", 0};
    if (head->status != 101)
        return refuse(-1, "the server did not switch protocols", why);
    if (!head->upgrade)
        return refuse(-1, "the server's answer does not name the upgrade to a WebSocket", why);

    char expected[MW_WS_ACCEPT_LEN + 1];
    size_t count;
    const struct mw_http_header *accept = mw_http_find(head, "sec-websocket-accept", &count);
    if (!mw_handshake_accept(key, strlen(key), expected))
        return refuse(-1, "not enough memory to check the answer to our key", why);
    if (count != 1 || accept->value.len != MW_WS_ACCEPT_LEN ||
        memcmp(accept->value.at, expected, MW_WS_ACCEPT_LEN) != 0)
        return refuse(-1, "Sec-WebSocket-Accept does not answer our key", why);

    const struct mw_http_header *chosen = mw_http_find(head, "sec-websocket-protocol", &count);
    if (!chosen)
        return 0;
    if (count > 1)
        return refuse(-1, "the server chose more than one subprotocol", why);
    if (!was_offered(chosen->value, offered))
        return refuse(-1, "the server chose a subprotocol that was not offered", why);
    *protocol = chosen->value;
    return 0;
}
