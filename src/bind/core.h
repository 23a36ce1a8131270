/* core.h - the module `moonwire.core`: what the Lua side of moonwire builds on. Scripts use `moonwire` instead. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_CORE_H
#define MW_BIND_CORE_H

#include <lua.h>
#include <stdbool.h>

#include "moonwire.h"

int mw_core_open(lua_State *L);
/* Calls what core.on_exit was given, with the seconds that all of it may take. */
void mw_core_run_exit_handlers(lua_State *L, double seconds);
/* Calls what core.on_stop was given; runtime->stop_handlers counts those that wait. */
void mw_core_run_stop_handlers(struct mw_runtime *runtime);
bool mw_core_has_stop_handlers(struct mw_runtime *runtime);

#endif
