/*
 * Contractions in the interpreter: sums of products.
 *
 * A convolution is, for each tap of its window, a sum of products over a box: output position o
 * meets input position o * stride - pad + tap * dilation, so each array is walked by fixed strides.
 * conv, conv_input and conv_weight are one trilinear form whose target differs.
 */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

/* --- sums of products ------------------------------------------------------------------------ */

bool ir_numbers_of(struct ir_evaluation *e, struct ir_numbers *s, const struct ir_array *a,
                   bool load)
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

void ir_numbers_store(struct ir_array *to, const struct ir_numbers *s)
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
void ir_multiply_add(bool is_real, const struct ir_numbers *y, const struct ir_numbers *a,
                     const struct ir_numbers *b, struct ir_walk w)
{
    const int last = --w.rank;
    const int64_t n = last < 0 ? 1 : w.extent[last];
    const int64_t sy = last < 0 ? 0 : w.stride[0][last], sa = last < 0 ? 0 : w.stride[1][last],
                  sb = last < 0 ? 0 : w.stride[2][last];

    w.rank = last < 0 ? 0 : last;
    for (ir_walk_start(&w); !w.done; ir_walk_next(&w)) {
        const int64_t oy = w.offset[0], oa = w.offset[1], ob = w.offset[2];

        if (is_real && sy == 0) {
            double sum = y->real[oy];
            for (int64_t i = 0; i < n; i++)
                sum += a->real[oa + i * sa] * (b ? b->real[ob + i * sb] : 1);
            y->real[oy] = sum;
        } else if (is_real)
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
    struct ir_numbers y = { 0 }, a = { 0 }, b = { 0 };
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
    ok = ir_numbers_of(e, &y, result, false) && ir_numbers_of(e, &a, arg, true) &&
         ir_numbers_of(e, &b, arg + 1, true);
    if (ok) {
        ir_multiply_add(ir_is_real(result->dtype), &y, &a, &b, w);
        ir_numbers_store(result, &y);
    }
    free(y.exact);
    free(a.exact);
    free(b.exact);
    return ok;
}

/* --- windows --------------------------------------------------------------------------------- */

struct ir_sliding ir_sliding_of(const struct ir_evaluation *e, const struct ir_node *n, int axis,
                                int64_t in, int64_t out, int64_t window, int stride_attr)
{
    return (struct ir_sliding){ .in = in,
                                .out = out,
                                .window = window,
                                .stride = ir_extent(e, n->attr[stride_attr].at[axis]),
                                .lo = ir_extent(e, n->attr[stride_attr + 1].at[2 * axis]),
                                .dilation = ir_extent(e, n->attr[stride_attr + 2].at[axis]) };
}

int64_t ir_sliding_at(const struct ir_sliding *s, int64_t out, int64_t tap)
{
    return out * s->stride - s->lo + tap * s->dilation;
}

/* Limits axis `axis` of w to the outputs whose tap lies inside the array; sets strides and offsets
 * of the walkers on both sides. */
void ir_sliding_meet(struct ir_walk *w, int axis, const struct ir_sliding *s, int64_t tap,
                     int out_walker, int64_t out_stride, int in_walker, int64_t in_stride)
{
    int64_t first = 0, beyond = s->out;

    while (first < beyond && ir_sliding_at(s, first, tap) < 0)
        first++;
    while (beyond > first && ir_sliding_at(s, beyond - 1, tap) >= s->in)
        beyond--;
    w->extent[axis] = beyond - first;
    w->stride[out_walker][axis] = out_stride;
    w->offset[out_walker] += first * out_stride;
    w->stride[in_walker][axis] = in_stride * s->stride;
    w->offset[in_walker] += ir_sliding_at(s, first, tap) * in_stride;
}

/* Row-major over the taps of the window; false at the end. tap starts at zeros. */
bool ir_next_tap(int axes, const struct ir_sliding *s, int64_t *tap)
{
    for (int i = axes; i-- > 0; tap[i] = 0)
        if (++tap[i] < s[i].window)
            return true;
    return false;
}

bool ir_any_tap(int axes, const struct ir_sliding *s)
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
    struct ir_numbers number[3] = { 0 }; /* by walker */
    struct ir_sliding s[IR_RANK];
    bool ok = true;

    for (int f = 0; f < 3; f++)
        ok = ok && ir_numbers_of(e, &number[walker[f]], form[f], f != target);
    ir_strides(&form[X]->shape, sx);
    ir_strides(&form[W]->shape, sw);
    ir_strides(&form[Y]->shape, sy);
    for (int i = 0; i < axes; i++)
        s[i] = ir_sliding_of(e, n, i, x[2 + i], y[2 + i], k[2 + i], 0);
    if (ok && ir_any_tap(axes, s))
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
                ir_sliding_meet(&w, 4 + i, &s[i], tap[i], walker[Y], sy[2 + i], walker[X],
                                sx[2 + i]);
                w.offset[walker[W]] += tap[i] * sw[2 + i];
            }
            ir_multiply_add(ir_is_real(n->dtype), &number[0], &number[1], &number[2], w);
        } while (ir_next_tap(axes, s, tap));
    if (ok)
        ir_numbers_store((struct ir_array *)form[target], &number[0]);
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
