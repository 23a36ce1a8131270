/* opening.c - connections from their first packet to the 101; see run.h. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load/run.h"
#include "net/address.h"

enum { AT_ONCE = 256, LOOPBACK_NET = 127 };

/* ---- where to ---- */

/* A name may have several addresses, of which the server has perhaps only one: the first that takes a connection. */
static bool takes_connections(const struct addrinfo *candidate)
{
    int fd = socket(candidate->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd >= 0 && connect(fd, candidate->ai_addr, candidate->ai_addrlen) == 0;

    if (fd >= 0)
        close(fd);
    return connected;
}

static bool find_server(struct mw_load_run *run)
{
    const struct mw_load_options *options = run->options;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char service[8], text[INET6_ADDRSTRLEN];
    int port;

    snprintf(service, sizeof service, "%u", (unsigned)options->port);
    int status = getaddrinfo(options->host, service, &hints, &found);
    if (status) {
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "%s: %s", options->host, gai_strerror(status));
        return false;
    }
    const struct addrinfo *chosen = found;
    while (chosen->ai_next && !takes_connections(chosen))
        chosen = chosen->ai_next;
    memcpy(&run->address, chosen->ai_addr, chosen->ai_addrlen);
    run->address_len = chosen->ai_addrlen;
    freeaddrinfo(found);
    mw_address_format(&run->address, text, sizeof text, &port);
    snprintf(run->address_text, sizeof run->address_text, "%s port %d", text, port);
    return true;
}

static bool is_loopback_ipv4(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

    return address->ss_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == LOOPBACK_NET;
}

/* One address has some 28,000 ports for the connections to one server. */
static bool choose_source_addresses(struct mw_load_run *run)
{
    const struct mw_load_options *options = run->options;
    bool is_loopback = is_loopback_ipv4(&run->address);

    run->source_addresses = options->addresses;
    if (!options->addresses)
        run->source_addresses = is_loopback ? (options->connections - 1) / MW_LOAD_CONNECTIONS_PER_ADDRESS + 1 : 1;
    if (run->source_addresses == 1 || is_loopback)
        return true;
    mw_load_fail(run, MW_LOAD_BAD_USE,
                 "--addresses: only connections to 127.0.0.0/8 can come from several addresses, not those to %s",
                 run->address_text);
    return false;
}

static bool write_request(struct mw_load_run *run)
{
    int len = -1;

    if (mw_handshake_key(run->key))
        len = snprintf(run->request, sizeof run->request,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                       run->options->target, run->options->host_header, run->key);
    run->request_len = (size_t)len;
    if (len > 0 && run->request_len < sizeof run->request)
        return true;
    mw_load_fail(run, MW_LOAD_BAD_USE, "the address is too long");
    return false;
}

bool mw_load_prepare_opening(struct mw_load_run *run)
{
    return find_server(run) && choose_source_addresses(run) && write_request(run);
}

/* ---- the beginning ---- */

static void fail_to_connect(struct mw_load_run *run, int error)
{
    const char *hint = error == EADDRNOTAVAIL ? "; no source port is left, --addresses N would give more" : "";

    mw_load_fail(run, MW_LOAD_BAD_SERVER, "no connection to %s: %s%s", run->address_text, strerror(error), hint);
}

static bool bind_source(const struct mw_load_run *run, const struct mw_load_connection *connection)
{
    static const int on = 1;
    uint32_t host = INADDR_LOOPBACK + (uint32_t)(mw_load_index(run, connection) % run->source_addresses);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};

    /* The port is chosen when the other end is known, so that one port may serve many servers. */
    setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(connection->fd, (struct sockaddr *)&from, sizeof from) == 0;
}

static void begin(struct mw_load_run *run, struct mw_load_connection *connection)
{
    static const int on = 1;

    connection->began_ns = mw_load_now_ns();
    connection->fd = socket(run->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        mw_load_fail(run, MW_LOAD_BAD_USE, "--connections: socket %zu could not be made: %s",
                     mw_load_index(run, connection), strerror(errno));
        return;
    }
    connection->state = MW_LOAD_CONNECTING;
    run->opening++;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((run->source_addresses > 1 && !bind_source(run, connection)) ||
        (connect(connection->fd, (struct sockaddr *)&run->address, run->address_len) && errno != EINPROGRESS))
        fail_to_connect(run, errno);
    else
        mw_load_watch(run, connection, EPOLL_CTL_ADD, EPOLLOUT);
}

void mw_load_open_more(struct mw_load_run *run)
{
    const struct mw_load_options *options = run->options;
    size_t at_once = options->mode == MW_LOAD_CONNECT ? options->connections : AT_ONCE;

    while (run->opening < at_once && run->next < options->connections && !run->fault)
        begin(run, &run->connections[run->next++]);
}

void mw_load_close(struct mw_load_connection *connection)
{
    static const struct linger reset = {.l_onoff = 1};

    if (connection->state == MW_LOAD_CLOSED)
        return;
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(connection->fd);
    free(connection->scrap);
    connection->scrap = NULL;
    connection->state = MW_LOAD_CLOSED;
}

/* ---- the answer ---- */

static void fail_to_upgrade(struct mw_load_run *run, const struct mw_load_connection *connection, const char *why,
                            size_t len)
{
    mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu was not upgraded: %.*s", mw_load_index(run, connection),
                 (int)(len < MW_LOAD_WHY_MAX ? len : MW_LOAD_WHY_MAX), why);
}

/* How many bytes of `data` are the answer's head; 0 when it is not whole, or wrong (then the run has failed). */
static size_t check_answer(struct mw_load_run *run, const struct mw_load_connection *connection, char *data, size_t len)
{
    static const struct mw_http_limits limits = {.head_bytes = MW_LOAD_ANSWER_MAX, .header_count = 100};
    struct mw_http_error error = {0};
    struct mw_span protocol;
    size_t scanned = 0, head_len = 0;
    const char *why = NULL;

    if (run->answer_len && len >= run->answer_len && memcmp(data, run->answer, run->answer_len) == 0)
        return run->answer_len;
    /* Parsing changes the case of what it parses. */
    memcpy(run->answer, data, len < sizeof run->answer ? len : sizeof run->answer);
    run->answer_len = 0;
    switch (mw_http_parse_response(&run->head, data, len, &limits, &scanned, &head_len, &error)) {
    case MW_HTTP_PARTIAL:
        return 0;
    case MW_HTTP_INVALID:
        fail_to_upgrade(run, connection, error.why, strlen(error.why));
        return 0;
    case MW_HTTP_OK:
        break;
    }
    if (run->head.status != 101)
        fail_to_upgrade(run, connection, run->answer, strcspn(run->answer, "\r\n"));
    else if (mw_handshake_confirm(&run->head, run->key, NULL, &protocol, &why))
        fail_to_upgrade(run, connection, why, strlen(why));
    else if (mw_http_find(&run->head, "sec-websocket-extensions", NULL))
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "the server answered with an extension, and none was offered");
    else
        return run->answer_len = head_len;
    return 0;
}

static void upgraded(struct mw_load_run *run, struct mw_load_connection *connection)
{
    run->opening--;
    run->opened++;
    if (run->options->mode != MW_LOAD_CONNECT) {
        connection->state = MW_LOAD_OPEN;
        mw_load_open_more(run);
        return;
    }
    mw_histogram_record(&run->latency, mw_load_now_ns() - connection->began_ns);
    run->counted++;
    mw_load_close(connection);
    begin(run, connection);
}

/* Puts the bytes just read behind those that came before; they are in `*data` then. */
static bool join_scrap(struct mw_load_run *run, struct mw_load_connection *connection, char **data, size_t *len)
{
    struct mw_load_scrap *scrap = connection->scrap;

    if (!scrap)
        return true;
    if (*len > sizeof scrap->data - scrap->len) {
        fail_to_upgrade(run, connection, "the answer has no end", MW_LOAD_WHY_MAX);
        return false;
    }
    memmove(*data + scrap->len, *data, *len);
    memcpy(*data, scrap->data, scrap->len);
    *len += scrap->len;
    free(scrap);
    connection->scrap = NULL;
    return true;
}

static void keep_scrap(struct mw_load_run *run, struct mw_load_connection *connection, const char *data, size_t len)
{
    struct mw_load_scrap *scrap = connection->scrap = malloc(sizeof *scrap);

    if (!scrap || len > sizeof scrap->data) {
        fail_to_upgrade(run, connection, "the answer has no end", MW_LOAD_WHY_MAX);
        return;
    }
    scrap->len = len;
    memcpy(scrap->data, data, len);
}

static void read_answer(struct mw_load_run *run, struct mw_load_connection *connection)
{
    char *data = (char *)run->read_buffer;
    ssize_t got = recv(connection->fd, data, MW_LOAD_ANSWER_MAX, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        mw_load_fail(run, MW_LOAD_BAD_SERVER, "connection %zu was closed during the opening handshake%s%s",
                     mw_load_index(run, connection), got ? ": " : "", got ? strerror(errno) : "");
        return;
    }
    size_t len = (size_t)got;
    if (!join_scrap(run, connection, &data, &len))
        return;
    size_t head_len = check_answer(run, connection, data, len);
    if (run->fault)
        return;
    if (!head_len) {
        keep_scrap(run, connection, data, len);
        return;
    }
    upgraded(run, connection);
    if (len > head_len && connection->state == MW_LOAD_OPEN)
        mw_load_take(run, connection, (uint8_t *)data + head_len, len - head_len);
}

void mw_load_continue_opening(struct mw_load_run *run, struct mw_load_connection *connection)
{
    if (connection->state == MW_LOAD_UPGRADING) {
        read_answer(run, connection);
        return;
    }
    /* Tells as well what became of the connection. */
    ssize_t sent = send(connection->fd, run->request, run->request_len, MSG_NOSIGNAL);
    if (sent != (ssize_t)run->request_len) {
        fail_to_connect(run, sent < 0 ? errno : EMSGSIZE);
        return;
    }
    connection->state = MW_LOAD_UPGRADING;
    mw_load_watch(run, connection, EPOLL_CTL_MOD, EPOLLIN);
}
