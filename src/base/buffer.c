/* buffer.c - see buffer.h. */
/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

bool mw_buffer_reserve(struct mw_buffer *buffer, size_t extra)
{
    if (extra <= buffer->cap - buffer->len)
        return true;
    if (extra > SIZE_MAX / 2 - buffer->len)
        return false;
    size_t need = buffer->len + extra;
    size_t cap = buffer->cap ? buffer->cap * 2 : 64;
    if (cap < need)
        cap = need;
    uint8_t *data = realloc(buffer->data, cap);
    if (!data)
        return false;
    buffer->data = data;
    buffer->cap = cap;
    return true;
}

bool mw_buffer_append(struct mw_buffer *buffer, const void *data, size_t len)
{
    if (!mw_buffer_reserve(buffer, len))
        return false;
    if (len)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return true;
}

void mw_buffer_consume(struct mw_buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len)
        memmove(buffer->data, buffer->data + len, buffer->len);
}

void mw_buffer_free(struct mw_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct mw_buffer){0};
}
