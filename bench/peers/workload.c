/*
 * workload: models as every peer has them, with the names and layouts of the common numbers.
 *
 * Layers are shared, so that an eager graph may record the same model again at each step.
 */
#include "bench/peers/workload.h"

/* --- layers one after the other ------------------------------------------------------------------
 */

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

/* --- twenty convolutions (He et al. 2015) --------------------------------------------------------
 */

static tp_tensor convolution(tp_tensor x, const char *name, const char *norm, int64_t channels,
                             int64_t side, int64_t stride)
{
    x = tp_conv2d(x, name, channels, side, .stride = stride, .pad = side / 2, .no_bias = true,
                  .shared = true);
    return tp_batch_norm(x, norm, .shared = true);
}

static tp_tensor residual(tp_tensor x, int64_t channels, int64_t stride)
{
    tp_tensor y = tp_relu(convolution(x, "conv1", "bn1", channels, 3, stride));

    y = convolution(y, "conv2", "bn2", channels, 3, 1);
    if (stride > 1)
        x = convolution(x, "down", "bnd", channels, 1, stride);
    return tp_relu(tp_add(y, x));
}

static tp_tensor resnet20(tp_tensor x, tp_tensor y)
{
    tp_graph *g = x.g;

    x = tp_relu(convolution(x, "conv", "bn", 16, 3, 1));
    for (int stage = 0; stage < 3; stage++)
        for (int i = 0; i < 3; i++)
            tp_scope(g, "s%db%d", stage, i)
                x = residual(x, 16 << stage, stage > 0 && i == 0 ? 2 : 1);
    x = tp_mean(tp_flatten(x, 2), -1);
    return tp_cross_entropy(tp_linear(x, "fc", 10, .shared = true), y);
}

/* --- the next character, from a state ------------------------------------------------------------
 */

static tp_tensor table(tp_graph *g, const char *name, int64_t rows, int64_t width)
{
    return tp_param(g, name, tp_dims(rows, width), TP_NORMAL(0.02), .shared = true);
}

static tp_tensor lstm(tp_tensor x, tp_tensor y)
{
    x = tp_permute(x, 1, 0); /* [time batch]: the recurrence is over the first axis */
    x = tp_embedding(table(x.g, "emb.weight", 65, 128), x);
    x = tp_linear(tp_lstm(x, "lstm", 256, .shared = true).y, "head", 65, .shared = true);
    return tp_cross_entropy(x, tp_permute(y, 1, 0));
}

/* --- the next token, from all before (Radford et al. 2019) ---------------------------------------
 */

struct gpt {
    int layers;
    int64_t heads, width, tokens, places;
    bool no_bias, tanh; /* tanh: gelu by its approximation */
};

static tp_tensor dense(const struct gpt *m, tp_tensor x, const char *name, int64_t out)
{
    return tp_linear(x, name, out, .no_bias = m->no_bias, .shared = true);
}

static tp_tensor norm(const struct gpt *m, tp_tensor x, const char *name)
{
    return tp_layer_norm(x, name, .no_bias = m->no_bias, .shared = true);
}

static tp_tensor block(const struct gpt *m, tp_tensor x, int64_t time)
{
    const int64_t C = m->width, each = C / m->heads;
    tp_tensor h = dense(m, norm(m, x, "ln1"), "qkv", 3 * C);

    h = tp_permute(tp_reshape(h, -1, time, 3, m->heads, each), 2, 0, 3, 1, 4);
    h = tp_attention(tp_index(h, 0), tp_index(h, 1), tp_index(h, 2), .causal = true);
    h = tp_reshape(tp_permute(h, 0, 2, 1, 3), -1, time, C);
    x = tp_add(x, dense(m, h, "proj", C));
    h = dense(m, norm(m, x, "ln2"), "fc", 4 * C);
    h = m->tanh ? tp_gelu_tanh(h) : tp_gelu(h);
    return tp_add(x, dense(m, h, "fcproj", C));
}

static tp_tensor transformer(const struct gpt *m, tp_tensor x, tp_tensor y)
{
    tp_graph *g = x.g;
    const int64_t time = tp_dim(x, 1);
    tp_tensor wte = table(g, "wte.weight", m->tokens, m->width);
    tp_tensor wpe = table(g, "wpe.weight", m->places, m->width);

    x = tp_add(tp_embedding(wte, x), tp_narrow(wpe, 0, 0, time));
    for (int i = 0; i < m->layers; i++)
        tp_scope(g, "h%d", i)
            x = block(m, x, time);
    return tp_cross_entropy(tp_matmul_nt(norm(m, x, "lnf"), wte), y);
}

static tp_tensor gpt(tp_tensor x, tp_tensor y)
{
    const struct gpt m = { 4, 4, 128, 65, 64, .no_bias = true };

    return transformer(&m, x, y);
}

static tp_tensor gpt2_124m(tp_tensor x, tp_tensor y)
{
    const struct gpt m = { 12, 12, 768, 50257, 1024, .tanh = true };

    return transformer(&m, x, y);
}

/* --- the rows ------------------------------------------------------------------------------------
 */

enum { ADAM = 1, ADAMW = 2 };

/* weights of norms, which have one axis: only matrices decay */
static const tp_group matrices_decay[] = { { .match = "*ln*", .no_decay = true }, { 0 } };

const struct workload workloads[] = {
    { .name = "micrograd-mlp",
      .loss = micrograd_mlp,
      .x = { TP_F32, { 2, { 100, 2 } } },
      .y = { TP_F32, { 1, { 100 } } },
      .rate = 0.1 },
    { .name = "mlp",
      .loss = mlp,
      .x = { TP_F32, { 2, { 64, 784 } } },
      .y = { TP_I64, { 1, { 64 } } },
      .rate = 0.1 },
    { .name = "mlp-wide",
      .loss = mlp_wide,
      .x = { TP_F32, { 2, { 256, 784 } } },
      .y = { TP_I64, { 1, { 256 } } },
      .opt = { .kind = ADAM },
      .rate = 1e-3 },
    { .name = "lenet",
      .loss = lenet,
      .x = { TP_F32, { 4, { 64, 1, 28, 28 } } },
      .y = { TP_I64, { 1, { 64 } } },
      .opt = { .momentum = 0.9 },
      .rate = 0.01 },
    { .name = "resnet20",
      .loss = resnet20,
      .x = { TP_F32, { 4, { 64, 3, 32, 32 } } },
      .y = { TP_I64, { 1, { 64 } } },
      .opt = { .momentum = 0.9, .weight_decay = 1e-4 },
      .rate = 0.05 },
    { .name = "lstm",
      .loss = lstm,
      .x = { TP_I64, { 2, { 32, 64 } } },
      .y = { TP_I64, { 2, { 32, 64 } } },
      .opt = { .kind = ADAM },
      .rate = 2e-3,
      .clip_norm = 1 },
    { .name = "gpt",
      .loss = gpt,
      .x = { TP_I64, { 2, { 12, 64 } } },
      .y = { TP_I64, { 2, { 12, 64 } } },
      .opt = { .kind = ADAMW, .weight_decay = 0.1, .beta2 = 0.99, .groups = matrices_decay },
      .rate = 1e-3 },
    { .name = "gpt2-124m",
      .loss = gpt2_124m,
      .x = { TP_I64, { 2, { 4, 64 } } },
      .y = { TP_I64, { 2, { 4, 64 } } },
      .opt = { .kind = ADAMW, .no_decay = true },
      .rate = 1e-4 },
    { 0 },
};
