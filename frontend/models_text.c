/*
 * models_text: models of characters, names and words: x i32 [context] tokens a row.
 */
#include "frontend/models_kinds.h"

/* --- gpt: what comes next, from all that came before (Radford et al. 2019; names as nanoGPT's) ---
 */

enum { LAYERS = 4, HEADS = 4 };

static tp_tensor attention(tp_tensor x, int64_t width)
{
    const int64_t time = tp_dim(x, 1);
    tp_tensor qkv =
        tp_reshape(tp_linear(x, "c_attn", 3 * width), -1, time, 3, HEADS, width / HEADS);

    qkv = tp_permute(qkv, 2, 0, 3, 1, 4); /* [3 batch heads time width/heads] */
    x = tp_attention(tp_index(qkv, 0), tp_index(qkv, 1), tp_index(qkv, 2), .causal = true);
    x = tp_reshape(tp_permute(x, 0, 2, 1, 3), -1, time, width);
    return tp_linear(x, "c_proj", width);
}

static tp_tensor block(tp_tensor x, int64_t width)
{
    tp_graph *g = x.g;
    tp_tensor h = tp_layer_norm(x, "ln_1");

    tp_scope(g, "attn")
        h = attention(h, width);
    x = tp_add(x, h);
    h = tp_layer_norm(x, "ln_2");
    tp_scope(g, "mlp")
        h = tp_linear(tp_gelu_tanh(tp_linear(h, "c_fc", 4 * width)), "c_proj", width);
    return tp_add(x, h);
}

struct model_values tp_model_gpt(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    const int64_t width = size->hidden, time = tp_dim(x, 1);
    tp_graph *g = x.g;
    tp_tensor wte = tp_param(g, "wte.weight", tp_dims(size->vocabulary, width), TP_NORMAL(0.02));
    tp_tensor wpe = tp_param(g, "wpe.weight", tp_dims(time, width), TP_NORMAL(0.02));

    x = tp_add(tp_embedding(wte, x), wpe);
    for (int i = 0; i < LAYERS; i++)
        tp_scope(g, "h.%d", i)
            x = block(x, width);
    return tp_model_classified(tp_matmul_nt(tp_layer_norm(x, "ln_f"), wte), y);
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
