/* drain.h - the good-bye of a process: nothing new is accepted, everybody is told, and what is under way gets its time.
 * Owns two timers, which never keep the loop alive. Stops the engine when all is gone or the time is over; whoever runs its
 * turns then ends the process. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_DRAIN_H
#define MW_BIND_DRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "moonwire.h"

struct mw_drain {
    struct mw_runtime *runtime;
    uv_timer_t pace; /* from one good-bye to the next */
    uv_timer_t limit;
    const char *signal; /* its name; NULL: the program ends by itself */
    uint32_t time_ms;   /* for all of it */
    uint32_t span_ms;   /* of the good-byes */
    uint64_t begun_ms;
    size_t to_tell; /* WebSockets of clients that came to us, when it began */
    size_t told;
    bool something; /* was open when it began */
};

void mw_drain_init(struct mw_drain *drain, struct mw_runtime *runtime, uint32_t time_ms);
/* Once. `signal` as in the struct. */
void mw_drain_begin(struct mw_drain *drain, const char *signal);
/* Closes the timers. */
void mw_drain_close(struct mw_drain *drain);

#endif
