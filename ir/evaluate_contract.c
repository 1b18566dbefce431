/*
 * Contractions and windows in the interpreter.
 *
 * A convolution is, for each tap of its window, a sum of products over a box: output position o
 * meets input position o * stride - pad + tap * dilation, so each array is walked by fixed strides.
 * conv, conv_input and conv_weight are one trilinear form whose target differs; window_sum and
 * window_spread are the same with a window of ones.
 */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- sums of products
 * --------------------------------------------------------------------------------------- */

/* The elements of an array for arithmetic: doubles, or exact integers. */
struct numbers {
    double *real;
    wide *exact;
};

static bool numbers(struct ir_evaluation *e, struct numbers *s, const struct ir_array *a, bool load)
{
    const int64_t n = ir_count(&a->shape);

    s->exact = calloc((size_t)n + 1, ir_is_real(a->dtype) ? sizeof *s->real : sizeof *s->exact);
    s->real = (double *)s->exact;
    if (!s->exact)
        return ir_value_error(e, "no memory");
    if (load && ir_is_real(a->dtype))
        ir_load_real(s->real, a, NULL, 0, n);
    else if (load)
        ir_load_exact(s->exact, a, NULL, 0, n);
    return true;
}

static void store(struct ir_array *to, const struct numbers *s)
{
    if (ir_is_real(to->dtype))
        ir_store_real(to, 0, ir_count(&to->shape), s->real);
    else
        ir_store_exact(to, 0, ir_count(&to->shape), s->exact);
}

/*
 * y += a * b over the box of w; walkers 0, 1, 2 are y, a, b. b may be NULL: ones. The last axis is
 * a plain loop. Integers multiply modulo 2^64, which is as good as exact once the sum is wrapped.
 */
static void multiply_add(bool is_real, const struct numbers *y, const struct numbers *a,
                         const struct numbers *b, struct ir_walk w)
{
    const int last = --w.rank;
    const int64_t n = last < 0 ? 1 : w.extent[last];
    const int64_t sy = last < 0 ? 0 : w.stride[0][last], sa = last < 0 ? 0 : w.stride[1][last],
                  sb = last < 0 ? 0 : w.stride[2][last];

    w.rank = last < 0 ? 0 : last;
    for (ir_walk_start(&w); !w.done; ir_walk_next(&w)) {
        const int64_t oy = w.offset[0], oa = w.offset[1], ob = w.offset[2];

        if (is_real)
            for (int64_t i = 0; i < n; i++)
                y->real[oy + i * sy] += a->real[oa + i * sa] * (b ? b->real[ob + i * sb] : 1);
        else
            for (int64_t i = 0; i < n; i++)
                y->exact[oy + i * sy] = (wide)((uint64_t)y->exact[oy + i * sy] +
                                               (uint64_t)a->exact[oa + i * sa] *
                                                   (b ? (uint64_t)b->exact[ob + i * sb] : 1));
    }
}

bool ir_value_of_dot(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                     struct ir_array *result)
{
    const struct ir_array *operand[3] = { result, arg, arg + 1 };
    const char *c = n->text;
    const char *part[3]; /* letters of the result, a, b */
    struct ir_walk w = { 0 };
    struct numbers y = { 0 }, a = { 0 }, b = { 0 };
    int axis_of[128];
    int64_t stride[IR_RANK];
    bool ok;

    part[1] = c;
    part[2] = strchr(c, ',') + 1;
    part[0] = strstr(c, "->") + 2;
    memset(axis_of, -1, sizeof axis_of);
    for (int p = 0; p < 3; p++) { /* the result's letters first: contracted ones are inside */
        ir_strides(&operand[p]->shape, stride);
        for (int i = 0; i < operand[p]->shape.rank; i++) {
            int *axis = &axis_of[part[p][i] & 127];

            if (*axis < 0) {
                *axis = w.rank++;
                w.extent[*axis] = operand[p]->shape.dim[i];
            }
            w.stride[p][*axis] += stride[i];
        }
    }
    ok =
        numbers(e, &y, result, false) && numbers(e, &a, arg, true) && numbers(e, &b, arg + 1, true);
    if (ok) {
        multiply_add(ir_is_real(result->dtype), &y, &a, &b, w);
        store(result, &y);
    }
    free(y.exact);
    free(a.exact);
    free(b.exact);
    return ok;
}

/* --- windows
 * --------------------------------------------------------------------------------------------------
 */

/* How positions of windows (out) meet positions of the windowed array (in) along one axis. */
struct sliding {
    int64_t in, out, window, stride, lo, dilation;
};

static struct sliding sliding(const struct ir_evaluation *e, const struct ir_node *n, int axis,
                              int64_t in, int64_t out, int64_t window, int stride_attr)
{
    return (struct sliding){ .in = in,
                             .out = out,
                             .window = window,
                             .stride = ir_extent(e, n->attr[stride_attr].at[axis]),
                             .lo = ir_extent(e, n->attr[stride_attr + 1].at[2 * axis]),
                             .dilation = ir_extent(e, n->attr[stride_attr + 2].at[axis]) };
}

static int64_t position(const struct sliding *s, int64_t out, int64_t tap)
{
    return out * s->stride - s->lo + tap * s->dilation;
}

/* Limits axis `axis` of w to the outputs whose tap lies inside the array; sets strides and offsets
 * of the walkers on both sides. */
static void meet(struct ir_walk *w, int axis, const struct sliding *s, int64_t tap, int out_walker,
                 int64_t out_stride, int in_walker, int64_t in_stride)
{
    int64_t first = 0, beyond = s->out;

    while (first < beyond && position(s, first, tap) < 0)
        first++;
    while (beyond > first && position(s, beyond - 1, tap) >= s->in)
        beyond--;
    w->extent[axis] = beyond - first;
    w->stride[out_walker][axis] = out_stride;
    w->offset[out_walker] += first * out_stride;
    w->stride[in_walker][axis] = in_stride * s->stride;
    w->offset[in_walker] += position(s, first, tap) * in_stride;
}

/* Row-major over the taps of the window; false at the end. tap starts at zeros. */
static bool next_tap(int axes, const struct sliding *s, int64_t *tap)
{
    for (int i = axes; i-- > 0; tap[i] = 0)
        if (++tap[i] < s[i].window)
            return true;
    return false;
}

static bool any_tap(int axes, const struct sliding *s)
{
    for (int i = 0; i < axes; i++)
        if (s[i].window <= 0)
            return false;
    return true;
}

/* x [n ci s..], w [co ci/groups k..], y [n co o..]; target: which of the three is summed up. */
enum { Y, X, W };
static bool convolve(struct ir_evaluation *e, const struct ir_node *n,
                     const struct ir_array *const form[3], int target)
{
    const int axes = form[Y]->shape.rank - 2;
    const int64_t *x = form[X]->shape.dim, *k = form[W]->shape.dim, *y = form[Y]->shape.dim;
    const int64_t groups = n->attr[3].at[0];
    int64_t sx[IR_RANK], sw[IR_RANK], sy[IR_RANK], tap[IR_RANK] = { 0 };
    const int walker[3] = { target == Y ? 0 : 1,
                            target == X   ? 0
                            : target == Y ? 1
                                          : 2,
                            target == W ? 0 : 2 };
    struct numbers number[3] = { 0 }; /* by walker */
    struct sliding s[IR_RANK];
    bool ok = true;

    for (int f = 0; f < 3; f++)
        ok = ok && numbers(e, &number[walker[f]], form[f], f != target);
    ir_strides(&form[X]->shape, sx);
    ir_strides(&form[W]->shape, sw);
    ir_strides(&form[Y]->shape, sy);
    for (int i = 0; i < axes; i++)
        s[i] = sliding(e, n, i, x[2 + i], y[2 + i], k[2 + i], 0);
    if (ok && any_tap(axes, s))
        do {
            struct ir_walk w = { .rank = 4 + axes,
                                 .extent = { groups, x[0], y[1] / groups, k[1] } };
            int64_t *dx = w.stride[walker[X]], *dw = w.stride[walker[W]], *dy = w.stride[walker[Y]];

            dx[0] = k[1] * sx[1];
            dw[0] = y[1] / groups * sw[0];
            dy[0] = y[1] / groups * sy[1];
            dx[1] = sx[0];
            dy[1] = sy[0];
            dw[2] = sw[0];
            dy[2] = sy[1];
            dx[3] = sx[1];
            dw[3] = sw[1];
            for (int i = 0; i < axes; i++) {
                meet(&w, 4 + i, &s[i], tap[i], walker[Y], sy[2 + i], walker[X], sx[2 + i]);
                w.offset[walker[W]] += tap[i] * sw[2 + i];
            }
            multiply_add(ir_is_real(n->dtype), &number[0], &number[1], &number[2], w);
        } while (next_tap(axes, s, tap));
    if (ok)
        store((struct ir_array *)form[target], &number[0]);
    for (int f = 0; f < 3; f++)
        free(number[f].exact);
    return ok;
}

bool ir_value_of_conv(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    return convolve(e, n, (const struct ir_array *[]){ [Y] = result, [X] = arg, [W] = arg + 1 }, Y);
}

bool ir_value_of_conv_input(struct ir_evaluation *e, const struct ir_node *n,
                            const struct ir_array *arg, struct ir_array *result)
{
    return convolve(e, n, (const struct ir_array *[]){ [Y] = arg, [X] = result, [W] = arg + 1 }, X);
}

bool ir_value_of_conv_weight(struct ir_evaluation *e, const struct ir_node *n,
                             const struct ir_array *arg, struct ir_array *result)
{
    return convolve(e, n, (const struct ir_array *[]){ [Y] = arg + 1, [X] = arg, [W] = result }, W);
}

/* The windows of a node over the last axes of `in`; returns how many axes. */
static int windows(const struct ir_evaluation *e, const struct ir_node *n,
                   const struct ir_array *in, const struct ir_array *out, struct sliding s[])
{
    const int axes = n->attr[0].count, outer = in->shape.rank - axes;

    for (int i = 0; i < axes; i++)
        s[i] = sliding(e, n, i, in->shape.dim[outer + i], out->shape.dim[outer + i],
                       ir_extent(e, n->attr[0].at[i]), 1);
    return axes;
}

/* A walk over the outer axes and, for one tap, the windows in which it lies inside the array. */
static struct ir_walk one_tap(int axes, const struct sliding s[], const int64_t tap[],
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
        meet(&w, outer + i, &s[i], tap[i], out_walker, so[outer + i], in_walker, si[outer + i]);
    return w;
}

static bool sum_windows(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result, bool spread)
{
    const struct ir_array *in = spread ? result : arg, *out = spread ? arg : result;
    struct sliding s[IR_RANK];
    int64_t tap[IR_RANK] = { 0 };
    const int axes = windows(e, n, in, out, s);
    struct numbers y = { 0 }, a = { 0 };
    const bool ok = numbers(e, &y, result, false) && numbers(e, &a, arg, true);

    if (ok && any_tap(axes, s))
        do
            multiply_add(ir_is_real(n->dtype), &y, &a, NULL,
                         one_tap(axes, s, tap, in, spread ? 0 : 1, out, spread ? 1 : 0));
        while (next_tap(axes, s, tap));
    if (ok)
        store(result, &y);
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
    struct sliding s[IR_RANK];
    struct numbers x = { 0 };
    int64_t tap[IR_RANK] = { 0 }, t = 0;
    const int axes = windows(e, n, in, out, s);
    const bool is_real = ir_is_real(in->dtype);

    if (!numbers(e, &x, in, true))
        return false;
    for (int64_t i = 0; i < ir_count(&out->shape); i++)
        number[i] = place[i] = -1;
    if (any_tap(axes, s))
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
        } while (next_tap(axes, s, tap));
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
static int64_t picked(const struct ir_array *in, int axes, const struct sliding s[],
                      const struct ir_walk *w, int64_t number)
{
    const int outer = in->shape.rank - axes;
    int64_t stride[IR_RANK], place = w->offset[1];

    ir_strides(&in->shape, stride);
    for (int i = axes; i-- > 0; number /= s[i].window) {
        const int64_t at = position(&s[i], w->index[outer + i], number % s[i].window);

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
    struct sliding s[IR_RANK];
    const int axes = windows(e, n, in, out, s), outer = in->shape.rank - axes;
    struct ir_walk w = { .rank = out->shape.rank };
    struct numbers x = { 0 }, y = { 0 };
    int64_t stride[IR_RANK], taps = 1;
    const bool is_real = ir_is_real(n->dtype);
    bool ok = numbers(e, &x, arg, true) && numbers(e, &y, result, false);

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
        store(result, &y);
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
