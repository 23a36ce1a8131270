/* main.c - options in, exit code out. */
/* SPDX-License-Identifier: MIT */
#include <libwebsockets.h>
#include <lua.h>
#include <stdio.h>
#include <uv.h>

#include "moonwire.h"
#include "options.h"
#include "runtime.h"

enum { EXIT_WRONG_OPTIONS = 2 };

static void help(FILE *file)
{
    fprintf(file,
            "usage: moonwire [options] script.lua [arguments]\n"
            "       moonwire                          a prompt on the event loop\n"
            "       moonwire bench ws://HOST:PORT/    a load generator for WebSocket servers (bench --help)\n"
            "\n"
            "Runs a Lua script with WebSockets, HTTP, timers and all of libuv; ends when nothing is left to do.\n"
            "A script named - is read from standard input.\n"
            "\n"
            "%s",
            mw_options_help);
}

static void version(void)
{
    printf("moonwire %s (%s, libuv %s, libwebsockets %s)\n", MW_VERSION, LUA_RELEASE, uv_version_string(),
           lws_get_library_version());
}

int main(int argc, char **argv)
{
    struct mw_runtime_options options;
    char why[256];

    switch (mw_options_read(&options, argc, argv, why, sizeof why)) {
    case MW_OPTIONS_HELP:
        help(stdout);
        return 0;
    case MW_OPTIONS_VERSION:
        version();
        return 0;
    case MW_OPTIONS_WRONG:
        fprintf(stderr, "moonwire: %s\n", why);
        help(stderr);
        return EXIT_WRONG_OPTIONS;
    case MW_OPTIONS_RUN:
        break;
    }
    return mw_runtime_run(&options);
}
