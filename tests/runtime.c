/*
 * runtime: what holds for compiled text, whichever engine compiled it, and for the cache.
 *
 * Every test runs in a process of its own, with a cache of its own: it may set the environment.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT "__attribute__((visibility(\"default\"))) "

static char home[300]; /* XDG_CACHE_HOME of the test */
static char cache[320];

static void fresh_home(void)
{
    snprintf(home, sizeof home, "/tmp/taper-test-XXXXXX");
    cr_assert(mkdtemp(home), "no directory for the test's cache");
    snprintf(cache, sizeof cache, "%s/taper", home);
    setenv("XDG_CACHE_HOME", home, 1);
    unsetenv("TAPER_CACHE_BYTES");
    unsetenv("TAPER_CC");
    if (!getenv("TAPER_JIT") && access(TAPER_BUILD "/libtaper-jit.so", R_OK) == 0)
        setenv("TAPER_JIT", TAPER_BUILD "/libtaper-jit.so", 1);
}

static void remove_home(void)
{
    char command[400];
    setenv("PATH", "/usr/bin:/bin", 1); /* a test may have emptied it */
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    if (system(command) != 0)
        fprintf(stderr, "%s was left behind\n", home);
}

TestSuite(runtime, .init = fresh_home, .fini = remove_home);

static bool have_plugin(void)
{
    const char *path = getenv("TAPER_JIT");
    return path && access(path, R_OK) == 0;
}

static bool have_program(const char *name)
{
    char command[100];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
    return system(command) == 0;
}

static struct run_code *load_or_fail(const char *text, const struct run_options *options)
{
    struct ir_error error = { 0 };
    struct run_code *code = run_code_load(text, options, &error);
    cr_assert(code, "%s", error.text);
    return code;
}

static int call(struct run_code *code, const char *name)
{
    int (*function)(void);
    void *symbol = run_code_symbol(code, name);
    cr_assert(symbol, "%s is not exported", name);
    memcpy(&function, &symbol, sizeof symbol);
    return function();
}

/* true when a mapped file of this process has `name` in its path */
static bool mapped(const char *name)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps))
        found = found || strstr(line, name);
    if (maps)
        fclose(maps);
    return found;
}

/* the entries of the cache directory whose names end so, and the last of their paths */
static int entries(const char *ending, char path[600])
{
    int count = 0;
    DIR *list = opendir(cache);
    for (struct dirent *at; list && (at = readdir(list));) {
        const size_t length = strlen(at->d_name), end = strlen(ending);
        if (at->d_name[0] == '.' && strcmp(ending, ".new") == 0)
            count += strncmp(at->d_name, ".new-", 5) == 0;
        if (length < end || strcmp(at->d_name + length - end, ending) != 0)
            continue;
        count++;
        if (path)
            snprintf(path, 600, "%s/%s", cache, at->d_name);
    }
    if (list)
        closedir(list);
    return count;
}

/* the same engine three times over: Clang in process, Clang as a process, gcc */
static const struct engine_case {
    const char *engine, *program;
} engine_cases[] = { { "clang", NULL }, { "cc", "clang-19" }, { "cc", "gcc" } };

static bool use_engine(const struct engine_case *which)
{
    if (!which->program)
        return have_plugin();
    setenv("TAPER_CC", which->program, 1);
    return have_program(which->program);
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
                load_or_fail(arithmetic, &(struct run_options){ .flags = "-march=native",
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
        struct run_code *code = load_or_fail(text, &options);
        cr_expect_eq(call(code, "outer"), 7);
        cr_expect_null(run_code_symbol(code, "inner"));
        run_code_free(code);

        snprintf(path, sizeof path, "%s/%zu.so", home, e);
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
        struct run_code *code = load_or_fail(
            team, &(struct run_options){ .openmp = true, .engine = engine_cases[e].engine });
        cr_expect_eq(call(code, "step"), 333, "engine %zu", e);
        run_code_free(code);
    }
    cr_expect(!(mapped("libomp") && mapped("libgomp")), "two OpenMP runtimes in one process");
}

Test(runtime, a_hit_does_not_load_llvm)
{
    static const char text[] = EXPORT "int answer(void) { return 42; }\n";
    struct run_options options = { .flags = "-march=native", .openmp = true };
    const pid_t child = fork();
    if (child == 0) {
        struct run_code *code = run_code_load(text, &options, NULL);
        _exit(code && !run_code_info(code).cached ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0, "the first process compiled nothing");

    struct run_code *code = load_or_fail(text, &options);
    const struct run_code_info info = run_code_info(code);
    cr_expect(info.cached, "%s", info.cache);
    cr_expect_eq(call(code, "answer"), 42);
    cr_expect_not(mapped("libLLVM"), "LLVM was loaded for a hit");
    cr_expect_not(mapped("libtaper-jit"), "the plug-in was opened for a hit");
    cr_expect(mapped(info.key), "the entry is not mapped from its file");
    cr_expect(info.seconds > 0 && info.seconds < 1, "%g s", info.seconds);
    run_code_free(code);
    cr_expect_not(mapped(info.key), "the code stays after it was freed");
}

Test(runtime, a_key_depends_on_text_flags_and_engine)
{
    const char *texts[] = { EXPORT "int f(void) { return 1; }\n",
                            EXPORT "int f(void) { return 2; }\n" };
    const struct run_options base = { 0 }, native = { .flags = "-march=native" },
                             openmp = { .openmp = true }, loops = { .any_loops = true };
    const struct run_options *const all[] = { &base, &native, &openmp, &loops };
    char keys[8][65];
    int n = 0;
    for (int t = 0; t < 2; t++)
        for (int o = 0; o < 4; o++) {
            struct run_code *code = load_or_fail(texts[t], all[o]);
            cr_expect_eq(call(code, "f"), t + 1);
            cr_expect_not(run_code_info(code).cached);
            memcpy(keys[n++], run_code_info(code).key, 65);
            run_code_free(code);
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(keys[i], keys[j], "%d and %d", i, j);
}

/* overwrites one byte, or cuts the file when `at` is negative */
static void damage(const char *path, long at, long length)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte = 0;
    cr_assert(fd >= 0, "%s cannot be opened", path);
    if (at < 0) {
        cr_assert_eq(ftruncate(fd, length), 0);
    } else {
        cr_assert_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

Test(runtime, a_damaged_entry_is_compiled_again)
{
    static const char text[] = EXPORT "int f(void) { return 1234567; }\n";
    char path[600];
    struct stat whole;
    run_code_free(load_or_fail(text, &(struct run_options){ 0 }));
    cr_assert_eq(entries(".so", path), 1);
    cr_assert_eq(stat(path, &whole), 0);
    const long size = (long)whole.st_size;
    const long cuts[] = { 0, 1, 60, size / 2, size - 1 };
    const long flips[] = { 0,         20,        size / 2,   size - 1,   size - 20,
                           size - 60, size - 90, size - 100, size - 112, size - 130 };
    for (size_t i = 0; i < 15; i++) {
        if (i < 5)
            damage(path, -1, cuts[i]);
        else
            damage(path, flips[i - 5], 0);
        struct run_code *code = load_or_fail(text, &(struct run_options){ 0 });
        const struct run_code_info info = run_code_info(code);
        cr_expect_not(info.cached, "damage %zu was not seen", i);
        cr_expect(strstr(info.cache, "damaged"), "damage %zu: %s", i, info.cache);
        cr_expect_eq(call(code, "f"), 1234567);
        run_code_free(code);
        code = load_or_fail(text, &(struct run_options){ 0 });
        cr_expect(run_code_info(code).cached, "damage %zu was not mended", i);
        run_code_free(code);
    }
}

Test(runtime, an_entry_under_a_false_name_is_not_taken)
{
    static const char *const text[] = { EXPORT "int f(void) { return 1; }\n",
                                        EXPORT "int f(void) { return 2; }\n" };
    char path[600], other[600];
    struct run_code *code = load_or_fail(text[0], &(struct run_options){ 0 });
    snprintf(path, sizeof path, "%s/%s.so", cache, run_code_info(code).key);
    run_code_free(code);
    code = load_or_fail(text[1], &(struct run_options){ 0 });
    snprintf(other, sizeof other, "%s/%s.so", cache, run_code_info(code).key);
    run_code_free(code);
    cr_assert_eq(rename(path, other), 0);
    code = load_or_fail(text[1], &(struct run_options){ 0 });
    cr_expect_eq(call(code, "f"), 2);
    cr_expect_not(run_code_info(code).cached);
    run_code_free(code);
}

/* The run goes on without the cache, and says why and what to do. */
static void goes_on_without(const char *why)
{
    struct run_code *code =
        load_or_fail(EXPORT "int f(void) { return 9; }\n", &(struct run_options){ 0 });
    const struct run_code_info info = run_code_info(code);
    char line[400];
    cr_expect_eq(call(code, "f"), 9);
    cr_expect_not(info.cached);
    cr_expect(strstr(info.cache, why), "'%s' is not in: %s", why, info.cache);
    cr_expect_not(run_cache_why(NULL, line, sizeof line));
    cr_expect(strstr(line, why), "'%s' is not in: %s", why, line);
    cr_expect_null(strchr(line, '\n'));
    run_code_free(code);
}

Test(runtime, a_directory_that_others_may_write_is_not_used)
{
    cr_assert_eq(mkdir(cache, 0700), 0);
    cr_assert_eq(chmod(cache, 0770), 0);
    goes_on_without("chmod 700");
    cr_expect_eq(entries("", NULL), 2, "something was written into it"); /* . and .. */
}

Test(runtime, a_directory_of_someone_else_is_not_used)
{
    if (geteuid() != 0)
        cr_skip("only root can give a directory away");
    cr_assert_eq(mkdir(cache, 0700), 0);
    cr_assert_eq(chown(cache, 12345, 12345), 0);
    goes_on_without("belongs to user 12345");
}

Test(runtime, a_cache_that_cannot_be_made_breaks_nothing)
{
    const int fd = open(cache, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* a file is in its place */
    cr_assert(fd >= 0);
    close(fd);
    goes_on_without("Not a directory");
    setenv("XDG_CACHE_HOME", "/proc/nowhere/at/all", 1);
    goes_on_without("/proc/nowhere");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    goes_on_without("HOME");
}

Test(runtime, a_bound_that_is_no_number_is_named)
{
    static const char *const wrong[] = { "much",         "12X", "-1", "99999999999999999999",
                                         "99999999999G", "1KK" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("TAPER_CACHE_BYTES", wrong[i], 1);
        goes_on_without(wrong[i]);
    }
}

Test(runtime, the_least_recently_used_entries_go_first)
{
    struct run_cache store;
    char key[6][65];
    unsigned char bytes[1000] = { 7 };
    struct run_bytes content = { bytes, sizeof bytes }, got;
    setenv("TAPER_CACHE_BYTES", "5K", 1); /* room for four */
    run_cache_open(&store, NULL);
    cr_assert(store.directory >= 0, "%s", store.why);
    for (int i = 0; i < 6; i++) {
        run_hash_text(&(struct run_field){ &i, sizeof i }, 1, key[i]);
        cr_assert(run_cache_put(&store, key[i], "so", &content, "a note"), "%s", store.why);
        usleep(2000);
        if (i == 3) { /* the first is used again: now the second is the oldest */
            char *note = NULL;
            cr_assert(run_cache_get(&store, key[0], "so", &got, &note), "%s", store.why);
            cr_expect_eq(got.length, sizeof bytes);
            cr_expect_arr_eq(got.data, bytes, sizeof bytes);
            cr_expect_str_eq(note, "a note");
            free(note);
            run_bytes_free(&got);
            usleep(2000);
        }
    }
    static const bool stays[] = { true, false, false, true, true, true };
    for (int i = 0; i < 6; i++) {
        const bool there = run_cache_get(&store, key[i], "so", &got, NULL);
        cr_expect_eq(there, stays[i], "entry %d", i);
        if (there)
            run_bytes_free(&got);
    }
    static unsigned char large[6000];
    content = (struct run_bytes){ large, sizeof large };
    cr_expect_not(run_cache_put(&store, key[1], "so", &content, ""));
    cr_expect(strstr(store.why, "bound"), "%s", store.why);
    run_cache_close(&store);
}

struct seen {
    int count;
    char note[200];
};

static void see(void *user, const struct run_cache_entry *entry)
{
    struct seen *seen = user;
    if (strstr(entry->name, ".so")) {
        seen->count++;
        memcpy(seen->note, entry->note, sizeof seen->note);
        cr_expect(entry->bytes > 0 && entry->used.tv_sec > 0);
    }
}

Test(runtime, list_clear_and_why)
{
    struct seen seen = { 0 };
    struct ir_error error = { 0 };
    char line[400], stranger[400];
    size_t removed = 0;
    struct run_code *code = load_or_fail(EXPORT "int f(void) { return 3; }\n",
                                         &(struct run_options){ .flags = "-march=native" });
    snprintf(stranger, sizeof stranger, "%s/not-ours.txt", cache);
    close(open(stranger, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cr_expect(run_cache_list(NULL, see, &seen, &error), "%s", error.text);
    cr_expect_eq(seen.count, 1);
    cr_expect(strstr(seen.note, "-march=native"), "%s", seen.note);
    cr_expect(strstr(seen.note, run_code_info(code).engine), "%s", seen.note);
    cr_expect(run_cache_why(NULL, line, sizeof line));
    cr_expect(strstr(line, "2 entries"), "%s", line); /* the code, and its compiler's version */
    cr_expect(run_cache_clear(NULL, &removed, &error), "%s", error.text);
    cr_expect_eq(removed, 2);
    cr_expect_eq(call(code, "f"), 3, "the code in use went with its entry");
    run_code_free(code);
    seen.count = 0;
    cr_expect(run_cache_list(NULL, see, &seen, &error));
    cr_expect_eq(seen.count, 0);
    cr_expect_eq(access(stranger, F_OK), 0, "a file that is not the cache's was removed");
}

Test(runtime, writers_at_the_same_time_leave_one_whole_entry)
{
    static const char text[] = EXPORT "int f(void) { return 77; }\n";
    enum { writers = 4 };
    pid_t child[writers];
    for (int i = 0; i < writers; i++)
        if ((child[i] = fork()) == 0) {
            int right = 0;
            for (int k = 0; k < 10; k++) {
                struct run_code *code = run_code_load(text, &(struct run_options){ 0 }, NULL);
                right += code && call(code, "f") == 77;
                run_code_free(code);
                char path[600];
                if (k % 3 == i % 3 && entries(".so", path) == 1)
                    unlink(path); /* and one who clears it all the time */
            }
            _exit(right == 10 ? 0 : 1);
        }
    for (int i = 0; i < writers; i++) {
        int status = 1;
        waitpid(child[i], &status, 0);
        cr_expect_eq(status, 0, "writer %d: %d", i, status);
    }
    run_code_free(load_or_fail(text, &(struct run_options){ 0 }));
    cr_expect_eq(entries(".so", NULL), 1);
    cr_expect_eq(entries(".new", NULL), 0, "half-written files were left");
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
        wrong += !code || call(code, "f") != number * 10 + k;
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
        struct run_code *code = load_or_fail(text, &(struct run_options){ .no_cache = true });
        cr_expect_eq(call(code, "f"), i);
        cr_expect_not(run_code_info(code).cached);
        if (i % 2) {
            run_code_free(kept);
            kept = code;
        } else {
            run_code_free(code);
        }
    }
    run_code_free(kept);
    cr_expect_eq(access(cache, F_OK), -1, "the cache was touched");
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
    cr_expect_eq(entries(".so", NULL), 0);
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
    if (!have_program("gcc"))
        cr_skip("no gcc here");
    snprintf(path, sizeof path, "%s/libtaper-jit.so", home);
    FILE *file = fopen(path, "we");
    fputs("not a library", file);
    fclose(file);
    setenv("TAPER_JIT", path, 1);
    struct run_code *code =
        load_or_fail(EXPORT "int f(void) { return 5; }\n", &(struct run_options){ 0 });
    cr_expect_str_eq(run_code_info(code).engine, "cc");
    cr_expect_eq(call(code, "f"), 5);
    run_code_free(code);
}

Test(runtime, a_fatal_error_of_llvm_does_not_end_the_process)
{
    struct ir_error error = { 0 };
    struct run_options options = { .engine = "clang",
                                   .flags = "-Xclang -target-feature -Xclang -64bit" };
    if (!have_plugin())
        cr_skip("no plug-in here");
#ifndef __x86_64__
    cr_skip("the fault that is provoked is x86's");
#endif
    cr_expect_null(run_code_load(EXPORT "int f(void) { return 1; }\n", &options, &error));
    cr_expect(strstr(error.text, "64-bit"), "%s", error.text);
    if (have_program("gcc")) { /* and later compilations find another engine */
        struct run_code *code =
            load_or_fail(EXPORT "int f(void) { return 2; }\n", &(struct run_options){ 0 });
        cr_expect_str_eq(run_code_info(code).engine, "cc");
        cr_expect_eq(call(code, "f"), 2);
        run_code_free(code);
    }
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
    run_code_free(load_or_fail(EXPORT "int f(void) { return 8; }\n", &(struct run_options){ 0 }));
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
    snprintf(path, sizeof path, "%s/step.o", home);
    cr_assert(run_object_write(text, &(struct run_options){ 0 }, path, RUN_OBJECT, &error), "%s",
              error.text);
    if (have_program("gcc")) {
        snprintf(command, sizeof command,
                 "cd '%s' && echo 'int f(void); int main(void) { return f() - 6; }' | "
                 "gcc -x c - -x none step.o -o main && ./main",
                 home);
        cr_expect_eq(system(command), 0, "the object does not link into a program");
    }
    cr_expect_not(run_object_write(text, &(struct run_options){ 0 }, "/proc/nowhere/step.o",
                                   RUN_OBJECT, &error));
    cr_expect(strstr(error.text, "/proc/nowhere/step.o"), "%s", error.text);
    error = (struct ir_error){ 0 };
    cr_expect_not(run_object_write("int f(", &(struct run_options){ 0 }, path, RUN_OBJECT, &error));
    snprintf(command, sizeof command, "test $(ls -A '%s' | grep -c new) = 0", home);
    cr_expect_eq(system(command), 0, "half-written objects were left");
}

Test(runtime, large_memory_is_zero_aligned_and_there)
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

Test(runtime, a_reserved_range_grows_where_it_stands)
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

Test(runtime, cuda_text_becomes_a_cubin_without_a_gpu)
{
    static const char text[] = "extern \"C\" __global__ void twice(float *x)\n{\n"
                               "    x[threadIdx.x] = 2.0f * x[threadIdx.x] + 1.0f;\n}\n";
    struct ir_error error = { 0 };
    struct run_cubin cubin;
    if (!run_cubin_load(text, "sm_90a", &(struct run_options){ 0 }, &cubin, &error)) {
        cr_assert_eq(error.status, IR_UNSUPPORTED, "%s", error.text);
        cr_skip("%s", error.text);
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
