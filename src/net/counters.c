/* counters.c - see counters.h. */
/* SPDX-License-Identifier: MIT */
#include "net/counters.h"

#define MS UINT64_C(1000000)

const uint64_t mw_time_bounds[MW_TIME_BUCKETS] = {
    MS / 10, MS / 4,   MS / 2,   MS,       5 * MS / 2, 5 * MS,    10 * MS,   25 * MS,
    50 * MS, 100 * MS, 250 * MS, 500 * MS, 1000 * MS,  2500 * MS, 5000 * MS, 10000 * MS,
};

void mw_counters_handled(struct mw_counters *counters, uint64_t ns)
{
    unsigned bucket = 0;

    while (bucket < MW_TIME_BUCKETS && ns > mw_time_bounds[bucket])
        bucket++;
    counters->handler_times[bucket]++;
    counters->handler_ns += ns;
}

void mw_counters_response(struct mw_counters *counters, const char *head, size_t len)
{
    enum { STATUS = sizeof "HTTP/1.1 " - 1 };
    unsigned class = len > STATUS ? (unsigned)(head[STATUS] - '0') : 0;

    if (class < MW_STATUS_CLASSES)
        counters->responses[class]++;
}
