/* admission_test.c - net/admission.h: who counts as one address, each limit just below and just above, what is remembered and
 * for how long, and what the log is told. Time is a number here. */
/* SPDX-License-Identifier: MIT */
#include "net/admission.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "check.h"

enum { MANY = 5000, SHOWN_MAX = 4096 };

static struct mw_engine engine;
static FILE *lines; /* where the log goes */

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[SHOWN_MAX];
    ssize_t len = pread(fileno(lines), text, sizeof text - 1, 0);

    text[len < 0 ? 0 : len] = '\0';
    if (ftruncate(fileno(lines), 0))
        abort();
    lseek(fileno(lines), 0, SEEK_SET);
    return text;
}

static void begin(const char *name)
{
    check_test("%s", name);
    logged();
    engine = (struct mw_engine){.now_ms = 1000};
    engine.admissions = mw_admissions_new();
    if (!engine.admissions)
        abort();
}

static void end(void)
{
    EXPECT(mw_admissions_total(&engine) == 0);
    mw_admissions_free(engine.admissions);
}

static enum mw_admission_result enter(const char *address, const struct mw_admission_limits *limits,
                                      struct mw_admission **admission)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};

    if (inet_pton(AF_INET, address, &((struct sockaddr_in *)&peer)->sin_addr) == 1)
        peer.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, address, &((struct sockaddr_in6 *)&peer)->sin6_addr) == 1)
        peer.ss_family = AF_INET6;
    return mw_admission_enter(&engine, (struct sockaddr *)&peer, limits, admission);
}

/* Whether a connection of `second` is refused while `first` has all it may have, which is one. */
static bool is_same(const char *first, const char *second, bool loopback_too)
{
    const struct mw_admission_limits one = {.per_address = 1, .loopback_too = loopback_too};
    struct mw_admission *a = NULL, *b = NULL;

    EXPECT(enter(first, &one, &a) == MW_ADMITTED);
    enum mw_admission_result result = enter(second, &one, &b);
    mw_admission_leave(&engine, a);
    mw_admission_leave(&engine, b);
    return result == MW_ADMISSION_ADDRESS_FULL;
}

static void test_addresses(void)
{
    begin("one address: IPv4 by address, IPv6 by network of 64 bits");
    EXPECT(is_same("192.0.2.1", "192.0.2.1", false));
    EXPECT(!is_same("192.0.2.1", "192.0.2.2", false));
    EXPECT(is_same("192.0.2.1", "::ffff:192.0.2.1", false));
    EXPECT(!is_same("::ffff:192.0.2.1", "::ffff:192.0.2.2", false));
    EXPECT(is_same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", false));
    EXPECT(!is_same("2001:db8:1:2::1", "2001:db8:1:3::1", false));
    EXPECT(!is_same("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::", false));
    end();
    begin("loopback and Unix sockets count only when a limit says so");
    static const char *const local[] = {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "unix"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        EXPECT(!is_same(local[i], local[i], false));
        EXPECT(is_same(local[i], local[i], true));
        for (size_t j = 0; j < 3; j++)
            EXPECT(i == j || i == 3 || !is_same(local[i], local[j], true));
    }
    EXPECT(is_same("127.0.0.1", "::ffff:127.0.0.1", true));
    end();
}

static void test_counts(void)
{
    const struct mw_admission_limits limits = {.total = 5, .per_address = 3};
    const struct mw_admission_limits none = {0};
    struct mw_admission *all[MANY] = {NULL}, *more = NULL;

    begin("max_per_address and max_connections: as many, no more, and again when one has left");
    for (size_t i = 0; i < 3; i++)
        EXPECT(enter("192.0.2.1", &limits, &all[i]) == MW_ADMITTED);
    EXPECT(enter("192.0.2.1", &limits, &more) == MW_ADMISSION_ADDRESS_FULL);
    EXPECT(strstr(logged(), "1 connection from 192.0.2.1 refused: max_per_address = 3\n") != NULL);
    for (size_t i = 3; i < 5; i++)
        EXPECT(enter("2001:db8::1", &limits, &all[i]) == MW_ADMITTED);
    EXPECT(enter("2001:db8::2", &limits, &more) == MW_ADMISSION_FULL);
    EXPECT(strstr(logged(), "1 connection refused with 503: max_connections = 5\n") != NULL);
    mw_admission_leave(&engine, all[0]);
    EXPECT(enter("192.0.2.1", &limits, &all[0]) == MW_ADMITTED);
    for (size_t i = 0; i < 5; i++)
        mw_admission_leave(&engine, all[i]);
    end();

    begin("0 is no limit");
    for (size_t i = 0; i < MANY; i++)
        EXPECT(enter("192.0.2.1", &none, &all[i]) == MW_ADMITTED);
    for (size_t i = 0; i < MANY; i++)
        mw_admission_leave(&engine, all[i]);
    EXPECT(!*logged());
    end();
}

/* Comes and goes at once. */
static bool passes(const char *address, const struct mw_admission_limits *limits)
{
    struct mw_admission *admission = NULL;
    bool good = enter(address, limits, &admission) == MW_ADMITTED;

    mw_admission_leave(&engine, admission);
    return good;
}

static void test_connects(void)
{
    const struct mw_admission_limits limits = {.connects_per_address = 3};
    const struct mw_admission_limits loopback_too = {.connects_per_address = 1, .loopback_connects_too = true};
    struct mw_admission *stay[40] = {NULL};

    begin("max_connects_per_address: within a second, also of those that have left, and no longer");
    for (int i = 0; i < 3; i++)
        EXPECT(passes("192.0.2.1", &limits));
    EXPECT(!passes("192.0.2.1", &limits));
    EXPECT(passes("192.0.2.2", &limits));
    engine.now_ms += 999;
    EXPECT(!passes("192.0.2.1", &limits));
    engine.now_ms += 1;
    for (int i = 0; i < 3; i++)
        EXPECT(passes("192.0.2.1", &limits));
    EXPECT(!passes("192.0.2.1", &limits));
    end();

    begin("max_connects_per_address does not care how many stay");
    for (size_t i = 0; i < 40; i++) {
        engine.now_ms += 400;
        EXPECT(enter("2001:db8::1", &limits, &stay[i]) == MW_ADMITTED);
    }
    for (size_t i = 0; i < 40; i++)
        mw_admission_leave(&engine, stay[i]);
    end();

    begin("max_connects_per_address lets loopback pass unless it is meant too");
    for (int i = 0; i < 10; i++)
        EXPECT(passes("127.0.0.1", &limits) && passes("unix", &limits));
    EXPECT(passes("127.0.0.1", &loopback_too) && !passes("127.0.0.1", &loopback_too));
    end();
}

static void test_log(void)
{
    const struct mw_admission_limits limits = {.connects_per_address = 1};
    struct mw_admission *stays = NULL;

    begin("the log: the first refusal at once, then one line in ten seconds with the number");
    EXPECT(enter("2001:db8:1:2:3:4:5:6", &limits, &stays) == MW_ADMITTED);
    for (int i = 0; i < 100; i++)
        EXPECT(!passes("2001:db8:1:2::9", &limits));
    EXPECT(strstr(logged(), "1 connection from 2001:db8:1:2::/64 refused: max_connects_per_address = 1\n") != NULL);
    engine.now_ms += 10000;
    EXPECT(passes("2001:db8:1:2::9", &limits));
    for (int i = 0; i < 50; i++)
        EXPECT(!passes("2001:db8:1:2::9", &limits));
    const char *text = logged();
    EXPECT(strstr(text, "warning: 100 connections from 2001:db8:1:2::/64 refused") != NULL);
    EXPECT(strchr(text, '\n') == text + strlen(text) - 1);
    mw_admission_leave(&engine, stays);
    EXPECT(!*logged());
    engine.now_ms += 9999;
    EXPECT(passes("192.0.2.1", &limits) && !*logged());
    engine.now_ms += 1;
    EXPECT(passes("192.0.2.2", &limits));
    EXPECT(strstr(logged(), "49 connections from 2001:db8:1:2::/64 refused") != NULL);
    end();
}

static void test_memory(void)
{
    const struct mw_admission_limits limits = {.connects_per_address = 1};
    char address[INET_ADDRSTRLEN];

    begin("of those that have left only so many are remembered, the last ones");
    EXPECT(passes("192.0.2.1", &limits) && !passes("192.0.2.1", &limits));
    for (int i = 0; i < MANY; i++) {
        snprintf(address, sizeof address, "10.0.%d.%d", i / 256, i % 256);
        EXPECT(passes(address, &limits));
    }
    EXPECT(!passes(address, &limits));
    EXPECT(passes("192.0.2.1", &limits));
    end();
}

int main(void)
{
    /* The log goes into a file; what fails here is still told on standard error. */
    stderr = fdopen(dup(STDERR_FILENO), "w");
    lines = tmpfile();
    if (!stderr || !lines || dup2(fileno(lines), STDERR_FILENO) < 0)
        abort();
    setvbuf(stderr, NULL, _IONBF, 0);
    /* First: of the same line the log takes only so many within a few seconds. */
    test_log();
    test_counts();
    test_addresses();
    test_connects();
    test_memory();
    return check_done();
}
