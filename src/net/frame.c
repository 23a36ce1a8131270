/* frame.c - see frame.h. */
/* SPDX-License-Identifier: MIT */
#include "net/frame.h"

#include <string.h>

enum {
    FIN = 0x80,
    RSV1 = 0x40,
    RSV2_RSV3 = 0x30,
    OPCODE = 0x0f,
    CONTROL = 0x08, /* the bit that all control opcodes have */
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* What is wrong with the first byte, or NULL. */
static const char *check_first(uint8_t byte, bool rsv1_allowed)
{
    uint8_t opcode = byte & OPCODE;
    if (byte & RSV2_RSV3)
        return "a frame has RSV2 or RSV3 set";
    if ((opcode > MW_OPCODE_BINARY && opcode < MW_OPCODE_CLOSE) || opcode > MW_OPCODE_PONG)
        return "a frame has a reserved opcode";
    if (byte & RSV1) {
        if (!rsv1_allowed)
            return "a frame has RSV1 set and no extension was agreed on";
        if ((opcode & CONTROL) || opcode == MW_OPCODE_CONTINUATION)
            return "a control or continuation frame has RSV1 set";
    }
    if ((opcode & CONTROL) && !(byte & FIN))
        return "a control frame is fragmented";
    return NULL;
}

static const char *check_second(uint8_t byte, uint8_t opcode, bool expect_mask)
{
    if (expect_mask != !!(byte & MASKED))
        return expect_mask ? "a client's frame is not masked" : "a server's frame is masked";
    if ((opcode & CONTROL) && (byte & LENGTH) > MW_CONTROL_PAYLOAD_MAX)
        return "a control frame is longer than 125 bytes";
    return NULL;
}

/* Checks as many bytes of a 64-bit length as there are. */
static const char *check_length_64(const uint8_t *at, size_t have)
{
    if (have >= 1 && (at[0] & 0x80))
        return "a frame's length has its highest bit set";
    static const uint8_t zeros[6];
    if (have >= sizeof zeros && memcmp(at, zeros, sizeof zeros) == 0)
        return "a frame's length is not in its shortest form";
    return NULL;
}

static uint64_t read_big_endian(const uint8_t *at, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | at[i];
    return value;
}

enum mw_frame_result mw_frame_parse(struct mw_frame *frame, const uint8_t *data, size_t len, bool expect_mask,
                                    bool rsv1_allowed, const char **why)
{
    if (len < 1)
        return MW_FRAME_PARTIAL;
    const char *wrong = check_first(data[0], rsv1_allowed);
    if (!wrong && len >= 2)
        wrong = check_second(data[1], data[0] & OPCODE, expect_mask);
    if (wrong) {
        *why = wrong;
        return MW_FRAME_INVALID;
    }
    if (len < 2)
        return MW_FRAME_PARTIAL;

    uint64_t length = data[1] & LENGTH;
    size_t at = 2;
    if (length >= LENGTH_16) {
        size_t width = length == LENGTH_16 ? 2 : 8;
        size_t have = len - at < width ? len - at : width;
        if (width == 8)
            wrong = check_length_64(data + at, have);
        else if (have == 2 && data[at] == 0 && data[at + 1] < LENGTH_16)
            wrong = "a frame's length is not in its shortest form";
        if (wrong) {
            *why = wrong;
            return MW_FRAME_INVALID;
        }
        if (have < width)
            return MW_FRAME_PARTIAL;
        length = read_big_endian(data + at, width);
        at += width;
    }
    if (expect_mask) {
        if (len - at < sizeof frame->key)
            return MW_FRAME_PARTIAL;
        memcpy(frame->key, data + at, sizeof frame->key);
        at += sizeof frame->key;
    } else {
        memset(frame->key, 0, sizeof frame->key);
    }
    frame->length = length;
    frame->header_len = (uint8_t)at;
    frame->opcode = data[0] & OPCODE;
    frame->fin = data[0] & FIN;
    frame->rsv1 = data[0] & RSV1;
    frame->masked = expect_mask;
    return MW_FRAME_OK;
}

size_t mw_frame_header_len(uint64_t length, bool masked)
{
    size_t extended = length < LENGTH_16 ? 0 : length <= UINT16_MAX ? 2 : 8;
    return 2 + extended + (masked ? 4 : 0);
}

size_t mw_frame_write(uint8_t *out, enum mw_opcode opcode, bool fin, bool rsv1, uint64_t length, const uint8_t *key)
{
    size_t width = 0;
    uint8_t short_length = (uint8_t)length;
    if (length > UINT16_MAX) {
        width = 8;
        short_length = LENGTH_64;
    } else if (length >= LENGTH_16) {
        width = 2;
        short_length = LENGTH_16;
    }
    out[0] = (uint8_t)((fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (int)opcode);
    out[1] = (uint8_t)((key ? MASKED : 0) | short_length);
    for (size_t i = 0; i < width; i++)
        out[2 + i] = (uint8_t)(length >> (8 * (width - 1 - i)));
    if (key)
        memcpy(out + 2 + width, key, 4);
    return 2 + width + (key ? 4 : 0);
}

bool mw_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
