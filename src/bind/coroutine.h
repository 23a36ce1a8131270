/* coroutine.h - coroutine.resume, wrap and close of Lua's library, with moonwire knowing which coroutine runs: a handler that
 * never ends may do so in one that it has made, and an error in one is told with its own traceback. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_COROUTINE_H
#define MW_BIND_COROUTINE_H

#include <lua.h>

/* Replaces the three functions. Raises when memory is short. */
void mw_coroutine_open(lua_State *L);

#endif
