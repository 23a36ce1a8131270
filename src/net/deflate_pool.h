/* deflate_pool.h - zlib streams that are lent out. Private to net/deflate*.c.
 * The pool owns every stream it keeps; a lent inflater is the borrower's until it is given back. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_NET_DEFLATE_POOL_H
#define MW_NET_DEFLATE_POOL_H

#define ZLIB_CONST
#include <zlib.h>

#include "net/deflate.h"

/* NULL when memory is short. `window_bits` is 8-15. */
z_stream *mw_deflate_compressor_new(int level, int memory, int window_bits);
void mw_deflate_compressor_free(z_stream *stream);
z_stream *mw_deflate_inflater_new(int window_bits);
void mw_deflate_inflater_free(z_stream *stream);

/* A compressor without history, the caller's until the pool is asked again. NULL when memory is
 * short. */
z_stream *mw_deflate_pool_compressor(struct mw_deflate_pool *pool, int level, int memory, int window_bits);
/* An inflater without history and with the largest window; NULL when memory is short. */
z_stream *mw_deflate_pool_borrow(struct mw_deflate_pool *pool);
void mw_deflate_pool_give_back(struct mw_deflate_pool *pool, z_stream *inflater);

#endif
