/* allocator.c - see allocator.h. Under AddressSanitizer everything goes through malloc, so that it sees each block. */
/* SPDX-License-Identifier: MIT */
#include "bind/allocator.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/spare.h"

#if defined(__SANITIZE_ADDRESS__)
#define EVERY_BLOCK_FROM_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVERY_BLOCK_FROM_MALLOC 1
#endif
#endif

enum {
    SLAB_SIZE = 64 * 1024, /* and alignment: a block's address tells its slab */
    EMPTY_KEPT = 32, /* slabs at least, and half as many as are in use: collecting garbage empties and fills them */
};

/* The head of a slab; its blocks follow. */
struct mw_slab {
    struct mw_slab *next; /* of those with room, or of the empty ones */
    struct mw_slab **link;
    void **free;     /* blocks given back */
    char *untouched; /* from here on no block was ever taken */
    unsigned live;   /* blocks in use */
    unsigned class;
    bool listed; /* among those with room */
    _Alignas(MW_ALLOCATOR_STEP) char blocks[];
};

static unsigned class_of(size_t size)
{
    return (unsigned)((size - 1) / MW_ALLOCATOR_STEP);
}

static bool is_small(size_t size)
{
#ifdef EVERY_BLOCK_FROM_MALLOC
    (void)size;
    return false;
#else
    return size <= MW_ALLOCATOR_MAX;
#endif
}

/* Outside of a script an error of memory would be the end of the process: there, blocks are taken that were kept for this; not
 * when Lua asks first, as it collects all garbage and asks again. */
static void *grow_anyway(struct mw_allocator *allocator, void *block, size_t size)
{
    allocator->asked = !allocator->asked;
    if (allocator->asked || !allocator->applies || allocator->applies(allocator->arg))
        return NULL;
    return mw_spare_realloc(block, size);
}

static bool may_grow(const struct mw_allocator *allocator, size_t by)
{
    if (!allocator->limit || allocator->held + by <= allocator->limit || allocator->lifted ||
        (allocator->applies && !allocator->applies(allocator->arg)))
        return true;
    if (allocator->refused)
        allocator->refused(allocator->arg);
    return false;
}

/* ---- slabs ---- */

static void list(struct mw_allocator *allocator, struct mw_slab *slab)
{
    struct mw_slab **head = &allocator->partial[slab->class];

    slab->next = *head;
    slab->link = head;
    if (slab->next)
        slab->next->link = &slab->next;
    *head = slab;
    slab->listed = true;
}

static void unlist(struct mw_slab *slab)
{
    *slab->link = slab->next;
    if (slab->next)
        slab->next->link = slab->link;
    slab->listed = false;
}

/* The system gives pages; those around an aligned slab go back. */
static struct mw_slab *map_slab(void)
{
    char *memory = mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    if ((uintptr_t)memory % SLAB_SIZE == 0)
        return (struct mw_slab *)(void *)memory;
    munmap(memory, SLAB_SIZE);
    memory = mmap(NULL, 2 * SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)memory % SLAB_SIZE;
    if (before)
        munmap(memory, before);
    munmap(memory + before + SLAB_SIZE, SLAB_SIZE - before);
    return (struct mw_slab *)(void *)(memory + before);
}

static struct mw_slab *add_slab(struct mw_allocator *allocator, unsigned class)
{
    struct mw_slab *slab = allocator->empty;

    if (slab) {
        allocator->empty = slab->next;
        allocator->empty_count--;
    } else {
        slab = may_grow(allocator, SLAB_SIZE) ? map_slab() : NULL;
        if (!slab)
            return NULL;
        allocator->held += SLAB_SIZE;
        allocator->slab_count++;
    }
    slab->free = NULL;
    slab->untouched = slab->blocks;
    slab->live = 0;
    slab->class = class;
    list(allocator, slab);
    return slab;
}

static void release_slab(struct mw_allocator *allocator, struct mw_slab *slab)
{
    unlist(slab);
    slab->next = allocator->empty;
    allocator->empty = slab;
    allocator->empty_count++;
    size_t kept = EMPTY_KEPT + (allocator->slab_count - allocator->empty_count) / 2;
    while (allocator->empty_count > kept) {
        struct mw_slab *surplus = allocator->empty;
        allocator->empty = surplus->next;
        if (munmap(surplus, SLAB_SIZE) != 0) {
            allocator->empty = surplus;
            return;
        }
        allocator->empty_count--;
        allocator->slab_count--;
        allocator->held -= SLAB_SIZE;
    }
}

/* ---- blocks ---- */

static void *take_small(struct mw_allocator *allocator, size_t size)
{
    unsigned class = class_of(size);
    struct mw_slab *slab;

    while ((slab = allocator->partial[class])) {
        void **block = slab->free;
        if (block) {
            slab->free = *block;
            slab->live++;
            return block;
        }
        size_t rounded = (size_t)(class + 1) * MW_ALLOCATOR_STEP;
        if (slab->untouched + rounded <= (char *)slab + SLAB_SIZE) {
            block = (void **)(void *)slab->untouched;
            slab->untouched += rounded;
            slab->live++;
            return block;
        }
        unlist(slab);
    }
    return add_slab(allocator, class) ? take_small(allocator, size) : NULL;
}

static void give_back(struct mw_allocator *allocator, void *memory)
{
    struct mw_slab *slab = (struct mw_slab *)(void *)((char *)memory - (uintptr_t)memory % SLAB_SIZE);
    void **block = memory;

    *block = slab->free;
    slab->free = block;
    if (!slab->listed)
        list(allocator, slab);
    if (--slab->live == 0)
        release_slab(allocator, slab);
}

static void *take(struct mw_allocator *allocator, size_t size)
{
    if (is_small(size))
        return take_small(allocator, size);
    void *block = may_grow(allocator, size) ? malloc(size) : NULL;
    if (!block)
        block = grow_anyway(allocator, NULL, size);
    else
        allocator->asked = false;
    if (block)
        allocator->held += size;
    return block;
}

static void drop(struct mw_allocator *allocator, void *block, size_t size)
{
    if (is_small(size)) {
        give_back(allocator, block);
        return;
    }
    mw_spare_free(block);
    allocator->held -= size;
}

static void *resize_large(struct mw_allocator *allocator, void *block, size_t old_size, size_t size)
{
    if (size > old_size && !may_grow(allocator, size - old_size))
        return NULL;
    void *moved = mw_spare_owns(block) ? mw_spare_realloc(block, size) : realloc(block, size);
    if (!moved)
        moved = grow_anyway(allocator, block, size);
    else
        allocator->asked = false;
    if (moved)
        allocator->held += size - old_size;
    return moved;
}

void *mw_allocator_realloc(void *ud, void *block, size_t old_size, size_t size)
{
    struct mw_allocator *allocator = ud;

    if (!block) /* `old_size` then tells the kind of object */
        return size ? take(allocator, size) : NULL;
    if (!size) {
        drop(allocator, block, old_size);
        return NULL;
    }
    if (!is_small(old_size) && !is_small(size))
        return resize_large(allocator, block, old_size, size);
    if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size))
        return block;
    void *moved = take(allocator, size);
    if (!moved)
        return NULL;
    memcpy(moved, block, old_size < size ? old_size : size);
    drop(allocator, block, old_size);
    return moved;
}

void mw_allocator_free(struct mw_allocator *allocator)
{
    while (allocator->empty) {
        struct mw_slab *slab = allocator->empty;
        allocator->empty = slab->next;
        munmap(slab, SLAB_SIZE);
    }
}
