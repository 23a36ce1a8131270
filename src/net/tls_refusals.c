/* tls_refusals.c - see tls_refusals.h. */
/* SPDX-License-Identifier: MIT */
#include "net/tls_refusals.h"

#include <sys/socket.h>

#include "base/log.h"
#include "net/address.h"

enum { QUIET_MS = 5000 };

static void on_quiet_over(struct mw_wheel_node *node)
{
    struct mw_tls_refusals *refusals = (struct mw_tls_refusals *)node;

    if (!refusals->count)
        return;
    mw_log(MW_LOG_WARNING, "tls: refused %u more in the last %d s for their client certificates", refusals->count,
           QUIET_MS / 1000);
    refusals->count = 0;
    mw_wheel_set(&refusals->engine->wheel, &refusals->quiet, QUIET_MS);
}

void mw_tls_refusals_begin(struct mw_tls_refusals *refusals, struct mw_engine *engine)
{
    *refusals = (struct mw_tls_refusals){.quiet.fire = on_quiet_over, .engine = engine};
}

void mw_tls_refusals_add(struct mw_tls_refusals *refusals, const SSL *ssl, const char *what, const char *detail)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    char address[64];
    int port;

    if (refusals->quiet.link) {
        refusals->count++;
        return;
    }
    getpeername(SSL_get_fd(ssl), (struct sockaddr *)&peer, &len);
    mw_address_format(&peer, address, sizeof address, &port);
    mw_log(MW_LOG_WARNING, "tls: refused %s: %s%s", address, what, detail);
    mw_wheel_set(&refusals->engine->wheel, &refusals->quiet, QUIET_MS);
}

void mw_tls_refusals_end(struct mw_tls_refusals *refusals)
{
    mw_wheel_cancel(&refusals->engine->wheel, &refusals->quiet);
}
