/* runtime.h - a moonwire process from its first to its last moment: boots loop, sockets and Lua, runs a script, and takes
 * everything down in the order that leaves nothing behind. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_RUNTIME_H
#define MW_RUNTIME_H

#include "options.h"

/* Runs to the end and returns the exit code: 0, or 1 after an uncaught error. */
int mw_runtime_run(const struct mw_runtime_options *options);

#endif
