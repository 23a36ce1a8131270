/* allocator.h - memory for the Lua state: small blocks from slabs of their size, the rest from malloc; and a limit.
 * A message of up to 200 bytes then costs a few instructions instead of a trip through malloc and free. A slab that is empty
 * goes back to the system, so that what one script took is not kept for good.
 * The limit binds scripts only: what moonwire itself needs to tell of it is never refused. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_ALLOCATOR_H
#define MW_BIND_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

enum { MW_ALLOCATOR_STEP = 16, MW_ALLOCATOR_MAX = 256, MW_ALLOCATOR_CLASSES = MW_ALLOCATOR_MAX / MW_ALLOCATOR_STEP };

struct mw_slab;

/* A zeroed allocator is empty and has no limit. It must outlive its state. */
struct mw_allocator {
    struct mw_slab *partial[MW_ALLOCATOR_CLASSES]; /* slabs with room; the first one is taken from */
    struct mw_slab *empty;                         /* kept for whichever size needs one next */
    size_t empty_count;
    size_t slab_count; /* with those that are empty */
    size_t held;       /* bytes taken from the system */
    size_t limit;      /* of `held`; 0: none */
    bool asked;        /* the last block that was asked for was not to be had */
    bool lifted;       /* for now */
    /* Whether the limit holds now; NULL: always. */
    bool (*applies)(void *arg);
    /* A block was refused because of the limit. It must not call Lua. */
    void (*refused)(void *arg);
    void *arg;
};

/* A lua_Alloc; `ud` is the allocator. */
void *mw_allocator_realloc(void *ud, void *block, size_t old_size, size_t size);
/* When the state is closed. */
void mw_allocator_free(struct mw_allocator *allocator);

#endif
