/*
 * cuda_driver: libcuda, NVIDIA's driver, opened when it is wanted and never linked.
 */
#define _GNU_SOURCE 1
#include "runtime/cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

bool run_cuda_open(struct run_cuda *cuda, struct ir_error *error)
{
    const char *named = secure_getenv("TAPER_LIBCUDA");
    const char *path = named && named[0] ? named : "libcuda.so.1";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
#define CALL(name, symbol, takes, names) { #symbol, &cuda->name },
        RUN_CUDA_CALLS(CALL)
#undef CALL
    };

    *cuda = (struct run_cuda){ 0 };
    if (!library)
        return ir_error(error, IR_UNSUPPORTED,
                        "--device cuda: looked for NVIDIA's driver, %.200s, and found none; "
                        "--device cuda-emu needs no GPU",
                        path);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *symbol = dlsym(library, wanted[i].name);
        if (!symbol)
            return ir_error(error, IR_UNSUPPORTED,
                            "--device cuda: %.200s has no %s; expected a driver of CUDA 12 or "
                            "later",
                            path, wanted[i].name);
        memcpy(wanted[i].to, &symbol, sizeof symbol);
    }
    return true;
}
