/*
 * optim_scale: f16 has no numbers between 0 and 2^-24, so gradients are computed of a loss that is
 * scaled up, and divided afterwards (arXiv:1710.03740, section 3.2).
 *
 * The scale is found as training goes: an update whose gradients are not finite is left out and
 * halves it, so many good ones double it. It is a power of two, so that it changes no digits.
 */
#include "frontend/frontend.h"

static ir_val counter(struct update *u, const char *name)
{
    return ir_state(u->graph, name, IR_I64, (struct ir_shape){ 0 }, IR_INIT_ZERO, 0, 0, u->at);
}

ir_val tp_loss_scale(struct update *u, const tp_train_args *args)
{
    if (args->precision != TP_F16)
        return (ir_val){ 0 };
    return ir_state(u->graph, "taper.loss_scale", IR_F32, (struct ir_shape){ 0 }, IR_INIT_CONSTANT,
                    args->loss_scale != 0 ? args->loss_scale : 65536, 0, u->at);
}

void tp_unscale_gradients(struct update *u, const struct trained *t, ir_val scale)
{
    struct ir_graph *g = u->graph;
    ir_val inverse;

    if (!scale.id)
        return;
    inverse = ir_op2(g, IR_div, ir_number(g, IR_F32, 1, u->at), scale, u->at);
    for (int i = 0; i < t->count; i++)
        if (!ir_is_number(g, t->gradient[i], 0))
            t->gradient[i] =
                ir_op2(g, IR_mul, t->gradient[i],
                       ir_cast(g, inverse, ir_at(g, t->gradient[i])->dtype, u->at), u->at);
}

/* Are all gradients finite? x - x is 0 of nothing else. */
static ir_val are_finite(struct update *u, const struct trained *t)
{
    const int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct ir_graph *g = u->graph;
    ir_val all = ir_integer(g, IR_BOOL, 1, u->at);

    for (int i = 0; i < t->count; i++) {
        ir_val letter[26] = { t->gradient[i] }, one;

        if (ir_is_number(g, t->gradient[i], 0))
            continue;
        one = ir_reduce(g, IR_all, ir_formula(g, "a - a == 0", letter, u->at),
                        ir_at(g, t->gradient[i])->shape.rank, axes, u->at);
        all = ir_op2(g, IR_and, all, one, u->at);
    }
    return all;
}

void tp_guard_update(struct update *u, const struct trained *t, const tp_train_args *args,
                     ir_val scale)
{
    struct ir_graph *g = u->graph;
    ir_val name[26] = { 0 };
    struct ir_loc at = u->at;
    const int64_t every = args->scale_every ? args->scale_every : 2000;

    if (!scale.id)
        return;
    const ir_val due = u->due.id ? u->due : ir_integer(g, IR_BOOL, 1, at), good = are_finite(u, t),
                 updated = counter(u, "taper.good_updates"),
                 skipped = counter(u, "taper.skipped_updates");
    const ir_val one = ir_integer(g, IR_I64, 1, at), more = ir_op2(g, IR_add, updated, one, at),
                 full = ir_op2(g, IR_le, ir_integer(g, IR_I64, every, at), more, at),
                 bad = ir_op1(g, IR_not, good, at), zero = ir_integer(g, IR_I64, 0, at);

    name[0] = scale;
    name[1] = full;
    name[2] = good;
    ir_assign(g, scale,
              ir_select(g, due,
                        ir_formula(g,
                                   "select(c, select(b, min(a * 2, 1099511627776), a), "
                                   "max(a * 0.5, 0.00006103515625))",
                                   name, at),
                        scale, at),
              at);
    ir_assign(g, updated,
              ir_select(g, due, ir_select(g, ir_op2(g, IR_or, bad, full, at), zero, more, at),
                        updated, at),
              at);
    ir_assign(
        g, skipped,
        ir_op2(g, IR_add, skipped, ir_cast(g, ir_op2(g, IR_and, due, bad, at), IR_I64, at), at),
        at);
    u->steps = ir_op2(g, IR_sub, u->steps, skipped, at);
    u->due = ir_op2(g, IR_and, due, good, at);
}
