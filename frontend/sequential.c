/*
 * sequential: layers one after the other from a table, named by their numbers as nn.Sequential
 * names them; and a convolution in two, by channel and by place.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

static const char what[] = "tp_sequential";
enum { LONGEST = 200 }; /* name */

static tp_tensor linear(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    const tp_linear_args args = { .out = l->out, .no_bias = l->no_bias, .init = l->init };

    return tp_linear_at(x, name, args, at);
}

static tp_tensor conv(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    const tp_conv_args args = { .out = l->out,
                                .kernel = l->kernel,
                                .stride = l->stride,
                                .pad = l->pad,
                                .groups = l->groups,
                                .no_bias = l->no_bias,
                                .init = l->init };
    char full[40];

    snprintf(full, sizeof full, "tp_%.20s", l->what);
    return tp_conv_at(full, l->what[strlen(l->what) - 2] - '0', x, name, args, at);
}

static tp_tensor pool(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    const tp_pool_args args = { .kernel = l->kernel, .stride = l->stride, .pad = l->pad };

    (void)name;
    return tp_pool_at(l->what, l->what[strlen(l->what) - 2] - '0', x, args, at);
}

static tp_tensor norm(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    const tp_norm_args args = { .name = name, .no_bias = l->no_bias, .groups = l->groups };

    switch (*l->what) {
    case 'b':
        return tp_batch_norm_at(x, args, at);
    case 'l':
        return tp_layer_norm_at(x, args, at);
    case 'r':
        return tp_rms_norm_at(x, args, at);
    default:
        return tp_group_norm_at("tp_group_norm", x, args, at);
    }
}

static tp_tensor flatten(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    (void)name, (void)l;
    return tp_flatten_at(x, (tp_flatten_args){ .from = 1 }, at);
}

static tp_tensor dropout(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    (void)name;
    return tp_dropout_at("tp_dropout", x, l->p != 0 ? l->p : 0.5, 0, at);
}

static tp_tensor softmax(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    (void)name;
    return tp_softmax_at(l->what, x, -1, at);
}

static tp_tensor embed(tp_tensor x, const char *name, const tp_layer *l, tp_loc at)
{
    return tp_embed_at(x, name, l->kernel, l->out, at);
}

static const struct {
    const char *what;
    tp_tensor (*record)(tp_tensor x, const char *name, const tp_layer *l, tp_loc at);
} layers[] = {
    { "linear", linear },   { "conv1d", conv },     { "conv2d", conv },
    { "conv3d", conv },     { "max_pool1d", pool }, { "max_pool2d", pool },
    { "max_pool3d", pool }, { "avg_pool1d", pool }, { "avg_pool2d", pool },
    { "avg_pool3d", pool }, { "batch_norm", norm }, { "layer_norm", norm },
    { "rms_norm", norm },   { "group_norm", norm }, { "flatten", flatten },
    { "dropout", dropout }, { "softmax", softmax }, { "log_softmax", softmax },
    { "embed", embed },
};

static bool is_formula(const char *name)
{
    int count;
    const struct tp_formula_row *row = tp_formula_rows(&count);

    for (int i = 0; i < count; i++)
        if (strcmp(row[i].name, name) == 0)
            return row[i].tensors == 1;
    return false;
}

static tp_tensor record(tp_tensor x, const tp_layer *l, int number, tp_loc at)
{
    const char *kind = l->what ? l->what : "";
    const enum ir_op op = ir_op_by_name(kind, strlen(kind));
    char name[20];

    snprintf(name, sizeof name, "%d", number);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strcmp(layers[i].what, kind) == 0)
            return layers[i].record(x, l->name ? l->name : name, l, at);
    if (is_formula(kind)) /* activations */
        return tp_formula_at(kind, (tp_list){ 1, &x }, TP_NONE, at);
    if (op != IR_POISON && ir_ops[op].group == IR_UNARY)
        return tp_unary_at(kind, x, at);
    return tp_fail(x.g, at, what, "layer %d is \"%.40s\"; expected linear, conv2d, relu or such",
                   number, kind);
}

tp_tensor tp_sequential_at(tp_tensor x, const char *name, int count, const tp_layer *layer,
                           tp_loc at)
{
    if (!tp_ready(x.g, at, what, 1, &x))
        return POISON(x.g);
    if (!x.g)
        return x;
    if (name && strlen(name) > LONGEST)
        return tp_fail(x.g, at, what, "a name of %zu letters; expected at most %d", strlen(name),
                       LONGEST);
    if (name && *name)
        tp_push(x.g, "%s", name);
    for (int i = 0; i < count && x.id; i++)
        x = record(x, &layer[i], i, at);
    if (name && *name)
        tp_pop(x.g);
    return x;
}

/* Chollet, arXiv:1610.02357: each channel by itself, then all channels at each place. */
tp_tensor tp_separable_conv_at(const char *what_, int axes, tp_tensor x, const char *name,
                               tp_conv_args args, tp_loc at)
{
    tp_conv_args place = { .out = args.out,
                           .kernel = 1,
                           .no_bias = args.no_bias,
                           .shared = args.shared,
                           .frozen = args.frozen,
                           .init = args.init };

    if (!tp_ready(x.g, at, what_, 1, &x))
        return POISON(x.g);
    if (tp_rank(x) != axes + 2 || !name || !*name || strlen(name) > LONGEST || args.groups > 1 ||
        !ir_dim_fixed(tp_dim(x, 1)))
        return tp_fail(x.g, at, what_,
                       "\"%.60s\": %s; expected %d axes, fixed channels and no groups",
                       name ? name : "", tp_describe(x), axes + 2);
    args.out = args.groups = tp_dim(x, 1);
    args.no_bias = true;
    tp_push(x.g, "%s", name);
    x = tp_conv_at(what_, axes, x, "depthwise", args, at);
    x = tp_conv_at(what_, axes, x, "pointwise", place, at);
    tp_pop(x.g);
    return x;
}
