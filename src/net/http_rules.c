/* http_rules.c - see http_rules.h. */
/* SPDX-License-Identifier: MIT */
#include "net/http_rules.h"

#include <string.h>

static bool reject(struct mw_http_error *error, int status, const char *why)
{
    *error = (struct mw_http_error){status, why};
    return false;
}

const struct mw_http_header *mw_http_find(const struct mw_http_head *head, const char *name, size_t *count)
{
    const struct mw_http_header *found = NULL;
    size_t len = strlen(name);
    size_t seen = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct mw_http_header *header = &head->headers[i];
        if (header->name.len != len || memcmp(header->name.at, name, len) != 0)
            continue;
        if (!found)
            found = header;
        seen++;
        if (!count)
            break;
    }
    if (count)
        *count = seen;
    return found;
}

bool mw_http_has_token(const struct mw_http_head *head, const char *name, const char *token)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct mw_http_header *header = &head->headers[i];
        if (header->name.len != len || memcmp(header->name.at, name, len) != 0)
            continue;
        struct mw_span rest = header->value;
        while (rest.at) {
            if (mw_span_is(mw_span_cut(&rest, ','), token))
                return true;
        }
    }
    return false;
}

static bool is_hex(char c)
{
    return mw_http_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* unreserved / pct-encoded / sub-delims, at least one (RFC 3986 §3.2.2); an IPv4 address is such a
 * name too. */
static bool is_registered_name(struct mw_span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        if (c == '%') {
            if (host.len - i < 3 || !is_hex(host.at[i + 1]) || !is_hex(host.at[i + 2]))
                return false;
            i += 2;
        } else if (!(mw_http_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) &&
                   (!c || !strchr("-._~!$&'()*+,;=", c))) {
            return false;
        }
    }
    return host.len > 0;
}

/* The inside of "[...]": the letters of an IPv6 address; whether it is one does not matter to us.
 */
static bool is_address(struct mw_span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        if (!is_hex(c) && c != ':' && c != '.')
            return false;
    }
    return host.len >= 2;
}

static bool is_port(struct mw_span port)
{
    unsigned value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (!mw_http_is_digit(port.at[i]))
            return false;
        value = value * 10 + (unsigned)(port.at[i] - '0');
        if (value > 65535)
            return false;
    }
    return true; /* empty is allowed: port = *DIGIT */
}

bool mw_http_is_host(struct mw_span text)
{
    struct mw_span host = text;
    struct mw_span port = {"", 0};
    bool bracketed = text.len && text.at[0] == '[';
    const char *mark = text.len ? memchr(text.at, bracketed ? ']' : ':', text.len) : NULL;
    if (mark) {
        host.len = (size_t)(mark - text.at);
        port.at = mark + 1;
        port.len = text.len - host.len - 1;
    }
    if (!bracketed)
        return is_registered_name(host) && is_port(port);
    if (!mark)
        return false;
    host.at++;
    host.len--;
    if (port.len) { /* what stands behind the bracket */
        if (port.at[0] != ':')
            return false;
        port.at++;
        port.len--;
    }
    return is_address(host) && is_port(port);
}

static bool check_host(const struct mw_http_head *head, struct mw_http_error *error)
{
    size_t count;
    const struct mw_http_header *host = mw_http_find(head, "host", &count);
    if (!host)
        return head->minor == 0 || reject(error, 400, "Host is missing");
    if (count > 1)
        return reject(error, 400, "Host is repeated");
    return mw_http_is_host(host->value) || reject(error, 400, "Host is not a host with an optional port");
}

static bool derive_length(struct mw_http_head *head, struct mw_http_error *error)
{
    size_t count;
    const struct mw_http_header *header = mw_http_find(head, "content-length", &count);
    head->content_length = -1;
    if (!header)
        return true;
    if (count > 1)
        return reject(error, 400, "Content-Length is repeated");
    struct mw_span value = header->value;
    int64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!mw_http_is_digit(value.at[i]))
            return reject(error, 400, "Content-Length has something other than digits");
        int digit = value.at[i] - '0';
        if (length > (INT64_MAX - digit) / 10)
            return reject(error, 400, "Content-Length is too large");
        length = length * 10 + digit;
    }
    if (!value.len)
        return reject(error, 400, "Content-Length is empty");
    head->content_length = length;
    return true;
}

/* RFC 9112 §6.3: what does not end with chunked has no length that can be known, and is a mistake; other codings before it
 * are just not known here (§6.1). */
static bool check_codings(struct mw_span list, struct mw_http_error *error)
{
    bool is_last = false;
    size_t chunked = 0, others = 0;

    while (list.at) {
        is_last = mw_span_is(mw_span_cut(&list, ','), "chunked");
        if (is_last)
            chunked++;
        else
            others++;
    }
    if (!is_last || chunked > 1)
        return reject(error, 400, "Transfer-Encoding does not end with chunked, or has it twice");
    return !others || reject(error, 501, "Transfer-Encoding has more than chunked");
}

/* Only "chunked", once: whatever else stands there, someone on the way might frame the message
 * differently. */
static bool derive_chunked(struct mw_http_head *head, struct mw_http_error *error)
{
    size_t count;
    const struct mw_http_header *header = mw_http_find(head, "transfer-encoding", &count);
    head->chunked = false;
    if (!header)
        return true;
    if (head->minor == 0)
        return reject(error, 400, "Transfer-Encoding does not exist in HTTP/1.0");
    if (head->content_length >= 0)
        return reject(error, 400, "Transfer-Encoding stands beside Content-Length");
    if (count > 1)
        return reject(error, 400, "Transfer-Encoding is repeated");
    if (!header->value.len)
        return reject(error, 400, "Transfer-Encoding is empty");
    head->chunked = check_codings(header->value, error);
    return head->chunked;
}

static bool derive_expect(struct mw_http_head *head, struct mw_http_error *error)
{
    head->expect_continue = false;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct mw_http_header *header = &head->headers[i];
        if (!mw_span_is(header->name, "expect"))
            continue;
        if (!mw_span_is(header->value, "100-continue"))
            return reject(error, 417, "Expect is not 100-continue");
        head->expect_continue = head->minor > 0 && (head->chunked || head->content_length > 0);
    }
    return true;
}

static void derive_connection(struct mw_http_head *head)
{
    bool close = mw_http_has_token(head, "connection", "close");
    head->keep_alive = !close && (head->minor > 0 || mw_http_has_token(head, "connection", "keep-alive"));
    head->upgrade = head->minor > 0 && mw_http_has_token(head, "upgrade", "websocket") &&
                    mw_http_has_token(head, "connection", "upgrade");
}

bool mw_http_derive_request(struct mw_http_head *head, struct mw_http_error *error)
{
    derive_connection(head);
    return check_host(head, error) && derive_length(head, error) && derive_chunked(head, error) &&
           derive_expect(head, error);
}

bool mw_http_derive_response(struct mw_http_head *head, struct mw_http_error *error)
{
    derive_connection(head);
    head->expect_continue = false;
    return derive_length(head, error) && derive_chunked(head, error);
}
