/* jumping_clock.c - a shared object for LD_PRELOAD: the time of day jumps when a test says so; the clock that counts since the
 * machine started goes on as ever.
 * JUMPING_CLOCK names a file of 8 bytes, mapped by the program and written by the test: by how many seconds the time of day is
 * off, in the machine's own order of bytes. Not for production. */
/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *offset;

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("JUMPING_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    offset = mapped == MAP_FAILED ? NULL : mapped;
}

static time_t off_by(void)
{
    return offset ? (time_t)atomic_load(offset) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*_Atomic real)(clockid_t clock, struct timespec * now);
    int (*call)(clockid_t clock, struct timespec * now) = atomic_load(&real);

    if (!call) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&call, &found, sizeof call);
        atomic_store(&real, call);
    }
    int result = call(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += off_by();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}
