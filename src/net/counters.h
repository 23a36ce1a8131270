/* counters.h - what a running moonwire counts, for whoever watches it: plain numbers that only grow, in the engine.
 * Counting is one addition where something happens; nothing here is looked at on the way of a message. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_COUNTERS_H
#define MW_NET_COUNTERS_H

#include <stdint.h>

#include "net/ending.h"

enum mw_refusal {
    MW_REFUSED_CONNECTIONS,
    MW_REFUSED_ADDRESS,
    MW_REFUSED_CONNECTS,
    MW_REFUSED_DESCRIPTORS,
    MW_REFUSALS
};

enum { MW_STATUS_CLASSES = 6, MW_TIME_BUCKETS = 16 };

struct mw_counters {
    uint64_t messages_received; /* whole ones, of WebSockets of both sides */
    uint64_t messages_sent;     /* queued; a publication counts once for each receiver */
    uint64_t bytes_received;    /* of all connections; TLS: inside of it */
    uint64_t bytes_sent;
    uint64_t publications;
    uint64_t turns; /* of the loop */
    uint64_t accepted;
    uint64_t refused[MW_REFUSALS];
    uint64_t websockets_opened[2];         /* server, client */
    uint64_t ended[MW_ENDING_RULES];       /* WebSockets, by rule */
    uint64_t responses[MW_STATUS_CLASSES]; /* by the first digit of their status */
    uint64_t tls_accepted;
    uint64_t tls_failed;
    uint64_t handler_errors;
    /* Handlers' times, while somebody wants them. The last bucket has what is longer than all bounds. */
    uint64_t handler_times[MW_TIME_BUCKETS + 1];
    uint64_t handler_ns;
};

/* Upper bounds of the buckets, in nanoseconds. */
extern const uint64_t mw_time_bounds[MW_TIME_BUCKETS];
void mw_counters_handled(struct mw_counters *counters, uint64_t ns);
/* A response begins with these bytes. */
void mw_counters_response(struct mw_counters *counters, const char *head, size_t len);

#endif
