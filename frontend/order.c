/*
 * order: what follows an axis in its order, and what is made of sorting: running sums and extremes,
 * the k greatest, quantiles, counting by value.
 *
 * Sorting is a row of the table that gives places; values are picked by them, so their gradient is
 * that of picking. All of it is stable and puts NaN last, as PyTorch does.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_cumulate_at(const char *op, tp_tensor x, int axis, tp_loc at)
{
    enum ir_op row = ir_op_by_name(op, strlen(op));
    int64_t a = axis;
    const struct ir_list attr[IR_ATTRS] = { { 1, &a } };
    ir_val v = tp_val(x);

    if (!tp_ready(x.g, at, op, 1, &x) || !tp_axis(x, &a, tp_rank(x), op, at))
        return POISON(x.g);
    if (row < IR_cumsum || row > IR_cummin)
        return tp_fail(x.g, at, op, "no such running value; expected cumsum or another");
    if (ir_dtypes[tp_node(x)->dtype].kind != 'f' && row != IR_cummax && row != IR_cummin)
        v = ir_cast(x.g->ir, v, IR_I64, tp_place(x.g, at)); /* as tp_sum does */
    return tp_give(x.g, ir_op_attr(x.g->ir, row, 1, &v, attr, tp_place(x.g, at)));
}

tp_tensor tp_recurrence_at(tp_tensor factor, tp_tensor x, int axis, tp_loc at)
{
    const tp_tensor both[] = { factor, x };
    int64_t a = axis;
    const struct ir_list attr[IR_ATTRS] = { { 1, &a } };

    if (!tp_ready(x.g, at, "tp_recurrence", 2, both) ||
        !tp_axis(x, &a, tp_rank(x), "tp_recurrence", at))
        return POISON(x.g);
    factor =
        tp_expand_at(factor.g ? factor : tp_full_like_at(x, factor.number, at), tp_shape_of(x), at);
    return tp_give(x.g, ir_op_attr(x.g->ir, IR_recur, 2, (ir_val[]){ tp_val(factor), tp_val(x) },
                                   attr, tp_place(x.g, at)));
}

/*
 * log of the sum of exp up to each: a recurrence of sums that are scaled by the greatest so far, so
 * that nothing overflows and early small ones are not lost. The scale cancels: it has no slope.
 */
tp_tensor tp_logcumsumexp_at(tp_tensor x, int axis, tp_loc at)
{
    tp_tensor most, before, first, part[3];
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_logcumsumexp", 1, &x) || !tp_floating(x, "tp_logcumsumexp", at) ||
        !tp_axis(x, &a, tp_rank(x), "tp_logcumsumexp", at))
        return POISON(x.g);
    if (tp_dim(x, (int)a) == 0)
        return x;
    most = tp_unary_at("stop_gradient", tp_cumulate_at("cummax", x, (int)a, at), at);
    before = tp_concat_at(
        (int)a,
        tp_list(tp_cut(most, (int)a, 0, 1, at),
                tp_cut(most, (int)a, 0, ir_dim_add(x.g->ir, tp_dim(x, (int)a), -1), at)),
        at);
    first = tp_binary_at("eq", before, tp_as_number(-INFINITY), at); /* nothing to scale */
    part[0] = most = tp_maths1("select(a - a == 0, a, 0)", most, at, 0);
    part[1] = tp_maths1("select(a - a == 0, a, 0)", before, at, 0);
    part[2] = x;
    before = tp_where_at(first, tp_as_number(0), tp_maths("exp(b - a)", 2, part, 0, NULL, at), at);
    x = tp_recurrence_at(before, tp_maths("exp(c - a)", 3, part, 0, NULL, at), (int)a, at);
    first = tp_binary_at("eq", x, tp_as_number(0), at); /* of nothing but -inf */
    x = tp_unary_at("log", tp_where_at(first, tp_as_number(1), x, at), at);
    return tp_where_at(first, tp_as_number(-INFINITY), tp_binary_at("add", x, most, at), at);
}

/* --- sorting ------------------------------------------------------------------------------------
 */

tp_tensor tp_argsort_at(tp_tensor x, tp_sort_args args, tp_loc at)
{
    const int64_t one = 1;
    int64_t a = args.axis;
    const struct ir_list attr[IR_ATTRS] = { { 1, &a }, { args.descending, &one } };
    ir_val v = tp_val(x);

    if (!tp_ready(x.g, at, "tp_argsort", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_argsort", at))
        return POISON(x.g);
    return tp_give(x.g, ir_op_attr(x.g->ir, IR_argsort, 1, &v, attr, tp_place(x.g, at)));
}

static tp_tensor sorted(tp_tensor x, int axis, bool descending, int64_t count, tp_tensor *index,
                        tp_loc at)
{
    tp_tensor where =
        tp_argsort_at(x, (tp_sort_args){ .axis = axis, .descending = descending }, at);

    if (where.id && count >= 0)
        where = tp_cut(where, axis, 0, count, at);
    if (index)
        *index = where;
    return where.id ? tp_gather_at(x, axis, where, at) : where;
}

tp_tensor tp_sort_at(tp_tensor x, tp_sort_args args, tp_loc at)
{
    int64_t a = args.axis;

    if (args.index)
        *args.index = POISON(x.g);
    if (!tp_ready(x.g, at, "tp_sort", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_sort", at))
        return POISON(x.g);
    return sorted(x, (int)a, args.descending, -1, args.index, at);
}

tp_tensor tp_topk_at(tp_tensor x, tp_topk_args args, tp_loc at)
{
    int64_t a = args.axis;

    if (args.index)
        *args.index = POISON(x.g);
    if (!tp_ready(x.g, at, "tp_topk", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_topk", at))
        return POISON(x.g);
    if (args.k < 0 || !ir_dim_fits(x.g->ir, args.k, tp_dim(x, (int)a)))
        return tp_fail(x.g, at, "tp_topk", "%lld of %s along axis %lld; expected 0 to its extent",
                       (long long)args.k, tp_describe(x), (long long)a);
    return sorted(x, (int)a, !args.smallest, args.k, args.index, at);
}

/* Everything as one axis where all is meant; false: an error. */
static bool one_axis(tp_tensor *x, const char *what, int64_t *axis, tp_loc at)
{
    if (!tp_ready(x->g, at, what, 1, x))
        return false;
    if (*axis == TP_ALL) {
        *x = tp_reshape_at(*x, tp_dims(-1), at);
        *axis = 0;
    }
    if (!x->id || !tp_axis(*x, axis, tp_rank(*x), what, at))
        return false;
    if (!ir_dim_fixed(tp_dim(*x, (int)*axis)) || tp_dim(*x, (int)*axis) == 0) {
        tp_fail(x->g, at, what, "%s; expected a fixed extent of 1 or more along axis %lld",
                tp_describe(*x), (long long)*axis);
        return false;
    }
    return true;
}

tp_tensor tp_kthvalue_at(tp_tensor x, int64_t k, tp_sort_args args, tp_loc at)
{
    int64_t a = args.axis;
    tp_tensor y, where;

    if (!one_axis(&x, "tp_kthvalue", &a, at))
        return POISON(x.g);
    if (k < 1 || k > tp_dim(x, (int)a))
        return tp_fail(x.g, at, "tp_kthvalue", "the %lldth of %s; expected 1 to the extent",
                       (long long)k, tp_describe(x));
    y = sorted(x, (int)a, args.descending, -1, &where, at);
    if (args.index)
        *args.index = tp_index_at(where, (int)a, k - 1, at);
    return tp_index_at(y, (int)a, k - 1, at);
}

/* Between the two that are next to q of the way from the least to the greatest; NaN if any is. */
tp_tensor tp_quantile_at(const char *what, tp_tensor x, double q, int64_t axis, tp_loc at)
{
    const bool median = strcmp(what, "tp_median") == 0;
    tp_tensor part[3];
    int64_t n;

    if (!one_axis(&x, what, &axis, at) || (!median && !tp_floating(x, what, at)))
        return POISON(x.g);
    if (!(q >= 0 && q <= 1))
        return tp_fail(x.g, at, what, "the quantile %g; expected 0 to 1", q);
    n = tp_dim(x, (int)axis);
    const double place = q * (double)(n - 1), low = floor(place);
    x = sorted(x, (int)axis, false, -1, NULL, at);
    part[0] = tp_index_at(x, (int)axis, median ? (n - 1) / 2 : (int64_t)low, at);
    if (ir_dtypes[tp_node(x)->dtype].kind != 'f')
        return part[0];
    part[1] = median ? part[0] : tp_index_at(x, (int)axis, (int64_t)ceil(place), at);
    part[2] = tp_index_at(x, (int)axis, n - 1, at);
    return tp_maths("select(isnan(c), c, a + (b - a) * p)", 3, part, 1,
                    (double[]){ median ? 0 : place - low }, at);
}

/* --- by value -----------------------------------------------------------------------------------
 */

/* Where each value would go into the rising rows: how many are less, or not greater; by halving. */
tp_tensor tp_searchsorted_at(tp_tensor rows, tp_tensor values, bool right, tp_loc at)
{
    const tp_tensor both[] = { rows, values };
    const bool flat = rows.id && tp_rank(rows) == 1;
    tp_tensor place;
    int64_t n, step = 1;

    if (!tp_ready(rows.g, at, "tp_searchsorted", 2, both))
        return POISON(rows.g);
    if (tp_rank(rows) < 1 || !values.g || tp_dtype_of(rows) != tp_dtype_of(values) ||
        (!flat && tp_rank(rows) != tp_rank(values)))
        return tp_fail(rows.g, at, "tp_searchsorted",
                       "%s and %s; expected one type, and a vector or as many axes",
                       tp_describe(rows), values.g ? tp_describe(values) : "a number");
    n = tp_dim(rows, -1);
    if (!ir_dim_fixed(n))
        return tp_fail(rows.g, at, "tp_searchsorted", "%s; expected a fixed last extent",
                       tp_describe(rows));
    place = tp_full_at(rows.g, TP_I64, tp_shape_of(values), 0, at);
    while (2 * step <= n)
        step *= 2;
    for (; step > 0 && n > 0; step /= 2) {
        tp_tensor next = tp_binary_at("add", place, tp_as_number((double)step), at);
        tp_tensor probe = tp_binary_at(
            "sub", tp_binary_at("min", next, tp_as_number((double)n), at), tp_as_number(1), at);
        tp_tensor goes;
        probe = flat ? tp_take_at(rows, 0, probe, at) : tp_gather_at(rows, -1, probe, at);
        goes =
            right ? tp_binary_at("le", probe, values, at) : tp_binary_at("lt", probe, values, at);
        goes = tp_binary_at("and", goes, tp_binary_at("le", next, tp_as_number((double)n), at), at);
        place = tp_where_at(goes, next, place, at);
    }
    return place;
}

/* Each element's weight added at its index, which is in 0 .. size - 1; others count nowhere. */
static tp_tensor counted(tp_tensor index, tp_tensor weight, tp_tensor counts, int64_t size,
                         tp_loc at)
{
    const int64_t axis = 0;
    const struct ir_list attr[IR_ATTRS] = { { 1, &axis }, { 1, &size } };

    index = tp_reshape_at(index, tp_dims(-1), at);
    weight = tp_reshape_at(weight, tp_dims(-1), at);
    weight = tp_where_at(tp_reshape_at(counts, tp_dims(-1), at), weight, tp_as_number(0), at);
    index = tp_binary_at("max", tp_binary_at("min", index, tp_as_number((double)size - 1), at),
                         tp_as_number(0), at);
    if (!index.id || !weight.id)
        return POISON(index.g);
    return tp_give(index.g, ir_op_attr(index.g->ir, IR_put_add, 2,
                                       (ir_val[]){ tp_val(weight), tp_val(index) }, attr,
                                       tp_place(index.g, at)));
}

tp_tensor tp_bincount_at(tp_tensor index, tp_tensor weight, int64_t size, tp_loc at)
{
    const tp_tensor both[] = { index, weight };
    tp_tensor inside;

    if (!tp_ready(index.g, at, "tp_bincount", 2, both))
        return POISON(index.g);
    if (!strchr("iu", ir_dtypes[tp_node(index)->dtype].kind) || size < 1)
        return tp_fail(index.g, at, "tp_bincount", "%s into %lld; expected integers, 1 or more",
                       tp_describe(index), (long long)size);
    index = tp_cast_at(index, TP_I64, at);
    if (!weight.g)
        weight = tp_full_at(index.g, TP_I64, tp_shape_of(index), weight.number, at);
    else if (!ir_same_shape(&tp_node(weight)->shape, &tp_node(index)->shape))
        return tp_fail(index.g, at, "tp_bincount", "%s and weights %s; expected equal shapes",
                       tp_describe(index), tp_describe(weight));
    inside = tp_binary_at("and", tp_binary_at("le", tp_as_number(0), index, at),
                          tp_binary_at("lt", index, tp_as_number((double)size), at), at);
    return counted(index, weight, inside, size, at);
}

tp_tensor tp_histogram_at(tp_tensor x, int64_t bins, double low, double high, tp_loc at)
{
    tp_tensor bin, inside;

    if (!tp_ready(x.g, at, "tp_histogram", 1, &x) || !tp_floating(x, "tp_histogram", at))
        return POISON(x.g);
    if (bins < 1 || !(low < high))
        return tp_fail(x.g, at, "tp_histogram",
                       "%lld bins from %g to %g; expected 1 or more, low < high", (long long)bins,
                       low, high);
    inside = tp_binary_at("and", tp_binary_at("le", tp_as_number(low), x, at),
                          tp_binary_at("le", x, tp_as_number(high), at), at);
    bin = tp_maths1("floor((select((a >= p) & (a <= q), a, p) - p) * r / (q - p))", x, at, low,
                    high, (double)bins);
    return counted(tp_cast_at(bin, TP_I64, at), tp_full_like_at(x, 1, at), inside, bins, at);
}

/* Where truth is, in rising order; the rest is filled up. */
tp_tensor tp_nonzero_at(tp_tensor x, int64_t size, double fill, tp_loc at)
{
    tp_tensor is, where;

    if (!tp_ready(x.g, at, "tp_nonzero", 1, &x))
        return POISON(x.g);
    is = tp_reshape_at(tp_dtype_of(x) == TP_BOOL ? x : tp_binary_at("ne", x, tp_as_number(0), at),
                       tp_dims(-1), at);
    if (!is.id)
        return is;
    if (size < 1 || !ir_dim_fits(x.g->ir, size, tp_dim(is, 0)))
        return tp_fail(x.g, at, "tp_nonzero", "%lld of %s; expected 1 to its elements",
                       (long long)size, tp_describe(x));
    where = tp_cut(tp_argsort_at(is, (tp_sort_args){ .descending = true }, at), 0, 0, size, at);
    return tp_where_at(tp_take_at(is, 0, where, at), where, tp_as_number(fill), at);
}
