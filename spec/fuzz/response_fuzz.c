/* response_fuzz.c - what a server answers to moonwire.fetch: interim answers, heads, bodies by length, in chunks, or until
 * the end. The first character chooses, the second is the cut; the rest is what the server sends. Cut or not, the same head
 * and the same body come out, or the same failure. */
/* SPDX-License-Identifier: MIT */
#include "net/http_client.h"

#include "fuzz.h"
#include "rig.h"

enum { IS_HEAD = 1, STOPS_AT_HEAD = 2, STOPS_AT_PIECE = 4, READS_LATE = 8 };

struct client {
    struct mw_http_client *http;
    struct mw_buffer outcome;
    struct mw_buffer body;
    struct fuzz_input sent;
    int64_t length; /* that the head tells; -1: none */
    uint8_t choices;
    bool chunked;
    bool head_told;
    bool over;
    bool hungry; /* wants the next piece, but has not asked yet */
};

static void note(struct client *client, const void *data, size_t len)
{
    REQUIRE(!len || mw_buffer_append(&client->outcome, data, len));
}

static void stop(struct client *client)
{
    client->over = true;
    mw_http_client_close(client->http);
}

static void want(struct client *client)
{
    if (client->choices & READS_LATE)
        client->hungry = true;
    else
        mw_http_client_read(client->http);
}

static void on_head(void *owner, const struct mw_http_head *head)
{
    struct client *client = owner;
    char status[32];

    REQUIRE(!client->over && !client->head_told);
    client->head_told = true;
    client->chunked = head->chunked;
    client->length = head->content_length;
    if ((client->choices & IS_HEAD) || head->status < 200 || head->status == 204 || head->status == 304)
        client->length = 0;
    note(client, status, (size_t)snprintf(status, sizeof status, "%d %zu ", head->status, head->header_count));
    note(client, head->reason.at, head->reason.len);
    for (size_t i = 0; i < head->header_count; i++)
        note(client, head->headers[i].value.at, head->headers[i].value.len);
    if (client->choices & STOPS_AT_HEAD)
        stop(client);
    else
        want(client);
}

/* As long as was told; or all that lies behind the head. */
static void check_body(const struct client *client)
{
    const struct mw_buffer *body = &client->body;

    if (client->length >= 0) {
        REQUIRE(body->len == (uint64_t)client->length);
    } else if (!client->chunked) {
        REQUIRE(body->len + 4 <= client->sent.len);
        const uint8_t *at = client->sent.data + client->sent.len - body->len;
        REQUIRE(!memcmp(at - 4, "\r\n\r\n", 4) && (!body->len || !memcmp(at, body->data, body->len)));
    }
}

static void on_piece(void *owner, const uint8_t *data, size_t len)
{
    struct client *client = owner;

    REQUIRE(!client->over && client->head_told);
    if (client->choices & STOPS_AT_PIECE) {
        stop(client);
        return;
    }
    if (len) {
        REQUIRE(mw_buffer_append(&client->body, data, len));
        want(client);
        return;
    }
    check_body(client);
    note(client, client->body.data, client->body.len);
    note(client, "end", 3);
    stop(client);
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct client *client = owner;

    REQUIRE(!client->over && *message && *code);
    note(client, client->body.data, client->body.len);
    note(client, code, strlen(code));
    note(client, message, strlen(message));
    stop(client);
}

/* What a script does that takes its time. */
static void eat(struct client *client, int peer, struct mw_buffer *request)
{
    while (client->hungry && !client->over) {
        client->hungry = false;
        mw_http_client_read(client->http);
        rig_settle(peer, request);
    }
}

static void run(struct client *client, uint8_t choices, uint8_t cut, const uint8_t *data, size_t len)
{
    static const struct mw_http_client_events events = {.head = on_head, .piece = on_piece, .failed = on_failed};
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct mw_connector_options connect = {.host = "x", .port = 80, .path = rig_path(), .timeout_ms = 10000};
    struct mw_buffer request = {0};
    uint32_t state = 0;

    *client = (struct client){.choices = choices, .sent = {data, len}};
    client->http =
        mw_http_client_start(rig_engine(), &connect, text, sizeof text - 1, choices & IS_HEAD, &events, client);
    REQUIRE(client->http);
    int peer = rig_accept();
    REQUIRE(peer >= 0);
    rig_open(peer, &request);
    REQUIRE(request.len == sizeof text - 1);
    for (size_t at = 0; at < len && !client->over;) {
        size_t piece = fuzz_cut(cut, &state, len - at);
        rig_send(peer, data + at, piece, &request);
        eat(client, peer, &request);
        at += piece;
    }
    rig_half_close(peer, &request);
    eat(client, peer, &request);
    REQUIRE(client->over);
    rig_done(peer);
    mw_buffer_free(&request);
    mw_buffer_free(&client->body);
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choices = fuzz_take(&input), cut = fuzz_take(&input);
    struct client whole, pieces;

    run(&whole, choices, 0, input.data, input.len);
    run(&pieces, choices, cut ? cut : 1, input.data, input.len);
    REQUIRE(whole.outcome.len == pieces.outcome.len);
    REQUIRE(!whole.outcome.len || !memcmp(whole.outcome.data, pieces.outcome.data, whole.outcome.len));
    mw_buffer_free(&whole.outcome);
    mw_buffer_free(&pieces.outcome);
}
