/* coroutine.c - see coroutine.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/coroutine.h"

#include <lauxlib.h>

#include "bind/task.h"
#include "bind/traceback.h"

/* Calls Lua's own function, which upvalue 1 is, in this one's place: neither raises once it has got a coroutine that it can
 * take. */
static int call_original(lua_State *L, lua_State *co)
{
    lua_CFunction original = lua_tocfunction(L, lua_upvalueindex(1));

    if (!co || co == L)
        return original(L);
    struct mw_runtime *runtime = mw_runtime_of(L);
    struct mw_running here;
    mw_running_enter(runtime, &here, co);
    int results = original(L);
    mw_running_leave(runtime, &here);
    return results;
}

static int resume(lua_State *L)
{
    return call_original(L, lua_tothread(L, 1));
}

/* Functions to be called at the end of their blocks run in the coroutine that is closed. Of one that runs, Lua's own raises. */
static int close(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    return call_original(L, co && lua_status(co) != LUA_OK ? co : NULL);
}

/* The error of `co` goes on in L, with the line where it came out, as Lua's own wrap does it. */
static int raise(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    /* One that can't be resumed (it runs, or is dead) is none that has failed: its stack is left alone. */
    bool is_failed = status != LUA_OK && status != LUA_YIELD, is_traced = is_failed && status != LUA_ERRMEM;

    if (is_traced)
        mw_traceback_push(L, co, 0);
    if (is_failed)
        status = mw_task_reset(mw_runtime_of(L), L, co);
    lua_xmove(co, L, 1);
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    if (is_traced)
        mw_traceback_keep(L, -2);
    return lua_error(L);
}

static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int nargs = lua_gettop(L), results = 0;

    if (!lua_checkstack(co, nargs))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, nargs);
    int status = mw_task_resume(mw_runtime_of(L), L, co, nargs, &results);
    if (status != LUA_OK && status != LUA_YIELD)
        return raise(L, co);
    if (!lua_checkstack(L, results)) {
        lua_pop(co, results);
        return luaL_error(L, "too many results to resume");
    }
    lua_xmove(co, L, results);
    return results;
}

static int wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

void mw_coroutine_open(lua_State *L)
{
    lua_getglobal(L, "coroutine");
    lua_getfield(L, -1, "resume");
    lua_pushcclosure(L, resume, 1);
    lua_setfield(L, -2, "resume");
    lua_getfield(L, -1, "close");
    lua_pushcclosure(L, close, 1);
    lua_setfield(L, -2, "close");
    lua_pushcfunction(L, wrap);
    lua_setfield(L, -2, "wrap");
    lua_pop(L, 1);
}
