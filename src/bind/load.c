/* load.c - see load.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/load.h"

#include <lauxlib.h>
#include <signal.h>

#include "bind/option.h"
#include "load/load.h"

static double number_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    double value = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Strings stay on the stack, so that they live as long as the run. */
static const char *string_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return luaL_checkstring(L, -1);
}

/* Stays on the stack as well. */
static const pid_t *read_pids(lua_State *L, size_t *count)
{
    *count = lua_getfield(L, 1, "pids") == LUA_TTABLE ? (size_t)lua_rawlen(L, -1) : 0;
    pid_t *pids = lua_newuserdatauv(L, (*count + 1) * sizeof *pids, 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        pids[i] = (pid_t)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    return pids;
}

static void read_options(lua_State *L, struct mw_load_options *options)
{
    static const char *const modes[] = {"echo", "fanout", "idle", "connect", NULL};

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "mode");
    options->mode = (enum mw_load_mode)luaL_checkoption(L, -1, NULL, modes);
    options->host = string_option(L, "host");
    options->port = (uint16_t)mw_option_integer(L, 1, "port", 0);
    options->host_header = string_option(L, "host_header");
    options->target = string_option(L, "target");
    options->connections = (size_t)mw_option_integer(L, 1, "connections", 1);
    options->depth = (size_t)mw_option_integer(L, 1, "depth", 1);
    options->size = (size_t)mw_option_integer(L, 1, "size", 0);
    options->seconds = number_option(L, "seconds");
    options->warmup_s = number_option(L, "warmup");
    options->text = mw_option_boolean(L, 1, "text", false);
    options->addresses = (size_t)mw_option_integer(L, 1, "addresses", 0);
    options->pids = read_pids(L, &options->pid_count);
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_latency(lua_State *L, const struct mw_load_result *result)
{
    lua_createtable(L, 0, 4);
    set_number(L, "p50", result->p50_us);
    set_number(L, "p99", result->p99_us);
    set_number(L, "p999", result->p999_us);
    set_number(L, "max", result->max_us);
}

static void push_server(lua_State *L, const struct mw_load_options *options, const struct mw_load_result *result)
{
    lua_createtable(L, 0, 4);
    set_number(L, "cpu", result->server_cpu);
    set_integer(L, "memory_kib", result->memory_kib);
    if (options->mode == MW_LOAD_IDLE) {
        double grown_kib = (double)result->memory_kib - (double)result->memory_before_kib;
        set_integer(L, "memory_before_kib", result->memory_before_kib);
        set_number(L, "bytes_per_connection", grown_kib * 1024 / (double)options->connections);
    } else if (result->server_cpu_s > 0) {
        set_number(L, "messages_per_cpu_second", (double)result->messages / result->server_cpu_s);
    }
}

static void push_result(lua_State *L, const struct mw_load_options *options, const struct mw_load_result *result)
{
    lua_createtable(L, 0, 6);
    set_number(L, "seconds", result->seconds);
    set_number(L, "client_cpu", result->client_cpu);
    if (options->mode != MW_LOAD_IDLE) {
        set_integer(L, "messages", result->messages);
        set_number(L, "messages_per_second", (double)result->messages / result->seconds);
        push_latency(L, result);
        lua_setfield(L, -2, "latency_us");
    }
    if (options->pid_count) {
        push_server(L, options, result);
        lua_setfield(L, -2, "server");
    }
}

/* The event loop, which would hear of signals, stands still: they end the process meanwhile, as they do by default. */
static enum mw_load_fault run_with_signals(const struct mw_load_options *options, struct mw_load_result *result,
                                           char *why)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    struct sigaction before[2];

    for (int i = 0; i < 2; i++)
        sigaction(numbers[i], &by_default, &before[i]);
    enum mw_load_fault fault = mw_load_run(options, result, why);
    for (int i = 0; i < 2; i++)
        sigaction(numbers[i], &before[i], NULL);
    return fault;
}

int mw_load_lua_run(lua_State *L)
{
    struct mw_load_options options = {0};
    struct mw_load_result result;
    char why[MW_LOAD_WHY_MAX];

    read_options(L, &options);
    enum mw_load_fault fault = run_with_signals(&options, &result, why);
    if (!fault) {
        push_result(L, &options, &result);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushstring(L, fault == MW_LOAD_BAD_USE ? "use" : "server");
    return 3;
}
