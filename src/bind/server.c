/* server.c - see server.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/server.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "bind/option.h"
#include "bind/tls.h"

static const char LISTENER[] = "moonwire.listener";

enum { BACKGROUND_CONNECTIONS_MAX = 32 };

static void unanchor_if_done(struct mw_server *server)
{
    if (server->listener || server->exchanges || !server->link)
        return;
    *server->link = server->next;
    if (server->next)
        server->next->link = server->link;
    server->link = NULL;
    if (server->vhost)
        mw_wire_vhost_release(server->vhost);
    luaL_unref(server->runtime->lua, LUA_REGISTRYINDEX, server->handler_ref);
    luaL_unref(server->runtime->lua, LUA_REGISTRYINDEX, server->self_ref);
}

void mw_server_forget(struct mw_server *server)
{
    server->exchanges--;
    unanchor_if_done(server);
}

void mw_server_close(struct mw_server *server)
{
    if (!server->listener)
        return;
    mw_listener_close(server->listener);
    server->listener = NULL;
    mw_wire_retire(server->runtime->engine, server);
    if (server->vhost)
        mw_tls_server_stop(mw_wire_vhost_tls(server->vhost));
    mw_http_close_idle(server->runtime->engine, server);
    unanchor_if_done(server);
}

void mw_server_close_all(struct mw_runtime *runtime, bool background_too)
{
    struct mw_server *next;

    for (struct mw_server *server = runtime->servers; server; server = next) {
        next = server->next;
        if (background_too || !server->background)
            mw_server_close(server);
    }
}

/* A connection is ready for HTTP: plain ones at once, TLS ones when their first bytes came. */
static void serve(void *owner, struct mw_socket *socket, const void *early, size_t len)
{
    struct mw_server *server = owner;

    server->exchanges++;
    mw_http_serve(socket, &server->http, &mw_exchange_events, server, early, len);
}

static void no_events(void *owner)
{
    (void)owner;
}

static void on_accepted(void *owner, int fd, struct mw_admission *admission)
{
    static const struct mw_socket_events quiet = {.readable = no_events, .writable = no_events};
    struct mw_server *server = owner;
    struct mw_engine *engine = server->runtime->engine;

    if (server->background && server->exchanges >= BACKGROUND_CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    if (server->vhost) {
        mw_wire_accept(server->vhost, fd, admission, serve, server);
        return;
    }
    struct mw_socket *socket = mw_socket_new(engine, fd, NULL, &quiet, NULL);
    if (!socket) {
        mw_log(MW_LOG_ERROR, "not enough memory for a connection: it is closed");
        mw_admission_leave(engine, admission);
        close(fd);
        return;
    }
    socket->admission = admission;
    serve(server, socket, NULL, 0);
}

/* ---- options ---- */

static void read_http(lua_State *L, struct mw_http_settings *http)
{
    mw_http_settings_default(http);
    http->limits.head_bytes = (size_t)mw_option_integer(L, 1, "max_head_bytes", (lua_Integer)http->limits.head_bytes);
    http->limits.line_bytes = (size_t)mw_option_integer(L, 1, "max_request_line", (lua_Integer)http->limits.line_bytes);
    http->limits.header_count = (size_t)mw_option_integer(L, 1, "max_headers", (lua_Integer)http->limits.header_count);
    if (http->limits.header_count > MW_HTTP_HEADERS_MAX)
        luaL_error(L, "option 'max_headers': at most %d", MW_HTTP_HEADERS_MAX);
    http->head_timeout_ms = mw_option_ms(L, 1, "head_timeout", http->head_timeout_ms);
    http->body_timeout_ms = mw_option_ms(L, 1, "body_timeout", http->body_timeout_ms);
    http->min_body_rate = (uint32_t)mw_option_integer(L, 1, "min_body_rate", http->min_body_rate);
    http->keep_alive_timeout_ms = mw_option_ms(L, 1, "keep_alive_timeout", http->keep_alive_timeout_ms);
    http->write_timeout_ms = mw_option_ms(L, 1, "write_timeout", http->write_timeout_ms);
}

/* Strings stay on the stack. */
static void read_listener(lua_State *L, struct mw_listener_options *options)
{
    options->host = mw_option_string(L, 1, "host");
    options->path = mw_option_string(L, 1, "path");
    options->inherited_name = mw_option_string(L, 1, "inherited");
    options->inherited = mw_runtime_of(L)->inherited;
    options->port = (int)mw_option_integer(L, 1, "port", options->inherited_name ? -1 : 0);
    if (options->port > 65535)
        luaL_error(L, "option 'port': a number from 0 to 65535 expected");
    options->backlog = (int)mw_option_integer(L, 1, "backlog", 1024);
    options->reserved_descriptors = (unsigned)mw_option_integer(L, 1, "reserved_descriptors", 64);
    options->admission.total = (size_t)mw_option_integer(L, 1, "max_connections", 10000);
    options->admission.loopback_too = lua_getfield(L, 1, "max_per_address") != LUA_TNIL;
    lua_pop(L, 1);
    options->admission.per_address = (size_t)mw_option_integer(L, 1, "max_per_address", 256);
    options->admission.loopback_connects_too = lua_getfield(L, 1, "max_connects_per_address") != LUA_TNIL;
    lua_pop(L, 1);
    /* Where addresses don't count, behind a proxy on another machine, they don't count here either. */
    options->admission.connects_per_address =
        (size_t)mw_option_integer(L, 1, "max_connects_per_address", options->admission.per_address ? 256 : 0);
    options->background = mw_option_boolean(L, 1, "background", false);
}

static int refused(lua_State *L, const char *message, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, code);
    return 3;
}

static const char *code_of(const struct mw_listener_options *options, int error)
{
    if (error == ENOENT && !options->path && options->port < 0)
        return "inherited";
    return error == EADDRINUSE ? "in_use" : error == EACCES ? "denied" : "listen";
}

int mw_server_listen(lua_State *L)
{
    struct mw_runtime *runtime = mw_runtime_of(L);
    struct mw_listener_options options = {.accepted = on_accepted};
    char why[512] = "";
    int error = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct mw_server *server = lua_newuserdatauv(L, sizeof *server, 0);
    int self = lua_gettop(L);
    memset(server, 0, sizeof *server);
    server->runtime = runtime;
    luaL_setmetatable(L, LISTENER);
    read_http(L, &server->http);
    read_listener(L, &options);
    options.owner = server;
    server->background = server->http.uncounted = options.background;
    if (!mw_tls_listen(L, 1, server, why, sizeof why))
        return refused(L, why, "tls");
    /* What may raise comes before the port is open. */
    lua_pushvalue(L, 2);
    server->handler_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, self);
    server->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    server->listener = mw_listener_open(runtime->engine, &options, why, sizeof why, &error);
    if (!server->listener) {
        if (server->vhost)
            mw_wire_vhost_release(server->vhost);
        server->vhost = NULL;
        luaL_unref(L, LUA_REGISTRYINDEX, server->handler_ref);
        luaL_unref(L, LUA_REGISTRYINDEX, server->self_ref);
        return refused(L, why, code_of(&options, error));
    }
    server->next = runtime->servers;
    server->link = &runtime->servers;
    if (server->next)
        server->next->link = &server->next;
    runtime->servers = server;
    lua_pushvalue(L, self);
    return 1;
}

/* ---- methods ---- */

static int listener_close(lua_State *L)
{
    mw_server_close(luaL_checkudata(L, 1, LISTENER));
    return 0;
}

static int listener_address(lua_State *L)
{
    struct mw_server *server = luaL_checkudata(L, 1, LISTENER);
    char address[128];
    int port;

    if (!server->listener)
        return refused(L, "closed", "closed");
    mw_listener_address(server->listener, address, sizeof address, &port);
    lua_newtable(L);
    lua_pushstring(L, address);
    if (port) {
        lua_setfield(L, -2, "host");
        lua_pushinteger(L, port);
        lua_setfield(L, -2, "port");
    } else {
        lua_setfield(L, -2, "path");
    }
    return 1;
}

static int listener_reload_tls(lua_State *L)
{
    struct mw_server *server = luaL_checkudata(L, 1, LISTENER);
    char why[512];

    if (!server->listener)
        return refused(L, "closed", "closed");
    if (!server->vhost)
        return refused(L, "this listener has no TLS", "tls");
    if (!mw_tls_server_reload(mw_wire_vhost_tls(server->vhost), why, sizeof why))
        return refused(L, why, "tls");
    lua_pushboolean(L, true);
    return 1;
}

void mw_server_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"close", listener_close}, {"address", listener_address}, {"reload_tls", listener_reload_tls}, {NULL, NULL}};

    luaL_newmetatable(L, LISTENER);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
