/* frames.c - see frames.h. */
/* SPDX-License-Identifier: MIT */
#include "load/frames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mask.h"
#include "net/frame.h"

enum { KEY_LEN = 4, OUT_LEAST = 1 << 16, OUT_MOST = 1 << 20 };

/* Letters, which are text as well; the first one is given. */
static void fill(uint8_t *payload, char first, size_t size)
{
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)('a' + (i + 4) % 26);
    if (size)
        payload[0] = (uint8_t)first;
}

static bool build_out(struct mw_load_frames *frames, enum mw_opcode opcode, const uint8_t *payload, size_t size,
                      size_t depth)
{
    uint8_t key[KEY_LEN];
    size_t one = mw_frame_header_len(size, true) + size;
    size_t wanted = depth > OUT_MOST / one ? OUT_MOST : depth * one;
    size_t copies = (wanted > OUT_LEAST ? wanted : OUT_LEAST) / one + 2;

    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return false;
    frames->out = malloc(copies * one);
    if (!frames->out)
        return false;
    size_t head = mw_frame_write(frames->out, opcode, true, false, size, key);
    memcpy(frames->out + head, payload, size);
    mw_mask(frames->out + head, size, key, 0);
    for (size_t i = 1; i < copies; i++)
        memcpy(frames->out + i * one, frames->out, one);
    frames->out_frame = one;
    frames->out_len = copies * one;
    return true;
}

bool mw_load_frames_build(struct mw_load_frames *frames, bool text, char first, size_t size, size_t depth)
{
    enum mw_opcode opcode = text ? MW_OPCODE_TEXT : MW_OPCODE_BINARY;

    frames->in = malloc(MW_FRAME_HEADER_MAX + size);
    if (!frames->in)
        return false;
    frames->in_head = mw_frame_write(frames->in, opcode, true, false, size, NULL);
    frames->in_frame = frames->in_head + size;
    memcpy(&frames->in_start, frames->in, sizeof frames->in_start);
    fill(frames->in + frames->in_head, first, size);
    return build_out(frames, opcode, frames->in + frames->in_head, size, depth);
}

void mw_load_frames_free(struct mw_load_frames *frames)
{
    free(frames->out);
    free(frames->in);
}

size_t mw_load_frames_whole(const struct mw_load_frames *frames, const uint8_t *data, size_t len)
{
    size_t count = 0;
    uint16_t start;

    for (; len >= frames->in_frame; len -= frames->in_frame, data += frames->in_frame, count++) {
        memcpy(&start, data, sizeof start);
        if (start != frames->in_start)
            break;
        if (frames->in_head > sizeof start && memcmp(data, frames->in, frames->in_head) != 0)
            break;
    }
    return count;
}
