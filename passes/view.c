/*
 * Views are index maps: the element of a view at an index is the element of its argument at another
 * index. Both fuse (may these two be one kernel?) and lower (where does this load from?) ask the
 * same function.
 */
#include "passes.h"

bool pass_is_view(enum ir_op op)
{
    return op == IR_reshape || op == IR_permute || op == IR_expand || op == IR_slice ||
           op == IR_flip || op == IR_stop_gradient || op == IR_at || op == IR_within ||
           op == IR_read;
}

/* The axes of a reshape fall into groups of equal product; each is flattened and taken apart again
 * by itself, so that a symbolic extent which only passes through needs no arithmetic. */
static bool reshape_index(struct loop_kernel *k, const struct ir_shape *from,
                          const struct ir_shape *to, const loop_ix *index, loop_ix *inner)
{
    const struct ir_graph *g = k->graph;
    int i = from->rank, j = to->rank; /* from argument's shape, of the view's shape */

    while (i > 0 || j > 0) {
        int i_end = i, j_end = j;
        int64_t a = 1, b = 1;
        if (i > 0 && j > 0 && from->dim[i - 1] == to->dim[j - 1]) {
            inner[--i] = index[--j];
            continue;
        }
        do {
            if ((a <= b && i > 0) || j == 0)
                a *= ir_dim_max(g, from->dim[--i]);
            else
                b *= ir_dim_max(g, to->dim[--j]);
        } while ((a != b || a == 0) && (i > 0 || j > 0));
        loop_ix flat = loop_const(k, 0);
        for (int axis = j; axis < j_end; axis++) {
            if (axis > j && !ir_dim_fixed(to->dim[axis]))
                return false;
            flat = loop_plus(k, loop_scale(k, flat, axis > j ? to->dim[axis] : 1), index[axis]);
        }
        for (int axis = i_end - 1; axis >= i; axis--) {
            if (axis > i && !ir_dim_fixed(from->dim[axis]))
                return false;
            if (axis == i || from->dim[axis] == 0) {
                inner[axis] = flat;
            } else {
                inner[axis] = loop_mod(k, flat, from->dim[axis]);
                flat = loop_div(k, flat, from->dim[axis]);
            }
        }
    }
    return true;
}

/* index of view n -> index of its argument; false: it has no affine form (a merge of symbolic
 * extents) */
bool pass_view(struct loop_kernel *k, const struct ir_graph *g, const struct ir_node *n,
               const loop_ix *index, loop_ix *inner)
{
    const struct ir_node *a = ir_at(g, n->args[0]);
    int lead = n->shape.rank - a->shape.rank;

    switch (n->op) {
    case IR_reshape:
        return reshape_index(k, &a->shape, &n->shape, index, inner);
    case IR_permute:
        for (int i = 0; i < n->shape.rank; i++)
            inner[n->attr[0].at[i]] = index[i];
        return true;
    case IR_expand:
        for (int i = 0; i < a->shape.rank; i++)
            inner[i] = a->shape.dim[i] == 1 ? loop_const(k, 0) : index[lead + i];
        return true;
    case IR_slice:
        for (int i = 0; i < n->shape.rank; i++)
            inner[i] = loop_plus(k, loop_dim_ix(k, n->attr[0].at[i]),
                                 loop_scale(k, index[i], n->attr[2].at[i]));
        return true;
    case IR_flip:
        for (int i = 0; i < n->shape.rank; i++)
            inner[i] = index[i];
        for (int i = 0; i < n->attr[0].count; i++) {
            int axis = (int)n->attr[0].at[i];
            inner[axis] =
                loop_plus(k, loop_plus(k, loop_dim_ix(k, n->shape.dim[axis]), loop_const(k, -1)),
                          loop_scale(k, index[axis], -1));
        }
        return true;
    case IR_at:
        inner[0] = loop_dim_ix(k, ir_at(g, n->args[1])->attr[0].at[0]);
        for (int i = 0; i < n->shape.rank; i++)
            inner[i + 1] = index[i];
        return true;
    default: /* stop_gradient, within, read */
        for (int i = 0; i < n->shape.rank; i++)
            inner[i] = index[i];
        return true;
    }
}

/* NumPy's broadcasting: index of a pointwise node -> index of an argument of shape `of` */
void pass_broadcast(struct loop_kernel *k, const struct ir_shape *result, const struct ir_shape *of,
                    const loop_ix *index, loop_ix *inner)
{
    for (int i = 0; i < of->rank; i++) {
        int axis = result->rank - of->rank + i;
        inner[i] = of->dim[i] == 1 && result->dim[axis] != 1 ? loop_const(k, 0) : index[axis];
    }
}
