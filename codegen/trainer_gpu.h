/*
 * trainer_gpu.h: the part of a trainer that runs on a GPU.
 */
#ifndef TAPER_CODEGEN_TRAINER_GPU_H
#define TAPER_CODEGEN_TRAINER_GPU_H

#include "codegen/blocks.h"

/* Are there launches that the host repeats? */
bool gen_gpu_loops(const struct gen_trainer *);
/* Kernels or image, tables of launches, and what runs them. False with an error. */
bool gen_put_gpu(struct ir_text *out, const struct gen_trainer *, gen_holds *holds,
                 struct ir_error *);

#endif
