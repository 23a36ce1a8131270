/* log.c - see log.h. One write per line, so that lines of several processes do not mix. */
/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mw_log(enum mw_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info"};
    char *text = NULL, *line = NULL;
    va_list args;

    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return;
    len = asprintf(&line, "moonwire: %s: %s\n", names[level], text);
    free(text);
    if (len < 0)
        return;
    /* A log that cannot be written has nobody to tell. */
    ssize_t written = write(STDERR_FILENO, line, (size_t)len);
    (void)written;
    free(line);
}
