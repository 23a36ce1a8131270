/* ending.c - see ending.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/ending.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"

enum { PEER_MAX = 96 };

/* " from 192.0.2.1:51234" of a server's WebSocket, as upgrade.c packed it; "" of a client's, whose name is the address. */
static const char *describe_peer(const struct mw_ws *ws, char *out)
{
    lua_State *L = ws->runtime->lua;
    int top = lua_gettop(L);
    size_t len = 0;

    out[0] = '\0';
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->ref);
    lua_getiuservalue(L, -1, MW_WS_ORIGIN);
    const uint8_t *packed = lua_type(L, -1) == LUA_TSTRING ? (const uint8_t *)lua_tolstring(L, -1, &len) : NULL;
    if (packed) {
        const uint8_t *address = packed + 2 + (packed[0] | packed[1] << 8);
        const uint8_t *port = address + 1 + address[0];
        bool is_v6 = memchr(address + 1, ':', address[0]);
        int number = port[0] | port[1] << 8;
        char suffix[8] = "";
        if (number)
            snprintf(suffix, sizeof suffix, ":%d", number);
        snprintf(out, PEER_MAX, is_v6 ? " from [%.*s]%s" : " from %.*s%s", (int)address[0], (const char *)address + 1,
                 suffix);
    }
    lua_settop(L, top);
    return out;
}

static void log_ending(const struct mw_ws *ws, const struct mw_ending *ending)
{
    char text[MW_ENDING_TEXT_MAX], peer[PEER_MAX];
    enum mw_log_level level;

    if (!mw_ending_is_logged(ending, &ws->route->settings, &level))
        return;
    mw_log(level, "WebSocket %lld on %s%s: closed by %s, %s: %s; %u bytes queued, last bytes from it %.1f s ago",
           (long long)ws->id, ws->route->name, describe_peer(ws, peer), mw_ending_by_peer(ending) ? "the peer" : "us",
           mw_ending_name(ending->rule), mw_ending_text(ending, &ws->route->settings, text, sizeof text),
           (unsigned)ending->queued, ending->received_ago / 1000.0);
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
