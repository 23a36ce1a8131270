/* opening.c - see opening.h. */
/* SPDX-License-Identifier: MIT */
#include "net/opening.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/handshake.h"

enum { ANSWER_MAX = 16384, WHY_MAX = 512 };

struct mw_opening {
    struct mw_turn_item turn; /* first */
    struct mw_wheel_node timer;
    struct mw_engine *engine;
    const struct mw_opening_events *events;
    void *owner;
    struct mw_connector *connector;
    struct mw_socket *socket;
    struct mw_http_head *head;
    const struct mw_deflate_options *deflate;
    struct mw_buffer request;
    size_t sent;
    struct mw_buffer answer;
    size_t scanned;
    uint64_t started_ms;
    uint32_t timeout_ms;
    char *protocols;
    char key[MW_WS_KEY_LEN + 1];
    char why[WHY_MAX];
    char code[32];
    struct mw_opening_answer result;
    bool done;
    bool ok;
};

/* ---- the end ---- */

static void run_event(struct mw_turn_item *item)
{
    struct mw_opening *opening = (struct mw_opening *)item;

    if (opening->ok)
        opening->events->opened(opening->owner, opening->socket, &opening->result);
    else
        opening->events->failed(opening->owner, opening->why, opening->code);
    mw_buffer_free(&opening->request);
    mw_buffer_free(&opening->answer);
    free(opening->head);
    free(opening->protocols);
    mw_engine_release(opening->engine);
    free(opening);
}

static void finish(struct mw_opening *opening, bool ok)
{
    if (opening->done)
        return;
    opening->done = true;
    opening->ok = ok;
    mw_wheel_cancel(&opening->engine->wheel, &opening->timer);
    if (!ok && opening->socket)
        mw_socket_close(opening->socket);
    if (opening->connector)
        mw_connector_cancel(opening->connector);
    mw_engine_at_turn_end(opening->engine, &opening->turn);
}

static void fail(struct mw_opening *opening, const char *code, const char *why)
{
    if (opening->done)
        return;
    snprintf(opening->why, WHY_MAX, "%s", why);
    snprintf(opening->code, sizeof opening->code, "%s", code);
    finish(opening, false);
}

void mw_opening_cancel(struct mw_opening *opening)
{
    fail(opening, "cancelled", "closed before the connection was open");
}

static void on_timeout(struct mw_wheel_node *node)
{
    fail((struct mw_opening *)(void *)((char *)node - offsetof(struct mw_opening, timer)), "timeout",
         "the server did not answer the opening handshake in time");
}

/* ---- the answer ---- */

static bool agree_on_extensions(struct mw_opening *opening)
{
    size_t count = 0;
    const struct mw_http_header *header = mw_http_find(opening->head, "sec-websocket-extensions", &count);

    if (!header || !header->value.len)
        return count <= 1;
    return count == 1 && opening->deflate && opening->deflate->enabled &&
           mw_deflate_confirm(opening->deflate, header->value.at, header->value.len, &opening->result.deflate);
}

static void check_answer(struct mw_opening *opening, size_t head_len)
{
    const struct mw_http_head *head = opening->head;
    const char *why = NULL;
    char text[WHY_MAX], code[32];

    if (head->status != 101) {
        snprintf(text, sizeof text, "the server answered %d %.*s", head->status, (int)head->reason.len,
                 head->reason.at);
        snprintf(code, sizeof code, "status %d", head->status);
        fail(opening, code, text);
        return;
    }
    if (mw_handshake_confirm(head, opening->key, opening->protocols, &opening->result.protocol, &why)) {
        fail(opening, "handshake", why);
        return;
    }
    if (!agree_on_extensions(opening)) {
        fail(opening, "handshake", "the server answered with an extension that was not offered");
        return;
    }
    opening->result.head = head;
    opening->result.early = opening->answer.data + head_len;
    opening->result.early_len = opening->answer.len - head_len;
    mw_socket_want_read(opening->socket, false);
    finish(opening, true);
}

/* Parses the head of the answer when it is whole; interim ones (RFC 9110 §15.2) are skipped. */
static void look_for_answer(struct mw_opening *opening)
{
    static const struct mw_http_limits limits = {.head_bytes = ANSWER_MAX, .header_count = 100};
    const struct mw_http_head *head = opening->head;
    struct mw_http_error error = {0};
    size_t head_len = 0;

    for (;;) {
        switch (mw_http_parse_response(opening->head, (char *)opening->answer.data, opening->answer.len, &limits,
                                       &opening->scanned, &head_len, &error)) {
        case MW_HTTP_PARTIAL:
            return;
        case MW_HTTP_INVALID:
            fail(opening, "handshake", error.why);
            return;
        case MW_HTTP_OK:
            break;
        }
        if (head->status >= 200 || head->status == 101) {
            check_answer(opening, head_len);
            return;
        }
        mw_buffer_consume(&opening->answer, head_len);
    }
}

static void on_readable(void *owner)
{
    struct mw_opening *opening = owner;

    if (opening->done)
        return;
    if (!mw_buffer_reserve(&opening->answer, ANSWER_MAX + 1)) {
        fail(opening, "memory", "not enough memory");
        return;
    }
    ssize_t count = mw_socket_read(opening->socket, opening->answer.data + opening->answer.len, ANSWER_MAX + 1);
    if (count == MW_SOCKET_AGAIN)
        return;
    if (count <= 0) {
        bool tls = count == MW_SOCKET_ERROR && errno == EPROTO;
        fail(opening, tls ? "tls" : "reset",
             count == MW_SOCKET_EOF ? "the server closed the connection during the opening handshake"
             : tls                  ? "a TLS error during the opening handshake"
                                    : strerror(errno));
        return;
    }
    opening->answer.len += (size_t)count;
    look_for_answer(opening);
}

/* ---- the question ---- */

static void on_writable(void *owner)
{
    struct mw_opening *opening = owner;

    if (opening->done)
        return;
    while (opening->sent < opening->request.len) {
        struct iovec iov = {opening->request.data + opening->sent, opening->request.len - opening->sent};
        ssize_t done = mw_socket_write(opening->socket, &iov, 1);
        if (done == MW_SOCKET_ERROR) {
            fail(opening, "reset", strerror(errno));
            return;
        }
        if (done == MW_SOCKET_AGAIN) {
            mw_socket_want_write(opening->socket, true);
            return;
        }
        opening->sent += (size_t)done;
    }
    mw_socket_want_write(opening->socket, false);
}

static void on_connected(void *owner, struct mw_socket *socket)
{
    static const struct mw_socket_events events = {.readable = on_readable, .writable = on_writable};
    struct mw_opening *opening = owner;

    opening->connector = NULL;
    opening->socket = socket;
    mw_socket_set_owner(socket, &events, opening);
    mw_socket_want_read(socket, true);
    on_writable(opening);
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct mw_opening *opening = owner;

    opening->connector = NULL;
    fail(opening, code, message);
}

static bool write_request(struct mw_opening *opening, const struct mw_opening_options *options)
{
    char offer[MW_DEFLATE_HEADER_MAX] = "";
    char *text = NULL;

    if (!mw_handshake_key(opening->key))
        return false;
    if (options->deflate && options->deflate->enabled)
        mw_deflate_offer(options->deflate, offer);
    int len =
        asprintf(&text,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s%s%s%s%s%s%s\r\n",
                 options->target, options->host_header, opening->key,
                 options->protocols ? "Sec-WebSocket-Protocol: " : "", options->protocols ? options->protocols : "",
                 options->protocols ? "\r\n" : "", offer[0] ? "Sec-WebSocket-Extensions: " : "", offer,
                 offer[0] ? "\r\n" : "", options->headers ? options->headers : "");
    if (len < 0)
        return false;
    opening->request = (struct mw_buffer){(uint8_t *)text, (size_t)len, (size_t)len};
    return true;
}

struct mw_opening *mw_opening_start(struct mw_engine *engine, const struct mw_opening_options *options,
                                    const struct mw_opening_events *events, void *owner)
{
    static const struct mw_connector_events connector_events = {.connected = on_connected, .failed = on_failed};
    struct mw_opening *opening = calloc(1, sizeof *opening);

    if (!opening)
        return NULL;
    opening->turn.run = run_event;
    opening->timer.fire = on_timeout;
    opening->engine = engine;
    opening->events = events;
    opening->owner = owner;
    opening->deflate = options->deflate;
    opening->head = malloc(sizeof *opening->head);
    opening->protocols = options->protocols ? strdup(options->protocols) : NULL;
    mw_engine_hold(engine);
    if (opening->head && !opening->protocols == !options->protocols && write_request(opening, options))
        opening->connector = mw_connector_start(engine, &options->connect, &connector_events, opening);
    if (!opening->connector)
        fail(opening, "memory", "not enough memory");
    else if (options->connect.timeout_ms)
        mw_wheel_set(&engine->wheel, &opening->timer, options->connect.timeout_ms);
    return opening;
}
