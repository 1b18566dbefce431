/*
 * taper.hpp: what C++ adds to taper.h. Values by operators, places, exceptions and what is left
 * after them, lifetimes, functions of the user that throw inside of C. That it gives the numbers of
 * C and Python is tests/cpp.sh's and the Python package's.
 */
#include <criterion/criterion.h>

#include <fstream>
#include <sstream>
#include <string>
#include <taper.hpp>

extern "C" void support_enter(void); /* tests/support_files.h: a folder of its own */
extern "C" void support_leave(void);

using taper::tensor;
#define expect(...) cr_expect((__VA_ARGS__)) /* commas and all */

static std::string here(int line)
{
    return "cpp.cpp:" + std::to_string(line) + ": ";
}

/* What f throws, which must be of that status and begin with the line where f stands. */
template <class F> static std::string thrown(int line, int status, F f)
{
    try {
        f();
    } catch (const taper::error &wrong) {
        const std::string text = wrong.what();
        cr_expect(wrong.status() == status, "status %d, not %d: %s", wrong.status(), status,
                  text.c_str());
        cr_expect(text.rfind(here(line), 0) == 0, "line %d: %s", line, text.c_str());
        cr_expect(wrong.where().line() == static_cast<unsigned>(line), "where() is line %u, not %d",
                  wrong.where().line(), line);
        expect(text.size() <= 400);
        return text.substr(here(line).size());
    }
    cr_assert_fail("line %d throws nothing", line);
    return "";
}
static void holds(const std::string &text, const char *words)
{
    cr_expect(text.find(words) != std::string::npos, "%s: expected %s", text.c_str(), words);
}
static void same(const tensor &x, const std::vector<float> &want)
{
    const auto got = x.values<float>();
    cr_assert(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); i++)
        cr_expect(got[i] == want[i], "%zu: %g, not %g", i, static_cast<double>(got[i]),
                  static_cast<double>(want[i]));
}

Test(values, operators_are_the_operations_of_their_names)
{
    auto g = taper::graph::eager(1);
    auto a = g.array({ 3 }, std::vector<float>{ 1, 2, 3 }),
         b = g.array({ 3 }, std::vector{ 4.F, 5.F, 7.F });

    same(a + b, { 5, 7, 10 });
    same(b - a, { 3, 3, 4 });
    same(a * b, { 4, 10, 21 });
    same(b / a, { 4, 2.5, 7.F / 3 });
    same(b % a, { 0, 1, 1 });
    same(-a, { -1, -2, -3 });
    same(2 - a, { 1, 0, -1 });
    same(1.0 / a, { 1, 0.5, 1.F / 3 });
    same(2 * a + 1, { 3, 5, 7 });
    tensor c = a;
    c += 1;
    c *= b;
    c -= a;
    c /= 2;
    same(c, { 3.5, 6.5, 12.5 });
    auto i = cast(a, taper::I32), j = cast(b, taper::I32);
    expect((i & j).values<std::int32_t>()[2] == 3);
    expect((i | 8).values<std::int32_t>()[0] == 9);
    expect((i ^ j).values<std::int32_t>()[1] == 7);
    expect((i << 2).values<std::int32_t>()[1] == 8);
    expect((j >> 1).values<std::int32_t>()[2] == 3);
    expect((~i).values<std::int32_t>()[0] == -2);
    cr_expect(sum(cast(lt(a, 2), taper::F32)).item() == 1 &&
              sum(cast(ge(a, 2), taper::F32)).item() == 2);
    /* == is of C++: the same value of the same graph */
    cr_expect(a == a && !(a == b) && a != c);
}

Test(values, lists_options_and_brackets)
{
    auto g = taper::graph::eager(1);
    auto x = reshape(g.arange(taper::F32, 12), { 3, -1 });
    tensor where;

    expect(x.shape() == taper::shape{ 3, 4 } && x.dim(-1) == 4 && x.rank() == 2);
    same(x[1], { 4, 5, 6, 7 });
    same(x[-1][0], { 8 });
    same(x["::-1, 1"], { 9, 5, 1 });
    same(x[std::string("0, :2")], { 0, 1 });
    same(slice(x, 1, 1, { .step = 2 })[0], { 1, 3 });
    same(slice(x, 1, 0, { .stop = -1 })[0], { 0, 1, 2 });
    same(sum(x, 0), { 12, 15, 18, 21 });
    same(sum(x, { 0, -1 }), { 66 });
    expect(mean(x, taper::ALL, { .keepdim = true }).shape() == taper::shape{ 1, 1 });
    same(var(x, 1, { .biased = true }), { 1.25, 1.25, 1.25 });
    same(clamp(x, 4, 6)[0], { 4, 4, 4, 4 });
    same(elu(-x[0], 2)["0"], { 0 });
    same(sort(x[2], 0, { .descending = true, .index = &where }), { 11, 10, 9, 8 });
    expect(where.values<std::int64_t>()[0] == 3);
    same(taper::concat(0, { x[0], x[1] })["-1"], { 7 });
    auto rows = unbind(x, 0), halves = split(x, { 1, 2 }, 0), parts = chunk(x, 2, 1);
    cr_expect(rows.size() == 3 && halves.size() == 2 && parts.size() == 2);
    same(rows[2], { 8, 9, 10, 11 });
    same(taper::meshgrid({ g.arange(taper::F32, 2), g.arange(taper::F32, 1) })[0], { 0, 1 });
    same(taper::einsum("ij,ij->i", { x, x }), { 14, 126, 366 });
    auto image = reshape(x, { 1, 1, 3, 4 });
    expect(conv2d(image, "c", 2, { 1, 3 }, { .pad = { 0, 1 } }).shape() ==
           taper::shape{ 1, 2, 3, 4 });
    expect(max_pool2d(image, 3, { .stride = 1 }).shape() == taper::shape{ 1, 1, 1, 2 });
    cr_expect(bool(g.find("c.weight")) && !g.find("d.weight") && g.params("c.*").size() == 2);
}

Test(places, an_error_begins_with_its_line)
{
    taper::graph g(1);
    auto a = g.input("a", taper::F32, { 3 }), b = g.input("b", taper::F32, { 4 });
    const tensor none;

    holds(thrown(__LINE__, 2, [&] { add(a, b); }), "extents 3 and 4");
    holds(thrown(__LINE__, 2, [&] { a *b; }), "mul: ");
    holds(thrown(__LINE__, 2, [&] { matmul(a, b); }), "matmul");
    holds(thrown(__LINE__, 2, [&] { conv2d(a, "c", 6, 5); }), "conv2d");
    holds(thrown(__LINE__, 2, [&] { reshape(a, { 2, 2 }); }), "as many");
    holds(thrown(__LINE__, 2, [&] { relu(none); }), "empty tensor");
    holds(thrown(__LINE__, 2, [&] { none + 1; }), "empty tensor");
    holds(thrown(__LINE__, 2, [&] { taper::add(1, 2); }), "two numbers");
    holds(thrown(__LINE__, 2, [&] { taper::concat(0, {}); }), "no tensors");
    holds(thrown(__LINE__, 2, [&] { g.full(taper::F32, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 0); }),
          "9 axes");
    holds(thrown(__LINE__, 2, [&] { a[5]; }), "5");
    holds(thrown(__LINE__, 2, [&] { a["1, 2"]; }), "axis 0");
    holds(thrown(__LINE__, 2, [&] { elu(a, 1, 2); }), "elu");
    holds(thrown(__LINE__, 2, [&] { compile_train(a); }), "loss");
    auto rates = [](taper::place at) {
        taper::multistep(1, 1, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 }, at);
    };
    holds(thrown(__LINE__, 2, [&] { rates(taper::place::current()); }), "at most 12");
    /* the graph goes on as before each of them */
    cr_expect(tp_error(g.get()) == nullptr);
    auto sum = taper::sum(a + 1);
    auto p = g.compile_eval({ sum });
    auto in = p.buffer<float>(a);
    in[0] = 1, in[1] = 2, in[2] = 3;
    p.run();
    cr_expect(p.get(sum) == 9);
}

TestSuite(files, .init = support_enter, .fini = support_leave);

Test(files, the_textual_ir_names_the_lines)
{
    taper::graph g(1);
    auto a = g.input("a", taper::F32, { 3 });
    const int line = __LINE__ + 1;
    auto b = exp(a) + 1;
    auto p = g.compile_eval({ b }, { .names = "b" });
    const char *path = "step.tp";

    p.emit_ir(path);
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    const std::string want = "cpp.cpp:" + std::to_string(line);
    cr_expect(text.str().find(want) != std::string::npos, "%s", text.str().c_str());
}

Test(misuse, buffers_have_the_type_of_their_tensor)
{
    taper::graph g(1);
    auto a = g.input("a", taper::F32, { 3 });
    auto b = a * 2, unused = a * 3;
    auto w = g.param("w", { 2 }, taper::ONES);
    auto p = g.compile_eval({ b });

    holds(thrown(__LINE__, 2, [&] { p.buffer<double>(a); }), "another type");
    holds(thrown(__LINE__, 2, [&] { p.buffer<std::int32_t>(a); }), "another type");
    holds(thrown(__LINE__, 2, [&] { get_values<double>(w); }), "another type");
    expect(get_values<float>(w) == std::vector<float>({ 1, 1 }));
    set_values(w, std::vector<float>{ 3, 4 });
    expect(get_values<float>(w) == std::vector<float>({ 3, 4 }));
    for (auto wrong : { 0, 1, 2 })
        try {
            if (wrong == 0)
                set_values(w, std::vector<float>{ 3, 4, 5 });
            else if (wrong == 1)
                p.get(unused);
            else
                p.get(b);
            cr_expect(false, "%d", wrong);
        } catch (const taper::error &e) {
            cr_expect(e.status() == 2, "%s", e.what());
        }
    p.run();
}

Test(misuse, loaders_say_what_is_wrong)
{
    try {
        taper::load_mnist("/nowhere", "train", { .batch = 2 });
        cr_expect(false);
    } catch (const taper::error &e) {
        holds(e.what(), "/nowhere");
    }
    const std::vector<float> x = { 1, 2, 3, 4, 5, 6 };
    holds(thrown(__LINE__, 2, [&] { taper::loader::from_arrays({ { "x", { 2 }, x } }, 4); }),
          "column x has 6 numbers; expected 8 for 4 rows");
    taper::graph g(1);
    auto B = g.symbol("batch", 1, 2);
    auto in = g.input("x", taper::F32, { B, 2 });
    auto total = sum(in);
    auto p = g.compile_eval({ total });
    auto rows = taper::loader::from_arrays({ { "x", { 2 }, x } }, 3, { .batch = 2 });
    double all = 0;
    while (rows.next(p)) {
        p.run();
        all += p.get(total);
    }
    cr_expect(all == 21 && rows.rows() == 3 && rows.batches() == 2);
}

Test(misuse, a_function_that_makes_rows_may_throw)
{
    taper::graph g(1);
    auto B = g.symbol("batch", 1, 2);
    auto x = g.input("x", taper::F32, { B });
    auto total = sum(x);
    auto p = g.compile_eval({ total });

    for (int ahead : { 0, 2 }) {
        double all = 0;
        auto rows = taper::loader::from_fn({ { "x", taper::F32, {} } },
                                           [](std::int64_t row, void *const column[]) {
                                               if (row == 4)
                                                   throw std::out_of_range("row 4");
                                               if (column[0])
                                                   *static_cast<float *>(column[0]) =
                                                       static_cast<float>(row);
                                           },
                                           6, { .batch = 2, .ahead = ahead });
        try {
            while (rows.next(p)) {
                p.run();
                all += p.get(total);
            }
            cr_expect(false, "nothing is thrown");
        } catch (const std::out_of_range &e) {
            cr_expect(std::string(e.what()) == "row 4" && (ahead || all == 6), "%g", all);
        }
    }
}

Test(lifetimes, what_is_left_keeps_its_graph)
{
    tensor out;
    std::optional<taper::program> p;
    {
        taper::graph g(1);
        auto x = g.input("x", taper::F32, { 2 });
        out = x * 2;
        p = g.compile_eval({ out });
        p->buffer<float>(x)[1] = 4;
    }
    p->run();
    float got[2];
    p->read(out, std::span<float>(got));
    cr_expect(got[1] == 8);
    p.reset();
    expect(out.shape() == taper::shape{ 2 } && (out + 1).rank() == 1);
    out = {};
    cr_expect(!out);
}

Test(lifetimes, a_scope_ends_with_its_object)
{
    taper::graph g(1);
    auto x = g.input("x", taper::F32, { 3, 2 });
    try {
        auto in = g.scope("h.%d");
        linear(x, "fc", 4);
        matmul(x, x);
    } catch (const taper::error &) {
    }
    linear(x, "fc", 4);
    auto found = g.params();
    cr_assert(found.size() == 4);
    cr_expect(found[0].name() == "h.%d.fc.weight" && found[2].name() == "fc.weight");
}

Test(functions, scan_cond_and_a_derivative_of_ones_own)
{
    auto g = taper::graph::eager(1);
    auto x = g.array({ 4 }, std::vector<float>{ 1, 2, 3, 4 });
    std::vector<tensor> carry = { g.zeros(taper::F32, {}) };
    auto sums = scan(carry, { x }, 1, [](auto c, auto one, auto y) { y[0] = c[0] += one[0]; });

    same(sums[0], { 1, 3, 6, 10 });
    same(carry[0], { 10 });
    std::vector<tensor> twice = { g.ones(taper::F32, {}) };
    while_(twice, [](auto c) { return lt(c[0], 50); }, [](auto c) { c[0] *= 2; }, 20);
    same(twice[0], { 64 });
    for (int big : { 0, 1 }) {
        auto chosen = cond(
            gt(sum(x), big ? 5 : 50), [&](auto, auto y) { y[0] = x * 2; },
            [&](auto in, auto y) { y[0] = in[0] - 1; }, { x });
        same(chosen[0], big ? std::vector<float>{ 2, 4, 6, 8 } : std::vector<float>{ 0, 1, 2, 3 });
    }
    same(jvp(x * x, { x }, { x }), { 2, 8, 18, 32 });
    auto y = taper::with_gradient([](auto in, auto out) { out[0] = sign(in[0]); },
                                  [](auto, auto, auto dy, auto dx) { dx[0] = dy[0] * 3; }, { x });
    same(y[0], { 1, 1, 1, 1 });
    same(grad(sum(y[0]), { x })[0], { 3, 3, 3, 3 });
    expect(depends(y[0], { x, carry[0] }) == std::vector<bool>({ true, false }));
}

Test(functions, what_they_throw_comes_out_behind_c)
{
    taper::graph g(1);
    auto x = g.input("x", taper::F32, { 4 }), other = g.input("other", taper::F32, { 3 });
    auto zero = g.zeros(taper::F32, {});
    std::vector<tensor> carry = { zero };
    auto own = [](auto, auto, auto) { throw std::out_of_range("mine"); };
    auto none = [](auto, auto, auto) {};

    for (int i = 0; i < 2; i++)
        try {
            scan(carry, { x }, 1, own);
            cr_expect(false);
        } catch (const std::out_of_range &e) {
            cr_expect(std::string(e.what()) == "mine");
        }
    cr_expect(carry[0] == zero, "a carry stays as it was");
    const int line = __LINE__ + 1;
    auto wrong = [&](auto, auto, auto y) { y[0] = x + other; };
    holds(thrown(line, 2, [&] { scan(carry, { x }, 1, wrong); }), "add: ");
    auto caught = [&](auto, auto, auto y) {
        try {
            y[0] = x + other;
        } catch (const taper::error &) {
        }
    };
    try {
        scan(carry, { x }, 1, caught);
        cr_expect(false, "an output is missing");
    } catch (const taper::error &e) {
        cr_expect(e.status() == 2, "%s", e.what());
    }
    holds(thrown(__LINE__, 2, [&] { scan(carry, { x }, 1, none); }), "scan");
    auto branch = [](auto, auto y) { y[0] = y[0] + 1; };
    try {
        cond(gt(sum(x), 0), branch, branch);
        cr_expect(false);
    } catch (const taper::error &e) {
        holds(e.what(), "empty tensor");
    }
    /* inside another one */
    try {
        scan(carry, { x }, 1, [&](auto c, auto in, auto y) {
            y[0] = cond(
                gt(in[0], 0), [&](auto, auto z) { z[0] = x + other; },
                [&](auto, auto z) { z[0] = c[0]; })[0];
        });
        cr_expect(false);
    } catch (const taper::error &e) {
        holds(e.what(), "add: ");
    }
    cr_expect(tp_error(g.get()) == nullptr);
    auto sums = scan(carry, { x }, 1, [](auto c, auto one, auto y) { y[0] = c[0] += one[0]; });
    auto p = g.compile_eval({ sums[0] });
    for (auto &v : p.buffer<float>(x))
        v = 2;
    p.run();
    expect(p.buffer<float>(sums[0])[3] == 8);
}

Test(files, groups_rates_and_files)
{
    const std::string path = "run.ckpt";
    auto make = [](taper::graph &g, tensor &x) {
        x = g.input("x", taper::F32, { 4, 3 });
        return mean(square(linear(tanh(linear(x, "a", 5)), "b", 1)));
    };
    taper::graph g(3);
    tensor x;
    auto loss = make(g, x);
    auto step = compile_train(
        loss,
        { .opt = taper::adam({ .beta1 = 0.8, .groups = { { .match = "a.*", .frozen = true } } }),
          .lr = taper::given(1e-2) });
    for (auto &v : step.buffer<float>(x))
        v = 0.5;
    const auto a = get_values<float>(*g.find("a.weight")),
               b = get_values<float>(*g.find("b.weight"));
    step.run();
    const double first = step.get(loss);
    g.set_rate(0.1);
    step.run();
    expect(step.get(loss) < first);
    expect(get_values<float>(*g.find("a.weight")) == a);
    expect(get_values<float>(*g.find("b.weight")) != b);
    double numbers[] = { 1, 2 };
    g.save(path + ".safetensors");
    g.save_checkpoint(path, nullptr, numbers);
    step.run();
    const double third = step.get(loss);
    numbers[1] = 0;
    g.resume(path, nullptr, numbers);
    cr_expect(numbers[1] == 2);
    step.run();
    cr_expect(step.get(loss) == third);
    taper::graph again(4);
    tensor x2;
    make(again, x2);
    again.load(path + ".safetensors");
    expect(get_values<float>(*again.find("a.weight")) == a);
    cr_expect(again.param_count() == 3 * 5 + 5 + 5 + 1);
    try {
        again.load(path);
        cr_expect(false);
    } catch (const taper::error &e) {
        holds(e.what(), path.c_str());
    }
}

Test(training, eager_is_as_in_c)
{
    auto g = taper::graph::eager(1);
    auto w = [&] { return g.param("w", { 2 }, taper::CONSTANT(3), { .shared = true }); };
    auto loss = sum(square(w()));

    backward(loss);
    cr_assert(gradient(*g.find("w")).has_value());
    same(*gradient(*g.find("w")), { 6, 6 });
    g.update(taper::sgd(), 0.5);
    same(w(), { 0, 0 });
    int warnings = 0;
    g.on_warning([&](const char *) { warnings++; });
    g.zeros(taper::F32, { 3, 1 }) + g.zeros(taper::F32, { 3 });
    cr_expect(warnings == 1);
}
