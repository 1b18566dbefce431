/*
 * lower_window: sums and extremes of windows, and their transposes, where an element takes from
 * every window that holds it.
 */
#include "lower.h"

#include <string.h>

uint32_t pass_lower_of_window(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct lower_window c = { n->attr[0].count, n->attr[1].at, n->attr[2].at, n->attr[3].at };
    struct lower_nest nest = { .l = l };
    int lead = n->shape.rank - c.spatial, guards = 0;
    loop_ix inner[IR_RANK], number = loop_const(l->k, 0);
    struct loop_guard guard[IR_RANK];
    bool arg = n->op == IR_window_argmax;

    if (lead)
        memcpy(inner, index, (size_t)lead * sizeof *inner);
    for (int i = 0; i < c.spatial; i++) {
        nest.axis[nest.axes] =
            pass_lower_ordered(l, i == c.spatial - 1 ? "q" : "r", n->attr[0].at[i]);
        loop_ix tap = loop_axis_ix(l->k, nest.axis[nest.axes++]);
        struct lower_taps at =
            pass_lower_tap(l, &c, i, index[lead + i], tap, a->shape.dim[lead + i]);
        inner[lead + i] = at.at;
        guards = pass_lower_keep_guard(l, guard, guards, at.inside);
        number = loop_plus(l->k, loop_scale(l->k, number, n->attr[0].at[i]), tap);
    }
    enum ir_op step = arg ? IR_max : ir_step(n->op);
    uint32_t best = pass_lower_var(l, a->dtype, pass_lower_neutral(l, step, a->dtype));
    const uint32_t zero = arg ? pass_lower_number(l, n->dtype, 0) : 0;
    uint32_t where =
        arg ? pass_lower_var(l, n->dtype, guards ? pass_lower_number(l, n->dtype, -1) : zero) : 0;
    pass_lower_open_all(&nest, 0);
    struct lower_under before = pass_lower_under(l, guards, guard);
    uint32_t x = pass_lower_value(l, n->args[0], inner);
    pass_lower_restore(l, before);
    if (arg)
        pass_lower_keep_better(l, true, a->dtype, best, where, x,
                               pass_lower_index(l, n->dtype, number), guards, guard);
    else
        pass_lower_set(l, best, step, x, 0, guards, guard);
    pass_lower_close_all(&nest, 0);
    if (arg && guards) /* a window of nothing says 0 */
        return pass_lower_let(l, IR_max, n->dtype, where, zero, 0);
    return arg ? where : best;
}

/* transposes of windows: an element gets from every window that holds it, windows ascending, i.e.
 * taps descending */
uint32_t pass_lower_of_spread(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    int spatial = n->attr[0].count, lead = n->shape.rank - spatial, guards = 0;
    bool place = n->op == IR_window_place, apart = true;
    struct lower_nest nest = { .l = l };
    loop_ix inner[IR_RANK], number = loop_const(l->k, 0);
    struct loop_guard guard[2 * IR_RANK];

    for (int i = 0; i < spatial;
         i++) /* windows that do not overlap: one window holds the element, no loop is needed */
        apart &= n->attr[1].at[i] >= n->attr[0].at[i] && n->attr[3].at[i] == 1;
    if (lead)
        memcpy(inner, index, (size_t)lead * sizeof *inner);
    for (int i = 0; i < spatial; i++) {
        int64_t window = n->attr[0].at[i], stride = n->attr[1].at[i], pad = n->attr[2].at[2 * i];
        int64_t extent = a->shape.dim[lead + i];
        loop_ix tap, at = index[lead + i];
        if (apart) {
            loop_ix reach = loop_plus(l->k, at, loop_const(l->k, pad));
            tap = loop_mod(l->k, reach, stride);
            inner[lead + i] = loop_div(l->k, reach, stride);
            guards = pass_lower_keep_guard(l, guard, guards,
                                           (struct loop_guard){ tap, loop_const(l->k, window) });
            guards = pass_lower_keep_guard(
                l, guard, guards,
                (struct loop_guard){ inner[lead + i], loop_dim_ix(l->k, extent) });
        } else {
            nest.axis[nest.axes] = pass_lower_ordered(l, i == spatial - 1 ? "q" : "r", window);
            tap = pass_lower_turned(l, loop_axis_ix(l->k, nest.axis[nest.axes++]), window);
            struct lower_reaching p =
                pass_lower_reaching(l, at, tap, stride, pad, n->attr[3].at[i], extent);
            inner[lead + i] = p.at;
            guards = pass_lower_keep_guard(l, guard, guards, p.whole);
            guards = pass_lower_keep_guard(l, guard, guards, p.inside);
        }
        number = loop_plus(l->k, loop_scale(l->k, number, window), tap);
    }
    uint32_t zero = pass_lower_number(l, n->dtype, 0);
    uint32_t sum = pass_lower_var(l, n->dtype, zero);
    pass_lower_open_all(&nest, 0);
    struct lower_under before = pass_lower_under(l, guards, guard);
    uint32_t x = pass_lower_value(l, n->args[0], inner);
    if (place) {
        const struct ir_node *b = ir_at(l->g, n->args[1]);
        uint32_t taken = pass_lower_value(l, n->args[1], inner);
        uint32_t hit =
            pass_lower_let(l, IR_eq, IR_BOOL, taken, pass_lower_index(l, b->dtype, number), 0);
        x = pass_lower_let(l, IR_select, n->dtype, hit, x, zero);
    }
    pass_lower_restore(l, before);
    pass_lower_set(l, sum, IR_add, x, 0, guards, guard);
    pass_lower_close_all(&nest, 0);
    return sum;
}
