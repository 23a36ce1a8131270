/* topics.h - who listens to what: topics by name, subscribers by topic, in memory that is walked from end to end.
 * Owns the topics; borrows the subscribers, which are embedded in what they stand for. Knows no socket. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_HUB_TOPICS_H
#define MW_HUB_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/message.h"

struct mw_topic;

struct mw_subscription {
    struct mw_topic *topic;
    uint32_t index; /* in the topic's list */
};

/* A zeroed subscriber listens to nothing. */
struct mw_subscriber {
    struct mw_subscription *list;
    uint32_t count;
    uint32_t cap;
};

struct mw_topic_member {
    struct mw_subscriber *subscriber;
    uint32_t index; /* in the subscriber's list */
};

struct mw_topic {
    struct mw_topic *next; /* in its bucket */
    struct mw_topic_member *members;
    uint32_t count;
    uint32_t cap;
    uint32_t hash;
    uint32_t name_len;
    /* The publications of this turn, framed, one behind the other: [0] as they are, [1] compressed. */
    struct mw_message *batch[2];
    struct mw_topic *next_open; /* topics with a batch */
    struct mw_topic **open_link;
    char name[];
};

struct mw_hub {
    struct mw_topic **buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t count;
    struct mw_topic *open;
};

/* 1: subscribed, 0: it was already, -1: out of memory. */
int mw_hub_subscribe(struct mw_hub *hub, struct mw_subscriber *subscriber, const char *name, size_t len);
/* False when it was not subscribed. A topic without subscribers is forgotten. */
bool mw_hub_unsubscribe(struct mw_hub *hub, struct mw_subscriber *subscriber, const char *name, size_t len);
void mw_hub_unsubscribe_all(struct mw_hub *hub, struct mw_subscriber *subscriber);
/* NULL when nobody listens. */
struct mw_topic *mw_hub_find(const struct mw_hub *hub, const char *name, size_t len);
/* Appends one framed publication to the topic's batch and tells where it lies: bytes [*from, result->len). NULL when
 * memory is short. What is appended in one turn leaves in one piece for whoever gets all of it. */
struct mw_message *mw_hub_batch(struct mw_hub *hub, struct mw_topic *topic, bool compressed,
                                struct mw_message_pool *pool, const void *frame_header, size_t header_len,
                                const void *payload, size_t len, uint32_t *from);
/* Closes the batches; the receivers keep what they have not sent yet. */
void mw_hub_end_turn(struct mw_hub *hub);
void mw_hub_free(struct mw_hub *hub);

#endif
