/* http_text.h - the small grammar all HTTP fields share (RFC 9110 §5.6): tokens, blanks, lists.
 * Pure functions over spans of the caller's bytes; owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_TEXT_H
#define MW_NET_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct mw_span {
    const char *at;
    size_t len;
};

extern const bool mw_http_token_chars[256];

/* tchar of RFC 9110 §5.6.2. */
static inline bool mw_http_is_token_char(char c)
{
    return mw_http_token_chars[(unsigned char)c];
}

/* What may stand in a field value or a reason phrase (RFC 9110 §5.5): HTAB, SP, VCHAR, obs-text. */
static inline bool mw_http_is_text_char(char c)
{
    unsigned char byte = (unsigned char)c;
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

static inline bool mw_http_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char mw_http_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* One or more tchars. */
bool mw_http_is_token(struct mw_span text);
/* `text` compared with the NUL-terminated `word`, case of ASCII letters ignored. */
bool mw_span_is(struct mw_span text, const char *word);
/* Without the SP and HTAB around it. */
struct mw_span mw_span_trim(struct mw_span text);
/* Cuts the part before the first `separator` off `rest` and returns it trimmed. At the end
 * `rest->at` is NULL. Quoted strings are not known here: for lists of tokens only. */
struct mw_span mw_span_cut(struct mw_span *rest, char separator);

#endif
