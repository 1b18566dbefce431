/*
 * movement_diagonal: what lies on, below and above a diagonal. A diagonal of a square is every
 * (n + 1)th element of the flat square, so it is a view.
 */
#include "frontend/frontend.h"

tp_tensor tp_diagonal_at(tp_tensor x, int64_t offset, int axis_a, int axis_b, tp_loc at)
{
    int64_t a = axis_a, b = axis_b, n;
    tp_tensor square;
    tp_shape flat;
    int rank;

    if (!tp_ready(x.g, at, "tp_diagonal", 1, &x) ||
        !tp_axis(x, &a, tp_rank(x), "tp_diagonal", at) ||
        !tp_axis(x, &b, tp_rank(x), "tp_diagonal", at))
        return POISON(x.g);
    if (a == b || !ir_dim_fixed(tp_dim(x, (int)a)) || !ir_dim_fixed(tp_dim(x, (int)b)))
        return tp_fail(x.g, at, "tp_diagonal",
                       "axes %d and %d of %s; expected two of known extents", axis_a, axis_b,
                       tp_describe(x));
    if (offset > tp_dim(x, (int)b) || offset < -tp_dim(x, (int)a))
        return tp_fail(x.g, at, "tp_diagonal", "offset %lld of %s; expected that it is inside",
                       (long long)offset, tp_describe(x));
    rank = tp_rank(x);
    square = tp_moved(tp_moved(x, (int)a, rank - 1, at), (int)(b > a ? b - 1 : b), rank - 1, at);
    square =
        tp_cut(square, offset < 0 ? rank - 2 : rank - 1, offset < 0 ? -offset : offset, TP_ALL, at);
    n = tp_dim(square, -1) < tp_dim(square, -2) ? tp_dim(square, -1) : tp_dim(square, -2);
    square = tp_cut(tp_cut(square, rank - 1, 0, n, at), rank - 2, 0, n, at);
    if (!square.id)
        return square;
    flat = tp_shape_of(square);
    flat.rank = rank - 1;
    flat.dim[rank - 2] = n * n;
    return tp_slice_at(tp_reshape_at(square, flat, at), rank - 2, 0,
                       (tp_slice_args){ .stop = n * n, .step = n + 1 }, at);
}

tp_tensor tp_trace_at(tp_tensor x, tp_loc at)
{
    if (!tp_ready(x.g, at, "tp_trace", 1, &x))
        return POISON(x.g);
    if (tp_rank(x) != 2)
        return tp_fail(x.g, at, "tp_trace", "%s; expected a matrix", tp_describe(x));
    return tp_reduce_at("sum", tp_diagonal_at(x, 0, 0, 1, at), (tp_reduce_args){ .dim = TP_ALL },
                        at);
}

/* column - row <= diagonal (lower) or >= (upper), over the last two axes */
static tp_tensor triangle(tp_graph *g, tp_shape square, int64_t diagonal, bool lower, tp_loc at)
{
    const tp_tensor row = tp_index_along(g, square, 0, at),
                    column = tp_index_along(g, square, 1, at),
                    last = tp_binary_at("add", row, tp_as_number((double)diagonal), at);

    return lower ? tp_binary_at("le", column, last, at) : tp_binary_at("le", last, column, at);
}

tp_tensor tp_triangle_at(const char *what, tp_tensor x, int64_t diagonal, tp_loc at)
{
    const bool lower = what[6] == 'l'; /* tp_tril */
    tp_tensor inside;

    if (!tp_ready(x.g, at, what, 1, &x))
        return POISON(x.g);
    if (tp_rank(x) < 2)
        return tp_fail(x.g, at, what, "%s; expected two axes or more", tp_describe(x));
    inside = triangle(x.g, tp_dims(tp_dim(x, -2), tp_dim(x, -1)), diagonal, lower, at);
    return tp_where_at(inside, x, tp_as_number(0), at);
}

tp_tensor tp_tri_at(tp_graph *g, tp_dtype dtype, int64_t rows, int64_t columns, int64_t diagonal,
                    tp_loc at)
{
    return tp_cast_at(triangle(g, tp_dims(rows, columns), diagonal, true, at), dtype, at);
}

tp_tensor tp_eye_at(tp_graph *g, tp_dtype dtype, int64_t rows, int64_t columns, tp_loc at)
{
    const tp_shape square = tp_dims(rows, columns);

    return tp_cast_at(
        tp_binary_at("eq", tp_index_along(g, square, 0, at), tp_index_along(g, square, 1, at), at),
        dtype, at);
}

tp_tensor tp_diag_at(tp_tensor x, int64_t offset, tp_loc at)
{
    const int64_t most = (int64_t)1 << 31, far = offset < 0 && offset > -most ? -offset : offset;
    tp_shape square, lo, hi;
    tp_tensor wide;

    if (!tp_ready(x.g, at, "tp_diag", 1, &x))
        return POISON(x.g);
    if (offset <= -most || offset >= most)
        return tp_fail(x.g, at, "tp_diag", "offset %lld; expected one under 2^31",
                       (long long)offset);
    if (tp_rank(x) == 2)
        return tp_diagonal_at(x, offset, 0, 1, at);
    if (tp_rank(x) != 1 || !ir_dim_fixed(tp_dim(x, 0)) || far > 1 << 24)
        return tp_fail(x.g, at, "tp_diag", "%s; expected a vector of known extent, or a matrix",
                       tp_describe(x));
    square = tp_dims(tp_dim(x, 0), tp_dim(x, 0));
    wide = tp_where_at(tp_eye_at(x.g, TP_BOOL, square.dim[0], square.dim[1], at),
                       tp_expand_at(x, square, at), tp_as_number(0), at);
    lo = offset < 0 ? tp_dims(far, 0) : tp_dims(0, far);
    hi = offset < 0 ? tp_dims(0, far) : tp_dims(far, 0);
    return offset ? tp_pad_at(wide, lo, hi, 0, at) : wide;
}
