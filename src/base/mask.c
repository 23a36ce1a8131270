/* mask.c - see mask.h. Words are copied in and out, so that `data` may have any alignment; four at
 * a time become vector instructions. */
/* SPDX-License-Identifier: MIT */
#include "base/mask.h"

#include <string.h>

void mw_mask(uint8_t *data, size_t len, const uint8_t key[4], size_t phase)
{
    uint8_t pattern[8];
    for (size_t i = 0; i < 4; i++)
        pattern[i] = key[(phase + i) & 3];
    memcpy(pattern + 4, pattern, 4);
    uint64_t mask;
    memcpy(&mask, pattern, sizeof mask);

    uint64_t words[4];
    while (len >= sizeof words) {
        memcpy(words, data, sizeof words);
        for (size_t i = 0; i < 4; i++)
            words[i] ^= mask;
        memcpy(data, words, sizeof words);
        data += sizeof words;
        len -= sizeof words;
    }
    while (len >= sizeof mask) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        word ^= mask;
        memcpy(data, &word, sizeof word);
        data += sizeof word;
        len -= sizeof word;
    }
    for (size_t i = 0; i < len; i++)
        data[i] ^= pattern[i];
}
