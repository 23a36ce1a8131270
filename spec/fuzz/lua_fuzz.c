/* lua_fuzz.c - the parsers that are written in Lua. lua_fuzz.lua takes the input and checks what comes of it; an error that
 * it raises is a broken promise. Lua's own code carries no instrumentation: the lines that run are counted instead, so that
 * the fuzzer sees where an input has led. */
/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lualib.h>
#include <luv/luv.h>

#include "fuzz.h"

enum { EDGES = 1 << 14 };

/* libFuzzer finds it by the name of its section, and clears it before every input. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t edges[EDGES];

static uintptr_t before;

/* Lines of different files may count as one: what matters is that another way through is seen as another. */
static void on_line(lua_State *L, lua_Debug *event)
{
    uintptr_t here = (uintptr_t)event->currentline * 2654435761U;

    (void)L;
    edges[(here ^ before >> 1) % EDGES]++;
    before = here;
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void fail(lua_State *L)
{
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
}

/* Makes the state, with the function that takes an input on its stack. */
static lua_State *start(void)
{
    static const char script[] = "package.path = 'lua/?.lua;lua/?/init.lua;./?.lua;' .. package.path\n"
                                 "return dofile 'spec/fuzz/lua_fuzz.lua'";
    lua_State *L = luaL_newstate();

    REQUIRE(L);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_luv);
    lua_setfield(L, -2, "luv");
    lua_settop(L, 0);
    lua_pushcfunction(L, with_traceback);
    if (luaL_loadstring(L, script) || lua_pcall(L, 0, 1, 1))
        fail(L);
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    return L;
}

void fuzz_one(const uint8_t *data, size_t len)
{
    static lua_State *L;

    if (!L)
        L = start();
    before = 0;
    lua_pushvalue(L, 2);
    lua_pushlstring(L, (const char *)data, len);
    if (lua_pcall(L, 1, 0, 1))
        fail(L);
    REQUIRE(lua_gettop(L) == 2);
}
