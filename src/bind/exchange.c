/* exchange.c - see exchange.h. What goes wrong in the handler is the Lua side's to answer; here it is only logged. */
/* SPDX-License-Identifier: MIT */
#include "bind/exchange.h"

#include <lauxlib.h>
#include <string.h>

#include "base/log.h"
#include "bind/box.h"
#include "bind/failure.h"
#include "bind/server.h"
#include "bind/tls.h"
#include "bind/upgrade.h"

static const char EXCHANGE[] = "moonwire.exchange";

/* ---- headers ---- */

static void push_span(lua_State *L, struct mw_span span)
{
    lua_pushlstring(L, span.at, span.len);
}

void mw_headers_push(lua_State *L, const struct mw_http_head *head)
{
    lua_createtable(L, 0, (int)head->header_count);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct mw_http_header *header = &head->headers[i];
        push_span(L, header->name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            push_span(L, header->value);
        } else {
            /* Set-Cookie can't be joined at all; a client reads it from the list in `set_cookie`. */
            lua_pushstring(L, strcmp(lua_tostring(L, -2), "cookie") == 0 ? "; " : ", ");
            push_span(L, header->value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

static int push_head(lua_State *L, const struct mw_http_head *head)
{
    push_span(L, head->method);
    push_span(L, head->target);
    lua_pushinteger(L, head->minor);
    mw_headers_push(L, head);
    return 4;
}

int mw_headers_parse(lua_State *L)
{
    static const struct mw_http_limits limits = {
        .head_bytes = SIZE_MAX, .line_bytes = SIZE_MAX / 2, .header_count = MW_HTTP_HEADERS_MAX};
    struct mw_http_error error;
    size_t len, head_len, scanned = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    /* The parser changes what it reads, and needs room: both belong to Lua, in case something raises. */
    struct mw_http_head *head = lua_newuserdatauv(L, sizeof *head, 0);
    char *copy = memcpy(lua_newuserdatauv(L, len, 0), text, len);

    if (mw_http_parse_request(head, copy, len, &limits, &scanned, &head_len, &error) != MW_HTTP_OK)
        return luaL_error(L, "parse_head: this is not a request's head");
    return push_head(L, head);
}

/* ---- events ---- */

static int enter_request(lua_State *L)
{
    struct mw_http_exchange *exchange = lua_touserdata(L, 1);
    struct mw_server *server = exchange->server;

    lua_rawgeti(L, LUA_REGISTRYINDEX, server->handler_ref);
    struct mw_exchange_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    memset(box, 0, sizeof *box);
    box->type = EXCHANGE;
    box->exchange = exchange;
    box->server = server;
    box->ref = box->abort_ref = LUA_NOREF;
    luaL_setmetatable(L, EXCHANGE);
    lua_pushvalue(L, -1);
    box->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    exchange->user = box;
    box->co = L;
    mw_task_set_arg(L, box);
    return mw_task_invoke(L, 1);
}

/* After an error that the Lua side could not answer, such as of memory, the request is not left without an answer. `arg` is the
 * box, unless that has let go of the exchange. */
static void request_done(void *arg, const char *error)
{
    struct mw_exchange_box *box = arg;

    if (error)
        mw_failure_log(&(struct mw_failure){.kind = "http"}, error);
    if (box)
        box->co = NULL;
    if (!box || !error)
        return;
    struct mw_http_exchange *exchange = box->exchange;
    exchange->events->abort(exchange, true);
    mw_http_give_up(exchange, 500, "the handler failed");
}

static void on_request(void *owner, struct mw_http_exchange *exchange)
{
    struct mw_server *server = owner;

    mw_task_call(server->runtime, enter_request, exchange, request_done, NULL);
    /* It never got as far as the Lua side. */
    if (exchange->state == MW_HTTP_BUSY && !exchange->user)
        mw_http_give_up(exchange, 503, "not enough memory");
}

static int push_body(lua_State *co, void *arg)
{
    static const char *const messages[] = {"", "the body is too large", "the body did not come in time",
                                           "the body is malformed", "closed"};
    static const char *const codes[] = {"", "too_large", "timeout", "malformed", "closed"};
    const struct mw_exchange_box *box = arg;

    if (box->result == MW_HTTP_BODY_OK) {
        lua_pushlstring(co, (const char *)box->exchange->body.data, box->exchange->body.len);
        return 1;
    }
    lua_pushnil(co);
    lua_pushstring(co, messages[box->result]);
    lua_pushstring(co, codes[box->result]);
    return 3;
}

static void on_body(struct mw_http_exchange *exchange, enum mw_http_body_result result)
{
    struct mw_exchange_box *box = exchange->user;

    if (!box)
        return;
    box->result = result;
    mw_waiter_wake(&box->body, push_body, box);
}

static int push_drained(lua_State *co, void *arg)
{
    const struct mw_exchange_box *box = arg;

    if (box->exchange) {
        lua_pushboolean(co, true);
        return 1;
    }
    lua_pushnil(co);
    lua_pushliteral(co, "closed");
    lua_pushliteral(co, "closed");
    return 3;
}

static void on_drain(struct mw_http_exchange *exchange)
{
    struct mw_exchange_box *box = exchange->user;
    mw_waiter_wake(&box->drain, push_drained, box);
}

static int enter_abort(lua_State *L)
{
    struct mw_exchange_box *box = lua_touserdata(L, 1);
    int ref = box->abort_ref;

    box->abort_ref = LUA_NOREF;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    return mw_task_invoke(L, 0);
}

/* The exchange ended, one way or the other: the box lets go of it. */
static void detach(struct mw_exchange_box *box)
{
    lua_State *L = box->server->runtime->lua;

    box->exchange->user = NULL;
    box->exchange = NULL;
    if (box->co)
        mw_task_set_arg(box->co, NULL);
    box->co = NULL;
    mw_waiter_wake(&box->drain, push_drained, box);
    luaL_unref(L, LUA_REGISTRYINDEX, box->abort_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, box->ref);
    box->abort_ref = box->ref = LUA_NOREF;
}

static void on_abort(struct mw_http_exchange *exchange, bool gone)
{
    struct mw_exchange_box *box = exchange->user;
    bool watched = box->abort_ref != LUA_NOREF;

    if (watched)
        mw_task_call(box->server->runtime, enter_abort, box, NULL, "abort handler");
    /* If the handler finished it, the box may be collected by now; the exchange lasts until the end of the turn. */
    if (!exchange->user)
        return;
    if (gone)
        detach(exchange->user);
    else if (watched)
        mw_http_drop(exchange); /* who was told that the peer is gone will not answer */
}

static void on_gone(void *server)
{
    mw_server_forget(server);
}

const struct mw_http_events mw_exchange_events = {
    .request = on_request,
    .body = on_body,
    .drain = on_drain,
    .abort = on_abort,
    .gone = on_gone,
};

/* ---- methods ---- */

struct mw_exchange_box *mw_exchange_check(lua_State *L, int index)
{
    return mw_box_check(L, index, EXCHANGE, sizeof(struct mw_exchange_box));
}

static struct mw_exchange_box *check(lua_State *L)
{
    return mw_exchange_check(L, 1);
}

static int closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    lua_pushliteral(L, "closed");
    return 3;
}

static int exchange_head(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);

    if (!box->exchange)
        return closed(L);
    return push_head(L, box->exchange->head);
}

static int exchange_target(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);

    if (!box->exchange)
        return closed(L);
    push_span(L, box->exchange->head->target);
    return 1;
}

static void push_header(lua_State *L, const struct mw_http_head *head, const char *name)
{
    const struct mw_http_header *header = mw_http_find(head, name, NULL);

    if (header)
        push_span(L, header->value);
    else
        lua_pushnil(L);
}

/* Of a request for a WebSocket: its target, Origin and Host; of any other nil. */
static int exchange_opening(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);

    if (!box->exchange || !box->exchange->head->upgrade)
        return 0;
    push_span(L, box->exchange->head->target);
    push_header(L, box->exchange->head, "origin");
    push_header(L, box->exchange->head, "host");
    return 3;
}

static int exchange_peer(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);
    char address[64];
    int port;

    if (!box->exchange)
        return closed(L);
    mw_socket_peer(box->exchange->socket, address, sizeof address, &port);
    lua_pushstring(L, address);
    lua_pushinteger(L, port);
    lua_pushboolean(L, box->exchange->socket->ssl != NULL);
    mw_tls_push_client(L, box->exchange->socket->ssl);
    return 4;
}

static int exchange_has_body(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);
    lua_pushboolean(L, box->exchange && mw_http_has_body(box->exchange));
    return 1;
}

static int exchange_body(lua_State *L)
{
    struct mw_exchange_box *box = check(L);
    struct mw_http_exchange *exchange = box->exchange;
    lua_Integer limit = luaL_checkinteger(L, 2);

    luaL_argcheck(L, limit >= 0, 2, "a size that is not negative is expected");
    if (!exchange)
        return closed(L);
    if (mw_http_has_body(exchange)) {
        if (exchange->state != MW_HTTP_BUSY)
            return luaL_error(L, "the body is being read already");
        mw_http_read_body(exchange, (size_t)limit);
        if (exchange->state == MW_HTTP_BODY) {
            mw_waiter_set(&box->body, L);
            return lua_yield(L, 0);
        }
        /* What had come already was all of it, or showed that it can't be read. */
        return exchange->state == MW_HTTP_GONE ? closed(L) : push_body(L, box);
    }
    lua_pushlstring(L, (const char *)exchange->body.data, exchange->body.len);
    return 1;
}

static int exchange_write(lua_State *L)
{
    struct mw_exchange_box *box = check(L);
    size_t len;
    const char *data = luaL_checklstring(L, 2, &len);

    if (!box->exchange)
        return closed(L);
    switch (mw_http_write(box->exchange, data, len)) {
    case MW_HTTP_WRITTEN:
        lua_pushboolean(L, true);
        return 1;
    case MW_HTTP_BACKPRESSURE:
        lua_pushboolean(L, true);
        lua_pushliteral(L, "backpressure");
        return 2;
    case MW_HTTP_CLOSED:
        break;
    }
    return closed(L);
}

static int exchange_drain(lua_State *L)
{
    struct mw_exchange_box *box = check(L);

    if (!box->exchange)
        return closed(L);
    if (!box->exchange->want_drain) {
        lua_pushboolean(L, true);
        return 1;
    }
    mw_waiter_set(&box->drain, L);
    return lua_yield(L, 0);
}

static int exchange_finish(lua_State *L)
{
    struct mw_exchange_box *box = check(L);
    struct mw_http_exchange *exchange = box->exchange;

    if (!exchange)
        return closed(L);
    bool keep_alive = lua_toboolean(L, 2) && !box->server->runtime->stopping && box->server->listener;
    detach(box);
    mw_http_finish(exchange, keep_alive);
    lua_pushboolean(L, true);
    return 1;
}

static int exchange_keep_alive(lua_State *L)
{
    const struct mw_exchange_box *box = check(L);

    lua_pushboolean(L, box->exchange && box->exchange->head->keep_alive && !mw_http_has_body(box->exchange) &&
                           !box->server->runtime->stopping && box->server->listener);
    return 1;
}

static int exchange_on_abort(lua_State *L)
{
    struct mw_exchange_box *box = check(L);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!box->exchange)
        return closed(L);
    lua_pushvalue(L, 2);
    luaL_unref(L, LUA_REGISTRYINDEX, box->abort_ref);
    box->abort_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

struct mw_socket *mw_exchange_take_socket(struct mw_exchange_box *box, struct mw_buffer *early)
{
    struct mw_http_exchange *exchange = box->exchange;

    detach(box);
    return mw_http_detach(exchange, early);
}

void mw_exchange_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"head", exchange_head},         {"target", exchange_target},
        {"opening", exchange_opening},   {"peer", exchange_peer},
        {"has_body", exchange_has_body}, {"body", exchange_body},
        {"write", exchange_write},       {"drain", exchange_drain},
        {"finish", exchange_finish},     {"keep_alive", exchange_keep_alive},
        {"on_abort", exchange_on_abort}, {"handshake", mw_upgrade_handshake},
        {"accept", mw_upgrade_accept},   {NULL, NULL},
    };

    luaL_newmetatable(L, EXCHANGE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
