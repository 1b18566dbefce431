/*
 * cuda_emulated_driver.h: what the two files of the emulated driver share.
 */
#ifndef TAPER_RUNTIME_CUDA_EMULATED_DRIVER_H
#define TAPER_RUNTIME_CUDA_EMULATED_DRIVER_H

#include "runtime/cuda_emulated.h"

struct emulated_memory {
    struct emulated_memory *next;
    void *at;
    size_t bytes;
    bool device;          /* else the host's */
    unsigned char *known; /* by word of 4 bytes: who has written there; NULL: nobody looks */
};

enum { EMULATED_UNKNOWN, EMULATED_BY_KERNEL, EMULATED_BY_COPY };

struct emulated_launch { /* a kernel with its arguments, as they were when it was given */
    const struct emulated_function *function;
    unsigned grid[3], block[3];
    uint64_t *value;
    void **argument; /* the addresses of the values */
    struct run_range *range;
    int ranges;
};

enum emulated_kind {
    EMULATED_COPY,
    EMULATED_LAUNCH,
    EMULATED_EXEC,
    EMULATED_RECORD,
    EMULATED_WAIT
};
struct emulated_op {
    enum emulated_kind kind;
    void *to;
    const void *from;
    size_t bytes;
    struct emulated_launch launch;
    void *exec;
    uint64_t sum; /* COPY from the host, where checks are made: of what it was to read */
    struct emulated_stream *other; /* WAIT: up to this place of that stream */
    uint64_t position;
};
struct emulated_stream {
    struct emulated_context *context;
    struct emulated_stream *next;
    struct emulated_op *op;
    size_t count, room;
    uint64_t added, done, dropped; /* ops so far; those before `dropped` have left the list */
    bool destroyed;
};

struct emulated_context {
    int order; /* of threads and of nodes */
    bool checked;
    long fail_at, calls;
    struct emulated_memory *memory;
    size_t used;
    struct emulated_stream *streams;
    int modules, graphs, events; /* that are alive */
    struct run_block *block;
    struct run_watch *watch; /* NULL: nobody looks */
    struct run_range *expected;
    int expects;
    uint64_t seed;
    bool unknown;                    /* a kernel has read what nobody has written; why says it */
    const char *made_from, *made_to; /* an array that kernels write, of the launch at hand */
    int broken;                      /* a status: nothing works any more */
    char why[400];
};

int run_emulated_fail(struct emulated_context *c, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The device's memory at an address; NULL: there is none. */
struct emulated_memory *run_emulated_memory_at(struct emulated_context *c, const void *at);

int run_emulated_module(struct emulated_context *c, void **module, const void *image);
int run_emulated_unload(void *module);
int run_emulated_function(void **function, void *module, const char *name);
/* a launch out of what the caller keeps; and its end */
int run_emulated_take(struct emulated_context *c, const struct run_cuda_kernel *kernel,
                      struct emulated_launch *launch);
void run_emulated_drop(struct emulated_launch *launch);
int run_emulated_launch(struct emulated_context *c, const struct emulated_launch *launch);

int run_emulated_graph(struct emulated_context *c, void **graph, unsigned flags);
int run_emulated_graph_free(void *graph);
int run_emulated_node(struct emulated_context *c, void **node, void *graph, void *const *after,
                      size_t count, const struct run_cuda_kernel *kernel);
int run_emulated_instantiate(struct emulated_context *c, void **exec, void *graph,
                             unsigned long long flags);
int run_emulated_exec_free(void *exec);
int run_emulated_change(struct emulated_context *c, void *exec, void *node,
                        const struct run_cuda_kernel *kernel);
/* The graph as it is now, whatever becomes of the exec: for run_emulated_exec, then to be freed. */
void *run_emulated_hold(void *exec);
int run_emulated_exec(struct emulated_context *c, void *graph);

#endif
