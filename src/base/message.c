/* message.c - see message.h. */
/* SPDX-License-Identifier: MIT */
#include "base/message.h"

#include <stdlib.h>

/* Enough for a turn with publications to a thousand topics, each of which opens a block; more goes back to malloc. */
enum { POOL_MAX = 1024, BLOCK_CAP = MW_MESSAGE_BLOCK - sizeof(struct mw_message) };

struct mw_message *mw_message_new(struct mw_message_pool *pool, size_t cap)
{
    struct mw_message *message;

    if (cap <= BLOCK_CAP) {
        cap = BLOCK_CAP;
        message = pool->free;
        if (message) {
            pool->free = message->next_free;
            pool->count--;
        } else {
            message = malloc(MW_MESSAGE_BLOCK);
        }
    } else {
        message = cap < UINT32_MAX / 2 ? malloc(sizeof *message + cap) : NULL;
    }
    if (!message)
        return NULL;
    message->refs = 1;
    message->len = 0;
    message->cap = (uint32_t)cap;
    message->pool = pool;
    message->owner = NULL;
    return message;
}

void mw_message_unref(struct mw_message *message)
{
    struct mw_message_pool *pool = message->pool;

    if (--message->refs)
        return;
    if (message->cap != BLOCK_CAP || pool->count >= POOL_MAX) {
        free(message);
        return;
    }
    message->next_free = pool->free;
    pool->free = message;
    pool->count++;
}

void mw_message_pool_free(struct mw_message_pool *pool)
{
    while (pool->free) {
        struct mw_message *message = pool->free;
        pool->free = message->next_free;
        free(message);
    }
    pool->count = 0;
}
