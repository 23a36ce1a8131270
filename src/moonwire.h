/* moonwire.h - the one struct that a running moonwire is; forward declarations only. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_MOONWIRE_H
#define MW_MOONWIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MW_VERSION "0.1.0"

struct lua_State;
struct mw_engine;
struct mw_guard;
struct mw_inherited;
struct mw_server;
struct mw_task;
struct mw_ws;
struct uv_loop_s;

/* A coroutine that C has resumed, and the one that was running then. They lie on the C stack, the main state's at the end. */
struct mw_running {
    struct lua_State *co;
    struct mw_running *outer;
};

/* Why the last handler that failed did so. */
enum mw_failure_cause { MW_FAILED_BY_ERROR, MW_FAILED_BY_TIME, MW_FAILED_BY_MEMORY };

struct mw_runtime {
    struct uv_loop_s *loop;
    struct mw_engine *engine;
    struct lua_State *lua;      /* the main state: callbacks start from it */
    struct mw_running main;     /* … as the outermost of those that run */
    struct mw_running *running; /* the innermost */
    struct mw_guard *guard;     /* stops handlers that do not end; NULL: none */
    enum mw_failure_cause cause;
    uint64_t interrupted;             /* the number of the last handler that was interrupted */
    uint64_t entries;                 /* handlers started so far */
    _Atomic uint64_t entry;           /* the number of the one that runs, for the guard's thread; 0: none */
    struct lua_State *gathering;      /* the one that handles the messages of a read, one after the other, */
    const struct mw_ws *gathering_ws; /* and whose they are; NULL: none */
    struct mw_task *main_task;        /* stands for the main state and for coroutines that scripts make */
    struct mw_task *idle_tasks;       /* coroutines that wait for their next handler */
    struct mw_server *servers;        /* those still listening or serving */
    struct mw_ws *sockets;            /* every WebSocket whose close event is still to come */
    size_t socket_count;
    int64_t next_id; /* of WebSockets */
    int text_ref;    /* "text" and "binary", interned once */
    int binary_ref;
    int memory_ref;          /* "memory": the code of what failed for want of it */
    const char *binary_name; /* the latter as C sees it */
    bool script_over;        /* the main chunk has ended */
    bool failed;             /* an error that nobody handled: the exit code will be 1 */
    bool in_error_hook;      /* what fails in there is logged, and not told to the hook again */
    bool stopping;           /* told to end: nothing new is accepted */
    bool run_stopped;        /* a script called uv.stop() */
    bool timed;              /* how long handlers take is counted */
    bool muted;              /* the very end: scripts are not entered any more */

    /* Listening sockets from whoever started the process. */
    const struct mw_inherited *inherited;
    /* Where whoever says good-bye to all WebSockets is; NULL: nobody does. */
    struct mw_ws *next_goodbye;
    /* Of on_stop, that still run. */
    size_t stop_handlers;
};

#endif
