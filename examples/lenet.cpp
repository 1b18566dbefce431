/*
 * lenet.cpp: lenet.c in C++20, which prints the same losses.
 *
 *     c++ -std=c++20 lenet.cpp -ltaper && ./a.out mnist/
 */
#include <cstdio>
#include <taper.hpp>

static taper::tensor lenet(taper::tensor x) /* x: [batch 1 28 28] in 0..255 */
{
    x /= 255;
    x = relu(conv2d(x, "conv1", 6, 5, { .pad = 2 })); /* outputs, kernel, options by name */
    x = max_pool2d(x, 2);
    x = relu(conv2d(x, "conv2", 16, 5));
    x = max_pool2d(x, 2);
    x = flatten(x, 1); /* [batch 400] */
    x = relu(linear(x, "fc1", 120));
    x = relu(linear(x, "fc2", 84));
    return linear(x, "fc3", 10);
}

static void train(const char *mnist)
{
    const int epochs = 5;
    const taper::loader_args rows = { .batch = 64, .shuffle = true, .seed = 1 };
    auto train =
        mnist ? taper::load_mnist(mnist, "train", rows) : taper::load_digits("train", rows);
    auto test = mnist ? taper::load_mnist(mnist, "test", { .batch = 200 })
                      : taper::load_digits("test", { .batch = 200 });

    /* 1. trace: operations only record, nothing is computed here */
    taper::graph g(42);
    auto B = g.symbol("batch", 1, 200);
    auto x = g.input("x", taper::U8, { B, 1, 28, 28 });
    auto y = g.input("y", taper::I32, { B });
    auto logits = lenet(x);
    auto loss = cross_entropy(logits, y);
    auto hits = sum(eq(argmax(logits, 1), y));

    /* 2. compile: forward, backward and AdamW become one program with one arena */
    const auto steps = static_cast<double>(epochs * train.batches());
    auto step = compile_train(loss, { .opt = taper::adamw({ .weight_decay = 0.01 }),
                                      .lr = taper::cosine(2e-3, 1e-5, steps),
                                      .batch = 64 });
    auto eval = g.compile_eval({ loss, hits });

    /* 3. run */
    for (int epoch = 1; epoch <= epochs; epoch++) {
        double sum = 0, right = 0;
        while (train.next(step)) {
            step.run();
            sum += step.get(loss);
        }
        while (test.next(eval)) {
            eval.run();
            right += eval.get(hits);
        }
        std::printf("epoch %d  loss %.4f  test %.2f%%\n", epoch,
                    sum / static_cast<double>(train.batches()),
                    100 * right / static_cast<double>(test.rows()));
        std::fflush(stdout);
    }
    g.save("lenet.safetensors"); /* conv1.weight, conv1.bias, fc1.weight, .. */
}

int main(int argc, char **argv)
try {
    train(argc > 1 ? argv[1] : nullptr);
} catch (const taper::error &wrong) { /* with its line of this file */
    std::fprintf(stderr, "%s\n", wrong.what());
    return 1;
}
