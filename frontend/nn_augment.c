/*
 * nn_augment: layers that change the images of a batch by chance, each image in its own way, and
 * bring their channels to one scale. Programs that evaluate have the images as they are.
 */
#include <string.h>

#include "frontend/frontend.h"

/* The axis from 0 on, if it is one of a row's. */
static bool row_axis(tp_tensor x, int *axis)
{
    const int rank = tp_rank(x);

    *axis += *axis < 0 ? rank : 0;
    return rank >= 2 && *axis > 0 && *axis < rank;
}

/* One number for each row: x's shape with 1 for all other axes. */
static tp_shape one_a_row(tp_tensor x)
{
    tp_shape shape = tp_shape_of(x);

    for (int i = 1; i < shape.rank; i++)
        shape.dim[i] = 1;
    return shape;
}

tp_tensor tp_random_flip_at(tp_tensor x, int axis, double p, tp_loc at)
{
    struct ir_graph *g;
    struct ir_loc loc;
    ir_val v, kept;
    uint32_t region;
    int of = axis;

    if (!tp_ready(x.g, at, "tp_random_flip", 1, &x))
        return POISON(x.g);
    if (!row_axis(x, &of) || !(p >= 0 && p <= 1))
        return tp_fail(x.g, at, "tp_random_flip",
                       "%s along axis %d with probability %g; expected an axis after the first, "
                       "and 0 <= p <= 1",
                       tp_describe(x), axis, p);
    g = x.g->ir;
    loc = tp_place(x.g, at);
    v = tp_val(x);
    region = ir_region_open(g, "dropout", NULL, 1, &v, (struct ir_list){ 0 }, loc);
    kept = ir_op2(g, IR_le, ir_integer(g, IR_U32, (int64_t)(p * 4294967295.0), loc),
                  tp_chance(x.g, tp_ir_shape(one_a_row(x)), loc), loc);
    v = ir_select(g, kept, v, tp_val(tp_flip_at(x, (tp_shape){ 1, { of } }, at)), loc);
    return tp_give(x.g, ir_region_close(g, region, v));
}

/*
 * Element i of a row is its element i - d, zero beyond the ends, d one number a row from low to
 * high: the place is clamped, so that nothing else is read, and the mask does the rest.
 */
static tp_tensor moved_by_chance(tp_tensor x, int axis, int64_t low, int64_t high, tp_loc at)
{
    tp_graph *g = x.g;
    const int64_t n = tp_dim(x, axis);
    const struct ir_loc loc = tp_place(g, at);
    tp_shape along = one_a_row(x);
    ir_val v = tp_val(x), letter[26] = { 0 };
    tp_tensor place, inside, there;
    uint32_t region;

    region = ir_region_open(g->ir, "dropout", NULL, 1, &v, (struct ir_list){ 0 }, loc);
    letter[1] = tp_val(tp_randint_at(g, TP_I32, along, low, high + 1, at));
    along.dim[0] = 1;
    along.dim[axis] = n;
    letter[0] = tp_val(tp_reshape_at(tp_arange_at(g, TP_I32, n, at), along, at));
    letter[2] = ir_integer(g->ir, IR_I32, 0, loc);
    letter[3] = ir_integer(g->ir, IR_I32, n - 1, loc);
    letter[0] = ir_op2(g->ir, IR_sub, letter[0], letter[1], loc);
    place = tp_give(g, ir_formula(g->ir, "max(min(a, d), c)", letter, loc));
    inside = tp_binary_at("eq", place, tp_give(g, letter[0]), at);
    there = tp_gather_at(x, axis, tp_expand_at(place, tp_shape_of(x), at), at);
    there = tp_where_at(inside, there, tp_as_number(0), at);
    return tp_give(g, ir_region_close(g->ir, region, tp_val(there)));
}

tp_tensor tp_random_shift_at(tp_tensor x, int axis, int64_t most, tp_loc at)
{
    int of = axis;

    if (!tp_ready(x.g, at, "tp_random_shift", 1, &x))
        return POISON(x.g);
    if (!row_axis(x, &of) || !ir_dim_fixed(tp_dim(x, of)) || most < 0 || most >= tp_dim(x, of))
        return tp_fail(x.g, at, "tp_random_shift",
                       "%s along axis %d by %lld; expected an axis after the first, of a known "
                       "extent, and fewer steps than that",
                       tp_describe(x), axis, (long long)most);
    return most ? moved_by_chance(x, of, -most, most, at) : x;
}

/* The middle of what was moved: so far that each window comes to lie there. */
tp_tensor tp_random_crop_at(tp_tensor x, int axis, int64_t length, tp_loc at)
{
    int64_t before, after;
    int of = axis;

    if (!tp_ready(x.g, at, "tp_random_crop", 1, &x))
        return POISON(x.g);
    if (!row_axis(x, &of) || !ir_dim_fixed(tp_dim(x, of)) || length < 1 || length > tp_dim(x, of))
        return tp_fail(x.g, at, "tp_random_crop",
                       "%s along axis %d to %lld; expected an axis after the first, of a known "
                       "extent, and 1 to so many elements of it",
                       tp_describe(x), axis, (long long)length);
    before = (tp_dim(x, of) - length) / 2;
    after = tp_dim(x, of) - length - before;
    if (before + after)
        x = moved_by_chance(x, of, -after, before, at);
    return tp_narrow_at(x, of, before, length, at);
}

tp_tensor tp_standardise_at(tp_tensor x, const float *mean, const float *deviation, tp_loc at)
{
    tp_shape channels = { 0 };
    tp_tensor m, d;

    if (!tp_ready(x.g, at, "tp_standardise", 1, &x))
        return POISON(x.g);
    if (tp_rank(x) < 2 || !ir_dim_fixed(tp_dim(x, 1)) || ir_dtypes[tp_node(x)->dtype].kind != 'f' ||
        !mean || !deviation)
        return tp_fail(x.g, at, "tp_standardise",
                       "%s; expected [batch channels ..] of a floating type, and a mean and a "
                       "deviation of each channel",
                       tp_describe(x));
    for (int64_t c = 0; c < tp_dim(x, 1); c++)
        if (!(deviation[c] > 0))
            return tp_fail(x.g, at, "tp_standardise",
                           "deviation %g of channel %lld; expected numbers above 0", deviation[c],
                           (long long)c);
    channels.rank = tp_rank(x) - 1;
    for (int i = 0; i < channels.rank; i++)
        channels.dim[i] = i ? 1 : tp_dim(x, 1);
    m = tp_array_at(x.g, TP_F32, channels, mean, at);
    d = tp_array_at(x.g, TP_F32, channels, deviation, at);
    if (tp_dtype_of(x) != TP_F32) {
        m = tp_cast_at(m, tp_dtype_of(x), at);
        d = tp_cast_at(d, tp_dtype_of(x), at);
    }
    return tp_binary_at("div", tp_binary_at("sub", x, m, at), d, at);
}
