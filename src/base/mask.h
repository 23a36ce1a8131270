/* mask.h - the masking of RFC 6455 §5.3. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_MASK_H
#define MW_BASE_MASK_H

#include <stddef.h>
#include <stdint.h>

/* XORs `data` in place with the four bytes of `key`; `phase` is how many bytes of the payload came
 * before. */
void mw_mask(uint8_t *data, size_t len, const uint8_t key[4], size_t phase);

#endif
