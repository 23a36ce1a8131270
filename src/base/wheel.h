/* wheel.h - a hashed timer wheel: the deadlines of any number of connections behind one uv timer.
 * Owns its uv timer, borrows the nodes, which live in what they time. Setting and cancelling cost a few instructions;
 * a deadline fires at most MW_WHEEL_TICK_MS late. The uv timer never keeps the loop alive. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_WHEEL_H
#define MW_BASE_WHEEL_H

#include <stdint.h>
#include <uv.h>

enum { MW_WHEEL_TICK_MS = 32, MW_WHEEL_SLOTS = 1024 };

struct mw_wheel_node {
    struct mw_wheel_node *next;
    struct mw_wheel_node **link; /* NULL: not set */
    uint64_t deadline_ms;
    void (*fire)(struct mw_wheel_node *node);
};

struct mw_wheel {
    uv_timer_t timer;
    struct mw_wheel_node *slots[MW_WHEEL_SLOTS];
    uint64_t tick;  /* the last one handled */
    uint64_t armed; /* the tick that the uv timer waits for; 0: none */
    uint32_t count;
};

void mw_wheel_init(struct mw_wheel *wheel, uv_loop_t *loop);
/* Sets or moves a node to `delay_ms` from now (loop time). */
void mw_wheel_set(struct mw_wheel *wheel, struct mw_wheel_node *node, uint64_t delay_ms);
void mw_wheel_cancel(struct mw_wheel *wheel, struct mw_wheel_node *node);
/* Begins closing the uv timer; nodes still set never fire. */
void mw_wheel_close(struct mw_wheel *wheel);

#endif
