/*
 * statement: statements, one line each.
 *
 * A statement inside unrolled loops stands once for every index of those that it depends on. What
 * depends on the vector axis is spelled in lanes; where it has no form in lanes, it is a loop over
 * the lanes.
 */
#include "codegen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void gen_line(struct gen *e, const char *format, ...)
{
    va_list list;

    ir_put(e->out, "%*s", 4 * e->depth, "");
    va_start(list, format);
    ir_put_list(e->out, format, list);
    va_end(list);
    ir_put(e->out, "\n");
}

const char *gen_comment(struct gen *e, const struct loop_statement *s)
{
    const struct ir_node *n = s->node.id ? ir_at(e->k->graph, s->node) : NULL;
    /* the names of a function's users differ, the lines hardly ever */
    const char *place = gen_place(e->arena, s->loc, n && !e->handed ? n->name : NULL);

    if (!place || (e->said && !strcmp(place, e->said)))
        return "";
    e->said = place;
    return ir_format(e->arena, " // %s", place);
}

void gen_begin_lanes(struct gen *e)
{
    gen_line(e, "for (int " GEN_LANE " = 0; " GEN_LANE " < 16; " GEN_LANE "++)");
    e->lane = GEN_LANE;
    e->depth++;
}

void gen_end_lanes(struct gen *e)
{
    e->lane = NULL;
    e->depth--;
}

/* ---- values ---- */

static void put_let(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value);
    const char *text = gen_expression(e, s, vector), *type = gen_type(e, s->dtype, vector);

    if (s->op == IR_const) { /* a number is spelled where it is used */
        gen_call_it(e, s->value, text[0] == '-' ? ir_format(e->arena, "(%s)", text) : text);
        return;
    }
    if (text) {
        const char *name = gen_new_name(e, s);
        gen_line(e, "const %s %s = %s;%s", type, name, text, gen_comment(e, s));
        return;
    }
    const char *name = gen_new_name(e, s);
    gen_line(e, "%s %s;", type, name);
    gen_begin_lanes(e);
    text = gen_expression(e, s, true);
    gen_line(e, s->dtype == IR_BOOL ? "%s[" GEN_LANE "] = -(%s);" : "%s[" GEN_LANE "] = %s;", name,
             text);
    gen_end_lanes(e);
}

static void put_var(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value);
    const char *start = gen_operand(e, s->args[0], vector), *type = gen_type(e, s->dtype, vector);
    const char *name = gen_new_name(e, s);

    gen_line(e, "%s %s = %s;", type, name, start);
}

/* the new value of a variable; a uniform b */
static const char *updated(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype dtype = e->k->value[s->args[0]].dtype;
    const char *type = gen_type(e, dtype, vector);

    if (s->op == IR_POISON)
        return gen_operand(e, s->args[1], vector);
    if (s->op == IR_dot) {
        const char *a = gen_operand(e, s->args[1], vector), *b = gen_operand(e, s->args[2], vector);
        const char *sum = gen_name(e, s->args[0]);
        if (ir_dtypes[dtype].kind == 'f')
            return ir_format(e->arena, "fma_%s(%s, %s, %s)", type, a, b, sum);
        const char *whole = gen_wraps(dtype), *lanes = vector && !e->lane ? "x16" : "";
        if (!whole)
            return ir_format(e->arena, "%s + %s * %s", sum, a, b);
        return ir_format(e->arena, "(%s)((%s%s)%s + (%s%s)%s * (%s%s)%s)", type, whole, lanes, sum,
                         whole, lanes, a, whole, lanes, b);
    }
    struct loop_statement step = {
        .kind = LOOP_LET, .op = s->op, .dtype = dtype, .args = { s->args[0], s->args[1] }
    };
    return gen_expression(e, &step, vector);
}

static void put_set(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->args[0]), apart = gen_guard_varies(e, s);
    const char *name = gen_name(e, s->args[0]);

    /* what is added lane by lane to one number is added in the lanes' order */
    apart |= !vector && ((s->args[1] && gen_is_vector(e, s->args[1])) ||
                         (s->args[2] && gen_is_vector(e, s->args[2])));
    if (!apart) {
        const char *condition = gen_condition(e, s->guard, s->guards);
        if (condition && !strcmp(condition, "0"))
            return;
        if (condition)
            gen_line(e, "if (%s)", condition);
        gen_line(e, "%s%s = %s;", condition ? "    " : "", name, updated(e, s, vector));
        return;
    }
    gen_begin_lanes(e);
    const char *condition = gen_condition(e, s->guard, s->guards), *value = updated(e, s, true);
    if (condition)
        gen_line(e, "if (%s)", condition);
    if (!vector)
        gen_line(e, "%s%s = %s;", condition ? "    " : "", name, value);
    else
        gen_line(e,
                 e->k->value[s->args[0]].dtype == IR_BOOL ? "%s%s[" GEN_LANE "] = -(%s);"
                                                          : "%s%s[" GEN_LANE "] = %s;",
                 condition ? "    " : "", name, value);
    gen_end_lanes(e);
}

/* ---- instances ---- */

static void put_instance(struct gen *e, const struct loop_statement *s)
{
    switch (s->kind) {
    case LOOP_LET:
        put_let(e, s);
        break;
    case LOOP_LOAD:
        gen_load(e, s);
        break;
    case LOOP_STORE:
        gen_store(e, s);
        break;
    case LOOP_VAR:
        put_var(e, s);
        break;
    case LOOP_SET:
        put_set(e, s);
        break;
    case LOOP_FOLD:
        gen_fold(e, s);
        break;
    case LOOP_PREFETCH:
        gen_line(e, "__builtin_prefetch(%s, %d);", gen_address(e, s->buffer, s->ix),
                 s->number != 0);
        break;
    case LOOP_TRANSPOSE: {
        const char *name = ir_format(e->arena, "tile%u", s->value);
        gen_line(e, "f32x16 %s[16];", name);
        gen_line(e, "for (int row = 0; row < 16; row++)");
        gen_line(e, "    %s[row] = load_f32x16(%s + %" PRId64 " * row);", name,
                 gen_address(e, s->buffer, s->ix), s->pitch);
        gen_line(e, "transpose_f32x16(%s);", name);
        gen_line(e, "for (int row = 0; row < 16; row++)");
        gen_line(e, "    store_f32x16(%s + %" PRId64 " * row, %s[row]);",
                 gen_address(e, s->buffer2, s->ix2), s->pitch2, name);
        gen_forget_loads(e, s->buffer2);
        break;
    }
    case LOOP_COPY:
        gen_copy(e, s);
        break;
    case LOOP_FRAGMENT:
        gen_fragment(e, s);
        break;
    case LOOP_MULTIPLY:
        gen_multiply(e, s);
        break;
    case LOOP_MEET:
        if (gen_copies(&e->k->body))
            gen_line(e, "copies_arrive();");
        gen_line(e, "%s;", e->target->barrier);
        break;
    case LOOP_FOR:
        break;
    }
}

/* the unrolled loops that s depends on */
static uint64_t varies_along(struct gen *e, const struct loop_statement *s)
{
    uint64_t needed = s->value ? e->k->value[s->value].depends : 0;

    if (s->kind == LOOP_STORE || s->kind == LOOP_TRANSPOSE || s->kind == LOOP_PREFETCH ||
        s->kind == LOOP_COPY) {
        needed = loop_axes_of(e->k, s->ix) | loop_axes_of(e->k, s->ix2) |
                 e->k->value[s->args[0]].depends;
        for (int i = 0; i < s->guards; i++)
            needed |= loop_axes_of(e->k, s->guard[i].ix) | loop_axes_of(e->k, s->guard[i].limit);
    }
    if (s->kind == LOOP_SET || s->kind == LOOP_MULTIPLY)
        needed = ~s->over;
    return needed;
}

/* for every index of the unrolled loops that s depends on */
void gen_instances(struct gen *e, const struct loop_statement *s, int from)
{
    const uint64_t needed = varies_along(e, s);

    while (from < e->unrolls && !(needed >> e->unrolled[from] & 1))
        from++;
    if (from == e->unrolls) {
        put_instance(e, s);
        return;
    }
    int axis = e->unrolled[from];
    for (int i = 0; i < (int)e->k->axis[axis].hi; i++) {
        e->at[axis] = i;
        gen_instances(e, s, from + 1);
    }
    e->at[axis] = 0;
}

void gen_by_instance(struct gen *e, const struct loop_block *block, int first, int from)
{
    uint64_t beyond = 0;

    if (from < e->unrolls) {
        const int axis = e->unrolled[from];
        for (int i = 0; i < (int)e->k->axis[axis].hi; i++) {
            e->at[axis] = i;
            gen_by_instance(e, block, first, from + 1);
        }
        e->at[axis] = 0;
        return;
    }
    for (int i = 0; i < e->unrolls; i++)
        if (e->at[e->unrolled[i]] > 0)
            beyond |= UINT64_C(1) << e->unrolled[i];
    for (int i = first; i < block->count; i++)
        if (!(beyond & ~varies_along(e, block->at[i]))) /* else it is there already */
            put_instance(e, block->at[i]);
}
