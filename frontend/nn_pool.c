/*
 * nn_pool: windows that slide over the last one to three axes: their greatest, their mean, their
 * p-norm; and pools that are told what size to give. Extents are PyTorch's: with .ceil a last
 * window may hang over, if it begins inside.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

struct window {
    int axes;
    int64_t window[3], stride[3], pad[6], dilation[3], own_pad[3];
    bool even; /* every window averages over all its taps */
};

static int64_t of_axis(tp_shape list, int axis, int64_t all, int64_t otherwise)
{
    return list.rank ? list.dim[axis < list.rank ? axis : list.rank - 1] : all ? all : otherwise;
}

static bool read(const char *op, tp_tensor x, const tp_pool_args *a, int axes, struct window *v,
                 tp_loc at)
{
    if (!tp_good_rank(x.g, at, op, a->kernels) || !tp_good_rank(x.g, at, op, a->dilations) ||
        !tp_good_rank(x.g, at, op, a->pads) || !tp_good_rank(x.g, at, op, a->strides))
        return false;
    if (axes < 1 || axes > 3) {
        tp_fail(x.g, at, op, "%d pooled axes; expected 1 to 3", axes);
        return false;
    }
    *v = (struct window){ .axes = axes, .even = true };
    for (int i = 0; i < axes; i++) {
        const int64_t n = tp_rank(x) >= axes ? tp_dim(x, tp_rank(x) - axes + i) : -1,
                      k = of_axis(a->kernels, i, a->kernel, 0),
                      d = of_axis(a->dilations, i, a->dilation, 1),
                      pad = of_axis(a->pads, i, a->pad, 0),
                      stride = of_axis(a->strides, i, a->stride, k);
        int64_t reach, out;

        if (tp_rank(x) < axes || k < 1 || pad < 0 || pad * 2 > k || d < 1 || stride < 1 ||
            d > 1 << 20 || k > 1 << 20 || !ir_dim_fixed(n)) {
            tp_fail(x.g, at, op,
                    "%s, window %lld, padding %lld; expected %s axes or more and at most half a "
                    "window of padding",
                    tp_describe(x), (long long)k, (long long)pad,
                    (const char *[]){ "one", "two", "three" }[axes - 1]);
            return false;
        }
        v->window[i] = k;
        v->stride[i] = stride;
        v->dilation[i] = d;
        v->own_pad[i] = v->pad[2 * i] = v->pad[2 * i + 1] = pad;
        v->even &= pad == 0 || !a->exclude_pad;
        reach = (k - 1) * d + 1;
        if (!a->ceil || n + 2 * pad < reach)
            continue;
        out = (n + 2 * pad - reach + stride - 1) / stride + 1;
        if ((out - 1) * stride >= n + pad)
            out--;
        reach += (out - 1) * stride - n - pad;
        v->pad[2 * i + 1] = reach > pad ? reach : pad;
        v->even &= reach <= pad;
    }
    return true;
}

static tp_tensor windowed(enum ir_op op, const struct window *v, tp_tensor x, tp_loc at)
{
    const struct ir_list attr[IR_ATTRS] = { { v->axes, v->window },
                                            { v->axes, v->stride },
                                            { 2 * v->axes, v->pad },
                                            { v->axes, v->dilation } };
    const ir_val a = tp_val(x);

    return tp_give(x.g, ir_op_attr(x.g->ir, op, 1, &a, attr, tp_place(x.g, at)));
}

/* How many elements each window averages over: padding counts, what hangs over does not. */
static tp_tensor shares(tp_tensor x, struct window v, bool include_pad, tp_loc at)
{
    tp_shape counted = { .rank = v.axes };

    for (int i = 0; i < v.axes; i++) {
        counted.dim[i] = tp_dim(x, tp_rank(x) - v.axes + i);
        if (include_pad) {
            counted.dim[i] += 2 * v.own_pad[i];
            v.pad[2 * i] = 0;
            v.pad[2 * i + 1] -= v.own_pad[i];
        }
    }
    return windowed(IR_window_sum, &v, tp_full_at(x.g, tp_dtype_of(x), counted, 1, at), at);
}

static tp_tensor averaged(tp_tensor x, const struct window *v, bool include_pad, tp_loc at)
{
    double taps = 1;
    tp_tensor y = windowed(IR_window_sum, v, x, at);

    for (int i = 0; i < v->axes; i++)
        taps *= (double)v->window[i];
    if (!y.id)
        return y;
    return v->even ? tp_binary_at("mul", y, tp_as_number(1 / taps), at)
                   : tp_binary_at("div", y, shares(x, *v, include_pad, at), at);
}

tp_tensor tp_pool_at(const char *op, int axes, tp_tensor x, tp_pool_args a, tp_loc at)
{
    struct window v;
    tp_tensor y;

    if (!tp_ready(x.g, at, op, 1, &x) || !read(op, x, &a, axes, &v, at))
        return POISON(x.g);
    if (strncmp(op, "max", 3) == 0)
        return windowed(IR_window_max, &v, x, at);
    if (!tp_floating(x, op, at))
        return POISON(x.g);
    if (strncmp(op, "avg", 3) == 0)
        return averaged(x, &v, !a.exclude_pad, at);
    if (a.p == 0) /* lp: PyTorch's has no padding and 0 for sums below 0 */
        a.p = 2;
    y = windowed(IR_window_sum, &v, tp_maths1("pow(a, p)", x, at, a.p), at);
    return tp_maths1("select(a > 0, pow(select(a > 0, a, 1), p), 0)", y, at, 1 / a.p);
}

/* --- where the greatest stood --------------------------------------------------------------------
 */

/* i64, as max_pool: the flat index, over the pooled axes, of each window's greatest */
tp_tensor tp_max_pool_places_at(int axes, tp_tensor x, tp_pool_args a, tp_loc at)
{
    struct window v;
    tp_tensor tap, flat = { 0 };

    if (!tp_ready(x.g, at, "tp_max_pool_places", 1, &x) ||
        !read("tp_max_pool_places", x, &a, axes, &v, at))
        return POISON(x.g);
    tap = tp_cast_at(windowed(IR_window_argmax, &v, x, at), TP_I64, at);
    for (int i = 0; i < axes && tap.id; i++) {
        const int axis = tp_rank(x) - axes + i;
        double taps = 1;
        tp_tensor part[2] = { tap };
        for (int j = i + 1; j < axes; j++)
            taps *= (double)v.window[j];
        part[1] = tp_index_along(x.g, tp_shape_of(tap), axis, at);
        part[0] = tp_maths("mod(a / p, q) * r + b * s - t", 2, part, 5,
                           (double[]){ taps, (double)v.window[i], (double)v.dilation[i],
                                       (double)v.stride[i], (double)v.pad[2 * i] },
                           at);
        flat = i ? tp_binary_at(
                       "add", tp_binary_at("mul", flat, tp_as_number((double)tp_dim(x, axis)), at),
                       part[0], at)
                 : part[0];
    }
    return flat;
}

/* x back at its places in zeros of these extents; where two windows name one place, their mean */
tp_tensor tp_max_unpool_at(tp_tensor x, tp_tensor places, tp_shape size, tp_loc at)
{
    const tp_tensor both[] = { x, places };
    tp_shape wide = tp_shape_of(x), flat = { 0 };
    tp_tensor part[2], zeros;

    if (!tp_ready(x.g, at, "tp_max_unpool", 2, both) || !tp_floating(x, "tp_max_unpool", at))
        return POISON(x.g);
    if (size.rank < 1 || size.rank > tp_rank(x) || !places.g ||
        !ir_same_shape(&tp_node(x)->shape, &tp_node(places)->shape))
        return tp_fail(x.g, at, "tp_max_unpool",
                       "%s, places %s, %d extents; expected equal shapes of as many axes or more",
                       tp_describe(x), places.g ? tp_describe(places) : "a number", size.rank);
    flat.rank = wide.rank - size.rank + 1;
    memcpy(flat.dim, wide.dim, (size_t)flat.rank * sizeof *flat.dim);
    flat.dim[flat.rank - 1] = 1;
    for (int i = 0; i < size.rank; i++) {
        wide.dim[wide.rank - size.rank + i] = size.dim[i];
        flat.dim[flat.rank - 1] = ir_dim_mul(x.g->ir, flat.dim[flat.rank - 1], size.dim[i]);
    }
    zeros = tp_full_at(x.g, tp_dtype_of(x), flat, 0, at);
    flat.dim[flat.rank - 1] = -1;
    places = tp_reshape_at(places, flat, at);
    part[0] = tp_scatter_add_at(zeros, -1, places, tp_reshape_at(x, flat, at), at);
    part[1] = tp_scatter_add_at(zeros, -1, places,
                                tp_full_at(x.g, tp_dtype_of(x), tp_shape_of(places), 1, at), at);
    return tp_reshape_at(tp_maths("a / max(b, 1)", 2, part, 0, NULL, at), wide, at);
}

/* --- pools of a given size ----------------------------------------------------------------------
 */

/* A matrix [out n] of the averages over floor(i n / out) .. ceil((i + 1) n / out) */
static tp_tensor shares_of(tp_tensor like, int64_t n, int64_t out, tp_loc at)
{
    const tp_shape shape = tp_dims(out, n);
    const struct ir_loc loc = tp_place(like.g, at);
    tp_tensor inside, count;
    ir_val letter[26] = { [0] = tp_val(tp_index_along(like.g, shape, 0, at)),
                          [1] = tp_val(tp_index_along(like.g, shape, 1, at)) };

    letter['n' - 'a'] = ir_integer(like.g->ir, IR_I64, n, loc);
    letter['o' - 'a'] = ir_integer(like.g->ir, IR_I64, out, loc);
    inside =
        tp_give(like.g, ir_formula(like.g->ir, "(b >= a * n / o) & (b < ((a + 1) * n + o - 1) / o)",
                                   letter, loc));
    count = tp_give(like.g,
                    ir_formula(like.g->ir, "((a + 1) * n + o - 1) / o - a * n / o", letter, loc));
    return tp_where_at(
        inside, tp_binary_at("div", tp_as_number(1), tp_cast_at(count, tp_dtype_of(like), at), at),
        tp_as_number(0), at);
}

static tp_tensor adaptive_axis(tp_tensor x, int axis, int64_t out, bool max, tp_loc at)
{
    const int64_t n = tp_dim(x, axis);
    tp_tensor part[256];

    if (n == out)
        return x;
    if (out == 1)
        return tp_reduce_at(max ? "amax" : "mean", x,
                            (tp_reduce_args){ .dim = axis, .keepdim = true }, at);
    if (n % out == 0) { /* equal windows side by side: an axis more */
        tp_shape wide = tp_shape_of(x);

        if (wide.rank < IR_RANK) {
            memmove(wide.dim + axis + 1, wide.dim + axis,
                    (size_t)(wide.rank - axis) * sizeof *wide.dim);
            wide.dim[axis] = out;
            wide.dim[axis + 1] = n / out;
            wide.rank++;
            return tp_reduce_at(max ? "amax" : "mean", tp_reshape_at(x, wide, at),
                                (tp_reduce_args){ .dim = axis + 1 }, at);
        }
    }
    if (!max)
        return tp_moved(
            tp_matmul_nt_at(tp_moved(x, axis, tp_rank(x) - 1, at), shares_of(x, n, out, at), at),
            tp_rank(x) - 1, axis, at);
    if (out > (int64_t)(sizeof part / sizeof *part))
        return tp_fail(x.g, at, "tp_adaptive_max_pool",
                       "%lld windows of unequal extents; expected at most 256", (long long)out);
    for (int64_t i = 0; i < out; i++)
        part[i] =
            tp_reduce_at("amax", tp_cut(x, axis, i * n / out, ((i + 1) * n + out - 1) / out, at),
                         (tp_reduce_args){ .dim = axis, .keepdim = true }, at);
    return tp_concat_at(axis, (tp_list){ (int)out, part }, at);
}

tp_tensor tp_adaptive_pool_at(const char *op, tp_tensor x, tp_shape size, tp_loc at)
{
    const bool max = strstr(op, "max") != NULL;

    if (!tp_ready(x.g, at, op, 1, &x) || (!max && !tp_floating(x, op, at)))
        return POISON(x.g);
    if (!tp_good_rank(x.g, at, op, size))
        return POISON(x.g);
    for (int i = 0; i < size.rank; i++) {
        const int axis = tp_rank(x) - size.rank + i;
        const int64_t out = axis >= 0 && size.dim[i] == -1 ? tp_dim(x, axis) : size.dim[i];

        if (axis < 0 || out < 1 || !ir_dim_fixed(tp_dim(x, axis)) || tp_dim(x, axis) < 1)
            return tp_fail(
                x.g, at, op,
                "%s to %d extents, one of them %lld; expected known axes, 1 or more each",
                tp_describe(x), size.rank, (long long)size.dim[i]);
        x = adaptive_axis(x, axis, out, max, at);
        if (!x.id)
            return x;
    }
    return x;
}

/* All axes after the channels, which stay with extent 1. */
tp_tensor tp_global_pool_at(const char *op, tp_tensor x, tp_loc at)
{
    tp_shape axes = { 0 };

    if (!tp_ready(x.g, at, op, 1, &x))
        return POISON(x.g);
    if (tp_rank(x) < 3)
        return tp_fail(x.g, at, op, "%s; expected [n channels ..]", tp_describe(x));
    for (int i = 2; i < tp_rank(x); i++)
        axes.dim[axes.rank++] = i;
    return tp_reduce_at(strstr(op, "max") ? "amax" : "mean", x,
                        (tp_reduce_args){ .dim = tp_axes_of(axes), .keepdim = true }, at);
}
