/* connection.c - see connection.h: the life of a connection, its close handshake and its deadlines.
 * receive.c has the way in, send.c the way out. */
/* SPDX-License-Identifier: MIT */
#include "net/connection.h"

#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = 123 };

static const struct mw_socket_events socket_events = {
    .readable = mw_connection_readable,
    .writable = mw_connection_writable,
};

void mw_connection_settings_default(struct mw_connection_settings *settings)
{
    *settings = (struct mw_connection_settings){
        .max_payload = 1 << 20,
        .max_fragments = 16384,
        .max_control_per_second = 100,
        .max_backpressure = 1 << 20,
        .high_water = 1 << 18,
        .slow = MW_SLOW_CLOSE,
        .ping_interval_ms = 25000,
        .pong_timeout_ms = 8000,
        .close_timeout_ms = 2000,
        .write_timeout_ms = 10000,
    };
    mw_deflate_options_default(&settings->deflate);
    settings->deflate.enabled = false;
}

static uint32_t now_ms(const struct mw_connection *connection)
{
    return (uint32_t)mw_engine_now_ms(connection->engine);
}

/* ---- deadlines ---- */

/* Milliseconds until `limit_ms` have passed since `since`; 0 when they have. */
static uint32_t left(uint32_t now, uint32_t since, uint32_t limit_ms)
{
    uint32_t gone = now - since;
    return gone < limit_ms ? limit_ms - gone : 0;
}

void mw_connection_arm(struct mw_connection *connection)
{
    const struct mw_connection_settings *settings = connection->settings;
    uint32_t now = now_ms(connection), next = UINT32_MAX, wait;

#define CONSIDER(since, limit)                                                                                         \
    if ((limit) && (wait = left(now, mw_engine_since_ms(connection->engine, since), limit)) < next)                    \
    next = wait
    if (connection->state != MW_OPEN) {
        CONSIDER(connection->closing_ms, settings->close_timeout_ms);
    } else if (connection->paused) {
        /* Neither pongs nor messages can be seen now: silence says nothing about the peer. */
    } else if (connection->awaiting_pong) {
        CONSIDER(connection->pinged_ms, settings->pong_timeout_ms);
    } else {
        CONSIDER(connection->received_ms, settings->ping_interval_ms);
    }
    if (connection->state == MW_OPEN && !connection->paused)
        CONSIDER(connection->message_ms, settings->idle_timeout_ms);
    if (connection->choked)
        CONSIDER(connection->progress_ms, settings->write_timeout_ms);
#undef CONSIDER
    if (next == UINT32_MAX)
        mw_wheel_cancel(&connection->engine->wheel, &connection->timer);
    else
        mw_wheel_set(&connection->engine->wheel, &connection->timer, next);
}

static bool passed(const struct mw_connection *connection, uint32_t since, uint32_t limit_ms)
{
    return limit_ms && now_ms(connection) - mw_engine_since_ms(connection->engine, since) >= limit_ms;
}

/* Whether the peer took any bytes since the last look. A slow reader is not a dead one, and the kernel may ask for more
 * only after it has got rid of megabytes. */
static bool takes_bytes(struct mw_connection *connection, uint32_t *taken)
{
    uint32_t before = *taken;

    *taken = mw_socket_taken(connection->socket);
    return (int32_t)(*taken - before) > 0;
}

static bool write_stalled(struct mw_connection *connection, uint32_t now)
{
    if (!connection->choked || !passed(connection, connection->progress_ms, connection->settings->write_timeout_ms))
        return false;
    connection->progress_ms = now;
    return !takes_bytes(connection, &connection->taken);
}

static void ping(struct mw_connection *connection, uint32_t now)
{
    connection->ping_taken = mw_socket_taken(connection->socket);
    connection->ping_waits = connection->queue.bytes || connection->ping_taken != connection->socket->written;
    mw_connection_ping(connection, NULL, 0);
    connection->ping_end = connection->socket->written + (uint32_t)connection->queue.bytes;
    connection->awaiting_pong = true;
    connection->pong_overdue = false;
    connection->pinged_ms = now;
}

/* The peer had its time to answer. It gets more when it may not have seen the ping yet: because of what lies before it,
 * or, once, because it was us who slept and have its answer still to read. */
static bool pong_missing(struct mw_connection *connection, uint32_t now)
{
    if (connection->ping_waits && takes_bytes(connection, &connection->ping_taken)) {
        connection->ping_waits = (int32_t)(connection->ping_taken - connection->ping_end) < 0;
        connection->pinged_ms = now;
        return false;
    }
    if (connection->pong_overdue)
        return true;
    connection->pong_overdue = true;
    return false;
}

static void on_timer(struct mw_wheel_node *node)
{
    struct mw_connection *connection =
        (struct mw_connection *)(void *)((char *)node - offsetof(struct mw_connection, timer));
    const struct mw_connection_settings *settings = connection->settings;
    uint32_t now = now_ms(connection);

    if (connection->state == MW_CLOSED)
        return;
    if (write_stalled(connection, now)) {
        connection->reset = true;
        mw_connection_terminate(connection, MW_ENDING_WRITE_TIMEOUT,
                                "the peer took no bytes within the write time limit");
        return;
    }
    if (connection->state == MW_CLOSING) {
        if (passed(connection, connection->closing_ms, settings->close_timeout_ms)) {
            if (connection->close_received || connection->failed)
                mw_connection_end(connection);
            else
                mw_connection_terminate(connection, MW_ENDING_CLOSE_TIMEOUT, "no Close frame came back in time");
            return;
        }
    } else if (!connection->paused) {
        if (connection->awaiting_pong && passed(connection, connection->pinged_ms, settings->pong_timeout_ms)) {
            if (pong_missing(connection, now)) {
                connection->reset = true;
                mw_connection_terminate(connection, MW_ENDING_PONG_TIMEOUT, "no answer to a ping in time");
                return;
            }
        }
        if (passed(connection, connection->message_ms, settings->idle_timeout_ms)) {
            mw_connection_close(connection, MW_ENDING_IDLE_TIMEOUT, MW_CLOSE_GOING_AWAY, "idle for too long", 17);
            return;
        }
        if (!connection->awaiting_pong && passed(connection, connection->received_ms, settings->ping_interval_ms)) {
            ping(connection, now);
        }
    }
    mw_connection_arm(connection);
}

/* ---- birth and end ---- */

static void run_turn(struct mw_turn_item *item)
{
    mw_connection_flush((struct mw_connection *)item);
}

struct mw_connection *mw_connection_new(struct mw_socket *socket, bool is_client,
                                        const struct mw_connection_settings *settings,
                                        const struct mw_deflate_params *params,
                                        const struct mw_connection_events *events, void *owner)
{
    struct mw_connection *connection = calloc(1, sizeof *connection);

    if (connection && params && params->enabled) {
        connection->deflate = mw_deflate_new(&settings->deflate, params, !is_client, socket->engine->deflate_pool);
        if (!connection->deflate) {
            free(connection);
            connection = NULL;
        }
    }
    if (!connection) {
        mw_socket_close(socket);
        return NULL;
    }
    connection->turn.run = run_turn;
    connection->timer.fire = on_timer;
    connection->engine = socket->engine;
    connection->socket = socket;
    connection->settings = settings;
    connection->events = events;
    connection->owner = owner;
    connection->is_client = is_client;
    connection->state = MW_OPEN;
    connection->received_ms = connection->message_ms = connection->progress_ms = now_ms(connection);
    mw_socket_set_owner(socket, &socket_events, connection);
    connection->engine->counters.websockets_opened[is_client]++;
    return connection;
}

void mw_connection_start(struct mw_connection *connection, const uint8_t *early, size_t len)
{
    if (connection->state == MW_CLOSED)
        return;
    if (len) {
        if (!connection->assembly)
            connection->assembly = calloc(1, sizeof *connection->assembly);
        if (!connection->assembly || !mw_buffer_append(&connection->assembly->carry, early, len)) {
            mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
            return;
        }
        mw_connection_receive_pending(connection);
    }
    if (connection->state == MW_CLOSED)
        return;
    mw_socket_want_read(connection->socket, !connection->paused);
    mw_connection_arm(connection);
}

static void free_connection(struct mw_connection *connection)
{
    if (connection->assembly) {
        mw_buffer_free(&connection->assembly->carry);
        mw_buffer_free(&connection->assembly->message);
        free(connection->assembly);
    }
    mw_deflate_free(connection->deflate);
    mw_queue_clear(&connection->queue);
    free(connection->close_reason);
    free(connection);
}

/* The last thing that happens to a connection, at the end of a turn. */
static void run_closed(struct mw_turn_item *item)
{
    struct mw_connection *connection = (struct mw_connection *)item;

    uint32_t now = now_ms(connection);
    struct mw_ending ending = {
        .rule = connection->rule,
        .began = connection->began,
        .system_error = connection->system_error,
        .reason_len = connection->close_reason_len,
        .code = connection->close_code,
        .queued = connection->queue.bytes < UINT32_MAX ? (uint32_t)connection->queue.bytes : UINT32_MAX,
        .received_ago = now - connection->received_ms,
        .message_ago = now - connection->message_ms,
        .pinged_ago = connection->pinged_ms ? now - connection->pinged_ms : MW_ENDING_NEVER,
        .reason = connection->close_reason,
    };

    connection->engine->counters.ended[connection->rule]++;
    connection->events->closed(connection->owner, &ending);
    free_connection(connection);
}

/* The first cause is the one that is told, unless something else then ended it in another way. */
static void blame(struct mw_connection *connection, enum mw_ending_rule rule)
{
    if (connection->rule == rule)
        return;
    connection->began = connection->rule;
    connection->rule = (uint8_t)rule;
}

static void remember(struct mw_connection *connection, unsigned code, const char *reason, size_t len)
{
    connection->close_code = (uint16_t)code;
    if (len > REASON_MAX)
        len = REASON_MAX;
    free(connection->close_reason);
    connection->close_reason = malloc(len + 1);
    connection->close_reason_len = 0;
    if (connection->close_reason) {
        memcpy(connection->close_reason, reason, len);
        connection->close_reason_len = (uint8_t)len;
    }
}

/* What the queue holds is kept until the close event, which tells how much never left. */
void mw_connection_end(struct mw_connection *connection)
{
    if (connection->state == MW_CLOSED)
        return;
    connection->state = MW_CLOSED;
    mw_wheel_cancel(&connection->engine->wheel, &connection->timer);
    if (connection->reset)
        mw_socket_abort(connection->socket);
    else if (connection->failed)
        mw_socket_linger(connection->socket);
    else
        mw_socket_close(connection->socket);
    /* If a flush was due, the same item now brings the close event. */
    connection->turn.run = run_closed;
    mw_engine_at_turn_end(connection->engine, &connection->turn);
}

void mw_connection_terminate(struct mw_connection *connection, enum mw_ending_rule rule, const char *reason)
{
    if (connection->state == MW_CLOSED)
        return;
    blame(connection, rule);
    remember(connection, MW_CLOSE_ABNORMAL, reason, strlen(reason));
    mw_connection_end(connection);
}

/* ---- the close handshake ---- */

static void send_close(struct mw_connection *connection, unsigned code, const char *reason, size_t len)
{
    uint8_t payload[2 + REASON_MAX];
    size_t size = 0;

    if (code != MW_CLOSE_NO_STATUS) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        if (len)
            memcpy(payload + 2, reason, len);
        size = len + 2;
    }
    connection->close_sent = true;
    connection->state = MW_CLOSING;
    connection->closing_ms = now_ms(connection);
    mw_connection_send_control(connection, MW_OPCODE_CLOSE, payload, size);
    mw_connection_arm(connection);
}

void mw_connection_close(struct mw_connection *connection, enum mw_ending_rule rule, unsigned code, const char *reason,
                         size_t len)
{
    if (connection->state != MW_OPEN)
        return;
    blame(connection, rule);
    remember(connection, code, reason ? reason : "", len);
    send_close(connection, code, reason, len);
    /* A paused connection would never see the answer. */
    mw_connection_pause(connection, false);
}

void mw_connection_fail(struct mw_connection *connection, enum mw_ending_rule rule, const char *reason)
{
    unsigned code = mw_ending_code(rule);

    if (connection->state == MW_CLOSED || connection->failed)
        return;
    connection->failed = true;
    blame(connection, rule);
    remember(connection, code, reason, strlen(reason));
    if (connection->close_sent) {
        /* Our Close is on its way; there is nothing more to say, and nothing to wait for. */
        mw_engine_at_turn_end(connection->engine, &connection->turn);
        return;
    }
    send_close(connection, code, reason, strlen(reason) < REASON_MAX ? strlen(reason) : REASON_MAX);
}

void mw_connection_peer_close(struct mw_connection *connection, const uint8_t *payload, size_t len)
{
    unsigned code = MW_CLOSE_NO_STATUS;

    if (len == 1) {
        mw_connection_fail(connection, MW_ENDING_PROTOCOL_ERROR, "a Close frame with half a code");
        return;
    }
    if (len >= 2) {
        code = (unsigned)payload[0] << 8 | payload[1];
        if (!mw_close_code_valid(code)) {
            mw_connection_fail(connection, MW_ENDING_PROTOCOL_ERROR, "a close code that must not be sent");
            return;
        }
        if (!mw_utf8_valid(payload + 2, len - 2)) {
            mw_connection_fail(connection, MW_ENDING_BAD_UTF8, "a close reason that is not UTF-8");
            return;
        }
    }
    connection->close_received = true;
    if (connection->failed)
        return;
    if (!connection->close_sent) {
        blame(connection, MW_ENDING_PEER_CLOSED);
        remember(connection, code, len > 2 ? (const char *)payload + 2 : "", len > 2 ? len - 2 : 0);
        send_close(connection, code, NULL, 0);
    } else {
        /* Both sides agree: what the peer says counts, as in a browser. */
        remember(connection, code, len > 2 ? (const char *)payload + 2 : "", len > 2 ? len - 2 : 0);
    }
    mw_engine_at_turn_end(connection->engine, &connection->turn);
}

void mw_connection_pause(struct mw_connection *connection, bool on)
{
    if (connection->state == MW_CLOSED || connection->paused == on)
        return;
    connection->paused = on;
    if (!on) {
        connection->received_ms = connection->message_ms = now_ms(connection);
        connection->awaiting_pong = false;
        mw_connection_receive_pending(connection);
    }
    if (connection->state == MW_CLOSED)
        return;
    mw_socket_want_read(connection->socket, !connection->paused);
    mw_connection_arm(connection);
}
