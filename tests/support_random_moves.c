/*
 * Random graphs: movement and indexing.
 */
#include "support_random.h"

#include <math.h>
#include <string.h>

/* --- movement -------------------------------------------------------------------------------- */

bool random_reshape(struct random_maker *m, struct random_value a)
{
    struct ir_shape s = random_node(m, a.v)->shape, t = { 0 };

    if (random_chance(m, 30)) { /* one axis split in two */
        for (int i = 0; i < s.rank; i++) {
            int64_t d = s.dim[i];
            if (ir_dim_fixed(d) && d > 1 && s.rank + t.rank - i < IR_RANK)
                for (int64_t f = 2; f <= d / 2; f++)
                    if (d % f == 0) {
                        t.dim[t.rank++] = f;
                        d /= f;
                        break;
                    }
            t.dim[t.rank++] = d;
        }
    } else /* neighbours merged, ones put in */
        for (int i = 0; i < s.rank; i++) {
            const int64_t merged = t.rank ? ir_dim_mul(m->g, t.dim[t.rank - 1], s.dim[i]) : -1;
            if (merged != -1 && random_chance(m, 50))
                t.dim[t.rank - 1] = merged;
            else
                t.dim[t.rank++] = s.dim[i];
            if (random_chance(m, 15) && t.rank < 4)
                t.dim[t.rank++] = 1;
        }
    return random_keep(m, ir_reshape(m->g, a.v, t, random_here(m)), a.size, a.exact);
}

bool random_slice(struct random_maker *m, struct random_value a)
{
    const struct ir_shape s = random_node(m, a.v)->shape;
    int64_t start[IR_RANK] = { 0 }, stop[IR_RANK], step[IR_RANK];

    for (int i = 0; i < s.rank; i++) {
        step[i] = 1;
        stop[i] = s.dim[i];
        if (ir_dim_fixed(s.dim[i]) && s.dim[i] > 0 && random_chance(m, 60)) {
            start[i] = random_below(m, s.dim[i]);
            stop[i] = start[i] + 1 + random_below(m, s.dim[i] - start[i]);
            step[i] = 1 + random_below(m, 3);
        }
    }
    return random_keep(
        m,
        ir_op_attr(m->g, IR_slice, 1, &a.v,
                   (struct ir_list[]){ random_list(m, s.rank, start), random_list(m, s.rank, stop),
                                       random_list(m, s.rank, step) },
                   random_here(m)),
        a.size, a.exact);
}

bool random_pad(struct random_maker *m, struct random_value a)
{
    const struct ir_shape s = random_node(m, a.v)->shape;
    int64_t lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 };
    const double with = (double)random_below(m, 2);

    for (int i = 0; i < s.rank; i++)
        if (random_chance(m, 50)) {
            lo[i] = random_below(m, 3);
            hi[i] = random_below(m, 3);
        }
    return random_keep(
        m,
        ir_op_attr(m->g, IR_pad, 2, (ir_val[]){ a.v, random_number(m, a.v, with) },
                   (struct ir_list[]){ random_list(m, s.rank, lo), random_list(m, s.rank, hi) },
                   random_here(m)),
        fmax(a.size, with), a.exact);
}

bool random_concat(struct random_maker *m, struct random_value a)
{
    const struct ir_shape s = random_node(m, a.v)->shape;
    ir_val args[3] = { a.v };
    int n = 1;
    const int64_t axis = s.rank ? random_below(m, s.rank) : 0;

    if (s.rank == 0)
        return false;
    const bool lanes = random_chance(m, 25); /* all begin at whole vectors: cut in pieces */
    for (int more = 1 + (int)random_below(m, 2); n <= more; n++) {
        struct ir_shape t = s;

        if (lanes) {
            t.dim[axis] = 16 * (1 + random_below(m, 2));
            if (n == 1)
                args[0] = random_input(m, random_node(m, a.v)->dtype, t).v;
            args[n] = random_input(m, random_node(m, a.v)->dtype, t).v;
            continue;
        }
        if (!ir_dim_fixed(s.dim[axis]) || random_chance(m, 60))
            t.dim[axis] = 1 + random_below(m, 4);
        args[n] = random_chance(m, 20) ? a.v : random_input(m, random_node(m, a.v)->dtype, t).v;
    }
    return random_keep(m,
                       ir_op_attr(m->g, IR_concat, n, args,
                                  (struct ir_list[]){ random_list(m, 1, &axis) }, random_here(m)),
                       fmax(a.size, 9), a.exact);
}

bool random_expand(struct random_maker *m, struct random_value a)
{
    struct ir_shape s = random_node(m, a.v)->shape, t = { 0 };

    if (s.rank < 4 && random_chance(m, 60))
        t.dim[t.rank++] = m->extent[random_below(m, 3)];
    for (int i = 0; i < s.rank; i++)
        t.dim[t.rank++] = s.dim[i] == 1 ? m->extent[1 + random_below(m, 4)] : s.dim[i];
    if (ir_elements(m->g, &t) > 2 * ELEMENTS)
        return false;
    return random_keep(m, ir_expand(m->g, a.v, t, random_here(m)), a.size, a.exact);
}

bool random_turn(struct random_maker *m, enum ir_op op, struct random_value a) /* permute, flip */
{
    const int rank = random_node(m, a.v)->shape.rank;
    int64_t order[IR_RANK];
    struct ir_list axes;

    for (int i = 0; i < rank; i++) {
        const int64_t j = random_below(m, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    axes = op == IR_permute ? random_list(m, rank, order) : random_axes(m, rank);
    return random_keep(m, ir_op_attr(m->g, op, 1, &a.v, &axes, random_here(m)), a.size, a.exact);
}

/* Integers of a shape, each below an extent: an exact integer of the pool, modulo the extent. */
static ir_val indices(struct random_maker *m, struct ir_shape shape, int64_t extent)
{
    const enum ir_dtype t = random_chance(m, 50) ? IR_I32 : IR_I64;

    return random_op2(m, IR_mod, random_input(m, t, shape).v,
                      ir_size(m->g, extent, t, random_here(m)));
}

bool random_pick_rows(struct random_maker *m, enum ir_op op)
{
    struct random_value a = random_pick(m, op == IR_take ? 'A' : 'N', false);
    struct ir_shape s = random_node(m, a.v)->shape, t = { 0 };
    const int64_t axis = s.rank ? random_below(m, s.rank) : 0, extent = s.rank ? s.dim[axis] : 0;

    if (s.rank == 0 || ir_dim_min(m->g, extent) < 1)
        return false;
    if (op == IR_take) {
        for (t.rank = 0; t.rank < (int)random_below(m, 3); t.rank++)
            t.dim[t.rank] = m->extent[t.rank ? 1 : random_below(m, 3)];
        if (s.rank + t.rank > 5)
            return false;
        return random_keep(m,
                           ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, t, extent) },
                                      (struct ir_list[]){ random_list(m, 1, &axis) },
                                      random_here(m)),
                           a.size, a.exact);
    }
    /* put_add: one or two axes of a from `axis` on are given by indices */
    const int64_t size = 1 + random_below(m, 9);
    for (int i = 0; i < 2 && axis + i < s.rank && (i == 0 || random_chance(m, 40)); i++)
        t.dim[t.rank++] = s.dim[axis + i];
    return random_keep(
        m,
        ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, t, size) },
                   (struct ir_list[]){ random_list(m, 1, &axis), random_list(m, 1, &size) },
                   random_here(m)),
        a.size * (double)ir_elements(m->g, &t), a.exact && random_kind(m, a.v) != 'f');
}

bool random_pick_elements(struct random_maker *m, enum ir_op op)
{
    struct random_value a = random_pick(m, op == IR_gather ? 'A' : 'N', false);
    struct ir_shape s = random_node(m, a.v)->shape;
    const int64_t axis = s.rank ? random_below(m, s.rank) : 0, extent = s.rank ? s.dim[axis] : 0,
                  size = 1 + random_below(m, 9);

    if (s.rank == 0 || ir_dim_min(m->g, extent) < 1)
        return false;
    if (op == IR_scatter_last) {
        const ir_val places = indices(m, s, size);
        return random_keep(
            m,
            ir_op_attr(m->g, op, 1, &places,
                       (struct ir_list[]){ random_list(m, 1, &axis), random_list(m, 1, &size) },
                       random_here(m)),
            (double)ir_dim_max(m->g, extent), true);
    }
    if (op == IR_gather) {
        if (random_chance(m, 50))
            s.dim[axis] = size;
        return random_keep(m,
                           ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, s, extent) },
                                      (struct ir_list[]){ random_list(m, 1, &axis) },
                                      random_here(m)),
                           a.size, a.exact);
    }
    return random_keep(
        m,
        ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, s, size) },
                   (struct ir_list[]){ random_list(m, 1, &axis), random_list(m, 1, &size) },
                   random_here(m)),
        a.size * (double)ir_dim_max(m->g, extent), a.exact && random_kind(m, a.v) != 'f');
}

/* what follows an axis in its order */
bool random_order(struct random_maker *m, enum ir_op op)
{
    const bool sorts = op == IR_argsort, extreme = op == IR_cummax || op == IR_cummin;
    struct random_value a = random_pick(m, sorts ? 'A' : 'N', sorts), b;
    const struct ir_shape s = random_node(m, a.v)->shape;
    const int64_t axis = s.rank ? random_below(m, s.rank) : 0, one = 1;
    struct ir_list lists[2] = { random_list(m, 1, &axis) };
    bool real = random_kind(m, a.v) == 'f';

    if (s.rank == 0)
        return false;
    const double n = (double)ir_dim_max(m->g, s.dim[axis]);
    if (sorts) {
        if (random_chance(m, 40))
            lists[1] = random_list(m, 1, &one);
        return random_keep(m, ir_op_attr(m->g, op, 1, &a.v, lists, random_here(m)), n, true);
    }
    if (op == IR_cumprod || op == IR_recur)
        a = random_within(m, a, op == IR_recur ? 1 : 1.25);
    if (op == IR_cumprod && real && n > 12)
        return false;
    if (op == IR_recur) {
        b = random_input(m, random_node(m, a.v)->dtype, s);
        return random_keep(m,
                           ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, b.v }, lists, random_here(m)),
                           b.size * n, a.exact && b.exact && !real);
    }
    return random_keep(m, ir_op_attr(m->g, op, 1, &a.v, lists, random_here(m)),
                       op == IR_cumprod ? pow(a.size, n)
                       : extreme        ? a.size
                                        : a.size * n,
                       a.exact && (extreme || !real));
}
