/*
 * models: the built-in models. Each is what a user would write; examples/ has them as programs.
 */
#include <string.h>

#include "frontend/models_kinds.h"

/* --- heads: scores to loss and hits --------------------------------------------------------------
 */

/* Scores [batch classes] for y [batch], or [batch time classes] for [batch time]: a row is right by
 * the part of its tokens that are. */
struct model_values tp_model_classified(tp_tensor logits, tp_tensor y)
{
    tp_tensor hits = tp_sum(tp_eq(tp_argmax(logits, -1), tp_model_classes(y)));

    if (tp_rank(y) > 1)
        hits = tp_div(hits, tp_dim(y, 1));
    return (
        struct model_values){ .output = logits, .loss = tp_cross_entropy(logits, y), .hits = hits };
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

tp_tensor tp_model_pixels(tp_tensor x)
{
    return tp_dtype_of(x) == TP_U8 ? tp_div(x, 255) : x;
}

/* --- models ------------------------------------------------------------------------------------
 */

static struct model_values mlp(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    x = tp_flatten(tp_model_pixels(x), 1);
    x = tp_relu(tp_linear(x, "fc1", size->hidden));
    return tp_model_classified(tp_linear(x, "fc2", size->classes), y);
}

static struct model_values mlp_wide(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    x = tp_flatten(tp_model_pixels(x), 1);
    x = tp_relu(tp_linear(x, "fc1", size->hidden));
    x = tp_relu(tp_linear(x, "fc2", size->hidden));
    return tp_model_classified(tp_linear(x, "fc3", size->classes), y);
}

/* The MiniTorch course: points of the unit square, relu, relu, sigmoid, logarithmic loss. */
static struct model_values planar(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    x = tp_relu(tp_linear(x, "layer1", size->hidden));
    x = tp_relu(tp_linear(x, "layer2", size->hidden));
    return told_apart(tp_linear(x, "layer3", 1), y);
}

/* micrograd's demonstration: a margin of one on either side, and small weights. */
static struct model_values moons(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    struct model_values v;
    tp_tensor weight[6], squares = tp_as_number(0);
    tp_tensor score, side = tp_sub(tp_mul(tp_cast(y, TP_F32), 2), 1); /* -1 or 1 */

    score = tp_squeeze(tp_mlp(x, "mlp", size->hidden, size->hidden, 1), 1);
    v.output = tp_sigmoid(score);
    v.loss = tp_mean(tp_relu(tp_sub(1, tp_mul(side, score))));
    for (int i = 0, n = tp_params(x.g, "*", 6, weight); i < n && i < 6; i++) {
        tp_tensor square = tp_sum(tp_square(weight[i]));
        squares = i ? tp_add(squares, square) : square;
    }
    v.loss = tp_add(v.loss, tp_mul(squares, 1e-4));
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
      .build = tp_model_lenet,
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
    { .name = "resnet20",
      .about = "20 convolutions with residuals and batch norm, for CIFAR-10",
      .build = tp_model_resnet20,
      .data = "digits",
      .batch = 64,
      .epochs = 10,
      .optimiser = "sgd",
      .rate = 0.1,
      .momentum = 0.9,
      .weight_decay = 5e-4,
      .schedule = "cosine" },
    { .name = "autoencoder",
      .about = "784-256-H-256-784: pictures through few numbers and back (--hidden)",
      .build = tp_model_autoencoder,
      .data = "digits",
      .hidden = 16,
      .batch = 64,
      .epochs = 5,
      .optimiser = "adam",
      .rate = 1e-3,
      .schedule = "cosine" },
    { .name = "gpt",
      .about = "4 layers, 4 heads, 128 channels, a context of 64 characters",
      .build = tp_model_gpt,
      .layers = 4,
      .heads = 4,
      .format = "text",
      .data = "verses",
      .hidden = 128,
      .batch = 12,
      .context = 64,
      .step = 41, /* 2,000 steps of tinyshakespeare */
      .epochs = 1,
      .optimiser = "adamw",
      .rate = 4e-3,
      .weight_decay = 0.1,
      .clip = 1,
      .warmup = 0.05,
      .schedule = "cosine" },
    { .name = "gpt2",
      .about = "124M: 12 layers, 12 heads, 768 channels; weights named as Hugging Face's",
      .build = tp_model_gpt2,
      .layers = 12,
      .heads = 12,
      .vocabulary = 50257,
      .format = "text",
      .data = "verses",
      .hidden = 768,
      .batch = 4,
      .context = 64,
      .epochs = 1,
      .optimiser = "adamw",
      .rate = 3e-4,
      .weight_decay = 0.1,
      .clip = 1,
      .warmup = 0.05,
      .schedule = "cosine" },
    { .name = "lstm",
      .about = "an LSTM of 256 over 64 characters, the next one from each (--hidden, --context)",
      .build = tp_model_lstm,
      .format = "text",
      .data = "verses",
      .hidden = 256,
      .batch = 32,
      .context = 64,
      .step = 64,
      .epochs = 3,
      .optimiser = "adamw",
      .rate = 5e-3,
      .weight_decay = 0.01,
      .clip = 1,
      .warmup = 0.05,
      .schedule = "cosine" },
    { .name = "gru",
      .about = "the same with a GRU",
      .build = tp_model_gru,
      .format = "text",
      .data = "verses",
      .hidden = 256,
      .batch = 32,
      .context = 64,
      .step = 64,
      .epochs = 3,
      .optimiser = "adamw",
      .rate = 5e-3,
      .weight_decay = 0.01,
      .clip = 1,
      .warmup = 0.05,
      .schedule = "cosine" },
    { .name = "names",
      .about = "the next letter of a name, from embeddings of those before (--hidden)",
      .build = tp_model_names,
      .format = "names",
      .data = "syllables",
      .hidden = 256,
      .batch = 64,
      .context = 8,
      .epochs = 10,
      .optimiser = "adamw",
      .rate = 3e-3,
      .weight_decay = 0.01,
      .schedule = "cosine" },
    { .name = "sentiment",
      .about = "three convolutions over words, for sentences of two kinds",
      .build = tp_model_sentiment,
      .format = "words",
      .data = "opinions",
      .hidden = 100,
      .batch = 50,
      .context = 56,
      .epochs = 4,
      .optimiser = "adamw",
      .rate = 1e-3,
      .weight_decay = 0.01,
      .schedule = "cosine" },
    { .name = NULL },
};

const struct model *tp_model_find(const char *name)
{
    for (const struct model *m = tp_models; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

/* An error names the model, not the line of its source, which the user has not written. */
struct model_values tp_model_built(const struct model *m, tp_tensor x, tp_tensor y,
                                   const struct model_sizes *size)
{
    tp_graph *g = x.g;
    const bool fine = g->error.status == IR_OK;
    const struct model_values v = m->build(x, y, size);
    const char *text = g->error.text, *place = strstr(text, ": ");

    if (fine && g->error.status != IR_OK && place && strncmp(text, "models", 6) == 0) {
        struct ir_error said = { 0 };
        ir_error(&said, g->error.status, "model %s: %s", m->name, place + 2);
        g->error = said;
    }
    return v;
}
