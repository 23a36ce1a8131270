/* mask_test.c - base/mask.h against the definition in RFC 6455 §5.3, byte by byte. */
/* SPDX-License-Identifier: MIT */
#include "base/mask.h"

#include "check.h"

enum { LEN_MAX = 40, ALIGN_MAX = 16, GUARD = 0x5a };

static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

static void test_lengths(size_t phase)
{
    check_test("lengths 0 to %d at %d alignments, %zu bytes into the payload", LEN_MAX, ALIGN_MAX, phase);
    for (size_t align = 0; align < ALIGN_MAX; align++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            uint8_t area[ALIGN_MAX + LEN_MAX + 8];
            memset(area, GUARD, sizeof area);
            uint8_t *data = area + align;
            for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)(i * 7);
            mw_mask(data, len, key, phase);
            for (size_t i = 0; i < len; i++)
                EXPECT(data[i] == ((uint8_t)(i * 7) ^ key[(phase + i) % 4]));
            for (size_t i = 0; i < align; i++)
                EXPECT(area[i] == GUARD);
            for (size_t i = align + len; i < sizeof area; i++)
                EXPECT(area[i] == GUARD);
        }
    }
}

static void test_pieces(void)
{
    enum { LEN = 200 };
    uint8_t whole[LEN];
    check_test("a payload masked in two pieces, cut everywhere, is the payload masked at once");
    for (size_t i = 0; i < LEN; i++)
        whole[i] = (uint8_t)(i * 13);
    mw_mask(whole, LEN, key, 0);
    for (size_t split = 0; split <= LEN; split++) {
        uint8_t *first = check_copy(whole, split);
        uint8_t *second = check_copy(whole + split, LEN - split);
        mw_mask(first, split, key, 0);
        mw_mask(second, LEN - split, key, split);
        for (size_t i = 0; i < LEN; i++)
            EXPECT((i < split ? first[i] : second[i - split]) == (uint8_t)(i * 13));
        free(first);
        free(second);
    }
}

int main(void)
{
    for (size_t phase = 0; phase < 9; phase++)
        test_lengths(phase);
    test_lengths(SIZE_MAX - 2);
    test_pieces();

    check_test("the masked Hello of RFC 6455 §5.7");
    uint8_t hello[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    mw_mask(hello, sizeof hello, key, 0);
    EXPECT(memcmp(hello, "Hello", 5) == 0);
    return check_done();
}
