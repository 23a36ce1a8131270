/* utf8.c - see utf8.h. Runs of ASCII are skipped sixteen bytes a step; whole sequences are checked
 * in place; only a sequence cut by the end of a piece lives in the state. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>

enum { CONTINUATION_LOW = 0x80, CONTINUATION_HIGH = 0xbf };

static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    uint64_t words[2];
    while ((size_t)(end - at) >= sizeof words) {
        memcpy(words, at, sizeof words);
        if ((words[0] | words[1]) & high_bits)
            break;
        at += sizeof words;
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

/* Sets up the state for what must follow `lead`; false when nothing may (RFC 3629 §4: C0, C1 and
 * F5-FF never occur; the narrower bounds after E0, ED, F0 and F4 shut out overlong forms,
 * surrogates and what lies above U+10FFFF). */
static bool expect(struct mw_utf8 *state, uint8_t lead)
{
    state->low = CONTINUATION_LOW;
    state->high = CONTINUATION_HIGH;
    if (lead >= 0xc2 && lead <= 0xdf) {
        state->need = 1;
    } else if ((lead & 0xf0) == 0xe0) {
        state->need = 2;
        if (lead == 0xe0)
            state->low = 0xa0;
        else if (lead == 0xed)
            state->high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        state->need = 3;
        if (lead == 0xf0)
            state->low = 0x90;
        else if (lead == 0xf4)
            state->high = 0x8f;
    } else {
        return false;
    }
    return true;
}

/* No byte fits between these bounds: a text that failed stays failed. */
static bool fail(struct mw_utf8 *state)
{
    *state = (struct mw_utf8){.need = 1, .low = 0xff, .high = 0};
    return false;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length of the sequence that begins at `at`, where four bytes may be read; 0 when it is ASCII
 * or wrong. */
static size_t sequence_len(const uint8_t *at)
{
    uint8_t lead = at[0];
    if (lead < 0xc2 || !is_continuation(at[1]))
        return 0;
    if (lead < 0xe0)
        return 2;
    if (!is_continuation(at[2]))
        return 0;
    if (lead < 0xf0)
        return (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f) ? 0 : 3;
    if (lead > 0xf4 || !is_continuation(at[3]))
        return 0;
    return (lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] > 0x8f) ? 0 : 4;
}

/* Most of a text that is not ASCII; what remains, good or bad, goes byte by byte. */
static const uint8_t *skip_sequences(const uint8_t *at, const uint8_t *end)
{
    size_t step;
    while (end - at >= 4 && (step = sequence_len(at)) > 0)
        at += step;
    return at;
}

bool mw_utf8_feed(struct mw_utf8 *state, const void *data, size_t len)
{
    if (!len)
        return true;
    const uint8_t *at = data;
    const uint8_t *end = at + len;
    for (;;) {
        while (state->need) {
            if (at == end)
                return true;
            if (*at < state->low || *at > state->high)
                return fail(state);
            at++;
            state->need--;
            state->low = CONTINUATION_LOW;
            state->high = CONTINUATION_HIGH;
        }
        at = skip_sequences(skip_ascii(at, end), end);
        if (at == end)
            return true;
        if (*at >= 0x80 && !expect(state, *at))
            return fail(state);
        at++;
    }
}

bool mw_utf8_complete(const struct mw_utf8 *state)
{
    return state->need == 0;
}

bool mw_utf8_valid(const void *data, size_t len)
{
    struct mw_utf8 state = {0};
    return mw_utf8_feed(&state, data, len) && mw_utf8_complete(&state);
}
