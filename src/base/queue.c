/* queue.c - see queue.h. */
/* SPDX-License-Identifier: MIT */
#include "base/queue.h"

#include <stdlib.h>
#include <string.h>

/* A piece that is pointed at keeps a whole block alive. While few are waiting that is cheap; later small ones are copied, and own
 * pieces go on in the block that is open, also behind shared ones: a peer that does not read must not be able to make
 * its bytes cost many times what they count. */
enum { COPY_MAX = 256, FEW = 8 };

static struct mw_segment *at(const struct mw_queue *queue, uint32_t index)
{
    return queue->segments ? &queue->segments[queue->head + index] : (struct mw_segment *)&queue->first;
}

static struct mw_segment *last(const struct mw_queue *queue)
{
    return queue->count ? at(queue, queue->count - 1) : NULL;
}

/* Moves the pieces to the front of a list that has room for one more. */
static bool grow(struct mw_queue *queue)
{
    if (queue->head) {
        memmove(queue->segments, queue->segments + queue->head, queue->count * sizeof *queue->segments);
        queue->head = 0;
        if (queue->count < queue->cap)
            return true;
    }
    uint32_t cap = queue->cap ? queue->cap * 2 : 8;
    struct mw_segment *segments = realloc(queue->segments, cap * sizeof *segments);
    if (!segments)
        return false;
    if (!queue->segments && queue->count)
        segments[0] = queue->first;
    queue->segments = segments;
    queue->cap = cap;
    return true;
}

/* Takes over the caller's reference. */
static bool push(struct mw_queue *queue, struct mw_message *message, uint32_t from, uint32_t to)
{
    bool full = queue->segments ? queue->head + queue->count == queue->cap : queue->count == 1;

    if (full && !grow(queue)) {
        mw_message_unref(message);
        return false;
    }
    queue->count++;
    *last(queue) = (struct mw_segment){message, from, to};
    queue->bytes += to - from;
    return true;
}

/* The queue's own block with room for `len` bytes, behind which only few shared pieces came. */
static struct mw_message *open_block(const struct mw_queue *queue, size_t len)
{
    for (uint32_t i = queue->count, looks = 0; i > 0 && looks < FEW; i--, looks++) {
        struct mw_message *message = at(queue, i - 1)->message;
        if (message->owner == queue)
            return message->cap - message->len >= len ? message : NULL;
    }
    return NULL;
}

uint8_t *mw_queue_reserve(struct mw_queue *queue, struct mw_message_pool *pool, size_t len)
{
    struct mw_segment *tail = last(queue);
    struct mw_message *message;

    if (tail) {
        message = tail->message;
        if ((message->refs == 1 || message->owner == queue) && tail->to == message->len &&
            message->cap - message->len >= len)
            return message->data + message->len;
    }
    message = open_block(queue, len);
    if (message) {
        mw_message_ref(message);
    } else {
        message = mw_message_new(pool, len);
        if (!message)
            return NULL;
        message->owner = queue;
    }
    return push(queue, message, message->len, message->len) ? message->data + message->len : NULL;
}

void mw_queue_commit(struct mw_queue *queue, size_t len)
{
    struct mw_segment *tail = last(queue);

    tail->message->len += (uint32_t)len;
    tail->to += (uint32_t)len;
    queue->bytes += len;
}

bool mw_queue_share(struct mw_queue *queue, struct mw_message *message, uint32_t from, uint32_t to)
{
    struct mw_segment *tail = last(queue);

    if (tail && tail->message == message && tail->to == from) {
        tail->to = to;
        queue->bytes += to - from;
        return true;
    }
    if (queue->count >= FEW && to - from <= COPY_MAX) {
        uint8_t *out = mw_queue_reserve(queue, message->pool, to - from);
        if (!out)
            return false;
        memcpy(out, message->data + from, to - from);
        mw_queue_commit(queue, to - from);
        return true;
    }
    return push(queue, mw_message_ref(message), from, to);
}

int mw_queue_peek(const struct mw_queue *queue, struct iovec *iov, int max)
{
    int count = 0;

    for (uint32_t i = 0; i < queue->count && count < max; i++) {
        const struct mw_segment *segment = at(queue, i);
        iov[count].iov_base = segment->message->data + segment->from;
        iov[count].iov_len = segment->to - segment->from;
        count++;
    }
    return count;
}

void mw_queue_sent(struct mw_queue *queue, size_t len)
{
    queue->bytes -= len;
    while (queue->count) {
        struct mw_segment *segment = at(queue, 0);
        size_t size = segment->to - segment->from;
        if (len < size) {
            segment->from += (uint32_t)len;
            return;
        }
        len -= size;
        mw_message_unref(segment->message);
        queue->count--;
        if (queue->segments)
            queue->head++;
    }
    /* An idle connection keeps no list. */
    free(queue->segments);
    *queue = (struct mw_queue){0};
}

void mw_queue_clear(struct mw_queue *queue)
{
    mw_queue_sent(queue, queue->bytes);
}
