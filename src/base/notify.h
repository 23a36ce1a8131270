/* notify.h - telling a service manager how the program is: datagrams to the socket that systemd names in the environment.
 * Without such a name everything here does nothing. Owns no descriptor between two calls. Never blocks. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_NOTIFY_H
#define MW_BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct mw_notify {
    struct sockaddr_un address;
    socklen_t len;        /* 0: nobody listens */
    uint64_t watchdog_ms; /* how long the manager waits for a sign of life; 0: for ever */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void mw_notify_open(struct mw_notify *notify);
/* Takes the variables out of the environment: programs started by a script must not speak in its name. */
void mw_notify_hide(void);
/* Sends assignments such as "READY=1", one a line. False when nobody got it, although somebody should have. */
bool mw_notify_send(const struct mw_notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
