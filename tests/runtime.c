/*
 * runtime: what holds for compiled text, whichever engine compiled it.
 */
#define _GNU_SOURCE 1
#include "support_runtime.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(runtime, .init = support_home_make, .fini = support_home_remove);

/* the same engine three times over: Clang in process, Clang as a process, gcc */
static const struct engine_case {
    const char *engine, *program;
} engine_cases[] = { { "clang", NULL }, { "cc", "clang-19" }, { "cc", "gcc" } };

static bool use_engine(const struct engine_case *which)
{
    if (!which->program)
        return support_has_plugin();
    setenv("TAPER_CC", which->program, 1);
    return support_has_program(which->program);
}

static const char arithmetic[] =
    "typedef float f32x8 __attribute__((vector_size(32), aligned(4)));\n"
    "float sqrtf(float);\n"
    "static inline float root(float x) { return __builtin_sqrtf(x); }\n" EXPORT
    "void step(const float *restrict a, const float *restrict b, float *restrict c, long n)\n"
    "{\n"
    "    for (long i = 0; i < n; i += 8) {\n"
    "        const f32x8 x = *(const f32x8 *)(a + i), y = *(const f32x8 *)(b + i);\n"
    "        *(f32x8 *)(c + i) = x * y - x * x + y / 3.0f;\n"
    "    }\n"
    "    for (long i = 0; i < n; i++)\n"
    "        c[i] = c[i] * b[i] + root(a[i] * a[i] + 1.0f) + __builtin_fmaf(a[i], b[i], -a[i]);\n"
    "}\n";

/* what IEEE says for it, an operation at a time */
static float expected(float a, float b)
{
    const volatile float ab = a * b, aa = a * a, third = b / 3.0f, difference = ab - aa;
    const volatile float c = difference + third, cb = c * b, one = aa + 1.0f, root = sqrtf(one);
    const volatile float sum = cb + root;
    return sum + fmaf(a, b, -a);
}

Test(runtime, every_engine_gives_the_bits_of_ieee)
{
    enum { n = 4096 };
    static float a[n], b[n], c[n];
    int engines = 0;
    for (int i = 0; i < n; i++) {
        a[i] = sinf((float)i * 12.9898f) * 43.7f;
        b[i] = cosf((float)i * 78.233f) * 17.3f;
    }
    for (size_t e = 0; e < sizeof engine_cases / sizeof *engine_cases; e++)
        for (int any_loops = 0; any_loops <= 1; any_loops++) {
            if (!use_engine(&engine_cases[e]))
                continue;
            struct run_code *code =
                support_load(arithmetic, &(struct run_options){ .flags = "-march=native",
                                                                .any_loops = any_loops,
                                                                .engine = engine_cases[e].engine });
            void (*step)(const float *, const float *, float *, long);
            void *symbol = run_code_symbol(code, "step");
            memcpy(&step, &symbol, sizeof symbol);
            memset(c, 0, sizeof c);
            step(a, b, c, n);
            for (int i = 0; i < n; i++) {
                const float want = expected(a[i], b[i]);
                cr_assert(memcmp(&want, &c[i], sizeof want) == 0, "engine %zu: [%d] %a, not %a", e,
                          i, c[i], want);
            }
            run_code_free(code);
            engines++;
        }
    cr_assert(engines > 0, "no engine at all on this machine");
}

Test(runtime, only_what_is_marked_is_exported)
{
    static const char text[] = "int inner(void) { return 1; }\nint table[4];\n" EXPORT
                               "int outer(void) { return inner() + table[0] + 6; }\n";
    for (size_t e = 0; e < sizeof engine_cases / sizeof *engine_cases; e++) {
        char path[400], command[900];
        struct ir_error error = { 0 };
        if (!use_engine(&engine_cases[e]))
            continue;
        struct run_options options = { .engine = engine_cases[e].engine };
        struct run_code *code = support_load(text, &options);
        cr_expect_eq(support_call(code, "outer"), 7);
        cr_expect_null(run_code_symbol(code, "inner"));
        run_code_free(code);

        snprintf(path, sizeof path, "%s/%zu.so", support_home, e);
        cr_assert(run_object_write(text, &options, path, RUN_LIBRARY, &error), "%s", error.text);
        snprintf(command, sizeof command,
                 "test \"$(nm -D --defined-only '%s' | awk '{print $3}' | tr '\\n' ' ')\" = "
                 "'outer '",
                 path);
        cr_expect_eq(system(command), 0, "engine %zu exports more than outer", e);
    }
}

static const char team[] = "int omp_get_thread_num(void);\nint omp_get_num_threads(void);\n" EXPORT
                           "int step(void)\n{\n    int seen[3] = { 0, 0, 0 };\n"
                           "#pragma omp parallel num_threads(3)\n"
                           "    seen[omp_get_thread_num()] = omp_get_num_threads();\n"
                           "    return seen[0] * 100 + seen[1] * 10 + seen[2];\n}\n";

Test(runtime, one_openmp_runtime_serves_the_code_of_all_compilers)
{
    for (size_t e = 0; e < sizeof engine_cases / sizeof *engine_cases; e++) {
        if (!use_engine(&engine_cases[e]))
            continue;
        struct run_code *code = support_load(
            team, &(struct run_options){ .openmp = true, .engine = engine_cases[e].engine });
        cr_expect_eq(support_call(code, "step"), 333, "engine %zu", e);
        cr_expect(!(support_mapped("libomp") && support_mapped("libgomp")),
                  "engine %zu brought a second OpenMP runtime", e);
        run_code_free(code);
    }
}

static void *load_own(void *argument)
{
    const long number = (long)(intptr_t)argument;
    char text[100];
    intptr_t wrong = 0;
    for (int k = 0; k < 3; k++) {
        snprintf(text, sizeof text, EXPORT "int f(void) { return %ld; }\n", number * 10 + k);
        struct run_code *code =
            run_code_load(text, &(struct run_options){ .no_cache = k > 0 }, NULL);
        wrong += !code || support_call(code, "f") != number * 10 + k;
        run_code_free(code);
    }
    return (void *)wrong;
}

Test(runtime, threads_may_compile_at_the_same_time)
{
    pthread_t thread[4];
    for (long i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, load_own, (void *)(intptr_t)i), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(thread[i], &wrong);
        cr_expect_null(wrong, "thread %d", i);
    }
}

Test(runtime, code_without_a_file_is_never_mistaken_for_other_code)
{
    struct run_code *kept = NULL;
    for (int i = 0; i < 6; i++) {
        char text[100];
        snprintf(text, sizeof text, EXPORT "int f(void) { return %d; }\n", i);
        struct run_code *code = support_load(text, &(struct run_options){ .no_cache = true });
        cr_expect_eq(support_call(code, "f"), i);
        cr_expect_not(run_code_info(code).cached);
        if (i % 2) {
            run_code_free(kept);
            kept = code;
        } else {
            run_code_free(code);
        }
    }
    run_code_free(kept);
    cr_expect_eq(access(support_cache, F_OK), -1, "the cache was touched");
}

Test(runtime, bad_text_gives_the_first_message_in_one_line)
{
    static const struct {
        const char *text, *wanted;
    } bad[] = {
        { "int f(void) {\n    return missing;\n}\nint g(void) { return gone; }\n", "step.c:2: " },
        { "int f(void)\n{\n    int x = ;\n}\n", "step.c:3: " },
        { "\n#include \"nowhere.h\"\n", "step.c:2: " },
        { "int f(void) {", "step.c:1: " },
    };
    for (size_t e = 0; e < sizeof engine_cases / sizeof *engine_cases; e++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct ir_error error = { 0 };
            if (!use_engine(&engine_cases[e]))
                continue;
            const struct run_options options = { .engine = engine_cases[e].engine };
            cr_expect_null(run_code_load(bad[i].text, &options, &error));
            cr_expect_eq(error.status, IR_FAILED);
            cr_expect(strstr(error.text, bad[i].wanted), "engine %zu: %s", e, error.text);
            cr_expect_null(strchr(error.text, '\n'));
            cr_expect_null(strstr(error.text, "error:"), "%s", error.text);
        }
    cr_expect_eq(support_entries(".so", NULL), 0);
}

Test(runtime, what_cannot_compile_is_told_apart)
{
    struct ir_error error = { 0 };
    const char *text = EXPORT "int f(void) { return 5; }\n";
    cr_expect_null(run_code_load(text, &(struct run_options){ .engine = "tcc" }, &error));
    cr_expect_eq(error.status, IR_REFUSED);
    cr_expect(strstr(error.text, "'tcc'; expected clang or cc"), "%s", error.text);
    for (size_t e = 0; e < sizeof engine_cases / sizeof *engine_cases; e++) {
        if (!use_engine(&engine_cases[e]))
            continue;
        error = (struct ir_error){ 0 };
        cr_expect_null(run_code_load(text,
                                     &(struct run_options){ .flags = "-march=no-such-machine",
                                                            .engine = engine_cases[e].engine },
                                     &error));
        cr_expect_eq(error.status, IR_FAILED);
        cr_expect(strstr(error.text, "no-such-machine"), "engine %zu: %s", e, error.text);
    }
    /* what nobody defines is found when the code is loaded, not when it runs */
    error = (struct ir_error){ 0 };
    cr_expect_null(run_code_load("int nobody(void);\n" EXPORT "int f(void) { return nobody(); }\n",
                                 &(struct run_options){ 0 }, &error));
    cr_expect(strstr(error.text, "nobody") && !strstr(error.text, "install"), "%s", error.text);
}

Test(runtime, without_a_compiler_the_packages_are_named)
{
    struct ir_error error = { 0 };
    const char *text = EXPORT "int f(void) { return 5; }\n";
    setenv("TAPER_JIT", "/nowhere/libtaper-jit.so", 1);
    setenv("PATH", "", 1);
    cr_expect_null(run_code_load(text, &(struct run_options){ 0 }, &error));
    cr_expect_eq(error.status, IR_FAILED);
    cr_expect(strstr(error.text, "clang-19") && strstr(error.text, "gcc"), "%s", error.text);
    cr_expect(strstr(error.text, "/nowhere"), "%s", error.text);
    error = (struct ir_error){ 0 };
    setenv("TAPER_CC", "no-such-compiler", 1);
    cr_expect_null(run_code_load(text, &(struct run_options){ .engine = "cc" }, &error));
    cr_expect(strstr(error.text, "no-such-compiler"), "%s", error.text);
}

Test(runtime, a_plug_in_that_does_not_load_leaves_the_work_to_cc)
{
    char path[400];
    if (!support_has_program("gcc"))
        SUPPORT_SKIP("no gcc here");
    snprintf(path, sizeof path, "%s/libtaper-jit.so", support_home);
    FILE *file = fopen(path, "we");
    fputs("not a library", file);
    fclose(file);
    setenv("TAPER_JIT", path, 1);
    struct run_code *code =
        support_load(EXPORT "int f(void) { return 5; }\n", &(struct run_options){ 0 });
    cr_expect_str_eq(run_code_info(code).engine, "cc");
    cr_expect_eq(support_call(code, "f"), 5);
    run_code_free(code);
}

Test(runtime, a_fatal_error_of_llvm_does_not_end_the_process)
{
    struct ir_error error = { 0 };
    struct run_options options = { .engine = "clang",
                                   .flags = "-Xclang -target-feature -Xclang -64bit" };
    if (!support_has_plugin())
        SUPPORT_SKIP("no plug-in here");
#ifndef __x86_64__
    SUPPORT_SKIP("the fault that is provoked is x86's");
#endif
    cr_expect_null(run_code_load(EXPORT "int f(void) { return 1; }\n", &options, &error));
    cr_expect(strstr(error.text, "64-bit"), "%s", error.text);
    if (support_has_program("gcc")) { /* and later compilations find another engine */
        struct run_code *code =
            support_load(EXPORT "int f(void) { return 2; }\n", &(struct run_options){ 0 });
        cr_expect_str_eq(run_code_info(code).engine, "cc");
        cr_expect_eq(support_call(code, "f"), 2);
        run_code_free(code);
    }
}

Test(runtime, a_full_disk_is_an_error_and_no_more)
{
    struct ir_error error = { 0 };
    struct rlimit limit, small;
    const char *text = EXPORT "int f(void) { return 1; }\n";
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 300;
    setrlimit(RLIMIT_FSIZE, &small);
    struct run_code *code = run_code_load(text, &(struct run_options){ 0 }, &error);
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_expect_null(code);
    cr_expect_eq(error.status, IR_FAILED);
    cr_expect_eq(strncmp(error.text, "compile: ", 9), 0, "%s", error.text);
    cr_expect_eq(support_entries(".new", NULL), 0, "half-written files were left");
    code = support_load(text, &(struct run_options){ 0 });
    cr_expect_eq(support_call(code, "f"), 1);
    run_code_free(code);
}

static void on_interrupt(int signal)
{
    (void)signal;
}

Test(runtime, the_program_keeps_its_signal_handlers)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGSEGV, SIGUSR1, SIGPIPE };
    struct sigaction mine = { .sa_handler = on_interrupt }, now;
    for (size_t i = 0; i < 5; i++)
        sigaction(signals[i], &mine, NULL);
    run_code_free(support_load(EXPORT "int f(void) { return 8; }\n", &(struct run_options){ 0 }));
    for (size_t i = 0; i < 5; i++) {
        sigaction(signals[i], NULL, &now);
        cr_expect(now.sa_handler == on_interrupt, "signal %d was taken", signals[i]);
    }
}

Test(runtime, objects_appear_whole_or_not_at_all)
{
    const char *text = EXPORT "int f(void) { return 6; }\n";
    char path[400], command[1000];
    struct ir_error error = { 0 };
    snprintf(path, sizeof path, "%s/step.o", support_home);
    cr_assert(run_object_write(text, &(struct run_options){ 0 }, path, RUN_OBJECT, &error), "%s",
              error.text);
    if (support_has_program("gcc")) {
        snprintf(command, sizeof command,
                 "cd '%s' && echo 'int f(void); int main(void) { return f() - 6; }' | "
                 "gcc -x c - -x none step.o -o main && ./main",
                 support_home);
        cr_expect_eq(system(command), 0, "the object does not link into a program");
    }
    cr_expect_not(run_object_write(text, &(struct run_options){ 0 }, "/proc/nowhere/step.o",
                                   RUN_OBJECT, &error));
    cr_expect(strstr(error.text, "/proc/nowhere/step.o"), "%s", error.text);
    error = (struct ir_error){ 0 };
    cr_expect_not(run_object_write("int f(", &(struct run_options){ 0 }, path, RUN_OBJECT, &error));
    snprintf(command, sizeof command, "test $(ls -A '%s' | grep -c new) = 0", support_home);
    cr_expect_eq(system(command), 0, "half-written objects were left");
}

Test(runtime, cuda_text_becomes_a_cubin_without_a_gpu)
{
    static const char text[] = "extern \"C\" __global__ void twice(float *x)\n{\n"
                               "    x[threadIdx.x] = 2.0f * x[threadIdx.x] + 1.0f;\n}\n";
    struct ir_error error = { 0 };
    struct run_cubin cubin;
    if (!run_cubin_load(text, "sm_90a", &(struct run_options){ 0 }, &cubin, &error)) {
        cr_assert_eq(error.status, IR_UNSUPPORTED, "%s", error.text);
        SUPPORT_SKIP("%s", error.text);
    }
    cr_expect_not(cubin.cached);
    cr_expect(cubin.length > 500 && memcmp(cubin.data, "\177ELF", 4) == 0, "no ELF file");
    cr_expect(memmem(cubin.data, cubin.length, "twice", 5), "the kernel is not in it");
    cr_expect(strstr(cubin.log, "registers"), "%s", cubin.log);
    struct run_cubin again;
    cr_assert(run_cubin_load(text, "sm_90a", &(struct run_options){ 0 }, &again, &error), "%s",
              error.text);
    cr_expect(again.cached);
    cr_expect_eq(again.length, cubin.length);
    cr_expect_arr_eq(again.data, cubin.data, cubin.length);
    cr_expect_str_eq(again.log, cubin.log);
    run_cubin_free(&cubin);
    run_cubin_free(&again);
    cr_expect_not(run_cubin_load("__global__ void k(float *x)\n{\n    x[0] = gone;\n}\n", "sm_90a",
                                 &(struct run_options){ 0 }, &cubin, &error));
    cr_expect_eq(error.status, IR_FAILED);
    cr_expect(strstr(error.text, "step.cu:3: ") && strstr(error.text, "gone"), "%s", error.text);
}

Test(runtime, without_nvrtc_cuda_is_unsupported)
{
    struct ir_error error = { 0 };
    struct run_cubin cubin;
    setenv("TAPER_NVRTC", "/nowhere/libnvrtc.so", 1);
    cr_expect_not(run_cubin_load("", "sm_90a", &(struct run_options){ 0 }, &cubin, &error));
    cr_expect_eq(error.status, IR_UNSUPPORTED);
    cr_expect(strstr(error.text, "/nowhere/libnvrtc.so"), "%s", error.text);
    cr_expect_null(cubin.data);
}
