/* check.h - what the native tests share: a line for each test, a count at the end, an exit code.
 * Each *_test.c is a program of its own; the state below is its only one. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SPEC_CHECK_H
#define MW_SPEC_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    char name[256]; /* of the running test; empty before the first */
    int errors;     /* of the running test */
    int passed;
    int failed;
};

static struct check check;

static inline void check_end(void)
{
    if (!check.name[0])
        return;
    if (check.errors)
        check.failed++;
    else
        check.passed++;
    printf("%s - %s\n", check.errors ? "not ok" : "ok", check.name);
    check.name[0] = '\0';
}

/* Starts a test; the one before ends. */
__attribute__((format(printf, 1, 2))) static inline void check_test(const char *format, ...)
{
    va_list arguments;
    check_end();
    check.errors = 0;
    va_start(arguments, format);
    vsnprintf(check.name, sizeof check.name, format, arguments);
    va_end(arguments);
}

static inline bool check_expect(bool good, const char *what, const char *file, int line)
{
    if (!good) {
        check.errors++;
        fprintf(stderr, "%s:%d: in \"%s\": expected %s\n", file, line, check.name, what);
    }
    return good;
}

/* Counts as a failure of the running test when false, and goes on; its value is the condition's. */
#define EXPECT(condition) check_expect((condition), #condition, __FILE__, __LINE__)

/* The exit code of main. */
static inline int check_done(void)
{
    check_end();
    printf("%d passed, %d failed\n", check.passed, check.failed);
    return check.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A copy of exactly that size on the heap, so that a sanitizer sees every byte read past it. The
 * caller frees it. */
static inline void *check_copy(const void *data, size_t len)
{
    void *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    return copy;
}

/* Puts `more` behind the text in `text`, which has room for `room` bytes. */
static inline void check_append(char *text, size_t room, const char *more)
{
    size_t len = strlen(text);
    snprintf(text + len, room - len, "%s", more);
}

/* "48 65 6c" to bytes; returns how many. */
static inline size_t check_hex(const char *text, uint8_t *out, size_t room)
{
    size_t len = 0;
    while (*text) {
        char *end;
        unsigned long byte = strtoul(text, &end, 16);
        if (end == text || len == room)
            abort();
        out[len++] = (uint8_t)byte;
        text = end;
        while (*text == ' ')
            text++;
    }
    return len;
}

/* The same numbers in every run (xorshift64). */
static inline uint32_t check_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 16);
}

#endif
