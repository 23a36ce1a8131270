/* ws.c - see ws.h: how events reach handlers, in order, and how a box lives and ends. ws_methods.c has what scripts call. */
/* SPDX-License-Identifier: MIT */
#include "bind/ws.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/ending.h"
#include "bind/failure.h"
#include "bind/guard.h"
#include "bind/topics.h"
#include "bind/upgrade.h"

enum { PENDING_MESSAGES_MAX = 1024 };

enum pending_kind { PENDING_TEXT, PENDING_BINARY, PENDING_CLOSE };

struct mw_ws_pending {
    struct mw_ws_pending *next;
    enum pending_kind kind;
    unsigned code; /* PENDING_CLOSE */
    size_t len;
    char data[];
};

/* What an entry function needs, on the C stack of whoever starts the task. */
struct event {
    struct mw_ws *ws;
    enum mw_ws_event event;
    const char *data;
    size_t len;
    bool text;
    unsigned code;
    const char *extra;
};

static void continue_pending(struct mw_ws *ws);

/* ---- handlers ---- */

/* Pushes handler and box; false when the route has no such handler. */
static bool push_handler(lua_State *L, const struct event *event)
{
    int ref = event->ws->route->handlers[event->event];

    if (ref == LUA_NOREF)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, event->ws->ref);
    return true;
}

static void push_message(lua_State *L, const struct event *event)
{
    lua_pushlstring(L, event->data, event->len);
    lua_rawgeti(L, LUA_REGISTRYINDEX, event->text ? event->ws->runtime->text_ref : event->ws->runtime->binary_ref);
}

static int enter(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    int nargs = 1;

    lua_settop(L, 0);
    if (!push_handler(L, event))
        return 0;
    switch (event->event) {
    case MW_WS_MESSAGE:
        push_message(L, event);
        nargs = 3;
        break;
    case MW_WS_DROPPED:
    case MW_WS_PONG:
        lua_pushlstring(L, event->data, event->len);
        nargs = 2;
        break;
    case MW_WS_CLOSE:
        lua_pushinteger(L, event->code);
        lua_pushlstring(L, event->data ? event->data : "", event->len);
        nargs = 3;
        break;
    case MW_WS_ERROR:
    case MW_WS_FAILED:
        lua_pushstring(L, event->data);
        lua_pushstring(L, event->extra);
        nargs = 3;
        break;
    case MW_WS_OPEN:
    case MW_WS_DRAIN:
    case MW_WS_UNSENT:
    case MW_WS_EVENTS:
        break;
    }
    if (event->event == MW_WS_CLOSE || event->event == MW_WS_FAILED)
        event->ws->has_entered = true;
    return mw_task_invoke(L, nargs);
}

/* A client's peer is in the route's name already. */
static void log_error(const struct mw_ws *ws, enum mw_ws_event which, const char *error)
{
    struct mw_upgrade_origin origin;
    struct mw_failure failure = {.kind = ws->route->hub ? "websocket" : "client",
                                 .route = ws->route->name,
                                 .event = mw_ws_event_name(which),
                                 .id = ws->id};

    if (mw_upgrade_origin(ws, &origin)) {
        failure.address = origin.address;
        failure.port = origin.port;
        failure.request_id = origin.request_id[0] ? origin.request_id : NULL;
    }
    mw_failure_log(&failure, error);
    ws->runtime->engine->counters.handler_errors++;
}

static void error_handler_done(void *arg, const char *error)
{
    if (error)
        log_error(arg, MW_WS_ERROR, error);
}

static enum mw_ending_rule rule_of(enum mw_failure_cause cause)
{
    switch (cause) {
    case MW_FAILED_BY_TIME:
        return MW_ENDING_HANDLER_LIMIT;
    case MW_FAILED_BY_MEMORY:
        return MW_ENDING_MEMORY_LIMIT;
    case MW_FAILED_BY_ERROR:
        break;
    }
    return MW_ENDING_HANDLER_ERROR;
}

/* A handler failed: it is logged, told to the route, and costs this connection only. */
static void handler_failed(struct mw_ws *ws, enum mw_ws_event which, const char *error)
{
    struct event event = {.ws = ws, .event = MW_WS_ERROR, .data = error, .extra = mw_ws_event_name(which)};
    enum mw_ending_rule rule = rule_of(ws->runtime->cause); /* before the error's own handler may fail */

    log_error(ws, which, error);
    if (ws->ref != LUA_NOREF)
        mw_task_call(ws->runtime, enter, &event, error_handler_done, ws);
    if (ws->connection)
        mw_connection_fail(ws->connection, rule, "a handler failed");
}

static void drain_done(void *arg, const char *error)
{
    if (error)
        handler_failed(arg, MW_WS_DRAIN, error);
}

static void dropped_done(void *arg, const char *error)
{
    if (error)
        handler_failed(arg, MW_WS_DROPPED, error);
}

static void pong_done(void *arg, const char *error)
{
    if (error)
        handler_failed(arg, MW_WS_PONG, error);
}

static void ordered_handler_done(void *arg, const char *error)
{
    struct mw_ws *ws = arg;

    ws->busy = false;
    if (error)
        handler_failed(ws, (enum mw_ws_event)ws->event, error);
    /* Also after the last one that was put aside: whoever sent so much was made to wait. */
    if (ws->pending || ws->close_waits || (ws->connection && ws->connection->paused))
        continue_pending(ws);
}

/* Events in order: the next one runs when this handler is done. */
static void run_ordered(const struct event *event)
{
    event->ws->busy = true;
    event->ws->event = (uint8_t)event->event;
    mw_task_call(event->ws->runtime, enter, (void *)event, ordered_handler_done, event->ws);
}

/* ---- the messages of one read ---- */

/* A step of the parser, run inside of a task: entering and leaving one for each message would cost as much as a short
 * handler does. */
struct gathering {
    struct mw_ws *ws;
    void (*step)(void *arg);
    void *arg;
};

/* What every call needs lies at the bottom of the task's stack, so that each message only adds itself. */
enum { GATHER_HANDLER = 1, GATHER_WS, GATHER_TEXT, GATHER_BINARY };

static int enter_gathering(lua_State *L)
{
    const struct gathering *gathering = lua_touserdata(L, 1);
    const struct mw_ws *ws = gathering->ws;

    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->route->handlers[MW_WS_MESSAGE]);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->runtime->text_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->runtime->binary_ref);
    gathering->step(gathering->arg);
    return 0;
}

/* After a handler that waited: the step it was called from is gone. */
static int handled(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static bool on_gather(void *owner, void (*step)(void *arg), void *arg)
{
    struct mw_ws *ws = owner;
    struct mw_runtime *runtime = ws->runtime;
    struct gathering gathering = {ws, step, arg};

    /* What comes while a handler waits is only put aside. */
    if (ws->busy || ws->pending || ws->route->handlers[MW_WS_MESSAGE] == LUA_NOREF)
        return false;
    lua_State *outer = runtime->gathering;
    const struct mw_ws *outer_ws = runtime->gathering_ws;
    runtime->gathering_ws = ws;
    ws->event = MW_WS_MESSAGE;
    bool called = mw_task_gather(runtime, enter_gathering, &gathering, ordered_handler_done, ws);
    runtime->gathering = outer;
    runtime->gathering_ws = outer_ws;
    return called;
}

/* Inside of a step: calls the handler where we are. It may not come back (an error, a wait), which ends the step. */
static void handle_here(lua_State *L, struct mw_ws *ws, const uint8_t *data, size_t len, bool text)
{
    ws->busy = true;
    mw_guard_next(ws->runtime);
    lua_pushvalue(L, GATHER_HANDLER);
    lua_pushvalue(L, GATHER_WS);
    lua_pushlstring(L, (const char *)data, len);
    lua_pushvalue(L, text ? GATHER_TEXT : GATHER_BINARY);
    lua_callk(L, 3, 0, 0, handled);
    ws->busy = false;
}

void mw_ws_dropped(struct mw_ws *ws, const char *data, size_t len)
{
    struct event event = {.ws = ws, .event = MW_WS_DROPPED, .data = data, .len = len};

    if (ws->route->handlers[MW_WS_DROPPED] != LUA_NOREF)
        mw_task_call(ws->runtime, enter, &event, dropped_done, ws);
}

/* ---- the end ---- */

void mw_ws_release(struct mw_ws *ws)
{
    if (ws->route->hub)
        mw_hub_unsubscribe_all(&ws->route->hub->hub, &ws->subscriber);
    mw_hub_forget_latest(ws, NULL);
    if (ws->runtime->next_goodbye == ws)
        ws->runtime->next_goodbye = ws->next;
    *ws->link = ws->next;
    if (ws->next)
        ws->next->link = ws->link;
    ws->link = NULL;
    ws->runtime->socket_count--;
    luaL_unref(ws->runtime->lua, LUA_REGISTRYINDEX, ws->ref);
    ws->ref = LUA_NOREF;
    mw_route_leave(ws->runtime->lua, ws->route);
    if (ws->joined)
        mw_hub_finished(ws->route->hub, ws->runtime);
}

static void last_handler_done(void *arg, const char *error)
{
    struct mw_ws *ws = arg;

    /* Somebody may wait for just this: when there was no memory for what it is told, it is told less, for which none is needed. */
    if (error && !ws->has_entered) {
        struct event event = {.ws = ws,
                              .event = (enum mw_ws_event)ws->event,
                              .code = ws->last_code,
                              .data = ws->event == MW_WS_CLOSE ? "" : "not enough memory",
                              .extra = "memory"};
        ws->has_entered = true;
        mw_task_call(ws->runtime, enter, &event, last_handler_done, ws);
        return;
    }
    ws->busy = false;
    if (error)
        handler_failed(ws, (enum mw_ws_event)ws->event, error);
    mw_ws_release(ws);
}

static void run_close(struct mw_ws *ws, unsigned code, const char *reason, size_t len)
{
    struct event event = {.ws = ws, .event = MW_WS_CLOSE, .code = code, .data = reason, .len = len};

    ws->busy = true;
    ws->event = MW_WS_CLOSE;
    ws->has_entered = false;
    ws->last_code = (uint16_t)code;
    if (ws->route->handlers[MW_WS_CLOSE] != LUA_NOREF)
        mw_task_call(ws->runtime, enter, &event, last_handler_done, ws);
    else
        last_handler_done(ws, NULL);
}

void mw_ws_failed(struct mw_ws *ws, const char *message, const char *code)
{
    struct event event = {.ws = ws, .event = MW_WS_FAILED, .data = message, .extra = code};

    ws->busy = true;
    ws->event = MW_WS_FAILED;
    ws->has_entered = false;
    mw_task_call(ws->runtime, enter, &event, last_handler_done, ws);
}

static struct mw_ws_pending *take_pending(struct mw_ws *ws)
{
    struct mw_ws_pending *last = ws->pending, *first = last->next;

    last->next = first->next;
    if (first == last)
        ws->pending = NULL;
    ws->pending_bytes -= sizeof *first + first->len;
    return first;
}

/* A box whose close handler never came to run, because the process ends. */
void mw_ws_collect(struct mw_ws *ws)
{
    while (ws->pending)
        free(take_pending(ws));
    mw_ws_forget_ending(ws);
    mw_hub_forget_latest(ws, NULL);
    free(ws->subscriber.list);
}

/* ---- events that wait ---- */

static void push_pending(struct mw_ws *ws, enum pending_kind kind, unsigned code, const void *data, size_t len)
{
    struct mw_ws_pending *pending = malloc(sizeof *pending + len);

    if (!pending) {
        if (ws->connection)
            mw_connection_fail(ws->connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
        ws->close_waits = kind == PENDING_CLOSE;
        ws->last_code = (uint16_t)code;
        return;
    }
    *pending = (struct mw_ws_pending){.kind = kind, .code = code, .len = len};
    if (len)
        memcpy(pending->data, data, len);
    pending->next = ws->pending ? ws->pending->next : pending;
    if (ws->pending)
        ws->pending->next = pending;
    ws->pending = pending;
    ws->pending_bytes += sizeof *pending + len;
    /* Beyond this TCP tells the peer to wait. */
    const struct mw_connection_settings *settings = &ws->route->settings;
    if (ws->connection && (ws->pending_bytes > settings->max_payload + settings->max_backpressure ||
                           ws->pending_bytes > PENDING_MESSAGES_MAX * sizeof *pending + settings->max_backpressure))
        mw_connection_pause(ws->connection, true);
}

static void continue_pending(struct mw_ws *ws)
{
    while (ws->pending && !ws->busy) {
        struct mw_ws_pending *pending = take_pending(ws);
        if (pending->kind == PENDING_CLOSE) {
            run_close(ws, pending->code, pending->data, pending->len);
            free(pending);
            return;
        }
        struct event event = {.ws = ws,
                              .event = MW_WS_MESSAGE,
                              .data = pending->data,
                              .len = pending->len,
                              .text = pending->kind == PENDING_TEXT};
        if (!ws->closing_by_hand) {
            /* `busy` keeps the handler's end from starting this loop a second time. */
            ws->busy = true;
            ws->event = MW_WS_MESSAGE;
            mw_task_call(ws->runtime, enter, &event, ordered_handler_done, ws);
        }
        free(pending);
    }
    if (ws->pending || ws->busy)
        return;
    if (ws->close_waits)
        run_close(ws, ws->last_code, NULL, 0);
    else if (ws->connection)
        mw_connection_pause(ws->connection, false);
}

/* ---- what the connection tells ---- */

static void on_message(void *owner, const uint8_t *data, size_t len, bool text)
{
    struct mw_ws *ws = owner;

    if (ws->busy || ws->pending) {
        push_pending(ws, text ? PENDING_TEXT : PENDING_BINARY, 0, data, len);
    } else if (ws->runtime->gathering_ws == ws) {
        handle_here(ws->runtime->gathering, ws, data, len, text);
    } else {
        struct event event = {.ws = ws, .event = MW_WS_MESSAGE, .data = (const char *)data, .len = len, .text = text};
        run_ordered(&event);
    }
}

static void on_drain(void *owner)
{
    struct mw_ws *ws = owner;
    struct event event = {.ws = ws, .event = MW_WS_DRAIN};

    if (ws->latest)
        mw_hub_send_latest(ws);
    if (ws->route->handlers[MW_WS_DRAIN] != LUA_NOREF)
        mw_task_call(ws->runtime, enter, &event, drain_done, ws);
}

static void on_pong(void *owner, const uint8_t *data, size_t len)
{
    struct mw_ws *ws = owner;
    struct event event = {.ws = ws, .event = MW_WS_PONG, .data = (const char *)data, .len = len};

    if (ws->route->handlers[MW_WS_PONG] != LUA_NOREF)
        mw_task_call(ws->runtime, enter, &event, pong_done, ws);
}

static void on_closed(void *owner, const struct mw_ending *ending)
{
    struct mw_ws *ws = owner;

    ws->connection = NULL;
    if (ws->joined)
        mw_hub_left(ws->route->hub);
    mw_ws_keep_ending(ws, ending);
    if (ws->busy || ws->pending)
        push_pending(ws, PENDING_CLOSE, ending->code, ending->reason, ending->reason_len);
    else
        run_close(ws, ending->code, ending->reason, ending->reason_len);
}

const struct mw_connection_events mw_ws_events = {
    .gather = on_gather,
    .message = on_message,
    .drain = on_drain,
    .pong = on_pong,
    .closed = on_closed,
};

/* ---- birth ---- */

void mw_ws_anchor(lua_State *L, int index, struct mw_ws *ws)
{
    struct mw_runtime *runtime = ws->runtime;

    lua_getiuservalue(L, index, MW_WS_ROUTE);
    mw_route_bind(L, lua_gettop(L), ws->route);
    lua_pop(L, 1);
    lua_pushvalue(L, index);
    ws->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    ws->route->users++; /* nothing raises from here on */
    ws->next = runtime->sockets;
    ws->link = &runtime->sockets;
    if (ws->next)
        ws->next->link = &ws->next;
    runtime->sockets = ws;
    runtime->socket_count++;
    ws->busy = ws->closing_by_hand = ws->close_waits = false;
}

struct mw_ws *mw_ws_new(lua_State *L, int route_index)
{
    struct mw_route *route = mw_route_check(L, route_index);
    struct mw_runtime *runtime = mw_runtime_of(L);
    struct mw_ws *ws = lua_newuserdatauv(L, sizeof *ws, MW_WS_VALUES);

    memset(ws, 0, sizeof *ws);
    ws->type = mw_ws_type;
    ws->runtime = runtime;
    ws->route = route;
    ws->id = ++runtime->next_id;
    ws->ref = LUA_NOREF;
    luaL_setmetatable(L, mw_ws_type);
    lua_pushvalue(L, route_index);
    lua_setiuservalue(L, -2, MW_WS_ROUTE);
    mw_ws_anchor(L, lua_gettop(L), ws);
    return ws;
}

void mw_ws_attach(struct mw_ws *ws, struct mw_connection *connection, const uint8_t *early, size_t len)
{
    struct event event = {.ws = ws, .event = MW_WS_OPEN};

    ws->connection = connection;
    ws->opening = NULL;
    mw_ws_forget_ending(ws);
    ws->joined = ws->route->hub != NULL;
    if (ws->joined)
        mw_hub_joined(ws->route->hub);
    if (ws->route->handlers[MW_WS_OPEN] != LUA_NOREF)
        run_ordered(&event);
    if (ws->connection == connection)
        mw_connection_start(connection, early, len);
    /* Whoever comes while the process ends is sent away like all others. */
    if (ws->connection == connection && ws->runtime->stopping)
        mw_connection_close(connection, MW_ENDING_SHUTDOWN, MW_CLOSE_GOING_AWAY, NULL, 0);
    if (ws->connection == connection)
        mw_connection_write_now(connection);
}
