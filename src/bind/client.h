/* client.h - WebSocket and HTTP clients for scripts: core.connect and core.request. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_CLIENT_H
#define MW_BIND_CLIENT_H

#include <lua.h>

#include "net/connector.h"

/* core.connect(options, route[, ws]) -> ws */
int mw_client_connect(lua_State *L);
/* Reads host, port, path (Unix socket), proxy_host, proxy_port, tls and timeout from the table at `table`; the strings stay on the
 * stack. */
void mw_client_read_target(lua_State *L, int table, struct mw_connector_options *options);

/* core.request(options) */
int mw_client_request(lua_State *L);
void mw_client_open(lua_State *L);

#endif
