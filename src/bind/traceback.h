/* traceback.h - where a script stands or failed, through all of the coroutines that it has resumed. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_TRACEBACK_H
#define MW_BIND_TRACEBACK_H

#include <lua.h>

#include "moonwire.h"

/* Of all that runs now, the innermost first. Leaves one value on the main state's stack. Raises nothing. */
const char *mw_traceback_of_running(struct mw_runtime *runtime);

/* Pushes, as a string, where `co` has failed, from `level` on. The error is on top of its stack: if that came out of another
 * coroutine, it is told where there. May raise (memory). */
void mw_traceback_push(lua_State *L, lua_State *co, int level);
/* For an error that passes from one coroutine to the one that resumed it, where nobody can see the first one's stack any more:
 * removes the traceback at `text` and keeps it for the error on top of the stack, which is raised in the other. */
void mw_traceback_keep(lua_State *L, int text);

#endif
