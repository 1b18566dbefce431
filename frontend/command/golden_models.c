/*
 * golden_models: the models of training questions, as a user would write them.
 */
#include "golden.h"

#include <math.h>
#include <string.h>

int64_t golden_size(struct golden_run *r, const char *name)
{
    const int64_t n = golden_int(&r->w, name, 0);

    if (n < 1 || n > 1 << 20)
        golden_cannot(&r->w, "%s is %lld", name, (long long)n);
    return n < 1 ? 1 : n;
}

/* --- the models ------------------------------------------------------------------------------ */

static tp_tensor linear(tp_tensor x, const char *name, int64_t out, bool no_bias)
{
    return tp_linear(x, name, out, .no_bias = no_bias);
}

static void mlp(struct golden_run *r)
{
    tp_tensor h = tp_tanh(linear(r->x, "fc1", golden_size(r, "n_h1"), false));

    h = tp_sigmoid(linear(h, "fc2", golden_size(r, "n_h2"), false));
    r->logits = linear(h, "fc3", golden_size(r, "n_class"), false);
}

static void lenet(struct golden_run *r)
{
    tp_tensor h = tp_relu(tp_conv2d(r->x, "conv1", golden_size(r, "c1"), 3, .pad = 1));

    h = tp_max_pool2d(h, 2);
    h = tp_max_pool2d(tp_relu(tp_conv2d(h, "conv2", golden_size(r, "c2"), 3)), 2);
    h = tp_relu(linear(tp_flatten(h, 1), "fc3", golden_size(r, "n_fc"), false));
    r->logits = linear(h, "fc4", golden_size(r, "n_class"), false);
}

static void resblock(struct golden_run *r)
{
    const int64_t c = golden_size(r, "c_mid");
    tp_tensor h, again;

    h = tp_relu(tp_batch_norm(tp_conv2d(r->x, "conv0", c, 3, .pad = 1, .no_bias = true), "bn0"));
    again = tp_relu(tp_batch_norm(tp_conv2d(h, "conv1", c, 3, .pad = 1, .no_bias = true), "bn1"));
    again = tp_batch_norm(tp_conv2d(again, "conv2", c, 3, .pad = 1, .no_bias = true), "bn2");
    h = tp_mean(tp_relu(tp_add(h, again)), tp_axes(2, 3));
    r->logits = linear(h, "fc", golden_size(r, "n_class"), false);
}

/* A parameter that is no layer's; its start is set later. */
static tp_tensor parameter(struct golden_run *r, const char *name, tp_shape shape)
{
    return tp_param(r->w.g, name, shape, TP_ZEROS, .dtype = r->dtype);
}

static void lstm(struct golden_run *r)
{
    const int64_t n = golden_size(r, "n_hidden"), in = golden_size(r, "n_in");
    const tp_tensor weight[] = { parameter(r, "w_ih", tp_dims(4 * n, in)),
                                 parameter(r, "w_hh", tp_dims(4 * n, n)),
                                 parameter(r, "b_ih", tp_dims(4 * n)),
                                 parameter(r, "b_hh", tp_dims(4 * n)) };
    const tp_tensor zero = tp_zeros(r->w.g, r->dtype, tp_dims(tp_dim(r->x, 1), n));

    r->logits = linear(tp_recurrent_cell_at("lstm", r->x, tp_list(zero, zero),
                                            (tp_list){ 4, weight }, false, TP_HERE)
                           .h,
                       "fc", golden_size(r, "n_class"), false);
}

static tp_tensor attention(tp_tensor x, int64_t d, int64_t heads)
{
    const int64_t batch = tp_dim(x, 0), time = tp_dim(x, 1);
    const tp_tensor qkv = tp_permute(
        tp_reshape(linear(x, "qkv", 3 * d, true), batch, time, 3, heads, d / heads), 2, 0, 3, 1, 4);

    x = tp_attention(tp_index(qkv, 0), tp_index(qkv, 1), tp_index(qkv, 2), .causal = true);
    return linear(tp_reshape(tp_permute(x, 0, 2, 1, 3), batch, time, d), "proj", d, true);
}

static void gpt(struct golden_run *r)
{
    const int64_t vocab = golden_size(r, "vocab"), time = golden_size(r, "time"),
                  d = golden_size(r, "d_model"), heads = golden_size(r, "n_head"),
                  layers = golden_size(r, "n_layer");
    tp_tensor h;

    if (d % heads || layers > GOLDEN_LAYERS) {
        golden_cannot(&r->w, "%lld layers, %lld heads", (long long)layers, (long long)heads);
        return;
    }
    h = tp_add(tp_embedding(parameter(r, "tok", tp_dims(vocab, d)), r->x),
               parameter(r, "pos", tp_dims(time, d)));
    for (int i = 0; i < layers; i++)
        tp_scope(r->w.g, "h.%d", i) {
            h = tp_add(h, attention(tp_layer_norm(h, "ln1"), d, heads));
            h = tp_add(h, linear(tp_gelu_tanh(linear(tp_layer_norm(h, "ln2"), "fc", 4 * d, false)),
                                 "out", d, false));
        }
    r->logits = tp_linear(tp_layer_norm(h, "lnf"), "head", vocab, .no_bias = true);
}

static const struct {
    const char *op;
    void (*build)(struct golden_run *);
} models[] = { { "train.mlp", mlp },
               { "train.lenet", lenet },
               { "train.resblock", resblock },
               { "train.lstm", lstm },
               { "train.gpt", gpt } };

static tp_tensor input_of(struct golden_run *r, const char *name, const struct golden_array *a)
{
    tp_shape shape = { .rank = a->shape.rank };

    memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
    return tp_input(r->w.g, name, (tp_dtype)(a->dtype + 1), shape);
}

/* The graph of the loss; poison with the reason. */
tp_tensor golden_model(struct golden_run *r, const struct golden_array *x,
                       const struct golden_array *y)
{
    void (*model)(struct golden_run *) = NULL;

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].op, r->w.c->op) == 0)
            model = models[i].build;
    if (!model)
        return golden_cannot(&r->w, "the model %.60s", r->w.c->op);
    if (!x || !y || r->w.c->ins > (int)(sizeof r->state / sizeof *r->state))
        return golden_cannot(&r->w, "a question without x0 and y0, or of too many inputs");
    r->dtype = strcmp(r->w.c->dtype, "f64") == 0 ? TP_F64 : TP_F32;
    r->x = input_of(r, "x", x);
    r->y = input_of(r, "y", y);
    model(r);
    return *r->w.why ? (tp_tensor){ .g = r->w.g } : tp_cross_entropy(r->logits, r->y);
}

/* --- names: the question's, and those that layers give; # is a number ------------------------ */

static const struct {
    const char *model, *theirs, *ours;
} names[] = {
    { "mlp", "w#", "fc#.weight" },
    { "mlp", "b#", "fc#.bias" },
    { "lenet", "k#", "conv#.weight" },
    { "lenet", "b1", "conv1.bias" },
    { "lenet", "b2", "conv2.bias" },
    { "lenet", "w#", "fc#.weight" },
    { "lenet", "b#", "fc#.bias" },
    { "resblock", "k#", "conv#.weight" },
    { "resblock", "g#", "bn#.weight" },
    { "resblock", "o#", "bn#.bias" },
    { "resblock", "rm#", "bn#.running_mean" },
    { "resblock", "rv#", "bn#.running_var" },
    { "resblock", "w", "fc.weight" },
    { "resblock", "b", "fc.bias" },
    { "lstm", "w", "fc.weight" },
    { "lstm", "b", "fc.bias" },
    { "gpt", "ln1_g#", "h.#.ln1.weight" },
    { "gpt", "ln1_b#", "h.#.ln1.bias" },
    { "gpt", "qkv#", "h.#.qkv.weight" },
    { "gpt", "proj#", "h.#.proj.weight" },
    { "gpt", "ln2_g#", "h.#.ln2.weight" },
    { "gpt", "ln2_b#", "h.#.ln2.bias" },
    { "gpt", "fc_w#", "h.#.fc.weight" },
    { "gpt", "fc_b#", "h.#.fc.bias" },
    { "gpt", "out_w#", "h.#.out.weight" },
    { "gpt", "out_b#", "h.#.out.bias" },
    { "gpt", "lnf_g", "lnf.weight" },
    { "gpt", "lnf_b", "lnf.bias" },
    { "gpt", "head", "head.weight" },
};

const char *golden_state_name(struct golden_run *r, const char *theirs)
{
    const char *model = r->w.c->op + strlen("train.");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t stem = strcspn(names[i].theirs, "#"), before = strcspn(names[i].ours, "#");
        const char *rest = theirs + stem;
        const bool numbered = names[i].theirs[stem] == '#';

        if (strcmp(names[i].model, model) != 0 || strncmp(theirs, names[i].theirs, stem) != 0)
            continue;
        if (!numbered && *rest == 0)
            return names[i].ours;
        if (numbered && *rest && strspn(rest, "0123456789") == strlen(rest) && strlen(rest) < 4)
            return ir_format(r->w.g->ir->arena, "%.*s%s%s", (int)before, names[i].ours, rest,
                             names[i].ours + before + 1);
    }
    return theirs;
}
