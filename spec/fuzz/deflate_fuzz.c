/* deflate_fuzz.c - the streams of net/deflate.h. The first byte chooses, the second is the cut, the third the limit.
 * Bytes as a compressed message: whole or in frames the same comes out, never more than the limit, and zlib, used plainly,
 * agrees. Bytes as messages: what one side compresses, the other inflates to the same. */
/* SPDX-License-Identifier: MIT */
#define ZLIB_CONST
#include <zlib.h>

#include "net/deflate.h"

#include "fuzz.h"

enum {
    ROUND_TRIP = 1,
    TAKEOVER = 2,
    AS_SERVER = 4,
    TWICE = 8, /* the same message once more, with the context of the first */
    ONCE = 16, /* compressed for everybody */
    LIMIT_STEP = 64,
};

static struct mw_deflate_pool *pool;

static struct mw_deflate *make(bool is_server, uint8_t choices, int bits)
{
    struct mw_deflate_options options;
    struct mw_deflate_params params = {
        .enabled = true,
        .server_no_context_takeover = !(choices & TAKEOVER),
        .client_no_context_takeover = !(choices & TAKEOVER),
        .server_max_window_bits = (uint8_t)bits,
        .client_max_window_bits = (uint8_t)bits,
    };

    mw_deflate_options_default(&options);
    options.level = 1 + bits % 9;
    struct mw_deflate *deflate = mw_deflate_new(&options, &params, is_server, pool);
    REQUIRE(deflate);
    return deflate;
}

/* In frames, each at an address of its own so that a byte read past its end is noticed. */
static enum mw_deflate_result inflate_cut(struct mw_deflate *deflate, uint8_t cut, const uint8_t *data, size_t len,
                                          struct mw_buffer *out, size_t limit)
{
    enum mw_deflate_result result;
    uint32_t state = 0;
    size_t at = 0;

    out->len = 0;
    do {
        size_t part = fuzz_cut(cut, &state, len - at);
        uint8_t *copy = malloc(part ? part : 1);
        REQUIRE(copy);
        if (part)
            memcpy(copy, data + at, part);
        at += part;
        result = mw_deflate_inflate(deflate, copy, part, at == len, out, limit);
        free(copy);
        REQUIRE(out->len <= limit);
    } while (at < len && result == MW_DEFLATE_OK);
    return result;
}

/* What zlib makes of the message and the four bytes that its sender cut off. The message is good, so the room is enough. */
static void check_with_zlib(int bits, const uint8_t *data, size_t len, const struct mw_buffer *expected)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    const struct fuzz_input parts[] = {{data, len}, {tail, sizeof tail}};
    uint8_t *out = malloc(expected->len + 1);
    z_stream stream = {0};

    REQUIRE(out && inflateInit2(&stream, -bits) == Z_OK);
    stream.next_out = out;
    stream.avail_out = (uInt)expected->len + 1;
    for (int i = 0; i < 2; i++) {
        stream.next_in = parts[i].data;
        stream.avail_in = (uInt)parts[i].len;
        while (stream.avail_in) {
            int status = inflate(&stream, Z_SYNC_FLUSH);
            REQUIRE(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
            if (status == Z_BUF_ERROR)
                break;
            if (status == Z_STREAM_END)
                inflateReset(&stream);
        }
    }
    REQUIRE(expected->len + 1 - stream.avail_out == expected->len);
    REQUIRE(!expected->len || !memcmp(out, expected->data, expected->len));
    inflateEnd(&stream);
    free(out);
}

static void inflate_bytes(uint8_t choices, uint8_t cut, size_t limit, int bits, const uint8_t *data, size_t len)
{
    struct mw_buffer whole = {0}, pieces = {0};

    struct mw_deflate *first = make(choices & AS_SERVER, choices, bits);
    struct mw_deflate *second = make(choices & AS_SERVER, choices, bits);
    enum mw_deflate_result a = inflate_cut(first, 0, data, len, &whole, limit);
    enum mw_deflate_result b = inflate_cut(second, cut ? cut : 1, data, len, &pieces, limit);

    /* zlib lets a stream refer back further than its window while the bytes still lie in the buffer it writes to, so that a
     * sender who breaks its word about a small window is found out only when the message is cut. */
    bool small_window = (choices & TAKEOVER) && bits < 15;
    REQUIRE(a == b || (small_window && b == MW_DEFLATE_CORRUPT));
    REQUIRE(a != MW_DEFLATE_NO_MEMORY && b != MW_DEFLATE_NO_MEMORY);
    if (a == MW_DEFLATE_OK && b == a) {
        REQUIRE(whole.len == pieces.len && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
        check_with_zlib(choices & TAKEOVER ? bits : 15, data, len, &whole);
    }
    /* Context or not, a second message must be possible after a good one. */
    if (a == MW_DEFLATE_OK && b == a && (choices & TWICE))
        REQUIRE(inflate_cut(second, cut ? cut : 1, data, len, &whole, limit) == MW_DEFLATE_OK);
    mw_deflate_free(first);
    mw_deflate_free(second);
    mw_buffer_free(&whole);
    mw_buffer_free(&pieces);
}

static void round_trip(uint8_t choices, uint8_t cut, int bits, const uint8_t *data, size_t len)
{
    struct mw_deflate *sender = make(choices & AS_SERVER, choices, bits);
    struct mw_deflate *receiver = make(!(choices & AS_SERVER), choices, bits);
    struct mw_buffer packed = {0}, out = {0};

    for (int round = 0; round < (choices & TWICE ? 2 : 1); round++) {
        packed.len = 0;
        REQUIRE((choices & ONCE ? mw_deflate_once(pool, 1 + cut % 9, 1 + cut % 9, bits, data, len, &packed)
                                : mw_deflate_compress(sender, data, len, &packed)) == MW_DEFLATE_OK);
        if (choices & ONCE)
            mw_deflate_forget(sender);
        REQUIRE(inflate_cut(receiver, cut, packed.data, packed.len, &out, len) == MW_DEFLATE_OK);
        REQUIRE(out.len == len && (!len || !memcmp(out.data, data, len)));
    }
    mw_deflate_free(sender);
    mw_deflate_free(receiver);
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choices = fuzz_take(&input), cut = fuzz_take(&input), limit = fuzz_take(&input);
    int bits = 9 + (choices >> 5) % 7;

    if (!pool)
        pool = mw_deflate_pool_new();
    REQUIRE(pool);
    if (choices & ROUND_TRIP)
        round_trip(choices, cut, bits, input.data, input.len);
    else
        inflate_bytes(choices, cut, (size_t)limit * LIMIT_STEP, bits, input.data, input.len);
}
