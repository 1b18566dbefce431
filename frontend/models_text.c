/*
 * models_text: models of characters, names and words: x i32 [context] tokens a row.
 */
#include <math.h>

#include "frontend/frontend.h"
#include "frontend/models_kinds.h"

/* --- gpt: what comes next, from all that came before (Radford et al. 2019) -----------------------
 *
 * One transformer under two sets of names: nanoGPT's, whose weights are [out in] as PyTorch's
 * layers have them, and GPT-2's as Hugging Face publishes it, with weights [in out].
 */

struct transformer {
    int64_t width, heads, layers;
    bool in_first; /* weights are [in out] */
};

static tp_tensor dense(tp_tensor x, const char *name, int64_t out, const struct transformer *t,
                       tp_init init)
{
    tp_graph *g = x.g;

    if (!t->in_first)
        return tp_linear(x, name, out, .init = init);
    tp_scope(g, "%s", name) {
        tp_tensor weight = tp_param(g, "weight", tp_dims(tp_dim(x, -1), out), init);
        x = tp_add(tp_matmul(x, weight), tp_param(g, "bias", tp_dims(out), TP_ZEROS));
    }
    return x;
}

static tp_tensor attention(tp_tensor x, const struct transformer *t, tp_init last)
{
    const int64_t time = tp_dim(x, 1), width = t->width;
    tp_tensor qkv = dense(x, "c_attn", 3 * width, t, TP_NORMAL(0.02));

    qkv = tp_reshape(qkv, -1, time, 3, t->heads, width / t->heads);
    qkv = tp_permute(qkv, 2, 0, 3, 1, 4); /* [3 batch heads time width/heads] */
    x = tp_attention(tp_index(qkv, 0), tp_index(qkv, 1), tp_index(qkv, 2), .causal = true);
    x = tp_reshape(tp_permute(x, 0, 2, 1, 3), -1, time, width);
    return dense(x, "c_proj", width, t, last);
}

static tp_tensor block(tp_tensor x, const struct transformer *t)
{
    const tp_init last = TP_NORMAL(0.02 / sqrt(2 * (double)t->layers)); /* so many are added up */
    tp_graph *g = x.g;
    tp_tensor h = tp_layer_norm(x, "ln_1");

    tp_scope(g, "attn")
        h = attention(h, t, last);
    x = tp_add(x, h);
    h = tp_layer_norm(x, "ln_2");
    tp_scope(g, "mlp") {
        h = tp_gelu_tanh(dense(h, "c_fc", 4 * t->width, t, TP_NORMAL(0.02)));
        h = dense(h, "c_proj", t->width, t, last);
    }
    return tp_add(x, h);
}

static struct model_values transformer(tp_tensor x, tp_tensor y, const struct model_sizes *size,
                                       int64_t places, bool in_first)
{
    const struct transformer t = { size->hidden, size->heads, size->layers, in_first };
    const int64_t time = tp_dim(x, 1);
    tp_graph *g = x.g;
    tp_tensor wte = tp_param(g, "wte.weight", tp_dims(size->vocabulary, t.width), TP_NORMAL(0.02));
    tp_tensor wpe = tp_param(g, "wpe.weight", tp_dims(places, t.width), TP_NORMAL(0.02));

    x = tp_add(tp_embedding(wte, x), tp_narrow(wpe, 0, 0, time));
    for (int i = 0; i < t.layers; i++)
        tp_scope(g, "h.%d", i)
            x = block(x, &t);
    return tp_model_classified(tp_matmul_nt(tp_layer_norm(x, "ln_f"), wte), y);
}

struct model_values tp_model_gpt(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    return transformer(x, y, size, tp_dim_bound(x, 1), false);
}

/* GPT-2's table of places has 1,024 rows, however short the texts are. */
struct model_values tp_model_gpt2(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    const int64_t time = tp_dim_bound(x, 1);

    return transformer(x, y, size, time > 1024 ? time : 1024, true);
}

/* --- names: the letters before one, embedded, and one hidden layer (Bengio et al. 2003) ----------
 */

struct model_values tp_model_names(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    x = tp_flatten(tp_embed(x, "embedding", size->vocabulary, 24), 1);
    x = tp_tanh(tp_linear(x, "hidden", size->hidden));
    return tp_model_classified(tp_linear(x, "output", size->classes), y);
}

/* --- sentiment: three widths of convolution over words, the greatest over time (Kim 2014) --------
 */

struct model_values tp_model_sentiment(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    const int64_t maps = size->hidden;
    tp_tensor table = tp_param(x.g, "embedding.weight", tp_dims(size->vocabulary, 128),
                               TP_UNIFORM(-0.25, 0.25)); /* as Kim's of words without vectors */
    tp_tensor word = tp_permute(tp_embedding(table, x), 0, 2, 1), found[3];

    word = tp_dropout(word, 0.2); /* [batch 128 time] */
    for (int i = 0; i < 3; i++) {
        const char *const names[] = { "conv3", "conv4", "conv5" };
        found[i] = tp_amax(tp_relu(tp_conv1d(word, names[i], maps, 3 + i, .pad = 1 + i)), 2);
    }
    x = tp_dropout(tp_concat(1, found[0], found[1], found[2]), 0.5);
    return tp_model_classified(tp_linear(x, "fc", size->classes), y);
}

/* --- lstm, gru: what comes next, from a state that each character changes (Karpathy 2015) --------
 */

static struct model_values recurrent(const char *kind, tp_tensor x, tp_tensor y,
                                     const struct model_sizes *size)
{
    tp_tensor h, scores, hits;

    h = tp_embed(tp_permute(x, 1, 0), "emb", size->vocabulary, 128); /* [time batch 128] */
    h = tp_recurrent_at(kind, h, kind, (tp_recurrent_args){ .hidden = size->hidden }, TP_HERE).y;
    scores = tp_linear(h, "head", size->vocabulary);
    hits = tp_eq(tp_permute(tp_argmax(scores, -1), 1, 0), y);
    return (struct model_values){
        .output = tp_permute(scores, 1, 0, 2),
        .loss = tp_cross_entropy(scores, tp_permute(y, 1, 0)),
        .hits = tp_div(tp_sum(tp_sum(hits, 1)), tp_dim(x, 1)),
    };
}

struct model_values tp_model_lstm(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    return recurrent("lstm", x, y, size);
}

struct model_values tp_model_gru(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    return recurrent("gru", x, y, size);
}

/* A column of a table may hold numbers that are no classes. */
tp_tensor tp_model_classes(tp_tensor y)
{
    return tp_dtype_of(y) != TP_F32
               ? y
               : tp_fail(y.g, TP_HERE, "labels",
                         "%s; expected classes, whole numbers from 0, or words", tp_describe(y));
}
