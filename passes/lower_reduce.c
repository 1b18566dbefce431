/*
 * lower_reduce: reductions over axes: a variable, loops along the reduced axes in the order that
 * ir_order() lays down, and an update. The last axes of a row are folded instead, and schedule says
 * how they are walked.
 */
#include "lower.h"

/* what a reduction by this step starts from */
uint32_t pass_lower_neutral(struct lower *l, enum ir_op step, enum ir_dtype dtype)
{
    struct ir_neutral start = ir_neutral(step, dtype);

    return pass_lower_emit(l, (struct loop_statement){ .kind = LOOP_LET,
                                                       .op = IR_const,
                                                       .dtype = dtype,
                                                       .number = start.number,
                                                       .integer = start.integer });
}

/* ---- reductions over axes ---- */

static uint32_t reduce_row(struct lower *l, const struct ir_node *n)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    loop_ix index[IR_RANK], flat = loop_axis_ix(l->k, l->row_axis);
    struct loop_statement s = { .kind = LOOP_FOLD, .op = ir_step(n->op), .dtype = n->dtype };
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

static uint32_t reduce_axes(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct ir_order order = ir_order(l->g, n);
    struct lower_nest nest = { .l = l };
    enum ir_op step = ir_step(n->op);
    loop_ix inner[IR_RANK];
    bool reduced[IR_RANK] = { false };
    loop_ix first = 0;
    uint32_t start = pass_lower_neutral(l, step, n->dtype);

    for (int i = 0; i < n->attr[0].count; i++)
        if (a->shape.dim[n->attr[0].at[i]] == 0) /* a load before the loop would be of nothing */
            return start;
    for (int i = 0; i < n->attr[0].count; i++) {
        reduced[n->attr[0].at[i]] = true;
        nest.axis[nest.axes++] = pass_lower_ordered(l, "r", a->shape.dim[n->attr[0].at[i]]);
    }
    bool pieces = order.piece && l->k->axis[nest.axis[0]].hi > order.piece;
    int firsts = nest.axis[0];
    bool cuts = pieces && order.piece > 1; /* a piece of one index is the loop itself */
    if (cuts)
        first = pass_lower_cut(&nest, order.piece);
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
        pass_lower_open_all(&nest, 1);
        pass_lower_set(l, part, step, pass_lower_value(l, n->args[0], inner), 0, 0, NULL);
        pass_lower_close_all(&nest, 1);
        pass_lower_set(l, total, step, part, 0, 0, NULL);
        pass_lower_close(l, nest.axis[0], 0, NULL);
        return total;
    }
    uint32_t sum = pass_lower_var(l, n->dtype, start);
    pass_lower_open_all(&nest, 0);
    pass_lower_set(l, sum, step, pass_lower_value(l, n->args[0], inner), 0, 0, NULL);
    pass_lower_close_all(&nest, 0);
    return sum;
}

uint32_t pass_lower_of_reduce(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return ir_order(l->g, n).kind == IR_LANES ? reduce_row(l, n) : reduce_axes(l, n, index);
}

/* ---- the place of an extreme ---- */

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

/* best and where of what the open loops give: two variables that move together. Where some of them
 * is not there, `where` begins below 0, and the first that is there is taken whatever it is. */
void pass_lower_keep_better(struct lower *l, bool most, enum ir_dtype dtype, uint32_t best,
                            uint32_t where, uint32_t x, uint32_t here, int guards,
                            const struct loop_guard *guard)
{
    uint32_t better = preferred(l, most, dtype, x, best);

    if (guards)
        better =
            pass_lower_let(l, IR_or, IR_BOOL, better,
                           pass_lower_let(l, IR_lt, IR_BOOL, where,
                                          pass_lower_number(l, l->k->value[where].dtype, 0), 0),
                           0);
    uint32_t place = pass_lower_let(l, IR_select, l->k->value[where].dtype, better, here, where);
    uint32_t value = pass_lower_let(l, IR_select, dtype, better, x, best);

    pass_lower_set(l, where, IR_POISON, place, 0, guards, guard);
    pass_lower_set(l, best, IR_POISON, value, 0, guards, guard);
}

uint32_t pass_lower_of_arg(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    struct lower_nest nest = { .l = l };
    loop_ix inner[IR_RANK], at = loop_const(l->k, 0);
    int only = n->attr[0].count ? (int)n->attr[0].at[0] : -1;

    for (int i = 0, j = 0; i < a->shape.rank; i++) {
        if (only >= 0 && i != only) {
            inner[i] = index[j++];
            continue;
        }
        if (nest.axes && !ir_dim_fixed(a->shape.dim[i]))
            return pass_lower_fail(l, "a symbolic extent that is not the first");
        nest.axis[nest.axes] = pass_lower_ordered(l, "r", a->shape.dim[i]);
        inner[i] = loop_axis_ix(l->k, nest.axis[nest.axes++]);
        at = loop_plus(l->k, loop_scale(l->k, at, nest.axes > 1 ? a->shape.dim[i] : 1), inner[i]);
    }
    bool most = n->op == IR_argmax;
    uint32_t best =
        pass_lower_var(l, a->dtype, pass_lower_neutral(l, most ? IR_max : IR_min, a->dtype));
    uint32_t where = pass_lower_var(l, n->dtype, pass_lower_number(l, n->dtype, 0));
    pass_lower_open_all(&nest, 0);
    pass_lower_keep_better(l, most, a->dtype, best, where, pass_lower_value(l, n->args[0], inner),
                           pass_lower_index(l, n->dtype, at), 0, NULL);
    pass_lower_close_all(&nest, 0);
    return where;
}
