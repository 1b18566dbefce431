/*
 * Random graphs: scans. The body is made of what matters to a loop: carries of several kinds,
 * values read at other indices than they are written at, slices, values that all steps read,
 * outputs a step, and another scan inside.
 */
#include "support_random.h"

#include <string.h>

struct body {
    struct random_maker *m;
    struct ir_graph *g;
    ir_val arg[8];
    int args;
};

static ir_val parameter(struct body *b, const char *name, ir_val arg, bool slice)
{
    const struct ir_node *n = random_node(b->m, arg);
    struct ir_shape s = n->shape;

    if (slice) {
        s.rank--;
        memmove(s.dim, s.dim + 1, (size_t)s.rank * sizeof *s.dim);
    }
    b->arg[b->args++] = arg;
    return ir_input(b->g, name, n->dtype, s, random_here(b->m));
}

static ir_val op1(struct body *b, enum ir_op op, ir_val a)
{
    return ir_op1(b->g, op, a, random_here(b->m));
}

static ir_val op2(struct body *b, enum ir_op op, ir_val a, ir_val c)
{
    return ir_op2(b->g, op, a, c, random_here(b->m));
}

/* a carry mixed along its last axis: read elsewhere than it is written */
static ir_val mixed(struct body *b, ir_val h, ir_val matrix)
{
    int rank = ir_at(b->g, h)->shape.rank;
    int64_t last = rank - 1;

    if (matrix.id) { /* so little that errors die away from step to step */
        h = ir_dot(b->g, h, matrix, rank == 1 ? "k,kn->n" : "mk,kn->mn", random_here(b->m));
        return op2(b, IR_mul, h,
                   ir_number(b->g, ir_at(b->g, h)->dtype,
                             0.2 / (double)ir_at(b->g, h)->shape.dim[last], random_here(b->m)));
    }
    if (rank == 0)
        return h;
    if (random_chance(b->m, 50))
        return ir_op_attr(b->g, IR_flip, 1, &h, &(struct ir_list){ 1, &last }, random_here(b->m));
    return op2(b, IR_mul, h,
               ir_expand_axes(b->g, ir_reduce(b->g, IR_amax, h, 1, &last, random_here(b->m)),
                              ir_at(b->g, h)->shape, 1, &last, random_here(b->m)));
}

bool random_scan(struct random_maker *m)
{
    struct random_value xs = random_pick(m, 'F', false);
    const struct ir_node *n = random_node(m, xs.v);
    struct body b = { .m = m };
    struct ir_shape step = n->shape;
    enum ir_dtype dtype = n->dtype;
    bool product, counts = random_chance(m, 40), reverse = random_chance(m, 40), kept = false;
    ir_val h, c = { 0 }, x, k = { 0 }, w = { 0 }, y, scan, one;
    int when = -1;

    if (m->options.flat || step.rank == 0 || step.rank > 4)
        return false;
    step.rank--;
    memmove(step.dim, step.dim + 1, (size_t)step.rank * sizeof *step.dim);
    step.dim[step.rank] = 0;
    product = (step.rank == 1 || step.rank == 2) && random_chance(m, 50) &&
              ir_dim_fixed(step.dim[step.rank - 1]) && step.dim[step.rank - 1] > 0 &&
              step.dim[step.rank - 1] <= 17;
    b.g = ir_body_new(m->g, "body");
    h = parameter(&b, "h", random_input(m, dtype, step).v, false);
    if (counts)
        c = parameter(&b, "c", ir_integer(m->g, IR_I64, random_below(m, 5), random_here(m)), false);
    x = parameter(&b, "x", xs.v, true);
    if (product) {
        struct ir_shape square = { 2, { step.dim[step.rank - 1], step.dim[step.rank - 1] } };
        w = parameter(&b, "w", random_input(m, dtype, square).v, false);
    }
    if (random_chance(m, 50))
        k = parameter(
            &b, "k", random_input(m, dtype, random_chance(m, 50) ? step : (struct ir_shape){ 0 }).v,
            false);
    if (random_chance(m, 40)) { /* it runs or not, as truth values say */
        const struct random_value of = random_pick(m, 'B', true);
        const int64_t all[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
        when = b.args;
        parameter(&b, "when",
                  ir_reduce(m->g, random_chance(m, 50) ? IR_any : IR_all, of.v,
                            random_node(m, of.v)->shape.rank, all, random_here(m)),
                  false);
    }
    y = op2(&b, IR_add, mixed(&b, h, w), x);
    if (k.id) /* of 2 at most: errors do not grow */
        y = op2(&b, IR_mul, y, op2(&b, IR_mul, k, ir_number(b.g, dtype, 0.25, random_here(m))));
    if (counts)
        y = op2(&b, IR_add, y,
                op2(&b, IR_mul, ir_cast(b.g, c, dtype, random_here(m)),
                    ir_number(b.g, dtype, 0.01, random_here(m))));
    y = op1(&b, IR_tanh, y);
    one = counts ? ir_integer(b.g, IR_I64, 1, random_here(m)) : c;
    ir_output(b.g, NULL, y);
    if (counts)
        ir_output(b.g, NULL, op2(&b, IR_add, c, one));
    ir_output(b.g, NULL, random_chance(m, 50) ? y : op2(&b, IR_mul, h, x));
    if (random_chance(m, 30))
        ir_output(b.g, NULL, h);
    scan = ir_make_scan(m->g, b.g, b.args, b.arg, 1 + counts, 1, random_node(m, xs.v)->shape.dim[0],
                        reverse, when, random_here(m));
    for (int i = 0; i < b.g->output_count && scan.id; i++)
        kept |= random_keep(m, ir_make_result(m->g, scan, i, random_here(m)),
                            counts && i == 1 ? 100 : 2 + xs.size * 2, counts && i == 1);
    ir_graph_free(b.g);
    m->g->error->status = IR_OK;
    return kept;
}
