/* buffer.h - a growable run of bytes.
 * Owns its memory; a zeroed struct is an empty buffer. Never shrinks by itself: mw_buffer_free gives everything back. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_BUFFER_H
#define MW_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_buffer {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Room for `extra` more bytes behind `len`; false when memory is short (the buffer is unchanged). */
bool mw_buffer_reserve(struct mw_buffer *buffer, size_t extra);
bool mw_buffer_append(struct mw_buffer *buffer, const void *data, size_t len);
/* Drops the first `len` bytes. */
void mw_buffer_consume(struct mw_buffer *buffer, size_t len);
void mw_buffer_free(struct mw_buffer *buffer);

#endif
