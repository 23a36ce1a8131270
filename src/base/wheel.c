/* wheel.c - see wheel.h. */
/* SPDX-License-Identifier: MIT */
#include "base/wheel.h"

#include <stddef.h>

static void on_timer(uv_timer_t *timer);

/* Waits for the next slot that holds a node, so that an idle wheel costs no wake-ups. */
static void arm(struct mw_wheel *wheel)
{
    uint64_t now = uv_now(wheel->timer.loop);
    uint64_t tick = wheel->tick + 1;

    while (!wheel->slots[tick % MW_WHEEL_SLOTS] && tick < wheel->tick + MW_WHEEL_SLOTS)
        tick++;
    wheel->armed = tick;
    uint64_t due = tick * MW_WHEEL_TICK_MS;
    uv_timer_start(&wheel->timer, on_timer, due > now ? due - now : 0, 0);
}

static void unlink_node(struct mw_wheel_node *node)
{
    *node->link = node->next;
    if (node->next)
        node->next->link = node->link;
    node->link = NULL;
}

static void link_node(struct mw_wheel_node **list, struct mw_wheel_node *node)
{
    node->next = *list;
    if (node->next)
        node->next->link = &node->next;
    node->link = list;
    *list = node;
}

/* Fires what is due in one slot; what lies a full turn ahead goes back. */
static void run_slot(struct mw_wheel *wheel, uint64_t tick)
{
    struct mw_wheel_node **slot = &wheel->slots[tick % MW_WHEEL_SLOTS];
    struct mw_wheel_node *pending = *slot;

    /* The list moves to a local head first: a callback may set or cancel any node. */
    *slot = NULL;
    if (pending)
        pending->link = &pending;
    while (pending) {
        struct mw_wheel_node *node = pending;
        unlink_node(node);
        if (node->deadline_ms > tick * MW_WHEEL_TICK_MS) {
            link_node(slot, node);
            continue;
        }
        wheel->count--;
        node->fire(node);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct mw_wheel *wheel = timer->data;
    uint64_t now_tick = uv_now(timer->loop) / MW_WHEEL_TICK_MS;

    wheel->armed = 0;
    /* After a long sleep one turn around the wheel visits everything. */
    if (now_tick - wheel->tick > MW_WHEEL_SLOTS)
        wheel->tick = now_tick - MW_WHEEL_SLOTS;
    while (wheel->tick < now_tick) {
        wheel->tick++;
        run_slot(wheel, wheel->tick);
    }
    if (wheel->count)
        arm(wheel);
}

void mw_wheel_init(struct mw_wheel *wheel, uv_loop_t *loop)
{
    *wheel = (struct mw_wheel){0};
    uv_timer_init(loop, &wheel->timer);
    uv_unref((uv_handle_t *)&wheel->timer);
    wheel->timer.data = wheel;
    wheel->tick = uv_now(loop) / MW_WHEEL_TICK_MS;
}

void mw_wheel_set(struct mw_wheel *wheel, struct mw_wheel_node *node, uint64_t delay_ms)
{
    uint64_t deadline = uv_now(wheel->timer.loop) + delay_ms;
    uint64_t tick = deadline / MW_WHEEL_TICK_MS + 1;

    if (node->link)
        unlink_node(node);
    else
        wheel->count++;
    node->deadline_ms = deadline;
    if (wheel->count == 1)
        wheel->tick = uv_now(wheel->timer.loop) / MW_WHEEL_TICK_MS;
    link_node(&wheel->slots[tick % MW_WHEEL_SLOTS], node);
    if (!wheel->armed || tick < wheel->armed)
        arm(wheel);
}

void mw_wheel_cancel(struct mw_wheel *wheel, struct mw_wheel_node *node)
{
    if (!node->link)
        return;
    unlink_node(node);
    wheel->count--;
}

void mw_wheel_close(struct mw_wheel *wheel)
{
    if (!uv_is_closing((uv_handle_t *)&wheel->timer))
        uv_close((uv_handle_t *)&wheel->timer, NULL);
}
