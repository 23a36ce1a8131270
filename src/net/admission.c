/* admission.c - see admission.h. */
/* SPDX-License-Identifier: MIT */
#include "net/admission.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

struct mw_admission {
    struct mw_admission *next;
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d; Unix sockets as :: */
    size_t count;
};

struct mw_admissions {
    size_t total;
    struct mw_admission *buckets[BUCKETS];
};

struct mw_admissions *mw_admissions_new(void)
{
    return calloc(1, sizeof(struct mw_admissions));
}

void mw_admissions_free(struct mw_admissions *admissions)
{
    free(admissions);
}

size_t mw_admissions_total(const struct mw_engine *engine)
{
    return engine->admissions->total;
}

static struct in6_addr key_of(const struct sockaddr *peer)
{
    struct in6_addr key = IN6ADDR_ANY_INIT;

    if (peer->sa_family == AF_INET6) {
        key = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    } else if (peer->sa_family == AF_INET) {
        key.s6_addr[10] = key.s6_addr[11] = 0xff;
        memcpy(&key.s6_addr[12], &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    }
    return key;
}

static bool is_local(const struct in6_addr *key)
{
    return IN6_IS_ADDR_UNSPECIFIED(key) || IN6_IS_ADDR_LOOPBACK(key) ||
           (IN6_IS_ADDR_V4MAPPED(key) && key->s6_addr[12] == 127);
}

static struct mw_admission **bucket_of(struct mw_admissions *admissions, const struct in6_addr *key)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof key->s6_addr; i++)
        hash = (hash ^ key->s6_addr[i]) * 16777619u;
    return &admissions->buckets[hash % BUCKETS];
}

enum mw_admission_result mw_admission_enter(struct mw_engine *engine, const struct sockaddr *peer,
                                            const struct mw_admission_limits *limits, struct mw_admission **admission)
{
    struct mw_admissions *admissions = engine->admissions;
    struct in6_addr key = key_of(peer);
    struct mw_admission **bucket = bucket_of(admissions, &key), *entry = *bucket;

    if (limits->total && admissions->total >= limits->total)
        return MW_ADMISSION_FULL;
    while (entry && memcmp(&entry->address, &key, sizeof key) != 0)
        entry = entry->next;
    if (entry && limits->per_address && entry->count >= limits->per_address &&
        (limits->loopback_too || !is_local(&key)))
        return MW_ADMISSION_ADDRESS_FULL;
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry)
            return MW_ADMISSION_FULL;
        entry->address = key;
        entry->next = *bucket;
        *bucket = entry;
    }
    entry->count++;
    admissions->total++;
    *admission = entry;
    return MW_ADMITTED;
}

void mw_admission_leave(struct mw_engine *engine, struct mw_admission *admission)
{
    if (!admission)
        return;
    engine->admissions->total--;
    if (--admission->count)
        return;
    struct mw_admission **link = bucket_of(engine->admissions, &admission->address);
    while (*link != admission)
        link = &(*link)->next;
    *link = admission->next;
    free(admission);
}
