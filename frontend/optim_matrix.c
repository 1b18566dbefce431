/*
 * optim_matrix: optimisers that see a parameter as a matrix: Adafactor keeps the second moment as a
 * row and a column, Muon makes the step's singular values alike.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

static ir_val mean(struct letters *l, ir_val a, int axis)
{
    struct ir_shape shape = ir_at(l->g, a)->shape;
    const int64_t at = axis;
    ir_val sum = ir_reduce(l->g, IR_sum, a, 1, &at, l->at);

    sum = ir_op2(l->g, IR_div, sum, ir_size(l->g, shape.dim[axis], l->dtype, l->at), l->at);
    shape.dim[axis] = 1;
    return ir_reshape(l->g, sum, shape, l->at);
}

static ir_val mean_square(struct letters *l, ir_val a)
{
    const int64_t count = ir_elements(l->g, &ir_at(l->g, a)->shape);
    const ir_val sum = tp_whole_sum(l->g, ir_op2(l->g, IR_mul, a, a, l->at), l->at);

    return ir_op2(l->g, IR_div, sum, ir_number(l->g, l->dtype, (double)count, l->at), l->at);
}

/* A state that becomes (1 - h) state + h g^2's mean over an axis (-1: as it is); its new value. */
static ir_val gather(struct letters *l, ir_val parameter, const char *leaf, int axis)
{
    const ir_val square = tp_spelled(l, "g * g"), part = axis < 0 ? square : mean(l, square, axis);
    const ir_val state = tp_moment(l, parameter, leaf, ir_at(l->g, part)->shape, 0);
    ir_val next;

    l->name['i' - 'a'] = state;
    l->name['j' - 'a'] = part;
    next = tp_spelled(l, "i + h * (j - i)");
    tp_advance(l, state, next);
    return next;
}

/* arXiv:1804.04235 with PyTorch's numbers: beta2_decay -0.8, d 1, eps (2^-23, 1e-3). The decay has
 * been done. */
ir_val tp_adafactor_step(struct letters *l, const tp_opt *o, ir_val parameter)
{
    const int rank = ir_at(l->g, parameter)->shape.rank;

    (void)o;
    l->name['h' - 'a'] = tp_spelled(l, "exp(-0.8 * log(t))");
    l->name['k' - 'a'] = mean_square(l, parameter);
    l->name['k' - 'a'] = tp_spelled(l, "max(e, sqrt(k)) * min(r, rsqrt(t))");
    tp_let(l, 'z', 0x1p-23);
    if (rank > 1) {
        l->name['m' - 'a'] = gather(l, parameter, "row_var", rank - 1);
        l->name['n' - 'a'] = gather(l, parameter, "col_var", rank - 2);
        l->name['o' - 'a'] = mean(l, l->name['m' - 'a'], rank - 2);
        l->name['v' - 'a'] = tp_spelled(l, "m * n / max(o, z)");
    } else {
        l->name['v' - 'a'] = gather(l, parameter, "variance", -1);
    }
    l->name['n' - 'a'] = tp_spelled(l, "rsqrt(max(v, z * z)) * g");
    l->name['o' - 'a'] = mean_square(l, l->name['n' - 'a']);
    return tp_spelled(l, "p - k / max(1, sqrt(o)) * n");
}

/*
 * Muon (Jordan et al. 2024): five steps of a Newton-Schulz iteration drive the singular values of
 * the momentum towards 1. Axes after the first are one; the wider side is contracted.
 */
ir_val tp_muon_step(struct letters *l, const tp_opt *o, ir_val parameter)
{
    const struct ir_shape shape = ir_at(l->g, parameter)->shape;
    const ir_val state = tp_moment(l, parameter, "momentum_buffer", shape, 0);
    struct ir_shape flat = { .rank = 2, .dim = { shape.dim[0], 1 } };
    bool tall;
    ir_val x;

    for (int i = 1; i < shape.rank; i++)
        flat.dim[1] *= shape.dim[i];
    tall = flat.dim[0] > flat.dim[1];
    l->name['m' - 'a'] = state;
    l->name['m' - 'a'] = tp_spelled(l, "m + (1 - u) * (g - m)");
    tp_advance(l, state, l->name['m' - 'a']);
    x = o->plain ? l->name['m' - 'a'] : tp_spelled(l, "g + u * (m - g)");
    x = ir_reshape(l->g, x, flat, l->at);
    l->name['i' - 'a'] = x;
    l->name['j' - 'a'] = tp_whole_norm(l->g, x, l->at);
    x = tp_spelled(l, "i / max(j, e)");
    for (int i = 0; i < 5; i++) { /* x = 3.4445 x + (b s + c s s) x with s = x x' */
        const char *square = tall ? "km,kn->mn" : "mk,nk->mn";
        const ir_val s = ir_dot(l->g, x, x, square, l->at);

        l->name['i' - 'a'] = s;
        l->name['j' - 'a'] = ir_dot(l->g, s, s, "mk,kn->mn", l->at);
        l->name['j' - 'a'] = tp_spelled(l, "-4.775 * i + 2.0315 * j");
        l->name['k' - 'a'] = tall ? ir_dot(l->g, x, l->name['j' - 'a'], "mk,kn->mn", l->at)
                                  : ir_dot(l->g, l->name['j' - 'a'], x, "mk,kn->mn", l->at);
        l->name['i' - 'a'] = x;
        x = tp_spelled(l, "3.4445 * i + k");
    }
    l->name['n' - 'a'] = ir_reshape(l->g, x, shape, l->at);
    tp_let(l, 'k', sqrt(fmax(1, (double)flat.dim[0] / (double)flat.dim[1])));
    return tp_spelled(l, "p - r * k * n");
}
