/* log_limit.c - see log_limit.h. */
/* SPDX-License-Identifier: MIT */
#include "base/log_limit.h"

#include <string.h>

#include "base/log_line.h"

struct rate {
    double burst;
    double per_second;
};

/* Of moonwire's own lines ten show what goes on. A script's are somebody's wish, and only bounded so that no disk fills. */
static const struct rate own_rate = {10, 1}, script_rate = {1000, 200}, all_rate = {2000, 500};

static void refill(struct mw_log_bucket *bucket, const struct rate *rate, uint64_t now_ms)
{
    bucket->used -= (double)(now_ms - bucket->since_ms) * rate->per_second / 1000;
    if (bucket->used < 0)
        bucket->used = 0;
    bucket->since_ms = now_ms;
}

static void hand_over(struct mw_log_limit *limit, struct mw_log_kind *kind, uint64_t now_ms, struct mw_log_held *held)
{
    *held = (struct mw_log_held){
        .level = kind->level, .count = kind->held, .ms = now_ms - kind->held_since_ms, .sample_len = kind->sample_len};
    memcpy(held->sample, kind->sample, kind->sample_len);
    limit->held -= kind->held;
    kind->held = 0;
}

static void keep_sample(struct mw_log_kind *kind, const struct mw_log_record *record)
{
    size_t len = 0;

    if (record->where && record->where[0]) {
        len = mw_log_beginning(record->where, strlen(record->where), MW_LOG_SAMPLE / 2);
        memcpy(kind->sample, record->where, len);
        memcpy(kind->sample + len, ": ", 2);
        len += 2;
    }
    size_t rest = mw_log_beginning(record->text, record->len, MW_LOG_SAMPLE - len);
    memcpy(kind->sample + len, record->text, rest);
    kind->sample_len = len + rest;
}

static struct mw_log_kind *find(struct mw_log_limit *limit, uint64_t key)
{
    struct mw_log_kind *oldest = limit->kinds;

    for (size_t i = 0; i < MW_LOG_KINDS; i++) {
        struct mw_log_kind *kind = &limit->kinds[i];
        if (kind->key == key)
            return kind;
        if (kind->seen_ms < oldest->seen_ms)
            oldest = kind;
    }
    return oldest;
}

bool mw_log_limit_pass(struct mw_log_limit *limit, const struct mw_log_record *record, uint64_t now_ms,
                       struct mw_log_held *held, bool *told)
{
    const struct rate *rate = record->script ? &script_rate : &own_rate;
    const uint64_t key = record->key ? record->key : 1;
    struct mw_log_kind *kind = find(limit, key);

    *told = kind->key != key && kind->held;
    if (*told)
        hand_over(limit, kind, now_ms, held);
    if (kind->key != key)
        *kind = (struct mw_log_kind){.key = key, .bucket.since_ms = now_ms};
    kind->seen_ms = now_ms;
    kind->level = record->level;
    refill(&kind->bucket, rate, now_ms);
    refill(&limit->all, &all_rate, now_ms);
    if (kind->bucket.used + 1 > rate->burst || limit->all.used + 1 > all_rate.burst) {
        if (!kind->held++)
            kind->held_since_ms = now_ms;
        if (!kind->sample_len)
            keep_sample(kind, record);
        limit->held++;
        return false;
    }
    kind->bucket.used++;
    limit->all.used++;
    keep_sample(kind, record);
    return true;
}

bool mw_log_limit_take(struct mw_log_limit *limit, uint64_t now_ms, bool at_end, struct mw_log_held *held)
{
    for (size_t i = 0; i < MW_LOG_KINDS && limit->held; i++) {
        struct mw_log_kind *kind = &limit->kinds[i];
        if (kind->held && (at_end || now_ms - kind->held_since_ms >= MW_LOG_HELD_MS)) {
            hand_over(limit, kind, now_ms, held);
            return true;
        }
    }
    return false;
}
