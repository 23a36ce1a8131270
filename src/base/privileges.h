/* privileges.h - from root to somebody who may do less, for good. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_PRIVILEGES_H
#define MW_BASE_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mw_privileges {
    char user[64];
    uid_t uid;
    gid_t gid;
};

/* Looks up NAME[:GROUP]; without a group it is the user's own. False with a sentence in `why`: nobody of that name, or we are
 * not root and can't become anybody. */
bool mw_privileges_find(struct mw_privileges *privileges, const char *name, char *why, size_t size);
/* Becomes that user, and makes sure that there is no way back. False with a sentence in `why`: what is left is unknown, and
 * the process has to end. */
bool mw_privileges_drop(const struct mw_privileges *privileges, char *why, size_t size);

#endif
