/* load.h - the load generator for scripts: core.load. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_LOAD_H
#define MW_BIND_LOAD_H

#include <lua.h>

/* core.load(options). Nothing else happens in the process until the run is over. */
int mw_load_lua_run(lua_State *L);

#endif
