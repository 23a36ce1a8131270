/* ws.h - the WebSocket object of scripts: a box around one connection, server or client side.
 * The registry anchors it while its close event is still to come; after that it stays readable and sends nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_WS_H
#define MW_BIND_WS_H

#include <lua.h>

#include "bind/route.h"
#include "bind/task.h"
#include "hub/topics.h"
#include "net/connection.h"
#include "net/opening.h"

struct mw_ws_pending; /* an event that waits until the handler before it is done */

/* MW_WS_ORIGIN: of a server's, the opening handshake as it came (upgrade.c packs it, upgrade.lua reads it). MW_WS_FIELDS: a
 * table of what the script has asked of it; of a client's, all there is. Both may be nil. */
enum mw_ws_value { MW_WS_DATA = 1, MW_WS_FIELDS, MW_WS_ROUTE, MW_WS_ORIGIN, MW_WS_VALUES = MW_WS_ORIGIN };

/* Policy `latest`: the newest publication of a topic, kept back until the receiver has room. */
struct mw_ws_latest {
    struct mw_ws_latest *next;
    const struct mw_topic *topic; /* only compared */
    struct mw_message *message;
    uint32_t from;
    uint32_t to;
    bool compressed;
};

extern const char mw_ws_type[];

struct mw_ws {
    const char *type;                 /* first */
    struct mw_connection *connection; /* NULL: not yet, or no more */
    struct mw_runtime *runtime;
    struct mw_route *route;     /* kept alive by a user value */
    struct mw_opening *opening; /* a client that is still connecting */
    struct mw_subscriber subscriber;
    struct mw_ws *next; /* runtime->sockets */
    struct mw_ws **link;
    struct mw_ws_pending *pending; /* the last one, behind which comes the first; NULL: none */
    struct mw_ending *ending;      /* of the last connection; owned. NULL: none */
    size_t pending_bytes;
    struct mw_ws_latest *latest;
    int64_t id;
    int ref;              /* LUA_NOREF: not anchored */
    bool joined;          /* its hub counts it */
    uint8_t event;        /* enum mw_ws_event: the handler of those in order that runs, or ran last */
    bool busy;            /* a handler runs or waits: the next message queues */
    bool has_entered;     /* the last handler of all was reached */
    bool close_waits;     /* without memory to put it aside */
    uint16_t last_code;   /* of the close event */
    bool closing_by_hand; /* the script closed it: messages are not delivered any more */
};

void mw_ws_open(lua_State *L);
/* core.on_restore(fn): fn(origin, pattern, name) gives the value of a field that the opening handshake left. */
int mw_ws_on_restore(lua_State *L);
/* A new box on the stack, anchored, with the route's userdata at `route_index`. */
struct mw_ws *mw_ws_new(lua_State *L, int route_index);
struct mw_ws *mw_ws_check(lua_State *L, int index);
/* The box (again) of a client: anchored and counted until its close event. */
void mw_ws_anchor(lua_State *L, int index, struct mw_ws *ws);
/* Gives the box its connection and runs the open handler, then lets bytes in. */
void mw_ws_attach(struct mw_ws *ws, struct mw_connection *connection, const uint8_t *early, size_t len);
/* The end of a box: what anchored and counted it lets go. Otherwise that happens by itself, after its last handler. */
void mw_ws_release(struct mw_ws *ws);
/* A client that could not connect: runs the failed handler, once. */
void mw_ws_failed(struct mw_ws *ws, const char *message, const char *code);
void mw_ws_collect(struct mw_ws *ws);
extern const struct mw_connection_events mw_ws_events;
/* A publication that did not fit: runs the dropped handler. */
void mw_ws_dropped(struct mw_ws *ws, const char *data, size_t len);

#endif
