/* options.h - the command line: what a person may say before the script's name, and what holds when nothing is said. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_OPTIONS_H
#define MW_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/privileges.h"

struct mw_runtime_options {
    const char *script;  /* NULL: a REPL */
    const char *program; /* argv[0] */
    bool is_bench;       /* `script` is no file, but the command "bench" */
    int argc;            /* what follows the script's name */
    char **argv;
    enum mw_log_level log_level; /* the least important that is still written */
    bool log_json;               /* one object a line, for programs that read logs */
    uint32_t handler_warning_ms; /* a handler that takes longer is told; 0: never */
    uint32_t handler_limit_ms;   /* … is interrupted; 0: never */
    size_t memory_limit;         /* bytes of the Lua state; 0: none */
    uint32_t drain_ms;           /* how long a signal waits for what is open */
    bool supervise;              /* restart the program when it dies */
    const char *user;            /* NAME[:GROUP] to become once the ports are open; NULL: stay */
    const char *metrics;         /* [HOST:]PORT or PATH of the metrics; NULL: none */

    /* Not from the command line: who `user` is, and whom to tell when the program is ready; NULL, -1: nobody. */
    const struct mw_privileges *privileges;
    int ready_fd;
};

enum mw_options_result { MW_OPTIONS_RUN, MW_OPTIONS_HELP, MW_OPTIONS_VERSION, MW_OPTIONS_WRONG };

/* Strings are borrowed from `argv`. MW_OPTIONS_WRONG: `why` says what is wrong and what would be right. */
enum mw_options_result mw_options_read(struct mw_runtime_options *options, int argc, char **argv, char *why,
                                       size_t size);
/* The lines of --help about the options. */
extern const char mw_options_help[];

#endif
