/*
 * nn_resample: other extents of the last axes, and windows as columns. Linear and cubic resampling
 * of an axis is a product with a matrix [out in] that has a few numbers a row.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

/* Where output i lies in the input: of half pixels, or corner on corner. f: [out 1] */
static tp_tensor source(tp_tensor like, int64_t n, int64_t out, bool corners, tp_loc at)
{
    const double scale =
        corners ? out > 1 ? (double)(n - 1) / (double)(out - 1) : 0 : (double)n / (double)out;
    const tp_tensor i =
        tp_cast_at(tp_index_along(like.g, tp_dims(out, 1), 0, at), tp_dtype_of(like), at);

    return tp_maths1(corners ? "a * p" : "(a + 0.5) * p - 0.5", i, at, scale);
}

static tp_tensor columns(tp_tensor like, int64_t n, tp_loc at)
{
    return tp_cast_at(tp_index_along(like.g, tp_dims(1, n), 1, at), tp_dtype_of(like), at);
}

/* Each output lies between two inputs, the nearer counts more. */
static tp_tensor linear(tp_tensor like, int64_t n, int64_t out, bool corners, tp_loc at)
{
    const tp_tensor x[] = { source(like, n, out, corners, at), columns(like, n, at) };

    return tp_maths("max(1 - abs(min(max(a, 0), p) - b), 0)", 2, x, 1,
                    (double[]){ (double)(n - 1) }, at);
}

/* Four inputs by Keys' kernel with a = -0.75 (IEEE ASSP 1981); beyond the ends the border. */
static tp_tensor cubic(tp_tensor like, int64_t n, int64_t out, bool corners, tp_loc at)
{
    static const char *const weights[] = {
        "((-0.75 * (a + 1) + 3.75) * (a + 1) - 6) * (a + 1) + 3",
        "(1.25 * a - 2.25) * a * a + 1",
        "(1.25 * (1 - a) - 2.25) * (1 - a) * (1 - a) + 1",
        "((-0.75 * (2 - a) + 3.75) * (2 - a) - 6) * (2 - a) + 3",
    };
    const tp_tensor at_source = source(like, n, out, corners, at),
                    floor = tp_unary_at("floor", at_source, at),
                    t = tp_binary_at("sub", at_source, floor, at), j = columns(like, n, at);
    tp_tensor sum = { .g = NULL };

    for (int k = 0; k < 4; k++) {
        const tp_tensor all[] = { floor, j, tp_maths(weights[k], 1, &t, 0, NULL, at) };
        const tp_tensor term = tp_maths("select(min(max(a + p, 0), q) == b, c, 0)", 3, all, 2,
                                        (double[]){ k - 1, (double)(n - 1) }, at);
        sum = sum.g ? tp_binary_at("add", sum, term, at) : term;
    }
    return sum;
}

/* PyTorch's: the input at floor(i n / out) */
static tp_tensor nearest(tp_tensor x, int axis, int64_t n, int64_t out, tp_loc at)
{
    const struct ir_loc loc = tp_place(x.g, at);
    ir_val letter[26] = { [0] = tp_val(tp_index_along(x.g, tp_dims(out), 0, at)) };

    if (out % n == 0)
        return tp_repeat_interleave_at(x, out / n, axis, at);
    if (n % out == 0)
        return tp_slice_at(x, axis, 0, (tp_slice_args){ .stop = TP_ALL, .step = n / out }, at);
    letter['n' - 'a'] = ir_integer(x.g->ir, IR_I64, n, loc);
    letter['o' - 'a'] = ir_integer(x.g->ir, IR_I64, out, loc);
    return tp_take_at(x, axis, tp_give(x.g, ir_formula(x.g->ir, "a * n / o", letter, loc)), at);
}

tp_tensor tp_interpolate_at(tp_tensor x, const char *mode, tp_shape size, bool corners, tp_loc at)
{
    const char *what = "tp_interpolate";
    const bool near = mode && strcmp(mode, "nearest") == 0,
               cube = mode && strcmp(mode, "bicubic") == 0;

    if (!tp_ready(x.g, at, what, 1, &x) || (!near && !tp_floating(x, what, at)))
        return POISON(x.g);
    if (!near && !cube &&
        (!mode || (strcmp(mode, "linear") != 0 && strcmp(mode, "bilinear") != 0 &&
                   strcmp(mode, "trilinear") != 0)))
        return tp_fail(x.g, at, what, "mode \"%.40s\"; expected nearest, linear or bicubic",
                       mode ? mode : "");
    for (int i = 0; i < size.rank; i++) {
        const int axis = tp_rank(x) - size.rank + i, last = tp_rank(x) - 1;
        const int64_t n = axis < 0 ? -1 : tp_dim(x, axis), out = size.dim[i];

        if (axis < 0 || !ir_dim_fixed(n) || n < 1 || out < 1 || out > 1 << 24)
            return tp_fail(
                x.g, at, what,
                "%s to %d extents, one of them %lld; expected known axes, 1 or more each",
                tp_describe(x), size.rank, (long long)out);
        if (near)
            x = nearest(x, axis, n, out, at);
        else if (n != out)
            x = tp_moved(tp_matmul_nt_at(tp_moved(x, axis, last, at),
                                         cube ? cubic(x, n, out, corners, at)
                                              : linear(x, n, out, corners, at),
                                         at),
                         last, axis, at);
        if (!x.id)
            return x;
    }
    return x;
}

tp_tensor tp_upsample_at(tp_tensor x, const char *mode, int64_t scale, tp_loc at)
{
    tp_shape size = { 0 };

    if (!tp_ready(x.g, at, "tp_upsample", 1, &x))
        return POISON(x.g);
    if (tp_rank(x) < 3 || scale < 1 || scale > 1 << 20)
        return tp_fail(x.g, at, "tp_upsample", "%s by %lld; expected [n channels ..] and 1 or more",
                       tp_describe(x), (long long)scale);
    for (int i = 2; i < tp_rank(x); i++)
        size.dim[size.rank++] = ir_dim_mul(x.g->ir, tp_dim(x, i), scale);
    return tp_interpolate_at(x, mode, size, false, at);
}

/* --- windows as columns -------------------------------------------------------------------------
 */

/* A strided slice for each tap of the kernel, side by side: [n c h w] -> [n c k k, l] */
tp_tensor tp_unfold_at(tp_tensor x, tp_pool_args a, tp_loc at)
{
    const int64_t k = a.kernel, d = a.dilation ? a.dilation : 1, stride = a.stride ? a.stride : 1;
    int64_t out[2];
    tp_tensor *tap;
    tp_shape flat;

    if (!tp_ready(x.g, at, "tp_unfold", 1, &x))
        return POISON(x.g);
    if (tp_rank(x) != 4 || k < 1 || k > 32 || d < 1 || stride < 1 || a.pad < 0 ||
        !ir_dim_fixed(tp_dim(x, 1)) || !ir_dim_fixed(tp_dim(x, 2)) || !ir_dim_fixed(tp_dim(x, 3)))
        return tp_fail(x.g, at, "tp_unfold",
                       "%s, kernel %lld; expected [n channels height width] "
                       "and 1 to 32",
                       tp_describe(x), (long long)k);
    for (int i = 0; i < 2; i++) {
        out[i] = ir_window_extent(tp_dim(x, 2 + i), k, stride, a.pad, a.pad, d);
        if (out[i] < 1)
            return tp_fail(x.g, at, "tp_unfold", "%s, kernel %lld; expected that it fits",
                           tp_describe(x), (long long)k);
    }
    if (a.pad)
        x = tp_pad_at(x, tp_dims(0, 0, a.pad, a.pad), tp_dims(0, 0, a.pad, a.pad), 0, at);
    tap = ir_alloc(x.g->ir->arena, (size_t)(k * k) * sizeof *tap);
    for (int64_t i = 0; i < k * k; i++) {
        tap[i] = x;
        for (int axis = 0; axis < 2; axis++) {
            const int64_t start = (axis ? i % k : i / k) * d;
            const tp_slice_args to = { .stop = start + (out[axis] - 1) * stride + 1,
                                       .step = stride };

            tap[i] = tp_slice_at(tap[i], 2 + axis, start, to, at);
        }
    }
    x = tp_stack_at(2, (tp_list){ (int)(k * k), tap }, at);
    if (!x.id)
        return x;
    flat = tp_dims(tp_dim(x, 0), tp_dim(x, 1) * k * k, out[0] * out[1]);
    return tp_reshape_at(x, flat, at);
}

/* The transpose of unfold is its derivative: what columns give back to an image. */
tp_tensor tp_fold_at(tp_tensor columns_, tp_shape size, tp_pool_args a, tp_loc at)
{
    const bool sound = a.kernel >= 1 && a.kernel < 1 << 20;
    const int64_t taps = sound ? a.kernel * a.kernel : 0;
    tp_tensor image, wide, back;

    if (!tp_ready(columns_.g, at, "tp_fold", 1, &columns_) || !tp_floating(columns_, "tp_fold", at))
        return POISON(columns_.g);
    if (tp_rank(columns_) != 3 || size.rank != 2 || taps < 1 ||
        !ir_dim_fixed(tp_dim(columns_, 1)) || tp_dim(columns_, 1) % taps)
        return tp_fail(columns_.g, at, "tp_fold",
                       "%s, kernel %lld; expected [n channels*kernel*kernel l] and two extents",
                       tp_describe(columns_), (long long)a.kernel);
    image = tp_full_at(
        columns_.g, tp_dtype_of(columns_),
        tp_dims(tp_dim(columns_, 0), tp_dim(columns_, 1) / taps, size.dim[0], size.dim[1]), 0, at);
    wide = tp_unfold_at(image, a, at);
    if (!wide.id)
        return wide;
    if (!ir_same_shape(&tp_node(wide)->shape, &tp_node(columns_)->shape))
        return tp_fail(columns_.g, at, "tp_fold", "%s; unfolding that image gives %s",
                       tp_describe(columns_), tp_describe(wide));
    if (!tp_vjp_at(wide, columns_, 1, &image, &back, at))
        return POISON(columns_.g);
    return back;
}
