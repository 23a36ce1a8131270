/* log_line.c - see log_line.h. */
/* SPDX-License-Identifier: MIT */
#include "base/log_line.h"

#include <stdio.h>
#include <string.h>

enum { FIELDS_ROOM = 1024, VALUE_ROOM = 256, TRACEBACK_ROOM = 600, CLOSING_ROOM = 8 };

static const char ellipsis[] = "…";
static const char traceback_head[] = "\nstack traceback:\n";

enum style { PLAIN, QUOTED, JSON };

/* A place with room for `limit` bytes; what does not fit is left out behind "…", for which there is always room. */
struct place {
    char *at;
    size_t len;
    size_t limit;
    bool cut;
};

static bool put(struct place *place, const char *bytes, size_t len)
{
    const size_t mark = sizeof ellipsis - 1;

    if (place->cut)
        return false;
    if (place->len + len + mark <= place->limit) {
        memcpy(place->at + place->len, bytes, len);
        place->len += len;
        return true;
    }
    place->cut = true;
    if (place->len + mark <= place->limit) {
        memcpy(place->at + place->len, ellipsis, mark);
        place->len += mark;
    }
    return false;
}

static bool put_string(struct place *place, const char *text)
{
    return put(place, text, strlen(text));
}

/* ---- characters ---- */

/* The length of the character at `at`, and its number; 0 when it is no UTF-8. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

    if (len > left)
        return 0;
    *code = len > 1 ? at[0] & (0x7fu >> len) : at[0];
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    if (len > 1 && (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)))
        return 0;
    return len;
}

/* Line ends and directions of writing that no ASCII rule knows of, and C1. */
static bool is_deceptive(uint32_t code)
{
    return (code >= 0x80 && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0x200e || code == 0x200f || code == 0x061c;
}

static size_t escape_ascii(char *out, size_t size, uint8_t byte, enum style style)
{
    static const char named[] = "\b\t\n\v\f\r", names[] = "btnvfr";
    const char *found = byte ? strchr(named, byte) : NULL;

    if (style != PLAIN && (byte == '"' || byte == '\\'))
        return (size_t)snprintf(out, size, "\\%c", byte);
    if (byte >= 0x20 && byte != 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    if (found && byte != '\v')
        return (size_t)snprintf(out, size, "\\%c", names[found - named]);
    return (size_t)snprintf(out, size, style == JSON ? "\\u%04x" : "\\x%02x", byte);
}

/* The next character of `text`, as it may be shown; returns how many bytes of the text it takes. */
static size_t put_character(struct place *place, const uint8_t *text, size_t left, enum style style)
{
    char escaped[16];
    uint32_t code = 0;
    size_t taken = decode(text, left, &code), len;

    if (taken > 1 && !is_deceptive(code)) {
        put(place, (const char *)text, taken);
        return taken;
    }
    if (taken == 0) /* in JSON, too, it is shown: a string there has no other bytes than UTF-8 */
        len = (size_t)snprintf(escaped, sizeof escaped, style == PLAIN ? "\\x%02x" : "\\\\x%02x", *text);
    else if (taken == 1)
        len = escape_ascii(escaped, sizeof escaped, *text, style);
    else
        len = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)code);
    put(place, escaped, len);
    return taken ? taken : 1;
}

static void put_text(struct place *place, const char *text, size_t len, enum style style)
{
    for (size_t i = 0; i < len && !place->cut;)
        i += put_character(place, (const uint8_t *)text + i, len - i, style);
}

size_t mw_log_beginning(const char *text, size_t len, size_t max)
{
    const char *end = memchr(text, '\n', len);
    size_t first = end ? (size_t)(end - text) : len;

    if (first <= max)
        return first;
    while (max && ((uint8_t)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

/* Where the traceback begins, with its line feed; the text's length when there is none. */
static size_t traceback_at(const struct mw_log_record *record)
{
    const char *found = memmem(record->text, record->len, traceback_head, sizeof traceback_head - 1);
    return found ? (size_t)(found - record->text) : record->len;
}

/* ---- fields ---- */

static bool is_plain_word(const struct mw_log_field *field)
{
    for (size_t i = 0; i < field->len; i++) {
        const uint8_t byte = (uint8_t)field->text[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\')
            return false;
    }
    return field->len > 0;
}

static void put_value(struct place *place, const struct mw_log_field *field, enum style style)
{
    char text[VALUE_ROOM];
    struct place value = {.at = text, .limit = sizeof text};
    bool quoted = style == JSON ? !field->bare : !is_plain_word(field);

    put_text(&value, field->text, field->len, quoted ? style : PLAIN);
    put_string(place, quoted ? "\"" : "");
    put(place, text, value.len);
    put_string(place, quoted ? "\"" : "");
}

/* All fields that have room, each whole. */
static void put_fields(struct place *place, const struct mw_log_record *record, enum style style)
{
    char note[40];
    size_t omitted = 0;

    place->limit -= sizeof note;
    for (size_t i = 0; i < record->field_count; i++) {
        const struct mw_log_field *field = &record->fields[i];
        size_t before = place->len;
        put_string(place, style == JSON ? ",\"" : " ");
        put_text(place, field->name, strlen(field->name), style == JSON ? JSON : PLAIN);
        put_string(place, style == JSON ? "\":" : "=");
        put_value(place, field, style);
        if (place->cut) {
            place->len = before;
            place->cut = false;
            omitted++;
        }
    }
    place->limit += sizeof note;
    if (omitted) {
        snprintf(note, sizeof note, style == JSON ? ",\"omitted\":%zu" : " omitted=%zu", omitted);
        put_string(place, note);
    }
}

/* ---- records ---- */

static const char *level_name(enum mw_log_level level)
{
    static const char *const names[] = {"error", "warning", "info"};
    return names[level];
}

/* Further lines are indented, so that none can pass for a record of its own. */
static size_t put_lines(char *out, size_t used, const char *text, size_t len)
{
    const size_t stop = MW_LOG_RECORD_MAX - sizeof "  …\n";

    for (size_t i = 0; i < len;) {
        const char *end = memchr(text + i, '\n', len - i);
        size_t line_len = end ? (size_t)(end - (text + i)) : len - i;
        if (used + 64 > stop)
            return used + (size_t)sprintf(out + used, "  %s\n", ellipsis);
        size_t room = stop - used < MW_LOG_LINE_MAX ? stop - used : MW_LOG_LINE_MAX;
        struct place line = {.at = out + used, .limit = room - 1};
        bool tabbed = line_len && text[i] == '\t';
        put_string(&line, tabbed ? "\t" : "  ");
        put_text(&line, text + i + tabbed, line_len - tabbed, PLAIN);
        used += line.len;
        out[used++] = '\n';
        i += line_len + 1;
    }
    return used;
}

size_t mw_log_render_text(const struct mw_log_record *record, char *out)
{
    char fields[FIELDS_ROOM];
    struct place tail = {.at = fields, .limit = sizeof fields};
    size_t message_len = traceback_at(record);
    const char *feed = record->lines ? memchr(record->text, '\n', message_len) : NULL;

    if (!record->where)
        put_fields(&tail, record, QUOTED);
    if (feed)
        message_len = (size_t)(feed - record->text);
    struct place line = {.at = out, .limit = MW_LOG_LINE_MAX - 1 - tail.len};
    put_string(&line, "moonwire: ");
    put_string(&line, level_name(record->level));
    put_string(&line, ": ");
    if (record->where && record->where[0]) {
        put_text(&line, record->where, strlen(record->where), PLAIN);
        put_string(&line, ": ");
    }
    put_text(&line, record->text, message_len, PLAIN);
    memcpy(out + line.len, fields, tail.len);
    size_t used = line.len + tail.len;
    out[used++] = '\n';
    if (message_len < record->len)
        used = put_lines(out, used, record->text + message_len + 1, record->len - message_len - 1);
    return used;
}

static void put_member(struct place *place, const char *name, const char *text, size_t len)
{
    put_string(place, ",\"");
    put_string(place, name);
    put_string(place, "\":\"");
    put_text(place, text, len, JSON);
}

size_t mw_log_render_json(const struct mw_log_record *record, const struct timespec *time, char *out)
{
    char fields[FIELDS_ROOM], stamp[32];
    struct place tail = {.at = fields, .limit = sizeof fields};
    struct tm parts;
    size_t message_len = traceback_at(record), traceback_len = record->len - message_len;

    gmtime_r(&time->tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    put_fields(&tail, record, JSON);
    size_t limit = MW_LOG_LINE_MAX - CLOSING_ROOM - tail.len;
    size_t used = (size_t)sprintf(out, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"", stamp, time->tv_nsec / 1000000,
                                  level_name(record->level));
    struct place message = {.at = out, .len = used, .limit = limit - (traceback_len ? TRACEBACK_ROOM : 0)};
    put_member(&message, "message", record->text, message_len);
    out[message.len++] = '"';
    memcpy(out + message.len, fields, tail.len);
    used = message.len + tail.len;
    if (traceback_len) {
        const size_t skipped = sizeof traceback_head - 1;
        struct place trace = {.at = out, .len = used, .limit = MW_LOG_LINE_MAX - CLOSING_ROOM};
        put_member(&trace, "traceback", record->text + message_len + skipped, traceback_len - skipped);
        out[trace.len++] = '"';
        used = trace.len;
    }
    return used + (size_t)sprintf(out + used, "}\n");
}
