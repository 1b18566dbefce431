/*
 * golden_layers: norms, attention and recurrent nets.
 */
#include "golden.h"

#include <math.h>
#include <string.h>

/* --- norms ----------------------------------------------------------------------------------- */

tp_tensor golden_normed(tp_tensor x, tp_shape axes, double eps, tp_tensor *mean, tp_tensor *var)
{
    *mean = tp_mean(x, tp_axes_of(axes), .keepdim = true);
    *var = tp_var(x, tp_axes_of(axes), .keepdim = true, .biased = true);
    return tp_standardised(x, axes.rank, axes.dim, eps, true, TP_HERE);
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

/* The last axes, by the shape that is normalised. */
static tp_tensor normed(struct golden_work *w, bool centred, double eps)
{
    const tp_tensor x = golden_in(w, "input");
    const int count = golden_ints(w, "normalized_shape").rank;
    int64_t axes[IR_RANK];

    if (count > tp_rank(x) || *w->why)
        return golden_cannot(w, "norms over %d axes", count);
    for (int i = 0; i < count; i++)
        axes[i] = tp_rank(x) - count + i;
    return scaled(w, tp_standardised(x, count, axes, golden_real(w, "eps", eps), centred, TP_HERE),
                  0);
}

void golden_op_layer_norm(struct golden_work *w)
{
    golden_out(w, normed(w, true, 1e-5));
}

void golden_op_rms_norm(struct golden_work *w)
{
    const bool single = tp_dtype_of(golden_in(w, "input")) == TP_F32;

    golden_out(w, normed(w, false, single ? 0x1p-23 : 0x1p-52));
}

void golden_op_group_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), none = { .g = NULL };
    const bool instance = strcmp(w->c->op, "instance_norm") == 0;
    const tp_tensor pair[2] = { golden_has(w, "weight") ? golden_in(w, "weight") : none,
                                golden_has(w, "bias") ? golden_in(w, "bias") : none };

    golden_out(w, tp_grouped_norm(w->c->op, x,
                                  instance ? tp_dim(x, 1) : golden_int(w, "num_groups", 1),
                                  golden_real(w, "eps", 1e-5), pair, TP_HERE));
}

void golden_op_local_response_norm(struct golden_work *w)
{
    golden_out(w, tp_local_response_norm(golden_in(w, "input"), golden_int(w, "size", 1),
                                         .alpha = golden_real(w, "alpha", 0),
                                         .beta = golden_real(w, "beta", 0),
                                         .k = golden_real(w, "k", 0)));
}

/* --- attention and recurrent nets ------------------------------------------------------------ */

void golden_op_attention(struct golden_work *w)
{
    tp_attention_args args = { .v = golden_in(w, "value"),
                               .causal = golden_int(w, "is_causal", 0) != 0,
                               .scale = golden_real(w, "scale", 0) };

    if (golden_has(w, "attn_mask"))
        args.mask = golden_in(w, "attn_mask");
    golden_out(w, tp_attention_at(golden_in(w, "query"), golden_in(w, "key"), args, TP_HERE));
}

void golden_op_recurrent(struct golden_work *w)
{
    const bool lstm = strcmp(w->c->op, "lstm") == 0;
    const tp_tensor weight[] = { golden_in(w, "w_ih"), golden_in(w, "w_hh"), golden_in(w, "b_ih"),
                                 golden_in(w, "b_hh") };
    tp_tensor start[2] = { golden_in(w, "h0") };
    tp_recurrent r;

    if (lstm)
        start[1] = golden_in(w, "c0");
    r = tp_recurrent_cell_at(w->c->op, golden_in(w, "input"), (tp_list){ lstm ? 2 : 1, start },
                             (tp_list){ 4, weight }, false, TP_HERE);
    golden_out(w, r.y);
    golden_out(w, r.h);
    if (lstm)
        golden_out(w, r.c);
}
