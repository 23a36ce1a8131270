/* opening_fuzz.c - a client's opening handshake, from connecting to the answer. The first character chooses the offer, the
 * second how the answer is cut; the rest is what the server sends, in which "{accept}" stands for the answer to the key
 * that was asked with. Cut or not, the end is the same, and it comes once. */
/* SPDX-License-Identifier: MIT */
#include "net/handshake.h"
#include "net/opening.h"

#include <unistd.h>

#include "fuzz.h"
#include "rig.h"

enum { OFFERS_PROTOCOLS = 1, OFFERS_DEFLATE = 2, NARROW = 4 };

struct client {
    struct mw_buffer outcome;
    bool over;
};

static void note(struct client *client, const char *what, const void *data, size_t len)
{
    REQUIRE(mw_buffer_append(&client->outcome, what, strlen(what) + 1));
    REQUIRE(!len || mw_buffer_append(&client->outcome, data, len));
}

static void on_opened(void *owner, struct mw_socket *socket, const struct mw_opening_answer *answer)
{
    struct client *client = owner;
    struct mw_deflate_params params = answer->deflate;

    REQUIRE(!client->over && answer->head->status == 101);
    client->over = true;
    note(client, "protocol", answer->protocol.at, answer->protocol.len);
    note(client, params.enabled ? "deflate" : "plain", NULL, 0);
    note(client, "windows", (uint8_t[]){params.server_max_window_bits, params.client_max_window_bits}, 2);
    mw_socket_close(socket);
}

static void on_failed(void *owner, const char *message, const char *code)
{
    struct client *client = owner;

    REQUIRE(!client->over && *message && *code);
    client->over = true;
    note(client, code, message, strlen(message));
}

/* The answer with the right Sec-WebSocket-Accept put in. */
static void fill_in(struct mw_buffer *answer, struct mw_buffer *request, const uint8_t *data, size_t len)
{
    static const char field[] = "Sec-WebSocket-Key: ", place[] = "{accept}";
    char accept[MW_WS_ACCEPT_LEN + 1];

    REQUIRE(mw_buffer_append(request, "", 1));
    const char *key = strstr((char *)request->data, field);
    REQUIRE(key && mw_handshake_accept(key + sizeof field - 1, MW_WS_KEY_LEN, accept));
    for (size_t at = 0; at < len;) {
        bool here = len - at >= sizeof place - 1 && !memcmp(data + at, place, sizeof place - 1);
        REQUIRE(mw_buffer_append(answer, here ? accept : (const char *)data + at, here ? MW_WS_ACCEPT_LEN : 1));
        at += here ? sizeof place - 1 : 1;
    }
}

static void run(struct client *client, uint8_t choices, uint8_t cut, const uint8_t *data, size_t len)
{
    static const struct mw_opening_events events = {.opened = on_opened, .failed = on_failed};
    struct mw_deflate_options deflate;
    struct mw_buffer request = {0}, answer = {0};
    uint32_t state = 0;

    mw_deflate_options_default(&deflate);
    deflate.enabled = choices & OFFERS_DEFLATE;
    if (choices & NARROW)
        deflate.server_max_window_bits = deflate.client_max_window_bits = 10;
    struct mw_opening_options options = {
        .connect = {.host = "x", .port = 80, .path = rig_path(), .timeout_ms = 10000},
        .host_header = "x",
        .target = "/",
        .protocols = choices & OFFERS_PROTOCOLS ? "chat, superchat" : NULL,
        .deflate = &deflate,
    };
    *client = (struct client){0};
    REQUIRE(mw_opening_start(rig_engine(), &options, &events, client));
    int peer = rig_accept();
    REQUIRE(peer >= 0);
    rig_open(peer, &request);
    fill_in(&answer, &request, data, len);
    for (size_t at = 0; at < answer.len && !client->over;) {
        size_t piece = fuzz_cut(cut, &state, answer.len - at);
        rig_send(peer, answer.data + at, piece, &request);
        at += piece;
    }
    rig_half_close(peer, &request);
    REQUIRE(client->over);
    rig_done(peer);
    mw_buffer_free(&request);
    mw_buffer_free(&answer);
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choices = fuzz_take(&input), cut = fuzz_take(&input);
    struct client whole, pieces;

    run(&whole, choices, 0, input.data, input.len);
    run(&pieces, choices, cut ? cut : 1, input.data, input.len);
    REQUIRE(whole.outcome.len == pieces.outcome.len);
    REQUIRE(!memcmp(whole.outcome.data, pieces.outcome.data, whole.outcome.len));
    mw_buffer_free(&whole.outcome);
    mw_buffer_free(&pieces.outcome);
}
