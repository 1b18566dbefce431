/*
 * nn_dropout: layers of chance. Programs that evaluate have the region's last argument instead.
 */
#include <math.h>

#include "frontend/frontend.h"

/* kept * scale + shift where the mask says so, else `otherwise`; the mask has x's shape with 1 for
 * the axes that are kept or dropped together. */
static tp_tensor drop(const char *what, tp_tensor x, double p, tp_shape mask, double scale,
                      double shift, double otherwise, tp_loc at)
{
    ir_val v = tp_val(x), kept, scaled;
    struct ir_loc loc = tp_place(x.g, at);
    enum ir_dtype dtype = tp_node(x)->dtype;
    uint32_t region;

    if (!(p >= 0 && p < 1) || ir_dtypes[dtype].kind != 'f')
        return tp_fail(x.g, at, what,
                       "%s with probability %g; expected a floating type and 0 <= p < 1",
                       tp_describe(x), p);
    if (p == 0)
        return x;
    region = ir_region_open(x.g->ir, "dropout", NULL, 1, &v, (struct ir_list){ 0 }, loc);
    kept = ir_op2(x.g->ir, IR_le, ir_integer(x.g->ir, IR_U32, (int64_t)(p * 4294967296.0), loc),
                  tp_chance(x.g, tp_ir_shape(mask), loc), loc);
    scaled = ir_op2(x.g->ir, IR_mul, v, ir_number(x.g->ir, dtype, scale, loc), loc);
    if (shift != 0)
        scaled = ir_op2(x.g->ir, IR_add, scaled, ir_number(x.g->ir, dtype, shift, loc), loc);
    return tp_give(x.g, ir_region_close(x.g->ir, region,
                                        ir_select(x.g->ir, kept, scaled,
                                                  ir_number(x.g->ir, dtype, otherwise, loc), loc)));
}

tp_tensor tp_dropout_at(const char *what, tp_tensor x, double p, int axes, tp_loc at)
{
    tp_shape mask;

    if (!tp_ready(x.g, at, what, 1, &x))
        return POISON(x.g);
    mask = tp_shape_of(x);
    if (tp_rank(x) < axes)
        return tp_fail(x.g, at, what, "%s; expected %d axes or more", tp_describe(x), axes);
    for (int i = axes; axes && i < mask.rank; i++)
        mask.dim[i] = 1;
    return drop(what, x, p, mask, 1 / (1 - p), 0, 0, at);
}

/* Dropped ones take selu's lower bound; mean and variance stay 0 and 1 (arXiv:1706.02515). */
tp_tensor tp_alpha_dropout_at(tp_tensor x, double p, tp_loc at)
{
    const double alpha = 1.0507009873554804934 * 1.6732632423543772848,
                 a = 1 / sqrt((alpha * alpha * p + 1) * (1 - p)), b = alpha * a * p;

    if (!tp_ready(x.g, at, "tp_alpha_dropout", 1, &x))
        return POISON(x.g);
    return drop("tp_alpha_dropout", x, p, tp_shape_of(x), a, b, b - alpha * a, at);
}
