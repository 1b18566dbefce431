/*
 * sentiment.c: is a sentence for or against? Convolutions over words of three widths, the greatest
 * of each over time (Kim 2014).
 *
 *     cc sentiment.c -ltaper && ./a.out 4 sst2/
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

enum { BATCH = 50, WORDS = 56, WIDTH = 128, MAPS = 100 };

static tp_tensor judge(tp_tensor x, int64_t vocabulary) /* [batch WORDS] -> [batch 2] */
{
    const char *const names[] = { "conv3", "conv4", "conv5" };
    tp_tensor word = tp_embed(x, "embedding", vocabulary, WIDTH), found[3];

    word = tp_dropout(tp_permute(word, 0, 2, 1), 0.2); /* [batch WIDTH WORDS] */
    for (int i = 0; i < 3; i++)
        found[i] = tp_amax(tp_relu(tp_conv1d(word, names[i], MAPS, 3 + i, .pad = 1 + i)), 2);
    return tp_linear(tp_dropout(tp_concat(1, found[0], found[1], found[2]), 0.5), "fc", 2);
}

int main(int argc, char **argv)
{
    const int epochs = argc > 1 ? atoi(argv[1]) : 2;
    const char *path = argc > 2 ? argv[2] : "opinions";
    tp_loader *train =
        tp_load_words(path, "train", .batch = BATCH, .context = WORDS, .shuffle = true, .seed = 1);
    tp_loader *held = tp_load_words(path, "validation", .batch = BATCH, .context = WORDS);
    int64_t words = 0;
    while (tp_loader_token(train, words))
        words++;

    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, BATCH);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, WORDS));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));
    tp_tensor scores = judge(x, words), loss = tp_cross_entropy(scores, y);
    tp_tensor hits = tp_sum(tp_eq(tp_argmax(scores, 1), y));
    tp_program *step =
        tp_compile_train(loss, .opt = tp_adamw(),
                         .lr = tp_cosine(1e-3, 0, (double)(epochs * tp_loader_batches(train))));
    tp_program *eval = tp_compile_eval(g, hits);

    if (tp_error(g) || tp_loader_error(train) || tp_loader_error(held)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(train));
        return 1;
    }
    for (int epoch = 1; epoch <= epochs; epoch++) {
        double sum = 0, right = 0;
        while (tp_next(train, step) && tp_run(step))
            sum += tp_get(step, loss);
        while (tp_next(held, eval) && tp_run(eval))
            right += tp_get(eval, hits);
        printf("epoch %d  loss %.4f  right %.1f%%\n", epoch, sum / (double)tp_loader_batches(train),
               100 * right / (double)tp_loader_rows(held));
        fflush(stdout);
    }
    tp_loader_free(train);
    tp_loader_free(held);
    tp_graph_free(g);
    return 0;
}
