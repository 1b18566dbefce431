/*
 * lower.h: what lower.c (pointwise, views, stores) and lower_reduce.c (everything with a loop of
 * its own) share.
 */
#ifndef TAPER_PASSES_LOWER_H
#define TAPER_PASSES_LOWER_H

#include "passes.h"

#define LOWER_SCOPES 24
#define LOWER_GUARDS 8

struct lower_memo { /* this node at this index is that value */
    ir_val node;
    loop_ix index[IR_RANK];
    uint32_t value;
    int guards;
};
struct lower_scope { /* an open loop: statements may use the axes of it and of those around */
    struct loop_block block;
    struct loop_block *into; /* where statements go: &block, or the kernel's */
    uint64_t axes;           /* all that are in reach here */
    struct lower_memo *memo;
    int memos, room;
};
struct lower {
    struct pass_compiled *c;
    const struct ir_graph *g;
    const struct pass_options *options;
    struct loop_kernel *k;
    int kernel;
    struct lower_scope scope[LOWER_SCOPES];
    int scopes;
    uint8_t *home; /* by value: the scope it lives in */
    uint32_t homes;
    struct loop_guard
        guard[LOWER_GUARDS + 2 * IR_RANK]; /* conditions under which loads here may be done */
    int guards;
    int row_axis; /* a kernel of rows: the flattened last axes; -1: none */
    int row_prefix;
    const struct ir_shape *row_domain;
    ir_val at; /* the node being lowered: gives statements their place */
    struct ir_error *error;
    bool failed;
};

uint32_t pass_lower_value(struct lower *, ir_val v, const loop_ix *index);
uint32_t
pass_lower_emit(struct lower *,
                struct loop_statement draft); /* into the outermost scope that has what it needs */
uint32_t pass_lower_let(struct lower *, enum ir_op op, enum ir_dtype, uint32_t a, uint32_t b,
                        uint32_t c);
uint32_t pass_lower_number(struct lower *, enum ir_dtype, double);
uint32_t pass_lower_index(struct lower *, enum ir_dtype,
                          loop_ix); /* the index expression as a value */
uint32_t pass_lower_fail(struct lower *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int pass_lower_scope_for(struct lower *, uint64_t axes,
                         int least);            /* outermost that has these axes */
void pass_lower_open(struct lower *, int axis); /* a loop is opened .. */
void pass_lower_close(struct lower *, int axis, int guards,
                      const struct loop_guard *guard); /* .. and goes into the scope around it */
void pass_lower_set(struct lower *, uint32_t variable, enum ir_op, uint32_t a, uint32_t b,
                    int guards, const struct loop_guard *guard);
uint32_t pass_lower_var(struct lower *, enum ir_dtype, uint32_t start);
int pass_lower_axis(struct lower *, const char *name,
                    int64_t dim); /* over an extent of the graph */

/* lower_reduce.c: one function a word of the column `lower` of ops.def that needs loops */
uint32_t pass_lower_loops(struct lower *, ir_val v, const loop_ix *index);
void pass_lower_scatter(
    struct lower *, ir_val v); /* put_add, scatter_add: whole kernels, for they store as they go */

#endif
