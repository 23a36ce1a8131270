/* log.c - see log.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/log.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { LEVEL = 1, TEXT, FIELDS, DEPTH, NUMBER_SIZE = 40 };

/* Strings are the table's, numbers have been formatted here. */
struct fields {
    struct mw_log_field list[MW_LOG_FIELDS_MAX];
    char numbers[MW_LOG_FIELDS_MAX][NUMBER_SIZE];
    size_t count;
};

/* How far up the stack the script is, which shall read its own line in a complaint. */
static int depth(lua_State *L)
{
    return (int)luaL_optinteger(L, DEPTH, 1);
}

static void fail(lua_State *L, const char *format, ...)
{
    va_list args;

    luaL_where(L, depth(L));
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2);
    lua_error(L);
}

static void check_name(lua_State *L, const char *name, size_t len)
{
    static const char *const taken[] = {"time", "level", "message", "traceback", "omitted"};
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    if (!len || strspn(name, allowed) != len)
        fail(L, "log: field '%s': a name consists of letters, digits, '_', '.' and '-'", name);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcmp(name, taken[i]) == 0)
            fail(L, "log: field '%s': this name is the log's own", name);
    }
}

/* JSON knows no infinity. */
static bool format_number(lua_State *L, char *out)
{
    if (lua_isinteger(L, -1))
        sprintf(out, LUA_INTEGER_FMT, (LUAI_UACINT)lua_tointeger(L, -1));
    else
        sprintf(out, LUA_NUMBER_FMT, (LUAI_UACNUMBER)lua_tonumber(L, -1));
    return isfinite(lua_tonumber(L, -1));
}

/* The name lies below the value, which is on top. */
static void read_field(lua_State *L, struct fields *fields)
{
    struct mw_log_field *field = &fields->list[fields->count];
    char *number = fields->numbers[fields->count];
    size_t len;

    if (lua_type(L, -2) != LUA_TSTRING)
        fail(L, "log: the names of fields must be strings, not a %s", luaL_typename(L, -2));
    field->name = lua_tolstring(L, -2, &len);
    check_name(L, field->name, len);
    field->bare = true;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        field->text = lua_tolstring(L, -1, &field->len);
        field->bare = false;
        break;
    case LUA_TBOOLEAN:
        field->text = lua_toboolean(L, -1) ? "true" : "false";
        field->len = strlen(field->text);
        break;
    case LUA_TNUMBER:
        field->bare = format_number(L, number);
        field->text = number;
        field->len = strlen(number);
        break;
    default:
        fail(L, "log: field '%s' must be a string, a number or a boolean, not a %s", field->name, luaL_typename(L, -1));
    }
    fields->count++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mw_log_field *)a)->name, ((const struct mw_log_field *)b)->name);
}

static void read_fields(lua_State *L, struct fields *fields)
{
    luaL_checktype(L, FIELDS, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, FIELDS)) {
        if (fields->count == MW_LOG_FIELDS_MAX)
            fail(L, "log: there are more than %d fields", MW_LOG_FIELDS_MAX);
        read_field(L, fields);
        lua_pop(L, 1);
    }
    qsort(fields->list, fields->count, sizeof *fields->list, by_name);
}

/* Where the script calls from: the lines of one place are limited together. */
static uint64_t call_site(lua_State *L)
{
    lua_Debug call;

    if (!lua_getstack(L, depth(L), &call) || !lua_getinfo(L, "Sl", &call))
        return 0;
    return mw_log_key((uint64_t)call.currentline + 1, call.short_src);
}

int mw_log_lua(lua_State *L)
{
    static const char *const levels[] = {"error", "warning", "info", NULL};
    struct fields fields = {.count = 0};
    struct mw_log_record record = {.fields = fields.list, .script = true};

    record.level = (enum mw_log_level)luaL_checkoption(L, LEVEL, NULL, levels);
    record.text = luaL_checklstring(L, TEXT, &record.len);
    if (!lua_isnoneornil(L, FIELDS))
        read_fields(L, &fields);
    record.field_count = fields.count;
    record.key = call_site(L);
    mw_log_write(&record);
    return 0;
}
