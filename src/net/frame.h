/* frame.h - the framing of RFC 6455 §5: reading and writing frame headers, and which close codes
 * may travel. Pure functions; owns nothing, knows no socket. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_FRAME_H
#define MW_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum mw_opcode {
    MW_OPCODE_CONTINUATION = 0,
    MW_OPCODE_TEXT = 1,
    MW_OPCODE_BINARY = 2,
    MW_OPCODE_CLOSE = 8,
    MW_OPCODE_PING = 9,
    MW_OPCODE_PONG = 10,
};

enum mw_close_code {
    MW_CLOSE_NORMAL = 1000,
    MW_CLOSE_GOING_AWAY = 1001,
    MW_CLOSE_PROTOCOL_ERROR = 1002,
    MW_CLOSE_UNSUPPORTED = 1003,
    MW_CLOSE_NO_STATUS = 1005, /* reported, never sent */
    MW_CLOSE_ABNORMAL = 1006,  /* reported, never sent */
    MW_CLOSE_BAD_DATA = 1007,
    MW_CLOSE_POLICY = 1008,
    MW_CLOSE_TOO_BIG = 1009,
    MW_CLOSE_INTERNAL = 1011,
};

enum { MW_FRAME_HEADER_MAX = 14, MW_CONTROL_PAYLOAD_MAX = 125 };

struct mw_frame {
    uint64_t length;    /* payload bytes announced */
    uint8_t header_len; /* bytes of the header itself */
    uint8_t opcode;
    bool fin;
    bool rsv1; /* permessage-deflate: first frame of a compressed message */
    bool masked;
    uint8_t key[4];
};

enum mw_frame_result { MW_FRAME_PARTIAL, MW_FRAME_OK, MW_FRAME_INVALID };

/* Reads one header from the first `len` bytes at `data`. What is wrong by itself is
 * MW_FRAME_INVALID with `*why` set: RSV2/RSV3, reserved opcodes, RSV1 unless `rsv1_allowed` (and
 * then only on a first data frame, never on control or continuation), fragmented or long control
 * frames, lengths that are not minimal or above 2^63-1, and masking that does not fit the role
 * (`expect_mask`: frames from a client). Reported as early as the bytes allow. The order of
 * fragments is the connection's to check. */
enum mw_frame_result mw_frame_parse(struct mw_frame *frame, const uint8_t *data, size_t len, bool expect_mask,
                                    bool rsv1_allowed, const char **why);

/* Bytes of the header that mw_frame_write would write. */
size_t mw_frame_header_len(uint64_t length, bool masked);
/* The most common frame, without all the questions: a whole unfragmented message of a client with up to 125 bytes. False:
 * it is another one, or its header is not complete; mw_frame_parse tells. */
static inline bool mw_frame_parse_short(struct mw_frame *frame, const uint8_t *data, size_t len)
{
    if (len < 6 || (data[0] != (0x80 | MW_OPCODE_TEXT) && data[0] != (0x80 | MW_OPCODE_BINARY)) || data[1] < 0x80 ||
        data[1] > (0x80 | MW_CONTROL_PAYLOAD_MAX))
        return false;
    *frame = (struct mw_frame){
        .length = data[1] & 0x7f, .header_len = 6, .opcode = data[0] & 0x0f, .fin = true, .masked = true};
    memcpy(frame->key, data + 2, sizeof frame->key);
    return true;
}

/* Writes a header at `out` (MW_FRAME_HEADER_MAX bytes are enough) and returns its length; `key`
 * NULL for unmasked. */
size_t mw_frame_write(uint8_t *out, enum mw_opcode opcode, bool fin, bool rsv1, uint64_t length, const uint8_t *key);

/* The same for an unmasked frame of at most 125 bytes, whose header has two. */
static inline void mw_frame_write_short(uint8_t *out, enum mw_opcode opcode, bool rsv1, size_t length)
{
    out[0] = (uint8_t)(0x80 | (rsv1 ? 0x40 : 0) | (int)opcode);
    out[1] = (uint8_t)length;
}

/* True for codes that may be sent in a Close frame: RFC 6455 §7.4 and the IANA registry (1000-1003,
 * 1007-1014, 3000-4999). */
bool mw_close_code_valid(unsigned code);

#endif
