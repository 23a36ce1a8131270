/* run.h - one run of the load generator, as its parts share it: the connections, the frames, what was counted. Internal
 * to src/load. `load.c` owns it all and turns the loop; `opening.c` brings connections up to their first frame,
 * `traffic.c` has them from there on. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_LOAD_RUN_H
#define MW_LOAD_RUN_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "load/frames.h"
#include "load/histogram.h"
#include "load/load.h"
#include "net/handshake.h"

enum { MW_LOAD_READ_SIZE = 1 << 20, MW_LOAD_ANSWER_MAX = 16384, MW_LOAD_REQUEST_MAX = 16384 };

enum mw_load_state { MW_LOAD_CLOSED, MW_LOAD_CONNECTING, MW_LOAD_UPGRADING, MW_LOAD_OPEN };

/* Bytes that wait for the rest of what they belong to: the head of an answer, a control frame. Rare. */
struct mw_load_scrap {
    size_t len;
    uint8_t data[MW_LOAD_ANSWER_MAX];
};

struct mw_load_pong; /* the answer to a Ping that has not left yet; traffic.c's */

struct mw_load_connection {
    int fd;
    enum mw_load_state state;
    bool watches_writing;
    uint32_t at_in;  /* bytes of the incoming frame that were read */
    uint32_t at_out; /* bytes of the outgoing frame that were written */
    uint64_t due;    /* bytes to be written */
    uint64_t sent;   /* messages, the due ones included */
    uint64_t received;
    uint64_t began_ns; /* connect mode: when the connection was begun */
    uint64_t *stamps;  /* when the messages in flight were sent: a ring of run->ring; NULL when it sends none */
    struct mw_load_scrap *scrap;
    struct mw_load_pong *pong;
};

struct mw_load_run {
    const struct mw_load_options *options;
    int epoll;
    struct sockaddr_storage address; /* of the server */
    socklen_t address_len;
    char address_text[INET6_ADDRSTRLEN + 16];
    size_t source_addresses;

    struct mw_load_connection *connections;
    size_t next;    /* the next one to be opened */
    size_t opening; /* how many are between their begin and their 101 */
    size_t opened;  /* how many have had it */

    char request[MW_LOAD_REQUEST_MAX]; /* the opening handshake, the same for all */
    size_t request_len;
    char key[MW_WS_KEY_LEN + 1];
    char answer[MW_LOAD_ANSWER_MAX]; /* the last one that was checked: the next is mostly the same */
    size_t answer_len;
    struct mw_http_head head; /* scratch of the check */

    struct mw_load_frames frames;
    uint8_t *read_buffer;
    uint64_t *stamps;     /* of all connections */
    size_t ring;          /* a power of two, at least the depth */
    uint32_t *deliveries; /* fan-out: how many have got each publication in flight; a ring */
    bool comparing;       /* every byte that comes, not only headers */

    uint64_t counted;
    struct mw_histogram latency;

    enum mw_load_fault fault;
    char *why;
};

static inline uint64_t mw_load_now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The number by which messages to people call a connection. */
static inline size_t mw_load_index(const struct mw_load_run *run, const struct mw_load_connection *connection)
{
    return (size_t)(connection - run->connections);
}

/* Ends the run. The first fault counts; later ones are mostly its consequences. */
void mw_load_fail(struct mw_load_run *run, enum mw_load_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds the descriptor to the epoll set or changes what it is watched for; `op` as for epoll_ctl. */
void mw_load_watch(struct mw_load_run *run, struct mw_load_connection *connection, int op, uint32_t events);

/* ---- opening.c ---- */

/* Finds the server's address and writes the request. */
bool mw_load_prepare_opening(struct mw_load_run *run);
/* Begins to open further connections, as many at a time as is decent. */
void mw_load_open_more(struct mw_load_run *run);
/* Something happened on a connection that is not open yet. */
void mw_load_continue_opening(struct mw_load_run *run, struct mw_load_connection *connection);
/* With a reset, so that neither side keeps the port for a while. */
void mw_load_close(struct mw_load_connection *connection);

/* ---- traffic.c ---- */

/* Sends `count` further messages, or as much of them as the kernel takes now. */
void mw_load_submit(struct mw_load_run *run, struct mw_load_connection *connection, uint64_t count, uint64_t now_ns);
/* Something happened on an open connection. */
void mw_load_continue_traffic(struct mw_load_run *run, struct mw_load_connection *connection);
/* These bytes have come. */
void mw_load_take(struct mw_load_run *run, struct mw_load_connection *connection, const uint8_t *data, size_t len);

#endif
