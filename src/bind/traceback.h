/* traceback.h - where a script stands or failed, through all of the coroutines that it has resumed. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_TRACEBACK_H
#define MW_BIND_TRACEBACK_H

#include <lua.h>

#include "moonwire.h"

/* The error on top of the failed coroutine's stack, with a traceback. Leaves one value on L's stack, which holds the text.
 * Raises nothing. */
const char *mw_traceback_of_failed(lua_State *L, lua_State *co);
/* Of all that runs now, the innermost first. Leaves one value on the main state's stack. Raises nothing. */
const char *mw_traceback_of_running(struct mw_runtime *runtime);

/* For an error that passes from one coroutine to the one that resumed it, where nobody can see the first one's stack any
 * more. Pushes the traceback of `co`, whose error is on top of its stack, as a string. */
void mw_traceback_push(lua_State *L, lua_State *co);
/* Pops that string and keeps it for the error that is on top of the stack then: what is raised in the other coroutine. */
void mw_traceback_keep(lua_State *L, int text);

#endif
