/* load.c - see load.h: what a run needs, its loop, its modes, its result. */
/* SPDX-License-Identifier: MIT */
#include "load/load.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/run.h"
#include "load/usage.h"

enum {
    EVENTS = 512,
    STEP_MS = 100,
    OTHER_DESCRIPTORS = 64,  /* what a process has open besides the connections */
    OPENING_GIVES_UP_S = 10, /* when no connection has been opened for so long */
    QUIET_LOOK_MS = 200,
    QUIET_CPU_NS = 2000000, /* a server is quiet when it used less between two looks */
    QUIET_GIVES_UP_S = 60,
};

static const double NS = 1e9;

void mw_load_fail(struct mw_load_run *run, enum mw_load_fault fault, const char *format, ...)
{
    va_list arguments;

    if (run->fault)
        return;
    run->fault = fault;
    va_start(arguments, format);
    vsnprintf(run->why, MW_LOAD_WHY_MAX, format, arguments);
    va_end(arguments);
}

/* ---- the loop ---- */

void mw_load_watch(struct mw_load_run *run, struct mw_load_connection *connection, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(run->epoll, op, connection->fd, &event))
        mw_load_fail(run, MW_LOAD_BAD_USE, "--connections: connection %zu can't be watched: %s",
                     mw_load_index(run, connection), strerror(errno));
}

static void step(struct mw_load_run *run, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(run->epoll, events, EVENTS, timeout_ms);

    for (int i = 0; i < count && !run->fault; i++) {
        struct mw_load_connection *connection = events[i].data.ptr;
        if (connection->state == MW_LOAD_OPEN)
            mw_load_continue_traffic(run, connection);
        else
            mw_load_continue_opening(run, connection);
    }
}

static void run_until(struct mw_load_run *run, uint64_t end_ns)
{
    uint64_t now_ns;

    while (!run->fault && (now_ns = mw_load_now_ns()) < end_ns) {
        uint64_t left_ms = (end_ns - now_ns) / 1000000 + 1;
        step(run, left_ms < STEP_MS ? (int)left_ms : STEP_MS);
    }
}

static void run_for(struct mw_load_run *run, double seconds)
{
    run_until(run, mw_load_now_ns() + (uint64_t)(seconds * NS));
}

static void open_all(struct mw_load_run *run)
{
    size_t wanted = run->options->connections, before = 0;
    uint64_t progress_ns = mw_load_now_ns();

    mw_load_open_more(run);
    while (run->opened < wanted && !run->fault) {
        step(run, STEP_MS);
        uint64_t now_ns = mw_load_now_ns();
        if (run->opened > before) {
            before = run->opened;
            progress_ns = now_ns;
        } else if (now_ns - progress_ns > OPENING_GIVES_UP_S * (uint64_t)1000000000) {
            mw_load_fail(run, MW_LOAD_BAD_SERVER,
                         "only %zu of %zu connections opened: no answer from the server for %d s", run->opened, wanted,
                         OPENING_GIVES_UP_S);
        }
    }
}

/* ---- the server's processes ---- */

static uint64_t server_cpu_ns(struct mw_load_run *run)
{
    uint64_t sum = 0, one = 0;

    for (size_t i = 0; i < run->options->pid_count; i++) {
        if (!mw_usage_cpu_ns(run->options->pids[i], &one))
            mw_load_fail(run, MW_LOAD_BAD_USE, "--pid: there is no process %d", (int)run->options->pids[i]);
        sum += one;
    }
    return sum;
}

static uint64_t server_memory_kib(struct mw_load_run *run)
{
    uint64_t sum = 0, one = 0;

    for (size_t i = 0; i < run->options->pid_count; i++) {
        if (!mw_usage_memory_kib(run->options->pids[i], &one))
            mw_load_fail(run, MW_LOAD_BAD_USE, "--pid: the memory of process %d can't be read",
                         (int)run->options->pids[i]);
        sum += one;
    }
    return sum;
}

static void wait_until_server_is_quiet(struct mw_load_run *run)
{
    uint64_t before_ns = server_cpu_ns(run);

    for (int looks = 0; looks < QUIET_GIVES_UP_S * 1000 / QUIET_LOOK_MS && !run->fault; looks++) {
        run_for(run, QUIET_LOOK_MS / 1e3);
        uint64_t after_ns = server_cpu_ns(run);
        if (after_ns - before_ns < QUIET_CPU_NS)
            return;
        before_ns = after_ns;
    }
    mw_load_fail(run, MW_LOAD_BAD_SERVER, "the server did not come to rest within %d s", QUIET_GIVES_UP_S);
}

/* ---- modes ---- */

/* The part of the run that counts. */
static void measure(struct mw_load_run *run, struct mw_load_result *result)
{
    run->comparing = false;
    run->counted = 0;
    mw_histogram_clear(&run->latency);
    uint64_t server_ns = server_cpu_ns(run), own_ns = mw_usage_own_cpu_ns(), began_ns = mw_load_now_ns();
    run_for(run, run->options->seconds);
    result->seconds = (double)(mw_load_now_ns() - began_ns) / NS;
    result->client_cpu = (double)(mw_usage_own_cpu_ns() - own_ns) / NS / result->seconds;
    result->server_cpu_s = (double)(server_cpu_ns(run) - server_ns) / NS;
    result->server_cpu = result->server_cpu_s / result->seconds;
    result->messages = run->counted;
}

static void expect_messages(struct mw_load_run *run, const struct mw_load_result *result)
{
    if (!result->messages)
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "nothing came back from the server in %g s", result->seconds);
}

static void run_messages(struct mw_load_run *run, struct mw_load_result *result)
{
    const struct mw_load_options *options = run->options;
    size_t senders = options->mode == MW_LOAD_FANOUT ? 1 : options->connections;

    open_all(run);
    for (size_t i = 0; i < senders && !run->fault; i++)
        mw_load_submit(run, &run->connections[i], options->depth, mw_load_now_ns());
    run_for(run, options->warmup_s);
    measure(run, result);
    expect_messages(run, result);
    result->memory_kib = server_memory_kib(run);
}

static void run_connect(struct mw_load_run *run, struct mw_load_result *result)
{
    mw_load_open_more(run);
    run_for(run, run->options->warmup_s);
    measure(run, result);
    expect_messages(run, result);
    result->memory_kib = server_memory_kib(run);
}

static void run_idle(struct mw_load_run *run, struct mw_load_result *result)
{
    result->memory_before_kib = server_memory_kib(run);
    open_all(run);
    run_for(run, run->options->warmup_s);
    wait_until_server_is_quiet(run);
    result->memory_kib = server_memory_kib(run);
    measure(run, result);
}

/* ---- beginning and end ---- */

/* The process has raised its soft limit to the hard one when it began. */
static bool check_descriptor_limit(struct mw_load_run *run)
{
    size_t needed = run->options->connections + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed)
        return true;
    mw_load_fail(run, MW_LOAD_BAD_USE,
                 "--connections: %zu connections need %zu descriptors, and the limit is %llu (ulimit -Hn)",
                 run->options->connections, needed, (unsigned long long)limit.rlim_cur);
    return false;
}

static bool allocate(struct mw_load_run *run)
{
    const struct mw_load_options *options = run->options;
    size_t senders = options->mode == MW_LOAD_ECHO ? options->connections : options->mode == MW_LOAD_FANOUT ? 1 : 0;
    bool is_fanout = options->mode == MW_LOAD_FANOUT;

    for (run->ring = 1; run->ring < options->depth;)
        run->ring *= 2;
    run->connections = calloc(options->connections, sizeof *run->connections);
    run->read_buffer = malloc(MW_LOAD_READ_SIZE);
    run->stamps = calloc(senders ? senders : 1, run->ring * sizeof *run->stamps);
    run->deliveries = calloc(run->ring, sizeof *run->deliveries);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run->connections || !run->read_buffer || !run->stamps || !run->deliveries || run->epoll < 0 ||
        !mw_load_frames_build(&run->frames, options->text, is_fanout ? 'P' : 'e', options->size, options->depth)) {
        mw_load_fail(run, MW_LOAD_BAD_USE, "--connections, --depth, --size: not enough memory for them together");
        return false;
    }
    for (size_t i = 0; i < senders; i++)
        run->connections[i].stamps = run->stamps + i * run->ring;
    return true;
}

static void release(struct mw_load_run *run)
{
    for (size_t i = 0; run->connections && i < run->next; i++) {
        mw_load_close(&run->connections[i]);
        free(run->connections[i].pong);
    }
    if (run->epoll >= 0)
        close(run->epoll);
    mw_load_frames_free(&run->frames);
    free(run->connections);
    free(run->read_buffer);
    free(run->stamps);
    free(run->deliveries);
    free(run);
}

static void fill_latency(const struct mw_load_run *run, struct mw_load_result *result)
{
    result->p50_us = mw_histogram_percentile_us(&run->latency, 0.5);
    result->p99_us = mw_histogram_percentile_us(&run->latency, 0.99);
    result->p999_us = mw_histogram_percentile_us(&run->latency, 0.999);
    result->max_us = (double)run->latency.max_ns / 1e3;
}

enum mw_load_fault mw_load_run(const struct mw_load_options *options, struct mw_load_result *result, char *why)
{
    struct mw_load_run *run = calloc(1, sizeof *run);

    *result = (struct mw_load_result){0};
    if (!run) {
        snprintf(why, MW_LOAD_WHY_MAX, "not enough memory");
        return MW_LOAD_BAD_USE;
    }
    run->options = options;
    run->epoll = -1;
    run->why = why;
    run->comparing = true;
    server_cpu_ns(run);
    if (!run->fault && check_descriptor_limit(run) && allocate(run) && mw_load_prepare_opening(run)) {
        if (options->mode == MW_LOAD_IDLE)
            run_idle(run, result);
        else if (options->mode == MW_LOAD_CONNECT)
            run_connect(run, result);
        else
            run_messages(run, result);
        fill_latency(run, result);
    }
    enum mw_load_fault fault = run->fault;
    release(run);
    return fault;
}
