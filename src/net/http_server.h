/* http_server.h - the HTTP/1.1 side of one accepted connection: a request at a time, its body when asked for, the bytes of
 * its response, keep-alive and pipelining; a WebSocket upgrade takes the socket away.
 * Owns the socket until then. Refuses what is malformed with a status of its own; routes and formats nothing. Knows no
 * Lua: calls up through struct mw_http_events. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_SERVER_H
#define MW_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/queue.h"
#include "net/http_body.h"
#include "net/http_head.h"
#include "net/socket.h"

struct mw_http_settings {
    struct mw_http_limits limits;
    uint32_t head_timeout_ms;
    uint32_t body_timeout_ms;
    uint32_t min_body_rate; /* bytes per second that keep a body alive past its time limit */
    uint32_t keep_alive_timeout_ms;
    uint32_t write_timeout_ms;
    size_t high_water;
    bool uncounted; /* its responses are not what the program does */
};

void mw_http_settings_default(struct mw_http_settings *settings);

struct mw_http_exchange;

enum mw_http_body_result {
    MW_HTTP_BODY_OK,
    MW_HTTP_BODY_TOO_LARGE,
    MW_HTTP_BODY_TIMEOUT,
    MW_HTTP_BODY_MALFORMED,
    MW_HTTP_BODY_CLOSED,
};

struct mw_http_events {
    /* A request head is complete. Set exchange->user to be told of the rest; answer now or later. */
    void (*request)(void *server, struct mw_http_exchange *exchange);
    /* The body asked for has come, or will not. */
    void (*body)(struct mw_http_exchange *exchange, enum mw_http_body_result result);
    /* Little is queued again, after mw_http_write said it was much. */
    void (*drain)(struct mw_http_exchange *exchange);
    /* The peer left before the response was finished; the exchange is still valid unless `gone`. */
    void (*abort)(struct mw_http_exchange *exchange, bool gone);
    /* The connection left HTTP: closed, or handed over. Last. */
    void (*gone)(void *server);
};

enum mw_http_state { MW_HTTP_HEAD, MW_HTTP_BODY, MW_HTTP_BUSY, MW_HTTP_CLOSING, MW_HTTP_GONE };

struct mw_http_exchange {
    struct mw_turn_item turn; /* first */
    struct mw_wheel_node timer;
    struct mw_engine *engine;
    struct mw_socket *socket;
    const struct mw_http_settings *settings;
    const struct mw_http_events *events;
    void *server;
    void *user;
    struct mw_http_head *head; /* spans point into `in` */
    struct mw_buffer in;       /* the head of this request */
    struct mw_buffer rest;     /* what came behind it */
    struct mw_buffer body;
    struct mw_http_body framing;
    struct mw_queue out;
    size_t scanned;
    size_t body_limit;
    uint64_t since_ms; /* head: the first byte; body: when it was asked for */
    uint64_t progress_ms;
    uint32_t taken; /* bytes that the peer had taken at the last look */
    enum mw_http_state state;
    bool first;     /* no request was answered yet */
    bool responded; /* bytes of a response are out or queued */
    bool choked;
    bool want_drain;
    bool peer_done;   /* the peer will send no more */
    bool close_after; /* close when the queue is empty */
};

/* Takes over the socket; `early` are bytes already read from it. */
void mw_http_serve(struct mw_socket *socket, const struct mw_http_settings *settings,
                   const struct mw_http_events *events, void *server, const void *early, size_t len);
/* Collects the body, at most `limit` bytes, then calls `body` (perhaps at once). */
void mw_http_read_body(struct mw_http_exchange *exchange, size_t limit);
static inline bool mw_http_has_body(const struct mw_http_exchange *exchange)
{
    return !exchange->framing.done;
}
enum mw_http_write_result { MW_HTTP_WRITTEN, MW_HTTP_BACKPRESSURE, MW_HTTP_CLOSED };
/* Queues bytes of the response. */
enum mw_http_write_result mw_http_write(struct mw_http_exchange *exchange, const void *data, size_t len);
/* The response is complete; `user` is forgotten. */
/* Answers with an error and closes; when an answer has begun already, closes in the middle of it. */
void mw_http_give_up(struct mw_http_exchange *exchange, int status, const char *why);
/* There was not enough memory for it: told in the log, and the peer with a 503 if that is possible. */
void mw_http_no_memory(struct mw_http_exchange *exchange);
void mw_http_finish(struct mw_http_exchange *exchange, bool keep_alive);
/* Hands the socket over for a WebSocket, with what came behind the head (to be freed by the caller); the exchange is gone. */
struct mw_socket *mw_http_detach(struct mw_http_exchange *exchange, struct mw_buffer *early);

/* Closes the connections of a server that wait for their next request. */
void mw_http_close_idle(struct mw_engine *engine, const void *server);

const char *mw_http_status_text(int status);

/* Between http_server.c and http_receive.c. */
void mw_http_close_when_written(struct mw_http_exchange *exchange);
void mw_http_refuse(struct mw_http_exchange *exchange, int status, const char *why);
void mw_http_body_end(struct mw_http_exchange *exchange, enum mw_http_body_result result);
void mw_http_drop(struct mw_http_exchange *exchange);
void mw_http_gone(struct mw_http_exchange *exchange);
void mw_http_flush(struct mw_http_exchange *exchange);
void mw_http_writable(void *owner);
void mw_http_timeout(struct mw_wheel_node *node);
void mw_http_set_timer(struct mw_http_exchange *exchange, uint64_t delay_ms); /* 0: none */

#endif
