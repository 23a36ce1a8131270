/* frame_model.h - what must come of a stream of uncompressed frames, written from RFC 6455 and not from the code: the
 * second opinion of frame_fuzz.c. Slow and simple; owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SPEC_FUZZ_FRAME_MODEL_H
#define MW_SPEC_FUZZ_FRAME_MODEL_H

#include <stdbool.h>

#include "base/buffer.h"

enum { MODEL_MAX_PAYLOAD = 1000, MODEL_MAX_FRAGMENTS = 8, MODEL_MAX_CONTROL = 20 };

/* Adds an event to a list: 'T' or 'B' a message, 'P' a pong, 'C' the end with its code. */
void model_event(struct mw_buffer *list, char kind, unsigned code, const void *data, size_t len);
/* Ends the process unless `events` is what the stream, followed by the end of the connection, must lead to. The reason of a
 * close counts only where it is the peer's. */
void model_check(const struct mw_buffer *events, const uint8_t *data, size_t len, bool is_client);

#endif
