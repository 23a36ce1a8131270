/* topics.h - hubs for scripts, and how a publication reaches WebSockets: the one function through which each passes. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_TOPICS_H
#define MW_BIND_TOPICS_H

#include <lua.h>

#include "hub/topics.h"
#include "moonwire.h"
#include "net/engine.h"

struct mw_hub_box {
    struct mw_turn_item turn; /* first: closes the batches of the turn */
    struct mw_hub hub;
    struct mw_engine *engine;
    size_t open;       /* WebSockets that are connected */
    size_t unfinished; /* … and those whose close handler is still to run, or runs */
    int finished_ref;  /* a function for when that comes to 0; LUA_NOREF: nobody waits */
};

struct mw_ws;

/* core.topics() */
int mw_hub_new(lua_State *L);
struct mw_hub_box *mw_hub_check(lua_State *L, int index);
void mw_hub_open(lua_State *L);
/* Sends to every subscriber but `except`; returns how many took it. */
size_t mw_hub_publish(struct mw_hub_box *box, const char *topic, size_t topic_len, const char *data, size_t len,
                      bool text, const struct mw_subscriber *except);
/* Arguments at `index`: topic, data, kind (default "text"). Raises what is wrong with them; pushes the count. */
int mw_hub_publish_arguments(lua_State *L, struct mw_hub_box *box, int index, const struct mw_subscriber *except);
/* "text" or "binary" at `index`, "text" when none; raises when text is not UTF-8. */
bool mw_kind_check(lua_State *L, int index, const char *data, size_t len);
/* A WebSocket opened, its connection ended, its close handler is done. */
void mw_hub_joined(struct mw_hub_box *box);
void mw_hub_left(struct mw_hub_box *box);
void mw_hub_finished(struct mw_hub_box *box, struct mw_runtime *runtime);
/* Pushes what was kept back for a slow receiver under policy `latest`. */
void mw_hub_send_latest(struct mw_ws *ws);
/* Drops what was kept back of one topic, or of all when `topic` is NULL. */
void mw_hub_forget_latest(struct mw_ws *ws, const struct mw_topic *topic);

#endif
