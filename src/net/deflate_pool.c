/* deflate_pool.c - see deflate_pool.h. */
/* SPDX-License-Identifier: MIT */
#include "net/deflate_pool.h"

#include <stdlib.h>

enum {
    WINDOW_MIN = 8,
    WINDOW_MAX = 15,
    IDLE_MAX = 4, /* inflaters kept; more are lent only while messages in several frames overlap */
};

/* A message is compressed in one go, so one compressor of each window is enough. */
struct slot {
    z_stream *stream;
    int level;
    int memory;
};

struct mw_deflate_pool {
    struct slot compressors[WINDOW_MAX + 1]; /* by window bits */
    z_stream *idle[IDLE_MAX];
    size_t idle_count;
};

z_stream *mw_deflate_compressor_new(int level, int memory, int window_bits)
{
    z_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    /* Raw deflate with 8 bits is refused by zlib; with Z_RLE it never refers back further than one
     * byte. */
    int strategy = window_bits == WINDOW_MIN ? Z_RLE : Z_DEFAULT_STRATEGY;
    int bits = window_bits == WINDOW_MIN ? WINDOW_MIN + 1 : window_bits;
    if (deflateInit2(stream, level, Z_DEFLATED, -bits, memory, strategy) != Z_OK) {
        free(stream);
        return NULL;
    }
    return stream;
}

void mw_deflate_compressor_free(z_stream *stream)
{
    if (!stream)
        return;
    deflateEnd(stream);
    free(stream);
}

z_stream *mw_deflate_inflater_new(int window_bits)
{
    z_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    /* Old zlibs at the other end wrote for 9 bits where 8 were agreed on. */
    int bits = window_bits == WINDOW_MIN ? WINDOW_MIN + 1 : window_bits;
    if (inflateInit2(stream, -bits) != Z_OK) {
        free(stream);
        return NULL;
    }
    return stream;
}

void mw_deflate_inflater_free(z_stream *stream)
{
    if (!stream)
        return;
    inflateEnd(stream);
    free(stream);
}

struct mw_deflate_pool *mw_deflate_pool_new(void)
{
    return calloc(1, sizeof(struct mw_deflate_pool));
}

void mw_deflate_pool_free(struct mw_deflate_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i <= WINDOW_MAX; i++)
        mw_deflate_compressor_free(pool->compressors[i].stream);
    while (pool->idle_count)
        mw_deflate_inflater_free(pool->idle[--pool->idle_count]);
    free(pool);
}

z_stream *mw_deflate_pool_compressor(struct mw_deflate_pool *pool, int level, int memory, int window_bits)
{
    struct slot *slot = &pool->compressors[window_bits];
    if (slot->stream && slot->level == level && slot->memory == memory && deflateReset(slot->stream) == Z_OK)
        return slot->stream;
    mw_deflate_compressor_free(slot->stream);
    slot->stream = mw_deflate_compressor_new(level, memory, window_bits);
    slot->level = level;
    slot->memory = memory;
    return slot->stream;
}

z_stream *mw_deflate_pool_borrow(struct mw_deflate_pool *pool)
{
    if (!pool->idle_count)
        return mw_deflate_inflater_new(WINDOW_MAX);
    return pool->idle[--pool->idle_count];
}

void mw_deflate_pool_give_back(struct mw_deflate_pool *pool, z_stream *inflater)
{
    if (pool->idle_count < IDLE_MAX && inflateReset(inflater) == Z_OK)
        pool->idle[pool->idle_count++] = inflater;
    else
        mw_deflate_inflater_free(inflater);
}
