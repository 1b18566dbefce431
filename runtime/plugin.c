/*
 * plugin: the engine "clang", Clang in this process, behind dlopen.
 *
 * libtaper-jit.so brings 200 MB of LLVM with it, so it is opened when there is something to compile
 * and not before; finding it is a matter of names. Once open it stays: LLVM does not like to leave.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TAPER_LIBDIR
#define TAPER_LIBDIR "/usr/local/lib"
#endif

static const char plugin_name[] = "libtaper-jit.so";

static bool there(char path[1024], const char *directory, const char *below)
{
    const int length = snprintf(path, 1024, "%s%s/%s", directory, below, plugin_name);
    return length > 0 && length < 1024 && access(path, R_OK) == 0;
}

/*
 * Where libtaper is, or the program that it is linked into. A program's name is what it was called
 * by, which may be relative to a directory that is no longer the current one: then /proc knows.
 */
static bool own_directory(char directory[PATH_MAX])
{
    Dl_info self;
    const bool known = dladdr((void *)(uintptr_t)&run_code_load, &self) && self.dli_fname &&
                       self.dli_fname[0] == '/';
    if (!realpath(known ? self.dli_fname : "/proc/self/exe", directory))
        return false;
    *strrchr(directory, '/') = 0;
    return true;
}

/* $TAPER_JIT is the word of the user and ends the search, beside us is the build or the install. */
static bool clang_find(struct run_compiler *compiler, const struct run_options *options, char *why,
                       size_t size)
{
    static const char *const below[] = {
        "", "/..", "/../lib", "/../lib64", "/../lib/x86_64-linux-gnu", "/../lib/aarch64-linux-gnu"
    };
    if (options->openmp && run_openmp_open() != RUN_OPENMP_LLVM) {
        snprintf(why, size, "libomp.so.5 is missing (package libomp5-19)");
        return false;
    }
    const char *named = secure_getenv("TAPER_JIT");
    if (named && named[0]) {
        const int length = snprintf(compiler->path, sizeof compiler->path, "%s", named);
        if (length < (int)sizeof compiler->path && access(named, R_OK) == 0)
            return true;
        snprintf(why, size, "TAPER_JIT is '%.100s', which cannot be read", named);
        return false;
    }
    char directory[PATH_MAX];
    if (own_directory(directory))
        for (size_t i = 0; i < sizeof below / sizeof *below; i++)
            if (there(compiler->path, directory, below[i]))
                return true;
    if (there(compiler->path, TAPER_LIBDIR, ""))
        return true;
    snprintf(why, size, "%s is not installed beside libtaper", plugin_name);
    return false;
}

/* NULL with a reason: LLVM's libraries may be gone, or the plug-in of another build. */
static const struct run_jit *open_plugin(const char *path, char *why, size_t size)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct run_jit *jit = library ? dlsym(library, "taper_jit") : NULL;
    if (jit && jit->abi == RUN_JIT_ABI)
        return jit;
    const char *reason = jit ? "it belongs to another build of taper" : dlerror();
    snprintf(why, size, "%s: %s", plugin_name, reason ? reason : "it is not taper's plug-in");
    run_printable(why);
    return NULL;
}

static bool clang_ask(struct run_compiler *compiler, char *files, size_t files_size, char *why,
                      size_t size)
{
    const struct run_jit *jit = open_plugin(compiler->path, why, size);
    if (!jit)
        return false;
    snprintf(compiler->version, sizeof compiler->version, "%s", jit->version());
    size_t at = 0;
    for (int i = 0; jit->file(i); i++) {
        const int length = snprintf(files + at, files_size - at, "%s\n", jit->file(i));
        if (length < 0 || (size_t)length >= files_size - at)
            break;
        at += (size_t)length;
    }
    return true;
}

static enum run_outcome clang_compile(const struct run_compiler *compiler,
                                      const struct run_job *job)
{
    const struct run_jit *jit = open_plugin(compiler->path, job->message, job->message_size);
    return jit ? jit->compile(job) : RUN_BROKEN;
}

const struct run_engine run_engine_clang = { "clang", clang_find, clang_ask, clang_compile };
