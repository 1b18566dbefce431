/*
 * movement_axes: axes that come, go, split and change places; the elements stay in their order or
 * in the order of the axes.
 */
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_flatten_at(tp_tensor x, tp_flatten_args a, tp_loc at)
{
    struct ir_shape to = { 0 };
    int64_t first = a.from, last = a.to ? a.to : -1, size = 1;

    if (!tp_ready(x.g, at, "tp_flatten", 1, &x))
        return POISON(x.g);
    if (tp_rank(x) == 0) /* PyTorch makes it one element */
        return tp_reshape_at(x, tp_dims(1), at);
    to = tp_node(x)->shape;
    if (!tp_axis(x, &first, to.rank, "tp_flatten", at) ||
        !tp_axis(x, &last, to.rank, "tp_flatten", at))
        return POISON(x.g);
    if (last < first)
        return tp_fail(x.g, at, "tp_flatten", "axes %d to %d of %s; expected them in order",
                       (int)first, (int)last, tp_describe(x));
    for (int i = (int)first; i <= last; i++)
        size = ir_dim_mul(x.g->ir, size, to.dim[i]);
    memmove(to.dim + first + 1, to.dim + last + 1, (size_t)(to.rank - 1 - last) * sizeof *to.dim);
    to.rank -= (int)(last - first);
    to.dim[first] = size;
    return tp_give(x.g, ir_reshape(x.g->ir, tp_val(x), to, tp_place(x.g, at)));
}

tp_tensor tp_unflatten_at(tp_tensor x, int axis, tp_shape dims, tp_loc at)
{
    tp_shape to;
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_unflatten", 1, &x) ||
        !tp_axis(x, &a, tp_rank(x), "tp_unflatten", at))
        return POISON(x.g);
    to = tp_shape_of(x);
    if (dims.rank < 1 || dims.rank > IR_RANK + 1 - to.rank)
        return tp_fail(x.g, at, "tp_unflatten", "%s with %d axes more; expected at most %d",
                       tp_describe(x), dims.rank - 1, IR_RANK);
    for (int i = 0; i < dims.rank; i++) /* -1 is told from the axis alone, not from all of x */
        if (dims.dim[i] == -1) {
            int64_t others = 1;

            for (int j = 0; j < dims.rank; j++)
                others = j == i ? others : ir_dim_mul(x.g->ir, others, dims.dim[j]);
            dims.dim[i] = ir_dim_div(x.g->ir, to.dim[a], others);
            if (dims.dim[i] == -1)
                return tp_fail(x.g, at, "tp_unflatten",
                               "axis %d of %s; expected that the other "
                               "extents divide it",
                               (int)a, tp_describe(x));
        }
    memmove(to.dim + a + dims.rank, to.dim + a + 1, (size_t)(to.rank - a - 1) * sizeof *to.dim);
    memcpy(to.dim + a, dims.dim, (size_t)dims.rank * sizeof *to.dim);
    to.rank += dims.rank - 1;
    return tp_reshape_at(x, to, at);
}

tp_tensor tp_squeeze_at(tp_tensor x, int64_t dim, tp_loc at)
{
    struct tp_axes axes;
    tp_shape from, to = { 0 };

    if (!tp_ready(x.g, at, "tp_squeeze", 1, &x) || !tp_choose(x, "tp_squeeze", dim, &axes, at))
        return POISON(x.g);
    from = tp_shape_of(x);
    for (int i = 0, k = 0; i < from.rank; i++) {
        const bool chosen = k < axes.count && axes.at[k] == i;

        k += chosen;
        if (!chosen || from.dim[i] != 1)
            to.dim[to.rank++] = from.dim[i];
    }
    return to.rank == from.rank ? x : tp_reshape_at(x, to, at);
}

tp_tensor tp_unsqueeze_at(tp_tensor x, int axis, tp_loc at)
{
    tp_shape to;
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_unsqueeze", 1, &x) ||
        !tp_axis(x, &a, tp_rank(x) + 1, "tp_unsqueeze", at))
        return POISON(x.g);
    to = tp_shape_of(x);
    if (to.rank == IR_RANK)
        return tp_fail(x.g, at, "tp_unsqueeze", "%s has %d axes already", tp_describe(x), to.rank);
    memmove(to.dim + a + 1, to.dim + a, (size_t)(to.rank - a) * sizeof *to.dim);
    to.dim[a] = 1;
    to.rank++;
    return tp_reshape_at(x, to, at);
}

tp_tensor tp_movedim_at(tp_tensor x, int from, int to, tp_loc at)
{
    int64_t a = from, b = to;

    if (!tp_ready(x.g, at, "tp_movedim", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_movedim", at) ||
        !tp_axis(x, &b, tp_rank(x), "tp_movedim", at))
        return POISON(x.g);
    return tp_moved(x, (int)a, (int)b, at);
}

/* --- one tensor as several ---------------------------------------------------------------------
 */

/* Poison in all of out. */
static bool no_parts(tp_tensor x, int n, tp_tensor out[])
{
    for (int i = 0; i < n; i++)
        out[i] = POISON(x.g);
    return false;
}

bool tp_split_at(tp_tensor x, tp_shape sizes, int axis, tp_tensor out[], tp_loc at)
{
    int64_t a = axis, sum = 0, start = 0;

    if (!tp_ready(x.g, at, "tp_split", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_split", at))
        return no_parts(x, sizes.rank, out);
    for (int i = 0; i < sizes.rank; i++)
        sum = sizes.dim[i] < 0 ? -1 : ir_dim_add(x.g->ir, sum, sizes.dim[i]);
    if (sum != tp_dim(x, (int)a)) {
        tp_fail(x.g, at, "tp_split",
                "axis %d of %s in parts of %lld altogether; expected all of it", (int)a,
                tp_describe(x), (long long)sum);
        return no_parts(x, sizes.rank, out);
    }
    for (int i = 0; i < sizes.rank; i++) {
        out[i] = tp_narrow_at(x, (int)a, start, sizes.dim[i], at);
        start += sizes.dim[i];
    }
    return tp_tell(x.g);
}

int tp_chunk_at(tp_tensor x, int count, int axis, tp_tensor out[], tp_loc at)
{
    int64_t a = axis, extent, size;
    int n = 0;

    if (!tp_ready(x.g, at, "tp_chunk", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_chunk", at))
        return no_parts(x, count, out);
    extent = tp_dim(x, (int)a);
    if (count < 1 || !ir_dim_fixed(extent)) {
        tp_fail(x.g, at, "tp_chunk",
                "%d parts of axis %d of %s; expected 1 or more of a known extent", count, (int)a,
                tp_describe(x));
        return no_parts(x, count, out);
    }
    size = extent ? (extent + count - 1) / count : 1;
    for (int64_t start = 0; start < extent || n == 0; start += size)
        out[n++] =
            tp_narrow_at(x, (int)a, start, extent - start < size ? extent - start : size, at);
    for (int i = n; i < count; i++)
        out[i] = POISON(x.g);
    return tp_tell(x.g) ? n : 0;
}

int tp_unbind_at(tp_tensor x, int axis, int room, tp_tensor out[], tp_loc at)
{
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_unbind", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_unbind", at))
        return no_parts(x, room, out);
    if (!ir_dim_fixed(tp_dim(x, (int)a)) || tp_dim(x, (int)a) > room) {
        tp_fail(x.g, at, "tp_unbind",
                "axis %d of %s; expected at most the %d that there is room for", (int)a,
                tp_describe(x), room);
        return no_parts(x, room, out);
    }
    for (int i = 0; i < tp_dim(x, (int)a); i++)
        out[i] = tp_index_at(x, (int)a, i, at);
    return tp_tell(x.g) ? (int)tp_dim(x, (int)a) : 0;
}
