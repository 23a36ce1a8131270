/* collector.h - how often Lua's garbage is collected.
 * A cycle marks all that lives and may start when the heap has grown to a multiple of that. With the 300 KiB of a small
 * script and a multiple of two, every 20 messages of 16 KiB would start one; a multiple that is right for it would let a heap
 * of 100 MiB grow to a gigabyte. So the heap is made to look larger by a block that is never touched (it costs address space,
 * no memory), and the multiple is two. The block is no larger than it is, because what is freed and taken again should still
 * lie in the processor's cache: 8 MiB instead of 1 made echoes of 16 KiB a fifth slower. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_COLLECTOR_H
#define MW_BIND_COLLECTOR_H

#include <lua.h>

/* Raises when memory is short. collectgarbage("count") goes on to tell what the script uses. */
void mw_collector_open(lua_State *L);

#endif
