/*
 * Small things made of others: scatter by product, the variance with its mean, layers from a table,
 * separable convolutions, a rate that falls on a plateau, an early stop.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "frontend/taper.h"

/* What the graph's tensors are, in one program. */
static tp_program *run(tp_graph *g, tp_list of)
{
    tp_program *p = tp_compile(g, of, TP_EVAL);

    cr_assert(p && tp_run(p), "%s", tp_error(g));
    return p;
}

static void values(tp_program *p, tp_tensor x, int n, const double *want)
{
    float has[16];

    cr_assert(tp_read(p, x, has, (size_t)n * sizeof *has), "%s", tp_error(x.g));
    for (int i = 0; i < n; i++)
        cr_expect((double)has[i] == want[i] || fabs((double)has[i] - want[i]) < 1e-5,
                  "%d: %g, not %g", i, (double)has[i], want[i]);
}
#define VALUES(p, x, ...)                                                       \
    values((p), (x), (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), \
           (double[]){ __VA_ARGS__ })

/* x.scatter_reduce(1, index, source, 'prod') */
Test(compose, scatter_by_product)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 3), (float[]){ 1, 2, 3, 4, 5, 6 });
    tp_tensor index = tp_array(g, TP_I32, tp_dims(2, 5), (int[]){ 0, 2, 0, 0, 2, 1, 1, 1, 1, 1 });
    tp_tensor source =
        tp_array(g, TP_F32, tp_dims(2, 5), (float[]){ 2, 3, 5, 7, INFINITY, 1, 2, 3, 0, 4 });
    tp_tensor other =
        tp_array(g, TP_F32, tp_dims(2, 5), (float[]){ 2, 3, 5, 7, 11, 1, 2, 3, 0, 4 });
    tp_tensor y = tp_scatter_mul(x, 1, index, source), z = tp_scatter_mul(x, 1, index, other), d[2];
    tp_program *p;

    cr_assert(tp_grad(tp_sum(z, TP_ALL), 2, ((tp_tensor[]){ x, other }), d), "%s", tp_error(g));
    p = run(g, tp_list(y, d[0], d[1]));
    VALUES(p, y, 70, 2, INFINITY, 4, 0, 6);
    VALUES(p, d[0], 70, 1, 33, 1, 0, 1);
    VALUES(p, d[1], 35, 33, 14, 10, 9, 0, 0, 0, 120, 0);
    tp_graph_free(g);
}

Test(compose, variance_and_mean)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 3), (float[]){ 1, 2, 3, 4, 6, 8 }), mean;
    tp_tensor var = tp_var_mean(&mean, x, 1);
    tp_program *p = run(g, tp_list(var, mean));

    VALUES(p, mean, 2, 6);
    VALUES(p, var, 1, 4);
    tp_graph_free(g);
}

static tp_tensor of_table(tp_tensor x)
{
    return tp_sequential(x, "net", tp_layer("conv2d", 4, .kernel = 3, .pad = 1), tp_layer("relu"),
                         tp_layer("max_pool2d", .kernel = 2), tp_layer("batch_norm"),
                         tp_layer("flatten"), tp_layer("linear", 5, .name = "last"),
                         tp_layer("gelu"), tp_layer("log_softmax"));
}

static tp_tensor by_hand(tp_tensor x)
{
    tp_push(x.g, "net");
    x = tp_relu(tp_conv2d(x, "0", 4, 3, .pad = 1));
    x = tp_batch_norm(tp_max_pool2d(x, 2), "3");
    x = tp_log_softmax(tp_gelu(tp_linear(tp_flatten(x, 1), "last", 5)), -1);
    tp_pop(x.g);
    return x;
}

Test(compose, a_table_of_layers_is_the_layers)
{
    float has[2][10];

    for (int i = 0; i < 2; i++) {
        tp_graph *g = tp_graph_new(7);
        tp_tensor x = tp_reshape(tp_linspace(g, TP_F32, -1, 1, 2 * 3 * 16), 2, 3, 4, 4);
        tp_tensor y = i ? by_hand(x) : of_table(x);
        cr_assert(y.id, "%s", tp_error(g));
        cr_assert(tp_read(run(g, tp_list(y)), y, has[i], sizeof has[i]));
        cr_expect(tp_find(g, "net.0.weight").id && tp_find(g, "net.3.running_mean").id &&
                  tp_find(g, "net.last.bias").id);
        tp_graph_free(g);
    }
    cr_expect_arr_eq(has[0], has[1], sizeof has[0]);
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 3));
    cr_expect_eq(tp_sequential(x, "net", tp_layer("linear", 5), tp_layer("lineal", 5)).id, 0);
    cr_expect(strstr(tp_error(g), "tp_sequential: layer 1 is \"lineal\"; expected"), "%s",
              tp_error(g));
    tp_graph_free(g);
}

Test(compose, separable_convolution_is_two)
{
    tp_graph *g = tp_graph_new(7);
    tp_tensor x = tp_reshape(tp_linspace(g, TP_F32, -1, 1, 2 * 3 * 25), 2, 3, 5, 5);
    tp_tensor y = tp_separable_conv2d(x, "s", 4, 3, .stride = 2, .pad = 1), a, b, bias, z;

    cr_assert(y.id, "%s", tp_error(g));
    cr_expect(tp_dim(y, 1) == 4 && tp_dim(y, 2) == 3);
    a = tp_find(g, "s.depthwise.weight");
    b = tp_find(g, "s.pointwise.weight");
    bias = tp_find(g, "s.pointwise.bias");
    cr_expect(tp_dim(a, 0) == 3 && tp_dim(a, 1) == 1 && tp_dim(b, 1) == 3 && bias.id);
    /* one channel, one place, by hand: row 0, image 0, corner */
    z = tp_sum(tp_mul(tp_reshape(tp_slice(tp_slice(tp_index(x, 0), 1, 0, 2), 2, 0, 2), 3, 4),
                      tp_reshape(tp_slice(tp_slice(a, 2, 1, 3), 3, 1, 3), 3, 4)),
               1);
    z = tp_add(tp_matmul(tp_reshape(b, 4, 3), z), bias);
    float all[2 * 4 * 9], corner[4];
    tp_program *p = run(g, tp_list(y, z));
    cr_assert(tp_read(p, y, all, sizeof all) && tp_read(p, z, corner, sizeof corner));
    for (int c = 0; c < 4; c++)
        cr_expect_float_eq(all[9 * c], corner[c], 1e-5);
    tp_graph_free(g);
}

/* The rates of torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=1, factor=0.5,
 * cooldown=1, min_lr=0.2) from 1, by its source. */
Test(compose, a_plateau_lowers_the_rate)
{
    static const double loss[] = { 5, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3 },
                        rate[] = { 1, 1, 1, .5, .5, .5, .25, .25, .25, .25, .2, .2, .2 };
    tp_graph *g = tp_graph_new(1);
    tp_tensor w = tp_param(g, "w", tp_dims(1), TP_ONES);
    tp_plateau fall = { .rate = 1, .factor = 0.5, .patience = 1, .cooldown = 1, .least = 0.2 };
    tp_early_stop stop = { .patience = 3 };
    tp_program *step;
    float before, now;
    int stopped = -1;

    step = tp_compile_train(tp_sum(w, TP_ALL), .lr = tp_given(fall.rate));
    cr_assert(step, "%s", tp_error(g));
    for (int i = 0; i < 13; i++) {
        cr_assert(tp_plateau_step(g, &fall, loss[i]), "%s", tp_error(g));
        cr_expect_float_eq(fall.rate, rate[i], 1e-12, "%d: %g", i, fall.rate);
        cr_assert(tp_get_values(w, &before, sizeof before) && tp_run(step) &&
                  tp_get_values(w, &now, sizeof now));
        cr_expect_float_eq(before - now, rate[i], 1e-5, "step %d: %g", i, (double)(before - now));
        if (stopped < 0 && tp_early_stop_step(&stop, loss[i]))
            stopped = i;
    }
    cr_expect_eq(stopped, 4);
    fall.rate = 0;
    cr_expect(!tp_plateau_step(g, &fall, 1) && strstr(tp_error(g), "expected a rate above 0"));
    tp_graph_free(g);
}
