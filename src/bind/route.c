/* route.c - see route.h. The Lua side has checked names and ranges and says what is wrong in the user's words; what is
 * checked again here protects C. */
/* SPDX-License-Identifier: MIT */
#include "bind/route.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/box.h"
#include "bind/option.h"
#include "bind/topics.h"

static const char ROUTE[] = "moonwire.route";

static const char *const event_names[MW_WS_EVENTS] = {"open",  "message", "drain",  "dropped", "pong",
                                                      "close", "error",   "failed", "unsent"};

const char *mw_ws_event_name(enum mw_ws_event event)
{
    return event_names[event];
}

static void read_deflate(lua_State *L, int table, struct mw_deflate_options *options)
{
    mw_deflate_options_default(options);
    int type = lua_getfield(L, table, "compress");
    options->enabled = lua_toboolean(L, -1);
    if (type == LUA_TTABLE) {
        int at = lua_gettop(L);
        options->level = (int)mw_option_integer(L, at, "level", options->level);
        options->memory = (int)mw_option_integer(L, at, "memory", options->memory);
        options->min_bytes = (size_t)mw_option_integer(L, at, "min_bytes", (lua_Integer)options->min_bytes);
        options->server_no_context_takeover =
            mw_option_boolean(L, at, "server_no_context_takeover", options->server_no_context_takeover);
        options->client_no_context_takeover =
            mw_option_boolean(L, at, "client_no_context_takeover", options->client_no_context_takeover);
        options->server_max_window_bits =
            (int)mw_option_integer(L, at, "server_max_window_bits", options->server_max_window_bits);
        options->client_max_window_bits =
            (int)mw_option_integer(L, at, "client_max_window_bits", options->client_max_window_bits);
    }
    lua_pop(L, 1);
}

static void read_settings(lua_State *L, int table, struct mw_connection_settings *settings)
{
    static const char *const policies[] = {"close", "drop", "latest", NULL};

    mw_connection_settings_default(settings);
    settings->max_payload = (uint64_t)mw_option_integer(L, table, "max_payload", (lua_Integer)settings->max_payload);
    settings->max_fragments = (uint32_t)mw_option_integer(L, table, "max_fragments", settings->max_fragments);
    settings->max_control_per_second =
        (uint32_t)mw_option_integer(L, table, "max_control_per_second", settings->max_control_per_second);
    settings->max_backpressure =
        (size_t)mw_option_integer(L, table, "max_backpressure", (lua_Integer)settings->max_backpressure);
    settings->high_water =
        (size_t)mw_option_integer(L, table, "high_water", (lua_Integer)settings->max_backpressure / 4);
    settings->ping_interval_ms = mw_option_ms(L, table, "ping_interval", settings->ping_interval_ms);
    settings->pong_timeout_ms = mw_option_ms(L, table, "pong_timeout", settings->pong_timeout_ms);
    settings->idle_timeout_ms = mw_option_ms(L, table, "idle_timeout", settings->idle_timeout_ms);
    settings->close_timeout_ms = mw_option_ms(L, table, "close_timeout", settings->close_timeout_ms);
    settings->write_timeout_ms = mw_option_ms(L, table, "write_timeout", settings->write_timeout_ms);
    if (lua_getfield(L, table, "slow") != LUA_TNIL)
        settings->slow = (enum mw_slow_policy)luaL_checkoption(L, -1, NULL, policies);
    lua_pop(L, 1);
    read_deflate(L, table, &settings->deflate);
}

enum route_value { ROUTE_HUB = 1, ROUTE_BEHAVIOUR = MW_ROUTE_BEHAVIOUR, ROUTE_VALUES = ROUTE_BEHAVIOUR };

static void drop_handlers(lua_State *L, struct mw_route *route)
{
    for (int i = 0; i < MW_WS_EVENTS; i++) {
        luaL_unref(L, LUA_REGISTRYINDEX, route->handlers[i]);
        route->handlers[i] = LUA_NOREF;
    }
}

static void read_handlers(lua_State *L, int table, struct mw_route *route)
{
    drop_handlers(L, route);
    for (int i = 0; i < MW_WS_EVENTS; i++) {
        if (lua_getfield(L, table, event_names[i]) == LUA_TNIL)
            lua_pop(L, 1);
        else
            route->handlers[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
}

/* Reads the behaviour table at `table` into the route, whose userdata is at `self`. */
static void read_behaviour(lua_State *L, int self, int table, struct mw_route *route)
{
    luaL_checktype(L, table, LUA_TTABLE);
    read_settings(L, table, &route->settings);
    lua_pushvalue(L, table);
    lua_setiuservalue(L, self, ROUTE_BEHAVIOUR);
    if (route->users)
        read_handlers(L, table, route);
    if (lua_getfield(L, table, "hub") != LUA_TNIL)
        route->hub = mw_hub_check(L, -1);
    lua_setiuservalue(L, self, ROUTE_HUB);
    if (lua_getfield(L, table, "name") == LUA_TSTRING)
        strncpy(route->name, lua_tostring(L, -1), sizeof route->name - 1);
    lua_pop(L, 1);
}

int mw_route_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct mw_route *route = lua_newuserdatauv(L, sizeof *route, ROUTE_VALUES);
    memset(route, 0, sizeof *route);
    route->type = ROUTE;
    for (int i = 0; i < MW_WS_EVENTS; i++)
        route->handlers[i] = LUA_NOREF;
    luaL_setmetatable(L, ROUTE);
    read_behaviour(L, lua_gettop(L), 1, route);
    return 1;
}

int mw_route_update(lua_State *L)
{
    read_behaviour(L, 1, 2, mw_route_check(L, 1));
    return 0;
}

void mw_route_bind(lua_State *L, int index, struct mw_route *route)
{
    if (route->users)
        return;
    lua_getiuservalue(L, index, ROUTE_BEHAVIOUR);
    read_handlers(L, lua_gettop(L), route);
    lua_pop(L, 1);
}

void mw_route_leave(lua_State *L, struct mw_route *route)
{
    if (--route->users == 0)
        drop_handlers(L, route);
}

struct mw_route *mw_route_check(lua_State *L, int index)
{
    return mw_box_check(L, index, ROUTE, sizeof(struct mw_route));
}

static int collect(lua_State *L)
{
    drop_handlers(L, mw_route_check(L, 1));
    return 0;
}

void mw_route_open(lua_State *L)
{
    luaL_newmetatable(L, ROUTE);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
