/*
 * optim_gather: what happens to gradients between backward and update: gathered over runs, kept in
 * bounds; and averages of parameters afterwards.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

static ir_val scaled(struct ir_graph *g, ir_val a, ir_val scale, struct ir_loc at)
{
    return ir_op2(g, IR_mul, a, ir_cast(g, scale, ir_at(g, a)->dtype, at), at);
}

/* min(1, limit / (root of the sum of squares + 1e-6)) */
static ir_val shrink(struct ir_graph *g, ir_val squares, double limit, struct ir_loc at)
{
    ir_val letter[26] = { squares, ir_number(g, ir_at(g, squares)->dtype, limit, at) };

    return ir_formula(g, "min(b / (sqrt(a) + 0.000001), 1)", letter, at);
}

static ir_val squares(struct ir_graph *g, ir_val a, struct ir_loc at)
{
    return tp_whole_sum(g, ir_op2(g, IR_mul, a, a, at), at);
}

void tp_clip_gradients(struct ir_graph *g, const struct trained *t, const tp_train_args *args,
                       struct ir_loc at)
{
    ir_val total = { 0 };

    for (int i = 0; i < t->count && args->clip_value > 0; i++) {
        ir_val letter[26] = { t->gradient[i] };

        letter[1] = ir_number(g, ir_at(g, letter[0])->dtype, args->clip_value, at);
        t->gradient[i] = ir_formula(g, "max(min(a, b), -b)", letter, at);
    }
    for (int i = 0; i < t->count && args->clip_each > 0; i++)
        t->gradient[i] = scaled(g, t->gradient[i],
                                shrink(g, squares(g, t->gradient[i], at), args->clip_each, at), at);
    if (!(args->clip_norm > 0))
        return;
    for (int i = 0; i < t->count; i++) {
        const ir_val each =
            ir_cast(g, squares(g, t->gradient[i], at), ir_at(g, t->gradient[0])->dtype, at);
        total = i ? ir_op2(g, IR_add, total, each, at) : each;
    }
    total = shrink(g, total, args->clip_norm, at);
    for (int i = 0; i < t->count; i++)
        t->gradient[i] = scaled(g, t->gradient[i], total, at);
}

/* The k-th run of each k updates, by the mean of their gradients; u->steps counts updates then. */
void tp_gather_gradients(struct update *u, const struct trained *t, int runs)
{
    struct ir_graph *g = u->graph;
    const ir_val many = ir_integer(g, IR_I64, runs, u->at),
                 which = ir_op2(g, IR_rem, u->steps, many, u->at),
                 first = ir_op2(g, IR_eq, which, ir_integer(g, IR_I64, 0, u->at), u->at);

    u->due = ir_op2(g, IR_eq, which, ir_integer(g, IR_I64, runs - 1, u->at), u->at);
    u->steps = ir_op2(g, IR_div, u->steps, many, u->at);
    for (int i = 0; i < t->count; i++) {
        struct letters l = { .g = g, .dtype = ir_at(g, t->parameter[i])->dtype, .at = u->at };
        ir_val state;

        if (ir_is_number(g, t->gradient[i], 0))
            continue;
        state = tp_moment(&l, t->parameter[i], "accumulated", ir_at(g, t->parameter[i])->shape, 0);
        l.name[0] = state;
        l.name[1] = t->gradient[i];
        l.name[2] = first;
        tp_let(&l, 'k', 1.0 / runs);
        t->gradient[i] = tp_spelled(&l, "select(c, 0, a) + b * k");
        ir_assign(g, state, t->gradient[i], u->at);
    }
}

int tp_use_ema(tp_graph *g)
{
    int count = 0;

    if (!tp_tell(g))
        return 0;
    for (int i = 0; i < g->state_count; i++) {
        const char *name = ir_format(g->ir->arena, "%s.ema", g->states[i].name);
        struct state *average = tp_state_find(g, name), *s = &g->states[i];
        void *numbers;

        if (s->kind != STATE_PARAMETER || !average || average->bytes != s->bytes)
            continue;
        numbers = malloc(s->bytes + 1);
        if (!numbers || !tp_state_read(g, average, numbers) || !tp_state_write(g, s, numbers)) {
            ir_error(&g->error, IR_FAILED, "tp_use_ema: %.100s: not enough memory", s->name);
            free(numbers);
            return tp_tell(g), count;
        }
        free(numbers);
        count++;
    }
    return count;
}
