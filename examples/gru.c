/*
 * gru.c: a gated recurrent unit (Cho et al. 2014) written out: tp_scan runs a C function over time,
 * recorded and compiled once, and differentiates it. tp_gru() is the same as a layer.
 *
 *     cc gru.c -ltaper && ./a.out 1500 tinyshakespeare.txt
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

enum { BATCH = 32, CONTEXT = 64, WIDTH = 256 };

struct gates {
    tp_tensor w, bias; /* from the state: [3*WIDTH WIDTH], [3*WIDTH] */
};

/* What a character brings is x [batch 3*WIDTH]: reset, update and new, side by side. */
static void gru(void *user, tp_tensor h[], const tp_tensor x[], tp_tensor y[])
{
    const struct gates *gates = user;
    tp_tensor old = tp_add(tp_matmul_nt(h[0], gates->w), gates->bias);
    tp_tensor reset = tp_sigmoid(tp_add(tp_narrow(x[0], 1, 0, WIDTH), tp_narrow(old, 1, 0, WIDTH)));
    tp_tensor update =
        tp_sigmoid(tp_add(tp_narrow(x[0], 1, WIDTH, WIDTH), tp_narrow(old, 1, WIDTH, WIDTH)));
    tp_tensor new = tp_tanh(tp_add(tp_narrow(x[0], 1, 2 * WIDTH, WIDTH),
                                   tp_mul(reset, tp_narrow(old, 1, 2 * WIDTH, WIDTH))));

    y[0] = h[0] = tp_add(new, tp_mul(update, tp_sub(h[0], new)));
}

int main(int argc, char **argv)
{
    const int steps = argc > 1 ? atoi(argv[1]) : 100;
    tp_loader *text = tp_load_text(argc > 2 ? argv[2] : "verses", "train", .batch = BATCH,
                                   .context = CONTEXT, .step = 64, .shuffle = true, .seed = 1);
    const int64_t tokens = tp_loader_classes(text);
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, BATCH);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, CONTEXT));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B, CONTEXT));
    struct gates gates = {
        tp_param(g, "weight_hh", tp_dims(3 * WIDTH, WIDTH), TP_UNIFORM(-0.0625, 0.0625)),
        tp_param(g, "bias_hh", tp_dims(3 * WIDTH), TP_ZEROS),
    };
    tp_tensor in = tp_embed(tp_permute(x, 1, 0), "embedding", tokens, 128); /* [time batch 128] */
    tp_tensor h = tp_zeros(g, TP_F32, tp_dims(B, WIDTH)), all = { 0 };

    in = tp_linear(in, "ih", 3 * WIDTH); /* of all characters at once */
    tp_scan(g, gru, &gates, 1, &h, 1, &in, 1, &all);
    tp_tensor logits = tp_linear(all, "head", tokens);
    tp_tensor loss = tp_cross_entropy(logits, tp_permute(y, 1, 0));
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(), .clip_norm = 1,
                                        .lr = tp_warmup(steps / 20 + 1, tp_cosine(5e-3, 0, steps)));

    if (tp_error(g) || tp_loader_error(text)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(text));
        return 1;
    }
    for (int i = 0; i < steps;)
        while (i < steps && tp_next(text, step) && tp_run(step)) {
            if (i++ % 20 == 0)
                printf("step %d  loss %.4f\n", i, tp_get(step, loss));
        }
    tp_loader_free(text);
    tp_graph_free(g);
    return 0;
}
