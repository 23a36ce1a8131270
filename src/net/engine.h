/* engine.h - what all sockets of the process share: one epoll set that has uv's loop as a member, the receive buffer, the
 * timer wheel, the pool of blocks, and the end of each turn, when everything that was queued is written.
 * Owns these; borrows the loop. Never names Lua. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_ENGINE_H
#define MW_NET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/message.h"
#include "base/wheel.h"
#include "net/counters.h"
#include "net/deflate.h"

enum { MW_RECEIVE_BUFFER = 512 * 1024 };

struct mw_admissions;
struct mw_socket;
struct mw_wire;

/* Something to be done once when the turn ends: write a queue, report a close. Embedded in its owner. */
struct mw_turn_item {
    struct mw_turn_item *next;
    void (*run)(struct mw_turn_item *item);
    bool queued;
};

struct mw_engine {
    uv_loop_t *loop;
    int epoll_fd;
    uint64_t now_ms;            /* of uv's loop, when it was last looked at */
    uv_check_t alive_handle;    /* referenced while `alive` is not 0 */
    void (*on_turn)(void *arg); /* called after each turn; NULL: nothing to do */
    void *on_turn_arg;
    unsigned depth; /* not 0 while sockets' events are handled or turns ended: what they hold must not be freed */
    bool stopped;   /* whoever runs turns stops */
    size_t looks;   /* at the sockets, at most, before timers run: we slept; 0: we did not */
    uint64_t slept_from_ms; /* of the last sleep */
    uint64_t slept_until_ms;
    struct mw_counters counters;
    struct mw_wheel wheel;
    struct mw_message_pool pool;
    struct mw_deflate_pool *deflate_pool;
    struct mw_turn_item *turn_head; /* in the order they were asked for */
    struct mw_turn_item **turn_tail;
    struct mw_socket *sockets;        /* all that are open */
    struct mw_socket *again;          /* sockets with bytes that epoll cannot see */
    struct mw_socket *again_now;      /* those of them that this turn still visits */
    struct mw_socket *closed;         /* freed when the batch of events is done */
    struct mw_wire *wire;             /* libwebsockets; made when first needed */
    size_t alive;                     /* listeners, connections and attempts: they keep the loop running */
    struct mw_admissions *admissions; /* who is connected, by address */
    uint8_t *receive;                 /* MW_RECEIVE_BUFFER bytes, used by one read at a time */
};

/* 0 or a negative errno. */
int mw_engine_init(struct mw_engine *engine, uv_loop_t *loop);
/* Begins closing its uv handles; run the loop, then mw_engine_free. */
void mw_engine_close(struct mw_engine *engine);
void mw_engine_free(struct mw_engine *engine);

/* One turn: waits for sockets, timers or anything else of uv's (not at all without `wait`), lets their owners run, and writes
 * what they queued. False when nothing is left that could happen, or `stopped` is set. */
bool mw_engine_turn(struct mw_engine *engine, bool wait);

/* When something was at the latest that was noted at `then_ms`: a turn that sleeps goes on with the time of its beginning. */
static inline uint32_t mw_engine_since_ms(const struct mw_engine *engine, uint32_t then_ms)
{
    return then_ms == (uint32_t)engine->slept_from_ms ? (uint32_t)engine->slept_until_ms : then_ms;
}

/* Milliseconds of the loop: the one place where the sockets' code reads the time. */
static inline uint64_t mw_engine_now_ms(const struct mw_engine *engine)
{
    return engine->now_ms;
}

/* Runs `item` once at the end of this turn; asked again before that, it still runs once. */
void mw_engine_at_turn_end(struct mw_engine *engine, struct mw_turn_item *item);
/* For items whose owner goes away. */
void mw_engine_cancel_turn(struct mw_engine *engine, struct mw_turn_item *item);
void mw_engine_end_turn(struct mw_engine *engine);

/* Counts what must keep the process running. */
void mw_engine_hold(struct mw_engine *engine);
void mw_engine_release(struct mw_engine *engine);

#endif
