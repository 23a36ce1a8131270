/* spare.h - malloc with something to spare, for libraries that can't do without: libuv ends the process, and luv writes through
 * NULL, when malloc fails at the wrong moment. When there is no memory they get blocks that were kept for this, in the
 * program itself, so that they get on until there is some again.
 * Owns those blocks. Every thread may call. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_SPARE_H
#define MW_BASE_SPARE_H

#include <stdbool.h>
#include <stddef.h>

/* As in stdlib.h. NULL only when nothing that is large enough is left over. */
void *mw_spare_malloc(size_t size);
void *mw_spare_calloc(size_t count, size_t size);
void *mw_spare_realloc(void *block, size_t size);
void mw_spare_free(void *block);
/* Whether it is one of those that were kept: then it must not go to free or realloc. */
bool mw_spare_owns(const void *block);

/* The same, for who doesn't look at what comes back: instead of NULL, the process ends with a line in the log and 1. */
void *mw_sure_malloc(size_t size);
void *mw_sure_calloc(size_t count, size_t size);

#endif
