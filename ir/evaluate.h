/*
 * What the files of the interpreter share: a value's elements as runs of double or of exact
 * integers, walks over index spaces, and the functions named in the `value` column of ops.def.
 */
#ifndef TAPER_IR_EVALUATE_H
#define TAPER_IR_EVALUATE_H

#include "ir.h"

__extension__ typedef __int128
    wide; /* holds every sum and shift of two 64-bit integers; products wrap */
__extension__ typedef unsigned __int128 unsigned_wide;

struct ir_evaluation {
    const struct ir_graph *graph;
    const struct ir_node *node; /* the one at work, for messages */
    int64_t symbol[IR_SYMBOLS]; /* their extents in this evaluation */
    struct ir_error *error;
};

/* The value of one node, into `result`, whose type, shape and zeroed memory are there. False with
 * an error. */
typedef bool ir_value_function(struct ir_evaluation *, const struct ir_node *,
                               const struct ir_array *arg, struct ir_array *result);
#define UNARY(...)
#define PREDICATE(...)
#define BINARY(...)
#define COMPARE(...)
#define OP(name, arity, attributes, shape, grad, value, ...) ir_value_function ir_value_of_##value;
#include "ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
bool ir_value_of_row(struct ir_evaluation *, const struct ir_node *, const struct ir_array *arg,
                     struct ir_array *result); /* the pointwise rows */

/* Elements at[0..n), or first..first+n where `at` is NULL, of an array of any type. A real goes
 * into an integer saturated (NaN: 0), an exact number wrapped; any number but zero is true. */
void ir_load_real(double *to, const struct ir_array *from, const int64_t *at, int64_t first,
                  int64_t n);
void ir_load_exact(wide *to, const struct ir_array *from, const int64_t *at, int64_t first,
                   int64_t n);
void ir_store_real(struct ir_array *to, int64_t first, int64_t n, const double *from);
void ir_store_exact(struct ir_array *to, int64_t first, int64_t n, const wide *from);
static inline bool ir_is_real(enum ir_dtype t)
{
    return ir_dtypes[t].kind == 'f';
}

/* A walk over an index space in row-major order, with an offset into each of several arrays. */
enum { IR_WALKERS = 3 };
struct ir_walk {
    int rank;
    int64_t extent[2 * IR_RANK], index[2 * IR_RANK];
    int64_t stride[IR_WALKERS][2 * IR_RANK], offset[IR_WALKERS];
    bool done; /* at once where an extent is 0 */
};
void ir_walk_start(struct ir_walk *); /* after rank, extent, stride and the first offset are set */
void ir_walk_next(struct ir_walk *);

int64_t ir_count(const struct ir_shape *fixed);                  /* elements */
void ir_strides(const struct ir_shape *fixed, int64_t stride[]); /* row-major, in elements */
int64_t ir_extent(const struct ir_evaluation *,
                  int64_t dim); /* a dim, or any other number, of an attribute */
bool ir_value_error(const struct ir_evaluation *, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* FILE:LINE: OP: ...; is false */

/* evaluate.c: a body with its inputs bound, the symbols being those around it; and extents in
 * numbers */
bool ir_evaluate_body(const struct ir_evaluation *around, const struct ir_graph *body, int bindings,
                      const struct ir_binding *binding, int n, const ir_val *values,
                      struct ir_array *results, struct ir_arena *arena);
bool ir_fix_shape(struct ir_evaluation *, const struct ir_graph *, const struct ir_shape *,
                  struct ir_shape *fixed);

/* evaluate_contract.c: sums of products, and where windows lie. */
/* The elements of an array for arithmetic: doubles, or exact integers. */
struct ir_numbers {
    double *real;
    wide *exact;
};
bool ir_numbers_of(struct ir_evaluation *, struct ir_numbers *, const struct ir_array *,
                   bool load); /* zeros, or its elements; `exact` is freed by the caller */
void ir_numbers_store(struct ir_array *to, const struct ir_numbers *);
void ir_multiply_add(bool is_real, const struct ir_numbers *y, const struct ir_numbers *a,
                     const struct ir_numbers *b, struct ir_walk);

/* How positions of windows (out) meet positions of the windowed array (in) along one axis. */
struct ir_sliding {
    int64_t in, out, window, stride, lo, dilation;
};
struct ir_sliding ir_sliding_of(const struct ir_evaluation *, const struct ir_node *, int axis,
                                int64_t in, int64_t out, int64_t window, int stride_attr);
int64_t ir_sliding_at(const struct ir_sliding *, int64_t out, int64_t tap);
void ir_sliding_meet(struct ir_walk *, int axis, const struct ir_sliding *, int64_t tap,
                     int out_walker, int64_t out_stride, int in_walker, int64_t in_stride);
bool ir_any_tap(int axes, const struct ir_sliding *);
bool ir_next_tap(int axes, const struct ir_sliding *, int64_t *tap);

#endif
