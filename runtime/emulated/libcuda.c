/*
 * libcuda: the emulated driver under NVIDIA's names, as a library of its own. A trainer that was
 * built with --device cuda-emu opens it where another one opens libcuda.so.1:
 *
 *     TAPER_LIBCUDA=build/libtaper-cuda-emu.so ./trainer
 */
#include "runtime/cuda.h"

static const struct run_cuda *table(void)
{
    static _Thread_local struct run_cuda cuda; /* the same in each */

    if (!cuda.init)
        run_cuda_emulated(&cuda);
    return &cuda;
}

#define CALL(name, symbol, takes, names)                    \
    __attribute__((visibility("default"))) int symbol takes \
    {                                                       \
        return table()->name names;                         \
    }
#define DECLARE(name, symbol, takes, names) int symbol takes;
RUN_CUDA_CALLS(DECLARE)
RUN_CUDA_CALLS(CALL)
