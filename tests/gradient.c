/*
 * Gradients of random graphs against finite differences: along a random direction d, the slope of
 * the outputs' weighted sum L is sum(gradient * d), and (L(x + e d) - L(x - e d)) / 2e says the
 * same.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"

static const struct ir_loc at = { "gradient", 1 };

/* The sum of all floating outputs, each element with a weight of its own; poison where there is
 * none. */
static ir_val weighted_sum(struct random_case *c)
{
    struct ir_graph *g = c->graph;
    ir_val all = { 0 };

    for (int i = 0; i < c->graph->output_count; i++) {
        const ir_val y = g->outputs[i].value;
        const struct ir_shape shape = ir_at(g, y)->shape;
        int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };

        if (ir_at(g, y)->dtype != IR_F64)
            continue;
        const ir_val weight = ir_state(g, ir_format(c->arena, "weight%d", i), IR_F64, shape,
                                       IR_INIT_UNIFORM, -1, 1, at);
        const ir_val sum =
            ir_reduce(g, IR_sum, ir_op2(g, IR_mul, y, weight, at), shape.rank, axes, at);
        all = all.id ? ir_op2(g, IR_add, all, sum, at) : sum;
    }
    return all;
}

static int64_t elements(const struct ir_array *a)
{
    int64_t n = 1;

    for (int i = 0; i < a->shape.rank; i++)
        n *= a->shape.dim[i];
    return n;
}

/* Adds step * direction to the floating inputs; returns sum(direction * gradient) over them. */
static double move(struct random_case *c, double step, const ir_val *wrt,
                   const struct ir_array *grad, int n)
{
    double slope = 0;

    for (int b = 0; b < c->bindings; b++) {
        const struct ir_array *a = &c->binding[b].array;

        for (int k = 0; k < n; k++)
            if (strcmp(ir_at(c->graph, wrt[k])->text, c->binding[b].name) == 0)
                for (int64_t i = 0; i < elements(a); i++) {
                    const double direction = sin((double)(i * 7 + b) * 1.3 + 0.5);

                    ((double *)a->data)[i] += step * direction;
                    slope += direction * ((double *)grad[k].data)[i];
                }
    }
    return slope;
}

static double value(struct random_case *c, ir_val sum)
{
    struct ir_array a;

    return ir_evaluate(c->graph, c->bindings, c->binding, 1, &sum, &a, c->arena, &c->error)
               ? *(double *)a.data
               : (double)NAN;
}

static bool agrees(struct random_case *c, void *user, struct ir_text *why)
{
    static const double steps[] = { 1e-6, 1e-5, 1e-7 }; /* a jump may lie within one of them */
    const ir_val sum = weighted_sum(c);
    ir_val wrt[RANDOM_INPUTS], grad[RANDOM_INPUTS];
    struct ir_array gradient[RANDOM_INPUTS];
    double slope = 0, difference = 0, rise = 0, rises[3];
    int n = 0;

    for (uint32_t v = 1; v < c->graph->count && n < RANDOM_INPUTS; v++)
        if (c->graph->nodes[v].op == IR_input && c->graph->nodes[v].dtype == IR_F64)
            wrt[n++] = (ir_val){ v };
    if (sum.id == 0 || n == 0)
        return true;
    if (!pass_gradients(c->graph, 1, &sum, NULL, n, wrt, grad) ||
        !ir_evaluate(c->graph, c->bindings, c->binding, n, grad, gradient, c->arena, &c->error)) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        const double step = steps[i];
        double after, before;

        slope = move(c, step, wrt, gradient, n);
        after = value(c, sum);
        move(c, -2 * step, wrt, gradient, n);
        before = value(c, sum);
        move(c, step, wrt, gradient, n);
        rise = rises[i] = after - before;
        difference = rise / (2 * step);
        if (fabs(slope - difference) <=
            1e-5 * (1 + fabs(slope)) + 1e-15 * fabs(after) / step + 1e-4 * fabs(slope) * (i == 1)) {
            *(int *)user += fabs(slope) > 1e-3;
            return true;
        }
    }
    /* The same rise over a tenth of the way, and over a hundredth of that: a jump, not a slope. */
    if (fabs(rises[0] - rise) < 1e-3 * fabs(rise) && fabs(rises[1] - rise) < 0.1 * fabs(rise))
        return true;
    ir_put(why, "the slope is %.9g; a finite difference says %.9g", slope, difference);
    return false;
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
