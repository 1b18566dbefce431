/*
 * The prelude of generated programs: lanes in and out, whole numbers, folds, random numbers, the
 * barrier, each against a plain loop; and that every word of ops.def is defined in both languages.
 */
#include "codegen/maths_select.h"
#include "ir/evaluate.h"
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The program with its prelude before it. */
static char *with_prelude(const char *program, enum gen_language language)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (language == GEN_C)
        fputs("#pragma GCC visibility push(default)\n", out);
    cr_assert(gen_maths(out, program, language));
    fputs(program, out);
    fclose(out);
    return text;
}

static struct run_code *load(const char *program)
{
    const struct run_options options = { .flags = "-march=native", .no_cache = true };
    struct ir_error error = { 0 };
    char *text = with_prelude(program, GEN_C);
    struct run_code *code = run_code_load(text, &options, &error);

    cr_assert(code, "%s", error.text);
    free(text);
    return code;
}

static void symbol(struct run_code *code, const char *name, void *function)
{
    void *found = run_code_symbol(code, name);

    cr_assert(found, "%s is not in the program", name);
    memcpy(function, &found, sizeof found);
}

/* --- every word of ops.def ---------------------------------------------------------------------
 */

static bool has_kind(char kind, char dtype)
{
    return kind == 'A' || (kind == 'F' && dtype == 'f') || (kind == 'N' && dtype != 'b') ||
           (kind == 'I' && dtype != 'f' && dtype != 'b');
}

Test(prelude, every_word_of_ops_has_a_definition)
{
    for (int op = 1; op < IR_OPS; op++) {
        const char *text = ir_ops[op].group == IR_STRUCTURAL ? "" : ir_ops[op].text;
        while (*text) {
            const size_t size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
            const bool word = size > 1 && isupper((unsigned char)*text) && strncmp(text, "NOT", 3);
            for (int dtype = 0; word && dtype < IR_DTYPES; dtype++) {
                char name[80];
                if (ir_narrow(dtype) || !has_kind(ir_ops[op].kind, ir_dtypes[dtype].kind))
                    continue;
                snprintf(name, sizeof name, "%.*s_%sx16", (int)size, text, ir_dtypes[dtype].name);
                for (size_t i = 0; i < size; i++)
                    name[i] = (char)tolower((unsigned char)name[i]);
                cr_expect(gen_maths_has(name, GEN_C), "%s: %s", ir_ops[op].name, name);
                name[strlen(name) - 3] = '\0';
                cr_expect(gen_maths_has(name, GEN_C), "%s: %s in C", ir_ops[op].name, name);
                cr_expect(gen_maths_has(name, GEN_CUDA), "%s: %s in CUDA", ir_ops[op].name, name);
            }
            text += size ? size : 1;
        }
    }
}

Test(prelude, unknown_names_are_not_defined)
{
    cr_expect(!gen_maths_has("exp_f16x16", GEN_C));
    cr_expect(!gen_maths_has("exp", GEN_C));
    cr_expect(!gen_maths_has("exp_f32x16", GEN_CUDA), "CUDA has no lanes");
    cr_expect(!gen_maths_has("NAME_f32x16", GEN_C));
    cr_expect(gen_maths_has("exp_f32x16", GEN_C));

    char *text = with_prelude("int main(void) { return 0; }\n", GEN_C);
    cr_expect(!strstr(text, "f32"), "what is not used is not printed");
    free(text);
}

/* Every f32 and f64 function by NVRTC: what the C tests say of bits needs no header there either.
 */
Test(prelude, cuda_text_is_accepted_by_nvrtc)
{
    static const char *const unary[] = { "exp",   "exp2",  "expm1", "log",    "log1p", "sqrt",
                                         "rsqrt", "sin",   "cos",   "tan",    "asin",  "acos",
                                         "atan",  "sinh",  "cosh",  "tanh",   "asinh", "acosh",
                                         "atanh", "erf",   "erfc",  "erfinv", "floor", "ceil",
                                         "round", "trunc", "abs" };
    static const char *const binary[] = { "max", "min", "rem", "mod", "div", "pow", "atan2" };
    static const char *const whole[] = { "max", "min", "rem", "mod", "div", "shl", "shr" };
    static const char *const types[] = { "f32", "f64", "i32", "u32", "i64", "u8" };
    const struct run_options options = { .no_cache = true };
    struct run_cubin cubin;
    struct ir_error error = { 0 };
    char *program;
    size_t size;
    FILE *out = open_memstream(&program, &size);

    for (int t = 0; t < 6; t++) {
        fprintf(out, "extern \"C\" __global__ void all_%s(%s *y, %s a, %s b)\n{\n", types[t],
                types[t], types[t], types[t]);
        for (size_t i = 0; t < 2 && i < sizeof unary / sizeof unary[0]; i++)
            fprintf(out, "    *y++ = %s_%s(a);\n", unary[i], types[t]);
        for (size_t i = 0; i < 7; i++)
            fprintf(out, "    *y++ = %s_%s(a, b);\n", t < 2 ? binary[i] : whole[i], types[t]);
        fprintf(out, "}\n\n");
    }
    fprintf(out, "extern \"C\" __global__ void random(u32 *y, u32 i)\n"
                 "{\n    *y = philox_u32(1, 2, 3, i);\n}\n");
    fclose(out);
    char *text = with_prelude(program, GEN_CUDA);
    if (!run_cubin_load(text, "sm_90a", &options, &cubin, &error)) {
        cr_assert_eq(error.status, 3, "%s", error.text);
        cr_skip("%s", error.text);
    }
    cr_expect(cubin.length > 1000);
    run_cubin_free(&cubin);
    free(text);
    free(program);
}

/* --- lanes in and out ---------------------------------------------------------------------------
 */

Test(prelude, parts_of_vectors_touch_nothing_else)
{
    struct run_code *code = load("void copy(float *to, const float *from, const long n)\n"
                                 "{\n"
                                 "    store_part_f32x16(to, n, load_part_f32x16(from, n) * 2);\n"
                                 "}\n"
                                 "void fill(float *to, const float *from, const long n)\n"
                                 "{\n"
                                 "    store_f32x16(to, load_part_f32x16(from, n));\n"
                                 "}\n");
    void (*copy)(float *, const float *, long), (*fill)(float *, const float *, long);

    symbol(code, "copy", &copy);
    symbol(code, "fill", &fill);
    for (long n = 0; n <= 16; n++) {
        float from[16], to[18], whole[16];
        for (int i = 0; i < 16; i++)
            from[i] = (float)(i + 1);
        for (int i = 0; i < 18; i++)
            to[i] = -1;
        copy(to + 1, from, n);
        fill(whole, from, n);
        cr_expect_eq(to[0], -1);
        for (int i = 0; i < 17; i++)
            cr_expect_eq(to[i + 1], i < n ? 2 * from[i] : -1, "lane %d of %ld", i, n);
        for (int i = 0; i < 16; i++)
            cr_expect_eq(whole[i], i < n ? from[i] : 0, "lane %d of %ld", i, n);
    }
    run_code_free(code);
}

Test(prelude, masks_steps_and_gathers)
{
    struct run_code *code = load(
        "void all(float *y, u8 *truth, const float *a, const i32 *index, const u8 *bytes)\n"
        "{\n"
        "    const f32x16 x = load_step_f32x16(a, 3), z = gather_f32x16(a, load_i32x16(index));\n"
        "    const i32x16 mask = load_mask_i32x16(bytes);\n"
        "    store_f32x16(y, select_f32x16(mask, x, z));\n"
        "    store_mask_i32x16(truth, x < z);\n"
        "    store_f32x16(y + 16, iota_f32x16() + to_f32x16(load_u8x16(bytes)));\n"
        "}\n");
    void (*all)(float *, uint8_t *, const float *, const int32_t *, const uint8_t *);
    float a[48], y[32];
    int32_t index[16];
    uint8_t truth[16], bytes[16];

    symbol(code, "all", &all);
    for (int i = 0; i < 48; i++)
        a[i] = (float)(i * i % 31);
    for (int i = 0; i < 16; i++)
        index[i] = i * 7 % 48, bytes[i] = i * i % 3 == 1;
    all(y, truth, a, index, bytes);
    for (int i = 0; i < 16; i++) {
        cr_expect_eq(y[i], bytes[i] ? a[3 * i] : a[index[i]], "lane %d", i);
        cr_expect_eq(truth[i], a[3 * i] < a[index[i]], "lane %d", i);
        cr_expect_eq(y[16 + i], (float)(i + bytes[i]), "lane %d", i);
    }
    run_code_free(code);
}

Test(prelude, transpose_turns_rows_into_columns)
{
    struct run_code *code = load("void turn(float *y, const float *x)\n"
                                 "{\n"
                                 "    f32x16 row[16];\n"
                                 "    for (int i = 0; i < 16; i++)\n"
                                 "        row[i] = load_f32x16(x + 16 * i);\n"
                                 "    transpose_f32x16(row);\n"
                                 "    for (int i = 0; i < 16; i++)\n"
                                 "        store_f32x16(y + 16 * i, row[i]);\n"
                                 "}\n");
    void (*turn)(float *, const float *);
    float x[256], y[256];

    symbol(code, "turn", &turn);
    for (int i = 0; i < 256; i++)
        x[i] = (float)i;
    turn(y, x);
    for (int i = 0; i < 256; i++)
        cr_expect_eq(y[i], x[i % 16 * 16 + i / 16], "%d", i);
    run_code_free(code);
}

/* --- folds: the tree is part of the meaning ------------------------------------------------------
 */

Test(prelude, folds_follow_the_tree)
{
    struct run_code *code =
        load("float add(const float *x) { return fold_add_f32x16(load_f32x16(x)); }\n"
             "float mul(const float *x) { return fold_mul_f32x16(load_f32x16(x)); }\n"
             "float max(const float *x) { return fold_max_f32x16(load_f32x16(x)); }\n"
             "float min(const float *x) { return fold_min_f32x16(load_f32x16(x)); }\n"
             "double wide(const double *x) { return fold_add_f64x16(load_f64x16(x)); }\n"
             "double short_(const double *x) { return fold_add_f64x8(load_f64x8(x)); }\n");
    float (*fold[4])(const float *), x[16];
    double (*wide)(const double *), (*short_)(const double *), d[16];
    static const char *const names[] = { "add", "mul", "max", "min" };

    for (int i = 0; i < 4; i++)
        symbol(code, names[i], &fold[i]);
    symbol(code, "wide", &wide);
    symbol(code, "short_", &short_);
    for (int round = 0; round < 100; round++) {
        float tree[4][16];
        double sum[2][16];
        for (int i = 0; i < 16; i++) {
            d[i] = x[i] = (float)((round * 16 + i) * 7919 % 1009) / 997.0f - 0.3f;
            for (int f = 0; f < 4; f++)
                tree[f][i] = x[i];
            sum[0][i] = sum[1][i] = d[i] /= 3;
        }
        if (round % 10 == 9)
            x[round % 16] = NAN;
        for (int half = 8; half > 0; half /= 2)
            for (int i = 0; i < half; i++) {
                tree[0][i] += tree[0][i + half];
                tree[1][i] *= tree[1][i + half];
                tree[2][i] = fmaxf(tree[2][i], tree[2][i + half]);
                tree[3][i] = fminf(tree[3][i], tree[3][i + half]);
                sum[0][i] += sum[0][i + half];
                if (half < 8)
                    sum[1][i] += sum[1][i + half];
            }
        for (int f = 0; f < 4; f++)
            if (round % 10 == 9)
                cr_expect(isnan(fold[f](x)), "%s loses the NaN", names[f]);
            else
                cr_expect_eq(fold[f](x), tree[f][0], "%s: %a, not %a", names[f], fold[f](x),
                             tree[f][0]);
        cr_expect_eq(wide(d), sum[0][0]);
        cr_expect_eq(short_(d), sum[1][0]);
    }
    run_code_free(code);
}

/* --- whole numbers
 * -------------------------------------------------------------------------------- */

static const int64_t points[] = { 0,
                                  1,
                                  -1,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  7,
                                  -7,
                                  8,
                                  9,
                                  31,
                                  32,
                                  33,
                                  63,
                                  64,
                                  65,
                                  100,
                                  127,
                                  128,
                                  200,
                                  255,
                                  256,
                                  -128,
                                  -255,
                                  1000003,
                                  -1000003,
                                  INT32_MAX,
                                  INT32_MIN,
                                  INT32_MIN + 1,
                                  (int64_t)UINT32_MAX,
                                  INT64_C(1) << 40,
                                  INT64_MAX,
                                  INT64_MIN,
                                  INT64_MIN + 1,
                                  -(INT64_C(1) << 40) };
enum { POINTS = sizeof points / sizeof points[0] };

__extension__ typedef __int128 wide_int;

/* what ir/evaluate says, in a type that holds everything */
static wide_int whole_number(int which, wide_int a, wide_int b, int bits)
{
    switch (which) {
    case 0:
        return b == 0 ? 0 : a / b;
    case 1:
        return b == 0 ? 0 : a % b;
    case 2:
        return b == 0 ? 0 : (a % b + b) % b;
    case 3:
        return b < 0 || b >= bits ? 0 : a * ((wide_int)1 << (int)b);
    case 4:
        return a >> (b < 0 || b >= bits ? bits : (int)b);
    case 5:
        return a > b ? a : b;
    default:
        return a < b ? a : b;
    }
}

static const char *const whole_names[] = { "div", "rem", "mod", "shl", "shr", "max", "min" };

/* one test a type: T as C knows it here, its name there */
#define WHOLE_TEST(T, name)                                                                        \
    Test(prelude, whole_numbers_##name)                                                            \
    {                                                                                              \
        char program[8192] = "";                                                                   \
        for (int f = 0; f < 7; f++)                                                                \
            snprintf(program + strlen(program), sizeof program - strlen(program),                  \
                     "void %s_(%s *y, const %s *a, const %s *b)\n{\n    store_%sx16(y, "           \
                     "%s_%sx16(load_%sx16(a), load_%sx16(b)));\n    for (int i = 0; i < 16; "      \
                     "i++)\n        y[16 + i] = %s_%s(a[i], b[i]);\n}\n",                          \
                     whole_names[f], #name, #name, #name, #name, whole_names[f], #name, #name,     \
                     #name, whole_names[f], #name);                                                \
        struct run_code *code = load(program);                                                     \
        for (int f = 0; f < 7; f++) {                                                              \
            void (*loop)(T *, const T *, const T *);                                               \
            char called[8];                                                                        \
            snprintf(called, sizeof called, "%s_", whole_names[f]);                                \
            symbol(code, called, &loop);                                                           \
            for (int first = 0; first < POINTS * POINTS; first += 16) {                            \
                T a[16], b[16], y[32];                                                             \
                for (int i = 0; i < 16; i++) {                                                     \
                    a[i] = (T)points[(first + i) / POINTS % POINTS];                               \
                    b[i] = (T)points[(first + i) % POINTS];                                        \
                }                                                                                  \
                loop(y, a, b);                                                                     \
                for (int i = 0; i < 32; i++) {                                                     \
                    const T want = (T)whole_number(f, a[i % 16], b[i % 16], 8 * (int)sizeof(T));   \
                    cr_assert(y[i] == want, "%s_%s(%lld, %lld) is %lld, not %lld", whole_names[f], \
                              #name, (long long)a[i % 16], (long long)b[i % 16], (long long)y[i],  \
                              (long long)want);                                                    \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        run_code_free(code);                                                                       \
    }

WHOLE_TEST(int32_t, i32)
WHOLE_TEST(uint32_t, u32)
WHOLE_TEST(int64_t, i64)
WHOLE_TEST(uint8_t, u8)

/* --- random numbers
 * ------------------------------------------------------------------------------- */

Test(prelude, philox_gives_the_words_of_the_interpreter)
{
    struct run_code *code =
        load("void lanes(u32 *y, i64 key, i64 counter, u32 stream, u32 i)\n"
             "{\n"
             "    store_u32x16(y, philox_u32x16(key, counter, stream, iota_u32x16() + i));\n"
             "}\n"
             "void row(u32 *y, i64 key, i64 counter, u32 stream, u32 i)\n"
             "{\n"
             "    store_u32x16(y, philox_row_u32x16(key, counter, stream, i));\n"
             "}\n"
             "u32 single(i64 key, i64 counter, u32 stream, u32 i)\n"
             "{\n"
             "    return philox_u32(key, counter, stream, i);\n"
             "}\n");
    void (*lanes)(uint32_t *, int64_t, int64_t, uint32_t, uint32_t);
    void (*row)(uint32_t *, int64_t, int64_t, uint32_t, uint32_t);
    uint32_t (*single)(int64_t, int64_t, uint32_t, uint32_t);

    symbol(code, "lanes", &lanes);
    symbol(code, "row", &row);
    symbol(code, "single", &single);
    cr_expect_eq(single(0, 0, 0, 0), 0x6627e8d5, "the known answer for zeros (Random123)");
    for (uint32_t i = 0; i < 2000; i += i < 40 ? 1 : 13) {
        const uint64_t word = i * UINT64_C(0x123456789abcdef);
        const int64_t key = (int64_t)word, counter = (int64_t)(~word * 3);
        uint32_t y[16], z[16];
        lanes(y, key, counter, i % 5, i);
        row(z, key, counter, i % 5, i / 4 * 4);
        for (uint32_t l = 0; l < 16; l++) {
            const uint32_t keys[2] = { (uint32_t)key, (uint32_t)((uint64_t)key >> 32) };
            uint32_t words[4], place[4] = { (i + l) / 4, i % 5, (uint32_t)counter,
                                            (uint32_t)((uint64_t)counter >> 32) };
            ir_philox(words, keys, place);
            cr_assert_eq(y[l], words[(i + l) % 4], "lane %u of %u", l, i);
            cr_assert_eq(single(key, counter, i % 5, i + l), y[l]);
            place[0] = i / 4 + l / 4;
            ir_philox(words, keys, place);
            cr_assert_eq(z[l], words[l % 4], "lane %u of row %u", l, i);
        }
    }
    run_code_free(code);
}

/* --- threads
 * --------------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 3000 };
static struct {
    void (*meet)(uint32_t *, uint32_t);
    uint32_t gate[32];
    long place[THREADS], wrong[THREADS];
} shared;

static void *run_rounds(void *argument)
{
    const long self = (long)(intptr_t)argument;

    for (long round = 1; round <= ROUNDS; round++) {
        shared.place[self] = round;
        shared.meet(shared.gate, THREADS);
        for (int i = 0; i < THREADS; i++)
            shared.wrong[self] += shared.place[i] != round;
        shared.meet(shared.gate, THREADS);
    }
    return NULL;
}

Test(prelude, nobody_passes_the_barrier_alone)
{
    struct run_code *code = load("void meet(u32 *gate, u32 threads) { barrier(gate, threads); }\n");
    pthread_t threads[THREADS];

    symbol(code, "meet", &shared.meet);
    for (long i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_rounds, (void *)(intptr_t)i), 0);
    for (long i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(shared.wrong[i], 0, "thread %ld saw %ld old values", i, shared.wrong[i]);
    }
    run_code_free(code);
}
