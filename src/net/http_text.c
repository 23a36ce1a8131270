/* http_text.c - see http_text.h. */
/* SPDX-License-Identifier: MIT */
#include "net/http_text.h"

#include <string.h>

const bool mw_http_token_chars[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['*'] = true, ['+'] = true,
    ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true,  ['~'] = true, ['0'] = true,
    ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true,  ['7'] = true, ['8'] = true,
    ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,  ['F'] = true, ['G'] = true,
    ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true, ['L'] = true, ['M'] = true,  ['N'] = true, ['O'] = true,
    ['P'] = true, ['Q'] = true, ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true,  ['V'] = true, ['W'] = true,
    ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,  ['d'] = true, ['e'] = true,
    ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true, ['k'] = true,  ['l'] = true, ['m'] = true,
    ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true,  ['t'] = true, ['u'] = true,
    ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

bool mw_http_is_token(struct mw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!mw_http_is_token_char(text.at[i]))
            return false;
    }
    return text.len > 0;
}

bool mw_span_is(struct mw_span text, const char *word)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!word[i] || mw_http_lower(text.at[i]) != mw_http_lower(word[i]))
            return false;
    }
    return !word[text.len];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct mw_span mw_span_trim(struct mw_span text)
{
    while (text.len && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

struct mw_span mw_span_cut(struct mw_span *rest, char separator)
{
    struct mw_span part = *rest;
    const char *end = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
    if (end) {
        part.len = (size_t)(end - rest->at);
        rest->at = end + 1;
        rest->len -= part.len + 1;
    } else {
        *rest = (struct mw_span){NULL, 0};
    }
    return mw_span_trim(part);
}
