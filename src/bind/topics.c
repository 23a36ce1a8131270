/* topics.c - see topics.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/topics.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/ws.h"
#include "net/frame.h"

static const char HUB[] = "moonwire.hub";

enum { FULL_WINDOW_BITS = 15 };

/* One publication on its way to the subscribers of a topic; framed, and compressed, when first needed. */
struct publication {
    struct mw_hub_box *box;
    struct mw_topic *topic;
    const char *data;
    size_t len;
    bool text;
    struct {
        struct mw_message *message;
        uint32_t from;
        uint32_t to;
    } framed[2];
};

static struct mw_ws *ws_of(struct mw_subscriber *subscriber)
{
    return (struct mw_ws *)(void *)((char *)subscriber - offsetof(struct mw_ws, subscriber));
}

static bool frame(struct publication *publication, bool compressed, const void *payload, size_t len)
{
    uint8_t header[MW_FRAME_HEADER_MAX];
    size_t header_len =
        mw_frame_write(header, publication->text ? MW_OPCODE_TEXT : MW_OPCODE_BINARY, true, compressed, len, NULL);
    struct mw_hub_box *box = publication->box;
    uint32_t from;
    struct mw_message *message = mw_hub_batch(&box->hub, publication->topic, compressed, &box->engine->pool, header,
                                              header_len, payload, len, &from);

    if (!message)
        return false;
    publication->framed[compressed].message = mw_message_ref(message);
    publication->framed[compressed].from = from;
    publication->framed[compressed].to = message->len;
    mw_engine_at_turn_end(box->engine, &box->turn);
    return true;
}

static bool prepare(struct publication *publication, const struct mw_connection *connection, bool compressed)
{
    if (publication->framed[compressed].message)
        return true;
    if (!compressed)
        return frame(publication, false, publication->data, publication->len);
    struct mw_buffer packed = {0};
    const struct mw_deflate_options *options = &connection->settings->deflate;
    bool ok = mw_deflate_once(publication->box->engine->deflate_pool, options->level, options->memory, FULL_WINDOW_BITS,
                              publication->data, publication->len, &packed) == MW_DEFLATE_OK &&
              frame(publication, true, packed.data, packed.len);
    mw_buffer_free(&packed);
    return ok;
}

/* Keeps only the newest publication of this topic for a receiver that is behind; topics in the order they fell behind. */
static void keep_latest(struct mw_ws *ws, const struct publication *publication, bool compressed)
{
    struct mw_ws_latest **link = &ws->latest, *latest;

    while (*link && (*link)->topic != publication->topic)
        link = &(*link)->next;
    latest = *link;
    if (latest) {
        mw_message_unref(latest->message);
    } else {
        latest = malloc(sizeof *latest);
        if (!latest) {
            mw_connection_fail(ws->connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
            return;
        }
        latest->topic = publication->topic;
        latest->next = NULL;
        *link = latest;
    }
    latest->message = mw_message_ref(publication->framed[compressed].message);
    latest->from = publication->framed[compressed].from;
    latest->to = publication->framed[compressed].to;
    latest->compressed = compressed;
    ws->connection->want_drain = true;
}

void mw_hub_forget_latest(struct mw_ws *ws, const struct mw_topic *topic)
{
    struct mw_ws_latest **link = &ws->latest;

    while (*link) {
        struct mw_ws_latest *latest = *link;
        if (topic && latest->topic != topic) {
            link = &latest->next;
            continue;
        }
        *link = latest->next;
        mw_message_unref(latest->message);
        free(latest);
    }
}

void mw_hub_send_latest(struct mw_ws *ws)
{
    while (ws->latest && ws->connection) {
        struct mw_ws_latest *latest = ws->latest;
        if (mw_connection_share(ws->connection, latest->message, latest->from, latest->to, latest->compressed) ==
            MW_SEND_FULL) {
            /* More topics than fit at once: the rest waits for the next drain. */
            ws->connection->want_drain = true;
            return;
        }
        ws->latest = latest->next;
        mw_message_unref(latest->message);
        free(latest);
    }
}

static enum mw_send_result send_now(struct publication *publication, struct mw_connection *connection, bool compressed,
                                    bool by_itself)
{
    if (by_itself)
        return mw_connection_send(connection, publication->data, publication->len, publication->text);
    return mw_connection_share(connection, publication->framed[compressed].message,
                               publication->framed[compressed].from, publication->framed[compressed].to, compressed);
}

static bool deliver(struct publication *publication, struct mw_ws *ws)
{
    struct mw_connection *connection = ws->connection;

    if (!connection || connection->state != MW_OPEN)
        return false;
    bool compressed = connection->deflate && publication->len >= connection->settings->deflate.min_bytes;
    bool latest = connection->settings->slow == MW_SLOW_LATEST;
    /* A receiver with a smaller window can't read what was compressed for all. What is kept for it goes plain. */
    bool by_itself = compressed && mw_deflate_send_window(connection->deflate) < FULL_WINDOW_BITS;
    compressed = compressed && !by_itself;
    if ((!by_itself || latest) && !prepare(publication, connection, compressed)) {
        /* It would not know that it has missed something. The next receiver tries again. */
        mw_connection_fail(connection, MW_ENDING_OUT_OF_MEMORY, "out of memory");
        return false;
    }
    if (latest && (connection->choked || ws->latest)) {
        keep_latest(ws, publication, compressed);
        return true;
    }
    switch (send_now(publication, connection, compressed, by_itself)) {
    case MW_SEND_QUEUED:
    case MW_SEND_BACKPRESSURE:
        return true;
    case MW_SEND_FULL:
        if (latest) {
            keep_latest(ws, publication, compressed);
            return true;
        }
        mw_ws_dropped(ws, publication->data, publication->len);
        return false;
    case MW_SEND_CLOSED:
        break;
    }
    return false;
}

size_t mw_hub_publish(struct mw_hub_box *box, const char *topic_name, size_t topic_len, const char *data, size_t len,
                      bool text, const struct mw_subscriber *except)
{
    struct mw_topic *topic = mw_hub_find(&box->hub, topic_name, topic_len);
    struct publication publication = {.box = box, .topic = topic, .data = data, .len = len, .text = text};
    size_t count = 0;

    if (!topic)
        return 0;
    /* A `dropped` handler may change who listens: the index is compared with the count of the moment, and the topic itself
     * is looked up again behind each such call. */
    for (uint32_t i = 0; topic && i < topic->count; i++) {
        struct mw_subscriber *subscriber = topic->members[i].subscriber;
        if (subscriber == except)
            continue;
        if (deliver(&publication, ws_of(subscriber)))
            count++;
        else
            topic = mw_hub_find(&box->hub, topic_name, topic_len);
    }
    for (int i = 0; i < 2; i++)
        if (publication.framed[i].message)
            mw_message_unref(publication.framed[i].message);
    return count;
}

int mw_hub_publish_arguments(lua_State *L, struct mw_hub_box *box, int index, const struct mw_subscriber *except)
{
    size_t topic_len, len;
    const char *topic = luaL_checklstring(L, index, &topic_len);
    const char *data = luaL_checklstring(L, index + 1, &len);
    bool text = mw_kind_check(L, index + 2, data, len);

    box->engine->counters.publications++;
    lua_pushinteger(L, (lua_Integer)mw_hub_publish(box, topic, topic_len, data, len, text, except));
    return 1;
}

/* ---- who is there ---- */

void mw_hub_joined(struct mw_hub_box *box)
{
    box->open++;
    box->unfinished++;
}

void mw_hub_left(struct mw_hub_box *box)
{
    box->open--;
}

static int enter_finished(lua_State *L)
{
    struct mw_hub_box *box = lua_touserdata(L, 1);

    lua_rawgeti(L, LUA_REGISTRYINDEX, box->finished_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, box->finished_ref);
    box->finished_ref = LUA_NOREF;
    return mw_task_invoke(L, 0);
}

void mw_hub_finished(struct mw_hub_box *box, struct mw_runtime *runtime)
{
    if (--box->unfinished == 0 && box->finished_ref != LUA_NOREF)
        mw_task_call(runtime, enter_finished, box, NULL, NULL);
}

/* ---- the Lua face ---- */

struct mw_hub_box *mw_hub_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, HUB);
}

static void end_turn(struct mw_turn_item *item)
{
    mw_hub_end_turn(&((struct mw_hub_box *)item)->hub);
}

int mw_hub_new(lua_State *L)
{
    struct mw_hub_box *box = lua_newuserdatauv(L, sizeof *box, 0);

    memset(box, 0, sizeof *box);
    box->engine = mw_runtime_of(L)->engine;
    box->turn.run = end_turn;
    box->finished_ref = LUA_NOREF;
    luaL_setmetatable(L, HUB);
    return 1;
}

static int hub_publish(lua_State *L)
{
    return mw_hub_publish_arguments(L, mw_hub_check(L, 1), 2, NULL);
}

static int hub_count(lua_State *L)
{
    const struct mw_hub_box *box = mw_hub_check(L, 1);
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    const struct mw_topic *topic = mw_hub_find(&box->hub, name, len);

    lua_pushinteger(L, topic ? topic->count : 0);
    return 1;
}

/* name -> how many listen */
static int hub_list(lua_State *L)
{
    const struct mw_hub_box *box = mw_hub_check(L, 1);

    lua_createtable(L, 0, (int)box->hub.count);
    for (uint32_t i = 0; i < box->hub.bucket_count; i++)
        for (const struct mw_topic *topic = box->hub.buckets[i]; topic; topic = topic->next) {
            lua_pushlstring(L, topic->name, topic->name_len);
            lua_pushinteger(L, topic->count);
            lua_rawset(L, -3);
        }
    return 1;
}

/* How many WebSockets are connected. */
static int hub_open(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mw_hub_check(L, 1)->open);
    return 1;
}

static int hub_unfinished(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mw_hub_check(L, 1)->unfinished);
    return 1;
}

/* Once, when the last close handler is done. */
static int hub_when_finished(lua_State *L)
{
    struct mw_hub_box *box = mw_hub_check(L, 1);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    luaL_unref(L, LUA_REGISTRYINDEX, box->finished_ref);
    box->finished_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* All that are connected. */
static int hub_sockets(lua_State *L)
{
    const struct mw_hub_box *box = mw_hub_check(L, 1);
    lua_Integer count = 0;

    lua_createtable(L, (int)box->open, 0);
    for (const struct mw_ws *ws = mw_runtime_of(L)->sockets; ws; ws = ws->next) {
        if (ws->route->hub != box || !ws->connection)
            continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, ws->ref);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static int hub_collect(lua_State *L)
{
    struct mw_hub_box *box = mw_hub_check(L, 1);

    luaL_unref(L, LUA_REGISTRYINDEX, box->finished_ref);
    mw_engine_cancel_turn(box->engine, &box->turn);
    mw_hub_free(&box->hub);
    return 0;
}

void mw_hub_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"publish", hub_publish},
        {"count", hub_count},
        {"list", hub_list},
        {"open", hub_open},
        {"unfinished", hub_unfinished},
        {"when_finished", hub_when_finished},
        {"sockets", hub_sockets},
        {NULL, NULL},
    };

    luaL_newmetatable(L, HUB);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, hub_collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
