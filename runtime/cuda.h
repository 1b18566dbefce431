/*
 * cuda.h: NVIDIA's driver interface as far as it is used, who offers it, and the device above it.
 *
 * Nothing is linked: libcuda is opened when a program is to run there. cuda_emulated.c offers the
 * same functions over the CPU, so that everything above this table is tested without a GPU.
 */
#ifndef TAPER_RUNTIME_CUDA_H
#define TAPER_RUNTIME_CUDA_H

#include "runtime/runtime.h"

/* handles are opaque to us, as they are in NVIDIA's header; a status of 0 is success */
typedef uint64_t run_cuda_memory;

struct run_cuda_kernel { /* CUDA_KERNEL_NODE_PARAMS_v2 */
    void *function;
    unsigned grid[3], block[3], shared;
    void **params, **extra;
    void *kernel, *context;
};

/* our name, its name in libcuda (cuda.h gives the newest version's), what it takes, by name */
#define RUN_CUDA_CALLS(CALL)                                                                      \
    CALL(init, cuInit, (unsigned flags), (flags))                                                 \
    CALL(driver_version, cuDriverGetVersion, (int *version), (version))                           \
    CALL(device_count, cuDeviceGetCount, (int *count), (count))                                   \
    CALL(device_get, cuDeviceGet, (int *device, int ordinal), (device, ordinal))                  \
    CALL(device_name, cuDeviceGetName, (char *name, int size, int device), (name, size, device))  \
    CALL(device_attribute, cuDeviceGetAttribute, (int *value, int attribute, int device),         \
         (value, attribute, device))                                                              \
    CALL(context_retain, cuDevicePrimaryCtxRetain, (void **context, int device),                  \
         (context, device))                                                                       \
    CALL(context_release, cuDevicePrimaryCtxRelease_v2, (int device), (device))                   \
    CALL(context_current, cuCtxSetCurrent, (void *context), (context))                            \
    CALL(memory_info, cuMemGetInfo_v2, (size_t *available, size_t *total), (available, total))    \
    CALL(memory_alloc, cuMemAlloc_v2, (run_cuda_memory * memory, size_t bytes), (memory, bytes))  \
    CALL(memory_free, cuMemFree_v2, (run_cuda_memory memory), (memory))                           \
    CALL(host_alloc, cuMemHostAlloc, (void **memory, size_t bytes, unsigned flags),               \
         (memory, bytes, flags))                                                                  \
    CALL(host_free, cuMemFreeHost, (void *memory), (memory))                                      \
    CALL(upload, cuMemcpyHtoDAsync_v2,                                                            \
         (run_cuda_memory to, const void *from, size_t bytes, void *stream),                      \
         (to, from, bytes, stream))                                                               \
    CALL(download, cuMemcpyDtoHAsync_v2,                                                          \
         (void *to, run_cuda_memory from, size_t bytes, void *stream), (to, from, bytes, stream)) \
    CALL(copy, cuMemcpyDtoDAsync_v2,                                                              \
         (run_cuda_memory to, run_cuda_memory from, size_t bytes, void *stream),                  \
         (to, from, bytes, stream))                                                               \
    CALL(module_load, cuModuleLoadData, (void **module, const void *image), (module, image))      \
    CALL(module_unload, cuModuleUnload, (void *module), (module))                                 \
    CALL(module_function, cuModuleGetFunction, (void **function, void *module, const char *name), \
         (function, module, name))                                                                \
    CALL(launch, cuLaunchKernel,                                                                  \
         (void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,        \
          unsigned bz, unsigned shared, void *stream, void **params, void **extra),               \
         (function, gx, gy, gz, bx, by, bz, shared, stream, params, extra))                       \
    CALL(stream_create, cuStreamCreate, (void **stream, unsigned flags), (stream, flags))         \
    CALL(stream_destroy, cuStreamDestroy_v2, (void *stream), (stream))                            \
    CALL(stream_wait, cuStreamWaitEvent, (void *stream, void *event, unsigned flags),             \
         (stream, event, flags))                                                                  \
    CALL(stream_synchronize, cuStreamSynchronize, (void *stream), (stream))                       \
    CALL(event_create, cuEventCreate, (void **event, unsigned flags), (event, flags))             \
    CALL(event_destroy, cuEventDestroy_v2, (void *event), (event))                                \
    CALL(event_record, cuEventRecord, (void *event, void *stream), (event, stream))               \
    CALL(event_synchronize, cuEventSynchronize, (void *event), (event))                           \
    CALL(graph_create, cuGraphCreate, (void **graph, unsigned flags), (graph, flags))             \
    CALL(graph_destroy, cuGraphDestroy, (void *graph), (graph))                                   \
    CALL(graph_kernel, cuGraphAddKernelNode_v2,                                                   \
         (void **node, void *graph, void *const *after, size_t count,                             \
          const struct run_cuda_kernel *kernel),                                                  \
         (node, graph, after, count, kernel))                                                     \
    CALL(graph_instantiate, cuGraphInstantiateWithFlags,                                          \
         (void **exec, void *graph, unsigned long long flags), (exec, graph, flags))              \
    CALL(exec_destroy, cuGraphExecDestroy, (void *exec), (exec))                                  \
    CALL(exec_kernel, cuGraphExecKernelNodeSetParams_v2,                                          \
         (void *exec, void *node, const struct run_cuda_kernel *kernel), (exec, node, kernel))    \
    CALL(exec_upload, cuGraphUpload, (void *exec, void *stream), (exec, stream))                  \
    CALL(exec_launch, cuGraphLaunch, (void *exec, void *stream), (exec, stream))                  \
    CALL(error_name, cuGetErrorName, (int status, const char **text), (status, text))             \
    CALL(error_string, cuGetErrorString, (int status, const char **text), (status, text))

enum { /* of CUresult and CUdevice_attribute, what is spoken of by name */
       RUN_CUDA_INVALID = 1,
       RUN_CUDA_NO_MEMORY = 2,
       RUN_CUDA_NO_DEVICE = 100,
       RUN_CUDA_BAD_IMAGE = 200,
       RUN_CUDA_NOT_FOUND = 500,
       RUN_CUDA_BAD_ADDRESS = 700,
       RUN_CUDA_LAUNCH_FAILED = 719,
       RUN_CUDA_PROCESSORS = 16,
       RUN_CUDA_MAJOR = 75,
       RUN_CUDA_MINOR = 76
};

struct run_range { /* what a kernel's argument is the address of */
    int base;
    int64_t offset, bytes;
    bool written;
};

struct run_cuda {
#define CALL(name, symbol, takes, names) int(*name) takes;
    RUN_CUDA_CALLS(CALL)
#undef CALL
    /* What a driver does not offer; NULL there. Kernels as text; what the next kernel that is
     * launched or added to a graph may touch, an array for each argument; why the last call in this
     * thread failed. */
    void (*expect)(const struct run_range *range, int count);
    const char *(*reason)(void);
};

/* cuda_driver.c: libcuda's; false with an error that says what was looked for. $TAPER_LIBCUDA is
 * the user's word. */
bool run_cuda_open(struct run_cuda *cuda, struct ir_error *error);
/* cuda_emulated.c: the CPU's. Devices 0 to 3 differ in the order in which threads of a block run,
 * 4 to 7 are the same and look at each access to memory: is it inside of the array, and has it been
 * waited for. A module's image is CUDA text. */
void run_cuda_emulated(struct run_cuda *cuda);
enum { RUN_EMULATED_DEVICES = 8, RUN_EMULATED_CHECKS = 4, RUN_EMULATED_PROCESSORS = 8 };

/* cuda_threads.c: the threads of a block, as fibers of one thread of the CPU. */
struct run_block; /* room for one block */
struct run_block *run_block_new(int most);
void run_block_free(struct run_block *block);
struct run_block_job {
    int threads, order; /* 0: ascending, 1: descending, 2: by turns, 3: mixed by seed */
    uint64_t seed;
    void (*run)(void *user);               /* one thread, from its beginning */
    void (*enter)(void *user, int thread); /* this one runs from here on */
    void (*meet)(void *user);              /* all of them have come to a barrier */
    void *user;
};
/* False with an error where some wait for what never comes. */
bool run_block_run(struct run_block *block, const struct run_block_job *job,
                   struct ir_error *error);
/* From inside of run: wait for all threads at the barrier `place`; or for those of the own warp,
 * handing `value` to them and taking lane `from`'s. */
void run_block_wait(struct run_block *block, int place);
uint64_t run_block_exchange(struct run_block *block, uint64_t value, int from);
uint32_t run_block_ballot(struct run_block *block, bool truth);
void run_block_leave(struct run_block *block); /* ends the block, as if all had ended */
/* Is the address on a thread's stack? */
bool run_block_owns(const struct run_block *block, const void *address);

/* cuda_watch.c: each access of an emulated kernel, looked at. */
struct run_watch;
struct run_watch *run_watch_new(void);
void run_watch_free(struct run_watch *watch);
/* Launches of one number may run at once; an argument of a kernel is the address of a range. */
bool run_watch_launch(struct run_watch *watch, const char *kernel, const struct run_range *range,
                      char *const *address, int ranges);
void run_watch_block(struct run_watch *watch, int block, void *shared, size_t bytes);
void run_watch_barrier(struct run_watch *watch);
/* False: it is outside of what the launch was given. */
bool run_watch_touch(struct run_watch *watch, int thread, const char *address, int bytes,
                     bool store);
const char *run_watch_found(const struct run_watch *watch); /* NULL: nothing is wrong */

/* device.c: one GPU with its streams and the states' memory. "cuda", "cuda:1", "cuda-emu:3". */
struct run_device;
struct run_device *run_device_open(const char *name, struct ir_error *error);
void run_device_free(struct run_device *device);
const char *run_device_arch(const struct run_device *device); /* "sm_90a" */
const char *run_device_name(const struct run_device *device);
int run_device_processors(const struct run_device *device);
bool run_device_apart(const struct run_device *device); /* a text a kernel, compiled side by side */
/* The states: their first bytes, from and to the host. */
bool run_device_put_states(struct run_device *device, const void *states, size_t bytes,
                           struct ir_error *error);
bool run_device_get_states(struct run_device *device, void *states, size_t bytes,
                           struct ir_error *error);

/* device_program.c: a planned program there: kernels, its arena, one graph for all launches. */
struct run_launch {
    const char *kernel;
    int text; /* which of the texts has it */
    unsigned blocks, threads;
    int ranges;
    const struct run_range *range; /* its arguments; behind them the symbols */
    int loop; /* 1, 2: a loop of launches begins, ends here (struct loop_kernel's mark) */
    bool reverse;
    int index; /* .. its index among the symbols */
    int64_t (*length)(void *user, const int64_t *symbols, int launch);
};
struct run_transfer { /* an input or output */
    void *host;
    int64_t offset; /* in the arena, or in the states where base is 1 */
    size_t bytes;
    int base;
};
struct run_planned {
    const char *name;
    const struct run_launch *launch;
    int launches;
    const char *const *text;
    int texts, symbols; /* all of the graph's, those of loops too */
    size_t arena_bytes;
    const struct run_transfer *input, *output;
    int inputs, outputs;
    void *user;
};
struct run_device_program;
/* What it is given must live as long as it does. *cached: nothing was compiled. */
struct run_device_program *run_device_load(struct run_device *device,
                                           const struct run_planned *planned, bool *cached,
                                           struct ir_error *error);
void run_device_unload(struct run_device_program *program);
/* Enqueued; inputs may be written again on return. */
bool run_device_run(struct run_device_program *program, const int64_t *symbols,
                    struct ir_error *error);
/* The outputs of the last run are there on return. */
bool run_device_fetch(struct run_device_program *program, struct ir_error *error);
/* From here on, outputs of up to 8 bytes are kept of the last RUN_PAST runs, so that nobody has to
 * wait for each; one of them, `back` runs ago: waits for the last. */
enum { RUN_PAST = 16 };
bool run_device_keep(struct run_device_program *program, struct ir_error *error);
bool run_device_past(struct run_device_program *program, int output, int back, void *to,
                     struct ir_error *error);

/* what device.c and device_program.c share */
struct run_device {
    struct run_cuda cuda;
    bool emulated;
    int ordinal, processors;
    char arch[16], name[200];
    void *context, *compute, *copies; /* streams */
    bool retained;
    run_cuda_memory states;
    size_t state_bytes;
    uint64_t state_serial; /* of that memory: it moves when it grows */
};
bool run_cuda_check(const struct run_device *device, int status, const char *call,
                    struct ir_error *error);
bool run_device_alloc(struct run_device *device, size_t bytes, const char *what,
                      run_cuda_memory *memory, struct ir_error *error);

#endif
