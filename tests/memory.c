/*
 * memory: it is there, it is zero, and it does not move.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

Test(memory, large_memory_is_zero_aligned_and_there)
{
    struct ir_error error = { 0 };
    const size_t bytes = ((size_t)5 << 20) + 3;
    unsigned char *memory = run_memory_map(bytes, &error);
    unsigned char resident[3 * 512];
    cr_assert(memory, "%s", error.text);
    cr_expect_eq((uintptr_t)memory % (2 << 20), 0);
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(memory[i], 0);
    memset(memory, 1, bytes);
    cr_expect_eq(mincore(memory, 3 * 512 * 4096, resident), 0);
    for (size_t i = 0; i < sizeof resident; i++)
        cr_assert(resident[i] & 1, "page %zu was not made", i);
    run_memory_free(memory, bytes);
    static const size_t absurd[] = { SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2, (size_t)1 << 56 };
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        error = (struct ir_error){ 0 };
        cr_expect_null(run_memory_map(absurd[i], &error));
        cr_expect_eq(error.status, IR_FAILED);
    }
}

Test(memory, a_reserved_range_grows_where_it_stands)
{
    struct run_memory memory;
    struct ir_error error = { 0 };
    cr_assert(run_memory_reserve(&memory, (size_t)1 << 36, &error), "%s", error.text);
    cr_assert(run_memory_commit(&memory, 1000, &error), "%s", error.text);
    unsigned char *first = memory.base;
    memset(first, 5, 1000);
    for (size_t bytes = 1000; bytes < (size_t)16 << 20; bytes = bytes * 3 + 1) {
        cr_assert(run_memory_commit(&memory, bytes, &error), "%s", error.text);
        cr_assert(memory.committed >= bytes);
        cr_assert_eq(memory.base, first);
        first[bytes - 1] = 5;
    }
    cr_expect(run_memory_commit(&memory, 10, &error), "less than there is");
    cr_expect_eq(first[999], 5);
    cr_expect_not(run_memory_commit(&memory, ((size_t)1 << 36) + 1, &error));
    cr_expect(strstr(error.text, "reserved"), "%s", error.text);
    run_memory_release(&memory);
    cr_expect_null(memory.base);
    error = (struct ir_error){ 0 };
    cr_expect_not(run_memory_reserve(&memory, SIZE_MAX, &error));
    cr_expect_eq(error.status, IR_FAILED);
}
