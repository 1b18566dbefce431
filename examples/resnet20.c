/*
 * resnet20.c: twenty convolutions around which values also pass (He et al. 2015), on CIFAR-10 whose
 * images are mirrored and shifted by chance, or on digits that the library draws.
 *
 *     cc resnet20.c -ltaper && ./a.out 10 cifar-10-batches-bin/
 */
#include <stdio.h>
#include <stdlib.h>
#include <taper.h>

static tp_tensor convolution(tp_tensor x, const char *name, const char *norm, int64_t channels,
                             int64_t side, int64_t stride)
{
    x = tp_conv2d(x, name, channels, side, .stride = stride, .pad = side / 2, .no_bias = true);
    return tp_batch_norm(x, norm);
}

static tp_tensor residual(tp_tensor x, int64_t channels, int64_t stride)
{
    tp_tensor y = tp_relu(convolution(x, "conv1", "bn1", channels, 3, stride));

    y = convolution(y, "conv2", "bn2", channels, 3, 1);
    if (stride > 1)
        x = convolution(x, "downsample.0", "downsample.1", channels, 1, stride);
    return tp_relu(tp_add(x, y));
}

static tp_tensor resnet20(tp_tensor x) /* x: [batch channels side side] */
{
    tp_graph *g = x.g;

    x = tp_relu(convolution(x, "conv1", "bn1", 16, 3, 1));
    for (int stage = 0; stage < 3; stage++)
        for (int i = 0; i < 3; i++)
            tp_scope(g, "layer%d.%d", stage + 1, i)
                x = residual(x, 16 << stage, stage > 0 && i == 0 ? 2 : 1);
    return tp_linear(tp_flatten(tp_adaptive_avg_pool(x, 1, 1), 1), "fc", 10);
}

int main(int argc, char **argv)
{
    const int epochs = argc > 1 ? atoi(argv[1]) : 3, photographs = argc > 2;
    const float mean[] = { 0.491f, 0.482f, 0.447f }, deviation[] = { 0.247f, 0.243f, 0.262f };
    tp_loader *train, *test;

    if (photographs) {
        train = tp_load_cifar10(argv[2], "train", .batch = 64, .shuffle = true, .seed = 1);
        test = tp_load_cifar10(argv[2], "test", .batch = 100);
    } else {
        train = tp_load_digits("train", .count = 2000, .batch = 64, .shuffle = true, .seed = 1);
        test = tp_load_digits("test", .count = 500, .batch = 100);
    }

    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 100), side = photographs ? 32 : 28;
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(B, photographs ? 3 : 1, side, side));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B)), image = tp_div(x, 255);
    if (photographs) /* in training alone, as part of the step */
        image = tp_random_flip(tp_standardise(image, mean, deviation), 3, 0.5);
    image = tp_random_shift(tp_random_shift(image, 2, 2), 3, 2);

    tp_tensor logits = resnet20(image), loss = tp_cross_entropy(logits, y);
    tp_tensor hits = tp_sum(tp_eq(tp_argmax(logits, 1), y));
    tp_program *step =
        tp_compile_train(loss, .opt = tp_sgd(.momentum = 0.9, .weight_decay = 5e-4), .batch = 64,
                         .lr = tp_cosine(0.1, 0, (double)(epochs * tp_loader_batches(train))));
    tp_program *eval = tp_compile_eval(g, hits);
    if (tp_error(g) || tp_loader_error(train)) {
        fprintf(stderr, "%s\n", tp_error(g) ? tp_error(g) : tp_loader_error(train));
        return 1;
    }
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
    tp_loader_free(train);
    tp_loader_free(test);
    tp_graph_free(g);
    return 0;
}
