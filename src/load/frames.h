/* frames.h - the frames of a run, built once: the one that is sent, many times over, so that one system call sends as
 * many as are due; and the one that must come back. Owns its memory. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_LOAD_FRAMES_H
#define MW_LOAD_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_load_frames {
    uint8_t *out;     /* masked frames, back to back */
    size_t out_len;   /* of all of them */
    size_t out_frame; /* of one */
    uint8_t *in;      /* one frame as the server sends it */
    size_t in_frame;
    size_t in_head;    /* how many of its bytes are the header */
    uint16_t in_start; /* its first two bytes as they lie in memory */
};

/* The payload has `size` bytes and begins with `first`; the mask is the same for all frames. `depth` is how many may be
 * due at once. False when there is no memory (or no randomness). */
bool mw_load_frames_build(struct mw_load_frames *frames, bool text, char first, size_t size, size_t depth);
void mw_load_frames_free(struct mw_load_frames *frames);
/* How many whole frames lie at the start of `data`, by their headers: stops at the first that is another. */
size_t mw_load_frames_whole(const struct mw_load_frames *frames, const uint8_t *data, size_t len);

#endif
