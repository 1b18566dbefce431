/*
 * names.c: the next letter of a name from the three before it, and how surprised it is.
 *
 *     cc names.c -ltaper && ./a.out 2000 names.txt
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

int main(int argc, char **argv)
{
    const int steps = argc > 1 ? atoi(argv[1]) : 500;
    const char *path = argc > 2 ? argv[2] : "syllables";
    tp_loader *train = tp_load_names(path, "train", .batch = 64, .context = 3, .shuffle = true);
    tp_loader *held = tp_load_names(path, "validation", .batch = 64, .context = 3);
    const int64_t letters = tp_loader_classes(train);
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 64);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, 3));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));
    tp_tensor h = tp_flatten(tp_embed(x, "embedding", letters, 24), 1);
    tp_tensor logits = tp_linear(tp_tanh(tp_linear(h, "hidden", 128)), "output", letters);
    tp_tensor loss = tp_cross_entropy(logits, y), surprise = tp_perplexity(logits, y);
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(), .lr = tp_cosine(3e-3, 0, steps));
    tp_program *eval = tp_compile_eval(g, surprise);
    double sum = 0;

    if (tp_error(g) || tp_loader_error(train) || tp_loader_error(held)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(train));
        return 1;
    }
    for (int i = 0; i < steps;)
        while (i < steps && tp_next(train, step) && tp_run(step)) {
            if (i++ % 100 == 0)
                printf("step %d  loss %.4f\n", i, tp_get(step, loss));
        }
    while (tp_next(held, eval) && tp_run(eval))
        sum += tp_get(eval, surprise);
    printf("perplexity %.2f of %lld letters\n", sum / (double)tp_loader_batches(held),
           (long long)letters);
    tp_loader_free(train);
    tp_loader_free(held);
    tp_graph_free(g);
    return 0;
}
