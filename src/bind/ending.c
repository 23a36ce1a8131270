/* ending.c - see ending.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/ending.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "bind/upgrade.h"

enum { TEXT_MAX = MW_ENDING_TEXT_MAX + 128, WHERE_SIZE = 320 };

static void add(struct mw_log_field *fields, struct mw_log_record *record, const char *name, const char *text,
                bool bare)
{
    fields[record->field_count++] =
        (struct mw_log_field){.name = name, .text = text, .len = strlen(text), .bare = bare};
}

/* One line; those of one rule are limited together. The name of a client's route is its address. */
static void log_ending(const struct mw_ws *ws, const struct mw_ending *ending)
{
    char text[MW_ENDING_TEXT_MAX], line[TEXT_MAX], where[WHERE_SIZE], id[32], port[16], queued[16];
    struct mw_log_field fields[8];
    struct mw_log_record record = {.where = where, .text = line, .fields = fields};
    const char *by = mw_ending_by_peer(ending) ? "the peer" : "us";
    bool is_client = !ws->route->hub;
    struct mw_upgrade_origin origin = {.port = 0};

    if (!mw_ending_is_logged(ending, &ws->route->settings, &record.level) || !mw_log_wants(record.level))
        return;
    bool has_peer = mw_upgrade_origin(ws, &origin);
    snprintf(port, sizeof port, "%d", origin.port);
    snprintf(id, sizeof id, "%lld", (long long)ws->id);
    snprintf(queued, sizeof queued, "%u", (unsigned)ending->queued);
    snprintf(where, sizeof where, "WebSocket %s %s %s%s%s%s%s", id, is_client ? "to" : "on", ws->route->name,
             has_peer ? ", from " : "", origin.address, origin.port ? ":" : "", origin.port ? port : "");
    snprintf(line, sizeof line, "closed by %s, %s: %s; %s bytes queued, last bytes from it %.1f s ago", by,
             mw_ending_name(ending->rule), mw_ending_text(ending, &ws->route->settings, text, sizeof text), queued,
             ending->received_ago / 1000.0);
    record.len = strlen(line);
    record.key = mw_log_key(mw_log_key(0, "ending"), mw_ending_name(ending->rule));
    add(fields, &record, "kind", is_client ? "client" : "websocket", false);
    add(fields, &record, "route", ws->route->name, false);
    add(fields, &record, "id", id, true);
    if (has_peer)
        add(fields, &record, "remote_address", origin.address, false);
    if (origin.port)
        add(fields, &record, "remote_port", port, true);
    if (origin.request_id[0])
        add(fields, &record, "request_id", origin.request_id, false);
    add(fields, &record, "rule", mw_ending_name(ending->rule), false);
    add(fields, &record, "queued", queued, true);
    mw_log_write(&record);
}

void mw_ws_forget_ending(struct mw_ws *ws)
{
    free(ws->ending);
    ws->ending = NULL;
}

void mw_ws_keep_ending(struct mw_ws *ws, const struct mw_ending *ending)
{
    struct mw_ending *kept = malloc(sizeof *kept + ending->reason_len);

    log_ending(ws, ending);
    mw_ws_forget_ending(ws);
    if (!kept)
        return;
    *kept = *ending;
    if (ending->reason_len)
        kept->reason = memcpy(kept + 1, ending->reason, ending->reason_len);
    ws->ending = kept;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, uint32_t ms)
{
    lua_pushnumber(L, ms / 1000.0);
    lua_setfield(L, -2, name);
}

void mw_ws_push_ending(lua_State *L, const struct mw_ws *ws)
{
    const struct mw_ending *ending = ws->ending;
    char text[MW_ENDING_TEXT_MAX];

    if (!ending) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 11);
    set_string(L, "by", mw_ending_by_peer(ending) ? "peer" : "us");
    set_string(L, "rule", mw_ending_name(ending->rule));
    set_string(L, "text", mw_ending_text(ending, &ws->route->settings, text, sizeof text));
    set_string(L, "began", mw_ending_name(ending->began));
    set_string(L, "error", ending->system_error ? uv_err_name(-ending->system_error) : NULL);
    set_integer(L, "code", ending->code);
    lua_pushlstring(L, ending->reason ? ending->reason : "", ending->reason_len);
    lua_setfield(L, -2, "reason");
    set_integer(L, "queued", ending->queued);
    set_seconds(L, "received_ago", ending->received_ago);
    set_seconds(L, "message_ago", ending->message_ago);
    if (ending->pinged_ago != MW_ENDING_NEVER)
        set_seconds(L, "pinged_ago", ending->pinged_ago);
}

void mw_ws_push_rules(lua_State *L)
{
    lua_createtable(L, MW_ENDING_RULES - 1, 0);
    for (unsigned rule = 1; rule < MW_ENDING_RULES; rule++) {
        lua_pushstring(L, mw_ending_name(rule));
        lua_rawseti(L, -2, rule);
    }
}

int mw_ws_lua_close(lua_State *L)
{
    struct mw_ws *ws = mw_ws_check(L, 1);
    enum mw_ending_rule rule = mw_ending_find(luaL_checkstring(L, 2));
    unsigned code = (unsigned)luaL_checkinteger(L, 3);
    size_t len;
    const char *reason = luaL_checklstring(L, 4, &len);

    luaL_argcheck(L, rule, 2, "no such rule");
    ws->closing_by_hand = true;
    if (!ws->connection)
        return 0;
    if (code == MW_CLOSE_ABNORMAL) {
        ws->connection->reset = true;
        mw_connection_terminate(ws->connection, rule, reason);
    } else {
        mw_connection_close(ws->connection, rule, code, reason, len);
    }
    return 0;
}
