/* service.h - a moonwire process as whoever runs it sees it: when it is ready, that it is alive, that it ends. Inherited sockets
 * come in here, and rights that are needed no more go, at the moment of readiness: when the main chunk has ended, or waits and
 * something listens. Owns what it inherited and one timer, which never keeps the loop alive. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SERVICE_H
#define MW_SERVICE_H

#include <uv.h>

#include "base/notify.h"
#include "moonwire.h"
#include "net/inherited.h"
#include "options.h"

struct mw_service {
    struct mw_runtime *runtime;
    const struct mw_runtime_options *options;
    struct mw_notify notify;
    struct mw_inherited inherited;
    uv_timer_t watchdog;
    bool ready;
    bool stopping;
};

/* Reads the environment. */
void mw_service_init(struct mw_service *service, struct mw_runtime *runtime, const struct mw_runtime_options *options);
/* Before the main chunk: looks after each turn whether the program is ready. */
void mw_service_watch(struct mw_service *service);
/* Looks now: before the first turn, which may be long in coming. */
void mw_service_look(struct mw_service *service);
void mw_service_stopping(struct mw_service *service);
void mw_service_close(struct mw_service *service);

#endif
