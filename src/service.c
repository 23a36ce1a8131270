/* service.c - see service.h. */
/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <unistd.h>

#include "base/log.h"
#include "net/engine.h"

enum { SIGNS_PER_WATCHDOG = 2 }; /* one may come late */

static void on_watchdog(uv_timer_t *timer)
{
    const struct mw_service *service = timer->data;

    mw_notify_send(&service->notify, "WATCHDOG=1");
}

/* A process that keeps rights it was told to give up serves nobody. */
static bool become_user(struct mw_service *service)
{
    char why[256];
    const struct mw_privileges *privileges = service->options->privileges;

    if (!privileges)
        return true;
    if (mw_privileges_drop(privileges, why, sizeof why)) {
        mw_log(MW_LOG_INFO, "running as user %s (%u:%u) from here on", privileges->user, (unsigned)privileges->uid,
               (unsigned)privileges->gid);
        return true;
    }
    mw_log(MW_LOG_ERROR, "%s", why);
    service->runtime->failed = service->runtime->stopping = true;
    service->runtime->engine->stopped = true;
    return false;
}

static void tell_ready(const struct mw_service *service)
{
    if (service->options->ready_fd >= 0)
        (void)!write(service->options->ready_fd, "r", 1);
    if (!mw_notify_send(&service->notify, "READY=1\nSTATUS=ready"))
        mw_log(MW_LOG_WARNING, "the service manager cannot be told that the program is ready");
    mw_inherited_tell_unused(&service->inherited);
}

static void on_turn(void *arg)
{
    mw_service_look(arg);
}

void mw_service_look(struct mw_service *service)
{
    struct mw_runtime *runtime = service->runtime;

    if (service->ready || runtime->stopping || (!runtime->script_over && !runtime->servers))
        return;
    service->ready = true;
    runtime->engine->on_turn = NULL;
    if (become_user(service))
        tell_ready(service);
}

void mw_service_watch(struct mw_service *service)
{
    service->runtime->engine->on_turn = on_turn;
    service->runtime->engine->on_turn_arg = service;
}

void mw_service_init(struct mw_service *service, struct mw_runtime *runtime, const struct mw_runtime_options *options)
{
    service->runtime = runtime;
    service->options = options;
    mw_notify_open(&service->notify);
    mw_notify_hide();
    mw_inherited_open(&service->inherited);
    runtime->inherited = &service->inherited;
    uv_timer_init(runtime->loop, &service->watchdog);
    uv_unref((uv_handle_t *)&service->watchdog);
    service->watchdog.data = service;
    if (service->notify.watchdog_ms) {
        uint64_t interval = service->notify.watchdog_ms / SIGNS_PER_WATCHDOG;
        uv_timer_start(&service->watchdog, on_watchdog, 0, interval ? interval : 1);
    }
}

void mw_service_stopping(struct mw_service *service)
{
    if (!service->stopping)
        mw_notify_send(&service->notify, "STOPPING=1\nSTATUS=stopping");
    service->stopping = true;
}

void mw_service_close(struct mw_service *service)
{
    mw_inherited_close(&service->inherited);
    uv_close((uv_handle_t *)&service->watchdog, NULL);
}
