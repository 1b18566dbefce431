/*
 * nn_conv: convolutions of one to three axes, and their transposes. A layer's numbers hold for
 * every axis; lists give each axis its own.
 */
#include <string.h>

#include "frontend/frontend.h"

/* --- what layers and questions share ------------------------------------------------------------
 */

tp_tensor tp_convolved(enum ir_op op, const struct tp_conv *c, tp_tensor x, tp_tensor weight,
                       tp_loc at)
{
    const struct ir_list attr[IR_ATTRS] = { { c->axes, c->stride },
                                            { 2 * c->axes, c->pad },
                                            { c->axes, c->dilation },
                                            { 1, &c->groups },
                                            { c->axes, c->size } };

    if (!tp_ready(x.g, at, "conv", 1, &x))
        return POISON(x.g);
    return tp_give(x.g, ir_op_attr(x.g->ir, op, 2, (ir_val[]){ tp_val(x), tp_val(weight) }, attr,
                                   tp_place(x.g, at)));
}

/*
 * The transpose: without padding first, then cut by the padding. Output padding may reach past what
 * the input says anything about: zeros.
 */
tp_tensor tp_conv_transposed(const char *what, const struct tp_conv *c, const int64_t *more,
                             tp_tensor x, tp_tensor weight, tp_loc at)
{
    tp_shape lo = { .rank = 2 + c->axes }, hi = lo;
    struct tp_conv whole = *c;
    tp_tensor y;

    memset(whole.pad, 0, sizeof whole.pad);
    for (int i = 0; i < c->axes; i++) {
        if (!ir_dim_fixed(tp_dim(x, 2 + i)))
            return tp_fail(x.g, at, what, "%s; expected known extents behind the channels",
                           tp_describe(x));
        whole.size[i] = (tp_dim(x, 2 + i) - 1) * c->stride[i] +
                        (tp_dim(weight, 2 + i) - 1) * c->dilation[i] + 1;
    }
    y = tp_convolved(IR_conv_input, &whole, x, weight, at);
    if (!y.id)
        return y;
    for (int i = 0; i < c->axes; i++) {
        const int64_t size = whole.size[i] - c->pad[2 * i] - c->pad[2 * i + 1] + more[i],
                      stop = c->pad[2 * i] + size;

        if (size < 0)
            return tp_fail(x.g, at, what, "%s: more padding than output along axis %d",
                           tp_describe(x), 2 + i);
        hi.dim[2 + i] = stop > whole.size[i] ? stop - whole.size[i] : 0;
        y = tp_cut(y, 2 + i, c->pad[2 * i], stop, at);
    }
    for (int i = 0; i < c->axes; i++)
        if (hi.dim[2 + i])
            return tp_pad_at(y, lo, hi, 0, at);
    return y;
}

/* One of a list, or what holds for all axes, or the default. */
static int64_t of_axis(tp_shape list, int axis, int64_t all, int64_t otherwise)
{
    return list.rank ? list.dim[axis < list.rank ? axis : list.rank - 1] : all ? all : otherwise;
}

/* --- layers ------------------------------------------------------------------------------------
 */

/* All numbers of the layer by axis; false: with an error. */
static bool read(const struct layer *l, tp_tensor x, const tp_conv_args *a, int spatial,
                 bool transposed, struct tp_conv *c, tp_shape *weight)
{
    const int64_t in = tp_dim(x, 1), groups = a->groups ? a->groups : 1, most = 1 << 20;
    bool good = a->out >= 1 && groups >= 1 && in >= 1 && in % groups == 0 && a->out % groups == 0;

    if (!tp_good_rank(x.g, l->at, l->what, a->kernels) ||
        !tp_good_rank(x.g, l->at, l->what, a->strides) ||
        !tp_good_rank(x.g, l->at, l->what, a->pads) ||
        !tp_good_rank(x.g, l->at, l->what, a->dilations) ||
        !tp_good_rank(x.g, l->at, l->what, a->out_pads))
        return false;
    *c = (struct tp_conv){ .axes = spatial, .groups = groups };
    *weight = (tp_shape){ .rank = 2 + spatial };
    weight->dim[0] = transposed ? in : a->out;
    weight->dim[1] = good ? (transposed ? a->out : in) / groups : 1;
    for (int i = 0; i < spatial; i++) {
        const int64_t k = i == 1 && a->kernel_w && !a->kernels.rank
                              ? a->kernel_w
                              : of_axis(a->kernels, i, a->kernel, 0),
                      pad = of_axis(a->pads, i, a->pad, 0);

        weight->dim[2 + i] = k;
        c->stride[i] = of_axis(a->strides, i, a->stride, 1);
        c->dilation[i] = of_axis(a->dilations, i, a->dilation, 1);
        good &= k >= 1 && k < most && c->stride[i] >= 1 && c->stride[i] < most &&
                c->dilation[i] >= 1 && c->dilation[i] < most && pad >= 0 && pad < most &&
                (!a->same || c->stride[i] == 1);
        const int64_t reach = good ? c->dilation[i] * (k - 1) : 0;
        c->pad[2 * i] = a->same ? reach / 2 : pad;
        c->pad[2 * i + 1] = a->same ? reach - reach / 2 : pad;
    }
    if (!good)
        tp_fail(
            x.g, l->at, l->what,
            "\"%.60s\": input %s, %lld outputs, kernel %lld, %lld groups; expected 1 or more of "
            "each and groups that divide inputs and outputs",
            l->name, tp_describe(x), (long long)a->out, (long long)weight->dim[2],
            (long long)groups);
    return good;
}

/* Padding by what is inside, before the convolution. */
static tp_tensor padded(tp_tensor x, const char *mode, struct tp_conv *c, tp_loc at)
{
    tp_shape lo = { .rank = tp_rank(x) }, hi = lo;

    for (int i = 0; i < c->axes; i++) {
        lo.dim[2 + i] = c->pad[2 * i];
        hi.dim[2 + i] = c->pad[2 * i + 1];
        c->pad[2 * i] = c->pad[2 * i + 1] = 0;
    }
    return tp_pad_mode_at(x, lo, hi, mode, at);
}

static bool good_input(const struct layer *l, tp_tensor x, int spatial)
{
    if (spatial >= 1 && spatial <= 3 && tp_rank(x) == 2 + spatial && ir_dim_fixed(tp_dim(x, 1)))
        return true;
    tp_fail(x.g, l->at, l->what, "\"%.60s\": input %s; expected [n channels %s]", l->name,
            tp_describe(x),
            spatial == 1   ? "length"
            : spatial == 2 ? "height width"
                           : "depth height width");
    return false;
}

/* bias: its g is NULL where there is none */
static tp_tensor convolve(struct layer *l, tp_tensor x, tp_tensor weight, tp_tensor bias,
                          struct tp_conv *c, const tp_conv_args *a)
{
    static const char *const regions[] = { "conv1d", "conv2d", "conv3d" };
    const bool transposed = strstr(l->what, "transpose") != NULL;
    const ir_val v[3] = { tp_val(x), tp_val(weight), tp_val(bias) };
    int64_t more[3] = { 0 };
    tp_tensor y;

    for (int i = 0; i < c->axes; i++) {
        more[i] = of_axis(a->out_pads, i, a->out_pad, 0);
        if (more[i] < 0 || more[i] > 1 << 20)
            return tp_fail(x.g, l->at, l->what, "\"%.60s\": %lld more outputs; expected 0 or more",
                           l->name, (long long)more[i]);
    }
    tp_layer_open(l, transposed ? "conv_transpose" : regions[c->axes - 1], bias.g ? 3 : 2, v);
    if (a->pad_mode && strcmp(a->pad_mode, "zeros") != 0)
        x = padded(x, a->pad_mode, c, l->at);
    y = transposed ? tp_conv_transposed(l->what, c, more, x, weight, l->at)
                   : tp_convolved(IR_conv, c, x, weight, l->at);
    if (bias.g && y.id)
        y = tp_give(x.g, ir_op2(x.g->ir, IR_add, tp_val(y),
                                ir_reshape(x.g->ir, v[2],
                                           (struct ir_shape){ .rank = 1 + c->axes,
                                                              .dim = { a->out, 1, 1, 1 } },
                                           l->loc),
                                l->loc));
    return tp_layer_close(l, tp_val(y));
}

tp_tensor tp_conv_of_at(const char *what, int spatial, tp_tensor x, tp_tensor weight,
                        tp_tensor bias, tp_conv_args a, tp_loc at)
{
    const bool transposed = strstr(what, "transpose") != NULL;
    struct layer l;
    struct tp_conv c;
    tp_shape shape;

    if (!tp_layer_of(&l, what, x, weight, at) || !tp_ready(x.g, at, what, 1, &bias) ||
        !good_input(&l, x, spatial))
        return POISON(x.g);
    a.kernels = (tp_shape){ .rank = spatial };
    for (int i = 0; i < spatial; i++)
        a.kernels.dim[i] = tp_dim(weight, 2 + i);
    a.out = tp_dim(weight, transposed) * (transposed && a.groups ? a.groups : 1);
    if (!weight.g || tp_rank(weight) != 2 + spatial)
        return tp_fail(x.g, at, what, "input %s, weight %s; expected [out in/groups kernel..]",
                       tp_describe(x), weight.g ? tp_describe(weight) : "none");
    if (!read(&l, x, &a, spatial, transposed, &c, &shape))
        return POISON(x.g);
    if (tp_dim(weight, 0) != shape.dim[0] || tp_dim(weight, 1) != shape.dim[1] ||
        (bias.g && (tp_rank(bias) != 1 || tp_dim(bias, 0) != a.out)))
        return tp_fail(x.g, at, what,
                       "input %s, weight %s, bias %s, %lld groups; expected weight [%lld %lld ..]",
                       tp_describe(x), tp_describe(weight), bias.g ? tp_describe(bias) : "none",
                       (long long)c.groups, (long long)shape.dim[0], (long long)shape.dim[1]);
    return convolve(&l, x, weight, bias, &c, &a);
}

tp_tensor tp_conv_at(const char *what, int spatial, tp_tensor x, const char *name, tp_conv_args a,
                     tp_loc at)
{
    const bool transposed = strstr(what, "transpose") != NULL;
    struct layer l;
    struct tp_conv c;
    tp_shape shape;
    tp_tensor weight, bias = { 0 };
    int64_t fan_in = 1;

    if (!tp_layer_begin(&l, what, name, x, at) || !good_input(&l, x, spatial))
        return POISON(x.g);
    if (!read(&l, x, &a, spatial, transposed, &c, &shape))
        return POISON(x.g);
    for (int i = 1; i < shape.rank; i++) /* PyTorch counts axis 1 in both layouts */
        if (__builtin_mul_overflow(fan_in, shape.dim[i], &fan_in))
            return tp_fail(x.g, at, what, "\"%.60s\": more than 2^63 weights; expected fewer",
                           name);
    weight = tp_layer_param(&l, "weight", l.dtype, shape, tp_usual_init(a.init, fan_in), a.shared,
                            a.frozen);
    if (!a.no_bias)
        bias = tp_layer_param(&l, "bias", l.dtype, tp_dims(a.out),
                              tp_usual_init((tp_init){ 0 }, fan_in), a.shared, a.frozen);
    if (!weight.id || (!a.no_bias && !bias.id))
        return POISON(x.g);
    return convolve(&l, x, weight, bias, &c, &a);
}
