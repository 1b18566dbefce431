/*
 * nn_activation: activations that no single formula says: gates over halves of an axis, slopes that
 * are learnt or drawn, and the few whose form depends on the type.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_prelu_at(tp_tensor x, tp_tensor weight, tp_loc at)
{
    const tp_tensor both[] = { x, weight };
    tp_tensor pair[2] = { x, weight };

    if (!tp_ready(x.g, at, "tp_prelu", 2, both))
        return POISON(x.g);
    if (!weight.g || tp_rank(weight) > 1 ||
        (tp_rank(weight) == 1 && tp_dim(weight, 0) != 1 &&
         (tp_rank(x) < 2 || tp_dim(weight, 0) != tp_dim(x, 1))))
        return tp_fail(x.g, at, "tp_prelu",
                       "%s, weight %s; expected one number or one for each channel, axis 1",
                       tp_describe(x), weight.g ? tp_describe(weight) : "a number");
    if (tp_rank(weight) == 1 && tp_rank(x) > 1 && tp_dim(weight, 0) != 1)
        pair[1] = tp_along(weight, 1, tp_rank(x), at);
    return tp_formula_at("prelu", (tp_list){ 2, pair }, TP_NONE, at);
}

/* In evaluation the region stands for its last argument. */
tp_tensor tp_rrelu_at(tp_tensor x, double lower, double upper, tp_loc at)
{
    tp_tensor mean, slope;
    uint32_t region;
    ir_val letter[26] = { tp_val(x) };

    if (!tp_ready(x.g, at, "tp_rrelu", 1, &x))
        return POISON(x.g);
    if (!(lower <= upper) || ir_dtypes[tp_node(x)->dtype].kind != 'f')
        return tp_fail(x.g, at, "tp_rrelu",
                       "%s, slopes from %g to %g; expected a floating type and lower <= upper",
                       tp_describe(x), lower, upper);
    mean = tp_formula_at("leaky_relu", (tp_list){ 1, &x }, tp_numbers((lower + upper) / 2), at);
    region = ir_region_open(x.g->ir, "dropout", NULL, 2, (ir_val[]){ tp_val(x), tp_val(mean) },
                            (struct ir_list){ 0 }, tp_place(x.g, at));
    slope = tp_rand_at(x.g, tp_dtype_of(x), tp_shape_of(x), at);
    letter[1] = tp_val(slope);
    letter[2] = ir_number(x.g->ir, tp_node(x)->dtype, lower, tp_place(x.g, at));
    letter[3] = ir_number(x.g->ir, tp_node(x)->dtype, upper - lower, tp_place(x.g, at));
    return tp_give(x.g, ir_region_close(x.g->ir, region,
                                        ir_formula(x.g->ir, "select(a > 0, a, a * (c + d * b))",
                                                   letter, tp_place(x.g, at))));
}

tp_tensor tp_glu_at(const char *name, tp_tensor x, int axis, tp_loc at)
{
    static const struct {
        const char *name, *gate;
        int half; /* that the gate is made of */
    } gates[] = { { "glu", "sigmoid", 1 },
                  { "reglu", "relu", 0 },
                  { "geglu", "gelu", 0 },
                  { "swiglu", "silu", 0 } };
    int64_t a = axis, n;
    tp_tensor half[2], gate;

    if (!tp_ready(x.g, at, name, 1, &x) || !tp_axis(x, &a, tp_rank(x), name, at))
        return POISON(x.g);
    n = tp_dim(x, (int)a);
    if (!ir_dim_fixed(n) || n % 2)
        return tp_fail(x.g, at, name, "axis %d of %s; expected an even extent that is known",
                       (int)a, tp_describe(x));
    half[0] = tp_narrow_at(x, (int)a, 0, n / 2, at);
    half[1] = tp_narrow_at(x, (int)a, n / 2, n / 2, at);
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        if (strcmp(gates[i].name, name) == 0) {
            const int which = gates[i].half;
            gate = strcmp(gates[i].gate, "relu") == 0
                       ? tp_unary_at("relu", half[which], at)
                       : tp_formula_at(gates[i].gate, (tp_list){ 1, &half[which] }, TP_NONE, at);
            return tp_binary_at("mul", half[!which], gate, at);
        }
    return tp_fail(x.g, at, name, "no such gate; expected glu, reglu, geglu or swiglu");
}

/* Of integers by their remainder, which has the sign of b, so that nothing is rounded. */
tp_tensor tp_floor_divide_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_graph *g = tp_graph_of(2, x);
    struct ir_loc loc;
    tp_tensor whole, by = b;

    if (!tp_ready(g, at, "tp_floor_divide", 2, x))
        return POISON(g);
    if (ir_dtypes[tp_node(a.g ? a : b)->dtype].kind == 'f')
        return tp_formula_at("floor_divide", (tp_list){ 2, x }, TP_NONE, at);
    loc = tp_place(g, at);
    whole = tp_binary_at("sub", a, tp_binary_at("mod", a, b, at), at);
    if (!whole.id)
        return POISON(g);
    if (!b.g)
        by = tp_give(g, tp_number_as(g, "tp_floor_divide", b.number, tp_node(whole)->dtype, at));
    by = tp_give(g, ir_cast(g->ir, tp_val(by), tp_node(whole)->dtype, loc));
    return tp_give(g, ir_op2(g->ir, IR_div, tp_val(whole), tp_val(by), loc));
}

tp_tensor tp_nan_to_num_at(tp_tensor x, tp_loc at)
{
    if (!tp_ready(x.g, at, "tp_nan_to_num", 1, &x))
        return POISON(x.g);
    if (x.g && ir_dtypes[tp_node(x)->dtype].kind != 'f')
        return x;
    if (tp_dtype_of(x) == TP_F64)
        return tp_formula_at("nan_to_num", (tp_list){ 1, &x }, tp_numbers(0, DBL_MAX, -DBL_MAX),
                             at);
    return tp_formula_at("nan_to_num", (tp_list){ 1, &x }, TP_NONE, at);
}
