/*
 * movement: views, and the few operations that pick elements by indices.
 *
 * PyTorch's conventions (negative axes, -1 for an extent, stops past the end) end here; the IR sees
 * plain axes and extents.
 */
#include <string.h>

#include "frontend/frontend.h"

/* Counts a negative axis from the end; `count` is one more than the greatest allowed. */
bool tp_axis(tp_tensor x, int64_t *axis, int count, const char *what, tp_loc at)
{
    if (*axis >= -count && *axis < count) {
        *axis += *axis < 0 ? count : 0;
        return true;
    }
    tp_fail(x.g, at, what, "axis %lld of %s; expected %d to %d", (long long)*axis, tp_describe(x),
            -count, count - 1);
    return false;
}

tp_tensor tp_along(tp_tensor vector, int axis, int rank, tp_loc at)
{
    tp_shape shape = { .rank = rank };

    for (int i = 0; i < rank; i++)
        shape.dim[i] = i == axis ? tp_dim(vector, 0) : 1;
    return tp_reshape_at(vector, shape, at);
}

tp_shape tp_with(tp_tensor x, int axis, int64_t extent)
{
    tp_shape shape = tp_shape_of(x);

    shape.dim[axis] = extent;
    return shape;
}

tp_tensor tp_index_along(tp_graph *g, tp_shape shape, int axis, tp_loc at)
{
    if (!tp_ready(g, at, "tp_arange", 0, NULL))
        return POISON(g);
    return tp_give(g, ir_iota(g->ir, IR_I64, tp_ir_shape(shape), axis, tp_place(g, at)));
}

tp_tensor tp_moved(tp_tensor x, int from, int to, tp_loc at)
{
    tp_shape axes = { .rank = tp_rank(x) };
    int next = 0;

    for (int i = 0; i < axes.rank; i++) {
        if (next == from)
            next++;
        axes.dim[i] = i == to ? from : next++;
    }
    return tp_permute_at(x, axes, at);
}

static tp_tensor attr_op(tp_tensor x, enum ir_op op, int lists, const int64_t *const list[],
                         const int count[], tp_loc at)
{
    struct ir_list attr[IR_ATTRS] = { { 0 } };
    ir_val v = tp_val(x);

    for (int i = 0; i < lists; i++)
        attr[i] = (struct ir_list){ .count = count[i], .at = list[i] };
    return tp_give(x.g, ir_op_attr(x.g->ir, op, 1, &v, attr, tp_place(x.g, at)));
}

tp_tensor tp_reshape_at(tp_tensor x, tp_shape shape, tp_loc at)
{
    struct ir_shape to = tp_ir_shape(shape);

    if (!tp_ready(x.g, at, "tp_reshape", 1, &x))
        return POISON(x.g);
    if (shape.rank < 0 || shape.rank > IR_RANK)
        return tp_fail(x.g, at, "tp_reshape", "%d axes; expected at most %d", shape.rank, IR_RANK);
    return tp_give(x.g, ir_reshape(x.g->ir, tp_val(x), to, tp_place(x.g, at)));
}

tp_tensor tp_permute_at(tp_tensor x, tp_shape axes, tp_loc at)
{
    if (!tp_ready(x.g, at, "tp_permute", 1, &x))
        return POISON(x.g);
    if (axes.rank != tp_rank(x))
        return tp_fail(x.g, at, "tp_permute", "%d axes for %s; expected %d", axes.rank,
                       tp_describe(x), tp_rank(x));
    for (int i = 0; i < axes.rank; i++)
        if (!tp_axis(x, &axes.dim[i], axes.rank, "tp_permute", at))
            return POISON(x.g);
    return tp_give(x.g, ir_permute(x.g->ir, tp_val(x), axes.dim, tp_place(x.g, at)));
}

tp_tensor tp_transpose_at(tp_tensor x, int a, int b, tp_loc at)
{
    tp_shape axes = { .rank = tp_rank(x) };
    int64_t first = a, second = b;

    if (!tp_ready(x.g, at, "tp_transpose", 1, &x) ||
        !tp_axis(x, &first, axes.rank, "tp_transpose", at) ||
        !tp_axis(x, &second, axes.rank, "tp_transpose", at))
        return POISON(x.g);
    for (int i = 0; i < axes.rank; i++)
        axes.dim[i] = i == first ? second : i == second ? first : i;
    return tp_permute_at(x, axes, at);
}

tp_tensor tp_expand_at(tp_tensor x, tp_shape shape, tp_loc at)
{
    struct ir_shape to = tp_ir_shape(shape);

    if (!tp_ready(x.g, at, "tp_expand", 1, &x))
        return POISON(x.g);
    if (shape.rank < tp_rank(x) || shape.rank > IR_RANK)
        return tp_fail(x.g, at, "tp_expand", "%s to %d axes; expected %d to %d", tp_describe(x),
                       shape.rank, tp_rank(x), IR_RANK);
    for (int i = 0; i < tp_rank(x); i++) {
        int64_t *dim = &to.dim[to.rank - tp_rank(x) + i];
        *dim = *dim == -1 ? tp_node(x)->shape.dim[i] : *dim;
    }
    return tp_give(x.g, ir_expand(x.g->ir, tp_val(x), to, tp_place(x.g, at)));
}

/* Extents to the user's sense: negative counts from the end, beyond the ends is the end. */
static int64_t bound(int64_t i, int64_t extent)
{
    i += i < 0 ? extent : 0;
    return i < 0 ? 0 : i > extent ? extent : i;
}

tp_tensor tp_cut(tp_tensor x, int axis, int64_t start, int64_t stop, tp_loc at)
{
    return tp_slice_at(x, axis, start, (tp_slice_args){ .stop = stop }, at);
}

static tp_tensor slice(tp_tensor x, int64_t axis, int64_t start, int64_t stop, int64_t step,
                       tp_loc at)
{
    const struct ir_shape *s = &tp_node(x)->shape;
    int64_t starts[IR_RANK], stops[IR_RANK], steps[IR_RANK];
    const int64_t *const lists[] = { starts, stops, steps };
    const int counts[] = { s->rank, s->rank, s->rank };

    for (int i = 0; i < s->rank; i++) {
        starts[i] = i == axis ? start : 0;
        stops[i] = i == axis ? stop : s->dim[i];
        steps[i] = i == axis ? step : 1;
    }
    return attr_op(x, IR_slice, 3, lists, counts, at);
}

/* Python's x[start:stop:-n]; TP_ALL: from the last one, through the first. */
static tp_tensor backwards(tp_tensor x, int64_t axis, int64_t start, int64_t stop, int64_t step,
                           tp_loc at)
{
    const int64_t extent = tp_node(x)->shape.dim[axis];
    int64_t count, last;

    if (!ir_dim_fixed(extent) || step < -extent - 1) {
        if (ir_dim_fixed(extent) && step > INT64_MIN / 2)
            step = -extent - 1; /* picks the first only, as any longer one */
        else
            return tp_fail(x.g, at, "tp_slice",
                           "step %lld along axis %d of %s; expected a known extent",
                           (long long)step, (int)axis, tp_describe(x));
    }
    start = start == TP_ALL ? extent - 1 : start < 0 ? start + extent : start;
    stop = stop == TP_ALL ? -1 : stop < 0 ? stop + extent : stop;
    start = start < -1 ? -1 : start > extent - 1 ? extent - 1 : start;
    stop = stop < -1 ? -1 : stop > extent - 1 ? extent - 1 : stop;
    count = start > stop ? (start - stop - step - 1) / -step : 0;
    last = count ? start + (count - 1) * step : 0;
    return tp_flip_at(slice(x, axis, last, count ? start + 1 : 0, -step, at), tp_dims(axis), at);
}

tp_tensor tp_slice_at(tp_tensor x, int axis, int64_t start, tp_slice_args args, tp_loc at)
{
    int64_t a = axis, stop = args.stop, extent;

    if (!tp_ready(x.g, at, "tp_slice", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_slice", at))
        return POISON(x.g);
    extent = tp_node(x)->shape.dim[a];
    if (args.step < 0)
        return backwards(x, a, start, stop, args.step, at);
    if (ir_dim_fixed(extent)) {
        start = bound(start, extent);
        stop = bound(stop, extent);
        stop = stop < start ? start : stop;
    } else if (stop == TP_ALL) {
        stop = extent;
    }
    return slice(x, a, start, stop, args.step ? args.step : 1, at);
}

tp_tensor tp_narrow_at(tp_tensor x, int axis, int64_t start, int64_t length, tp_loc at)
{
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_narrow", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_narrow", at))
        return POISON(x.g);
    return slice(x, a, start, ir_dim_add(x.g->ir, length, start), 1, at);
}

tp_tensor tp_index_at(tp_tensor x, int axis, int64_t i, tp_loc at)
{
    int64_t a = axis, extent;
    tp_shape to;

    if (!tp_ready(x.g, at, "tp_index", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_index", at))
        return POISON(x.g);
    extent = tp_node(x)->shape.dim[a];
    if (ir_dim_fixed(extent)) {
        if (i < -extent || i >= extent)
            return tp_fail(x.g, at, "tp_index", "%lld of axis %d of %s; expected %lld to %lld",
                           (long long)i, (int)a, tp_describe(x), (long long)-extent,
                           (long long)extent - 1);
        i += i < 0 ? extent : 0;
    }
    to = tp_shape_of(x);
    to.rank--;
    memmove(to.dim + a, to.dim + a + 1, (size_t)(to.rank - a) * sizeof *to.dim);
    return tp_reshape_at(slice(x, a, i, i + 1, 1, at), to, at);
}

tp_tensor tp_flip_at(tp_tensor x, tp_shape axes, tp_loc at)
{
    int64_t sorted[IR_RANK];
    const int64_t *const lists[] = { sorted };
    bool chosen[IR_RANK] = { false };
    int count = 0;

    if (!tp_ready(x.g, at, "tp_flip", 1, &x))
        return POISON(x.g);
    for (int i = 0; i < axes.rank; i++) {
        if (!tp_axis(x, &axes.dim[i], tp_rank(x), "tp_flip", at))
            return POISON(x.g);
        chosen[axes.dim[i]] = true;
    }
    for (int i = 0; i < tp_rank(x); i++)
        if (chosen[i])
            sorted[count++] = i;
    return attr_op(x, IR_flip, 1, lists, &count, at);
}

tp_tensor tp_concat_at(int axis, tp_list list, tp_loc at)
{
    tp_graph *g = tp_graph_of(list.count, list.at);
    struct ir_list attr[IR_ATTRS] = { { 0 } };
    int64_t a = axis;
    ir_val *args;

    if (!tp_ready(g, at, "tp_concat", list.count, list.at))
        return POISON(g);
    for (int i = 0; i < list.count; i++)
        if (!list.at[i].g)
            return tp_fail(g, at, "tp_concat", "argument %d is a number; expected a tensor", i + 1);
    if (!tp_axis(list.at[0], &a, tp_rank(list.at[0]), "tp_concat", at))
        return POISON(g);
    args = ir_alloc(g->ir->arena, (size_t)list.count * sizeof *args);
    for (int i = 0; i < list.count; i++)
        args[i] = tp_val(list.at[i]);
    attr[0] = (struct ir_list){ .count = 1, .at = &a };
    return tp_give(g, ir_op_attr(g->ir, IR_concat, list.count, args, attr, tp_place(g, at)));
}

tp_tensor tp_stack_at(int axis, tp_list list, tp_loc at)
{
    tp_graph *g = tp_graph_of(list.count, list.at);
    tp_tensor *wide;

    if (!tp_ready(g, at, "tp_stack", list.count, list.at))
        return POISON(g);
    wide = ir_alloc(g->ir->arena, (size_t)list.count * sizeof *wide);
    for (int i = 0; i < list.count; i++)
        wide[i] = tp_unsqueeze_at(list.at[i], axis, at);
    return tp_concat_at(axis, (tp_list){ list.count, wide }, at);
}
