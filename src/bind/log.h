/* log.h - what scripts write into the log. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_LOG_H
#define MW_BIND_LOG_H

#include <lua.h>

/* core.log(level, text[, fields[, depth]]) */
int mw_log_lua(lua_State *L);

#endif
