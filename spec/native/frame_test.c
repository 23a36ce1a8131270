/* frame_test.c - net/frame.h against RFC 6455 §5 and §7.4. */
/* SPDX-License-Identifier: MIT */
#include "net/frame.h"

#include "check.h"

enum role { FROM_CLIENT, FROM_SERVER };

struct good_row {
    const char *name;
    const char *hex;
    enum role role;
    struct mw_frame frame;
};

static const struct good_row good_rows[] = {
    {"§5.7 an unmasked text", "81 05", FROM_SERVER, {.length = 5, .header_len = 2, .opcode = 1, .fin = true}},
    {"§5.7 a masked text",
     "81 85 37 fa 21 3d",
     FROM_CLIENT,
     {.length = 5, .header_len = 6, .opcode = 1, .fin = true, .masked = true, .key = {0x37, 0xfa, 0x21, 0x3d}}},
    {"§5.7 the first fragment", "01 03", FROM_SERVER, {.length = 3, .header_len = 2, .opcode = 1}},
    {"§5.7 the last fragment", "80 02", FROM_SERVER, {.length = 2, .header_len = 2, .opcode = 0, .fin = true}},
    {"§5.7 a ping", "89 05", FROM_SERVER, {.length = 5, .header_len = 2, .opcode = 9, .fin = true}},
    {"§5.7 256 bytes", "82 7e 01 00", FROM_SERVER, {.length = 256, .header_len = 4, .opcode = 2, .fin = true}},
    {"§5.7 64 KiB",
     "82 7f 00 00 00 00 00 01 00 00",
     FROM_SERVER,
     {.length = 65536, .header_len = 10, .opcode = 2, .fin = true}},
    {"125, the longest short one", "82 7d", FROM_SERVER, {.length = 125, .header_len = 2, .opcode = 2, .fin = true}},
    {"126, the shortest with 16 bits",
     "82 7e 00 7e",
     FROM_SERVER,
     {.length = 126, .header_len = 4, .opcode = 2, .fin = true}},
    {"65535, the longest with 16 bits",
     "82 7e ff ff",
     FROM_SERVER,
     {.length = 65535, .header_len = 4, .opcode = 2, .fin = true}},
    {"2^63-1, the longest of all",
     "82 7f 7f ff ff ff ff ff ff ff",
     FROM_SERVER,
     {.length = INT64_MAX, .header_len = 10, .opcode = 2, .fin = true}},
    {"masked with 64 bits of length",
     "82 ff 00 00 00 00 00 01 00 00 01 02 03 04",
     FROM_CLIENT,
     {.length = 65536, .header_len = 14, .opcode = 2, .fin = true, .masked = true, .key = {1, 2, 3, 4}}},
    {"an empty text", "81 00", FROM_SERVER, {.header_len = 2, .opcode = 1, .fin = true}},
    {"an empty close", "88 80 00 00 00 00", FROM_CLIENT, {.header_len = 6, .opcode = 8, .fin = true, .masked = true}},
    {"a pong of 125 bytes", "8a 7d", FROM_SERVER, {.length = 125, .header_len = 2, .opcode = 10, .fin = true}},
    {"compressed text", "c1 07", FROM_SERVER, {.length = 7, .header_len = 2, .opcode = 1, .fin = true, .rsv1 = true}},
    {"the first fragment of a compressed binary",
     "42 07",
     FROM_SERVER,
     {.length = 7, .header_len = 2, .opcode = 2, .rsv1 = true}},
};

static bool same_frame(const struct mw_frame *a, const struct mw_frame *b)
{
    return a->length == b->length && a->header_len == b->header_len && a->opcode == b->opcode && a->fin == b->fin &&
           a->rsv1 == b->rsv1 && a->masked == b->masked && memcmp(a->key, b->key, 4) == 0;
}

static void test_good(const struct good_row *row)
{
    uint8_t data[32];
    size_t len = check_hex(row->hex, data, sizeof data);
    check_test("%s", row->name);
    for (size_t have = 0; have <= len; have++) {
        uint8_t *copy = check_copy(data, have);
        struct mw_frame frame;
        const char *why = NULL;
        enum mw_frame_result result = mw_frame_parse(&frame, copy, have, row->role == FROM_CLIENT, true, &why);
        EXPECT(result == (have < len ? MW_FRAME_PARTIAL : MW_FRAME_OK));
        EXPECT(!why);
        if (result == MW_FRAME_OK)
            EXPECT(same_frame(&frame, &row->frame));
        free(copy);
    }
    uint8_t written[MW_FRAME_HEADER_MAX];
    const uint8_t *key = row->frame.masked ? row->frame.key : NULL;
    EXPECT(mw_frame_header_len(row->frame.length, row->frame.masked) == len);
    EXPECT(mw_frame_write(written, row->frame.opcode, row->frame.fin, row->frame.rsv1, row->frame.length, key) == len);
    EXPECT(memcmp(written, data, len) == 0);
}

struct bad_row {
    const char *name;
    const char *hex;
    enum role role;
    bool rsv1_allowed;
    size_t seen_at; /* how many bytes show it */
};

static const struct bad_row bad_rows[] = {
    {"RSV2 (§5.2)", "a1 05", FROM_SERVER, true, 1},
    {"RSV3 (§5.2)", "91 05", FROM_SERVER, true, 1},
    {"RSV2 and RSV3", "b2 05", FROM_SERVER, true, 1},
    {"RSV1 without an extension (§5.2)", "c1 05", FROM_SERVER, false, 1},
    {"RSV1 on a continuation (RFC 7692 §6.1)", "c0 05", FROM_SERVER, true, 1},
    {"RSV1 on a close (RFC 7692 §6.1)", "c8 02", FROM_SERVER, true, 1},
    {"RSV1 on a ping", "c9 02", FROM_SERVER, true, 1},
    {"RSV1 on a pong", "ca 02", FROM_SERVER, true, 1},
    {"a fragmented close (§5.5)", "08 00", FROM_SERVER, true, 1},
    {"a fragmented ping (§5.5)", "09 00", FROM_SERVER, true, 1},
    {"a fragmented pong (§5.5)", "0a 00", FROM_SERVER, true, 1},
    {"a close with 16 bits of length (§5.5)", "88 7e 00 7e", FROM_SERVER, true, 2},
    {"a ping with 64 bits of length", "89 7f 00 00 00 00 00 01 00 00", FROM_SERVER, true, 2},
    {"a masked pong of 126 bytes", "8a fe 00 7e 01 02 03 04", FROM_CLIENT, true, 2},
    {"a client that doesn't mask (§5.1)", "81 05", FROM_CLIENT, true, 2},
    {"a server that masks (§5.1)", "81 85 01 02 03 04", FROM_SERVER, true, 2},
    {"0 in 16 bits (§5.2: minimal)", "82 7e 00 00", FROM_SERVER, true, 4},
    {"125 in 16 bits", "82 7e 00 7d", FROM_SERVER, true, 4},
    {"0 in 64 bits", "82 7f 00 00 00 00 00 00 00 00", FROM_SERVER, true, 8},
    {"125 in 64 bits", "82 7f 00 00 00 00 00 00 00 7d", FROM_SERVER, true, 8},
    {"65535 in 64 bits", "82 7f 00 00 00 00 00 00 ff ff", FROM_SERVER, true, 8},
    {"2^63 (§5.2: highest bit)", "82 7f 80 00 00 00 00 00 00 00", FROM_SERVER, true, 3},
    {"2^64-1", "82 ff ff ff ff ff ff ff ff ff 01 02 03 04", FROM_CLIENT, true, 3},
};

static void test_bad(const char *name, const uint8_t *data, size_t len, const struct bad_row *row)
{
    check_test("%s", name);
    for (size_t have = 0; have <= len; have++) {
        uint8_t *copy = check_copy(data, have);
        struct mw_frame frame;
        const char *why = NULL;
        enum mw_frame_result result =
            mw_frame_parse(&frame, copy, have, row->role == FROM_CLIENT, row->rsv1_allowed, &why);
        EXPECT(result == (have < row->seen_at ? MW_FRAME_PARTIAL : MW_FRAME_INVALID));
        EXPECT((result == MW_FRAME_INVALID) == (why != NULL));
        free(copy);
    }
}

/* Every first byte with every second one, judged by a plain reading of §5.2. */
static void test_first_two(enum role role, bool rsv1_allowed)
{
    check_test("all first two bytes from a %s, RSV1 %s", role == FROM_CLIENT ? "client" : "server",
               rsv1_allowed ? "agreed on" : "not agreed on");
    for (unsigned value = 0; value < 65536; value++) {
        uint8_t data[14] = {(uint8_t)(value >> 8), (uint8_t)value, 0x01, 0x01, 0x01, 0x01, 0x01};
        unsigned opcode = data[0] & 15U;
        bool control = opcode >= 8;
        bool fin = data[0] >> 7;
        bool rsv1 = data[0] >> 6 & 1;
        bool good = !(data[0] & 0x30) && (opcode <= 2 || (opcode >= 8 && opcode <= 10));
        good = good && (!rsv1 || (rsv1_allowed && (opcode == 1 || opcode == 2)));
        good = good && (!control || (fin && (data[1] & 0x7f) <= 125));
        good = good && (data[1] >> 7) == (role == FROM_CLIENT);
        struct mw_frame frame;
        const char *why = NULL;
        enum mw_frame_result result =
            mw_frame_parse(&frame, data, sizeof data, role == FROM_CLIENT, rsv1_allowed, &why);
        EXPECT(result == (good ? MW_FRAME_OK : MW_FRAME_INVALID));
    }
}

static void test_lengths(void)
{
    check_test("lengths around every power of two survive writing and reading");
    for (int power = 0; power < 63; power++) {
        for (int off = -2; off <= 2; off++) {
            int64_t length = ((int64_t)1 << power) + off;
            if (length < 0)
                continue;
            static const uint8_t key[4] = {9, 8, 7, 6};
            uint8_t data[MW_FRAME_HEADER_MAX];
            size_t len = mw_frame_write(data, MW_OPCODE_BINARY, true, false, (uint64_t)length, key);
            struct mw_frame frame;
            const char *why = NULL;
            EXPECT(len == mw_frame_header_len((uint64_t)length, true));
            EXPECT(mw_frame_parse(&frame, data, len, true, false, &why) == MW_FRAME_OK);
            EXPECT(frame.length == (uint64_t)length && frame.header_len == len);
            EXPECT(memcmp(frame.key, key, 4) == 0);
        }
    }
}

static void test_close_codes(void)
{
    static const struct {
        unsigned from, to;
        bool valid;
    } ranges[] = {
        {0, 999, false},     /* §7.4.2: not used */
        {1000, 1003, true},  /* §7.4.1 */
        {1004, 1006, false}, /* reserved, never on the wire */
        {1007, 1011, true},  /* §7.4.1 */
        {1012, 1014, true},  /* IANA: service restart, try again later, bad gateway */
        {1015, 1015, false}, /* TLS failure, never on the wire */
        {1016, 2999, false}, /* for the protocol and its extensions, unassigned */
        {3000, 4999, true},  /* registered and private */
        {5000, 65535, false},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        check_test("close codes %u to %u are %s", ranges[i].from, ranges[i].to, ranges[i].valid ? "valid" : "not");
        for (unsigned code = ranges[i].from; code <= ranges[i].to; code++)
            EXPECT(mw_close_code_valid(code) == ranges[i].valid);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof good_rows / sizeof good_rows[0]; i++)
        test_good(&good_rows[i]);
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        uint8_t data[32];
        size_t len = check_hex(bad_rows[i].hex, data, sizeof data);
        test_bad(bad_rows[i].name, data, len, &bad_rows[i]);
    }
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        if (opcode <= 2 || (opcode >= 8 && opcode <= 10))
            continue;
        static const struct bad_row reserved = {.role = FROM_SERVER, .rsv1_allowed = true, .seen_at = 1};
        const uint8_t data[2] = {(uint8_t)(0x80 | opcode), 0x00};
        char name[64];
        snprintf(name, sizeof name, "reserved opcode %u (§5.2)", opcode);
        test_bad(name, data, 2, &reserved);
    }
    for (int both = 0; both < 4; both++)
        test_first_two(both & 1 ? FROM_CLIENT : FROM_SERVER, both & 2);
    test_lengths();
    test_close_codes();
    return check_done();
}
