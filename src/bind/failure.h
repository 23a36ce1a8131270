/* failure.h - an error in a script: what it was, through which functions it came, and whose handler failed. It is told in the log
 * and, where the script wants to hear of it, to a function of the script's. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_FAILURE_H
#define MW_BIND_FAILURE_H

#include <lua.h>
#include <stdint.h>

#include "moonwire.h"

/* Whose handler. What is NULL or 0 is not known, or makes no sense. */
struct mw_failure {
    const char *kind;       /* "websocket", "client", "http", "upgrade", "task", "timer", "callback" … */
    const char *route;      /* its pattern, or a client's address */
    const char *event;      /* or the method of a request */
    int64_t id;             /* of the WebSocket */
    const char *address;    /* of the peer */
    int port;               /* of the peer */
    const char *path;       /* of a request */
    const char *request_id; /* as a proxy or the client gave it */
};

/* Writes it to the log. `failure` NULL: it is the script itself. */
void mw_failure_log(const struct mw_failure *failure, const char *error);
/* The same for what is nobody's connection: the exit code will be 1, and the script's hook is called. */
void mw_failure_of_task(struct mw_runtime *runtime, const char *kind, const char *error);
/* Leaves one value on L's stack, never raises: the error on top of `co`, which failed, with its traceback. */
const char *mw_failure_describe(lua_State *L, lua_State *co);
/* core.fail(error, kind[, route[, event[, id[, address[, port[, request_id[, path]]]]]]]) */
int mw_failure_lua_log(lua_State *L);
/* core.on_error(fn): fn(error, kind) hears of mw_failure_of_task; nil: nobody. */
int mw_failure_lua_on_error(lua_State *L);
/* core.traceback(error): for xpcall. */
int mw_failure_lua_traceback(lua_State *L);

#endif
