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

    golden_out(w, tp_squeeze(x, golden_axes(w, x)));
}

void golden_op_unsqueeze(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, tp_unsqueeze(x, golden_axis(w, golden_int(w, "dim", 0), tp_rank(x) + 1)));
}

void golden_op_flatten(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int rank = tp_rank(x) ? tp_rank(x) : 1;
    const int first = golden_axis(w, golden_int(w, "start_dim", 0), rank),
              last = golden_axis(w, golden_int(w, "end_dim", -1), rank);

    golden_out(w, first == last && tp_rank(x) ? x : tp_flatten(x, first, last));
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
    const tp_shape sizes = golden_ints(w, "sizes");
    tp_tensor part[IR_RANK];

    tp_split(golden_in(w, "input"), sizes, (int)golden_int(w, "dim", 0), part);
    for (int i = 0; i < sizes.rank; i++)
        golden_out(w, part[i]);
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
    golden_out(
        w, tp_roll(golden_in(w, "input"), golden_int(w, "shift", 0), (int)golden_int(w, "dim", 0)));
}

void golden_op_tile(struct golden_work *w)
{
    golden_out(w, tp_tile_at(golden_in(w, "input"), golden_ints(w, "dims"), TP_HERE));
}

void golden_op_triangle(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t diagonal = golden_int(w, "diagonal", 0);

    golden_out(w, strcmp(w->c->op, "tril") == 0 ? tp_tril(x, diagonal) : tp_triu(x, diagonal));
}

void golden_op_diagonal(struct golden_work *w)
{
    golden_out(w, tp_diagonal(golden_in(w, "input"), golden_int(w, "offset", 0),
                              (int)golden_int(w, "dim1", 0), (int)golden_int(w, "dim2", 1)));
}

/* --- padding --------------------------------------------------------------------------------- */

void golden_op_pad(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_shape pad = golden_ints(w, "pad");
    const int rank = tp_rank(x);
    tp_shape lo = { .rank = rank }, hi = { .rank = rank };

    if (pad.rank % 2 || pad.rank / 2 > rank)
        golden_cannot(w, "%d numbers to pad %d axes", pad.rank, rank);
    for (int i = 0; i < pad.rank / 2 && !*w->why; i++) {
        lo.dim[rank - 1 - i] = pad.dim[2 * i];
        hi.dim[rank - 1 - i] = pad.dim[2 * i + 1];
    }
    if (*w->why)
        return;
    golden_out(w, strcmp(w->c->op, "pad_constant") == 0
                      ? tp_pad(x, lo, hi, golden_real(w, "value", 0))
                      : tp_pad_mode(x, lo, hi, w->c->op + strlen("pad_")));
}
