/* topics.c - see topics.h. Subscribing and unsubscribing cost the same for one subscriber and for a hundred thousand: each
 * side of a subscription knows its place in the list of the other. */
/* SPDX-License-Identifier: MIT */
#include "hub/topics.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const char *name, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static struct mw_topic **place_of(const struct mw_hub *hub, uint32_t hash, const char *name, size_t len)
{
    struct mw_topic **link = &hub->buckets[hash & (hub->bucket_count - 1)];

    while (*link && ((*link)->hash != hash || (*link)->name_len != len || memcmp((*link)->name, name, len) != 0))
        link = &(*link)->next;
    return link;
}

struct mw_topic *mw_hub_find(const struct mw_hub *hub, const char *name, size_t len)
{
    return hub->bucket_count ? *place_of(hub, hash_of(name, len), name, len) : NULL;
}

static bool grow_buckets(struct mw_hub *hub)
{
    uint32_t bucket_count = hub->bucket_count ? hub->bucket_count * 2 : 16;
    struct mw_topic **buckets = calloc(bucket_count, sizeof(struct mw_topic *));

    if (!buckets)
        return false;
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        while (hub->buckets[i]) {
            struct mw_topic *topic = hub->buckets[i];
            hub->buckets[i] = topic->next;
            topic->next = buckets[topic->hash & (bucket_count - 1)];
            buckets[topic->hash & (bucket_count - 1)] = topic;
        }
    }
    free(hub->buckets);
    hub->buckets = buckets;
    hub->bucket_count = bucket_count;
    return true;
}

static struct mw_topic *find_or_add(struct mw_hub *hub, const char *name, size_t len)
{
    uint32_t hash = hash_of(name, len);
    struct mw_topic *topic = mw_hub_find(hub, name, len);

    if (topic)
        return topic;
    if (hub->count >= hub->bucket_count && !grow_buckets(hub))
        return NULL;
    topic = calloc(1, sizeof *topic + len + 1);
    if (!topic)
        return NULL;
    topic->hash = hash;
    topic->name_len = (uint32_t)len;
    memcpy(topic->name, name, len);
    struct mw_topic **bucket = &hub->buckets[hash & (hub->bucket_count - 1)];
    topic->next = *bucket;
    *bucket = topic;
    hub->count++;
    return topic;
}

static void close_batches(struct mw_topic *topic)
{
    for (int i = 0; i < 2; i++) {
        if (topic->batch[i])
            mw_message_unref(topic->batch[i]);
        topic->batch[i] = NULL;
    }
    if (topic->open_link) {
        *topic->open_link = topic->next_open;
        if (topic->next_open)
            topic->next_open->open_link = topic->open_link;
        topic->open_link = NULL;
    }
}

static void free_topic(struct mw_topic *topic)
{
    close_batches(topic);
    free(topic->members);
    free(topic);
}

static void remove_topic(struct mw_hub *hub, struct mw_topic *topic)
{
    *place_of(hub, topic->hash, topic->name, topic->name_len) = topic->next;
    hub->count--;
    free_topic(topic);
}

/* The shorter of the two lists tells whether a subscription exists. */
static struct mw_subscription *subscription(struct mw_subscriber *subscriber, const struct mw_topic *topic)
{
    if (topic->count < subscriber->count) {
        for (uint32_t i = 0; i < topic->count; i++)
            if (topic->members[i].subscriber == subscriber)
                return &subscriber->list[topic->members[i].index];
        return NULL;
    }
    for (uint32_t i = 0; i < subscriber->count; i++)
        if (subscriber->list[i].topic == topic)
            return &subscriber->list[i];
    return NULL;
}

static bool grow(void **list, uint32_t *cap, uint32_t first, size_t size)
{
    uint32_t wanted = *cap ? *cap * 2 : first;
    void *grown = realloc(*list, wanted * size);

    if (!grown)
        return false;
    *list = grown;
    *cap = wanted;
    return true;
}

int mw_hub_subscribe(struct mw_hub *hub, struct mw_subscriber *subscriber, const char *name, size_t len)
{
    struct mw_topic *topic = find_or_add(hub, name, len);

    if (!topic)
        return -1;
    if (subscription(subscriber, topic))
        return 0;
    if ((topic->count == topic->cap && !grow((void **)&topic->members, &topic->cap, 4, sizeof *topic->members)) ||
        (subscriber->count == subscriber->cap &&
         !grow((void **)&subscriber->list, &subscriber->cap, 2, sizeof *subscriber->list))) {
        if (!topic->count)
            remove_topic(hub, topic);
        return -1;
    }
    topic->members[topic->count] = (struct mw_topic_member){subscriber, subscriber->count};
    subscriber->list[subscriber->count++] = (struct mw_subscription){topic, topic->count++};
    return 1;
}

/* Fills both holes with the last of each list. */
static void unlink_subscription(struct mw_hub *hub, struct mw_subscriber *subscriber, uint32_t index)
{
    struct mw_topic *topic = subscriber->list[index].topic;
    uint32_t hole = subscriber->list[index].index;

    topic->count--;
    if (hole != topic->count) {
        struct mw_topic_member moved = topic->members[topic->count];
        topic->members[hole] = moved;
        moved.subscriber->list[moved.index].index = hole;
    }
    subscriber->count--;
    if (index != subscriber->count) {
        struct mw_subscription moved = subscriber->list[subscriber->count];
        subscriber->list[index] = moved;
        moved.topic->members[moved.index].index = index;
    }
    if (!topic->count)
        remove_topic(hub, topic);
}

bool mw_hub_unsubscribe(struct mw_hub *hub, struct mw_subscriber *subscriber, const char *name, size_t len)
{
    struct mw_topic *topic = mw_hub_find(hub, name, len);
    struct mw_subscription *found = topic ? subscription(subscriber, topic) : NULL;

    if (!found)
        return false;
    unlink_subscription(hub, subscriber, (uint32_t)(found - subscriber->list));
    return true;
}

void mw_hub_unsubscribe_all(struct mw_hub *hub, struct mw_subscriber *subscriber)
{
    while (subscriber->count)
        unlink_subscription(hub, subscriber, subscriber->count - 1);
    free(subscriber->list);
    *subscriber = (struct mw_subscriber){0};
}

struct mw_message *mw_hub_batch(struct mw_hub *hub, struct mw_topic *topic, bool compressed,
                                struct mw_message_pool *pool, const void *frame_header, size_t header_len,
                                const void *payload, size_t len, uint32_t *from)
{
    struct mw_message **batch = &topic->batch[compressed];

    if (*batch && (*batch)->cap - (*batch)->len < header_len + len) {
        mw_message_unref(*batch);
        *batch = NULL;
    }
    if (!*batch)
        *batch = mw_message_new(pool, header_len + len);
    if (!*batch)
        return NULL;
    if (!topic->open_link) {
        topic->next_open = hub->open;
        if (hub->open)
            hub->open->open_link = &topic->next_open;
        topic->open_link = &hub->open;
        hub->open = topic;
    }
    *from = (*batch)->len;
    memcpy((*batch)->data + *from, frame_header, header_len);
    memcpy((*batch)->data + *from + header_len, payload, len);
    (*batch)->len += (uint32_t)(header_len + len);
    return *batch;
}

void mw_hub_end_turn(struct mw_hub *hub)
{
    while (hub->open)
        close_batches(hub->open);
}

void mw_hub_free(struct mw_hub *hub)
{
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        struct mw_topic *topic = hub->buckets[i];
        while (topic) {
            struct mw_topic *next = topic->next;
            free_topic(topic);
            topic = next;
        }
    }
    free(hub->buckets);
    *hub = (struct mw_hub){0};
}
