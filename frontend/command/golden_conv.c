/*
 * golden_conv: convolutions, pools and resampling.
 */
#include "golden.h"

/* --- convolutions ---------------------------------------------------------------------------- */

/* Attributes of a convolution over some spatial axes; padding is the same on both sides. */
static bool read_conv(struct golden_work *w, int axes, struct tp_conv *c)
{
    const tp_shape stride = golden_ints(w, "stride"), pad = golden_ints(w, "padding"),
                   dilation = golden_ints(w, "dilation");

    *c = (struct tp_conv){ .axes = axes, .groups = golden_int(w, "groups", 1) };
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
    struct tp_conv c;

    if (read_conv(w, tp_rank(weight) - 2, &c))
        finish(w, tp_convolved(IR_conv, &c, batched ? x : tp_unsqueeze(x, 0), weight, TP_HERE),
               batched);
}

void golden_op_conv_transpose(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), weight = golden_in(w, "weight");
    const bool batched = tp_rank(x) == tp_rank(weight);
    const tp_shape more = golden_ints(w, "output_padding");
    struct tp_conv c;

    if (!read_conv(w, tp_rank(weight) - 2, &c) || more.rank != c.axes) {
        golden_cannot(w, "output padding of %d axes", more.rank);
        return;
    }
    finish(w,
           tp_conv_transposed(w->c->op, &c, more.dim, batched ? x : tp_unsqueeze(x, 0), weight,
                              TP_HERE),
           batched);
}

/* --- pools and resampling ----------------------------------------------------------------------
 */

static tp_shape given(struct golden_work *w, const char *name)
{
    return golden_attr(w->c, name) ? golden_ints(w, name) : (tp_shape){ 0 };
}

void golden_op_pool(struct golden_work *w)
{
    const tp_pool_args args = { .kernels = golden_ints(w, "kernel_size"),
                                .pads = golden_ints(w, "padding"),
                                .strides = given(w, "stride"),
                                .dilations = given(w, "dilation"),
                                .ceil = golden_int(w, "ceil_mode", 0) != 0,
                                .exclude_pad = golden_int(w, "count_include_pad", 1) == 0 };

    if (args.kernels.rank < 1 || args.kernels.rank > 3)
        golden_cannot(w, "a pool of %d axes", args.kernels.rank);
    else
        golden_out(w,
                   tp_pool_at(w->c->op, args.kernels.rank, golden_in(w, "input"), args, TP_HERE));
}

void golden_op_adaptive_pool(struct golden_work *w)
{
    golden_out(w, tp_adaptive_pool_at("adaptive_avg_pool", golden_in(w, "input"),
                                      golden_ints(w, "output_size"), TP_HERE));
}

void golden_op_bilinear(struct golden_work *w)
{
    golden_out(w, tp_interpolate_at(golden_in(w, "input"), "bilinear", golden_ints(w, "size"),
                                    golden_int(w, "align_corners", 0) != 0, TP_HERE));
}

void golden_op_nearest(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_shape size = golden_ints(w, "scale");

    for (int i = 0; i < size.rank && size.rank <= tp_rank(x); i++)
        size.dim[i] *= tp_dim(x, tp_rank(x) - size.rank + i);
    golden_out(w, tp_interpolate(x, "nearest", size));
}

void golden_op_pixel_shuffle(struct golden_work *w)
{
    golden_out(w, tp_pixel_shuffle(golden_in(w, "input"), golden_int(w, "upscale_factor", 1)));
}
