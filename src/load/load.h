/* load.h - the load generator: many WebSockets to one server, driven by one thread and an epoll loop of its own.
 * `mw_load_run` blocks its thread until the run is over. Owns everything it opens, and leaves nothing open. Knows
 * nothing of Lua and of the process's event loop. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_LOAD_LOAD_H
#define MW_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mw_load_mode {
    MW_LOAD_ECHO,    /* each connection has its messages sent back */
    MW_LOAD_FANOUT,  /* connection 0 publishes, everybody is sent everything */
    MW_LOAD_IDLE,    /* connections that say nothing */
    MW_LOAD_CONNECT, /* opening handshakes */
};

struct mw_load_options {
    enum mw_load_mode mode;
    const char *host; /* a name or an address */
    uint16_t port;
    const char *host_header;
    const char *target; /* path and query */
    size_t connections; /* at least 1 */
    size_t depth;       /* at least 1: messages in flight on each connection; fan-out: publications */
    size_t size;        /* payload of each message; fan-out: at least 1 */
    double seconds;     /* measured, */
    double warmup_s;    /* after so many that are not */
    bool text;
    size_t addresses; /* source addresses; 0: as many as the connections need */
    const pid_t *pids;
    size_t pid_count;
};

struct mw_load_result {
    double seconds;    /* really measured */
    uint64_t messages; /* that came back; fan-out: deliveries; connect: handshakes */
    double p50_us, p99_us, p999_us, max_us;
    double client_cpu; /* share of one core */
    double server_cpu; /* the same, and what follows: only with pids */
    double server_cpu_s;
    uint64_t memory_kib;        /* at the end; idle: with all connections open */
    uint64_t memory_before_kib; /* idle: without any */
};

enum mw_load_fault {
    MW_LOAD_FINE,
    MW_LOAD_BAD_USE, /* can't be done on this machine; the sentence begins with the name of the option */
    MW_LOAD_BAD_SERVER,
};

enum { MW_LOAD_WHY_MAX = 512, MW_LOAD_CONNECTIONS_PER_ADDRESS = 20000 };

/* Anything but MW_LOAD_FINE comes with a sentence in `why` (MW_LOAD_WHY_MAX bytes), and `result` means nothing. */
enum mw_load_fault mw_load_run(const struct mw_load_options *options, struct mw_load_result *result, char *why);

#endif
