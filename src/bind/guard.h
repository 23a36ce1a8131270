/* guard.h - tells of handlers that hold everybody up, and interrupts those that do not end.
 * A thread of its own looks a few times a second whether the same handler still runs. Only then does it disturb: by a signal,
 * whose handler sets a hook in the coroutine that runs, which Lua calls before its next instruction. So handlers that end in
 * time pay for nothing but two stores.
 * The main chunk is never interrupted; whatever runs later is a handler, tasks and callbacks too. A handler that computes
 * inside of one C function (a pattern, a finalizer) can't be reached: the thread says so, and under a supervisor ends the
 * process. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_GUARD_H
#define MW_BIND_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "moonwire.h"

/* The exit code of a process whose handler could not be interrupted: EX_SOFTWARE of sysexits. */
enum { MW_EXIT_STUCK = 70 };

struct mw_guard_limits {
    uint32_t warning_ms; /* a handler that takes longer is told; 0: never */
    uint32_t limit_ms;   /* … is interrupted; 0: never */
    bool is_supervised;  /* somebody starts the process again */
};

/* Before the script can make anything that has a finalizer. Raises when memory is short. */
void mw_guard_open(struct lua_State *L);
/* NULL, and a line in the log, when there can't be a thread. Neither limit: NULL. */
struct mw_guard *mw_guard_start(struct mw_runtime *runtime, const struct mw_guard_limits *limits);
/* NULL is fine. */
void mw_guard_stop(struct mw_guard *guard);

/* Around everything that enters a script from outside of one; returns what mw_guard_leave wants back. */
static inline uint64_t mw_guard_enter(struct mw_runtime *runtime, bool is_guarded)
{
    uint64_t before = atomic_load_explicit(&runtime->entry, memory_order_relaxed);
    uint64_t entry = !is_guarded ? 0 : before ? before : ++runtime->entries;

    atomic_store_explicit(&runtime->entry, entry, memory_order_relaxed);
    return before;
}

static inline void mw_guard_leave(struct mw_runtime *runtime, uint64_t before)
{
    atomic_store_explicit(&runtime->entry, before, memory_order_relaxed);
}

/* The next of several handlers that run one after the other without being left: it has its own time. */
static inline void mw_guard_next(struct mw_runtime *runtime)
{
    atomic_store_explicit(&runtime->entry, ++runtime->entries, memory_order_relaxed);
}

#endif
