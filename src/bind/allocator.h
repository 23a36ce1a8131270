/* allocator.h - memory for the Lua state: small blocks from free lists, the rest from malloc. A message of up to 200 bytes
 * then costs a few instructions instead of a trip through malloc and free. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_ALLOCATOR_H
#define MW_BIND_ALLOCATOR_H

#include <stddef.h>

enum { MW_ALLOCATOR_STEP = 16, MW_ALLOCATOR_MAX = 256 };

struct mw_allocator_chunk;

/* A zeroed allocator is empty. It must outlive its state. */
struct mw_allocator {
    void *free[MW_ALLOCATOR_MAX / MW_ALLOCATOR_STEP];
    struct mw_allocator_chunk *chunks;
    char *next; /* unused part of the newest chunk */
    char *end;
};

/* A lua_Alloc; `ud` is the allocator. */
void *mw_allocator_realloc(void *ud, void *block, size_t old_size, size_t size);
void mw_allocator_free(struct mw_allocator *allocator);

#endif
