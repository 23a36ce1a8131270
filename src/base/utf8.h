/* utf8.h - checks that bytes are UTF-8 (RFC 3629), whole or piece by piece.
 * Pure functions over the caller's state; owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_UTF8_H
#define MW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed state is the start of a text. */
struct mw_utf8 {
    uint8_t need; /* continuation bytes still missing */
    uint8_t low;  /* bounds of the next continuation byte */
    uint8_t high;
};

/* Takes the next piece; false as soon as no continuation could make the text valid. */
bool mw_utf8_feed(struct mw_utf8 *state, const void *data, size_t len);
/* True when the text may end here. */
bool mw_utf8_complete(const struct mw_utf8 *state);
bool mw_utf8_valid(const void *data, size_t len);

#endif
