/*
 * The worked examples of the projects that taper is measured by, each with the name of its row in
 * the list of requirements: what they print is what is computed here.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "frontend/taper.h"

static tp_graph *g;

static void open_graph(void)
{
    g = tp_eager_new(3);
}

static void close_graph(void)
{
    cr_expect_null(tp_error(g), "%s", tp_error(g));
    tp_graph_free(g);
}

TestSuite(sources, .init = open_graph, .fini = close_graph);

static tp_tensor scalar(const char *name, double value)
{
    return tp_param(g, name, TP_SCALAR, TP_CONSTANT(value), .dtype = TP_F64);
}

static void is(tp_tensor x, double want)
{
    cr_expect(fabs(tp_item(x) - want) <= 1e-12 * (1 + fabs(want)), "%.17g, not %.17g", tp_item(x),
              want);
}

/* 000.35: elementwise + and *, sum, backward; the gradients of both. 000.8, 000.12 */
Test(sources, row_000_35_products_and_sums)
{
    const tp_tensor a = tp_param(g, "a", tp_dims(3), TP_CONSTANT(2)),
                    b = tp_param(g, "b", tp_dims(3), TP_CONSTANT(3));
    const float *da, *db;

    tp_backward(tp_sum(tp_add(tp_add(a, b), tp_mul(a, b))));
    da = tp_values(tp_gradient(a), NULL);
    db = tp_values(tp_gradient(b), NULL);
    for (int i = 0; i < 3; i++)
        cr_expect(da[i] == 4 && db[i] == 3);
}

/* 001.14: a tensor times 2, sum, backward: the gradient is 2 everywhere */
Test(sources, row_001_14_twice)
{
    const tp_tensor x = tp_param(g, "x", tp_dims(3), TP_ONES);
    const float *dx;

    tp_backward(tp_sum(tp_mul(x, 2)));
    dx = tp_values(tp_gradient(x), NULL);
    cr_expect(dx[0] == 2 && dx[1] == 2 && dx[2] == 2);
}

/* 003.4: a number before the operator */
Test(sources, row_003_4_numbers_first)
{
    const tp_tensor x = scalar("x", 4);

    is(tp_add(2, x), 6);
    is(tp_sub(2, x), -2);
    is(tp_mul(2, x), 8);
    is(tp_div(2, x), 0.5);
}

/* 003.14, 001.20: a value that is read twice gets both gradients */
Test(sources, row_003_14_used_twice)
{
    const tp_tensor x = scalar("x", 3), twice = tp_add(x, x);

    tp_backward(tp_mul(twice, x)); /* 2 x x */
    is(tp_gradient(x), 12);
}

/* 003.19: pow, add, relu, exp and div in one expression */
Test(sources, row_003_19_a_mix)
{
    const tp_tensor x = scalar("x", 2), y = tp_relu(tp_add(tp_pow(x, 3), 1)); /* 9 */

    tp_backward(tp_div(y, tp_exp(x)));
    is(tp_gradient(x), (12 - 9) * exp(-2));
}

/* 003.9: a neuron, weights and bias uniform in -1 to 1, tanh. 003.10, 003.12 */
Test(sources, row_003_9_a_neuron)
{
    const tp_tensor w = tp_param(g, "neuron.w", tp_dims(2), TP_UNIFORM(-1, 1)),
                    b = tp_param(g, "neuron.b", TP_SCALAR, TP_UNIFORM(-1, 1)),
                    x = tp_array(g, TP_F32, tp_dims(2), (float[]){ 2, 3 });
    const float *weight = tp_values(w, NULL), bias = (float)tp_item(b);
    tp_tensor found[4];

    cr_expect(fabsf(weight[0]) <= 1 && fabsf(weight[1]) <= 1 && fabsf(bias) <= 1);
    cr_expect(weight[0] != weight[1]);
    cr_expect(fabs(tp_item(tp_tanh(tp_add(tp_sum(tp_mul(w, x)), b))) -
                   tanh(2.0 * weight[0] + 3.0 * weight[1] + bias)) < 1e-6);
    cr_expect_eq(tp_params(g, "neuron.*", 4, found), 2);
}

/* 003.20, 003.11, 003.13: four points, an MLP of 3 inputs with layers of 4, 4 and 1, and errors
 * squared and summed by hand; descent by hand, without zeroing (003.15) */
Test(sources, row_003_20_four_points)
{
    static const float points[4][3] = {
        { 2, 3, -1 }, { 3, -1, 0.5f }, { 0.5f, 1, 1 }, { 1, 1, -1 }
    };
    static const float wanted[4] = { 1, -1, -1, 1 };
    double first = 0, last = 0;

    for (int epoch = 0; epoch < 60; epoch++) {
        tp_tensor h = tp_array(g, TP_F32, tp_dims(4, 3), points), loss;

        for (int layer = 0; layer < 3; layer++) {
            const char *name = (const char *[]){ "layer0", "layer1", "layer2" }[layer];
            h = tp_tanh(tp_linear(h, name, layer < 2 ? 4 : 1, .init = TP_UNIFORM(-1, 1)));
        }
        h = tp_sub(tp_reshape(h, 4), tp_array(g, TP_F32, tp_dims(4), wanted));
        loss = tp_sum(tp_mul(h, h));
        last = tp_item(loss);
        first = epoch ? first : last;
        tp_backward(loss);
        tp_update(g, tp_sgd(), tp_const(0.05));
    }
    cr_expect(last < 0.2 && last < first / 4, "%g became %g", first, last);
}

/* 004.11: the derivative by central differences is the chain rule's (004.13) */
Test(sources, row_004_11_numerical_derivative)
{
    const double at = 0.7, e = 1e-5;
    const tp_tensor x = scalar("x", at);
    double side[2];

    for (int i = 0; i < 2; i++) {
        const double moved = at + (i ? e : -e);
        side[i] = exp(sin(moved)) * moved;
    }
    tp_backward(tp_mul(tp_exp(tp_sin(x)), x));
    cr_expect(fabs(tp_item(tp_gradient(x)) - (side[1] - side[0]) / (2 * e)) < 1e-8);
}

/* 004.15: XOR, 50 points, 10 hidden, a rate of 0.5 */
Test(sources, row_004_15_xor)
{
    tp_graph *net = tp_graph_new(1);
    tp_loader *data = tp_load_planar("xor", "train", .count = 50, .batch = 50, .seed = 1);
    const int64_t batch = tp_symbol(net, "batch", 1, 50);
    const tp_tensor x = tp_input(net, "x", TP_F32, tp_dims(batch, 2)),
                    y = tp_input(net, "y", TP_I32, tp_dims(batch));
    tp_tensor h = tp_relu(tp_linear(x, "l1", 10));
    h = tp_relu(tp_linear(h, "l2", 10));
    const tp_tensor logit = tp_reshape(tp_linear(h, "l3", 1), -1),
                    loss = tp_bce_with_logits(logit, tp_cast(y, TP_F32)),
                    hits = tp_sum(tp_cast(tp_eq(tp_gt(logit, 0), tp_cast(y, TP_BOOL)), TP_F32));
    tp_program *step =
        tp_compile_train(loss, .opt = tp_sgd(), .lr = tp_const(0.5), .also = tp_list(hits));
    double right = 0;
    int64_t rows;

    cr_assert(step, "%s", tp_error(net));
    for (int epoch = 0; epoch < 2000; epoch++)
        while (tp_next(data, step) && tp_run(step))
            right = tp_get(step, hits);
    rows = tp_loader_rows(data);
    cr_expect(right >= 0.9 * (double)rows, "%g of %ld are right", right, (long)rows);
    tp_loader_free(data);
    tp_graph_free(net);
}

/* 004.19: the three rules of broadcasting, and the shapes that they refuse */
Test(sources, row_004_19_broadcasting)
{
    const tp_tensor a = tp_zeros(g, TP_F32, tp_dims(4, 3)), b = tp_zeros(g, TP_F32, tp_dims(3));
    tp_graph *wrong = tp_graph_new(1);

    cr_expect(tp_rank(tp_add(a, b)) == 2 && tp_dim(tp_add(a, b), 0) == 4);
    cr_expect_eq(tp_dim(tp_add(tp_zeros(g, TP_F32, tp_dims(2, 1, 3)), a), 1), 4);
    tp_add(tp_zeros(wrong, TP_F32, tp_dims(4, 3)), tp_zeros(wrong, TP_F32, tp_dims(4)));
    cr_expect(tp_error(wrong) && strstr(tp_error(wrong), "extents 3 and 4"), "%s", tp_error(wrong));
    tp_graph_free(wrong);
}

/* 004.27, 004.28, 004.32: a view with one extent inferred, permute, x[None] and x[:, None]; 004.33,
 * 004.34: arange and where; 004.31: a sum over one axis, with it and without */
Test(sources, row_004_27_views)
{
    const tp_tensor x = tp_arange(g, TP_F32, 6), wide = tp_reshape(x, -1, 2);
    const float *turned = tp_values(tp_permute(wide, 1, 0), NULL);

    cr_expect_eq(tp_dim(wide, 0), 3);
    cr_expect(turned[0] == 0 && turned[1] == 2 && turned[2] == 4 && turned[3] == 1);
    cr_expect_eq(tp_rank(tp_unsqueeze(x, 0)), 2);
    cr_expect_eq(tp_dim(tp_unsqueeze(x, 1), 0), 6);
    is(tp_sum(tp_where(tp_lt(x, 3), x, 0)), 3);
    cr_expect_eq(tp_rank(tp_sum(wide, 1)), 1);
    cr_expect_eq(tp_rank(tp_sum(wide, 1, .keepdim = true)), 2);
}
