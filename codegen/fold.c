/*
 * fold: the lanes of a vector, the copies of an unrolled loop, or the threads of a block become one
 * number, by the tree of ir_order() (the prelude's fold functions know it for lanes).
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

/* the lanes outside a guard take the value that changes nothing */
static const char *inside_only(struct gen *e, const struct loop_statement *s, const char *type,
                               const char *neutral)
{
    const char *name = gen_operand(e, s->args[0], true);
    bool linear;

    for (int i = 0; i < s->guards; i++) {
        struct loop_guard g = { gen_instance(e, s->guard[i].ix),
                                gen_instance(e, s->guard[i].limit) };
        int64_t lo, hi, lanes;
        int state = loop_guard_state(e->k, &g);
        if (state == 1)
            continue;
        if (state == 0)
            return ir_format(e->arena, s->dtype == IR_BOOL ? "splat_%s(-%s)" : "splat_%s(%s)", type,
                             neutral);
        loop_range(e->k, g.ix, &lo, &hi);
        if (lo < 0 || loop_coefficient(e->k, g.ix, e->vector, &linear) != 1 || !linear)
            ir_bug("kernel %s folds lanes under a condition that is not `lane < n`", e->k->name);
        loop_ix left =
            loop_plus(e->k, g.limit, loop_scale(e->k, loop_replace(e->k, g.ix, e->vector, 0), -1));
        const char *mask =
            ir_format(e->arena, "iota_i32x16() < %s",
                      loop_is_const(e->k, left, &lanes)
                          ? ir_format(e->arena, "%" PRId64, lanes)
                          : ir_format(e->arena, "(i32)(%s)", gen_bare(e, gen_index_text(e, left))));
        if (ir_dtypes[s->dtype].bytes == 8)
            mask = ir_format(e->arena, "__builtin_convertvector(%s, i64x16)", mask);
        if (s->dtype == IR_U8)
            mask = ir_format(e->arena, "__builtin_convertvector(%s, i8x16)", mask);
        if (s->dtype == IR_BOOL)
            name = ir_format(e->arena, "select_i32x16(%s, %s, splat_i32x16(-%s))", mask, name,
                             neutral);
        else
            name = ir_format(e->arena, "select_%s(%s, %s, splat_%s(%s))", type, mask, name, type,
                             neutral);
    }
    return name;
}

static const char *combined(struct gen *e, const struct loop_statement *s, const char *type,
                            const char *a, const char *b)
{
    switch (s->op) {
    case IR_add:
        return ir_format(e->arena, "(%s + %s)", a, b);
    case IR_mul:
        return ir_format(e->arena, "%s * %s", a, b);
    case IR_and:
        return ir_format(e->arena, "(%s & %s)", a, b);
    case IR_or:
        return ir_format(e->arena, "(%s | %s)", a, b);
    default:
        return ir_format(e->arena, "%s_%s(%s, %s)", ir_ops[s->op].name, type, a, b);
    }
}

/* over the threads of a block */
static bool fold_threads(struct gen *e, const struct loop_statement *s)
{
    const char *result = gen_type(e, s->dtype, false), *x = gen_name(e, s->args[0]);
    bool threads = false;

    for (int i = 0; i < e->k->axes; i++)
        threads |= (s->over >> i & 1) && e->k->axis[i].role == LOOP_BLOCK;
    if (!threads)
        return false;
    const char *name = gen_new_name(e, s);
    gen_line(e, "const %s %s = %sfold_%s_%s(%s);%s", result, name,
             s->op == IR_add && ir_dtypes[s->dtype].kind == 'f' ? "0 + " : "", ir_ops[s->op].name,
             result, x, gen_comment(e, s));
    return true;
}

void gen_fold(struct gen *e, const struct loop_statement *s)
{
    if (fold_threads(e, s))
        return;
    const struct ir_neutral start = ir_neutral(s->op, s->dtype);
    const char *part[64], *neutral = gen_literal(e, s->dtype, start.number, start.integer);
    const char *type = gen_type(e, s->dtype, true);
    int parts = 0, axis = -1;
    enum ir_dtype dtype = s->dtype;

    for (int u = 0; u < e->unrolls; u++)
        if (s->over >> e->unrolled[u] & 1)
            axis = e->unrolled[u];
    int copies = axis < 0 ? 1 : (int)e->k->axis[axis].hi;
    int before = axis < 0 ? 0 : e->at[axis];
    for (int i = 0; i < copies; i++) {
        if (axis >= 0)
            e->at[axis] = i;
        part[parts++] = inside_only(e, s, type, neutral);
    }
    if (axis >= 0)
        e->at[axis] = before;
    while (parts > 1) { /* (0 + 1) + (2 + 3) */
        int half = 0;
        for (int i = 0; i < parts; i += 2)
            part[half++] = i + 1 < parts ? combined(e, s, type, part[i], part[i + 1]) : part[i];
        parts = half;
    }
    const char *name = gen_new_name(e, s), *all = gen_bare(e, part[0]);
    const char *result = gen_type(e, dtype, false);
    if (dtype == IR_BOOL) {
        gen_line(e,
                 s->op == IR_or ? "const i32 %s = any_i32x16(%s);"
                                : "const i32 %s = !any_i32x16(~(%s));",
                 name, all);
        return;
    }
    if (ir_dtypes[dtype].kind == 'f' || s->op == IR_add) {
        gen_line(e, "const %s %s = %sfold_%s_%s(%s);%s", result, name,
                 s->op == IR_add && ir_dtypes[dtype].kind == 'f' ? "0 + " : "", ir_ops[s->op].name,
                 type, all, gen_comment(e, s)); /* a sum starts at 0, so it is never -0 */
        return;
    }
    gen_line(e, "%s %s = %s;", result, name,
             neutral); /* whole numbers, for which the order does not matter */
    const char *lanes = ir_format(e->arena, "lanes%u", s->value);
    gen_line(e, "const %s %s = %s;", type, lanes, all);
    gen_line(e, "for (int " GEN_LANE " = 0; " GEN_LANE " < 16; " GEN_LANE "++)");
    if (s->op == IR_mul)
        gen_line(e, "    %s *= %s[" GEN_LANE "];", name, lanes);
    else
        gen_line(e, "    %s = %s_%s(%s, %s[" GEN_LANE "]);", name, ir_ops[s->op].name, result, name,
                 lanes);
}
