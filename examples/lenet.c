/*
 * lenet.c: LeNet-5 on MNIST, or on digits that the library draws.
 *
 *     cc lenet.c -ltaper && ./a.out mnist/
 */
#include <stdio.h>
#include <taper.h>

static tp_tensor lenet(tp_tensor x) /* x: [batch 1 28 28] in 0..255 */
{
    x = tp_div(x, 255);
    x = tp_relu(tp_conv2d(x, "conv1", 6, 5, .pad = 2)); /* outputs, kernel, options by name */
    x = tp_max_pool2d(x, 2);
    x = tp_relu(tp_conv2d(x, "conv2", 16, 5));
    x = tp_max_pool2d(x, 2);
    x = tp_flatten(x, 1); /* [batch 400] */
    x = tp_relu(tp_linear(x, "fc1", 120));
    x = tp_relu(tp_linear(x, "fc2", 84));
    return tp_linear(x, "fc3", 10);
}

int main(int argc, char **argv)
{
    const int epochs = 5;
    tp_loader *train, *test;

    if (argc > 1) {
        train = tp_load_mnist(argv[1], "train", .batch = 64, .shuffle = true, .seed = 1);
        test = tp_load_mnist(argv[1], "test", .batch = 200);
    } else {
        train = tp_load_digits("train", .batch = 64, .shuffle = true, .seed = 1);
        test = tp_load_digits("test", .batch = 200);
    }

    /* 1. trace: operations only record, nothing is computed here */
    tp_graph *g = tp_graph_new(42);
    int64_t B = tp_symbol(g, "batch", 1, 200);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(B, 1, 28, 28));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));
    tp_tensor logits = lenet(x);
    tp_tensor loss = tp_cross_entropy(logits, y);
    tp_tensor hits = tp_sum(tp_eq(tp_argmax(logits, 1), y));

    /* 2. compile: forward, backward and AdamW become one program with one arena */
    tp_program *step =
        tp_compile_train(loss, .opt = tp_adamw(.weight_decay = 0.01), .batch = 64,
                         .lr = tp_cosine(2e-3, 1e-5, (double)(epochs * tp_loader_batches(train))));
    tp_program *eval = tp_compile_eval(g, loss, hits);
    if (tp_error(g)) { /* the first error of all the above */
        fprintf(stderr, "%s\n", tp_error(g));
        return 1;
    }

    /* 3. run */
    for (int epoch = 1; epoch <= epochs; epoch++) {
        double sum = 0, right = 0;
        while (tp_next(train, step) && tp_run(step))
            sum += tp_get(step, loss);
        while (tp_next(test, eval) && tp_run(eval))
            right += tp_get(eval, hits);
        printf("epoch %d  loss %.4f  test %.2f%%\n", epoch, sum / (double)tp_loader_batches(train),
               100 * right / (double)tp_loader_rows(test));
        fflush(stdout);
    }
    tp_save(g, "lenet.safetensors"); /* conv1.weight, conv1.bias, fc1.weight, .. */
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    tp_loader_free(train);
    tp_loader_free(test);
    tp_graph_free(g); /* frees programs, parameters, everything traced */
    return 0;
}
