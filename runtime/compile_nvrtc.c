/*
 * compile_nvrtc: CUDA text to a cubin, with NVIDIA's compiler as a library.
 *
 * libnvrtc is opened when something is not in the cache; it needs no GPU and no driver. The note of
 * a cache entry is the log of ptxas, so that registers and spills are known on a hit as well.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct program *nvrtc_program; /* opaque to us, as it is in NVIDIA's header */

/* the part of NVRTC's interface that is used; 0 is success throughout */
struct nvrtc {
    int (*version)(int *major, int *minor);
    int (*create)(nvrtc_program *, const char *text, const char *name, int headers,
                  const char *const *header, const char *const *include);
    int (*destroy)(nvrtc_program *);
    int (*compile)(nvrtc_program, int count, const char *const *options);
    int (*log_size)(nvrtc_program, size_t *);
    int (*log)(nvrtc_program, char *);
    int (*cubin_size)(nvrtc_program, size_t *);
    int (*cubin)(nvrtc_program, char *);
    const char *(*error_text)(int);
};

#define CUBIN_MOST ((size_t)512 << 20)

/* Looked for where the loader looks, then where NVIDIA installs; $TAPER_NVRTC is the user's word.
 */
static bool nvrtc_path(char path[1024])
{
    static const char *const patterns[] = { "/usr/local/cuda*/lib64/libnvrtc.so.1?",
                                            "/usr/local/cuda*/lib/libnvrtc.so.1?",
                                            "/usr/local/cuda*/targets/*/lib/libnvrtc.so.1?",
                                            "/usr/lib/*/libnvrtc.so.1?" };
    const char *named = secure_getenv("TAPER_NVRTC");
    if (named && named[0])
        return snprintf(path, 1024, "%s", named) < 1024;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t found;
        const bool any = glob(patterns[i], 0, NULL, &found) == 0 && found.gl_pathc > 0 &&
                         snprintf(path, 1024, "%s", found.gl_pathv[found.gl_pathc - 1]) < 1024;
        globfree(&found);
        if (any)
            return true;
    }
    return false;
}

static bool open_nvrtc(const char *path, struct nvrtc *nvrtc, char *why, size_t size)
{
    static const char *const names[] = { "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so" };
    void *library = path[0] ? dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) : NULL;
    for (size_t i = 0; !library && !path[0] && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *reason = dlerror();
        snprintf(why, size, "%s", reason && path[0] ? reason : "it is not installed");
        return false;
    }
    const struct {
        const char *name;
        void *to;
    } wanted[] = { { "nvrtcVersion", &nvrtc->version },
                   { "nvrtcCreateProgram", &nvrtc->create },
                   { "nvrtcDestroyProgram", &nvrtc->destroy },
                   { "nvrtcCompileProgram", &nvrtc->compile },
                   { "nvrtcGetProgramLogSize", &nvrtc->log_size },
                   { "nvrtcGetProgramLog", &nvrtc->log },
                   { "nvrtcGetCUBINSize", &nvrtc->cubin_size },
                   { "nvrtcGetCUBIN", &nvrtc->cubin },
                   { "nvrtcGetErrorString", &nvrtc->error_text } };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (!symbol) {
            snprintf(why, size, "it has no %s", wanted[i].name);
            return false;
        }
        memcpy(wanted[i].to, &symbol, sizeof symbol);
    }
    return true;
}

static bool nvrtc_ask(struct run_compiler *compiler, char *files, size_t files_size, char *why,
                      size_t size)
{
    struct nvrtc nvrtc;
    Dl_info where;
    int major = 0, minor = 0;
    if (!open_nvrtc(compiler->path, &nvrtc, why, size) || nvrtc.version(&major, &minor) != 0)
        return false;
    snprintf(compiler->version, sizeof compiler->version, "NVRTC %d.%d", major, minor);
    void *inside;
    memcpy(&inside, &nvrtc.version, sizeof inside);
    if (dladdr(inside, &where))
        snprintf(files, files_size, "%s\n", where.dli_fname);
    return true;
}

/* an identity for keys only: cubins are not made by way of struct run_job */
static const struct run_engine nvrtc_engine = { "nvrtc", NULL, nvrtc_ask, NULL };

/* NVRTC's "step.cu(12): error: what" as "step.cu:12: what" */
static void first_error(const char *log, char *message, size_t size)
{
    const char *error = strstr(log, "error");
    const char *line = error ? error : log;
    int number = 0;
    while (line > log && line[-1] != '\n')
        line--;
    const char *words = error ? strchr(error, ':') : NULL;
    if (words && sscanf(line, "step.cu(%d)", &number) == 1)
        snprintf(message, size, "step.cu:%d:%.*s", number, (int)strcspn(words + 1, "\n"),
                 words + 1);
    else
        snprintf(message, size, "%.*s", (int)strcspn(line, "\n"), line);
    run_printable(message);
}

static bool compile(const struct run_compiler *compiler, const char *text,
                    const char *const *options, int count, struct run_cubin *cubin,
                    struct ir_error *error)
{
    struct nvrtc nvrtc;
    nvrtc_program program = NULL;
    char why[300] = "";
    size_t log = 0;
    if (!open_nvrtc(compiler->path, &nvrtc, why, sizeof why))
        return ir_error(error, IR_UNSUPPORTED, "compile: libnvrtc: %s", why);
    int status = nvrtc.create(&program, text, "step.cu", 0, NULL, NULL);
    if (status == 0)
        status = nvrtc.compile(program, count, options);
    if (program && nvrtc.log_size(program, &log) == 0 && (cubin->log = calloc(1, log + 1)))
        nvrtc.log(program, cubin->log);
    if (status != 0) {
        if (cubin->log && cubin->log[0])
            first_error(cubin->log, why, sizeof why);
        ir_error(error, IR_FAILED, "compile: nvrtc: %s", why[0] ? why : nvrtc.error_text(status));
    } else if (nvrtc.cubin_size(program, &cubin->length) != 0 || cubin->length == 0 ||
               cubin->length > CUBIN_MOST || !(cubin->data = malloc(cubin->length)) ||
               nvrtc.cubin(program, (char *)cubin->data) != 0) {
        ir_error(error, IR_FAILED, "compile: nvrtc: no cubin came out");
        status = 1;
    }
    if (program)
        nvrtc.destroy(&program);
    return status == 0;
}

bool run_cubin_load(const char *text, const char *arch, const struct run_options *options,
                    struct run_cubin *cubin, struct ir_error *error)
{
    /* --fmad=false: a multiply-add is fused where the text says so, as in C */
    const char *words[] = { NULL, "-default-device", "--minimal",         "--fmad=false",
                            "-w", "--std=c++17",     "--ptxas-options=-v" };
    const int count = sizeof words / sizeof *words;
    struct run_compiler compiler = { .engine = &nvrtc_engine };
    struct run_cache cache = { .directory = -1 };
    struct run_bytes bytes = { 0 };
    struct run_field field[3 + sizeof words / sizeof *words];
    char key[65], name[64], why[300] = "";
    size_t n = 0;
    *cubin = (struct run_cubin){ 0 };
    if (!nvrtc_path(compiler.path))
        compiler.path[0] = 0; /* the loader may know it all the same */
    snprintf(name, sizeof name, "--gpu-architecture=%.30s", arch);
    words[0] = name;
    if (!options->no_cache)
        run_cache_open(&cache, options->cache_dir);
    bool fine = run_compiler_identify(&compiler, &cache, why, sizeof why);
    if (!fine) {
        ir_error(error, IR_UNSUPPORTED, "compile: libnvrtc: %s", why);
    } else {
        const char *const texts[] = { "taper cubin 1", compiler.version, text };
        for (size_t i = 0; i < 3; i++)
            field[n++] = (struct run_field){ texts[i], strlen(texts[i]) };
        for (int i = 0; i < count; i++)
            field[n++] = (struct run_field){ words[i], strlen(words[i]) };
        run_hash_text(field, n, key);
        cubin->cached = run_cache_get(&cache, key, "cubin", &bytes, &cubin->log);
        if (cubin->cached) {
            cubin->data = bytes.data;
            cubin->length = bytes.length;
        } else if ((fine = compile(&compiler, text, words, count, cubin, error))) {
            bytes = (struct run_bytes){ cubin->data, cubin->length };
            run_cache_put(&cache, key, "cubin", &bytes, cubin->log ? cubin->log : "");
        }
    }
    run_cache_close(&cache);
    if (!fine)
        run_cubin_free(cubin);
    return fine;
}

void run_cubin_free(struct run_cubin *cubin)
{
    free(cubin->data);
    free(cubin->log);
    *cubin = (struct run_cubin){ 0 };
}
