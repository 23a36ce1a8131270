/* frame_fuzz.c - a WebSocket connection of either role: frames, fragments, control frames, compression, the close handshake.
 * The first byte chooses role and behaviour, the second how the stream is cut; the rest is what the peer sends.
 * The same bytes, cut or not, must lead to the same events and the same answer; what is sent must be well formed; and
 * frame_model.c must have expected the events. */
/* SPDX-License-Identifier: MIT */
#include "base/mask.h"
#include "net/connection.h"

#include "frame_model.h"
#include "fuzz.h"
#include "rig.h"

enum {
    IS_CLIENT = 1,
    COMPRESSED = 2,
    TAKEOVER = 4,
    ECHOES = 8,
    PAUSES = 16,
    CLOSES = 32,
    NO_GATHERING = 64,
    IMPATIENT = 128, /* the owner terminates when a message is empty */
    CLOSES_AT = 3,   /* messages */
};

struct side {
    struct mw_connection *connection;
    struct mw_buffer events; /* as frame_model.h writes them */
    struct mw_buffer answer;
    unsigned messages;
    uint8_t choices;
    uint8_t rule, began; /* of the ending */
    bool closed;
};

static bool on_gather(void *owner, void (*step)(void *arg), void *arg)
{
    const struct side *side = owner;

    if (side->choices & NO_GATHERING)
        return false;
    step(arg);
    return true;
}

static void on_message(void *owner, const uint8_t *data, size_t len, bool text)
{
    struct side *side = owner;

    REQUIRE(!side->closed && side->connection->state == MW_OPEN);
    REQUIRE(len <= MODEL_MAX_PAYLOAD);
    model_event(&side->events, text ? 'T' : 'B', 0, data, len);
    side->messages++;
    if (side->choices & ECHOES)
        REQUIRE(mw_connection_send(side->connection, data, len, text) != MW_SEND_FULL);
    if ((side->choices & PAUSES) && side->messages % 2)
        mw_connection_pause(side->connection, true);
    if ((side->choices & CLOSES) && side->messages == CLOSES_AT)
        mw_connection_close(side->connection, MW_ENDING_CLOSED_BY_SCRIPT, 4000, "enough", 6);
    if ((side->choices & IMPATIENT) && !len)
        mw_connection_terminate(side->connection, MW_ENDING_TERMINATED_BY_SCRIPT, "nothing to say");
}

static void on_pong(void *owner, const uint8_t *data, size_t len)
{
    struct side *side = owner;

    REQUIRE(!side->closed && len <= MW_CONTROL_PAYLOAD_MAX);
    model_event(&side->events, 'P', 0, data, len);
}

static void on_drain(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, const struct mw_ending *ending)
{
    struct side *side = owner;
    char text[MW_ENDING_TEXT_MAX];

    REQUIRE(!side->closed && ending->code >= 1000 && ending->code <= 4999);
    REQUIRE(mw_ending_find(mw_ending_name(ending->rule)) == ending->rule);
    REQUIRE(*mw_ending_text(ending, side->connection->settings, text, sizeof text));
    side->closed = true;
    side->connection = NULL;
    side->rule = ending->rule;
    side->began = ending->began;
    model_event(&side->events, 'C', ending->code, ending->reason, ending->reason_len);
}

static const struct mw_connection_events events = {
    .gather = on_gather, .message = on_message, .drain = on_drain, .pong = on_pong, .closed = on_closed};

static void resume(struct side *side, int peer)
{
    while (side->connection && side->connection->paused) {
        mw_connection_pause(side->connection, false);
        rig_settle(peer, &side->answer);
    }
}

/* Runs the stream through a connection of its own. */
static void run(struct side *side, uint8_t choices, uint8_t cut, const uint8_t *data, size_t len)
{
    struct mw_connection_settings settings;
    struct mw_deflate_params params = {
        .enabled = choices & COMPRESSED,
        .server_no_context_takeover = !(choices & TAKEOVER),
        .client_no_context_takeover = !(choices & TAKEOVER),
        .server_max_window_bits = 15,
        .client_max_window_bits = choices & TAKEOVER ? 9 : 15,
    };
    uint32_t state = 0;
    int peer;

    mw_connection_settings_default(&settings);
    settings.max_payload = MODEL_MAX_PAYLOAD;
    settings.max_fragments = MODEL_MAX_FRAGMENTS;
    settings.max_control_per_second = MODEL_MAX_CONTROL;
    settings.max_backpressure = settings.high_water = 1 << 30;
    settings.deflate.min_bytes = 1;
    *side = (struct side){.choices = choices};
    struct mw_socket *socket = rig_pair(&peer);
    side->connection = mw_connection_new(socket, choices & IS_CLIENT, &settings, &params, &events, side);
    REQUIRE(side->connection);
    /* A part may have come with the opening handshake. */
    size_t early = cut ? fuzz_cut(cut, &state, len) : 0;
    uint8_t *head = malloc(early + 1);
    REQUIRE(head);
    memcpy(head, data, early);
    mw_connection_start(side->connection, head, early);
    free(head);
    rig_settle(peer, &side->answer);
    resume(side, peer);
    for (size_t at = early; at < len;) {
        size_t piece = fuzz_cut(cut, &state, len - at);
        rig_send(peer, data + at, piece, &side->answer);
        resume(side, peer);
        at += piece;
    }
    rig_half_close(peer, &side->answer);
    REQUIRE(side->closed);
    rig_done(peer);
}

/* What the connection sent: whole valid frames of its role, and nothing behind a Close. They are unmasked in place, because
 * the keys are random. */
static void check_answer(struct mw_buffer *answer, uint8_t choices)
{
    struct mw_frame frame;
    const char *why;
    bool closed = false;

    for (size_t at = 0; at < answer->len;) {
        uint8_t *data = answer->data + at;
        REQUIRE(!closed);
        REQUIRE(mw_frame_parse(&frame, data, answer->len - at, choices & IS_CLIENT, choices & COMPRESSED, &why) ==
                MW_FRAME_OK);
        REQUIRE(frame.length <= answer->len - at - frame.header_len);
        if (frame.masked) {
            mw_mask(data + frame.header_len, (size_t)frame.length, frame.key, 0);
            memset(data + frame.header_len - sizeof frame.key, 0, sizeof frame.key);
        }
        closed = frame.opcode == MW_OPCODE_CLOSE;
        at += frame.header_len + (size_t)frame.length;
    }
}

static bool same(const struct mw_buffer *a, const struct mw_buffer *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void forget(struct side *side)
{
    mw_buffer_free(&side->events);
    mw_buffer_free(&side->answer);
}

void fuzz_one(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t choices = fuzz_take(&input), cut = fuzz_take(&input);
    struct side whole, pieces;

    run(&whole, choices, 0, input.data, input.len);
    check_answer(&whole.answer, choices);
    run(&pieces, choices, cut ? cut : 1, input.data, input.len);
    check_answer(&pieces.answer, choices);
    REQUIRE(same(&whole.events, &pieces.events));
    REQUIRE(whole.rule == pieces.rule && whole.began == pieces.began && whole.rule != MW_ENDING_NONE);
    /* Terminating drops what waits to be sent, which depends on the cut. */
    REQUIRE((choices & IMPATIENT) || same(&whole.answer, &pieces.answer));
    if (!(choices & (COMPRESSED | CLOSES | IMPATIENT)))
        model_check(&whole.events, input.data, input.len, choices & IS_CLIENT);
    forget(&whole);
    forget(&pieces);
}
