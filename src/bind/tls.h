/* tls.h - TLS as scripts see it: the options of a listener, and the certificates of clients. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_TLS_H
#define MW_BIND_TLS_H

#include <lauxlib.h>

#include "bind/server.h"

/* Gives the server its TLS side when the options at `index` have `tls`. False with a sentence in `why`. */
bool mw_tls_listen(lua_State *L, int index, struct mw_server *server, char *why, size_t size);
/* Pushes what is known of the client's certificate as a table, or nil when there is none that was verified. */
void mw_tls_push_client(lua_State *L, const SSL *ssl);
/* Adds the certificate as `string.unpack("<s4", …)` reads it, for mw_tls_parse_certificate. */
void mw_tls_add_certificate(luaL_Buffer *buffer, const X509 *certificate);
/* core.parse_certificate(der) */
int mw_tls_parse_certificate(lua_State *L);

#endif
