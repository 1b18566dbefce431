/*
 * golden_index: elements and rows picked by indices, and sorting.
 */
#include "golden.h"

#include <string.h>

static tp_tensor vector_of(tp_tensor x) /* a scalar is a vector of one here */
{
    return tp_rank(x) ? x : tp_reshape(x, 1);
}

/* The part of x that has index's extents, but for one axis (-1: for none). */
static tp_tensor corner(tp_tensor x, tp_tensor index, int but)
{
    for (int i = 0; i < tp_rank(x); i++)
        if (i != but && tp_dim(x, i) != tp_dim(index, i))
            x = golden_cut(x, i, 0, tp_dim(index, i), 1);
    return x;
}

void golden_op_gather(struct golden_work *w)
{
    const tp_tensor x = vector_of(golden_in(w, "input")), index = golden_in(w, "index"),
                    i = vector_of(index);
    const int axis = golden_axis(w, golden_int(w, "dim", 0), tp_rank(x));

    golden_out(w, golden_shaped(tp_gather(corner(x, i, axis), axis, i), tp_shape_of(index)));
}

static tp_tensor add_at(enum ir_op op, tp_tensor updates, tp_tensor index, int axis, int64_t size)
{
    const int64_t a = axis;
    const struct ir_list attr[] = { { 1, &a }, { 1, &size } };

    return tp_give(updates.g,
                   ir_op_attr(updates.g->ir, op, 2, (ir_val[]){ tp_val(updates), tp_val(index) },
                              attr, tp_place(updates.g, TP_HERE)));
}

void golden_op_scatter_add(struct golden_work *w)
{
    const tp_tensor input = golden_in(w, "input"), x = vector_of(input),
                    index = vector_of(golden_in(w, "index")), src = vector_of(golden_in(w, "src"));
    const int axis = golden_axis(w, golden_int(w, "dim", 0), tp_rank(x));
    tp_shape lo = { .rank = tp_rank(x) }, hi = lo;
    tp_tensor sum = add_at(IR_scatter_add, corner(src, index, -1), index, axis, tp_dim(x, axis));

    for (int i = 0; i < tp_rank(x); i++)
        hi.dim[i] = tp_dim(x, i) - tp_dim(sum, i);
    golden_out(w, golden_shaped(tp_add(x, tp_pad(sum, lo, hi, 0)), tp_shape_of(input)));
}

void golden_op_index_select(struct golden_work *w)
{
    const tp_tensor input = golden_in(w, "input"), x = vector_of(input);
    const tp_tensor y = tp_take(x, golden_axis(w, golden_int(w, "dim", 0), tp_rank(x)),
                                vector_of(golden_in(w, "index")));

    golden_out(w, tp_rank(input) ? y : golden_shaped(y, TP_SCALAR));
}

void golden_op_index_add(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = golden_axis(w, golden_int(w, "dim", 0), tp_rank(x));
    const double alpha = golden_real(w, "alpha", 1);
    const tp_tensor sum =
        add_at(IR_put_add, golden_in(w, "source"), golden_in(w, "index"), axis, tp_dim(x, axis));

    golden_out(w, alpha == 1 ? tp_add(x, sum) : tp_add(x, tp_mul(sum, alpha)));
}

void golden_op_embedding(struct golden_work *w)
{
    golden_out(w, tp_embedding(golden_in(w, "weight"), golden_in(w, "input")));
}

void golden_op_one_hot(struct golden_work *w)
{
    golden_out(
        w, tp_one_hot_at(golden_in(w, "input"), golden_int(w, "num_classes", 0), TP_I64, TP_HERE));
}

/*
 * Sorting without a sort: the rank of an element is how many go before it, and the index of rank r
 * is the sum of the indices whose rank is r. Equals keep their order; NaN is the greatest.
 */
void golden_op_sort(struct golden_work *w)
{
    const tp_tensor input = golden_in(w, "input"), x = vector_of(input);
    const bool top = strcmp(w->c->op, "topk") == 0;
    const bool falling = top || golden_int(w, "descending", 0);
    const int axis = golden_axis(w, golden_int(w, "dim", -1), tp_rank(x));
    const int64_t n = tp_dim(x, axis), k = top ? golden_int(w, "k", 1) : n;
    const tp_tensor last = golden_last(x, axis), mine = tp_unsqueeze(last, -1),
                    other = tp_unsqueeze(last, -2); /* [.. i 1], [.. 1 j] */
    const tp_shape square = tp_dims(n, n);
    tp_tensor before, rank, index;

    if (k < 0 || k > n) {
        golden_cannot(w, "the greatest %lld of %lld", (long long)k, (long long)n);
        return;
    }
    before = golden_maths(
        w, falling ? "(b > a) | (isnan(b) & (a == a))" : "(b < a) | (isnan(a) & (b == b))", mine,
        other, other, 0, 0, 0);
    before = tp_or(before, tp_and(golden_maths(w, "(a == b) | (isnan(a) & isnan(b))", mine, other,
                                               other, 0, 0, 0),
                                  tp_lt(golden_index(x, square, 1), golden_index(x, square, 0))));
    rank = tp_sum(before, -1); /* i64 [.. i] */
    index = tp_where(tp_eq(tp_unsqueeze(rank, -1), golden_index(x, tp_dims(n), 0)),
                     golden_index(x, tp_dims(n, 1), 0), 0); /* [.. i r] */
    index = golden_cut(tp_sum(index, -2), tp_rank(last) - 1, 0, k, 1);
    golden_out(w, golden_shaped(golden_back(tp_gather(last, -1, index), axis),
                                tp_rank(input) ? golden_with(x, axis, k) : TP_SCALAR));
    golden_out(w, golden_shaped(golden_back(index, axis),
                                tp_rank(input) ? golden_with(x, axis, k) : TP_SCALAR));
}
