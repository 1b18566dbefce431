/*
 * tp_with_gradient: the function's values, the rule's gradients (one program, eager mode and the
 * interpreter), what is left out, what only reads, and derivatives of the rule itself.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"

enum { N = 6 };
static const float numbers[N] = { -1.5F, -0.25F, 0.5F, 1, 2, 3 };

static void sign(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = tp_sign(x[0]);
}

static void straight(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                     tp_tensor dx[])
{
    (void)user, (void)x, (void)y;
    dx[0] = dy[0];
}

static void softplus(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = tp_log1p(tp_exp(x[0]));
}

static void stable(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                   tp_tensor dx[])
{
    (void)user, (void)y;
    dx[0] = tp_mul(dy[0], tp_sigmoid(x[0]));
}

/* y0 = a b w, y1 = sum a; the rule says other things, so that it is seen */
static void two(void *user, const tp_tensor x[], tp_tensor y[])
{
    const tp_tensor *w = user;

    y[0] = tp_mul(tp_mul(x[0], x[1]), *w);
    y[1] = tp_sum(x[0], TP_ALL);
}

static void two_back(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                     tp_tensor dx[])
{
    (void)user, (void)x;
    dx[0] = tp_add(tp_mul(dy[0], 10), tp_mul(y[0], dy[1]));
}

static void read(tp_program *p, tp_tensor x, float *to)
{
    if (p)
        cr_assert(tp_read(p, x, to, N * sizeof *to));
    else
        memcpy(to, tp_values(x, NULL), N * sizeof *to);
}

static tp_tensor begin(tp_graph *g, bool eager)
{
    return eager ? tp_array(g, TP_F32, tp_dims(N), numbers) : tp_input(g, "x", TP_F32, tp_dims(N));
}

static tp_program *run(tp_graph *g, tp_tensor x, tp_list wanted)
{
    tp_program *p = tp_compile(g, wanted, TP_EVAL);

    cr_assert(p, "%s", tp_error(g));
    memcpy(tp_buffer(p, x, NULL), numbers, sizeof numbers);
    cr_assert(tp_run(p));
    return p;
}

static void rules_hold(bool eager)
{
    tp_graph *g = eager ? tp_eager_new(1) : tp_graph_new(1);
    tp_tensor x = begin(g, eager), w = tp_param(g, "w", tp_dims(N), TP_CONSTANT(2)), y, both[2],
              ab[2], d, dab[3], from[3];
    tp_program *p = NULL;
    float has[N], value[N];

    cr_assert(tp_with_gradient(sign, straight, NULL, 1, &x, 1, &y), "%s", tp_error(g));
    d = tp_grad_of(tp_sum(tp_mul(y, x), TP_ALL), x); /* by y: x, straight; by x: y */
    ab[0] = tp_mul(x, 2);
    ab[1] = tp_add(x, 1);
    cr_assert(tp_with_gradient(two, two_back, &w, 2, ab, 2, both), "%s", tp_error(g));
    from[0] = ab[0], from[1] = ab[1], from[2] = w;
    cr_assert(tp_grad(tp_add(tp_sum(both[0], TP_ALL), both[1]), 3, from, dab), "%s", tp_error(g));
    if (!eager)
        p = run(g, x, tp_list(y, d, both[0], dab[0], dab[1], dab[2]));
    read(p, y, has);
    for (int i = 0; i < N; i++)
        cr_expect_eq(has[i], numbers[i] < 0 ? -1 : 1);
    read(p, d, has);
    for (int i = 0; i < N; i++)
        cr_expect_eq(has[i], numbers[i] + (numbers[i] < 0 ? -1 : 1), "%d: %g", i, (double)has[i]);
    read(p, both[0], value);
    read(p, dab[0], has);
    for (int i = 0; i < N; i++) {
        cr_expect_eq(value[i], 2 * numbers[i] * (numbers[i] + 1) * 2);
        cr_expect_eq(has[i], 10 + value[i], "%d: %g", i, (double)has[i]);
    }
    read(p, dab[1], has);
    for (int i = 0; i < N; i++) /* left out */
        cr_expect_eq(has[i], 0);
    read(p, dab[2], has);
    for (int i = 0; i < N; i++) /* it only reads w */
        cr_expect_eq(has[i], 0);
    tp_graph_free(g);
}

Test(own_gradient, rules_hold_in_a_program)
{
    rules_hold(false);
}

Test(own_gradient, rules_hold_in_the_interpreter)
{
    setenv("TAPER_ENGINE", "interpreter", 1);
    rules_hold(false);
}

Test(own_gradient, rules_hold_eagerly)
{
    rules_hold(true);
}

/* softplus: sigmoid, and of that its own derivative */
Test(own_gradient, a_rule_is_derived_as_it_is_written)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = begin(g, false), y, d, dd;
    tp_program *p;
    float has[N], twice[N];

    cr_assert(tp_with_gradient(softplus, stable, NULL, 1, &x, 1, &y));
    d = tp_grad_of(tp_sum(y, TP_ALL), x);
    dd = tp_grad_of(tp_sum(d, TP_ALL), x);
    p = run(g, x, tp_list(y, d, dd));
    read(p, d, has);
    read(p, dd, twice);
    for (int i = 0; i < N; i++) {
        const double s = 1 / (1 + exp(-(double)numbers[i])), h = 1e-4;
        const double up = log1p(exp((double)numbers[i] + h)), at = log1p(exp((double)numbers[i])),
                     down = log1p(exp((double)numbers[i] - h));
        cr_expect(fabs((double)has[i] - (up - down) / (2 * h)) < 1e-5, "%g", (double)has[i]);
        cr_expect(fabs((double)twice[i] - (up - 2 * at + down) / (h * h)) < 1e-4, "%g",
                  (double)twice[i]);
        cr_expect(fabs((double)twice[i] - s * (1 - s)) < 1e-5, "%g", (double)twice[i]);
    }
    tp_graph_free(g);
}

/* training through it, and inside of a choice */
static void binary(void *user, const tp_tensor x[], tp_tensor y[])
{
    tp_with_gradient(sign, straight, user, 1, x, 1, y);
}

static void plain(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = tp_mul(x[0], 0.5);
}

Test(own_gradient, stands_in_a_choice)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = begin(g, false), y, d;
    float has[N];

    cr_assert(tp_cond(tp_lt(0, tp_sum(x, TP_ALL)), binary, plain, NULL, 1, &x, 1, &y), "%s",
              tp_error(g));
    d = tp_grad_of(tp_sum(y, TP_ALL), x);
    read(run(g, x, tp_list(y, d)), d, has);
    for (int i = 0; i < N; i++)
        cr_expect_eq(has[i], 1, "%g", (double)has[i]);
    tp_graph_free(g);
}

/* Its derivative is a gradient: there is no way forward through it. What it does not read may be.
 */
Test(own_gradient, forward_mode_is_refused)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = begin(g, false), y, d;

    cr_assert(tp_with_gradient(sign, straight, NULL, 1, &x, 1, &y));
    cr_expect(tp_jvp(tp_mul(x, x), 1, &x, &x, &d), "%s", tp_error(g));
    cr_expect(!tp_jvp(y, 1, &x, &x, &d));
    cr_expect(
        strstr(tp_error(g), "own_gradient.c:") &&
            strstr(tp_error(g), "scan: its own derivative is a gradient; expected reverse mode"),
        "%s", tp_error(g));
    cr_expect_eq(tp_status(g), 2);
    tp_graph_free(g);
}
