/*
 * models: the built-in models. Each is what a user would write; examples/ has them as programs.
 */
#include <string.h>

#include "frontend/models.h"

/* --- heads: scores to loss and hits --------------------------------------------------------------
 */

static struct model_values classified(tp_tensor logits, tp_tensor y)
{
    return (struct model_values){ .output = logits,
                                  .loss = tp_cross_entropy(logits, y),
                                  .hits = tp_sum(tp_eq(tp_argmax(logits, -1), y)) };
}

/* One score a row: above 0 is class 1. */
static struct model_values told_apart(tp_tensor score, tp_tensor y)
{
    score = tp_squeeze(score, 1);
    return (struct model_values){
        .output = tp_sigmoid(score),
        .loss = tp_bce_with_logits(score, tp_cast(y, TP_F32)),
        .hits = tp_sum(tp_eq(tp_gt(score, 0), tp_eq(y, 1))),
    };
}

/* Pixels as fractions; what is not bytes is as it should be already. */
static tp_tensor features(tp_tensor x)
{
    return tp_dtype_of(x) == TP_U8 ? tp_div(x, 255) : x;
}

/* --- models ------------------------------------------------------------------------------------
 */

static struct model_values mlp(tp_tensor x, tp_tensor y, int64_t hidden, int64_t classes)
{
    x = tp_flatten(features(x), 1);
    x = tp_relu(tp_linear(x, "fc1", hidden));
    return classified(tp_linear(x, "fc2", classes), y);
}

static struct model_values mlp_wide(tp_tensor x, tp_tensor y, int64_t hidden, int64_t classes)
{
    x = tp_flatten(features(x), 1);
    x = tp_relu(tp_linear(x, "fc1", hidden));
    x = tp_relu(tp_linear(x, "fc2", hidden));
    return classified(tp_linear(x, "fc3", classes), y);
}

static struct model_values lenet(tp_tensor x, tp_tensor y, int64_t hidden, int64_t classes)
{
    (void)hidden;
    x = features(x);
    x = tp_relu(tp_conv2d(x, "conv1", 6, 5, .pad = 2));
    x = tp_max_pool2d(x, 2);
    x = tp_relu(tp_conv2d(x, "conv2", 16, 5));
    x = tp_max_pool2d(x, 2);
    x = tp_flatten(x, 1); /* [batch 400] */
    x = tp_relu(tp_linear(x, "fc1", 120));
    x = tp_relu(tp_linear(x, "fc2", 84));
    return classified(tp_linear(x, "fc3", classes), y);
}

/* The MiniTorch course: points of the unit square, relu, relu, sigmoid, logarithmic loss. */
static struct model_values planar(tp_tensor x, tp_tensor y, int64_t hidden, int64_t classes)
{
    (void)classes;
    x = tp_relu(tp_linear(x, "layer1", hidden));
    x = tp_relu(tp_linear(x, "layer2", hidden));
    return told_apart(tp_linear(x, "layer3", 1), y);
}

/* micrograd's demonstration: a margin of one on either side, and small weights. */
static struct model_values moons(tp_tensor x, tp_tensor y, int64_t hidden, int64_t classes)
{
    struct model_values v;
    tp_tensor weight[6], size = tp_as_number(0);
    tp_tensor score, side = tp_sub(tp_mul(tp_cast(y, TP_F32), 2), 1); /* -1 or 1 */

    (void)classes;
    score = tp_squeeze(tp_mlp(x, "mlp", hidden, hidden, 1), 1);
    v.output = tp_sigmoid(score);
    v.loss = tp_mean(tp_relu(tp_sub(1, tp_mul(side, score))));
    for (int i = 0, n = tp_params(x.g, "*", 6, weight); i < n && i < 6; i++) {
        tp_tensor square = tp_sum(tp_square(weight[i]));
        size = i ? tp_add(size, square) : square;
    }
    v.loss = tp_add(v.loss, tp_mul(size, 1e-4));
    v.hits = tp_sum(tp_eq(tp_gt(score, 0), tp_gt(side, 0)));
    return v;
}

const struct model tp_models[] = {
    { .name = "mlp",
      .about = "784-128-10, relu",
      .build = mlp,
      .data = "digits",
      .hidden = 128,
      .batch = 64,
      .epochs = 5,
      .optimiser = "sgd",
      .rate = 0.05,
      .momentum = 0.9,
      .schedule = "cosine" },
    { .name = "mlp-wide",
      .about = "784-1024-1024-10, relu",
      .build = mlp_wide,
      .data = "digits",
      .hidden = 1024,
      .batch = 64,
      .epochs = 5,
      .optimiser = "sgd",
      .rate = 0.05,
      .momentum = 0.9,
      .schedule = "cosine" },
    { .name = "lenet",
      .about = "LeNet-5: two convolutions, two pools, three layers",
      .build = lenet,
      .data = "digits",
      .batch = 64,
      .epochs = 5,
      .optimiser = "sgd",
      .rate = 0.05,
      .momentum = 0.9,
      .schedule = "cosine" },
    { .name = "planar",
      .about = "2-H-H-1 on points of the plane (--set, --hidden, --points, --svg)",
      .build = planar,
      .data = "xor",
      .hidden = 10,
      .rows = 50,
      .epochs = 500,
      .optimiser = "adam",
      .rate = 0.02,
      .schedule = "constant" },
    { .name = "moons",
      .about = "micrograd's 2-16-16-1 with a margin loss on two moons",
      .build = moons,
      .data = "moons",
      .hidden = 16,
      .rows = 100,
      .epochs = 100,
      .optimiser = "sgd",
      .rate = 1,
      .schedule = "linear",
      .noise = 0.1 },
    { .name = NULL },
};

const struct model *tp_model_find(const char *name)
{
    for (const struct model *m = tp_models; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}
