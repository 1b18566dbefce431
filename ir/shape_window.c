/*
 * Shape rules of convolutions and of windows. All speak of the same map: output o along an axis
 * sees input o * stride - lo + tap * dilation. The rows that go back (conv_input, conv_weight,
 * window_spread, window_place) are told the extents they go back to, and check that these lead
 * here.
 */
#include "ir/rules.h"

#define FAR ((int64_t)1 << 31) /* windows, strides, paddings stay below */

int64_t ir_window_extent(int64_t in, int64_t window, int64_t stride, int64_t lo, int64_t hi,
                         int64_t dilation)
{
    int64_t reach, all;

    if (in < 0 || window < 1 || stride < 1 || dilation < 1 || lo < 0 || hi < 0 ||
        __builtin_mul_overflow(window - 1, dilation, &reach) ||
        __builtin_add_overflow(in, lo, &all) || __builtin_add_overflow(all, hi, &all) ||
        reach >= all)
        return -1;
    return (all - reach - 1) / stride + 1;
}

/* The extents of `axes` windowed axes; attr lists: stride, pad, dilation from `first` on. */
static bool windows(struct ir_graph *g, struct ir_node *n, int first, int axes, const int64_t *in,
                    const int64_t *window, int64_t *out)
{
    if (!ir_rule_list(g, n, first, axes, 1, FAR) ||
        !ir_rule_list(g, n, first + 1, 2 * axes, 0, FAR) ||
        !ir_rule_list(g, n, first + 2, axes, 1, FAR))
        return false;
    for (int i = 0; i < axes; i++) {
        const int64_t *pad = n->attr[first + 1].at + 2 * i;
        if (!ir_dim_fixed(in[i]) || !ir_dim_fixed(window[i]))
            return ir_refuse(g, n,
                             "a symbolic extent along windowed axis %d of %s; expected a "
                             "number",
                             i, ir_shown(g, n, 0));
        out[i] = ir_window_extent(in[i], window[i], n->attr[first].at[i], pad[0], pad[1],
                                  n->attr[first + 2].at[i]);
        if (out[i] < 0)
            return ir_refuse(g, n,
                             "window %lld (dilation %lld) over axis %d with %lld elements, "
                             "padding %lld and %lld; expected that it fits",
                             (long long)window[i], (long long)n->attr[first + 2].at[i], i,
                             (long long)in[i], (long long)pad[0], (long long)pad[1]);
    }
    return true;
}

static bool fixed(const struct ir_shape *s, int from)
{
    for (int i = from; i < s->rank; i++)
        if (!ir_dim_fixed(s->dim[i]))
            return false;
    return true;
}

static bool groups(struct ir_graph *g, struct ir_node *n, int64_t ci, int64_t co, int64_t inside)
{
    int64_t count;

    if (!ir_rule_list(g, n, 3, 1, 1, FAR))
        return false;
    count = n->attr[3].at[0];
    if (ci % count || co % count || (inside >= 0 && inside != ci / count))
        return ir_refuse(g, n,
                         "%s and %s in %lld groups; expected x [n ci s..], w [co ci/groups "
                         "k..] and groups that divide both",
                         ir_shown(g, n, 0), ir_shown(g, n, 1), (long long)count);
    return true;
}

/* Both arguments: one type of number, one rank of 3 to 5, fixed but for the first axis. */
static bool images(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0), *b = ir_arg(g, n, 1);

    if (!ir_rule_kind(g, n, 0, 'N') || !ir_rule_same(g, n, 0, 1))
        return false;
    n->dtype = a->dtype;
    n->shape.rank = a->shape.rank;
    if (a->shape.rank < 3 || a->shape.rank > 5 || b->shape.rank != a->shape.rank)
        return ir_refuse(g, n, "%s and %s; expected both of rank 3, 4 or 5", ir_shown(g, n, 0),
                         ir_shown(g, n, 1));
    if (!fixed(&a->shape, 1) || !fixed(&b->shape, n->op == IR_conv_weight ? 1 : 0))
        return ir_refuse(g, n, "%s and %s; expected fixed extents but for the number of images",
                         ir_shown(g, n, 0), ir_shown(g, n, 1));
    return true;
}

bool ir_shape_of_conv(struct ir_graph *g, struct ir_node *n)
{
    const int64_t *x = ir_arg(g, n, 0)->shape.dim, *w = ir_arg(g, n, 1)->shape.dim;

    if (!images(g, n) || !groups(g, n, x[1], w[0], w[1]))
        return false;
    n->shape.dim[0] = x[0];
    n->shape.dim[1] = w[0];
    return windows(g, n, 0, n->shape.rank - 2, x + 2, w + 2, n->shape.dim + 2);
}

/* `found` is what the extents in `size` lead to, `want` what the argument has */
static bool leads_here(struct ir_graph *g, struct ir_node *n, int i, int axes, const int64_t *found,
                       const int64_t *want)
{
    for (int axis = 0; axis < axes; axis++)
        if (found[axis] != want[axis])
            return ir_refuse(g, n,
                             "%s: windowed axis %d would be %lld by the given size; expected "
                             "a size that leads to this shape",
                             ir_shown(g, n, i), axis, (long long)found[axis]);
    return true;
}

bool ir_shape_of_conv_input(struct ir_graph *g, struct ir_node *n)
{
    const int64_t *y = ir_arg(g, n, 0)->shape.dim, *w = ir_arg(g, n, 1)->shape.dim;
    int axes = ir_arg(g, n, 0)->shape.rank - 2;
    int64_t out[3], ci;

    if (!images(g, n) || !ir_rule_list(g, n, 3, 1, 1, FAR) ||
        !ir_rule_list(g, n, 4, axes, 0, (int64_t)1 << 47))
        return false;
    if (__builtin_mul_overflow(w[1], n->attr[3].at[0], &ci) || y[1] != w[0])
        return ir_refuse(g, n, "%s and %s; expected y [n co s..] and w [co ci/groups k..]",
                         ir_shown(g, n, 0), ir_shown(g, n, 1));
    if (!groups(g, n, ci, w[0], w[1]) || !windows(g, n, 0, axes, n->attr[4].at, w + 2, out) ||
        !leads_here(g, n, 0, axes, out, y + 2))
        return false;
    n->shape.dim[0] = y[0];
    n->shape.dim[1] = ci;
    for (int i = 0; i < axes; i++)
        n->shape.dim[2 + i] = n->attr[4].at[i];
    return true;
}

bool ir_shape_of_conv_weight(struct ir_graph *g, struct ir_node *n)
{
    const int64_t *x = ir_arg(g, n, 0)->shape.dim, *y = ir_arg(g, n, 1)->shape.dim;
    int axes = ir_arg(g, n, 0)->shape.rank - 2;
    int64_t out[3];

    if (!images(g, n) || !groups(g, n, x[1], y[1], -1) || !ir_rule_list(g, n, 4, axes, 1, FAR))
        return false;
    if (x[0] != y[0])
        return ir_refuse(g, n, "%s and %s; expected as many images", ir_shown(g, n, 0),
                         ir_shown(g, n, 1));
    if (!windows(g, n, 0, axes, x + 2, n->attr[4].at, out) ||
        !leads_here(g, n, 1, axes, out, y + 2))
        return false;
    n->shape.dim[0] = y[1];
    n->shape.dim[1] = x[1] / n->attr[3].at[0];
    for (int i = 0; i < axes; i++)
        n->shape.dim[2 + i] = n->attr[4].at[i];
    return true;
}

/* --- windows of the last axes: attr window, stride, pad, dilation (, size) -------------------- */

/* Checks the window list; *axes: how many of the last axes it speaks of. */
static bool window_list(struct ir_graph *g, struct ir_node *n, int *axes)
{
    int64_t taps = 1;

    *axes = n->attr[0].count;
    if (*axes < 1 || *axes > ir_arg(g, n, 0)->shape.rank)
        return ir_refuse(g, n, "a window of %d axes over %s; expected one axis or more of it",
                         *axes, ir_shown(g, n, 0));
    if (!ir_rule_list(g, n, 0, *axes, 1, FAR))
        return false;
    for (int i = 0; i < *axes; i++)
        if (__builtin_mul_overflow(taps, n->attr[0].at[i], &taps) || taps >= FAR)
            return ir_refuse(g, n, "a window of more than 2^31 taps; expected fewer");
    return true;
}

static bool slid(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0);
    int axes, from;

    n->dtype = a->dtype;
    n->shape = a->shape;
    if (!window_list(g, n, &axes))
        return false;
    from = a->shape.rank - axes;
    return windows(g, n, 1, axes, a->shape.dim + from, n->attr[0].at, n->shape.dim + from);
}

bool ir_shape_of_window(struct ir_graph *g, struct ir_node *n)
{
    return ir_rule_kind(g, n, 0, 'N') && slid(g, n);
}

bool ir_shape_of_window_arg(struct ir_graph *g, struct ir_node *n)
{
    if (!ir_rule_kind(g, n, 0, 'N') || !slid(g, n))
        return false;
    n->dtype = IR_I32;
    return true;
}

static bool taps(struct ir_graph *g, struct ir_node *n, const struct ir_shape *want)
{
    const struct ir_node *b = ir_arg(g, n, 1);

    if (b->dtype != IR_I32 || !ir_same_shape(&b->shape, want))
        return ir_refuse(g, n, "%s and %s; expected i32 taps of window_argmax, one a window",
                         ir_shown(g, n, 0), ir_shown(g, n, 1));
    return true;
}

bool ir_shape_of_pick(struct ir_graph *g, struct ir_node *n)
{
    return slid(g, n) && taps(g, n, &n->shape);
}

bool ir_shape_of_spread(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0);
    int64_t out[IR_RANK];
    int axes, from;

    if (!ir_rule_kind(g, n, 0, 'N') || !window_list(g, n, &axes) ||
        !ir_rule_list(g, n, 4, axes, 0, (int64_t)1 << 47))
        return false;
    from = a->shape.rank - axes;
    n->dtype = a->dtype;
    n->shape = a->shape;
    for (int i = 0; i < axes; i++)
        n->shape.dim[from + i] = n->attr[4].at[i];
    return windows(g, n, 1, axes, n->attr[4].at, n->attr[0].at, out) &&
           leads_here(g, n, 0, axes, out, a->shape.dim + from);
}

bool ir_shape_of_place(struct ir_graph *g, struct ir_node *n)
{
    return ir_shape_of_spread(g, n) && taps(g, n, &ir_arg(g, n, 0)->shape);
}
