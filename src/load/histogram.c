/* histogram.c - see histogram.h. */
/* SPDX-License-Identifier: MIT */
#include "load/histogram.h"

#include <math.h>
#include <string.h>

void mw_histogram_clear(struct mw_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

/* The longest time that is counted at `index`. */
static uint64_t longest_at(size_t index)
{
    if (index < 2 * (size_t)MW_HISTOGRAM_STEPS)
        return index;
    size_t shift = index / MW_HISTOGRAM_STEPS - 1;
    uint64_t step = index - shift * MW_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

double mw_histogram_percentile_us(const struct mw_histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->total);
    uint64_t seen = 0;

    for (size_t i = 0; i < sizeof histogram->counts / sizeof *histogram->counts; i++) {
        seen += histogram->counts[i];
        if (seen && seen >= wanted) {
            uint64_t ns = longest_at(i);
            return (double)(ns < histogram->max_ns ? ns : histogram->max_ns) / 1e3;
        }
    }
    return 0;
}
