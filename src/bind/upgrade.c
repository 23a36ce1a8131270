/* upgrade.c - see upgrade.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/upgrade.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bind/tls.h"
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
        lua_pushnil(L);
        while (mw_handshake_next_protocol(head, &cursor, &protocol, &malformed)) {
            if (!count) {
                lua_newtable(L);
                lua_replace(L, -2);
            }
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

static bool add(struct mw_buffer *out, const char *text)
{
    return mw_buffer_append(out, text, strlen(text));
}

static bool add_header(struct mw_buffer *out, const char *name, const char *value)
{
    return add(out, name) && add(out, ": ") && add(out, value) && add(out, "\r\n");
}

/* The 101 (RFC 6455 §4.2.2). The Lua side has checked the protocol and the further headers, which may be nil: they are strings
 * without a NUL. */
static bool write_answer(lua_State *L, struct mw_buffer *out, const char *accept, int protocol, int headers,
                         const char *extension)
{
    bool ok = add(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n") &&
              add_header(out, "Sec-WebSocket-Accept", accept);

    if (lua_isstring(L, protocol))
        ok = ok && add_header(out, "Sec-WebSocket-Protocol", lua_tostring(L, protocol));
    if (extension[0])
        ok = ok && add_header(out, "Sec-WebSocket-Extensions", extension);
    if (lua_istable(L, headers)) {
        lua_pushnil(L);
        while (lua_next(L, headers)) {
            ok = ok && add_header(out, lua_tostring(L, -2), lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    }
    return ok && add(out, "\r\n");
}

/* Pushes what is left of the request, packed as `string.unpack("<s2s1I2B", …)` reads it: the protocol, the peer's address and
 * port, whether it came over TLS (2: with a client certificate, which follows as "<s4"), and the head itself. */
static void push_origin(lua_State *L, const struct mw_http_exchange *exchange, int protocol)
{
    luaL_Buffer buffer;
    char address[64];
    int port;
    size_t len;
    const char *name = luaL_optlstring(L, protocol, "", &len);

    mw_socket_peer(exchange->socket, address, sizeof address, &port);
    size_t address_len = strlen(address);
    luaL_buffinit(L, &buffer);
    luaL_addchar(&buffer, (char)(len & 0xff));
    luaL_addchar(&buffer, (char)(len >> 8));
    luaL_addlstring(&buffer, name, len);
    luaL_addchar(&buffer, (char)address_len);
    luaL_addlstring(&buffer, address, address_len);
    luaL_addchar(&buffer, (char)(port & 0xff));
    luaL_addchar(&buffer, (char)(port >> 8));
    const X509 *certificate = mw_tls_server_client(exchange->socket->ssl);
    luaL_addchar(&buffer, certificate ? 2 : exchange->socket->ssl != NULL);
    if (certificate)
        mw_tls_add_certificate(&buffer, certificate);
    luaL_addlstring(&buffer, (const char *)exchange->in.data, exchange->in.len);
    luaL_pushresult(&buffer);
}

static void read_request_id(const char *head, char out[64])
{
    static const char name[] = "\nx-request-id:";
    const char *at = strcasestr(head, name);

    if (at) {
        at += sizeof name - 1;
        at += strspn(at, " \t");
        snprintf(out, 64, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
}

/* What push_origin has packed. */
bool mw_upgrade_origin(const struct mw_ws *ws, struct mw_upgrade_origin *origin)
{
    lua_State *L = ws->runtime->lua;
    const uint8_t *at = NULL;

    if (ws->ref == LUA_NOREF)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ws->ref);
    if (lua_getiuservalue(L, -1, MW_WS_ORIGIN) == LUA_TSTRING)
        at = (const uint8_t *)lua_tostring(L, -1);
    if (at) {
        *origin = (struct mw_upgrade_origin){.port = 0};
        at += 2 + (at[0] | at[1] << 8);
        size_t len = *at++;
        snprintf(origin->address, sizeof origin->address, "%.*s", (int)len, (const char *)at);
        origin->port = at[len] | at[len + 1] << 8;
        read_request_id((const char *)at + len + 3, origin->request_id);
    }
    lua_pop(L, 2);
    return at != NULL;
}

int mw_upgrade_accept(lua_State *L)
{
    enum { ROUTE = 2, DATA, PROTOCOL, HEADERS };
    struct mw_exchange_box *box = mw_exchange_check(L, 1);
    struct mw_route *route = mw_route_check(L, ROUTE);
    char extension[MW_DEFLATE_HEADER_MAX] = "";
    struct mw_deflate_params params = {0};
    struct mw_buffer early = {0}, answer = {0};
    char accept[MW_WS_ACCEPT_LEN + 1];
    const char *why = NULL;
    size_t len;

    lua_settop(L, HEADERS);
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
    const struct mw_http_header *key = mw_http_find(head, "sec-websocket-key", NULL);
    if (!mw_handshake_accept(key->value.at, key->value.len, accept))
        return luaL_error(L, "not enough memory");

    /* What may raise comes before the box: that is anchored, and has to be ended by hand. */
    push_origin(L, box->exchange, PROTOCOL);
    struct mw_ws *ws = mw_ws_new(L, ROUTE);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, MW_WS_ORIGIN);
    if (lua_isnil(L, DATA))
        lua_pushlightuserdata(L, NULL); /* a table, when somebody asks for it */
    else
        lua_pushvalue(L, DATA);
    lua_setiuservalue(L, -2, MW_WS_DATA);
    if (!write_answer(L, &answer, accept, PROTOCOL, HEADERS, params.enabled ? extension : "")) {
        mw_buffer_free(&answer);
        mw_ws_release(ws);
        return luaL_error(L, "not enough memory");
    }
    struct mw_socket *socket = mw_exchange_take_socket(box, &early);
    struct mw_connection *connection =
        mw_connection_new(socket, false, &route->settings, params.enabled ? &params : NULL, &mw_ws_events, ws);
    if (!connection) {
        mw_buffer_free(&early);
        mw_buffer_free(&answer);
        mw_ws_release(ws);
        return luaL_error(L, "not enough memory");
    }
    mw_connection_preface(connection, answer.data, answer.len);
    mw_buffer_free(&answer);
    mw_ws_attach(ws, connection, early.data, early.len);
    mw_buffer_free(&early);
    return 1;
}
