/* traceback.c - see traceback.h.
 * What was kept of an inner coroutine is a table in the registry: [1] the error that was raised outside of it, [2] the text.
 * Its values are weak: it shall not keep an error alive that a script has caught. */
/* SPDX-License-Identifier: MIT */
#include "bind/traceback.h"

#include <lauxlib.h>

static const char KEPT[] = "moonwire.traceback";

/* Pushes what was kept for the error at `index`, or nil. */
static void push_kept(lua_State *L, int index)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, KEPT) == LUA_TNIL)
        return;
    lua_rawgeti(L, -1, 1);
    bool is_same = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    lua_rawgeti(L, -1, is_same ? 2 : 3);
    lua_remove(L, -2);
}

/* Replaces the text on top, nil for none, by itself and the stack of `co`. */
static void append_stack(lua_State *L, lua_State *co, int level)
{
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        luaL_traceback(L, co, NULL, level);
        return;
    }
    lua_pushliteral(L, "\nresumed by:\n");
    luaL_traceback(L, co, NULL, level);
    lua_concat(L, 3);
}

void mw_traceback_push(lua_State *L, lua_State *co, int level)
{
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    push_kept(L, lua_gettop(L));
    append_stack(L, co, level);
    lua_remove(L, -2);
}

void mw_traceback_keep(lua_State *L, int text)
{
    text = lua_absindex(L, text);
    if (!luaL_getsubtable(L, LUA_REGISTRYINDEX, KEPT)) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, text);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 1);
    lua_remove(L, text);
}

static int describe_running(lua_State *L)
{
    const struct mw_runtime *runtime = lua_touserdata(L, 1);

    lua_pushnil(L);
    for (const struct mw_running *running = runtime->running; running->outer; running = running->outer)
        append_stack(L, running->co, 0);
    return 1;
}

const char *mw_traceback_of_running(struct mw_runtime *runtime)
{
    lua_State *L = runtime->lua;

    lua_pushcfunction(L, describe_running);
    lua_pushlightuserdata(L, runtime);
    lua_pcall(L, 1, 1, 0);
    const char *text = lua_tostring(L, -1);
    return text ? text : "no memory is left to tell";
}
