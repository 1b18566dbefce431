/*
 * The trainer's GPU: text, not code of the library, read as trainer_main.h says. It stands between
 * the kernels and the training. A file for nvcc calls CUDA's run time; a C file brings the compiled
 * kernels along and opens NVIDIA's driver when it starts.
 */

/// always

/* ==== 4. The GPU ==============================================================================
 *
 * It has an arena and states of its own. A step is one graph of launches: the batch goes there
 * before it, what the step says comes back after it. The host's states are brought up to date when
 * somebody wants them.
 */

/// nvcc

typedef const void *gpu_kernel;
#define KERNEL(name) (const void *)name
typedef cudaGraph_t gpu_graph;
typedef cudaGraphNode_t gpu_node;

/// driver

#include <dlfcn.h>

typedef const char *gpu_kernel; /* its name in the image */
#define KERNEL(name) #name
typedef void *gpu_graph, *gpu_node;

/// always

struct place { /* in the arena, or (base 1) in the states */
    int base;
    int64_t offset, bytes;
};
struct launch {
    gpu_kernel kernel;
    unsigned blocks, threads;
    bool waits;           /* for all before it; those between two that wait may run at once */
    int first, arguments; /* its arrays, in the program's list; behind them come the sizes */
    /// loops
    int loop; /* 1, 2: launches that are repeated begin, end here */
    int index;
    bool reverse;
    /// always
};
struct gpu_program {
    const char *name;
    const struct launch *launch;
    const struct place *argument, *output;
    const int64_t *input; /* where the arena has a batch of each column */
    gpu_node *node;       /* by launch */
    int launches, outputs, symbols;
    /// loops
    bool loops;
    int64_t (*length)(const long *dims, int launch);
    /// always
    void *made; /* the graph, ready to be launched, for these sizes */
    long dims[SYMBOLS];
};

static struct {
    char name[120];
    uint64_t base[2]; /* arena, states */
    void *stream;
    bool ready, newer; /* the states are there; they are newer than the host's */
    /// driver
    void *module;
    /// always
} gpu;

/// nvcc

/* ---- CUDA's run time ------------------------------------------------------------------------ */

static bool gpu_good(cudaError_t status, const char *what, struct part_error *error)
{
    return status == cudaSuccess ||
           part_fail(error, PART_FAILED, "%s: %s: %s", gpu.name, what, cudaGetErrorString(status));
}

static bool gpu_memory(uint64_t *to, size_t bytes, struct part_error *error)
{
    void *memory = NULL;
    const bool good = gpu_good(cudaMalloc(&memory, bytes), "memory", error);

    *to = (uint64_t)(uintptr_t)memory;
    return good;
}

static bool gpu_connect(int number, struct part_error *error)
{
    cudaDeviceProp about;
    cudaStream_t stream;

    snprintf(gpu.name, sizeof gpu.name, "GPU %d", number);
    if (!gpu_good(cudaSetDevice(number), "is not there", error) ||
        !gpu_good(cudaGetDeviceProperties(&about, number), "properties", error) ||
        !gpu_good(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream", error))
        return false;
    snprintf(gpu.name, sizeof gpu.name, "%.100s", about.name);
    gpu.stream = stream;
    return true;
}

static bool gpu_put(uint64_t to, const void *from, size_t bytes, struct part_error *error)
{
    return gpu_good(cudaMemcpyAsync((void *)(uintptr_t)to, from, bytes, cudaMemcpyHostToDevice,
                                    (cudaStream_t)gpu.stream),
                    "upload", error);
}

static bool gpu_get(void *to, uint64_t from, size_t bytes, struct part_error *error)
{
    return gpu_good(cudaMemcpyAsync(to, (const void *)(uintptr_t)from, bytes,
                                    cudaMemcpyDeviceToHost, (cudaStream_t)gpu.stream),
                    "download", error);
}

static bool gpu_wait(struct part_error *error)
{
    return gpu_good(cudaStreamSynchronize((cudaStream_t)gpu.stream), "the step", error);
}

static cudaKernelNodeParams gpu_parameters(const struct launch *l, void **arguments)
{
    cudaKernelNodeParams k = {};

    k.func = (void *)l->kernel;
    k.gridDim = dim3(l->blocks);
    k.blockDim = dim3(l->threads);
    k.kernelParams = arguments;
    return k;
}

static bool gpu_begin_graph(gpu_graph *graph, struct part_error *error)
{
    return gpu_good(cudaGraphCreate(graph, 0), "graph", error);
}

static bool gpu_add(gpu_graph graph, gpu_node *node, const gpu_node *after, size_t count,
                    const struct launch *l, void **arguments, struct part_error *error)
{
    const cudaKernelNodeParams k = gpu_parameters(l, arguments);

    return gpu_good(cudaGraphAddKernelNode(node, graph, after, count, &k), "graph", error);
}

static bool gpu_end_graph(gpu_graph graph, void **made, struct part_error *error)
{
    cudaGraphExec_t exec = NULL;
    const bool good = gpu_good(cudaGraphInstantiate(&exec, graph, 0), "graph", error);

    *made = exec;
    cudaGraphDestroy(graph);
    return good;
}

static bool gpu_change(void *made, gpu_node node, const struct launch *l, void **arguments,
                       struct part_error *error)
{
    const cudaKernelNodeParams k = gpu_parameters(l, arguments);

    return gpu_good(cudaGraphExecKernelNodeSetParams((cudaGraphExec_t)made, node, &k), "graph",
                    error);
}

static bool gpu_run_graph(void *made, struct part_error *error)
{
    return gpu_good(cudaGraphLaunch((cudaGraphExec_t)made, (cudaStream_t)gpu.stream), "the step",
                    error);
}

static void gpu_close(void)
{
    cudaDeviceReset();
}

/// nvcc loops

static bool gpu_launch(const struct launch *l, void **arguments, struct part_error *error)
{
    return gpu_good(cudaLaunchKernel(l->kernel, dim3(l->blocks), dim3(l->threads), arguments, 0,
                                     (cudaStream_t)gpu.stream),
                    "launch", error);
}

/// driver

/* ---- NVIDIA's driver ------------------------------------------------------------------------ */

struct gpu_parameters { /* CUDA_KERNEL_NODE_PARAMS_v2 */
    void *function;
    unsigned grid[3], block[3], shared;
    void **arguments, **extra;
    void *kernel, *context;
};
#define GPU_CALLS(CALL)                                                                       \
    CALL(cuInit, (unsigned))                                                                  \
    CALL(cuDeviceGet, (int *, int))                                                           \
    CALL(cuDeviceGetName, (char *, int, int))                                                 \
    CALL(cuDevicePrimaryCtxRetain, (void **, int))                                            \
    CALL(cuDevicePrimaryCtxRelease_v2, (int))                                                 \
    CALL(cuCtxSetCurrent, (void *))                                                           \
    CALL(cuMemAlloc_v2, (uint64_t *, size_t))                                                 \
    CALL(cuMemFree_v2, (uint64_t))                                                            \
    CALL(cuMemcpyHtoDAsync_v2, (uint64_t, const void *, size_t, void *))                      \
    CALL(cuMemcpyDtoHAsync_v2, (void *, uint64_t, size_t, void *))                            \
    CALL(cuModuleLoadData, (void **, const void *))                                           \
    CALL(cuModuleUnload, (void *))                                                            \
    CALL(cuModuleGetFunction, (void **, void *, const char *))                                \
    CALL(cuStreamCreate, (void **, unsigned))                                                 \
    CALL(cuStreamDestroy_v2, (void *))                                                        \
    CALL(cuStreamSynchronize, (void *))                                                       \
    CALL(cuGraphCreate, (void **, unsigned))                                                  \
    CALL(cuGraphDestroy, (void *))                                                            \
    CALL(cuGraphAddKernelNode_v2,                                                             \
         (void **, void *, void *const *, size_t, const struct gpu_parameters *))             \
    CALL(cuGraphInstantiateWithFlags, (void **, void *, unsigned long long))                  \
    CALL(cuGraphExecDestroy, (void *))                                                        \
    CALL(cuGraphExecKernelNodeSetParams_v2, (void *, void *, const struct gpu_parameters *))  \
    CALL(cuGraphLaunch, (void *, void *))                                                     \
    CALL(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
                          unsigned, void *, void **, void **))                                \
    CALL(cuGetErrorName, (int, const char **))                                                \
    CALL(cuGetErrorString, (int, const char **))
static struct {
#define CALL(name, takes) int(*name) takes;
    GPU_CALLS(CALL)
#undef CALL
} driver;

static bool gpu_good(int status, const char *what, struct part_error *error)
{
    const char *name = NULL, *said = NULL;

    if (status == 0)
        return true;
    if (driver.cuGetErrorName(status, &name) != 0 || !name)
        name = "an unknown error";
    if (driver.cuGetErrorString(status, &said) != 0 || !said)
        said = "no more is known";
    return part_fail(error, PART_FAILED, "%s: %s: %s: %.200s", gpu.name, what, name, said);
}

/* libcuda.so.1, or what $TAPER_LIBCUDA says. */
static bool gpu_find_driver(struct part_error *error)
{
    const char *named = getenv("TAPER_LIBCUDA"), *path = named && *named ? named : "libcuda.so.1";
    void *library = dlopen(path, RTLD_NOW);
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
#define CALL(name, takes) { #name, &driver.name },
        GPU_CALLS(CALL)
#undef CALL
    };

    if (!library)
        return part_fail(error, PART_FAILED,
                         "looked for NVIDIA's driver, %.200s, and found none: this trainer was "
                         "built for a GPU",
                         path);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (!symbol)
            return part_fail(error, PART_FAILED,
                             "%.200s has no %s; expected a driver of CUDA 12 or later", path,
                             wanted[i].name);
        memcpy(wanted[i].to, &symbol, sizeof symbol);
    }
    return true;
}

static bool gpu_memory(uint64_t *to, size_t bytes, struct part_error *error)
{
    return gpu_good(driver.cuMemAlloc_v2(to, bytes), "memory", error);
}

static int gpu_number;

static bool gpu_connect(int number, struct part_error *error)
{
    void *context;
    int device;

    snprintf(gpu.name, sizeof gpu.name, "GPU %d", number);
    if (!gpu_find_driver(error) || !gpu_good(driver.cuInit(0), "the driver", error) ||
        !gpu_good(driver.cuDeviceGet(&device, number), "is not there", error) ||
        !gpu_good(driver.cuDeviceGetName(gpu.name, sizeof gpu.name, device), "name", error) ||
        !gpu_good(driver.cuDevicePrimaryCtxRetain(&context, device), "context", error))
        return false;
    gpu_number = number + 1;
    return gpu_good(driver.cuCtxSetCurrent(context), "context", error) &&
           gpu_good(driver.cuStreamCreate(&gpu.stream, 1), "stream", error) &&
           gpu_good(driver.cuModuleLoadData(&gpu.module, image), "its kernels, for " IMAGE_ARCH,
                    error);
}

static bool gpu_put(uint64_t to, const void *from, size_t bytes, struct part_error *error)
{
    return gpu_good(driver.cuMemcpyHtoDAsync_v2(to, from, bytes, gpu.stream), "upload", error);
}

static bool gpu_get(void *to, uint64_t from, size_t bytes, struct part_error *error)
{
    return gpu_good(driver.cuMemcpyDtoHAsync_v2(to, from, bytes, gpu.stream), "download", error);
}

static bool gpu_wait(struct part_error *error)
{
    return gpu_good(driver.cuStreamSynchronize(gpu.stream), "the step", error);
}

static bool gpu_function(void **function, const struct launch *l, struct part_error *error)
{
    return gpu_good(driver.cuModuleGetFunction(function, gpu.module, l->kernel), l->kernel, error);
}

static bool gpu_begin_graph(gpu_graph *graph, struct part_error *error)
{
    return gpu_good(driver.cuGraphCreate(graph, 0), "graph", error);
}

static bool gpu_add(gpu_graph graph, gpu_node *node, const gpu_node *after, size_t count,
                    const struct launch *l, void **arguments, struct part_error *error)
{
    struct gpu_parameters k = { .grid = { l->blocks, 1, 1 },
                                .block = { l->threads, 1, 1 },
                                .arguments = arguments };

    return gpu_function(&k.function, l, error) &&
           gpu_good(driver.cuGraphAddKernelNode_v2(node, graph, after, count, &k), l->kernel,
                    error);
}

static bool gpu_end_graph(gpu_graph graph, void **made, struct part_error *error)
{
    const bool good = gpu_good(driver.cuGraphInstantiateWithFlags(made, graph, 0), "graph", error);

    driver.cuGraphDestroy(graph);
    return good;
}

static bool gpu_change(void *made, gpu_node node, const struct launch *l, void **arguments,
                       struct part_error *error)
{
    struct gpu_parameters k = { .grid = { l->blocks, 1, 1 },
                                .block = { l->threads, 1, 1 },
                                .arguments = arguments };

    return gpu_function(&k.function, l, error) &&
           gpu_good(driver.cuGraphExecKernelNodeSetParams_v2(made, node, &k), l->kernel, error);
}

static bool gpu_run_graph(void *made, struct part_error *error)
{
    return gpu_good(driver.cuGraphLaunch(made, gpu.stream), "the step", error);
}

static void gpu_close(void)
{
    if (!gpu_number)
        return;
    if (gpu.stream) {
        driver.cuStreamSynchronize(gpu.stream);
        driver.cuStreamDestroy_v2(gpu.stream);
    }
    for (int i = 0; i < PROGRAMS; i++)
        if (programs[i]->made)
            driver.cuGraphExecDestroy(programs[i]->made);
    if (gpu.module)
        driver.cuModuleUnload(gpu.module);
    for (int i = 0; i < 2; i++)
        if (gpu.base[i])
            driver.cuMemFree_v2(gpu.base[i]);
    driver.cuDevicePrimaryCtxRelease_v2(gpu_number - 1);
}

/// driver loops

static bool gpu_launch(const struct launch *l, void **arguments, struct part_error *error)
{
    void *function;

    return gpu_function(&function, l, error) &&
           gpu_good(driver.cuLaunchKernel(function, l->blocks, 1, 1, l->threads, 1, 1, 0,
                                          gpu.stream, arguments, NULL),
                    l->kernel, error);
}

/// always

/* ---- programs there ------------------------------------------------------------------------- */

static bool gpu_open(int number, struct part_error *error)
{
    return gpu_connect(number, error) && gpu_memory(&gpu.base[0], ARENA_BYTES, error) &&
           gpu_memory(&gpu.base[1], STATE_BYTES, error);
}

struct arguments { /* side by side, as a launch of several kernels has them: as one */
    uint64_t value[ARGUMENTS];
    void *at[ARGUMENTS];
};

static void gpu_arguments(const struct gpu_program *p, const struct launch *l, const long *dims,
                          struct arguments *a)
{
    int n = 0;

    for (; n < l->arguments; n++)
        a->value[n] =
            gpu.base[p->argument[l->first + n].base] + (uint64_t)p->argument[l->first + n].offset;
    for (int i = 0; i < p->symbols; i++)
        a->value[n++] = (uint64_t)dims[i];
    for (int i = 0; i < n; i++)
        a->at[i] = &a->value[i];
}

/* A launch that waits has all since the last that waited before it, and so all before those. */
static bool gpu_make(struct gpu_program *p, const long *dims, struct part_error *error)
{
    struct arguments a;
    gpu_graph graph;
    int before = 0, since = 0;

    if (!gpu_begin_graph(&graph, error))
        return false;
    for (int i = 0; i < p->launches; i++) {
        if (p->launch[i].waits) {
            before = since;
            since = i;
        }
        gpu_arguments(p, &p->launch[i], dims, &a);
        if (!gpu_add(graph, &p->node[i], p->node + before, (size_t)(since - before), &p->launch[i],
                     a.at, error))
            return false;
    }
    return gpu_end_graph(graph, &p->made, error);
}

/* The graph for these sizes: made once, then its launches' arguments are changed. */
static bool gpu_graph_for(struct gpu_program *p, const long *dims, struct part_error *error)
{
    const size_t bytes = (size_t)p->symbols * sizeof *dims;
    struct arguments a;

    if (p->made && memcmp(p->dims, dims, bytes) == 0)
        return true;
    memcpy(p->dims, dims, bytes);
    if (!p->made)
        return gpu_make(p, dims, error);
    for (int i = 0; i < p->launches; i++) {
        gpu_arguments(p, &p->launch[i], dims, &a);
        if (!gpu_change(p->made, p->node[i], &p->launch[i], a.at, error))
            return false;
    }
    return true;
}

/// loops

/* Launches that are repeated: the host walks them. */
static bool gpu_walk(const struct gpu_program *p, int from, int to, long *dims,
                     struct part_error *error)
{
    for (int i = from; i < to; i++) {
        const struct launch *l = &p->launch[i];
        struct arguments a;
        int end = i + 1;

        if (!l->loop) {
            gpu_arguments(p, l, dims, &a);
            if (!gpu_launch(l, a.at, error))
                return false;
            continue;
        }
        for (int depth = 1; depth > 0; end++)
            depth += p->launch[end].loop == 1 ? 1 : p->launch[end].loop == 2 ? -1 : 0;
        const long length = (long)p->length(dims, i);
        for (long turn = 0; turn < length; turn++) {
            unsigned char more = 1;
            if (l->arguments) { /* it asks before each turn */
                const struct place *asked = &p->argument[l->first];
                if (!gpu_get(&more, gpu.base[asked->base] + (uint64_t)asked->offset, 1, error) ||
                    !gpu_wait(error))
                    return false;
            }
            if (!more)
                break;
            dims[l->index] = l->reverse ? length - 1 - turn : turn;
            if (!gpu_walk(p, i + 1, end - 1, dims, error))
                return false;
        }
        i = end - 1;
    }
    return true;
}

/// always

static bool gpu_send_batch(const struct gpu_program *p, char *const *base, long rows,
                           struct part_error *error)
{
    for (int i = 0; i < INPUTS; i++) {
        uint64_t elements;

        if (p->input[i] < 0 || !part_elements(inputs[i].rank, inputs[i].dim, &elements))
            continue;
        if (!gpu_put(gpu.base[0] + (uint64_t)p->input[i], base[0] + p->input[i],
                     (size_t)rows * (size_t)elements * part_types[inputs[i].type].bytes, error))
            return false;
    }
    return true;
}

/* A step or an evaluation of the batch in base[0]; what it says is in base when this returns. */
static bool gpu_run(struct gpu_program *p, char *const *base, const long *dims,
                    struct part_error *error)
{
    long now[SYMBOLS] = { 0 };

    for (int i = 0; i < DIMS && i < p->symbols; i++)
        now[i] = dims[i];
    if (!gpu.ready && !gpu_put(gpu.base[1], base[1], STATE_BYTES, error))
        return false;
    gpu.ready = gpu.newer = true;
    if (!gpu_send_batch(p, base, dims[0], error))
        return false;
    /// loops
    if (p->loops && !gpu_walk(p, 0, p->launches, now, error))
        return false;
    if (!p->loops && (!gpu_graph_for(p, now, error) || !gpu_run_graph(p->made, error)))
        return false;
    /// !loops
    if (!gpu_graph_for(p, now, error) || !gpu_run_graph(p->made, error))
        return false;
    /// always
    for (int i = 0; i < p->outputs; i++) {
        const struct place *o = &p->output[i];
        if (!gpu_get(base[o->base] + o->offset, gpu.base[o->base] + (uint64_t)o->offset,
                     (size_t)o->bytes, error))
            return false;
    }
    return gpu_wait(error);
}

/* The host's states are what the GPU's are. */
static bool gpu_fetch_states(char *const *base, struct part_error *error)
{
    if (!gpu.newer)
        return true;
    gpu.newer = false;
    return gpu_get(base[1], gpu.base[1], STATE_BYTES, error) && gpu_wait(error);
}
