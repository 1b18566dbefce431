/*
 * nn_norm: layers that normalise. What they share is one region, (x - mean) / deviation over some
 * axes, with a derivative of its own. batch_norm means one thing in training and another in
 * evaluation: it is recorded in the form for training, as a region that tells enough to write the
 * other (compile.c).
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

/* axes: those that the mean was taken over, or none */
static ir_val normalised(struct ir_graph *g, const struct ir_norm *n, double eps, int rank,
                         struct ir_list axes, struct ir_loc at)
{
    ir_val letter[26] = { n->x, along(g, n->mean, rank, at), along(g, n->variance, rank, at) };
    uint32_t region = 0;
    ir_val y;

    letter[4] = ir_number(g, ir_at(g, n->x)->dtype, eps, at);
    if (axes.count)
        region = ir_region_open(g, "standardise", NULL, 1, &n->x, axes, at);
    y = ir_formula(g, "(a - b) * rsqrt(c + e)", letter, at);
    y = axes.count ? ir_region_close(g, region, y) : y;
    if (n->scale.id)
        y = ir_op2(g, IR_mul, y, along(g, n->scale, rank, at), at);
    return n->offset.id ? ir_op2(g, IR_add, y, along(g, n->offset, rank, at), at) : y;
}

ir_val tp_batch_norm_eval(struct ir_graph *g, const struct ir_norm *n, double eps, struct ir_loc at)
{
    return normalised(g, n, eps, ir_at(g, n->x)->shape.rank, (struct ir_list){ 0 }, at);
}

/* (1 - momentum) * running + momentum * found */
static ir_val run_on(struct ir_graph *g, ir_val running, ir_val found, double momentum,
                     struct ir_loc at)
{
    ir_val letter[26] = { running, found };
    enum ir_dtype dtype = ir_at(g, running)->dtype;

    letter[2] = ir_number(g, dtype, 1 - momentum, at);
    letter[3] = ir_number(g, dtype, momentum, at);
    return ir_formula(g, "c * a + d * b", letter, at);
}

/* In training: with what the batch says; next: the running statistics, with the unbiased variance
 */
static ir_val trained(struct ir_graph *g, const struct ir_norm *run, double eps, double momentum,
                      ir_val next[2], struct ir_loc at)
{
    const struct ir_shape *shape = &ir_at(g, run->x)->shape;
    const int rank = shape->rank;
    struct ir_norm now = *run;
    int64_t axes[IR_RANK], count = 1;
    ir_val letter[26] = { now.x }, size, y;
    int n = 0;

    for (int i = 0; i < rank; i++)
        if (i != 1) {
            axes[n++] = i;
            count = ir_dim_mul(g, count, shape->dim[i]);
        }
    size = ir_size(g, count, ir_at(g, run->x)->dtype, at);
    now.mean = ir_op2(g, IR_div, ir_reduce(g, IR_sum, now.x, n, axes, at), size, at);
    letter[1] = along(g, now.mean, rank, at);
    y = ir_formula(g, "(a - b) * (a - b)", letter, at);
    letter[0] = ir_reduce(g, IR_sum, y, n, axes, at);
    letter[1] = size;
    now.variance = ir_op2(g, IR_div, letter[0], size, at);
    next[0] = run->mean.id ? run_on(g, run->mean, now.mean, momentum, at) : run->mean;
    next[1] =
        run->variance.id
            ? run_on(g, run->variance, ir_formula(g, "a / max(b - 1, 1)", letter, at), momentum, at)
            : run->variance;
    return normalised(g, &now, eps, rank, (struct ir_list){ n, axes }, at);
}

static bool per_channel(tp_tensor x, tp_tensor v)
{
    return !v.g ||
           (tp_rank(v) == 1 && tp_dim(v, 0) == tp_dim(x, 1) && tp_dtype_of(v) == tp_dtype_of(x));
}

tp_tensor tp_batch_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, tp_tensor running[2],
                              bool training, double momentum, double eps, tp_loc at)
{
    const tp_tensor all[] = { x, weight, bias, running[0], running[1] };
    struct layer l;
    struct ir_norm run;
    ir_val next[2] = { { 0 } }, y;

    if (!tp_layer_of(&l, "batch_norm", x, weight, at) || !tp_ready(x.g, at, l.what, 5, all))
        return POISON(x.g);
    if (tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1)))
        return tp_fail(x.g, at, l.what, "input %s; expected [n channels ..]", tp_describe(x));
    for (int i = 1; i < 5; i++)
        if (!per_channel(x, all[i]))
            return tp_fail(x.g, at, l.what, "input %s, argument %d is %s; expected [%lld]",
                           tp_describe(x), i + 1, tp_describe(all[i]), (long long)tp_dim(x, 1));
    if (!training && (!running[0].g || !running[1].g))
        return tp_fail(x.g, at, l.what, "no running statistics; expected some to evaluate by");
    run = (struct ir_norm){ tp_val(x), tp_val(weight), tp_val(bias), tp_val(running[0]),
                            tp_val(running[1]) };
    y = training ? trained(x.g->ir, &run, eps, momentum, next, l.loc)
                 : tp_batch_norm_eval(x.g->ir, &run, eps, l.loc);
    for (int i = 0; i < 2 && training; i++)
        if (running[i].g)
            running[i] = tp_give(x.g, next[i]);
    return tp_give(x.g, y);
}

tp_tensor tp_batch_norm_recorded(struct layer *l, const char *title, tp_tensor x,
                                 const tp_tensor p[4], double eps, double momentum)
{
    struct ir_graph *g = x.g->ir;
    struct ir_norm run = { tp_val(x), tp_val(p[0]), tp_val(p[1]), tp_val(p[2]), tp_val(p[3]) };
    const bool plain = !run.scale.id;
    ir_val next[2], y;
    int64_t bits;

    memcpy(&bits, &eps, sizeof bits);
    l->before = g->count;
    /* arguments in the order of ir_norm; without a scale they are x, mean, variance */
    l->region = ir_region_open(g, "batch_norm", title, plain ? 3 : 5,
                               plain ? (ir_val[]){ run.x, run.mean, run.variance } : &run.x,
                               (struct ir_list){ 1, &bits }, l->loc);
    y = trained(g, &run, eps, momentum, next, l->loc);
    ir_assign(g, run.mean, next[0], l->loc);
    ir_assign(g, run.variance, next[1], l->loc);
    return tp_layer_close(l, y);
}

tp_tensor tp_batch_norm_at(tp_tensor x, tp_norm_args a, tp_loc at)
{
    const double eps = a.eps > 0 ? a.eps : 1e-5, momentum = a.momentum > 0 ? a.momentum : 0.1;
    struct layer l;
    struct ir_graph *g;
    enum ir_dtype dtype;
    tp_tensor p[4] = { 0 };
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
    return tp_batch_norm_recorded(&l, tp_path(x.g, a.name), x, p, eps, momentum);
}
