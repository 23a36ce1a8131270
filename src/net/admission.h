/* admission.h - how many accepted connections there are, in all and from each address, and how fast they come.
 * Owns one small entry per address that is connected, or was until a moment ago. An address is one of IPv4, or a network
 * of 64 bits of IPv6, because whoever has one address of such a network has all of them. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_ADMISSION_H
#define MW_NET_ADMISSION_H

#include <stddef.h>
#include <sys/socket.h>

#include "net/engine.h"

struct mw_admission; /* one address */

/* Loopback peers, often a proxy in front of us, are not limited per address, unless a limit says `loopback` too. */
struct mw_admission_limits {
    size_t total;                /* accepted connections of the process; 0: no limit */
    size_t per_address;          /* 0: no limit */
    size_t connects_per_address; /* within a second; 0: no limit */
    bool loopback_too;
    bool loopback_connects_too;
};

enum mw_admission_result { MW_ADMITTED, MW_ADMISSION_FULL, MW_ADMISSION_ADDRESS_FULL, MW_ADMISSION_TOO_FAST };

struct mw_admissions *mw_admissions_new(void);
void mw_admissions_free(struct mw_admissions *admissions);
size_t mw_admissions_total(const struct mw_engine *engine);
/* Counts one more connection; on MW_ADMITTED `*admission` must be given back once. Refusals are logged, once in a while and
 * with their number. */
enum mw_admission_result mw_admission_enter(struct mw_engine *engine, const struct sockaddr *peer,
                                            const struct mw_admission_limits *limits, struct mw_admission **admission);
/* NULL is fine. */
void mw_admission_leave(struct mw_engine *engine, struct mw_admission *admission);

#endif
