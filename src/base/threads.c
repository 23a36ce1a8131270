/* threads.c - see threads.h. */
/* SPDX-License-Identifier: MIT */
#include "base/threads.h"

#include <uv.h>

/* libuv's own number. Of a larger pool (UV_THREADPOOL_SIZE) the C library would not keep all stacks. */
enum { POOL_SIZE = 4 };

static void wait_for_all(void *started)
{
    uv_sem_wait(started);
}

bool mw_threads_prepare(void)
{
    uv_thread_t threads[POOL_SIZE];
    uv_sem_t started;
    int count = 0;

    if (uv_sem_init(&started, 0))
        return false;
    while (count < POOL_SIZE && uv_thread_create(&threads[count], wait_for_all, &started) == 0)
        count++;
    for (int i = 0; i < count; i++)
        uv_sem_post(&started);
    for (int i = 0; i < count; i++)
        uv_thread_join(&threads[i]);
    uv_sem_destroy(&started);
    return count == POOL_SIZE;
}
