/*
 * Gradients of random graphs against finite differences, with respect to all floating inputs
 * together. tests/rows.c does the same row by row.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"
#include "support_gradient.h"

static bool agrees(struct random_case *c, void *user, struct ir_text *why)
{
    const ir_val sum = gradient_sum(c, IR_F64);
    ir_val wrt[RANDOM_INPUTS], grad[RANDOM_INPUTS];
    struct ir_array gradient[RANDOM_INPUTS];
    double slope = 0;
    const int n = gradient_inputs(c, IR_F64, wrt);

    if (sum.id == 0 || n == 0)
        return true;
    if (!pass_gradients(c->graph, 1, &sum, NULL, n, wrt, grad) ||
        !ir_evaluate(c->graph, c->bindings, c->binding, n, grad, gradient, c->arena, &c->error)) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    if (!gradient_is_slope(c, sum, n, wrt, gradient, &slope, why))
        return false;
    *(int *)user += fabs(slope) > 1e-3;
    return true;
}

Test(gradient, of_random_graphs_equals_finite_differences)
{
    const uint64_t seeds = support_long() ? 5000 : 300;
    int looked_at = 0;

    for (uint64_t seed = 0; seed < seeds; seed++)
        cr_expect(random_holds(agrees, &looked_at, seed,
                               &(struct random_options){ .smooth = true, .symbolic = seed & 1 }),
                  "seed %lu", (unsigned long)seed);
    cr_expect(looked_at > (int)seeds / 2, "%d graphs have a slope", looked_at);
}
