/*
 * movement_index: elements and slices that integers or truth values pick, and adding at such
 * places: where a place is named more than once, what is added there adds up, in order.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

static tp_tensor pick(enum ir_op op, const char *what, tp_tensor x, int axis, tp_tensor index,
                      tp_loc at)
{
    const tp_tensor both[] = { x, index };
    struct ir_list attr[IR_ATTRS] = { { 0 } };
    int64_t a = axis;
    ir_val args[2] = { tp_val(x), tp_val(index) };

    if (!tp_ready(x.g, at, what, 2, both) || !tp_axis(x, &a, tp_rank(x), what, at))
        return POISON(x.g);
    attr[0] = (struct ir_list){ .count = 1, .at = &a };
    return tp_give(x.g, ir_op_attr(x.g->ir, op, 2, args, attr, tp_place(x.g, at)));
}

tp_tensor tp_take_at(tp_tensor x, int axis, tp_tensor index, tp_loc at)
{
    return pick(IR_take, "tp_take", x, axis, index, at);
}

/* The part of x that has index's extents, but for one axis (-1: for none). */
static tp_tensor corner(tp_tensor x, tp_tensor index, int64_t but, tp_loc at)
{
    for (int i = 0; i < tp_rank(x) && i < tp_rank(index); i++)
        if (i != but && ir_dim_fixed(tp_dim(index, i)) && tp_dim(x, i) > tp_dim(index, i))
            x = tp_narrow_at(x, i, 0, tp_dim(index, i), at);
    return x;
}

tp_tensor tp_gather_at(tp_tensor x, int axis, tp_tensor index, tp_loc at)
{
    const tp_tensor both[] = { x, index };
    int64_t a = axis;

    if (!tp_ready(x.g, at, "tp_gather", 2, both) || !tp_axis(x, &a, tp_rank(x), "tp_gather", at))
        return POISON(x.g);
    return pick(IR_gather, "tp_gather", corner(x, index, a, at), axis, index, at);
}

/* --- adding where indices say ------------------------------------------------------------------
 */

static tp_tensor add_at(enum ir_op op, tp_tensor what, tp_tensor index, int64_t axis, int64_t size,
                        tp_loc at)
{
    const struct ir_list attr[IR_ATTRS] = { { 1, &axis }, { 1, &size } };
    const ir_val args[] = { tp_val(what), tp_val(index) };

    return tp_give(what.g, ir_op_attr(what.g->ir, op, 2, args, attr, tp_place(what.g, at)));
}

tp_tensor tp_index_add_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source, double alpha,
                          tp_loc at)
{
    const tp_tensor all[] = { x, index, source };
    int64_t a = axis;
    tp_tensor sum;

    if (!tp_tensors(x.g, at, "tp_index_add", 3, all) ||
        !tp_axis(x, &a, tp_rank(x), "tp_index_add", at))
        return POISON(x.g);
    if (tp_rank(index) != 1)
        return tp_fail(x.g, at, "tp_index_add", "index %s; expected a vector", tp_describe(index));
    sum = add_at(IR_put_add, source, index, a, tp_dim(x, (int)a), at);
    if (alpha != 1)
        sum = tp_binary_at("mul", sum, tp_as_number(alpha), at);
    return tp_binary_at("add", x, sum, at);
}

tp_tensor tp_scatter_add_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source, tp_loc at)
{
    const tp_tensor all[] = { x, index, source };
    tp_shape lo = { 0 }, hi = { 0 };
    int64_t a = axis;
    tp_tensor sum;

    if (!tp_tensors(x.g, at, "tp_scatter_add", 3, all) ||
        !tp_axis(x, &a, tp_rank(x), "tp_scatter_add", at))
        return POISON(x.g);
    if (tp_rank(index) != tp_rank(x) || tp_rank(source) != tp_rank(x))
        return tp_fail(x.g, at, "tp_scatter_add", "%s, index %s, source %s; expected equal ranks",
                       tp_describe(x), tp_describe(index), tp_describe(source));
    sum = add_at(IR_scatter_add, corner(source, index, -1, at), index, a, tp_dim(x, (int)a), at);
    if (!sum.id)
        return sum;
    lo.rank = hi.rank = tp_rank(x);
    for (int i = 0; i < tp_rank(x); i++) {
        hi.dim[i] = ir_dim_sub(x.g->ir, tp_dim(x, i), tp_dim(sum, i));
        if (hi.dim[i] == -1)
            return tp_fail(x.g, at, "tp_scatter_add",
                           "%s, index %s; expected an index that is not "
                           "longer than x but along the axis",
                           tp_describe(x), tp_describe(index));
    }
    return tp_binary_at("add", x, tp_pad_at(sum, lo, hi, 0, at), at);
}

tp_tensor tp_masked_fill_at(tp_tensor x, tp_tensor mask, double value, tp_loc at)
{
    const tp_tensor both[] = { x, mask };

    if (!tp_ready(x.g, at, "tp_masked_fill", 2, both))
        return POISON(x.g);
    if (!mask.g || tp_dtype_of(mask) != TP_BOOL)
        return tp_fail(x.g, at, "tp_masked_fill", "mask %s; expected truth values",
                       mask.g ? tp_describe(mask) : "a number");
    return tp_where_at(mask, tp_as_number(value), x, at);
}

tp_tensor tp_one_hot_at(tp_tensor index, int64_t classes, tp_dtype dtype, tp_loc at)
{
    tp_graph *g = index.g;
    struct ir_loc loc;
    struct ir_shape s;
    tp_tensor wide;
    ir_val number, equal;

    if (!tp_tensors(g, at, "tp_one_hot", 1, &index) || !tp_good_dtype(g, at, "tp_one_hot", dtype))
        return POISON(g);
    if (classes < 1)
        return tp_fail(g, at, "tp_one_hot", "%lld classes; expected 1 or more", (long long)classes);
    wide = tp_unsqueeze_at(index, -1, at);
    if (!wide.id)
        return wide;
    loc = tp_place(g, at);
    s = (struct ir_shape){ .rank = 1, .dim = { classes } };
    number = ir_iota(g->ir, tp_node(wide)->dtype, s, 0, loc);
    equal = ir_op2(g->ir, IR_eq, tp_val(wide), number, loc);
    return tp_give(g, ir_cast(g->ir, equal, tp_ir_dtype(dtype), loc));
}

/* --- Python's brackets -------------------------------------------------------------------------
 */

/* A number at *c, or `otherwise` where there is none. */
static bool read_index(const char **c, int64_t *to, int64_t otherwise)
{
    char *end;

    *c += strspn(*c, " ");
    *to = strtoll(*c, &end, 10);
    if (end == *c)
        *to = otherwise;
    if (*to != TP_ALL && (*to > (int64_t)1 << 48 || *to < -((int64_t)1 << 48)))
        return false;
    *c = end + strspn(end, " ");
    return true;
}

/* One of the words between commas: an index, a slice, None or `...`; false: it is none of these. */
static bool read_word(tp_tensor *x, const char **c, int *axis, int words_after, tp_loc at)
{
    int64_t start, stop = TP_ALL, step = 1;

    *c += strspn(*c, " ");
    if (strncmp(*c, "...", 3) == 0) {
        *c += 3;
        *axis = tp_rank(*x) - words_after;
        return *axis >= 0;
    }
    if (strncmp(*c, "None", 4) == 0) {
        *c += 4;
        *x = tp_unsqueeze_at(*x, (*axis)++, at);
        return true;
    }
    if (!read_index(c, &start, TP_ALL))
        return false;
    if (**c != ':') { /* one element: the axis goes */
        if (start == TP_ALL)
            return false;
        *x = tp_index_at(*x, *axis, start, at);
        return true;
    }
    ++*c;
    if (!read_index(c, &stop, TP_ALL))
        return false;
    if (**c == ':') {
        ++*c;
        if (!read_index(c, &step, 1) || step == 0)
            return false;
    }
    start = start == TP_ALL && step > 0 ? 0 : start;
    *x = tp_slice_at(*x, (*axis)++, start, (tp_slice_args){ stop, step }, at);
    return true;
}

/* Words after c that take an axis of x. */
static int axes_after(const char *c)
{
    int count = 0;

    for (c = strchr(c, ','); c; c = strchr(c + 1, ','))
        count += strncmp(c + 1 + strspn(c + 1, " "), "None", 4) != 0;
    return count;
}

tp_tensor tp_pick_at(tp_tensor x, const char *text, tp_loc at)
{
    const tp_tensor whole = x;
    const char *c = text;
    int axis = 0;

    if (!tp_ready(x.g, at, "tp_pick", 1, &x))
        return POISON(x.g);
    for (bool more = text && *text; more; c += more) {
        const bool fits = read_word(&x, &c, &axis, axes_after(c), at);

        if (tp_error(x.g))
            return POISON(x.g);
        more = *c == ',';
        if (!fits || (*c && !more))
            return tp_fail(x.g, at, "tp_pick",
                           "[%.80s] of %s; expected indices, slices "
                           "start:stop:step, ... and None, a comma between two",
                           text, tp_describe(whole));
    }
    return x;
}
