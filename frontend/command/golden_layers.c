/*
 * golden_layers: convolutions, pools, resampling, norms, attention and recurrent nets.
 */
#include "golden.h"

#include <math.h>
#include <string.h>

/* --- convolutions
 * ---------------------------------------------------------------------------------- */

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

/* --- pools
 * --------------------------------------------------------------------------------------------- */

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

/* --- resampling: a matrix [out in] for each of the last two axes
 * ------------------------------------------ */

/* y = rows x columns' over the last two axes of x */
static tp_tensor resampled(tp_tensor x, tp_tensor rows, tp_tensor columns)
{
    return tp_matmul_nt(tp_matmul(rows, x), columns);
}

/* The average over floor(i n / out) .. ceil((i + 1) n / out) */
static tp_tensor averages(tp_tensor x, int64_t n, int64_t out)
{
    const tp_shape shape = tp_dims(out, n);
    const tp_tensor i = golden_index(x, shape, 0), j = golden_index(x, shape, 1);
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
    const tp_tensor i = tp_cast(golden_index(x, shape, 0), tp_dtype_of(x)),
                    j = tp_cast(golden_index(x, shape, 1), tp_dtype_of(x));
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

        wide = tp_expand_at(wide, golden_with(wide, axis + 1, scale.dim[i]), TP_HERE);
        x = golden_shaped(wide, golden_with(x, axis, tp_dim(x, axis) * scale.dim[i]));
    }
    golden_out(w, x);
}

void golden_op_pixel_shuffle(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t r = golden_int(w, "upscale_factor", 1);
    const int64_t c = r > 0 && tp_rank(x) == 4 ? tp_dim(x, 1) / (r * r) : 0;

    if (c < 1 || c * r * r != tp_dim(x, 1)) {
        golden_cannot(w, "%lld channels by %lld squared", (long long)tp_dim(x, 1), (long long)r);
        return;
    }
    golden_out(
        w, tp_reshape(tp_permute(tp_reshape(x, tp_dim(x, 0), c, r, r, tp_dim(x, 2), tp_dim(x, 3)),
                                 0, 1, 4, 2, 5, 3),
                      tp_dim(x, 0), c, tp_dim(x, 2) * r, tp_dim(x, 3) * r));
}

/* --- norms
 * -------------------------------------------------------------------------------------------------
 */

tp_tensor golden_normed(tp_tensor x, tp_shape axes, double eps, tp_tensor *mean, tp_tensor *var)
{
    *mean = tp_mean(x, tp_axes_of(axes), .keepdim = true);
    *var = tp_var(x, tp_axes_of(axes), .keepdim = true, .biased = true);
    return tp_mul(tp_sub(x, *mean), tp_rsqrt(tp_add(*var, eps)));
}

/* y * weight + bias, where they are there, in the given shape */
static tp_tensor scaled(struct golden_work *w, tp_tensor y, int channels)
{
    if (golden_has(w, "weight"))
        y = tp_mul(y, channels ? golden_channels(golden_in(w, "weight"), channels)
                               : golden_in(w, "weight"));
    if (golden_has(w, "bias"))
        y = tp_add(y, channels ? golden_channels(golden_in(w, "bias"), channels)
                               : golden_in(w, "bias"));
    return y;
}

void golden_op_batch_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), old_mean = golden_in(w, "running_mean"),
                    old_var = golden_in(w, "running_var");
    const double eps = golden_real(w, "eps", 1e-5), momentum = golden_real(w, "momentum", 0.1);
    const int rank = tp_rank(x);
    tp_shape axes = { 0 };
    tp_tensor y, mean, var;
    double n = 1;

    if (strcmp(w->c->op, "batch_norm_eval") == 0) {
        y = tp_mul(tp_sub(x, golden_channels(old_mean, rank)),
                   tp_rsqrt(tp_add(golden_channels(old_var, rank), eps)));
        golden_out(w, scaled(w, y, rank));
        return;
    }
    for (int i = 0; i < rank; i++)
        if (i != 1) {
            axes.dim[axes.rank++] = i;
            n *= (double)tp_dim(x, i);
        }
    y = golden_normed(x, axes, eps, &mean, &var);
    golden_out(w, scaled(w, y, rank));
    mean = golden_shaped(mean, tp_shape_of(old_mean));
    var = golden_shaped(var, tp_shape_of(old_var));
    golden_out(w, golden_maths(w, "(1 - p) * a + p * b", old_mean, mean, mean, momentum, 0, 0));
    golden_out(w, golden_maths(w, "(1 - p) * a + p * (b * q)", old_var, var, var, momentum,
                               n / (n - 1), 0));
}

static tp_shape last_axes(struct golden_work *w, tp_tensor x)
{
    const int count = golden_ints(w, "normalized_shape").rank;
    tp_shape axes = { 0 };

    if (count > tp_rank(x))
        golden_cannot(w, "norms over %d axes", count);
    else
        for (int i = tp_rank(x) - count; i < tp_rank(x); i++)
            axes.dim[axes.rank++] = i;
    return axes;
}

void golden_op_layer_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_tensor mean, var;

    golden_out(
        w,
        scaled(w, golden_normed(x, last_axes(w, x), golden_real(w, "eps", 1e-5), &mean, &var), 0));
}

void golden_op_rms_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const bool single = tp_dtype_of(x) == TP_F32;
    const double eps = golden_real(w, "eps", single ? 0x1p-23 : 0x1p-52);
    const tp_tensor square = tp_mean(tp_square(x), tp_axes_of(last_axes(w, x)), .keepdim = true);

    golden_out(w, scaled(w, tp_mul(x, tp_rsqrt(tp_add(square, eps))), 0));
}

void golden_op_group_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const bool instance = strcmp(w->c->op, "instance_norm") == 0;
    const int64_t groups = instance ? tp_dim(x, 1) : golden_int(w, "num_groups", 1);
    tp_tensor mean, var, y;

    if (tp_rank(x) < 2 || groups < 1 || tp_dim(x, 1) % groups) {
        golden_cannot(w, "%lld groups", (long long)groups);
        return;
    }
    y = golden_normed(tp_reshape(x, tp_dim(x, 0), groups, -1), (tp_shape){ 1, { 2 } },
                      golden_real(w, "eps", 1e-5), &mean, &var);
    golden_out(w, scaled(w, golden_shaped(y, tp_shape_of(x)), tp_rank(x)));
}

/* x / (k + alpha * the mean square of `size` channels around)^beta */
void golden_op_local_response_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t size = golden_int(w, "size", 1), one = 1, pad[] = { size / 2, (size - 1) / 2 };
    tp_tensor sum;

    if (tp_rank(x) < 3 || size < 1) {
        golden_cannot(w, "local_response_norm of rank %d", tp_rank(x));
        return;
    }
    sum = golden_last(tp_square(x), 1);
    const ir_val v = tp_val(sum);
    const struct ir_list attr[] = { { 1, &size }, { 1, &one }, { 2, pad }, { 1, &one } };
    sum = tp_give(w->g, ir_op_attr(w->g->ir, IR_window_sum, 1, &v, attr, tp_place(w->g, TP_HERE)));
    golden_out(w, golden_maths(w, "a / pow(b * p + q, r)", x, golden_back(sum, 1), x,
                               golden_real(w, "alpha", 1e-4) / (double)size, golden_real(w, "k", 1),
                               golden_real(w, "beta", 0.75)));
}

/* --- attention and recurrent nets
 * ------------------------------------------------------------------------------ */

void golden_op_attention(struct golden_work *w)
{
    const tp_tensor q = golden_in(w, "query"), k = golden_in(w, "key"), v = golden_in(w, "value");
    const double scale = golden_real(w, "scale", 1 / sqrt((double)tp_dim(q, -1)));
    tp_tensor score = tp_mul(tp_matmul_nt(q, k), scale);

    if (golden_int(w, "is_causal", 0)) {
        const tp_shape square = tp_dims(tp_dim(q, -2), tp_dim(k, -2));
        score = tp_where(tp_le(golden_index(q, square, 1), golden_index(q, square, 0)), score,
                         -(double)INFINITY);
    }
    if (golden_has(w, "attn_mask")) {
        const tp_tensor mask = golden_in(w, "attn_mask");
        score = tp_dtype_of(mask) == TP_BOOL ? tp_where(mask, score, -(double)INFINITY)
                                             : tp_add(score, mask);
    }
    golden_out(w, tp_matmul(tp_softmax(score, -1), v));
}

/* Columns i n .. (i + 1) n of gates */
static tp_tensor gate(tp_tensor gates, int i, int64_t n)
{
    return tp_narrow(gates, -1, i * n, n);
}

void golden_op_recurrent(struct golden_work *w)
{
    const bool lstm = strcmp(w->c->op, "lstm") == 0;
    const tp_tensor x = golden_in(w, "input"), w_ih = golden_in(w, "w_ih"),
                    w_hh = golden_in(w, "w_hh"), b_ih = golden_in(w, "b_ih"),
                    b_hh = golden_in(w, "b_hh");
    tp_tensor h = golden_in(w, "h0"), c = lstm ? golden_in(w, "c0") : h, all[256];
    const int64_t time = tp_dim(x, 0), n = tp_dim(h, -1);

    if (time < 1 || time > 256 || tp_rank(x) != 3) {
        golden_cannot(w, "%lld steps of time", (long long)time);
        return;
    }
    for (int t = 0; t < time; t++) {
        const tp_tensor in = tp_add(tp_matmul_nt(tp_index(x, t), w_ih), b_ih),
                        old = tp_add(tp_matmul_nt(h, w_hh), b_hh);
        if (lstm) {
            const tp_tensor gates = tp_add(in, old);
            c = tp_add(tp_mul(tp_sigmoid(gate(gates, 1, n)), c),
                       tp_mul(tp_sigmoid(gate(gates, 0, n)), tp_tanh(gate(gates, 2, n))));
            h = tp_mul(tp_sigmoid(gate(gates, 3, n)), tp_tanh(c));
        } else {
            const tp_tensor r = tp_sigmoid(tp_add(gate(in, 0, n), gate(old, 0, n))),
                            z = tp_sigmoid(tp_add(gate(in, 1, n), gate(old, 1, n))),
                            new = tp_tanh(tp_add(gate(in, 2, n), tp_mul(r, gate(old, 2, n))));
            h = golden_maths(w, "(1 - a) * b + a * c", z, new, h, 0, 0, 0);
        }
        all[t] = h;
    }
    golden_out(w, tp_stack_at(0, (tp_list){ (int)time, all }, TP_HERE));
    golden_out(w, h);
    if (lstm)
        golden_out(w, c);
}
