/* connection.h - one WebSocket, server or client side, from the end of the opening handshake to its close event.
 * Owns its socket, its send queue, the message being put together and its compression state. Borrows the engine and its
 * settings, which must outlive it. Calls up through struct mw_connection_events only. Never blocks, never names Lua. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_CONNECTION_H
#define MW_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/queue.h"
#include "base/utf8.h"
#include "net/deflate.h"
#include "net/ending.h"
#include "net/engine.h"
#include "net/frame.h"
#include "net/socket.h"

enum mw_slow_policy { MW_SLOW_CLOSE, MW_SLOW_DROP, MW_SLOW_LATEST };

/* What a route or a client sets; shared by its connections. Times in milliseconds, 0: off. */
struct mw_connection_settings {
    uint64_t max_payload;
    uint32_t max_fragments;
    uint32_t max_control_per_second;
    size_t max_backpressure;
    size_t high_water;
    enum mw_slow_policy slow;
    uint32_t ping_interval_ms;
    uint32_t pong_timeout_ms;
    uint32_t idle_timeout_ms;
    uint32_t close_timeout_ms;
    uint32_t write_timeout_ms;
    struct mw_deflate_options deflate;
};

void mw_connection_settings_default(struct mw_connection_settings *settings);

struct mw_connection;

struct mw_connection_events {
    /* About to parse: calls step(arg), during which messages come, from wherever it is cheap to handle many of them. It may
     * come back before the step has ended: the step then is never continued, but called again. False: it was not called. */
    bool (*gather)(void *owner, void (*step)(void *arg), void *arg);
    /* One whole message. `data` is valid during the call. */
    void (*message)(void *owner, const uint8_t *data, size_t len, bool text);
    /* The queue fell below the high-water mark after a send that said MW_SEND_BACKPRESSURE, or a publication was kept back. */
    void (*drain)(void *owner);
    /* A publication did not fit and was dropped: one whole frame. */
    void (*dropped)(void *owner, const uint8_t *data, size_t len);
    void (*pong)(void *owner, const uint8_t *data, size_t len);
    /* Exactly once, last, never from inside another call: the connection is gone when it returns. */
    void (*closed)(void *owner, const struct mw_ending *ending);
};

enum mw_ready_state { MW_CONNECTING, MW_OPEN, MW_CLOSING, MW_CLOSED };

/* A message in parts: the tail of a frame cut by the end of a read, and the fragments so far. Made when needed. */
struct mw_assembly {
    struct mw_buffer carry;   /* bytes received and not parsed */
    struct mw_buffer message; /* payload of the fragments so far, inflated */
    struct mw_utf8 utf8;
    uint32_t fragments;
    uint8_t opcode; /* of the message; 0: none is open */
    bool compressed;
};

struct mw_connection {
    /* What every message touches comes first: with thousands of connections each line of it has to be fetched anew. */
    struct mw_turn_item turn; /* first: flushing at the end of the turn */
    struct mw_engine *engine;
    struct mw_socket *socket;
    const struct mw_connection_settings *settings;
    const struct mw_connection_events *events;
    void *owner;
    struct mw_assembly *assembly;
    struct mw_deflate *deflate;
    uint32_t received_ms; /* when bytes last came, loop time cut to 32 bits */
    uint32_t message_ms;  /* when a message last came or went */
    uint8_t state;        /* enum mw_ready_state */
    bool is_client : 1;
    bool reading : 1;      /* inside the parser: flush after it */
    bool last_of_read : 1; /* … and nothing lies behind the message that is being handled */
    bool paused : 1;
    bool choked : 1; /* the kernel refused bytes; waiting for room */
    bool deaf : 1;   /* the kernel takes no more bytes, ever */
    bool want_drain : 1;
    bool awaiting_pong : 1;
    bool pong_overdue : 1;
    bool ping_waits : 1; /* the ping was sent behind other bytes that the peer has yet to take */
    bool close_sent : 1;
    bool close_received : 1;
    bool reset : 1;  /* end without good-bye */
    bool failed : 1; /* the peer broke the rules: it may still be sending */
    uint8_t close_reason_len;
    uint8_t rule;         /* enum mw_ending_rule: why it ends */
    uint8_t began;        /* … and for which it was being closed before that */
    uint8_t system_error; /* errno of a connection that broke */
    struct mw_queue queue;
    struct mw_wheel_node timer;
    char *close_reason;
    uint32_t pinged_ms;
    uint32_t progress_ms; /* when the kernel last took bytes */
    uint32_t taken;       /* how many bytes the peer had taken at the last look at it */
    uint32_t ping_taken;  /* … at the last look at our ping */
    uint32_t ping_end;    /* … when it will have our ping */
    uint32_t closing_ms;
    uint32_t control_second; /* control frames are counted per second */
    uint16_t control_count;
    uint16_t close_code;
};

/* Takes over the socket; `early` are bytes that came behind the opening handshake. `params` NULL: no compression.
 * NULL when memory is short: the socket is closed then. */
struct mw_connection *mw_connection_new(struct mw_socket *socket, bool is_client,
                                        const struct mw_connection_settings *settings,
                                        const struct mw_deflate_params *params,
                                        const struct mw_connection_events *events, void *owner);
/* Queues bytes that go before the first frame: the server's 101. */
void mw_connection_preface(struct mw_connection *connection, const void *data, size_t len);
/* Writes what is queued before the turn ends. For the 101, which waits for nothing: when hundreds connect in one turn, its
 * memory is taken again at once. */
void mw_connection_write_now(struct mw_connection *connection);
/* Starts reading: first `early`, then the socket. Call it after the owner's open handler ran. */
void mw_connection_start(struct mw_connection *connection, const uint8_t *early, size_t len);

enum mw_send_result { MW_SEND_QUEUED, MW_SEND_BACKPRESSURE, MW_SEND_FULL, MW_SEND_CLOSED };

/* Queues one message (RFC 6455 §5.6); text must be UTF-8, which the caller has checked. */
enum mw_send_result mw_connection_send(struct mw_connection *connection, const void *data, size_t len, bool text);
/* Queues whole frames that many connections share: bytes [from, to) of `message`, `compressed` or not. Server side only. */
enum mw_send_result mw_connection_share(struct mw_connection *connection, struct mw_message *message, uint32_t from,
                                        uint32_t to, bool compressed);
/* At most 125 bytes. */
enum mw_send_result mw_connection_ping(struct mw_connection *connection, const void *data, size_t len);
/* Starts the close handshake (§7.1.2): a valid code (or MW_CLOSE_NO_STATUS) and at most 123 bytes of UTF-8. */
void mw_connection_close(struct mw_connection *connection, enum mw_ending_rule rule, unsigned code, const char *reason,
                         size_t len);
/* Ends it now, without a handshake: code 1006. */
void mw_connection_terminate(struct mw_connection *connection, enum mw_ending_rule rule, const char *reason);
/* Stops or continues delivering messages; TCP slows the peer down meanwhile. */
void mw_connection_pause(struct mw_connection *connection, bool on);

/* Between the files of the connection (receive.c, send.c, connection.c). */
/* Sets the timer to whichever of its time limits comes first. */
void mw_connection_arm(struct mw_connection *connection);
void mw_connection_readable(void *owner);
void mw_connection_receive_pending(struct mw_connection *connection);
void mw_connection_writable(void *owner);
void mw_connection_flush(struct mw_connection *connection);
/* Ping, pong and close: at most 125 bytes, never dropped. */
void mw_connection_send_control(struct mw_connection *connection, enum mw_opcode opcode, const void *data, size_t len);
/* A rule was broken, mostly by the peer: Close with the rule's code, then the end (§7.1.7). */
void mw_connection_fail(struct mw_connection *connection, enum mw_ending_rule rule, const char *reason);
void mw_connection_peer_close(struct mw_connection *connection, const uint8_t *payload, size_t len);
void mw_connection_pong(struct mw_connection *connection, const uint8_t *payload, size_t len);
/* A read or a write said that the stream is over: MW_SOCKET_EOF, or MW_SOCKET_ERROR with errno set. */
void mw_connection_lost(struct mw_connection *connection, ssize_t result);
/* The end, with the code and the reason that are remembered. */
void mw_connection_end(struct mw_connection *connection);

#endif
