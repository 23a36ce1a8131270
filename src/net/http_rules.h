/* http_rules.h - what the headers of a message mean for it as a whole: its framing, its connection,
 * its host. Private to http_head.c. Owns nothing, knows no socket. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_HTTP_RULES_H
#define MW_NET_HTTP_RULES_H

#include "net/http_head.h"

/* Fill in the derived fields of `head`, whose lines are parsed; false with `error` set when they
 * contradict each other. */
bool mw_http_derive_request(struct mw_http_head *head, struct mw_http_error *error);
bool mw_http_derive_response(struct mw_http_head *head, struct mw_http_error *error);

/* uri-host [ ":" port ] with a host that is not empty (RFC 9110 §4.2.1, §7.2). */
bool mw_http_is_host(struct mw_span text);

#endif
