/* deflate.h - permessage-deflate (RFC 7692): negotiating it and running it.
 * A struct mw_deflate belongs to one connection. It owns zlib streams only where context takeover
 * was agreed on (made when first needed); otherwise it borrows one from the pool for the time of a
 * message, so that an idle connection holds none. Knows no socket and no frame. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_DEFLATE_H
#define MW_NET_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* What a route or a client asks for. */
struct mw_deflate_options {
    bool enabled;
    int level;        /* zlib level, 1-9 */
    int memory;       /* zlib memLevel, 1-9 */
    size_t min_bytes; /* shorter messages go uncompressed */
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    int server_max_window_bits; /* 9-15 */
    int client_max_window_bits; /* 9-15 */
};

/* What both sides agreed on. A peer may ask for a window of 8 bits: then what is sent to it holds
 * no matches except runs of one byte, because zlib has no raw deflate with so small a window. */
struct mw_deflate_params {
    bool enabled;
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    uint8_t server_max_window_bits; /* 8-15 */
    uint8_t client_max_window_bits;
};

enum { MW_DEFLATE_HEADER_MAX = 160 };

/* The defaults of `compress = true`: no context takeover either way, so no memory per connection.
 */
void mw_deflate_options_default(struct mw_deflate_options *options);

/* Server: picks the first acceptable permessage-deflate offer of a Sec-WebSocket-Extensions value
 * (several headers joined with commas) and writes the answer's value (NUL-terminated) to `answer`.
 * false when none is acceptable: then no extension is used. (RFC 7692 §5, §7.1) */
bool mw_deflate_negotiate(const struct mw_deflate_options *options, const char *offers, size_t len,
                          struct mw_deflate_params *params, char answer[MW_DEFLATE_HEADER_MAX]);
/* Server: whether a Sec-WebSocket-Extensions value is a list of extensions at all; what is none must
 * fail the connection, wanted or not (RFC 6455 §9.1). An empty one is. */
bool mw_extensions_valid(const char *offers, size_t len);
/* Client: writes the offer's value. */
void mw_deflate_offer(const struct mw_deflate_options *options, char offer[MW_DEFLATE_HEADER_MAX]);
/* Client: checks the server's answer against the offer; false means "fail the connection". `len` 0
 * is a valid "no". */
bool mw_deflate_confirm(const struct mw_deflate_options *options, const char *answer, size_t len,
                        struct mw_deflate_params *params);

/* Streams for all connections of one loop that have no context to keep. Outlives every mw_deflate
 * made with it. */
struct mw_deflate_pool;

/* NULL when memory is short; streams are made when first needed. */
struct mw_deflate_pool *mw_deflate_pool_new(void);
void mw_deflate_pool_free(struct mw_deflate_pool *pool);

struct mw_deflate;

struct mw_deflate *mw_deflate_new(const struct mw_deflate_options *options, const struct mw_deflate_params *params,
                                  bool is_server, struct mw_deflate_pool *pool);
void mw_deflate_free(struct mw_deflate *deflate);

enum mw_deflate_result { MW_DEFLATE_OK, MW_DEFLATE_CORRUPT, MW_DEFLATE_TOO_BIG, MW_DEFLATE_NO_MEMORY };

/* Appends one whole compressed message (tail 00 00 ff ff removed) to `out`. A message that is then
 * not sent must be followed by mw_deflate_forget: the peer lacks it. On failure nothing is
 * appended. */
enum mw_deflate_result mw_deflate_compress(struct mw_deflate *deflate, const void *data, size_t len,
                                           struct mw_buffer *out);
/* The peer's window no longer holds what ours does (a compressed message was sent that came from
 * elsewhere, or one was dropped): the next message will not refer back. */
void mw_deflate_forget(struct mw_deflate *deflate);
/* The window, in bits, that messages to this peer may refer back in: a shared message must not use
 * a larger one. */
int mw_deflate_send_window(const struct mw_deflate *deflate);

/* Inflates the payload of one frame of a compressed message and appends to `out`, whose length
 * never grows past `limit` bytes (a bomb costs no more than that); `fin` on the last frame. Streams
 * that end early or hold trailing garbage are corrupt; a message without any bytes is taken as an
 * empty one. After a failure the connection has to end. */
enum mw_deflate_result mw_deflate_inflate(struct mw_deflate *deflate, const void *data, size_t len, bool fin,
                                          struct mw_buffer *out, size_t limit);

/* Compresses without any context: one message shared by all receivers with a send window of at
 * least `window_bits` (9-15). On failure nothing is appended. */
enum mw_deflate_result mw_deflate_once(struct mw_deflate_pool *pool, int level, int memory, int window_bits,
                                       const void *data, size_t len, struct mw_buffer *out);

#endif
