/* failure.c - see failure.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/failure.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bind/task.h"
#include "bind/traceback.h"
#include "net/engine.h"

enum { WHERE_SIZE = 512, SHOWN_FIELDS = 6 };

/* In the registry, by its address: the function that hears of errors in tasks. */
static const char HOOK[] = "moonwire.on_error";

/* ---- what happened ---- */

/* Replaces the table on top by words: what its plain fields say, a few of them. */
static void describe_table(lua_State *L)
{
    int table = lua_gettop(L), count = 0;

    lua_pushliteral(L, "(error object is a table");
    lua_pushnil(L);
    while (lua_next(L, table)) {
        bool is_shown = lua_type(L, -2) == LUA_TSTRING && (lua_isstring(L, -1) || lua_isboolean(L, -1));
        if (is_shown && count < SHOWN_FIELDS) {
            lua_pushvalue(L, table + 1);
            lua_pushfstring(L, "%s %s = ", count++ ? "," : ":", lua_tostring(L, -3));
            luaL_tolstring(L, -3, NULL);
            lua_concat(L, 3);
            lua_replace(L, table + 1);
        }
        lua_pop(L, 1);
    }
    lua_pushliteral(L, ")");
    lua_concat(L, 2);
    lua_replace(L, table);
}

/* The error at 1, as text. */
static int to_text(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else if (lua_istable(L, 1))
        describe_table(L);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

/* Replaces the error on top by text, even if its __tostring fails. That is a script's: both limits bind it. */
static void replace_by_text(lua_State *L)
{
    const char *type = luaL_typename(L, -1);
    struct mw_runtime *runtime = mw_runtime_of(L);
    struct mw_running here;

    if (lua_type(L, -1) == LUA_TSTRING)
        return;
    lua_pushcfunction(L, to_text);
    lua_insert(L, -2);
    mw_running_enter(runtime, &here, L);
    int status = lua_pcall(L, 1, 1, 0);
    mw_running_leave(runtime, &here);
    if (status == LUA_OK)
        return;
    lua_pushfstring(L, "(error object is a %s value, and its __tostring failed: %s)", type,
                    lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
    lua_replace(L, -2);
}

static int describe_failed(lua_State *L)
{
    lua_State *co = lua_touserdata(L, 1);

    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    replace_by_text(L);
    lua_pushliteral(L, "\n");
    mw_traceback_push(L, co, 0);
    lua_concat(L, 3);
    return 1;
}

const char *mw_failure_describe(lua_State *L, lua_State *co)
{
    lua_pushcfunction(L, describe_failed);
    lua_pushlightuserdata(L, co);
    lua_pcall(L, 1, 1, 0);
    const char *text = lua_tostring(L, -1);
    return text ? text : "an error without a message";
}

int mw_failure_lua_traceback(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    replace_by_text(L);
    lua_insert(L, 1);
    mw_traceback_push(L, L, 1);
    lua_replace(L, 2);
    lua_pushliteral(L, "\n");
    lua_insert(L, 2);
    lua_concat(L, 3);
    return 1;
}

/* ---- telling ---- */

static void add(char *text, size_t *len, const char *format, const char *value)
{
    if (value && *len < WHERE_SIZE - 1)
        *len += (size_t)snprintf(text + *len, WHERE_SIZE - *len, format, value);
}

/* "WebSocket 17 on /chat/:room, message, from 192.0.2.1:5021" */
static const char *words(const struct mw_failure *failure, char text[WHERE_SIZE])
{
    char id[32] = "", port[16] = "";
    const char *kind = failure->kind;
    bool is_client = strcmp(kind, "client") == 0;
    size_t len = 0;

    snprintf(id, sizeof id, "WebSocket %lld", (long long)failure->id);
    snprintf(port, sizeof port, "%d", failure->port);
    text[0] = '\0';
    if (strcmp(kind, "http") == 0) {
        add(text, &len, "%s", failure->event);
        add(text, &len, " %s", failure->route ? failure->route : failure->path);
    } else {
        add(text, &len, "%s", failure->id ? id : kind);
        add(text, &len, is_client ? " to %s" : " on %s", failure->route);
        add(text, &len, ", %s", failure->event);
    }
    add(text, &len, is_client ? NULL : ", from %s", is_client ? NULL : failure->address);
    add(text, &len, ":%s", failure->address && failure->port && !is_client ? port : NULL);
    add(text, &len, ", request %s", failure->request_id);
    return text;
}

static void add_field(struct mw_log_record *record, struct mw_log_field *fields, const char *name, const char *text)
{
    if (text)
        fields[record->field_count++] = (struct mw_log_field){.name = name, .text = text, .len = strlen(text)};
}

static void add_number(struct mw_log_record *record, struct mw_log_field *fields, const char *name, long long number,
                       char text[32])
{
    if (!number)
        return;
    snprintf(text, 32, "%lld", number);
    add_field(record, fields, name, text);
    fields[record->field_count - 1].bare = true;
}

void mw_failure_log(const struct mw_failure *failure, const char *error)
{
    static const struct mw_failure main_chunk = {.kind = "script"};
    struct mw_log_field fields[8];
    struct mw_log_record record = {
        .level = MW_LOG_ERROR, .text = error, .len = strlen(error), .fields = fields, .lines = true};
    char where[WHERE_SIZE], id[32], port[32];

    record.where = failure ? words(failure, where) : "";
    if (!failure)
        failure = &main_chunk;
    record.key = mw_log_key(mw_log_key(mw_log_key(0, failure->kind), failure->route), failure->event);
    add_field(&record, fields, "kind", failure->kind);
    add_field(&record, fields, "route", failure->route);
    add_field(&record, fields, "event", failure->event);
    add_number(&record, fields, "id", failure->id, id);
    add_field(&record, fields, "remote_address", failure->address);
    add_number(&record, fields, "remote_port", failure->port, port);
    add_field(&record, fields, "request_id", failure->request_id);
    add_field(&record, fields, "path", failure->path);
    mw_log_write(&record);
}

static void hook_done(void *arg, const char *error)
{
    (void)arg;
    if (error)
        mw_failure_log(&(struct mw_failure){.kind = "on_error"}, error);
}

struct told {
    const char *kind;
    const char *error;
};

static int enter_hook(lua_State *L)
{
    const struct told *told = lua_touserdata(L, 1);

    lua_rawgetp(L, LUA_REGISTRYINDEX, HOOK);
    lua_pushstring(L, told->error);
    lua_pushstring(L, told->kind);
    return mw_task_invoke(L, 2);
}

void mw_failure_of_task(struct mw_runtime *runtime, const char *kind, const char *error)
{
    kind = kind ? kind : "task";
    mw_failure_log(&(struct mw_failure){.kind = kind}, error);
    runtime->engine->counters.handler_errors++;
    runtime->failed = true;
    bool is_hooked = lua_rawgetp(runtime->lua, LUA_REGISTRYINDEX, HOOK) != LUA_TNIL;
    lua_pop(runtime->lua, 1);
    if (!is_hooked || runtime->in_error_hook)
        return;
    runtime->in_error_hook = true;
    mw_task_call(runtime, enter_hook, &(struct told){kind, error}, hook_done, NULL);
    runtime->in_error_hook = false;
}

int mw_failure_lua_log(lua_State *L)
{
    const char *error = luaL_checkstring(L, 1);

    mw_failure_log(&(struct mw_failure){.kind = luaL_checkstring(L, 2),
                                        .route = luaL_optstring(L, 3, NULL),
                                        .event = luaL_optstring(L, 4, NULL),
                                        .id = luaL_optinteger(L, 5, 0),
                                        .address = luaL_optstring(L, 6, NULL),
                                        .port = (int)luaL_optinteger(L, 7, 0),
                                        .request_id = luaL_optstring(L, 8, NULL),
                                        .path = luaL_optstring(L, 9, NULL)},
                   error);
    mw_runtime_of(L)->engine->counters.handler_errors++;
    return 0;
}

int mw_failure_lua_on_error(lua_State *L)
{
    if (!lua_isnil(L, 1))
        luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, HOOK);
    return 0;
}
