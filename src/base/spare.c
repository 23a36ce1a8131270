/* spare.c - see spare.h. */
/* SPDX-License-Identifier: MIT */
#include "base/spare.h"

#include <malloc.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Handles and requests are below 1 KiB; a read asks for 64 KiB, and libuv's list of descriptors is as long as that for 8,000. */
enum { SMALL = 1024, SMALL_COUNT = 256, LARGE = 64 * 1024, LARGE_COUNT = 2, COUNT = SMALL_COUNT + LARGE_COUNT };

/* Not a global by choice: libuv's allocator is handed no context. Pages that are never used take no memory. */
static struct {
    alignas(16) char small[SMALL_COUNT][SMALL];
    alignas(16) char large[LARGE_COUNT][LARGE];
    atomic_bool taken[COUNT]; /* the small ones first */
} spare;

static void *take(size_t size)
{
    for (unsigned i = size > SMALL ? SMALL_COUNT : 0; size <= LARGE && i < COUNT; i++) {
        if (!atomic_exchange(&spare.taken[i], true))
            return i < SMALL_COUNT ? spare.small[i] : spare.large[i - SMALL_COUNT];
    }
    return NULL;
}

static bool is_small(const void *block)
{
    return (uintptr_t)block - (uintptr_t)spare.small < sizeof spare.small;
}

static bool is_large(const void *block)
{
    return (uintptr_t)block - (uintptr_t)spare.large < sizeof spare.large;
}

bool mw_spare_owns(const void *block)
{
    return is_small(block) || is_large(block);
}

static size_t size_of(void *block)
{
    return is_small(block) ? SMALL : is_large(block) ? LARGE : malloc_usable_size(block);
}

void *mw_spare_malloc(size_t size)
{
    void *block = malloc(size);

    if (!block)
        block = take(size);
    return block;
}

void *mw_spare_calloc(size_t count, size_t size)
{
    void *block = calloc(count, size);

    if (!block && (!size || count <= LARGE / size)) {
        block = take(count * size);
        if (block)
            memset(block, 0, count * size);
    }
    return block;
}

void *mw_spare_realloc(void *block, size_t size)
{
    bool is_spare = mw_spare_owns(block);

    if (!size) {
        mw_spare_free(block);
        return NULL;
    }
    void *moved = is_spare ? NULL : realloc(block, size);
    if (moved)
        return moved;
    moved = is_spare ? mw_spare_malloc(size) : take(size);
    if (moved && block) {
        size_t before = size_of(block);
        memcpy(moved, block, before < size ? before : size);
        mw_spare_free(block);
    }
    return moved;
}

void mw_spare_free(void *block)
{
    if (is_small(block))
        atomic_store(&spare.taken[((char *)block - spare.small[0]) / SMALL], false);
    else if (is_large(block))
        atomic_store(&spare.taken[SMALL_COUNT + ((char *)block - spare.large[0]) / LARGE], false);
    else
        free(block);
}

static void *sure(void *block, size_t size)
{
    if (!block) {
        mw_log(MW_LOG_ERROR, "not enough memory (%zu bytes), and none to spare: the process ends", size);
        _exit(1);
    }
    return block;
}

void *mw_sure_malloc(size_t size)
{
    void *block = mw_spare_malloc(size ? size : 1);

    /* Timers that scripts keep may have taken all there was to spare, and memory may be there again. */
    return sure(block ? block : malloc(size ? size : 1), size);
}

void *mw_sure_calloc(size_t count, size_t size)
{
    return sure(mw_spare_calloc(count, size), count * size);
}
