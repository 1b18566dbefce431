/*
 * mlp.c: two layers on digits that the library draws itself.   cc mlp.c -ltaper && ./a.out
 */
#include <stdio.h>
#include <taper.h>

int main(void)
{
    const int epochs = 3;
    tp_loader *train = tp_load_digits("train", .count = 2000, .batch = 64, .shuffle = true);
    tp_loader *test = tp_load_digits("test", .count = 500, .batch = 100);

    /* record: nothing is computed here */
    tp_graph *g = tp_graph_new(42);
    int64_t B = tp_symbol(g, "batch", 1, 100);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(B, 1, 28, 28));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));
    tp_tensor h = tp_flatten(tp_div(x, 255), 1);
    tp_tensor logits = tp_linear(tp_relu(tp_linear(h, "fc1", 64)), "fc2", 10);
    tp_tensor loss = tp_cross_entropy(logits, y);
    tp_tensor hits = tp_sum(tp_eq(tp_argmax(logits, 1), y));

    /* compile: forward, backward and update become one program */
    tp_program *step = tp_compile_train(loss, .opt = tp_adam(), .lr = tp_const(1e-3), .batch = 64);
    tp_program *eval = tp_compile_eval(g, hits);
    if (tp_error(g)) { /* the first error of all the above */
        fprintf(stderr, "%s\n", tp_error(g));
        return 1;
    }

    for (int epoch = 1; epoch <= epochs; epoch++) {
        double sum = 0, right = 0;
        while (tp_next(train, step) && tp_run(step))
            sum += tp_get(step, loss);
        while (tp_next(test, eval) && tp_run(eval))
            right += tp_get(eval, hits);
        printf("epoch %d  loss %.4f  test %.1f%%\n", epoch, sum / (double)tp_loader_batches(train),
               100 * right / (double)tp_loader_rows(test));
    }
    tp_loader_free(train);
    tp_loader_free(test);
    tp_graph_free(g);
    return 0;
}
