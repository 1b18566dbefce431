/*
 * nn: layers: an operation with its parameters.
 *
 * Names, shapes and initial values are PyTorch's, so that state dicts load and runs compare. A
 * layer's nodes are a region with the layer's name, which carries on into kernels and messages.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

/* --- what layers share ---------------------------------------------------------------------------
 */

bool tp_layer_begin(struct layer *l, const char *what, const char *name, tp_tensor x, tp_loc at)
{
    *l = (struct layer){ .g = x.g, .what = what, .name = name, .at = at };
    if (!tp_ready(x.g, at, what, 1, &x))
        return false;
    l->loc = tp_place(x.g, at);
    l->dtype = tp_node(x)->dtype;
    if (!name || !*name) {
        tp_fail(x.g, at, what, "it has no name; expected one for its parameters");
        return false;
    }
    if (ir_dtypes[tp_node(x)->dtype].kind != 'f') {
        tp_fail(x.g, at, what,
                "\"%.60s\": input %s; expected a floating type, tp_cast() changes it", name,
                tp_describe(x));
        return false;
    }
    return true;
}

bool tp_layer_of(struct layer *l, const char *what, tp_tensor x, tp_tensor weight, tp_loc at)
{
    const char *name =
        weight.g && weight.id && tp_node(weight)->op == IR_state ? tp_name(weight) : NULL;

    if (!tp_layer_begin(l, what, name ? name : what, x, at) || !tp_ready(x.g, at, what, 1, &weight))
        return false;
    if (weight.g && tp_node(weight)->dtype != l->dtype)
        tp_fail(x.g, at, what, "input %s, weight %s; expected one type", tp_describe_from(x),
                tp_describe_from(weight));
    return x.g->error.status == IR_OK;
}

/* A parameter under the layer's name, of the input's type; poison with an error. */
tp_tensor tp_layer_param(struct layer *l, const char *leaf, enum ir_dtype dtype, tp_shape shape,
                         tp_init init, bool shared, bool frozen)
{
    char path[256];

    snprintf(path, sizeof path, "%.200s.%s", l->name, leaf);
    return tp_param_at(
        l->g, path, shape,
        (tp_param_args){
            .init = init, .dtype = (tp_dtype)(dtype + 1), .shared = shared, .frozen = frozen },
        l->at);
}

void tp_layer_open(struct layer *l, const char *region, int n, const ir_val *args)
{
    l->before = l->g->ir->count;
    l->region = ir_region_open(l->g->ir, region, tp_path(l->g, l->name), n, args,
                               (struct ir_list){ 0 }, l->loc);
}

tp_tensor tp_layer_close(struct layer *l, ir_val result)
{
    const char *path = tp_path(l->g, l->name);

    ir_region_close(l->g->ir, l->region, result);
    for (uint32_t v = l->before; v < l->g->ir->count; v++)
        if (!l->g->ir->nodes[v].name)
            l->g->ir->nodes[v].name = path;
    return tp_give(l->g, result);
}

/* kaiming_uniform(a = sqrt 5), the default of PyTorch's linear and conv: within 1 / sqrt(fan_in) */
tp_init tp_usual_init(tp_init given, int64_t fan_in)
{
    double bound = fan_in > 0 ? 1 / sqrt((double)fan_in) : 0;

    return given.kind ? given : TP_UNIFORM(-bound, bound);
}

/* --- linear ------------------------------------------------------------------------------------
 */

/* bias: its g is NULL where there is none */
static tp_tensor linear(struct layer *l, tp_tensor x, tp_tensor weight, tp_tensor bias)
{
    const ir_val v[3] = { tp_val(x), tp_val(weight), tp_val(bias) };
    char lead[IR_RANK + 1] = "", letters[40];
    ir_val y;

    for (int i = 0; i < tp_rank(x) - 1; i++)
        lead[i] = tp_rank(x) == 2 ? 'm' : (char)('a' + i);
    snprintf(letters, sizeof letters, "%sk,nk->%sn", lead, lead);
    tp_layer_open(l, "linear", bias.g ? 3 : 2, v);
    y = ir_dot(x.g->ir, v[0], v[1], letters, l->loc);
    if (bias.g)
        y = ir_op2(x.g->ir, IR_add, y, v[2], l->loc);
    return tp_layer_close(l, y);
}

tp_tensor tp_linear_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, tp_loc at)
{
    struct layer l;

    if (!tp_layer_of(&l, "linear", x, weight, at) || !tp_ready(x.g, at, "linear", 1, &bias))
        return POISON(x.g);
    if (tp_rank(x) < 1 || tp_rank(weight) != 2 || tp_dim(weight, 1) != tp_dim(x, -1) ||
        (bias.g && (tp_rank(bias) != 1 || tp_dim(bias, 0) != tp_dim(weight, 0))))
        return tp_fail(x.g, at, l.what,
                       "input %s, weight %s, bias %s; expected [.. in], [out in], [out]",
                       tp_describe(x), tp_describe(weight), bias.g ? tp_describe(bias) : "none");
    return linear(&l, x, weight, bias);
}

tp_tensor tp_linear_at(tp_tensor x, const char *name, tp_linear_args args, tp_loc at)
{
    struct layer l;
    tp_tensor weight, bias = { 0 };
    enum ir_dtype dtype;
    int64_t in;

    if (!tp_layer_begin(&l, "tp_linear", name, x, at))
        return POISON(x.g);
    in = tp_dim(x, -1);
    if (tp_rank(x) < 1 || !ir_dim_fixed(in) || args.out < 1)
        return tp_fail(
            x.g, at, l.what,
            "\"%.60s\": input %s, %lld outputs; expected a last axis of known extent and "
            "1 output or more",
            name, tp_describe(x), (long long)args.out);
    dtype = tp_node(x)->dtype;
    if (args.shared &&
        tp_find(x.g, tp_path(x.g, ir_format(x.g->ir->arena, "%s.weight", name))).id) {
        weight = tp_find(x.g, tp_path(x.g, ir_format(x.g->ir->arena, "%s.weight", name)));
        if (tp_dim(weight, 1) != in || tp_dim(weight, 0) != args.out)
            return tp_fail(x.g, at, l.what,
                           "\"%.60s\": input %s, shared weight %s; expected [%lld %lld]", name,
                           tp_describe(x), tp_describe(weight), (long long)args.out, (long long)in);
    }
    weight = tp_layer_param(&l, "weight", dtype, tp_dims(args.out, in),
                            tp_usual_init(args.init, in), args.shared, args.frozen);
    if (!args.no_bias)
        bias = tp_layer_param(&l, "bias", dtype, tp_dims(args.out),
                              tp_usual_init((tp_init){ 0 }, in), args.shared, args.frozen);
    if (!weight.id || (!args.no_bias && !bias.id))
        return POISON(x.g);
    return linear(&l, x, weight, bias);
}

tp_tensor tp_mlp_at(tp_tensor x, const char *name, tp_shape widths, tp_loc at)
{
    char path[256];

    if (!tp_ready(x.g, at, "tp_mlp", 1, &x) || !tp_good_rank(x.g, at, "tp_mlp", widths))
        return POISON(x.g);
    for (int i = 0; i < widths.rank; i++) {
        snprintf(path, sizeof path, "%.200s.%d", name ? name : "", 2 * i); /* as nn.Sequential's */
        x = tp_linear_at(x, path, (tp_linear_args){ .out = widths.dim[i] }, at);
        if (i + 1 < widths.rank)
            x = tp_unary_at("relu", x, at);
    }
    return x;
}

tp_tensor tp_embedding_padded_at(tp_tensor weight, tp_tensor index, int64_t padding, tp_loc at)
{
    tp_tensor y = tp_take_at(weight, 0, index, at), own;

    if (!y.id)
        return y;
    own = tp_binary_at("eq", index, tp_as_number((double)padding), at);
    for (int i = tp_rank(index); i < tp_rank(y); i++)
        own = tp_unsqueeze_at(own, -1, at);
    return tp_where_at(tp_expand_at(own, tp_shape_of(y), at), tp_unary_at("stop_gradient", y, at),
                       y, at);
}

tp_tensor tp_embed_at(tp_tensor index, const char *name, int64_t rows, int64_t width, tp_loc at)
{
    char path[256];
    tp_tensor weight;

    if (!tp_ready(index.g, at, "tp_embed", 1, &index))
        return POISON(index.g);
    snprintf(path, sizeof path, "%.200s.weight", name ? name : "");
    weight = tp_param_at(index.g, path, tp_dims(rows, width),
                         (tp_param_args){ .init = TP_NORMAL(1) }, at);
    return tp_take_at(weight, 0, index, at);
}
