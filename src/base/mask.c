/* mask.c - see mask.h. Words are copied in and out, so that `data` may have any alignment; vector instructions take four of
 * them at a time. */
/* SPDX-License-Identifier: MIT */
#include "base/mask.h"

#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(32)));

/* The same code for whatever instructions the caller was compiled for. Returns how many bytes are done. */
static inline __attribute__((always_inline)) size_t mask_wide(uint8_t *data, size_t len, uint64_t mask)
{
    const lanes wide = {mask, mask, mask, mask};
    size_t done = 0;

    for (; len - done >= sizeof wide; done += sizeof wide) {
        lanes block;
        memcpy(&block, data + done, sizeof block);
        block ^= wide;
        memcpy(data + done, &block, sizeof block);
    }
    return done;
}

#ifdef __x86_64__
/* What the machine has may be more than what the program was compiled for. */
static __attribute__((target("avx2"))) size_t mask_avx2(uint8_t *data, size_t len, uint64_t mask)
{
    return mask_wide(data, len, mask);
}

static size_t mask_blocks(uint8_t *data, size_t len, uint64_t mask)
{
    return len >= 256 && __builtin_cpu_supports("avx2") ? mask_avx2(data, len, mask) : mask_wide(data, len, mask);
}
#else
static size_t mask_blocks(uint8_t *data, size_t len, uint64_t mask)
{
    return mask_wide(data, len, mask);
}
#endif

void mw_mask(uint8_t *data, size_t len, const uint8_t key[4], size_t phase)
{
    uint8_t turned[4];
    if (phase & 3) {
        for (size_t i = 0; i < 4; i++)
            turned[i] = key[(phase + i) & 3];
        key = turned;
    }
    /* One load: what was stored byte by byte could not be forwarded to it. */
    uint32_t half;
    memcpy(&half, key, sizeof half);
    const uint64_t mask = (uint64_t)half << 32 | half;

    size_t done = mask_blocks(data, len, mask);
    for (; len - done >= sizeof mask; done += sizeof mask) {
        uint64_t word;
        memcpy(&word, data + done, sizeof word);
        word ^= mask;
        memcpy(data + done, &word, sizeof word);
    }
    for (; done < len; done++)
        data[done] ^= key[done & 3];
}
