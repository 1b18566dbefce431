/*
 * gpt.c: a small GPT on the characters of a text, then some text of its own.
 *
 *     cc gpt.c -ltaper && ./a.out 2000 tinyshakespeare.txt
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

enum { LAYERS = 4, HEADS = 4, WIDTH = 128, CONTEXT = 64, SAID = 200 };

static tp_tensor attention(tp_tensor x)
{
    tp_tensor qkv = tp_linear(x, "c_attn", 3 * WIDTH);

    qkv = tp_permute(tp_reshape(qkv, -1, CONTEXT, 3, HEADS, WIDTH / HEADS), 2, 0, 3, 1, 4);
    x = tp_attention(tp_index(qkv, 0), tp_index(qkv, 1), tp_index(qkv, 2), .causal = true);
    return tp_linear(tp_reshape(tp_permute(x, 0, 2, 1, 3), -1, CONTEXT, WIDTH), "c_proj", WIDTH);
}

static tp_tensor block(tp_tensor x)
{
    tp_graph *g = x.g;
    tp_tensor h = tp_layer_norm(x, "ln_1");

    tp_scope(g, "attn")
        h = attention(h);
    x = tp_add(x, h);
    h = tp_layer_norm(x, "ln_2");
    tp_scope(g, "mlp")
        h = tp_linear(tp_gelu_tanh(tp_linear(h, "c_fc", 4 * WIDTH)), "c_proj", WIDTH);
    return tp_add(x, h);
}

static tp_tensor gpt(tp_tensor x, int64_t tokens) /* [batch CONTEXT] -> [batch CONTEXT tokens] */
{
    tp_graph *g = x.g;
    tp_tensor wte = tp_param(g, "wte.weight", tp_dims(tokens, WIDTH), TP_NORMAL(0.02));
    tp_tensor wpe = tp_param(g, "wpe.weight", tp_dims(CONTEXT, WIDTH), TP_NORMAL(0.02));

    x = tp_add(tp_embedding(wte, x), wpe);
    for (int i = 0; i < LAYERS; i++)
        tp_scope(g, "h.%d", i)
            x = block(x);
    return tp_matmul_nt(tp_layer_norm(x, "ln_f"), wte);
}

int main(int argc, char **argv)
{
    const int steps = argc > 1 ? atoi(argv[1]) : 200;
    tp_loader *text = tp_load_text(argc > 2 ? argv[2] : "verses", "train", .batch = 12,
                                   .context = CONTEXT, .step = 41, .shuffle = true, .seed = 1);
    int64_t tokens = tp_loader_classes(text), counter = 0;
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 12);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, CONTEXT));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B, CONTEXT));
    tp_tensor last = tp_input(g, "last", TP_I32, TP_SCALAR);
    tp_tensor logits = gpt(x, tokens), loss = tp_cross_entropy(logits, y);
    tp_tensor row = tp_reshape(tp_dynamic_slice(tp_narrow(logits, 0, 0, 1), 1, last, 1), -1);
    tp_tensor next = tp_sample(row, 0.8, .top_k = 20);
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(.weight_decay = 0.1), .clip_norm = 1,
                                        .lr = tp_warmup(steps / 20 + 1, tp_cosine(4e-3, 0, steps)));
    tp_program *say = tp_compile(g, tp_list(next), TP_EVAL, .batch = 1);
    if (tp_error(g) || tp_loader_error(text)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(text));
        return 1;
    }
    for (int i = 0; i < steps;)
        while (i < steps && tp_next(text, step) && tp_run(step)) {
            if (i++ % 20 == 0)
                printf("step %d  loss %.4f\n", i, tp_get(step, loss));
        }

    /* The window of the last characters goes in, the next comes out and joins it. */
    int32_t *window = tp_buffer(say, x, NULL), *at = tp_buffer(say, last, NULL), count = 1;
    for (window[0] = 0; counter < SAID && !tp_error(g); counter++) {
        *at = count - 1;
        tp_set_values(tp_find(g, "taper.steps"), &counter, sizeof counter); /* other chance */
        tp_run(say);
        for (int i = 1; count == CONTEXT && i < CONTEXT; i++)
            window[i - 1] = window[i];
        count -= count == CONTEXT;
        window[count++] = (int32_t)tp_get(say, next);
        fputs(tp_loader_token(text, window[count - 1]), stdout);
    }
    putchar('\n');
    tp_loader_free(text);
    tp_graph_free(g);
    return 0;
}
