/* box.h - userdata of ours, recognised by where the name of their type lies: quicker than the look at metatables that
 * luaL_checkudata makes, which is left to raise the error. A box begins with that pointer. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BIND_BOX_H
#define MW_BIND_BOX_H

#include <lauxlib.h>

/* The box of this type (the name of its metatable) and size at `index`; raises for anything else. */
static inline void *mw_box_check(lua_State *L, int index, const char *type, size_t size)
{
    if (lua_type(L, index) == LUA_TUSERDATA && lua_rawlen(L, index) == size) {
        void *box = lua_touserdata(L, index);
        if (*(const char **)box == type)
            return box;
    }
    return luaL_checkudata(L, index, type);
}

#endif
