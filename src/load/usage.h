/* usage.h - what processes use: CPU time and memory, of this one and of others. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_LOAD_USAGE_H
#define MW_LOAD_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of all threads of a process, to the nanosecond; false when there is no such process. */
bool mw_usage_cpu_ns(pid_t pid, uint64_t *cpu_ns);
/* CPU time of this process. */
uint64_t mw_usage_own_cpu_ns(void);
/* Private memory of a process: anonymous and shared pages, the latter by their share (smaps_rollup); where that can't
 * be read, all that is resident. False when neither can be read. */
bool mw_usage_memory_kib(pid_t pid, uint64_t *kib);

#endif
