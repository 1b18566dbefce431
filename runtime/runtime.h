/*
 * runtime: from text to a function, and the memory that it runs over.
 *
 * One artefact for all engines: a shared object, opened with dlopen. A cache hit needs no compiler,
 * so LLVM and NVRTC stay out of the process. No function here has mutable state outside its
 * arguments; all may be called from several threads at once.
 */
#ifndef TAPER_RUNTIME_H
#define TAPER_RUNTIME_H

#include "ir/ir.h"
#include "runtime/jit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

double run_seconds(void); /* of a clock that only goes forward */

/* compile.c: C text to a loaded shared object, by the cache or by the first engine that can. */

struct run_options {
    const char *flags;     /* the target's: "-march=native -mprefer-vector-width=512"; or NULL */
    const char *cache_dir; /* NULL: $XDG_CACHE_HOME/taper or $HOME/.cache/taper */
    bool no_cache;         /* neither read nor write it */
    bool openmp;           /* the text has OpenMP pragmas or calls omp_ functions */
    bool any_loops;        /* the text was not vectorised by us: spend the whole pipeline on it */
    const char *engine;    /* "clang" (in process), "cc"; NULL: the first that works */
};

struct run_code_info {
    bool cached;
    double seconds;     /* from the call of run_code_load to its end */
    const char *engine; /* "clang" or "cc" */
    char compiler[200]; /* its version */
    char key[65];
    char cache[400]; /* what the cache did, or why it is not used; one line */
};

/*
 * NULL and an error where no engine is at hand or the text is refused. A cache that cannot be used
 * is not an error: run_code_info says so.
 *
 * Code of the same key may be one mapping, however often it is loaded: the text must keep what it
 * writes in memory that it is given, not in static variables.
 */
struct run_code *run_code_load(const char *text, const struct run_options *options,
                               struct ir_error *error);
/* NULL when the text exports no such symbol */
void *run_code_symbol(struct run_code *code, const char *name);
struct run_code_info run_code_info(const struct run_code *code);
void run_code_free(struct run_code *code);

/* a .o, a .so without its libraries named, a .a of one .o */
enum run_object { RUN_OBJECT, RUN_LIBRARY, RUN_ARCHIVE };

/* Compiles to a file, which appears whole or not at all. The cache is not asked. */
bool run_object_write(const char *text, const struct run_options *options, const char *path,
                      enum run_object kind, struct ir_error *error);

/* A whole C file to a program, by the system's compiler: with OpenMP and zlib where they are here.
 * It appears whole or not at all. */
bool run_program_write(const char *text, const struct run_options *options, const char *path,
                       struct ir_error *error);

/* compile_nvrtc.c: CUDA text to a cubin. Needs no GPU; status 3 where libnvrtc is absent. */

struct run_cubin {
    unsigned char *data;
    size_t length;
    char *log; /* ptxas on registers, shared memory and spills, a kernel after the other */
    bool cached;
};

/* options: cache_dir and no_cache are read; arch is "sm_90a", say */
bool run_cubin_load(const char *text, const char *arch, const struct run_options *options,
                    struct run_cubin *cubin, struct ir_error *error);
void run_cubin_free(struct run_cubin *cubin);

/* cache.c: compiled code on disk, keyed by all that it depends on. */

#define RUN_CACHE_BYTES (UINT64_C(512) << 20) /* $TAPER_CACHE_BYTES says otherwise */

struct run_bytes {
    unsigned char *data;
    size_t length;
};

/* archive.c: an object becomes the static library of which it is all. False: it is none. */
bool run_archive(struct run_bytes *object, const char *member);

struct run_cache {
    int directory; /* -1: not used, and why says the reason */
    uint64_t bound;
    char path[1024];
    char why[400];
};

struct run_cache_entry {
    char name[80]; /* KEY.so, KEY.cubin, KEY.compiler, KEY.tuned */
    uint64_t bytes;
    struct timespec used;
    char note[200]; /* the note's first line: engine, flags */
};

/* Never fails: a cache that cannot be trusted or reached is not used. */
void run_cache_open(struct run_cache *cache, const char *directory);
void run_cache_look(struct run_cache *cache, const char *directory); /* .. or made */
void run_cache_close(struct run_cache *cache);
/* False for an absent, torn or foreign entry; cache->why says which. note may be NULL. */
bool run_cache_get(struct run_cache *cache, const char *key, const char *suffix,
                   struct run_bytes *content, char **note);
/* Written aside, synced, renamed; then the least recently used beyond the bound go. */
bool run_cache_put(struct run_cache *cache, const char *key, const char *suffix,
                   const struct run_bytes *content, const char *note);

/* `taper cache list|clear|why`; directory as in run_options */
bool run_cache_list(const char *directory,
                    void (*each)(void *user, const struct run_cache_entry *entry), void *user,
                    struct ir_error *error);
bool run_cache_clear(const char *directory, size_t *removed, struct ir_error *error);
/* One line: in use, with what in it, or not in use and why. True when in use. */
bool run_cache_why(const char *directory, char *line, size_t size);

/* hash.c: SHA-256 over fields, each preceded by its length, so that none runs into the next. */

struct run_field {
    const void *data;
    size_t length;
};

void run_hash(const struct run_field *fields, size_t count, unsigned char digest[32]);
void run_hash_text(const struct run_field *fields, size_t count, char text[65]);
/* The processor as a string: changes when code for -march=native would. */
void run_cpu_text(char *text, size_t size);

/* file.c: small things about files that the C library leaves out. */

bool run_bytes_read(int fd, size_t most, struct run_bytes *bytes);
void run_bytes_free(struct run_bytes *bytes);
bool run_bytes_write(int fd, const void *data, size_t length);
/* Makes a directory of one's own for temporary files; path is filled. */
bool run_scratch_open(char path[], size_t size);
/* Removes it with the files in it. */
void run_scratch_close(const char *path);
/* Control characters and newlines become blanks: fit for one line of output. */
void run_printable(char *text);

/* engine.c: who compiles; cc.c and plugin.c are the two there are. */

struct run_compiler {
    const struct run_engine *engine;
    char path[1024];   /* the plug-in, or the compiler's program */
    char version[200]; /* what it calls itself */
};

struct run_engine {
    const char *name;
    /* Finds it without starting or opening it; false fills why with one line. */
    bool (*find)(struct run_compiler *compiler, const struct run_options *options, char *why,
                 size_t size);
    /* Asks for its version; `files` gets the paths that the version stands for, a line each. */
    bool (*ask)(struct run_compiler *compiler, char *files, size_t files_size, char *why,
                size_t size);
    enum run_outcome (*compile)(const struct run_compiler *compiler, const struct run_job *job);
};

extern const struct run_engine run_engine_clang, run_engine_cc;

/* compile_cc.c: flags are ended by NULL */
bool run_program_make(const char *text, const char *const *flags, const char *output,
                      struct ir_error *error);

/* The version, from the cache while the compiler's files are the same, so that asking is rare. */
bool run_compiler_identify(struct run_compiler *compiler, struct run_cache *cache, char *why,
                           size_t size);

/* load.c: shared objects into the process, with what they refer to. */

enum run_openmp { RUN_OPENMP_NONE, RUN_OPENMP_GNU, RUN_OPENMP_LLVM };

/* Opens the OpenMP runtime for everyone in the process: LLVM's, which serves gcc's code as well. */
enum run_openmp run_openmp_open(void);
void *run_library_open(const char *path, bool openmp, char *why, size_t size);
/* From memory; *fd stays open until the library is closed. */
void *run_library_open_bytes(const struct run_bytes *bytes, bool openmp, int *fd, char *why,
                             size_t size);

/* memory.c: large memory, known before the first step. */

/* Zeroed, aligned to 2 MiB, in huge pages where allowed; every page is there on return. */
void *run_memory_map(size_t bytes, struct ir_error *error);
void run_memory_free(void *memory, size_t bytes);

/* A range of addresses of which a growing prefix is memory: pointers into it stay valid. */
struct run_memory {
    unsigned char *base;
    size_t reserved, committed;
};

bool run_memory_reserve(struct run_memory *memory, size_t bytes, struct ir_error *error);
/* Makes at least the first `bytes` usable; what becomes usable is zero. */
bool run_memory_commit(struct run_memory *memory, size_t bytes, struct ir_error *error);
void run_memory_release(struct run_memory *memory);

#endif
