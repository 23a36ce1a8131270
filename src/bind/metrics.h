/* metrics.h - hands what was counted, and what can be seen now, to the Lua side, which writes it down for others.
 * Owns nothing; looks at connections only when it is asked. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_METRICS_H
#define MW_BIND_METRICS_H

#include <lua.h>

/* core.metrics() */
int mw_metrics_lua_read(lua_State *L);
/* core.time_handlers(): from now on. */
int mw_metrics_lua_time(lua_State *L);

#endif
