/* opening.h - a client's opening handshake (RFC 6455 §4.1): connects, asks, checks the answer.
 * Hands over the socket with what was agreed on. Exactly one of its events comes, never from inside mw_opening_start. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_OPENING_H
#define MW_NET_OPENING_H

#include "net/connector.h"
#include "net/deflate.h"
#include "net/http_head.h"

struct mw_opening_options {
    struct mw_connector_options connect; /* its timeout covers the answer, too */
    const char *host_header;
    const char *target;
    const char *protocols;                    /* "a, b"; NULL: none */
    const char *headers;                      /* whole lines, each with its CRLF; NULL: none */
    const struct mw_deflate_options *deflate; /* borrowed until the event */
};

struct mw_opening_answer {
    const struct mw_http_head *head; /* valid during the event */
    struct mw_span protocol;         /* len 0: none */
    struct mw_deflate_params deflate;
    const uint8_t *early; /* bytes behind the answer */
    size_t early_len;
};

struct mw_opening_events {
    void (*opened)(void *owner, struct mw_socket *socket, const struct mw_opening_answer *answer);
    /* Codes of connector.h, and: "status NNN", "handshake". */
    void (*failed)(void *owner, const char *message, const char *code);
};

struct mw_opening;

struct mw_opening *mw_opening_start(struct mw_engine *engine, const struct mw_opening_options *options,
                                    const struct mw_opening_events *events, void *owner);
/* Ends it; `failed` comes with code "cancelled" at the end of the turn. */
void mw_opening_cancel(struct mw_opening *opening);

#endif
