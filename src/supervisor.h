/* supervisor.h - the parent of a moonwire process: starts it, passes signals on, and starts it again when it dies. The parent is
 * made before any loop, thread or Lua exists, and stays that small, so there is next to nothing in it that could fail.
 * Owns the child. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SUPERVISOR_H
#define MW_SUPERVISOR_H

#include <stdint.h>

struct mw_supervisor_times {
    uint32_t first_ms;   /* from a death to the next life; each further one doubles it, */
    uint32_t most_ms;    /* up to this */
    uint32_t healthy_ms; /* a life of this length makes up for all deaths before it */
    uint32_t window_ms;  /* so many deaths within this time: degraded, and from then on `most_ms` between two lives */
    uint32_t deaths;
};

struct mw_supervisor {
    struct mw_supervisor_times times;
    /* The program, in the child: returns its exit code. A byte written to `ready_fd` says that it is ready. */
    int (*run)(void *arg, int ready_fd);
    void *arg;
};

enum { MW_SUPERVISOR_DEATHS_MAX = 16 };

/* 0.1 s to 10 s; 60 s of health; 5 deaths in 60 s. */
void mw_supervisor_times_default(struct mw_supervisor_times *times);
/* Runs until the program ends in order, is told to, or fails before it ever was ready. Returns the exit code: the program's,
 * or 128 and the number of the signal that ended it. */
int mw_supervisor_run(const struct mw_supervisor *supervisor);

#endif
