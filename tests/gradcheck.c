/*
 * tp_gradcheck: derivatives that are right pass, of recorded and of eager graphs; a rule that is
 * wrong is found, with the slope that it should have.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "frontend/taper.h"

static void cube(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = tp_cube(x[0]);
}

/* 3 x^2, or, where user says so, 2 x^2 */
static void rule(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                 tp_tensor dx[])
{
    (void)y;
    dx[0] = tp_mul(dy[0], tp_mul(tp_square(x[0]), *(const double *)user));
}

/* Row 004.11: numerical derivatives. A network with most of what has a rule of its own. */
Test(gradcheck, finds_nothing_where_all_is_right)
{
    tp_graph *g = tp_graph_new(5);
    const int64_t batch = tp_symbol(g, "batch", 1, 64);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(batch, 2, 6, 6)),
                    y = tp_input(g, "y", TP_I32, tp_dims(batch));
    tp_tensor h = tp_relu(tp_batch_norm(tp_conv2d(x, "conv", 3, 3), "norm")), wrt[5];
    tp_tensor loss;

    h = tp_layer_norm(tp_flatten(tp_max_pool2d(h, 2), 1), "ln");
    loss = tp_cross_entropy(tp_linear(tp_gelu(h), "fc", 4), y);
    wrt[0] = x;
    for (int i = 0; i < 4; i++)
        wrt[1 + i] =
            tp_find(g, (const char *[]){ "conv.weight", "norm.weight", "ln.bias", "fc.weight" }[i]);
    cr_expect(tp_gradcheck(loss, 5, wrt), "%s", tp_error(g));
    cr_expect_null(tp_error(g));
    tp_graph_free(g);
}

Test(gradcheck, finds_a_rule_that_is_wrong)
{
    static const float numbers[3] = { 1, 2, -3 };

    for (int eager = 0; eager < 2; eager++)
        for (double factor = 2; factor < 4; factor++) {
            tp_graph *g = eager ? tp_eager_new(1) : tp_graph_new(1);
            const tp_tensor x = eager ? tp_array(g, TP_F32, tp_dims(3), numbers)
                                      : tp_input(g, "x", TP_F32, tp_dims(3));
            tp_tensor y;
            bool right;

            cr_assert(tp_with_gradient(cube, rule, &factor, 1, &x, 1, &y));
            right = tp_gradcheck(tp_sum(y), 1, &x);
            cr_expect_eq(right, factor == 3, "%s", tp_error(g));
            cr_expect(right || (strstr(tp_error(g), "gradcheck.c:") &&
                                strstr(tp_error(g), "; differences say ")),
                      "%s", tp_error(g));
            tp_graph_free(g);
        }
}

/* In an eager graph at the values that are there: a kink is no place to ask at, beside it is. */
Test(gradcheck, looks_where_the_numbers_are)
{
    tp_graph *g = tp_eager_new(1);
    const tp_tensor at = tp_array(g, TP_F64, tp_dims(1), (double[]){ 0 }),
                    beside = tp_array(g, TP_F64, tp_dims(1), (double[]){ 0.25 });

    cr_expect(tp_gradcheck(tp_sum(tp_abs(beside)), 1, &beside), "%s", tp_error(g));
    cr_expect(tp_gradcheck(tp_sum(tp_abs(at)), 1, &at), "%s", tp_error(g)); /* 0, and so is |h| */
    cr_expect_not(tp_gradcheck(tp_sum(tp_relu(at)), 1, &at));
    cr_expect(strstr(tp_error(g), "is 0; differences say 0."), "%s", tp_error(g));
    tp_graph_free(g);
}

Test(gradcheck, says_what_it_cannot_look_at)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(3)), y = tp_mul(x, 2);

    cr_expect_not(tp_gradcheck(y, 1, &x));
    cr_expect(strstr(tp_error(g), "expected a scalar"), "%s", tp_error(g));
    tp_clear_error(g);
    cr_expect_not(tp_gradcheck(tp_sum(y), 1, &y));
    cr_expect(strstr(tp_error(g), "expected a parameter, an input or an array"), "%s", tp_error(g));
    tp_graph_free(g);
}

/* x^3 by C, and its derivative, times a number that may be wrong */
static void cubed(void *user, int by, const tp_array in[], const tp_array *out)
{
    const double *x = in[0].data, *g = by < 0 ? NULL : in[2].data;
    double *y = out->data;

    for (int64_t i = 0; i < out->dim[0]; i++)
        y[i * out->pitch[0]] =
            by < 0 ? pow(x[i * in[0].pitch[0]], 3)
                   : g[i * in[2].pitch[0]] * *(const double *)user * pow(x[i * in[0].pitch[0]], 2);
}

Test(gradcheck, asks_functions_of_c)
{
    for (double factor = 2; factor < 4; factor++) {
        tp_graph *g = tp_graph_new(1);
        const tp_tensor x = tp_input(g, "x", TP_F64, tp_dims(4)),
                        y = tp_custom("cubed", tp_list(x), TP_F64, tp_dims(4), cubed,
                                      .backward = cubed, .user = &factor);

        cr_expect_eq(tp_gradcheck(tp_sum(y), 1, &x), factor == 3, "%s", tp_error(g));
        tp_graph_free(g);
    }
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4)),
                    y = tp_custom("narrow", tp_list(x), TP_F32, tp_dims(4), cubed,
                                  .backward = cubed);
    cr_expect_not(tp_gradcheck(tp_sum(y), 1, &x));
    cr_expect(strstr(tp_error(g), "narrow gives f32; expected one of f64"), "%s", tp_error(g));
    tp_graph_free(g);
}
