/*
 * loss: means over rows or elements. Two shapes that a loss compares must be equal: broadcasting
 * (32,1) against (32,) to a matrix is never meant.
 */
#include <string.h>

#include "frontend/frontend.h"

/*
 * The rows are the axes before the last. Forward and derivative (passes/regions.c) spell what they
 * share alike, so a row's exponentials are computed once.
 */
tp_tensor tp_cross_entropy_at(tp_tensor logits, tp_tensor target, tp_loc at)
{
    const tp_tensor x[] = { logits, target };
    const char *what = "tp_cross_entropy";
    tp_graph *g = logits.g;
    const int64_t axis = 1;
    struct ir_loc loc;
    struct ir_shape shape;
    struct ir_graph *ir;
    enum ir_dtype dtype, index;
    ir_val v[2], row, off, sum, hit, taken, zero;
    uint32_t region;
    bool fit;

    if (!tp_ready(g, at, what, 2, x))
        return POISON(g);
    if (!target.g || tp_rank(logits) < 1 || ir_dtypes[tp_node(logits)->dtype].kind != 'f' ||
        strchr("iu", ir_dtypes[tp_node(target)->dtype].kind) == NULL)
        return tp_fail(g, at, what,
                       "logits %s, targets %s; expected floats [.. classes] and class "
                       "numbers of an integer type [..]",
                       tp_describe(logits), target.g ? tp_describe(target) : "a number");
    shape = tp_node(logits)->shape;
    shape.rank--;
    fit = ir_same_shape(&shape, &tp_node(target)->shape);
    if (!fit)
        return tp_fail(g, at, what,
                       "logits %s, targets %s; expected a class number for each row of "
                       "logits, whose last axis is the classes",
                       tp_describe(logits), tp_describe(target));
    ir = g->ir;
    loc = tp_place(g, at);
    dtype = tp_node(logits)->dtype;
    index = tp_node(target)->dtype == IR_I64 ? IR_I64 : IR_I32;
    shape = (struct ir_shape){ 2, { -1, shape.dim[shape.rank] } };
    v[0] = ir_reshape(ir, tp_val(logits), shape, loc);
    v[1] = ir_reshape(ir, tp_val(target), (struct ir_shape){ 1, { -1 } }, loc);
    if (!v[0].id || !v[1].id)
        return tp_give(g, (ir_val){ 0 });
    shape = ir_at(ir, v[0])->shape;
    region = ir_region_open(ir, "cross_entropy", NULL, 2, v, (struct ir_list){ 0 }, loc);
    row = ir_expand_axes(ir, ir_reduce(ir, IR_amax, v[0], 1, &axis, loc), shape, 1, &axis, loc);
    off = ir_op2(ir, IR_sub, v[0], row, loc);
    sum = ir_reduce(ir, IR_sum, ir_op1(ir, IR_exp, off, loc), 1, &axis, loc);
    row = ir_expand_axes(ir, ir_cast(ir, v[1], index, loc), shape, 1, &axis, loc);
    hit = ir_op2(ir, IR_eq, ir_iota(ir, index, shape, 1, loc), row, loc);
    zero = ir_number(ir, dtype, 0, loc);
    taken = ir_reduce(ir, IR_sum, ir_select(ir, hit, off, zero, loc), 1, &axis, loc);
    row = ir_op2(ir, IR_sub, ir_op1(ir, IR_log, sum, loc), taken, loc);
    sum = ir_reduce(ir, IR_sum, row, 1, (int64_t[]){ 0 }, loc);
    row = ir_op2(ir, IR_div, sum, ir_size(ir, shape.dim[0], dtype, loc), loc);
    return tp_give(g, ir_region_close(ir, region, row));
}

static const struct loss {
    const char *name, *formula; /* of an element of a and of b, the target */
} losses[] = {
    { "mse", "(a - b) * (a - b)" },
    { "l1", "abs(a - b)" },
    { "bce_with_logits", "max(a, 0) - a * b + log1p(exp(-abs(a)))" },
};

tp_tensor tp_loss_at(const char *name, tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_graph *g = tp_graph_of(2, x);
    ir_val letter[26] = { 0 };
    tp_tensor each;

    if (!tp_ready(g, at, name, 2, x))
        return POISON(g);
    if (!a.g || !b.g || tp_node(a)->dtype != tp_node(b)->dtype ||
        !ir_same_shape(&tp_node(a)->shape, &tp_node(b)->shape))
        return tp_fail(g, at, name, "%s against %s; expected tensors of one type and shape",
                       a.g ? tp_describe(a) : "a number", b.g ? tp_describe(b) : "a number");
    letter[0] = tp_val(a);
    letter[1] = tp_val(b);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (strcmp(losses[i].name, name) == 0) {
            each = tp_give(g, ir_formula(g->ir, losses[i].formula, letter, tp_place(g, at)));
            return tp_reduce_at("mean", each, (tp_reduce_args){ .dim = TP_ALL }, at);
        }
    return tp_fail(g, at, name, "there is no such loss");
}
