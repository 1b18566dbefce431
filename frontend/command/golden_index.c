/*
 * golden_index: elements and rows picked by indices, and sorting.
 */
#include "golden.h"

#include <string.h>

static tp_tensor vector_of(tp_tensor x) /* a scalar is a vector of one here */
{
    return tp_rank(x) ? x : tp_reshape(x, 1);
}

void golden_op_gather(struct golden_work *w)
{
    const tp_tensor x = vector_of(golden_in(w, "input")), index = golden_in(w, "index");

    golden_out(w, golden_shaped(tp_gather(x, (int)golden_int(w, "dim", 0), vector_of(index)),
                                tp_shape_of(index)));
}

void golden_op_scatter_add(struct golden_work *w)
{
    const tp_tensor input = golden_in(w, "input");

    golden_out(w, golden_shaped(tp_scatter_add(vector_of(input), (int)golden_int(w, "dim", 0),
                                               vector_of(golden_in(w, "index")),
                                               vector_of(golden_in(w, "src"))),
                                tp_shape_of(input)));
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
    golden_out(w, tp_index_add_at(golden_in(w, "input"), (int)golden_int(w, "dim", 0),
                                  golden_in(w, "index"), golden_in(w, "source"),
                                  golden_real(w, "alpha", 1), TP_HERE));
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

void golden_op_sort(struct golden_work *w)
{
    const tp_tensor input = golden_in(w, "input"), x = vector_of(input);
    const bool top = strcmp(w->c->op, "topk") == 0;
    const int axis = golden_axis(w, golden_int(w, "dim", -1), tp_rank(x));
    const int64_t n = tp_dim(x, axis), k = top ? golden_int(w, "k", 1) : n;
    tp_tensor index, y;

    if (k < 0 || k > n) {
        golden_cannot(w, "the greatest %lld of %lld", (long long)k, (long long)n);
        return;
    }
    if (top)
        y = tp_topk(x, k, axis, .index = &index);
    else
        y = tp_sort(x, axis, .descending = golden_int(w, "descending", 0) != 0, .index = &index);
    golden_out(w, tp_rank(input) ? y : golden_shaped(y, TP_SCALAR));
    golden_out(w, tp_rank(input) ? index : golden_shaped(index, TP_SCALAR));
}
