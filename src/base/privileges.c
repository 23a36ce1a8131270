/* privileges.c - see privileges.h. */
/* SPDX-License-Identifier: MIT */
#include "base/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

bool mw_privileges_find(struct mw_privileges *privileges, const char *name, char *why, size_t size)
{
    const char *colon = strchr(name, ':'), *group_name = colon ? colon + 1 : NULL;
    size_t len = colon ? (size_t)(colon - name) : strlen(name);

    *privileges = (struct mw_privileges){0};
    if (geteuid() != 0) {
        snprintf(why, size, "option --user: only root can become somebody else, and this is user %u",
                 (unsigned)geteuid());
        return false;
    }
    if (len < sizeof privileges->user)
        memcpy(privileges->user, name, len);
    const struct passwd *user = privileges->user[0] ? getpwnam(privileges->user) : NULL;
    if (!user) {
        snprintf(why, size, "option --user: there is no user \"%.*s\"", (int)len, name);
        return false;
    }
    if (user->pw_uid == 0) {
        snprintf(why, size, "option --user: \"%s\" is root, who has no fewer rights", privileges->user);
        return false;
    }
    privileges->uid = user->pw_uid;
    privileges->gid = user->pw_gid;
    if (!group_name)
        return true;
    const struct group *group = getgrnam(group_name);
    if (!group) {
        snprintf(why, size, "option --user: there is no group \"%s\"", group_name);
        return false;
    }
    privileges->gid = group->gr_gid;
    return true;
}

static bool is_changed(const struct mw_privileges *privileges)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;

    return getresuid(&real, &effective, &saved) == 0 && getresgid(&real_group, &effective_group, &saved_group) == 0 &&
           real == privileges->uid && effective == privileges->uid && saved == privileges->uid &&
           real_group == privileges->gid && effective_group == privileges->gid && saved_group == privileges->gid &&
           setuid(0) != 0 && seteuid(0) != 0;
}

bool mw_privileges_drop(const struct mw_privileges *privileges, char *why, size_t size)
{
    int death_signal = 0;

    /* The kernel forgets it when the user changes. */
    prctl(PR_GET_PDEATHSIG, &death_signal);
    if (initgroups(privileges->user, privileges->gid) || setresgid(privileges->gid, privileges->gid, privileges->gid) ||
        setresuid(privileges->uid, privileges->uid, privileges->uid) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        snprintf(why, size, "option --user: cannot become %s: %s", privileges->user, strerror(errno));
        return false;
    }
    if (!is_changed(privileges)) {
        snprintf(why, size, "option --user: became %s, but there is a way back to root", privileges->user);
        return false;
    }
    prctl(PR_SET_PDEATHSIG, death_signal);
    return true;
}
