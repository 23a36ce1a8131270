/* notify.c - see notify.h. The protocol is that of sd_notify(3). */
/* SPDX-License-Identifier: MIT */
#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A number in the environment; 0 when there is none. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    unsigned long long number = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;

    return end && *end ? 0 : number;
}

void mw_notify_open(struct mw_notify *notify)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t len = name ? strlen(name) : 0;

    *notify = (struct mw_notify){.address = {.sun_family = AF_UNIX}};
    if (len < 2 || (name[0] != '/' && name[0] != '@') || len >= sizeof notify->address.sun_path)
        return;
    memcpy(notify->address.sun_path, name, len);
    if (name[0] == '@') /* a name without a file */
        notify->address.sun_path[0] = '\0';
    notify->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (!getenv("WATCHDOG_PID") || number_of("WATCHDOG_PID") == (uint64_t)getpid())
        notify->watchdog_ms = number_of("WATCHDOG_USEC") / 1000;
}

void mw_notify_hide(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

bool mw_notify_send(const struct mw_notify *notify, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!notify->len)
        return true;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (len < 0 || fd < 0)
        return false;
    size_t size = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    ssize_t sent =
        sendto(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&notify->address, notify->len);
    close(fd);
    return sent >= 0;
}
