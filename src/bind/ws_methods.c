/* ws_methods.c - what scripts do with a WebSocket: its methods and fields. See ws.h. */
/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <string.h>

#include "base/utf8.h"
#include "bind/box.h"
#include "bind/ending.h"
#include "bind/topics.h"
#include "bind/ws.h"

const char mw_ws_type[] = "moonwire.ws";

enum { REASON_MAX = 123 };

struct mw_ws *mw_ws_check(lua_State *L, int index)
{
    return mw_box_check(L, index, mw_ws_type, sizeof(struct mw_ws));
}

/* The one whose message is being handled is the one that most calls are made on. */
static struct mw_ws *self(lua_State *L)
{
    struct mw_ws *ws = lua_touserdata(L, 1);

    return ws && ws == mw_runtime_of(L)->gathering_ws ? ws : mw_ws_check(L, 1);
}

static int refused(lua_State *L, const char *message, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, code);
    return 3;
}

/* Why nothing can be sent now. */
static int not_open(lua_State *L, const struct mw_ws *ws)
{
    if (ws->opening)
        return refused(L, "the connection is not open yet", "connecting");
    if (ws->connection && ws->connection->state == MW_CLOSING)
        return refused(L, "the connection is closing", "closing");
    return refused(L, "closed", "closed");
}

static int sent(lua_State *L, const struct mw_ws *ws, enum mw_send_result result)
{
    switch (result) {
    case MW_SEND_QUEUED:
        lua_pushboolean(L, true);
        return 1;
    case MW_SEND_BACKPRESSURE:
        lua_pushboolean(L, true);
        lua_pushliteral(L, "backpressure");
        return 2;
    case MW_SEND_FULL:
        return refused(L, "the send queue is full", "full");
    case MW_SEND_CLOSED:
        break;
    }
    return not_open(L, ws);
}

bool mw_kind_check(lua_State *L, int index, const char *data, size_t len)
{
    const char *kind = lua_tostring(L, index);

    /* Lua has each short string only once. */
    if (kind && kind == mw_runtime_of(L)->binary_name)
        return false;
    kind = luaL_optstring(L, index, "text");
    luaL_argcheck(L, strcmp(kind, "text") == 0, index, "\"text\" or \"binary\" expected");
    if (!mw_utf8_valid(data, len))
        luaL_error(L, "a text message must be UTF-8; pass \"binary\" as the kind for other bytes");
    return true;
}

/* A message that can't leave now: a client's rules may keep it, or know better why not. */
static int unsent(lua_State *L, const struct mw_ws *ws)
{
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, MW_WS_ROUTE);
    lua_getiuservalue(L, -1, MW_ROUTE_BEHAVIOUR);
    if (lua_getfield(L, -1, mw_ws_event_name(MW_WS_UNSENT)) == LUA_TNIL)
        return not_open(L, ws);
    lua_replace(L, 4);
    lua_settop(L, 4);
    lua_insert(L, 1);
    lua_call(L, 3, LUA_MULTRET);
    return lua_gettop(L);
}

static int ws_send(lua_State *L)
{
    struct mw_ws *ws = self(L);
    size_t len;
    const char *data = lua_tolstring(L, 2, &len);

    if (!data)
        data = luaL_checklstring(L, 2, &len); /* which says what is wrong */
    bool text = mw_kind_check(L, 3, data, len);
    if (!ws->connection || ws->connection->state != MW_OPEN)
        return unsent(L, ws);
    return sent(L, ws, mw_connection_send(ws->connection, data, len, text));
}

static int ws_publish(lua_State *L)
{
    struct mw_ws *ws = self(L);

    if (!ws->route->hub)
        return luaL_error(L, "publish: a client has no topics");
    return mw_hub_publish_arguments(L, ws->route->hub, 2, &ws->subscriber);
}

static int ws_subscribe(lua_State *L)
{
    struct mw_ws *ws = self(L);
    size_t len;
    const char *topic = luaL_checklstring(L, 2, &len);

    if (!ws->route->hub)
        return luaL_error(L, "subscribe: a client has no topics");
    if (!ws->connection)
        return not_open(L, ws);
    if (mw_hub_subscribe(&ws->route->hub->hub, &ws->subscriber, topic, len) < 0)
        return luaL_error(L, "not enough memory");
    lua_pushboolean(L, true);
    return 1;
}

static int ws_unsubscribe(lua_State *L)
{
    struct mw_ws *ws = self(L);
    size_t len;
    const char *topic = luaL_checklstring(L, 2, &len);

    if (!ws->route->hub)
        return luaL_error(L, "unsubscribe: a client has no topics");
    mw_hub_forget_latest(ws, mw_hub_find(&ws->route->hub->hub, topic, len));
    lua_pushboolean(L, mw_hub_unsubscribe(&ws->route->hub->hub, &ws->subscriber, topic, len));
    return 1;
}

static int ws_topics(lua_State *L)
{
    const struct mw_ws *ws = self(L);

    lua_createtable(L, (int)ws->subscriber.count, 0);
    for (uint32_t i = 0; i < ws->subscriber.count; i++) {
        const struct mw_topic *topic = ws->subscriber.list[i].topic;
        lua_pushlstring(L, topic->name, topic->name_len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int ws_close(lua_State *L)
{
    struct mw_ws *ws = self(L);
    lua_Integer code = luaL_optinteger(L, 2, MW_CLOSE_NORMAL);
    size_t len;
    const char *reason = luaL_optlstring(L, 3, "", &len);

    luaL_argcheck(L, code > 0 && code < 65536 && mw_close_code_valid((unsigned)code), 2,
                  "a close code that may be sent is expected (1000-1003, 1007-1014, 3000-4999)");
    luaL_argcheck(L, len <= REASON_MAX, 3, "a close reason has at most 123 bytes");
    luaL_argcheck(L, mw_utf8_valid(reason, len), 3, "a close reason must be UTF-8");
    ws->closing_by_hand = true;
    if (ws->opening) {
        mw_opening_cancel(ws->opening);
        lua_pushboolean(L, true);
        return 1;
    }
    if (!ws->connection || ws->connection->state != MW_OPEN)
        return not_open(L, ws);
    mw_connection_close(ws->connection, MW_ENDING_CLOSED_BY_SCRIPT, (unsigned)code, reason, len);
    lua_pushboolean(L, true);
    return 1;
}

static int ws_terminate(lua_State *L)
{
    struct mw_ws *ws = self(L);

    ws->closing_by_hand = true;
    if (ws->opening)
        mw_opening_cancel(ws->opening);
    else if (ws->connection) {
        ws->connection->reset = true;
        mw_connection_terminate(ws->connection, MW_ENDING_TERMINATED_BY_SCRIPT, "terminated by the script");
    } else
        return not_open(L, ws);
    lua_pushboolean(L, true);
    return 1;
}

static int ws_ping(lua_State *L)
{
    struct mw_ws *ws = self(L);
    size_t len;
    const char *data = luaL_optlstring(L, 2, "", &len);

    luaL_argcheck(L, len <= MW_CONTROL_PAYLOAD_MAX, 2, "a ping carries at most 125 bytes");
    if (!ws->connection)
        return not_open(L, ws);
    return sent(L, ws, mw_connection_ping(ws->connection, data, len));
}

/* ---- fields ---- */

enum field { FIELD_DATA = 1, FIELD_ID, FIELD_BUFFERED, FIELD_READY_STATE, FIELD_ENDING };

static bool is_over(const struct mw_ws *ws)
{
    return !ws->connection || ws->connection->state == MW_CLOSED;
}

static lua_Integer ready_state(const struct mw_ws *ws)
{
    if (ws->connection)
        return ws->connection->state;
    return ws->opening ? MW_CONNECTING : MW_CLOSED;
}

/* What the opening handshake left (params, request, protocol, …). Most connections are never asked: it is taken apart by the
 * Lua side, a field at a time, when somebody does, and kept. Expects box and name on the stack, and nothing else. */
static int handshake_field(lua_State *L, const struct mw_ws *ws)
{
    int kept = lua_getiuservalue(L, 1, MW_WS_FIELDS);

    if (kept == LUA_TTABLE) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, 3) != LUA_TNIL)
            return 1;
    }
    lua_settop(L, 3);
    luaL_getmetafield(L, 1, "restore");
    if (lua_getiuservalue(L, 1, MW_WS_ORIGIN) != LUA_TSTRING)
        return 0;
    lua_pushstring(L, ws->route->name);
    lua_pushvalue(L, 2);
    lua_call(L, 3, 1);
    if (lua_isnil(L, 4))
        return 1;
    if (kept != LUA_TTABLE) {
        lua_createtable(L, 0, 1);
        lua_copy(L, 5, 3);
        lua_setiuservalue(L, 1, MW_WS_FIELDS);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 4);
    lua_rawset(L, 3);
    return 1;
}

/* Methods first, then what C knows, then the opening handshake. Called by Lua itself, and the metatable is hidden: the first
 * argument needs no check. */
static int ws_index(lua_State *L)
{
    const struct mw_ws *ws = lua_touserdata(L, 1);

    lua_pushvalue(L, 2);
    switch (lua_rawget(L, lua_upvalueindex(1))) {
    case LUA_TNIL:
        lua_settop(L, 2);
        return handshake_field(L, ws);
    case LUA_TNUMBER:
        switch ((enum field)lua_tointeger(L, -1)) {
        case FIELD_DATA:
            if (lua_getiuservalue(L, 1, MW_WS_DATA) == LUA_TLIGHTUSERDATA) {
                lua_newtable(L); /* who never looks needs none */
                lua_pushvalue(L, -1);
                lua_setiuservalue(L, 1, MW_WS_DATA);
            }
            break;
        case FIELD_ID:
            lua_pushinteger(L, ws->id);
            break;
        case FIELD_BUFFERED:
            lua_pushinteger(L, is_over(ws) ? 0 : (lua_Integer)ws->connection->queue.bytes);
            break;
        case FIELD_READY_STATE:
            lua_pushinteger(L, ready_state(ws));
            break;
        case FIELD_ENDING:
            mw_ws_push_ending(L, ws);
            break;
        }
        return 1;
    default:
        return 1;
    }
}

static int ws_newindex(lua_State *L)
{
    self(L);
    const char *name = luaL_tolstring(L, 2, NULL);

    if (strcmp(name, "data") != 0)
        return luaL_error(L, "a WebSocket has no field '%s' to set; keep your own values in ws.data", name);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 1, MW_WS_DATA);
    return 0;
}

int mw_ws_on_restore(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_getmetatable(L, mw_ws_type);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "restore");
    return 0;
}

static int ws_tostring(lua_State *L)
{
    static const char *const states[] = {"connecting", "open", "closing", "closed"};
    const struct mw_ws *ws = self(L);

    lua_pushfstring(L, "WebSocket %I (%s)", (LUAI_UACINT)ws->id, states[ready_state(ws)]);
    return 1;
}

static int ws_collect(lua_State *L)
{
    mw_ws_collect(self(L));
    return 0;
}

void mw_ws_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"send", ws_send},     {"publish", ws_publish}, {"subscribe", ws_subscribe}, {"unsubscribe", ws_unsubscribe},
        {"topics", ws_topics}, {"close", ws_close},     {"terminate", ws_terminate}, {"ping", ws_ping},
        {NULL, NULL},
    };
    static const luaL_Reg meta[] = {
        {"__newindex", ws_newindex}, {"__tostring", ws_tostring}, {"__gc", ws_collect}, {NULL, NULL}};
    static const struct {
        const char *name;
        enum field field;
    } fields[] = {{"data", FIELD_DATA},
                  {"id", FIELD_ID},
                  {"buffered", FIELD_BUFFERED},
                  {"ready_state", FIELD_READY_STATE},
                  {"ending", FIELD_ENDING}};

    luaL_newmetatable(L, mw_ws_type);
    luaL_newlib(L, methods);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushinteger(L, fields[i].field);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, ws_index, 1);
    lua_setfield(L, -3, "__index");
    lua_pushliteral(L, "moonwire.ws");
    lua_setfield(L, -3, "__metatable");
    /* Lua modules add methods (send_json, messages) to this table. */
    lua_setfield(L, -2, "methods");
    luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
}
