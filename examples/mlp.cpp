/*
 * mlp.cpp: mlp.c in C++20.   c++ -std=c++20 mlp.cpp -ltaper && ./a.out
 */
#include <cstdio>
#include <taper.hpp>

static void train(int epochs)
{
    auto train = taper::load_digits("train", { .batch = 64, .shuffle = true, .count = 2000 });
    auto test = taper::load_digits("test", { .batch = 100, .count = 500 });

    /* record: nothing is computed here */
    taper::graph g(42);
    auto B = g.symbol("batch", 1, 100);
    auto x = g.input("x", taper::U8, { B, 1, 28, 28 });
    auto y = g.input("y", taper::I32, { B });
    auto h = relu(linear(flatten(x / 255, 1), "fc1", 64));
    auto logits = linear(h, "fc2", 10);
    auto loss = cross_entropy(logits, y);
    auto hits = sum(eq(argmax(logits, 1), y));

    /* compile: forward, backward and update become one program */
    auto step = compile_train(loss, { .opt = taper::adam(), .lr = 1e-3, .batch = 64 });
    auto eval = g.compile_eval({ hits });

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
        std::printf("epoch %d  loss %.4f  test %.1f%%\n", epoch,
                    sum / static_cast<double>(train.batches()),
                    100 * right / static_cast<double>(test.rows()));
    }
}

int main()
try {
    train(3);
} catch (const taper::error &wrong) { /* with its line of this file */
    std::fprintf(stderr, "%s\n", wrong.what());
    return 1;
}
