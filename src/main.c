/* main.c - options in, exit code out. */
/* SPDX-License-Identifier: MIT */
#include <libwebsockets.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "moonwire.h"
#include "runtime.h"

static void help(FILE *file)
{
    fputs("usage: moonwire [options] script.lua [arguments]\n"
          "       moonwire                          a prompt on the event loop\n"
          "       moonwire bench ws://HOST:PORT/    a load generator for WebSocket servers (bench --help)\n"
          "\n"
          "Runs a Lua script with WebSockets, HTTP, timers and all of libuv; ends when nothing is left to do.\n"
          "A script named - is read from standard input.\n"
          "\n"
          "  --version    the versions of moonwire and of what it stands on\n"
          "  --help       this text\n",
          file);
}

static void version(void)
{
    printf("moonwire %s (%s, libuv %s, libwebsockets %s)\n", MW_VERSION, LUA_RELEASE, uv_version_string(),
           lws_get_library_version());
}

int main(int argc, char **argv)
{
    struct mw_runtime_options options = {.program = argv[0]};
    bool is_script = false; /* even if it is named like a command */
    int next = 1;

    for (; next < argc && argv[next][0] == '-' && argv[next][1]; next++) {
        if (strcmp(argv[next], "--") == 0) {
            next++;
            is_script = true;
            break;
        }
        if (strcmp(argv[next], "--version") == 0 || strcmp(argv[next], "-v") == 0) {
            version();
            return 0;
        }
        if (strcmp(argv[next], "--help") == 0 || strcmp(argv[next], "-h") == 0) {
            help(stdout);
            return 0;
        }
        fprintf(stderr, "moonwire: unknown option %s\n", argv[next]);
        help(stderr);
        return 2;
    }
    if (next < argc) {
        options.script = argv[next];
        options.is_bench = !is_script && strcmp(argv[next], "bench") == 0;
        options.argc = argc - next - 1;
        options.argv = argv + next + 1;
    }
    return mw_runtime_run(&options);
}
