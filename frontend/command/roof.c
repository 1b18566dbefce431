/*
 * roof: what this machine gives at this moment: multiply-adds, and bytes from each level of its
 * memory. Compiled and run as a program's kernels are, by the same team of threads, so a kernel's
 * time can be held against it.
 */
#include "roof.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "runtime/runtime.h"

static const char text[] =
    "typedef float f32x16 __attribute__((vector_size(64)));\n"
    "#ifdef __clang__\n"
    "#define FMA(a, b, c) __builtin_elementwise_fma(a, b, c)\n"
    "#else\n"
    "static inline f32x16 FMA(f32x16 a, f32x16 b, f32x16 c)\n{\n    f32x16 y;\n"
    "    for (int i = 0; i < 16; i++)\n        y[i] = __builtin_fmaf(a[i], b[i], c[i]);\n"
    "    return y;\n}\n"
    "#endif\n"
    "#define EXPORT __attribute__((visibility(\"default\")))\n"
    "#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)\n"
    "EXPORT void multiply(char *const *base, const long *dims, int threads)\n{\n"
    "#pragma omp parallel num_threads(threads)\n    {\n"
    "        f32x16 x = (f32x16){ 0 } + 0.999999f, y = (f32x16){ 0 } + 1e-7f, sum = { 0 };\n"
    "#define BEGIN(i) f32x16 a##i = x + (float)i;\n"
    "        EACH(BEGIN)\n"
    "        for (long k = 0; k < dims[0]; k++) {\n"
    "#define ROUND(i) a##i = FMA(a##i, x, y);\n"
    "            EACH(ROUND)\n        }\n"
    "#define END(i) sum += a##i;\n"
    "        EACH(END)\n"
    "        if (sum[0] == 12345.f)\n            *(f32x16 *)base[0] = sum;\n"
    "    }\n}\n"
    "EXPORT void triad(char *const *base, const long *dims, int threads)\n{\n"
    "    f32x16 *restrict a = (f32x16 *)base[0], *b = a + dims[0], *c = b + dims[0];\n"
    "#pragma omp parallel num_threads(threads)\n"
    "    for (long round = 0; round < dims[1]; round++) {\n"
    "#pragma omp for schedule(static) nowait\n"
    "        for (long i = 0; i < dims[0]; i++)\n"
    "            a[i] = FMA(c[i], (f32x16){ 0 } + 3, b[i]);\n"
    "        __asm__ volatile(\"\" ::: \"memory\");\n"
    "    }\n}\n";

static double seconds_of(tp_entry *entry, char *memory, const long dims[2], int threads)
{
    char *const base[1] = { memory };
    const double from = run_seconds();

    entry(base, dims, threads);
    return run_seconds() - from;
}

/* The least of several, each long enough for the clock. */
static double fastest(tp_entry *entry, char *memory, long dims[2], int vary, int threads)
{
    double best = INFINITY;

    seconds_of(entry, memory, dims, threads);
    for (int i = 0; i < 6; i++) {
        const double took = seconds_of(entry, memory, dims, threads) / (double)dims[vary];
        best = took < best ? took : best;
        if (took * (double)dims[vary] < 1e-3 && i < 3)
            dims[vary] *= 4;
    }
    return best;
}

static void measure(struct roof *r, tp_entry *multiply, tp_entry *triad, char *memory, int side,
                    int threads)
{
    long dims[2] = { 20000, 0 };

    r->flops[side] = 2.0 * 12 * 16 * threads / fastest(multiply, memory, dims, 0, threads);
    for (int i = 0; i < ROOF_SIZES; i++) {
        long size[2] = { (long)(roof_bytes[i] / (3 * 64)), 0 };
        size[1] = 1 + (long)(2e6 / roof_bytes[i]);
        r->bytes[side][i] = 3.0 * 64 * (double)size[0] / fastest(triad, memory, size, 1, threads);
    }
}

const double roof_bytes[ROOF_SIZES] = { 24e3, 96e3, 384e3, 1.5e6, 6e6, 24e6, 96e6 };

bool roof_measure(struct roof *r, const char *flags, int threads, struct ir_error *error)
{
    const struct run_options options = { .flags = flags, .openmp = true, .any_loops = true };
    const size_t bytes = (size_t)roof_bytes[ROOF_SIZES - 1] + 4096;
    struct run_code *code = run_code_load(text, &options, error);
    char *memory = code ? run_memory_map(bytes, error) : NULL;
    tp_entry *multiply = NULL, *triad = NULL;

    if (memory) {
        *(void **)&multiply = run_code_symbol(code, "multiply");
        *(void **)&triad = run_code_symbol(code, "triad");
        measure(r, multiply, triad, memory, 0, 1);
        measure(r, multiply, triad, memory, 1, threads);
    }
    r->threads = threads;
    run_memory_free(memory, bytes);
    run_code_free(code);
    return memory != NULL;
}

double roof_rate(const struct roof *r, bool shared, double bytes)
{
    const double *rate = r->bytes[shared];
    int i = 0;

    while (i < ROOF_SIZES - 1 && roof_bytes[i + 1] < bytes)
        i++;
    if (bytes <= roof_bytes[0] || i == ROOF_SIZES - 1)
        return rate[i];
    return rate[i] + (rate[i + 1] - rate[i]) * log(bytes / roof_bytes[i]) /
                         log(roof_bytes[i + 1] / roof_bytes[i]);
}

double roof_seconds(const struct roof *r, bool shared, double flops, double bytes, bool *by_bytes)
{
    const double compute = flops / r->flops[shared];
    const double move = bytes > 0 ? bytes / roof_rate(r, shared, bytes) : 0;

    *by_bytes = move > compute;
    return *by_bytes ? move : compute;
}
