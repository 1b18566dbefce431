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

/* 001.16, 001.17: an embedding of characters, flattened, two layers with tanh between; mini-batches
 * by random integer indices, which the step draws itself; the loss each 100 epochs. 001.3, 001.4,
 * 001.6, 001.7, 001.9, 001.11, 001.15 */
Test(sources, row_001_16_batches_by_random_indices)
{
    enum { ROWS = 200, CONTEXT = 3, LETTERS = 8, BATCH = 32 };
    tp_graph *net = tp_graph_new(2);
    int32_t contexts[ROWS][CONTEXT], next[ROWS];
    double first = 0, last = 0;

    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < CONTEXT; k++)
            contexts[i][k] = (i * 5 + k * 3 + i / 7) % LETTERS;
        next[i] = (contexts[i][0] + 2 * contexts[i][2]) % LETTERS;
    }
    const tp_tensor xs = tp_array(net, TP_I32, tp_dims(ROWS, CONTEXT), contexts),
                    ys = tp_array(net, TP_I32, tp_dims(ROWS), next),
                    indices = tp_randint(net, TP_I64, tp_dims(BATCH), 0, ROWS),
                    x = tp_take(xs, 0, indices), y = tp_take(ys, 0, indices);
    tp_tensor h = tp_flatten(tp_embed(x, "embedding", LETTERS, 6), 1);
    h = tp_tanh(tp_linear(h, "l1", 40));
    const tp_tensor loss = tp_cross_entropy(tp_linear(h, "l2", LETTERS), y);
    tp_program *step = tp_compile_train(loss, .opt = tp_sgd(), .lr = tp_const(0.3));

    cr_assert(step, "%s", tp_error(net));
    for (int epoch = 0; epoch < 600; epoch++) {
        cr_assert(tp_run(step));
        if (epoch % 100 == 0)
            last = tp_get(step, loss);
        first = epoch ? first : last;
    }
    cr_expect(first > 1.5 && last < first / 4, "%g became %g", first, last);
    tp_graph_free(net);
}

/* 003.18: basic operations with their gradients; 003.5, 003.6, 003.7, 003.8 */
Test(sources, row_003_18_basic_operations)
{
    static const struct {
        double at, slope;
    } want[] = { { 2, 1 },   { 2, 3 }, { 2, 1 / 3.0 },           { 2, 12 }, { 2, 7.38905609893065 },
                 { 2, 0.5 }, { 2, 1 }, { 2, 0.0706508248531644 } };

    for (int i = 0; i < 8; i++) {
        char name[8] = { 'x', (char)('0' + i) };
        const tp_tensor x = scalar(name, want[i].at), y = i == 0   ? tp_add(x, 3)
                                                          : i == 1 ? tp_mul(3, x)
                                                          : i == 2 ? tp_div(x, 3)
                                                          : i == 3 ? tp_pow(x, 3)
                                                          : i == 4 ? tp_exp(x)
                                                          : i == 5 ? tp_log(x)
                                                          : i == 6 ? tp_relu(x)
                                                                   : tp_tanh(x);
        tp_backward(y);
        is(tp_gradient(x), want[i].slope);
    }
}

/* 001.25, 001.29: what is not to be derived and what is not to be trained */
Test(sources, row_001_29_frozen)
{
    tp_graph *net = tp_graph_new(1);
    const tp_tensor a = tp_param(net, "a", tp_dims(2), TP_ONES),
                    b = tp_param(net, "b", tp_dims(2), TP_ONES, .frozen = true),
                    loss = tp_sum(tp_mul(tp_add(a, b), tp_stop_gradient(a)));
    tp_program *step = tp_compile_train(loss, .lr = tp_const(0.5));
    float after[2];

    cr_assert(step && tp_run(step), "%s", tp_error(net));
    cr_assert(tp_get_values(a, after, sizeof after));
    cr_expect(after[0] == 0.5F && after[1] == 0.5F); /* a (a + 1), a outside held: the slope is 1 */
    cr_assert(tp_get_values(b, after, sizeof after));
    cr_expect(after[0] == 1 && after[1] == 1);
    tp_graph_free(net);
}

/* 004.35, 000.13: a derivative has its argument's shape; of a tensor it is that of a sum with a
 * cotangent, and without one it is refused */
Test(sources, row_004_35_shapes_of_derivatives)
{
    tp_graph *wrong = tp_graph_new(1);
    const tp_tensor x = tp_array(g, TP_F64, tp_dims(2, 3), (double[]){ 1, 2, 3, 4, 5, 6 }),
                    ct = tp_array(g, TP_F64, tp_dims(2), (double[]){ 10, 100 }),
                    w = tp_input(wrong, "w", TP_F32, tp_dims(2));
    tp_tensor dx, none;
    const double *d;

    cr_assert(tp_vjp(tp_sum(tp_square(x), 1), ct, 1, &x, &dx));
    d = tp_values(dx, NULL);
    cr_expect(tp_rank(dx) == 2 && tp_dim(dx, 0) == 2 && tp_dim(dx, 1) == 3);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(d[i], 2 * (i + 1) * (i < 3 ? 10 : 100));
    cr_expect_not(tp_grad(tp_exp(w), 1, &w, &none));
    cr_expect(strstr(tp_error(wrong), "expected a scalar"), "%s", tp_error(wrong));
    tp_graph_free(wrong);
}

static void take_note(const char *text, void *user)
{
    strncat(user, text, 999 - strlen(user));
}

/* 001.18, 001.19: a parameter without gradient is told when the step is compiled; (32,1) against
 * (32) is refused by losses, and told elsewhere, with both lines. 000.10: types are not mixed. */
Test(sources, row_001_19_shapes_that_broadcast_by_mistake)
{
    tp_graph *net = tp_graph_new(1);
    char said[1000] = "";

    tp_on_warning(net, take_note, said);
    const tp_tensor x = tp_input(net, "x", TP_F32, tp_dims(32, 4)),
                    y = tp_input(net, "y", TP_F32, tp_dims(32)), out = tp_linear(x, "fc", 1),
                    idle = tp_param(net, "idle", tp_dims(3), TP_ONES);
    tp_sub(out, y);
    cr_expect(strstr(said, "broadcast to every row with every row"), "%s", said);
    cr_assert(tp_compile_train(tp_mse(tp_reshape(out, -1), y), .lr = tp_const(0.1)));
    cr_expect(strstr(said, "idle: no gradient arrives"), "%s", said);
    tp_mse(out, y);
    cr_expect(strstr(tp_error(net), "expected tensors of one type and shape"), "%s", tp_error(net));
    tp_clear_error(net);
    tp_add(idle, tp_input(net, "count", TP_I32, tp_dims(3)));
    cr_expect(strstr(tp_error(net), "expected one type") && strstr(tp_error(net), "(sources.c:"),
              "%s", tp_error(net));
    tp_graph_free(net);
}
