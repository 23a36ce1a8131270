/* utf8_test.c - base/utf8.h against RFC 3629 and against a second, slower decoder. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include "check.h"

enum verdict { BAD, GOOD, CUT }; /* CUT: a good beginning that may not end here */

struct row {
    const char *name;
    const char *hex;
    enum verdict verdict;
    size_t bad_at; /* for BAD: how many bytes are needed to see it */
};

static const struct row rows[] = {
    {"nothing", "", GOOD, 0},
    {"U+0000, one byte", "00", GOOD, 0},
    {"U+007F, the last of one byte", "7f", GOOD, 0},
    {"U+0080, the first of two", "c2 80", GOOD, 0},
    {"U+07FF, the last of two", "df bf", GOOD, 0},
    {"U+0800, the first of three", "e0 a0 80", GOOD, 0},
    {"U+0FFF", "e0 bf bf", GOOD, 0},
    {"U+1000", "e1 80 80", GOOD, 0},
    {"U+CFFF", "ec bf bf", GOOD, 0},
    {"U+D000", "ed 80 80", GOOD, 0},
    {"U+D7FF, below the surrogates", "ed 9f bf", GOOD, 0},
    {"U+E000, above the surrogates", "ee 80 80", GOOD, 0},
    {"U+FEFF, a byte order mark", "ef bb bf", GOOD, 0},
    {"U+FFFD", "ef bf bd", GOOD, 0},
    {"U+FFFE, a noncharacter", "ef bf be", GOOD, 0},
    {"U+FFFF, the last of three", "ef bf bf", GOOD, 0},
    {"U+10000, the first of four", "f0 90 80 80", GOOD, 0},
    {"U+3FFFF", "f0 bf bf bf", GOOD, 0},
    {"U+40000", "f1 80 80 80", GOOD, 0},
    {"U+FFFFF", "f3 bf bf bf", GOOD, 0},
    {"U+100000", "f4 80 80 80", GOOD, 0},
    {"U+10FFFF, the last of all", "f4 8f bf bf", GOOD, 0},
    {"Greek", "ce ba e1 bd b9 cf 83 ce bc ce b5", GOOD, 0},
    {"sixteen ASCII bytes and a pair", "61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 c3 a9", GOOD, 0},

    {"U+D800 (§3: surrogates)", "ed a0 80", BAD, 2},
    {"U+DB7F", "ed ad bf", BAD, 2},
    {"U+DC00", "ed b0 80", BAD, 2},
    {"U+DFFF", "ed bf bf", BAD, 2},
    {"a pair of surrogates (CESU-8)", "ed a0 bd ed b8 80", BAD, 2},
    {"U+110000 (§3: above the last)", "f4 90 80 80", BAD, 2},
    {"U+13FFFF", "f4 bf bf bf", BAD, 2},
    {"lead F5", "f5 80 80 80", BAD, 1},
    {"lead F7", "f7 bf bf bf", BAD, 1},
    {"lead F8, five bytes", "f8 88 80 80 80", BAD, 1},
    {"lead FC, six bytes", "fc 84 80 80 80 80", BAD, 1},
    {"FE", "fe", BAD, 1},
    {"FF", "ff", BAD, 1},
    {"overlong NUL in two (§10)", "c0 80", BAD, 1},
    {"overlong slash in two (§10)", "c0 af", BAD, 1},
    {"overlong U+007F in two", "c1 bf", BAD, 1},
    {"overlong slash in three", "e0 80 af", BAD, 2},
    {"overlong U+07FF in three", "e0 9f bf", BAD, 2},
    {"overlong slash in four", "f0 80 80 af", BAD, 2},
    {"overlong U+FFFF in four", "f0 8f bf bf", BAD, 2},
    {"a continuation first", "80", BAD, 1},
    {"the last continuation first", "bf", BAD, 1},
    {"one continuation too many", "c3 a9 a9", BAD, 3},
    {"a lead where a continuation is due", "c3 c3", BAD, 2},
    {"ASCII where a continuation is due", "e2 82 61", BAD, 3},
    {"ASCII where the last of four is due", "f0 9f 98 61", BAD, 4},
    {"NUL where a continuation is due", "c3 00", BAD, 2},
    {"bad behind sixteen good", "61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 ff", BAD, 17},

    {"half of two", "c3", CUT, 0},
    {"a third of three", "e2", CUT, 0},
    {"two thirds of three", "e2 82", CUT, 0},
    {"three quarters of four", "f0 9f 98", CUT, 0},
    {"cut behind ASCII", "61 62 63 f4 8f", CUT, 0},
};

static void feed_in_two(const uint8_t *data, size_t len, size_t split, enum verdict verdict)
{
    struct mw_utf8 state = {0};
    uint8_t *first = check_copy(data, split);
    uint8_t *second = check_copy(data + split, len - split);
    bool good = mw_utf8_feed(&state, first, split) && mw_utf8_feed(&state, second, len - split);
    EXPECT(good == (verdict != BAD));
    EXPECT((good && mw_utf8_complete(&state)) == (verdict == GOOD));
    free(first);
    free(second);
}

static void test_rows(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        uint8_t data[32];
        size_t len = check_hex(row->hex, data, sizeof data);
        check_test("%s", row->name);
        EXPECT(mw_utf8_valid(data, len) == (row->verdict == GOOD));
        for (size_t split = 0; split <= len; split++)
            feed_in_two(data, len, split, row->verdict);

        struct mw_utf8 state = {0};
        size_t at = 0;
        while (at < len && mw_utf8_feed(&state, data + at, 1))
            at++;
        EXPECT(row->verdict == BAD ? at + 1 == row->bad_at : at == len);
        if (row->verdict == BAD) {
            EXPECT(!mw_utf8_complete(&state));
            EXPECT(!mw_utf8_feed(&state, "a", 1) && !mw_utf8_feed(&state, "\x80", 1));
        }
    }
}

/* Decodes one character the long way: how many bytes it has, 0 when there is none. */
static size_t slow_character(const uint8_t *at, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;
    if (!count || count > len)
        return 0;
    uint32_t point = count == 1 ? at[0] : at[0] & (0x7fU >> count);
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3f);
    }
    if (point < least[count] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return count;
}

static bool slow_valid(const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t step = slow_character(data + at, len - at);
        if (!step)
            return false;
        at += step;
    }
    return true;
}

static void test_all_short(void)
{
    long wrong = 0;
    check_test("all sequences of up to three bytes, as the slow decoder sees them");
    for (uint32_t value = 0; value < 1U << 24; value++) {
        const uint8_t data[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        wrong += mw_utf8_valid(data, 3) != slow_valid(data, 3);
        if (value < 1U << 16)
            wrong += mw_utf8_valid(data + 1, 2) != slow_valid(data + 1, 2);
        if (value < 1U << 8)
            wrong += mw_utf8_valid(data + 2, 1) != slow_valid(data + 2, 1);
    }
    EXPECT(wrong == 0);

    check_test("all first three bytes of four with the borders of the last");
    for (uint32_t value = 0xf0U << 16; value < 1U << 24; value++) {
        static const uint8_t last[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
        for (size_t i = 0; i < sizeof last; i++) {
            const uint8_t data[4] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value, last[i]};
            wrong += mw_utf8_valid(data, 4) != slow_valid(data, 4);
        }
    }
    EXPECT(wrong == 0);
}

static void test_positions(void)
{
    static const char *const sequences[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\xed\xa0\x80"};
    check_test("one sequence at every place of ASCII runs of 0 to 70 bytes, cut everywhere");
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        size_t width = strlen(sequences[i]);
        for (size_t len = width; len <= 70; len++) {
            for (size_t at = 0; at + width <= len; at++) {
                uint8_t data[80];
                memset(data, 'a', sizeof data);
                memcpy(data + at, sequences[i], width);
                enum verdict verdict = i < 3 ? GOOD : BAD;
                EXPECT(mw_utf8_valid(data, len) == (verdict == GOOD));
                if (len == 40 || len == 33) {
                    for (size_t split = 0; split <= len; split++)
                        feed_in_two(data, len, split, verdict);
                }
            }
        }
    }
}

static void test_random(void)
{
    static const uint8_t likely[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf,
                                     0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xc3, 0x80, 0x80};
    uint64_t seed = 7;
    check_test("200,000 random texts of border bytes, in two pieces");
    for (int i = 0; i < 200000; i++) {
        uint8_t data[24];
        size_t len = check_random(&seed) % (sizeof data + 1);
        for (size_t at = 0; at < len; at++)
            data[at] = likely[check_random(&seed) % sizeof likely];
        size_t split = len ? check_random(&seed) % len : 0;
        struct mw_utf8 state = {0};
        bool good = mw_utf8_feed(&state, data, split) && mw_utf8_feed(&state, data + split, len - split) &&
                    mw_utf8_complete(&state);
        EXPECT(good == slow_valid(data, len) && good == mw_utf8_valid(data, len));
    }
}

int main(void)
{
    test_rows();
    test_all_short();
    test_positions();
    test_random();
    check_test("no bytes at no address");
    EXPECT(mw_utf8_valid(NULL, 0));
    return check_done();
}
