/* usage.c - see usage.h. */
/* SPDX-License-Identifier: MIT */
#include "load/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool read_clock(clockid_t clock, uint64_t *ns)
{
    struct timespec time;

    if (clock_gettime(clock, &time))
        return false;
    *ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    return true;
}

bool mw_usage_cpu_ns(pid_t pid, uint64_t *cpu_ns)
{
    clockid_t clock;

    return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 && read_clock(clock, cpu_ns);
}

uint64_t mw_usage_own_cpu_ns(void)
{
    uint64_t ns = 0;

    read_clock(CLOCK_PROCESS_CPUTIME_ID, &ns);
    return ns;
}

/* Adds up the lines of /proc/`pid`/`file` that begin with one of the names. */
static bool sum_lines(pid_t pid, const char *file, const char *const *names, uint64_t *kib)
{
    char path[64], line[256];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    *kib = 0;
    while (fgets(line, sizeof line, stream)) {
        for (size_t i = 0; names[i]; i++) {
            size_t len = strlen(names[i]);
            if (strncmp(line, names[i], len) != 0)
                continue;
            *kib += strtoull(line + len, NULL, 10);
            found = true;
        }
    }
    fclose(stream);
    return found;
}

bool mw_usage_memory_kib(pid_t pid, uint64_t *kib)
{
    static const char *const private_lines[] = {"Pss_Anon:", "Pss_Shmem:", NULL};
    static const char *const resident_lines[] = {"VmRSS:", NULL};

    return sum_lines(pid, "smaps_rollup", private_lines, kib) || sum_lines(pid, "status", resident_lines, kib);
}
