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

struct layer {
    tp_graph *g;
    const char *what, *name;
    tp_loc at;
    struct ir_loc loc;
    uint32_t before, region;
};

static bool layer_begin(struct layer *l, const char *what, const char *name, tp_tensor x, tp_loc at)
{
    *l = (struct layer){ .g = x.g, .what = what, .name = name, .at = at };
    if (!tp_ready(x.g, at, what, 1, &x))
        return false;
    l->loc = tp_place(x.g, at);
    if (!name || !*name) {
        tp_fail(x.g, at, what, "it has no name");
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

/* A parameter under the layer's name, of the input's type; poison with an error. */
static tp_tensor layer_param(struct layer *l, const char *leaf, enum ir_dtype dtype, tp_shape shape,
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

static void layer_open(struct layer *l, const char *region, int n, const ir_val *args)
{
    l->before = l->g->ir->count;
    l->region = ir_region_open(l->g->ir, region, tp_path(l->g, l->name), n, args,
                               (struct ir_list){ 0 }, l->loc);
}

static tp_tensor layer_close(struct layer *l, ir_val result)
{
    const char *path = tp_path(l->g, l->name);

    ir_region_close(l->g->ir, l->region, result);
    for (uint32_t v = l->before; v < l->g->ir->count; v++)
        if (!l->g->ir->nodes[v].name)
            l->g->ir->nodes[v].name = path;
    return tp_give(l->g, result);
}

/* kaiming_uniform(a = sqrt 5), the default of PyTorch's linear and conv: within 1 / sqrt(fan_in) */
static tp_init usual(tp_init given, int64_t fan_in)
{
    double bound = fan_in > 0 ? 1 / sqrt((double)fan_in) : 0;

    return given.kind ? given : TP_UNIFORM(-bound, bound);
}

/* --- linear
 * --------------------------------------------------------------------------------------- */

tp_tensor tp_linear_at(tp_tensor x, const char *name, tp_linear_args args, tp_loc at)
{
    struct layer l;
    tp_tensor weight, bias = { 0 };
    enum ir_dtype dtype;
    char lead[IR_RANK + 1] = "", letters[40];
    int64_t in;
    ir_val v[3], y;

    if (!layer_begin(&l, "tp_linear", name, x, at))
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
    weight = layer_param(&l, "weight", dtype, tp_dims(args.out, in), usual(args.init, in),
                         args.shared, args.frozen);
    if (!args.no_bias)
        bias = layer_param(&l, "bias", dtype, tp_dims(args.out), usual((tp_init){ 0 }, in),
                           args.shared, args.frozen);
    if (!weight.id || (!args.no_bias && !bias.id))
        return POISON(x.g);
    v[0] = tp_val(x);
    v[1] = tp_val(weight);
    v[2] = tp_val(bias);
    for (int i = 0; i < tp_rank(x) - 1; i++)
        lead[i] = tp_rank(x) == 2 ? 'm' : (char)('a' + i);
    snprintf(letters, sizeof letters, "%sk,nk->%sn", lead, lead);
    layer_open(&l, "linear", args.no_bias ? 2 : 3, v);
    y = ir_dot(x.g->ir, v[0], v[1], letters, l.loc);
    if (!args.no_bias)
        y = ir_op2(x.g->ir, IR_add, y, v[2], l.loc);
    return layer_close(&l, y);
}

tp_tensor tp_mlp_at(tp_tensor x, const char *name, tp_shape widths, tp_loc at)
{
    char path[256];

    for (int i = 0; i < widths.rank; i++) {
        snprintf(path, sizeof path, "%.200s.%d", name ? name : "", 2 * i); /* as nn.Sequential's */
        x = tp_linear_at(x, path, (tp_linear_args){ .out = widths.dim[i] }, at);
        if (i + 1 < widths.rank)
            x = tp_unary_at("relu", x, at);
    }
    return x;
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

/* --- convolution
 * ------------------------------------------------------------------------------------ */

/* spatial: 1 or 2 axes after [n c]. */
static tp_tensor conv(tp_tensor x, const char *what, const char *name, tp_conv_args a, int spatial,
                      tp_loc at)
{
    const int64_t stride = a.stride ? a.stride : 1, dilation = a.dilation ? a.dilation : 1,
                  groups = a.groups ? a.groups : 1,
                  kernel[2] = { a.kernel, a.kernel_w ? a.kernel_w : a.kernel };
    const int64_t strides[] = { stride, stride }, dilations[] = { dilation, dilation },
                  pads[] = { a.pad, a.pad, a.pad, a.pad };
    struct ir_list attr[IR_ATTRS] = {
        { spatial, strides }, { 2 * spatial, pads }, { spatial, dilations }, { 1, &groups }
    };
    struct layer l;
    tp_shape shape = { .rank = 2 + spatial };
    tp_tensor weight, bias = { 0 };
    int64_t in, fan_in;
    ir_val v[3], y;

    if (!layer_begin(&l, what, name, x, at))
        return POISON(x.g);
    in = tp_dim(x, 1);
    if (tp_rank(x) != 2 + spatial || !ir_dim_fixed(in))
        return tp_fail(x.g, at, what, "\"%.60s\": input %s; expected [n channels %s]", name,
                       tp_describe(x), spatial == 1 ? "length" : "height width");
    if (a.out < 1 || a.kernel < 1 || groups < 1 || in % groups || a.out % groups)
        return tp_fail(x.g, at, what,
                       "\"%.60s\": input %s, %lld outputs, kernel %lld, %lld groups; expected 1 or "
                       "more of each and groups that divide inputs and outputs",
                       name, tp_describe(x), (long long)a.out, (long long)a.kernel,
                       (long long)groups);
    fan_in = in / groups;
    shape.dim[0] = a.out;
    shape.dim[1] = in / groups;
    for (int i = 0; i < spatial; i++) {
        shape.dim[2 + i] = kernel[i];
        fan_in *= kernel[i];
    }
    weight = layer_param(&l, "weight", tp_node(x)->dtype, shape, usual(a.init, fan_in), a.shared,
                         a.frozen);
    if (!a.no_bias)
        bias = layer_param(&l, "bias", tp_node(x)->dtype, tp_dims(a.out),
                           usual((tp_init){ 0 }, fan_in), a.shared, a.frozen);
    if (!weight.id || (!a.no_bias && !bias.id))
        return POISON(x.g);
    v[0] = tp_val(x);
    v[1] = tp_val(weight);
    v[2] = tp_val(bias);
    layer_open(&l, spatial == 2 ? "conv2d" : "conv1d", a.no_bias ? 2 : 3, v);
    y = ir_op_attr(x.g->ir, IR_conv, 2, v, attr, l.loc);
    if (!a.no_bias && y.id)
        y = ir_op2(x.g->ir, IR_add, y,
                   ir_reshape(x.g->ir, v[2],
                              (struct ir_shape){ .rank = 1 + spatial, .dim = { a.out, 1, 1 } },
                              l.loc),
                   l.loc);
    return layer_close(&l, y);
}

tp_tensor tp_conv2d_at(tp_tensor x, const char *name, tp_conv_args args, tp_loc at)
{
    return conv(x, "tp_conv2d", name, args, 2, at);
}

tp_tensor tp_conv1d_at(tp_tensor x, const char *name, tp_conv_args args, tp_loc at)
{
    return conv(x, "tp_conv1d", name, args, 1, at);
}

tp_tensor tp_pool2d_at(const char *op, tp_tensor x, tp_pool_args a, tp_loc at)
{
    const int64_t stride = a.stride ? a.stride : a.kernel;
    const int64_t window[] = { a.kernel, a.kernel }, strides[] = { stride, stride },
                  pads[] = { a.pad, a.pad, a.pad, a.pad }, ones[] = { 1, 1 };
    struct ir_list attr[IR_ATTRS] = { { 2, window }, { 2, strides }, { 4, pads }, { 2, ones } };
    bool average = strcmp(op, "avg_pool2d") == 0;
    struct ir_loc loc;
    ir_val v = tp_val(x), y;

    if (!tp_ready(x.g, at, op, 1, &x))
        return POISON(x.g);
    if (tp_rank(x) < 2 || a.kernel < 1 || a.pad < 0 || a.pad * 2 > a.kernel)
        return tp_fail(
            x.g, at, op,
            "%s, window %lld, padding %lld; expected two axes or more and at most half a "
            "window of padding",
            tp_describe(x), (long long)a.kernel, (long long)a.pad);
    loc = tp_place(x.g, at);
    y = ir_op_attr(x.g->ir, average ? IR_window_sum : IR_window_max, 1, &v, attr, loc);
    if (average && y.id) {
        double share = 1.0 / ((double)a.kernel * (double)a.kernel);
        y = ir_op2(x.g->ir, IR_mul, y, ir_number(x.g->ir, tp_node(x)->dtype, share, loc), loc);
    }
    return tp_give(x.g, y);
}

/* --- normalisation
 * -------------------------------------------------------------------------------------- */

/* A vector along axis 1 of a value of the given rank. */
static ir_val along(struct ir_graph *g, ir_val v, int rank, struct ir_loc loc)
{
    struct ir_shape s = { .rank = rank - 1,
                          .dim = { ir_at(g, v)->shape.dim[0], 1, 1, 1, 1, 1, 1 } };

    return rank <= 2 ? v : ir_reshape(g, v, s, loc);
}

static ir_val normalised(struct ir_graph *g, const struct ir_norm *n, double eps, int rank,
                         struct ir_loc at)
{
    ir_val letter[26] = { n->x, along(g, n->mean, rank, at), along(g, n->variance, rank, at) };
    ir_val y;

    letter[4] = ir_number(g, ir_at(g, n->x)->dtype, eps, at);
    y = ir_formula(g, "(a - b) * rsqrt(c + e)", letter, at);
    if (n->scale.id)
        y = ir_op2(g, IR_mul, y, along(g, n->scale, rank, at), at);
    return n->offset.id ? ir_op2(g, IR_add, y, along(g, n->offset, rank, at), at) : y;
}

ir_val tp_batch_norm_eval(struct ir_graph *g, const struct ir_norm *n, double eps, struct ir_loc at)
{
    return normalised(g, n, eps, ir_at(g, n->x)->shape.rank, at);
}

/* running = (1 - momentum) * running + momentum * found, with the unbiased variance */
static void run_on(struct ir_graph *g, ir_val running, ir_val found, double momentum,
                   struct ir_loc at)
{
    ir_val letter[26] = { running, found };
    enum ir_dtype dtype = ir_at(g, running)->dtype;

    letter[2] = ir_number(g, dtype, 1 - momentum, at);
    letter[3] = ir_number(g, dtype, momentum, at);
    ir_assign(g, running, ir_formula(g, "c * a + d * b", letter, at), at);
}

tp_tensor tp_batch_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    const double eps = a.eps > 0 ? a.eps : 1e-5, momentum = a.momentum > 0 ? a.momentum : 0.1;
    struct layer l;
    struct ir_norm now, run;
    struct ir_graph *g;
    int64_t axes[IR_RANK], count = 1, bits;
    enum ir_dtype dtype;
    tp_tensor p[4] = { 0 };
    ir_val letter[26] = { 0 }, size, y;
    int n = 0;
    tp_shape shape;

    if (!layer_begin(&l, "tp_batch_norm", a.name, x, at))
        return POISON(x.g);
    if (tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1)))
        return tp_fail(x.g, at, l.what, "\"%.60s\": input %s; expected [n channels ..]", a.name,
                       tp_describe(x));
    g = x.g->ir;
    dtype = tp_node(x)->dtype;
    shape = tp_dims(tp_dim(x, 1));
    if (!a.no_scale) {
        p[0] = layer_param(&l, "weight", dtype, shape, TP_ONES, a.shared, false);
        p[1] = layer_param(&l, "bias", dtype, shape, TP_ZEROS, a.shared, false);
    }
    p[2] = tp_state_at(x.g, ir_format(g->arena, "%s.running_mean", a.name), (tp_dtype)(dtype + 1),
                       shape, TP_ZEROS, at);
    p[3] = tp_state_at(x.g, ir_format(g->arena, "%s.running_var", a.name), (tp_dtype)(dtype + 1),
                       shape, TP_ONES, at);
    if (!tp_tell(x.g))
        return POISON(x.g);
    for (int i = 0; i < tp_rank(x); i++)
        if (i != 1) {
            axes[n++] = i;
            count = ir_dim_mul(g, count, tp_dim(x, i));
        }
    run = (struct ir_norm){ tp_val(x), tp_val(p[0]), tp_val(p[1]), tp_val(p[2]), tp_val(p[3]) };
    now = run;
    memcpy(&bits, &eps, sizeof bits);
    l.before = g->count;
    /* arguments in the order of ir_norm; without a scale they are x, mean, variance */
    l.region = ir_region_open(g, "batch_norm", tp_path(x.g, a.name), a.no_scale ? 3 : 5,
                              a.no_scale ? (ir_val[]){ run.x, run.mean, run.variance } : &run.x,
                              (struct ir_list){ 1, &bits }, l.loc);
    size = ir_size(g, count, dtype, l.loc);
    now.mean = ir_op2(g, IR_div, ir_reduce(g, IR_sum, now.x, n, axes, l.loc), size, l.loc);
    letter[0] = now.x;
    letter[1] = along(g, now.mean, tp_rank(x), l.loc);
    y = ir_formula(g, "(a - b) * (a - b)", letter, l.loc);
    letter[0] = ir_reduce(g, IR_sum, y, n, axes, l.loc);
    letter[1] = size;
    now.variance = ir_op2(g, IR_div, letter[0], size, l.loc);
    run_on(g, run.mean, now.mean, momentum, l.loc);
    run_on(g, run.variance, ir_formula(g, "a / (b - 1)", letter, l.loc), momentum, l.loc);
    return layer_close(&l, normalised(g, &now, eps, tp_rank(x), l.loc));
}

tp_tensor tp_layer_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    const tp_reduce_args last = { .dim = -1, .keepdim = true, .biased = true };
    struct layer l;
    tp_tensor mean, variance, scale = { 0 }, offset = { 0 };
    enum ir_dtype dtype;
    ir_val v[3] = { tp_val(x) }, letter[26] = { tp_val(x) }, y;

    if (!layer_begin(&l, "tp_layer_norm", a.name, x, at))
        return POISON(x.g);
    if (tp_rank(x) < 1 || !ir_dim_fixed(tp_dim(x, -1)))
        return tp_fail(x.g, at, l.what, "\"%.60s\": input %s; expected a last axis of known extent",
                       a.name, tp_describe(x));
    dtype = tp_node(x)->dtype;
    if (!a.no_scale) {
        scale = layer_param(&l, "weight", dtype, tp_dims(tp_dim(x, -1)), TP_ONES, a.shared, false);
        offset = layer_param(&l, "bias", dtype, tp_dims(tp_dim(x, -1)), TP_ZEROS, a.shared, false);
    }
    v[1] = tp_val(scale);
    v[2] = tp_val(offset);
    layer_open(&l, "layer_norm", a.no_scale ? 1 : 3, v);
    mean = tp_reduce_at("mean", x, last, at);
    variance = tp_reduce_at("var", x, last, at);
    if (!tp_tell(x.g))
        return POISON(x.g);
    letter[1] = tp_val(mean);
    letter[2] = tp_val(variance);
    letter[4] = ir_number(x.g->ir, dtype, a.eps > 0 ? a.eps : 1e-5, l.loc);
    y = ir_formula(x.g->ir, "(a - b) * rsqrt(c + e)", letter, l.loc);
    if (!a.no_scale)
        y = ir_op2(x.g->ir, IR_add, ir_op2(x.g->ir, IR_mul, y, v[1], l.loc), v[2], l.loc);
    return layer_close(&l, y);
}

/* A region that programs for evaluation replace by its argument. */
tp_tensor tp_dropout_at(tp_tensor x, double p, tp_loc at)
{
    ir_val v = tp_val(x), bits, kept, scaled, zero;
    struct ir_loc loc;
    uint32_t region;
    enum ir_dtype dtype;

    if (!tp_ready(x.g, at, "tp_dropout", 1, &x))
        return POISON(x.g);
    if (!(p >= 0 && p < 1) || ir_dtypes[tp_node(x)->dtype].kind != 'f')
        return tp_fail(x.g, at, "tp_dropout",
                       "%s with probability %g; expected a floating type and 0 <= p < 1",
                       tp_describe(x), p);
    if (p == 0)
        return x;
    loc = tp_place(x.g, at);
    dtype = tp_node(x)->dtype;
    region = ir_region_open(x.g->ir, "dropout", NULL, 1, &v, (struct ir_list){ 0 }, loc);
    bits = tp_chance(x.g, tp_node(x)->shape, loc);
    kept = ir_op2(x.g->ir, IR_le, ir_integer(x.g->ir, IR_U32, (int64_t)(p * 4294967296.0), loc),
                  bits, loc);
    scaled = ir_op2(x.g->ir, IR_mul, v, ir_number(x.g->ir, dtype, 1 / (1 - p), loc), loc);
    zero = ir_number(x.g->ir, dtype, 0, loc);
    return tp_give(x.g,
                   ir_region_close(x.g->ir, region, ir_select(x.g->ir, kept, scaled, zero, loc)));
}
