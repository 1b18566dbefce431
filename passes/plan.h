/*
 * plan.h: what plan is made of.
 */
#ifndef TAPER_PLAN_H
#define TAPER_PLAN_H

#include "passes/passes.h"

/* pack.c: offsets of what is alive from kernel `first` to kernel `last`, so that what is alive
 * together lies apart. Gives where the last byte ends; the least that any packing needs in *least.
 */
struct pass_life {
    int first, last;
    int64_t bytes, offset;
    const int *uses; /* NULL: alive all the time; else in some kernels only: how many before k */
};
int64_t pass_pack(struct pass_life *, int count, int kernels, struct ir_arena *, int64_t *least);

/* in_place.c: each element of the one buffer is read before that of the other is written there */
bool pass_in_place(const struct loop_kernel *, int read, int written);

#endif
