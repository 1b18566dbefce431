/*
 * nn_norm: layers that normalise, and dropout. batch_norm and dropout mean one thing in training
 * and another in evaluation: they are recorded in the form for training, as regions that tell
 * enough to write the other (compile.c).
 */
#include <string.h>

#include "frontend/frontend.h"

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

    if (!tp_layer_begin(&l, "tp_batch_norm", a.name, x, at))
        return POISON(x.g);
    if (tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1)))
        return tp_fail(x.g, at, l.what, "\"%.60s\": input %s; expected [n channels ..]", a.name,
                       tp_describe(x));
    g = x.g->ir;
    dtype = tp_node(x)->dtype;
    shape = tp_dims(tp_dim(x, 1));
    if (!a.no_scale) {
        p[0] = tp_layer_param(&l, "weight", dtype, shape, TP_ONES, a.shared, false);
        p[1] = tp_layer_param(&l, "bias", dtype, shape, TP_ZEROS, a.shared, false);
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
    run_on(g, run.variance, ir_formula(g, "a / max(b - 1, 1)", letter, l.loc), momentum, l.loc);
    return tp_layer_close(&l, normalised(g, &now, eps, tp_rank(x), l.loc));
}

tp_tensor tp_layer_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    const tp_reduce_args last = { .dim = -1, .keepdim = true, .biased = true };
    struct layer l;
    tp_tensor mean, variance, scale = { 0 }, offset = { 0 };
    enum ir_dtype dtype;
    ir_val v[3] = { tp_val(x) }, letter[26] = { tp_val(x) }, y;

    if (!tp_layer_begin(&l, "tp_layer_norm", a.name, x, at))
        return POISON(x.g);
    if (tp_rank(x) < 1 || !ir_dim_fixed(tp_dim(x, -1)))
        return tp_fail(x.g, at, l.what, "\"%.60s\": input %s; expected a last axis of known extent",
                       a.name, tp_describe(x));
    dtype = tp_node(x)->dtype;
    if (!a.no_scale) {
        scale =
            tp_layer_param(&l, "weight", dtype, tp_dims(tp_dim(x, -1)), TP_ONES, a.shared, false);
        offset =
            tp_layer_param(&l, "bias", dtype, tp_dims(tp_dim(x, -1)), TP_ZEROS, a.shared, false);
    }
    v[1] = tp_val(scale);
    v[2] = tp_val(offset);
    tp_layer_open(&l, "layer_norm", a.no_scale ? 1 : 3, v);
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
    return tp_layer_close(&l, y);
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
