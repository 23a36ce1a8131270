/* upgrade.c - see upgrade.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/upgrade.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/ws.h"
#include "net/handshake.h"

/* The value of all Sec-WebSocket-Extensions headers, joined; on the stack. */
static const char *push_extensions(lua_State *L, const struct mw_http_head *head, size_t *len)
{
    luaL_Buffer buffer;
    bool first = true;

    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct mw_http_header *header = &head->headers[i];
        if (header->name.len != 24 || memcmp(header->name.at, "sec-websocket-extensions", 24) != 0)
            continue;
        if (!first)
            luaL_addchar(&buffer, ',');
        first = false;
        luaL_addlstring(&buffer, header->value.at, header->value.len);
    }
    luaL_pushresult(&buffer);
    return lua_tolstring(L, -1, len);
}

int mw_upgrade_handshake(lua_State *L)
{
    const struct mw_exchange_box *box = mw_exchange_check(L, 1);
    const char *why = NULL;

    if (!box->exchange)
        return luaL_error(L, "handshake: the exchange is over");
    const struct mw_http_head *head = box->exchange->head;
    int status = mw_handshake_check(head, &why);
    size_t len;
    const char *extensions = push_extensions(L, head, &len);
    if (!status && !mw_extensions_valid(extensions, len)) {
        status = 400;
        why = "Sec-WebSocket-Extensions is not a list of extensions";
    }
    if (!status) {
        struct mw_span protocol;
        size_t cursor = 0;
        lua_Integer count = 0;
        bool malformed = false;

        lua_pushboolean(L, true);
        lua_newtable(L);
        while (mw_handshake_next_protocol(head, &cursor, &protocol, &malformed)) {
            lua_pushlstring(L, protocol.at, protocol.len);
            lua_rawseti(L, -2, ++count);
        }
        if (!malformed)
            return 2;
        status = 400;
        why = "Sec-WebSocket-Protocol is not a list of tokens";
    }
    lua_pushnil(L);
    lua_pushinteger(L, status);
    lua_pushstring(L, why);
    return 3;
}

/* Pushes the 101 (RFC 6455 §4.2.2). `fields` may have a protocol and further headers, which the Lua side has checked. */
static void push_answer(lua_State *L, const struct mw_http_head *head, int fields, const char *extension)
{
    char accept[MW_WS_ACCEPT_LEN + 1];
    const struct mw_http_header *key = mw_http_find(head, "sec-websocket-key", NULL);
    luaL_Buffer buffer;

    mw_handshake_accept(key->value.at, key->value.len, accept);
    int protocol = lua_getfield(L, fields, "protocol");
    int headers = lua_getfield(L, fields, "headers");
    int at = lua_gettop(L);
    luaL_buffinit(L, &buffer);
    luaL_addstring(&buffer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: ");
    luaL_addstring(&buffer, accept);
    luaL_addstring(&buffer, "\r\n");
    if (protocol == LUA_TSTRING) {
        luaL_addstring(&buffer, "Sec-WebSocket-Protocol: ");
        lua_pushvalue(L, at - 1);
        luaL_addvalue(&buffer);
        luaL_addstring(&buffer, "\r\n");
    }
    if (extension[0]) {
        luaL_addstring(&buffer, "Sec-WebSocket-Extensions: ");
        luaL_addstring(&buffer, extension);
        luaL_addstring(&buffer, "\r\n");
    }
    luaL_pushresult(&buffer);
    /* Names and values were checked by the Lua side. */
    if (headers == LUA_TTABLE) {
        lua_pushnil(L);
        while (lua_next(L, at)) {
            lua_pushvalue(L, at + 1);
            lua_pushvalue(L, -3);
            lua_pushliteral(L, ": ");
            lua_pushvalue(L, -4);
            lua_pushliteral(L, "\r\n");
            lua_concat(L, 5);
            lua_replace(L, at + 1);
            lua_pop(L, 1);
        }
    }
    lua_pushliteral(L, "\r\n");
    lua_concat(L, 2);
}

int mw_upgrade_accept(lua_State *L)
{
    struct mw_exchange_box *box = mw_exchange_check(L, 1);
    struct mw_route *route = mw_route_check(L, 2);
    char extension[MW_DEFLATE_HEADER_MAX] = "";
    struct mw_deflate_params params = {0};
    struct mw_buffer early = {0};
    const char *why = NULL;
    char address[64];
    size_t len;
    int port;

    luaL_checktype(L, 3, LUA_TTABLE);
    if (!box->exchange) {
        lua_pushnil(L);
        lua_pushliteral(L, "closed");
        lua_pushliteral(L, "closed");
        return 3;
    }
    const struct mw_http_head *head = box->exchange->head;
    if (mw_handshake_check(head, &why))
        return luaL_error(L, "accept: %s", why);
    const char *offers = push_extensions(L, head, &len);
    if (route->settings.deflate.enabled && len)
        params.enabled = mw_deflate_negotiate(&route->settings.deflate, offers, len, &params, extension);
    push_answer(L, head, 3, params.enabled ? extension : "");
    const char *answer = lua_tolstring(L, -1, &len);

    struct mw_ws *ws = mw_ws_new(L, 2);
    lua_getfield(L, 3, "data");
    lua_setiuservalue(L, -2, MW_WS_DATA);
    struct mw_socket *socket = mw_exchange_take_socket(box, &early);
    mw_socket_peer(socket, address, sizeof address, &port);
    lua_pushstring(L, address);
    lua_setfield(L, 3, "remote_address");
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, MW_WS_FIELDS);
    struct mw_connection *connection =
        mw_connection_new(socket, false, &route->settings, params.enabled ? &params : NULL, &mw_ws_events, ws);
    if (!connection) {
        mw_buffer_free(&early);
        mw_ws_failed(ws, "not enough memory", "memory");
        return luaL_error(L, "not enough memory");
    }
    mw_connection_preface(connection, answer, len);
    mw_ws_attach(ws, connection, early.data, early.len);
    mw_buffer_free(&early);
    return 1;
}
