/*
 * lower_reduce: the rows of ops.def that need loops of their own: reductions, contractions,
 * windows, scatters.
 *
 * Each is a variable, loops along the reduced axes in the order that ir_order() lays down, and an
 * update; the loops that run over a border's outside carry guards. None is special: a matrix
 * product is a reduction of a product.
 */
#include "lower.h"

#include <math.h>
#include <string.h>

struct taps { /* a position along a spatial axis for a tap: at * stride + tap * dilation - pad */
    loop_ix at;
    struct loop_guard inside;
};

static enum ir_op step_of(enum ir_op reduction)
{
    switch (reduction) {
    case IR_prod:
        return IR_mul;
    case IR_amax:
    case IR_window_max:
        return IR_max;
    case IR_amin:
        return IR_min;
    case IR_all:
        return IR_and;
    case IR_any:
        return IR_or;
    default:
        return IR_add;
    }
}

/* the value that leaves the other one as it is */
static uint32_t neutral(struct lower *l, enum ir_op step, enum ir_dtype dtype)
{
    struct loop_statement s = { .kind = LOOP_LET, .op = IR_const, .dtype = dtype };
    const struct ir_dtype_info *info = &ir_dtypes[dtype];
    int bits = 8 * info->bytes;

    switch (step) {
    case IR_mul:
    case IR_and:
        s.number = 1;
        s.integer = 1;
        break;
    case IR_max:
        s.number = -INFINITY;
        s.integer = info->kind == 'i' ? INT64_MIN >> (64 - bits) : 0;
        break;
    case IR_min:
        s.number = INFINITY;
        s.integer = info->kind == 'i'   ? INT64_MAX >> (64 - bits)
                    : info->kind == 'b' ? 1
                                        : (int64_t)(UINT64_MAX >> (64 - bits));
        break;
    default:
        break;
    }
    return pass_lower_emit(l, s);
}

/* ---- reductions over axes ---- */

static uint32_t reduce_row(struct lower *l, const struct ir_node *n)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    loop_ix index[IR_RANK], flat = loop_axis_ix(l->k, l->row_axis);
    struct loop_statement s = { .kind = LOOP_FOLD, .op = step_of(n->op), .dtype = n->dtype };
    int axis = 0;

    /* the same index the kernel's own loops have: the axes before row_axis, in their order */
    for (int i = 0; i < l->row_prefix; i++, axis++)
        index[i] = loop_axis_ix(l->k, axis);
    for (int i = a->shape.rank - 1; i >= l->row_prefix; i--) {
        bool last = i == l->row_prefix || a->shape.dim[i] == 0;
        index[i] = last ? flat : loop_mod(l->k, flat, a->shape.dim[i]);
        if (!last)
            flat = loop_div(l->k, flat, a->shape.dim[i]);
    }
    s.args[0] = pass_lower_value(l, n->args[0], index);
    s.over = UINT64_C(1) << l->row_axis;
    return l->failed ? 0 : pass_lower_emit(l, s);
}

/* Loops from the variable `into` along axes[0..n): the first cut in pieces of `piece` indices, each
 * summed by itself. body adds one. */
struct nest {
    struct lower *l;
    enum ir_op step;
    int axes;
    int axis[IR_RANK + 2];
    int guards[IR_RANK + 2];                 /* around the loop of that axis */
    struct loop_guard guard[IR_RANK + 2][4]; /* two for each spatial axis but the last */
};

static void open_all(struct nest *nest, int from)
{
    for (int i = from; i < nest->axes; i++)
        pass_lower_open(nest->l, nest->axis[i]);
}

static void close_all(struct nest *nest, int from)
{
    for (int i = nest->axes; i-- > from;)
        pass_lower_close(nest->l, nest->axis[i], nest->guards[i], nest->guard[i]);
}

/* a reduced loop index that goes down is an axis that goes up, turned round */
static loop_ix turned(struct lower *l, loop_ix up, int64_t extent)
{
    return loop_plus(l->k, loop_const(l->k, extent - 1), loop_scale(l->k, up, -1));
}

static int ordered_axis(struct lower *l, const char *name, int64_t dim)
{
    int axis = pass_lower_axis(l, name, dim);

    l->k->axis[axis].ordered = true;
    return axis;
}

/* Cuts axis 0 of the nest in pieces: axis 0 becomes the piece, a new axis 1 the index in it. Gives
 * the expression of the index. */
static loop_ix cut(struct nest *nest, int64_t piece)
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

static uint32_t reduce_axes(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct ir_order order = ir_order(l->g, n);
    struct nest nest = { .l = l, .step = step_of(n->op) };
    loop_ix inner[IR_RANK];
    bool reduced[IR_RANK] = { false };
    loop_ix first = 0;
    uint32_t start = neutral(l, nest.step, n->dtype);

    for (int i = 0; i < n->attr[0].count; i++) {
        reduced[n->attr[0].at[i]] = true;
        nest.axis[nest.axes++] = ordered_axis(l, "r", a->shape.dim[n->attr[0].at[i]]);
    }
    bool pieces = order.piece && l->k->axis[nest.axis[0]].hi > order.piece;
    int firsts = nest.axis[0];
    bool cuts = pieces && order.piece > 1; /* a piece of one index is the loop itself */
    if (cuts)
        first = cut(&nest, order.piece);
    else
        first = loop_axis_ix(l->k, firsts);
    for (int i = 0, j = 0, r = cuts ? 1 : 0; i < a->shape.rank; i++) {
        if (!reduced[i])
            inner[i] = index[j++];
        else {
            inner[i] = nest.axis[r] == firsts ? first : loop_axis_ix(l->k, nest.axis[r]);
            r++;
        }
    }
    if (pieces) {
        uint32_t total = pass_lower_var(l, n->dtype, start);
        pass_lower_open(l, nest.axis[0]);
        uint32_t part = pass_lower_var(l, n->dtype, start);
        open_all(&nest, 1);
        pass_lower_set(l, part, nest.step, pass_lower_value(l, n->args[0], inner), 0, 0, NULL);
        close_all(&nest, 1);
        pass_lower_set(l, total, nest.step, part, 0, 0, NULL);
        pass_lower_close(l, nest.axis[0], 0, NULL);
        return total;
    }
    uint32_t sum = pass_lower_var(l, n->dtype, start);
    open_all(&nest, 0);
    pass_lower_set(l, sum, nest.step, pass_lower_value(l, n->args[0], inner), 0, 0, NULL);
    close_all(&nest, 0);
    return sum;
}

/* is `x` to be preferred to `best`: greater (less), or the first NaN */
static uint32_t preferred(struct lower *l, bool most, enum ir_dtype dtype, uint32_t x,
                          uint32_t best)
{
    uint32_t better = most ? pass_lower_let(l, IR_lt, IR_BOOL, best, x, 0)
                           : pass_lower_let(l, IR_lt, IR_BOOL, x, best, 0);

    if (ir_dtypes[dtype].kind != 'f')
        return better;
    uint32_t nan = pass_lower_let(l, IR_and, IR_BOOL, pass_lower_let(l, IR_ne, IR_BOOL, x, x, 0),
                                  pass_lower_let(l, IR_eq, IR_BOOL, best, best, 0), 0);
    return pass_lower_let(l, IR_or, IR_BOOL, better, nan, 0);
}

/* best and where of what the open loops give: two variables that move together */
static void keep_better(struct lower *l, bool most, enum ir_dtype dtype, uint32_t best,
                        uint32_t where, uint32_t x, uint32_t here, int guards,
                        const struct loop_guard *guard)
{
    uint32_t better = preferred(l, most, dtype, x, best);
    uint32_t place = pass_lower_let(l, IR_select, l->k->value[where].dtype, better, here, where);
    uint32_t value = pass_lower_let(l, IR_select, dtype, better, x, best);

    pass_lower_set(l, where, IR_POISON, place, 0, guards, guard);
    pass_lower_set(l, best, IR_POISON, value, 0, guards, guard);
}

static uint32_t reduce_arg(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct nest nest = { .l = l };
    loop_ix inner[IR_RANK], at = loop_const(l->k, 0);
    int only = n->attr[0].count ? (int)n->attr[0].at[0] : -1;

    for (int i = 0, j = 0; i < a->shape.rank; i++) {
        if (only >= 0 && i != only) {
            inner[i] = index[j++];
            continue;
        }
        if (nest.axes && !ir_dim_fixed(a->shape.dim[i]))
            return pass_lower_fail(l, "a symbolic extent that is not the first");
        nest.axis[nest.axes] = ordered_axis(l, "r", a->shape.dim[i]);
        inner[i] = loop_axis_ix(l->k, nest.axis[nest.axes++]);
        at = loop_plus(l->k, loop_scale(l->k, at, nest.axes > 1 ? a->shape.dim[i] : 1), inner[i]);
    }
    bool most = n->op == IR_argmax;
    uint32_t best = pass_lower_var(l, a->dtype, neutral(l, most ? IR_max : IR_min, a->dtype));
    uint32_t where = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    open_all(&nest, 0);
    keep_better(l, most, a->dtype, best, where, pass_lower_value(l, n->args[0], inner),
                pass_lower_index(l, n->dtype, at), 0, NULL);
    close_all(&nest, 0);
    return where;
}

/* ---- contractions ---- */

/* the update of a contraction: fused multiply-add for floats */
static void multiply_add(struct lower *l, uint32_t sum, uint32_t a, uint32_t b, int guards,
                         const struct loop_guard *guard)
{
    pass_lower_set(l, sum, IR_dot, a, b, guards, guard);
}

static uint32_t contract_dot(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]), *b = ir_at(l->g, n->args[1]);
    const char *first = n->text, *second = strchr(n->text, ',') + 1,
               *result = strstr(n->text, "->") + 2;
    struct ir_order order = ir_order(l->g, n);
    struct nest nest = { .l = l, .step = IR_add };
    loop_ix of[128] = { 0 }, inner_a[IR_RANK], inner_b[IR_RANK];
    char letters[IR_RANK + 1];
    int contracted = ir_contracted(n, letters);
    uint32_t zero = pass_lower_number(l, n->dtype, 0);

    for (int i = 0; result[i]; i++)
        of[(unsigned char)result[i]] = index[i];
    for (int i = 0; i < contracted; i++) {
        const char *name = ir_format(l->c->arena, "%c", letters[i]);
        nest.axis[i] = ordered_axis(l, name, a->shape.dim[strchr(first, letters[i]) - first]);
        of[(unsigned char)letters[i]] = loop_axis_ix(l->k, nest.axis[i]);
    }
    nest.axes = contracted;
    bool pieces = contracted && order.piece && l->k->axis[nest.axis[0]].hi > order.piece;
    if (pieces && order.piece > 1)
        of[(unsigned char)letters[0]] = cut(&nest, order.piece);
    for (int i = 0; i < a->shape.rank; i++)
        inner_a[i] = of[(unsigned char)first[i]];
    for (int i = 0; i < b->shape.rank; i++)
        inner_b[i] = of[(unsigned char)second[i]];
    uint32_t sum = pass_lower_var(l, n->dtype, zero), part = sum;
    if (pieces) {
        pass_lower_open(l, nest.axis[0]);
        part = pass_lower_var(l, n->dtype, zero);
    }
    open_all(&nest, pieces);
    uint32_t x = pass_lower_value(l, n->args[0], inner_a),
             y = pass_lower_value(l, n->args[1], inner_b);
    multiply_add(l, part, x, y, 0, NULL);
    close_all(&nest, pieces);
    if (pieces) {
        pass_lower_set(l, sum, IR_add, part, 0, 0, NULL);
        pass_lower_close(l, nest.axis[0], 0, NULL);
    }
    return sum;
}

/* attributes of a convolution, by spatial axis */
struct conv {
    int spatial;
    const int64_t *stride, *pad, *dilation;
    int64_t groups;
};

static struct conv conv_of(const struct ir_node *n)
{
    return (struct conv){ n->attr[0].count, n->attr[0].at, n->attr[1].at, n->attr[2].at,
                          n->attr[3].count ? n->attr[3].at[0] : 1 };
}

/* where in x a tap of an output position lies */
static struct taps in_x(struct lower *l, const struct conv *c, int i, loop_ix out, loop_ix tap,
                        int64_t extent)
{
    loop_ix at =
        loop_plus(l->k, loop_scale(l->k, out, c->stride[i]), loop_scale(l->k, tap, c->dilation[i]));

    at = loop_plus(l->k, at, loop_const(l->k, -c->pad[2 * i]));
    return (struct taps){ at, { at, loop_dim_ix(l->k, extent) } };
}

/* the tap loops stand around the channel loop, but the last one inside it: order r.. ci q */
static void order_taps(struct nest *nest, int spatial, const int *tap, int channel)
{
    int at = 0;

    for (int i = 0; i < spatial - 1; i++)
        nest->axis[at++] = tap[i];
    nest->axis[at++] = channel;
    nest->axis[at++] = tap[spatial - 1];
    nest->axes = at;
}

static void guard_loop(struct nest *nest, int axis, struct loop_guard guard)
{
    for (int i = 0; i < nest->axes; i++)
        if (nest->axis[i] == axis && loop_guard_state(nest->l->k, &guard) != 1)
            nest->guard[i][nest->guards[i]++] = guard;
}

/* what is loaded inside has the loops' conditions too, lest it is hoisted out of them; the emitter
 * knows them for settled inside */
static void guard_loads(const struct nest *nest)
{
    struct lower *l = nest->l;

    for (int i = 0; i < nest->axes; i++)
        for (int j = 0; j < nest->guards[i] && l->guards < LOWER_GUARDS; j++)
            l->guard[l->guards++] = nest->guard[i][j];
}

static uint32_t contract_conv(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *x = ir_at(l->g, n->args[0]), *w = ir_at(l->g, n->args[1]);
    struct conv c = conv_of(n);
    struct nest nest = { .l = l };
    loop_ix ix[IR_RANK], iw[IR_RANK];
    int tap[IR_RANK];
    struct taps at[IR_RANK];
    int channel = ordered_axis(l, "ci", w->shape.dim[1]);
    struct loop_guard inner[2];
    int inners = 0;

    for (int i = 0; i < c.spatial; i++) {
        tap[i] = ordered_axis(l, i == c.spatial - 1 ? "q" : "r", w->shape.dim[2 + i]);
        at[i] = in_x(l, &c, i, index[2 + i], loop_axis_ix(l->k, tap[i]), x->shape.dim[2 + i]);
        ix[2 + i] = at[i].at;
        iw[2 + i] = loop_axis_ix(l->k, tap[i]);
    }
    order_taps(&nest, c.spatial, tap, channel);
    ix[0] = index[0];
    iw[0] = index[1];
    iw[1] = loop_axis_ix(l->k, channel);
    loop_ix group =
        loop_div(l->k, index[1], w->shape.dim[0] / c.groups ? w->shape.dim[0] / c.groups : 1);
    ix[1] = loop_plus(l->k, c.groups > 1 ? loop_scale(l->k, group, w->shape.dim[1]) : 0, iw[1]);
    uint32_t sum = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    for (int i = 0; i < nest.axes; i++) {
        pass_lower_open(l, nest.axis[i]);
        for (int s = 0; s < c.spatial - 1;
             s++) /* a row outside is skipped whole: its guard stands around the channels */
            if (nest.axis[i] == channel)
                guard_loop(&nest, channel, at[s].inside);
    }
    if (loop_guard_state(l->k, &at[c.spatial - 1].inside) != 1)
        inner[inners++] = at[c.spatial - 1].inside;
    int before = l->guards;
    guard_loads(&nest);
    for (int i = 0; i < inners; i++)
        l->guard[l->guards++] = inner[i];
    uint32_t a = pass_lower_value(l, n->args[0], ix);
    l->guards = before;
    uint32_t b = pass_lower_value(l, n->args[1], iw);
    multiply_add(l, sum, a, b, inners, inner);
    close_all(&nest, 0);
    return sum;
}

/* Output positions that reach position `in` of the input by a tap: (in + pad - tap * dilation) /
 * stride where that is whole. */
static struct loop_ix_pair {
    loop_ix at;
    struct loop_guard whole, inside;
} reaching(struct lower *l, loop_ix in, loop_ix tap, int64_t stride, int64_t pad, int64_t dilation,
           int64_t extent)
{
    struct loop_ix_pair p;
    loop_ix reach = loop_plus(l->k, in, loop_const(l->k, pad));

    reach = loop_plus(l->k, reach, loop_scale(l->k, tap, -dilation));
    p.at = loop_div(l->k, reach, stride);
    p.whole = (struct loop_guard){ loop_mod(l->k, reach, stride), loop_const(l->k, 1) };
    p.inside = (struct loop_guard){ p.at, loop_dim_ix(l->k, extent) };
    return p;
}

static int keep_guard(struct lower *l, struct loop_guard *list, int count, struct loop_guard g)
{
    if (loop_guard_state(l->k, &g) != 1)
        list[count++] = g;
    return count;
}

static uint32_t contract_conv_input(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *y = ir_at(l->g, n->args[0]), *w = ir_at(l->g, n->args[1]);
    struct conv c = conv_of(n);
    struct nest nest = { .l = l };
    loop_ix iy[IR_RANK], iw[IR_RANK];
    int tap[IR_RANK];
    struct loop_ix_pair at[IR_RANK];
    int64_t per_group = w->shape.dim[0] / c.groups;
    int channel = ordered_axis(l, "co", per_group);
    struct loop_guard inner[4];
    int inners = 0;

    for (int i = 0; i < c.spatial; i++) {
        tap[i] = ordered_axis(l, i == c.spatial - 1 ? "q" : "r", w->shape.dim[2 + i]);
        iw[2 + i] = turned(l, loop_axis_ix(l->k, tap[i]),
                           w->shape.dim[2 + i]); /* descending taps: ascending addresses of y */
        at[i] = reaching(l, index[2 + i], iw[2 + i], c.stride[i], c.pad[2 * i], c.dilation[i],
                         y->shape.dim[2 + i]);
        iy[2 + i] = at[i].at;
    }
    order_taps(&nest, c.spatial, tap, channel);
    loop_ix group = loop_div(l->k, index[1], w->shape.dim[1] ? w->shape.dim[1] : 1);
    iy[0] = index[0];
    iy[1] = loop_plus(l->k, c.groups > 1 ? loop_scale(l->k, group, per_group) : 0,
                      loop_axis_ix(l->k, channel));
    iw[0] = iy[1];
    iw[1] = c.groups > 1 ? loop_mod(l->k, index[1], w->shape.dim[1]) : index[1];
    uint32_t sum = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    for (int i = 0; i < nest.axes; i++)
        pass_lower_open(l, nest.axis[i]);
    for (int i = 0; i < c.spatial - 1; i++) {
        guard_loop(&nest, channel, at[i].whole);
        guard_loop(&nest, channel, at[i].inside);
    }
    inners = keep_guard(l, inner, inners, at[c.spatial - 1].whole);
    inners = keep_guard(l, inner, inners, at[c.spatial - 1].inside);
    int before = l->guards;
    guard_loads(&nest);
    for (int i = 0; i < inners; i++)
        l->guard[l->guards++] = inner[i];
    uint32_t a = pass_lower_value(l, n->args[0], iy);
    l->guards = before;
    uint32_t b = pass_lower_value(l, n->args[1], iw);
    multiply_add(l, sum, a, b, inners, inner);
    close_all(&nest, 0);
    return sum;
}

/* one sum an image, images added in ascending order */
static uint32_t contract_conv_weight(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *x = ir_at(l->g, n->args[0]), *y = ir_at(l->g, n->args[1]);
    struct conv c = conv_of(n);
    struct nest nest = { .l = l };
    loop_ix ix[IR_RANK], iy[IR_RANK];
    struct loop_guard inner[IR_RANK];
    int inners = 0, last = 0;
    uint32_t zero = pass_lower_number(l, n->dtype, 0);

    nest.axis[nest.axes++] = ordered_axis(l, "n", x->shape.dim[0]);
    ix[0] = iy[0] = loop_axis_ix(l->k, nest.axis[0]);
    for (int i = 0; i < c.spatial; i++) {
        last = nest.axis[nest.axes++] =
            ordered_axis(l, i == c.spatial - 1 ? "w" : "h", y->shape.dim[2 + i]);
        iy[2 + i] = loop_axis_ix(l->k, last);
        struct taps at = in_x(l, &c, i, iy[2 + i], index[2 + i], x->shape.dim[2 + i]);
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
        loop_div(l->k, index[0], y->shape.dim[1] / c.groups ? y->shape.dim[1] / c.groups : 1);
    iy[1] = index[0];
    ix[1] = loop_plus(l->k, c.groups > 1 ? loop_scale(l->k, group, x->shape.dim[1] / c.groups) : 0,
                      index[1]);
    uint32_t sum = pass_lower_var(l, n->dtype, zero);
    pass_lower_open(l, nest.axis[0]);
    uint32_t part = pass_lower_var(l, n->dtype, zero);
    open_all(&nest, 1);
    int before = l->guards;
    guard_loads(&nest);
    for (int i = 0; i < inners; i++)
        l->guard[l->guards++] = inner[i];
    uint32_t a = pass_lower_value(l, n->args[0], ix);
    l->guards = before;
    uint32_t b = pass_lower_value(l, n->args[1], iy);
    multiply_add(l, part, a, b, inners, inner);
    close_all(&nest, 1);
    pass_lower_set(l, sum, IR_add, part, 0, 0, NULL);
    pass_lower_close(l, nest.axis[0], 0, NULL);
    return sum;
}

/* ---- windows ---- */

static uint32_t reduce_window(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct conv c = { n->attr[0].count, n->attr[1].at, n->attr[2].at, n->attr[3].at, 1 };
    struct nest nest = { .l = l, .step = step_of(n->op) };
    int lead = n->shape.rank - c.spatial, guards = 0;
    loop_ix inner[IR_RANK], number = loop_const(l->k, 0);
    struct loop_guard guard[IR_RANK];
    bool arg = n->op == IR_window_argmax;

    if (lead)
        memcpy(inner, index, (size_t)lead * sizeof *inner);
    for (int i = 0; i < c.spatial; i++) {
        nest.axis[nest.axes] = ordered_axis(l, i == c.spatial - 1 ? "q" : "r", n->attr[0].at[i]);
        loop_ix tap = loop_axis_ix(l->k, nest.axis[nest.axes++]);
        struct taps at = in_x(l, &c, i, index[lead + i], tap, a->shape.dim[lead + i]);
        inner[lead + i] = at.at;
        guards = keep_guard(l, guard, guards, at.inside);
        number = loop_plus(l->k, loop_scale(l->k, number, n->attr[0].at[i]), tap);
    }
    enum ir_op step = arg ? IR_max : nest.step;
    uint32_t best = pass_lower_var(l, a->dtype, neutral(l, step, a->dtype));
    uint32_t where = arg ? pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0)) : 0;
    open_all(&nest, 0);
    int before = l->guards;
    for (int i = 0; i < guards; i++)
        l->guard[l->guards++] = guard[i];
    uint32_t x = pass_lower_value(l, n->args[0], inner);
    l->guards = before;
    if (arg)
        keep_better(l, true, a->dtype, best, where, x, pass_lower_index(l, n->dtype, number),
                    guards, guard);
    else
        pass_lower_set(l, best, step, x, 0, guards, guard);
    close_all(&nest, 0);
    return arg ? where : best;
}

/* transposes of windows: an element gets from every window that holds it, windows ascending, i.e.
 * taps descending */
static uint32_t spread_window(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    int spatial = n->attr[0].count, lead = n->shape.rank - spatial, guards = 0;
    bool place = n->op == IR_window_place, apart = true;
    struct nest nest = { .l = l };
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
            guards =
                keep_guard(l, guard, guards, (struct loop_guard){ tap, loop_const(l->k, window) });
            guards = keep_guard(l, guard, guards,
                                (struct loop_guard){ inner[lead + i], loop_dim_ix(l->k, extent) });
        } else {
            nest.axis[nest.axes] = ordered_axis(l, i == spatial - 1 ? "q" : "r", window);
            tap = turned(l, loop_axis_ix(l->k, nest.axis[nest.axes++]), window);
            struct loop_ix_pair p = reaching(l, at, tap, stride, pad, n->attr[3].at[i], extent);
            inner[lead + i] = p.at;
            guards = keep_guard(l, guard, guards, p.whole);
            guards = keep_guard(l, guard, guards, p.inside);
        }
        number = loop_plus(l->k, loop_scale(l->k, number, window), tap);
    }
    if (l->guards + guards > LOWER_GUARDS || guards > LOOP_GUARDS - 2)
        return pass_lower_fail(l, "windows over too many axes");
    uint32_t zero = pass_lower_number(l, n->dtype, 0);
    uint32_t sum = pass_lower_var(l, n->dtype, zero);
    open_all(&nest, 0);
    int before = l->guards;
    for (int i = 0; i < guards; i++)
        l->guard[l->guards++] = guard[i];
    uint32_t x = pass_lower_value(l, n->args[0], inner);
    if (place) {
        const struct ir_node *b = ir_at(l->g, n->args[1]);
        uint32_t taken = pass_lower_value(l, n->args[1], inner);
        uint32_t hit =
            pass_lower_let(l, IR_eq, IR_BOOL, taken, pass_lower_index(l, b->dtype, number), 0);
        x = pass_lower_let(l, IR_select, n->dtype, hit, x, zero);
    }
    l->guards = before;
    pass_lower_set(l, sum, IR_add, x, 0, guards, guard);
    close_all(&nest, 0);
    return sum;
}

uint32_t pass_lower_loops(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);

    switch (n->op) {
    case IR_sum:
    case IR_prod:
    case IR_amax:
    case IR_amin:
    case IR_all:
    case IR_any:
        return ir_order(l->g, n).kind == IR_LANES ? reduce_row(l, n) : reduce_axes(l, n, index);
    case IR_argmax:
    case IR_argmin:
        return reduce_arg(l, n, index);
    case IR_dot:
        return contract_dot(l, n, index);
    case IR_conv:
        return contract_conv(l, n, index);
    case IR_conv_input:
        return contract_conv_input(l, n, index);
    case IR_conv_weight:
        return contract_conv_weight(l, n, index);
    case IR_window_sum:
    case IR_window_max:
    case IR_window_argmax:
        return reduce_window(l, n, index);
    case IR_window_spread:
    case IR_window_place:
        return spread_window(l, n, index);
    default:
        return pass_lower_fail(l, "has no loop form");
    }
}

/*
 * Scatters store as they go: zeros first, then one update after the other, ascending. The loops
 * over axes that the indices do not touch stand outside and are independent.
 */
void pass_lower_scatter(struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v), *a = ir_at(l->g, n->args[0]),
                         *b = ir_at(l->g, n->args[1]);
    int axis = (int)n->attr[0].at[0], wide = n->op == IR_put_add ? b->shape.rank : 1;
    loop_ix to[IR_RANK], from[IR_RANK], at[IR_RANK];
    int outer[IR_RANK], outers = 0, inner[IR_RANK], inners = 0;
    struct loop_statement put = { .kind = LOOP_STORE, .dtype = n->dtype };

    l->at = v;
    for (int i = 0; i < a->shape.rank; i++) { /* axes of a: before, the indices', behind */
        bool picked = i >= axis && i < axis + wide;
        int x = pass_lower_axis(l, picked ? "t" : "i", a->shape.dim[i]);
        from[i] = loop_axis_ix(l->k, x);
        if (picked)
            l->k->axis[x].ordered = true;
        *(picked ? &inner[inners++] : &outer[outers++]) = x;
        if (!picked)
            to[i < axis ? i : i - wide + 1] = from[i];
    }
    const char *name = n->name;
    put.buffer = loop_buffer_of(l->k, name, n->dtype, v, l->c->storage[v.id].elements);
    l->k->buffer[put.buffer].written = l->k->buffer[put.buffer].read = true;
    for (int i = 0; i < outers; i++)
        pass_lower_open(l, outer[i]);
    int zeros = pass_lower_axis(l, "z", n->shape.dim[axis]);
    pass_lower_open(l, zeros);
    to[axis] = loop_axis_ix(l->k, zeros);
    put.args[0] = pass_lower_number(l, n->dtype, 0);
    put.ix = pass_address(l->k, &l->c->storage[v.id], to);
    pass_lower_emit(l, put);
    pass_lower_close(l, zeros, 0, NULL);
    for (int i = 0; i < inners; i++)
        pass_lower_open(l, inner[i]);
    if (n->op == IR_put_add)
        memcpy(at, from + axis, (size_t)wide * sizeof *at);
    else
        memcpy(at, from, (size_t)b->shape.rank * sizeof *at);
    uint32_t index = pass_lower_value(l, n->args[1], at);
    if (l->failed)
        return;
    if (b->dtype != IR_I64)
        index = pass_lower_let(l, IR_cast, IR_I64, index, 0, 0);
    index = pass_lower_let(l, IR_max, IR_I64, index, pass_lower_index(l, IR_I64, 0), 0);
    index = pass_lower_let(l, IR_min, IR_I64, index,
                           pass_lower_index(l, IR_I64,
                                            loop_plus(l->k, loop_dim_ix(l->k, n->shape.dim[axis]),
                                                      loop_const(l->k, -1))),
                           0);
    to[axis] = loop_value_ix(l->k, index);
    put.ix = pass_address(l->k, &l->c->storage[v.id], to);
    uint32_t x = pass_lower_value(l, n->args[0], from);
    if (l->failed)
        return;
    uint32_t old = pass_lower_emit(
        l, (struct loop_statement){
               .kind = LOOP_LOAD, .dtype = n->dtype, .buffer = put.buffer, .ix = put.ix });
    put.args[0] = pass_lower_let(l, IR_add, n->dtype, old, x, 0);
    pass_lower_emit(l, put);
    for (int i = inners; i-- > 0;)
        pass_lower_close(l, inner[i], 0, NULL);
    for (int i = outers; i-- > 0;)
        pass_lower_close(l, outer[i], 0, NULL);
}
