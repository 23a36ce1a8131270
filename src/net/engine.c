/* engine.c - see engine.h.
 * Why uv's loop lies inside ours: uv 1.44 re-registers a descriptor at every uv_poll_start, needs a handle of 160 bytes for
 * each, and an epoll set of ours inside of its own costs a second wait for every wake-up. Here a connection costs one
 * epoll_ctl in its life, and a turn in which only sockets have something to say never enters uv. */
/* SPDX-License-Identifier: MIT */
#include "net/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/admission.h"
#include "net/socket.h"

enum {
    EVENTS_PER_BATCH = 512,
    SLEPT_MS = 100, /* who stood still for so long has slept */
};

static void free_closed(struct mw_engine *engine)
{
    while (engine->closed) {
        struct mw_socket *socket = engine->closed;
        engine->closed = socket->next;
        free(socket);
    }
}

/* Before this turn's events: what asks to be called again from here on waits for the next turn. */
static void run_again(struct mw_engine *engine)
{
    struct mw_socket **last = &engine->again, *socket;

    while (*last)
        last = &(*last)->next;
    *last = engine->again_now;
    engine->again_now = engine->again;
    engine->again = NULL;
    while ((socket = engine->again_now)) {
        engine->again_now = socket->next;
        socket->queued_again = false;
        mw_socket_dispatch(socket, EPOLLIN);
    }
}

void mw_engine_end_turn(struct mw_engine *engine)
{
    engine->depth++;
    while (engine->turn_head) {
        struct mw_turn_item *item = engine->turn_head;
        engine->turn_head = item->next;
        if (!engine->turn_head)
            engine->turn_tail = &engine->turn_head;
        item->queued = false;
        item->run(item);
    }
    engine->depth--;
    /* Inside of an event's handler other events of the same batch are still to come, and may name what was closed. */
    if (!engine->depth)
        free_closed(engine);
}

static void look_at_clock(struct mw_engine *engine)
{
    uv_update_time(engine->loop);
    engine->now_ms = uv_now(engine->loop);
}

static void look_again(struct mw_engine *engine)
{
    if (!engine->looks)
        engine->looks = engine->alive / EVENTS_PER_BATCH + 1;
}

/* Where nothing was waited for: time that has gone was spent in handlers, or the process was stopped. Deadlines have passed
 * meanwhile, and what meets them lies in the sockets: those are all looked at before uv runs its timers. */
static void look_for_sleep(struct mw_engine *engine)
{
    uint64_t before = engine->now_ms;

    look_at_clock(engine);
    if (engine->now_ms - before < SLEPT_MS)
        return;
    engine->slept_from_ms = before;
    engine->slept_until_ms = engine->now_ms;
    look_again(engine);
}

/* After the sockets were looked at, and `count` of them, or -1, had something to say. A whole batch: there may be more. After
 * a long wait they are looked at again: the process may have been stopped behind the look. */
static void note_look(struct mw_engine *engine, int count)
{
    uint64_t before = engine->now_ms;

    look_at_clock(engine);
    if (engine->looks && count >= 0)
        engine->looks = count < EVENTS_PER_BATCH ? 0 : engine->looks - 1;
    else if (engine->now_ms - before >= SLEPT_MS)
        look_again(engine);
}

/* How long the sockets may be waited for, in milliseconds; -1: until one has something to say. */
static int patience(struct mw_engine *engine)
{
    look_for_sleep(engine);
    return engine->again || engine->looks ? 0 : uv_backend_timeout(engine->loop);
}

/* With thousands of connections each one's memory has left the cache since it last spoke: it is on its way while the kernel
 * works for the connections before it. */
static inline void look_ahead(const struct epoll_event *event, int left)
{
    if (left > 2 && event[2].data.ptr)
        __builtin_prefetch(event[2].data.ptr);
    if (left > 1 && event[1].data.ptr)
        mw_socket_prefetch_owner(event[1].data.ptr);
}

bool mw_engine_turn(struct mw_engine *engine, bool wait)
{
    struct epoll_event batch[EVENTS_PER_BATCH];

    mw_engine_end_turn(engine);
    engine->counters.turns++;
    bool uv_is_due = false;
    int timeout = patience(engine);
    bool had_slept = engine->looks > 0;
    int count = epoll_wait(engine->epoll_fd, batch, EVENTS_PER_BATCH, wait ? timeout : 0);
    note_look(engine, count);
    bool looked = !engine->looks;
    engine->depth++;
    run_again(engine);
    for (int i = 0; i < count; i++) {
        look_ahead(batch + i, count - i);
        if (batch[i].data.ptr)
            mw_socket_dispatch(batch[i].data.ptr, batch[i].events);
        else
            uv_is_due = true;
    }
    engine->depth--;
    mw_engine_end_turn(engine);
    /* 0 also when a handle was started, stopped or closed meanwhile. */
    if (uv_is_due || uv_backend_timeout(engine->loop) == 0) {
        look_for_sleep(engine);
        /* Once only: where each turn sleeps, timers have to run as well. */
        if (had_slept && looked)
            engine->looks = 0;
        if (!engine->looks) {
            uv_run(engine->loop, UV_RUN_NOWAIT);
            mw_engine_end_turn(engine);
        }
    }
    if (engine->on_turn)
        engine->on_turn(engine->on_turn_arg);
    return uv_loop_alive(engine->loop) && !engine->stopped;
}

/* The handle is there to be counted. */
static void on_check(uv_check_t *check)
{
    (void)check;
}

int mw_engine_init(struct mw_engine *engine, uv_loop_t *loop)
{
    *engine = (struct mw_engine){.loop = loop};
    engine->now_ms = uv_now(loop);
    engine->turn_tail = &engine->turn_head;
    engine->receive = malloc(MW_RECEIVE_BUFFER);
    engine->deflate_pool = mw_deflate_pool_new();
    engine->admissions = mw_admissions_new();
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0)
        return -errno;
    if (!engine->receive || !engine->deflate_pool || !engine->admissions)
        return -ENOMEM;
    struct epoll_event of_uv = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, uv_backend_fd(loop), &of_uv))
        return -errno;
    uv_check_init(loop, &engine->alive_handle);
    uv_check_start(&engine->alive_handle, on_check);
    uv_unref((uv_handle_t *)&engine->alive_handle);
    mw_wheel_init(&engine->wheel, loop);
    return 0;
}

void mw_engine_close(struct mw_engine *engine)
{
    mw_engine_end_turn(engine);
    uv_close((uv_handle_t *)&engine->alive_handle, NULL);
    mw_wheel_close(&engine->wheel);
}

void mw_engine_free(struct mw_engine *engine)
{
    free_closed(engine);
    mw_message_pool_free(&engine->pool);
    mw_deflate_pool_free(engine->deflate_pool);
    mw_admissions_free(engine->admissions);
    close(engine->epoll_fd);
    free(engine->receive);
}

void mw_engine_at_turn_end(struct mw_engine *engine, struct mw_turn_item *item)
{
    if (item->queued)
        return;
    item->queued = true;
    item->next = NULL;
    *engine->turn_tail = item;
    engine->turn_tail = &item->next;
}

void mw_engine_hold(struct mw_engine *engine)
{
    if (engine->alive++ == 0)
        uv_ref((uv_handle_t *)&engine->alive_handle);
}

void mw_engine_release(struct mw_engine *engine)
{
    if (--engine->alive == 0)
        uv_unref((uv_handle_t *)&engine->alive_handle);
}

void mw_engine_cancel_turn(struct mw_engine *engine, struct mw_turn_item *item)
{
    struct mw_turn_item **link = &engine->turn_head;

    if (!item->queued)
        return;
    while (*link != item)
        link = &(*link)->next;
    *link = item->next;
    if (!item->next)
        engine->turn_tail = link;
    item->queued = false;
}
