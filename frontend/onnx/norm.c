/*
 * norm: layers that bring their input to mean 0 and deviation 1 over some of its axes.
 */
#include "frontend/onnx/ops.h"

/* f16 and bf16 are normalised in f32, as stash_type 1 says. */
static tp_tensor roomy(struct onnx_node *n, tp_tensor x)
{
    return x.id && ir_narrow(onnx_type(x)) ? onnx_cast(n, x, IR_F32) : x;
}

/* A number for each channel, as an array that broadcasts against x. */
static tp_tensor by_channel(struct onnx_node *n, tp_tensor x, int input)
{
    tp_tensor v = onnx_in(n, input);
    tp_shape shape = { .rank = tp_rank(x) - 1, .dim = { -1, 1, 1, 1, 1, 1, 1 } };

    if (!v.id)
        return v;
    if (tp_rank(v) != 1 || tp_rank(x) < 2 || tp_dim(v, 0) != tp_dim(x, 1))
        return onnx_wrong(n, "%s for %s; expected a number for each channel", tp_describe(v),
                          tp_describe(x));
    return tp_reshape_at(v, shape, n->at);
}

static tp_tensor scaled(struct onnx_node *n, tp_tensor y, tp_tensor x, int input)
{
    y = onnx_op2(n, IR_mul, y, onnx_cast(n, by_channel(n, x, input), onnx_type(y)));
    return onnx_op2(n, IR_add, y,
                    onnx_cast(n, by_channel(n, x, input + 1), y.id ? onnx_type(y) : IR_F32));
}

/* In training the running statistics are states, which a step moves on. */
static void train(struct onnx_node *n, tp_tensor x, double eps, double momentum)
{
    const tp_tensor p[4] = { onnx_in(n, 1), onnx_in(n, 2), onnx_in(n, 3), onnx_in(n, 4) };
    struct layer l;

    for (int i = 0; i < 4; i++) {
        struct state *s;

        if (!p[i].id || !by_channel(n, x, 1 + i).id)
            return;
        s = tp_node(p[i])->op == IR_state ? tp_state_find(n->g, tp_node(p[i])->text) : NULL;
        if (!s) {
            onnx_lacks(n, "statistics that are computed; expected initialisers");
            return;
        }
        s->kind = i < 2 ? s->kind : STATE_BUFFER;
    }
    if (tp_layer_of(&l, "batch_norm", x, p[0], n->at))
        n->out[0] = tp_batch_norm_recorded(&l, n->proto->name, x, p, eps, 1 - momentum);
}

void onnx_batch_norm(struct onnx_node *n)
{
    const double eps = onnx_float(n, "epsilon", 1e-5), momentum = onnx_float(n, "momentum", 0.9);
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor part[4], mean, variance, y, wide_x;
    int64_t others[IR_RANK];
    struct onnx_ints axes = { 0, others };

    if (!x.id)
        return;
    if (n->training) {
        train(n, x, eps, momentum);
        return;
    }
    wide_x = roomy(n, x);
    if (!onnx_int(n, "training_mode", 0)) {
        part[0] = wide_x;
        part[1] = onnx_cast(n, by_channel(n, x, 3), onnx_type(wide_x));
        part[2] = onnx_cast(n, by_channel(n, x, 4), onnx_type(wide_x));
        if (!part[1].id || !part[2].id)
            return;
        y = tp_maths("(a - b) / sqrt(c + p)", 3, part, 1, &eps, n->at);
        n->out[0] = onnx_cast(n, scaled(n, y, x, 1), onnx_type(x));
        return;
    }
    for (int i = 0; i < tp_rank(x); i++)
        if (i != 1)
            others[axes.count++] = i;
    mean = tp_reduce_at(
        "mean", wide_x,
        (tp_reduce_args){ .dim = tp_axes_of((tp_shape){ axes.count, { 0, 2, 3, 4, 5, 6, 7 } }),
                          .keepdim = true },
        n->at);
    part[0] = wide_x;
    part[1] = mean;
    if (!mean.id)
        return;
    y = tp_maths("(a - b) * (a - b)", 2, part, 0, NULL, n->at);
    variance = tp_reduce_at(
        "mean", y,
        (tp_reduce_args){ .dim = tp_axes_of((tp_shape){ axes.count, { 0, 2, 3, 4, 5, 6, 7 } }),
                          .keepdim = true },
        n->at);
    part[2] = variance;
    if (!variance.id)
        return;
    y = tp_maths("(a - b) / sqrt(c + p)", 3, part, 1, &eps, n->at);
    n->out[0] = onnx_cast(n, scaled(n, y, x, 1), onnx_type(x));
    for (int i = 0; i < 2 && 1 + i < n->outputs; i++) {
        tp_tensor pair[2] = { onnx_in(n, 3 + i) };
        if (!pair[0].id)
            return;
        pair[1] = tp_reshape_at(i ? variance : mean, tp_shape_of(pair[0]), n->at);
        pair[1] = onnx_cast(n, pair[1], onnx_type(pair[0]));
        n->out[1 + i] = onnx_maths(n, "p * a + (1 - p) * b", 2, pair, momentum);
    }
}

static void over_last(struct onnx_node *n, bool centred)
{
    const double eps = onnx_float(n, "epsilon", 1e-5);
    const tp_tensor x = onnx_in(n, 0);
    int64_t axis = onnx_int(n, "axis", -1), last[IR_RANK];
    tp_tensor wide_x, y, mean, variance;
    int count = 0;
    struct onnx_ints axes = { 0, last };

    if (!x.id || !onnx_axis(n, &axis, tp_rank(x)))
        return;
    wide_x = roomy(n, x);
    for (int i = (int)axis; i < tp_rank(x); i++)
        last[count++] = i;
    axes.count = count;
    y = onnx_cast(n, tp_standardised(wide_x, count, last, eps, centred, n->at), onnx_type(x));
    y = onnx_op2(n, IR_mul, y, onnx_in(n, 1));
    if (onnx_has(n, 2))
        y = onnx_op2(n, IR_add, y, onnx_in(n, 2));
    n->out[0] = y;
    if (n->outputs < 2 || !centred || !y.id)
        return;
    y = onnx_number(n, onnx_type(wide_x), (double)onnx_extent(x, (int)axis, tp_rank(x)));
    mean = onnx_op2(n, IR_div, onnx_reduce(n, IR_sum, wide_x, &axes, true), y);
    n->out[1] = mean;
    variance = onnx_op2(n, IR_sub, wide_x, mean);
    variance = onnx_op2(n, IR_mul, variance, variance);
    variance = onnx_op2(n, IR_div, onnx_reduce(n, IR_sum, variance, &axes, true), y);
    if (variance.id)
        n->out[2] = onnx_maths(n, "1 / sqrt(a + p)", 1, &variance, eps);
}

void onnx_layer_norm(struct onnx_node *n)
{
    over_last(n, true);
}

void onnx_rms_norm(struct onnx_node *n)
{
    over_last(n, false);
}

/* Before version 21 scale and bias have a number for each group. */
void onnx_group_norm(struct onnx_node *n)
{
    const double eps = onnx_float(n, "epsilon", 1e-5);
    const int64_t groups = onnx_int(n, "num_groups", 0);
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor affine[2], y;

    if (!x.id)
        return;
    for (int i = 0; i < 2; i++) {
        affine[i] = roomy(n, onnx_in(n, 1 + i));
        if (!affine[i].id)
            return;
        if (tp_rank(x) < 2 || groups < 1 || tp_dim(x, 1) < 1 || tp_dim(x, 1) % groups) {
            onnx_wrong(n, "%s in %lld groups", tp_describe(x), (long long)groups);
            return;
        }
        if (tp_dim(affine[i], 0) == groups && groups != tp_dim(x, 1)) {
            affine[i] = tp_reshape_at(affine[i], tp_dims(groups, 1), n->at);
            affine[i] = tp_expand_at(affine[i], tp_dims(groups, tp_dim(x, 1) / groups), n->at);
            affine[i] = tp_reshape_at(affine[i], tp_dims(tp_dim(x, 1)), n->at);
        }
    }
    y = tp_group_norm_of_at(roomy(n, x), affine[0], affine[1], groups, eps, n->at);
    n->out[0] = onnx_cast(n, y, onnx_type(x));
}

void onnx_instance_norm(struct onnx_node *n)
{
    const double eps = onnx_float(n, "epsilon", 1e-5);
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor y;

    if (!x.id)
        return;
    if (tp_rank(x) < 3) {
        onnx_wrong(n, "%s; expected [n channels ..]", tp_describe(x));
        return;
    }
    y = tp_standardised(roomy(n, x), tp_rank(x) - 2, (int64_t[]){ 2, 3, 4, 5, 6, 7 }, eps, true,
                        n->at);
    if (y.id)
        n->out[0] = onnx_cast(n, scaled(n, y, x, 1), onnx_type(x));
}

/* (x - mean) / (deviation + 1e-9) */
void onnx_mean_variance(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    int64_t usual[3] = { 0, 2, 3 };
    struct onnx_ints axes;
    tp_tensor size, mean, y;
    int64_t count = 1;

    if (!x.id)
        return;
    if (!onnx_ints(n, "axes", &axes))
        axes = (struct onnx_ints){ 3, usual };
    if (!onnx_axes(n, &axes, tp_rank(x)))
        return;
    for (int i = 0; i < axes.count; i++)
        count = ir_dim_mul(n->g->ir, count, tp_dim(x, (int)axes.at[i]));
    size =
        onnx_cast(n, tp_give(n->g, ir_size(n->g->ir, count, IR_I64, onnx_place(n))), onnx_type(x));
    mean = onnx_op2(n, IR_div, onnx_reduce(n, IR_sum, x, &axes, true), size);
    mean = onnx_op2(n, IR_sub, x, mean);
    y = onnx_op2(n, IR_mul, mean, mean);
    y = onnx_op2(n, IR_div, onnx_reduce(n, IR_sum, y, &axes, true), size);
    if (y.id)
        n->out[0] =
            tp_maths("a / (sqrt(b) + 0.000000001)", 2, (tp_tensor[]){ mean, y }, 0, NULL, n->at);
}

/* x / (bias + alpha / size * the squares of `size` channels around)^beta */
void onnx_lrn(struct onnx_node *n)
{
    const int64_t size = onnx_int(n, "size", 0), before = (size - 1) / 2;
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor squares, sum = { 0 };
    tp_shape lo = { 0 }, hi;

    if (!x.id)
        return;
    if (size < 1 || size > 64 || tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1))) {
        onnx_lacks(n, "%s, size %lld; expected [n channels ..] and 1 to 64", tp_describe(x),
                   (long long)size);
        return;
    }
    lo.rank = tp_rank(x);
    hi = lo;
    lo.dim[1] = before;
    hi.dim[1] = size - 1 - before;
    squares = tp_pad_at(onnx_op2(n, IR_mul, x, x), lo, hi, 0, n->at);
    for (int64_t i = 0; i < size && squares.id; i++) {
        const tp_tensor part = tp_cut(squares, 1, i, i + tp_dim(x, 1), n->at);
        sum = i ? onnx_op2(n, IR_add, sum, part) : part;
    }
    if (sum.id)
        n->out[0] = tp_maths("a / pow(p + q * b, r)", 2, (tp_tensor[]){ x, sum }, 3,
                             (double[]){ onnx_float(n, "bias", 1),
                                         onnx_float(n, "alpha", 1e-4) / (double)size,
                                         onnx_float(n, "beta", 0.75) },
                             n->at);
}
