/* traffic.c - what open connections send and receive; see run.h. In the steady state a turn costs a connection one
 * recv, one send and no memory. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mask.h"
#include "load/run.h"
#include "net/frame.h"

enum {
    CONTROL = 0x08 /* the bit that all control opcodes have */,
    SHOWN_BYTES = 8,
    CONTROL_MAX = 2 + MW_CONTROL_PAYLOAD_MAX
};

struct mw_load_pong {
    size_t len;
    size_t written;
    uint8_t frame[MW_FRAME_HEADER_MAX + MW_CONTROL_PAYLOAD_MAX];
};

/* ---- sending ---- */

/* How many bytes the kernel took; 0 also after a failure. */
static size_t put(struct mw_load_run *run, const struct mw_load_connection *connection, const uint8_t *data, size_t len)
{
    ssize_t sent = send(connection->fd, data, len, MSG_NOSIGNAL);

    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN)
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu: sending: %s", mw_load_index(run, connection),
                     strerror(errno));
    return 0;
}

/* `len` of the bytes that are due; true when all of them have left. */
static bool put_due(struct mw_load_run *run, struct mw_load_connection *connection, uint64_t len)
{
    const struct mw_load_frames *frames = &run->frames;

    while (len) {
        size_t room = frames->out_len - connection->at_out;
        size_t now = len < room ? (size_t)len : room;
        size_t put_now = put(run, connection, frames->out + connection->at_out, now);
        connection->at_out = (uint32_t)((connection->at_out + put_now) % frames->out_frame);
        connection->due -= put_now;
        len -= put_now;
        if (put_now < now)
            return false;
    }
    return true;
}

/* A Pong goes between two messages. */
static bool put_pong(struct mw_load_run *run, struct mw_load_connection *connection)
{
    struct mw_load_pong *pong = connection->pong;

    if (!pong)
        return true;
    if (connection->at_out && !put_due(run, connection, run->frames.out_frame - connection->at_out))
        return false;
    pong->written += put(run, connection, pong->frame + pong->written, pong->len - pong->written);
    if (pong->written < pong->len)
        return false;
    free(pong);
    connection->pong = NULL;
    return true;
}

static void flush(struct mw_load_run *run, struct mw_load_connection *connection)
{
    bool is_stuck = !put_pong(run, connection) || !put_due(run, connection, connection->due);

    if (is_stuck == connection->watches_writing || run->fault)
        return;
    connection->watches_writing = is_stuck;
    mw_load_watch(run, connection, EPOLL_CTL_MOD, is_stuck ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void mw_load_submit(struct mw_load_run *run, struct mw_load_connection *connection, uint64_t count, uint64_t now_ns)
{
    for (uint64_t i = 0; i < count; i++)
        connection->stamps[(connection->sent + i) & (run->ring - 1)] = now_ns;
    connection->sent += count;
    connection->due += count * run->frames.out_frame;
    flush(run, connection);
}

/* ---- messages that have come ---- */

static void take_echoes(struct mw_load_run *run, struct mw_load_connection *connection, uint64_t count)
{
    uint64_t now_ns = mw_load_now_ns();

    if (connection->sent - connection->received < count) {
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu got more messages than it had sent",
                     mw_load_index(run, connection));
        return;
    }
    run->counted += count;
    for (uint64_t i = 0; i < count; i++, connection->received++)
        mw_histogram_record(&run->latency, now_ns - connection->stamps[connection->received & (run->ring - 1)]);
    mw_load_submit(run, connection, count, now_ns);
}

/* A publication is over when the last connection has it. */
static void take_deliveries(struct mw_load_run *run, struct mw_load_connection *connection, uint64_t count)
{
    struct mw_load_connection *publisher = &run->connections[0];
    uint64_t over = 0, now_ns = mw_load_now_ns();

    if (publisher->sent - connection->received < count) {
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu got more messages than were published",
                     mw_load_index(run, connection));
        return;
    }
    run->counted += count;
    for (uint64_t i = 0; i < count; i++, connection->received++) {
        size_t slot = connection->received & (run->ring - 1);
        if (++run->deliveries[slot] < run->options->connections)
            continue;
        run->deliveries[slot] = 0;
        mw_histogram_record(&run->latency, now_ns - publisher->stamps[slot]);
        over++;
    }
    if (over)
        mw_load_submit(run, publisher, over, now_ns);
}

/* ---- control frames ---- */

static void answer_ping(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *payload,
                        size_t len)
{
    static const uint8_t key[4] = {0x6d, 0x6f, 0x6f, 0x6e};
    struct mw_load_pong *pong = connection->pong;

    /* Of several Pings the latest is answered (RFC 6455 §5.5.3), unless the Pong is on its way. */
    if (pong && pong->written)
        return;
    if (!pong)
        pong = connection->pong = malloc(sizeof *pong);
    if (!pong) {
        mw_load_fail(run, MW_LOAD_BAD_USE, "--connections: not enough memory");
        return;
    }
    size_t head = mw_frame_write(pong->frame, MW_OPCODE_PONG, true, false, len, key);
    memcpy(pong->frame + head, payload, len);
    mw_mask(pong->frame + head, len, key, 0);
    pong->len = head + len;
    pong->written = 0;
    flush(run, connection);
}

static void take_control(struct mw_load_run *run, struct mw_load_connection *connection, const struct mw_frame *frame,
                         const uint8_t *payload)
{
    int len = (int)frame->length;

    if (frame->opcode == MW_OPCODE_PING)
        answer_ping(run, connection, payload, (size_t)len);
    else if (frame->opcode == MW_OPCODE_CLOSE && len >= 2)
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "the server closed connection %zu with code %d%s%.*s",
                     mw_load_index(run, connection), payload[0] << 8 | payload[1], len > 2 ? ": " : "", len - 2,
                     (const char *)payload + 2);
    else if (frame->opcode == MW_OPCODE_CLOSE)
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "the server closed connection %zu", mw_load_index(run, connection));
}

/* The frame at `data` when it is whole: how many bytes it has, or 0. */
static size_t parse_control(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data,
                            size_t len)
{
    struct mw_frame frame;
    const char *why = NULL;

    switch (mw_frame_parse(&frame, data, len, false, false, &why)) {
    case MW_FRAME_INVALID:
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu: %s", mw_load_index(run, connection), why);
        return 0;
    case MW_FRAME_PARTIAL:
        return 0;
    case MW_FRAME_OK:
        break;
    }
    if (len < frame.header_len + frame.length)
        return 0;
    take_control(run, connection, &frame, data + frame.header_len);
    return frame.header_len + (size_t)frame.length;
}

/* Bytes of a control frame, some of which may have come before; how many of these belong to it. */
static size_t take_control_bytes(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data,
                                 size_t len)
{
    struct mw_load_scrap *scrap = connection->scrap;

    if (!scrap) {
        size_t whole = parse_control(run, connection, data, len);
        if (whole || run->fault)
            return whole;
        scrap = connection->scrap = malloc(sizeof *scrap);
        if (!scrap) {
            mw_load_fail(run, MW_LOAD_BAD_USE, "--connections: not enough memory");
            return 0;
        }
        scrap->len = 0;
    }
    size_t before = scrap->len, room = CONTROL_MAX - before;
    size_t added = len < room ? len : room;
    memcpy(scrap->data + before, data, added);
    scrap->len += added;
    size_t whole = parse_control(run, connection, scrap->data, scrap->len);
    if (!whole)
        return added;
    free(scrap);
    connection->scrap = NULL;
    return whole - before;
}

/* ---- bytes that have come ---- */

static void print_bytes(char *text, size_t size, const uint8_t *data, size_t len)
{
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < len && i < SHOWN_BYTES && at + 4 < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%02x", i ? " " : "", data[i]);
}

/* `data` is what came at byte `at` of a frame. */
static void fail_to_match(struct mw_load_run *run, const struct mw_load_connection *connection, const uint8_t *data,
                          size_t len, size_t at, uint64_t message)
{
    const struct mw_load_frames *frames = &run->frames;
    char came[4 * SHOWN_BYTES], expected[4 * SHOWN_BYTES];
    size_t same = 0;

    while (same < len && data[same] == frames->in[at + same])
        same++;
    print_bytes(came, sizeof came, data + same, len - same);
    print_bytes(expected, sizeof expected, frames->in + at + same, len - same);
    mw_load_fail(run, MW_LOAD_BAD_SERVER,
                 "connection %zu, message %llu: at byte %zu of its frame %s was expected, and %s came",
                 mw_load_index(run, connection), (unsigned long long)message, at + same, expected, came);
}

/* Bytes of one frame; how many of these belong to it. Its header is always compared, the rest while `comparing`. */
static size_t take_part(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data, size_t len,
                        uint64_t message)
{
    const struct mw_load_frames *frames = &run->frames;
    size_t at = connection->at_in;
    size_t taken = len < frames->in_frame - at ? len : frames->in_frame - at;
    size_t compared_to = run->comparing || at + taken < frames->in_head ? at + taken : frames->in_head;

    if (run->options->mode == MW_LOAD_IDLE) {
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu got a message, and none was asked for",
                     mw_load_index(run, connection));
        return 0;
    }
    if (at < compared_to && memcmp(data, frames->in + at, compared_to - at) != 0) {
        fail_to_match(run, connection, data, compared_to - at, at, message);
        return 0;
    }
    connection->at_in = (uint32_t)(at + taken == frames->in_frame ? 0 : at + taken);
    return taken;
}

/* How many messages these bytes complete. */
static uint64_t count_messages(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data,
                               size_t len)
{
    const struct mw_load_frames *frames = &run->frames;
    uint64_t count = 0;

    while (len && !run->fault) {
        size_t taken = 0;
        if (!run->comparing && !connection->at_in && !connection->scrap) {
            size_t whole = mw_load_frames_whole(frames, data, len);
            count += whole;
            taken = whole * frames->in_frame;
        }
        if (!taken && (connection->scrap || (!connection->at_in && data[0] & CONTROL))) {
            taken = take_control_bytes(run, connection, data, len);
        } else if (!taken) {
            taken = take_part(run, connection, data, len, connection->received + count + 1);
            count += taken && !connection->at_in;
        }
        data += taken;
        len -= taken;
    }
    return count;
}

void mw_load_take(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data, size_t len)
{
    uint64_t count = count_messages(run, connection, data, len);

    if (!count || run->fault)
        return;
    if (run->options->mode == MW_LOAD_FANOUT)
        take_deliveries(run, connection, count);
    else
        take_echoes(run, connection, count);
}

static void fail_at_end(struct mw_load_run *run, const struct mw_load_connection *connection, const char *how)
{
    char where[80] = "";

    if (connection->at_in)
        snprintf(where, sizeof where, " in the middle of a frame: %u of %zu bytes had come", connection->at_in,
                 run->frames.in_frame);
    mw_load_fail(run, MW_LOAD_BAD_SERVER, "the server %s connection %zu%s", how, mw_load_index(run, connection), where);
}

void mw_load_continue_traffic(struct mw_load_run *run, struct mw_load_connection *connection)
{
    if (connection->watches_writing)
        flush(run, connection);
    ssize_t got = recv(connection->fd, run->read_buffer, MW_LOAD_READ_SIZE, 0);
    if (got > 0)
        mw_load_take(run, connection, run->read_buffer, (size_t)got);
    else if (got == 0)
        fail_at_end(run, connection, "closed");
    else if (errno == ECONNRESET)
        fail_at_end(run, connection, "reset");
    else if (errno != EAGAIN)
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu: receiving: %s", mw_load_index(run, connection),
                     strerror(errno));
}
