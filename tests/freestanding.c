/*
 * What libraries bring along where there is no C library: the same bits as libm's.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define memcpy  own_memcpy
#define memmove own_memmove
#define memset  own_memset
#define fmaf    own_fmaf
#define fma     own_fma
#define sqrt    own_sqrt
#define sqrtf   own_sqrtf
#define truncf  own_truncf
#define floorf  own_floorf
#define ceilf   own_ceilf
#define trunc   own_trunc
#define floor   own_floor
#define ceil    own_ceil
#define rintf   own_rintf
#define rint    own_rint
#define fmod    own_fmod
#define fmodf   own_fmodf
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "codegen/freestanding.h"
#undef memcpy
#undef memmove
#undef memset
#undef fmaf
#undef fma
#undef sqrt
#undef sqrtf
#undef truncf
#undef floorf
#undef ceilf
#undef trunc
#undef floor
#undef ceil
#undef rintf
#undef rint
#undef fmod
#undef fmodf

static uint64_t word = 88172645463325252;

static uint64_t next(void)
{
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    return word * 0x2545f4914f6cdd1d;
}

/* any bits, small whole numbers, subnormal ones, and those that are near each other in size */
static double any_double(void)
{
    union {
        uint64_t bits;
        double number;
    } x = { next() };

    switch (next() % 4) {
    case 0:
        return x.number;
    case 1:
        return (double)(int64_t)(x.bits % 2001) - 1000;
    case 2:
        x.bits = (x.bits & 0x800fffffffffffff) | (next() % 60) << 52;
        return x.number;
    default:
        x.bits = (x.bits & 0x800fffffffffffff) | (963 + next() % 120) << 52;
        return x.number;
    }
}

static float any_float(void)
{
    union {
        uint32_t bits;
        float number;
    } x = { (uint32_t)(next() >> 32) };

    switch (next() % 4) {
    case 0:
        return x.number;
    case 1:
        return (float)((int)(x.bits % 2001) - 1000) / 4;
    case 2:
        x.bits = (x.bits & 0x807fffff) | (uint32_t)(next() % 30) << 23;
        return x.number;
    default:
        x.bits = (x.bits & 0x807fffff) | (uint32_t)(97 + next() % 60) << 23;
        return x.number;
    }
}

static int same(double a, double b)
{
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}

enum { CASES = 300000 };

#define AGREE(got, want, ...) cr_assert(same((double)(got), (double)(want)), __VA_ARGS__)

Test(freestanding, fused_multiply_adds_round_once)
{
    for (int i = 0; i < CASES; i++) {
        const double a = any_double(), b = any_double(),
                     c = i % 5 ? any_double() : nextafter(-a * b, i & 1 ? INFINITY : 0);
        const float x = any_float(), y = any_float(), z = i % 5 ? any_float() : -x * y;

        AGREE(own_fma(a, b, c), fma(a, b, c), "fma(%a, %a, %a)", a, b, c);
        AGREE(own_fmaf(x, y, z), fmaf(x, y, z), "fmaf(%a, %a, %a)", (double)x, (double)y,
              (double)z);
    }
}

Test(freestanding, roots_round_once)
{
    for (int i = 0; i < CASES; i++) {
        const double a = any_double();
        const float x = any_float();

        AGREE(own_sqrt(a), sqrt(a), "sqrt(%a)", a);
        AGREE(own_sqrtf(x), sqrtf(x), "sqrtf(%a)", (double)x);
    }
}

Test(freestanding, whole_numbers_are_found_both_ways)
{
    for (int i = 0; i < CASES; i++) {
        const double a = i ? any_double() : -0.0;
        const float x = i ? any_float() : -0.0f;

        AGREE(own_trunc(a), trunc(a), "trunc(%a)", a);
        AGREE(own_floor(a), floor(a), "floor(%a)", a);
        AGREE(own_ceil(a), ceil(a), "ceil(%a)", a);
        AGREE(own_rint(a), rint(a), "rint(%a)", a);
        AGREE(own_truncf(x), truncf(x), "truncf(%a)", (double)x);
        AGREE(own_floorf(x), floorf(x), "floorf(%a)", (double)x);
        AGREE(own_ceilf(x), ceilf(x), "ceilf(%a)", (double)x);
        AGREE(own_rintf(x), rintf(x), "rintf(%a)", (double)x);
    }
}

Test(freestanding, remainders_are_exact)
{
    for (int i = 0; i < CASES / 50; i++) {
        const double a = any_double(), b = any_double();
        const float x = any_float(), y = any_float();

        AGREE(own_fmod(a, b), fmod(a, b), "fmod(%a, %a)", a, b);
        AGREE(own_fmodf(x, y), fmodf(x, y), "fmodf(%a, %a)", (double)x, (double)y);
    }
}

Test(freestanding, memory_moves)
{
    char text[] = "0123456789";

    own_memmove(text + 2, text, 5);
    cr_expect_str_eq(text, "0101234789");
    own_memmove(text, text + 2, 5);
    cr_expect_str_eq(text, "0123434789");
    own_memset(text + 1, 'x', 2);
    own_memcpy(text + 5, "ab", 2);
    cr_expect_str_eq(text, "0xx34ab789");
}
