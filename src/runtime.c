/* runtime.c - see runtime.h. */
/* SPDX-License-Identifier: MIT */
#include "runtime.h"

#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/spare.h"
#include "base/threads.h"
#include "bind/collector.h"
#include "bind/core.h"
#include "bind/coroutine.h"
#include "bind/drain.h"
#include "bind/failure.h"
#include "bind/guard.h"
#include "bind/luv.h"
#include "bind/memory.h"
#include "bind/server.h"
#include "bind/task.h"
#include "bind/ws.h"
#include "moonwire.h"
#include "net/crypto.h"
#include "net/engine.h"
#include "net/wire.h"
#include "service.h"

enum { PATH_SIZE = 4096, FINISH_MS = 5000, HELD_MS = 5050 };

struct process {
    struct mw_runtime runtime;
    struct mw_engine engine;
    struct mw_memory memory;
    uv_loop_t loop;
    uv_signal_t sigint;
    uv_signal_t sigterm;
    uv_timer_t held;   /* when the log tells what it held back */
    uv_timer_t finish; /* how long the very end waits for luv */
    bool finish_over;
    struct mw_drain drain;
    struct mw_service service;
    bool script_failed; /* the main chunk raised an error: out at once */
    const struct mw_runtime_options *options;
};

/* ---- Lua ---- */

/* Where the Lua modules are: beside the sources of the tree the program was built in, or where `make install` put them. */
static void set_package_path(lua_State *L)
{
    static const char *const places[] = {"../../lua", "../share/moonwire/lua"};
    char exe[PATH_SIZE], file[PATH_SIZE + 64];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (len < 0)
        return;
    exe[len] = '\0';
    *strrchr(exe, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(file, sizeof file, "%s/%s/moonwire/init.lua", exe, places[i]);
        if (access(file, R_OK) != 0)
            continue;
        lua_getglobal(L, "package");
        lua_pushfstring(L, "%s/%s/?.lua;%s/%s/?/init.lua;", exe, places[i], exe, places[i]);
        lua_getfield(L, -2, "path");
        lua_concat(L, 2);
        lua_setfield(L, -2, "path");
        lua_pop(L, 1);
        return;
    }
    mw_log(MW_LOG_WARNING, "moonwire's Lua modules are neither in %s/../../lua nor in %s/../share/moonwire/lua", exe,
           exe);
}

static void set_arg(lua_State *L, const struct mw_runtime_options *options)
{
    lua_newtable(L);
    lua_pushstring(L, options->program);
    lua_rawseti(L, -2, options->script ? -1 : 0);
    if (options->script) {
        lua_pushstring(L, options->script);
        lua_rawseti(L, -2, 0);
    }
    for (int i = 0; i < options->argc; i++) {
        lua_pushstring(L, options->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
}

/* An error outside any protected call: of memory, where a callback of luv's makes its arguments; any other would be a defect of
 * moonwire itself. Nothing can go on behind it. */
static int on_panic(lua_State *L)
{
    const char *error = lua_tostring(L, -1);

    mw_log(MW_LOG_ERROR, "%s, in the middle of what can't be undone: the process ends", error ? error : "an error");
    fflush(stdout);
    _exit(1);
}

static int open_lua(lua_State *L)
{
    struct process *process = lua_touserdata(L, 1);
    struct mw_runtime *runtime = &process->runtime;

    mw_guard_open(L);
    luaL_openlibs(L);
    mw_collector_open(L);
    mw_coroutine_open(L);
    set_package_path(L);
    set_arg(L, process->options);
    mw_luv_open(L, &process->loop);
    luaL_requiref(L, "moonwire.core", mw_core_open, 0);
    lua_pop(L, 1);
    lua_pushliteral(L, "text");
    runtime->text_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    runtime->binary_name = lua_pushliteral(L, "binary");
    runtime->binary_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushliteral(L, "memory");
    runtime->memory_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* Text only: Lua does not check bytecode, and a wrong one can do anything. */
static int load_chunk(lua_State *L, const struct mw_runtime_options *options)
{
    if (options->is_bench)
        return luaL_loadstring(L, "os.exit(require('moonwire.bench').run { ... })");
    if (options->script)
        return luaL_loadfilex(L, strcmp(options->script, "-") == 0 ? NULL : options->script, "t");
    return luaL_loadstring(L, "require('moonwire.repl').run()");
}

/* Leaves the chunk and its arguments. */
static int load_with_arguments(lua_State *L)
{
    const struct mw_runtime_options *options = lua_touserdata(L, 1);

    lua_settop(L, 0);
    if (load_chunk(L, options) != LUA_OK)
        return lua_error(L);
    luaL_checkstack(L, options->argc, "too many arguments");
    for (int i = 0; i < options->argc; i++)
        lua_pushstring(L, options->argv[i]);
    return options->argc + 1;
}

static bool load_main(lua_State *L, const struct mw_runtime_options *options)
{
    lua_pushcfunction(L, load_with_arguments);
    lua_pushlightuserdata(L, (void *)options);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK)
        return true;
    mw_failure_log(NULL, lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
}

static void main_done(void *arg, const char *error)
{
    struct process *process = arg;

    process->runtime.script_over = true;
    if (!error)
        return;
    mw_failure_log(NULL, error);
    /* A script that fails while it sets things up must not serve half of them. */
    process->script_failed = process->runtime.failed = process->runtime.stopping = true;
    process->engine.stopped = true;
}

/* ---- the end ---- */

static void close_handles(struct process *process)
{
    mw_log_on_held(NULL, NULL);
    if (!uv_is_closing((uv_handle_t *)&process->held))
        uv_close((uv_handle_t *)&process->held, NULL);
    if (!uv_is_closing((uv_handle_t *)&process->sigint))
        uv_close((uv_handle_t *)&process->sigint, NULL);
    if (!uv_is_closing((uv_handle_t *)&process->sigterm))
        uv_close((uv_handle_t *)&process->sigterm, NULL);
    uv_close((uv_handle_t *)&process->finish, NULL);
    mw_drain_close(&process->drain);
    mw_service_close(&process->service);
}

/* The first signal: nothing new, good-bye to everybody, then out. The second: out. (When it is the same one, the kernel
 * ends the process, even if a script never lets the loop run.) Under a supervisor one signal may come twice, from a terminal
 * and from the parent, so the parent counts. */
static void on_signal(uv_signal_t *signal, int number)
{
    struct process *process = signal->data;

    if (process->runtime.stopping && process->options->supervise)
        return;
    if (process->runtime.stopping) {
        mw_log_tell(true);
        _exit(128 + number);
    }
    mw_service_stopping(&process->service);
    mw_drain_begin(&process->drain, number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void terminate_sockets(struct mw_runtime *runtime)
{
    for (struct mw_ws *ws = runtime->sockets; ws; ws = ws->next) {
        if (ws->connection)
            mw_connection_terminate(ws->connection, MW_ENDING_SHUTDOWN, "the process ends");
        else if (ws->opening)
            mw_opening_cancel(ws->opening);
    }
}

static void on_finish_over(uv_timer_t *timer)
{
    struct process *process = timer->data;
    process->finish_over = true;
}

/* Closes what the script left open and waits for what is under way in the thread pool (files, names): both end in luv's
 * callbacks, which need the Lua state although the script hears no more of them. */
static bool finish_luv(struct process *process)
{
    process->finish_over = false;
    mw_luv_close_handles(process->runtime.lua);
    /* Requests to other servers end with their Lua objects. */
    uv_unref((uv_handle_t *)&process->engine.alive_handle);
    process->engine.on_turn = NULL;
    process->engine.stopped = false;
    uv_timer_start(&process->finish, on_finish_over, FINISH_MS, 0);
    while (!process->finish_over && mw_engine_turn(&process->engine, true))
        ;
    return !uv_loop_alive(&process->loop);
}

static void end_connections(struct process *process)
{
    mw_server_close_all(&process->runtime, true);
    terminate_sockets(&process->runtime);
    mw_engine_end_turn(&process->engine);
    mw_socket_retire_all(&process->engine, true);
    mw_engine_end_turn(&process->engine);
}

/* Sockets first, while scripts can still hear of it. Their handlers may start something new, so twice: the second time
 * nobody is asked. Then libwebsockets; then luv and Lua; then the rest. */
static int shut_down(struct process *process)
{
    struct mw_runtime *runtime = &process->runtime;

    runtime->stopping = true;
    mw_service_stopping(&process->service);
    end_connections(process);
    runtime->muted = true;
    end_connections(process);
    mw_wire_close(&process->engine);
    if (runtime->lua) {
        if (!finish_luv(process)) {
            mw_log(MW_LOG_WARNING, "what the script started in the background does not end: left behind");
            mw_log_tell(true);
            _exit(runtime->failed ? 1 : 0);
        }
        lua_close(runtime->lua);
    }
    mw_guard_stop(runtime->guard);
    mw_allocator_free(&process->memory.allocator);
    mw_task_close(runtime);
    close_handles(process);
    mw_engine_close(&process->engine);
    uv_run(&process->loop, UV_RUN_NOWAIT);
    mw_wire_free(&process->engine);
    uv_walk(&process->loop, close_handle, NULL);
    uv_run(&process->loop, UV_RUN_DEFAULT);
    mw_engine_free(&process->engine);
    int status = uv_loop_close(&process->loop);
    if (status)
        mw_log(MW_LOG_ERROR, "the event loop could not be closed: %s", uv_strerror(status));
    return status || runtime->failed;
}

/* ---- the beginning ---- */

/* A server needs a descriptor per connection; the soft limit is often 1,024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_held_due(uv_timer_t *timer)
{
    if (mw_log_tell(false))
        uv_timer_start(timer, on_held_due, HELD_MS, 0);
}

static void on_held(void *arg)
{
    /* From now on, not from when this turn of the loop began. */
    uv_update_time(((uv_timer_t *)arg)->loop);
    uv_timer_start(arg, on_held_due, HELD_MS, 0);
}

static bool boot(struct process *process)
{
    struct mw_runtime *runtime = &process->runtime;

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    uv_replace_allocator(mw_spare_malloc, mw_spare_realloc, mw_spare_calloc, mw_spare_free);
    int status = uv_loop_init(&process->loop);
    if (!status)
        status = mw_engine_init(&process->engine, &process->loop);
    if (status) {
        mw_log(MW_LOG_ERROR, "the event loop can't be set up: %s", uv_strerror(status));
        return false;
    }
    runtime->loop = &process->loop;
    runtime->engine = &process->engine;
    uv_signal_init(&process->loop, &process->sigint);
    uv_signal_init(&process->loop, &process->sigterm);
    uv_timer_init(&process->loop, &process->held);
    uv_timer_init(&process->loop, &process->finish);
    mw_drain_init(&process->drain, runtime, process->options->drain_ms);
    mw_service_init(&process->service, runtime, process->options);
    process->sigint.data = process->sigterm.data = process->finish.data = process;
    int (*start)(uv_signal_t *, uv_signal_cb, int) =
        process->options->supervise ? uv_signal_start : uv_signal_start_oneshot;
    start(&process->sigint, on_signal, SIGINT);
    start(&process->sigterm, on_signal, SIGTERM);
    uv_unref((uv_handle_t *)&process->sigint);
    uv_unref((uv_handle_t *)&process->sigterm);
    uv_unref((uv_handle_t *)&process->finish);
    mw_memory_init(&process->memory, runtime, process->options->memory_limit);
    uv_unref((uv_handle_t *)&process->held);
    mw_log_on_held(on_held, &process->held);
    lua_State *L = runtime->lua = lua_newstate(mw_allocator_realloc, &process->memory.allocator);
    if (L)
        mw_task_open(runtime, L);
    if (!runtime->main_task) {
        mw_log(MW_LOG_ERROR, "not enough memory for Lua");
        return false;
    }
    lua_atpanic(L, on_panic);
    lua_pushcfunction(L, open_lua);
    lua_pushlightuserdata(L, process);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        mw_log(MW_LOG_ERROR, "%s", lua_tostring(L, -1));
        return false;
    }
    return true;
}

static void turn_until_stopped(struct process *process)
{
    while (!process->engine.stopped && mw_engine_turn(&process->engine, true))
        ;
}

static void turn_to_the_end(struct process *process)
{
    struct mw_runtime *runtime = &process->runtime;

    turn_until_stopped(process);
    if (runtime->stopping)
        return;
    if (process->options->script && !runtime->script_over && !runtime->failed)
        mw_log(MW_LOG_WARNING, "the script still waits, but nothing is left that could wake it");
    if (!mw_core_has_stop_handlers(runtime))
        return;
    mw_drain_begin(&process->drain, NULL);
    turn_until_stopped(process);
}

/* Whatever a library would not survive, or never recover from, if it failed later. */
static bool prepare_libraries(void)
{
    bool has_threads = mw_threads_prepare();
    bool ok = has_threads && mw_crypto_prepare();

    if (!ok)
        mw_log(MW_LOG_ERROR, has_threads ? "OpenSSL can't be set up" : "not enough memory for libuv's threads");
    return ok;
}

static void start_guard(struct process *process)
{
    struct mw_guard_limits limits = {
        .warning_ms = process->options->handler_warning_ms,
        .limit_ms = process->options->handler_limit_ms,
        .is_supervised = process->options->supervise,
    };
    process->runtime.guard = mw_guard_start(&process->runtime, &limits);
}

/* Before the script, whose ports it is not one of. */
static bool start_metrics(lua_State *L, const char *address)
{
    bool ok = luaL_loadstring(L, "require('moonwire.metrics').start(...)") == LUA_OK;

    lua_pushstring(L, address);
    if (ok && lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    mw_log(MW_LOG_ERROR, "--metrics %s: %s", address, lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
}

int mw_runtime_run(const struct mw_runtime_options *options)
{
    struct process *process = calloc(1, sizeof *process);

    if (!process) {
        mw_log(MW_LOG_ERROR, "not enough memory to start");
        return 1;
    }
    process->options = options;
    if (!boot(process)) {
        free(process);
        return 1;
    }
    struct mw_runtime *runtime = &process->runtime;
    start_guard(process); /* its thread takes a stack from those that are kept */
    if (prepare_libraries() && (!options->metrics || start_metrics(runtime->lua, options->metrics)) &&
        load_main(runtime->lua, options)) {
        mw_service_watch(&process->service);
        mw_task_spawn_main(runtime->lua, lua_gettop(runtime->lua) - 1, main_done, process);
        mw_service_look(&process->service);
        turn_to_the_end(process);
    } else {
        runtime->failed = true;
    }
    int code = shut_down(process);
    free(process);
    return code;
}
