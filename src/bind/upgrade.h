/* upgrade.h - from an HTTP exchange to a WebSocket: checking the opening handshake and answering 101. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_UPGRADE_H
#define MW_BIND_UPGRADE_H

#include <lua.h>

#include "bind/server.h"

struct mw_exchange_box {
    const char *type;                  /* first */
    struct mw_http_exchange *exchange; /* NULL: over */
    struct mw_server *server;
    struct mw_waiter body;
    struct mw_waiter drain;
    enum mw_http_body_result result;
    lua_State *co; /* the task that answers; NULL: it has ended */
    int ref;       /* anchors the box while the exchange lives */
    int abort_ref;
};

struct mw_exchange_box *mw_exchange_check(lua_State *L, int index);
/* Takes the socket out of the exchange, which is over then. */
struct mw_socket *mw_exchange_take_socket(struct mw_exchange_box *box, struct mw_buffer *early);

/* Of a server's WebSocket, as it was at the opening handshake: also when the connection is gone. */
struct mw_upgrade_origin {
    char address[64];
    int port;
    char request_id[64]; /* X-Request-Id; empty: none */
};

/* False: it is a client's, or its box is not anchored any more. */
bool mw_upgrade_origin(const struct mw_ws *ws, struct mw_upgrade_origin *origin);
/* exchange:handshake() and exchange:accept(route, fields) */
int mw_upgrade_handshake(lua_State *L);
int mw_upgrade_accept(lua_State *L);

#endif
