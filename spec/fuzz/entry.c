/* entry.c - where libFuzzer enters a target. Can plant a fault of its own for one process, to show that the machinery around
 * it notices: MOONWIRE_FUZZ_FAULT=crash, leak, hang or memory, at every input of two bytes or more. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void hang(void)
{
    for (volatile bool on = true; on;)
        ;
}

static void lose(size_t len)
{
    static void *volatile held;

    held = malloc(len);
    held = NULL;
    REQUIRE(!held);
}

static void plant(const char *fault)
{
    if (!strcmp(fault, "crash")) {
        REQUIRE(!"a planted fault");
    } else if (!strcmp(fault, "leak")) {
        lose(1);
    } else if (!strcmp(fault, "hang")) {
        hang();
    } else if (!strcmp(fault, "memory")) {
        lose((size_t)2 << 30);
    } else {
        fprintf(stderr, "MOONWIRE_FUZZ_FAULT must be crash, leak, hang or memory, not %s\n", fault);
        exit(2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *fault = getenv("MOONWIRE_FUZZ_FAULT");

    fuzz_one(data, len);
    if (fault && len >= 2)
        plant(fault);
    return 0;
}
