/* histogram_test.c - load/histogram.h against sorted lists of the same times. */
/* SPDX-License-Identifier: MIT */
#include "load/histogram.h"

#include <math.h>

#include "check.h"

enum { TIMES = 20000 };

static const double ERROR = 1.0 / MW_HISTOGRAM_STEPS; /* relative, never downwards */
static struct mw_histogram histogram;

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void check_times(uint64_t *times, size_t count)
{
    static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};

    mw_histogram_clear(&histogram);
    for (size_t i = 0; i < count; i++)
        mw_histogram_record(&histogram, times[i]);
    qsort(times, count, sizeof *times, compare);
    EXPECT(histogram.total == count);
    EXPECT(histogram.max_ns == times[count - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        size_t rank = (size_t)ceil(shares[i] * (double)count);
        double right_us = (double)times[rank ? rank - 1 : 0] / 1e3;
        double told_us = mw_histogram_percentile_us(&histogram, shares[i]);
        EXPECT(told_us >= right_us && told_us <= right_us * (1 + ERROR));
    }
}

static void test_spread(unsigned bits)
{
    static uint64_t times[TIMES];
    uint64_t seed = 88172645463325252u;

    check_test("times of up to %u bits", bits);
    for (size_t i = 0; i < TIMES; i++) {
        uint64_t high = check_random(&seed), low = check_random(&seed);
        times[i] = (high << 32 | low) >> (64 - bits);
    }
    check_times(times, TIMES);
}

static void test_single(uint64_t ns)
{
    check_test("%llu ns alone", (unsigned long long)ns);
    check_times(&ns, 1);
}

int main(void)
{
    check_test("no times");
    EXPECT(mw_histogram_percentile_us(&histogram, 0.5) == 0);
    for (unsigned bits = 1; bits <= 64; bits++)
        test_spread(bits);
    for (unsigned bit = 0; bit < 64; bit++) {
        test_single(((uint64_t)1 << bit) - 1);
        test_single((uint64_t)1 << bit);
    }
    test_single(UINT64_MAX);
    return check_done();
}
