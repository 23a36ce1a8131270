/* histogram.h - how long things took: millions of times in a fixed table, each kept to within 1.6 %.
 * Log-linear: every power of two is cut into 64 steps of the same width. Owns nothing besides the table. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_LOAD_HISTOGRAM_H
#define MW_LOAD_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { MW_HISTOGRAM_STEP_BITS = 6, MW_HISTOGRAM_STEPS = 1 << MW_HISTOGRAM_STEP_BITS };

struct mw_histogram {
    uint64_t total;
    uint64_t max_ns;
    uint64_t counts[(64 - MW_HISTOGRAM_STEP_BITS + 1) * MW_HISTOGRAM_STEPS];
};

static inline void mw_histogram_record(struct mw_histogram *histogram, uint64_t ns)
{
    int shift = ns < MW_HISTOGRAM_STEPS ? 0 : 63 - MW_HISTOGRAM_STEP_BITS - __builtin_clzll(ns);

    histogram->counts[(uint64_t)shift * MW_HISTOGRAM_STEPS + (ns >> shift)]++;
    histogram->total++;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
}

void mw_histogram_clear(struct mw_histogram *histogram);
/* The time that `share` (0 to 1) of all were not above, in microseconds; 0 when there are none. */
double mw_histogram_percentile_us(const struct mw_histogram *histogram, double share);

#endif
