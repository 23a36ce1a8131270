/* main.c - options in, exit code out. */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <libwebsockets.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "moonwire.h"
#include "options.h"
#include "runtime.h"
#include "supervisor.h"

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

static int wrong(const char *why)
{
    fprintf(stderr, "moonwire: %s\n", why);
    help(stderr);
    return EXIT_WRONG_OPTIONS;
}

static int run_child(void *arg, int ready_fd)
{
    struct mw_runtime_options *options = arg;

    options->ready_fd = ready_fd;
    return mw_runtime_run(options);
}

/* Nothing exists yet but the options: no thread, no loop, no Lua. */
static int supervise(struct mw_runtime_options *options)
{
    struct mw_supervisor supervisor = {.run = run_child, .arg = options};

    if (!options->script || options->is_bench || strcmp(options->script, "-") == 0)
        return wrong("option --supervise needs a script in a file");
    mw_supervisor_times_default(&supervisor.times);
    return mw_supervisor_run(&supervisor);
}

/* The first descriptor that is opened takes the lowest free number: the log must not get into a client's connection because
 * whoever started us had closed standard error. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct mw_runtime_options options;
    struct mw_privileges privileges;
    char why[256];

    switch (mw_options_read(&options, argc, argv, why, sizeof why)) {
    case MW_OPTIONS_HELP:
        help(stdout);
        return 0;
    case MW_OPTIONS_VERSION:
        version();
        return 0;
    case MW_OPTIONS_WRONG:
        return wrong(why);
    case MW_OPTIONS_RUN:
        break;
    }
    fill_standard_descriptors();
    mw_log_configure(options.log_level, options.log_json);
    if (options.user) {
        if (!mw_privileges_find(&privileges, options.user, why, sizeof why)) {
            fprintf(stderr, "moonwire: %s\n", why);
            return EXIT_WRONG_OPTIONS;
        }
        options.privileges = &privileges;
    }
    return options.supervise ? supervise(&options) : mw_runtime_run(&options);
}
