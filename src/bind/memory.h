/* memory.h - the memory of the Lua state: its allocator, its limit, and what is done when the limit is reached.
 * It binds scripts while they run; the handler that goes past it gets Lua's error "not enough memory". When the turn ends,
 * its garbage is collected and given back to the system, so that the next one finds room. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_MEMORY_H
#define MW_BIND_MEMORY_H

#include <stddef.h>

#include "bind/allocator.h"
#include "moonwire.h"
#include "net/engine.h"

struct mw_memory {
    struct mw_turn_item turn; /* first: cleaning up after a refusal */
    struct mw_allocator allocator;
    struct mw_runtime *runtime;
};

/* `limit` in bytes; 0: none. Then lua_newstate(mw_allocator_realloc, &memory->allocator). */
void mw_memory_init(struct mw_memory *memory, struct mw_runtime *runtime, size_t limit);

#endif
