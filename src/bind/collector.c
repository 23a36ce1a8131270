/* collector.c - see collector.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/collector.h"

#include <lauxlib.h>
#include <string.h>

enum { BALLAST_KIB = 1024, PAUSE = 200, STEP = 400 };

/* collectgarbage(option, …) without the ballast; upvalue 1 is Lua's own. */
static int collect(lua_State *L)
{
    const char *option = luaL_optstring(L, 1, "collect");
    int is_count = strcmp(option, "count") == 0;

    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    if (is_count && lua_isnumber(L, 1)) {
        lua_pushnumber(L, lua_tonumber(L, 1) - BALLAST_KIB);
        lua_replace(L, 1);
    }
    return lua_gettop(L);
}

void mw_collector_open(lua_State *L)
{
    lua_gc(L, LUA_GCINC, PAUSE, STEP, 0);
    lua_newuserdatauv(L, BALLAST_KIB * 1024, 0);
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getglobal(L, "collectgarbage");
    lua_pushcclosure(L, collect, 1);
    lua_setglobal(L, "collectgarbage");
}
