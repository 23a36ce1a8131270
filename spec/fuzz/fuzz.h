/* fuzz.h - what all fuzz targets share: the one function a target has, how it says that a promise is broken, and how it
 * takes its first bytes for choices. The rest of an input is what goes to moonwire. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SPEC_FUZZ_H
#define MW_SPEC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The target: handles one input and leaves nothing behind. entry.c calls it for libFuzzer. */
void fuzz_one(const uint8_t *data, size_t len);

/* A promise of the code under test. Ends the process when it is broken, which libFuzzer reports with the input. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct fuzz_input {
    const uint8_t *data;
    size_t len;
};

/* The next byte, 0 when there is none left. */
static inline uint8_t fuzz_take(struct fuzz_input *input)
{
    if (!input->len)
        return 0;
    input->len--;
    return *input->data++;
}

/* How many bytes of `left` come next when a stream is cut: all of them with `cut` 0, else 1 to 64, the same numbers for the
 * same `cut`. `*state` starts at 0. */
static inline size_t fuzz_cut(uint8_t cut, uint32_t *state, size_t left)
{
    if (!cut)
        return left;
    *state = *state * 1103515245U + 12345U + cut;
    size_t piece = cut < 8 ? cut : 1 + (*state >> 16) % 64;
    return piece < left ? piece : left;
}

#endif
