/*
 * reduce: one element from many, and what normalises along an axis.
 *
 * mean, var, std and logsumexp are composed here; softmax and its logarithm are regions, whose
 * derivative is a rule of their own (ir/regions.def).
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

bool tp_choose(tp_tensor x, const char *what, int64_t dim, struct tp_axes *axes, tp_loc at)
{
    const int rank = tp_rank(x);
    bool chosen[IR_RANK] = { false };
    int many = dim >= (int64_t)1 << 40 && dim != TP_ALL ? (int)(dim >> 40) - 1 : -1;

    axes->count = 0;
    for (int i = 0; i < (many < 0 ? 1 : many) && dim != TP_ALL; i++) {
        int64_t axis = many < 0 ? dim : dim >> 4 * i & 15;
        axis -= many >= 0 && axis >= 8 ? 16 : 0;
        if (!tp_axis(x, &axis, rank, what, at))
            return false;
        chosen[axis] = true;
    }
    for (int i = 0; i < rank; i++)
        if (chosen[i] || dim == TP_ALL)
            axes->at[axes->count++] = i;
    return true;
}

static ir_val keep(struct ir_graph *g, ir_val v, struct ir_shape from, const struct tp_axes *axes,
                   struct ir_loc loc)
{
    for (int i = 0; i < axes->count; i++)
        from.dim[axes->at[i]] = 1;
    return ir_reshape(g, v, from, loc);
}

/* How many elements make one of the result. */
static ir_val share(struct ir_graph *g, const struct ir_shape *s, const struct tp_axes *axes,
                    enum ir_dtype dtype, struct ir_loc loc)
{
    int64_t count = 1;

    for (int i = 0; i < axes->count; i++)
        count = ir_dim_mul(g, count, s->dim[axes->at[i]]);
    return ir_size(g, count, dtype, loc);
}

static ir_val mean(struct ir_graph *g, ir_val x, const struct tp_axes *axes, struct ir_loc loc)
{
    const struct ir_node n = *ir_at(g, x);
    ir_val sum = ir_reduce(g, IR_sum, x, axes->count, axes->at, loc);

    return ir_op2(g, IR_div, sum, share(g, &n.shape, axes, n.dtype, loc), loc);
}

/* Divided by n - correction, which is not below 0. */
static ir_val variance(struct ir_graph *g, ir_val x, const struct tp_axes *axes, double correction,
                       struct ir_loc loc)
{
    const struct ir_node n = *ir_at(g, x);
    ir_val centre = keep(g, mean(g, x, axes, loc), n.shape, axes, loc);
    ir_val off = ir_op2(g, IR_sub, x, centre, loc);
    ir_val square = ir_op2(g, IR_mul, off, off, loc);
    ir_val count = share(g, &n.shape, axes, n.dtype, loc);

    if (correction != 0)
        count =
            ir_op2(g, IR_max, ir_op2(g, IR_sub, count, ir_number(g, n.dtype, correction, loc), loc),
                   ir_number(g, n.dtype, 0, loc), loc);
    return ir_op2(g, IR_div, ir_reduce(g, IR_sum, square, axes->count, axes->at, loc), count, loc);
}

/* The greatest is taken off, unless it is no number to subtract. */
static ir_val logsumexp(struct ir_graph *g, ir_val x, const struct tp_axes *axes, struct ir_loc loc)
{
    const struct ir_shape shape = ir_at(g, x)->shape;
    ir_val most = ir_reduce(g, IR_amax, x, axes->count, axes->at, loc);
    ir_val letter[26] = { ir_op1(g, IR_stop_gradient, most, loc) };
    ir_val off = ir_formula(g, "select(a - a == 0, a, 0)", letter, loc);
    ir_val e = ir_op1(g, IR_exp, ir_op2(g, IR_sub, x, keep(g, off, shape, axes, loc), loc), loc);
    ir_val sum = ir_reduce(g, IR_sum, e, axes->count, axes->at, loc);

    return ir_op2(g, IR_add, ir_op1(g, IR_log, sum, loc), off, loc);
}

tp_tensor tp_reduce_at(const char *op, tp_tensor x, tp_reduce_args args, tp_loc at)
{
    tp_graph *g = x.g;
    enum ir_op row = ir_op_by_name(op, strlen(op));
    struct tp_axes axes;
    struct ir_loc loc;
    ir_val v = tp_val(x), y;
    struct ir_shape shape;
    const double correction = args.biased ? 0 : args.correction != 0 ? args.correction : 1;
    char kind;

    if (!tp_ready(g, at, op, 1, &x) || !tp_choose(x, op, args.dim, &axes, at))
        return POISON(g);
    loc = tp_place(g, at);
    shape = tp_node(x)->shape;
    kind = ir_dtypes[tp_node(x)->dtype].kind;
    if (row == IR_sum || row == IR_prod) { /* of integers and truth: as many as fit 64 bits */
        v = kind == 'f' ? v : ir_cast(g->ir, v, IR_I64, loc);
        y = ir_reduce(g->ir, row, v, axes.count, axes.at, loc);
    } else if (row == IR_argmax || row == IR_argmin) {
        y = ir_reduce(g->ir, row, v, args.dim == TP_ALL ? 0 : axes.count, axes.at, loc);
    } else if (row == IR_amax || row == IR_amin || row == IR_all || row == IR_any) {
        y = ir_reduce(g->ir, row, v, axes.count, axes.at, loc);
    } else if (strcmp(op, "mean") == 0) {
        y = mean(g->ir, kind == 'f' ? v : ir_cast(g->ir, v, IR_F32, loc), &axes, loc);
    } else if (strcmp(op, "var") == 0) {
        y = variance(g->ir, v, &axes, correction, loc);
    } else if (strcmp(op, "std") == 0) { /* where nothing varies its slope is 0 */
        y = tp_formula_value(g->ir, "root", variance(g->ir, v, &axes, correction, loc), loc);
    } else if (strcmp(op, "count_nonzero") == 0) {
        y = ir_op2(g->ir, IR_ne, v, tp_number_as(g, op, 0, tp_node(x)->dtype, at), loc);
        y = ir_reduce(g->ir, IR_sum, ir_cast(g->ir, y, IR_I64, loc), axes.count, axes.at, loc);
    } else if (strcmp(op, "logmeanexp") == 0) {
        y = logsumexp(g->ir, v, &axes, loc);
        y = ir_op2(g->ir, IR_sub, y,
                   ir_op1(g->ir, IR_log, share(g->ir, &shape, &axes, tp_node(x)->dtype, loc), loc),
                   loc);
    } else if (strcmp(op, "logsumexp") == 0) {
        y = logsumexp(g->ir, v, &axes, loc);
    } else {
        return tp_fail(g, at, op, "no such reduction; expected sum or another");
    }
    return tp_give(g, args.keepdim && y.id ? keep(g->ir, y, shape, &axes, loc) : y);
}

/* PyTorch's slopes: that of abs at 0 is 0, so is that of a norm which is 0. */
tp_tensor tp_norm_at(tp_tensor x, double p, tp_reduce_args args, tp_loc at)
{
    tp_tensor size, y;

    if (!tp_ready(x.g, at, "tp_norm", 1, &x) || !tp_floating(x, "tp_norm", at))
        return POISON(x.g);
    size = tp_unary_at("abs", x, at);
    if (isnan(p))
        return tp_fail(x.g, at, "tp_norm", "p is NaN; expected a number");
    if (isinf(p))
        return tp_reduce_at(p > 0 ? "amax" : "amin", size, args, at);
    if (p == 1)
        return tp_reduce_at("sum", size, args, at);
    if (p == 0)
        return tp_cast_at(tp_reduce_at("count_nonzero", x, args, at), tp_dtype_of(x), at);
    if (p == 2)
        y = tp_reduce_at("sum", tp_binary_at("mul", x, x, at), args, at);
    else
        y = tp_reduce_at("sum",
                         tp_maths1("select(a == 0, 0, pow(select(a == 0, 1, a), p))", size, at, p),
                         args, at);
    if (p == 2)
        return tp_formula_at("root", (tp_list){ 1, &y }, TP_NONE, at);
    return tp_maths1("select(a == 0, 0, pow(select(a == 0, 1, a), p))", y, at, 1 / p);
}

tp_tensor tp_normalize_at(tp_tensor x, double p, int axis, double eps, tp_loc at)
{
    const tp_reduce_args args = { .dim = axis, .keepdim = true };
    tp_tensor both[2] = { x };

    if (!tp_ready(x.g, at, "tp_normalize", 1, &x))
        return POISON(x.g);
    both[1] = tp_norm_at(x, p, args, at);
    return tp_maths("a / select(b < p, p, b)", 2, both, 1, &eps, at);
}

tp_tensor tp_softmax_at(const char *op, tp_tensor x, int axis, tp_loc at)
{
    tp_graph *g = x.g;
    int64_t a = axis;
    bool logarithm = strcmp(op, "log_softmax") == 0;
    struct ir_shape shape;
    struct ir_loc loc;
    uint32_t region;
    ir_val v = tp_val(x), most, off, e, sum, y;

    if (!tp_ready(g, at, op, 1, &x) || !tp_axis(x, &a, tp_rank(x), op, at))
        return POISON(g);
    if (ir_dtypes[tp_node(x)->dtype].kind != 'f')
        return tp_fail(g, at, op, "%s; expected a floating type, tp_cast() changes it",
                       tp_describe(x));
    loc = tp_place(g, at);
    shape = tp_node(x)->shape;
    region = ir_region_open(g->ir, logarithm ? "log_softmax" : "softmax", NULL, 1, &v,
                            (struct ir_list){ 1, &a }, loc);
    most = ir_expand_axes(g->ir, ir_reduce(g->ir, IR_amax, v, 1, &a, loc), shape, 1, &a, loc);
    off = ir_op2(g->ir, IR_sub, v, most, loc);
    e = ir_op1(g->ir, IR_exp, off, loc);
    sum = ir_reduce(g->ir, IR_sum, e, 1, &a, loc);
    if (logarithm) {
        sum = ir_expand_axes(g->ir, ir_op1(g->ir, IR_log, sum, loc), shape, 1, &a, loc);
        y = ir_op2(g->ir, IR_sub, off, sum, loc);
    } else { /* a division a row */
        ir_val one = ir_number(g->ir, tp_node(x)->dtype, 1, loc);
        sum = ir_op2(g->ir, IR_div, one, sum, loc);
        y = ir_op2(g->ir, IR_mul, e, ir_expand_axes(g->ir, sum, shape, 1, &a, loc), loc);
    }
    return tp_give(g, ir_region_close(g->ir, region, y));
}
