/*
 * lstm.c: the next character of a text, from a state that each character changes (Karpathy 2015).
 * However long the pieces are, one step of it is compiled, and run in a loop.
 *
 *     cc lstm.c -ltaper && ./a.out 1500 tinyshakespeare.txt
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

enum { BATCH = 32, CONTEXT = 64, WIDTH = 256 };

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

    /* [time batch ..] from here on: the recurrence is over the first axis */
    tp_tensor h = tp_embed(tp_permute(x, 1, 0), "embedding", tokens, 128);
    tp_recurrent read = tp_lstm(h, "lstm", WIDTH);
    tp_tensor logits = tp_linear(read.y, "head", tokens);
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
    tp_save(g, "lstm.safetensors"); /* lstm.weight_ih_l0, .. as PyTorch has them */
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    tp_loader_free(text);
    tp_graph_free(g);
    return 0;
}
