/* failing_malloc.c - a shared object for LD_PRELOAD: lets chosen calls of malloc, calloc, realloc and their kin fail, as if
 * memory had run out at just that moment. The libraries below the program are hit as well as the program.
 * FAILING_MALLOC names a file of 64 bytes, mapped by the program and by the test that steers it (struct control). Calls are
 * counted while `first` is set, so that a test chooses the moment from which on they count; without a file nothing fails.
 * With FAILING_MALLOC_TRACE set, the stack of each call that fails is written to standard error; with FAILING_MALLOC_MAIN set, only
 * those of the main thread count (a sanitizer gives up when it can't begin a thread). Not for production. */
/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
    uint64_t first;         /* the number of the first call that fails; 0: none does, and none is counted */
    uint64_t length;        /* so many fail in a row (at least one) */
    uint64_t every;         /* and again after so many more; 0: never again */
    _Atomic uint64_t calls; /* how many were counted */
    _Atomic uint64_t failed;
    uint64_t unused[3];
};

enum { EARLY_SIZE = 16 * 1024, FRAMES = 32 };

static struct {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *block, size_t size);
    int (*posix_memalign)(void **block, size_t alignment, size_t size);
    void *(*aligned_alloc)(size_t alignment, size_t size);
    void *(*memalign)(size_t alignment, size_t size);
    void (*free)(void *block);
} next;

static struct control *control;
static bool is_tracing;
static bool is_main_only;
static _Thread_local bool inside
    __attribute__((tls_model("initial-exec"))); /* what the tracer itself allocates does not count */

/* dlsym may allocate before there is anything to allocate with. */
static alignas(16) char early[EARLY_SIZE];
static size_t early_used;

static void *take_early(size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;

    if (rounded > EARLY_SIZE - early_used)
        return NULL;
    early_used += rounded;
    return early + early_used - rounded;
}

static bool is_early(const void *block)
{
    return (uintptr_t)block - (uintptr_t)early < EARLY_SIZE;
}

static void look_up(void *slot, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(slot, &found, sizeof found);
}

static void map_control(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    control = mapped == MAP_FAILED ? NULL : mapped;
}

static void look_up_all(void)
{
    inside = true;
    look_up(&next.calloc, "calloc");
    look_up(&next.realloc, "realloc");
    look_up(&next.posix_memalign, "posix_memalign");
    look_up(&next.aligned_alloc, "aligned_alloc");
    look_up(&next.memalign, "memalign");
    look_up(&next.free, "free");
    look_up(&next.malloc, "malloc");
    inside = false;
}

/* Not before: the first calls come when there is no environment yet. */
__attribute__((constructor)) static void set_up(void)
{
    void *frames[2];

    inside = true;
    is_tracing = getenv("FAILING_MALLOC_TRACE") != NULL;
    if (is_tracing)
        backtrace(frames, 2); /* loads a library when it is first called */
    is_main_only = getenv("FAILING_MALLOC_MAIN") != NULL;
    map_control(getenv("FAILING_MALLOC"));
    inside = false;
}

static void trace(uint64_t call)
{
    void *frames[FRAMES];
    char line[] = "failing_malloc: call 00000000000000000000\n";
    char *digit = line + sizeof line - 3;

    for (; call && *digit == '0'; call /= 10)
        *digit-- = (char)('0' + call % 10);
    inside = true;
    (void)!write(STDERR_FILENO, line, sizeof line - 1);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    inside = false;
}

/* Whether this call is one that has to fail. */
static bool fails(void)
{
    if (!control || !control->first || inside || (is_main_only && gettid() != getpid()))
        return false;
    uint64_t call = atomic_fetch_add(&control->calls, 1) + 1;
    if (call < control->first)
        return false;
    uint64_t behind = call - control->first;
    if (control->every)
        behind %= control->every;
    if (behind >= (control->length ? control->length : 1))
        return false;
    atomic_fetch_add(&control->failed, 1);
    if (is_tracing)
        trace(call);
    errno = ENOMEM;
    return true;
}

static bool is_ready(void)
{
    if (!next.malloc && !inside)
        look_up_all();
    return next.malloc != NULL;
}

void *malloc(size_t size)
{
    if (!is_ready())
        return take_early(size);
    return fails() ? NULL : next.malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (!is_ready())
        return take_early(count * size);
    return fails() ? NULL : next.calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    if (!is_ready() || is_early(block)) {
        void *moved = malloc(size);
        if (moved && block) {
            size_t left = (size_t)(early + EARLY_SIZE - (char *)block);
            memcpy(moved, block, size < left ? size : left);
        }
        return moved;
    }
    return size && fails() ? NULL : next.realloc(block, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    return is_ready() && !fails() ? next.posix_memalign(block, alignment, size) : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return is_ready() && !fails() ? next.aligned_alloc(alignment, size) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
    return is_ready() && !fails() ? next.memalign(alignment, size) : NULL;
}

void free(void *block)
{
    if (block && !is_early(block) && is_ready())
        next.free(block);
}
