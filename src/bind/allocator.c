/* allocator.c - see allocator.h. Under AddressSanitizer everything goes through malloc, so that it sees each block. */
/* SPDX-License-Identifier: MIT */
#include "bind/allocator.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define EVERY_BLOCK_FROM_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVERY_BLOCK_FROM_MALLOC 1
#endif
#endif

enum { CHUNK_SIZE = 64 * 1024 };

struct mw_allocator_chunk {
    struct mw_allocator_chunk *next;
    size_t padding; /* blocks are aligned to 16 bytes */
};

static size_t class_of(size_t size)
{
    return (size - 1) / MW_ALLOCATOR_STEP;
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

/* The rest of an old chunk becomes a free block of its own. */
static bool add_chunk(struct mw_allocator *allocator)
{
    struct mw_allocator_chunk *chunk = malloc(CHUNK_SIZE);

    if (!chunk)
        return false;
    size_t left = (size_t)(allocator->end - allocator->next);
    if (left >= MW_ALLOCATOR_STEP) {
        void **block = (void **)(void *)allocator->next;
        size_t class = class_of(left > MW_ALLOCATOR_MAX ? MW_ALLOCATOR_MAX : left);
        *block = allocator->free[class];
        allocator->free[class] = block;
    }
    chunk->next = allocator->chunks;
    allocator->chunks = chunk;
    allocator->next = (char *)(chunk + 1);
    allocator->end = (char *)chunk + CHUNK_SIZE;
    return true;
}

static void *take(struct mw_allocator *allocator, size_t size)
{
    size_t class = class_of(size), rounded = (class + 1) * MW_ALLOCATOR_STEP;
    void **block = allocator->free[class];

    if (block) {
        allocator->free[class] = *block;
        return block;
    }
    if ((size_t)(allocator->end - allocator->next) < rounded && !add_chunk(allocator))
        return NULL;
    block = (void **)(void *)allocator->next;
    allocator->next += rounded;
    return block;
}

static void give_back(struct mw_allocator *allocator, void *memory, size_t size)
{
    void **block = memory;

    *block = allocator->free[class_of(size)];
    allocator->free[class_of(size)] = block;
}

/* At least one of the two sizes is small. */
static void *move(struct mw_allocator *allocator, void *block, size_t old_size, size_t size)
{
    void *moved = is_small(size) ? take(allocator, size) : malloc(size);

    if (!moved)
        return NULL;
    memcpy(moved, block, old_size < size ? old_size : size);
    if (is_small(old_size))
        give_back(allocator, block, old_size);
    else
        free(block);
    return moved;
}

void *mw_allocator_realloc(void *ud, void *block, size_t old_size, size_t size)
{
    struct mw_allocator *allocator = ud;

    if (!block) /* `old_size` then tells the kind of object */
        return size == 0 ? NULL : is_small(size) ? take(allocator, size) : malloc(size);
    if (size == 0) {
        if (is_small(old_size))
            give_back(allocator, block, old_size);
        else
            free(block);
        return NULL;
    }
    if (!is_small(old_size) && !is_small(size))
        return realloc(block, size);
    if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size))
        return block;
    return move(allocator, block, old_size, size);
}

void mw_allocator_free(struct mw_allocator *allocator)
{
    while (allocator->chunks) {
        struct mw_allocator_chunk *chunk = allocator->chunks;
        allocator->chunks = chunk->next;
        free(chunk);
    }
}
