/*
 * Probes: what a step says of itself is what the same numbers, computed from outside, come to; and
 * it changes nothing else.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "frontend/taper.h"

enum { ROWS = 6, IN = 7, OUT = 5 };

struct run {
    tp_graph *g;
    tp_tensor x, h, loss, weight, gradient;
    tp_program *p;
};

static struct run make(bool probe)
{
    struct run r = { .g = tp_graph_new(3) };

    r.x = tp_input(r.g, "x", TP_F32, tp_dims(tp_symbol(r.g, "batch", 1, ROWS), IN));
    r.h = tp_relu(tp_linear(r.x, "fc1", OUT));
    r.loss = tp_mean(tp_square(r.h));
    r.weight = tp_find(r.g, "fc1.weight");
    r.gradient = tp_grad_of(r.loss, r.weight);
    r.p = tp_compile_train(r.loss, .lr = tp_const(0.5), .also = tp_list(r.h, r.gradient),
                           .clip_norm = 1e-3, .probe = probe);
    cr_assert(r.p, "%s", tp_error(r.g));
    tp_rows(r.p, ROWS - 1);
    for (int i = 0; i < ROWS * IN; i++)
        ((float *)tp_buffer(r.p, r.x, NULL))[i] = (float)sin(i * 1.7);
    return r;
}

static const tp_probe *find(const tp_probe *all, int count, const char *tag)
{
    for (int i = 0; i < count; i++)
        if (strcmp(all[i].tag, tag) == 0)
            return &all[i];
    cr_assert_fail("no probe %s", tag);
    return NULL;
}

static double number(const tp_probe *all, int count, const char *tag)
{
    const tp_probe *p = find(all, count, tag);

    cr_assert_not(p->histogram);
    return (double)*(const float *)p->data;
}

static double norm(const float *a, const float *b, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        const double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/* The bucket of a number, by its logarithm. */
static int bucket_of(double x)
{
    int k = fabs(x) < ldexp(1, -23) ? 0 : (int)floor(log2(fabs(x))) + 24;

    k = k > 31 ? 31 : k;
    return signbit(x) ? 31 - k : 32 + k;
}

static void same_histogram(const tp_probe *p, const float *values, int n)
{
    int32_t want[64] = { 0 };

    cr_assert(p->histogram);
    for (int i = 0; i < n; i++)
        want[bucket_of((double)values[i])]++;
    for (int i = 0; i < 64; i++)
        cr_expect_eq(((const int32_t *)p->data)[i], want[i], "%s: bucket %d: %d, not %d", p->tag, i,
                     ((const int32_t *)p->data)[i], want[i]);
}

Test(probe, is_what_the_numbers_come_to)
{
    struct run r = make(true);
    float before[OUT * IN], after[OUT * IN];
    const float *h = tp_buffer(r.p, r.h, NULL), *gradient = tp_buffer(r.p, r.gradient, NULL);
    tp_probe all[40];
    const int count = tp_probes(r.p, 40, all);
    int zeros = 0;

    cr_assert_eq(count, 9, "%d", count); /* four of each parameter, and the relu */
    tp_get_values(r.weight, before, sizeof before);
    cr_assert(tp_run(r.p), "%s", tp_error(r.g));
    tp_get_values(r.weight, after, sizeof after);
    for (int i = 0; i < (ROWS - 1) * OUT; i++)
        zeros += h[i] == 0;
    cr_expect_float_eq(number(all, count, "dead/fc1"), zeros / (double)((ROWS - 1) * OUT), 1e-6);
    cr_expect_float_eq(number(all, count, "grad_norm/fc1.weight"), norm(gradient, NULL, OUT * IN),
                       1e-6);
    cr_expect_float_eq(number(all, count, "update_ratio/fc1.weight"),
                       norm(after, before, OUT * IN) / norm(before, NULL, OUT * IN), 1e-6);
    cr_expect_gt(number(all, count, "grad_norm/fc1.weight"), 1e-3); /* not as it was clipped */
    same_histogram(find(all, count, "gradients/fc1.weight"), gradient, OUT * IN);
    same_histogram(find(all, count, "weights/fc1.weight"), before, OUT * IN);
    tp_graph_free(r.g);
}

Test(probe, changes_no_bit_of_the_rest)
{
    struct run with = make(true), without = make(false);
    float a[OUT * IN], b[OUT * IN];

    cr_expect_eq(tp_probes(without.p, 0, NULL), 0);
    for (int step = 0; step < 5; step++) {
        cr_assert(tp_run(with.p) && tp_run(without.p));
        cr_expect_eq(tp_get(with.p, with.loss), tp_get(without.p, without.loss));
    }
    tp_get_values(with.weight, a, sizeof a);
    tp_get_values(without.weight, b, sizeof b);
    cr_expect_eq(memcmp(a, b, sizeof a), 0);
    tp_graph_free(with.g);
    tp_graph_free(without.g);
}

Test(probe, log_that_cannot_be_written_is_an_error)
{
    struct run r = make(true);

    cr_expect_null(tp_log_open(r.g, "/dev/null/runs"));
    cr_expect(tp_error(r.g) && strstr(tp_error(r.g), "/dev/null/runs: cannot be written"), "%s",
              tp_error(r.g));
    cr_expect_not(tp_log_number(NULL, 1, "loss", 1));
    tp_log_close(NULL);
    tp_graph_free(r.g);
}
