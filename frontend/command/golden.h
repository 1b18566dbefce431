/*
 * golden.h: what the files of `taper golden` share: questions read from a file, the work of turning
 * one into a graph, and the table of operators.
 *
 * A question is data: an operator's name, attributes, inputs and upstream gradients. golden_file.c
 * reads them, golden_ops.c, golden_shape.c, golden_layers.c, golden_losses.c and golden_train.c
 * spell each operator on a graph, golden.c runs it and writes the answer.
 */
#ifndef TAPER_GOLDEN_H
#define TAPER_GOLDEN_H

#include "command.h"

/* golden_file.c: the format of shared/golden */
struct golden_array {
    const char *name;
    enum ir_dtype dtype;
    struct ir_shape shape;
    const void *data;
    bool wanted; /* an input whose gradient is asked for */
};
struct golden_attr {
    const char *name;
    char kind; /* i, f, b, s; I, F: lists */
    int64_t integer;
    double real;
    const char *text;
    int count;
    const int64_t *integers;
    const double *reals;
};
struct golden_case {
    const char *id, *op, *dtype;
    int attrs, ins, cts;
    struct golden_attr *attr;
    struct golden_array *in, *ct; /* ct: upstream gradients, by the output's name */
};
struct golden {
    struct ir_arena *arena;
    char *text; /* the whole of STEM.txt, cut into words */
    void *bytes;
    int count;
    struct golden_case *cases;
};
bool golden_read(struct golden *, const char *stem, struct ir_error *); /* false: refused */
void golden_free(struct golden *);

struct golden_answers { /* STEM.txt and STEM.bin as they grow */
    struct ir_text text;
    char *bytes;
    size_t size, room;
};
void golden_put(struct golden_answers *, const char *kind, const char *name,
                const struct ir_array *);
bool golden_write(const struct golden_answers *, const char *stem, struct ir_error *);

/* One question at work. The first thing that cannot be done is kept in `why`; after it nothing is
 * computed, since poison makes poison. */
enum { GOLDEN_INPUTS = 64, GOLDEN_OUTPUTS = 64 };
struct golden_work {
    tp_graph *g;
    const struct golden_case *c;
    tp_tensor in[GOLDEN_INPUTS]; /* in the case's order */
    tp_tensor y[GOLDEN_OUTPUTS]; /* y0, y1, ... */
    int outputs;
    char why[200];
};
typedef void golden_op(struct golden_work *);

/* golden.c: what operators ask of a question */
tp_tensor golden_cannot(struct golden_work *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                   /* is poison */
tp_tensor golden_in(struct golden_work *, const char *name); /* it must be there */
bool golden_has(const struct golden_work *, const char *name);
const struct golden_attr *golden_attr(const struct golden_case *, const char *name); /* or NULL */
int64_t golden_int(struct golden_work *, const char *name, int64_t otherwise);
double golden_real(struct golden_work *, const char *name, double otherwise);
const char *golden_text(struct golden_work *, const char *name, const char *otherwise);
tp_shape golden_ints(struct golden_work *, const char *name); /* it must be there */
int64_t golden_axes(struct golden_work *, tp_tensor x); /* `dim`, as tp_axes() packs it; or all */
int golden_axis(struct golden_work *, int64_t axis, int rank); /* 0..rank-1, or an error and 0 */
void golden_out(struct golden_work *, tp_tensor y);
/* Maths as text: a b c are tensors, p q r numbers of a's type. */
tp_tensor golden_maths(struct golden_work *, const char *formula, tp_tensor a, tp_tensor b,
                       tp_tensor c, double p, double q, double r);

/* The operators by name: a row is the name and the function golden_op_FUNCTION that spells it.
 * Those of one formula are rows in golden_formula.c. */
golden_op *golden_operator(const char *name); /* NULL: none of that name */
bool golden_formula(struct golden_work *);    /* false: none of that name */
/* clang-format off */
#define GOLDEN_OPERATORS(X) \
    X(softmax, softmax) X(log_softmax, softmax) X(gelu, gelu) X(clamp, clamp) X(prelu, prelu) \
    X(where, where) X(masked_fill, masked_fill) X(sum, reduce) X(mean, reduce) X(amax, reduce) \
    X(amin, reduce) X(logsumexp, reduce) X(var, variance) X(std, variance) X(norm1, norm) \
    X(norm2, norm) X(prod, prod) X(argmax, arg) X(argmin, arg) X(cumsum, cumulate) \
    X(cumprod, cumulate) X(glu, glu) X(normalize, normalize) X(reshape, reshape) \
    X(expand, expand) X(permute, permute) X(transpose, transpose) X(squeeze, squeeze) \
    X(unsqueeze, unsqueeze) X(flatten, flatten) X(cat, cat) X(stack, cat) X(split, split) \
    X(slice, slice) X(flip, flip) X(roll, roll) X(tile, tile) X(tril, triangle) \
    X(triu, triangle) X(diagonal, diagonal) X(pad_constant, pad) X(pad_reflect, pad) \
    X(pad_replicate, pad) X(gather, gather) X(scatter_add, scatter_add) \
    X(index_select, index_select) X(index_add, index_add) X(embedding, embedding) \
    X(one_hot, one_hot) X(topk, sort) X(sort, sort) X(matmul, matmul) X(bmm, matmul) \
    X(outer, outer) X(addmm, addmm) X(linear, linear) X(einsum, einsum) X(conv1d, conv) \
    X(conv2d, conv) X(conv3d, conv) X(conv_transpose1d, conv_transpose) \
    X(conv_transpose2d, conv_transpose) X(max_pool1d, pool) X(max_pool2d, pool) \
    X(avg_pool1d, pool) X(avg_pool2d, pool) X(adaptive_avg_pool2d, adaptive_pool) \
    X(pixel_shuffle, pixel_shuffle) X(interpolate_nearest, nearest) \
    X(interpolate_bilinear, bilinear) X(batch_norm_train, batch_norm) \
    X(batch_norm_eval, batch_norm) X(layer_norm, layer_norm) X(rms_norm, rms_norm) \
    X(group_norm, group_norm) X(instance_norm, group_norm) \
    X(local_response_norm, local_response_norm) X(cross_entropy, class_loss) \
    X(nll_loss, class_loss) X(mse_loss, loss) X(l1_loss, loss) X(smooth_l1_loss, loss) \
    X(huber_loss, loss) X(bce_loss, loss) X(bce_with_logits, loss) X(kl_div, loss) \
    X(scaled_dot_product_attention, attention) X(lstm, recurrent) X(gru, recurrent)
/* clang-format on */
#define DECLARE(name, function) golden_op golden_op_##function;
GOLDEN_OPERATORS(DECLARE)
#undef DECLARE

/* golden_shape.c: small spellings that several operators share */
tp_tensor golden_cut(tp_tensor x, int axis, int64_t start, int64_t stop, int64_t step);
tp_tensor golden_shaped(tp_tensor x, tp_shape shape);

/* golden_layers.c, for training as well */
tp_tensor golden_normed(tp_tensor x, tp_shape axes, double eps, tp_tensor *mean, tp_tensor *var);
tp_tensor golden_channels(tp_tensor vector, int rank); /* [C] as [1 C 1 ..] */

/* golden_train.c */
bool golden_trains(const struct golden_case *);
void golden_train(const struct golden_case *, bool interpret, struct golden_answers *);

/* golden_models.c: a training run at work, and its graph */
enum { GOLDEN_PARAMETERS = 200, GOLDEN_LAYERS = 32 };
struct golden_run {
    struct golden_work w; /* g, c, and why it cannot be done */
    tp_dtype dtype;
    tp_tensor x, y, logits;
    tp_tensor state[4 * GOLDEN_INPUTS], gradient[GOLDEN_PARAMETERS]; /* by the case's inputs */
    int parameters;
};
tp_tensor golden_model(struct golden_run *, const struct golden_array *x,
                       const struct golden_array *y);       /* the loss, or poison */
int64_t golden_size(struct golden_run *, const char *attr); /* 1 or more */
const char *golden_state_name(struct golden_run *, const char *theirs);

/* Inputs of a case bound by name, and the values of tensors of g by either engine. */
bool golden_values(tp_graph *g, bool interpret, int bindings, const struct ir_binding *, int n,
                   const tp_tensor *, struct ir_array *results, struct ir_arena *);

#endif
