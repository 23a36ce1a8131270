/* log.c - see log.h. What a record looks like is in log_line.c, how many there may be in log_limit.c. */
/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log_limit.h"
#include "base/log_line.h"

enum { LAST_PATIENCE_MS = 500 };

/* The one exception from "no mutable globals": a process has one standard error, everything may have to tell something, and
 * handing a log through every function would tell the reader nothing. Set up once, then touched under the lock only. */
static struct {
    pthread_mutex_t lock;
    enum mw_log_level level;
    bool json;
    bool mid_line;   /* the last write was cut short */
    int patience_ms; /* with a reader who doesn't read: 0 but at the end */
    uint64_t lost;   /* records that could not be written */
    struct mw_log_limit limit;
    pthread_t owner; /* the thread that configured it */
    void (*on_held)(void *arg);
    void *on_held_arg;
    bool is_due; /* it was called, and mw_log_tell has not told everything since */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = MW_LOG_INFO};

/* The log's only look at the clocks: the time of day to show, and one that never goes back to count with. */
static uint64_t read_clocks(struct timespec *wall)
{
    struct timespec steady;

    clock_gettime(CLOCK_REALTIME, wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    return (uint64_t)steady.tv_sec * 1000 + (uint64_t)steady.tv_nsec / 1000000;
}

/* ---- writing ---- */

/* One write that does not wait for whoever reads at the other end: standard error is often a pipe, shared with others, so that
 * it can't be made non-blocking. A pipe that is said to be writable takes PIPE_BUF bytes; where the kernel knows
 * RWF_NOWAIT, nobody else can fill it in between either. */
static ssize_t write_now(const char *data, size_t len)
{
    struct iovec piece = {.iov_base = (void *)data, .iov_len = len};
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    struct stat kind;

    if (fstat(STDERR_FILENO, &kind))
        return -1;
    if (S_ISREG(kind.st_mode))
        return write(STDERR_FILENO, data, len);
    if (S_ISSOCK(kind.st_mode))
        return send(STDERR_FILENO, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (poll(&ready, 1, state.patience_ms) != 1 || !(ready.revents & POLLOUT)) {
        state.patience_ms = 0;
        return -1;
    }
    ssize_t written = pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT);
    if (written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
        written = write(STDERR_FILENO, data, len);
    return written;
}

/* Whole lines, as many at once as a pipe takes in one piece, so that those of several processes do not mix. */
static bool write_lines(const char *data, size_t len)
{
    enum { PIECE = 4096 };

    while (len) {
        size_t piece = len;
        if (piece > PIECE)
            piece = (size_t)((const char *)memrchr(data, '\n', PIECE) + 1 - data);
        ssize_t written = write_now(data, piece);
        if (written != (ssize_t)piece) {
            state.mid_line = state.mid_line || written > 0;
            return false;
        }
        data += piece;
        len -= piece;
    }
    return true;
}

static bool render_and_write(const struct mw_log_record *record, const struct timespec *wall)
{
    char out[1 + MW_LOG_RECORD_MAX];
    size_t len = state.json ? mw_log_render_json(record, wall, out + 1) : mw_log_render_text(record, out + 1);

    out[0] = '\n';
    bool written = state.mid_line ? write_lines(out, len + 1) : write_lines(out + 1, len);
    state.mid_line = state.mid_line && !written;
    return written;
}

/* A line about the log itself, which no limit holds back. `count` is also a field, for programs. */
static bool write_note(enum mw_log_level level, const char *name, uint64_t count, const char *text, size_t len,
                       const struct timespec *wall)
{
    char number[24];
    const struct mw_log_field field = {
        .name = name, .text = number, .len = (size_t)sprintf(number, "%llu", (unsigned long long)count), .bare = true};

    const struct mw_log_record note = {
        .level = level, .text = text, .len = len, .fields = &field, .field_count = state.json};
    return render_and_write(&note, wall);
}

/* False: still nothing can be written. */
static bool deliver_lost(const struct timespec *wall)
{
    char text[96];

    if (!state.lost)
        return true;
    int len = snprintf(text, sizeof text, "%llu records before this one could not be written",
                       (unsigned long long)state.lost);
    if (!write_note(MW_LOG_WARNING, "lost", state.lost, text, (size_t)len, wall))
        return false;
    state.lost = 0;
    return true;
}

static void deliver(const struct mw_log_record *record, const struct timespec *wall)
{
    if (!deliver_lost(wall) || !render_and_write(record, wall))
        state.lost++;
}

/* 4312 as "4,312". */
static void format_count(char out[32], uint64_t count)
{
    char digits[24];
    int len = sprintf(digits, "%llu", (unsigned long long)count);

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
}

static void deliver_held(const struct mw_log_held *held, const struct timespec *wall)
{
    char count[32], text[96 + MW_LOG_SAMPLE];

    format_count(count, held->count);
    int len = snprintf(text, sizeof text, "… and %s more like this in the last %llu s: %.*s", count,
                       (unsigned long long)(held->ms + 999) / 1000, (int)held->sample_len, held->sample);
    if (!deliver_lost(wall) || !write_note(held->level, "held_back", held->count, text, (size_t)len, wall))
        state.lost += held->count;
}

static void deliver_all_held(uint64_t now_ms, bool at_end, const struct timespec *wall)
{
    struct mw_log_held held;

    while (mw_log_limit_take(&state.limit, now_ms, at_end, &held))
        deliver_held(&held, wall);
}

static bool owes_something(void)
{
    return state.limit.held || state.lost;
}

/* ---- what others call ---- */

static void tell_at_exit(void)
{
    mw_log_tell(true);
}

void mw_log_configure(enum mw_log_level level, bool json)
{
    state.level = level;
    state.json = json;
    state.owner = pthread_self();
    atexit(tell_at_exit);
}

void mw_log_on_held(void (*callback)(void *arg), void *arg)
{
    pthread_mutex_lock(&state.lock);
    state.on_held = callback;
    state.on_held_arg = arg;
    pthread_mutex_unlock(&state.lock);
}

bool mw_log_wants(enum mw_log_level level)
{
    return level <= state.level;
}

bool mw_log_tell(bool at_end)
{
    struct timespec wall;

    pthread_mutex_lock(&state.lock);
    uint64_t now_ms = read_clocks(&wall);
    state.patience_ms = at_end ? LAST_PATIENCE_MS : 0;
    deliver_all_held(now_ms, at_end, &wall);
    deliver_lost(&wall);
    bool more = state.is_due = owes_something();
    pthread_mutex_unlock(&state.lock);
    return more;
}

void mw_log_write(const struct mw_log_record *record)
{
    struct mw_log_held held;
    struct timespec wall;
    bool told;

    if (!mw_log_wants(record->level))
        return;
    pthread_mutex_lock(&state.lock);
    uint64_t now_ms = read_clocks(&wall);
    deliver_all_held(now_ms, false, &wall);
    bool passes = mw_log_limit_pass(&state.limit, record, now_ms, &held, &told);
    if (told)
        deliver_held(&held, &wall);
    if (passes)
        deliver(record, &wall);
    bool begins = owes_something() && !state.is_due && state.on_held && pthread_equal(state.owner, pthread_self());
    state.is_due = state.is_due || begins;
    void (*on_held)(void *arg) = state.on_held;
    void *arg = state.on_held_arg;
    pthread_mutex_unlock(&state.lock);
    if (begins)
        on_held(arg);
}

void mw_log(enum mw_log_level level, const char *format, ...)
{
    char text[2 * MW_LOG_LINE_MAX];
    va_list args;

    if (!mw_log_wants(level))
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0)
        return;
    mw_log_write(&(struct mw_log_record){.level = level,
                                         .text = text,
                                         .len = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1,
                                         .key = (uint64_t)(uintptr_t)format});
}

/* FNV-1a, where a key of 0 is the beginning. */
uint64_t mw_log_key(uint64_t key, const char *text)
{
    if (!key)
        key = 0xcbf29ce484222325;
    for (; text && *text; text++)
        key = (key ^ (uint8_t)*text) * 0x100000001b3;
    return key * 0x100000001b3;
}
