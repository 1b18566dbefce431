/*
 * reduce: one element from many along axes, softmax, running sums, the greatest few.
 */
#include "frontend/onnx/ops.h"

#include <string.h>

static enum ir_op op_of(const struct onnx_node *n)
{
    return ir_op_by_name(n->row->detail, strlen(n->row->detail));
}

static bool all_axes(struct onnx_node *n, struct onnx_ints *axes, tp_tensor x)
{
    static const int64_t every[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    const bool there = axes->count > 0;

    if (!there && !onnx_int(n, "noop_with_empty_axes", 0))
        *axes = (struct onnx_ints){ tp_rank(x), (int64_t *)every };
    return !there || onnx_axes(n, axes, tp_rank(x));
}

/* The greatest of nothing is the least of the type. */
static tp_tensor extreme(struct onnx_node *n, enum ir_op op, tp_tensor x,
                         const struct onnx_ints *axes, bool keep)
{
    const struct ir_neutral none = ir_neutral(ir_step(op), onnx_type(x));
    tp_shape shape = { 0 };
    bool empty = false;

    for (int i = 0; i < tp_rank(x); i++) {
        bool gone = false;
        for (int k = 0; k < axes->count; k++)
            gone |= axes->at[k] == i;
        empty |= gone && tp_dim(x, i) == 0;
        if (!gone || keep)
            shape.dim[shape.rank++] = gone ? 1 : tp_dim(x, i);
    }
    if (!empty)
        return onnx_reduce(n, op, x, axes, keep);
    return tp_full_at(n->g, tp_dtype_of(x), shape,
                      onnx_real(x) ? none.number : (double)none.integer, n->at);
}

/* log(sum(exp(x))), shifted by the greatest where that is finite */
static tp_tensor log_sum_exp(struct onnx_node *n, tp_tensor x, const struct onnx_ints *axes,
                             bool keep)
{
    tp_tensor top = extreme(n, IR_amax, x, axes, true), part[2], y;

    if (!top.id)
        return top;
    top = tp_give(n->g, ir_op1(n->g->ir, IR_stop_gradient, tp_val(top), onnx_place(n)));
    part[0] = x;
    part[1] = onnx_maths(n, "select(a - a == 0, a, 0)", 1, &top, 0);
    y = tp_maths("exp(a - b)", 2, part, 0, NULL, n->at);
    y = onnx_op1(n, IR_log, onnx_reduce(n, IR_sum, y, axes, true));
    y = onnx_op2(n, IR_add, y, part[1]);
    if (keep || !y.id)
        return y;
    return onnx_reduce(n, IR_sum, y, axes, false); /* of one element each */
}

static tp_tensor mean(struct onnx_node *n, tp_tensor x, const struct onnx_ints *axes, bool keep)
{
    int64_t count = 1;
    tp_tensor size;

    for (int i = 0; i < axes->count; i++)
        count = ir_dim_mul(n->g->ir, count, tp_dim(x, (int)axes->at[i]));
    size =
        onnx_cast(n, tp_give(n->g, ir_size(n->g->ir, count, IR_I64, onnx_place(n))), onnx_type(x));
    return onnx_op2(n, IR_div, onnx_reduce(n, IR_sum, x, axes, keep), size);
}

void onnx_reduction(struct onnx_node *n)
{
    const char *how = n->row->more;
    const bool keep = onnx_int(n, "keepdims", 1), square = strcmp(how, "square") == 0;
    tp_tensor x = onnx_in(n, 0), y;
    struct onnx_ints axes;
    enum ir_dtype dtype;
    bool there, truth;

    if (!x.id || !onnx_attr_or_input(n, "axes", 1, &axes, &there) || !all_axes(n, &axes, x))
        return;
    dtype = onnx_type(x);
    truth = dtype == IR_BOOL;
    if (truth)
        x = onnx_cast(n, x, IR_U8);
    if ((strncmp(how, "log", 3) == 0 || strcmp(how, "l2") == 0) && !onnx_real(x))
        x = onnx_cast(n, x, IR_F64);
    if (strcmp(how, "logexp") == 0)
        y = log_sum_exp(n, x, &axes, keep);
    else if (strcmp(how, "mean") == 0)
        y = mean(n, x, &axes, keep);
    else {
        if (strcmp(how, "l1") == 0)
            x = onnx_op1(n, IR_abs, x);
        else if (square || strcmp(how, "l2") == 0)
            x = onnx_op2(n, IR_mul, x, x);
        y = ir_step(op_of(n)) == IR_max || ir_step(op_of(n)) == IR_min
                ? extreme(n, op_of(n), x, &axes, keep)
                : onnx_reduce(n, op_of(n), x, &axes, keep);
    }
    if (strcmp(how, "log") == 0)
        y = onnx_op1(n, IR_log, y);
    else if (strcmp(how, "l2") == 0)
        y = onnx_op1(n, IR_sqrt, y);
    n->out[0] = onnx_cast(n, y, dtype);
}

/* The first of equals, or the last: the first of the reversed. */
void onnx_arg(struct onnx_node *n)
{
    const bool last = onnx_int(n, "select_last_index", 0);
    int64_t axis = onnx_int(n, "axis", 0);
    tp_tensor x = onnx_in(n, 0);
    struct onnx_ints one = { 1, &axis };

    if (!x.id || !onnx_axis(n, &axis, tp_rank(x)))
        return;
    if (onnx_type(x) == IR_BOOL)
        x = onnx_cast(n, x, IR_U8);
    if (last)
        x = tp_flip_at(x, tp_dims(axis), n->at);
    n->out[0] = onnx_reduce(n, op_of(n), x, &one, onnx_int(n, "keepdims", 1));
    if (last && n->out[0].id) {
        const tp_tensor end =
            tp_give(n->g, ir_size(n->g->ir, tp_dim(x, (int)axis), IR_I64, onnx_place(n)));
        n->out[0] = tp_maths("b - 1 - a", 2, (tp_tensor[]){ n->out[0], end }, 0, NULL, n->at);
    }
}

/* Before version 13 the axes from `axis` on are one. */
void onnx_softmax(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", n->opset < 13 ? 1 : -1);
    tp_tensor x = onnx_in(n, 0);
    const tp_shape shape = x.id ? tp_shape_of(x) : TP_SCALAR;

    if (!x.id || (n->opset < 13 && axis == shape.rank ? (axis = shape.rank - 1, false)
                                                      : !onnx_axis(n, &axis, shape.rank)))
        return;
    if (n->opset >= 13) {
        n->out[0] = tp_softmax_at(n->row->detail, x, (int)axis, n->at);
        return;
    }
    x = tp_reshape_at(
        x, tp_dims(onnx_extent(x, 0, (int)axis), onnx_extent(x, (int)axis, shape.rank)), n->at);
    if (x.id)
        n->out[0] = tp_reshape_at(tp_softmax_at(n->row->detail, x, 1, n->at), shape, n->at);
}

void onnx_cumsum(struct onnx_node *n)
{
    const bool reverse = onnx_int(n, "reverse", 0), exclusive = onnx_int(n, "exclusive", 0);
    tp_tensor x = onnx_in(n, 0), y;
    double at;
    int64_t axis;

    if (!x.id || !onnx_known_number(n, 1, &at))
        return;
    axis = (int64_t)at;
    if (!onnx_axis(n, &axis, tp_rank(x)))
        return;
    if (reverse)
        x = tp_flip_at(x, tp_dims(axis), n->at);
    const ir_val a = tp_val(x);
    const struct ir_list attr[IR_ATTRS] = { { 1, &axis } };
    y = tp_give(n->g, ir_op_attr(n->g->ir, IR_cumsum, 1, &a, attr, onnx_place(n)));
    if (exclusive && y.id)
        y = onnx_op2(n, IR_sub, onnx_cast(n, y, onnx_type(x)), x);
    if (reverse && y.id)
        y = tp_flip_at(y, tp_dims(axis), n->at);
    n->out[0] = onnx_cast(n, y, onnx_type(x));
}

void onnx_topk(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", -1);
    const tp_tensor x = onnx_in(n, 0);
    double k = (double)onnx_int(n, "k", 0);

    if (!x.id || (onnx_has(n, 1) && !onnx_known_number(n, 1, &k)) ||
        !onnx_axis(n, &axis, tp_rank(x)))
        return;
    if (!(k >= 0 && k <= 1e9)) {
        onnx_wrong(n, "k = %g; expected 0 or more", k);
        return;
    }
    n->out[0] = tp_topk_at(x,
                           (tp_topk_args){ .k = (int64_t)k,
                                           .axis = (int)axis,
                                           .smallest = !onnx_int(n, "largest", 1),
                                           .index = &n->out[1] },
                           n->at);
}
