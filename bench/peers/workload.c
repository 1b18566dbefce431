/*
 * workload: models as every peer has them, with PyTorch's names and layouts.
 *
 * Layers are shared, so that an eager graph may record the same model again at each step.
 */
#include "bench/peers/workload.h"

static tp_tensor relu_linear(tp_tensor x, const char *name, int64_t out)
{
    return tp_relu(tp_linear(x, name, out, .shared = true));
}

static tp_tensor mlp(tp_tensor x, tp_tensor y)
{
    x = relu_linear(x, "fc1", 128);
    return tp_cross_entropy(tp_linear(x, "fc2", 10, .shared = true), y);
}

static tp_tensor mlp_wide(tp_tensor x, tp_tensor y)
{
    x = relu_linear(x, "fc1", 1024);
    x = relu_linear(x, "fc2", 1024);
    return tp_cross_entropy(tp_linear(x, "fc3", 10, .shared = true), y);
}

static tp_tensor lenet(tp_tensor x, tp_tensor y)
{
    x = tp_relu(tp_conv2d(x, "conv1", 6, 5, .pad = 2, .shared = true));
    x = tp_max_pool2d(x, 2);
    x = tp_relu(tp_conv2d(x, "conv2", 16, 5, .shared = true));
    x = tp_max_pool2d(x, 2);
    x = tp_flatten(x, 1);
    x = relu_linear(x, "fc1", 120);
    x = relu_linear(x, "fc2", 84);
    return tp_cross_entropy(tp_linear(x, "fc3", 10, .shared = true), y);
}

/* micrograd's: a hinge loss over scores of -1 and 1, and the squares of all parameters */
static tp_tensor micrograd_mlp(tp_tensor x, tp_tensor y)
{
    tp_tensor parameter[6], loss, score;

    x = relu_linear(x, "fc1", 16);
    x = relu_linear(x, "fc2", 16);
    score = tp_squeeze(tp_linear(x, "fc3", 1, .shared = true), 1);
    loss = tp_mean(tp_relu(tp_sub(1, tp_mul(y, score))));
    for (int i = 0; i < tp_params(x.g, "*", 6, parameter) && i < 6; i++)
        loss = tp_add(loss, tp_mul(tp_sum(tp_square(parameter[i])), 1e-4));
    return loss;
}

#define SHAPE(rank, ...) \
    {                    \
        (rank),          \
        {                \
            __VA_ARGS__  \
        }                \
    }
const struct workload workloads[] = {
    { "mlp", mlp, TP_F32, TP_I64, SHAPE(2, 64, 784), SHAPE(1, 64), { .kind = 0 }, 0.1 },
    { "mlp-wide",
      mlp_wide,
      TP_F32,
      TP_I64,
      SHAPE(2, 256, 784),
      SHAPE(1, 256),
      { .kind = 1 },
      1e-3 },
    { "lenet",
      lenet,
      TP_F32,
      TP_I64,
      SHAPE(4, 64, 1, 28, 28),
      SHAPE(1, 64),
      { .kind = 0, .momentum = 0.9 },
      0.01 },
    { "micrograd-mlp",
      micrograd_mlp,
      TP_F32,
      TP_F32,
      SHAPE(2, 100, 2),
      SHAPE(1, 100),
      { .kind = 0 },
      0.1 },
    { 0 },
};
