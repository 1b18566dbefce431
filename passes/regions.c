/*
 * regions: composites with a derivative of their own, which is stable or cheap where the chain rule
 * through the nodes inside would be neither. A function for each word of regions.def.
 *
 * What the forward nodes hold already is spelled as they spell it, and so it is the same nodes.
 */
#include "passes/gradients.h"

static ir_val repeat(struct pass_step *s, ir_val row, ir_val like, int64_t axis)
{
    return ir_expand_axes(s->g, row, ir_at(s->g, like)->shape, 1, &axis, s->node->loc);
}

static ir_val binary(struct pass_step *s, enum ir_op op, ir_val a, ir_val b)
{
    return ir_op2(s->g, op, a, b, s->node->loc);
}

static ir_val sum(struct pass_step *s, ir_val a, int64_t axis)
{
    return ir_reduce(s->g, IR_sum, a, 1, &axis, s->node->loc);
}

void pass_grad_of_region_softmax(struct pass_step *s)
{
    int64_t axis = s->region->attr.at[0];
    ir_val weighted = binary(s, IR_mul, s->grad, s->y);
    ir_val total = repeat(s, sum(s, weighted, axis), s->y, axis);

    s->to[0] = binary(s, IR_sub, weighted, binary(s, IR_mul, s->y, total));
}

void pass_grad_of_region_log_softmax(struct pass_step *s)
{
    int64_t axis = s->region->attr.at[0];
    ir_val total = repeat(s, sum(s, s->grad, axis), s->y, axis);
    ir_val share = ir_op1(s->g, IR_exp, s->y, s->node->loc);

    s->to[0] = binary(s, IR_sub, s->grad, binary(s, IR_mul, share, total));
}

/* (softmax(a) - onehot(b)) * g / rows */
void pass_grad_of_region_cross_entropy(struct pass_step *s)
{
    struct ir_graph *g = s->g;
    struct ir_loc loc = s->node->loc;
    ir_val a = s->region->args[0], b = s->region->args[1];
    struct ir_node logits = *ir_at(g, a);
    const int64_t axis = logits.shape.rank - 1;
    int64_t all = 1;
    ir_val greatest = repeat(s, ir_reduce(g, IR_amax, a, 1, &axis, loc), a, axis);
    ir_val shifted = binary(s, IR_sub, a, greatest);
    ir_val power = ir_op1(g, IR_exp, shifted, loc);
    ir_val inverse = binary(s, IR_div, ir_number(g, logits.dtype, 1, loc), sum(s, power, axis));
    ir_val share = binary(s, IR_mul, power, repeat(s, inverse, a, axis)); /* a division a row */
    enum ir_dtype index = ir_at(g, b)->dtype == IR_I64 ? IR_I64 : IR_I32;
    ir_val classes = ir_iota(g, index, logits.shape, (int)axis, loc);
    ir_val hit = binary(s, IR_eq, classes, repeat(s, ir_cast(g, b, index, loc), a, axis));
    ir_val target = ir_select(g, hit, ir_number(g, logits.dtype, 1, loc),
                              ir_number(g, logits.dtype, 0, loc), loc);
    ir_val rows;

    for (int i = 0; i < axis; i++)
        all = ir_dim_mul(g, all, logits.shape.dim[i]);
    rows = ir_size(g, all, logits.dtype, loc);
    s->to[0] =
        binary(s, IR_mul, binary(s, IR_sub, share, target), binary(s, IR_div, s->grad, rows));
}

void pass_grad_of_region_sigmoid(struct pass_step *s)
{
    ir_val letter[26] = { ['g' - 'a'] = s->grad, ['y' - 'a'] = s->y };

    s->to[0] = ir_formula(s->g, "g * (y * (1 - y))", letter, s->node->loc);
}

/* An activation's slope hangs on forward values alone, so the forward kernel computes it on its
 * way, and keeps one array for backward, not each factor of the chain rule. `u` is a part of both.
 */
static void times_slope(struct pass_step *s, const char *part, const char *slope)
{
    ir_val letter[26] = { ['a' - 'a'] = s->region->args[0] };

    letter['u' - 'a'] = ir_formula(s->g, part, letter, s->node->loc);
    s->to[0] = binary(s, IR_mul, s->grad, ir_formula(s->g, slope, letter, s->node->loc));
}

void pass_grad_of_region_gelu(struct pass_step *s)
{
    times_slope(s, "a * 0.70710678118654752440",
                "0.5 * (1 + erf(u)) + a * (0.39894228040143267794 * exp(-(u * u)))");
}

void pass_grad_of_region_gelu_tanh(struct pass_step *s)
{
    times_slope(s, "tanh(0.79788456080286535588 * (a + 0.044715 * a * a * a))",
                "0.5 * (1 + u) + 0.5 * a * ((1 - u * u) * (0.79788456080286535588 + "
                "0.10703222440890038 * a * a))");
}

void pass_grad_of_region_silu(struct pass_step *s)
{
    times_slope(s, "1 / (1 + exp(-a))", "u * (1 + a * (1 - u))");
}

/* The mean over the region's axes, which stay with extent 1. */
static ir_val kept_mean(struct pass_step *s, ir_val a)
{
    const struct ir_list axes = s->region->attr;
    struct ir_shape shape = ir_at(s->g, a)->shape;
    enum ir_dtype dtype = ir_at(s->g, a)->dtype;
    int64_t count = 1;
    ir_val total;

    for (int i = 0; i < axes.count; i++) {
        count = ir_dim_mul(s->g, count, shape.dim[axes.at[i]]);
        shape.dim[axes.at[i]] = 1;
    }
    total = ir_reduce(s->g, IR_sum, a, axes.count, axes.at, s->node->loc);
    total = binary(s, IR_div, total, ir_size(s->g, count, dtype, s->node->loc));
    return ir_reshape(s->g, total, shape, s->node->loc);
}

/* Of y = (a - mean) r and of y = a r, without the large terms that cancel in the chain rule where
 * nothing varies. */
static void through_norm(struct pass_step *s, bool centred)
{
    const ir_val r = s->node->args[1];
    ir_val rest = binary(s, IR_mul, s->y, kept_mean(s, binary(s, IR_mul, s->grad, s->y)));

    if (centred)
        rest = binary(s, IR_add, kept_mean(s, s->grad), rest);
    s->to[0] = binary(s, IR_mul, binary(s, IR_sub, s->grad, rest), r);
}

void pass_grad_of_region_standardise(struct pass_step *s)
{
    through_norm(s, true);
}

void pass_grad_of_region_rms(struct pass_step *s)
{
    through_norm(s, false);
}
