/*
 * What follows an axis in its order, in the interpreter: running sums, products and extremes,
 * linear recurrences, and stable sorting.
 */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>

/* The rows along an axis: row r begins at start(r), its elements are `step` apart. */
struct lines {
    int64_t rows, count, step;
};

static struct lines lines_of(const struct ir_shape *s, int64_t axis)
{
    struct lines l = { .rows = 1, .count = s->dim[axis], .step = 1 };

    for (int i = 0; i < s->rank; i++) {
        l.rows *= i == axis ? 1 : s->dim[i];
        l.step *= i > axis ? s->dim[i] : 1;
    }
    return l;
}

static int64_t line_start(const struct lines *l, int64_t row)
{
    return row / l->step * l->count * l->step + row % l->step;
}

static double next_real(enum ir_op op, double y, double a)
{
    return op == IR_cumsum    ? y + a
           : op == IR_cumprod ? y * a
           : isnan(y)         ? y
           : op == IR_cummax  ? (a > y || isnan(a) ? a : y)
                              : (a < y || isnan(a) ? a : y);
}

static wide next_exact(enum ir_op op, wide y, wide a)
{
    return op == IR_cumsum    ? (wide)((uint64_t)y + (uint64_t)a) /* as good as exact, wrapped */
           : op == IR_cumprod ? (wide)((uint64_t)y * (uint64_t)a)
           : op == IR_cummax  ? (a > y ? a : y)
                              : (a < y ? a : y);
}

bool ir_value_of_cumulate(struct ir_evaluation *e, const struct ir_node *n,
                          const struct ir_array *arg, struct ir_array *result)
{
    const struct lines l = lines_of(&arg->shape, n->attr[0].at[0]);

    (void)e;
    for (int64_t r = 0; r < l.rows; r++) {
        double y = 0, a;
        wide k = 0, b;

        for (int64_t i = 0, at = line_start(&l, r); i < l.count; i++, at += l.step)
            if (ir_is_real(arg->dtype)) {
                ir_load_real(&a, arg, NULL, at, 1);
                y = i ? next_real(n->op, y, a) : a;
                ir_store_real(result, at, 1, &y);
            } else {
                ir_load_exact(&b, arg, NULL, at, 1);
                k = i ? next_exact(n->op, k, b) : b;
                ir_store_exact(result, at, 1, &k);
            }
    }
    return true;
}

bool ir_value_of_recur(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                       struct ir_array *result)
{
    const struct lines l = lines_of(&arg->shape, n->attr[0].at[0]);

    (void)e;
    for (int64_t r = 0; r < l.rows; r++) {
        double y = 0, a, b;
        wide k = 0, p, q;

        for (int64_t i = 0, at = line_start(&l, r); i < l.count; i++, at += l.step)
            if (ir_is_real(arg->dtype)) {
                ir_load_real(&a, arg, NULL, at, 1);
                ir_load_real(&b, arg + 1, NULL, at, 1);
                y = a * y + b;
                ir_store_real(result, at, 1, &y);
            } else {
                ir_load_exact(&p, arg, NULL, at, 1);
                ir_load_exact(&q, arg + 1, NULL, at, 1);
                k = (wide)((uint64_t)p * (uint64_t)k + (uint64_t)q);
                ir_store_exact(result, at, 1, &k);
            }
    }
    return true;
}

/* --- sorting --------------------------------------------------------------------------------- */

struct item {
    double real;
    wide exact;
    int64_t at;
    bool down;
};

static int in_order(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    int before = isnan(a->real) || isnan(b->real) ? !!isnan(a->real) - !!isnan(b->real)
                 : a->real != b->real             ? (a->real > b->real) - (a->real < b->real)
                                                  : (a->exact > b->exact) - (a->exact < b->exact);

    if (before)
        return a->down ? -before : before;
    return (a->at > b->at) - (a->at < b->at);
}

bool ir_value_of_argsort(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    const struct lines l = lines_of(&arg->shape, n->attr[0].at[0]);
    struct item *item = calloc((size_t)l.count + 1, sizeof *item);
    int64_t *to = result->data;

    if (!item)
        return ir_value_error(e, "no memory");
    for (int64_t r = 0; r < l.rows; r++) {
        const int64_t start = line_start(&l, r);

        for (int64_t i = 0; i < l.count; i++) {
            item[i] = (struct item){ .at = i, .down = n->attr[1].count != 0 };
            if (ir_is_real(arg->dtype))
                ir_load_real(&item[i].real, arg, NULL, start + i * l.step, 1);
            else
                ir_load_exact(&item[i].exact, arg, NULL, start + i * l.step, 1);
        }
        qsort(item, (size_t)l.count, sizeof *item, in_order);
        for (int64_t i = 0; i < l.count; i++)
            to[start + i * l.step] = item[i].at;
    }
    free(item);
    return true;
}
