/* takeover.c - see takeover.h. Held to the versions of lws in Debian 12 (4.1.6) and 13 (4.3.5) by specs under sanitizers. */
/* SPDX-License-Identifier: MIT */
#include "net/takeover.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int mw_takeover_stub(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
        return -1;
    close(pair[1]);
    return pair[0];
}

bool mw_takeover_begin(struct mw_takeover *takeover, struct lws *wsi, int stub)
{
    int old = lws_get_socket_fd(wsi);
    int fd = fcntl(old, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return false;
    lws_rx_flow_control(wsi, LWS_RXFLOW_REASON_APPLIES_DISABLE | LWS_RXFLOW_REASON_USER_BOOL |
                                 LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
    if (dup3(stub, old, O_CLOEXEC) < 0) {
        close(fd);
        return false;
    }
    takeover->fd = fd;
    takeover->ssl = lws_get_ssl(wsi);
    if (takeover->ssl) {
        SSL_up_ref(takeover->ssl);
        /* lws says good-bye when it closes: not over the wire. */
        SSL_set_quiet_shutdown(takeover->ssl, 1);
    }
    return true;
}

void mw_takeover_end(struct mw_takeover *takeover)
{
    if (!takeover->ssl)
        return;
    SSL_set_quiet_shutdown(takeover->ssl, 0);
    SSL_set_shutdown(takeover->ssl, 0);
    SSL_set_info_callback(takeover->ssl, NULL);
    SSL_set_fd(takeover->ssl, takeover->fd);
}
