/* send.c - the way out: frames gather in the queue, one write per connection and turn takes them all.
 * The kernel is asked for writability only after it refused bytes. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/mask.h"
#include "net/connection.h"

enum {
    IOV_MAX_PER_WRITE = 64,
    DRAIN_DIVISOR = 2,
    /* From here on copying a message into the queue costs more than a write of its own saves; */
    WRITE_THROUGH = 64 * 1024,
    /* and from here on when its write is likely to be the only one anyway: it answers the last message of a read. */
    WRITE_THROUGH_LAST = 8 * 1024,
};

static void mark_dirty(struct mw_connection *connection)
{
    /* Inside the parser the flush comes right after it, while the block is still in the cache. */
    if (!connection->reading && !connection->choked)
        mw_engine_at_turn_end(connection->engine, &connection->turn);
}

static void set_choked(struct mw_connection *connection, bool on)
{
    if (connection->choked == on)
        return;
    connection->choked = on;
    connection->progress_ms = (uint32_t)mw_engine_now_ms(connection->engine);
    if (on)
        connection->taken = mw_socket_taken(connection->socket);
    mw_socket_want_write(connection->socket, on);
    if (connection->state != MW_CLOSED)
        mw_connection_arm(connection);
}

/* The kernel takes no more bytes. The peer's last messages, or its Close, may still be unread: the way in finds out how it
 * ended, except that a reset is told only once, here. */
static void went_deaf(struct mw_connection *connection)
{
    connection->deaf = true;
    connection->system_error = errno == EPIPE ? 0 : (uint8_t)errno;
    mw_connection_pause(connection, false);
    mw_socket_read_again(connection->socket);
}

/* Hands the kernel what it takes. */
static void write_out(struct mw_connection *connection)
{
    struct iovec iov[IOV_MAX_PER_WRITE];

    while (connection->queue.bytes && !connection->choked && !connection->deaf) {
        int count = mw_queue_peek(&connection->queue, iov, IOV_MAX_PER_WRITE);
        size_t offered = 0;
        for (int i = 0; i < count; i++)
            offered += iov[i].iov_len;
        ssize_t done = mw_socket_write(connection->socket, iov, count);
        if (done == MW_SOCKET_ERROR) {
            went_deaf(connection);
            return;
        }
        if (done > 0)
            mw_queue_sent(&connection->queue, (size_t)done);
        /* TLS may take one record at a time; a plain socket that took less is full. */
        if (done < 0 || (!connection->socket->ssl && (size_t)done < offered))
            set_choked(connection, true);
    }
}

/* Hands the kernel what is queued and this frame behind it, from where they lie; keeps what it doesn't take. */
static bool write_through(struct mw_connection *connection, const uint8_t *header, size_t header_len, const void *data,
                          size_t len)
{
    struct iovec iov[IOV_MAX_PER_WRITE];
    size_t before = connection->queue.bytes;
    int count = mw_queue_peek(&connection->queue, iov, IOV_MAX_PER_WRITE - 2);

    iov[count++] = (struct iovec){(void *)header, header_len};
    iov[count++] = (struct iovec){(void *)data, len};
    ssize_t result = mw_socket_write(connection->socket, iov, count);
    if (result == MW_SOCKET_ERROR)
        went_deaf(connection);
    size_t done = result > 0 ? (size_t)result : 0;
    size_t of_queue = done < before ? done : before;
    size_t of_header = done - of_queue < header_len ? done - of_queue : header_len;
    size_t of_data = done - of_queue - of_header;
    mw_queue_sent(&connection->queue, of_queue);
    if (of_data < len) {
        size_t left = header_len - of_header + len - of_data;
        uint8_t *out = mw_queue_reserve(&connection->queue, &connection->engine->pool, left);
        if (!out) {
            /* The peer would take what follows for the rest of this frame. */
            mw_connection_terminate(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
            return false;
        }
        memcpy(out, header + of_header, header_len - of_header);
        memcpy(out + header_len - of_header, (const uint8_t *)data + of_data, len - of_data);
        mw_queue_commit(&connection->queue, left);
        if (!connection->deaf)
            set_choked(connection, true);
    }
    return true;
}

static bool goes_through(const struct mw_connection *connection, size_t len)
{
    return len >= (connection->last_of_read ? WRITE_THROUGH_LAST : WRITE_THROUGH) && !connection->is_client &&
           !connection->choked && !connection->deaf && !connection->socket->ssl &&
           connection->queue.count <= IOV_MAX_PER_WRITE - 2;
}

/* Frames `len` bytes into the queue, or straight to the kernel. */
static bool enqueue(struct mw_connection *connection, enum mw_opcode opcode, bool rsv1, const void *data, size_t len)
{
    uint8_t key[4];

    if (goes_through(connection, len)) {
        uint8_t header[MW_FRAME_HEADER_MAX];
        return write_through(connection, header, mw_frame_write(header, opcode, true, rsv1, len, NULL), data, len);
    }
    bool is_short = len <= MW_CONTROL_PAYLOAD_MAX && !connection->is_client;
    size_t header = is_short ? 2 : mw_frame_header_len(len, connection->is_client);
    uint8_t *out = mw_queue_reserve(&connection->queue, &connection->engine->pool, header + len);

    if (!out)
        return false;
    if (connection->is_client && RAND_bytes(key, sizeof key) != 1)
        return false;
    if (is_short)
        mw_frame_write_short(out, opcode, rsv1, len);
    else
        mw_frame_write(out, opcode, true, rsv1, len, connection->is_client ? key : NULL);
    if (len)
        memcpy(out + header, data, len);
    if (connection->is_client)
        mw_mask(out + header, len, key, 0);
    mw_queue_commit(&connection->queue, header + len);
    mark_dirty(connection);
    return true;
}

void mw_connection_write_now(struct mw_connection *connection)
{
    if (connection->state == MW_OPEN)
        write_out(connection);
}

/* Whether `len` more bytes fit. A reader that only seems slow because nothing was written yet in this turn gets its bytes
 * first. Under policy close a full queue is the end of the connection. */
static bool fits(struct mw_connection *connection, size_t len)
{
    const struct mw_connection_settings *settings = connection->settings;

    if (connection->queue.bytes + len <= settings->max_backpressure)
        return true;
    write_out(connection);
    if (connection->state != MW_OPEN)
        return false;
    /* A message larger than the whole bound may go when nothing else waits. */
    if (connection->queue.bytes == 0 || connection->queue.bytes + len <= settings->max_backpressure)
        return true;
    if (settings->slow == MW_SLOW_CLOSE)
        mw_connection_fail(connection, MW_ENDING_SLOW_CONSUMER, "slow consumer");
    return false;
}

void mw_connection_preface(struct mw_connection *connection, const void *data, size_t len)
{
    uint8_t *out = mw_queue_reserve(&connection->queue, &connection->engine->pool, len);

    if (!out) {
        mw_connection_terminate(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
        return;
    }
    memcpy(out, data, len);
    mw_queue_commit(&connection->queue, len);
    mark_dirty(connection);
}

static enum mw_send_result queued(struct mw_connection *connection)
{
    connection->message_ms = (uint32_t)mw_engine_now_ms(connection->engine);
    connection->engine->counters.messages_sent++;
    if (connection->queue.bytes <= connection->settings->high_water)
        return MW_SEND_QUEUED;
    connection->want_drain = true;
    return MW_SEND_BACKPRESSURE;
}

static enum mw_send_result refused(const struct mw_connection *connection)
{
    return connection->state == MW_OPEN ? MW_SEND_FULL : MW_SEND_CLOSED;
}

enum mw_send_result mw_connection_send(struct mw_connection *connection, const void *data, size_t len, bool text)
{
    enum mw_opcode opcode = text ? MW_OPCODE_TEXT : MW_OPCODE_BINARY;
    struct mw_buffer packed = {0};
    bool compress = connection->deflate && len >= connection->settings->deflate.min_bytes;

    if (connection->state != MW_OPEN)
        return MW_SEND_CLOSED;
    if (!fits(connection, len))
        return refused(connection);
    if (compress) {
        if (mw_deflate_compress(connection->deflate, data, len, &packed) != MW_DEFLATE_OK) {
            mw_buffer_free(&packed);
            mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
            return MW_SEND_CLOSED;
        }
        data = packed.data;
        len = packed.len;
    }
    bool ok = enqueue(connection, opcode, compress, data, len);
    /* What the peer never gets, later messages must not refer to. */
    if (!ok && compress)
        mw_deflate_forget(connection->deflate);
    if (compress)
        mw_buffer_free(&packed);
    if (ok)
        return queued(connection);
    /* What is lost in the middle of a conversation the peer would never know of. */
    mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
    return MW_SEND_CLOSED;
}

enum mw_send_result mw_connection_share(struct mw_connection *connection, struct mw_message *message, uint32_t from,
                                        uint32_t to, bool compressed)
{
    if (connection->state != MW_OPEN)
        return MW_SEND_CLOSED;
    if (!fits(connection, to - from))
        return refused(connection);
    if (!mw_queue_share(&connection->queue, message, from, to)) {
        mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
        return MW_SEND_CLOSED;
    }
    if (compressed)
        mw_deflate_forget(connection->deflate);
    mark_dirty(connection);
    return queued(connection);
}

void mw_connection_send_control(struct mw_connection *connection, enum mw_opcode opcode, const void *data, size_t len)
{
    if (connection->state != MW_CLOSED && !enqueue(connection, opcode, false, data, len))
        mw_connection_terminate(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
}

enum mw_send_result mw_connection_ping(struct mw_connection *connection, const void *data, size_t len)
{
    if (connection->state != MW_OPEN)
        return MW_SEND_CLOSED;
    mw_connection_send_control(connection, MW_OPCODE_PING, data, len);
    return MW_SEND_QUEUED;
}

void mw_connection_pong(struct mw_connection *connection, const uint8_t *payload, size_t len)
{
    if (connection->events->pong)
        connection->events->pong(connection->owner, payload, len);
}

/* The queue is empty: a finished close handshake ends the connection, a drained one is told. */
static void emptied(struct mw_connection *connection)
{
    if (connection->failed && connection->close_sent) {
        mw_connection_end(connection);
        return;
    }
    /* The server closes TCP first, the client waits for it (RFC 6455 §7.1.1). */
    if (connection->close_sent && connection->close_received && !connection->is_client)
        mw_connection_end(connection);
}

void mw_connection_flush(struct mw_connection *connection)
{
    if (connection->state == MW_CLOSED)
        return;
    write_out(connection);
    if (!connection->queue.bytes)
        emptied(connection);
    if (connection->want_drain && connection->state == MW_OPEN &&
        connection->queue.bytes <= connection->settings->high_water / DRAIN_DIVISOR) {
        connection->want_drain = false;
        connection->events->drain(connection->owner);
    }
}

void mw_connection_writable(void *owner)
{
    struct mw_connection *connection = owner;

    set_choked(connection, false);
    mw_connection_flush(connection);
}
