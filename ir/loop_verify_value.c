/*
 * What a statement may do with the values it names: types by the rows of ops.def, updates in the
 * order that the loops lay down, stores that no other iteration overwrites.
 */
#include "loop_check.h"

#include <string.h>

static bool in_reach(struct loop_check *c, uint32_t v)
{
    if (!c->reach[v])
        return loop_wrong(c, v ? "%%%u is not in reach" : "an argument is missing", v);
    return !c->fragment[v] || c->at->kind == LOOP_MULTIPLY ||
           loop_wrong(c, "%%%u is a fragment, which is multiplied and nothing else", v);
}

static bool kind_fits(char kind, enum ir_dtype dtype)
{
    char is = ir_dtypes[dtype].kind;

    return kind == 'A' || (kind == 'B' && is == 'b') || (kind == 'F' && is == 'f') ||
           (kind == 'N' && is != 'b') || (kind == 'I' && is != 'f');
}

bool loop_types_agree(struct loop_check *c, enum ir_dtype found, enum ir_dtype expected)
{
    return found == expected ||
           loop_wrong(c, "found %s; expected %s", ir_dtypes[found].name, ir_dtypes[expected].name);
}

bool loop_arity_is(struct loop_check *c, const struct loop_statement *s, int arity)
{
    for (int i = 0; i < 3; i++)
        if (i < arity ? !in_reach(c, s->args[i]) : s->args[i] != 0)
            return i < arity ? false : loop_wrong(c, "more than %d arguments", arity);
    return true;
}

/* op on values of type `of`, with the result `dtype` */
static bool op_fits(struct loop_check *c, enum ir_op op, enum ir_dtype of, enum ir_dtype dtype)
{
    const struct ir_op_info *info = &ir_ops[op];
    bool truth = info->group == IR_PREDICATE || info->group == IR_COMPARE;

    if (!kind_fits(info->kind, of))
        return loop_wrong(c, "%s has no form for %s", info->name, ir_dtypes[of].name);
    return loop_types_agree(c, dtype, truth ? IR_BOOL : of);
}

bool loop_let_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_value *v = c->k->value;

    switch (s->op) {
    case IR_POISON:
        if (ir_dtypes[s->dtype].kind != 'i')
            return loop_wrong(c, "an index of type %s; expected i64 or i32",
                              ir_dtypes[s->dtype].name);
        return loop_arity_is(c, s, 0);
    case IR_const:
        return loop_arity_is(c, s, 0);
    case IR_bits:
        return loop_arity_is(c, s, 2) && loop_types_agree(c, v[s->args[0]].dtype, IR_I64) &&
               loop_types_agree(c, v[s->args[1]].dtype, IR_I64) &&
               loop_types_agree(c, s->dtype, IR_U32);
    case IR_cast:
        return loop_arity_is(c, s, 1);
    case IR_bitcast:
        return loop_arity_is(c, s, 1) &&
               (ir_dtypes[v[s->args[0]].dtype].bytes == ir_dtypes[s->dtype].bytes ||
                loop_wrong(c, "%s and %s are of different sizes",
                           ir_dtypes[v[s->args[0]].dtype].name, ir_dtypes[s->dtype].name));
    case IR_stop_gradient: /* another name of the value */
        return loop_arity_is(c, s, 1) && loop_types_agree(c, v[s->args[0]].dtype, s->dtype);
    case IR_select:
        return loop_arity_is(c, s, 3) && loop_types_agree(c, v[s->args[0]].dtype, IR_BOOL) &&
               loop_types_agree(c, v[s->args[1]].dtype, s->dtype) &&
               loop_types_agree(c, v[s->args[2]].dtype, s->dtype);
    default:
        break;
    }
    if (ir_ops[s->op].group == IR_STRUCTURAL)
        return loop_wrong(c, "no operation on single elements");
    if (!loop_arity_is(c, s, ir_ops[s->op].arity))
        return false;
    for (int i = 1; i < ir_ops[s->op].arity; i++)
        if (!loop_types_agree(c, v[s->args[i]].dtype, v[s->args[0]].dtype))
            return false;
    return op_fits(c, s->op, v[s->args[0]].dtype, s->dtype);
}

/* what a variable takes in from loops that it stands outside of arrives in their order */
bool loop_update_is_in_order(struct loop_check *c, uint32_t variable)
{
    bool unrolled = false;

    for (int i = 0; i < c->depth; i++) {
        const struct loop_axis *a = &c->k->axis[c->around[i]->axis];
        if (c->inside[variable] >> c->around[i]->axis & 1 || a->hi - a->lo <= 1)
            continue;
        if (c->parallel >> c->around[i]->axis & 1)
            return loop_wrong(c, "threads share the variable; expected it inside of their loop");
        if (a->role == LOOP_VECTOR && !a->ordered)
            return loop_wrong(
                c, "lanes share the variable; expected it inside of their loop, or an ordered one");
        if (a->role == LOOP_SERIAL && unrolled) /* it stands once, around the copies of its body */
            return loop_wrong(c,
                              "a loop inside of an unrolled one would update it in another order");
        unrolled |= a->role == LOOP_UNROLL || a->role == LOOP_VECTOR;
    }
    return true;
}

bool loop_set_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_value *v = c->k->value;
    uint32_t target = s->args[0];

    if (!loop_arity_is(c, s, s->op == IR_dot ? 3 : 2) ||
        !loop_types_agree(c, v[s->args[1]].dtype, v[target].dtype) ||
        !loop_types_agree(c, s->dtype, v[target].dtype))
        return false;
    if (!c->variable[target])
        return loop_wrong(c, "it is no variable");
    if (s->op == IR_dot && !loop_types_agree(c, v[s->args[2]].dtype, v[target].dtype))
        return false;
    if (s->op != IR_dot && s->op != IR_POISON &&
        (ir_ops[s->op].group != IR_BINARY || !op_fits(c, s->op, v[target].dtype, v[target].dtype)))
        return loop_wrong(c, "%s does not update a %s", ir_ops[s->op].name,
                          ir_dtypes[v[target].dtype].name);
    if (s->op == IR_dot && ir_dtypes[v[target].dtype].kind == 'b')
        return loop_wrong(c, "a product of truth values");
    return loop_update_is_in_order(c, target);
}

bool loop_fold_holds(struct loop_check *c, const struct loop_statement *s)
{
    static const enum ir_op ops[] = { IR_add, IR_mul, IR_max, IR_min, IR_and, IR_or };
    bool known = false;

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        known |= s->op == ops[i];
    if (!known)
        return loop_wrong(c, "%s is no way to fold", ir_ops[s->op].name);
    if (!loop_arity_is(c, s, 1))
        return false;
    if (!s->over || s->over & ~c->axes)
        return loop_wrong(c, "over axes whose loops are not around it");
    if (s->over & ~(c->unrolled | c->members))
        return loop_wrong(
            c, "over a loop that runs one after the other; expected unrolled ones and lanes");
    return loop_types_agree(c, c->k->value[s->args[0]].dtype, s->dtype) &&
           op_fits(c, s->op, s->dtype, s->dtype);
}

bool loop_store_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_buffer *b = &c->k->buffer[s->buffer];
    uint64_t where = loop_axes_of(c->shadow, s->ix), side = (c->unrolled | c->parallel) & c->axes;

    if (!loop_arity_is(c, s, 1) || !loop_types_agree(c, c->k->value[s->args[0]].dtype, b->dtype) ||
        !loop_types_agree(c, s->dtype, b->dtype))
        return false;
    if (!b->written && !b->scratch)
        return loop_wrong(c, "the buffer is not marked as written");
    for (int i = 0; i < s->guards; i++)
        where |=
            loop_axes_of(c->shadow, s->guard[i].ix) | loop_axes_of(c->shadow, s->guard[i].limit);
    for (int i = c->depth;
         i-- > 0;) /* threads take turns at other places: a loop's own beginning tells them apart */
        if (where >> c->around[i]->axis & 1)
            where |= loop_axes_of(c->shadow, c->k->axis[c->around[i]->axis].from);
    for (int i = 0; i < c->depth;
         i++) { /* iterations that may run at once must not write one element */
        int axis = c->around[i]->axis;
        const struct loop_axis *a = &c->k->axis[axis];
        bool differs = c->shadow->value[s->args[0]].depends >> axis & 1;
        if (c->never || !(side >> axis & 1) || where >> axis & 1 || a->hi - a->lo <= 1 ||
            b->scratch)
            continue;
        if ((c->parallel >> axis & 1) || (differs && !a->ordered))
            return loop_wrong(c, "all iterations along %.40s write the same element",
                              a->name ? a->name : "");
    }
    return loop_reaches_only(c, s->buffer, s->ix, 0, true) && loop_stores_apart(c, s);
}

/* what is known of an integer, for the indices that read it */
void loop_bound_value(struct loop_check *c, const struct loop_statement *s)
{
    struct loop_value *v = c->shadow->value, *to = &v[s->value];
    int bits = 8 * ir_dtypes[s->dtype].bytes;
    char kind = ir_dtypes[s->dtype].kind;
    int64_t least = kind == 'i' ? bits < 64 ? -(INT64_C(1) << (bits - 1)) : -LOOP_FAR : 0;
    int64_t most = kind == 'b'   ? 1
                   : bits == 64  ? LOOP_FAR
                   : kind == 'i' ? (INT64_C(1) << (bits - 1)) - 1
                                 : (INT64_C(1) << bits) - 1;
    int64_t lo = least, hi = most;
    const struct loop_value *a = &v[s->args[0]], *b = &v[s->args[1]];

    if (kind == 'f')
        return;
    if (s->kind == LOOP_LET && s->op == IR_POISON) {
        loop_range(c->shadow, s->ix, &lo, &hi);
    } else if (s->kind == LOOP_LET && s->op == IR_const) {
        lo = hi = s->integer;
    } else if (s->kind == LOOP_LET && (s->op == IR_max || s->op == IR_min)) {
        lo = (s->op == IR_max) == (a->lo > b->lo) ? a->lo : b->lo;
        hi = (s->op == IR_max) == (a->hi > b->hi) ? a->hi : b->hi;
    } else if (s->kind == LOOP_LET && (s->op == IR_cast || s->op == IR_stop_gradient) &&
               ir_dtypes[c->k->value[s->args[0]].dtype].kind != 'f') {
        lo = a->lo;
        hi = a->hi;
    }
    bool wraps = lo < least || hi > most;
    to->bounded = true;
    to->lo = wraps ? least : lo;
    to->hi = wraps ? most : hi;
}
