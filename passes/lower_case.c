/*
 * lower_case: index maps that a sum of axes cannot say: what lies inside a border and what outside,
 * which of several arrays it is, and the place that an integer in memory names.
 */
#include "lower.h"

#include <string.h>

static uint32_t truth(struct lower *l, int guards, const struct loop_guard *guard)
{
    uint32_t all = 0;

    for (int i = 0; i < guards; i++) {
        if (loop_guard_state(l->k, &guard[i]) == 1)
            continue;
        uint32_t at = pass_lower_index(l, IR_I64, guard[i].ix);
        uint32_t zero = pass_lower_index(l, IR_I64, 0);
        uint32_t limit = pass_lower_index(l, IR_I64, guard[i].limit);
        uint32_t inside =
            pass_lower_let(l, IR_and, IR_BOOL, pass_lower_let(l, IR_le, IR_BOOL, zero, at, 0),
                           pass_lower_let(l, IR_lt, IR_BOOL, at, limit, 0), 0);
        all = all ? pass_lower_let(l, IR_and, IR_BOOL, all, inside, 0) : inside;
    }
    return all;
}

static void note_cut(struct lower_cuts *cuts, int64_t at)
{
    int i = cuts->count;

    if (at % LOOP_LANES || cuts->count == LOWER_CUTS) {
        cuts->many = true;
        return;
    }
    while (i > 0 && cuts->at[i - 1] > at)
        i--;
    if (i > 0 && cuts->at[i - 1] == at)
        return;
    memmove(&cuts->at[i + 1], &cuts->at[i], (size_t)(cuts->count - i) * sizeof *cuts->at);
    cuts->at[i] = at;
    cuts->count++;
}

/* 0 <= axis + constant < limit: it begins to hold at one place along the axis, and ends at another
 */
static void note_cuts(struct lower *l, const struct loop_guard *g)
{
    const struct loop_sum *sum = &l->k->sum[g->ix];
    int64_t limit;

    for (int i = 0; i < l->map_rank; i++) {
        const struct loop_axis *a = &l->k->axis[l->map_axis[i]];
        const uint64_t only = UINT64_C(1) << l->map_axis[i];
        bool linear;
        if (sum->count != 1 || loop_axes_of(l->k, g->ix) != only ||
            loop_coefficient(l->k, g->ix, l->map_axis[i], &linear) != 1 || !linear ||
            !loop_is_const(l->k, g->limit, &limit))
            continue;
        if (l->cuts.axis >= 0 && l->cuts.axis != i) {
            l->cuts.many = true;
            return;
        }
        l->cuts.axis = i;
        if (-sum->constant > 0)
            note_cut(&l->cuts, -sum->constant);
        if (limit - sum->constant < a->hi)
            note_cut(&l->cuts, limit - sum->constant);
    }
}

/* value of a where the guards hold, else b */
static uint32_t by_case(struct lower *l, enum ir_dtype dtype, ir_val a, const loop_ix *index,
                        int guards, const struct loop_guard *guard, uint32_t otherwise)
{
    struct loop_guard open[IR_RANK] = { 0 }; /* that may hold or not */
    int opens = 0;

    for (int i = 0; i < guards; i++) {
        int state = loop_guard_state(l->k, &guard[i]);
        if (state == 0)
            return otherwise;
        if (state != 1) {
            note_cuts(l, &guard[i]);
            open[opens++] = guard[i];
        }
    }
    struct lower_under before = pass_lower_under(l, opens, open);
    uint32_t value = pass_lower_value(l, a, index);
    pass_lower_restore(l, before);
    uint32_t condition = truth(l, guards, guard);
    return condition ? pass_lower_let(l, IR_select, dtype, condition, value, otherwise) : value;
}

uint32_t pass_lower_of_pad(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    loop_ix inner[IR_RANK];
    struct loop_guard guard[IR_RANK];

    for (int i = 0; i < n->shape.rank; i++) {
        inner[i] = loop_plus(l->k, index[i], loop_const(l->k, -n->attr[0].at[i]));
        guard[i] = (struct loop_guard){ inner[i], loop_dim_ix(l->k, a->shape.dim[i]) };
    }
    uint32_t otherwise = pass_lower_value(l, n->args[1], NULL);
    return by_case(l, n->dtype, n->args[0], inner, n->shape.rank, guard, otherwise);
}

uint32_t pass_lower_of_concat(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK], start = loop_const(l->k, 0);
    uint32_t result = 0;

    memcpy(inner, index, (size_t)n->shape.rank * sizeof *inner);
    for (int i = 0; i < n->arity; i++) {
        int64_t dim = ir_at(l->g, n->args[i])->shape.dim[axis];
        struct loop_guard guard;
        if (dim == 0)
            continue;
        inner[axis] = loop_plus(l->k, index[axis], loop_scale(l->k, start, -1));
        guard = (struct loop_guard){ inner[axis], loop_dim_ix(l->k, dim) };
        start = loop_plus(l->k, start, guard.limit);
        if (!result)
            result = pass_lower_number(l, n->dtype, 0);
        result = by_case(l, n->dtype, n->args[i], inner, 1, &guard, result);
    }
    return result ? result : pass_lower_number(l, n->dtype, 0);
}

/* an integer read from memory, kept inside 0 .. limit - 1: a bad one must not read elsewhere */
loop_ix pass_lower_picked(struct lower *l, ir_val v, const loop_ix *index, int64_t limit)
{
    enum ir_dtype dtype = ir_at(l->g, v)->dtype;
    uint32_t at = pass_lower_value(l, v, index);

    if (dtype != IR_I64)
        at = pass_lower_let(l, IR_cast, IR_I64, at, 0, 0);
    at = pass_lower_let(l, IR_max, IR_I64, at, pass_lower_index(l, IR_I64, 0), 0);
    uint32_t last = pass_lower_index(
        l, IR_I64, loop_plus(l->k, loop_dim_ix(l->k, limit), loop_const(l->k, -1)));
    return loop_value_ix(l->k, pass_lower_let(l, IR_min, IR_I64, at, last, 0));
}

uint32_t pass_lower_of_take(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]), *b = ir_at(l->g, n->args[1]);
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK];

    for (int i = 0; i < a->shape.rank; i++)
        if (i != axis)
            inner[i] = index[i < axis ? i : i + b->shape.rank - 1];
    inner[axis] = pass_lower_picked(l, n->args[1], index + axis, a->shape.dim[axis]);
    return pass_lower_value(l, n->args[0], inner);
}

uint32_t pass_lower_of_gather(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK];

    memcpy(inner, index, (size_t)n->shape.rank * sizeof *inner);
    inner[axis] = pass_lower_picked(l, n->args[1], index, ir_at(l->g, n->args[0])->shape.dim[axis]);
    return pass_lower_value(l, n->args[0], inner);
}

/* from each window the tap that an integer names */
uint32_t pass_lower_of_pick(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    int spatial = n->attr[0].count, lead = n->shape.rank - spatial;
    int64_t taps = 1;
    loop_ix inner[IR_RANK];
    struct loop_guard guard[IR_RANK];

    for (int i = 0; i < spatial; i++)
        taps *= n->attr[0].at[i];
    loop_ix tap = pass_lower_picked(l, n->args[1], index, taps);
    memcpy(inner, index, (size_t)lead * sizeof *inner);
    for (int i = spatial; i-- > 0;) {
        int64_t stride = n->attr[1].at[i], pad = n->attr[2].at[2 * i], dilation = n->attr[3].at[i];
        loop_ix t = i ? loop_mod(l->k, tap, n->attr[0].at[i]) : tap;
        tap = loop_div(l->k, tap, n->attr[0].at[i]);
        inner[lead + i] = loop_plus(l->k,
                                    loop_plus(l->k, loop_scale(l->k, index[lead + i], stride),
                                              loop_scale(l->k, t, dilation)),
                                    loop_const(l->k, -pad));
        guard[i] =
            (struct loop_guard){ inner[lead + i], loop_dim_ix(l->k, a->shape.dim[lead + i]) };
    }
    return by_case(l, n->dtype, n->args[0], inner, spatial, guard,
                   pass_lower_number(l, n->dtype, 0));
}
