/* http_server.c - see http_server.h: the way out, time limits and the end. http_receive.c has the way in. */
/* SPDX-License-Identifier: MIT */
#include "net/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum {
    IOV_MAX_PER_WRITE = 64,
    DRAIN_DIVISOR = 2,
};

void mw_http_settings_default(struct mw_http_settings *settings)
{
    *settings = (struct mw_http_settings){
        .limits = {.head_bytes = 16384, .line_bytes = MW_HTTP_REQUEST_LINE, .header_count = 100},
        .head_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .min_body_rate = 1024,
        .keep_alive_timeout_ms = 5000,
        .write_timeout_ms = 10000,
        .high_water = 1 << 18,
    };
}

const char *mw_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},
        {500, "Internal Server Error"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

/* ---- time limits ---- */

void mw_http_set_timer(struct mw_http_exchange *exchange, uint64_t delay_ms)
{
    if (delay_ms)
        mw_wheel_set(&exchange->engine->wheel, &exchange->timer, delay_ms);
    else
        mw_wheel_cancel(&exchange->engine->wheel, &exchange->timer);
}

/* ---- the end ---- */

static void free_exchange(struct mw_turn_item *item)
{
    struct mw_http_exchange *exchange = (struct mw_http_exchange *)item;

    mw_buffer_free(&exchange->in);
    mw_buffer_free(&exchange->rest);
    mw_buffer_free(&exchange->body);
    mw_queue_clear(&exchange->out);
    free(exchange->head);
    free(exchange);
}

/* After the socket went elsewhere. The memory stays until the end of the turn: callers further up still look at it. */
void mw_http_gone(struct mw_http_exchange *exchange)
{
    void *user = exchange->user;
    enum mw_http_state state = exchange->state;

    if (state == MW_HTTP_GONE)
        return;
    exchange->state = MW_HTTP_GONE;
    mw_wheel_cancel(&exchange->engine->wheel, &exchange->timer);
    exchange->turn.run = free_exchange;
    mw_engine_at_turn_end(exchange->engine, &exchange->turn);
    if (user && state == MW_HTTP_BODY)
        exchange->events->body(exchange, MW_HTTP_BODY_CLOSED);
    if (exchange->user)
        exchange->events->abort(exchange, true);
    exchange->user = NULL;
    exchange->events->gone(exchange->server);
}

void mw_http_drop(struct mw_http_exchange *exchange)
{
    if (exchange->state == MW_HTTP_GONE)
        return;
    mw_socket_close(exchange->socket);
    mw_http_gone(exchange);
}

/* Everything was written: let the peer read it before the connection goes. */
static void end(struct mw_http_exchange *exchange)
{
    mw_socket_linger(exchange->socket);
    mw_http_gone(exchange);
}

/* ---- writing ---- */

static void set_choked(struct mw_http_exchange *exchange, bool on)
{
    if (exchange->choked == on)
        return;
    exchange->choked = on;
    exchange->progress_ms = mw_engine_now_ms(exchange->engine);
    mw_socket_want_write(exchange->socket, on);
    if (!on)
        return;
    exchange->taken = mw_socket_taken(exchange->socket);
    mw_http_set_timer(exchange, exchange->settings->write_timeout_ms);
}

/* A slow reader is not a dead one: the kernel may ask for more only after it has got rid of megabytes. */
static void write_timeout(struct mw_http_exchange *exchange, uint64_t gone_ms)
{
    uint32_t before = exchange->taken;

    if (gone_ms < exchange->settings->write_timeout_ms) {
        mw_http_set_timer(exchange, exchange->settings->write_timeout_ms - gone_ms);
        return;
    }
    exchange->taken = mw_socket_taken(exchange->socket);
    exchange->progress_ms += gone_ms;
    if ((int32_t)(exchange->taken - before) > 0)
        mw_http_set_timer(exchange, exchange->settings->write_timeout_ms);
    else
        mw_http_drop(exchange);
}

void mw_http_flush(struct mw_http_exchange *exchange)
{
    struct iovec iov[IOV_MAX_PER_WRITE];

    while (exchange->out.bytes && !exchange->choked) {
        int count = mw_queue_peek(&exchange->out, iov, IOV_MAX_PER_WRITE);
        ssize_t done = mw_socket_write(exchange->socket, iov, count);
        if (done == MW_SOCKET_ERROR) {
            mw_http_drop(exchange);
            return;
        }
        if (done == MW_SOCKET_AGAIN) {
            set_choked(exchange, true);
            break;
        }
        mw_queue_sent(&exchange->out, (size_t)done);
        exchange->progress_ms = mw_engine_now_ms(exchange->engine);
    }
    if (!exchange->out.bytes && exchange->close_after) {
        end(exchange);
        return;
    }
    if (exchange->want_drain && exchange->out.bytes <= exchange->settings->high_water / DRAIN_DIVISOR) {
        exchange->want_drain = false;
        if (exchange->user)
            exchange->events->drain(exchange);
    }
}

void mw_http_writable(void *owner)
{
    struct mw_http_exchange *exchange = owner;

    set_choked(exchange, false);
    mw_http_flush(exchange);
    /* An upgrade may have waited for this. */
    if (exchange->state == MW_HTTP_HEAD && exchange->in.len && !exchange->out.bytes)
        mw_engine_at_turn_end(exchange->engine, &exchange->turn);
}

static bool enqueue(struct mw_http_exchange *exchange, const void *data, size_t len)
{
    uint8_t *out = mw_queue_reserve(&exchange->out, &exchange->engine->pool, len);

    if (!out)
        return false;
    memcpy(out, data, len);
    mw_queue_commit(&exchange->out, len);
    mw_engine_at_turn_end(exchange->engine, &exchange->turn);
    return true;
}

enum mw_http_write_result mw_http_write(struct mw_http_exchange *exchange, const void *data, size_t len)
{
    if (exchange->state == MW_HTTP_GONE || exchange->state == MW_HTTP_CLOSING)
        return MW_HTTP_CLOSED;
    if (!exchange->responded && !exchange->settings->uncounted)
        mw_counters_response(&exchange->engine->counters, data, len);
    exchange->responded = true;
    if (len && !enqueue(exchange, data, len)) {
        mw_log(MW_LOG_ERROR, "not enough memory for an answer: the connection is closed");
        mw_http_drop(exchange);
        return MW_HTTP_CLOSED;
    }
    if (exchange->out.bytes <= exchange->settings->high_water)
        return MW_HTTP_WRITTEN;
    exchange->want_drain = true;
    return MW_HTTP_BACKPRESSURE;
}

void mw_http_close_when_written(struct mw_http_exchange *exchange)
{
    exchange->state = MW_HTTP_CLOSING;
    exchange->close_after = true;
    mw_http_set_timer(exchange, exchange->settings->write_timeout_ms);
}

/* Answers by itself and closes: the request can't be understood, or took too long. */
void mw_http_refuse(struct mw_http_exchange *exchange, int status, const char *why)
{
    char text[512];
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s\n",
                       status, mw_http_status_text(status), strlen(why) + 1, why);

    mw_counters_response(&exchange->engine->counters, text, (size_t)len);
    mw_http_close_when_written(exchange);
    mw_socket_want_read(exchange->socket, false);
    if (!enqueue(exchange, text, (size_t)len))
        mw_http_drop(exchange);
}

void mw_http_give_up(struct mw_http_exchange *exchange, int status, const char *why)
{
    if (exchange->state == MW_HTTP_GONE || exchange->state == MW_HTTP_CLOSING)
        return;
    if (exchange->responded)
        mw_http_drop(exchange);
    else
        mw_http_refuse(exchange, status, why);
}

void mw_http_no_memory(struct mw_http_exchange *exchange)
{
    mw_log(MW_LOG_ERROR, "not enough memory for a request: the connection is closed");
    if (exchange->user)
        mw_http_drop(exchange);
    else
        mw_http_give_up(exchange, 503, "not enough memory");
}

void mw_http_finish(struct mw_http_exchange *exchange, bool keep_alive)
{
    if (exchange->state == MW_HTTP_GONE)
        return;
    exchange->user = NULL;
    mw_engine_at_turn_end(exchange->engine, &exchange->turn);
    if (!keep_alive || exchange->peer_done || exchange->close_after || !exchange->framing.done) {
        mw_http_close_when_written(exchange);
        return;
    }
    /* What came behind the head is the start of the next one. */
    struct mw_buffer spare = exchange->in;
    exchange->in = exchange->rest;
    exchange->rest = spare;
    exchange->rest.len = 0;
    exchange->state = MW_HTTP_HEAD;
    exchange->scanned = 0;
    mw_buffer_free(&exchange->body);
    exchange->first = exchange->responded = false;
    exchange->since_ms = mw_engine_now_ms(exchange->engine);
    if (!exchange->choked)
        mw_http_set_timer(exchange, exchange->in.len ? exchange->settings->head_timeout_ms
                                                     : exchange->settings->keep_alive_timeout_ms);
    mw_socket_want_read(exchange->socket, true);
}

/* ---- reading ---- */

void mw_http_timeout(struct mw_wheel_node *node)
{
    struct mw_http_exchange *exchange =
        (struct mw_http_exchange *)(void *)((char *)node - offsetof(struct mw_http_exchange, timer));
    const struct mw_http_settings *settings = exchange->settings;
    uint64_t now = mw_engine_now_ms(exchange->engine);

    if (exchange->choked) {
        write_timeout(exchange, now - exchange->progress_ms);
        return;
    }
    switch (exchange->state) {
    case MW_HTTP_HEAD:
        if (exchange->in.len)
            mw_http_refuse(exchange, 408, "the request head did not come in time");
        else
            mw_http_drop(exchange);
        break;
    case MW_HTTP_BODY: {
        uint64_t elapsed = now - exchange->since_ms;
        if (exchange->body.len * 1000 / (elapsed ? elapsed : 1) >= settings->min_body_rate)
            mw_http_set_timer(exchange, 1000);
        else
            mw_http_body_end(exchange, MW_HTTP_BODY_TIMEOUT);
        break;
    }
    case MW_HTTP_BUSY:
        /* Set only for an opening handshake: whoever decides about it takes too long. */
        if (exchange->user && !exchange->responded) {
            exchange->events->abort(exchange, true);
            mw_http_refuse(exchange, 503, "the upgrade was not decided in time");
        }
        break;
    case MW_HTTP_CLOSING:
        mw_http_drop(exchange);
        break;
    case MW_HTTP_GONE:
        break;
    }
}
