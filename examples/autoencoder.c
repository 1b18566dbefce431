/*
 * autoencoder.c: digits through 16 numbers and back.
 *
 *     cc autoencoder.c -ltaper && ./a.out 500 mnist/
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

int main(int argc, char **argv)
{
    const int steps = argc > 1 ? atoi(argv[1]) : 300;
    tp_loader *digits = argc > 2 ? tp_load_mnist(argv[2], "train", .batch = 64, .shuffle = true)
                                 : tp_load_digits("train", .batch = 64, .shuffle = true);
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 64);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(B, 1, 28, 28));
    tp_tensor picture = tp_flatten(tp_div(x, 255), 1);
    tp_tensor code = tp_linear(tp_relu(tp_linear(picture, "in", 256)), "code", 16);
    tp_tensor back = tp_linear(tp_relu(tp_linear(code, "out", 256)), "pixels", 28 * 28);
    tp_tensor loss = tp_bce_with_logits(back, picture);
    tp_tensor explained = tp_r2(tp_sigmoid(back), picture);
    tp_program *step = tp_compile_train(loss, .opt = tp_adam(), .lr = tp_cosine(1e-3, 0, steps),
                                        .also = tp_list(explained));

    if (tp_error(g) || tp_loader_error(digits)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(digits));
        return 1;
    }
    for (int i = 0; i < steps;)
        while (i < steps && tp_next(digits, step) && tp_run(step)) {
            if (i++ % 50 == 0)
                printf("step %d  loss %.4f  explained %.3f\n", i, tp_get(step, loss),
                       tp_get(step, explained));
        }
    tp_loader_free(digits);
    tp_graph_free(g);
    return 0;
}
