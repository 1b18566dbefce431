/*
 * compile: text to a function. The cache is asked first, then the engines in their order.
 *
 * All engines get the same flags, say what is wrong in the same words and leave a shared object
 * behind; so the rest of taper cannot see which of them it was, and the arithmetic is the same.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A multiply-add is fused where the text says so and nowhere else; functions of libm may become
 * instructions; everything else is as the C standard has it, but that integers wrap and memory has
 * no type.
 */
static const char *const fixed_flags[] = {
    "-O2",
    "-std=gnu17",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fwrapv",              /* whole numbers wrap */
    "-fno-strict-aliasing", /* the arena holds now this type, now that */
    "-fvisibility=hidden",
    "-fPIC",
    "-w",
#ifdef __aarch64__
    "-mno-outline-atomics", /* would be calls into a library that nobody links */
#endif
};

static const struct run_engine *const engines[] = { &run_engine_clang, &run_engine_cc };

#define OBJECT_MOST ((size_t)512 << 20)
#define FLAGS_MOST  64

struct flags {
    char *words; /* what `at` points into */
    const char *at[sizeof fixed_flags / sizeof *fixed_flags + FLAGS_MOST + 1];
    size_t count;
};

struct run_code {
    void *library;
    int fd; /* of an object without a file; -1 else */
    struct run_code_info info;
};

double run_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool flags_of(struct flags *flags, const struct run_options *options, struct ir_error *error)
{
    char *save = NULL;
    const size_t fixed = sizeof fixed_flags / sizeof *fixed_flags;
    flags->count = 0;
    flags->words = strdup(options->flags ? options->flags : "");
    if (!flags->words)
        return ir_error(error, IR_FAILED, "compile: out of memory");
    for (size_t i = 0; i < fixed; i++)
        flags->at[flags->count++] = fixed_flags[i];
    if (options->openmp)
        flags->at[flags->count++] = "-fopenmp";
    for (char *word = strtok_r(flags->words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (flags->count == sizeof flags->at / sizeof *flags->at) {
            free(flags->words);
            return ir_error(error, IR_REFUSED, "compile: more than %d flags", FLAGS_MOST);
        }
        flags->at[flags->count++] = word;
    }
    return true;
}

/* All that the object depends on. The processor counts only where the flags ask for "native". */
static void key_of(char key[65], const struct run_compiler *compiler, const char *text,
                   const struct flags *flags, const struct run_options *options)
{
    struct run_field field[5 + sizeof flags->at / sizeof *flags->at];
    char cpu[256] = "", abi[64];
    size_t n = 0;
    for (size_t i = 0; i < flags->count; i++)
        if (strstr(flags->at[i], "=native"))
            run_cpu_text(cpu, sizeof cpu);
    snprintf(abi, sizeof abi, "taper %u %s %d", RUN_JIT_ABI, compiler->engine->name,
             options->any_loops);
    const char *const texts[] = { abi, compiler->version, cpu, text };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        field[n++] = (struct run_field){ texts[i], strlen(texts[i]) };
    for (size_t i = 0; i < flags->count; i++)
        field[n++] = (struct run_field){ flags->at[i], strlen(flags->at[i]) };
    run_hash_text(field, n, key);
}

/* Compiles into a directory of its own, and takes the bytes from there. */
static enum run_outcome compile(const struct run_compiler *compiler, const char *text,
                                const struct flags *flags, const struct run_options *options,
                                enum run_object kind, struct run_bytes *bytes, char *message,
                                size_t size)
{
    char directory[512], output[540];
    if (!run_scratch_open(directory, sizeof directory)) {
        snprintf(message, size, "no directory for temporary files");
        return RUN_BROKEN;
    }
    snprintf(output, sizeof output, "%s/step.%s", directory, kind == RUN_LIBRARY ? "so" : "o");
    const struct run_job job = { .text = text,
                                 .length = strlen(text),
                                 .flags = flags->at,
                                 .flag_count = flags->count,
                                 .output = output,
                                 .library = kind == RUN_LIBRARY,
                                 .straight = !options->any_loops,
                                 .message = message,
                                 .message_size = size };
    enum run_outcome outcome = compiler->engine->compile(compiler, &job);
    if (outcome == RUN_COMPILED) {
        const int fd = open(output, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || !run_bytes_read(fd, OBJECT_MOST, bytes)) {
            snprintf(message, size, "the compiler left nothing behind");
            outcome = RUN_BROKEN;
        }
        if (fd >= 0)
            close(fd);
    }
    run_scratch_close(directory);
    run_printable(message);
    return outcome;
}

/* The object from its file in the cache, or, where that cannot be, from memory. */
static bool load(struct run_code *code, const struct run_cache *cache,
                 const struct run_bytes *bytes, bool kept, bool openmp, char *why, size_t size)
{
    char path[sizeof cache->path + 80];
    code->fd = -1;
    snprintf(path, sizeof path, "%s/%s.so", cache->path, code->info.key);
    if (kept && strchr(path, '/'))
        code->library = run_library_open(path, openmp, why, size);
    if (!code->library)
        code->library = run_library_open_bytes(bytes, openmp, &code->fd, why, size);
    return code->library != NULL;
}

/* What one engine can do for a text: the cache's entry of its compiler, or a new one. */
static enum run_outcome try_engine(struct run_code *code, struct run_compiler *compiler,
                                   const char *text, const struct flags *flags,
                                   const struct run_options *options, struct run_cache *cache,
                                   char *why, size_t size)
{
    struct run_code_info *info = &code->info;
    struct run_bytes bytes = { 0 };
    enum run_outcome outcome = RUN_COMPILED;
    char note[600];
    if (!compiler->engine->find(compiler, options, why, size) ||
        !run_compiler_identify(compiler, cache, why, size))
        return RUN_BROKEN;
    info->engine = compiler->engine->name;
    snprintf(info->compiler, sizeof info->compiler, "%s", compiler->version);
    key_of(info->key, compiler, text, flags, options);
    info->cached = run_cache_get(cache, info->key, "so", &bytes, NULL);
    bool kept = info->cached;
    if (info->cached && load(code, cache, &bytes, true, options->openmp, why, size)) {
        run_bytes_free(&bytes);
    } else {
        run_bytes_free(&bytes);
        info->cached = false;
        outcome = compile(compiler, text, flags, options, RUN_LIBRARY, &bytes, why, size);
        if (outcome == RUN_COMPILED) {
            char missed[sizeof cache->why];
            memcpy(missed, cache->why, sizeof missed);
            snprintf(note, sizeof note, "%s: %s, %s", compiler->engine->name, compiler->version,
                     options->flags ? options->flags : "");
            kept = run_cache_put(cache, info->key, "so", &bytes, note);
            if (kept)
                snprintf(cache->why, sizeof cache->why, "%.300s: compiled and kept", missed);
            if (!load(code, cache, &bytes, kept, options->openmp, why, size))
                outcome = RUN_REFUSED; /* it names what nobody has: no compiler mends that */
        }
        run_bytes_free(&bytes);
    }
    snprintf(info->cache, sizeof info->cache, "%s", cache->why);
    return outcome;
}

/* true when the user's choice of an engine, if any, allows this one */
static bool allowed(const struct run_engine *engine, const struct run_options *options)
{
    return !options->engine || strcmp(options->engine, engine->name) == 0;
}

static bool known_engine(const struct run_options *options, struct ir_error *error)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (allowed(engines[i], options))
            return true;
    return ir_error(error, IR_REFUSED, "compile: engine '%.40s'; expected clang or cc",
                    options->engine);
}

/* The last word: what was wrong with the text, or with each of the engines. */
static bool explain(enum run_outcome outcome, const char *engine, const char *reason,
                    const char *reasons, struct ir_error *error)
{
    if (outcome == RUN_REFUSED)
        return ir_error(error, IR_FAILED, "compile: %s: %s", engine, reason);
    return ir_error(
        error, IR_FAILED,
        "compile: no compiler works here: %s; install clang-19 or gcc, or libtaper-jit.so with "
        "libclang-cpp19 and libomp5-19",
        reasons);
}

static void add_reason(char *reasons, size_t size, const char *engine, const char *reason)
{
    const size_t at = strlen(reasons);
    snprintf(reasons + at, size - at, "%s%s: %.110s", at ? "; " : "", engine, reason);
}

struct run_code *run_code_load(const char *text, const struct run_options *options,
                               struct ir_error *error)
{
    const double start = run_seconds();
    struct flags flags;
    struct run_cache cache = { .directory = -1, .why = "no cache: not wanted" };
    char why[400] = "", reasons[300] = "";
    enum run_outcome outcome = RUN_BROKEN;
    if (!known_engine(options, error) || !flags_of(&flags, options, error))
        return NULL;
    struct run_code *code = calloc(1, sizeof *code);
    if (!options->no_cache)
        run_cache_open(&cache, options->cache_dir);
    for (size_t i = 0; code && i < sizeof engines / sizeof *engines; i++) {
        struct run_compiler compiler = { .engine = engines[i] };
        if (!allowed(engines[i], options))
            continue;
        outcome = try_engine(code, &compiler, text, &flags, options, &cache, why, sizeof why);
        if (outcome != RUN_BROKEN)
            break;
        add_reason(reasons, sizeof reasons, engines[i]->name, why);
    }
    run_cache_close(&cache);
    free(flags.words);
    if (!code || outcome != RUN_COMPILED) {
        explain(outcome, code ? code->info.engine : "", why, code ? reasons : "out of memory",
                error);
        free(code);
        return NULL;
    }
    code->info.seconds = run_seconds() - start;
    return code;
}

void *run_code_symbol(struct run_code *code, const char *name)
{
    return dlsym(code->library, name);
}

struct run_code_info run_code_info(const struct run_code *code)
{
    return code->info;
}

void run_code_free(struct run_code *code)
{
    if (!code)
        return;
    dlclose(code->library);
    if (code->fd >= 0)
        close(code->fd);
    free(code);
}

/* Aside and renamed, so that a reader sees the old file or the new one. */
static bool write_whole(const char *path, const struct run_bytes *bytes, mode_t mode,
                        struct ir_error *error)
{
    char aside[1100];
    const int length = snprintf(aside, sizeof aside, "%s.%ld.new", path, (long)getpid());
    errno = ENAMETOOLONG;
    const int fd = length > 0 && (size_t)length < sizeof aside
                       ? open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
                       : -1;
    const bool fine = fd >= 0 && run_bytes_write(fd, bytes->data, bytes->length) &&
                      fsync(fd) == 0 && rename(aside, path) == 0;
    if (!fine) {
        ir_error(error, IR_FAILED, "%.250s: cannot be written: %s", path, strerror(errno));
        if (fd >= 0)
            unlink(aside);
    }
    if (fd >= 0)
        close(fd);
    return fine;
}

bool run_object_write(const char *text, const struct run_options *options, const char *path,
                      enum run_object kind, struct ir_error *error)
{
    struct flags flags;
    struct run_bytes bytes = { 0 };
    char why[400] = "", reasons[300] = "";
    enum run_outcome outcome = RUN_BROKEN;
    const char *engine = "";
    if (!known_engine(options, error) || !flags_of(&flags, options, error))
        return false;
    for (size_t i = 0; outcome == RUN_BROKEN && i < sizeof engines / sizeof *engines; i++) {
        struct run_compiler compiler = { .engine = engines[i] };
        if (!allowed(engines[i], options))
            continue;
        engine = engines[i]->name;
        if (engines[i]->find(&compiler, options, why, sizeof why))
            outcome = compile(&compiler, text, &flags, options, kind, &bytes, why, sizeof why);
        if (outcome == RUN_BROKEN)
            add_reason(reasons, sizeof reasons, engine, why);
    }
    free(flags.words);
    bool fine = outcome == RUN_COMPILED;
    if (fine && kind == RUN_ARCHIVE && !run_archive(&bytes, "step.o"))
        fine = ir_error(error, IR_FAILED, "%.250s: no static library can be made here", path);
    else if (fine)
        fine = write_whole(path, &bytes, kind == RUN_LIBRARY ? 0777 : 0666, error);
    else
        explain(outcome, engine, why, reasons, error);
    run_bytes_free(&bytes);
    return fine;
}

bool run_program_write(const char *text, const struct run_options *options, const char *path,
                       struct ir_error *error)
{
    char directory[512], output[540], *save = NULL;
    char *words = strdup(options->flags ? options->flags : "");
    const char *flags[FLAGS_MOST] = { "-O3", "-std=gnu17" };
    size_t count = 2;
    struct run_bytes bytes = { 0 };
    bool fine;

    if (!words || !run_scratch_open(directory, sizeof directory)) {
        free(words);
        return ir_error(error, IR_FAILED, "build: no directory for temporary files");
    }
    for (char *word = strtok_r(words, " ", &save); word && count < FLAGS_MOST - 1;
         word = strtok_r(NULL, " ", &save))
        flags[count++] = word;
    snprintf(output, sizeof output, "%s/program", directory);
    fine = run_program_make(text, flags, output, error);
    if (fine) {
        const int fd = open(output, O_RDONLY | O_CLOEXEC);
        fine = (fd >= 0 && run_bytes_read(fd, OBJECT_MOST, &bytes)) ||
               ir_error(error, IR_FAILED, "build: the compiler left nothing behind");
        if (fd >= 0)
            close(fd);
    }
    fine = fine && write_whole(path, &bytes, 0777, error);
    run_bytes_free(&bytes);
    run_scratch_close(directory);
    free(words);
    return fine;
}
