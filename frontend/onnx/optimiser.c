/*
 * optimiser: the steps of ai.onnx.preview.training, for any number of tensors: their values, then
 * their gradients, then what is remembered of each.
 */
#include "frontend/onnx/ops.h"

#include <math.h>
#include <string.h>

/* The rate R and the count T, in the type of the tensors. */
static bool begin(struct onnx_node *n, int lists, int *count, tp_tensor rate[2])
{
    *count = (n->inputs - 2) / lists;
    if (n->inputs < 2 + lists || (n->inputs - 2) % lists || n->outputs > ONNX_OUTPUTS) {
        onnx_wrong(n, "%d inputs; expected 2 and %d for each tensor", n->inputs, lists);
        return false;
    }
    for (int i = 0; i < 2; i++)
        if (!(rate[i] = onnx_in(n, i)).id)
            return false;
    return true;
}

/* The gradient with the norm's part: r x + g. */
static bool load(struct onnx_node *n, int i, int count, int lists, tp_tensor x[4])
{
    tp_tensor pair[2];

    for (int k = 0; k < lists; k++)
        if (!(x[k] = onnx_in(n, 2 + i + k * count)).id)
            return false;
    pair[0] = x[0];
    pair[1] = x[1];
    x[1] = onnx_maths(n, "p * a + b", 2, pair, onnx_float(n, "norm_coefficient", 0));
    return x[1].id != 0;
}

/* Scalars of any shape, in the tensor's type. */
static tp_tensor scalar(struct onnx_node *n, tp_tensor number, tp_tensor like)
{
    return onnx_cast(n, tp_reshape_at(number, TP_SCALAR, n->at), onnx_type(like));
}

void onnx_adagrad(struct onnx_node *n)
{
    const double decay = onnx_float(n, "decay_factor", 0), eps = onnx_float(n, "epsilon", 0);
    tp_tensor rate[2], x[4];
    int count;

    if (!begin(n, 3, &count, rate))
        return;
    for (int i = 0; i < count; i++) {
        tp_tensor r;
        if (!load(n, i, count, 3, x))
            return;
        r = tp_maths("a / (1 + b * p)", 2,
                     (tp_tensor[]){ scalar(n, rate[0], x[0]), scalar(n, rate[1], x[0]) }, 1, &decay,
                     n->at);
        n->out[count + i] = tp_maths("a + b * b", 2, (tp_tensor[]){ x[2], x[1] }, 0, NULL, n->at);
        n->out[i] = tp_maths("a - b * c / (sqrt(d) + p)", 4,
                             (tp_tensor[]){ x[0], r, x[1], n->out[count + i] }, 1, &eps, n->at);
    }
}

void onnx_adam(struct onnx_node *n)
{
    const double alpha = onnx_float(n, "alpha", 0.9), beta = onnx_float(n, "beta", 0.999),
                 eps = onnx_float(n, "epsilon", 0),
                 post = onnx_float(n, "norm_coefficient_post", 0);
    tp_tensor rate[2], x[4];
    int count;

    if (!begin(n, 4, &count, rate))
        return;
    for (int i = 0; i < count; i++) {
        tp_tensor r, t, y;
        if (!load(n, i, count, 4, x))
            return;
        t = scalar(n, rate[1], x[0]);
        r = scalar(n, rate[0], x[0]);
        r = tp_maths("select(b > 0, a * sqrt(1 - pow(q, b)) / (1 - pow(p, b)), a)", 2,
                     (tp_tensor[]){ r, t }, 2, (double[]){ alpha, beta }, n->at);
        n->out[count + i] =
            tp_maths("p * a + (1 - p) * b", 2, (tp_tensor[]){ x[2], x[1] }, 1, &alpha, n->at);
        n->out[2 * count + i] =
            tp_maths("p * a + (1 - p) * b * b", 2, (tp_tensor[]){ x[3], x[1] }, 1, &beta, n->at);
        y = tp_maths("a - b * c / (sqrt(d) + p)", 4,
                     (tp_tensor[]){ x[0], r, n->out[count + i], n->out[2 * count + i] }, 1, &eps,
                     n->at);
        if (y.id)
            n->out[i] = onnx_maths(n, "(1 - p) * a", 1, &y, post);
    }
}

void onnx_momentum(struct onnx_node *n)
{
    const double alpha = onnx_float(n, "alpha", 0), beta = onnx_float(n, "beta", 0);
    const bool nesterov = strcmp(onnx_word(n, "mode", "standard"), "nesterov") == 0;
    tp_tensor rate[2], x[4];
    int count;

    if (!begin(n, 3, &count, rate))
        return;
    for (int i = 0; i < count; i++) {
        tp_tensor r, t;
        if (!load(n, i, count, 3, x))
            return;
        r = scalar(n, rate[0], x[0]);
        t = scalar(n, rate[1], x[0]);
        n->out[count + i] =
            tp_maths("p * a + select(c > 0, q, 1) * b", 3, (tp_tensor[]){ x[2], x[1], t }, 2,
                     (double[]){ alpha, beta }, n->at);
        n->out[i] = tp_maths(nesterov ? "a - b * (c + p * d)" : "a - b * d", 4,
                             (tp_tensor[]){ x[0], r, x[1], n->out[count + i] }, 1, &alpha, n->at);
    }
}
