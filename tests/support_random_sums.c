/*
 * Random graphs: reductions, contractions and windows.
 */
#include "support_random.h"

#include <math.h>
#include <string.h>

/* --- reductions ------------------------------------------------------------------------------ */

static double elements_along(const struct random_maker *m, const struct ir_node *n,
                             struct ir_list axes)
{
    double all = 1;

    for (int i = 0; i < axes.count; i++)
        all *= (double)ir_dim_max(m->g, n->shape.dim[axes.at[i]]);
    return all;
}

bool random_reduce(struct random_maker *m, enum ir_op op)
{
    const bool arg = op == IR_argmax || op == IR_argmin, truth = op == IR_all || op == IR_any;
    struct random_value a = random_pick(m, truth ? 'B' : 'N', arg);
    struct ir_list axes = random_axes(m, random_node(m, a.v)->shape.rank);
    double n, size;

    if (arg && axes.count > 1)
        axes.count = (int)random_below(m, 2);
    if (op == IR_prod)
        a = random_within(m, a, 1.25);
    n = elements_along(m, random_node(m, a.v), axes);
    if (op == IR_prod && n > 12 && random_kind(m, a.v) == 'f')
        return false;
    size = op == IR_sum ? a.size * n : op == IR_prod ? pow(a.size, n) : arg ? ELEMENTS : a.size;
    return random_keep(m, ir_op_attr(m->g, op, 1, &a.v, &axes, random_here(m)), size,
                       a.exact && (random_kind(m, a.v) != 'f' || (op != IR_sum && op != IR_prod)));
}

/* --- contractions ---------------------------------------------------------------------------- */

bool random_dot(struct random_maker *m)
{
    struct random_value a = random_pick(m, random_chance(m, 80) ? 'F' : 'N', false);
    struct ir_shape s = random_node(m, a.v)->shape, t = { 0 };
    char text[64], *c = text, batch[IR_RANK + 1] = "", summed[IR_RANK + 1] = "",
                   free_a[IR_RANK + 1] = "", extra[3] = "";
    double n = 1;

    if (s.rank == 0 || s.rank > 4)
        return false;
    for (int i = 0; i < s.rank; i++) {
        const int role = (int)random_below(m, 3);
        char *const part = role == 0 ? batch : role == 1 ? summed : free_a;

        part[strlen(part)] = (char)('a' + i);
        n *= role == 1 ? (double)ir_dim_max(m->g, s.dim[i]) : 1;
        *c++ = (char)('a' + i);
    }
    for (int i = 0; i < (int)random_below(m, 3); i++)
        extra[i] = (char)('x' + i);
    *c++ = ',';
    for (const char *p = batch; *p; p++, t.rank++)
        t.dim[t.rank] = s.dim[*p - 'a'], *c++ = *p;
    if (random_chance(m, 50))
        for (const char *p = extra; *p; p++, t.rank++)
            t.dim[t.rank] = m->extent[1 + random_below(m, 4)], *c++ = *p;
    for (const char *p = summed; *p; p++, t.rank++)
        t.dim[t.rank] = s.dim[*p - 'a'], *c++ = *p;
    for (const char *p = extra; *p && !memchr(text, *p, (size_t)(c - text)); p++, t.rank++)
        t.dim[t.rank] = m->extent[1 + random_below(m, 4)], *c++ = *p;
    {
        const bool swapped = random_chance(m, 30);
        const char *second = swapped ? extra : free_a, *third = swapped ? free_a : extra;

        c += snprintf(c, 30, "->%s%s%s", batch, second, third);
    }
    *c = 0;
    if (ir_elements(m->g, &t) > ELEMENTS)
        return false;
    struct random_value b = random_input(m, random_node(m, a.v)->dtype, t);
    const ir_val y = ir_dot(m->g, a.v, b.v, ir_format(m->g->arena, "%s", text), random_here(m));
    if (y.id && ir_elements(m->g, &random_node(m, y)->shape) > 4 * ELEMENTS)
        return false;
    return random_keep(m, y, random_kind(m, a.v) == 'f' ? a.size * b.size * n : INFINITY,
                       a.exact && random_kind(m, a.v) != 'f');
}

/* A picture [n c s..] of some axes: a value of the pool in another shape, or an input. */
static struct random_value picture(struct random_maker *m, int axes, int64_t channels,
                                   enum ir_dtype dtype)
{
    struct ir_shape s = { 2 + axes,
                          { m->options.symbolic && random_chance(m, 50) ? m->extent[0]
                                                                        : 1 + random_below(m, 3),
                            channels } };

    for (int i = 0; i < axes; i++)
        s.dim[2 + i] = 1 + random_below(m, axes == 1 ? 17 : axes == 2 ? 9 : 5);
    for (int tries = 0; tries < 10; tries++) {
        const struct random_value *v = &m->pool[random_below(m, m->count)];
        const struct ir_shape *shape = &random_node(m, v->v)->shape;
        bool fine = random_node(m, v->v)->dtype == dtype && shape->rank == 2 + axes;

        for (int i = 1; fine && i < shape->rank; i++)
            fine = shape->dim[i] > 0 && (i > 1 || shape->dim[i] % channels == 0);
        if (fine)
            return *v;
    }
    return random_input(m, dtype, s);
}

/* Strides, paddings and dilations that a window has over extents; false where it does not fit. */
static bool draw_window(struct random_maker *m, int axes, const int64_t *in, int64_t *window,
                        int64_t *out, struct ir_list attr[3])
{
    int64_t stride[3], pad[6], dilation[3];

    for (int i = 0; i < axes; i++) {
        window[i] = 1 + random_below(m, 3);
        stride[i] = 1 + random_below(m, 2);
        dilation[i] = random_chance(m, 25) ? 2 : 1;
        for (int side = 0; side < 2; side++)
            pad[2 * i + side] =
                random_chance(m, 40) ? random_below(m, (window[i] - 1) * dilation[i] + 1) : 0;
        out[i] =
            ir_window_extent(in[i], window[i], stride[i], pad[2 * i], pad[2 * i + 1], dilation[i]);
        if (out[i] < 1)
            return false;
    }
    attr[0] = random_list(m, axes, stride);
    attr[1] = random_list(m, 2 * axes, pad);
    attr[2] = random_list(m, axes, dilation);
    return true;
}

/* Whether every window has a tap inside the extents: the greatest of none is no number. */
static bool touches(int axes, const int64_t *in, const int64_t *window, const int64_t *out,
                    const struct ir_list attr[3])
{
    for (int i = 0; i < axes; i++)
        for (int64_t o = 0; o < out[i]; o++) {
            bool inside = false;
            for (int64_t t = 0; t < window[i] && !inside; t++) {
                const int64_t at = o * attr[0].at[i] - attr[1].at[2 * i] + t * attr[2].at[i];
                inside = at >= 0 && at < in[i];
            }
            if (!inside)
                return false;
        }
    return true;
}

bool random_convolution(struct random_maker *m, enum ir_op op)
{
    const int axes = 1 + (int)random_below(m, 3);
    const int64_t groups = random_chance(m, 25) ? 2 : 1;
    struct random_value x = picture(m, axes, groups, random_draw_dtype(m, 'F')), y, w;
    struct ir_shape xs = random_node(m, x.v)->shape, ws, ys;
    struct ir_list attr[5];
    int64_t window[3], out[3];
    double n;

    if (!draw_window(m, axes, xs.dim + 2, window, out, attr))
        return false;
    ws = (struct ir_shape){ 2 + axes, { groups * (1 + random_below(m, 4)), xs.dim[1] / groups } };
    memcpy(ws.dim + 2, window, sizeof window);
    ys = (struct ir_shape){ 2 + axes, { xs.dim[0], ws.dim[0] } };
    memcpy(ys.dim + 2, out, sizeof *out * (size_t)axes);
    for (int i = 2 + axes; i < IR_RANK; i++)
        ws.dim[i] = ys.dim[i] = 0;
    if (ir_elements(m->g, &ys) > 2 * ELEMENTS || ir_elements(m->g, &xs) > 2 * ELEMENTS)
        return false;
    attr[3] = random_list(m, 1, &groups);
    attr[4] = op == IR_conv_input ? random_list(m, axes, xs.dim + 2) : random_list(m, axes, window);
    w = op == IR_conv_weight ? x : random_input(m, random_node(m, x.v)->dtype, ws);
    y = op == IR_conv ? x : random_input(m, random_node(m, x.v)->dtype, ys);
    n = op == IR_conv_weight
            ? (double)ir_elements(m->g, &ys) / (double)ys.dim[1]
            : (double)ir_elements(m->g, &ws) / (double)ws.dim[op == IR_conv ? 0 : 1];
    return random_keep(m,
                       ir_op_attr(m->g, op, 2,
                                  op == IR_conv         ? (ir_val[]){ x.v, w.v }
                                  : op == IR_conv_input ? (ir_val[]){ y.v, w.v }
                                                        : (ir_val[]){ x.v, y.v },
                                  attr, random_here(m)),
                       4 * n * x.size / 2, false);
}

bool random_windows(struct random_maker *m, enum ir_op op)
{
    const int axes = 1 + (int)random_below(m, 2);
    const bool transposed = op == IR_window_spread || op == IR_window_place,
               taps = op == IR_window_pick || op == IR_window_place;
    struct random_value x = random_pick(m, 'N', op == IR_window_argmax), y, tap;
    const struct ir_node *n = random_node(m, x.v);
    const int outer = n->shape.rank - axes;
    struct ir_shape ys = n->shape;
    struct ir_list attr[5];
    int64_t window[3], out[3], all = 1;

    if (outer < 0)
        return false;
    for (int i = outer; i < n->shape.rank; i++)
        if (n->shape.dim[i] < 1)
            return false;
    if (!draw_window(m, axes, n->shape.dim + outer, window, out, attr + 1))
        return false;
    if ((op == IR_window_max || op == IR_window_argmax) &&
        !touches(axes, n->shape.dim + outer, window, out, attr + 1))
        return false;
    attr[0] = random_list(m, axes, window);
    attr[4] = random_list(m, axes, n->shape.dim + outer);
    memcpy(ys.dim + outer, out, sizeof *out * (size_t)axes);
    y = transposed ? random_input(m, n->dtype, ys) : x;
    for (int i = 0; i < axes; i++)
        all *= window[i];
    tap = taps ? random_input(m, IR_I32, ys) : y;
    if (taps) /* any number becomes a tap */
        tap.v = random_op2(m, IR_mod, tap.v, ir_integer(m->g, IR_I32, all, random_here(m)));
    return random_keep(
        m, ir_op_attr(m->g, op, taps ? 2 : 1, (ir_val[]){ y.v, tap.v }, attr, random_here(m)),
        op == IR_window_argmax
            ? (double)all
            : y.size * (double)(op == IR_window_max || op == IR_window_pick ? 1 : all),
        y.exact && (op != IR_window_sum || random_kind(m, y.v) != 'f') &&
            (!transposed || random_kind(m, y.v) != 'f'));
}
