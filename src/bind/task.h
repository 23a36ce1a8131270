/* task.h - the one way into a script: every handler runs in a pooled coroutine, protected, and may wait.
 * A task that ends gives its coroutine back; one that waits keeps it until it is resumed. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_TASK_H
#define MW_BIND_TASK_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "moonwire.h"

/* `error` is NULL, or a message with a traceback through the coroutine. */
typedef void (*mw_task_done)(void *arg, const char *error);

struct mw_task {
    struct mw_runtime *runtime;
    lua_State *co;
    mw_task_done done; /* NULL: errors are told by mw_failure_of_task; `arg` is the kind, a string, or NULL */
    void *arg;
    struct mw_task *next;
    int ref;
    bool waiting;
    bool is_main; /* the script's main chunk, which may take as long as it likes */
};

/* Makes `L` a state that knows its runtime. Without memory runtime->main_task stays NULL. */
void mw_task_open(struct mw_runtime *runtime, lua_State *L);
void mw_task_close(struct mw_runtime *runtime);
struct mw_runtime *mw_runtime_of(lua_State *L);

/* Runs entry(argument as light userdata) in a task of its own. `entry` pushes what it calls, so that running out of
 * memory meanwhile is an error of the task; it ends with `return mw_task_invoke(L, nargs)`. `argument` need not outlive
 * the call. `done` is called exactly once, perhaps before this returns. */
void mw_task_call(struct mw_runtime *runtime, lua_CFunction entry, void *argument, mw_task_done done, void *arg);
/* The same, with runtime->gathering set to the task's coroutine while it has not waited; the caller sets it back. False: there
 * was no task, and nothing was called, `done` neither. */
bool mw_task_gather(struct mw_runtime *runtime, lua_CFunction entry, void *argument, mw_task_done done, void *arg);
/* Inside of an entry function: `done` gets another `arg`. */
void mw_task_set_arg(lua_State *L, void *arg);
/* Calls the function below `nargs` arguments, without results; the callee may wait. */
int mw_task_invoke(lua_State *L, int nargs);
/* Runs the function below `nargs` arguments on top of L's stack, popping them. */
void mw_task_spawn(lua_State *L, int nargs, mw_task_done done, void *arg);
/* The same for the script's main chunk. */
void mw_task_spawn_main(lua_State *L, int nargs, mw_task_done done, void *arg);
/* lua_resume, with runtime->running telling what runs. */
int mw_task_resume(struct mw_runtime *runtime, lua_State *from, lua_State *co, int nargs, int *results);
/* lua_closethread: what `co` has to close runs in it. */
int mw_task_reset(struct mw_runtime *runtime, lua_State *from, lua_State *co);

/* Around whatever makes `co` run. The guard's signal may come at any moment, and looks at the innermost. */
static inline void mw_running_enter(struct mw_runtime *runtime, struct mw_running *here, lua_State *co)
{
    *here = (struct mw_running){co, runtime->running};
    atomic_signal_fence(memory_order_seq_cst);
    runtime->running = here;
}

static inline void mw_running_leave(struct mw_runtime *runtime, const struct mw_running *here)
{
    runtime->running = here->outer;
    atomic_signal_fence(memory_order_seq_cst);
}

/* A place where a coroutine waits. */
struct mw_waiter {
    lua_State *co; /* NULL: nobody */
    int ref;
};

/* Raises when `L` can't wait (the main state, or a C function is in between); the caller then returns lua_yield(L, 0). */
void mw_waiter_set(struct mw_waiter *waiter, lua_State *L);
/* Continues the waiting coroutine with what push(L, arg) pushes (and counts); with nil, a message and "memory" when there is not
 * enough for that. Nobody waits: nothing happens. */
void mw_waiter_wake(struct mw_waiter *waiter, int (*push)(lua_State *L, void *arg), void *arg);
/* Whoever waits there will not be continued from here. */
void mw_waiter_forget(struct mw_waiter *waiter);
/* core.resume(co, …) */
int mw_task_lua_resume(lua_State *L);
/* core.task(fn, …), and the same for timers */
int mw_task_lua_spawn(lua_State *L);
int mw_task_lua_timer(lua_State *L);

#endif
