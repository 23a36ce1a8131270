/* message.h - ref-counted bytes on their way out: one message may wait in the queues of many connections.
 * A message is appended to by its only holder, or by the one who opened it for a batch; what was queued never changes.
 * Blocks of MW_MESSAGE_BLOCK bytes come from a pool that the caller owns. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_MESSAGE_H
#define MW_BASE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

enum { MW_MESSAGE_BLOCK = 4096 };

struct mw_message_pool;

struct mw_message {
    uint32_t refs;
    uint32_t len;
    uint32_t cap;
    struct mw_message_pool *pool;
    struct mw_message *next_free;
    const void *owner; /* the queue that gathers small pieces in it, and alone holds it; NULL: none */
    uint8_t data[];
};

/* Free blocks kept for the next message; a zeroed pool is empty. */
struct mw_message_pool {
    struct mw_message *free;
    uint32_t count;
};

/* A message with one reference and room for at least `cap` bytes; NULL when memory is short. */
struct mw_message *mw_message_new(struct mw_message_pool *pool, size_t cap);
void mw_message_unref(struct mw_message *message);
void mw_message_pool_free(struct mw_message_pool *pool);

static inline struct mw_message *mw_message_ref(struct mw_message *message)
{
    message->refs++;
    return message;
}

#endif
