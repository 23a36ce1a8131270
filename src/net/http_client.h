/* http_client.h - one HTTP/1.1 request as a client: connects, sends, reads the answer, whose body comes in pieces as they are
 * asked for. One connection per request. Owns its socket. Events never come from inside a call. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_CLIENT_H
#define MW_NET_HTTP_CLIENT_H

#include "net/connector.h"
#include "net/http_body.h"
#include "net/http_head.h"

struct mw_http_client_events {
    /* The head of the answer; interim answers (1xx) are skipped. */
    void (*head)(void *owner, const struct mw_http_head *head);
    /* A piece of the body that was asked for; len 0: the end. */
    void (*piece)(void *owner, const uint8_t *data, size_t len);
    /* Instead of anything further. Codes of connector.h, and "malformed". */
    void (*failed)(void *owner, const char *message, const char *code);
};

struct mw_http_client;

/* `request` is the whole request, head and body; it is copied. The connector's time limit covers the head of the answer. */
struct mw_http_client *mw_http_client_start(struct mw_engine *engine, const struct mw_connector_options *connect,
                                            const void *request, size_t len, bool is_head_request,
                                            const struct mw_http_client_events *events, void *owner);
/* Asks for the next piece. */
void mw_http_client_read(struct mw_http_client *client);
/* Ends it; no further event, and the client is gone. */
void mw_http_client_close(struct mw_http_client *client);

#endif
