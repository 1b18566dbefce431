/*
 * jit.h: the face of the plug-in libtaper-jit.so, and the job that every compiler is given.
 *
 * Plain C, nothing of ours: both sides of dlopen include it. Change RUN_JIT_ABI with it; a plug-in
 * of another number is not used. The number is part of every cache key as well.
 */
#ifndef TAPER_RUNTIME_JIT_H
#define TAPER_RUNTIME_JIT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RUN_JIT_ABI 2u

/* what became of a job; BROKEN means that another compiler may still do it */
enum run_outcome { RUN_COMPILED, RUN_REFUSED, RUN_BROKEN };

/* one compilation: C text to a file */
struct run_job {
    const char *text;
    size_t length;
    const char *const *flags; /* as the drivers spell them: -O2 -march=native ... */
    size_t flag_count;
    const char *output; /* a path in a directory of our own; OUTPUT.o may be used as well */
    bool library;       /* link it: a shared object, undefined symbols allowed */
    bool straight;      /* the text is vectorised and unrolled: a short list of passes will do */
    char *message;      /* one line, when it did not compile */
    size_t message_size;
};

struct run_jit {
    unsigned abi;
    /* Clang's full version, with the packager's mark */
    const char *(*version)(void);
    /* the files that this version stands for: the plug-in and LLVM's libraries; NULL ends them */
    const char *(*file)(int index);
    enum run_outcome (*compile)(const struct run_job *job);
};

/* the plug-in's only symbol */
extern
#ifdef __GNUC__
    __attribute__((visibility("default")))
#endif
    const struct run_jit taper_jit;

#ifdef __cplusplus
}
#endif
#endif
