/* supervisor_test.c - the parent of a program: how long it waits between two lives, when it calls itself degraded, and what the
 * child finds in its environment. With times of milliseconds; delays are read from what is logged, never measured. */
/* SPDX-License-Identifier: MIT */
#include "supervisor.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { LOG_SIZE = 16384, NEVER_DEGRADED = MW_SUPERVISOR_DEATHS_MAX };

/* What parent, child and test share. */
struct shared {
    int lives;
    char text[256];
};

static struct shared *shared;
static char logged[LOG_SIZE];

/* Runs a supervisor in a process of its own, as it takes over signals and children; what it logs is in `logged`. */
static int supervise(struct mw_supervisor_times times, int (*run)(void *arg, int ready_fd))
{
    const struct mw_supervisor supervisor = {.times = times, .run = run};
    int output[2], status = 0;
    size_t len = 0;
    ssize_t count;

    shared->lives = 0;
    shared->text[0] = '\0';
    fflush(NULL);
    if (pipe(output))
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(output[1], STDERR_FILENO);
        close(output[0]);
        close(output[1]);
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* as the first process of a container is */
        _exit(mw_supervisor_run(&supervisor));
    }
    close(output[1]);
    while ((count = read(output[0], logged + len, sizeof logged - 1 - len)) > 0)
        len += (size_t)count;
    logged[len] = '\0';
    close(output[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static size_t occurrences(const char *text)
{
    size_t count = 0;

    for (const char *at = logged; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static int die_seven_times(void *arg, int ready_fd)
{
    (void)arg;
    (void)ready_fd;
    if (++shared->lives <= 7)
        raise(SIGKILL);
    return 0;
}

static void test_back_off(void)
{
    struct mw_supervisor_times times = {
        .first_ms = 1, .most_ms = 10, .healthy_ms = 60000, .window_ms = 60000, .deaths = NEVER_DEGRADED};

    check_test("the time between two lives doubles up to its bound");
    EXPECT(supervise(times, die_seven_times) == 0);
    EXPECT(shared->lives == 8);
    EXPECT(occurrences("started again in 0.001 s") == 1);
    EXPECT(occurrences("started again in 0.002 s") == 1);
    EXPECT(occurrences("started again in 0.004 s") == 1);
    EXPECT(occurrences("started again in 0.008 s") == 1);
    EXPECT(occurrences("started again in 0.01 s") == 3);
    EXPECT(occurrences("degraded") == 0);
}

static void test_degraded(void)
{
    struct mw_supervisor_times times = {
        .first_ms = 1, .most_ms = 20, .healthy_ms = 60000, .window_ms = 60000, .deaths = 3};

    check_test("too many deaths within the time are told once, and slow the lives down");
    EXPECT(supervise(times, die_seven_times) == 0);
    EXPECT(occurrences("error: degraded: the program died 3 times within 60 s; it is started every 0.02 s") == 1);
    EXPECT(occurrences("started again in 0.001 s") == 1);
    EXPECT(occurrences("started again in 0.002 s") == 1);
    EXPECT(occurrences("started again in 0.02 s") == 5);
    EXPECT(occurrences("no longer") == 0);
    check_test("deaths further apart are not too many");
    times.window_ms = 0;
    EXPECT(supervise(times, die_seven_times) == 0);
    EXPECT(occurrences("degraded") == 0);
}

/* Dies three times at once, is well for long enough, and dies again. */
static int recover(void *arg, int ready_fd)
{
    (void)arg;
    (void)ready_fd;
    shared->lives++;
    if (shared->lives == 4)
        usleep(300 * 1000);
    if (shared->lives <= 4)
        raise(SIGKILL);
    return 0;
}

static int ear(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof name, "@moonwire-supervisor-%d", (int)getpid());
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = '\0';
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + strlen(name))))
        abort();
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void test_recovery(void)
{
    struct mw_supervisor_times times = {.first_ms = 1, .most_ms = 5, .healthy_ms = 30, .window_ms = 60000, .deaths = 3};
    char heard[256] = "";
    int fd = ear();

    check_test("a long life makes up for the deaths before it");
    EXPECT(supervise(times, recover) == 0);
    EXPECT(occurrences("info: the program has run for 0.03 s: no longer degraded") == 1);
    const char *better = strstr(logged, "no longer degraded");
    EXPECT(better && strstr(better, "started again in 0.001 s"));
    check_test("the service manager hears of both");
    EXPECT(recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT) > 0);
    EXPECT(strcmp(heard, "STATUS=degraded: died 3 times within 60 s") == 0);
    memset(heard, 0, sizeof heard);
    EXPECT(recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT) > 0);
    EXPECT(strcmp(heard, "STATUS=recovered") == 0);
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

static int tell_environment(void *arg, int ready_fd)
{
    const char *restarts = getenv("MOONWIRE_RESTARTS"), *sockets = getenv("LISTEN_PID"),
               *watchdog = getenv("WATCHDOG_PID");

    (void)arg;
    (void)ready_fd;
    if (++shared->lives == 1)
        raise(SIGKILL);
    snprintf(shared->text, sizeof shared->text, "%s %d %s", restarts ? restarts : "none",
             sockets && strtol(sockets, NULL, 10) == getpid(), watchdog ? watchdog : "none");
    return 0;
}

/* The supervisor's own process id is known only there. */
static int supervise_for_me(const struct mw_supervisor *supervisor)
{
    char pid[16];
    int status = 0;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("WATCHDOG_PID", "1", 1);
        close(STDERR_FILENO);
        _exit(mw_supervisor_run(supervisor));
    }
    waitpid(child, &status, 0);
    return status;
}

static void test_environment(void)
{
    struct mw_supervisor supervisor = {.run = tell_environment};

    check_test("what names the parent in the environment names each child, and nothing else does");
    mw_supervisor_times_default(&supervisor.times);
    shared->lives = 0;
    EXPECT(supervise_for_me(&supervisor) == 0);
    EXPECT(strcmp(shared->text, "1 1 1") == 0);
}

/* Leaves a process behind that ends while this one lives. */
static int leave_an_orphan(void *arg, int ready_fd)
{
    (void)arg;
    (void)ready_fd;
    shared->lives++;
    pid_t middle = fork();
    if (middle == 0) {
        if (fork() == 0)
            _exit(7);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    usleep(50 * 1000);
    return 0;
}

static void test_orphans(void)
{
    struct mw_supervisor_times times;

    check_test("the end of others is not taken for the program's");
    mw_supervisor_times_default(&times);
    EXPECT(supervise(times, leave_an_orphan) == 0);
    EXPECT(shared->lives == 1);
}

int main(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return EXIT_FAILURE;
    test_back_off();
    test_degraded();
    test_recovery();
    test_environment();
    test_orphans();
    return check_done();
}
