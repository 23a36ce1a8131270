/* receive.c - the way in: reads, parses every frame in place and hands whole messages up.
 * A message that lies whole in the receive buffer is never copied here; only what is cut by the end of a read is kept. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mask.h"
#include "base/utf8.h"
#include "net/connection.h"

enum {
    /* A frame up to this size that was cut is moved in front of the next read; a larger one is collected by itself. */
    SMALL_FRAME = 64 * 1024,
    READS_PER_TURN = 4,    /* then the others have their turn */
    COMPRESSED_EXTRA = 64, /* bytes that a short message may grow by */
};

static struct mw_assembly *assembly(struct mw_connection *connection)
{
    if (!connection->assembly)
        connection->assembly = calloc(1, sizeof *connection->assembly);
    if (!connection->assembly)
        mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
    return connection->assembly;
}

/* An idle connection keeps no assembly. */
static void tidy(struct mw_connection *connection)
{
    struct mw_assembly *parts = connection->assembly;

    if (!parts || parts->carry.len || parts->opcode)
        return;
    mw_buffer_free(&parts->carry);
    mw_buffer_free(&parts->message);
    free(parts);
    connection->assembly = NULL;
}

static void deliver(struct mw_connection *connection, const uint8_t *data, size_t len, bool text)
{
    connection->message_ms = (uint32_t)mw_engine_now_ms(connection->engine);
    connection->engine->counters.messages_received++;
    if (connection->state == MW_OPEN)
        connection->events->message(connection->owner, data, len, text);
}

static void control(struct mw_connection *connection, const struct mw_frame *frame, const uint8_t *payload)
{
    size_t len = (size_t)frame->length;
    uint32_t second = (uint32_t)(mw_engine_now_ms(connection->engine) / 1000);

    if (second != connection->control_second) {
        connection->control_second = second;
        connection->control_count = 0;
    }
    if (frame->opcode == MW_OPCODE_CLOSE) {
        mw_connection_peer_close(connection, payload, len);
        return;
    }
    if (++connection->control_count > connection->settings->max_control_per_second &&
        connection->settings->max_control_per_second) {
        mw_connection_fail(connection, MW_ENDING_MAX_CONTROL_PER_SECOND, "too many control frames");
        return;
    }
    if (frame->opcode == MW_OPCODE_PING) {
        if (connection->state == MW_OPEN)
            mw_connection_send_control(connection, MW_OPCODE_PONG, payload, len);
    } else {
        mw_connection_pong(connection, payload, len);
    }
}

/* A message in one uncompressed frame: no copy. */
static void whole(struct mw_connection *connection, const struct mw_frame *frame, const uint8_t *payload)
{
    bool text = frame->opcode == MW_OPCODE_TEXT;

    if (text && !mw_utf8_valid(payload, (size_t)frame->length)) {
        mw_connection_fail(connection, MW_ENDING_BAD_UTF8, "a text message that is not UTF-8");
        return;
    }
    deliver(connection, payload, (size_t)frame->length, text);
}

static bool inflate_part(struct mw_connection *connection, struct mw_assembly *parts, const struct mw_frame *frame,
                         const uint8_t *payload)
{
    switch (mw_deflate_inflate(connection->deflate, payload, (size_t)frame->length, frame->fin, &parts->message,
                               (size_t)connection->settings->max_payload)) {
    case MW_DEFLATE_OK:
        return true;
    case MW_DEFLATE_TOO_BIG:
        mw_connection_fail(connection, MW_ENDING_MAX_PAYLOAD, "a message larger than max_payload after inflating");
        return false;
    case MW_DEFLATE_CORRUPT:
        mw_connection_fail(connection, MW_ENDING_BAD_DEFLATE, "a compressed message that cannot be inflated");
        return false;
    case MW_DEFLATE_NO_MEMORY:
        break;
    }
    mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
    return false;
}

/* One part of a message that is fragmented or compressed. */
static void part(struct mw_connection *connection, const struct mw_frame *frame, const uint8_t *payload)
{
    struct mw_assembly *parts = assembly(connection);

    if (!parts)
        return;
    if (frame->opcode != MW_OPCODE_CONTINUATION) {
        parts->opcode = frame->opcode;
        parts->compressed = frame->rsv1;
        parts->fragments = 0;
        parts->message.len = 0;
        parts->utf8 = (struct mw_utf8){0};
    }
    if (++parts->fragments > connection->settings->max_fragments && connection->settings->max_fragments) {
        mw_connection_fail(connection, MW_ENDING_MAX_FRAGMENTS, "too many fragments in one message");
        return;
    }
    size_t before = parts->message.len;
    if (parts->compressed) {
        if (!inflate_part(connection, parts, frame, payload))
            return;
    } else if (!mw_buffer_append(&parts->message, payload, (size_t)frame->length)) {
        mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
        return;
    }
    bool text = parts->opcode == MW_OPCODE_TEXT;
    size_t added = parts->message.len - before; /* without any, `data` may be NULL */
    if (text && ((added && !mw_utf8_feed(&parts->utf8, parts->message.data + before, added)) ||
                 (frame->fin && !mw_utf8_complete(&parts->utf8)))) {
        mw_connection_fail(connection, MW_ENDING_BAD_UTF8, "a text message that is not UTF-8");
        return;
    }
    if (!frame->fin)
        return;
    parts->opcode = 0;
    deliver(connection, parts->message.data, parts->message.len, text);
    /* The script may have closed the connection, but its memory stays until the end of the turn. A large buffer is not
     * worth keeping for the next message; when the delivery doesn't come back, tidy() frees it. */
    mw_buffer_free(&parts->message);
}

/* What one frame alone cannot show: the order of fragments, and the announced size. */
static bool acceptable(struct mw_connection *connection, const struct mw_frame *frame)
{
    const struct mw_assembly *parts = connection->assembly;
    bool open = parts && parts->opcode;
    uint64_t before = open && !parts->compressed && frame->opcode == MW_OPCODE_CONTINUATION ? parts->message.len : 0;

    if (frame->opcode >= MW_OPCODE_CLOSE)
        return true;
    if (frame->opcode == MW_OPCODE_CONTINUATION && !open) {
        mw_connection_fail(connection, MW_ENDING_PROTOCOL_ERROR, "a continuation without a message");
        return false;
    }
    if (frame->opcode != MW_OPCODE_CONTINUATION && open) {
        mw_connection_fail(connection, MW_ENDING_PROTOCOL_ERROR, "a new message inside a fragmented one");
        return false;
    }
    /* What does not compress becomes a little longer by it; how long it is inflated is bounded exactly, in part(). */
    uint64_t most = connection->settings->max_payload;
    if (open ? parts->compressed : frame->rsv1)
        most += most / 4 + COMPRESSED_EXTRA;
    if (frame->length > most - before) {
        mw_connection_fail(connection, MW_ENDING_MAX_PAYLOAD, "a message larger than max_payload");
        return false;
    }
    return true;
}

/* What there is to parse, and how far that is. It outlives each step, which may be left in the middle of a message's delivery
 * (a handler that waits): nothing there may be held that only the step knows of. */
struct parse {
    struct mw_connection *connection;
    uint8_t *data;
    size_t len;
    size_t used;
    uint64_t missing; /* bytes that the next frame needs; 0 when even its header is not complete */
    bool over;
};

static bool goes_on(const struct mw_connection *connection)
{
    return !connection->paused && !connection->failed && !connection->close_received && connection->state != MW_CLOSED;
}

/* Parses as many whole frames as there are. */
static void parse_step(void *arg)
{
    struct parse *parse = arg;
    struct mw_connection *connection = parse->connection;

    while (parse->used < parse->len && goes_on(connection)) {
        struct mw_frame frame;
        const char *why = NULL;
        uint8_t *at = parse->data + parse->used;
        size_t left = parse->len - parse->used;

        enum mw_frame_result result =
            !connection->is_client && mw_frame_parse_short(&frame, at, left)
                ? MW_FRAME_OK
                : mw_frame_parse(&frame, at, left, !connection->is_client, connection->deflate != NULL, &why);
        if (result == MW_FRAME_PARTIAL)
            break;
        if (result == MW_FRAME_INVALID)
            mw_connection_fail(connection, MW_ENDING_PROTOCOL_ERROR, why);
        if (result == MW_FRAME_INVALID || !acceptable(connection, &frame))
            break;
        uint64_t total = frame.header_len + frame.length;
        if (total > left) {
            parse->missing = total - left;
            break;
        }
        uint8_t *payload = at + frame.header_len;
        if (frame.masked)
            mw_mask(payload, (size_t)frame.length, frame.key, 0);
        parse->used += (size_t)total;
        connection->last_of_read = parse->used == parse->len;
        if (frame.opcode >= MW_OPCODE_CLOSE)
            control(connection, &frame, payload);
        else if (frame.fin && !frame.rsv1 && frame.opcode != MW_OPCODE_CONTINUATION)
            whole(connection, &frame, payload);
        else
            part(connection, &frame, payload);
    }
    parse->over = true;
}

/* Returns the bytes used; `*missing` gets how many more the next frame needs. */
static size_t parse(struct mw_connection *connection, uint8_t *data, size_t len, uint64_t *missing)
{
    struct parse parse = {.connection = connection, .data = data, .len = len};

    while (!parse.over) {
        if (!connection->events->gather(connection->owner, parse_step, &parse))
            parse_step(&parse);
    }
    *missing = parse.missing;
    /* Behind a Close or a broken rule nothing counts (RFC 6455 §5.5.1, §7.1.7). */
    if (connection->failed || connection->close_received || connection->state == MW_CLOSED)
        return len;
    return parse.used;
}

/* Keeps what is not parsed yet, with room for the whole frame when its size is known. */
static bool keep(struct mw_connection *connection, const uint8_t *data, size_t len, uint64_t missing)
{
    struct mw_assembly *parts;

    if (!len)
        return true;
    parts = assembly(connection);
    if (!parts)
        return false;
    /* `missing` is bounded by max_payload, and a peer gets that memory only by having sent a part of it. */
    size_t room = missing < SMALL_FRAME ? (size_t)missing : SMALL_FRAME;
    if (mw_buffer_reserve(&parts->carry, len + room) && mw_buffer_append(&parts->carry, data, len))
        return true;
    mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
    return false;
}

void mw_connection_lost(struct mw_connection *connection, ssize_t result)
{
    if (connection->close_received || (connection->failed && connection->close_sent)) {
        mw_connection_end(connection);
        return;
    }
    const char *why = "the peer closed the connection without a Close frame";
    enum mw_ending_rule rule = MW_ENDING_PEER_VANISHED;
    if (result == MW_SOCKET_ERROR)
        connection->system_error = (uint8_t)errno;
    if (connection->system_error) {
        rule = connection->system_error == ENOMEM ? MW_ENDING_OUT_OF_MEMORY : rule;
        why = connection->system_error == EPROTO ? "a TLS error" : strerror(connection->system_error);
    }
    mw_connection_terminate(connection, rule, why);
}

/* Parses what was kept, as after a pause. */
void mw_connection_receive_pending(struct mw_connection *connection)
{
    struct mw_assembly *parts = connection->assembly;
    uint64_t missing;

    if (!parts || !parts->carry.len || connection->reading)
        return;
    connection->reading = true;
    size_t used = parse(connection, parts->carry.data, parts->carry.len, &missing);
    mw_buffer_consume(&parts->carry, used);
    connection->reading = connection->last_of_read = false;
    tidy(connection);
    if (connection->state != MW_CLOSED)
        mw_connection_flush(connection);
}

/* Reads the rest of a large frame straight to where it is collected. */
static ssize_t read_large(struct mw_connection *connection, uint64_t missing)
{
    struct mw_buffer *carry = &connection->assembly->carry;
    size_t want = missing < MW_RECEIVE_BUFFER ? (size_t)missing : MW_RECEIVE_BUFFER;

    if (!mw_buffer_reserve(carry, want)) {
        errno = ENOMEM;
        return MW_SOCKET_ERROR;
    }
    ssize_t count = mw_socket_read(connection->socket, carry->data + carry->len, want);
    if (count > 0)
        carry->len += (size_t)count;
    return count;
}

/* Bytes that the frame at the head of `carry` still needs when it is a large one, else 0. */
static uint64_t large_missing(const struct mw_connection *connection)
{
    const struct mw_assembly *parts = connection->assembly;
    struct mw_frame frame;
    const char *why;

    if (!parts || !parts->carry.len ||
        mw_frame_parse(&frame, parts->carry.data, parts->carry.len, !connection->is_client, connection->deflate != NULL,
                       &why) != MW_FRAME_OK)
        return 0;
    uint64_t total = frame.header_len + frame.length;
    return total > SMALL_FRAME && total > parts->carry.len ? total - parts->carry.len : 0;
}

/* One read and all frames in it. False when there is nothing more to do in this turn. */
static bool read_once(struct mw_connection *connection)
{
    struct mw_engine *engine = connection->engine;
    uint8_t *data = engine->receive;
    uint64_t missing = large_missing(connection);
    size_t kept = 0;
    ssize_t count;

    if (missing) {
        count = read_large(connection, missing);
    } else {
        if (connection->assembly && (kept = connection->assembly->carry.len) > 0) {
            memcpy(data, connection->assembly->carry.data, kept);
            connection->assembly->carry.len = 0;
        }
        count = mw_socket_read(connection->socket, data + kept, MW_RECEIVE_BUFFER - kept);
    }
    bool more = !connection->socket->drained;
    if (count <= 0) {
        if (count == MW_SOCKET_AGAIN)
            keep(connection, data, kept, 0);
        else
            mw_connection_lost(connection, count);
        return false;
    }
    connection->received_ms = (uint32_t)mw_engine_now_ms(engine);
    if (connection->awaiting_pong) {
        connection->awaiting_pong = false;
        mw_connection_arm(connection);
    }
    if (missing) {
        if ((uint64_t)count < missing)
            return more;
        struct mw_buffer carry = connection->assembly->carry;
        connection->assembly->carry = (struct mw_buffer){0};
        size_t used = parse(connection, carry.data, carry.len, &missing);
        if (connection->state != MW_CLOSED)
            keep(connection, carry.data + used, carry.len - used, missing);
        mw_buffer_free(&carry);
    } else {
        size_t len = kept + (size_t)count;
        size_t used = parse(connection, data, len, &missing);
        if (connection->state != MW_CLOSED)
            keep(connection, data + used, len - used, missing);
    }
    /* What a paused connection has left over waits in `carry`. */
    return more && !connection->paused && connection->state != MW_CLOSED;
}

void mw_connection_readable(void *owner)
{
    struct mw_connection *connection = owner;
    int reads = READS_PER_TURN;

    /* A hang-up. What the peer sent before it is still to be read, when the pause is over. */
    if (connection->paused)
        return;
    connection->reading = true;
    while (reads > 0 && read_once(connection))
        reads--;
    connection->reading = connection->last_of_read = false;
    if (connection->state == MW_CLOSED)
        return;
    tidy(connection);
    mw_connection_flush(connection);
}
