/* frame_model.c - see frame_model.h. Section numbers are those of RFC 6455. */
/* SPDX-License-Identifier: MIT */
#include "frame_model.h"

#include "base/utf8.h"
#include "fuzz.h"

struct stream {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool is_client; /* of whoever reads it */
    struct mw_buffer list;
    struct mw_buffer message;
    int opcode; /* of the open message; 0: none */
    int fragments;
    int controls;
    int verdict; /* a close code; 0: not yet */
    bool by_peer;
};

struct header {
    bool fin;
    int opcode;
    uint64_t length;
    uint8_t key[4];
};

void model_event(struct mw_buffer *list, char kind, unsigned code, const void *data, size_t len)
{
    uint8_t head[9] = {(uint8_t)kind, (uint8_t)(code >> 8), (uint8_t)code};

    for (int i = 0; i < 4; i++)
        head[3 + i] = (uint8_t)(len >> (8 * i));
    REQUIRE(mw_buffer_append(list, head, sizeof head));
    REQUIRE(!len || mw_buffer_append(list, data, len));
}

static bool refuse(struct stream *stream, int code)
{
    stream->verdict = code;
    return false;
}

static bool is_text(const uint8_t *data, size_t len, bool whole)
{
    struct mw_utf8 state = {0};

    return mw_utf8_feed(&state, data, len) && (!whole || mw_utf8_complete(&state));
}

/* §5.2, §5.5. False: broken (there is a verdict), or not all there. */
static bool read_header(struct stream *stream, struct header *header)
{
    const uint8_t *at = stream->data + stream->at;
    size_t have = stream->len - stream->at, width = 0;

    if (have < 1)
        return false;
    header->fin = at[0] >> 7;
    header->opcode = at[0] & 15;
    bool known = header->opcode <= 2 || (header->opcode >= 8 && header->opcode <= 10);
    if ((at[0] & 0x70) || !known || (header->opcode >= 8 && !header->fin))
        return refuse(stream, 1002);
    if (have < 2)
        return false;
    bool masked = at[1] >> 7;
    int short_length = at[1] & 127;
    if (masked == stream->is_client || (header->opcode >= 8 && short_length > 125))
        return refuse(stream, 1002);
    if (short_length > 125)
        width = short_length == 126 ? 2 : 8;
    header->length = width ? 0 : (uint64_t)short_length;
    size_t digits = have - 2 < width ? have - 2 : width;
    for (size_t i = 0; i < digits; i++)
        header->length = header->length << 8 | at[2 + i];
    /* Told as early as it shows: the highest bit by the first byte, a length that fits in fewer bytes by the last that is 0. */
    if (width == 8 && digits && at[2] >> 7)
        return refuse(stream, 1002);
    if (width == 8 && digits >= 6 && !(header->length >> (8 * (digits - 6))))
        return refuse(stream, 1002);
    if (width == 2 && digits == 2 && header->length < 126)
        return refuse(stream, 1002);
    size_t size = 2 + width + (masked ? 4 : 0);
    if (have < size)
        return false;
    memset(header->key, 0, 4);
    if (masked)
        memcpy(header->key, at + 2 + width, 4);
    stream->at += size;
    return true;
}

/* §5.5.1, §7.4. */
static bool take_close(struct stream *stream, const uint8_t *payload, size_t len)
{
    int code = 1005;

    if (len == 1)
        return refuse(stream, 1002);
    if (len >= 2) {
        code = payload[0] << 8 | payload[1];
        bool reserved = code == 1004 || code == 1005 || code == 1006 || (code > 1014 && code < 3000);
        if (code < 1000 || code > 4999 || reserved)
            return refuse(stream, 1002);
        if (!is_text(payload + 2, len - 2, true))
            return refuse(stream, 1007);
    }
    stream->by_peer = true;
    model_event(&stream->list, 'C', (unsigned)code, payload + 2, len > 2 ? len - 2 : 0);
    return refuse(stream, code);
}

static bool take_control(struct stream *stream, int opcode, const uint8_t *payload, size_t len)
{
    if (opcode == 8)
        return take_close(stream, payload, len);
    if (++stream->controls > MODEL_MAX_CONTROL)
        return refuse(stream, 1008);
    if (opcode == 10)
        model_event(&stream->list, 'P', 0, payload, len);
    return true;
}

/* §5.4, §5.6. */
static bool take_data(struct stream *stream, const struct header *header, const uint8_t *payload)
{
    if (header->opcode) {
        stream->opcode = header->opcode;
        stream->fragments = 0;
        stream->message.len = 0;
    }
    if (++stream->fragments > MODEL_MAX_FRAGMENTS)
        return refuse(stream, 1008);
    REQUIRE(!header->length || mw_buffer_append(&stream->message, payload, (size_t)header->length));
    if (stream->opcode == 1 && !is_text(stream->message.data, stream->message.len, header->fin))
        return refuse(stream, 1007);
    if (header->fin) {
        model_event(&stream->list, stream->opcode == 1 ? 'T' : 'B', 0, stream->message.data, stream->message.len);
        stream->opcode = 0;
    }
    return true;
}

static bool take_frame(struct stream *stream)
{
    struct header header;

    if (!read_header(stream, &header))
        return false;
    if (header.opcode < 8) {
        if ((header.opcode == 0) != (stream->opcode != 0))
            return refuse(stream, 1002);
        if (header.length > MODEL_MAX_PAYLOAD - (stream->opcode ? stream->message.len : 0))
            return refuse(stream, 1009);
    }
    if (header.length > stream->len - stream->at)
        return false;
    uint8_t payload[MODEL_MAX_PAYLOAD + 1];
    for (size_t i = 0; i < header.length; i++)
        payload[i] = stream->data[stream->at + i] ^ header.key[i % 4];
    stream->at += (size_t)header.length;
    return header.opcode >= 8 ? take_control(stream, header.opcode, payload, (size_t)header.length)
                              : take_data(stream, &header, payload);
}

void model_check(const struct mw_buffer *events, const uint8_t *data, size_t len, bool is_client)
{
    enum { EVENT_HEAD = 9 };
    struct stream stream = {.data = data, .len = len, .is_client = is_client};

    while (take_frame(&stream))
        ;
    if (!stream.by_peer)
        model_event(&stream.list, 'C', stream.verdict ? (unsigned)stream.verdict : 1006, NULL, 0);
    /* Our own reasons are our own words. */
    size_t same = stream.by_peer ? stream.list.len : stream.list.len - EVENT_HEAD + 3;
    REQUIRE(events->len >= same);
    REQUIRE(!memcmp(events->data, stream.list.data, same));
    REQUIRE(!stream.by_peer || events->len == same);
    mw_buffer_free(&stream.list);
    mw_buffer_free(&stream.message);
}
