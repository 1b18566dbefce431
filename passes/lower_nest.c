/*
 * lower_nest: the loops along what is reduced, and where the taps of a window lie.
 *
 * A tap outside of the array is skipped by guards: of a loop, where a whole row of taps lies
 * outside, else of the update and of the loads that it needs.
 */
#include "lower.h"

#include <string.h>

/* ---- loops ---- */

void pass_lower_open_all(struct lower_nest *nest, int from)
{
    for (int i = from; i < nest->axes; i++)
        pass_lower_open(nest->l, nest->axis[i]);
}

void pass_lower_close_all(struct lower_nest *nest, int from)
{
    for (int i = nest->axes; i-- > from;)
        pass_lower_close(nest->l, nest->axis[i], nest->guards[i], nest->guard[i]);
}

/* a reduced loop index that goes down is an axis that goes up, turned round */
loop_ix pass_lower_turned(struct lower *l, loop_ix up, int64_t extent)
{
    return loop_plus(l->k, loop_const(l->k, extent - 1), loop_scale(l->k, up, -1));
}

int pass_lower_ordered(struct lower *l, const char *name, int64_t dim)
{
    int axis = pass_lower_axis(l, name, dim);

    l->k->axis[axis].ordered = true;
    return axis;
}

/* Cuts axis 0 of the nest in pieces: axis 0 becomes the piece, a new axis 1 the index in it. Gives
 * the expression of the index. */
loop_ix pass_lower_cut(struct lower_nest *nest, int64_t piece)
{
    struct loop_kernel *k = nest->l->k;
    int whole = nest->axis[0];
    int64_t extent = k->axis[whole].hi;
    loop_ix to = k->axis[whole].to;

    for (int i = nest->axes; i > 0; i--) {
        nest->axis[i] = nest->axis[i - 1];
        nest->guards[i] = nest->guards[i - 1];
        memcpy(nest->guard[i], nest->guard[i - 1], sizeof nest->guard[i]);
    }
    nest->axes++;
    nest->guards[0] = 0;
    nest->axis[0] =
        loop_axis_new(k, "piece", loop_div(k, loop_plus(k, to, loop_const(k, piece - 1)), piece),
                      (extent + piece - 1) / piece);
    k->axis[nest->axis[0]].ordered = true;
    loop_ix start = loop_scale(k, loop_axis_ix(k, nest->axis[0]), piece);
    /* the last piece may be short: its loop ends where the whole ends */
    k->axis[whole].hi = extent < piece ? extent : piece;
    loop_ix left = loop_plus(k, to, loop_scale(k, start, -1));
    k->axis[whole].to = left; /* the emitter takes the lesser of `to` and `hi` */
    return loop_plus(k, start, loop_axis_ix(k, whole));
}

/* ---- windows ---- */

/* where in x a tap of an output position lies */
struct lower_taps pass_lower_tap(struct lower *l, const struct lower_window *c, int i, loop_ix out,
                                 loop_ix tap, int64_t extent)
{
    loop_ix at =
        loop_plus(l->k, loop_scale(l->k, out, c->stride[i]), loop_scale(l->k, tap, c->dilation[i]));

    at = loop_plus(l->k, at, loop_const(l->k, -c->pad[2 * i]));
    return (struct lower_taps){ at, { at, loop_dim_ix(l->k, extent) } };
}

/* Output positions that reach position `in` of the input by a tap: (in + pad - tap * dilation) /
 * stride where that is whole. */
struct lower_reaching pass_lower_reaching(struct lower *l, loop_ix in, loop_ix tap, int64_t stride,
                                          int64_t pad, int64_t dilation, int64_t extent)
{
    struct lower_reaching p;
    loop_ix reach = loop_plus(l->k, in, loop_const(l->k, pad));

    reach = loop_plus(l->k, reach, loop_scale(l->k, tap, -dilation));
    p.at = loop_div(l->k, reach, stride);
    p.whole = (struct loop_guard){ loop_mod(l->k, reach, stride), loop_const(l->k, 1) };
    p.inside = (struct loop_guard){ p.at, loop_dim_ix(l->k, extent) };
    return p;
}

/* ---- guards ---- */

int pass_lower_keep_guard(struct lower *l, struct loop_guard *list, int count, struct loop_guard g)
{
    if (loop_guard_state(l->k, &g) != 1)
        list[count++] = g;
    return count;
}

void pass_lower_guard_loop(struct lower_nest *nest, int axis, struct loop_guard guard)
{
    for (int i = 0; i < nest->axes; i++)
        if (nest->axis[i] == axis && loop_guard_state(nest->l->k, &guard) != 1)
            nest->guard[i][nest->guards[i]++] = guard;
}

/* what is loaded inside has the loops' conditions too, lest it is hoisted out of them; the emitter
 * knows them for settled inside */
struct lower_under pass_lower_under_nest(const struct lower_nest *nest, int guards,
                                         const struct loop_guard *guard)
{
    struct lower_under before = pass_lower_under(nest->l, 0, NULL);

    for (int i = 0; i < nest->axes; i++)
        pass_lower_under(nest->l, nest->guards[i], nest->guard[i]);
    pass_lower_under(nest->l, guards, guard);
    return before;
}
