/* option.h - reading option tables. Each raises with the option's name when the value has the wrong type. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_OPTION_H
#define MW_BIND_OPTION_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Not negative. */
lua_Integer mw_option_integer(lua_State *L, int table, const char *name, lua_Integer fallback);
bool mw_option_boolean(lua_State *L, int table, const char *name, bool fallback);
/* Seconds in the script, milliseconds here; at least one when it is not 0. */
uint32_t mw_option_ms(lua_State *L, int table, const char *name, uint32_t fallback_ms);
/* Leaves the value on the stack, so that the string lives; NULL when it is nil. */
const char *mw_option_string(lua_State *L, int table, const char *name);

#endif
