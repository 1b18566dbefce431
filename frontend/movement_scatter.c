/*
 * movement_scatter: elements and slices put at places that integers name. Where a place is named
 * more than once the last wins; which one that is, is a row of the table (scatter_last), and the
 * rest is picking, so gradients go to those that were put. The greatest of several wins when they
 * are put in rising order.
 */
#include <string.h>

#include "frontend/frontend.h"

static tp_tensor last_of(tp_tensor index, int64_t axis, int64_t size, tp_loc at)
{
    const struct ir_list attr[IR_ATTRS] = { { 1, &axis }, { 1, &size } };
    const ir_val v = tp_val(index);

    return tp_give(index.g,
                   ir_op_attr(index.g->ir, IR_scatter_last, 1, &v, attr, tp_place(index.g, at)));
}

static tp_tensor not_below_0(tp_tensor x, tp_loc at)
{
    return tp_binary_at("max", x, tp_as_number(0), at);
}

static bool good_places(const char *what, tp_tensor x, int64_t *axis, tp_tensor index,
                        tp_tensor source, tp_loc at)
{
    const tp_tensor all[] = { x, index, source };

    if (!tp_ready(x.g, at, what, 3, all) || !tp_axis(x, axis, tp_rank(x), what, at))
        return false;
    if (!index.g || !strchr("iu", ir_dtypes[tp_node(index)->dtype].kind) ||
        (source.g && tp_dtype_of(source) != tp_dtype_of(x))) {
        tp_fail(x.g, at, what, "%s, index %s, source %s; expected integers, and x's type",
                tp_describe(x), index.g ? tp_describe(index) : "a number",
                source.g ? tp_describe(source) : "a number");
        return false;
    }
    return true;
}

/* Running products among equal neighbours of index along an axis: of 1, then 2, then 4, .. steps
 * back; the last of each stretch has the product of all of it. */
static tp_tensor products(tp_tensor source, int axis, tp_tensor index, tp_loc at)
{
    const int64_t most = tp_dim_bound(source, axis);
    tp_tensor place = tp_arange_at(source.g, TP_I64, tp_dim(source, axis), at);
    tp_tensor row = tp_along(place, axis, tp_rank(source), at);

    for (int64_t back = 1; back < most && source.id; back *= 2) {
        tp_tensor before =
            not_below_0(tp_binary_at("sub", place, tp_as_number((double)back), at), at);
        tp_tensor same =
            tp_binary_at("and", tp_binary_at("le", tp_as_number((double)back), row, at),
                         tp_binary_at("eq", tp_take_at(index, axis, before, at), index, at), at);
        tp_tensor all =
            tp_where_at(same, tp_take_at(source, axis, before, at), tp_as_number(1), at);
        source = tp_binary_at("mul", source, all, at);
    }
    return source;
}

/* reduce: "set", or "max", "min" or "mul" with what is there */
tp_tensor tp_scatter_at(const char *reduce, tp_tensor x, int axis, tp_tensor index,
                        tp_tensor source, tp_loc at)
{
    const bool set = strcmp(reduce, "set") == 0, min = strcmp(reduce, "min") == 0,
               mul = strcmp(reduce, "mul") == 0;
    tp_shape lo = { 0 }, hi = { 0 };
    tp_tensor last, put, there;
    int64_t a = axis;

    if (!good_places("tp_scatter", x, &a, index, source, at))
        return POISON(x.g);
    if (!set && !min && !mul && strcmp(reduce, "max") != 0)
        return tp_fail(x.g, at, "tp_scatter", "\"%.20s\"; expected set, max, min or mul", reduce);
    if (!source.g)
        source = tp_full_at(x.g, tp_dtype_of(x), tp_shape_of(index), source.number, at);
    lo.rank = hi.rank = tp_rank(x);
    bool fits = tp_rank(index) == tp_rank(x) && tp_rank(source) == tp_rank(x);
    for (int i = 0; fits && i < tp_rank(x); i++) {
        fits = ir_dim_fits(x.g->ir, tp_dim(index, i), tp_dim(source, i));
        hi.dim[i] = i == a ? 0 : ir_dim_sub(x.g->ir, tp_dim(x, i), tp_dim(index, i));
        fits &= hi.dim[i] != -1;
        if (fits)
            source = tp_cut(source, i, 0, tp_dim(index, i), at);
    }
    if (!fits)
        return tp_fail(x.g, at, "tp_scatter",
                       "%s, index %s, source %s; expected equal ranks, an index that is not longer "
                       "than the others but along the axis",
                       tp_describe(x), tp_describe(index), tp_describe(source));
    if (tp_dim(index, (int)a) == 0)
        return x;
    if (mul) { /* those of one place stand together */
        tp_tensor order = tp_argsort_at(index, (tp_sort_args){ .axis = (int)a }, at);
        index = tp_gather_at(index, (int)a, order, at);
        source = products(tp_gather_at(source, (int)a, order, at), (int)a, index, at);
    } else if (!set) { /* the greatest comes last */
        tp_tensor order;
        source = tp_sort_at(
            source, (tp_sort_args){ .axis = (int)a, .descending = min, .index = &order }, at);
        index = tp_gather_at(index, (int)a, order, at);
    }
    last = last_of(tp_cast_at(index, TP_I64, at), a, tp_dim(x, (int)a), at);
    if (!last.id)
        return last;
    put = tp_gather_at(source, (int)a, not_below_0(last, at), at);
    there = tp_pad_at(tp_cast_at(tp_binary_at("le", tp_as_number(0), last, at), TP_U8, at), lo, hi,
                      0, at);
    there = tp_binary_at("ne", there, tp_as_number(0), at);
    put = tp_pad_at(put, lo, hi, 0, at);
    return tp_where_at(there, set ? put : tp_binary_at(reduce, x, put, at), x, at);
}

/* Slices of source at the places of a vector. */
tp_tensor tp_index_copy_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source, tp_loc at)
{
    tp_tensor last, put;
    int64_t a = axis;

    if (!good_places("tp_index_copy", x, &a, index, source, at))
        return POISON(x.g);
    bool fits = tp_rank(index) == 1;
    for (int i = 0; source.g && fits && i < tp_rank(x); i++)
        fits = tp_rank(source) == tp_rank(x) &&
               tp_dim(source, i) == (i == a ? tp_dim(index, 0) : tp_dim(x, i));
    if (!fits)
        return tp_fail(x.g, at, "tp_index_copy",
                       "%s, index %s, source %s; expected a vector and a slice for each of it",
                       tp_describe(x), tp_describe(index),
                       source.g ? tp_describe(source) : "a number");
    if (tp_dim(index, 0) == 0)
        return x;
    last = last_of(tp_cast_at(index, TP_I64, at), 0, tp_dim(x, (int)a), at);
    if (!last.id)
        return last;
    put = source.g ? tp_take_at(source, (int)a, not_below_0(last, at), at) : source;
    last = tp_along(tp_binary_at("le", tp_as_number(0), last, at), (int)a, tp_rank(x), at);
    return tp_where_at(last, put, x, at);
}

/* --- where an integer of the graph says ---------------------------------------------------------
 */

static bool good_start(const char *what, tp_tensor x, int64_t *axis, tp_tensor start, tp_loc at)
{
    const tp_tensor both[] = { x, start };

    if (!tp_ready(x.g, at, what, 2, both) || !tp_axis(x, axis, tp_rank(x), what, at))
        return false;
    if (!start.g || (tp_rank(start) == 0 && strchr("iu", ir_dtypes[tp_node(start)->dtype].kind)))
        return true;
    tp_fail(x.g, at, what, "start %s; expected one integer", tp_describe(start));
    return false;
}

/* i64 [length]: start, start + 1, .., the start such that all are below the extent */
static tp_tensor from_start(tp_tensor x, int64_t axis, tp_tensor start, int64_t length, tp_loc at)
{
    tp_graph *g = x.g;
    int64_t most = ir_dim_sub(g->ir, tp_dim(x, (int)axis), length);
    struct ir_loc loc = tp_place(g, at);
    ir_val v = start.g ? ir_cast(g->ir, tp_val(start), IR_I64, loc)
                       : ir_integer(g->ir, IR_I64, (int64_t)start.number, loc);

    v = ir_op2(g->ir, IR_min, v, ir_size(g->ir, most, IR_I64, loc), loc);
    v = ir_op2(g->ir, IR_max, v, ir_integer(g->ir, IR_I64, 0, loc), loc);
    return tp_binary_at("add", tp_arange_at(g, TP_I64, length, at), tp_give(g, v), at);
}

tp_tensor tp_dynamic_slice_at(tp_tensor x, int axis, tp_tensor start, int64_t length, tp_loc at)
{
    int64_t a = axis;

    if (!good_start("tp_dynamic_slice", x, &a, start, at))
        return POISON(x.g);
    if (length < 0 || ir_dim_sub(x.g->ir, tp_dim(x, (int)a), length) == -1)
        return tp_fail(x.g, at, "tp_dynamic_slice", "%lld of %s; expected 0 to the extent",
                       (long long)length, tp_describe(x));
    return tp_take_at(x, (int)a, from_start(x, a, start, length, at), at);
}

tp_tensor tp_dynamic_update_at(tp_tensor x, int axis, tp_tensor start, tp_tensor part, tp_loc at)
{
    int64_t a = axis;

    if (!good_start("tp_dynamic_update", x, &a, start, at))
        return POISON(x.g);
    bool fits = part.g == x.g && part.id && tp_rank(part) == tp_rank(x);
    for (int i = 0; fits && i < tp_rank(x); i++)
        fits = i == a ? ir_dim_sub(x.g->ir, tp_dim(x, i), tp_dim(part, i)) != -1
                      : tp_dim(x, i) == tp_dim(part, i);
    if (!fits)
        return tp_fail(x.g, at, "tp_dynamic_update",
                       "%s, part %s; expected x's extents but along "
                       "the axis, where it may be shorter",
                       tp_describe(x), part.g && part.id ? tp_describe(part) : "a number");
    if (tp_dim(part, (int)a) == 0)
        return x;
    return tp_index_copy_at(x, (int)a, from_start(x, a, start, tp_dim(part, (int)a), at), part, at);
}
