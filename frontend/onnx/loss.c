/*
 * loss: the negative logarithm of the probability of each target's class, along axis 1.
 */
#include "frontend/onnx/ops.h"

#include <string.h>

static tp_tensor sum_all(struct onnx_node *n, tp_tensor x)
{
    static const int64_t every[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    const struct onnx_ints axes = { x.id ? tp_rank(x) : 0, (int64_t *)every };

    return onnx_reduce(n, IR_sum, x, &axes, false);
}

static void loss_of(struct onnx_node *n, tp_tensor logs)
{
    const char *how = onnx_word(n, "reduction", "mean");
    const Onnx__AttributeProto *ignored = onnx_attribute(n, "ignore_index");
    tp_tensor target = onnx_in(n, 1), index, picked, weight = { 0 }, loss;
    tp_shape shape, each;

    if (!logs.id || !target.id)
        return;
    shape = each = tp_shape_of(target);
    if (tp_rank(logs) != shape.rank + 1 || onnx_real(target)) {
        onnx_wrong(n, "%s, target %s; expected [n classes ..] and integers [n ..]",
                   tp_describe(logs), tp_describe(target));
        return;
    }
    target = onnx_cast(n, target, IR_I64);
    index = target;
    if (ignored) {
        const tp_tensor number =
            tp_give(n->g, ir_integer(n->g->ir, IR_I64, ignored->i, onnx_place(n)));
        const tp_tensor counts = onnx_op2(n, IR_ne, target, number);
        index = onnx_select(n, counts, target, onnx_number(n, IR_I64, 0));
        weight = onnx_cast(n, counts, onnx_type(logs));
    }
    if (onnx_has(n, 2)) {
        const tp_tensor all = onnx_in(n, 2),
                        own = all.id && index.id ? tp_take_at(all, 0, index, n->at) : all;
        weight = weight.id ? onnx_op2(n, IR_mul, weight, own) : own;
    }
    memmove(each.dim + 2, each.dim + 1, (size_t)(each.rank - 1) * sizeof *each.dim);
    each.dim[1] = 1;
    each.rank++;
    picked = tp_gather_at(logs, 1, tp_reshape_at(index, each, n->at), n->at);
    loss = onnx_op1(n, IR_neg, tp_reshape_at(picked, shape, n->at));
    if (weight.id)
        loss = onnx_select(n, onnx_op2(n, IR_eq, weight, onnx_number(n, onnx_type(logs), 0)),
                           onnx_number(n, onnx_type(logs), 0), onnx_op2(n, IR_mul, loss, weight));
    if (strcmp(how, "none") != 0 && loss.id) {
        tp_tensor count = weight;
        if (!weight.id)
            count = tp_full_at(n->g, tp_dtype_of(loss), shape, 1, n->at);
        loss = sum_all(n, loss);
        if (strcmp(how, "mean") == 0)
            loss = onnx_op2(n, IR_div, loss, sum_all(n, count));
    }
    n->out[0] = loss;
}

void onnx_nll(struct onnx_node *n)
{
    loss_of(n, onnx_in(n, 0));
}

void onnx_cross_entropy(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);

    if (!x.id)
        return;
    n->out[1] = tp_softmax_at("log_softmax", x, 1, n->at);
    loss_of(n, n->out[1]);
}
