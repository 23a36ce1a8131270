/* drain.c - see drain.h.
 * Clients of a push server come back by themselves. Told all in one instant, they would all be at the door of the next
 * process in the same instant, so WebSockets are closed one after the other. */
/* SPDX-License-Identifier: MIT */
#include "bind/drain.h"

#include <stdio.h>

#include "base/log.h"
#include "bind/core.h"
#include "bind/server.h"
#include "bind/ws.h"
#include "net/admission.h"
#include "net/engine.h"

enum {
    PACE_MS = 10,   /* from one good-bye to the next: a few clients feel nothing of it */
    SPAN_SHARE = 2, /* … but all within half of the time: the last ones told need some to finish in */
};

static const char REASON[] = "the server is going away";

/* ---- what is open ---- */

static size_t count_clients(const struct mw_runtime *runtime, bool is_client)
{
    size_t count = 0;

    for (const struct mw_ws *ws = runtime->sockets; ws; ws = ws->next)
        count += ws->connection && ws->connection->is_client == is_client;
    return count;
}

static size_t count_connections(const struct mw_runtime *runtime)
{
    return mw_admissions_total(runtime->engine) + count_clients(runtime, true);
}

/* Requests to other servers are not waited for: somebody waits for what they bring, and is counted, or nobody does. */
static bool is_done(const struct mw_runtime *runtime)
{
    return !runtime->socket_count && !runtime->stop_handlers && !mw_admissions_total(runtime->engine);
}

/* "3 connections", "1 on_stop handler" or both. */
static const char *describe(size_t connections, size_t handlers, char *text, size_t size)
{
    char first[64] = "", second[64] = "";

    if (connections || !handlers)
        snprintf(first, sizeof first, "%zu connection%s", connections, connections == 1 ? "" : "s");
    if (handlers)
        snprintf(second, sizeof second, "%zu on_stop handler%s", handlers, handlers == 1 ? "" : "s");
    snprintf(text, size, "%s%s%s", first, first[0] && second[0] ? " and " : "", second);
    return text;
}

/* ---- the end of it ---- */

static void stop(const struct mw_drain *drain)
{
    drain->runtime->engine->on_turn = NULL;
    drain->runtime->engine->stopped = true;
}

static void on_turn(void *arg)
{
    const struct mw_drain *drain = arg;

    if (!is_done(drain->runtime))
        return;
    if (drain->signal && drain->something)
        mw_log(MW_LOG_INFO, "%s: everything is closed, %.1f s later", drain->signal,
               (double)(uv_now(drain->runtime->loop) - drain->begun_ms) / 1000);
    stop(drain);
}

static void on_limit(uv_timer_t *timer)
{
    const struct mw_drain *drain = timer->data;
    const struct mw_runtime *runtime = drain->runtime;
    char text[160];

    mw_log(MW_LOG_WARNING, "%s: %g s are over, cut off: %s", drain->signal ? drain->signal : "the end",
           drain->time_ms / 1000.0, describe(count_connections(runtime), runtime->stop_handlers, text, sizeof text));
    stop(drain);
}

/* ---- good-byes ---- */

/* Handlers run meanwhile and may end any of the others: runtime->next_goodbye is kept right when one goes. */
static struct mw_ws *next_of(struct mw_runtime *runtime)
{
    struct mw_ws *ws = runtime->next_goodbye;

    if (ws)
        runtime->next_goodbye = ws->next;
    return ws;
}

static void cancel_openings(struct mw_runtime *runtime)
{
    struct mw_ws *ws;

    runtime->next_goodbye = runtime->sockets;
    while ((ws = next_of(runtime)))
        if (ws->opening)
            mw_opening_cancel(ws->opening);
}

static void close_one(const struct mw_ws *ws)
{
    mw_connection_close(ws->connection, MW_ENDING_SHUTDOWN, MW_CLOSE_GOING_AWAY, REASON, sizeof REASON - 1);
}

/* What we are a client of goes last: those who came to us may need it to finish. */
static void close_ours(struct mw_runtime *runtime)
{
    struct mw_ws *ws;

    runtime->next_goodbye = runtime->sockets;
    while ((ws = next_of(runtime)))
        if (ws->connection && ws->connection->is_client)
            close_one(ws);
}

/* As many good-byes as are due by now. */
static void on_pace(uv_timer_t *timer)
{
    struct mw_drain *drain = timer->data;
    struct mw_runtime *runtime = drain->runtime;
    uint64_t gone = uv_now(runtime->loop) - drain->begun_ms;
    size_t due = gone >= drain->span_ms ? drain->to_tell : 1 + (size_t)(drain->to_tell * gone / drain->span_ms);
    struct mw_ws *ws = NULL;

    while (drain->told < due && (ws = next_of(runtime))) {
        if (!ws->connection || ws->connection->is_client)
            continue;
        close_one(ws);
        drain->told++;
    }
    if (drain->told < drain->to_tell && runtime->next_goodbye)
        return;
    uv_timer_stop(timer);
    close_ours(runtime);
}

void mw_drain_begin(struct mw_drain *drain, const char *signal)
{
    struct mw_runtime *runtime = drain->runtime;
    size_t connections = count_connections(runtime);
    char text[160];

    drain->signal = signal;
    drain->begun_ms = uv_now(runtime->loop);
    runtime->stopping = true;
    mw_server_close_all(runtime, false);
    mw_core_run_stop_handlers(runtime);
    drain->something = connections || runtime->stop_handlers;
    if (signal && drain->something)
        mw_log(MW_LOG_INFO, "%s: closing %s within %g s", signal,
               describe(connections, runtime->stop_handlers, text, sizeof text), drain->time_ms / 1000.0);
    mw_core_run_exit_handlers(runtime->lua, drain->time_ms / 1000.0);
    cancel_openings(runtime);
    mw_socket_retire_all(runtime->engine, false);
    drain->to_tell = count_clients(runtime, false);
    uint64_t span = (uint64_t)PACE_MS * (drain->to_tell ? drain->to_tell - 1 : 0), most = drain->time_ms / SPAN_SHARE;
    drain->span_ms = (uint32_t)(span < most ? span : most);
    runtime->next_goodbye = runtime->sockets;
    uv_timer_start(&drain->pace, on_pace, PACE_MS, PACE_MS);
    uv_timer_start(&drain->limit, on_limit, drain->time_ms, 0);
    runtime->engine->on_turn = on_turn;
    runtime->engine->on_turn_arg = drain;
    on_pace(&drain->pace);
}

void mw_drain_init(struct mw_drain *drain, struct mw_runtime *runtime, uint32_t time_ms)
{
    *drain = (struct mw_drain){.runtime = runtime, .time_ms = time_ms};
    uv_timer_init(runtime->loop, &drain->pace);
    uv_timer_init(runtime->loop, &drain->limit);
    drain->pace.data = drain->limit.data = drain;
    uv_unref((uv_handle_t *)&drain->pace);
    uv_unref((uv_handle_t *)&drain->limit);
}

void mw_drain_close(struct mw_drain *drain)
{
    uv_close((uv_handle_t *)&drain->pace, NULL);
    uv_close((uv_handle_t *)&drain->limit, NULL);
}
