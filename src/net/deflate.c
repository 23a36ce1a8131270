/* deflate.c - see deflate.h. */
/* SPDX-License-Identifier: MIT */
#include "net/deflate.h"

#include <stdlib.h>

#include "net/deflate_pool.h"

enum {
    TAIL_LEN = 4,
    STEP_MAX = 1 << 30, /* zlib counts in unsigned int */
    ROOM_MIN = 16,      /* deflate() repeats its flush marker with 6 or less */
    ROOM_STEP = 1024,
    AT_BLOCK_END = 128, /* data_type behind a block, without bits left over, as zlib.h says of inflate() */
};

static const uint8_t TAIL[TAIL_LEN] = {0x00, 0x00, 0xff, 0xff};

struct mw_deflate {
    struct mw_deflate_pool *pool;
    z_stream *compressor; /* kept for its context, else NULL */
    z_stream *inflater;   /* kept for its context, or borrowed during a message */
    uint8_t level;
    uint8_t memory;
    uint8_t send_window;
    uint8_t receive_window;
    bool send_takeover;
    bool receive_takeover;
    bool stream_ended; /* the last byte taken was the end of a final block (or there was none yet) */
};

struct mw_deflate *mw_deflate_new(const struct mw_deflate_options *options, const struct mw_deflate_params *params,
                                  bool is_server, struct mw_deflate_pool *pool)
{
    struct mw_deflate *deflate = calloc(1, sizeof *deflate);
    if (!deflate)
        return NULL;
    deflate->pool = pool;
    deflate->level = (uint8_t)options->level;
    deflate->memory = (uint8_t)options->memory;
    deflate->send_window = is_server ? params->server_max_window_bits : params->client_max_window_bits;
    deflate->receive_window = is_server ? params->client_max_window_bits : params->server_max_window_bits;
    deflate->send_takeover = is_server ? !params->server_no_context_takeover : !params->client_no_context_takeover;
    deflate->receive_takeover = is_server ? !params->client_no_context_takeover : !params->server_no_context_takeover;
    deflate->stream_ended = true;
    return deflate;
}

void mw_deflate_free(struct mw_deflate *deflate)
{
    if (!deflate)
        return;
    mw_deflate_compressor_free(deflate->compressor);
    if (deflate->receive_takeover)
        mw_deflate_inflater_free(deflate->inflater);
    else if (deflate->inflater)
        mw_deflate_pool_give_back(deflate->pool, deflate->inflater);
    free(deflate);
}

int mw_deflate_send_window(const struct mw_deflate *deflate)
{
    return deflate->send_window;
}

void mw_deflate_forget(struct mw_deflate *deflate)
{
    if (deflate->compressor)
        deflateReset(deflate->compressor);
}

/* --- out --- */

/* Runs `stream` until it has taken its input and, for Z_SYNC_FLUSH, given all it has. */
static bool drain(z_stream *stream, int flush, struct mw_buffer *out)
{
    do {
        if (out->cap - out->len < ROOM_MIN && !mw_buffer_reserve(out, ROOM_STEP))
            return false;
        size_t room = out->cap - out->len;
        if (room > STEP_MAX)
            room = STEP_MAX;
        stream->next_out = out->data + out->len;
        stream->avail_out = (uInt)room;
        int status = deflate(stream, flush);
        if (status != Z_OK && status != Z_BUF_ERROR)
            return false;
        out->len += room - stream->avail_out;
    } while (stream->avail_out == 0);
    return true;
}

static enum mw_deflate_result compress_message(z_stream *stream, const uint8_t *data, size_t len, struct mw_buffer *out)
{
    if (!mw_buffer_reserve(out, deflateBound(stream, len) + ROOM_MIN))
        return MW_DEFLATE_NO_MEMORY;
    while (len) {
        size_t step = len < STEP_MAX ? len : STEP_MAX;
        stream->next_in = data;
        stream->avail_in = (uInt)step;
        data += step;
        len -= step;
        if (!drain(stream, len ? Z_NO_FLUSH : Z_SYNC_FLUSH, out))
            return MW_DEFLATE_NO_MEMORY;
    }
    out->len -= TAIL_LEN;
    return MW_DEFLATE_OK;
}

/* An empty message is one empty stored block (RFC 7692 §7.2.3.6); it leaves the window as it is. */
static enum mw_deflate_result compress_nothing(struct mw_buffer *out)
{
    static const uint8_t empty_block = 0x00;
    return mw_buffer_append(out, &empty_block, 1) ? MW_DEFLATE_OK : MW_DEFLATE_NO_MEMORY;
}

enum mw_deflate_result mw_deflate_compress(struct mw_deflate *deflate, const void *data, size_t len,
                                           struct mw_buffer *out)
{
    if (!deflate->send_takeover)
        return mw_deflate_once(deflate->pool, deflate->level, deflate->memory, deflate->send_window, data, len, out);
    if (!len)
        return compress_nothing(out);
    if (!deflate->compressor)
        deflate->compressor = mw_deflate_compressor_new(deflate->level, deflate->memory, deflate->send_window);
    if (!deflate->compressor)
        return MW_DEFLATE_NO_MEMORY;
    size_t before = out->len;
    enum mw_deflate_result result = compress_message(deflate->compressor, data, len, out);
    if (result != MW_DEFLATE_OK) {
        out->len = before;
        mw_deflate_forget(deflate);
    }
    return result;
}

enum mw_deflate_result mw_deflate_once(struct mw_deflate_pool *pool, int level, int memory, int window_bits,
                                       const void *data, size_t len, struct mw_buffer *out)
{
    if (!len)
        return compress_nothing(out);
    z_stream *stream = mw_deflate_pool_compressor(pool, level, memory, window_bits);
    if (!stream)
        return MW_DEFLATE_NO_MEMORY;
    size_t before = out->len;
    enum mw_deflate_result result = compress_message(stream, data, len, out);
    if (result != MW_DEFLATE_OK)
        out->len = before;
    return result;
}

/* --- in --- */

/* Where the next step may write: the free part of `out` up to `limit`; when that is used up, the
 * one byte of `probe`, which shows whether there would be more. */
static bool make_room(z_stream *stream, struct mw_buffer *out, size_t limit, uint8_t *probe)
{
    size_t allowed = out->len < limit ? limit - out->len : 0;
    if (!allowed) {
        stream->next_out = probe;
        stream->avail_out = 1;
        return true;
    }
    size_t wanted = (size_t)stream->avail_in * 4;
    if (wanted < ROOM_STEP)
        wanted = ROOM_STEP;
    if (wanted > allowed)
        wanted = allowed;
    if (!mw_buffer_reserve(out, wanted))
        return false;
    size_t room = out->cap - out->len;
    if (room > allowed)
        room = allowed;
    stream->next_out = out->data + out->len;
    stream->avail_out = (uInt)(room < STEP_MAX ? room : STEP_MAX);
    return true;
}

/* Feeds `len` (at most STEP_MAX) bytes. A final block does not end the message (RFC 7692 §7.2.3.4):
 * the stream starts anew. */
static enum mw_deflate_result inflate_step(struct mw_deflate *deflate, const uint8_t *data, size_t len,
                                           struct mw_buffer *out, size_t limit)
{
    z_stream *stream = deflate->inflater;
    uint8_t probe;

    stream->next_in = data;
    stream->avail_in = (uInt)len;
    for (;;) {
        if (!make_room(stream, out, limit, &probe))
            return MW_DEFLATE_NO_MEMORY;
        bool probing = stream->next_out == &probe;
        uInt room = stream->avail_out;
        int status = inflate(stream, Z_SYNC_FLUSH);
        uInt produced = room - stream->avail_out;
        if (probing && produced)
            return MW_DEFLATE_TOO_BIG;
        if (status == Z_MEM_ERROR)
            return MW_DEFLATE_NO_MEMORY;
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return MW_DEFLATE_CORRUPT;
        out->len += produced;
        deflate->stream_ended = status == Z_STREAM_END;
        if (deflate->stream_ended && inflateReset(stream) != Z_OK)
            return MW_DEFLATE_CORRUPT;
        if (stream->avail_in == 0 && (deflate->stream_ended || stream->avail_out > 0))
            return MW_DEFLATE_OK;
    }
}

/* Puts back what the sender cut off: the rest of an empty stored block. The message is whole when
 * that is what it was taken for, and not the inside of some block that ended early. */
static enum mw_deflate_result inflate_tail(struct mw_deflate *deflate, struct mw_buffer *out, size_t limit)
{
    /* Some senders end with a final block and no empty one behind it: nothing to complete. */
    if (deflate->stream_ended)
        return MW_DEFLATE_OK;
    size_t before = out->len;
    enum mw_deflate_result result = inflate_step(deflate, TAIL, sizeof TAIL, out, limit);
    if (result == MW_DEFLATE_NO_MEMORY)
        return result;
    bool at_end = deflate->stream_ended || deflate->inflater->data_type == AT_BLOCK_END;
    return result == MW_DEFLATE_OK && at_end && out->len == before ? MW_DEFLATE_OK : MW_DEFLATE_CORRUPT;
}

enum mw_deflate_result mw_deflate_inflate(struct mw_deflate *deflate, const void *data, size_t len, bool fin,
                                          struct mw_buffer *out, size_t limit)
{
    if (!deflate->inflater && (len || !deflate->stream_ended)) {
        deflate->inflater = deflate->receive_takeover ? mw_deflate_inflater_new(deflate->receive_window)
                                                      : mw_deflate_pool_borrow(deflate->pool);
        if (!deflate->inflater)
            return MW_DEFLATE_NO_MEMORY;
    }
    const uint8_t *at = data;
    enum mw_deflate_result result = MW_DEFLATE_OK;
    while (len && result == MW_DEFLATE_OK) {
        size_t step = len < STEP_MAX ? len : STEP_MAX;
        result = inflate_step(deflate, at, step, out, limit);
        at += step;
        len -= step;
    }
    if (fin && result == MW_DEFLATE_OK)
        result = inflate_tail(deflate, out, limit);
    if (fin || result != MW_DEFLATE_OK) {
        deflate->stream_ended = true;
        if (!deflate->receive_takeover && deflate->inflater) {
            mw_deflate_pool_give_back(deflate->pool, deflate->inflater);
            deflate->inflater = NULL;
        }
    }
    return result;
}
