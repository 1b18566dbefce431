/*
 * CUDA text run by the CPU, so that it is tested where there is no GPU: the kernels are compiled as
 * C, every thread of a block is a fiber, blocks run one after the other.
 *
 * What the machine leaves open is made as bad as it may be: shared memory holds NaNs when a block
 * starts, between two barriers threads run in another order each time, and a barrier that some
 * threads never reach is an error.
 */
#ifndef TESTS_SUPPORT_CUDA_H
#define TESTS_SUPPORT_CUDA_H

#include "ir/loop.h"
#include "runtime/runtime.h"

/* the text with what it needs to be compiled as C: words of CUDA before it, and the launches behind
 * it */
void support_cuda_as_c(struct ir_text *out, const char *text, const struct loop_program *);
/* All launches, in their order, each block's threads by `order`. */
bool support_cuda_run(struct run_code *, char *const *base, const long *dims, unsigned order,
                      struct ir_error *);

#endif
