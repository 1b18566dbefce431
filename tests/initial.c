/*
 * How parameters start whose numbers hang on each other: what each promises, the same for a seed,
 * another for another, and refused where it has no meaning.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "taper.h"

enum { MOST = 4096 };

static void start(uint64_t seed, tp_init init, tp_shape shape, float *to)
{
    tp_graph *g = tp_graph_new(seed);
    tp_tensor w = tp_param(g, "w", shape, init);
    size_t bytes = sizeof(float);

    for (int i = 0; i < shape.rank; i++)
        bytes *= (size_t)shape.dim[i];
    cr_assert(tp_get_values(w, to, bytes), "%s", tp_error(g));
    tp_graph_free(g);
}

/* rows (or columns) of w times their transpose are gain^2 on the diagonal, else 0 */
static void right_angles(int64_t rows, int64_t columns)
{
    float w[MOST];
    const int64_t n = rows < columns ? rows : columns, all = rows < columns ? columns : rows;

    start(3, TP_ORTHOGONAL(1.5), tp_dims(rows, columns), w);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < all; k++)
                sum += rows < columns ? w[i * columns + k] * w[j * columns + k]
                                      : w[k * columns + i] * w[k * columns + j];
            cr_expect(fabs(sum - (i == j ? 2.25 : 0)) < 1e-5, "%ld %ld: %g", (long)i, (long)j, sum);
        }
}

Test(initial, orthogonal_stands_at_right_angles)
{
    right_angles(8, 20);
    right_angles(20, 8);
    right_angles(16, 16);
}

Test(initial, identity_passes_channels_through)
{
    float w[MOST];

    start(1, TP_IDENTITY, tp_dims(3, 5), w);
    for (int i = 0; i < 15; i++)
        cr_expect_eq(w[i], i / 5 == i % 5 ? 1 : 0);
    start(1, TP_IDENTITY, tp_dims(4, 2, 3, 5), w); /* dirac: [out in height width] */
    for (int i = 0; i < 4 * 2 * 15; i++)
        cr_expect_eq(w[i], i / 30 == i / 15 % 2 && i % 15 == 7 ? 1 : 0, "%d", i);
}

Test(initial, sparse_columns_have_their_zeros)
{
    float w[MOST];

    start(5, TP_SPARSE(0.3, 2), tp_dims(25, 40), w);
    for (int c = 0; c < 40; c++) {
        int zeros = 0;
        for (int r = 0; r < 25; r++)
            zeros += w[r * 40 + c] == 0;
        cr_expect_eq(zeros, 8, "column %d has %d", c, zeros);
    }
}

Test(initial, trunc_normal_ends_at_two_deviations)
{
    float w[MOST];
    double square = 0;

    start(5, TP_TRUNC_NORMAL(0.02), tp_dims(MOST), w);
    for (int i = 0; i < MOST; i++) {
        cr_expect(fabsf(w[i]) <= 0.04f);
        square += (double)w[i] * w[i] / MOST;
    }
    cr_expect(fabs(sqrt(square) / 0.02 - 0.8796) < 0.03, "%g", sqrt(square));
}

Test(initial, a_seed_is_a_start)
{
    const tp_init inits[] = { TP_ORTHOGONAL(1), TP_SPARSE(0.5, 1), TP_TRUNC_NORMAL(1) };
    float a[MOST], b[MOST];

    for (int i = 0; i < 3; i++) {
        start(7, inits[i], tp_dims(30, 20), a);
        start(7, inits[i], tp_dims(30, 20), b);
        cr_expect_arr_eq(a, b, 600 * sizeof *a);
        start(8, inits[i], tp_dims(30, 20), b);
        cr_expect(memcmp(a, b, 600 * sizeof *a) != 0);
    }
}

static void refused(tp_init init, tp_dtype dtype, tp_shape shape, const char *says)
{
    tp_graph *g = tp_graph_new(1);

    tp_param(g, "w", shape, init, .dtype = dtype);
    cr_expect(tp_error(g) && strstr(tp_error(g), says), "%s", tp_error(g));
    cr_expect_eq(tp_status(g), 2);
    tp_graph_free(g);
}

/* A program draws them where they stay, in pieces and by threads; whoever asks before, in a row. */
Test(initial, large_ones_are_drawn_in_any_order)
{
    const tp_shape shape = tp_dims(7, 100003);
    const size_t bytes = 7 * 100003 * sizeof(float);
    float *before = malloc(bytes), *after = malloc(bytes);

    for (int uniform = 0; uniform < 2; uniform++) {
        tp_graph *g = tp_graph_new(4);
        tp_tensor w = tp_param(g, "w", shape, uniform ? TP_UNIFORM(-1, 2) : TP_NORMAL(0.5)),
                  total = tp_mean(w);
        cr_assert(tp_get_values(w, before, bytes), "%s", tp_error(g));
        tp_program *p = tp_compile_eval(g, total);
        cr_assert(p && tp_run(p) && tp_get_values(w, after, bytes), "%s", tp_error(g));
        cr_expect(memcmp(before, after, bytes) == 0);
        cr_expect(fabs(tp_get(p, total) - uniform * 0.5) < 0.01);
        tp_graph_free(g);
    }
    free(before);
    free(after);
}

Test(initial, what_cannot_start_so_is_refused)
{
    refused(TP_ORTHOGONAL(1), TP_F32, tp_dims(9), "1 axes; expected two axes or more");
    refused(TP_SPARSE(0.5, 1), TP_F32, tp_dims(9, 3, 3), "expected two axes");
    refused(TP_SPARSE(1.5, 1), TP_F32, tp_dims(9, 3), "zeros from 0 to 1");
    refused(TP_TRUNC_NORMAL(1), TP_I32, tp_dims(9), "expected a floating type");
    refused((tp_init){ 12, 0, 0 }, TP_F32, tp_dims(9), "initial values of kind 12");
}

/* They are where training begins, compiled and eager. */
Test(initial, training_begins_there)
{
    tp_graph *g = tp_graph_new(2), *eager = tp_eager_new(2);
    tp_tensor w = tp_param(g, "w", tp_dims(6, 4), TP_ORTHOGONAL(1));
    tp_tensor e = tp_param(eager, "w", tp_dims(6, 4), TP_ORTHOGONAL(1));
    tp_tensor sum = tp_sum(tp_square(w));
    tp_program *p = tp_compile_eval(g, sum);

    cr_assert(p && tp_run(p), "%s", tp_error(g));
    cr_expect(fabs(tp_get(p, sum) - 4) < 1e-5, "%g", tp_get(p, sum));
    cr_expect(fabs(tp_item(tp_sum(tp_square(e))) - 4) < 1e-5);
    tp_graph_free(g);
    tp_graph_free(eager);
}
