/*
 * gpt.cpp: gpt.c in C++20, which prints the same losses and the same text: a small GPT on the
 * characters of a text, then some text of its own.
 *
 *     c++ -std=c++20 gpt.cpp -ltaper && ./a.out 2000 tinyshakespeare.txt
 */
#include <cstdio>
#include <cstdlib>
#include <string>
#include <taper.hpp>

using taper::tensor;
enum { LAYERS = 4, HEADS = 4, WIDTH = 128, CONTEXT = 64, SAID = 200 };

static tensor attention_of(const tensor &x)
{
    auto qkv = reshape(linear(x, "c_attn", 3 * WIDTH), { -1, CONTEXT, 3, HEADS, WIDTH / HEADS });

    qkv = permute(qkv, { 2, 0, 3, 1, 4 });
    auto y = attention(qkv[0], qkv[1], qkv[2], { .causal = true });
    return linear(reshape(permute(y, { 0, 2, 1, 3 }), { -1, CONTEXT, WIDTH }), "c_proj", WIDTH);
}

static tensor mlp_of(const tensor &x)
{
    return linear(gelu_tanh(linear(x, "c_fc", 4 * WIDTH)), "c_proj", WIDTH);
}

static tensor block(tensor x)
{
    auto h = layer_norm(x, "ln_1");
    {
        auto in = x.graph().scope("attn"); /* as long as it lives */
        x += attention_of(h);
    }
    h = layer_norm(x, "ln_2");
    auto in = x.graph().scope("mlp");
    return x + mlp_of(h);
}

static tensor gpt(const tensor &tokens, std::int64_t count) /* [b CONTEXT] -> [b CONTEXT count] */
{
    auto g = tokens.graph();
    auto wte = g.param("wte.weight", { count, WIDTH }, taper::NORMAL(0.02));
    auto wpe = g.param("wpe.weight", { CONTEXT, WIDTH }, taper::NORMAL(0.02));
    auto x = embedding(wte, tokens) + wpe;

    for (int i = 0; i < LAYERS; i++) {
        auto in = g.scope("h." + std::to_string(i));
        x = block(x);
    }
    return matmul_nt(layer_norm(x, "ln_f"), wte);
}

static void train(int steps, const char *path)
{
    auto text = taper::load_text(
        path, "train", { .batch = 12, .shuffle = true, .seed = 1, .context = CONTEXT, .step = 41 });
    taper::graph g(1);
    auto B = g.symbol("batch", 1, 12);
    auto x = g.input("x", taper::I32, { B, CONTEXT });
    auto y = g.input("y", taper::I32, { B, CONTEXT });
    auto last = g.input("last", taper::I32, {});
    auto logits = gpt(x, text.classes());
    auto loss = cross_entropy(logits, y);
    auto row = reshape(dynamic_slice(narrow(logits, 0, 0, 1), 1, last, 1), { -1 });
    auto next = sample(row, 0.8, { .top_k = 20 });
    auto rate = taper::warmup(steps / 20 + 1, taper::cosine(4e-3, 0, steps));
    auto step = compile_train(
        loss, { .opt = taper::adamw({ .weight_decay = 0.1 }), .lr = rate, .clip_norm = 1 });
    auto say = g.compile({ next }, taper::EVAL, { .batch = 1 });

    for (int i = 0; i < steps;)
        while (i < steps && text.next(step)) {
            step.run();
            if (i++ % 20 == 0)
                std::printf("step %d  loss %.4f\n", i, step.get(loss));
        }

    /* The window of the last characters goes in, the next comes out and joins it. */
    auto window = say.buffer<std::int32_t>(x);
    auto at = say.buffer<std::int32_t>(last);
    auto counter = g.find("taper.steps");
    std::size_t count = 1;
    window[0] = 0;
    for (std::int64_t said = 0; said < SAID; said++) {
        at[0] = static_cast<std::int32_t>(count) - 1;
        set_values(*counter, std::vector{ said }); /* other chance */
        say.run();
        for (std::size_t i = 1; count == CONTEXT && i < CONTEXT; i++)
            window[i - 1] = window[i];
        count -= count == CONTEXT;
        window[count++] = static_cast<std::int32_t>(say.get(next));
        std::fputs(text.token(window[count - 1]).c_str(), stdout);
    }
    std::putchar('\n');
}

int main(int argc, char **argv)
try {
    train(argc > 1 ? std::atoi(argv[1]) : 200, argc > 2 ? argv[2] : "verses");
} catch (const taper::error &wrong) { /* with its line of this file */
    std::fprintf(stderr, "%s\n", wrong.what());
    return 1;
}
