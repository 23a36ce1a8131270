/* allocator_test.c - bind/allocator.h: blocks keep their bytes, memory goes back, the limit holds. */
/* SPDX-License-Identifier: MIT */
#include "bind/allocator.h"

#include "check.h"

enum { BLOCKS = 4000, ROUNDS = 200000, MEBIBYTE = 1 << 20 };

static struct mw_allocator allocator;

static struct {
    unsigned char *memory;
    size_t size;
    unsigned char fill;
} blocks[BLOCKS];

static uint32_t state = 1;

static uint32_t chance(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state * below >> 32);
}

static bool is_whole(size_t i, size_t len)
{
    for (size_t k = 0; k < len; k++) {
        if (blocks[i].memory[k] != blocks[i].fill)
            return false;
    }
    return true;
}

/* Mostly small, around the border between slabs and malloc, some large. */
static size_t some_size(void)
{
    switch (chance(8)) {
    case 0:
        return MW_ALLOCATOR_MAX - 2 + chance(5);
    case 1:
        return 1 + chance(20000);
    default:
        return 1 + chance(MW_ALLOCATOR_MAX);
    }
}

static void resize(size_t i, size_t size)
{
    size_t old = blocks[i].size;
    unsigned char *memory = mw_allocator_realloc(&allocator, blocks[i].memory, old, size);

    EXPECT(memory || !size);
    EXPECT((uintptr_t)memory % MW_ALLOCATOR_STEP == 0);
    blocks[i].memory = memory;
    EXPECT(is_whole(i, old < size ? old : size));
    blocks[i].size = size;
    blocks[i].fill = (unsigned char)chance(256);
    if (size)
        memset(memory, blocks[i].fill, size);
}

static void free_all(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].memory)
            resize(i, 0);
    }
}

static void test_chance(void)
{
    check_test("taken, resized and given back at random, blocks keep their bytes");
    for (int round = 0; round < ROUNDS; round++) {
        size_t i = chance(BLOCKS);
        resize(i, blocks[i].memory && chance(3) == 0 ? 0 : some_size());
    }
    free_all();
}

static void test_memory_returns(void)
{
    check_test("what was taken goes back to the system");
    void **list = NULL;
    for (int i = 0; i < 100000; i++) {
        void **block = mw_allocator_realloc(&allocator, NULL, 0, 96);
        *block = list;
        list = block;
    }
    EXPECT(allocator.held >= 9 * MEBIBYTE);
    while (list) {
        void *next = *list;
        mw_allocator_realloc(&allocator, list, 96, 0);
        list = next;
    }
    EXPECT(allocator.held <= 3 * MEBIBYTE);
}

static int refusals;
static bool is_script;

static bool applies(void *arg)
{
    (void)arg;
    return is_script;
}

static void refused(void *arg)
{
    (void)arg;
    refusals++;
}

static void test_limit(void)
{
    check_test("the limit refuses what goes past it, small and large, and only to scripts");
    allocator.limit = allocator.held + MEBIBYTE;
    allocator.applies = applies;
    allocator.refused = refused;
    is_script = true;
    void *large = mw_allocator_realloc(&allocator, NULL, 0, MEBIBYTE);
    EXPECT(large && !refusals);
    EXPECT(!mw_allocator_realloc(&allocator, NULL, 0, MEBIBYTE) && refusals == 1);
    EXPECT(!mw_allocator_realloc(&allocator, large, MEBIBYTE, MEBIBYTE + 4096) && refusals == 2);
    size_t held = allocator.held;
    size_t count = 0;
    void **list = NULL, **block;
    while (count < BLOCKS * 100 && (block = mw_allocator_realloc(&allocator, NULL, 0, 64))) {
        *block = list;
        list = block;
        count++;
    }
    EXPECT(count < BLOCKS * 100 && refusals == 3 && allocator.held == held);
    is_script = false;
    void *ours = mw_allocator_realloc(&allocator, NULL, 0, MEBIBYTE);
    EXPECT(ours && refusals == 3);
    is_script = true;
    EXPECT(!mw_allocator_realloc(&allocator, NULL, 0, 1000) && refusals == 4);
    mw_allocator_realloc(&allocator, ours, MEBIBYTE, 0);
    mw_allocator_realloc(&allocator, large, MEBIBYTE, 0);
    EXPECT((large = mw_allocator_realloc(&allocator, NULL, 0, 1000)));
    mw_allocator_realloc(&allocator, large, 1000, 0);
    while (list) {
        void *next = *list;
        mw_allocator_realloc(&allocator, list, 64, 0);
        list = next;
    }
}

int main(void)
{
    test_chance();
    test_memory_returns();
    test_limit();
    mw_allocator_free(&allocator);
    return check_done();
}
