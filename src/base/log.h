/* log.h - lines on standard error for whoever runs the program. Never blocks and never ends anything: what cannot be written,
 * and what comes too often, is counted and told later. May be called from every thread.
 * Owns the process's one log: its threshold, its form and its account of what was held back. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_LOG_H
#define MW_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mw_log_level { MW_LOG_ERROR, MW_LOG_WARNING, MW_LOG_INFO };

/* The rest of a longer line, and of a record with too many of them, gives way to "…". JSON's records are one line each. */
enum { MW_LOG_LINE_MAX = 2048, MW_LOG_RECORD_MAX = 8192, MW_LOG_FIELDS_MAX = 32 };

struct mw_log_field {
    const char *name; /* trusted */
    const char *text; /* not trusted, like everything else below that is not called so */
    size_t len;
    bool bare; /* trusted, a number or a boolean: without quotes */
};

struct mw_log_record {
    enum mw_log_level level;
    const char *text;
    size_t len;
    const char *where; /* in front of the text, for people, who are not shown the fields then; NULL: they are */
    const struct mw_log_field *fields;
    size_t field_count;
    uint64_t key; /* records of one key are limited together */
    /* The text is an error's and may go over several lines, if for people; otherwise only the traceback in it may. */
    bool lines;
    bool script; /* a script's own line: many more of them may come */
};

/* Once, before there are other threads. The process's end then tells what is held back. */
void mw_log_configure(enum mw_log_level level, bool json);
/* Calls back when lines begin to be held back, or lost, on the thread that configured the log (those of other threads are told
 * with the next line): mw_log_tell is due five seconds later. */
void mw_log_on_held(void (*callback)(void *arg), void *arg);
/* Whether somebody wants lines of this level. */
bool mw_log_wants(enum mw_log_level level);
/* One line. Lines with the same format are limited together. */
void mw_log(enum mw_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mw_log_write(const struct mw_log_record *record);
/* Tells what was lost, and held back for five seconds (or, at the end, at all); true while there is more. */
bool mw_log_tell(bool at_end);
/* A key from text, for records whose kind is known by names. */
uint64_t mw_log_key(uint64_t key, const char *text);

#endif
