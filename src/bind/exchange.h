/* exchange.h - one HTTP request and its response, for scripts. A userdata that outlives the exchange: when that is gone,
 * everything returns nil, "closed". */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_EXCHANGE_H
#define MW_BIND_EXCHANGE_H

#include <lua.h>

#include "net/http_head.h"

void mw_exchange_open(lua_State *L);
/* Pushes lower-case name -> value; repeated headers are joined (RFC 9110 §5.3). */
void mw_headers_push(lua_State *L, const struct mw_http_head *head);
/* core.parse_head(text) -> method, target, minor version, headers: of a request's head that was parsed before. */
int mw_headers_parse(lua_State *L);

#endif
