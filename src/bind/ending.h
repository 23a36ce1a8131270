/* ending.h - tells why a WebSocket ended: to the log when it was no ordinary end, and to scripts as `ws.ending`.
 * A box owns the account of its last connection; it is taken apart only when somebody asks. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_ENDING_H
#define MW_BIND_ENDING_H

#include "bind/ws.h"

/* Keeps the account, and logs it if need be. */
void mw_ws_keep_ending(struct mw_ws *ws, const struct mw_ending *ending);
void mw_ws_forget_ending(struct mw_ws *ws);
/* Pushes the field `ending`: a table; nil while there is none. */
void mw_ws_push_ending(lua_State *L, const struct mw_ws *ws);
/* Pushes core.ending_rules: the list of all names. */
void mw_ws_push_rules(lua_State *L);
/* core.close(ws, rule, code, reason): for a rule that the Lua side keeps; 1006 ends it without a handshake. */
int mw_ws_lua_close(lua_State *L);

#endif
