#include "support_gradient.h"

#include <math.h>
#include <string.h>

static const struct ir_loc at = { "gradient", 1 };

ir_val gradient_sum(struct random_case *c, enum ir_dtype dtype)
{
    struct ir_graph *g = c->graph;
    ir_val all = { 0 };

    for (int i = 0; i < c->graph->output_count; i++) {
        const ir_val y = g->outputs[i].value;
        const struct ir_shape shape = ir_at(g, y)->shape;
        int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };

        if (ir_at(g, y)->dtype != dtype)
            continue;
        const ir_val weight = ir_state(g, ir_format(c->arena, "weight%d", i), dtype, shape,
                                       IR_INIT_UNIFORM, -1, 1, at);
        const ir_val sum =
            ir_reduce(g, IR_sum, ir_op2(g, IR_mul, y, weight, at), shape.rank, axes, at);
        all = all.id ? ir_op2(g, IR_add, all, sum, at) : sum;
    }
    return all;
}

int gradient_inputs(const struct random_case *c, enum ir_dtype dtype, ir_val *wrt)
{
    int n = 0;

    for (uint32_t v = 1; v < c->graph->count && n < RANDOM_INPUTS; v++)
        if (c->graph->nodes[v].op == IR_input && c->graph->nodes[v].dtype == dtype)
            wrt[n++] = (ir_val){ v };
    return n;
}

static int64_t elements(const struct ir_array *a)
{
    int64_t n = 1;

    for (int i = 0; i < a->shape.rank; i++)
        n *= a->shape.dim[i];
    return n;
}

/* Adds step * direction to the inputs; returns sum(direction * gradient) over them. */
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

bool gradient_is_slope(struct random_case *c, ir_val sum, int n, const ir_val *wrt,
                       const struct ir_array *grad, double *slope, struct ir_text *why)
{
    static const double steps[] = { 1e-6, 1e-5, 1e-7 }; /* a jump may lie within one of them */
    double difference = 0, rise = 0, rises[3];

    for (int i = 0; i < 3; i++) {
        const double step = steps[i];
        double after, before;

        *slope = move(c, step, wrt, grad, n);
        after = value(c, sum);
        move(c, -2 * step, wrt, grad, n);
        before = value(c, sum);
        move(c, step, wrt, grad, n);
        rise = rises[i] = after - before;
        difference = rise / (2 * step);
        if (fabs(*slope - difference) <=
            1e-5 * (1 + fabs(*slope)) + 1e-15 * fabs(after) / step + 1e-4 * fabs(*slope) * (i == 1))
            return true;
    }
    /* The same rise over a tenth of the way: a jump, not a slope. */
    if (fabs(rises[0] - rise) < 1e-3 * fabs(rise))
        return true;
    ir_put(why, "the slope is %.9g; a finite difference says %.9g", *slope, difference);
    return false;
}
