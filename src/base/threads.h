/* threads.h - the threads of libuv's pool, which it starts when a file or a name is first asked for, and without which it ends
 * the process. Owns nothing: what it makes sure of is kept by the C library. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_THREADS_H
#define MW_BASE_THREADS_H

#include <stdbool.h>

/* Starts as many threads as the pool will have, and ends them: the C library keeps their stacks for those to come, which then
 * need no memory to start. False: there is not enough. */
bool mw_threads_prepare(void);

#endif
