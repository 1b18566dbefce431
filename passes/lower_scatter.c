/*
 * lower_scatter: kernels that store as they go: zeros first (or -1), then one update after the
 * other, ascending. The loops over axes that the indices do not touch stand outside and are
 * independent.
 */
#include "lower.h"

#include <string.h>

uint32_t pass_lower_of_scatter(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)index;
    return pass_lower_fail(l, "%s stores as it goes; expected a kernel of its own",
                           ir_ops[n->op].name);
}

void pass_lower_scatter(struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v), *a = ir_at(l->g, n->args[0]),
                         *b = ir_at(l->g, n->args[n->arity - 1]);
    const bool last = n->op == IR_scatter_last; /* its own index is what is stored */
    int axis = (int)n->attr[0].at[0], wide = n->op == IR_put_add ? b->shape.rank : 1;
    loop_ix to[IR_RANK], from[IR_RANK], at[IR_RANK];
    int outer[IR_RANK], outers = 0, inner[IR_RANK], inners = 0;
    struct loop_statement put = { .kind = LOOP_STORE, .dtype = n->dtype };

    l->at = v;
    for (int i = 0; i < a->shape.rank; i++) { /* axes of a: before, the indices', behind */
        bool picked = i >= axis && i < axis + wide;
        int x = pass_lower_axis(l, picked ? "t" : "i", a->shape.dim[i]);
        from[i] = loop_axis_ix(l->k, x);
        if (picked)
            l->k->axis[x].ordered = true;
        *(picked ? &inner[inners++] : &outer[outers++]) = x;
        if (!picked)
            to[i < axis ? i : i - wide + 1] = from[i];
    }
    const char *name = n->name;
    put.buffer = loop_buffer_of(l->k, name, n->dtype, v, l->c->storage[v.id].elements);
    l->k->buffer[put.buffer].written = l->k->buffer[put.buffer].read = true;
    for (int i = 0; i < outers; i++)
        pass_lower_open(l, outer[i]);
    int zeros = pass_lower_axis(l, "z", n->shape.dim[axis]);
    pass_lower_open(l, zeros);
    to[axis] = loop_axis_ix(l->k, zeros);
    put.args[0] = pass_lower_number(l, n->dtype, last ? -1 : 0);
    put.ix = pass_address(l->k, &l->c->storage[v.id], to);
    pass_lower_emit(l, put);
    pass_lower_close(l, zeros, 0, NULL);
    for (int i = 0; i < inners; i++)
        pass_lower_open(l, inner[i]);
    if (n->op == IR_put_add)
        memcpy(at, from + axis, (size_t)wide * sizeof *at);
    else
        memcpy(at, from, (size_t)b->shape.rank * sizeof *at);
    uint32_t index = pass_lower_value(l, n->args[n->arity - 1], at);
    if (l->failed)
        return;
    if (b->dtype != IR_I64)
        index = pass_lower_let(l, IR_cast, IR_I64, index, 0, 0);
    index = pass_lower_let(l, IR_max, IR_I64, index, pass_lower_index(l, IR_I64, 0), 0);
    index = pass_lower_let(l, IR_min, IR_I64, index,
                           pass_lower_index(l, IR_I64,
                                            loop_plus(l->k, loop_dim_ix(l->k, n->shape.dim[axis]),
                                                      loop_const(l->k, -1))),
                           0);
    to[axis] = loop_value_ix(l->k, index);
    put.ix = pass_address(l->k, &l->c->storage[v.id], to);
    if (last) {
        put.args[0] = pass_lower_index(l, IR_I64, from[axis]);
    } else {
        uint32_t x = pass_lower_value(l, n->args[0], from);
        if (l->failed)
            return;
        uint32_t old = pass_lower_emit(
            l, (struct loop_statement){
                   .kind = LOOP_LOAD, .dtype = n->dtype, .buffer = put.buffer, .ix = put.ix });
        put.args[0] = pass_lower_let(l, IR_add, n->dtype, old, x, 0);
    }
    pass_lower_emit(l, put);
    for (int i = inners; i-- > 0;)
        pass_lower_close(l, inner[i], 0, NULL);
    for (int i = outers; i-- > 0;)
        pass_lower_close(l, outer[i], 0, NULL);
}
