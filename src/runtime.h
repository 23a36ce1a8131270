/* runtime.h - a moonwire process from its first to its last moment: boots loop, sockets and Lua, runs a script, and takes
 * everything down in the order that leaves nothing behind. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_RUNTIME_H
#define MW_RUNTIME_H

#include <stdbool.h>

struct mw_runtime_options {
    const char *script;  /* NULL: a REPL */
    const char *program; /* argv[0] */
    bool is_bench;       /* `script` is no file, but the command "bench" */
    int argc;            /* what follows the script's name */
    char **argv;
};

/* Runs to the end and returns the exit code: 0, or 1 after an uncaught error. */
int mw_runtime_run(const struct mw_runtime_options *options);

#endif
