/*
 * gpt2.c: GPT-2 with the names and layouts of Hugging Face's weights, trained further on a text:
 * 12 layers are its 124M. Equal layers are compiled once.
 *
 *     cc gpt2.c -ltaper && ./a.out 12 20 text.txt model.safetensors
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

enum { HEADS = 12, WIDTH = 768, PLACES = 1024, TOKENS = 50257, BATCH = 4, CONTEXT = 64 };

static tp_tensor dense(tp_tensor x, const char *name, int64_t out, double spread)
{
    tp_graph *g = x.g;

    tp_scope(g, "%s", name) { /* its weights are [in out] */
        tp_tensor w = tp_param(g, "weight", tp_dims(tp_dim(x, -1), out), TP_NORMAL(spread));
        x = tp_add(tp_matmul(x, w), tp_param(g, "bias", tp_dims(out), TP_ZEROS));
    }
    return x;
}

static tp_tensor block(tp_tensor x, double spread)
{
    tp_graph *g = x.g;
    tp_tensor h = tp_layer_norm(x, "ln_1");

    tp_scope(g, "attn") {
        h = tp_reshape(dense(h, "c_attn", 3 * WIDTH, 0.02), -1, CONTEXT, 3, HEADS, WIDTH / HEADS);
        h = tp_permute(h, 2, 0, 3, 1, 4); /* [3 batch heads time WIDTH/heads] */
        h = tp_attention(tp_index(h, 0), tp_index(h, 1), tp_index(h, 2), .causal = true);
        h = tp_reshape(tp_permute(h, 0, 2, 1, 3), -1, CONTEXT, WIDTH);
        h = dense(h, "c_proj", WIDTH, spread);
    }
    x = tp_add(x, h);
    h = tp_layer_norm(x, "ln_2");
    tp_scope(g, "mlp")
        h = dense(tp_gelu_tanh(dense(h, "c_fc", 4 * WIDTH, 0.02)), "c_proj", WIDTH, spread);
    return tp_add(x, h);
}

int main(int argc, char **argv)
{
    const int layers = argc > 1 ? atoi(argv[1]) : 2, steps = argc > 2 ? atoi(argv[2]) : 3;
    tp_loader *text = tp_load_text(argc > 3 ? argv[3] : "verses", "train", .batch = BATCH,
                                   .context = CONTEXT, .shuffle = true, .seed = 1);
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, BATCH);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, CONTEXT));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B, CONTEXT));
    tp_tensor wte = tp_param(g, "wte.weight", tp_dims(TOKENS, WIDTH), TP_NORMAL(0.02));
    tp_tensor wpe = tp_param(g, "wpe.weight", tp_dims(PLACES, WIDTH), TP_NORMAL(0.02));
    tp_tensor h = tp_add(tp_embedding(wte, x), tp_narrow(wpe, 0, 0, CONTEXT));

    for (int i = 0; i < layers; i++)
        tp_scope(g, "h.%d", i)
            h = block(h, 0.02 / sqrt(2.0 * layers));
    tp_tensor loss = tp_cross_entropy(tp_matmul_nt(tp_layer_norm(h, "ln_f"), wte), y);
    if (argc > 4)
        tp_load(g, argv[4]);
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(.weight_decay = 0.1), .clip_norm = 1,
                                        .lr = tp_const(3e-4));

    if (tp_error(g) || tp_loader_error(text)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(text));
        return 1;
    }
    printf("%lld parameters\n", (long long)tp_param_count(g));
    for (int i = 1; i <= steps && tp_next(text, step) && tp_run(step); i++)
        printf("step %d  loss %.4f\n", i, tp_get(step, loss));
    tp_loader_free(text);
    tp_graph_free(g);
    return 0;
}
