/*
 * lower_contract: sums of products. None is special: a matrix product or a convolution is a
 * reduction of a product, by fused multiply-adds, in the order that ir_order() lays down.
 */
#include "lower.h"

#include <string.h>

/* the attributes of a convolution that are lists */
static struct lower_window window_of(const struct ir_node *n)
{
    return (struct lower_window){ n->attr[0].count, n->attr[0].at, n->attr[1].at, n->attr[2].at };
}

static int64_t groups_of(const struct ir_node *n)
{
    return n->attr[3].count ? n->attr[3].at[0] : 1;
}

/* the update of a contraction: fused multiply-add for floats */
static void multiply_add(struct lower *l, uint32_t sum, uint32_t a, uint32_t b, int guards,
                         const struct loop_guard *guard)
{
    pass_lower_set(l, sum, IR_dot, a, b, guards, guard);
}

uint32_t pass_lower_of_dot(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]), *b = ir_at(l->g, n->args[1]);
    const char *first = n->text, *second = strchr(n->text, ',') + 1,
               *result = strstr(n->text, "->") + 2;
    struct ir_order order = ir_order(l->g, n);
    struct lower_nest nest = { .l = l };
    loop_ix of[128] = { 0 }, inner_a[IR_RANK], inner_b[IR_RANK];
    char letters[IR_RANK + 1];
    int contracted = ir_contracted(n, letters);
    uint32_t zero = pass_lower_number(l, n->dtype, 0);

    for (int i = 0; result[i]; i++)
        of[(unsigned char)result[i]] = index[i];
    for (int i = 0; i < contracted; i++) {
        const char *name = ir_format(l->c->arena, "%c", letters[i]);
        nest.axis[i] = pass_lower_ordered(l, name, a->shape.dim[strchr(first, letters[i]) - first]);
        of[(unsigned char)letters[i]] = loop_axis_ix(l->k, nest.axis[i]);
    }
    nest.axes = contracted;
    bool pieces = contracted && order.piece && l->k->axis[nest.axis[0]].hi > order.piece;
    if (pieces && order.piece > 1)
        of[(unsigned char)letters[0]] = pass_lower_cut(&nest, order.piece);
    for (int i = 0; i < a->shape.rank; i++)
        inner_a[i] = of[(unsigned char)first[i]];
    for (int i = 0; i < b->shape.rank; i++)
        inner_b[i] = of[(unsigned char)second[i]];
    uint32_t sum = pass_lower_var(l, n->dtype, zero), part = sum;
    if (pieces) {
        pass_lower_open(l, nest.axis[0]);
        part = pass_lower_var(l, n->dtype, zero);
    }
    pass_lower_open_all(&nest, pieces);
    uint32_t x = pass_lower_value(l, n->args[0], inner_a),
             y = pass_lower_value(l, n->args[1], inner_b);
    multiply_add(l, part, x, y, 0, NULL);
    pass_lower_close_all(&nest, pieces);
    if (pieces) {
        pass_lower_set(l, sum, IR_add, part, 0, 0, NULL);
        pass_lower_close(l, nest.axis[0], 0, NULL);
    }
    return sum;
}

/* the tap loops stand around the channel loop, but the last one inside it: order r.. ci q */
static void order_taps(struct lower_nest *nest, int spatial, const int *tap, int channel)
{
    int at = 0;

    for (int i = 0; i < spatial - 1; i++)
        nest->axis[at++] = tap[i];
    nest->axis[at++] = channel;
    nest->axis[at++] = tap[spatial - 1];
    nest->axes = at;
}

uint32_t pass_lower_of_conv(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *x = ir_at(l->g, n->args[0]), *w = ir_at(l->g, n->args[1]);
    struct lower_window c = window_of(n);
    int64_t groups = groups_of(n);
    struct lower_nest nest = { .l = l };
    loop_ix ix[IR_RANK], iw[IR_RANK];
    int tap[IR_RANK];
    struct lower_taps at[IR_RANK];
    int channel = pass_lower_ordered(l, "ci", w->shape.dim[1]);
    struct loop_guard inner[2];
    int inners = 0;

    for (int i = 0; i < c.spatial; i++) {
        tap[i] = pass_lower_ordered(l, i == c.spatial - 1 ? "q" : "r", w->shape.dim[2 + i]);
        at[i] =
            pass_lower_tap(l, &c, i, index[2 + i], loop_axis_ix(l->k, tap[i]), x->shape.dim[2 + i]);
        ix[2 + i] = at[i].at;
        iw[2 + i] = loop_axis_ix(l->k, tap[i]);
    }
    order_taps(&nest, c.spatial, tap, channel);
    ix[0] = index[0];
    iw[0] = index[1];
    iw[1] = loop_axis_ix(l->k, channel);
    loop_ix group =
        loop_div(l->k, index[1], w->shape.dim[0] / groups ? w->shape.dim[0] / groups : 1);
    ix[1] = loop_plus(l->k, groups > 1 ? loop_scale(l->k, group, w->shape.dim[1]) : 0, iw[1]);
    uint32_t sum = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    for (int i = 0; i < nest.axes; i++) {
        pass_lower_open(l, nest.axis[i]);
        for (int s = 0; s < c.spatial - 1;
             s++) /* a row outside is skipped whole: its guard stands around the channels */
            if (nest.axis[i] == channel)
                pass_lower_guard_loop(&nest, channel, at[s].inside);
    }
    if (loop_guard_state(l->k, &at[c.spatial - 1].inside) != 1)
        inner[inners++] = at[c.spatial - 1].inside;
    struct lower_under before = pass_lower_under_nest(&nest, inners, inner);
    uint32_t a = pass_lower_value(l, n->args[0], ix);
    pass_lower_restore(l, before);
    uint32_t b = pass_lower_value(l, n->args[1], iw);
    multiply_add(l, sum, a, b, inners, inner);
    pass_lower_close_all(&nest, 0);
    return sum;
}

uint32_t pass_lower_of_conv_input(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *y = ir_at(l->g, n->args[0]), *w = ir_at(l->g, n->args[1]);
    struct lower_window c = window_of(n);
    int64_t groups = groups_of(n);
    struct lower_nest nest = { .l = l };
    loop_ix iy[IR_RANK], iw[IR_RANK];
    int tap[IR_RANK];
    struct lower_reaching at[IR_RANK];
    int64_t per_group = w->shape.dim[0] / groups;
    int channel = pass_lower_ordered(l, "co", per_group);
    struct loop_guard inner[4];
    int inners = 0;

    for (int i = 0; i < c.spatial; i++) {
        tap[i] = pass_lower_ordered(l, i == c.spatial - 1 ? "q" : "r", w->shape.dim[2 + i]);
        iw[2 + i] =
            pass_lower_turned(l, loop_axis_ix(l->k, tap[i]),
                              w->shape.dim[2 + i]); /* descending taps: ascending addresses of y */
        at[i] = pass_lower_reaching(l, index[2 + i], iw[2 + i], c.stride[i], c.pad[2 * i],
                                    c.dilation[i], y->shape.dim[2 + i]);
        iy[2 + i] = at[i].at;
    }
    order_taps(&nest, c.spatial, tap, channel);
    loop_ix group = loop_div(l->k, index[1], w->shape.dim[1] ? w->shape.dim[1] : 1);
    iy[0] = index[0];
    iy[1] = loop_plus(l->k, groups > 1 ? loop_scale(l->k, group, per_group) : 0,
                      loop_axis_ix(l->k, channel));
    iw[0] = iy[1];
    iw[1] = groups > 1 ? loop_mod(l->k, index[1], w->shape.dim[1]) : index[1];
    uint32_t sum = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    for (int i = 0; i < nest.axes; i++)
        pass_lower_open(l, nest.axis[i]);
    for (int i = 0; i < c.spatial - 1; i++) {
        pass_lower_guard_loop(&nest, channel, at[i].whole);
        pass_lower_guard_loop(&nest, channel, at[i].inside);
    }
    inners = pass_lower_keep_guard(l, inner, inners, at[c.spatial - 1].whole);
    inners = pass_lower_keep_guard(l, inner, inners, at[c.spatial - 1].inside);
    struct lower_under before = pass_lower_under_nest(&nest, inners, inner);
    uint32_t a = pass_lower_value(l, n->args[0], iy);
    pass_lower_restore(l, before);
    uint32_t b = pass_lower_value(l, n->args[1], iw);
    multiply_add(l, sum, a, b, inners, inner);
    pass_lower_close_all(&nest, 0);
    return sum;
}

/* one sum an image, images added in ascending order */
uint32_t pass_lower_of_conv_weight(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *x = ir_at(l->g, n->args[0]), *y = ir_at(l->g, n->args[1]);
    struct lower_window c = window_of(n);
    int64_t groups = groups_of(n);
    struct lower_nest nest = { .l = l };
    loop_ix ix[IR_RANK], iy[IR_RANK];
    struct loop_guard inner[IR_RANK];
    int inners = 0, last = 0;
    uint32_t zero = pass_lower_number(l, n->dtype, 0);

    nest.axis[nest.axes++] = pass_lower_ordered(l, "n", x->shape.dim[0]);
    ix[0] = iy[0] = loop_axis_ix(l->k, nest.axis[0]);
    for (int i = 0; i < c.spatial; i++) {
        last = nest.axis[nest.axes++] =
            pass_lower_ordered(l, i == c.spatial - 1 ? "w" : "h", y->shape.dim[2 + i]);
        iy[2 + i] = loop_axis_ix(l->k, last);
        struct lower_taps at =
            pass_lower_tap(l, &c, i, iy[2 + i], index[2 + i], x->shape.dim[2 + i]);
        ix[2 + i] = at.at;
        if (loop_guard_state(l->k, &at.inside) == 1)
            continue;
        if (i < c.spatial - 1) { /* around the loop of the next axis */
            nest.guard[nest.axes][nest.guards[nest.axes]++] = at.inside;
        } else {
            inner[inners++] = at.inside;
        }
    }
    loop_ix group =
        loop_div(l->k, index[0], y->shape.dim[1] / groups ? y->shape.dim[1] / groups : 1);
    iy[1] = index[0];
    ix[1] = loop_plus(l->k, groups > 1 ? loop_scale(l->k, group, x->shape.dim[1] / groups) : 0,
                      index[1]);
    uint32_t sum = pass_lower_var(l, n->dtype, zero);
    pass_lower_open(l, nest.axis[0]);
    uint32_t part = pass_lower_var(l, n->dtype, zero);
    pass_lower_open_all(&nest, 1);
    struct lower_under before = pass_lower_under_nest(&nest, inners, inner);
    uint32_t a = pass_lower_value(l, n->args[0], ix);
    pass_lower_restore(l, before);
    uint32_t b = pass_lower_value(l, n->args[1], iy);
    multiply_add(l, part, a, b, inners, inner);
    pass_lower_close_all(&nest, 1);
    pass_lower_set(l, sum, IR_add, part, 0, 0, NULL);
    pass_lower_close(l, nest.axis[0], 0, NULL);
    return sum;
}
