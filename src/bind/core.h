/* core.h - the module `moonwire.core`: what the Lua side of moonwire builds on. Scripts use `moonwire` instead. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_CORE_H
#define MW_BIND_CORE_H

#include <lua.h>
#include <stdbool.h>

int mw_core_open(lua_State *L);
/* Calls what core.on_exit was given; true when there was something. */
bool mw_core_run_exit_handlers(lua_State *L);

#endif
