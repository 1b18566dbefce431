/*
 * loss_class: losses against classes, given by number or as probabilities.
 *
 * What everybody uses (the mean over rows, classes on the last axis, nothing else asked for) is one
 * region with a derivative of its own; the rest is spelled on log-probabilities.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

/* Rows of symbolic extents stay several axes; else they become one. */
static bool one_axis(const struct ir_node *logits)
{
    for (int i = 1; i < logits->shape.rank - 1; i++)
        if (!ir_dim_fixed(logits->shape.dim[i]))
            return false;
    return true;
}

/*
 * The rows are the axes before the last. Forward and derivative (passes/regions.c) spell what they
 * share alike, so a row's exponentials are computed once.
 */
static tp_tensor mean_of_rows(tp_tensor logits, tp_tensor target, tp_loc at)
{
    tp_graph *g = logits.g;
    int64_t axis = tp_rank(logits) - 1, rows = 1;
    struct ir_loc loc;
    struct ir_shape shape;
    struct ir_graph *ir;
    enum ir_dtype dtype, index;
    ir_val v[2], row, off, sum, hit, taken, zero;
    uint32_t region;

    ir = g->ir;
    loc = tp_place(g, at);
    dtype = tp_node(logits)->dtype;
    index = tp_node(target)->dtype == IR_I64 ? IR_I64 : IR_I32;
    v[0] = tp_val(logits);
    v[1] = tp_val(target);
    if (one_axis(tp_node(logits))) {
        axis = 1;
        v[0] = ir_reshape(ir, v[0], (struct ir_shape){ 2, { -1, tp_dim(logits, -1) } }, loc);
        v[1] = ir_reshape(ir, v[1], (struct ir_shape){ 1, { -1 } }, loc);
    }
    if (!v[0].id || !v[1].id)
        return tp_give(g, (ir_val){ 0 });
    shape = ir_at(ir, v[0])->shape;
    for (int i = 0; i < axis; i++)
        rows = ir_dim_mul(ir, rows, shape.dim[i]);
    if (rows == -1)
        return tp_fail(g, at, "tp_cross_entropy", "%s: too many rows", tp_describe(logits));
    region = ir_region_open(ir, "cross_entropy", NULL, 2, v, (struct ir_list){ 0 }, loc);
    row = ir_expand_axes(ir, ir_reduce(ir, IR_amax, v[0], 1, &axis, loc), shape, 1, &axis, loc);
    off = ir_op2(ir, IR_sub, v[0], row, loc);
    sum = ir_reduce(ir, IR_sum, ir_op1(ir, IR_exp, off, loc), 1, &axis, loc);
    row = ir_expand_axes(ir, ir_cast(ir, v[1], index, loc), shape, 1, &axis, loc);
    hit = ir_op2(ir, IR_eq, ir_iota(ir, index, shape, (int)axis, loc), row, loc);
    zero = ir_number(ir, dtype, 0, loc);
    taken = ir_reduce(ir, IR_sum, ir_select(ir, hit, off, zero, loc), 1, &axis, loc);
    row = ir_op2(ir, IR_sub, ir_op1(ir, IR_log, sum, loc), taken, loc);
    for (int64_t i = axis; i-- > 0;)
        row = ir_reduce(ir, IR_sum, row, 1, &i, loc);
    row = ir_op2(ir, IR_div, row, ir_size(ir, rows, dtype, loc), loc);
    return tp_give(g, ir_region_close(ir, region, row));
}

/* --- with weights, smoothing, ignored rows, another axis ---------------------------------------
 */

struct rows {                    /* of one class loss */
    tp_tensor logs, target, hit; /* hit: truth values like logs, for targets by number */
    int axis;
    bool numbered;
};

static tp_tensor sum_over(tp_tensor x, int axis, tp_loc at)
{
    return tp_reduce_at("sum", x, (tp_reduce_args){ .dim = axis }, at);
}

/* Shapes and types; says in the user's words what is wrong. */
static bool fit(const char *what, tp_tensor x, const tp_class_args *a, struct rows *r, tp_loc at)
{
    const tp_tensor all[] = { x, a->target, a->weight };
    tp_shape want;
    int64_t axis = a->axis ? a->axis : -1;

    if (!tp_ready(x.g, at, what, a->weight.g ? 3 : 2, all) || !tp_floating(x, what, at))
        return false;
    if (!a->target.g || tp_rank(x) < 1) {
        tp_fail(x.g, at, what, "%s, targets %s; expected [.. classes] and class numbers",
                tp_describe_from(x), a->target.g ? tp_describe_from(a->target) : "a number");
        return false;
    }
    if (!tp_axis(x, &axis, tp_rank(x), what, at))
        return false;
    r->axis = (int)axis;
    r->target = a->target;
    r->numbered = strchr("iu", ir_dtypes[tp_node(a->target)->dtype].kind) != NULL;
    want = tp_shape_of(x);
    if (r->numbered) {
        want.rank--;
        memmove(want.dim + axis, want.dim + axis + 1,
                (size_t)(want.rank - axis) * sizeof *want.dim);
    }
    if (tp_rank(a->target) != want.rank ||
        memcmp(tp_shape_of(a->target).dim, want.dim, (size_t)want.rank * sizeof *want.dim) != 0 ||
        (!r->numbered && tp_node(a->target)->dtype != tp_node(x)->dtype)) {
        tp_fail(x.g, at, what,
                "logits %s, targets %s; expected class numbers of an integer type without axis %d, "
                "the classes, or probabilities like the logits",
                tp_describe_from(x), tp_describe_from(a->target), (int)axis);
        return false;
    }
    if (a->weight.g && (tp_rank(a->weight) != 1 || tp_dim(a->weight, 0) != tp_dim(x, (int)axis) ||
                        tp_node(a->weight)->dtype != tp_node(x)->dtype)) {
        tp_fail(x.g, at, what, "weight %s for %s; expected one for each of %lld classes",
                tp_describe(a->weight), tp_describe(x), (long long)tp_dim(x, (int)axis));
        return false;
    }
    if (!(a->smoothing >= 0 && a->smoothing <= 1) || !ir_dim_fixed(tp_dim(x, (int)axis))) {
        tp_fail(x.g, at, what, "%s, smoothing %g; expected a known number of classes and 0 to 1",
                tp_describe(x), a->smoothing);
        return false;
    }
    return true;
}

/* -sum over classes of probability * weight * log-probability */
static tp_tensor against_probabilities(const struct rows *r, const tp_class_args *a, tp_loc at)
{
    const double classes = (double)tp_dim(r->logs, r->axis);
    tp_tensor t = r->target, each;

    if (a->smoothing > 0)
        t = tp_maths1("a * p + q", t, at, 1 - a->smoothing, a->smoothing / classes);
    each = tp_binary_at("mul", t, r->logs, at);
    if (a->weight.g)
        each = tp_binary_at("mul", each, tp_along(a->weight, r->axis, tp_rank(r->logs), at), at);
    return tp_unary_at("neg", sum_over(each, r->axis, at), at);
}

/* counts: which rows do, or poison of no graph: all of them. *share: the weight of each row. */
static tp_tensor against_numbers(const struct rows *r, const tp_class_args *a, tp_tensor counts,
                                 tp_tensor *share, tp_loc at)
{
    const double classes = (double)tp_dim(r->logs, r->axis), s = a->smoothing;
    const int rank = tp_rank(r->logs);
    const tp_tensor zero = tp_as_number(0),
                    wide = a->weight.g ? tp_along(a->weight, r->axis, rank, at) : zero;
    tp_tensor each =
        tp_unary_at("neg", sum_over(tp_where_at(r->hit, r->logs, zero, at), r->axis, at), at);
    tp_tensor all;

    *share = tp_full_like_at(each, 1, at);
    if (a->weight.g) {
        *share =
            sum_over(tp_where_at(r->hit, tp_expand_at(wide, tp_shape_of(r->logs), at), zero, at),
                     r->axis, at);
        each = tp_binary_at("mul", each, *share, at);
    }
    if (s > 0) {
        all = a->weight.g ? tp_binary_at("mul", r->logs, wide, at) : r->logs;
        all = tp_unary_at("neg", sum_over(all, r->axis, at), at);
        each = tp_maths("a * p + b * q", 2, (tp_tensor[]){ each, all }, 2,
                        (double[]){ 1 - s, s / classes }, at);
    }
    if (counts.g) {
        each = tp_where_at(counts, each, zero, at);
        *share = tp_where_at(counts, *share, zero, at);
    }
    return each;
}

tp_tensor tp_class_loss_at(const char *what, tp_tensor x, tp_class_args a, tp_loc at)
{
    const bool log_given = strcmp(what, "tp_nll") == 0,
               ignores = a.ignore_index != 0 || signbit(a.ignore_index);
    struct rows r = { 0 };
    tp_tensor counts = { .g = NULL }, share = { .g = NULL }, each, classes;

    if (!fit(what, x, &a, &r, at))
        return POISON(x.g);
    if (!log_given && r.numbered && a.reduction == TP_MEAN && !a.weight.g && a.smoothing == 0 &&
        !ignores && r.axis == tp_rank(x) - 1)
        return mean_of_rows(x, a.target, at);
    r.logs = log_given ? x : tp_softmax_at("log_softmax", x, r.axis, at);
    if (!r.numbered) {
        each = against_probabilities(&r, &a, at);
    } else {
        if (ignores)
            counts = tp_binary_at("ne", a.target, tp_as_number(a.ignore_index), at);
        classes = tp_arange_at(x.g, tp_dtype_of(a.target), tp_dim(x, r.axis), at);
        r.hit = tp_binary_at("eq", tp_along(classes, r.axis, tp_rank(x), at),
                             tp_unsqueeze_at(a.target, r.axis, at), at);
        each = against_numbers(&r, &a, counts, &share, at);
    }
    if (a.reduction == TP_MEAN && (a.weight.g || ignores) && r.numbered)
        return tp_binary_at("div", tp_reduce_at("sum", each, (tp_reduce_args){ .dim = TP_ALL }, at),
                            tp_reduce_at("sum", share, (tp_reduce_args){ .dim = TP_ALL }, at), at);
    return tp_loss_reduced(each, a.reduction, at);
}
