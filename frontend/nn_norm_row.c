/*
 * nn_norm_row: norms whose statistics are of one row, image or group: layer, RMS, group, instance
 * and local response norm. They mean the same in training and evaluation.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_standardised(tp_tensor x, int n, const int64_t *axes, double eps, bool centred,
                          tp_loc at)
{
    tp_shape over = { .rank = n };
    tp_reduce_args args = { .keepdim = true, .biased = true };
    struct ir_graph *g = x.g->ir;
    const struct ir_loc loc = tp_place(x.g, at);
    tp_tensor mean = x, variance;
    uint32_t region;
    ir_val v = tp_val(x), letter[26] = { v };

    memcpy(over.dim, axes, (size_t)n * sizeof *axes);
    args.dim = tp_axes_of(over);
    region = ir_region_open(g, centred ? "standardise" : "rms", NULL, 1, &v,
                            (struct ir_list){ n, axes }, loc);
    if (centred) {
        mean = tp_reduce_at("mean", x, args, at);
        variance = tp_reduce_at("var", x, args, at);
    } else {
        variance = tp_reduce_at("mean", tp_binary_at("mul", x, x, at), args, at);
    }
    if (!tp_tell(x.g))
        return POISON(x.g);
    letter[1] = tp_val(mean);
    letter[2] = tp_val(variance);
    letter[4] = ir_number(g, tp_node(x)->dtype, eps, loc);
    v = ir_formula(g, centred ? "(a - b) * rsqrt(c + e)" : "a * rsqrt(c + e)", letter, loc);
    return tp_give(x.g, ir_region_close(g, region, v));
}

/* The layer's two parameters of a shape, as they are asked for. */
static bool affine(struct layer *l, tp_shape shape, const tp_norm_args *a, bool no_offset,
                   tp_tensor out[2])
{
    const enum ir_dtype dtype = l->dtype;

    out[0] = out[1] = (tp_tensor){ .g = NULL };
    if (a->no_scale)
        return true;
    out[0] = tp_layer_param(l, "weight", dtype, shape, TP_ONES, a->shared, false);
    if (!no_offset && !a->no_bias)
        out[1] = tp_layer_param(l, "bias", dtype, shape, TP_ZEROS, a->shared, false);
    return tp_tell(l->g);
}

tp_tensor tp_scaled(tp_tensor y, const tp_tensor affine[2], tp_loc at)
{
    if (affine[0].g)
        y = tp_binary_at("mul", y, affine[0], at);
    return affine[1].g ? tp_binary_at("add", y, affine[1], at) : y;
}

static double usual_eps(const tp_norm_args *a, double otherwise)
{
    return a->eps > 0 ? a->eps : otherwise;
}

/* Over the last axes, layer_norm or rms_norm. */
static tp_tensor over_last(const char *what, tp_tensor x, const tp_norm_args *a, bool centred,
                           tp_loc at)
{
    const int count = a->axes ? a->axes : 1;
    struct layer l;
    tp_shape shape = { .rank = count };
    int64_t axes[IR_RANK];
    tp_tensor pair[2], y;
    ir_val v = tp_val(x);
    double eps = 1e-5;

    if (!tp_layer_begin(&l, what, a->name, x, at))
        return POISON(x.g);
    if (count < 1 || count > tp_rank(x))
        return tp_fail(x.g, at, what, "\"%.60s\": the last %d axes of %s; expected 1 to %d of them",
                       a->name, count, tp_describe(x), tp_rank(x));
    for (int i = 0; i < count; i++) {
        axes[i] = tp_rank(x) - count + i;
        shape.dim[i] = tp_dim(x, (int)axes[i]);
        if (!ir_dim_fixed(shape.dim[i]))
            return tp_fail(x.g, at, what,
                           "\"%.60s\": input %s; expected a last axis of known extent", a->name,
                           tp_describe(x));
    }
    if (!affine(&l, shape, a, !centred, pair))
        return POISON(x.g);
    if (!centred) /* PyTorch's is the type's own */
        eps = tp_dtype_of(x) == TP_F64 ? 0x1p-52 : 0x1p-23;
    tp_layer_open(&l, centred ? "layer_norm" : "rms_norm", 1, &v);
    y = tp_standardised(x, count, axes, usual_eps(a, eps), centred, at);
    return tp_layer_close(&l, tp_val(tp_scaled(y, pair, at)));
}

tp_tensor tp_layer_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, int count, double eps,
                              bool centred, tp_loc at)
{
    const char *what = centred ? "layer_norm" : "rms_norm";
    const tp_tensor pair[2] = { weight, bias };
    struct layer l;
    int64_t axes[IR_RANK];
    ir_val v = tp_val(x);

    if (!tp_layer_of(&l, what, x, weight, at) || !tp_ready(x.g, at, what, 1, &bias))
        return POISON(x.g);
    if (count < 1 || count > tp_rank(x))
        return tp_fail(x.g, at, what, "the last %d axes of %s; expected 1 to %d of them", count,
                       tp_describe(x), tp_rank(x));
    for (int i = 0; i < count; i++)
        axes[i] = tp_rank(x) - count + i;
    tp_layer_open(&l, what, 1, &v);
    return tp_layer_close(
        &l, tp_val(tp_scaled(tp_standardised(x, count, axes, eps, centred, at), pair, at)));
}

tp_tensor tp_group_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, int64_t groups,
                              double eps, tp_loc at)
{
    const tp_tensor pair[2] = { weight, bias };
    struct layer l;
    ir_val v = tp_val(x);

    if (!tp_layer_of(&l, "group_norm", x, weight, at) || !tp_ready(x.g, at, "group_norm", 1, &bias))
        return POISON(x.g);
    tp_layer_open(&l, "group_norm", 1, &v);
    return tp_layer_close(&l, tp_val(tp_grouped_norm("group_norm", x, groups, eps, pair, at)));
}

tp_tensor tp_layer_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    return over_last("tp_layer_norm", x, &a, true, at);
}

tp_tensor tp_rms_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    return over_last("tp_rms_norm", x, &a, false, at);
}

tp_tensor tp_grouped_norm(const char *what, tp_tensor x, int64_t groups, double eps,
                          const tp_tensor affine[2], tp_loc at)
{
    tp_shape wide = { .rank = 3 };
    tp_tensor pair[2], y;

    if (tp_rank(x) < 2 || groups < 1 || !ir_dim_fixed(tp_dim(x, 1)) || tp_dim(x, 1) % groups)
        return tp_fail(x.g, at, what,
                       "%s in %lld groups; expected [n channels ..] and groups that "
                       "divide the channels",
                       tp_describe(x), (long long)groups);
    wide.dim[0] = tp_dim(x, 0);
    wide.dim[1] = groups;
    wide.dim[2] = tp_dim(x, 1) / groups;
    for (int i = 2; i < tp_rank(x); i++)
        wide.dim[2] = ir_dim_mul(x.g->ir, wide.dim[2], tp_dim(x, i));
    y = tp_reshape_at(x, wide, at);
    if (!y.id)
        return y;
    y = tp_reshape_at(tp_standardised(y, 1, (int64_t[]){ 2 }, eps, true, at), tp_shape_of(x), at);
    for (int i = 0; i < 2; i++)
        pair[i] = affine[i].g ? tp_along(affine[i], 1, tp_rank(x), at) : affine[i];
    return y.id ? tp_scaled(y, pair, at) : y;
}

tp_tensor tp_group_norm_at(const char *what, tp_tensor x, tp_norm_args a, tp_loc at)
{
    const bool instance = strcmp(what, "tp_instance_norm") == 0;
    struct layer l;
    tp_tensor pair[2];
    ir_val v = tp_val(x);

    if (!tp_layer_begin(&l, what, instance && !a.name ? "instance_norm" : a.name, x, at))
        return POISON(x.g);
    if (tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1)))
        return tp_fail(x.g, at, what, "\"%.60s\": input %s; expected [n channels ..]", l.name,
                       tp_describe(x));
    if (instance) { /* PyTorch's has no parameters of itself */
        a.groups = tp_dim(x, 1);
        a.no_scale = !a.affine;
    }
    if (!affine(&l, tp_dims(tp_dim(x, 1)), &a, false, pair))
        return POISON(x.g);
    tp_layer_open(&l, "group_norm", 1, &v);
    return tp_layer_close(
        &l, tp_val(tp_grouped_norm(what, x, a.groups, usual_eps(&a, 1e-5), pair, at)));
}

/* Over `size` channels around each one, with zeros beyond the ends. */
tp_tensor tp_local_response_norm_at(tp_tensor x, tp_lrn_args a, tp_loc at)
{
    const int64_t one = 1, pad[] = { a.size / 2, a.size < 1 ? 0 : (a.size - 1) / 2 };
    const struct ir_list attr[IR_ATTRS] = { { 1, &a.size }, { 1, &one }, { 2, pad }, { 1, &one } };
    tp_tensor both[2] = { x };
    ir_val v;

    if (!tp_ready(x.g, at, "tp_local_response_norm", 1, &x) ||
        !tp_floating(x, "tp_local_response_norm", at))
        return POISON(x.g);
    if (tp_rank(x) < 2 || a.size < 1)
        return tp_fail(x.g, at, "tp_local_response_norm",
                       "%s over %lld channels; expected [n channels ..] and 1 or more",
                       tp_describe(x), (long long)a.size);
    both[1] = tp_moved(tp_binary_at("mul", x, x, at), 1, tp_rank(x) - 1, at);
    v = tp_val(both[1]);
    both[1] = tp_give(x.g, ir_op_attr(x.g->ir, IR_window_sum, 1, &v, attr, tp_place(x.g, at)));
    if (!both[1].id)
        return both[1];
    both[1] = tp_moved(both[1], tp_rank(x) - 1, 1, at);
    return tp_maths("a / pow(b * p + q, r)", 2, both, 3,
                    (double[]){ (a.alpha != 0 ? a.alpha : 1e-4) / (double)a.size,
                                a.k != 0 ? a.k : 1, a.beta != 0 ? a.beta : 0.75 },
                    at);
}

/* The direction of v times a length g for each index of axis (arXiv:1602.07868). */
tp_tensor tp_weight_norm_at(tp_tensor v, tp_tensor g, int axis, tp_loc at)
{
    const tp_tensor both[] = { v, g };
    tp_reduce_args others = { .keepdim = true };
    tp_shape axes = { 0 };
    int64_t a = axis;

    if (!tp_ready(v.g, at, "tp_weight_norm", 2, both) ||
        !tp_axis(v, &a, tp_rank(v), "tp_weight_norm", at))
        return POISON(v.g);
    if (!g.g || tp_rank(g) != 1 || tp_dim(g, 0) != tp_dim(v, (int)a))
        return tp_fail(v.g, at, "tp_weight_norm",
                       "%s, lengths %s; expected one for each of axis %d", tp_describe(v),
                       g.g ? tp_describe(g) : "a number", (int)a);
    for (int i = 0; i < tp_rank(v); i++)
        if (i != a)
            axes.dim[axes.rank++] = i;
    others.dim = tp_axes_of(axes);
    return tp_binary_at(
        "mul", v,
        tp_binary_at("div", tp_along(g, (int)a, tp_rank(v), at), tp_norm_at(v, 2, others, at), at),
        at);
}
