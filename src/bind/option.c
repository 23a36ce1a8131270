/* option.c - see option.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/option.h"

#include <lauxlib.h>

static void wrong(lua_State *L, const char *name, const char *expected)
{
    luaL_error(L, "option '%s': %s expected, got %s", name, expected, luaL_typename(L, -1));
}

lua_Integer mw_option_integer(lua_State *L, int table, const char *name, lua_Integer fallback)
{
    int is_integer = 1;

    if (lua_getfield(L, table, name) != LUA_TNIL) {
        fallback = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || fallback < 0)
            wrong(L, name, "an integer that is not negative");
    }
    lua_pop(L, 1);
    return fallback;
}

bool mw_option_boolean(lua_State *L, int table, const char *name, bool fallback)
{
    int type = lua_getfield(L, table, name);

    if (type == LUA_TBOOLEAN)
        fallback = lua_toboolean(L, -1);
    else if (type != LUA_TNIL)
        wrong(L, name, "a boolean");
    lua_pop(L, 1);
    return fallback;
}

uint32_t mw_option_ms(lua_State *L, int table, const char *name, uint32_t fallback_ms)
{
    int is_number = 1;

    if (lua_getfield(L, table, name) != LUA_TNIL) {
        lua_Number seconds = lua_tonumberx(L, -1, &is_number);
        if (!is_number || !(seconds >= 0 && seconds <= 2000000))
            wrong(L, name, "a number of seconds from 0 to 2000000");
        fallback_ms = seconds > 0 && seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000);
    }
    lua_pop(L, 1);
    return fallback_ms;
}

const char *mw_option_string(lua_State *L, int table, const char *name)
{
    int type = lua_getfield(L, table, name);

    if (type != LUA_TNIL && type != LUA_TSTRING)
        wrong(L, name, "a string");
    return lua_tostring(L, -1);
}
