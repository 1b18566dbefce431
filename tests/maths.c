/*
 * The elementary functions of generated programs, as every compiler at hand makes them: errors
 * against the C library in double, special values, and the same bits from lanes and single numbers.
 *
 * One program holds a loop a function, over lanes and over single numbers. It is printed with
 * gen_maths, compiled by each of `compilers`, and opened.
 */
#include "codegen/maths_select.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double inverse_root(double x)
{
    return 1 / sqrt(x);
}

/* a start below 1 % off, then Halley's method on erf, or on erfc where erf is nearly 1 */
static double erf_inverse(double x)
{
    const double a = fabs(x), l = log((1 - a) * (1 + a)), b = 4.3307467508 + l / 2;
    double y = sqrt(sqrt(b * b - l / 0.147) - b);

    if (!(a < 1))
        return a == 1 ? copysign(INFINITY, x) : NAN;
    for (int i = 0; i < 4 && a > 0; i++) {
        const double error = a < 0.5 ? erf(y) - a : 1 - a - erfc(y);
        const double newton = error * 0.88622692545275801365 * exp(y * y);
        y -= newton / (1 + y * newton);
    }
    return copysign(a > 0 ? y : 0, x);
}

static double modulo(double a, double b)
{
    const double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* name, what it should be, the greatest error in units of the last place */
static const struct unary {
    const char *name;
    double (*exact)(double);
    double limit;
} unary[] = {
    { "exp", exp, 1 },     { "log", log, 1 },
    { "sqrt", sqrt, 0.5 }, { "rsqrt", inverse_root, 2 },
    { "exp2", exp2, 2 },   { "expm1", expm1, 2 },
    { "log1p", log1p, 2 }, { "tanh", tanh, 2 },
    { "sinh", sinh, 2 },   { "cosh", cosh, 2 },
    { "sin", sin, 2 },     { "cos", cos, 2 },
    { "tan", tan, 2 },     { "asin", asin, 2 },
    { "acos", acos, 2 },   { "atan", atan, 2 },
    { "asinh", asinh, 2 }, { "acosh", acosh, 2 },
    { "atanh", atanh, 2 }, { "erf", erf, 2 },
    { "erfc", erfc, 2 },   { "erfinv", erf_inverse, 4 },
    { "floor", floor, 0 }, { "ceil", ceil, 0 },
    { "trunc", trunc, 0 }, { "round", nearbyint, 0 },
    { "abs", fabs, 0 },
};

static double greater(double a, double b)
{
    return isnan(a) ? a : isnan(b) ? b : a > b ? a : b;
}

static double less(double a, double b)
{
    return isnan(a) ? a : isnan(b) ? b : a < b ? a : b;
}

static const struct binary {
    const char *name;
    double (*exact)(double, double);
    double limit;
} binary[] = {
    { "max", greater, 0 }, { "min", less, 0 }, { "pow", pow, 2 },
    { "atan2", atan2, 2 }, { "rem", fmod, 0 }, { "mod", modulo, 0.5 },
};

static long double erf_inverse_wide(long double x)
{
    const long double y = (long double)erf_inverse((double)x);
    const long double error = fabsl(x) < 0.5L ? erfl(y) - x
                              : x > 0         ? 1 - x - erfcl(y)
                                              : erfcl(-y) - (1 + x);
    const long double newton = error * 0.886226925452758013649L * expl(y * y);
    return isfinite(y) && y != 0 ? y - newton / (1 + y * newton) : y;
}

/* those of double that are our own; the others are the C library's */
static const struct wide {
    const char *name;
    long double (*exact)(long double);
    double limit;
} wide[] = {
    { "exp", expl, 1.1 },   { "log", logl, 1 },
    { "tanh", tanhl, 3 },   { "erfinv", erf_inverse_wide, 4 },
    { "sqrt", sqrtl, 0.5 }, { "round", rintl, 0 },
};
enum { WIDE = sizeof wide / sizeof wide[0] };

enum { UNARY = sizeof unary / sizeof unary[0], BINARY = sizeof binary / sizeof binary[0] };
enum { BLOCK = 1 << 16 };

typedef void unary_loop(const float *a, float *y, long n);
typedef void wide_loop(const double *a, double *y, long n);
typedef void binary_loop(const float *a, const float *b, float *y, long n);

/* the first that is here is the one that limits are tested with */
static const struct compiler {
    const char *name, *flags;
} compilers[] = {
    { "clang-19", "-O2 -march=native -mprefer-vector-width=512" },
    { "clang-14", "-O3 -march=native" },
    { "gcc-12", "-O2 -march=native" },
    { "cc", "-O3 -march=native" },
#ifdef __x86_64__
    { "clang-19", "-O1 -march=x86-64-v3" },
    { "gcc-12", "-O2 -march=x86-64-v3" },
#endif
};
enum { COMPILERS = sizeof compilers / sizeof compilers[0] };

/* prints the loops over every function, and before them what they use */
static void write_program(const char *path)
{
    char *loops;
    size_t size;
    FILE *text = open_memstream(&loops, &size);

    for (size_t i = 0; i < UNARY; i++)
        fprintf(text,
                "void %s_lanes(const f32 *a, f32 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i += 16)\n"
                "        store_f32x16(y + i, %s_f32x16(load_f32x16(a + i)));\n"
                "}\n\n"
                "void %s_single(const f32 *a, f32 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i++)\n"
                "        y[i] = %s_f32(a[i]);\n"
                "}\n\n",
                unary[i].name, unary[i].name, unary[i].name, unary[i].name);
    for (size_t i = 0; i < BINARY; i++)
        fprintf(text,
                "void %s_lanes(const f32 *a, const f32 *b, f32 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i += 16)\n"
                "        store_f32x16(y + i, %s_f32x16(load_f32x16(a + i), load_f32x16(b + i)));\n"
                "}\n\n"
                "void %s_single(const f32 *a, const f32 *b, f32 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i++)\n"
                "        y[i] = %s_f32(a[i], b[i]);\n"
                "}\n\n",
                binary[i].name, binary[i].name, binary[i].name, binary[i].name);
    for (size_t i = 0; i < WIDE; i++)
        fprintf(text,
                "void %s_wide_lanes(const f64 *a, f64 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i += 16)\n"
                "        store_f64x16(y + i, %s_f64x16(load_f64x16(a + i)));\n"
                "}\n\n"
                "void %s_wide_short(const f64 *a, f64 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i += 8)\n"
                "        store_f64x8(y + i, %s_f64x8(load_f64x8(a + i)));\n"
                "}\n\n"
                "void %s_wide_single(const f64 *a, f64 *y, const long n)\n"
                "{\n"
                "    for (long i = 0; i < n; i++)\n"
                "        y[i] = %s_f64(a[i]);\n"
                "}\n\n",
                wide[i].name, wide[i].name, wide[i].name, wide[i].name, wide[i].name, wide[i].name);
    fclose(text);

    FILE *out = fopen(path, "w");
    cr_assert(out, "cannot write %s", path);
    cr_assert(gen_maths(out, loops, GEN_C));
    fputs(loops, out);
    cr_assert(fclose(out) == 0);
    free(loops);
}

/* The program as `compiler` makes it; NULL when there is no such compiler. */
static void *open_program(const struct compiler *compiler)
{
    char folder[] = "/tmp/taper-maths-XXXXXX", source[64], object[64], command[512];

    snprintf(command, sizeof command, "command -v %s > /dev/null 2>&1", compiler->name);
    if (system(command) != 0)
        return NULL;
    cr_assert(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/maths.c", folder);
    snprintf(object, sizeof object, "%s/maths.so", folder);
    write_program(source);
    snprintf(command, sizeof command,
             "%s -std=c17 %s -ffp-contract=off -fno-math-errno -Wall -Wextra -Wpedantic -Werror "
             "-fPIC -shared -o %s %s -Wno-missing-prototypes -Wno-psabi -lm",
             compiler->name, compiler->flags, object, source);
    cr_assert(system(command) == 0, "%s", command);
    void *program = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    cr_assert(program, "%s", dlerror());
    unlink(source);
    unlink(object);
    rmdir(folder);
    return program;
}

/* the first of the compilers that is here */
static void *open_any(void)
{
    for (int i = 0; i < COMPILERS; i++) {
        void *program = open_program(&compilers[i]);
        if (program)
            return program;
    }
    cr_skip("no C compiler is here");
    return NULL;
}

/* A loop of the program; C has no cast from void * to functions, POSIX has. */
static void loop_of(void *program, const char *name, const char *kind, void *loop)
{
    char symbol[64];

    snprintf(symbol, sizeof symbol, "%s_%s", name, kind);
    void *found = dlsym(program, symbol);
    cr_assert(found, "%s: not in the program", symbol);
    memcpy(loop, &found, sizeof found);
}

static float of_bits(const uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(const float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fc00000 : bits; /* one NaN is as good as another */
}

/* where functions change their mind, each with both signs and some neighbours */
static const float edges[] = {
    0.0f,       0x1p-149f,   0x1p-140f,  0x1p-127f,        0x1p-126f, 0x1p-64f,
    0x1p-25f,   0x1p-24f,    0x1p-23f,   0x1p-12f,         0x1p-10f,  0.125f,
    0.25f,      0.34657359f, 0.5f,       0.625f,           0.7071f,   0.7853981f,
    0.9375f,    1.0f,        1.0397207f, 1.4142135f,       1.5f,      1.5707963f,
    2.0f,       2.5f,        3.0f,       3.1415927f,       3.5f,      4.0f,
    6.2831855f, 8.0f,        9.0109f,    10.0546f,         15.5f,     16.0f,
    17.3287f,   20.0f,       87.33655f,  88.02969f,        88.72284f, 89.0f,
    89.41599f,  103.27893f,  103.97208f, 104.0f,           127.0f,    128.0f,
    126.0f,     149.0f,      150.0f,     151.0f,           1000.0f,   0x1p+22f,
    0x1.8p+22f, 0x1p+23f,    0x1p+24f,   0x1p+30f,         0x1p+31f,  0x1p+40f,
    0x1p+64f,   0x1p+126f,   0x1p+127f,  0x1.fffffep+127f, INFINITY,  NAN,
};
enum { EDGES = sizeof edges / sizeof edges[0], AROUND = 5, POINTS = EDGES * 2 * (2 * AROUND + 1) };

/* The i-th of POINTS edges. */
static float edge(const size_t i)
{
    const float x = edges[i / (2 * (2 * AROUND + 1))];
    const int step = (int)(i / 2 % (2 * AROUND + 1)) - AROUND;
    const uint32_t sign = i % 2 ? 0x80000000 : 0, bits = bits_of(x);
    const uint32_t near = bits + (uint32_t)step > 0x7fffffff ? bits : bits + (uint32_t)step;
    return of_bits(near | sign);
}

/* Errors in units of the last place of the exact result; a wrong special value counts 1e9. */
static double error_of(const float got, const double want)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : 1e9;
    if (isinf((float)want) || isinf(got)) /* beyond the range, or just before its end */
        return isinf(got) && (float)want * (got > 0 ? 1 : -1) >= 0x1.fffffcp+127f ? 0 : 1e9;
    if (want == 0 || got == 0)
        if (!signbit(want) != !signbit(got) || (want == 0 && got != 0))
            return 1e9;
    const double size = fabs(want) < 0x1p-126 ? 0x1p-126 : fabs(want);
    return fabs(got - want) / ldexp(1, ilogb(size) - 23);
}

/* every 577th float, which visits all exponents and low bits; in the long tier every 31st */
static uint32_t stride(void)
{
    return (uint32_t)support_cases(577, 31);
}

Test(maths, functions_of_one_argument_keep_their_limits)
{
    static float a[BLOCK], lanes[BLOCK], single[BLOCK];
    void *program = open_any();

    for (size_t f = 0; f < UNARY; f++) {
        unary_loop *over_lanes, *over_single;
        double worst = 0;
        float worst_at = 0;

        loop_of(program, unary[f].name, "lanes", &over_lanes);
        loop_of(program, unary[f].name, "single", &over_single);
        for (uint64_t next = 0, points = 0; points < POINTS || next < 0x100000000;) {
            for (size_t i = 0; i < BLOCK; i++)
                if (points < POINTS)
                    a[i] = edge(points++);
                else {
                    a[i] = of_bits((uint32_t)next);
                    next += stride();
                }
            over_lanes(a, lanes, BLOCK);
            over_single(a, single, BLOCK);
            for (size_t i = 0; i < BLOCK; i++) {
                const double error = error_of(lanes[i], unary[f].exact(a[i]));
                if (error > worst)
                    worst = error, worst_at = a[i];
                cr_assert_eq(bits_of(lanes[i]), bits_of(single[i]), "%s(%a): %a in lanes, %a alone",
                             unary[f].name, a[i], lanes[i], single[i]);
            }
        }
        cr_log_info("%s: %.3f ulp at %a", unary[f].name, worst, worst_at);
        cr_expect(worst <= unary[f].limit, "%s(%a): %g ulp", unary[f].name, worst_at, worst);
    }
    dlclose(program);
}

static double error_of_wide(const double got, const long double want)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : 1e9;
    if (isinf((double)want) || isinf(got))
        return isinf(got) && want * (got > 0 ? 1 : -1) >= 0x1.fffffffffffffp+1023L ? 0 : 1e9;
    if (want == 0 || got == 0)
        if (!signbit(want) != !signbit(got) || (want == 0 && got != 0))
            return 1e9;
    const long double size = fabsl(want) < 0x1p-1022L ? 0x1p-1022L : fabsl(want);
    return (double)(fabsl(got - want) / ldexpl(1, ilogbl(size) - 52));
}

/* the edges of float, any bits, and numbers of common size */
static void doubles(double *a, uint64_t *state, size_t *points)
{
    static const double own[] = { 709.782712893384,
                                  710.4758600739439,
                                  745.1332191019412,
                                  746.0,
                                  0x1p-1074,
                                  0x1p-1023,
                                  0x1p-1022,
                                  22.0,
                                  0x1.fffffffffffffp+1023,
                                  0x1.fffffffffffffp-1,
                                  0.9999999,
                                  40.0 };
    enum { OWN = sizeof own / sizeof own[0] };

    for (size_t i = 0; i < BLOCK; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        const uint64_t bits = *state ^ *state >> 29;
        if (*points < POINTS)
            a[i] = edge((*points)++);
        else if (*points < POINTS + 2 * OWN)
            a[i] = own[(*points - POINTS) / 2] * (*points % 2 ? -1 : 1), ++*points;
        else if (bits >> 62 == 0)
            memcpy(&a[i], state, sizeof a[i]);
        else
            a[i] = (double)(int64_t)bits * (bits >> 62 == 1 ? 0x1p-53 : 0x1p-63);
    }
}

Test(maths, functions_in_double_keep_their_limits)
{
    static double a[BLOCK], lanes[BLOCK], eight[BLOCK], single[BLOCK];
    static const char *const kinds[] = { "wide_lanes", "wide_short", "wide_single" };
    void *program = open_any();

    for (size_t f = 0; f < WIDE; f++) {
        wide_loop *loop[3];
        double worst = 0, worst_at = 0;
        uint64_t state = 3;
        size_t points = 0;

        for (int k = 0; k < 3; k++)
            loop_of(program, wide[f].name, kinds[k], &loop[k]);
        for (int block = 0; block < support_cases(10, 300); block++) {
            doubles(a, &state, &points);
            loop[0](a, lanes, BLOCK);
            loop[1](a, eight, BLOCK);
            loop[2](a, single, BLOCK);
            for (size_t i = 0; i < BLOCK; i++) {
                const double error = error_of_wide(lanes[i], wide[f].exact(a[i]));
                if (error > worst)
                    worst = error, worst_at = a[i];
                cr_assert((isnan(lanes[i]) && isnan(eight[i]) && isnan(single[i])) ||
                              (memcmp(&lanes[i], &eight[i], 8) == 0 &&
                               memcmp(&lanes[i], &single[i], 8) == 0),
                          "%s(%a): %a in 16 lanes, %a in 8, %a alone", wide[f].name, a[i], lanes[i],
                          eight[i], single[i]);
            }
        }
        cr_log_info("%s in double: %.3f ulp at %a", wide[f].name, worst, worst_at);
        cr_expect(worst <= wide[f].limit, "%s(%a): %g ulp in double", wide[f].name, worst_at,
                  worst);
    }
    dlclose(program);
}

/* pairs: all edges with each other, then any bits, then numbers of common size */
static void pairs(float *a, float *b, uint64_t *state, uint64_t *points)
{
    for (size_t i = 0; i < BLOCK; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        const uint32_t x = (uint32_t)(*state >> 32);
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        const uint32_t y = (uint32_t)(*state >> 32);
        if (*points < (uint64_t)POINTS * POINTS) {
            a[i] = edge(*points / POINTS);
            b[i] = edge(*points % POINTS);
            *points += 7; /* prime to POINTS: every edge meets every seventh */
        } else if (x % 4 == 0) {
            a[i] = of_bits(x), b[i] = of_bits(y);
        } else {
            a[i] = (float)(int32_t)x * 0x1p-27f, b[i] = (float)(int32_t)y * 0x1p-28f;
        }
    }
}

Test(maths, functions_of_two_arguments_keep_their_limits)
{
    static float a[BLOCK], b[BLOCK], lanes[BLOCK], single[BLOCK];
    void *program = open_any();
    const int blocks = support_cases(40, 2000);

    for (size_t f = 0; f < BINARY; f++) {
        binary_loop *over_lanes, *over_single;
        double worst = 0;
        float worst_a = 0, worst_b = 0;
        uint64_t state = 1, points = 0;

        loop_of(program, binary[f].name, "lanes", &over_lanes);
        loop_of(program, binary[f].name, "single", &over_single);
        for (int block = 0; block < blocks; block++) {
            pairs(a, b, &state, &points);
            over_lanes(a, b, lanes, BLOCK);
            over_single(a, b, single, BLOCK);
            for (size_t i = 0; i < BLOCK; i++) {
                const double error = error_of(lanes[i], binary[f].exact(a[i], b[i]));
                if (error > worst)
                    worst = error, worst_a = a[i], worst_b = b[i];
                cr_assert_eq(bits_of(lanes[i]), bits_of(single[i]),
                             "%s(%a, %a): %a in lanes, %a alone", binary[f].name, a[i], b[i],
                             lanes[i], single[i]);
            }
        }
        cr_log_info("%s: %.3f ulp at %a, %a", binary[f].name, worst, worst_a, worst_b);
        cr_expect(worst <= binary[f].limit, "%s(%a, %a): %g ulp", binary[f].name, worst_a, worst_b,
                  worst);
    }
    dlclose(program);
}

Test(maths, compilers_give_the_same_bits)
{
    static float a[BLOCK], b[BLOCK], y[2][BLOCK];
    void *first = NULL;

    for (int c = 0; c < COMPILERS; c++) {
        void *program = open_program(&compilers[c]);
        if (!program) {
            cr_log_warn("%s is not here", compilers[c].name);
            continue;
        }
        if (!first) {
            first = program;
            continue;
        }
        for (size_t f = 0; f < UNARY; f++) {
            unary_loop *loop[2];
            loop_of(first, unary[f].name, "lanes", &loop[0]);
            loop_of(program, unary[f].name, "lanes", &loop[1]);
            for (uint64_t next = 0; next < 0x100000000;) {
                for (size_t i = 0; i < BLOCK; i++, next += 577 * 7)
                    a[i] = of_bits((uint32_t)next);
                loop[0](a, y[0], BLOCK);
                loop[1](a, y[1], BLOCK);
                for (size_t i = 0; i < BLOCK; i++)
                    cr_assert_eq(bits_of(y[0][i]), bits_of(y[1][i]), "%s(%a): %a, but %a by %s",
                                 unary[f].name, a[i], y[0][i], y[1][i], compilers[c].name);
            }
        }
        for (size_t f = 0; f < BINARY; f++) {
            binary_loop *loop[2];
            uint64_t state = 2, points = 0;
            loop_of(first, binary[f].name, "lanes", &loop[0]);
            loop_of(program, binary[f].name, "lanes", &loop[1]);
            for (int block = 0; block < 10; block++) {
                pairs(a, b, &state, &points);
                loop[0](a, b, y[0], BLOCK);
                loop[1](a, b, y[1], BLOCK);
                for (size_t i = 0; i < BLOCK; i++)
                    cr_assert_eq(bits_of(y[0][i]), bits_of(y[1][i]), "%s(%a, %a): %a, but %a by %s",
                                 binary[f].name, a[i], b[i], y[0][i], y[1][i], compilers[c].name);
            }
        }
        dlclose(program);
    }
    if (first)
        dlclose(first);
}
