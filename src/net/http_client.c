/* http_client.c - see http_client.h. */
/* SPDX-License-Identifier: MIT */
#include "net/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SIZE = 64 * 1024, HEAD_MAX = 64 * 1024, WHY_MAX = 512 };

enum state { CONNECTING, AWAIT_HEAD, HEAD_READ, BODY, ENDED, FAILED, CLOSED };

struct mw_http_client {
    struct mw_turn_item turn; /* first: tells what happened */
    struct mw_wheel_node timer;
    struct mw_engine *engine;
    const struct mw_http_client_events *events;
    void *owner;
    struct mw_connector *connector;
    struct mw_socket *socket;
    struct mw_http_head *head;
    struct mw_http_body body;
    struct mw_buffer request;
    size_t sent;
    struct mw_buffer in; /* the head, and what came behind it */
    size_t used;         /* of `in` */
    size_t scanned;
    char why[WHY_MAX];
    char code[16];
    enum state state;
    bool is_head_request;
    bool wanted; /* a piece was asked for */
    bool head_told;
};

static void tell(struct mw_http_client *client)
{
    mw_engine_at_turn_end(client->engine, &client->turn);
}

static void drop_socket(struct mw_http_client *client)
{
    mw_wheel_cancel(&client->engine->wheel, &client->timer);
    if (client->connector)
        mw_connector_cancel(client->connector);
    if (client->socket)
        mw_socket_close(client->socket);
    client->connector = NULL;
    client->socket = NULL;
}

static void fail(struct mw_http_client *client, const char *code, const char *why)
{
    if (client->state >= ENDED)
        return;
    snprintf(client->why, WHY_MAX, "%s", why);
    snprintf(client->code, sizeof client->code, "%s", code);
    client->state = FAILED;
    drop_socket(client);
    tell(client);
}

static void on_timeout(struct mw_wheel_node *node)
{
    fail((struct mw_http_client *)(void *)((char *)node - offsetof(struct mw_http_client, timer)), "timeout",
         "the server did not answer in time");
}

/* ---- the answer ---- */

/* Parses the head when it is whole; skips interim answers. */
static void look_for_head(struct mw_http_client *client)
{
    static const struct mw_http_limits limits = {.head_bytes = HEAD_MAX, .header_count = MW_HTTP_HEADERS_MAX};
    struct mw_http_error error = {0};
    size_t head_len = 0;

    while (client->state == AWAIT_HEAD) {
        switch (mw_http_parse_response(client->head, (char *)client->in.data, client->in.len, &limits, &client->scanned,
                                       &head_len, &error)) {
        case MW_HTTP_PARTIAL:
            return;
        case MW_HTTP_INVALID:
            fail(client, "malformed", error.why);
            return;
        case MW_HTTP_OK:
            break;
        }
        if (client->head->status >= 100 && client->head->status < 200 && client->head->status != 101) {
            mw_buffer_consume(&client->in, head_len);
            client->scanned = 0;
            continue;
        }
        mw_wheel_cancel(&client->engine->wheel, &client->timer);
        mw_http_body_of_response(&client->body, client->head, client->is_head_request);
        client->used = head_len;
        client->state = HEAD_READ;
        mw_socket_want_read(client->socket, false);
        tell(client);
    }
}

/* Takes the next piece out of what was read. True when there is one, or the end. */
static bool next_piece(struct mw_http_client *client, struct mw_span *piece)
{
    *piece = (struct mw_span){0};
    while (client->used < client->in.len && !client->body.done && !piece->len) {
        ptrdiff_t took = mw_http_body_feed(&client->body, (const char *)client->in.data + client->used,
                                           client->in.len - client->used, piece);
        if (took < 0) {
            fail(client, "malformed", "the body's chunks are malformed");
            return false;
        }
        client->used += (size_t)took;
    }
    return piece->len || client->body.done;
}

/* Hands out a piece if one was asked for and is there; otherwise reads on. */
static void serve(struct mw_http_client *client)
{
    struct mw_span piece;

    if (!client->wanted || client->state != BODY)
        return;
    if (next_piece(client, &piece)) {
        client->wanted = false;
        if (!piece.len) {
            client->state = ENDED;
            drop_socket(client);
        }
        client->events->piece(client->owner, (const uint8_t *)piece.at, piece.len);
    } else if (client->state == BODY) {
        client->in.len = client->used = 0;
        mw_socket_want_read(client->socket, true);
    }
}

static void peer_done(struct mw_http_client *client)
{
    if (client->state == BODY && client->body.framing == MW_HTTP_UNTIL_CLOSE) {
        client->body.done = true;
        mw_socket_want_read(client->socket, false);
        tell(client);
        return;
    }
    fail(client, "reset",
         client->state == BODY ? "the server closed the connection in the middle of the body"
                               : "the server closed the connection without an answer");
}

static void on_readable(void *owner)
{
    struct mw_http_client *client = owner;

    if (client->state != AWAIT_HEAD && client->state != BODY)
        return;
    /* A hang-up, while the script still has pieces in hand: it learns of it when it wants more than there is. */
    if (!client->socket->reading)
        return;
    if (!mw_buffer_reserve(&client->in, READ_SIZE)) {
        fail(client, "memory", "not enough memory");
        return;
    }
    ssize_t count = mw_socket_read(client->socket, client->in.data + client->in.len, READ_SIZE);
    if (count == MW_SOCKET_AGAIN)
        return;
    if (count == MW_SOCKET_EOF) {
        peer_done(client);
        return;
    }
    if (count == MW_SOCKET_ERROR) {
        fail(client, errno == EPROTO ? "tls" : "reset", errno == EPROTO ? "a TLS error" : strerror(errno));
        return;
    }
    client->in.len += (size_t)count;
    if (client->state == AWAIT_HEAD) {
        look_for_head(client);
    } else {
        mw_socket_want_read(client->socket, false);
        tell(client);
    }
}

/* Told at the end of the turn, so that no event comes from inside a call. */
static void run_turn(struct mw_turn_item *item)
{
    struct mw_http_client *client = (struct mw_http_client *)item;

    switch (client->state) {
    case HEAD_READ:
        client->state = BODY;
        client->head_told = true;
        client->events->head(client->owner, client->head);
        break;
    case BODY:
        serve(client);
        break;
    case FAILED:
        if (!client->head_told || client->wanted) {
            client->wanted = false;
            client->head_told = true;
            client->events->failed(client->owner, client->why, client->code);
        }
        break;
    case CLOSED:
        mw_buffer_free(&client->request);
        mw_buffer_free(&client->in);
        free(client->head);
        mw_engine_release(client->engine);
        free(client);
        break;
    case CONNECTING:
    case AWAIT_HEAD:
    case ENDED:
        break;
    }
}

void mw_http_client_read(struct mw_http_client *client)
{
    client->wanted = true;
    tell(client);
}

void mw_http_client_close(struct mw_http_client *client)
{
    if (client->state == CLOSED)
        return;
    client->state = CLOSED;
    drop_socket(client);
    tell(client);
}

/* ---- the question ---- */

static void on_writable(void *owner)
{
    struct mw_http_client *client = owner;

    while (client->sent < client->request.len) {
        struct iovec iov = {client->request.data + client->sent, client->request.len - client->sent};
        ssize_t done = mw_socket_write(client->socket, &iov, 1);
        if (done == MW_SOCKET_ERROR) {
            /* An answer that refuses the request may be there already: reading tells. */
            client->sent = client->request.len;
            break;
        }
        if (done == MW_SOCKET_AGAIN) {
            mw_socket_want_write(client->socket, true);
            return;
        }
        client->sent += (size_t)done;
    }
    mw_socket_want_write(client->socket, false);
}

static void on_connected(void *owner, struct mw_socket *socket)
{
    static const struct mw_socket_events events = {.readable = on_readable, .writable = on_writable};
    struct mw_http_client *client = owner;

    client->connector = NULL;
    client->socket = socket;
    client->state = AWAIT_HEAD;
    mw_socket_set_owner(socket, &events, client);
    mw_socket_want_read(socket, true);
    on_writable(client);
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct mw_http_client *client = owner;

    client->connector = NULL;
    fail(client, code, message);
}

struct mw_http_client *mw_http_client_start(struct mw_engine *engine, const struct mw_connector_options *connect,
                                            const void *request, size_t len, bool is_head_request,
                                            const struct mw_http_client_events *events, void *owner)
{
    static const struct mw_connector_events connector_events = {.connected = on_connected, .failed = on_failed};
    struct mw_http_client *client = calloc(1, sizeof *client);

    if (!client)
        return NULL;
    client->turn.run = run_turn;
    client->timer.fire = on_timeout;
    client->engine = engine;
    client->events = events;
    client->owner = owner;
    client->is_head_request = is_head_request;
    client->head = malloc(sizeof *client->head);
    mw_engine_hold(engine);
    if (client->head && mw_buffer_append(&client->request, request, len))
        client->connector = mw_connector_start(engine, connect, &connector_events, client);
    if (!client->connector)
        fail(client, "memory", "not enough memory");
    else if (connect->timeout_ms)
        mw_wheel_set(&engine->wheel, &client->timer, connect->timeout_ms);
    return client;
}
