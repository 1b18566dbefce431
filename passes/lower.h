/*
 * lower.h: what the files of lower share, and the functions that the column `lower` of ops.def
 * names.
 */
#ifndef TAPER_PASSES_LOWER_H
#define TAPER_PASSES_LOWER_H

#include "passes.h"

#define LOWER_AXES   32  /* loops of a kernel before its schedule, which makes more */
#define LOWER_DEPTH  800 /* values in each other: fuse makes no kernel of more, but a text may */
#define LOWER_SCOPES (LOWER_AXES + 16) /* open loops */
#define LOWER_CUTS   8                 /* places at which a map may be cut */

struct lower_memo { /* this node at this index is that value */
    ir_val node;
    loop_ix index[IR_RANK];
    uint32_t value;
    uint32_t under;
};
struct lower_scope { /* an open loop: statements may use the axes of it and of those around */
    struct loop_block block;
    struct loop_block *into; /* where statements go: &block, or the kernel's */
    uint64_t axes;           /* all that are in reach here */
    struct lower_memo *memo;
    int memos, room;
};
/* A map reads several arrays one after the other along an axis of its results: there it may be cut
 * in pieces, each of which knows what it reads. */
struct lower_cuts {
    int axis; /* of the results; -1: none */
    int count;
    int64_t at[LOWER_CUTS]; /* ascending */
    bool many;              /* there are more, or they do not fit to lanes */
};
struct lower {
    struct pass_compiled *c;
    const struct ir_graph *g;
    struct loop_kernel *k;
    int kernel;
    struct lower_scope scope[LOWER_SCOPES];
    int scopes;
    uint8_t *home; /* by value: the scope it lives in */
    uint32_t homes;
    struct loop_guard *guard; /* conditions under which loads here may be done */
    int guards, guard_room;
    uint32_t under, unders; /* a number for these very conditions; the latest one */
    int depth;              /* of pass_lower_value in itself */
    int row_axis;           /* a kernel of rows: the flattened last axes; -1: none */
    int row_prefix;
    const struct ir_shape *row_domain;
    int map_axis[IR_RANK]; /* a map: the loops over its results */
    int map_rank;
    struct lower_cuts cuts;
    ir_val at; /* the node being lowered: gives statements their place */
    struct ir_error *error;
    bool failed;
};

/* A node's element at an index. Who adds a row to ops.def writes a function here, or names one. */
typedef uint32_t pass_lower_function(struct lower *, const struct ir_node *, const loop_ix *index);
#define UNARY(...)
#define PREDICATE(...)
#define BINARY(...)
#define COMPARE(...)
#define OP(name, arity, attributes, shape, grad, value, lower, text) \
    pass_lower_function pass_lower_of_##lower;
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
pass_lower_function pass_lower_of_row;                      /* the pointwise rows */
extern pass_lower_function *const pass_lower_table[IR_OPS]; /* by op */

/* lower.c */
uint32_t pass_lower_value(struct lower *, ir_val v, const loop_ix *index);
int pass_lower_buffer(struct lower *, ir_val stored);
bool pass_lower_is_empty(const struct ir_shape *); /* no elements: nothing is computed for it */
uint32_t pass_lower_fail(struct lower *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* lower_scope.c */
struct lower_under { /* which conditions there were */
    int guards;
    uint32_t under;
};
struct lower_under pass_lower_under(struct lower *, int guards, const struct loop_guard *guard);
void pass_lower_restore(struct lower *, struct lower_under);
void pass_lower_begin(struct lower *);          /* the kernel's own block is the first scope */
void pass_lower_open(struct lower *, int axis); /* a loop is opened .. */
void pass_lower_close(struct lower *, int axis, int guards,
                      const struct loop_guard *guard); /* .. and goes into the scope around it */
int pass_lower_scope_for(struct lower *, uint64_t axes,
                         int least); /* outermost that has these axes */
uint32_t
pass_lower_emit(struct lower *,
                struct loop_statement draft); /* into the outermost scope that has what it needs */
uint32_t pass_lower_let(struct lower *, enum ir_op op, enum ir_dtype, uint32_t a, uint32_t b,
                        uint32_t c);
uint32_t pass_lower_number(struct lower *, enum ir_dtype, double);
uint32_t pass_lower_index(struct lower *, enum ir_dtype,
                          loop_ix); /* the index expression as a value */
uint32_t pass_lower_var(struct lower *, enum ir_dtype, uint32_t start);
void pass_lower_set(struct lower *, uint32_t variable, enum ir_op, uint32_t a, uint32_t b,
                    int guards, const struct loop_guard *guard);
int pass_lower_axis(struct lower *, const char *name,
                    int64_t dim); /* over an extent of the graph */

/* lower_case.c */
loop_ix
pass_lower_picked(struct lower *, ir_val v, const loop_ix *index,
                  int64_t limit); /* an integer read from memory, kept inside 0 .. limit - 1 */

/* lower_nest.c: the loops along what is reduced */
struct lower_nest {
    struct lower *l;
    int axes;
    int axis[IR_RANK + 2];                   /* outermost first */
    int guards[IR_RANK + 2];                 /* around the loop of that axis */
    struct loop_guard guard[IR_RANK + 2][4]; /* two for each spatial axis but the last */
};
int pass_lower_ordered(struct lower *, const char *name, int64_t dim); /* an axis of a reduction */
void pass_lower_open_all(struct lower_nest *, int from); /* the loops of axis[from], .. */
void pass_lower_close_all(struct lower_nest *, int from);
loop_ix pass_lower_cut(struct lower_nest *, int64_t piece); /* axis[0] in pieces of so many indices,
                                                               the new axis[0]; gives the index */
void pass_lower_guard_loop(struct lower_nest *, int axis, struct loop_guard);
struct lower_under pass_lower_under_nest(const struct lower_nest *, int guards,
                                         const struct loop_guard *guard); /* its loops' too */
int pass_lower_keep_guard(struct lower *, struct loop_guard *list, int count,
                          struct loop_guard); /* gives the new count */
/* .. and where windows lie */
struct lower_window { /* attributes by spatial axis */
    int spatial;
    const int64_t *stride, *pad, *dilation;
};
struct lower_taps { /* a position along a spatial axis for a tap: at * stride + tap * dilation - pad
                     */
    loop_ix at;
    struct loop_guard inside;
};
struct lower_reaching { /* the output position that reaches a position of the input by a tap */
    loop_ix at;
    struct loop_guard whole, inside;
};
struct lower_taps pass_lower_tap(struct lower *, const struct lower_window *, int i, loop_ix out,
                                 loop_ix tap, int64_t extent);
struct lower_reaching pass_lower_reaching(struct lower *, loop_ix in, loop_ix tap, int64_t stride,
                                          int64_t pad, int64_t dilation, int64_t extent);
loop_ix pass_lower_turned(struct lower *, loop_ix up, int64_t extent);

/* lower_reduce.c */
uint32_t pass_lower_neutral(struct lower *, enum ir_op step, enum ir_dtype);
void pass_lower_keep_better(struct lower *, bool most, enum ir_dtype, uint32_t best, uint32_t where,
                            uint32_t x, uint32_t here, int guards, const struct loop_guard *guard);

/* lower_scatter.c: a whole kernel, for it stores as it goes */
void pass_lower_scatter(struct lower *, ir_val v);
/* lower_order.c: so are those that follow an axis step by step, or put it in order */
void pass_lower_cumulate(struct lower *, ir_val v);
void pass_lower_argsort(struct lower *, ir_val v);
/* lower_call.c: a C function of the user's */
void pass_lower_call(struct lower *, ir_val v);

/* lower_kernel.c, lower_comment.c */
bool pass_lower_is_output(const struct lower *, ir_val v);
const char *pass_lower_comment(struct lower *, const struct ir_kernel *);
const char *pass_lower_storage(struct lower *, ir_val);

#endif
