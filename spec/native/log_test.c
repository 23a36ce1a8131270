/* log_test.c - base/log_line.h and base/log_limit.h: what records look like, where they are cut, and how many pass. */
/* SPDX-License-Identifier: MIT */
#include "base/log_limit.h"
#include "base/log_line.h"
#include "base/utf8.h"

#include "check.h"

static const struct timespec moment = {.tv_sec = 1700000000, .tv_nsec = 7000000};

static struct mw_log_record info(const char *text, size_t len)
{
    return (struct mw_log_record){.level = MW_LOG_INFO, .text = text, .len = len, .key = 7};
}

/* Renders, and checks what holds for every record. */
static size_t render(const struct mw_log_record *record, bool json, char *out)
{
    size_t len = json ? mw_log_render_json(record, &moment, out) : mw_log_render_text(record, out);
    size_t line = 0;

    EXPECT(len > 0 && len <= (json ? MW_LOG_LINE_MAX : MW_LOG_RECORD_MAX));
    EXPECT(out[len - 1] == '\n');
    EXPECT(mw_utf8_valid(out, len));
    for (size_t i = 0; i < len; i++) {
        line++;
        EXPECT((uint8_t)out[i] >= ' ' || out[i] == '\n' || (!json && out[i] == '\t'));
        if (out[i] != '\n')
            continue;
        EXPECT(line <= MW_LOG_LINE_MAX);
        EXPECT(i + 1 == len || out[i + 1] == ' ' || out[i + 1] == '\t'); /* nothing passes for a record of its own */
        line = 0;
    }
    out[len] = '\0';
    return len;
}

static void test_escapes(void)
{
    static const struct {
        const char *name, *text, *shown, *json;
        size_t len;
    } rows[] = {
        {"plain", "a b\"\\", "a b\"\\", "a b\\\"\\\\", 5},
        {"letters of all sizes", "é€😀", "é€😀", "é€😀", 9},
        {"a line feed", "a\nmoonwire: error: b", "a\\nmoonwire: error: b", "a\\nmoonwire: error: b", 20},
        {"a NUL", "a\0b", "a\\x00b", "a\\u0000b", 3},
        {"an escape sequence", "\x1b[31m", "\\x1b[31m", "\\u001b[31m", 5},
        {"tab, return, backspace", "\t\r\b", "\\t\\r\\b", "\\t\\r\\b", 3},
        {"a vertical tab", "\v", "\\x0b", "\\u000b", 1},
        {"DEL", "\x7f", "\\x7f", "\\u007f", 1},
        {"C1: CSI", "\xc2\x9b", "\\u009b", "\\u009b", 2},
        {"after C1", "\xc2\xa0", "\xc2\xa0", "\xc2\xa0", 2},
        {"a line separator", "\u2028\u2029", "\\u2028\\u2029", "\\u2028\\u2029", 6},
        {"marks of direction", "\u202e\u2066\u200f", "\\u202e\\u2066\\u200f", "\\u202e\\u2066\\u200f", 9},
        {"a lone byte", "a\xff", "a\\xff", "a\\\\xff", 2},
        {"a continuation alone", "\x80", "\\x80", "\\\\x80", 1},
        {"an overlong slash", "\xc0\xaf", "\\xc0\\xaf", "\\\\xc0\\\\xaf", 2},
        {"an overlong of three", "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\\\xe0\\\\x80\\\\xaf", 3},
        {"a surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\\\xed\\\\xa0\\\\x80", 3},
        {"past the last", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80", 4},
        {"a cut character", "\xe2\x82", "\\xe2\\x82", "\\\\xe2\\\\x82", 2},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[MW_LOG_RECORD_MAX + 1], expected[256];
        char *text = check_copy(rows[i].text, rows[i].len);
        struct mw_log_record record = info(text, rows[i].len);
        check_test("escapes: %s", rows[i].name);
        render(&record, false, out);
        snprintf(expected, sizeof expected, "moonwire: info: %s\n", rows[i].shown);
        EXPECT(strcmp(out, expected) == 0);
        render(&record, true, out);
        snprintf(expected, sizeof expected,
                 "{\"time\":\"2023-11-14T22:13:20.007Z\",\"level\":\"info\",\"message\":\"%s\"}\n", rows[i].json);
        EXPECT(strcmp(out, expected) == 0);
        free(text);
    }
}

static void test_random_texts(void)
{
    uint64_t seed = 42;
    char out[MW_LOG_RECORD_MAX + 1];

    check_test("20,000 random texts keep within the limits, and come out as UTF-8");
    for (int i = 0; i < 20000; i++) {
        size_t len = check_random(&seed) % (i % 10 ? 40 : 12000);
        uint8_t *text = malloc(len + 1);
        for (size_t at = 0; at < len; at++)
            text[at] = (uint8_t)(i % 3 ? check_random(&seed)
                                       : (uint8_t) "\n\t a\xc3\xa9\xe2\x80\xa8\"\\"[check_random(&seed) % 11]);
        if (len > 100 && i % 2)
            memcpy(text + len / 2, "\nstack traceback:\n", 18);
        char *copy = check_copy(text, len);
        const struct mw_log_field fields[] = {{.name = "a", .text = copy, .len = len}, {"n", "17", 2, true}};
        struct mw_log_record record = info(copy, len);
        record.lines = i % 4 == 0;
        record.fields = fields;
        record.field_count = (size_t)i % 3;
        record.where = i % 5 ? NULL : "somewhere";
        render(&record, i % 7 == 0, out);
        free(copy);
        free(text);
    }
}

static void test_cuts(void)
{
    char text[3000], out[MW_LOG_RECORD_MAX + 1];

    check_test("a line is cut before a character that does not fit, wherever it begins");
    for (size_t before = 0; before < 4; before++) {
        struct mw_log_record record = info(text, sizeof text);
        memset(text, 'x', before);
        for (size_t i = before; i + 1 < sizeof text; i += 2)
            memcpy(text + i, "é", 2);
        text[sizeof text - 1] = 'x';
        size_t len = render(&record, false, out);
        EXPECT(len > MW_LOG_LINE_MAX - 4 && strcmp(out + len - 4, "…\n") == 0);
        len = render(&record, true, out);
        EXPECT(len > MW_LOG_LINE_MAX - 16 && strcmp(out + len - 6, "…\"}\n") == 0);
    }

    check_test("a text that just fits is not cut");
    memset(text, 'x', sizeof text);
    const size_t room = MW_LOG_LINE_MAX - strlen("moonwire: info: ") - 1 - strlen("…");
    struct mw_log_record record = info(text, room);
    EXPECT(render(&record, false, out) == MW_LOG_LINE_MAX - 3 && !strstr(out, "…"));
    record.len++;
    EXPECT(render(&record, false, out) == MW_LOG_LINE_MAX && strstr(out, "…"));
}

static void test_lines(void)
{
    static const char error[] =
        "a.lua:1: x\nmoonwire: error: forged\nstack traceback:\n\t[C]: in ?\n\ta.lua:1: in main chunk";
    char out[MW_LOG_RECORD_MAX + 1];
    struct mw_log_record record = info(error, sizeof error - 1);

    check_test("an error goes over several lines, all but the first indented");
    record.lines = true;
    record.where = "GET /";
    render(&record, false, out);
    EXPECT(strcmp(out, "moonwire: info: GET /: a.lua:1: x\n  moonwire: error: forged\n  stack traceback:\n\t[C]: in ?\n"
                       "\ta.lua:1: in main chunk\n") == 0);

    check_test("of another text only the traceback does");
    record.lines = false;
    record.where = NULL;
    render(&record, false, out);
    EXPECT(strncmp(out, "moonwire: info: a.lua:1: x\\nmoonwire: error: forged\n  stack traceback:\n\t[C]", 74) == 0);

    check_test("in JSON it is a member of its own");
    render(&record, true, out);
    EXPECT(strstr(out, "\"message\":\"a.lua:1: x\\nmoonwire: error: forged\","
                       "\"traceback\":\"\\t[C]: in ?\\n\\ta.lua:1: in main chunk\"}\n"));

    check_test("a record of many lines ends with a mark");
    char *many = malloc(40000);
    for (size_t i = 0; i < 40000; i++)
        many[i] = i % 50 ? 'y' : '\n';
    record = info(many, 40000);
    record.lines = true;
    size_t len = render(&record, false, out);
    EXPECT(len > MW_LOG_RECORD_MAX - 128 && strcmp(out + len - 6, "  …\n") == 0);
    free(many);
}

static void test_fields(void)
{
    char out[MW_LOG_RECORD_MAX + 1], names[32][8], long_text[400];
    struct mw_log_field fields[32] = {{"word", "lobby", 5, false},
                                      {"two", "a b", 3, false},
                                      {"none", "", 0, false},
                                      {"forged", "x\nlevel=1", 9, false},
                                      {"n", "-3", 2, true}};
    struct mw_log_record record = info("hi", 2);

    check_test("fields in both forms");
    record.fields = fields;
    record.field_count = 5;
    render(&record, false, out);
    EXPECT(strcmp(out, "moonwire: info: hi word=lobby two=\"a b\" none=\"\" forged=\"x\\nlevel=1\" n=-3\n") == 0);
    render(&record, true, out);
    EXPECT(strstr(
        out,
        "\"message\":\"hi\",\"word\":\"lobby\",\"two\":\"a b\",\"none\":\"\",\"forged\":\"x\\nlevel=1\",\"n\":-3}"));

    check_test("fields for which there is no room are counted, and the message keeps some");
    memset(long_text, 'z', sizeof long_text);
    for (size_t i = 0; i < 32; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        fields[i] = (struct mw_log_field){names[i], long_text, sizeof long_text, false};
    }
    record = info(long_text, sizeof long_text);
    record.fields = fields;
    record.field_count = 32;
    render(&record, true, out);
    EXPECT(strstr(out, "zzz…\",\"omitted\":29}\n"));
    render(&record, false, out);
    EXPECT(strstr(out, "zzz… omitted=29\n"));
}

static void test_limit(void)
{
    struct mw_log_limit *limit = calloc(1, sizeof *limit);
    struct mw_log_record record = info("hello\nand more", 14);
    struct mw_log_held held;
    uint64_t now = 1000, passed = 0, told_count = 0;
    bool told;

    check_test("ten of a kind pass, then one a second; the rest is counted once");
    for (int i = 0; i < 1000; i++)
        passed += mw_log_limit_pass(limit, &record, now, &held, &told);
    EXPECT(passed == 10 && !told);
    now += 3000;
    for (int i = 0; i < 10; i++)
        passed += mw_log_limit_pass(limit, &record, now, &held, &told);
    EXPECT(passed == 13);
    EXPECT(!mw_log_limit_take(limit, now + 1999, false, &held));
    EXPECT(mw_log_limit_take(limit, now + 2000, false, &held));
    EXPECT(held.count == 997 && held.ms == 5000 && held.level == MW_LOG_INFO);
    EXPECT(held.sample_len == 5 && memcmp(held.sample, "hello", 5) == 0);
    EXPECT(!mw_log_limit_take(limit, now + 20000, true, &held));

    check_test("another kind is not held back by it");
    record.key = 8;
    EXPECT(mw_log_limit_pass(limit, &record, now, &held, &told) && !told);

    check_test("more kinds than there are places: nothing that was held back is forgotten");
    memset(limit, 0, sizeof *limit);
    passed = 0;
    for (uint64_t i = 0; i < 11 * 200; i++) {
        record.key = 100 + i / 11;
        passed += mw_log_limit_pass(limit, &record, now + i, &held, &told);
        told_count += told ? held.count : 0;
    }
    while (mw_log_limit_take(limit, now + 5000, true, &held))
        told_count += held.count;
    EXPECT(passed == 2000 && told_count == 200 && limit->held == 0);

    check_test("all together are held back past a rate that a disk stands");
    memset(limit, 0, sizeof *limit);
    record.script = true;
    passed = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        record.key = 1 + i % 10;
        passed += mw_log_limit_pass(limit, &record, now, &held, &told);
    }
    EXPECT(passed == 2000 && limit->held == 8000);
    free(limit);
}

int main(void)
{
    test_escapes();
    test_cuts();
    test_lines();
    test_fields();
    test_random_texts();
    test_limit();
    return check_done();
}
