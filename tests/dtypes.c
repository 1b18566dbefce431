/*
 * Types for memory only: i8, i16, u16, f16 and bf16, and u64 beside them. What they hold, how
 * numbers are rounded to them, and that compiled programs say what the interpreter says, to the
 * bit.
 */
#include "ir/evaluate.h"
#include "random.h"
#include "support_compiled.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- f16 and bf16 --------------------------------------------------------------------------------
 */

/* By the definition: the exponent's field, and the fraction over 2^digits. */
static double by_definition(enum ir_dtype dtype, unsigned half)
{
    const int digits = dtype == IR_F16 ? 10 : 7, bias = dtype == IR_F16 ? 15 : 127;
    const int exponent = (int)(half >> digits) & (dtype == IR_F16 ? 31 : 255);
    const double fraction = (half & ((1u << digits) - 1)) / (double)(1 << digits);
    double size = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);

    if (exponent == (dtype == IR_F16 ? 31 : 255))
        size = fraction != 0 ? (double)NAN : (double)INFINITY;
    return half >> 15 ? -size : size;
}

static void halves(enum ir_dtype dtype)
{
    const unsigned infinite = dtype == IR_F16 ? 0x7c00 : 0x7f80;

    for (unsigned half = 0; half < 1u << 16; half++) {
        const double is = (double)ir_of_half(dtype, (uint16_t)half),
                     want = by_definition(dtype, half);
        cr_assert(is == want || (isnan(is) && isnan(want)), "%x is %g, not %g", half, is, want);
        if (!isnan(want))
            cr_assert_eq(ir_half(dtype, (float)is), half, "%g", is);
        if ((half & 0x7fff) >= infinite - 1)
            continue;
        /* between two neighbours: the middle goes to the even one, what is beside it to its own */
        const float middle = (float)((want + by_definition(dtype, half + 1)) / 2);
        cr_assert_eq(ir_half(dtype, middle), half + (half & 1), "%x", half);
        cr_assert_eq(ir_half(dtype, nextafterf(middle, 0)), half, "%x", half);
        cr_assert_eq(ir_half(dtype, nextafterf(middle, half >> 15 ? -INFINITY : INFINITY)),
                     half + 1);
    }
    cr_expect_eq(ir_half(dtype, 1e38f), dtype == IR_F16 ? 0x7c00 : 0x7e96);
    cr_expect_eq(ir_half(dtype, FLT_MAX), infinite, "the greatest f32 is past both");
    cr_expect(isnan(ir_of_half(dtype, ir_half(dtype, -NAN))));
}

Test(dtypes, every_f16_is_what_ieee_754_says)
{
    halves(IR_F16);
}

Test(dtypes, every_bf16_is_the_upper_half_of_an_f32)
{
    halves(IR_BF16);
}

/* --- compiled ------------------------------------------------------------------------------------
 */

static bool same(const char *name, const struct ir_array *a, const struct ir_array *b)
{
    const int64_t n = ir_count(&a->shape);

    for (int64_t i = 0; i < n; i++) {
        double x, y;
        ir_load_real(&x, a, NULL, i, 1);
        ir_load_real(&y, b, NULL, i, 1);
        if (x != y && !(isnan(x) && isnan(y))) {
            cr_expect(false, "%s: element %ld is %.9g, not %.9g", name, (long)i, y, x);
            return false;
        }
    }
    return true;
}

/* The program, with T as the type: the interpreter, an operation each, fused, as CUDA on the CPU.
 */
static void agrees(const char *text, enum ir_dtype dtype)
{
    struct ir_text program = { 0 };
    struct random_case c = { .arena = ir_arena_new(), .bindings = 2 };
    const struct ir_array *want, *got;
    static char data[2][24 * 8];

    for (const char *at = text; *at; at++)
        if (*at == 'T')
            ir_put(&program, "%s", ir_dtypes[dtype].name);
        else
            ir_put(&program, "%c", *at);
    struct ir_module *m = ir_parse("dtypes.tp", program.data, program.size, &c.error);
    cr_assert(m, "%s\n%s", c.error.text, program.data);
    c.graph = m->program[0]->graph;
    for (int i = 0; i < 2; i++) {
        struct ir_array x = { dtype, { 2, { 4, 6 } }, data[i] };
        for (int k = 0; k < 24; k++) { /* some round up, some to even, some wrap */
            double number = ir_dtypes[dtype].kind == 'f'
                                ? (k * 7 + i * 3 - 80) * 0.0371 * (i ? 1 : k)
                                : (k * 37 + i * 11) % 251 - 120;
            if (ir_dtypes[dtype].kind == 'u')
                number = fabs(number) + (i == 0 && k > 20 ? 65000 : 0);
            ir_store_real(&x, k, 1, &number);
        }
        c.binding[i] = (struct ir_binding){ i ? "b" : "a", x };
    }
    want = random_values(&c);
    cr_assert(want, "%s", c.error.text);
    for (int way = 0; way < 3; way++) {
        static const char *const ways[] = { "alone", "fused", "CUDA" };
        got = compiled_values(&c, &(struct compiled_how){ .fuse = way > 0,
                                                          .threads = 1,
                                                          .target = way == 2 ? "cuda" : NULL });
        cr_assert(got, "%s: %s", ir_dtypes[dtype].name, c.error.text);
        for (int i = 0; i < c.graph->output_count; i++)
            same(ir_format(c.arena, "%s %s %s", ir_dtypes[dtype].name, c.graph->outputs[i].name,
                           ways[way]),
                 &want[i], &got[i]);
    }
    ir_text_free(&program);
    ir_module_free(m);
    ir_arena_free(c.arena);
}

static const enum ir_dtype narrow[] = { IR_I8, IR_U16, IR_I16, IR_U64, IR_F16, IR_BF16 };
enum { NARROW = sizeof narrow / sizeof *narrow };

/* Each operation rounds, so it does not matter where a value is stored. */
Test(dtypes, arithmetic_rounds_after_every_operation)
{
    static const char text[] = "step(a: T[4 6], b: T[4 6]) {\n"
                               "  %3 = add a, b : T[4 6]\n"
                               "  %4 = mul %3, b : T[4 6]\n"
                               "  %5 = sub %4, a : T[4 6]\n"
                               "  %6 = max %5, b : T[4 6]\n"
                               "  %7 = lt a, b : bool[4 6]\n"
                               "  %8 = select %7, %6, a : T[4 6]\n"
                               "  %9 = abs %8 : T[4 6]\n"
                               "  %10 = const 3 : T\n"
                               "  %11 = mul %9, %10 : T[4 6]\n"
                               "  %12 = relu %5 : T[4 6]\n"
                               "  return sum=%3, product=%4, difference=%5, less=%7, choice=%8, "
                               "thrice=%11, relu=%12\n}\n";

    for (int i = 0; i < NARROW; i++)
        agrees(text, narrow[i]);
}

Test(dtypes, elements_move_as_they_are)
{
    static const char text[] =
        "step(a: T[4 6], b: T[4 6]) {\n"
        "  %3 = permute a axes=[1 0] : T[6 4]\n"
        "  %4 = concat a, b axis=1 : T[4 12]\n"
        "  %5 = const 2 : T\n"
        "  %6 = pad a, %5 lo=[1 0] hi=[0 2] : T[5 8]\n"
        "  %7 = iota axis=0 : i32[3]\n"
        "  %8 = take b, %7 axis=0 : T[3 6]\n"
        "  %9 = slice %4 start=[0 1] stop=[4 11] step=[1 3] : T[4 4]\n"
        "  %10 = flip %9 axes=[1] : T[4 4]\n"
        "  return turned=%3, joined=%4, padded=%6, taken=%8, flipped=%10\n}\n";

    for (int i = 0; i < NARROW; i++)
        agrees(text, narrow[i]);
}

Test(dtypes, sums_are_taken_in_the_wide_type)
{
    static const char text[] = "step(a: T[4 6], b: T[4 6]) {\n"
                               "  %3 = sum a axes=[1] : T[4]\n"
                               "  %4 = sum a axes=[0] : T[6]\n"
                               "  %5 = amax b axes=[0 1] : T\n"
                               "  %6 = amin b axes=[1] : T[4]\n"
                               "  %7 = argmax a axes=[1] : i64[4]\n"
                               "  %8 = dot a, b mk,nk->mn : T[4 4]\n"
                               "  return rows=%3, columns=%4, most=%5, least=%6, place=%7, "
                               "product=%8\n}\n";

    for (int i = 0; i < NARROW; i++)
        if (ir_dtypes[narrow[i]].kind != 'f') /* sums of floats need a tolerance */
            agrees(text, narrow[i]);
}

Test(dtypes, casts_go_through_the_wide_types)
{
    for (int i = 0; i < NARROW; i++)
        for (int k = 0; k < IR_DTYPES; k++) {
            char text[200];
            const char *to = ir_dtypes[k].name;
            if (ir_dtypes[narrow[i]].kind == 'f' && ir_dtypes[k].kind != 'f')
                continue; /* out of range: nothing is promised */
            snprintf(text, sizeof text,
                     "step(a: T[4 6], b: T[4 6]) {\n  %%3 = cast a : %s[4 6]\n"
                     "  %%4 = cast %%3 : T[4 6]\n  return there=%%3, back=%%4, same=b\n}\n",
                     to);
            if (ir_dtypes[narrow[i]].kind != 'f' && ir_dtypes[k].kind == 'f')
                *strstr(text, ", back=%4") = 0, strcat(text, "\n}\n");
            agrees(text, narrow[i]);
        }
}
