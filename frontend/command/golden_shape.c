/*
 * golden_shape: movement as PyTorch names it.
 */
#include "golden.h"

#include <string.h>

/* --- spellings that several operators share -------------------------------------------------- */

tp_tensor golden_cut(tp_tensor x, int axis, int64_t start, int64_t stop, int64_t step)
{
    return tp_slice_at(x, axis, start, (tp_slice_args){ .stop = stop, .step = step }, TP_HERE);
}

tp_tensor golden_shaped(tp_tensor x, tp_shape shape)
{
    return tp_reshape_at(x, shape, TP_HERE);
}

/* Moves one axis to another place, the others keep their order. */
static tp_tensor moved(tp_tensor x, int from, int to)
{
    tp_shape axes = { .rank = tp_rank(x) };
    int next = 0;

    for (int i = 0; i < axes.rank; i++) {
        next += next == from;
        axes.dim[i] = i == to ? from : next++;
    }
    return tp_permute_at(x, axes, TP_HERE);
}

tp_tensor golden_last(tp_tensor x, int axis)
{
    return moved(x, axis, tp_rank(x) - 1);
}

tp_tensor golden_back(tp_tensor x, int axis)
{
    return moved(x, tp_rank(x) - 1, axis);
}

tp_shape golden_with(tp_tensor x, int axis, int64_t extent)
{
    tp_shape shape = tp_shape_of(x);

    shape.dim[axis] = extent;
    return shape;
}

tp_tensor golden_index(tp_tensor like, tp_shape shape, int axis)
{
    return tp_give(
        like.g, ir_iota(like.g->ir, IR_I64, tp_ir_shape(shape), axis, tp_place(like.g, TP_HERE)));
}

/* Axes a and b become one, the last: every (n + 1)th element of the flat square. */
tp_tensor golden_diagonal(struct golden_work *w, tp_tensor x, int64_t offset, int a, int b)
{
    const int first = golden_axis(w, a, tp_rank(x)), second = golden_axis(w, b, tp_rank(x));
    tp_tensor square = golden_last(golden_last(x, first), second > first ? second - 1 : second);
    const int rank = tp_rank(square);
    tp_shape flat = tp_shape_of(square);
    int64_t n;

    if (rank < 2 || first == second)
        return golden_cannot(w, "the diagonal of axes %d and %d", a, b);
    square = golden_cut(square, offset < 0 ? rank - 2 : rank - 1, offset < 0 ? -offset : offset,
                        TP_ALL, 1);
    n = tp_dim(square, -1) < tp_dim(square, -2) ? tp_dim(square, -1) : tp_dim(square, -2);
    square = golden_cut(golden_cut(square, rank - 1, 0, n, 1), rank - 2, 0, n, 1);
    flat.rank = rank - 1;
    flat.dim[rank - 2] = n * n;
    return golden_cut(golden_shaped(square, flat), rank - 2, 0, n * n, n + 1);
}

/* --- views ----------------------------------------------------------------------------------- */

void golden_op_reshape(struct golden_work *w)
{
    golden_out(w, golden_shaped(golden_in(w, "input"), golden_ints(w, "shape")));
}

void golden_op_expand(struct golden_work *w)
{
    golden_out(w, tp_expand_at(golden_in(w, "input"), golden_ints(w, "shape"), TP_HERE));
}

void golden_op_permute(struct golden_work *w)
{
    golden_out(w, tp_permute_at(golden_in(w, "input"), golden_ints(w, "dims"), TP_HERE));
}

void golden_op_transpose(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t a = golden_int(w, "dim0", 0), b = golden_int(w, "dim1", 1);
    const int rank = tp_rank(x);

    if (rank == 0)
        golden_out(w, x);
    else
        golden_out(w, tp_transpose(x, golden_axis(w, a, rank), golden_axis(w, b, rank)));
}

void golden_op_squeeze(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const bool some = golden_attr(w->c, "dim");
    const tp_shape dims = some ? golden_ints(w, "dim") : (tp_shape){ 0 }, from = tp_shape_of(x);
    tp_shape to = { 0 };
    bool asked[IR_RANK] = { false };

    for (int i = 0; i < dims.rank && from.rank; i++)
        asked[golden_axis(w, dims.dim[i], from.rank)] = true;
    for (int i = 0; i < from.rank; i++)
        if (from.dim[i] != 1 || (some && !asked[i]))
            to.dim[to.rank++] = from.dim[i];
    golden_out(w, golden_shaped(x, to));
}

void golden_op_unsqueeze(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, tp_unsqueeze(x, golden_axis(w, golden_int(w, "dim", 0), tp_rank(x) + 1)));
}

void golden_op_flatten(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_shape from = tp_shape_of(x);
    const int rank = from.rank ? from.rank : 1;
    const int first = golden_axis(w, golden_int(w, "start_dim", 0), rank),
              last = golden_axis(w, golden_int(w, "end_dim", -1), rank);
    tp_shape to = { 0 };

    for (int i = 0; i < from.rank; i++)
        if (i > first && i <= last)
            to.dim[to.rank - 1] *= from.dim[i];
        else
            to.dim[to.rank++] = from.dim[i];
    golden_out(w, golden_shaped(x, from.rank ? to : tp_dims(1)));
}

void golden_op_cat(struct golden_work *w)
{
    const bool stack = strcmp(w->c->op, "stack") == 0;
    tp_tensor part[GOLDEN_INPUTS], first = { .g = w->g };
    int n = 0;

    for (int i = 0; i < w->c->ins; i++)
        if (!stack && tp_rank(w->in[i]) == 1 && tp_dim(w->in[i], 0) == 0 && w->c->ins > 1)
            continue; /* PyTorch lets an empty vector go with anything */
        else
            part[n++] = w->in[i];
    if (n == 0 && w->c->ins)
        part[n++] = w->in[0];
    if (n == 0) {
        golden_cannot(w, "nothing to put together");
        return;
    }
    first = part[0];
    golden_out(w, stack ? tp_stack_at(golden_axis(w, golden_int(w, "dim", 0), tp_rank(first) + 1),
                                      (tp_list){ n, part }, TP_HERE)
                        : tp_concat_at(golden_axis(w, golden_int(w, "dim", 0), tp_rank(first)),
                                       (tp_list){ n, part }, TP_HERE));
}

void golden_op_split(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = golden_axis(w, golden_int(w, "dim", 0), tp_rank(x));
    const tp_shape sizes = golden_ints(w, "sizes");
    int64_t start = 0;

    for (int i = 0; i < sizes.rank; i++) {
        golden_out(w, tp_narrow(x, axis, start, sizes.dim[i]));
        start += sizes.dim[i];
    }
}

void golden_op_slice(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, golden_cut(x, golden_axis(w, golden_int(w, "dim", 0), tp_rank(x)),
                             golden_int(w, "start", 0), golden_int(w, "end", TP_ALL),
                             golden_int(w, "step", 1)));
}

void golden_op_flip(struct golden_work *w)
{
    golden_out(w, tp_flip_at(golden_in(w, "input"), golden_ints(w, "dims"), TP_HERE));
}

void golden_op_roll(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = golden_axis(w, golden_int(w, "dim", 0), tp_rank(x));
    const int64_t n = tp_dim(x, axis), shift = golden_int(w, "shift", 0);
    const int64_t head = n > 0 ? n - ((shift % n) + n) % n : 0;

    if (n <= 0 || head == n)
        golden_out(w, x);
    else
        golden_out(
            w, tp_concat(axis, golden_cut(x, axis, head, n, 1), golden_cut(x, axis, 0, head, 1)));
}

void golden_op_tile(struct golden_work *w)
{
    tp_tensor x = golden_in(w, "input");
    const tp_shape times = golden_ints(w, "dims");
    const int rank = tp_rank(x) > times.rank ? tp_rank(x) : times.rank;
    tp_shape wide = { .rank = 2 * rank }, all = wide, final = { .rank = rank };

    if (2 * rank > IR_RANK) {
        golden_cannot(w, "tile of rank %d", rank);
        return;
    }
    for (int i = 0; i < rank; i++) { /* [t0 d0 t1 d1 ..] is read as [t0 d0, t1 d1, ..] */
        const int d = i - (rank - tp_rank(x)), t = i - (rank - times.rank);
        wide.dim[2 * i] = 1;
        all.dim[2 * i] = t < 0 ? 1 : times.dim[t];
        wide.dim[2 * i + 1] = all.dim[2 * i + 1] = d < 0 ? 1 : tp_dim(x, d);
        final.dim[i] = all.dim[2 * i] * all.dim[2 * i + 1];
    }
    golden_out(w, golden_shaped(tp_expand_at(golden_shaped(x, wide), all, TP_HERE), final));
}

void golden_op_triangle(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t diagonal = golden_int(w, "diagonal", 0);
    const tp_shape square = tp_dims(tp_dim(x, -2), tp_dim(x, -1));
    tp_tensor row, column;

    if (tp_rank(x) < 2) {
        golden_cannot(w, "a triangle of rank %d", tp_rank(x));
        return;
    }
    row = tp_add(golden_index(x, square, 0), (double)diagonal);
    column = golden_index(x, square, 1);
    golden_out(
        w, tp_where(strcmp(w->c->op, "tril") == 0 ? tp_le(column, row) : tp_ge(column, row), x, 0));
}

void golden_op_diagonal(struct golden_work *w)
{
    golden_out(w, golden_diagonal(w, golden_in(w, "input"), golden_int(w, "offset", 0),
                                  (int)golden_int(w, "dim1", 0), (int)golden_int(w, "dim2", 1)));
}

/* --- padding --------------------------------------------------------------------------------- */

/* One axis, by what is inside: mirrored without its border, or the border repeated. */
static tp_tensor padded(tp_tensor x, int axis, int64_t lo, int64_t hi, bool mirror)
{
    const int64_t n = tp_dim(x, axis);
    tp_tensor part[3], before = x, after = x;
    int count = 0;

    if (mirror) {
        before = tp_flip(golden_cut(x, axis, 1, lo + 1, 1), axis);
        after = tp_flip(golden_cut(x, axis, n - 1 - hi, n - 1, 1), axis);
    } else {
        before = tp_expand_at(golden_cut(x, axis, 0, 1, 1), golden_with(x, axis, lo), TP_HERE);
        after = tp_expand_at(golden_cut(x, axis, n - 1, n, 1), golden_with(x, axis, hi), TP_HERE);
    }
    if (lo)
        part[count++] = before;
    part[count++] = x;
    if (hi)
        part[count++] = after;
    return tp_concat_at(axis, (tp_list){ count, part }, TP_HERE);
}

void golden_op_pad(struct golden_work *w)
{
    tp_tensor x = golden_in(w, "input");
    const tp_shape pad = golden_ints(w, "pad");
    const bool mirror = strcmp(w->c->op, "pad_reflect") == 0;
    const int rank = tp_rank(x);
    tp_shape lo = { .rank = rank }, hi = { .rank = rank };

    if (pad.rank % 2 || pad.rank / 2 > rank)
        golden_cannot(w, "%d numbers to pad %d axes", pad.rank, rank);
    for (int i = 0; i < pad.rank / 2 && !*w->why; i++) {
        const int axis = rank - 1 - i;
        lo.dim[axis] = pad.dim[2 * i];
        hi.dim[axis] = pad.dim[2 * i + 1];
        if (lo.dim[axis] < 0 || hi.dim[axis] < 0)
            golden_cannot(w, "negative padding");
        else if (mirror && (lo.dim[axis] >= tp_dim(x, axis) || hi.dim[axis] >= tp_dim(x, axis)))
            golden_cannot(w, "more padding than the mirror shows");
    }
    if (*w->why)
        return;
    if (strcmp(w->c->op, "pad_constant") == 0) {
        golden_out(w, tp_pad(x, lo, hi, golden_real(w, "value", 0)));
        return;
    }
    for (int axis = 0; axis < rank; axis++)
        if (lo.dim[axis] || hi.dim[axis])
            x = padded(x, axis, lo.dim[axis], hi.dim[axis], mirror);
    golden_out(w, x);
}
