/* memory.c - see memory.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/memory.h"

#include <lua.h>
#include <malloc.h>

#include "base/log.h"
#include "bind/guard.h"

static const double MEBIBYTE = 1 << 20;

/* Only while a script runs: what moonwire does then, such as making the next message, is done on its behalf. */
static bool applies(void *arg)
{
    const struct mw_memory *memory = arg;
    return memory->runtime->running && memory->runtime->running->outer;
}

/* Lua collects all garbage and asks once more before it gives up; many handlers may fail in one turn. */
static void refused(void *arg)
{
    struct mw_memory *memory = arg;

    mw_engine_at_turn_end(memory->runtime->engine, &memory->turn);
}

static void clean_up(struct mw_turn_item *item)
{
    struct mw_memory *memory = (struct mw_memory *)item;

    /* Finalizers are the script's. */
    uint64_t before = mw_guard_enter(memory->runtime, true);
    lua_gc(memory->runtime->lua, LUA_GCCOLLECT);
    mw_guard_leave(memory->runtime, before);
    malloc_trim(0);
    mw_log(MW_LOG_ERROR,
           "scripts have reached the limit of %.0f MiB of memory (--memory-limit); %.1f MiB are in use now",
           (double)memory->allocator.limit / MEBIBYTE, (double)memory->allocator.held / MEBIBYTE);
}

void mw_memory_init(struct mw_memory *memory, struct mw_runtime *runtime, size_t limit)
{
    *memory = (struct mw_memory){
        .turn.run = clean_up,
        .runtime = runtime,
        .allocator = {.limit = limit, .applies = applies, .refused = refused, .arg = memory},
    };
}
