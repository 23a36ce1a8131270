/* http_receive.c - the way in of an HTTP connection: request heads, bodies, pipelined requests; how it starts and how its
 * socket is handed on. See http_server.h. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/http_server.h"

enum {
    FIRST_READ = 2048,
    PIPELINE_MAX = 64 * 1024, /* bytes of further requests kept while one is being answered */
};

static uint64_t now_ms(const struct mw_http_exchange *exchange)
{
    return mw_engine_now_ms(exchange->engine);
}

/* ---- heads ---- */

/* Moves what came behind the head to `rest`, so that `in`, where the spans point, stays as it is. */
static bool split(struct mw_http_exchange *exchange, size_t head_len)
{
    size_t behind = exchange->in.len - head_len;

    if (!mw_buffer_append(&exchange->rest, exchange->in.data + head_len, behind))
        return false;
    exchange->in.len = head_len;
    return true;
}

/* Whoever takes the socket over writes to it directly: the answers to what was asked before come first. */
static bool is_written(struct mw_http_exchange *exchange)
{
    mw_http_flush(exchange);
    return exchange->state != MW_HTTP_GONE && !exchange->out.bytes;
}

/* Looks for a whole request head in `in` and starts the request. */
static void advance(struct mw_http_exchange *exchange)
{
    struct mw_http_error error = {0};
    size_t head_len = 0;

    if (exchange->state != MW_HTTP_HEAD || !exchange->in.len)
        return;
    if (!exchange->head)
        exchange->head = malloc(sizeof *exchange->head);
    if (!exchange->head) {
        mw_http_no_memory(exchange);
        return;
    }
    switch (mw_http_parse_request(exchange->head, (char *)exchange->in.data, exchange->in.len,
                                  &exchange->settings->limits, &exchange->scanned, &head_len, &error)) {
    case MW_HTTP_PARTIAL:
        return;
    case MW_HTTP_INVALID:
        mw_http_refuse(exchange, error.status, error.why);
        return;
    case MW_HTTP_OK:
        break;
    }
    if (exchange->head->upgrade && exchange->out.bytes && !is_written(exchange))
        return;
    if (!split(exchange, head_len)) {
        mw_http_no_memory(exchange);
        return;
    }
    /* An upgrade that waits is still an unfinished handshake. */
    mw_http_set_timer(exchange, exchange->head->upgrade ? exchange->settings->head_timeout_ms : 0);
    mw_http_body_of_request(&exchange->framing, exchange->head);
    exchange->state = MW_HTTP_BUSY;
    exchange->events->request(exchange->server, exchange);
}

/* ---- bodies ---- */

void mw_http_body_end(struct mw_http_exchange *exchange, enum mw_http_body_result result)
{
    if (exchange->state != MW_HTTP_BODY)
        return;
    exchange->state = MW_HTTP_BUSY;
    mw_http_set_timer(exchange, 0);
    exchange->events->body(exchange, result);
}

/* Decodes body bytes; what lies behind the body goes to `rest`. */
static void feed(struct mw_http_exchange *exchange, const uint8_t *data, size_t len)
{
    size_t used = 0;

    while (used < len && !exchange->framing.done) {
        struct mw_span piece = {0};
        ptrdiff_t took = mw_http_body_feed(&exchange->framing, (const char *)data + used, len - used, &piece);
        if (took < 0) {
            mw_http_body_end(exchange, MW_HTTP_BODY_MALFORMED);
            return;
        }
        used += (size_t)took;
        if (piece.len > exchange->body_limit - exchange->body.len) {
            mw_http_body_end(exchange, MW_HTTP_BODY_TOO_LARGE);
            return;
        }
        if (!mw_buffer_append(&exchange->body, piece.at, piece.len)) {
            mw_http_no_memory(exchange);
            return;
        }
    }
    if (used < len && !mw_buffer_append(&exchange->rest, data + used, len - used)) {
        mw_http_no_memory(exchange);
        return;
    }
    if (exchange->framing.done)
        mw_http_body_end(exchange, MW_HTTP_BODY_OK);
}

void mw_http_read_body(struct mw_http_exchange *exchange, size_t limit)
{
    exchange->state = MW_HTTP_BODY;
    exchange->body_limit = limit;
    exchange->since_ms = now_ms(exchange);
    if (exchange->framing.done) {
        mw_http_body_end(exchange, MW_HTTP_BODY_OK);
        return;
    }
    if (exchange->framing.framing == MW_HTTP_LENGTH && exchange->framing.remaining > limit) {
        mw_http_body_end(exchange, MW_HTTP_BODY_TOO_LARGE);
        return;
    }
    mw_http_set_timer(exchange, exchange->settings->body_timeout_ms);
    if (exchange->head->expect_continue && !exchange->rest.len) {
        mw_http_write(exchange, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        exchange->responded = false;
    }
    struct mw_buffer early = exchange->rest;
    exchange->rest = (struct mw_buffer){0};
    feed(exchange, early.data, early.len);
    mw_buffer_free(&early);
}

/* ---- reading ---- */

/* The peer sends nothing more. Its answer may still be wanted, unless it is a stream that nobody ends. */
static void peer_done(struct mw_http_exchange *exchange)
{
    /* Nobody reads any more, yet we are told again: a hang-up. */
    bool hung_up = exchange->peer_done;

    exchange->peer_done = true;
    switch (exchange->state) {
    case MW_HTTP_HEAD:
        if (!exchange->out.bytes || hung_up) {
            mw_http_drop(exchange);
            return;
        }
        /* The answers to what was asked before are still on their way. */
        mw_socket_want_read(exchange->socket, false);
        mw_http_close_when_written(exchange);
        return;
    case MW_HTTP_BODY:
        mw_http_flush(exchange);
        mw_http_drop(exchange);
        return;
    case MW_HTTP_BUSY:
        if (exchange->responded || hung_up) {
            mw_http_drop(exchange);
            return;
        }
        mw_socket_want_read(exchange->socket, false);
        if (exchange->user)
            exchange->events->abort(exchange, false);
        return;
    case MW_HTTP_CLOSING:
        mw_socket_want_read(exchange->socket, false);
        return;
    case MW_HTTP_GONE:
        return;
    }
}

/* Where the next bytes go; NULL with `*room` 0 while enough is waiting. */
static struct mw_buffer *target(struct mw_http_exchange *exchange, size_t *room)
{
    size_t limit = exchange->settings->limits.head_bytes + 1;

    if (exchange->state == MW_HTTP_HEAD) {
        *room = exchange->in.len < limit ? limit - exchange->in.len : 0;
        if (*room > FIRST_READ && exchange->in.len == 0)
            *room = FIRST_READ;
        return &exchange->in;
    }
    *room = exchange->rest.len < PIPELINE_MAX ? PIPELINE_MAX - exchange->rest.len : 0;
    if (*room > FIRST_READ)
        *room = FIRST_READ;
    return &exchange->rest;
}

static void on_readable(void *owner)
{
    struct mw_http_exchange *exchange = owner;
    struct mw_socket *socket = exchange->socket;
    size_t room = MW_RECEIVE_BUFFER;
    uint8_t *data = exchange->engine->receive;
    struct mw_buffer *buffer = NULL;

    if (exchange->state != MW_HTTP_BODY) {
        buffer = target(exchange, &room);
        if (!room) {
            mw_socket_want_read(socket, false);
            return;
        }
        if (!mw_buffer_reserve(buffer, room)) {
            mw_http_no_memory(exchange);
            return;
        }
        data = buffer->data + buffer->len;
    }
    ssize_t count = mw_socket_read(socket, data, room);
    if (count == MW_SOCKET_AGAIN)
        return;
    if (count == MW_SOCKET_ERROR) {
        mw_http_drop(exchange);
        return;
    }
    if (count == MW_SOCKET_EOF) {
        peer_done(exchange);
        return;
    }
    if (!buffer) {
        feed(exchange, data, (size_t)count);
        return;
    }
    if (exchange->state == MW_HTTP_HEAD && !buffer->len) {
        exchange->since_ms = now_ms(exchange);
        if (!exchange->first)
            mw_http_set_timer(exchange, exchange->settings->head_timeout_ms);
    }
    buffer->len += (size_t)count;
    advance(exchange);
}

/* Once per turn: the next pipelined request first, so that the answers leave in one write. */
static void run_turn(struct mw_turn_item *item)
{
    struct mw_http_exchange *exchange = (struct mw_http_exchange *)item;

    advance(exchange);
    if (!exchange->turn.queued)
        mw_http_flush(exchange);
}

/* ---- beginning and handing on ---- */

/* Idle connections go at once; others when their response is out, because the Lua side then ends keep-alive. */
static void retire(void *owner, bool now)
{
    struct mw_http_exchange *exchange = owner;

    if (now || (exchange->state == MW_HTTP_HEAD && !exchange->out.bytes))
        mw_http_drop(exchange);
    else if (exchange->state == MW_HTTP_HEAD)
        mw_http_close_when_written(exchange);
}

static const struct mw_socket_events socket_events = {
    .readable = on_readable,
    .writable = mw_http_writable,
    .retire = retire,
};

void mw_http_close_idle(struct mw_engine *engine, const void *server)
{
    struct mw_socket *next;

    for (struct mw_socket *socket = engine->sockets; socket; socket = next) {
        next = socket->next_open;
        if (socket->events == &socket_events && ((struct mw_http_exchange *)socket->owner)->server == server)
            retire(socket->owner, false);
    }
}

void mw_http_serve(struct mw_socket *socket, const struct mw_http_settings *settings,
                   const struct mw_http_events *events, void *server, const void *early, size_t len)
{
    struct mw_http_exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange || !mw_buffer_append(&exchange->in, early, len)) {
        mw_log(MW_LOG_ERROR, "not enough memory for a connection: it is closed");
        free(exchange);
        mw_socket_close(socket);
        events->gone(server);
        return;
    }
    exchange->turn.run = run_turn;
    exchange->timer.fire = mw_http_timeout;
    exchange->engine = socket->engine;
    exchange->socket = socket;
    exchange->settings = settings;
    exchange->events = events;
    exchange->server = server;
    exchange->framing.done = true;
    exchange->first = true;
    exchange->since_ms = now_ms(exchange);
    mw_socket_set_owner(socket, &socket_events, exchange);
    mw_socket_want_read(socket, true);
    mw_http_set_timer(exchange, settings->head_timeout_ms);
    if (len)
        mw_engine_at_turn_end(exchange->engine, &exchange->turn);
}

struct mw_socket *mw_http_detach(struct mw_http_exchange *exchange, struct mw_buffer *early)
{
    struct mw_socket *socket = exchange->socket;

    *early = exchange->rest;
    exchange->rest = (struct mw_buffer){0};
    exchange->user = NULL;
    mw_http_gone(exchange);
    /* The end that was read here is the new owner's to see; epoll does not tell of it twice. */
    if (exchange->peer_done)
        mw_socket_read_again(socket);
    return socket;
}
