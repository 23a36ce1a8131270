/* ending.c - see ending.h. */
/* SPDX-License-Identifier: MIT */
#include "net/ending.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/connection.h"

/* What becomes of an ending in the log. */
enum told { QUIET, INFO, WARNING, ERROR };

struct rule {
    const char *name;
    uint16_t code; /* 0: a rule that does not fail connections */
    uint8_t told;  /* enum told */
    const char *text;
};

static const struct rule rules[MW_ENDING_RULES] = {
    [MW_ENDING_NONE] = {NULL, 0, QUIET, ""},
    [MW_ENDING_PEER_CLOSED] = {"peer_closed", 0, QUIET, "the peer closed it"},
    [MW_ENDING_PEER_VANISHED] = {"peer_vanished", 0, QUIET, "the peer closed the connection without a Close frame"},
    [MW_ENDING_CLOSED_BY_SCRIPT] = {"closed_by_script", 0, QUIET, "the script closed it"},
    [MW_ENDING_TERMINATED_BY_SCRIPT] = {"terminated_by_script", 0, QUIET, "the script terminated it"},
    [MW_ENDING_MAX_PAYLOAD] = {"max_payload", MW_CLOSE_TOO_BIG, WARNING, "a message larger than max_payload"},
    [MW_ENDING_MAX_FRAGMENTS] = {"max_fragments", MW_CLOSE_POLICY, WARNING, "too many fragments in one message"},
    [MW_ENDING_MAX_CONTROL_PER_SECOND] = {"max_control_per_second", MW_CLOSE_POLICY, WARNING,
                                          "too many control frames"},
    [MW_ENDING_PROTOCOL_ERROR] = {"protocol_error", MW_CLOSE_PROTOCOL_ERROR, WARNING, "a rule of RFC 6455 was broken"},
    [MW_ENDING_BAD_UTF8] = {"bad_utf8", MW_CLOSE_BAD_DATA, WARNING, "a text that is not UTF-8"},
    [MW_ENDING_BAD_DEFLATE] = {"bad_deflate", MW_CLOSE_BAD_DATA, WARNING,
                               "a compressed message that cannot be inflated"},
    [MW_ENDING_PONG_TIMEOUT] = {"pong_timeout", 0, INFO, "no answer to a ping in"},
    [MW_ENDING_IDLE_TIMEOUT] = {"idle_timeout", 0, QUIET, "no message in either direction for"},
    [MW_ENDING_CLOSE_TIMEOUT] = {"close_timeout", 0, INFO, "no Close frame came back in"},
    [MW_ENDING_WRITE_TIMEOUT] = {"write_timeout", 0, WARNING, "the peer took no bytes for"},
    [MW_ENDING_HEARTBEAT_TIMEOUT] = {"heartbeat_timeout", 0, WARNING, "no answer to the heartbeat in time"},
    [MW_ENDING_SLOW_CONSUMER] = {"slow_consumer", MW_CLOSE_POLICY, WARNING, "more waited to be sent than may"},
    [MW_ENDING_HANDLER_ERROR] = {"handler_error", MW_CLOSE_INTERNAL, QUIET, "a handler failed"},
    [MW_ENDING_HANDLER_LIMIT] = {"handler_limit", MW_CLOSE_INTERNAL, QUIET, "a handler took too long"},
    [MW_ENDING_MEMORY_LIMIT] = {"memory_limit", MW_CLOSE_INTERNAL, QUIET, "a handler needed too much memory"},
    [MW_ENDING_OUT_OF_MEMORY] = {"out_of_memory", MW_CLOSE_INTERNAL, ERROR, "out of memory"},
    [MW_ENDING_SHUTDOWN] = {"shutdown", 0, QUIET, "the app was closed, or the process ends"},
};

static const struct rule *rule_of(unsigned rule)
{
    return &rules[rule < MW_ENDING_RULES ? rule : MW_ENDING_NONE];
}

const char *mw_ending_name(unsigned rule)
{
    return rule_of(rule)->name;
}

enum mw_ending_rule mw_ending_find(const char *name)
{
    for (unsigned rule = 1; rule < MW_ENDING_RULES; rule++) {
        if (strcmp(rules[rule].name, name) == 0)
            return (enum mw_ending_rule)rule;
    }
    return MW_ENDING_NONE;
}

unsigned mw_ending_code(enum mw_ending_rule rule)
{
    unsigned code = rule_of(rule)->code;

    return code ? code : MW_CLOSE_INTERNAL;
}

bool mw_ending_by_peer(const struct mw_ending *ending)
{
    return ending->rule == MW_ENDING_PEER_CLOSED || ending->rule == MW_ENDING_PEER_VANISHED;
}

/* The peer says that we, or somebody between, did something wrong. */
static bool is_complaint(unsigned code)
{
    return code >= MW_CLOSE_PROTOCOL_ERROR && code <= MW_CLOSE_INTERNAL && code != MW_CLOSE_NO_STATUS;
}

bool mw_ending_is_logged(const struct mw_ending *ending, const struct mw_connection_settings *settings,
                         enum mw_log_level *level)
{
    static const enum mw_log_level levels[] = {MW_LOG_INFO, MW_LOG_INFO, MW_LOG_WARNING, MW_LOG_ERROR};
    unsigned told = rule_of(ending->rule)->told;

    /* That peers come and go is everyday life, also with the last few bytes under way; that much is lost, or that one
     * complains, is not. Who does not answer a good-bye for everybody is everyday life again. */
    if (ending->rule == MW_ENDING_PEER_VANISHED && ending->queued > settings->high_water)
        told = INFO;
    else if (ending->rule == MW_ENDING_PEER_CLOSED && is_complaint(ending->code))
        told = INFO;
    else if (ending->began == MW_ENDING_SHUTDOWN && told == INFO)
        told = QUIET;
    *level = levels[told];
    return told != QUIET;
}

/* The limit that a timer's sentence ends with. */
static uint32_t limit_ms(const struct mw_ending *ending, const struct mw_connection_settings *settings)
{
    switch ((enum mw_ending_rule)ending->rule) {
    case MW_ENDING_PONG_TIMEOUT:
        return settings->pong_timeout_ms;
    case MW_ENDING_IDLE_TIMEOUT:
        return settings->idle_timeout_ms;
    case MW_ENDING_CLOSE_TIMEOUT:
        return settings->close_timeout_ms;
    case MW_ENDING_WRITE_TIMEOUT:
        return settings->write_timeout_ms;
    default:
        return 0;
    }
}

/* A reason of the peer's, fit for one line; a letter may be cut, but not in its middle. */
static void add_reason(const struct mw_ending *ending, char *out, size_t size)
{
    size_t len = ending->reason_len < size ? ending->reason_len : size - 1;

    while (len < ending->reason_len && len > 0 && ((uint8_t)ending->reason[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)ending->reason[i] < 0x20 || ending->reason[i] == 0x7f ? '?' : ending->reason[i];
    out[len] = '\0';
}

const char *mw_ending_text(const struct mw_ending *ending, const struct mw_connection_settings *settings, char *out,
                           size_t size)
{
    const char *text = rule_of(ending->rule)->text;
    char reason[128];
    int len;

    add_reason(ending, reason, sizeof reason);
    if (limit_ms(ending, settings))
        len = snprintf(out, size, "%s %g s", text, limit_ms(ending, settings) / 1000.0);
    else if (ending->rule == MW_ENDING_SLOW_CONSUMER)
        len = snprintf(out, size, "%s, %zu bytes", text, settings->max_backpressure);
    else if (ending->rule == MW_ENDING_PEER_CLOSED)
        len = snprintf(out, size, "%s with %u%s%s%s", text, (unsigned)ending->code, reason[0] ? " \"" : "", reason,
                       reason[0] ? "\"" : "");
    else if (ending->rule == MW_ENDING_PROTOCOL_ERROR || ending->rule == MW_ENDING_BAD_UTF8 || ending->system_error)
        len = snprintf(out, size, "%s", reason[0] ? reason : text);
    else
        len = snprintf(out, size, "%s", text);
    const char *began = mw_ending_name(ending->began);
    if (began && len > 0 && (size_t)len < size)
        snprintf(out + len, size - (size_t)len, "; it was being closed: %s", began);
    return out;
}
