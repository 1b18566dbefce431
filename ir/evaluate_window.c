/*
 * Windows of the last axes in the interpreter: sums are contractions with ones, the greatest is
 * found tap by tap.
 */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The windows of a node over the last axes of `in`; returns how many axes. */
static int windows(const struct ir_evaluation *e, const struct ir_node *n,
                   const struct ir_array *in, const struct ir_array *out, struct ir_sliding s[])
{
    const int axes = n->attr[0].count, outer = in->shape.rank - axes;

    for (int i = 0; i < axes; i++)
        s[i] = ir_sliding_of(e, n, i, in->shape.dim[outer + i], out->shape.dim[outer + i],
                             ir_extent(e, n->attr[0].at[i]), 1);
    return axes;
}

/* A walk over the outer axes and, for one tap, the windows in which it lies inside the array. */
static struct ir_walk one_tap(int axes, const struct ir_sliding s[], const int64_t tap[],
                              const struct ir_array *in, int in_walker, const struct ir_array *out,
                              int out_walker)
{
    struct ir_walk w = { .rank = in->shape.rank };
    const int outer = in->shape.rank - axes;
    int64_t si[IR_RANK], so[IR_RANK];

    ir_strides(&in->shape, si);
    ir_strides(&out->shape, so);
    for (int i = 0; i < outer; i++) {
        w.extent[i] = in->shape.dim[i];
        w.stride[in_walker][i] = si[i];
        w.stride[out_walker][i] = so[i];
    }
    for (int i = 0; i < axes; i++)
        ir_sliding_meet(&w, outer + i, &s[i], tap[i], out_walker, so[outer + i], in_walker,
                        si[outer + i]);
    return w;
}

static bool sum_windows(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result, bool spread)
{
    const struct ir_array *in = spread ? result : arg, *out = spread ? arg : result;
    struct ir_sliding s[IR_RANK];
    int64_t tap[IR_RANK] = { 0 };
    const int axes = windows(e, n, in, out, s);
    struct ir_numbers y = { 0 }, a = { 0 };
    const bool ok = ir_numbers_of(e, &y, result, false) && ir_numbers_of(e, &a, arg, true);

    if (ok && ir_any_tap(axes, s))
        do
            ir_multiply_add(ir_is_real(n->dtype), &y, &a, NULL,
                            one_tap(axes, s, tap, in, spread ? 0 : 1, out, spread ? 1 : 0));
        while (ir_next_tap(axes, s, tap));
    if (ok)
        ir_numbers_store(result, &y);
    free(y.exact);
    free(a.exact);
    return ok;
}

bool ir_value_of_window_sum(struct ir_evaluation *e, const struct ir_node *n,
                            const struct ir_array *arg, struct ir_array *result)
{
    return sum_windows(e, n, arg, result, false);
}

bool ir_value_of_window_spread(struct ir_evaluation *e, const struct ir_node *n,
                               const struct ir_array *arg, struct ir_array *result)
{
    return sum_windows(e, n, arg, result, true);
}

/* For each window the number of its greatest tap and that tap's place in `in`; -1 where no tap lies
 * inside. */
static bool greatest(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *in,
                     const struct ir_array *out, int64_t *number, int64_t *place)
{
    struct ir_sliding s[IR_RANK];
    struct ir_numbers x = { 0 };
    int64_t tap[IR_RANK] = { 0 }, t = 0;
    const int axes = windows(e, n, in, out, s);
    const bool is_real = ir_is_real(in->dtype);

    if (!ir_numbers_of(e, &x, in, true))
        return false;
    for (int64_t i = 0; i < ir_count(&out->shape); i++)
        number[i] = place[i] = -1;
    if (ir_any_tap(axes, s))
        do {
            struct ir_walk w = one_tap(axes, s, tap, in, 1, out, 0);

            for (ir_walk_start(&w); !w.done; ir_walk_next(&w)) {
                const int64_t o = w.offset[0], i = w.offset[1], old = place[o];
                const bool better =
                    old < 0 ||
                    (is_real ? !isnan(x.real[old]) && (x.real[i] > x.real[old] || isnan(x.real[i]))
                             : x.exact[i] > x.exact[old]);

                if (better) {
                    number[o] = t;
                    place[o] = i;
                }
            }
            t++;
        } while (ir_next_tap(axes, s, tap));
    free(x.exact);
    return true;
}

static bool max_windows(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const int64_t total = ir_count(&result->shape);
    int64_t *number = malloc(((size_t)total + 1) * 2 * sizeof *number),
            *place = number ? number + total : NULL;
    const size_t bytes = (size_t)ir_dtypes[arg->dtype].bytes;
    const double lowest = -INFINITY;
    bool ok = number ? greatest(e, n, arg, result, number, place) : ir_value_error(e, "no memory");

    for (int64_t i = 0; ok && i < total; i++)
        if (n->op == IR_window_argmax)
            ((int32_t *)result->data)[i] = number[i] < 0 ? 0 : (int32_t)number[i];
        else if (place[i] < 0)
            ir_store_real(result, i, 1, &lowest); /* saturates in integers */
        else
            memcpy((char *)result->data + (size_t)i * bytes,
                   (const char *)arg->data + (size_t)place[i] * bytes, bytes);
    free(number);
    return ok;
}

bool ir_value_of_window_max(struct ir_evaluation *e, const struct ir_node *n,
                            const struct ir_array *arg, struct ir_array *result)
{
    return max_windows(e, n, arg, result);
}

bool ir_value_of_window_argmax(struct ir_evaluation *e, const struct ir_node *n,
                               const struct ir_array *arg, struct ir_array *result)
{
    return max_windows(e, n, arg, result);
}

/* Where tap `number` of the window of which w stands at the start lies in `in`; -1: outside. */
static int64_t picked(const struct ir_array *in, int axes, const struct ir_sliding s[],
                      const struct ir_walk *w, int64_t number)
{
    const int outer = in->shape.rank - axes;
    int64_t stride[IR_RANK], place = w->offset[1];

    ir_strides(&in->shape, stride);
    for (int i = axes; i-- > 0; number /= s[i].window) {
        const int64_t at = ir_sliding_at(&s[i], w->index[outer + i], number % s[i].window);

        if (at < 0 || at >= s[i].in)
            return -1;
        place += at * stride[outer + i];
    }
    return place;
}

/* window_pick copies from a tap of each window, window_place adds to it. */
static bool pick_or_place(struct ir_evaluation *e, const struct ir_node *n,
                          const struct ir_array *arg, struct ir_array *result, bool place)
{
    const struct ir_array *in = place ? result : arg, *out = place ? arg : result;
    struct ir_sliding s[IR_RANK];
    const int axes = windows(e, n, in, out, s), outer = in->shape.rank - axes;
    struct ir_walk w = { .rank = out->shape.rank };
    struct ir_numbers x = { 0 }, y = { 0 };
    int64_t stride[IR_RANK], taps = 1;
    const bool is_real = ir_is_real(n->dtype);
    bool ok = ir_numbers_of(e, &x, arg, true) && ir_numbers_of(e, &y, result, false);

    for (int i = 0; i < axes; i++)
        taps *= s[i].window;
    memcpy(w.extent, out->shape.dim, sizeof out->shape.dim);
    ir_strides(&in->shape, stride);
    memcpy(w.stride[1], stride,
           (size_t)outer * sizeof *stride); /* walker 1: the outer part of the place in `in` */
    ir_walk_start(&w);
    for (int64_t o = 0; ok && !w.done; o++, ir_walk_next(&w)) {
        wide tap;
        int64_t at, to, from;

        ir_load_exact(&tap, arg + 1, NULL, o, 1);
        if (tap < 0 || tap >= taps) {
            ok = ir_value_error(e, "tap %ld; expected 0..%ld", (long)tap, (long)taps - 1);
            break;
        }
        at = picked(in, axes, s, &w, (int64_t)tap);
        to = place ? at : o;
        from = place ? o : at;
        if (at >= 0 && is_real)
            y.real[to] += x.real[from];
        else if (at >= 0)
            y.exact[to] += x.exact[from];
    }
    if (ok)
        ir_numbers_store(result, &y);
    free(x.exact);
    free(y.exact);
    return ok;
}

bool ir_value_of_window_pick(struct ir_evaluation *e, const struct ir_node *n,
                             const struct ir_array *arg, struct ir_array *result)
{
    return pick_or_place(e, n, arg, result, false);
}

bool ir_value_of_window_place(struct ir_evaluation *e, const struct ir_node *n,
                              const struct ir_array *arg, struct ir_array *result)
{
    return pick_or_place(e, n, arg, result, true);
}
