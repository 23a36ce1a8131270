/* options.c - see options.h. */
/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char mw_options_help[] =
    "  --log-level LEVEL          error, warning or info (info)\n"
    "  --log-format FORMAT        text or json (text)\n"
    "  --handler-warning SECONDS  tell of a handler that holds everybody up for so long; 0: never (1)\n"
    "  --handler-limit SECONDS    interrupt a handler after this; it costs its connection; 0: never (10)\n"
    "  --memory-limit BYTES       of what Lua uses, with K, M or G behind it; 0: no limit (256M)\n"
    "  --drain SECONDS            how long SIGTERM and SIGINT wait for what is open (30)\n"
    "  --supervise                a parent process restarts the program when it dies or hangs\n"
    "  --user NAME[:GROUP]        become this user when the ports are open\n"
    "  --metrics [HOST:]PORT      /metrics, /health and /ready on an address of their own; or a Unix socket's path\n"
    "  --version                  the versions of moonwire and of what it stands on\n"
    "  --help                     this text\n";

enum { SECONDS_MAX = 2000000 };

/* What is wrong with a value, or NULL. */
typedef const char *(*read_value)(struct mw_runtime_options *options, const char *value);

static const char *read_seconds(const char *value, uint32_t *ms)
{
    char *end;
    double seconds = strtod(value, &end);

    if (end == value || *end || !isfinite(seconds) || seconds < 0 || seconds > SECONDS_MAX)
        return "a number of seconds from 0 to 2000000";
    /* 0 means "off": a time that is too short to be counted does not. */
    *ms = seconds > 0 && seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000 + 0.5);
    return NULL;
}

static const char *read_log_level(struct mw_runtime_options *options, const char *value)
{
    static const char *const names[] = {"error", "warning", "info"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            options->log_level = (enum mw_log_level)i;
            return NULL;
        }
    }
    return "error, warning or info";
}

static const char *read_log_format(struct mw_runtime_options *options, const char *value)
{
    options->log_json = strcmp(value, "json") == 0;
    return options->log_json || strcmp(value, "text") == 0 ? NULL : "text or json";
}

static const char *read_handler_warning(struct mw_runtime_options *options, const char *value)
{
    return read_seconds(value, &options->handler_warning_ms);
}

static const char *read_handler_limit(struct mw_runtime_options *options, const char *value)
{
    return read_seconds(value, &options->handler_limit_ms);
}

static const char *read_memory_limit(struct mw_runtime_options *options, const char *value)
{
    static const char expected[] = "bytes, with K, M or G behind the number if you like, at least 1M; or 0";
    static const char units[] = "KMG";
    char *end;
    unsigned long long bytes = strtoull(value, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;

    if (value[0] < '0' || value[0] > '9' || (*end && (!unit || end[1])) || bytes > (SIZE_MAX >> 1) >> shift)
        return expected;
    bytes <<= shift;
    if (bytes && bytes < 1 << 20)
        return expected;
    options->memory_limit = (size_t)bytes;
    return NULL;
}

static const char *read_drain(struct mw_runtime_options *options, const char *value)
{
    return read_seconds(value, &options->drain_ms);
}

static const char *read_user(struct mw_runtime_options *options, const char *value)
{
    options->user = value;
    return *value && *value != ':' ? NULL : "a user's name, with :GROUP behind it if you like";
}

static const char *read_metrics(struct mw_runtime_options *options, const char *value)
{
    options->metrics = value;
    return *value ? NULL : "[HOST:]PORT, or the path of a Unix socket";
}

static const struct {
    const char *name;
    read_value read;
} valued[] = {
    {"--log-level", read_log_level},
    {"--log-format", read_log_format},
    {"--handler-warning", read_handler_warning},
    {"--handler-limit", read_handler_limit},
    {"--memory-limit", read_memory_limit},
    {"--drain", read_drain},
    {"--user", read_user},
    {"--metrics", read_metrics},
};

/* Whether `word` is "--name" or "--name=…". */
static bool is_named(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && (word[len] == '\0' || word[len] == '=');
}

/* Reads argv[*next] and, if it stands behind it, its value. False with a sentence in `why`. */
static bool read_option(struct mw_runtime_options *options, char **argv, int *next, char *why, size_t size)
{
    const char *word = argv[(*next)++];

    if (strcmp(word, "--supervise") == 0) {
        options->supervise = true;
        return true;
    }
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
        if (!is_named(word, valued[i].name))
            continue;
        const char *equals = strchr(word, '='), *value = equals ? equals + 1 : argv[*next];
        if (!equals && value)
            (*next)++;
        const char *expected = valued[i].read(options, value ? value : "");
        if (expected)
            snprintf(why, size, "option %s must be %s, not \"%s\"", valued[i].name, expected, value ? value : "");
        return !expected;
    }
    snprintf(why, size, "unknown option %s", word);
    return false;
}

enum mw_options_result mw_options_read(struct mw_runtime_options *options, int argc, char **argv, char *why,
                                       size_t size)
{
    bool is_script = false; /* even if it is named like a command */
    int next = 1;

    *options = (struct mw_runtime_options){
        .program = argv[0],
        .log_level = MW_LOG_INFO,
        .handler_warning_ms = 1000,
        .handler_limit_ms = 10000,
        .memory_limit = (size_t)256 << 20,
        .drain_ms = 30000,
        .ready_fd = -1,
    };
    while (next < argc && argv[next][0] == '-' && argv[next][1] && !is_script) {
        if (strcmp(argv[next], "--") == 0) {
            is_script = true;
            next++;
        } else if (strcmp(argv[next], "--version") == 0 || strcmp(argv[next], "-v") == 0) {
            return MW_OPTIONS_VERSION;
        } else if (strcmp(argv[next], "--help") == 0 || strcmp(argv[next], "-h") == 0) {
            return MW_OPTIONS_HELP;
        } else if (!read_option(options, argv, &next, why, size)) {
            return MW_OPTIONS_WRONG;
        }
    }
    if (next < argc) {
        options->script = argv[next];
        options->is_bench = !is_script && strcmp(argv[next], "bench") == 0;
        options->argc = argc - next - 1;
        options->argv = argv + next + 1;
    }
    return MW_OPTIONS_RUN;
}
