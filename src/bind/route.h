/* route.h - the behaviour of the WebSockets of one route: handlers and settings, shared by all its connections, so that
 * replacing them moves every live connection to new code. A route is a userdata; its WebSockets keep it alive. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_ROUTE_H
#define MW_BIND_ROUTE_H

#include <lua.h>

#include "net/connection.h"

enum mw_ws_event {
    MW_WS_OPEN,
    MW_WS_MESSAGE,
    MW_WS_DRAIN,
    MW_WS_DROPPED,
    MW_WS_PONG,
    MW_WS_CLOSE,
    MW_WS_ERROR,
    MW_WS_FAILED,
    MW_WS_UNSENT, /* no event: what `send` asks while nothing can leave */
    MW_WS_EVENTS
};

struct mw_hub_box;

/* The user value that has the behaviour's table. */
enum { MW_ROUTE_BEHAVIOUR = 2 };

struct mw_route {
    const char *type; /* first */
    struct mw_connection_settings settings;
    int handlers[MW_WS_EVENTS]; /* registry references while there are users; LUA_NOREF: none */
    unsigned users;             /* WebSockets that are anchored */
    struct mw_hub_box *hub;     /* kept alive by the route's user value; NULL: topics can't be used */
    char name[128];             /* for the log: the pattern, or a client's address */
};

/* As scripts call it. */
const char *mw_ws_event_name(enum mw_ws_event event);

/* core.route(behaviour) and core.route_update(route, behaviour) */
int mw_route_new(lua_State *L);
int mw_route_update(lua_State *L);
struct mw_route *mw_route_check(lua_State *L, int index);
/* Puts the handlers of the route at `index` where events find them, unless they are there. They are roots as long as it has
 * users only: handlers usually know their WebSocket, which knows its route, and none of them would ever be collected. */
void mw_route_bind(lua_State *L, int index, struct mw_route *route);
/* One user less. */
void mw_route_leave(lua_State *L, struct mw_route *route);
void mw_route_open(lua_State *L);

#endif
