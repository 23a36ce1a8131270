/* http_fuzz.c - the server's side of an HTTP connection: heads, bodies, pipelined requests, upgrades. The first character
 * chooses what the application does, the second how the stream is cut; the rest is what the client sends.
 * Cut or not, the same requests reach the application and the same bytes go back. */
/* SPDX-License-Identifier: MIT */
#include "net/http_server.h"

#include "fuzz.h"
#include "rig.h"

enum {
    READS_BODY = 1,
    ANSWERS_LATE = 2, /* when all that was sent has been read */
    SMALL_BODY = 4,   /* 10 bytes are allowed, not 1000 */
    NEVER_KEEPS = 8,
    TIGHT = 16,  /* small limits */
    LATEST = 32, /* late: only after the client has ended its side */
    WRITES_MUCH = 64,
};

struct server {
    struct mw_http_exchange *waiting;
    struct mw_buffer events; /* text: what the application was told */
    struct mw_buffer answer;
    uint8_t choices;
    unsigned requests;
    unsigned answered;
    bool gone;
};

static void note(struct server *server, char kind, const void *data, size_t len)
{
    REQUIRE(mw_buffer_append(&server->events, &kind, 1));
    REQUIRE(!len || mw_buffer_append(&server->events, data, len));
    REQUIRE(mw_buffer_append(&server->events, "\n", 1));
}

static void respond(struct server *server, struct mw_http_exchange *exchange)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n";
    static const char body[3000];
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    bool much = server->choices & WRITES_MUCH;

    server->answered++;
    mw_http_write(exchange, much ? head : small, much ? sizeof head - 1 : sizeof small - 1);
    if (much)
        mw_http_write(exchange, body, sizeof body);
    mw_http_finish(exchange, exchange->head->keep_alive && !(server->choices & NEVER_KEEPS));
}

static void respond_in_time(struct server *server, struct mw_http_exchange *exchange)
{
    if (server->choices & ANSWERS_LATE)
        server->waiting = exchange;
    else
        respond(server, exchange);
}

static void upgrade(struct server *server, struct mw_http_exchange *exchange)
{
    struct mw_buffer early;
    struct mw_socket *socket = mw_http_detach(exchange, &early);

    /* How much of what follows has come is the cut's affair. */
    mw_buffer_free(&early);
    mw_socket_close(socket);
    REQUIRE(server->gone);
}

static void on_request(void *owner, struct mw_http_exchange *exchange)
{
    struct server *server = owner;
    const struct mw_http_head *head = exchange->head;

    REQUIRE(!server->gone && !server->waiting);
    server->requests++;
    exchange->user = server;
    note(server, 'm', head->method.at, head->method.len);
    note(server, 't', head->target.at, head->target.len);
    for (size_t i = 0; i < head->header_count; i++) {
        note(server, 'n', head->headers[i].name.at, head->headers[i].name.len);
        note(server, 'v', head->headers[i].value.at, head->headers[i].value.len);
    }
    if (head->upgrade)
        upgrade(server, exchange);
    else if (server->choices & READS_BODY)
        mw_http_read_body(exchange, server->choices & SMALL_BODY ? 10 : 1000);
    else
        respond_in_time(server, exchange);
}

static void on_body(struct mw_http_exchange *exchange, enum mw_http_body_result result)
{
    static const char names[] = "olxmc";
    struct server *server = exchange->user;

    REQUIRE(server && !server->gone && exchange->body.len <= (server->choices & SMALL_BODY ? 10 : 1000));
    if (result == MW_HTTP_BODY_OK && !exchange->head->chunked)
        REQUIRE(exchange->body.len ==
                (exchange->head->content_length > 0 ? (size_t)exchange->head->content_length : 0));
    note(server, names[result], result == MW_HTTP_BODY_OK ? exchange->body.data : NULL,
         result == MW_HTTP_BODY_OK ? exchange->body.len : 0);
    if (result != MW_HTTP_BODY_CLOSED)
        respond_in_time(server, exchange);
}

static void on_drain(struct mw_http_exchange *exchange)
{
    REQUIRE(exchange->user);
}

static void on_abort(struct mw_http_exchange *exchange, bool gone)
{
    struct server *server = exchange->user;

    REQUIRE(server && !server->gone);
    if (gone)
        server->waiting = NULL;
}

static void on_gone(void *owner)
{
    struct server *server = owner;

    REQUIRE(!server->gone);
    server->gone = true;
}

static const struct mw_http_events events = {
    .request = on_request, .body = on_body, .drain = on_drain, .abort = on_abort, .gone = on_gone};

static void answer_what_waits(struct server *server, int peer)
{
    while (server->waiting) {
        struct mw_http_exchange *exchange = server->waiting;
        server->waiting = NULL;
        respond(server, exchange);
        rig_settle(peer, &server->answer);
    }
}

static void run(struct server *server, uint8_t choices, uint8_t cut, const uint8_t *data, size_t len)
{
    struct mw_http_settings settings;
    uint32_t state = 0;
    int peer;

    mw_http_settings_default(&settings);
    if (choices & TIGHT)
        settings.limits = (struct mw_http_limits){.head_bytes = 200, .header_count = 5};
    *server = (struct server){.choices = choices};
    struct mw_socket *socket = rig_pair(&peer);
    /* A part may have come with a TLS handshake. */
    size_t early = cut ? fuzz_cut(cut, &state, len) : 0;
    mw_http_serve(socket, &settings, &events, server, data, early);
    rig_settle(peer, &server->answer);
    for (size_t at = early; at < len;) {
        size_t piece = fuzz_cut(cut, &state, len - at);
        if (!(choices & LATEST))
            answer_what_waits(server, peer);
        rig_send(peer, data + at, piece, &server->answer);
        at += piece;
    }
    if (!(choices & LATEST))
        answer_what_waits(server, peer);
    rig_half_close(peer, &server->answer);
    answer_what_waits(server, peer);
    rig_done(peer);
    REQUIRE(server->gone);
}

/* Whether a body waits for a 100 depends on how much of it is there. */
static void forget_interim(struct mw_buffer *answer)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    enum { LEN = sizeof interim - 1 };

    for (size_t at = 0; at + LEN <= answer->len;) {
        if (memcmp(answer->data + at, interim, LEN) != 0) {
            at++;
            continue;
        }
        memmove(answer->data + at, answer->data + at + LEN, answer->len - at - LEN);
        answer->len -= LEN;
    }
}

static unsigned count_answers(const struct mw_buffer *answer)
{
    unsigned count = 0;

    for (size_t at = 0; at + 9 <= answer->len; at++)
        count += !memcmp(answer->data + at, "HTTP/1.1 ", 9);
    return count;
}

/* One answer to each request, and at most one more that refuses what cannot be understood. */
static void check(struct server *server)
{
    forget_interim(&server->answer);
    unsigned answers = count_answers(&server->answer);
    REQUIRE(server->answered <= server->requests);
    REQUIRE(answers <= server->answered + 1);
    REQUIRE(!answers || server->answer.len >= 9);
}

static bool same(const struct mw_buffer *a, const struct mw_buffer *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void forget(struct server *server)
{
    mw_buffer_free(&server->events);
    mw_buffer_free(&server->answer);
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choices = fuzz_take(&input), cut = fuzz_take(&input);
    struct server whole, pieces;

    run(&whole, choices, 0, input.data, input.len);
    check(&whole);
    run(&pieces, choices, cut ? cut : 1, input.data, input.len);
    check(&pieces);
    REQUIRE(same(&whole.events, &pieces.events));
    REQUIRE(same(&whole.answer, &pieces.answer));
    forget(&whole);
    forget(&pieces);
}
