/* connector.c - see connector.h.
 * Not through libwebsockets' client: it resolves names synchronously, tells every TCP failure as "Unable to connect", and in
 * raw mode passes a proxy's answer on as data. */
/* SPDX-License-Identifier: MIT */
#include "net/connector.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/http_head.h"
#include "net/tls_client.h"

enum { PROXY_ANSWER_MAX = 16384, WHY_MAX = 512 };

struct mw_connector {
    struct mw_turn_item turn; /* first: the event, at the end of a turn */
    struct mw_wheel_node timer;
    uv_getaddrinfo_t resolve;
    struct mw_engine *engine;
    const struct mw_connector_events *events;
    void *owner;
    struct mw_socket *socket;
    struct addrinfo *addresses;
    struct addrinfo *next;
    struct mw_buffer proxy_answer;
    struct mw_connector_options options; /* strings are ours */
    char why[WHY_MAX];
    const char *code;
    bool resolving;
    bool done;
    bool via_proxy; /* the proxy's tunnel is open */
};

static void try_next(struct mw_connector *connector);
static void start_tls(struct mw_connector *connector);

/* ---- the end ---- */

static void free_connector(struct mw_connector *connector)
{
    if (connector->addresses)
        uv_freeaddrinfo(connector->addresses);
    mw_buffer_free(&connector->proxy_answer);
    free((char *)connector->options.host);
    free((char *)connector->options.path);
    free((char *)connector->options.proxy_host);
    free((char *)connector->options.tls_ca);
    free((char *)connector->options.server_name);
    mw_engine_release(connector->engine);
    free(connector);
}

static void run_event(struct mw_turn_item *item)
{
    struct mw_connector *connector = (struct mw_connector *)item;

    if (connector->events && connector->code)
        connector->events->failed(connector->owner, connector->why, connector->code);
    else if (connector->events)
        connector->events->connected(connector->owner, connector->socket);
    else if (connector->socket)
        mw_socket_close(connector->socket);
    if (connector->resolving)
        connector->events = NULL; /* freed by the resolver's callback */
    else
        free_connector(connector);
}

/* One outcome, told at the end of the turn. `code` NULL: connected. */
static void finish(struct mw_connector *connector, const char *code)
{
    if (connector->done)
        return;
    connector->done = true;
    connector->code = code;
    mw_wheel_cancel(&connector->engine->wheel, &connector->timer);
    if (code && connector->socket) {
        mw_socket_close(connector->socket);
        connector->socket = NULL;
    }
    if (code && connector->resolving)
        uv_cancel((uv_req_t *)&connector->resolve);
    mw_engine_at_turn_end(connector->engine, &connector->turn);
}

void mw_connector_cancel(struct mw_connector *connector)
{
    connector->events = NULL;
    finish(connector, "cancelled");
}

static void on_timeout(struct mw_wheel_node *node)
{
    struct mw_connector *connector =
        (struct mw_connector *)(void *)((char *)node - offsetof(struct mw_connector, timer));

    snprintf(connector->why, WHY_MAX, "no connection to %s within %g s",
             connector->options.path ? connector->options.path : connector->options.host,
             connector->options.timeout_ms / 1000.0);
    finish(connector, "timeout");
}

static const char *code_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
        return "refused";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case ENETDOWN:
        return "unreachable";
    case ETIMEDOUT:
        return "timeout";
    case ECONNRESET:
    case EPIPE:
        return "reset";
    default:
        return "connect";
    }
}

static void failed_errno(struct mw_connector *connector, int error)
{
    const struct mw_connector_options *options = &connector->options;

    if (options->path)
        snprintf(connector->why, WHY_MAX, "%s: %s", options->path, strerror(error));
    else if (options->proxy_host)
        snprintf(connector->why, WHY_MAX, "proxy %s port %d: %s", options->proxy_host, options->proxy_port,
                 strerror(error));
    else
        snprintf(connector->why, WHY_MAX, "%s port %d: %s", options->host, options->port, strerror(error));
    finish(connector, code_of(error));
}

/* ---- TLS ---- */

static void ready(struct mw_connector *connector)
{
    mw_socket_want_write(connector->socket, false);
    mw_socket_want_read(connector->socket, true);
    finish(connector, NULL);
}

static void step_tls(void *owner)
{
    struct mw_connector *connector = owner;

    if (connector->done)
        return;
    switch (mw_tls_client_step(connector->socket->ssl, connector->why, WHY_MAX)) {
    case MW_TLS_DONE:
        ready(connector);
        break;
    case MW_TLS_READ:
        mw_socket_want_write(connector->socket, false);
        mw_socket_want_read(connector->socket, true);
        break;
    case MW_TLS_WRITE:
        mw_socket_want_write(connector->socket, true);
        break;
    case MW_TLS_FAILED:
        finish(connector, "tls");
        break;
    }
}

static void start_tls(struct mw_connector *connector)
{
    static const struct mw_socket_events events = {.readable = step_tls, .writable = step_tls};
    const struct mw_connector_options *options = &connector->options;
    struct mw_tls_client_options tls = {
        .server_name = options->server_name ? options->server_name : options->host,
        .ca = options->tls_ca,
        .verify = options->tls_verify,
    };

    if (!options->tls) {
        ready(connector);
        return;
    }
    SSL *ssl = mw_tls_client_new(connector->socket->fd, &tls, connector->why, WHY_MAX);
    if (!ssl) {
        finish(connector, "tls");
        return;
    }
    mw_socket_start_tls(connector->socket, ssl);
    mw_socket_set_owner(connector->socket, &events, connector);
    step_tls(connector);
}

/* ---- proxy (RFC 9110 §9.3.6) ---- */

static void proxy_failed(struct mw_connector *connector, const char *what)
{
    snprintf(connector->why, WHY_MAX, "the proxy %s port %d %s", connector->options.proxy_host,
             connector->options.proxy_port, what);
    finish(connector, "proxy");
}

static void on_proxy_readable(void *owner)
{
    static const struct mw_http_limits limits = {.head_bytes = PROXY_ANSWER_MAX, .header_count = 100};
    struct mw_connector *connector = owner;
    struct mw_buffer *answer = &connector->proxy_answer;
    struct mw_http_error error;
    size_t scanned = 0, head_len = 0;
    char what[64];

    if (connector->done)
        return;
    if (!mw_buffer_reserve(answer, 1)) {
        proxy_failed(connector, "could not be read: out of memory");
        return;
    }
    /* Byte by byte to the end of the head: what follows belongs to the tunnel. It happens once per connection. */
    ssize_t count;
    while ((count = mw_socket_read(connector->socket, answer->data + answer->len, 1)) == 1) {
        answer->len++;
        if (answer->len >= 4 && memcmp(answer->data + answer->len - 4, "\r\n\r\n", 4) == 0)
            break;
        if (answer->len > PROXY_ANSWER_MAX || !mw_buffer_reserve(answer, 1)) {
            proxy_failed(connector, "answered with too many headers");
            return;
        }
    }
    if (count == MW_SOCKET_AGAIN)
        return;
    if (count <= 0) {
        proxy_failed(connector, "closed the connection");
        return;
    }
    struct mw_http_head *head = malloc(sizeof *head);
    enum mw_http_result result =
        head ? mw_http_parse_response(head, (char *)answer->data, answer->len, &limits, &scanned, &head_len, &error)
             : MW_HTTP_INVALID;
    int status = result == MW_HTTP_OK ? head->status : 0;
    free(head);
    if (status < 200 || status > 299) {
        snprintf(what, sizeof what, status ? "answered %d" : "did not answer with HTTP", status);
        proxy_failed(connector, what);
        return;
    }
    connector->via_proxy = true;
    start_tls(connector);
}

static void ask_proxy(struct mw_connector *connector)
{
    static const struct mw_socket_events events = {.readable = on_proxy_readable, .writable = on_proxy_readable};
    const struct mw_connector_options *options = &connector->options;
    const char *open = strchr(options->host, ':') ? "[" : "", *close = *open ? "]" : "";
    char request[1024];
    int len = snprintf(request, sizeof request, "CONNECT %s%s%s:%d HTTP/1.1\r\nHost: %s%s%s:%d\r\n\r\n", open,
                       options->host, close, options->port, open, options->host, close, options->port);
    struct iovec iov = {request, (size_t)len};

    mw_socket_set_owner(connector->socket, &events, connector);
    mw_socket_want_read(connector->socket, true);
    /* A fresh socket takes a kilobyte whole. */
    if (len >= (int)sizeof request || mw_socket_write(connector->socket, &iov, 1) != len)
        proxy_failed(connector, "did not take the request");
}

/* ---- TCP ---- */

static void on_writable(void *owner)
{
    struct mw_connector *connector = owner;
    int error = 0;
    socklen_t len = sizeof error;

    if (connector->done)
        return;
    getsockopt(connector->socket->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        mw_socket_close(connector->socket);
        connector->socket = NULL;
        if (connector->next)
            try_next(connector);
        else
            failed_errno(connector, error);
        return;
    }
    mw_socket_want_write(connector->socket, false);
    if (connector->options.proxy_host)
        ask_proxy(connector);
    else
        start_tls(connector);
}

/* Starts connecting; the outcome comes when the socket is writable. */
static void try_address(struct mw_connector *connector, const struct sockaddr *address, socklen_t len)
{
    static const struct mw_socket_events events = {.readable = on_writable, .writable = on_writable};
    int one = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;

    if (fd >= 0 && address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || (connect(fd, address, len) && errno != EINPROGRESS))
        error = errno;
    else if (!(connector->socket = mw_socket_new(connector->engine, fd, NULL, &events, connector)))
        error = ENOMEM;
    if (error) {
        if (fd >= 0)
            close(fd);
        if (connector->next)
            try_next(connector);
        else
            failed_errno(connector, error);
        return;
    }
    mw_socket_want_read(connector->socket, false);
    mw_socket_want_write(connector->socket, true);
}

static void try_next(struct mw_connector *connector)
{
    struct addrinfo *address = connector->next;

    connector->next = address->ai_next;
    try_address(connector, address->ai_addr, address->ai_addrlen);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct mw_connector *connector = request->data;
    const char *name = connector->options.proxy_host ? connector->options.proxy_host : connector->options.host;

    connector->resolving = false;
    connector->addresses = addresses;
    if (connector->done) {
        if (!connector->turn.queued)
            free_connector(connector);
        return;
    }
    if (status || !addresses) {
        snprintf(connector->why, WHY_MAX, "%s: %s", name, status ? uv_strerror(status) : "no address");
        finish(connector, "dns");
        return;
    }
    connector->next = addresses;
    try_next(connector);
}

static void resolve(struct mw_connector *connector)
{
    const struct mw_connector_options *options = &connector->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];

    snprintf(port, sizeof port, "%d", options->proxy_host ? options->proxy_port : options->port);
    connector->resolve.data = connector;
    connector->resolving = true;
    int status = uv_getaddrinfo(connector->engine->loop, &connector->resolve, on_resolved,
                                options->proxy_host ? options->proxy_host : options->host, port, &hints);
    if (status) {
        connector->resolving = false;
        snprintf(connector->why, WHY_MAX, "%s: %s", options->host, uv_strerror(status));
        finish(connector, "dns");
    }
}

static void connect_unix(struct mw_connector *connector)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(connector->options.path) >= sizeof address.sun_path) {
        failed_errno(connector, ENAMETOOLONG);
        return;
    }
    memcpy(address.sun_path, connector->options.path, strlen(connector->options.path));
    try_address(connector, (struct sockaddr *)&address, sizeof address);
}

/* False when memory is short. */
static bool copy(const char **into, const char *text)
{
    *into = text ? strdup(text) : NULL;
    return *into || !text;
}

struct mw_connector *mw_connector_start(struct mw_engine *engine, const struct mw_connector_options *options,
                                        const struct mw_connector_events *events, void *owner)
{
    struct mw_connector *connector = calloc(1, sizeof *connector);

    if (!connector)
        return NULL;
    connector->turn.run = run_event;
    connector->timer.fire = on_timeout;
    connector->engine = engine;
    connector->events = events;
    connector->owner = owner;
    connector->options = *options;
    bool is_whole = copy(&connector->options.host, options->host);
    is_whole = copy(&connector->options.path, options->path) && is_whole;
    is_whole = copy(&connector->options.proxy_host, options->proxy_host) && is_whole;
    is_whole = copy(&connector->options.tls_ca, options->tls_ca) && is_whole;
    is_whole = copy(&connector->options.server_name, options->server_name) && is_whole;
    mw_engine_hold(engine);
    if (!is_whole) {
        free_connector(connector);
        return NULL;
    }
    if (options->timeout_ms)
        mw_wheel_set(&engine->wheel, &connector->timer, options->timeout_ms);
    if (options->path)
        connect_unix(connector);
    else
        resolve(connector);
    return connector;
}
