/*
 * What tests of loop nests share: the kernels that a program becomes, and a graph for nests that
 * are written by hand.
 */
#ifndef TESTS_SUPPORT_LOOPS_H
#define TESTS_SUPPORT_LOOPS_H

#include "passes/passes.h"

struct support_nests {
    bool schedule; /* else as lowered */
    bool fuse;
    int threads;
    struct ir_arena *arena;
    struct loop_kernel *
        *kernel; /* filled; NULL: lowering has refused it, with the first error in `refused` */
    int kernels;
    struct ir_error refused;
};

/* All kernels of the program as nests. */
void support_nests(const struct ir_program *, struct support_nests *);

/* Verifies it, prints it, reads it and prints it again: false with what is wrong and the nest in
 * why. */
bool support_sound(const struct loop_kernel *, struct ir_text *why);

/* symbol batch in 1..64; 1: x f32[batch 784], 2: w f32[128 784], 3: i i32[batch]; and the extent
 * 4*batch+2 */
struct ir_graph *support_graph(struct ir_error *);

#endif
