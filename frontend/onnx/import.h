/*
 * import.h: what the files of operators share. An operator is a row of table.c: a function that
 * records one node with the frontend's own operations, from its inputs and attributes to its
 * outputs. Where it cannot, it leaves an error and its outputs empty.
 */
#ifndef TAPER_FRONTEND_ONNX_IMPORT_H
#define TAPER_FRONTEND_ONNX_IMPORT_H

#include "frontend/onnx/read.h"

enum { ONNX_OUTPUTS = 64 };

struct onnx_import; /* known.h */
struct onnx_call {  /* of a function of the file, whose nodes are being built */
    const struct onnx_call *outer;
    const Onnx__NodeProto *proto;
    int64_t opset;
};
struct onnx_node {
    struct onnx_import *in;
    const Onnx__NodeProto *proto;
    const struct onnx_row *row;
    const struct onnx_call *call; /* NULL: outside of functions */
    tp_graph *g;
    tp_loc at; /* FILE:NODE */
    int64_t opset;
    bool training;
    int inputs, outputs;
    tp_tensor out[ONNX_OUTPUTS];
};

typedef void onnx_build(struct onnx_node *n);
struct onnx_row {
    const char *name;
    onnx_build *build;
    const char *detail; /* what the function needs to know besides: a name, or maths */
    const char *more;
};
const struct onnx_row *tp_onnx_row(const char *name, bool preview); /* table.c; NULL: none */

/* Has the operator meant the same from version 1 on? Others are read from ONNX_OLDEST on. */
bool tp_onnx_unchanged(const char *name);

/* known.c: inputs: has it the i-th? The tensor; its numbers, where they are known before anything
 * runs. */
bool onnx_has(const struct onnx_node *n, int i);
tp_tensor onnx_in(struct onnx_node *n, int i);
bool onnx_known(struct onnx_node *n, int i, struct ir_array *array); /* else an error of status 3 */
bool onnx_is_known(struct onnx_node *n, int i, struct ir_array *array); /* without one */
struct onnx_ints {
    int count;
    int64_t *at;
};
bool onnx_known_ints(struct onnx_node *n, int i, struct onnx_ints *ints);
bool onnx_known_number(struct onnx_node *n, int i, double *number);      /* of one element */
tp_tensor onnx_array(struct onnx_node *n, const struct ir_array *array); /* as a tensor */

/* import.c: a graph of the node's, on these inputs: true with its first outputs, or an error.
 * Before it is recorded in a body of its own (twice, perhaps), what it reads from outside must be
 * there. */
void onnx_capture(struct onnx_node *n, const Onnx__GraphProto *g);
bool onnx_subgraph(struct onnx_node *n, const Onnx__GraphProto *g, int inputs, const tp_tensor *in,
                   int outputs, tp_tensor *out);

/* Attributes, or what stands for them. */
bool onnx_attr(const struct onnx_node *n, const char *name);
int64_t onnx_int(const struct onnx_node *n, const char *name, int64_t otherwise);
double onnx_float(const struct onnx_node *n, const char *name, double otherwise);
const char *onnx_word(const struct onnx_node *n, const char *name, const char *otherwise);
bool onnx_ints(struct onnx_node *n, const char *name,
               struct onnx_ints *ints); /* false: not there */
const Onnx__AttributeProto *onnx_attribute(const struct onnx_node *n, const char *name);
/* Of an attribute in older versions, of input i in newer ones; *there: is it given at all? */
bool onnx_attr_or_input(struct onnx_node *n, const char *name, int i, struct onnx_ints *ints,
                        bool *there);

/* Errors, both poison: the file is wrong; it is sound and asks for what there is not. */
tp_tensor onnx_wrong(struct onnx_node *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
tp_tensor onnx_lacks(struct onnx_node *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool onnx_ok(const struct onnx_node *n); /* no error yet */

/* Short ways. Axes: of -rank to rank - 1, made 0 or more. */
bool onnx_axis(struct onnx_node *n, int64_t *axis, int rank);
bool onnx_axes(struct onnx_node *n, struct onnx_ints *axes, int rank);
struct ir_loc onnx_place(struct onnx_node *n);
enum ir_dtype onnx_type(tp_tensor x);
bool onnx_real(tp_tensor x);
tp_tensor onnx_cast(struct onnx_node *n, tp_tensor x, enum ir_dtype dtype);
tp_tensor onnx_op1(struct onnx_node *n, enum ir_op op, tp_tensor a);
tp_tensor onnx_op2(struct onnx_node *n, enum ir_op op, tp_tensor a, tp_tensor b); /* one type */
tp_tensor onnx_reduce(struct onnx_node *n, enum ir_op op, tp_tensor x, const struct onnx_ints *axes,
                      bool keep);
tp_tensor onnx_select(struct onnx_node *n, tp_tensor c, tp_tensor a, tp_tensor b);
tp_tensor onnx_number(struct onnx_node *n, enum ir_dtype dtype, double number); /* a scalar */
tp_tensor onnx_integers(struct onnx_node *n, int count, const int64_t *at);     /* i64, a vector */
tp_tensor onnx_wrapped(struct onnx_node *n, tp_tensor index, int64_t extent);   /* below 0: from the
                                                                                   end */
/* x's shape with its axes from..to-1 as one; all extents must be known. -1: not. */
int64_t onnx_extent(tp_tensor x, int from, int to);
#define onnx_maths(n, text, count, x, ...)                                                    \
    tp_maths((text), (count), (x), (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), \
             (double[]){ __VA_ARGS__ }, (n)->at)

#endif
