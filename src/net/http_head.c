/* http_head.c - see http_head.h. A head is walked once, line by line; each byte of a line is looked
 * at when it arrives, each line is parsed when it ends. A head that came in pieces is walked a
 * second time when it is complete, because the bytes may have moved under the spans of the first
 * walk. */
/* SPDX-License-Identifier: MIT */
#include "net/http_head.h"

#include <string.h>

#include "net/http_rules.h"

struct walk {
    struct mw_http_head *head;
    struct mw_http_error *error;
    char *data;
    size_t at;    /* everything before has been looked at */
    size_t bound; /* nothing from here on is looked at */
    size_t line_bytes;
    bool is_request;
};

static bool reject(struct mw_http_error *error, int status, const char *why)
{
    *error = (struct mw_http_error){status, why};
    return false;
}

/* --- one line --- */

/* 0 or 1 for HTTP/1.0 and HTTP/1.1, 2 for any other HTTP version, -1 for anything else. */
static int parse_version(struct mw_span text)
{
    if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0)
        return -1;
    if (!mw_http_is_digit(text.at[5]) || text.at[6] != '.' || !mw_http_is_digit(text.at[7]))
        return -1;
    return text.at[5] == '1' && text.at[7] <= '1' ? text.at[7] - '0' : 2;
}

/* Cuts up to the next single space. */
static struct mw_span cut_word(struct mw_span *rest)
{
    struct mw_span word = *rest;
    const char *space = rest->len ? memchr(rest->at, ' ', rest->len) : NULL;
    if (space) {
        word.len = (size_t)(space - rest->at);
        rest->at = space + 1;
        rest->len -= word.len + 1;
    } else {
        *rest = (struct mw_span){rest->at + rest->len, 0};
    }
    return word;
}

/* http://authority/..., http://authority?... or http://authority */
static bool is_absolute(struct mw_span target)
{
    size_t scheme = 0;
    if (target.len > 7 && mw_span_is((struct mw_span){target.at, 7}, "http://"))
        scheme = 7;
    else if (target.len > 8 && mw_span_is((struct mw_span){target.at, 8}, "https://"))
        scheme = 8;
    else
        return false;
    struct mw_span authority = {target.at + scheme, 0};
    while (scheme + authority.len < target.len && !strchr("/?", authority.at[authority.len]))
        authority.len++;
    return mw_http_is_host(authority);
}

static bool check_target(struct mw_span method, struct mw_span target, struct mw_http_error *error)
{
    if (!target.len)
        return reject(error, 400, "the request target is empty");
    for (size_t i = 0; i < target.len; i++) {
        unsigned char byte = (unsigned char)target.at[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '#')
            return reject(error, 400, "the request target has bytes that may not stand in a URI");
    }
    if (target.at[0] == '/' || is_absolute(target))
        return true;
    if (target.len == 1 && target.at[0] == '*' && method.len == 7 && memcmp(method.at, "OPTIONS", 7) == 0)
        return true;
    return reject(error, 400, "the request target is neither a path nor an http URI");
}

static bool parse_request_line(struct mw_http_head *head, struct mw_span line, struct mw_http_error *error)
{
    struct mw_span rest = line;
    head->method = cut_word(&rest);
    head->target = cut_word(&rest);
    if (!mw_http_is_token(head->method))
        return reject(error, 400, "the request method is not a token");
    int version = parse_version(rest);
    if (version < 0)
        return reject(error, 400, "the request line does not end with an HTTP version");
    if (version > 1)
        return reject(error, 505, "the HTTP version is not 1.0 or 1.1");
    head->minor = version;
    return check_target(head->method, head->target, error);
}

static bool parse_status_line(struct mw_http_head *head, struct mw_span line, struct mw_http_error *error)
{
    struct mw_span rest = line;
    struct mw_span version = cut_word(&rest);
    struct mw_span status = cut_word(&rest);
    head->minor = parse_version(version);
    if (head->minor < 0 || head->minor > 1)
        return reject(error, 505, "the response is not HTTP/1.0 or HTTP/1.1");
    if (status.len != 3 || !mw_http_is_digit(status.at[0]) || !mw_http_is_digit(status.at[1]) ||
        !mw_http_is_digit(status.at[2]) || status.at[0] == '0')
        return reject(error, 400, "the response has no status of three digits");
    head->status = (status.at[0] - '0') * 100 + (status.at[1] - '0') * 10 + (status.at[2] - '0');
    head->reason = rest;
    return true;
}

/* Headers past the room are counted, not kept. */
static bool parse_header(struct mw_http_head *head, char *line, size_t len, struct mw_http_error *error)
{
    if (line[0] == ' ' || line[0] == '\t')
        return reject(error, 400, "a header line begins with a blank (folded lines are not taken)");
    char *colon = memchr(line, ':', len);
    if (!colon)
        return reject(error, 400, "a header line has no colon");
    struct mw_http_header header;
    header.name = (struct mw_span){line, (size_t)(colon - line)};
    header.value = mw_span_trim((struct mw_span){colon + 1, len - header.name.len - 1});
    if (!mw_http_is_token(header.name))
        return reject(error, 400, "a header name is not a token");
    for (size_t i = 0; i < header.name.len; i++)
        line[i] = mw_http_lower(line[i]);
    if (head->header_count < MW_HTTP_HEADERS_MAX)
        head->headers[head->header_count] = header;
    head->header_count++;
    return true;
}

/* --- all lines --- */

/* Searched for when a line ends, so once per line, however small the pieces. */
static size_t line_start(const struct walk *walk)
{
    const char *end = walk->at ? memrchr(walk->data, '\n', walk->at) : NULL;
    return end ? (size_t)(end - walk->data) + 1 : 0;
}

/* Where the request line may begin: a server skips one empty line before it. */
static size_t first_line(const struct walk *walk)
{
    return walk->is_request && walk->bound >= 2 && walk->data[0] == '\r' ? 2 : 0;
}

/* Looks only at the step across the limit, and so not again at every later byte. */
static bool request_line_is_long(const struct walk *walk, size_t from)
{
    size_t first = first_line(walk);
    size_t most = first + walk->line_bytes;
    return walk->is_request && from <= most && walk->at > most && !memchr(walk->data + first, '\n', most - first);
}

/* Moves to the CR that ends the current line. MW_HTTP_OK: it and its LF are there. */
static enum mw_http_result find_line_end(struct walk *walk)
{
    size_t from = walk->at;
    while (walk->at < walk->bound && mw_http_is_text_char(walk->data[walk->at]))
        walk->at++;
    if (request_line_is_long(walk, from)) {
        reject(walk->error, 414, "the request line is too long");
        return MW_HTTP_INVALID;
    }
    if (walk->at == walk->bound)
        return MW_HTTP_PARTIAL;
    char c = walk->data[walk->at];
    if (c == '\r') {
        if (walk->at + 1 == walk->bound)
            return MW_HTTP_PARTIAL;
        if (walk->data[walk->at + 1] == '\n')
            return MW_HTTP_OK;
        reject(walk->error, 400, "a CR has no LF behind it");
    } else if (c == '\n') {
        reject(walk->error, 400, "an LF has no CR before it");
    } else {
        reject(walk->error, 400, "the head has a control character");
    }
    return MW_HTTP_INVALID;
}

/* MW_HTTP_OK: `walk->at` is behind the blank line. */
static enum mw_http_result walk_lines(struct walk *walk)
{
    struct mw_http_head *head = walk->head;
    head->header_count = 0;
    for (;;) {
        enum mw_http_result result = find_line_end(walk);
        if (result != MW_HTTP_OK)
            return result;
        size_t start = line_start(walk);
        struct mw_span line = {walk->data + start, walk->at - start};
        walk->at += 2;
        if (start < first_line(walk))
            continue;
        if (start > first_line(walk) && !line.len)
            return MW_HTTP_OK;
        bool good;
        if (start > first_line(walk))
            good = parse_header(head, walk->data + start, line.len, walk->error);
        else
            good = walk->is_request ? parse_request_line(head, line, walk->error)
                                    : parse_status_line(head, line, walk->error);
        if (!good)
            return MW_HTTP_INVALID;
    }
}

static enum mw_http_result parse(struct walk *walk, size_t len, const struct mw_http_limits *limits, size_t *scanned,
                                 size_t *head_len)
{
    walk->at = *scanned;
    walk->line_bytes = limits->line_bytes ? limits->line_bytes : MW_HTTP_REQUEST_LINE;
    walk->bound = len < limits->head_bytes ? len : limits->head_bytes;
    enum mw_http_result result = walk_lines(walk);
    if (result == MW_HTTP_OK && *scanned) {
        walk->bound = walk->at;
        walk->at = 0;
        result = walk_lines(walk);
    }
    if (result == MW_HTTP_PARTIAL && walk->bound == limits->head_bytes) {
        reject(walk->error, 431, "the head is too long");
        return MW_HTTP_INVALID;
    }
    *scanned = walk->at;
    if (result != MW_HTTP_OK)
        return result;

    struct mw_http_head *head = walk->head;
    size_t most = limits->header_count < MW_HTTP_HEADERS_MAX ? limits->header_count : MW_HTTP_HEADERS_MAX;
    if (head->header_count > most) {
        reject(walk->error, 431, "the head has too many headers");
        return MW_HTTP_INVALID;
    }
    if (!(walk->is_request ? mw_http_derive_request : mw_http_derive_response)(head, walk->error))
        return MW_HTTP_INVALID;
    *head_len = walk->at;
    *scanned = 0;
    return MW_HTTP_OK;
}

enum mw_http_result mw_http_parse_request(struct mw_http_head *head, char *data, size_t len,
                                          const struct mw_http_limits *limits, size_t *scanned, size_t *head_len,
                                          struct mw_http_error *error)
{
    struct walk walk = {.head = head, .error = error, .data = data, .is_request = true};
    head->status = 0;
    head->reason = (struct mw_span){NULL, 0};
    return parse(&walk, len, limits, scanned, head_len);
}

enum mw_http_result mw_http_parse_response(struct mw_http_head *head, char *data, size_t len,
                                           const struct mw_http_limits *limits, size_t *scanned, size_t *head_len,
                                           struct mw_http_error *error)
{
    struct walk walk = {.head = head, .error = error, .data = data, .is_request = false};
    head->method = head->target = (struct mw_span){NULL, 0};
    return parse(&walk, len, limits, scanned, head_len);
}
