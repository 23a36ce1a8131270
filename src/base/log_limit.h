/* log_limit.h - how many records of one kind, and of all kinds, may be written: token buckets, and the count of what they
 * hold back. Time is given by the caller. Owns nothing; a zeroed struct has full buckets. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_LOG_LIMIT_H
#define MW_BASE_LOG_LIMIT_H

#include "base/log.h"

enum { MW_LOG_KINDS = 64, MW_LOG_SAMPLE = 96, MW_LOG_HELD_MS = 5000 };

struct mw_log_bucket {
    double used; /* of its burst */
    uint64_t since_ms;
};

struct mw_log_kind {
    uint64_t key; /* 0: free */
    struct mw_log_bucket bucket;
    enum mw_log_level level;
    uint64_t held;
    uint64_t held_since_ms;
    uint64_t seen_ms;
    size_t sample_len;
    char sample[MW_LOG_SAMPLE]; /* how the last one began */
};

struct mw_log_limit {
    struct mw_log_kind kinds[MW_LOG_KINDS];
    struct mw_log_bucket all;
    uint64_t held; /* over all kinds */
};

/* What the caller is to tell of one kind. */
struct mw_log_held {
    enum mw_log_level level;
    uint64_t count;
    uint64_t ms;
    size_t sample_len;
    char sample[MW_LOG_SAMPLE];
};

/* Whether the record may be written; if not it is counted. Another kind may have to give up its place: then true is in
 * *told, and `held` is to be told at once. */
bool mw_log_limit_pass(struct mw_log_limit *limit, const struct mw_log_record *record, uint64_t now_ms,
                       struct mw_log_held *held, bool *told);
/* The next kind that has held something back for MW_LOG_HELD_MS, or at the end for any time; false: none. */
bool mw_log_limit_take(struct mw_log_limit *limit, uint64_t now_ms, bool at_end, struct mw_log_held *held);

#endif
