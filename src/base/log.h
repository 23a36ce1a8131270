/* log.h - lines on standard error for whoever runs the program. Owns nothing. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_BASE_LOG_H
#define MW_BASE_LOG_H

enum mw_log_level { MW_LOG_ERROR, MW_LOG_WARNING, MW_LOG_INFO };

void mw_log(enum mw_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
