/* server.h - listening sockets for scripts, and the connections that came through them.
 * A server is a userdata, anchored while it listens or while one of its connections is still in HTTP. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_SERVER_H
#define MW_BIND_SERVER_H

#include <lua.h>

#include "bind/task.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/wire.h"

struct mw_server {
    struct mw_runtime *runtime;
    struct mw_listener *listener; /* NULL: closed */
    struct mw_wire_vhost *vhost;  /* NULL: plain */
    struct mw_http_settings http;
    struct mw_server *next; /* runtime->servers */
    struct mw_server **link;
    size_t exchanges; /* connections in HTTP */
    bool background;  /* not the script's: looks after the process, and stays until its very end */
    int handler_ref;
    int self_ref;
};

void mw_server_open(lua_State *L);
/* core.listen(options, handler) */
int mw_server_listen(lua_State *L);
void mw_server_close(struct mw_server *server);
/* Those who look after the process (`background`) want to know how it ends. */
void mw_server_close_all(struct mw_runtime *runtime, bool background_too);
/* An HTTP connection of this server is gone. */
void mw_server_forget(struct mw_server *server);
extern const struct mw_http_events mw_exchange_events;

#endif
