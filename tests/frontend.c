/*
 * The public interface: names, types, shapes, scopes, states; values are looked at in eager graphs
 * and by running compiled programs.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"

static void fine(tp_graph *g)
{
    cr_assert(tp_error(g) == NULL, "%s", tp_error(g));
}

static void has_shape(tp_tensor x, tp_shape want)
{
    tp_shape s = tp_shape_of(x);

    cr_expect_eq(s.rank, want.rank);
    for (int i = 0; i < want.rank; i++)
        cr_expect_eq(s.dim[i], want.dim[i], "axis %d is %lld, not %lld", i, (long long)s.dim[i],
                     (long long)want.dim[i]);
}

static bool close_to(double got, double want, double tolerance)
{
    return got == want || fabs(got - want) <= tolerance * (1 + fabs(want)) ||
           (isnan(got) && isnan(want));
}

/* --- names -------------------------------------------------------------------------------------
 */

Test(names, are_those_of_pytorch)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 3, 8, 8)), found[16];
    static const char *const want[] = { "features.0.weight",   "features.0.bias",
                                        "features.bn.weight",  "features.bn.bias",
                                        "classifier.1.weight", "classifier.1.bias" };
    int n;

    tp_scope(g, "features")
        x = tp_batch_norm(tp_conv2d(x, "0", 4, 3), "bn");
    tp_scope(g, "%s", "classifier")
        x = tp_linear(tp_flatten(x, 1), "1", 10);
    fine(g);
    n = tp_params(g, "*", 16, found);
    cr_assert_eq(n, 6);
    for (int i = 0; i < n; i++)
        cr_expect_str_eq(tp_name(found[i]), want[i]);
    has_shape(tp_find(g, "classifier.1.weight"), tp_dims(10, 4 * 6 * 6));
    has_shape(tp_find(g, "features.0.weight"), tp_dims(4, 3, 3, 3));
    has_shape(tp_find(g, "features.bn.running_var"), tp_dims(4));
    cr_expect_eq(tp_find(g, "classifier").id, 0);
    cr_expect_eq(tp_params(g, "features.*", 0, NULL), 4);
    cr_expect_eq(tp_params(g, "*.bi?s", 0, NULL), 3);
    cr_expect_eq(tp_param_count(g), 4 * 27 + 4 + 8 + 1440 + 10);
    tp_graph_free(g);
}

Test(names, of_scopes_may_hold_dots)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor p[3];

    for (int i = 0; i < 2; i++)
        tp_scope(g, "h.%d", i) {
            tp_scope(g, "attn")
                p[i] = tp_param(g, "w", tp_dims(1), TP_ZEROS);
        }
    p[2] = tp_param(g, "w", tp_dims(1), TP_ZEROS);
    fine(g);
    cr_expect_str_eq(tp_name(p[0]), "h.0.attn.w");
    cr_expect_str_eq(tp_name(p[1]), "h.1.attn.w");
    cr_expect_str_eq(tp_name(p[2]), "w");
    tp_graph_free(g);
}

/* kaiming_uniform(a = sqrt 5) is uniform within 1 / sqrt(fan_in). */
Test(names, start_with_the_values_of_pytorch)
{
    tp_graph *g = tp_graph_new(7);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 400)), w;
    float values[100 * 400];
    double most = 0, sum = 0, squares = 0;

    tp_linear(x, "fc", 100);
    fine(g);
    w = tp_find(g, "fc.weight");
    cr_assert(tp_get_values(w, values, sizeof values));
    for (int i = 0; i < 40000; i++) {
        most = fmax(most, fabs((double)values[i]));
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    cr_expect(most <= 0.05 && most > 0.0499, "%g", most);
    cr_expect(fabs(sum / 40000) < 0.001, "%g", sum / 40000);
    cr_expect(close_to(squares / 40000, 0.05 * 0.05 / 3, 0.01), "%g", squares / 40000);
    tp_graph_free(g);
}

Test(names, shared_layers_are_one)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 4));

    x = tp_linear(x, "fc", 4, .shared = true);
    x = tp_linear(x, "fc", 4, .shared = true);
    fine(g);
    cr_expect_eq(tp_params(g, "*", 0, NULL), 2);
    tp_graph_free(g);
}

/* --- types -------------------------------------------------------------------------------------
 */

Test(types, follow_the_rule_of_promotion)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor u8 = tp_input(g, "u8", TP_U8, tp_dims(3)), i32 = tp_input(g, "i", TP_I32, tp_dims(3)),
              i64 = tp_input(g, "l", TP_I64, tp_dims(3)),
              f32 = tp_input(g, "f", TP_F32, tp_dims(3)),
              f64 = tp_input(g, "d", TP_F64, tp_dims(3)), b = tp_lt(f32, 0);

    cr_expect_eq(tp_dtype_of(tp_add(u8, i32)), TP_I32);
    cr_expect_eq(tp_dtype_of(tp_add(i64, i32)), TP_I64);
    cr_expect_eq(tp_dtype_of(tp_add(u8, 1)), TP_U8);
    cr_expect_eq(tp_dtype_of(tp_div(u8, 255)), TP_F32);
    cr_expect_eq(tp_dtype_of(tp_div(i32, i64)), TP_F32);
    cr_expect_eq(tp_dtype_of(tp_div(1, f64)), TP_F64);
    cr_expect_eq(tp_dtype_of(tp_mul(2, f32)), TP_F32);
    cr_expect_eq(tp_dtype_of(tp_eq(i64, i32)), TP_BOOL);
    cr_expect_eq(tp_dtype_of(tp_sum(b)), TP_I64);
    cr_expect_eq(tp_dtype_of(tp_sum(u8)), TP_I64);
    cr_expect_eq(tp_dtype_of(tp_mean(u8)), TP_F32);
    cr_expect_eq(tp_dtype_of(tp_argmax(f32, 0)), TP_I64);
    cr_expect_eq(tp_dtype_of(tp_where(b, 1, f64)), TP_F64);
    fine(g);
    tp_graph_free(g);
}

/* --- shapes ------------------------------------------------------------------------------------
 */

Test(shapes, of_views_and_reductions)
{
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 9);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(B, 3, 4));

    has_shape(tp_flatten(x, 1), tp_dims(B, 12));
    has_shape(tp_reshape(x, -1, 2, 6), tp_dims(B, 2, 6));
    has_shape(tp_reshape(x, B, -1), tp_dims(B, 12));
    has_shape(tp_permute(x, 2, 0, 1), tp_dims(4, B, 3));
    has_shape(tp_transpose(x, -1, 0), tp_dims(4, 3, B));
    has_shape(tp_unsqueeze(x, -1), tp_dims(B, 3, 4, 1));
    has_shape(tp_squeeze(tp_unsqueeze(x, 0), 0), tp_dims(B, 3, 4));
    has_shape(tp_slice(x, 1, -2, TP_ALL), tp_dims(B, 2, 4));
    has_shape(tp_slice(x, 2, 0, 4, .step = 3), tp_dims(B, 3, 2));
    has_shape(tp_narrow(x, 2, 1, 2), tp_dims(B, 3, 2));
    has_shape(tp_index(tp_permute(x, 1, 0, 2), -1), tp_dims(B, 4));
    has_shape(tp_concat(1, x, x), tp_dims(B, 6, 4));
    has_shape(tp_stack(-1, x, x), tp_dims(B, 3, 4, 2));
    has_shape(tp_expand(tp_unsqueeze(x, 0), 5, -1, -1, -1), tp_dims(5, B, 3, 4));
    has_shape(tp_pad(x, tp_dims(0, 1, 0), tp_dims(0, 0, 2), 0), tp_dims(B, 4, 6));
    has_shape(tp_sum(x), TP_SCALAR);
    has_shape(tp_sum(x, 1), tp_dims(B, 4));
    has_shape(tp_mean(x, tp_axes(0, -1)), tp_dims(3));
    has_shape(tp_var(x, tp_axes(-1, 1), .keepdim = true), tp_dims(B, 1, 1));
    has_shape(tp_amax(x, TP_ALL, .keepdim = true), tp_dims(1, 1, 1));
    has_shape(tp_argmax(x, -1), tp_dims(B, 3));
    has_shape(tp_argmax(x), TP_SCALAR);
    has_shape(tp_softmax(x, -1), tp_dims(B, 3, 4));
    has_shape(tp_one_hot(tp_argmax(x, -1), 4), tp_dims(B, 3, 4));
    fine(g);
    tp_graph_free(g);
}

Test(shapes, of_products)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor v = tp_input(g, "v", TP_F32, tp_dims(4)), m = tp_input(g, "m", TP_F32, tp_dims(3, 4)),
              n = tp_input(g, "n", TP_F32, tp_dims(4, 5)),
              t = tp_input(g, "t", TP_F32, tp_dims(2, 7, 3, 4)),
              u = tp_input(g, "u", TP_F32, tp_dims(7, 4, 5));

    has_shape(tp_matmul(v, v), TP_SCALAR);
    has_shape(tp_matmul(m, v), tp_dims(3));
    has_shape(tp_matmul(v, n), tp_dims(5));
    has_shape(tp_matmul(m, n), tp_dims(3, 5));
    has_shape(tp_matmul(t, n), tp_dims(2, 7, 3, 5));
    has_shape(tp_matmul(t, v), tp_dims(2, 7, 3));
    has_shape(tp_matmul(t, u), tp_dims(2, 7, 3, 5));
    has_shape(tp_matmul(v, u), tp_dims(7, 5));
    has_shape(tp_matmul(m, u), tp_dims(7, 3, 5));
    has_shape(tp_matmul_nt(t, m), tp_dims(2, 7, 3, 3));
    has_shape(tp_dot("abck,kn->cban", t, n), tp_dims(3, 7, 2, 5));
    fine(g);
    tp_graph_free(g);
}

/* --- values ------------------------------------------------------------------------------------
 */

static void values_are(tp_tensor x, int n, const double *want, const char *what)
{
    const float *got = tp_values(x, NULL);

    fine(x.g);
    cr_assert(got != NULL, "%s: no values", what);
    for (int i = 0; i < n; i++)
        cr_expect(close_to((double)got[i], want[i], 1e-6), "%s: [%d] is %.9g, not %.9g", what, i,
                  (double)got[i], want[i]);
}
#define VALUES(x, ...)                                                       \
    values_are(x, (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), \
               (double[]){ __VA_ARGS__ }, #x)

Test(values, of_formulas)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(4), (float[]){ -100, -1, 0, 2 });

    VALUES(tp_sigmoid(x), 1 / (1 + exp(100)), 1 / (1 + exp(1)), 0.5, 1 / (1 + exp(-2)));
    VALUES(tp_log_sigmoid(x), -100, -log1p(exp(1)), -log(2), -log1p(exp(-2)));
    VALUES(tp_softplus(x), 0, log1p(exp(-1)), log(2), 2 + log1p(exp(-2)));
    VALUES(tp_silu(x), 0, -1 / (1 + exp(1)), 0, 2 / (1 + exp(-2)));
    VALUES(tp_gelu(x), 0, -0.5 * (1 + erf(-sqrt(0.5))), 0, 1 + erf(sqrt(2)));
    VALUES(tp_leaky_relu(x, 0.1), -10, -0.1, 0, 2);
    VALUES(tp_elu(x, 2), -2, 2 * expm1(-1), 0, 2);
    VALUES(tp_clamp(x, -1, 1), -1, -1, 0, 1);
    VALUES(tp_relu6(tp_mul(x, 4)), 0, 0, 0, 6);
    VALUES(tp_square(x), 10000, 1, 0, 4);
    VALUES(tp_reciprocal(tp_add(x, 1)), -1. / 99, INFINITY, 1, 1. / 3);
    VALUES(tp_sub(1, x), 101, 2, 1, -1);
    VALUES(tp_div(2, tp_add(x, 1)), -2. / 99, INFINITY, 2, 2. / 3);
    VALUES(tp_where(tp_gt(x, 0), x, 0), 0, 0, 0, 2);
    VALUES(tp_maximum(x, tp_array(g, TP_F32, TP_SCALAR, (float[]){ 0.5f })), 0.5, 0.5, 0.5, 2);
    tp_graph_free(g);
}

/* Where the chain rule would make 0 * inf. */
Test(values, of_derivatives_far_out_are_finite)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(4), (float[]){ -1000, -100, 100, 1000 });

    VALUES(tp_grad_of(tp_sum(tp_sigmoid(x)), x), 0, 0, 0, 0);
    VALUES(tp_grad_of(tp_sum(tp_silu(x)), x), 0, 0, 1, 1);
    VALUES(tp_grad_of(tp_sum(tp_softplus(x)), x), 0, 0, 1, 1);
    VALUES(tp_grad_of(tp_sum(tp_log_sigmoid(x)), x), 1, 1, 0, 0);
    VALUES(tp_grad_of(tp_sum(tp_elu(x, 1)), x), 0, 0, 1, 1);
    VALUES(tp_grad_of(tp_sum(tp_selu(x)), x), 0, 0, 1.0507009873554805, 1.0507009873554805);
    VALUES(tp_grad_of(tp_sum(tp_mish(x)), x), 0, 0, 1, 1);
    VALUES(tp_grad_of(tp_sum(tp_gelu(x)), x), 0, 0, 1, 1);
    VALUES(tp_grad_of(tp_logsumexp(x), x), 0, 0, 0, 1);
    tp_graph_free(g);
}

Test(values, of_reductions)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 3), (float[]){ 1, 2, 3, 4, 5, 9 });

    VALUES(tp_sum(x), 24);
    VALUES(tp_mean(x, 0), 2.5, 3.5, 6);
    VALUES(tp_prod(x, 1), 6, 180);
    VALUES(tp_amax(x, -1), 3, 9);
    VALUES(tp_var(x, 1), 1, 7);
    VALUES(tp_var(x, 1, .biased = true), 2. / 3, 14. / 3);
    VALUES(tp_std(x, 1), 1, sqrt(7));
    VALUES(tp_logsumexp(x, 1), 3 + log(1 + exp(-1) + exp(-2)), 9 + log(1 + exp(-4) + exp(-5)));
    VALUES(tp_logsumexp(tp_full_like(x, -INFINITY), 1), -INFINITY, -INFINITY);
    VALUES(tp_sum(tp_softmax(x, 1), 1), 1, 1);
    VALUES(tp_cross_entropy(x, tp_array(g, TP_I32, tp_dims(2), (int[]){ 2, 0 })),
           (log(1 + exp(-1) + exp(-2)) + 5 + log(1 + exp(-4) + exp(-5))) / 2);
    VALUES(tp_mse(x, tp_full_like(x, 1)), (0 + 1 + 4 + 9 + 16 + 64) / 6.);
    VALUES(tp_l1(x, tp_full_like(x, 2)), (1 + 0 + 1 + 2 + 3 + 7) / 6.);
    VALUES(tp_bce_with_logits(x, tp_ones(g, TP_F32, tp_dims(2, 3))),
           (log1p(exp(-1)) + log1p(exp(-2)) + log1p(exp(-3)) + log1p(exp(-4)) + log1p(exp(-5)) +
            log1p(exp(-9))) /
               6);
    cr_expect_eq(tp_item(tp_argmax(x)), 5);
    tp_graph_free(g);
}

Test(values, of_movement)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 3), (float[]){ 1, 2, 3, 4, 5, 6 }),
              i = tp_array(g, TP_I64, tp_dims(2), (int64_t[]){ 2, 0 });

    VALUES(tp_transpose(x, 0, 1), 1, 4, 2, 5, 3, 6);
    VALUES(tp_slice(x, 1, 0, 3, .step = 2), 1, 3, 4, 6);
    VALUES(tp_index(x, -1), 4, 5, 6);
    VALUES(tp_flip(x, 1), 3, 2, 1, 6, 5, 4);
    VALUES(tp_pad(tp_index(x, 0), tp_dims(1), tp_dims(2), 7), 7, 1, 2, 3, 7, 7);
    VALUES(tp_concat(0, tp_index(x, 1), tp_index(x, 0)), 4, 5, 6, 1, 2, 3);
    VALUES(tp_stack(1, tp_index(x, 0), tp_index(x, 1)), 1, 4, 2, 5, 3, 6);
    VALUES(tp_take(x, 1, i), 3, 1, 6, 4);
    VALUES(tp_gather(x, 1, tp_unsqueeze(i, 1)), 3, 4);
    VALUES(tp_one_hot(i, 3), 0, 0, 1, 1, 0, 0);
    VALUES(tp_cast(tp_arange(g, TP_I32, 3), TP_F32), 0, 1, 2);
    VALUES(tp_matmul(x, tp_transpose(x, 0, 1)), 14, 32, 32, 77);
    tp_graph_free(g);
}

Test(values, of_norms)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 2), (float[]){ 1, 3, 5, 11 });

    VALUES(tp_layer_norm(x, "ln"), -1 / sqrt(1 + 1e-5), 1 / sqrt(1 + 1e-5), -3 / sqrt(9 + 1e-5),
           3 / sqrt(9 + 1e-5));
    VALUES(tp_batch_norm(x, "bn"), -2 / sqrt(4 + 1e-5), -4 / sqrt(16 + 1e-5), 2 / sqrt(4 + 1e-5),
           4 / sqrt(16 + 1e-5));
    VALUES(tp_find(g, "bn.running_mean"), 0.3, 0.7);
    VALUES(tp_find(g, "bn.running_var"), 0.9 + 0.8, 0.9 + 3.2);
    tp_graph_free(g);
}

/* The example of the tutorial: a*b + c, summed; and a value used twice. */
Test(values, eager_backward_leaves_gradients)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor a = tp_param(g, "a", tp_dims(2), TP_CONSTANT(3)),
              b = tp_param(g, "b", tp_dims(2), TP_CONSTANT(5)), y;

    y = tp_sum(tp_add(tp_mul(a, b), tp_mul(a, a)));
    cr_expect_eq(tp_item(y), 48);
    cr_assert(tp_backward(y));
    VALUES(tp_gradient(a), 11, 11);
    VALUES(tp_gradient(b), 3, 3);
    tp_update(g, tp_sgd(), tp_const(1));
    VALUES(a, -8, -8);
    VALUES(b, 2, 2);
    y = tp_sum(tp_mul(a, b)); /* the tape begins anew: the same expression, new values */
    cr_expect_eq(tp_item(y), -32);
    tp_graph_free(g);
}

Test(values, second_derivatives)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2), (float[]){ 1, 2 });
    tp_tensor dx = tp_grad_of(tp_sum(tp_mul(x, tp_mul(x, x))), x);

    VALUES(dx, 3, 12);
    VALUES(tp_grad_of(tp_sum(dx), x), 6, 12);
    tp_graph_free(g);
}

/* --- programs ----------------------------------------------------------------------------------
 */

Test(programs, assign_after_the_run)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor count = tp_state(g, "count", TP_I64, TP_SCALAR), twice = tp_mul(count, 2);
    tp_program *p;

    tp_assign(count, tp_add(count, 1));
    p = tp_compile(g, tp_list(count, twice), TP_TRAIN);
    fine(g);
    for (int i = 0; i < 3; i++) {
        cr_assert(tp_run(p));
        cr_expect_eq(tp_get(p, count), i); /* the old value */
        cr_expect_eq(tp_get(p, twice), 2 * i);
    }
    p = tp_compile_eval(g, count); /* no effects */
    cr_assert(tp_run(p) && tp_run(p));
    cr_expect_eq(tp_get(p, count), 3);
    tp_graph_free(g);
}

Test(programs, dropout_is_chance_in_training_and_nothing_in_evaluation)
{
    tp_graph *g = tp_graph_new(5);
    tp_tensor x = tp_ones(g, TP_F32, tp_dims(1000)), y = tp_dropout(x, 0.25);
    tp_program *train = tp_compile(g, tp_list(y), TP_TRAIN), *eval = tp_compile_eval(g, y);
    float first[1000], again[1000];
    double kept = 0;

    fine(g);
    cr_assert(tp_run(train) && tp_read(train, y, first, sizeof first) && tp_run(train) &&
              tp_read(train, y, again, sizeof again));
    cr_expect(memcmp(first, again, sizeof first) != 0, "two steps drew the same numbers");
    for (int i = 0; i < 1000; i++) {
        cr_expect(first[i] == 0 || close_to((double)first[i], 4. / 3, 1e-6));
        kept += first[i] != 0;
    }
    cr_expect(kept > 700 && kept < 800, "%g of 1000 kept", kept);
    cr_assert(tp_run(eval) && tp_read(eval, y, first, sizeof first));
    for (int i = 0; i < 1000; i++)
        cr_expect_eq(first[i], 1);
    tp_graph_free(g);
}

Test(programs, rows_are_mirrored_by_chance_in_training_alone)
{
    tp_graph *g = tp_graph_new(5);
    tp_tensor x = tp_add(tp_zeros(g, TP_F32, tp_dims(400, 3)), tp_arange(g, TP_F32, 3));
    tp_tensor y = tp_random_flip(x, -1, 0.25);
    tp_program *train = tp_compile(g, tp_list(y), TP_TRAIN), *eval = tp_compile_eval(g, y);
    float row[400][3];
    int mirrored = 0;

    fine(g);
    cr_assert(tp_run(train) && tp_read(train, y, row, sizeof row));
    for (int i = 0; i < 400; i++) {
        cr_expect(row[i][1] == 1 && row[i][0] + row[i][2] == 2);
        mirrored += row[i][0] == 2;
    }
    cr_expect(mirrored > 70 && mirrored < 130, "%d of 400 mirrored", mirrored);
    cr_assert(tp_run(eval) && tp_read(eval, y, row, sizeof row));
    for (int i = 0; i < 400; i++)
        cr_expect(row[i][0] == 0 && row[i][2] == 2);
    tp_graph_free(g);
}

Test(programs, rows_are_moved_by_chance_in_training_alone)
{
    enum { ROWS = 500, N = 5, MOST = 2 };
    tp_graph *g = tp_graph_new(5);
    tp_tensor x = tp_add(tp_zeros(g, TP_F32, tp_dims(ROWS, N, 2)),
                         tp_reshape(tp_add(tp_arange(g, TP_F32, N), 1), N, 1));
    tp_tensor y = tp_random_shift(x, 1, MOST);
    tp_program *train = tp_compile(g, tp_list(y), TP_TRAIN), *eval = tp_compile_eval(g, y);
    static float row[ROWS][N][2];
    int found[2 * MOST + 1] = { 0 };

    fine(g);
    cr_assert(tp_run(train) && tp_read(train, y, row, sizeof row));
    for (int i = 0; i < ROWS; i++) {
        const int by = MOST - (int)row[i][MOST][0] + 1; /* the middle is never out of sight */
        cr_assert(by >= -MOST && by <= MOST);
        found[by + MOST]++;
        for (int j = 0; j < N; j++)
            for (int k = 0; k < 2; k++)
                cr_expect_eq(row[i][j][k], j - by < 0 || j - by >= N ? 0 : j - by + 1);
    }
    for (int i = 0; i < 2 * MOST + 1; i++)
        cr_expect(found[i] > 60 && found[i] < 140, "%d of %d by %d", found[i], ROWS, i - MOST);
    cr_assert(tp_run(eval) && tp_read(eval, y, row, sizeof row));
    for (int i = 0; i < ROWS; i++)
        cr_expect(row[i][0][0] == 1 && row[i][N - 1][1] == N);
    tp_graph_free(g);
}

Test(programs, windows_are_cut_by_chance_in_training_and_from_the_middle_else)
{
    enum { ROWS = 400, N = 6, LENGTH = 3 };
    tp_graph *g = tp_graph_new(5);
    tp_tensor x = tp_add(tp_zeros(g, TP_F32, tp_dims(ROWS, N)), tp_arange(g, TP_F32, N));
    tp_tensor y = tp_random_crop(x, -1, LENGTH);
    tp_program *train = tp_compile(g, tp_list(y), TP_TRAIN), *eval = tp_compile_eval(g, y);
    static float row[ROWS][LENGTH];
    int found[N - LENGTH + 1] = { 0 };

    fine(g);
    cr_assert(tp_run(train) && tp_read(train, y, row, sizeof row));
    for (int i = 0; i < ROWS; i++) {
        const int from = (int)row[i][0];
        cr_assert(from >= 0 && from <= N - LENGTH);
        found[from]++;
        cr_expect(row[i][1] == (float)from + 1 && row[i][2] == (float)from + 2);
    }
    for (int i = 0; i <= N - LENGTH; i++)
        cr_expect(found[i] > 60 && found[i] < 140, "%d of %d from %d", found[i], ROWS, i);
    cr_assert(tp_run(eval) && tp_read(eval, y, row, sizeof row));
    for (int i = 0; i < ROWS; i++)
        cr_expect(row[i][0] == 1 && row[i][2] == 3);
    tp_graph_free(g);
}

Test(programs, channels_are_brought_to_one_scale)
{
    tp_graph *g = tp_graph_new(5);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(1, 2, 2), (const float[]){ 1, 2, 3, 4 });
    tp_tensor y = tp_standardise(x, ((const float[]){ 1, 2 }), ((const float[]){ 0.5f, 4 }));
    tp_program *eval = tp_compile_eval(g, y);
    float out[4];

    fine(g);
    cr_assert(tp_run(eval) && tp_read(eval, y, out, sizeof out));
    cr_expect(out[0] == 0 && out[1] == 2 && out[2] == 0.25f && out[3] == 0.5f);
    tp_graph_free(g);
}

Test(programs, batch_norm_evaluates_by_running_statistics)
{
    tp_graph *g = tp_graph_new(5);
    int64_t B = tp_symbol(g, "batch", 1, 4);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(B, 2)), y = tp_batch_norm(x, "bn");
    tp_program *train = tp_compile(g, tp_list(y), TP_TRAIN), *eval = tp_compile_eval(g, y);
    const float in[8] = { 1, 10, 3, 10, 5, 10, 7, 14 };
    float out[8], mean[2];

    fine(g);
    memcpy(tp_buffer(train, x, NULL), in, sizeof in);
    for (int i = 0; i < 300; i++)
        cr_assert(tp_run(train));
    cr_assert(tp_get_values(tp_find(g, "bn.running_mean"), mean, sizeof mean));
    cr_expect(close_to((double)mean[0], 4, 1e-4) && close_to((double)mean[1], 11, 1e-4));
    memcpy(tp_buffer(eval, x, NULL), in, sizeof in);
    cr_assert(tp_rows(eval, 1) && tp_run(eval) && tp_read(eval, y, out, 2 * sizeof *out));
    cr_expect(close_to((double)out[0], (1 - 4) / sqrt(20. / 3 + 1e-5), 1e-4), "%g", (double)out[0]);
    cr_expect(close_to((double)out[1], (10 - 11) / sqrt(4 + 1e-5), 1e-4), "%g", (double)out[1]);
    tp_graph_free(g);
}

Test(programs, take_any_extent_up_to_the_bound)
{
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 10);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(B)), mean = tp_mean(x), twice = tp_mul(x, 2);
    tp_program *p = tp_compile(g, tp_list(mean, twice), TP_EVAL, .batch = 6);
    size_t bytes;
    float *in;

    fine(g);
    in = tp_buffer(p, x, &bytes);
    cr_assert(in != NULL);
    cr_expect_eq(bytes, 6 * sizeof(float));
    for (int i = 0; i < 6; i++)
        in[i] = (float)i;
    for (int rows = 1; rows <= 6; rows++) {
        cr_assert(tp_rows(p, rows) && tp_run(p));
        cr_expect_eq(tp_get(p, mean), (rows - 1) / 2.);
        cr_expect_eq(((float *)tp_buffer(p, twice, NULL))[rows - 1], 2.f * (float)(rows - 1));
    }
    tp_graph_free(g);
}

/* --- files -------------------------------------------------------------------------------------
 */

static tp_tensor model(tp_graph *g)
{
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 3));

    return tp_batch_norm(tp_linear(x, "fc", 4), "bn");
}

Test(files, weights_come_back_by_name)
{
    char path[] = "/tmp/taper-frontend-XXXXXX";
    int fd = mkstemp(path);
    tp_graph *one = tp_graph_new(1), *two = tp_graph_new(2);
    float a[12], b[12];

    cr_assert(fd >= 0);
    model(one);
    model(two);
    cr_assert(tp_save(one, path), "%s", tp_error(one));
    cr_assert(tp_get_values(tp_find(one, "fc.weight"), a, sizeof a) &&
              tp_get_values(tp_find(two, "fc.weight"), b, sizeof b));
    cr_expect(memcmp(a, b, sizeof a) != 0);
    cr_assert(tp_load(two, path), "%s", tp_error(two));
    tp_get_values(tp_find(two, "fc.weight"), b, sizeof b);
    cr_expect(memcmp(a, b, sizeof a) == 0);
    tp_linear(tp_input(two, "z", TP_F32, tp_dims(2, 3)), "more", 2);
    cr_expect(tp_load(two, path, .partial = true));
    cr_expect(!tp_load(two, path));
    cr_expect(strstr(tp_error(two), "there is no more.weight") != NULL, "%s", tp_error(two));
    tp_graph_free(one);
    tp_graph_free(two);
    remove(path);
}

Test(files, weights_of_another_shape_are_refused_whole)
{
    char path[] = "/tmp/taper-frontend-XXXXXX";
    int fd = mkstemp(path);
    tp_graph *one = tp_graph_new(1), *two = tp_graph_new(2);
    float a[12], b[12];

    cr_assert(fd >= 0);
    model(one);
    tp_linear(tp_input(two, "x", TP_F32, tp_dims(2, 3)), "fc", 4);
    tp_batch_norm(tp_input(two, "z", TP_F32, tp_dims(2, 5)), "bn");
    cr_assert(tp_save(one, path));
    tp_get_values(tp_find(two, "fc.weight"), a, sizeof a);
    cr_expect(!tp_load(two, path));
    cr_expect(strstr(tp_error(two), "is f32[4]; expected f32[5]") != NULL, "%s", tp_error(two));
    cr_expect(!tp_get_values(tp_find(two, "fc.weight"), b, sizeof b), "the error is sticky");
    tp_graph_free(one);
    tp_graph_free(two);
    remove(path);
}
