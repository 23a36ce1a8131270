/* request.c - core.request: an HTTP client for the Lua side, which builds `moonwire.fetch` on it. See client.h. */
/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <string.h>

#include "bind/client.h"
#include "bind/exchange.h"
#include "bind/option.h"
#include "bind/task.h"
#include "net/http_client.h"

static const char RESPONSE[] = "moonwire.response";

/* A response; its user value is the table of its fields. */
struct box {
    struct mw_http_client *client; /* NULL: closed */
    struct mw_runtime *runtime;
    struct mw_waiter waiter;
    int ref; /* anchored while the client lives */
};

struct outcome {
    struct box *box;
    const struct mw_http_head *head;
    const uint8_t *data;
    size_t len;
    const char *message;
    const char *code;
};

static int push_error(lua_State *L, const char *message, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, code);
    return 3;
}

static void close_client(struct box *box)
{
    if (!box->client)
        return;
    mw_http_client_close(box->client);
    box->client = NULL;
    luaL_unref(box->runtime->lua, LUA_REGISTRYINDEX, box->ref);
    box->ref = LUA_NOREF;
}

/* ---- events ---- */

static int push_head(lua_State *co, void *arg)
{
    const struct outcome *outcome = arg;
    const struct mw_http_head *head = outcome->head;

    lua_rawgeti(co, LUA_REGISTRYINDEX, outcome->box->ref);
    lua_getiuservalue(co, -1, 1);
    lua_pushinteger(co, head->status);
    lua_setfield(co, -2, "status");
    lua_pushlstring(co, head->reason.at, head->reason.len);
    lua_setfield(co, -2, "reason");
    lua_pushinteger(co, head->minor);
    lua_setfield(co, -2, "minor");
    mw_headers_push(co, head);
    lua_setfield(co, -2, "headers");
    lua_pop(co, 1);
    return 1;
}

static void on_head(void *owner, const struct mw_http_head *head)
{
    struct box *box = owner;
    struct outcome outcome = {.box = box, .head = head};

    mw_waiter_wake(&box->waiter, push_head, &outcome);
}

static int push_piece(lua_State *co, void *arg)
{
    const struct outcome *outcome = arg;

    if (outcome->len)
        lua_pushlstring(co, (const char *)outcome->data, outcome->len);
    else
        lua_pushnil(co);
    return 1;
}

static void on_piece(void *owner, const uint8_t *data, size_t len)
{
    struct box *box = owner;
    struct outcome outcome = {.box = box, .data = data, .len = len};

    mw_waiter_wake(&box->waiter, push_piece, &outcome);
}

static int push_failure(lua_State *co, void *arg)
{
    const struct outcome *outcome = arg;
    return push_error(co, outcome->message, outcome->code);
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct box *box = owner;
    struct outcome outcome = {.box = box, .message = message, .code = code};

    mw_waiter_wake(&box->waiter, push_failure, &outcome);
    close_client(box);
}

/* ---- for Lua ---- */

int mw_client_request(lua_State *L)
{
    static const struct mw_http_client_events events = {.head = on_head, .piece = on_piece, .failed = on_failed};
    struct mw_connector_options options = {0};
    size_t head_len, body_len = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isyieldable(L))
        return luaL_error(L, "a request waits, and can't be made here (outside a task, or inside a C function)");
    mw_client_read_target(L, 1, &options);
    const char *method = mw_option_string(L, 1, "method");
    const char *head = mw_option_string(L, 1, "head");
    luaL_argcheck(L, head, 1, "head is expected");
    head_len = lua_rawlen(L, -1);
    const char *body = mw_option_string(L, 1, "body");
    if (body)
        body_len = lua_rawlen(L, -1);
    luaL_Buffer buffer;
    luaL_buffinitsize(L, &buffer, head_len + body_len);
    luaL_addlstring(&buffer, head, head_len);
    if (body)
        luaL_addlstring(&buffer, body, body_len);
    luaL_pushresult(&buffer);
    size_t len;
    const char *bytes = lua_tolstring(L, -1, &len);

    struct box *box = lua_newuserdatauv(L, sizeof *box, 1);
    memset(box, 0, sizeof *box);
    box->runtime = mw_runtime_of(L);
    box->ref = LUA_NOREF;
    luaL_setmetatable(L, RESPONSE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    /* What may raise comes before the request, and leaves nothing behind. */
    mw_waiter_set(&box->waiter, L);
    lua_pushvalue(L, -1);
    box->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    box->client = mw_http_client_start(box->runtime->engine, &options, bytes, len,
                                       method && strcmp(method, "HEAD") == 0, &events, box);
    if (!box->client) {
        mw_waiter_forget(&box->waiter);
        luaL_unref(L, LUA_REGISTRYINDEX, box->ref);
        return luaL_error(L, "not enough memory");
    }
    return lua_yield(L, 0);
}

static int response_read(lua_State *L)
{
    struct box *box = luaL_checkudata(L, 1, RESPONSE);

    if (!box->client)
        return push_error(L, "closed", "closed");
    mw_waiter_set(&box->waiter, L);
    mw_http_client_read(box->client);
    return lua_yield(L, 0);
}

static int response_close(lua_State *L)
{
    struct box *box = luaL_checkudata(L, 1, RESPONSE);
    struct outcome outcome = {.box = box, .message = "closed", .code = "closed"};

    close_client(box);
    mw_waiter_wake(&box->waiter, push_failure, &outcome);
    return 0;
}

static int response_index(lua_State *L)
{
    luaL_checkudata(L, 1, RESPONSE);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL) {
        lua_getiuservalue(L, 1, 1);
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
    }
    return 1;
}

static int response_collect(lua_State *L)
{
    close_client(luaL_checkudata(L, 1, RESPONSE));
    return 0;
}

void mw_client_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"read", response_read}, {"close", response_close}, {NULL, NULL}};

    luaL_newmetatable(L, RESPONSE);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, response_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, response_collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
