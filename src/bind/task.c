/* task.c - see task.h.
 * lua_resume is itself a protected call, so a handler that does not wait costs no more than one. */
/* SPDX-License-Identifier: MIT */
#include "bind/task.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/log.h"
#include "bind/failure.h"
#include "bind/guard.h"
#include "net/engine.h"

static struct mw_task *task_of(lua_State *L)
{
    return *(struct mw_task **)lua_getextraspace(L);
}

struct mw_runtime *mw_runtime_of(lua_State *L)
{
    return task_of(L)->runtime;
}

void mw_task_open(struct mw_runtime *runtime, lua_State *L)
{
    runtime->main_task = calloc(1, sizeof *runtime->main_task);
    if (!runtime->main_task)
        return;
    runtime->main = (struct mw_running){L, NULL};
    runtime->running = &runtime->main;
    *runtime->main_task = (struct mw_task){.runtime = runtime, .co = L, .ref = LUA_NOREF};
    /* Coroutines that scripts make inherit this pointer, and so find the runtime. */
    *(struct mw_task **)lua_getextraspace(L) = runtime->main_task;
}

void mw_task_close(struct mw_runtime *runtime)
{
    while (runtime->idle_tasks) {
        struct mw_task *task = runtime->idle_tasks;
        runtime->idle_tasks = task->next;
        free(task);
    }
    free(runtime->main_task);
}

static int free_task(lua_State *L)
{
    /* A task that still waits when the state closes is known to nobody else. */
    struct mw_task **box = lua_touserdata(L, 1);
    if ((*box)->waiting)
        free(*box);
    return 0;
}

/* A new coroutine, anchored for good. Raises when memory is short. */
static int new_task(lua_State *L)
{
    struct mw_task **result = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    struct mw_task *task = calloc(1, sizeof *task);

    if (!task)
        return luaL_error(L, "not enough memory");
    task->runtime = mw_runtime_of(L);
    task->co = co;
    *(struct mw_task **)lua_getextraspace(co) = task;
    task->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct mw_task **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = task;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_task);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
    *result = task;
    return 0;
}

static struct mw_task *acquire(struct mw_runtime *runtime)
{
    struct mw_task *task = runtime->idle_tasks;

    if (task) {
        runtime->idle_tasks = task->next;
        return task;
    }
    lua_State *L = runtime->lua;
    lua_pushcfunction(L, new_task);
    lua_pushlightuserdata(L, &task);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        mw_log(MW_LOG_ERROR, "no coroutine for a handler: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return NULL;
    }
    return task;
}

static void release(struct mw_task *task)
{
    task->waiting = task->is_main = false;
    lua_settop(task->co, 0);
    task->next = task->runtime->idle_tasks;
    task->runtime->idle_tasks = task;
}

static int replace_coroutine(lua_State *L)
{
    struct mw_task *task = lua_touserdata(L, 1);

    task->co = lua_newthread(L);
    *(struct mw_task **)lua_getextraspace(task->co) = task;
    lua_rawseti(L, LUA_REGISTRYINDEX, task->ref);
    return 0;
}

static void on_probe(lua_State *L, lua_Debug *where)
{
    (void)where;
    lua_sethook(L, NULL, 0, 0);
}

static int do_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* Lua calls no hook any more in a coroutine that ended by an error in one, the guard's or a script's: another handler could
 * not be interrupted there. Also takes away a hook that the script has left. */
static bool calls_hooks(lua_State *co)
{
    lua_sethook(co, on_probe, LUA_MASKCALL, 0);
    lua_pushcfunction(co, do_nothing);
    lua_pcall(co, 0, 0, 0);
    return !lua_gethook(co);
}

/* The task failed: its coroutine can be used again, unless no hook is called there. */
static void recover(lua_State *L, struct mw_task *task)
{
    mw_task_reset(task->runtime, task->runtime->running->co, task->co);
    if (!calls_hooks(task->co)) {
        lua_pushcfunction(L, replace_coroutine);
        lua_pushlightuserdata(L, task);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            /* As one that waits for ever: freed with the state. */
            task->waiting = true;
            return;
        }
    }
    release(task);
}

/* While it still is the one that runs. */
static enum mw_failure_cause cause_of(const struct mw_runtime *runtime, int status)
{
    if (status == LUA_ERRMEM)
        return MW_FAILED_BY_MEMORY;
    return runtime->interrupted && runtime->interrupted == runtime->entry ? MW_FAILED_BY_TIME : MW_FAILED_BY_ERROR;
}

/* What is closed and how the error is shown is up to the script: it has the time of one handler for that. */
static void fail(struct mw_task *task, mw_task_done done, void *arg)
{
    struct mw_runtime *runtime = task->runtime;
    lua_State *L = runtime->lua;
    int top = lua_gettop(L);
    uint64_t before = mw_guard_enter(runtime, !task->is_main);
    enum mw_failure_cause cause = runtime->cause;
    const char *text = mw_failure_describe(L, task->co);

    recover(L, task);
    mw_guard_leave(runtime, before);
    runtime->cause = cause;
    if (done)
        done(task->arg, text); /* what it closed meanwhile may have set another one */
    else
        mw_failure_of_task(runtime, arg, text);
    lua_settop(L, top);
}

int mw_task_resume(struct mw_runtime *runtime, lua_State *from, lua_State *co, int nargs, int *results)
{
    struct mw_running here;

    mw_running_enter(runtime, &here, co);
    int status = lua_resume(co, from, nargs, results);
    mw_running_leave(runtime, &here);
    return status;
}

int mw_task_reset(struct mw_runtime *runtime, lua_State *from, lua_State *co)
{
    struct mw_running here;

    mw_running_enter(runtime, &here, co);
#if LUA_VERSION_RELEASE_NUM >= 50406
    int status = lua_closethread(co, from);
#else
    (void)from;
    int status = lua_resetthread(co);
#endif
    mw_running_leave(runtime, &here);
    return status;
}

/* From moonwire into a script. Lua counts how deep C calls nest from where it is resumed: a script in which one task starts
 * another for ever shall get an error, not overflow the stack. */
static int enter(struct mw_runtime *runtime, lua_State *co, int nargs, int *results, bool is_guarded)
{
    uint64_t began = runtime->timed && !runtime->running->outer ? uv_hrtime() : 0;
    uint64_t before = mw_guard_enter(runtime, is_guarded);
    int status = mw_task_resume(runtime, runtime->running->co, co, nargs, results);

    if (status > LUA_YIELD)
        runtime->cause = cause_of(runtime, status);
    mw_guard_leave(runtime, before);
    if (began)
        mw_counters_handled(&runtime->engine->counters, uv_hrtime() - began);
    return status;
}

/* Starts or continues a task with `nargs` values on its stack. */
static void run(struct mw_task *task, int nargs)
{
    int results = 0;

    task->waiting = false;
    int status = enter(task->runtime, task->co, nargs, &results, !task->is_main);
    if (status == LUA_YIELD) {
        lua_pop(task->co, results);
        task->waiting = true;
        return;
    }
    mw_task_done done = task->done;
    void *arg = task->arg;
    if (status != LUA_OK) {
        fail(task, done, arg);
        return;
    }
    release(task);
    if (done)
        done(arg, NULL);
}

static void not_run(const struct mw_runtime *runtime, mw_task_done done, void *arg)
{
    if (done)
        done(arg, runtime->muted ? NULL : "not enough memory");
}

static void call(struct mw_task *task, lua_CFunction entry, void *argument, mw_task_done done, void *arg)
{
    task->done = done;
    task->arg = arg;
    lua_pushcfunction(task->co, entry);
    lua_pushlightuserdata(task->co, argument);
    run(task, 1);
}

void mw_task_call(struct mw_runtime *runtime, lua_CFunction entry, void *argument, mw_task_done done, void *arg)
{
    struct mw_task *task = runtime->muted ? NULL : acquire(runtime);

    if (task)
        call(task, entry, argument, done, arg);
    else
        not_run(runtime, done, arg);
}

bool mw_task_gather(struct mw_runtime *runtime, lua_CFunction entry, void *argument, mw_task_done done, void *arg)
{
    struct mw_task *task = runtime->muted ? NULL : acquire(runtime);

    if (!task)
        return false;
    runtime->gathering = task->co;
    call(task, entry, argument, done, arg);
    return true;
}

void mw_task_set_arg(lua_State *L, void *arg)
{
    task_of(L)->arg = arg;
}

static int invoked(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

int mw_task_invoke(lua_State *L, int nargs)
{
    lua_callk(L, nargs, 0, 0, invoked);
    return 0;
}

/* False: nothing was called. */
static bool spawn(lua_State *L, int nargs, bool is_main, mw_task_done done, void *arg)
{
    struct mw_runtime *runtime = mw_runtime_of(L);
    struct mw_task *task = runtime->muted ? NULL : acquire(runtime);

    if (task && !lua_checkstack(task->co, nargs + 1)) {
        release(task);
        task = NULL;
    }
    if (!task) {
        lua_pop(L, nargs + 1);
        not_run(runtime, done, arg);
        return false;
    }
    task->is_main = is_main;
    task->done = done;
    task->arg = arg;
    lua_xmove(L, task->co, nargs + 1);
    run(task, nargs);
    return true;
}

void mw_task_spawn(lua_State *L, int nargs, mw_task_done done, void *arg)
{
    spawn(L, nargs, false, done, arg);
}

void mw_task_spawn_main(lua_State *L, int nargs, mw_task_done done, void *arg)
{
    spawn(L, nargs, true, done, arg);
}

void mw_waiter_set(struct mw_waiter *waiter, lua_State *L)
{
    if (!lua_isyieldable(L))
        luaL_error(L, "this call waits, and can't be made here (outside a task, or inside a C function)");
    if (waiter->co)
        luaL_error(L, "another task already waits here");
    lua_pushthread(L);
    waiter->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    waiter->co = L;
}

/* Continues any coroutine: a task, or one that a script made itself. */
static void resume(lua_State *co, int nargs)
{
    struct mw_task *task = task_of(co);
    struct mw_runtime *runtime = task->runtime;
    int results = 0;

    if (runtime->muted) {
        lua_pop(co, nargs);
        return;
    }
    if (task->co == co) {
        run(task, nargs);
        return;
    }
    int status = enter(runtime, co, nargs, &results, true);
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pop(co, results);
        return;
    }
    uint64_t before = mw_guard_enter(runtime, true);
    const char *text = mw_failure_describe(runtime->lua, co);
    mw_guard_leave(runtime, before);
    mw_failure_of_task(runtime, "coroutine", text);
    lua_pop(runtime->lua, 1);
}

struct results {
    int (*push)(lua_State *L, void *arg);
    void *arg;
};

static int push_results(lua_State *L)
{
    const struct results *results = lua_touserdata(L, 1);

    lua_settop(L, 0);
    return results->push(L, results->arg);
}

void mw_waiter_forget(struct mw_waiter *waiter)
{
    if (waiter->co)
        luaL_unref(waiter->co, LUA_REGISTRYINDEX, waiter->ref);
    waiter->co = NULL;
}

void mw_waiter_wake(struct mw_waiter *waiter, int (*push)(lua_State *L, void *arg), void *arg)
{
    struct results results = {push, arg};
    lua_State *co = waiter->co;
    int ref = waiter->ref;

    if (!co)
        return;
    waiter->co = NULL;
    struct mw_runtime *runtime = mw_runtime_of(co);
    lua_State *L = runtime->lua;
    int top = lua_gettop(L);
    lua_pushcfunction(L, push_results);
    lua_pushlightuserdata(L, &results);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
        mw_log(MW_LOG_ERROR, "not enough memory for what a task waited for");
        lua_pushnil(L);
        lua_insert(L, -2);
        lua_rawgeti(L, LUA_REGISTRYINDEX, runtime->memory_ref);
    }
    int nargs = lua_gettop(L) - top;
    lua_xmove(L, co, nargs);
    resume(co, nargs);
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
}

int mw_task_lua_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    int nargs = lua_gettop(L) - 1;

    luaL_argexpected(L, co, 1, "coroutine");
    luaL_argcheck(L, lua_status(co) == LUA_YIELD, 1, "a coroutine that waits is expected");
    if (!lua_checkstack(co, nargs))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, nargs);
    resume(co, nargs);
    return 0;
}

int mw_task_lua_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!spawn(L, lua_gettop(L) - 1, false, NULL, NULL) && !mw_runtime_of(L)->muted)
        return luaL_error(L, "not enough memory");
    return 0;
}

int mw_task_lua_timer(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    mw_task_spawn(L, lua_gettop(L) - 1, NULL, "timer");
    return 0;
}
