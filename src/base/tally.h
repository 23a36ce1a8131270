/* tally.h - something that may happen thousands of times a second, and is told once in a while, with its number.
 * Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_TALLY_H
#define MW_BASE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MW_TALLY_QUIET_MS = 10000 };

struct mw_tally {
    uint64_t told_ms;
    size_t count; /* not told yet */
    bool told;
};

/* Counts one more. How many there were since the last time when they are to be told now: the first at once, later ones
 * every ten seconds at most; otherwise 0. */
static inline size_t mw_tally_add(struct mw_tally *tally, uint64_t now_ms)
{
    size_t count = ++tally->count;

    if (tally->told && now_ms - tally->told_ms < MW_TALLY_QUIET_MS)
        return 0;
    *tally = (struct mw_tally){.told_ms = now_ms, .told = true};
    return count;
}

#endif
