/* log_line.h - what a record of the log looks like, for people or for programs. Pure; owns nothing.
 * Whatever a text holds, nobody's terminal obeys it and nobody's line is forged: control characters (C0, DEL, C1), line and
 * paragraph separators, marks that change the direction of writing, and bytes that are no UTF-8 are written as escapes. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_LOG_LINE_H
#define MW_BASE_LOG_LINE_H

#include <time.h>

#include "base/log.h"

/* Writes the record with its line feeds, at most MW_LOG_RECORD_MAX bytes; returns how many. */
size_t mw_log_render_text(const struct mw_log_record *record, char *out);
/* … at most MW_LOG_LINE_MAX bytes: one object. */
size_t mw_log_render_json(const struct mw_log_record *record, const struct timespec *time, char *out);
/* How much of the text is its first line and has at most `max` bytes, of whole characters. */
size_t mw_log_beginning(const char *text, size_t len, size_t max);

#endif
