/*
 * tp_while: as often as the test says and no more, compiled, eager and interpreted; the derivative
 * is by the steps that ran.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"

/* carry: the number, its root so far, and how many steps it took */
static tp_tensor far(void *user, const tp_tensor c[])
{
    (void)user;
    return tp_gt(tp_abs(tp_sub(tp_square(c[1]), c[0])), 1e-9);
}

static void newton(void *user, tp_tensor c[], const tp_tensor x[], tp_tensor y[])
{
    (void)user, (void)x, (void)y;
    c[1] = tp_mul(tp_add(c[1], tp_div(c[0], c[1])), 0.5);
    c[2] = tp_add(c[2], 1);
}

static int steps_of(double number)
{
    double root = number;
    int n = 0;

    for (; fabs(root * root - number) > 1e-9; n++)
        root = 0.5 * (root + number / root);
    return n;
}

static void root_of(tp_graph *g, tp_tensor a, tp_tensor carry[3])
{
    carry[0] = carry[1] = a;
    carry[2] = tp_zeros(g, TP_I32, TP_SCALAR);
    cr_assert(tp_while(g, far, newton, NULL, 3, carry, 40), "%s", tp_error(g));
}

static void roots_in_a_program(void)
{
    static const double numbers[] = { 1, 2, 9, 1234.5 };
    tp_graph *g = tp_graph_new(1);
    const tp_tensor a = tp_input(g, "a", TP_F64, TP_SCALAR);
    tp_tensor carry[3], da;
    tp_program *p;

    root_of(g, a, carry);
    da = tp_grad_of(carry[1], a);
    p = tp_compile_eval(g, carry[1], carry[2], da);
    cr_assert(p, "%s", tp_error(g));
    for (int i = 0; i < 4; i++) {
        *(double *)tp_buffer(p, a, NULL) = numbers[i];
        cr_assert(tp_run(p));
        cr_expect(fabs(tp_get(p, carry[1]) - sqrt(numbers[i])) < 1e-8 * sqrt(numbers[i]));
        cr_expect_eq(tp_get(p, carry[2]), steps_of(numbers[i]), "%g steps of %g",
                     tp_get(p, carry[2]), numbers[i]);
        /* of no step at all the derivative is that of the start */
        cr_expect(fabs(tp_get(p, da) - (i ? 0.5 / sqrt(numbers[i]) : 1)) < 1e-8, "%g of %g",
                  tp_get(p, da), numbers[i]);
    }
    tp_graph_free(g);
}

Test(loops, go_on_until_the_test_says_no)
{
    roots_in_a_program();
    setenv("TAPER_ENGINE", "interpreter", 1);
    roots_in_a_program();
}

Test(loops, are_the_same_in_an_eager_graph)
{
    tp_graph *g = tp_eager_new(1);
    const tp_tensor a = tp_param(g, "a", TP_SCALAR, TP_CONSTANT(9), .dtype = TP_F64);
    tp_tensor carry[3];

    root_of(g, a, carry);
    cr_expect(fabs(tp_item(carry[1]) - 3) < 1e-8 && tp_item(carry[2]) == steps_of(9));
    cr_assert(tp_backward(carry[1]), "%s", tp_error(g));
    cr_expect(fabs(tp_item(tp_gradient(a)) - 1.0 / 6) < 1e-8);
    cr_expect_null(tp_error(g));
    tp_graph_free(g);
}

static tp_tensor always(void *user, const tp_tensor c[])
{
    (void)user;
    return tp_ge(tp_square(c[0]), 0);
}

static void doubled(void *user, tp_tensor c[], const tp_tensor x[], tp_tensor y[])
{
    (void)x, (void)y;
    c[0] = tp_mul(c[0], *(const tp_tensor *)user);
}

/* The bound ends what the test does not; a parameter from outside learns by all of the steps. */
Test(loops, end_at_the_bound)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor w = tp_param(g, "w", TP_SCALAR, TP_CONSTANT(2));
    tp_tensor x = tp_ones(g, TP_F32, TP_SCALAR), dw;
    tp_program *p;

    cr_assert(tp_while(g, always, doubled, (void *)&w, 1, &x, 7), "%s", tp_error(g));
    dw = tp_grad_of(x, w);
    p = tp_compile_eval(g, x, dw);
    cr_assert(p && tp_run(p), "%s", tp_error(g));
    cr_expect_eq(tp_get(p, x), 128);
    cr_expect_eq(tp_get(p, dw), 7 * 64);
    cr_expect(tp_gradcheck(x, 1, &w), "%s", tp_error(g));
    tp_graph_free(g);
}

static tp_tensor no_truth(void *user, const tp_tensor c[])
{
    (void)user;
    return c[0];
}

Test(loops, refuse_what_is_no_test)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, TP_SCALAR), w = x, once = x;

    cr_expect_not(tp_while(g, no_truth, doubled, &w, 1, &x, 7));
    cr_expect(strstr(tp_error(g), "while.c:") && strstr(tp_error(g), "expected one truth value"),
              "%s", tp_error(g));
    tp_clear_error(g);
    cr_expect_not(tp_while(g, always, doubled, &w, 1, &once, 0));
    cr_expect(strstr(tp_error(g), "at most 0 times"), "%s", tp_error(g));
    tp_graph_free(g);
}
