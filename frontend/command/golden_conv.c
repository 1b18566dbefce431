/*
 * golden_conv: convolutions, pools and resampling.
 */
#include "golden.h"

#include <string.h>

/* --- convolutions ---------------------------------------------------------------------------- */

/* Attributes of a convolution over some spatial axes; padding is the same on both sides. */
struct conv {
    int axes;
    int64_t stride[3], pad[6], dilation[3], groups, size[3];
};

static bool read_conv(struct golden_work *w, int axes, struct conv *c)
{
    const tp_shape stride = golden_ints(w, "stride"), pad = golden_ints(w, "padding"),
                   dilation = golden_ints(w, "dilation");

    *c = (struct conv){ .axes = axes, .groups = golden_int(w, "groups", 1) };
    if (axes < 1 || axes > 3 || stride.rank != axes || pad.rank != axes || dilation.rank != axes)
        golden_cannot(w, "a convolution of %d axes, stride of %d", axes, stride.rank);
    for (int i = 0; i < axes && !*w->why; i++) {
        c->stride[i] = stride.dim[i];
        c->dilation[i] = dilation.dim[i];
        c->pad[2 * i] = c->pad[2 * i + 1] = pad.dim[i];
        if (c->stride[i] < 1 || c->dilation[i] < 1 || pad.dim[i] < 0)
            golden_cannot(w, "a stride or dilation below 1");
    }
    return !*w->why;
}

static tp_tensor convolution(enum ir_op op, const struct conv *c, tp_tensor x, tp_tensor weight)
{
    const struct ir_list attr[] = { { c->axes, c->stride },
                                    { 2 * c->axes, c->pad },
                                    { c->axes, c->dilation },
                                    { 1, &c->groups },
                                    { c->axes, c->size } };

    return tp_give(x.g, ir_op_attr(x.g->ir, op, 2, (ir_val[]){ tp_val(x), tp_val(weight) }, attr,
                                   tp_place(x.g, TP_HERE)));
}

tp_tensor golden_channels(tp_tensor vector, int rank)
{
    tp_shape shape = { .rank = rank };

    for (int i = 0; i < rank; i++)
        shape.dim[i] = i == 1 ? tp_dim(vector, 0) : 1;
    return golden_shaped(vector, shape);
}

/* With the bias, and without the batch axis that was put before an input that has none. */
static void finish(struct golden_work *w, tp_tensor y, bool batched)
{
    if (golden_has(w, "bias"))
        y = tp_add(y, golden_channels(golden_in(w, "bias"), tp_rank(y)));
    golden_out(w, batched ? y : tp_squeeze(y, 0));
}

void golden_op_conv(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), weight = golden_in(w, "weight");
    const bool batched = tp_rank(x) == tp_rank(weight);
    struct conv c;

    if (read_conv(w, tp_rank(weight) - 2, &c))
        finish(w, convolution(IR_conv, &c, batched ? x : tp_unsqueeze(x, 0), weight), batched);
}

/*
 * The transpose: without padding first, then cut by the padding. Output padding may reach past what
 * the input says anything about: zeros.
 */
void golden_op_conv_transpose(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), weight = golden_in(w, "weight");
    const bool batched = tp_rank(x) == tp_rank(weight);
    const tp_shape more = golden_ints(w, "output_padding");
    tp_shape lo = { .rank = tp_rank(weight) }, hi = lo;
    tp_tensor y = batched ? x : tp_unsqueeze(x, 0);
    struct conv c, whole;

    if (!read_conv(w, tp_rank(weight) - 2, &c) || more.rank != c.axes) {
        golden_cannot(w, "output padding of %d axes", more.rank);
        return;
    }
    whole = c;
    memset(whole.pad, 0, sizeof whole.pad);
    for (int i = 0; i < c.axes; i++)
        whole.size[i] =
            (tp_dim(y, 2 + i) - 1) * c.stride[i] + (tp_dim(weight, 2 + i) - 1) * c.dilation[i] + 1;
    y = convolution(IR_conv_input, &whole, y, weight);
    for (int i = 0; i < c.axes; i++) {
        const int64_t size = whole.size[i] - 2 * c.pad[2 * i] + more.dim[i],
                      stop = c.pad[2 * i] + size;
        if (size < 0) {
            golden_cannot(w, "more padding than output");
            return;
        }
        hi.dim[2 + i] = stop > whole.size[i] ? stop - whole.size[i] : 0;
        y = golden_cut(y, 2 + i, c.pad[2 * i], stop, 1);
    }
    finish(w, tp_pad(y, lo, hi, 0), batched);
}

/* --- pools ----------------------------------------------------------------------------------- */

struct window {
    int axes;
    int64_t window[2], stride[2], pad[4], dilation[2];
};

/* PyTorch's extents: with ceil_mode a last window may hang over, if it begins inside. */
static bool read_window(struct golden_work *w, tp_tensor x, struct window *v)
{
    const tp_shape window = golden_ints(w, "kernel_size"), pad = golden_ints(w, "padding"),
                   stride = golden_attr(w->c, "stride") ? golden_ints(w, "stride") : window;
    const tp_shape dilation = golden_attr(w->c, "dilation") ? golden_ints(w, "dilation")
                                                            : (tp_shape){ window.rank, { 1, 1 } };

    *v = (struct window){ .axes = window.rank };
    if (v->axes < 1 || v->axes > 2 || pad.rank != v->axes || stride.rank != v->axes ||
        dilation.rank != v->axes || tp_rank(x) <= v->axes)
        return golden_cannot(w, "a pool of %d axes", v->axes).id;
    for (int i = 0; i < v->axes; i++) {
        const int64_t n = tp_dim(x, tp_rank(x) - v->axes + i);
        int64_t reach, out;

        v->window[i] = window.dim[i];
        v->stride[i] = stride.dim[i];
        v->dilation[i] = dilation.dim[i];
        if (window.dim[i] < 1 || stride.dim[i] < 1 || dilation.dim[i] < 1 || pad.dim[i] < 0)
            return golden_cannot(w, "a window or stride below 1").id;
        v->pad[2 * i] = v->pad[2 * i + 1] = pad.dim[i];
        reach = (window.dim[i] - 1) * dilation.dim[i] + 1;
        if (!golden_int(w, "ceil_mode", 0) || n + 2 * pad.dim[i] < reach)
            continue;
        out = (n + 2 * pad.dim[i] - reach + stride.dim[i] - 1) / stride.dim[i] + 1;
        if ((out - 1) * stride.dim[i] >= n + pad.dim[i])
            out--;
        reach += (out - 1) * stride.dim[i] - n - pad.dim[i];
        v->pad[2 * i + 1] = reach > pad.dim[i] ? reach : pad.dim[i];
    }
    return true;
}

static tp_tensor windowed(enum ir_op op, const struct window *v, tp_tensor x)
{
    const struct ir_list attr[] = { { v->axes, v->window },
                                    { v->axes, v->stride },
                                    { 2 * v->axes, v->pad },
                                    { v->axes, v->dilation } };
    const ir_val a = tp_val(x);

    return tp_give(x.g, ir_op_attr(x.g->ir, op, 1, &a, attr, tp_place(x.g, TP_HERE)));
}

/* How many elements each window averages over. */
static tp_tensor shares(tp_tensor x, struct window v, bool include_pad, const int64_t *own_pad)
{
    tp_shape counted = { .rank = v.axes };

    for (int i = 0; i < v.axes; i++) {
        counted.dim[i] = tp_dim(x, tp_rank(x) - v.axes + i);
        if (include_pad) { /* the padding counts, what hangs over does not */
            counted.dim[i] += 2 * own_pad[i];
            v.pad[2 * i] = 0;
            v.pad[2 * i + 1] -= own_pad[i];
        }
    }
    return windowed(IR_window_sum, &v, tp_ones(x.g, tp_dtype_of(x), counted));
}

void golden_op_pool(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const bool max = strncmp(w->c->op, "max", 3) == 0,
               include_pad = golden_int(w, "count_include_pad", 1) != 0;
    struct window v;

    if (!read_window(w, x, &v))
        return;
    if (max)
        golden_out(w, windowed(IR_window_max, &v, x));
    else
        golden_out(w, tp_div(windowed(IR_window_sum, &v, x),
                             shares(x, v, include_pad, golden_ints(w, "padding").dim)));
}

/* --- resampling: a matrix [out in] for each of the last two axes ----------------------------- */

/* y = rows x columns' over the last two axes of x */
static tp_tensor resampled(tp_tensor x, tp_tensor rows, tp_tensor columns)
{
    return tp_matmul_nt(tp_matmul(rows, x), columns);
}

/* The average over floor(i n / out) .. ceil((i + 1) n / out) */
static tp_tensor averages(tp_tensor x, int64_t n, int64_t out)
{
    const tp_shape shape = tp_dims(out, n);
    const tp_tensor i = tp_index_along(x.g, shape, 0, TP_HERE),
                    j = tp_index_along(x.g, shape, 1, TP_HERE);
    const tp_tensor numbers[] = { i, j };
    ir_val letter[26] = { [0] = tp_val(numbers[0]), [1] = tp_val(numbers[1]) };
    const struct ir_loc at = tp_place(x.g, TP_HERE);
    tp_tensor inside, share;

    letter['n' - 'a'] = ir_integer(x.g->ir, IR_I64, n, at);
    letter['o' - 'a'] = ir_integer(x.g->ir, IR_I64, out, at);
    inside = tp_give(
        x.g, ir_formula(x.g->ir, "(b >= a * n / o) & (b < ((a + 1) * n + o - 1) / o)", letter, at));
    share = tp_cast(
        tp_give(x.g, ir_formula(x.g->ir, "((a + 1) * n + o - 1) / o - a * n / o", letter, at)),
        tp_dtype_of(x));
    return tp_where(inside, tp_div(tp_ones(x.g, tp_dtype_of(x), TP_SCALAR), share), 0);
}

void golden_op_adaptive_pool(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_shape size = golden_ints(w, "output_size");

    if (size.rank != 2 || tp_rank(x) < 2 || size.dim[0] < 1 || size.dim[1] < 1) {
        golden_cannot(w, "a size of %d axes", size.rank);
        return;
    }
    golden_out(w, resampled(x, averages(x, tp_dim(x, -2), size.dim[0]),
                            averages(x, tp_dim(x, -1), size.dim[1])));
}

/* Each output lies between two inputs, the nearer counts more. */
static tp_tensor between(struct golden_work *w, tp_tensor x, int64_t n, int64_t out, bool corners)
{
    const tp_shape shape = tp_dims(out, n);
    const tp_tensor i = tp_cast(tp_index_along(x.g, shape, 0, TP_HERE), tp_dtype_of(x)),
                    j = tp_cast(tp_index_along(x.g, shape, 1, TP_HERE), tp_dtype_of(x));
    const double scale =
        corners ? out > 1 ? (double)(n - 1) / (double)(out - 1) : 0 : (double)n / (double)out;
    const tp_tensor source =
        golden_maths(w, corners ? "a * p" : "max((a + 0.5) * p - 0.5, 0)", i, i, i, scale, 0, 0);

    return golden_maths(w, "max(1 - abs(min(a, q) - b), 0)", source, j, j, 0, (double)(n - 1), 0);
}

void golden_op_bilinear(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_shape size = golden_ints(w, "size");
    const bool corners = golden_int(w, "align_corners", 0) != 0;

    if (size.rank != 2 || tp_rank(x) < 2 || size.dim[0] < 1 || size.dim[1] < 1) {
        golden_cannot(w, "a size of %d axes", size.rank);
        return;
    }
    golden_out(w, resampled(x, between(w, x, tp_dim(x, -2), size.dim[0], corners),
                            between(w, x, tp_dim(x, -1), size.dim[1], corners)));
}

void golden_op_nearest(struct golden_work *w)
{
    tp_tensor x = golden_in(w, "input");
    const tp_shape scale = golden_ints(w, "scale");
    const int rank = tp_rank(x);

    if (scale.rank > rank || rank + scale.rank > IR_RANK)
        golden_cannot(w, "a scale of %d axes", scale.rank);
    for (int i = 0; i < scale.rank && !*w->why; i++) {
        const int axis = rank - scale.rank + i;
        tp_tensor wide = tp_unsqueeze(x, axis + 1);

        wide = tp_expand_at(wide, tp_with(wide, axis + 1, scale.dim[i]), TP_HERE);
        x = golden_shaped(wide, tp_with(x, axis, tp_dim(x, axis) * scale.dim[i]));
    }
    golden_out(w, x);
}

void golden_op_pixel_shuffle(struct golden_work *w)
{
    golden_out(w, tp_pixel_shuffle(golden_in(w, "input"), golden_int(w, "upscale_factor", 1)));
}
