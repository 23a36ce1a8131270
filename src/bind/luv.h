/* luv.h - luv as a part of moonwire: on our loop, its callbacks as tasks. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_LUV_H
#define MW_BIND_LUV_H

#include <lua.h>
#include <uv.h>

/* Makes `require "luv"` work; raises on failure. */
void mw_luv_open(lua_State *L, uv_loop_t *loop);
/* Begins closing every handle that the script left open. Run the loop before lua_close: luv's callbacks need the state. */
void mw_luv_close_handles(lua_State *L);

#endif
