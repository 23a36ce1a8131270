/* supervisor.c - see supervisor.h. One thread that waits for signals, of which the child's death is one. */
/* SPDX-License-Identifier: MIT */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "bind/guard.h"

enum { SIGNAL_EXIT = 128 };

struct state {
    const struct mw_supervisor *supervisor;
    struct mw_notify notify;
    sigset_t waited;   /* blocked here, and waited for */
    sigset_t original; /* what the child blocks */
    sigset_t sent;     /* what this child was sent */
    pid_t child;
    int ready_fd;
    bool stopping; /* told to end */
    bool was_ready;
    bool degraded;
    uint32_t delay_ms; /* before the next life */
    uint32_t restarts;
    uint32_t deaths; /* of those below; the newest is behind the others */
    int64_t died_ms[MW_SUPERVISOR_DEATHS_MAX];
    int64_t born_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next signal, or 0 when it is `until_ms` (-1: never). */
static int next_signal(const struct state *state, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms < 0 ? 0 : until_ms - now_ms();
        if (left < 0)
            left = 0;
        struct timespec timeout = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        int number = until_ms < 0 ? sigwaitinfo(&state->waited, NULL) : sigtimedwait(&state->waited, NULL, &timeout);
        if (number > 0)
            return number;
        if (errno == EAGAIN)
            return 0;
    }
}

/* ---- one life ---- */

static void set_number(const char *name, long number)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", number);
    setenv(name, text, 1);
}

/* What names the parent in the environment means the child. */
static void claim_environment(const struct state *state, pid_t parent)
{
    static const char *const owners[] = {"LISTEN_PID", "WATCHDOG_PID"};

    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        const char *owner = getenv(owners[i]);
        if (owner && strtol(owner, NULL, 10) == (long)parent)
            set_number(owners[i], getpid());
    }
    set_number("MOONWIRE_RESTARTS", (long)state->restarts);
}

static _Noreturn void live(const struct state *state, pid_t parent, int ready_fd)
{
    /* A parent that is killed takes the child along: as a service manager would, with time for good-byes. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        exit(EXIT_FAILURE);
    claim_environment(state, parent);
    sigprocmask(SIG_SETMASK, &state->original, NULL);
    exit(state->supervisor->run(state->supervisor->arg, ready_fd));
}

static bool start(struct state *state)
{
    int ready[2];
    pid_t parent = getpid();

    sigemptyset(&state->sent);
    if (pipe2(ready, O_CLOEXEC | O_NONBLOCK)) {
        mw_log(MW_LOG_ERROR, "the program can't be started: %s", strerror(errno));
        return false;
    }
    state->born_ms = now_ms();
    state->child = fork();
    if (state->child == 0) {
        close(ready[0]);
        live(state, parent, ready[1]);
    }
    close(ready[1]);
    state->ready_fd = ready[0];
    if (state->child > 0)
        return true;
    mw_log(MW_LOG_ERROR, "the program can't be started: %s", strerror(errno));
    close(ready[0]);
    return false;
}

/* Whether the child has ended; others that it left behind come to us when we are the first process of a container. */
static bool reap(const struct state *state, int *status)
{
    int other;
    pid_t pid;
    bool ended = false;

    while ((pid = waitpid(-1, &other, WNOHANG)) > 0) {
        if (pid != state->child)
            continue;
        *status = other;
        ended = true;
    }
    return ended;
}

/* A life that was long enough. */
static void forgive(struct state *state)
{
    state->delay_ms = state->supervisor->times.first_ms;
    state->deaths = 0;
    if (!state->degraded)
        return;
    state->degraded = false;
    mw_log(MW_LOG_INFO, "the program has run for %g s: no longer degraded",
           state->supervisor->times.healthy_ms / 1000.0);
    mw_notify_send(&state->notify, "STATUS=recovered");
}

/* The first request to end is the child's to follow, the second ends it. Whatever the child was sent already does no harm. */
static void pass_on(struct state *state, int number)
{
    bool is_end = number == SIGTERM || number == SIGINT;

    kill(state->child, is_end && state->stopping ? SIGKILL : number);
    sigaddset(&state->sent, number);
    if (is_end)
        state->stopping = true;
}

/* Waits for the end of the child. */
static int watch(struct state *state)
{
    int64_t healthy_ms = state->born_ms + state->supervisor->times.healthy_ms;
    int status = 0;

    for (;;) {
        int number = next_signal(state, healthy_ms);
        if (number == 0) {
            forgive(state);
            healthy_ms = -1;
        } else if (number != SIGCHLD) {
            pass_on(state, number);
        } else if (reap(state, &status)) {
            return status;
        }
    }
}

/* ---- between two lives ---- */

static int code_of(int status)
{
    return WIFSIGNALED(status) ? SIGNAL_EXIT + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whether this end was in order, or would only be repeated. */
static bool is_final(const struct state *state, int status)
{
    if (state->stopping)
        return true;
    if (WIFSIGNALED(status))
        return sigismember(&state->sent, WTERMSIG(status)) == 1;
    /* What fails before it was ever ready is written wrongly, or not allowed: a person has to look. */
    return WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) != MW_EXIT_STUCK && !state->was_ready);
}

static void describe(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == MW_EXIT_STUCK)
        snprintf(text, size, "did not answer any more (exit code %d)", MW_EXIT_STUCK);
    else
        snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
}

/* Keeps the newest deaths, and tells when there were too many. */
static void count_death(struct state *state)
{
    const struct mw_supervisor_times *times = &state->supervisor->times;

    if (state->deaths == times->deaths)
        memmove(state->died_ms, state->died_ms + 1, --state->deaths * sizeof *state->died_ms);
    state->died_ms[state->deaths++] = now_ms();
    if (state->degraded || state->deaths < times->deaths ||
        state->died_ms[state->deaths - 1] - state->died_ms[0] > times->window_ms)
        return;
    state->degraded = true;
    mw_log(MW_LOG_ERROR, "degraded: the program died %u times within %g s; it is started every %g s from here on",
           (unsigned)times->deaths, times->window_ms / 1000.0, times->most_ms / 1000.0);
    mw_notify_send(&state->notify, "STATUS=degraded: died %u times within %g s", (unsigned)times->deaths,
                   times->window_ms / 1000.0);
}

static uint32_t next_delay(struct state *state)
{
    const struct mw_supervisor_times *times = &state->supervisor->times;
    uint32_t delay = state->degraded ? times->most_ms : state->delay_ms;

    state->delay_ms = state->delay_ms < times->most_ms / 2 ? state->delay_ms * 2 : times->most_ms;
    return delay;
}

/* False: told to end meanwhile. */
static bool rest(const struct state *state, uint32_t delay_ms)
{
    int64_t until_ms = now_ms() + delay_ms;
    int number, ignored;

    while ((number = next_signal(state, until_ms))) {
        if (number == SIGTERM || number == SIGINT)
            return false;
        if (number == SIGCHLD)
            reap(state, &ignored);
    }
    return true;
}

/* True when the program shall live again. Otherwise `*status` is what remains to be told. */
static bool bury(struct state *state, int *status)
{
    char text[128], byte;

    if (read(state->ready_fd, &byte, 1) == 1)
        state->was_ready = true;
    close(state->ready_fd);
    if (is_final(state, *status))
        return false;
    count_death(state);
    uint32_t delay = next_delay(state);
    describe(*status, text, sizeof text);
    mw_log(MW_LOG_ERROR, "the program (process %d) %s; it is started again in %g s", (int)state->child, text,
           delay / 1000.0);
    if (rest(state, delay))
        return true;
    *status = 0;
    return false;
}

void mw_supervisor_times_default(struct mw_supervisor_times *times)
{
    *times = (struct mw_supervisor_times){
        .first_ms = 100, .most_ms = 10000, .healthy_ms = 60000, .window_ms = 60000, .deaths = 5};
}

int mw_supervisor_run(const struct mw_supervisor *supervisor)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    struct state state = {.supervisor = supervisor, .delay_ms = supervisor->times.first_ms};
    int status = 0;

    mw_notify_open(&state.notify);
    sigemptyset(&state.waited);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&state.waited, numbers[i]);
    /* Ignored by whoever started us, it would never come. */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &state.waited, &state.original);
    do {
        while (!start(&state))
            if (!rest(&state, next_delay(&state)))
                return 0;
        status = watch(&state);
        state.restarts++;
    } while (bury(&state, &status));
    return code_of(status);
}
