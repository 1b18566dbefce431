/*
 * Elementary functions of generated programs: nanoseconds for 16 numbers that lie in L1, and
 * milliseconds to compile a loop over the function.
 *
 *     build/bench/maths [FUNCTION...]
 */
#include "codegen/maths_select.h"
#include "runtime/runtime.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NUMBERS = 4096, ROUNDS = 400 };

/* what is timed, and where: from .. to */
static const struct row {
    const char *name;
    int arity;
    float from, to;
} rows[] = {
    { "abs", 1, -10, 10 },     { "sqrt", 1, 0, 10 },    { "rsqrt", 1, 0, 10 },
    { "exp", 1, -80, 80 },     { "exp2", 1, -80, 80 },  { "expm1", 1, -10, 10 },
    { "log", 1, 0, 10 },       { "log1p", 1, 0, 10 },   { "tanh", 1, -4, 4 },
    { "sinh", 1, -10, 10 },    { "cosh", 1, -10, 10 },  { "sin", 1, -100, 100 },
    { "cos", 1, -100, 100 },   { "tan", 1, -100, 100 }, { "asin", 1, -1, 1 },
    { "acos", 1, -1, 1 },      { "atan", 1, -10, 10 },  { "asinh", 1, -10, 10 },
    { "acosh", 1, 1, 10 },     { "atanh", 1, -1, 1 },   { "erf", 1, -4, 4 },
    { "erfc", 1, -4, 4 },      { "erfinv", 1, -1, 1 },  { "floor", 1, -10, 10 },
    { "round", 1, -10, 10 },   { "max", 2, -1, 1 },     { "pow", 2, 0, 10 },
    { "atan2", 2, -1, 1 },     { "rem", 2, -10, 10 },   { "philox", 0, 0, 0 },
    { "philox_row", 0, 0, 0 },
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct run_code *compile(const struct row *row)
{
    const struct run_options options = { .flags = "-march=native -mprefer-vector-width=512",
                                         .no_cache = true };
    struct ir_error error = { 0 };
    char loop[512], expression[128], *text;
    size_t size;

    if (!strcmp(row->name, "philox"))
        snprintf(expression, sizeof expression,
                 "(f32x16)philox_u32x16(1, 2, 3, iota_u32x16() + (u32)i)");
    else if (!strcmp(row->name, "philox_row"))
        snprintf(expression, sizeof expression, "(f32x16)philox_row_u32x16(1, 2, 3, (u32)i)");
    else
        snprintf(expression, sizeof expression, "%s_f32x16(load_f32x16(a + i)%s)", row->name,
                 row->arity == 2 ? ", load_f32x16(b + i)" : "");
    snprintf(loop, sizeof loop,
             "__attribute__((visibility(\"default\"))) void loop(f32 *restrict y, const f32 *a, "
             "const f32 *b)\n{\n    for (long i = 0; i < %d; i += 16)\n"
             "        store_f32x16(y + i, %s);\n    (void)a, (void)b;\n}\n",
             NUMBERS, expression);
    FILE *out = open_memstream(&text, &size);
    if (!out || !gen_maths(out, loop, GEN_C))
        return NULL;
    fputs(loop, out);
    fclose(out);
    struct run_code *code = run_code_load(text, &options, &error);
    if (!code)
        fprintf(stderr, "maths: %s\n", error.text);
    free(text);
    return code;
}

int main(int count, char **names)
{
    static float a[NUMBERS], b[NUMBERS], y[NUMBERS];
    uint32_t random = 1;

    printf("%-12s %10s %10s\n", "f32x16", "ns", "compile ms");
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct row *const row = &rows[r];
        bool asked = count < 2;
        for (int i = 1; i < count; i++)
            asked |= !strcmp(names[i], row->name);
        if (!asked)
            continue;
        struct run_code *code = compile(row);
        if (!code)
            return 1;
        void (*loop)(float *, const float *, const float *), *found = run_code_symbol(code, "loop");
        memcpy(&loop, &found, sizeof loop);
        for (int i = 0; i < NUMBERS; i++) {
            random = random * 1664525 + 1013904223;
            a[i] = row->from + (row->to - row->from) * (float)(random >> 8) * 0x1p-24f;
            random = random * 1664525 + 1013904223;
            b[i] = row->from + (row->to - row->from) * (float)(random >> 8) * 0x1p-24f;
        }
        double best = 1e30;
        for (int round = 0; round < ROUNDS; round++) {
            const double start = now();
            loop(y, a, b);
            const double took = now() - start;
            best = took < best ? took : best;
        }
        printf("%-12s %10.2f %10.1f\n", row->name, best / (NUMBERS / 16),
               run_code_info(code).seconds * 1e3);
        run_code_free(code);
    }
    return 0;
}
