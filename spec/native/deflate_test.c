/* deflate_test.c - the streams of net/deflate.h: the examples of RFC 7692 §7.2.3, round trips with
 * every parameter, bounds, broken streams. zlib itself, used plainly, is the second opinion. */
/* SPDX-License-Identifier: MIT */
#include "net/deflate.h"

#include <zlib.h>

#include "check.h"

enum { NO_LIMIT = 1 << 28, TEXT_LEN = 70000 };

static struct mw_deflate_pool *pool;
static uint8_t text[TEXT_LEN];

static struct mw_deflate *make(bool is_server, bool server_alone, bool client_alone, int server_bits, int client_bits,
                               int level, int memory)
{
    struct mw_deflate_options options = {.enabled = true, .level = level, .memory = memory};
    struct mw_deflate_params params = {
        .enabled = true,
        .server_no_context_takeover = server_alone,
        .client_no_context_takeover = client_alone,
        .server_max_window_bits = (uint8_t)server_bits,
        .client_max_window_bits = (uint8_t)client_bits,
    };
    struct mw_deflate *deflate = mw_deflate_new(&options, &params, is_server, pool);
    if (!deflate)
        abort();
    return deflate;
}

static struct mw_deflate *make_plain(bool is_server, bool takeover)
{
    return make(is_server, !takeover, !takeover, 15, 15, 6, 8);
}

/* Inflates a payload in frames of `step` bytes into an emptied `out`. */
static enum mw_deflate_result inflate_in_steps(struct mw_deflate *deflate, const uint8_t *payload, size_t len,
                                               size_t step, struct mw_buffer *out, size_t limit)
{
    enum mw_deflate_result result;
    size_t at = 0;
    out->len = 0;
    do {
        size_t part = len - at < step ? len - at : step;
        uint8_t *copy = check_copy(payload + at, part);
        at += part;
        result = mw_deflate_inflate(deflate, copy, part, at == len, out, limit);
        free(copy);
        EXPECT(out->len <= limit);
    } while (at < len && result == MW_DEFLATE_OK);
    return result;
}

static bool holds(const struct mw_buffer *buffer, const void *data, size_t len)
{
    return buffer->len == len && (!len || memcmp(buffer->data, data, len) == 0);
}

/* --- given streams --- */

struct row {
    const char *name;
    const char *hex;
    const char *text; /* NULL: corrupt */
};

static const struct row rows[] = {
    {"§7.2.3.1 one block", "f2 48 cd c9 c9 07 00", "Hello"},
    {"§7.2.3.3 no compression", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"},
    {"§7.2.3.4 a final block", "f3 48 cd c9 c9 07 00 00", "Hello"},
    {"§7.2.3.5 two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"},
    {"§7.2.3.6 nothing", "00", ""},
    {"not even an empty block", "", ""},
    {"a final block and no empty one", "f3 48 cd c9 c9 07 00", "Hello"},
    {"two final blocks", "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00", "HelloHello"},
    {"a final block, then one that is not", "f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00", "HelloHello"},
    {"a final stored block completed by the tail", "f2 48 cd c9 c9 07 00 00 00 ff ff 01", "Hello"},
    {"nothing, finally", "03 00 00", ""},
    {"nothing, many times", "00 00 00 ff ff 00 00 00 ff ff 00", ""},
    {"reserved block type", "06", NULL},
    {"reserved block type, final", "07", NULL},
    {"a stored block whose lengths disagree", "00 05 00 fa fe 48 65 6c 6c 6f 00", NULL},
    {"a stored block cut short", "00 05 00 fa ff 48", NULL},
    {"a distance before the beginning", "f2 00 11 00 00", NULL},
    {"garbage behind a final block", "f3 48 cd c9 c9 07 00 ff", NULL},
    {"zeros behind a final block", "f3 48 cd c9 c9 07 00 00 00", NULL},
    {"garbage behind a block", "f2 48 cd c9 c9 07 00 00 00 ff ff ff", NULL},
    {"a zlib header", "78 9c f2 48 cd c9 c9 07 00", NULL},
    {"a gzip header", "1f 8b 08 00 00 00 00 00 00 03", NULL},
    {"one bit of a fixed block", "02", NULL},
    {"a dynamic block without its codes", "04", NULL},
    {"a dynamic block with too many codes", "fc ff", NULL},
};

static void test_row(const struct row *row)
{
    uint8_t payload[64];
    size_t len = check_hex(row->hex, payload, sizeof payload);
    struct mw_buffer out = {0};
    check_test("%s: %s", row->text ? "taken" : "corrupt", row->name);
    for (int takeover = 0; takeover < 2; takeover++) {
        for (size_t step = 1; step <= len + 1; step++) {
            struct mw_deflate *deflate = make_plain(true, takeover);
            enum mw_deflate_result result = inflate_in_steps(deflate, payload, len, step, &out, NO_LIMIT);
            EXPECT(result == (row->text ? MW_DEFLATE_OK : MW_DEFLATE_CORRUPT));
            if (row->text) {
                EXPECT(holds(&out, row->text, strlen(row->text)));
                static const uint8_t hello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
                EXPECT(inflate_in_steps(deflate, hello, 7, 7, &out, NO_LIMIT) == MW_DEFLATE_OK);
                EXPECT(holds(&out, "Hello", 5));
            }
            mw_deflate_free(deflate);
        }
    }
    mw_buffer_free(&out);
}

static void test_window_shared(void)
{
    static const uint8_t first[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    static const uint8_t second[] = {0xf2, 0x00, 0x11, 0x00, 0x00};
    struct mw_buffer out = {0};
    struct mw_deflate *deflate = make_plain(true, true);
    check_test("§7.2.3.2 a second Hello that refers to the first");
    EXPECT(inflate_in_steps(deflate, first, sizeof first, 3, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(deflate, second, sizeof second, 1, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(holds(&out, "Hello", 5));
    mw_deflate_free(deflate);

    check_test("the same without context takeover is corrupt");
    deflate = make_plain(true, false);
    EXPECT(inflate_in_steps(deflate, first, sizeof first, 3, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(deflate, second, sizeof second, 1, &out, NO_LIMIT) == MW_DEFLATE_CORRUPT);
    mw_deflate_free(deflate);
    mw_buffer_free(&out);
}

/* --- round trips --- */

/* Words that come back near and far, then noise, then a long run. */
static void make_text(void)
{
    uint64_t seed = 3;
    size_t len = 0;
    while (len < TEXT_LEN - 100) {
        if (len > 20000 && len < 25000)
            text[len++] = (uint8_t)check_random(&seed);
        else
            len += (size_t)snprintf((char *)text + len, 100, "{\"id\":%u,\"user\":\"u%u\"},", check_random(&seed) % 50,
                                    check_random(&seed) % 1000);
    }
    memset(text + len, ' ', TEXT_LEN - len);
}

static const size_t lengths[] = {5, 0, 1, 0, 0, 100, 300, 1000, 5, 40000, 70000, 5, 3000};

/* All messages one way; zlib's own inflate with exactly the agreed window must read them too. */
static void round_trip(struct mw_deflate *from, struct mw_deflate *to, int bits, bool alone)
{
    z_stream plain = {0};
    struct mw_buffer packed = {0};
    struct mw_buffer out = {0};
    uint8_t *room = malloc(TEXT_LEN);
    if (!room || inflateInit2(&plain, -bits) != Z_OK)
        abort();
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = lengths[i];
        packed.len = 0;
        EXPECT(mw_deflate_compress(from, text, len, &packed) == MW_DEFLATE_OK);
        size_t step = i % 3 == 0 ? 1 : i % 3 == 1 ? 777 : SIZE_MAX;
        EXPECT(inflate_in_steps(to, packed.data, packed.len, step, &out, len) == MW_DEFLATE_OK);
        EXPECT(holds(&out, text, len));

        EXPECT(mw_buffer_append(&packed, "\0\0\xff\xff", 4));
        plain.next_in = packed.data;
        plain.avail_in = (uInt)packed.len;
        plain.next_out = room;
        plain.avail_out = TEXT_LEN;
        EXPECT(inflate(&plain, Z_SYNC_FLUSH) == Z_OK && plain.avail_in == 0);
        EXPECT(TEXT_LEN - plain.avail_out == len && memcmp(room, text, len) == 0);
        if (alone)
            inflateReset(&plain);
    }
    inflateEnd(&plain);
    free(room);
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

static void test_round_trips(void)
{
    for (int bits = 8; bits <= 15; bits++) {
        for (int mix = 0; mix < 4; mix++) {
            bool server_alone = mix & 1;
            bool client_alone = mix & 2;
            check_test("both ways, window %d bits, takeover of server %s, of client %s", bits,
                       server_alone ? "no" : "yes", client_alone ? "no" : "yes");
            int other = 23 - bits;
            struct mw_deflate *server = make(true, server_alone, client_alone, bits, other, 6, 8);
            struct mw_deflate *client = make(false, server_alone, client_alone, bits, other, 6, 8);
            EXPECT(mw_deflate_send_window(server) == bits && mw_deflate_send_window(client) == other);
            round_trip(server, client, bits, server_alone);
            round_trip(client, server, other, client_alone);
            mw_deflate_free(server);
            mw_deflate_free(client);
        }
    }
    for (int level = 1; level <= 9; level++) {
        check_test("level %d with every memory level", level);
        for (int memory = 1; memory <= 9; memory++) {
            for (int alone = 0; alone < 2; alone++) {
                struct mw_deflate *server = make(true, alone, alone, 15, 15, level, memory);
                struct mw_deflate *client = make(false, alone, alone, 15, 15, level, memory);
                round_trip(server, client, 15, alone);
                mw_deflate_free(server);
                mw_deflate_free(client);
            }
        }
    }
}

static void test_takeover_pays(void)
{
    struct mw_buffer first = {0};
    struct mw_buffer second = {0};
    struct mw_deflate *server = make_plain(true, true);
    check_test("with takeover the second of two equal messages is tiny, without it is as large as "
               "the first");
    EXPECT(mw_deflate_compress(server, text, 2000, &first) == MW_DEFLATE_OK);
    EXPECT(mw_deflate_compress(server, text, 2000, &second) == MW_DEFLATE_OK);
    EXPECT(second.len < first.len / 4);
    mw_deflate_free(server);
    first.len = second.len = 0;
    server = make_plain(true, false);
    EXPECT(mw_deflate_compress(server, text, 2000, &first) == MW_DEFLATE_OK);
    EXPECT(mw_deflate_compress(server, text, 2000, &second) == MW_DEFLATE_OK);
    EXPECT(second.len == first.len && memcmp(first.data, second.data, first.len) == 0);
    mw_deflate_free(server);
    mw_buffer_free(&first);
    mw_buffer_free(&second);
}

static void test_forget(void)
{
    struct mw_buffer packed = {0};
    struct mw_buffer out = {0};
    struct mw_deflate *server = make_plain(true, true);
    struct mw_deflate *client = make_plain(false, true);

    check_test("a message that was dropped and then forgotten leaves no hole");
    EXPECT(mw_deflate_compress(server, text, 500, &packed) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(client, packed.data, packed.len, SIZE_MAX, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(mw_deflate_compress(server, text + 500, 900, &packed) == MW_DEFLATE_OK); /* not sent */
    mw_deflate_forget(server);
    packed.len = 0;
    EXPECT(mw_deflate_compress(server, text + 600, 900, &packed) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(client, packed.data, packed.len, SIZE_MAX, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(holds(&out, text + 600, 900));

    check_test("a shared message between two private ones");
    packed.len = 0;
    EXPECT(mw_deflate_once(pool, 6, 8, 15, text + 3000, 2000, &packed) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(client, packed.data, packed.len, SIZE_MAX, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(holds(&out, text + 3000, 2000));
    mw_deflate_forget(server);
    packed.len = 0;
    EXPECT(mw_deflate_compress(server, text + 700, 900, &packed) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(client, packed.data, packed.len, SIZE_MAX, &out, NO_LIMIT) == MW_DEFLATE_OK);
    EXPECT(holds(&out, text + 700, 900));
    mw_deflate_free(server);
    mw_deflate_free(client);
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

/* Many connections in the middle of a message at once, on one pool; one of them goes away there. */
static void test_interleaved(void)
{
    enum { COUNT = 10, LEN = 6000 };
    struct mw_deflate *peers[COUNT];
    struct mw_buffer outs[COUNT] = {0};
    struct mw_buffer packed = {0};
    check_test("messages of %d connections arriving in turns", COUNT);
    EXPECT(mw_deflate_once(pool, 6, 8, 15, text, LEN, &packed) == MW_DEFLATE_OK);
    for (size_t i = 0; i < COUNT; i++)
        peers[i] = make_plain(false, false);
    for (int round = 0; round < 3; round++) {
        for (size_t at = 0; at < packed.len; at += 100) {
            size_t part = packed.len - at < 100 ? packed.len - at : 100;
            for (size_t i = 0; i < COUNT; i++)
                EXPECT(mw_deflate_inflate(peers[i], packed.data + at, part, at + part == packed.len, &outs[i],
                                          NO_LIMIT) == MW_DEFLATE_OK);
        }
        for (size_t i = 0; i < COUNT; i++) {
            EXPECT(holds(&outs[i], text, LEN));
            outs[i].len = 0;
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT(mw_deflate_inflate(peers[i], packed.data, 50, false, &outs[i], NO_LIMIT) == MW_DEFLATE_OK);
        mw_deflate_free(peers[i]);
        mw_buffer_free(&outs[i]);
    }
    mw_buffer_free(&packed);
}

/* --- bounds and noise --- */

static void test_limit(void)
{
    static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 1023, 1024, 1025, 4096, 65536};
    struct mw_buffer packed = {0};
    struct mw_buffer out = {0};
    check_test("a message as large as the limit is taken, one byte more is too big");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t step = 1; step < 1U << 20; step *= 37) {
            struct mw_deflate *deflate = make_plain(true, false);
            size_t size = sizes[i];
            packed.len = 0;
            EXPECT(mw_deflate_once(pool, 6, 8, 15, text, size, &packed) == MW_DEFLATE_OK);
            EXPECT(inflate_in_steps(deflate, packed.data, packed.len, step, &out, size) == MW_DEFLATE_OK);
            EXPECT(holds(&out, text, size));
            if (size) {
                EXPECT(inflate_in_steps(deflate, packed.data, packed.len, step, &out, size - 1) == MW_DEFLATE_TOO_BIG);
                EXPECT(out.len <= size - 1);
            }
            mw_deflate_free(deflate);
        }
    }
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

static void test_bomb(void)
{
    enum { SIZE = 64 << 20, LIMIT = 1 << 20 };
    uint8_t *zeros = calloc(1, SIZE);
    struct mw_buffer packed = {0};
    if (!zeros)
        abort();
    check_test("64 MiB of zeros in 64 KiB end at the limit of 1 MiB");
    EXPECT(mw_deflate_once(pool, 9, 9, 15, zeros, SIZE, &packed) == MW_DEFLATE_OK);
    EXPECT(packed.len < 70000);
    for (int takeover = 0; takeover < 2; takeover++) {
        for (size_t step = 100; step <= 1000000; step *= 100) {
            struct mw_deflate *deflate = make_plain(true, takeover);
            struct mw_buffer out = {0};
            EXPECT(inflate_in_steps(deflate, packed.data, packed.len, step, &out, LIMIT) == MW_DEFLATE_TOO_BIG);
            EXPECT(out.len == LIMIT && out.cap <= 2 * LIMIT);
            mw_buffer_free(&out);
            mw_deflate_free(deflate);
        }
    }
    mw_buffer_free(&packed);
    free(zeros);

    check_test("a million empty final blocks are one empty message, soon");
    struct mw_deflate *deflate = make_plain(true, true);
    struct mw_buffer out = {0};
    for (int i = 0; i < 1000000; i++)
        EXPECT(mw_buffer_append(&packed, "\x03", 2));
    EXPECT(mw_deflate_inflate(deflate, packed.data, packed.len, true, &out, 0) == MW_DEFLATE_OK && out.len == 0);
    mw_deflate_free(deflate);
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

static void test_early_ends(void)
{
    struct mw_buffer packed = {0};
    struct mw_buffer out = {0};
    check_test("a stream that ends early is corrupt, wherever it ends");
    for (int level = 1; level <= 9; level += 4) {
        packed.len = 0;
        EXPECT(mw_deflate_once(pool, level, 8, 15, text, 3000, &packed) == MW_DEFLATE_OK);
        for (size_t len = 1; len < packed.len; len++) {
            struct mw_deflate *deflate = make_plain(true, len & 1);
            EXPECT(inflate_in_steps(deflate, packed.data, len, SIZE_MAX, &out, NO_LIMIT) == MW_DEFLATE_CORRUPT);
            mw_deflate_free(deflate);
        }
    }
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

static void test_noise(void)
{
    enum { LIMIT = 20000 };
    struct mw_buffer packed = {0};
    struct mw_buffer out = {0};
    uint64_t seed = 5;
    int corrupt = 0;
    check_test("20,000 streams with changed bytes end, within the limit, and the pool stays usable");
    for (int i = 0; i < 20000; i++) {
        size_t len = 1 + check_random(&seed) % 400;
        packed.len = 0;
        mw_deflate_once(pool, 1 + i % 9, 8, 15, text + check_random(&seed) % 1000, len, &packed);
        for (uint32_t changes = check_random(&seed) % 4; changes; changes--)
            packed.data[check_random(&seed) % packed.len] = (uint8_t)check_random(&seed);
        struct mw_deflate *deflate = make_plain(true, i & 1);
        enum mw_deflate_result result =
            inflate_in_steps(deflate, packed.data, packed.len, 1 + check_random(&seed) % 500, &out, LIMIT);
        EXPECT(result != MW_DEFLATE_NO_MEMORY);
        corrupt += result == MW_DEFLATE_CORRUPT;
        mw_deflate_free(deflate);
    }
    EXPECT(corrupt > 5000);
    struct mw_deflate *deflate = make_plain(true, false);
    packed.len = 0;
    EXPECT(mw_deflate_once(pool, 6, 8, 15, text, 5000, &packed) == MW_DEFLATE_OK);
    EXPECT(inflate_in_steps(deflate, packed.data, packed.len, 9, &out, LIMIT) == MW_DEFLATE_OK);
    EXPECT(holds(&out, text, 5000));
    mw_deflate_free(deflate);
    mw_buffer_free(&packed);
    mw_buffer_free(&out);
}

int main(void)
{
    make_text();
    pool = mw_deflate_pool_new();
    if (!pool)
        abort();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        test_row(&rows[i]);
    test_window_shared();
    test_round_trips();
    test_takeover_pays();
    test_forget();
    test_interleaved();
    test_limit();
    test_bomb();
    test_early_ends();
    test_noise();
    mw_deflate_pool_free(pool);
    return check_done();
}
