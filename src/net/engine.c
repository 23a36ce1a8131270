/* engine.c - see engine.h.
 * Why an epoll set of our own inside uv's: libuv 1.44 re-registers a descriptor at every uv_poll_start and needs a handle of
 * 160 bytes for each; here a connection costs one epoll_ctl in its life. */
/* SPDX-License-Identifier: MIT */
#include "net/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/admission.h"
#include "net/socket.h"

enum { EVENTS_PER_BATCH = 512 };

static void free_closed(struct mw_engine *engine)
{
    while (engine->closed) {
        struct mw_socket *socket = engine->closed;
        engine->closed = socket->next;
        free(socket);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mw_engine *engine = poll->data;
    struct epoll_event batch[EVENTS_PER_BATCH];

    (void)status;
    (void)events;
    int count = epoll_wait(engine->epoll_fd, batch, EVENTS_PER_BATCH, 0);
    for (int i = 0; i < count; i++)
        mw_socket_dispatch(batch[i].data.ptr, batch[i].events);
}

static void run_again(struct mw_engine *engine)
{
    struct mw_socket *list = engine->again;

    engine->again = NULL;
    while (list) {
        struct mw_socket *socket = list;
        list = socket->next;
        socket->queued_again = false;
        mw_socket_dispatch(socket, EPOLLIN);
    }
}

/* An active idle handle makes the loop poll without blocking; there is nothing else to do in it. */
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void mw_engine_end_turn(struct mw_engine *engine)
{
    while (engine->turn_head) {
        struct mw_turn_item *item = engine->turn_head;
        engine->turn_head = item->next;
        if (!engine->turn_head)
            engine->turn_tail = &engine->turn_head;
        item->queued = false;
        item->run(item);
    }
    free_closed(engine);
    if (engine->again)
        uv_idle_start(&engine->idle, on_idle);
    else
        uv_idle_stop(&engine->idle);
}

static void on_check(uv_check_t *check)
{
    struct mw_engine *engine = check->data;

    run_again(engine);
    mw_engine_end_turn(engine);
}

static void on_prepare(uv_prepare_t *prepare)
{
    mw_engine_end_turn(prepare->data);
}

int mw_engine_init(struct mw_engine *engine, uv_loop_t *loop)
{
    *engine = (struct mw_engine){.loop = loop};
    engine->turn_tail = &engine->turn_head;
    engine->receive = malloc(MW_RECEIVE_BUFFER);
    engine->deflate_pool = mw_deflate_pool_new();
    engine->admissions = mw_admissions_new();
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0)
        return -errno;
    if (!engine->receive || !engine->deflate_pool || !engine->admissions)
        return -ENOMEM;
    uv_poll_init(loop, &engine->poll, engine->epoll_fd);
    uv_check_init(loop, &engine->check);
    uv_prepare_init(loop, &engine->prepare);
    uv_idle_init(loop, &engine->idle);
    engine->poll.data = engine->check.data = engine->prepare.data = engine->idle.data = engine;
    uv_poll_start(&engine->poll, UV_READABLE, on_poll);
    uv_check_start(&engine->check, on_check);
    uv_prepare_start(&engine->prepare, on_prepare);
    uv_unref((uv_handle_t *)&engine->poll);
    uv_unref((uv_handle_t *)&engine->check);
    uv_unref((uv_handle_t *)&engine->prepare);
    mw_wheel_init(&engine->wheel, loop);
    return 0;
}

void mw_engine_close(struct mw_engine *engine)
{
    mw_engine_end_turn(engine);
    uv_close((uv_handle_t *)&engine->poll, NULL);
    uv_close((uv_handle_t *)&engine->check, NULL);
    uv_close((uv_handle_t *)&engine->prepare, NULL);
    uv_close((uv_handle_t *)&engine->idle, NULL);
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
        uv_ref((uv_handle_t *)&engine->poll);
}

void mw_engine_release(struct mw_engine *engine)
{
    if (--engine->alive == 0)
        uv_unref((uv_handle_t *)&engine->poll);
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
