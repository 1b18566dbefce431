/*
 * attention: softmax(scale q k' + mask) v with all that the operator of version 23 adds: heads in
 * the last axis, keys and values of earlier calls, heads that share keys, a cap on the scores.
 */
#include "frontend/onnx/ops.h"

#include <math.h>

/* [batch time heads*width] as [batch heads time width] */
static tp_tensor split_heads(struct onnx_node *n, tp_tensor x, int64_t heads)
{
    tp_tensor y;

    if (!x.id || tp_rank(x) == 4)
        return x;
    if (tp_rank(x) != 3 || heads < 1 || !ir_dim_fixed(tp_dim(x, 2)) || tp_dim(x, 2) % heads)
        return onnx_wrong(n, "%s in %lld heads; expected [batch time width] that they divide",
                          tp_describe(x), (long long)heads);
    y = tp_reshape_at(x, tp_dims(tp_dim(x, 0), tp_dim(x, 1), heads, tp_dim(x, 2) / heads), n->at);
    return tp_permute_at(y, tp_dims(0, 2, 1, 3), n->at);
}

/* Each head as often as queries share it, side by side. */
static tp_tensor shared_heads(struct onnx_node *n, tp_tensor x, int64_t times)
{
    return times > 1 && x.id ? tp_repeat_interleave_at(x, times, 1, n->at) : x;
}

/* What is added to the scores: 0 or -inf where it is a truth. */
static tp_tensor as_bias(struct onnx_node *n, tp_tensor mask, enum ir_dtype dtype)
{
    if (mask.id && onnx_type(mask) == IR_BOOL)
        return onnx_select(n, mask, onnx_number(n, dtype, 0), onnx_number(n, dtype, -INFINITY));
    return onnx_cast(n, mask, dtype);
}

static tp_tensor added(struct onnx_node *n, tp_tensor bias, tp_tensor more)
{
    return bias.id ? onnx_op2(n, IR_add, bias, more) : more;
}

static tp_tensor biases(struct onnx_node *n, tp_tensor q, tp_tensor k, int64_t past)
{
    const int64_t queries = tp_dim(q, 2), keys = tp_dim(k, 2);
    const enum ir_dtype dtype = onnx_type(q);
    tp_tensor bias = { 0 };

    if (onnx_has(n, 3)) {
        tp_tensor mask = onnx_in(n, 3);
        const int rank = mask.id ? tp_rank(mask) : 0;
        if (!mask.id || rank < 2 || rank > 4)
            return onnx_wrong(n, "its mask; expected 2 to 4 axes");
        mask = as_bias(n, mask, dtype);
        if (mask.id && ir_dim_fixed(tp_dim(mask, -1)) && tp_dim(mask, -1) < keys &&
            tp_dim(mask, -1) > 1) {
            tp_shape lo = { .rank = rank }, hi = lo;
            hi.dim[rank - 1] = keys - tp_dim(mask, -1);
            mask = tp_pad_at(mask, lo, hi, -INFINITY, n->at);
        }
        bias = mask;
    }
    if (onnx_int(n, "is_causal", 0)) {
        tp_tensor part[2];
        part[0] = tp_index_along(n->g, tp_dims(queries, keys), 0, n->at);
        part[1] = tp_index_along(n->g, tp_dims(queries, keys), 1, n->at);
        bias =
            added(n, bias,
                  as_bias(n, tp_maths("b <= a + p", 2, part, 1, (double[]){ (double)past }, n->at),
                          dtype));
    }
    if (onnx_has(n, 6)) {
        const tp_tensor lengths = onnx_cast(n, onnx_in(n, 6), IR_I64);
        tp_tensor at = tp_arange_at(n->g, TP_I64, keys, n->at);
        if (!lengths.id || tp_rank(lengths) != 1)
            return onnx_wrong(n, "its lengths; expected [batch]");
        at = onnx_op2(n, IR_lt, at, tp_reshape_at(lengths, tp_dims(-1, 1, 1, 1), n->at));
        bias = added(n, bias, as_bias(n, at, dtype));
    }
    return bias;
}

void onnx_attention(struct onnx_node *n)
{
    tp_tensor q = onnx_in(n, 0), k = onnx_in(n, 1), v = onnx_in(n, 2), scores, bias, y, shown;
    const int64_t mode = onnx_int(n, "qk_matmul_output_mode", 0);
    const double cap = onnx_float(n, "softcap", 0);
    const bool flat = q.id && tp_rank(q) == 3;
    int64_t past = 0, share;
    enum ir_dtype dtype, precision = IR_F32;
    double scale;

    if (!q.id || !k.id || !v.id)
        return;
    q = split_heads(n, q, onnx_int(n, "q_num_heads", 0));
    k = split_heads(n, k, onnx_int(n, "kv_num_heads", 0));
    v = split_heads(n, v, onnx_int(n, "kv_num_heads", 0));
    if (!q.id || !k.id || !v.id)
        return;
    dtype = onnx_type(q);
    if (onnx_has(n, 4)) {
        const tp_tensor old = onnx_in(n, 4);
        past = old.id && tp_rank(old) == 4 ? tp_dim(old, 2) : 0;
        k = tp_concat_at(2, tp_list(old, k), n->at);
    }
    if (onnx_has(n, 5))
        v = tp_concat_at(2, tp_list(onnx_in(n, 5), v), n->at);
    if (!k.id || !v.id)
        return;
    n->out[1] = k;
    n->out[2] = v;
    if (tp_dim(k, 1) < 1 || tp_dim(q, 1) % tp_dim(k, 1) || !ir_dim_fixed(tp_dim(q, 3)) ||
        !ir_dim_fixed(tp_dim(q, 2)) || !ir_dim_fixed(tp_dim(k, 2))) {
        onnx_wrong(n, "%s and %s; expected heads that divide and known extents", tp_describe(q),
                   tp_describe(k));
        return;
    }
    scale = sqrt(onnx_float(n, "scale", 1 / sqrt((double)tp_dim(q, 3))));
    share = tp_dim(q, 1) / tp_dim(k, 1);
    bias = biases(n, q, k, past);
    if (!onnx_ok(n))
        return;
    q = onnx_op2(n, IR_mul, q, onnx_number(n, dtype, scale));
    k = onnx_op2(n, IR_mul, shared_heads(n, k, share), onnx_number(n, dtype, scale));
    scores = tp_matmul_nt_at(q, k, n->at);
    if (cap > 0 && scores.id)
        scores = onnx_maths(n, "tanh(a / p) * p", 1, &scores, cap);
    shown = scores;
    if (bias.id)
        scores = onnx_op2(n, IR_add, scores, bias);
    if (mode == 2)
        shown = scores;
    if (onnx_attr(n, "softmax_precision")) {
        if (!tp_onnx_dtype((int)onnx_int(n, "softmax_precision", 1), &precision)) {
            onnx_lacks(n, "a softmax of that type");
            return;
        }
        scores = onnx_cast(n, scores, precision);
    }
    if (!scores.id)
        return;
    y = onnx_cast(n, tp_softmax_at("softmax", scores, -1, n->at), dtype);
    n->out[3] = mode == 3 ? y : shown;
    y = y.id ? tp_matmul_at(y, shared_heads(n, v, share), n->at) : y;
    if (flat && y.id) {
        const tp_shape s = tp_shape_of(y);
        y = tp_reshape_at(tp_permute_at(y, tp_dims(0, 2, 1, 3), n->at),
                          tp_dims(s.dim[0], s.dim[2], ir_dim_mul(n->g->ir, s.dim[1], s.dim[3])),
                          n->at);
    }
    n->out[0] = y;
}
