/*
 * Compiled programs for tests: a graph through the whole pipeline, run on the values of a random
 * case.
 */
#ifndef TESTS_SUPPORT_COMPILED_H
#define TESTS_SUPPORT_COMPILED_H

#include "random.h"

struct run_planned;
struct run_cuda;

struct compiled_how {
    bool fuse;
    int threads;
    const char *target; /* NULL: native; cuda: the CPU runs the GPU's text */
    void (*spoil)(struct run_planned *, struct ir_arena *); /* .. after this has been done to it */
    void (*driver)(struct run_cuda *); /* .. and this to the driver's functions */
    int order;      /* .. by cuda-emu's device of that number; 0: one of 4 to 7, by the seed */
    int processors; /* of the GPU; 0: as many as its row says */
    int64_t bound;  /* of the first symbol; 0: its own */
    int64_t memory; /* as in pass_options */
    bool tf32;      /* .. and this */
};
/* The values of all outputs, then of all effects (the states after the run), row-major; NULL with
 * c->error. */
struct ir_array *compiled_values(struct random_case *c, const struct compiled_how *how);
/* For spoil: the first such place of the program's text; a test fails where there is none. */
void compiled_replace(struct run_planned *, const char *what, const char *by, struct ir_arena *);

#endif
