/* luv.c - see luv.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/luv.h"

#include <lauxlib.h>
#include <luv/luv.h>
#include <string.h>

#include "base/log.h"
#include "bind/allocator.h"
#include "bind/failure.h"
#include "bind/task.h"
#include "net/engine.h"

static const char CALLBACK[] = "luv callback";

/* luv's callbacks are tasks like all others: they may wait, and an error in one does not end the process. */
static int run_callback(lua_State *L, int nargs, int nresults, int flags)
{
    (void)flags;
    if (nresults == 0) {
        mw_task_spawn(L, nargs, NULL, (void *)CALLBACK);
        return 0;
    }
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, mw_failure_lua_traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, nargs, nresults, base);
    lua_remove(L, base);
    if (status != LUA_OK) {
        mw_failure_of_task(mw_runtime_of(L), CALLBACK, lua_tostring(L, -1));
        lua_pop(L, 1);
        return -status;
    }
    return nresults == LUA_MULTRET ? lua_gettop(L) : nresults;
}

/* Whether the value on top is a handle of luv's. */
static bool is_handle(lua_State *L)
{
    static const char *const types[] = {"uv_async", "uv_check", "uv_fs_event", "uv_fs_poll", "uv_idle",
                                        "uv_pipe",  "uv_poll",  "uv_prepare",  "uv_process", "uv_signal",
                                        "uv_tcp",   "uv_timer", "uv_tty",      "uv_udp"};

    if (lua_type(L, -1) != LUA_TUSERDATA || luaL_getmetafield(L, -1, "__name") == LUA_TNIL)
        return false;
    const char *name = lua_tostring(L, -1);
    bool found = false;
    for (size_t i = 0; name && i < sizeof types / sizeof *types && !found; i++)
        found = strcmp(name, types[i]) == 0;
    lua_pop(L, 1);
    return found;
}

/* Pushes a list of luv's handles, which are those that it anchors in the registry; returns how many. */
static lua_Integer push_handles(lua_State *L)
{
    lua_Integer count = 0;

    lua_newtable(L);
    int list = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, LUA_REGISTRYINDEX)) {
        if (is_handle(L))
            lua_rawseti(L, list, ++count);
        else
            lua_pop(L, 1);
    }
    return count;
}

/* uv.walk(callback): luv's own takes every handle of the loop for one of its own, and ends the process at the first of
 * ours. */
static int walk(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_Integer count = push_handles(L);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_pushvalue(L, 1);
        lua_rawgeti(L, 2, i);
        lua_call(L, 1, 0);
    }
    return 0;
}

static int close_handles(lua_State *L)
{
    lua_Integer count = push_handles(L);

    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        if (luaL_getmetafield(L, -1, "__index") == LUA_TNIL)
            continue;
        lua_getfield(L, -1, "is_closing");
        lua_pushvalue(L, -3);
        lua_call(L, 1, 1);
        if (!lua_toboolean(L, -1)) {
            lua_getfield(L, -2, "close");
            lua_pushvalue(L, -4);
            lua_call(L, 1, 0);
        }
        lua_settop(L, 1);
    }
    return 0;
}

/* uv.run([mode]): "default" runs until nothing is left or uv.stop() was called, "once" waits for one turn, "nowait" doesn't
 * wait. uv alone would not hear what sockets have to say. Not in what a socket's event has called: the message in hand, and what
 * was read behind it, belong to the turn that goes on there. */
static int run(lua_State *L)
{
    static const char *const modes[] = {"default", "once", "nowait", NULL};
    struct mw_runtime *runtime = mw_runtime_of(L);
    int mode = luaL_checkoption(L, 1, modes[0], modes);
    bool goes_on;

    if (runtime->engine->depth)
        return luaL_error(L, "uv.run can't be called in a handler, nor after waiting for one: the loop runs already");
    do {
        goes_on = mw_engine_turn(runtime->engine, mode != 2);
    } while (mode == 0 && goes_on && !runtime->run_stopped);
    runtime->run_stopped = false;
    lua_pushboolean(L, goes_on);
    return 1;
}

/* uv.stop(): ends the innermost uv.run(). */
static int stop(lua_State *L)
{
    mw_runtime_of(L)->run_stopped = true;
    return 0;
}

/* ---- luv and the limit of memory ---- */

/* Calls upvalue 1, a function of luv's that makes a handle, with the limit lifted: an error half-way would leave one to the
 * garbage collector that has no end, and cost the process. (What lies in luv's way can at most triple what is held.) */
static int make_handle(lua_State *L)
{
    void *ud;
    struct mw_allocator *allocator = (lua_getallocf(L, &ud), ud);

    if (!allocator->limit || allocator->held < allocator->limit / 4)
        return lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    bool was_lifted = allocator->lifted;
    allocator->lifted = true;
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    allocator->lifted = was_lifted;
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* In the table on top. */
static void replace_makers(lua_State *L)
{
    static const char *const names[] = {"new_async",   "new_check", "new_fs_event", "new_fs_poll",
                                        "new_idle",    "new_pipe",  "new_poll",     "new_socket_poll",
                                        "new_prepare", "new_tcp",   "new_signal",   "new_timer",
                                        "new_tty",     "new_udp",   "spawn",        "fs_scandir"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (lua_getfield(L, -1, names[i]) == LUA_TNIL) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushcclosure(L, make_handle, 1);
        lua_setfield(L, -2, names[i]);
    }
}

/* ---- beginning and end ---- */

void mw_luv_close_handles(lua_State *L)
{
    lua_pushcfunction(L, close_handles);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        mw_log(MW_LOG_ERROR, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

void mw_luv_open(lua_State *L, uv_loop_t *loop)
{
    static const luaL_Reg ours[] = {{"run", run}, {"stop", stop}, {"walk", walk}, {NULL, NULL}};

    luv_set_loop(L, loop);
    /* Before luaopen_luv: later it is ignored, and an error in a callback would end the process. */
    luv_set_callback(L, run_callback);
    luaL_requiref(L, "luv", luaopen_luv, 0);
    luaL_setfuncs(L, ours, 0);
    replace_makers(L);
    lua_pop(L, 1);
}
