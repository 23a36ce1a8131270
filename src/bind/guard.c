/* guard.c - see guard.h.
 * Three places touch the state: the thread (`watched`), the main thread (the hook), and the signal's handler, which interrupts
 * the main thread. What they share is atomic. The signal carries its guard with it, so there is no global. */
/* SPDX-License-Identifier: MIT */
#include "bind/guard.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "bind/task.h"
#include "bind/traceback.h"

/* Ignored unless somebody listens, and used by nobody else here. */
#define GUARD_SIGNAL SIGURG

enum { TICK_MIN_MS = 5, TICK_MAX_MS = 250, TICKS_PER_LIMIT = 4, PATIENCE_MS = 1000, STOPPED_MS = 500 };

/* A hook that the script had set, and that ours stands in for. */
struct saved_hook {
    lua_State *co;
    lua_Hook hook;
    int mask;
    int count;
};

/* What the thread knows of the handler that it saw last; nobody else reads it. */
struct watched {
    uint64_t entry;
    uint64_t since_ms;
    bool is_late;     /* over its soft time */
    bool is_given_up; /* it could not be interrupted */
};

struct mw_guard {
    struct mw_runtime *runtime;
    struct mw_guard_limits limits;
    pthread_t thread;
    pthread_t main_thread;
    pthread_mutex_t mutex; /* of `stopping` */
    pthread_cond_t stop;
    bool stopping;
    struct watched watched;
    uint64_t looked_ms;          /* when the thread looked last; it alone */
    _Atomic uint64_t suspect;    /* the entry that the hook is for */
    _Atomic uint64_t told;       /* the last one whose place was logged */
    _Atomic uint32_t elapsed_ms; /* how long it has run */
    _Atomic bool must_end;       /* over its hard time */
    struct saved_hook saved;     /* main thread only */
    struct sigaction old_action;
};

static uint64_t clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- the main thread ---- */

static void remove_hook(struct mw_guard *guard, lua_State *L)
{
    struct saved_hook *saved = &guard->saved;

    if (saved->co == L)
        lua_sethook(L, saved->hook, saved->mask, saved->count);
    else
        lua_sethook(L, NULL, 0, 0);
    saved->co = NULL;
}

static void tell(struct mw_guard *guard)
{
    struct mw_runtime *runtime = guard->runtime;
    double seconds = atomic_load(&guard->elapsed_ms) / 1000.0;
    int top = lua_gettop(runtime->lua);
    char *text;

    atomic_store(&guard->told, atomic_load(&guard->suspect));
    int len = asprintf(&text, "a handler has held everybody up for %.2f s; it stands here:\n%s", seconds,
                       mw_traceback_of_running(runtime));
    lua_settop(runtime->lua, top);
    if (len < 0)
        return;
    mw_log_write(&(struct mw_log_record){.level = MW_LOG_WARNING,
                                         .where = "",
                                         .text = text,
                                         .len = (size_t)len,
                                         .key = mw_log_key(0, "handler time"),
                                         .lines = true});
    free(text);
}

/* Before the next instruction of the coroutine that runs, or of the one that came to run in its place. */
static void on_hook(lua_State *L, lua_Debug *where)
{
    struct mw_guard *guard = mw_runtime_of(L)->guard;

    (void)where;
    if (!guard || atomic_load(&guard->runtime->entry) != atomic_load(&guard->suspect)) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (atomic_load(&guard->told) != atomic_load(&guard->suspect))
        tell(guard);
    if (!atomic_load(&guard->must_end)) {
        remove_hook(guard, L);
        return;
    }
    /* Whoever catches the error has until the thread's next look to clean up; the second time the hook stays, and raises
     * again and again until the handler has ended. */
    if (guard->runtime->interrupted != atomic_load(&guard->suspect))
        remove_hook(guard, L);
    guard->runtime->interrupted = atomic_load(&guard->suspect);
    luaL_error(L, "the handler was interrupted: it ran for longer than %f s (--handler-limit)",
               (lua_Number)guard->limits.limit_ms / 1000);
}

static void set_hook(lua_State *co)
{
    lua_sethook(co, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct mw_guard *guard = info->si_value.sival_ptr;

    (void)number;
    (void)context;
    if (info->si_code != SI_QUEUE || info->si_pid != getpid() || !guard)
        return;
    const struct mw_running *running = guard->runtime->running;
    lua_State *co = running->co;
    /* Zero: between two handlers. */
    uint64_t entry = atomic_load(&guard->runtime->entry);
    if (!entry || entry != atomic_load(&guard->suspect))
        return;
    if (lua_gethook(co) != on_hook)
        guard->saved = (struct saved_hook){co, lua_gethook(co), lua_gethookmask(co), lua_gethookcount(co)};
    set_hook(co);
    /* It has caught the error once: now those that have resumed the innermost one shall get it too, and those they make. */
    for (bool all = guard->runtime->interrupted == entry; all && running->outer; running = running->outer)
        set_hook(running->co);
}

/* ---- the thread ---- */

static void disturb(struct mw_guard *guard, uint32_t elapsed_ms, bool must_end)
{
    union sigval value = {.sival_ptr = guard};

    atomic_store(&guard->elapsed_ms, elapsed_ms);
    atomic_store(&guard->must_end, must_end);
    atomic_store(&guard->suspect, guard->watched.entry);
    pthread_sigqueue(guard->main_thread, GUARD_SIGNAL, value);
}

/* Not even its hard time has ended it. */
static void give_up(struct mw_guard *guard, uint32_t elapsed_ms)
{
    guard->watched.is_given_up = true;
    mw_log(MW_LOG_ERROR, "a handler has held everybody up for %.1f s and can't be interrupted%s", elapsed_ms / 1000.0,
           guard->limits.is_supervised ? ": the process ends, to be started again"
                                       : " (moonwire --supervise would start the program again)");
    if (guard->limits.is_supervised)
        _exit(MW_EXIT_STUCK);
}

/* The same handler as at the last look still runs. */
static void look_closer(struct mw_guard *guard, uint32_t elapsed_ms)
{
    const struct mw_guard_limits *limits = &guard->limits;
    struct watched *watched = &guard->watched;
    uint32_t patience_ms = limits->limit_ms > PATIENCE_MS ? limits->limit_ms : PATIENCE_MS;

    if (limits->limit_ms && elapsed_ms >= limits->limit_ms) {
        watched->is_late = true;
        disturb(guard, elapsed_ms, true);
        if (!watched->is_given_up && elapsed_ms >= limits->limit_ms + patience_ms)
            give_up(guard, elapsed_ms);
    } else if (limits->warning_ms && elapsed_ms >= limits->warning_ms && atomic_load(&guard->told) != watched->entry) {
        watched->is_late = true;
        disturb(guard, elapsed_ms, false);
    }
}

/* It ended before it could be looked at: in a C function, which has no next instruction. */
static void tell_of_end(const struct mw_guard *guard, uint32_t elapsed_ms)
{
    if (guard->watched.is_late && atomic_load(&guard->told) != guard->watched.entry)
        mw_log(MW_LOG_WARNING, "a handler held everybody up for about %.2f s, inside of a C function",
               elapsed_ms / 1000.0);
}

/* How often to look: a handler is noticed at most a quarter late. */
static uint32_t tick_ms(const struct mw_guard_limits *limits)
{
    uint32_t warning = limits->warning_ms ? limits->warning_ms : UINT32_MAX;
    uint32_t limit = limits->limit_ms ? limits->limit_ms : UINT32_MAX;
    uint32_t tick = (warning < limit ? warning : limit) / TICKS_PER_LIMIT;

    return tick < TICK_MIN_MS ? TICK_MIN_MS : tick > TICK_MAX_MS ? TICK_MAX_MS : tick;
}

static void look(struct mw_guard *guard)
{
    struct watched *watched = &guard->watched;
    uint64_t entry = atomic_load_explicit(&guard->runtime->entry, memory_order_relaxed), now_ms = clock_ms();
    uint64_t slept_ms = now_ms - guard->looked_ms, tick = tick_ms(&guard->limits);

    /* The process, or the whole machine, was stopped: no handler is to blame for that. */
    if (slept_ms > tick + STOPPED_MS)
        watched->since_ms += slept_ms - tick;
    guard->looked_ms = now_ms;
    if (entry != watched->entry) {
        tell_of_end(guard, (uint32_t)(now_ms - watched->since_ms));
        *watched = (struct watched){.entry = entry, .since_ms = now_ms};
    } else if (entry) {
        look_closer(guard, (uint32_t)(now_ms - watched->since_ms));
    }
}

static void wait_for_tick(struct mw_guard *guard)
{
    uint32_t tick = tick_ms(&guard->limits);
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)tick * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!guard->stopping && pthread_cond_timedwait(&guard->stop, &guard->mutex, &until) != ETIMEDOUT)
        ;
}

static void *watch(void *arg)
{
    struct mw_guard *guard = arg;

    pthread_mutex_lock(&guard->mutex);
    guard->looked_ms = clock_ms();
    while (!guard->stopping) {
        wait_for_tick(guard);
        look(guard);
    }
    pthread_mutex_unlock(&guard->mutex);
    return NULL;
}

/* ---- beginning and end ---- */

/* After all that scripts have to finalize: from here on the state is taken apart, and the signal must not find a coroutine.
 * os.exit does this, too, while a handler runs. */
static int forget_state(lua_State *L)
{
    atomic_store(&mw_runtime_of(L)->entry, 0);
    return 0;
}

void mw_guard_open(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, forget_state);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
}

/* With all signals blocked there: they are for the main thread. */
static int start_thread(struct mw_guard *guard)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&guard->mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&guard->thread, NULL, watch, guard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct mw_guard *mw_guard_start(struct mw_runtime *runtime, const struct mw_guard_limits *limits)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

    if (!limits->warning_ms && !limits->limit_ms)
        return NULL;
    struct mw_guard *guard = calloc(1, sizeof *guard);
    int error = guard ? 0 : ENOMEM;
    if (guard) {
        guard->runtime = runtime;
        guard->limits = *limits;
        guard->main_thread = pthread_self();
        sigaction(GUARD_SIGNAL, &action, &guard->old_action);
        error = start_thread(guard);
    }
    if (!error)
        return guard;
    if (guard)
        sigaction(GUARD_SIGNAL, &guard->old_action, NULL);
    free(guard);
    mw_log(MW_LOG_ERROR, "nobody watches how long handlers take: %s", strerror(error));
    return NULL;
}

void mw_guard_stop(struct mw_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&guard->mutex);
    guard->stopping = true;
    pthread_cond_signal(&guard->stop);
    pthread_mutex_unlock(&guard->mutex);
    pthread_join(guard->thread, NULL);
    sigaction(GUARD_SIGNAL, &guard->old_action, NULL);
    pthread_cond_destroy(&guard->stop);
    pthread_mutex_destroy(&guard->mutex);
    free(guard);
}
