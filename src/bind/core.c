/* core.c - see core.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/core.h"

#include <lauxlib.h>
#include <uv.h>

#include "base/log.h"
#include "bind/client.h"
#include "bind/ending.h"
#include "bind/exchange.h"
#include "bind/failure.h"
#include "bind/load.h"
#include "bind/log.h"
#include "bind/metrics.h"
#include "bind/route.h"
#include "bind/server.h"
#include "bind/tls.h"
#include "bind/topics.h"
#include "bind/ws.h"
#include "net/admission.h"

static const char EXIT_HANDLERS[] = "moonwire.exit_handlers";
static const char STOP_HANDLERS[] = "moonwire.stop_handlers";

static int core_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
    return 1;
}

/* ---- the end of the process ---- */

static int add_handler(lua_State *L, const char *list)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, list);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

static int core_on_exit(lua_State *L)
{
    return add_handler(L, EXIT_HANDLERS);
}

static int core_on_stop(lua_State *L)
{
    return add_handler(L, STOP_HANDLERS);
}

/* Arguments: the seconds there are. */
static int run_exit_handlers(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, EXIT_HANDLERS);
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
        lua_pushvalue(L, 1);
        mw_task_spawn(L, 1, NULL, NULL);
    }
    return 0;
}

static void stop_handler_done(void *arg, const char *error)
{
    struct mw_runtime *runtime = arg;

    runtime->stop_handlers--;
    if (error)
        mw_failure_of_task(runtime, "on_stop", error);
}

static int run_stop_handlers(lua_State *L)
{
    struct mw_runtime *runtime = mw_runtime_of(L);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, STOP_HANDLERS);
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
        runtime->stop_handlers++;
        mw_task_spawn(L, 0, stop_handler_done, runtime);
    }
    return 0;
}

/* Under protection: without memory the process ends all the same. */
static void run_handlers(lua_State *L, lua_CFunction function, double seconds)
{
    lua_pushcfunction(L, function);
    lua_pushnumber(L, seconds);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        mw_log(MW_LOG_ERROR, "the handlers of the process's end can't be called: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

void mw_core_run_exit_handlers(lua_State *L, double seconds)
{
    run_handlers(L, run_exit_handlers, seconds);
}

void mw_core_run_stop_handlers(struct mw_runtime *runtime)
{
    run_handlers(runtime->lua, run_stop_handlers, 0);
}

bool mw_core_has_stop_handlers(struct mw_runtime *runtime)
{
    bool found = lua_getfield(runtime->lua, LUA_REGISTRYINDEX, STOP_HANDLERS) != LUA_TNIL;

    lua_pop(runtime->lua, 1);
    return found;
}

static int core_count(lua_State *L)
{
    const struct mw_runtime *runtime = mw_runtime_of(L);
    lua_Integer listeners = 0;

    for (const struct mw_server *server = runtime->servers; server; server = server->next)
        listeners += server->listener != NULL && !server->background;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, listeners);
    lua_setfield(L, -2, "listeners");
    lua_pushinteger(L, (lua_Integer)mw_admissions_total(runtime->engine));
    lua_setfield(L, -2, "connections");
    lua_pushinteger(L, (lua_Integer)runtime->socket_count);
    lua_setfield(L, -2, "websockets");
    return 1;
}

int mw_core_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", core_now},
        {"log", mw_log_lua},
        {"on_exit", core_on_exit},
        {"on_stop", core_on_stop},
        {"count", core_count},
        {"fail", mw_failure_lua_log},
        {"on_error", mw_failure_lua_on_error},
        {"traceback", mw_failure_lua_traceback},
        {"metrics", mw_metrics_lua_read},
        {"time_handlers", mw_metrics_lua_time},
        {"task", mw_task_lua_spawn},
        {"timer", mw_task_lua_timer},
        {"resume", mw_task_lua_resume},
        {"listen", mw_server_listen},
        {"route", mw_route_new},
        {"route_update", mw_route_update},
        {"topics", mw_hub_new},
        {"on_restore", mw_ws_on_restore},
        {"close", mw_ws_lua_close},
        {"parse_head", mw_headers_parse},
        {"parse_certificate", mw_tls_parse_certificate},
        {"connect", mw_client_connect},
        {"request", mw_client_request},
        {"load", mw_load_lua_run},
        {NULL, NULL},
    };

    mw_route_open(L);
    mw_hub_open(L);
    mw_ws_open(L);
    mw_server_open(L);
    mw_exchange_open(L);
    mw_client_open(L);
    luaL_newlib(L, functions);
    lua_pushliteral(L, MW_VERSION);
    lua_setfield(L, -2, "version");
    mw_ws_push_rules(L);
    lua_setfield(L, -2, "ending_rules");
    /* Lua modules add methods such as send_json here. */
    luaL_getmetatable(L, "moonwire.ws");
    lua_getfield(L, -1, "methods");
    lua_setfield(L, -3, "websocket_methods");
    lua_pop(L, 1);
    return 1;
}
