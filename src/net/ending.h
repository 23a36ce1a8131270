/* ending.h - why a WebSocket ended: the rule or the timer, by whom, and what was known at that moment.
 * The one list of these rules: their names (in ws.ending, the log and the metrics) are promises to scripts and dashboards. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_ENDING_H
#define MW_NET_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum mw_ending_rule {
    MW_ENDING_NONE,
    MW_ENDING_PEER_CLOSED,
    MW_ENDING_PEER_VANISHED,
    MW_ENDING_CLOSED_BY_SCRIPT,
    MW_ENDING_TERMINATED_BY_SCRIPT,
    MW_ENDING_MAX_PAYLOAD,
    MW_ENDING_MAX_FRAGMENTS,
    MW_ENDING_MAX_CONTROL_PER_SECOND,
    MW_ENDING_PROTOCOL_ERROR,
    MW_ENDING_BAD_UTF8,
    MW_ENDING_BAD_DEFLATE,
    MW_ENDING_PONG_TIMEOUT,
    MW_ENDING_IDLE_TIMEOUT,
    MW_ENDING_CLOSE_TIMEOUT,
    MW_ENDING_WRITE_TIMEOUT,
    MW_ENDING_HEARTBEAT_TIMEOUT,
    MW_ENDING_SLOW_CONSUMER,
    MW_ENDING_HANDLER_ERROR,
    MW_ENDING_HANDLER_LIMIT,
    MW_ENDING_MEMORY_LIMIT,
    MW_ENDING_OUT_OF_MEMORY,
    MW_ENDING_SHUTDOWN,
    MW_ENDING_RULES
};

enum { MW_ENDING_NEVER = UINT32_MAX, MW_ENDING_TEXT_MAX = 512 };

/* Times are how long ago something was when the connection ended, in milliseconds. */
struct mw_ending {
    uint8_t rule;         /* enum mw_ending_rule */
    uint8_t began;        /* … for which it was being closed already, when that is another one */
    uint8_t system_error; /* errno of a connection that broke; 0: none */
    uint8_t reason_len;
    uint16_t code;         /* as the close handler gets it */
    uint32_t queued;       /* bytes that never left */
    uint32_t received_ago; /* bytes from the peer */
    uint32_t message_ago;  /* a message, either way */
    uint32_t pinged_ago;   /* a ping of moonwire's own; MW_ENDING_NEVER */
    const char *reason;    /* likewise; not terminated. NULL: none */
};

struct mw_connection_settings;

/* lower_snake_case; NULL for what is no rule. */
const char *mw_ending_name(unsigned rule);
/* The rule of that name, or MW_ENDING_NONE. */
enum mw_ending_rule mw_ending_find(const char *name);
/* The close code that belongs to a rule which fails a connection. */
unsigned mw_ending_code(enum mw_ending_rule rule);
/* Whose doing it was: the peer's, or ours. */
bool mw_ending_by_peer(const struct mw_ending *ending);
/* Whether somebody who runs the program should read of it, and how urgently. Handlers that failed are told elsewhere. */
bool mw_ending_is_logged(const struct mw_ending *ending, const struct mw_connection_settings *settings,
                         enum mw_log_level *level);
/* One sentence, without a full stop, with the limit that was reached. Returns `out`. */
const char *mw_ending_text(const struct mw_ending *ending, const struct mw_connection_settings *settings, char *out,
                           size_t size);

#endif
