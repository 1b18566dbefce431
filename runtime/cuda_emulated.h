/*
 * cuda_emulated.h: what a kernel's text, compiled for the CPU, and the emulated driver share.
 */
#ifndef TAPER_RUNTIME_CUDA_EMULATED_H
#define TAPER_RUNTIME_CUDA_EMULATED_H

#include "runtime/cuda.h"

struct emulated_index {
    unsigned x, y, z;
};
struct emulated_machine { /* as the text has it */
    void *user;
    void (*wait)(void *, int place);
    unsigned long long (*exchange)(void *, unsigned long long value, int from);
    unsigned (*ballot)(void *, int truth);
    void (*touch)(void *, const void *address, int bytes, int store);       /* NULL: nobody looks */
    void (*copy)(void *, void *to, const void *from, int bytes, int there); /* sets out .. */
    void (*arrive)(void *);                                                 /* .. and is there */
    void (*fault)(void *, const char *what); /* the machine would have said so */
    struct emulated_index thread, block, block_extent, grid_extent;
};
struct emulated_kernel {
    const char *name; /* NULL ends the table */
    void (*call)(void **argument);
    long threads;     /* of a block, at most */
    const int *words; /* of each of its arguments; 0 ends them */
};

/* The C text; checked: its loads and stores tell of themselves. False: it is no text of ours. */
bool run_emulated_text(struct ir_text *out, const char *text, bool checked);

#endif
