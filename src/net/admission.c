/* admission.c - see admission.h. */
/* SPDX-License-Identifier: MIT */
#include "net/admission.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/tally.h"
#include "net/address.h"

enum {
    BUCKETS = 1024,
    SECOND_MS = 1000,
    IDLE_MS = MW_TALLY_QUIET_MS, /* how long an address without connections is remembered */
    IDLE_MAX = 4096,             /* addresses without connections; beyond, the oldest is forgotten */
};

struct mw_admission {
    struct mw_admission *next;
    TAILQ_ENTRY(mw_admission) idle; /* while `count` is 0 */
    uint64_t idle_ms;
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d; IPv6 without its last 64 bits; Unix sockets as :: */
    size_t count;
    uint64_t second_ms; /* when the second began that `connects` are of */
    size_t connects;
    bool remembered; /* connections were counted by the second */
    struct mw_tally refused;
    const char *limit; /* the one by which the last was refused */
    size_t limit_value;
};

struct mw_admissions {
    size_t total;
    uint32_t seed; /* so that nobody can choose addresses that share a bucket */
    struct mw_tally refused;
    TAILQ_HEAD(mw_admission_list, mw_admission) idle; /* the one that has been idle for longest comes first */
    size_t idle_count;
    struct mw_admission *buckets[BUCKETS];
};

struct mw_admissions *mw_admissions_new(void)
{
    struct mw_admissions *admissions = calloc(1, sizeof *admissions);

    if (!admissions)
        return NULL;
    if (uv_random(NULL, NULL, &admissions->seed, sizeof admissions->seed, 0, NULL))
        admissions->seed = 2166136261u;
    TAILQ_INIT(&admissions->idle);
    return admissions;
}

size_t mw_admissions_total(const struct mw_engine *engine)
{
    return engine->admissions->total;
}

/* ---- addresses ---- */

static bool is_local(const struct in6_addr *address)
{
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static struct in6_addr key_of(const struct sockaddr *peer)
{
    struct in6_addr key = IN6ADDR_ANY_INIT;

    if (peer->sa_family == AF_INET6) {
        key = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&key) && !is_local(&key))
            memset(&key.s6_addr[8], 0, 8);
    } else if (peer->sa_family == AF_INET) {
        key.s6_addr[10] = key.s6_addr[11] = 0xff;
        memcpy(&key.s6_addr[12], &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    }
    return key;
}

static struct mw_admission **bucket_of(struct mw_admissions *admissions, const struct in6_addr *key)
{
    uint32_t hash = admissions->seed;

    for (size_t i = 0; i < sizeof key->s6_addr; i++)
        hash = (hash ^ key->s6_addr[i]) * 16777619u;
    return &admissions->buckets[(hash ^ hash >> 16) % BUCKETS];
}

/* ---- the log ---- */

static void tell_refused(const struct mw_admission *entry, size_t count)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    const struct in6_addr *key = &entry->address;
    bool is_network = !IN6_IS_ADDR_V4MAPPED(key) && !is_local(key);
    char text[INET6_ADDRSTRLEN];
    int port;

    if (!IN6_IS_ADDR_UNSPECIFIED(key)) {
        address.ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)&address)->sin6_addr, key, sizeof *key);
    }
    mw_address_format(&address, text, sizeof text, &port);
    mw_log(MW_LOG_WARNING, "%zu connection%s from %s%s refused: %s = %zu", count, count == 1 ? "" : "s", text,
           is_network ? "/64" : "", entry->limit, entry->limit_value);
}

static void refuse(struct mw_admission *entry, const char *limit, size_t value, uint64_t now_ms)
{
    size_t count = mw_tally_add(&entry->refused, now_ms);

    entry->limit = limit;
    entry->limit_value = value;
    if (count)
        tell_refused(entry, count);
}

static enum mw_admission_result refuse_all(struct mw_admissions *admissions, size_t limit, uint64_t now_ms)
{
    size_t count = mw_tally_add(&admissions->refused, now_ms);

    if (count)
        mw_log(MW_LOG_WARNING, "%zu connection%s refused with 503: max_connections = %zu", count, count == 1 ? "" : "s",
               limit);
    return MW_ADMISSION_FULL;
}

/* ---- entries ---- */

static struct mw_admission *find(struct mw_admissions *admissions, const struct in6_addr *key)
{
    struct mw_admission **bucket = bucket_of(admissions, key), *entry = *bucket;

    while (entry && memcmp(&entry->address, key, sizeof *key) != 0)
        entry = entry->next;
    return entry;
}

static struct mw_admission *add(struct mw_admissions *admissions, const struct in6_addr *key)
{
    struct mw_admission **bucket = bucket_of(admissions, key), *entry = calloc(1, sizeof *entry);

    if (!entry)
        return NULL;
    entry->address = *key;
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void forget(struct mw_admissions *admissions, struct mw_admission *entry)
{
    struct mw_admission **link = bucket_of(admissions, &entry->address);

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    if (entry->refused.count)
        tell_refused(entry, entry->refused.count);
    free(entry);
}

static void leave_idle(struct mw_admissions *admissions, struct mw_admission *entry)
{
    TAILQ_REMOVE(&admissions->idle, entry, idle);
    admissions->idle_count--;
}

/* Forgets who has been idle for long, the longest first, or all. */
static void forget_idle(struct mw_admissions *admissions, uint64_t now_ms, bool all)
{
    struct mw_admission *entry;

    while ((entry = TAILQ_FIRST(&admissions->idle)) &&
           (all || admissions->idle_count > IDLE_MAX || now_ms - entry->idle_ms >= IDLE_MS)) {
        leave_idle(admissions, entry);
        forget(admissions, entry);
    }
}

void mw_admissions_free(struct mw_admissions *admissions)
{
    if (admissions)
        forget_idle(admissions, 0, true);
    free(admissions);
}

/* ---- coming and going ---- */

static bool is_too_fast(struct mw_admission *entry, size_t limit, uint64_t now_ms)
{
    if (!entry->remembered || now_ms - entry->second_ms >= SECOND_MS) {
        entry->remembered = true;
        entry->second_ms = now_ms;
        entry->connects = 0;
    }
    return ++entry->connects > limit;
}

enum mw_admission_result mw_admission_enter(struct mw_engine *engine, const struct sockaddr *peer,
                                            const struct mw_admission_limits *limits, struct mw_admission **admission)
{
    struct mw_admissions *admissions = engine->admissions;
    uint64_t now_ms = mw_engine_now_ms(engine);
    struct in6_addr key = key_of(peer);
    bool is_remote = !is_local(&key);
    size_t most = is_remote || limits->loopback_too ? limits->per_address : 0;
    size_t connects = is_remote || limits->loopback_connects_too ? limits->connects_per_address : 0;

    forget_idle(admissions, now_ms, false);
    if (limits->total && admissions->total >= limits->total)
        return refuse_all(admissions, limits->total, now_ms);
    struct mw_admission *entry = find(admissions, &key);
    if (entry && most && entry->count >= most) {
        refuse(entry, "max_per_address", most, now_ms);
        return MW_ADMISSION_ADDRESS_FULL;
    }
    if (!entry && !(entry = add(admissions, &key))) {
        mw_log(MW_LOG_ERROR, "not enough memory for a connection: it is turned away");
        return MW_ADMISSION_FULL;
    }
    bool was_idle = entry->remembered && !entry->count;
    if (connects && is_too_fast(entry, connects, now_ms)) {
        refuse(entry, "max_connects_per_address", connects, now_ms);
        return MW_ADMISSION_TOO_FAST;
    }
    if (was_idle)
        leave_idle(admissions, entry);
    entry->count++;
    admissions->total++;
    *admission = entry;
    return MW_ADMITTED;
}

void mw_admission_leave(struct mw_engine *engine, struct mw_admission *admission)
{
    struct mw_admissions *admissions = engine->admissions;

    if (!admission)
        return;
    admissions->total--;
    if (--admission->count)
        return;
    if (!admission->remembered) {
        forget(admissions, admission);
        return;
    }
    admission->idle_ms = mw_engine_now_ms(engine);
    TAILQ_INSERT_TAIL(&admissions->idle, admission, idle);
    admissions->idle_count++;
}
