/* client.c - see client.h: WebSocket clients. request.c has HTTP. */
/* SPDX-License-Identifier: MIT */
#include "bind/client.h"

#include <lauxlib.h>

#include "bind/exchange.h"
#include "bind/option.h"
#include "bind/ws.h"
#include "net/opening.h"

void mw_client_read_target(lua_State *L, int table, struct mw_connector_options *options)
{
    options->host = mw_option_string(L, table, "host");
    options->path = mw_option_string(L, table, "path");
    options->port = (int)mw_option_integer(L, table, "port", 0);
    options->proxy_host = mw_option_string(L, table, "proxy_host");
    options->proxy_port = (int)mw_option_integer(L, table, "proxy_port", 0);
    options->timeout_ms = mw_option_ms(L, table, "timeout", 10000);
    if (!options->host)
        luaL_error(L, "option 'host' is missing");
    int type = lua_getfield(L, table, "tls");
    options->tls = lua_toboolean(L, -1);
    options->tls_verify = true;
    if (type == LUA_TTABLE) {
        int at = lua_gettop(L);
        options->tls_verify = mw_option_boolean(L, at, "verify", true);
        options->tls_ca = mw_option_string(L, at, "ca");
        options->server_name = mw_option_string(L, at, "server_name");
    }
}

/* What the opened callback puts into the box; runs under protection. */
static int enter_fields(lua_State *L)
{
    struct mw_ws *ws = lua_touserdata(L, 1);
    const struct mw_opening_answer *answer = lua_touserdata(L, 2);
    const struct mw_socket *socket = lua_touserdata(L, 3);
    char address[64];
    int port;

    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->ref);
    lua_getiuservalue(L, -1, MW_WS_FIELDS);
    if (answer->protocol.len)
        lua_pushlstring(L, answer->protocol.at, answer->protocol.len);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "protocol");
    mw_headers_push(L, answer->head);
    lua_setfield(L, -2, "response_headers");
    mw_socket_peer(socket, address, sizeof address, &port);
    lua_pushstring(L, address);
    lua_setfield(L, -2, "remote_address");
    return 0;
}

static void on_opened(void *owner, struct mw_socket *socket, const struct mw_opening_answer *answer)
{
    struct mw_ws *ws = owner;
    lua_State *L = ws->runtime->lua;

    lua_pushcfunction(L, enter_fields);
    lua_pushlightuserdata(L, ws);
    lua_pushlightuserdata(L, (void *)answer);
    lua_pushlightuserdata(L, socket);
    bool ok = lua_pcall(L, 3, 0, 0) == LUA_OK;
    if (!ok)
        lua_pop(L, 1);
    struct mw_connection *connection =
        ok ? mw_connection_new(socket, true, &ws->route->settings, answer->deflate.enabled ? &answer->deflate : NULL,
                               &mw_ws_events, ws)
           : NULL;
    ws->opening = NULL;
    if (connection) {
        mw_ws_attach(ws, connection, answer->early, answer->early_len);
        return;
    }
    if (!ok)
        mw_socket_close(socket);
    mw_ws_failed(ws, "not enough memory", "memory");
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct mw_ws *ws = owner;

    ws->opening = NULL;
    mw_ws_failed(ws, message, code);
}

int mw_client_connect(lua_State *L)
{
    static const struct mw_opening_events events = {.opened = on_opened, .failed = on_failed};
    struct mw_opening_options options = {0};
    struct mw_ws *ws;

    luaL_checktype(L, 1, LUA_TTABLE);
    struct mw_route *route = mw_route_check(L, 2);
    lua_settop(L, 3);
    mw_client_read_target(L, 1, &options.connect);
    options.host_header = mw_option_string(L, 1, "host_header");
    options.target = mw_option_string(L, 1, "target");
    options.protocols = mw_option_string(L, 1, "protocols");
    options.headers = mw_option_string(L, 1, "headers");
    options.deflate = &route->settings.deflate;
    luaL_argcheck(L, options.host_header && options.target, 1, "host_header and target are expected");
    if (lua_isnil(L, 3)) {
        lua_newtable(L); /* may raise: before the box is anchored */
        ws = mw_ws_new(L, 2);
        lua_insert(L, -2);
        lua_setiuservalue(L, -2, MW_WS_FIELDS);
    } else {
        ws = mw_ws_check(L, 3);
        luaL_argcheck(L, ws->ref == LUA_NOREF, 3, "this WebSocket is still connected");
        mw_ws_anchor(L, 3, ws);
        lua_pushvalue(L, 3);
    }
    ws->opening = mw_opening_start(mw_runtime_of(L)->engine, &options, &events, ws);
    if (!ws->opening) {
        mw_ws_release(ws);
        return luaL_error(L, "not enough memory");
    }
    return 1;
}
