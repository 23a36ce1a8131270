/* queue.h - the bytes that one connection has yet to send: pieces of messages, own and shared, in order.
 * Holds a reference on each message. Small answers gather in one block; a publication is only pointed at.
 * Bounded by its user, who looks at `bytes` before adding. A zeroed struct is an empty queue. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_QUEUE_H
#define MW_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/message.h"

struct mw_segment {
    struct mw_message *message;
    uint32_t from;
    uint32_t to;
};

struct mw_queue {
    struct mw_segment *segments; /* NULL: `first` is the only one */
    struct mw_segment first;
    uint32_t head;
    uint32_t count;
    uint32_t cap;
    size_t bytes;
};

/* `len` contiguous bytes at the end, to be filled and then committed; NULL when memory is short. */
uint8_t *mw_queue_reserve(struct mw_queue *queue, struct mw_message_pool *pool, size_t len);
void mw_queue_commit(struct mw_queue *queue, size_t len);
/* Points at the bytes [from, to) of a message; joins them to the last piece when they follow it. */
bool mw_queue_share(struct mw_queue *queue, struct mw_message *message, uint32_t from, uint32_t to);
/* Fills `iov` with what comes next; returns how many entries. */
int mw_queue_peek(const struct mw_queue *queue, struct iovec *iov, int max);
/* Drops the first `len` bytes: they were sent. */
void mw_queue_sent(struct mw_queue *queue, size_t len);
void mw_queue_clear(struct mw_queue *queue);

#endif
