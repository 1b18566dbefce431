/*
 * gradients_order: derivatives of what follows an axis in its order. Backward, the axis is followed
 * from its end: a running sum's is a running sum, a recurrence's is a recurrence, and a product is
 * a recurrence too, so that nothing is divided and zeros do no harm.
 */
#include "passes/gradients.h"

#include <string.h>

struct along { /* a node and its axis */
    struct ir_graph *g;
    const struct ir_node *n;
    struct ir_loc loc;
};

static ir_val of_axis(const struct along *a, enum ir_op op, int arity, const ir_val *args)
{
    return ir_op_attr(a->g, op, arity, args, (struct ir_list[]){ a->n->attr[0] }, a->loc);
}

static ir_val turned(const struct along *a, ir_val v)
{
    return of_axis(a, IR_flip, 1, &v);
}

/* v one place further along the axis, `first` comes in; at the end: one place back */
static ir_val shifted(const struct along *a, ir_val v, double comes_in, bool back)
{
    struct ir_shape shape = ir_at(a->g, v)->shape;
    int axis = (int)a->n->attr[0].at[0];
    int64_t start[IR_RANK] = { 0 }, step[IR_RANK], lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 };
    ir_val number = ir_number(a->g, ir_at(a->g, v)->dtype, comes_in, a->loc);

    if (shape.dim[axis] == 0)
        return v;
    for (int i = 0; i < shape.rank; i++)
        step[i] = 1;
    start[axis] = back;
    if (!back)
        shape.dim[axis] = ir_dim_add(a->g, shape.dim[axis], -1);
    *(back ? &hi[axis] : &lo[axis]) = 1;
    v = ir_op_attr(a->g, IR_slice, 1, &v,
                   (struct ir_list[]){
                       { shape.rank, start }, { shape.rank, shape.dim }, { shape.rank, step } },
                   a->loc);
    return ir_op_attr(a->g, IR_pad, 2, (ir_val[]){ v, number },
                      (struct ir_list[]){ { shape.rank, lo }, { shape.rank, hi } }, a->loc);
}

/* s[t] = g[t] + factor[t + 1] s[t + 1]: what arrives at y[t] from it and all behind */
static ir_val from_the_end(const struct along *a, ir_val factor, ir_val grad)
{
    ir_val args[2] = { turned(a, shifted(a, factor, 0, true)), turned(a, grad) };

    return turned(a, of_axis(a, IR_recur, 2, args));
}

void pass_grad_of_cumsum(struct pass_step *s)
{
    const struct along a = { s->g, s->node, s->node->loc };
    ir_val back = turned(&a, s->grad);

    s->to[0] = turned(&a, of_axis(&a, IR_cumsum, 1, &back));
}

/* y[t] = x[t] y[t-1], y[-1] = 1 */
void pass_grad_of_cumprod(struct pass_step *s)
{
    const struct along a = { s->g, s->node, s->node->loc };
    ir_val sum = from_the_end(&a, s->node->args[0], s->grad);

    s->to[0] = ir_op2(s->g, IR_mul, sum, shifted(&a, s->y, 1, false), a.loc);
}

void pass_grad_of_recur(struct pass_step *s)
{
    const struct along a = { s->g, s->node, s->node->loc };
    ir_val sum = from_the_end(&a, s->node->args[0], s->grad);

    s->to[1] = sum;
    if (s->wanted[0])
        s->to[0] = ir_op2(s->g, IR_mul, sum, shifted(&a, s->y, 0, false), a.loc);
}

/* Where along the axis the extreme stands that holds at each place: the last one that is equal, or
 * NaN. It is a running maximum of indices. */
static ir_val standing(const struct along *a, ir_val y)
{
    ir_val name[26] = { [0] = a->n->args[0], ['y' - 'a'] = y };
    ir_val here = ir_iota(a->g, IR_I64, a->n->shape, (int)a->n->attr[0].at[0], a->loc);
    ir_val is = ir_dtypes[a->n->dtype].kind == 'f'
                    ? ir_formula(a->g, "(a == y) | isnan(a)", name, a->loc)
                    : ir_formula(a->g, "a == y", name, a->loc);

    here = ir_select(a->g, is, here, ir_full_like(a->g, here, 0, a->loc), a->loc);
    return of_axis(a, IR_cummax, 1, &here);
}

void pass_grad_of_cumextreme(struct pass_step *s)
{
    const struct along a = { s->g, s->node, s->node->loc };
    int64_t size = s->node->shape.dim[s->node->attr[0].at[0]];
    struct ir_list lists[2] = { s->node->attr[0], { 1, &size } };

    s->to[0] = ir_op_attr(s->g, IR_scatter_add, 2, (ir_val[]){ s->grad, standing(&a, s->y) }, lists,
                          a.loc);
}

/* --- forward ------------------------------------------------------------------------------------
 */

ir_val pass_tangent_of_order(struct ir_graph *g, const struct ir_node *n, ir_val y,
                             const ir_val tangent[2])
{
    const struct along a = { g, n, n->loc };
    ir_val sum = tangent[1], factor[2] = { n->args[0] };

    if (n->op == IR_cummax || n->op == IR_cummin) {
        factor[0] = tangent[0];
        factor[1] = standing(&a, y);
        return of_axis(&a, IR_gather, 2, factor);
    }
    /* y' [t] = a[t] y'[t-1] + a'[t] y[t-1] + b'[t] */
    if (tangent[0].id) {
        ir_val moved = ir_op2(g, IR_mul, tangent[0],
                              shifted(&a, y, n->op == IR_cumprod ? 1 : 0, false), a.loc);
        sum = sum.id ? ir_op2(g, IR_add, moved, sum, a.loc) : moved;
    }
    factor[1] = sum;
    return of_axis(&a, IR_recur, 2, factor);
}
