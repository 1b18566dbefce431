/*
 * Sources and reductions in the interpreter. A reduction is a walk over its argument in which the
 * result stands still along some axes.
 */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- sources --------------------------------------------------------------------------------- */

bool ir_value_of_constant(struct ir_evaluation *e, const struct ir_node *n,
                          const struct ir_array *arg, struct ir_array *result)
{
    const wide exact = n->attr[0].at[0];
    double real;

    (void)e, (void)arg;
    memcpy(&real, &n->attr[0].at[0], sizeof real);
    for (int64_t i = 0; i < ir_count(&result->shape); i++)
        if (ir_is_real(n->dtype))
            ir_store_real(result, i, 1, &real);
        else
            ir_store_exact(result, i, 1, &exact);
    return true;
}

bool ir_value_of_size(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    const wide extent = ir_extent(e, n->attr[0].at[0]);

    (void)arg;
    ir_store_exact(result, 0, 1, &extent);
    return true;
}

bool ir_value_of_iota(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    const int64_t axis = n->attr[0].at[0];
    int64_t stride[IR_RANK];

    (void)e, (void)arg;
    ir_strides(&result->shape, stride);
    for (int64_t i = 0; i < ir_count(&result->shape); i++) {
        const wide index = i / stride[axis] % result->shape.dim[axis];

        ir_store_exact(result, i, 1, &index);
    }
    return true;
}

/*
 * Element i is word i % 4 of Philox with the key a and the counter { i / 4, stream, b }, a and b in
 * two halves, low first: 2^34 words a stream. Elements are counted as they lie at the symbols'
 * bounds, so that one has the same word however far a symbolic extent goes.
 */
static int64_t place_of(const struct ir_graph *g, const struct ir_shape *bound,
                        const struct ir_shape *now, int64_t i)
{
    int64_t place = 0, pitch = 1;

    for (int axis = now->rank; axis-- > 0; i /= now->dim[axis]) {
        place += i % now->dim[axis] * pitch;
        pitch *= ir_dim_max(g, bound->dim[axis]);
    }
    return place;
}

bool ir_value_of_bits(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    const int64_t a = *(const int64_t *)arg[0].data, b = *(const int64_t *)arg[1].data,
                  total = ir_count(&result->shape);
    const uint32_t key[2] = { (uint32_t)a, (uint32_t)((uint64_t)a >> 32) };
    uint32_t word[4];

    for (int64_t i = 0, last = -1; i < total; i++) {
        const int64_t place = place_of(e->graph, &n->shape, &result->shape, i);
        const uint32_t counter[4] = { (uint32_t)(place / 4),
                                      (uint32_t)(n->attr[0].count ? n->attr[0].at[0] : 0),
                                      (uint32_t)b, (uint32_t)((uint64_t)b >> 32) };
        wide w;

        if (place / 4 != last)
            ir_philox(word, key, counter);
        last = place / 4;
        w = word[place % 4];
        ir_store_exact(result, i, 1, &w);
    }
    return true;
}

/* --- reductions ------------------------------------------------------------------------------ */

static double start_real(enum ir_op op)
{
    return op == IR_prod ? 1 : op == IR_amax ? -INFINITY : op == IR_amin ? INFINITY : 0;
}

static double step_real(enum ir_op op, double y, double a)
{
    switch (op) {
    case IR_sum:
        return y + a;
    case IR_prod:
        return y * a;
    case IR_amax:
        return a > y || isnan(a) ? a : y;
    default: /* amin */
        return a < y || isnan(a) ? a : y;
    }
}

static wide start_exact(enum ir_op op, enum ir_dtype type)
{
    const int bits = type == IR_BOOL ? 1 : 8 * ir_dtypes[type].bytes;
    const bool signs = ir_dtypes[type].kind == 'i';

    switch (op) {
    case IR_prod:
    case IR_all:
        return 1;
    case IR_amax: /* of nothing: the least of the type */
        return signs ? -((wide)1 << (bits - 1)) : 0;
    case IR_amin:
        return ((wide)1 << (signs ? bits - 1 : bits)) - 1;
    default:
        return 0;
    }
}

static wide step_exact(enum ir_op op, wide y, wide a)
{
    switch (op) {
    case IR_sum:
        return y + a; /* fewer than 2^63 of less than 2^64 */
    case IR_prod:
        return (wide)((uint64_t)y * (uint64_t)a); /* as good as exact once it is wrapped */
    case IR_amax:
        return a > y ? a : y;
    case IR_amin:
        return a < y ? a : y;
    case IR_all:
        return y && a;
    default: /* any */
        return y || a;
    }
}

/* A walk over a in which walker 0 is the element of the result it belongs to. */
static struct ir_walk reducing(const struct ir_node *n, const struct ir_array *a)
{
    struct ir_walk w = { .rank = a->shape.rank };
    bool gone[IR_RANK] = { false };
    int64_t step = 1;

    for (int i = 0; i < n->attr[0].count; i++)
        gone[n->attr[0].at[i]] = true;
    for (int i = w.rank; i-- > 0;) {
        w.extent[i] = a->shape.dim[i];
        if (!gone[i]) {
            w.stride[0][i] = step;
            step *= a->shape.dim[i];
        }
    }
    ir_walk_start(&w);
    return w;
}

bool ir_value_of_reduce(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const int64_t total = ir_count(&result->shape);
    const bool is_real = ir_is_real(arg->dtype);
    struct ir_walk w = reducing(n, arg);
    wide *exact = malloc(((size_t)total + 1) * sizeof *exact);
    double *real = (double *)exact;

    if (!exact)
        return ir_value_error(e, "no memory");
    for (int64_t i = 0; i < total; i++)
        if (is_real)
            real[i] = start_real(n->op);
        else
            exact[i] = start_exact(n->op, arg->dtype);
    for (int64_t i = 0; !w.done; i++, ir_walk_next(&w)) {
        const int64_t to = w.offset[0];
        double x;
        wide k;

        if (is_real) {
            ir_load_real(&x, arg, NULL, i, 1);
            real[to] = step_real(n->op, real[to], x);
        } else {
            ir_load_exact(&k, arg, NULL, i, 1);
            exact[to] = step_exact(n->op, exact[to], k);
        }
    }
    if (is_real)
        ir_store_real(result, 0, total, real);
    else
        ir_store_exact(result, 0, total, exact);
    free(exact);
    return true;
}

bool ir_value_of_arg(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                     struct ir_array *result)
{
    const int64_t total = ir_count(&result->shape);
    const bool flat = n->attr[0].count == 0, real = ir_is_real(arg->dtype);
    struct ir_walk w = reducing(n, arg);
    int64_t *best = malloc(((size_t)total + 1) * sizeof *best), *to = result->data;

    if (!best)
        return ir_value_error(e, "no memory");
    if (flat)
        memset(w.stride[0], 0, sizeof w.stride[0]);
    if (total > 0 && w.done) {
        free(best);
        return ir_value_error(e, "of no elements");
    }
    for (int64_t i = 0; i < total; i++)
        best[i] = -1;
    for (int64_t i = 0; !w.done; i++, ir_walk_next(&w)) {
        const int64_t o = w.offset[0];
        bool better = best[o] < 0;

        if (!better && real) {
            double x[2];

            ir_load_real(x, arg, (int64_t[]){ i, best[o] }, 0, 2);
            better =
                !isnan(x[1]) && (isnan(x[0]) || (n->op == IR_argmax ? x[0] > x[1] : x[0] < x[1]));
        } else if (!better) {
            wide x[2];

            ir_load_exact(x, arg, (int64_t[]){ i, best[o] }, 0, 2);
            better = n->op == IR_argmax ? x[0] > x[1] : x[0] < x[1];
        }
        if (better) {
            best[o] = i;
            to[o] = flat ? i : w.index[n->attr[0].at[0]];
        }
    }
    free(best);
    return true;
}
