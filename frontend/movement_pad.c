/*
 * movement_pad: padding by a number, or by what is inside: mirrored without its border (reflect),
 * the border repeated (replicate), the other end (circular). Each axis by itself, as concat of
 * views.
 */
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_pad_at(tp_tensor x, tp_shape lo, tp_shape hi, double value, tp_loc at)
{
    struct ir_list attr[IR_ATTRS] = { { lo.rank, lo.dim }, { hi.rank, hi.dim } };
    tp_tensor number;
    ir_val args[2];

    if (!tp_ready(x.g, at, "tp_pad", 1, &x))
        return POISON(x.g);
    if (lo.rank != tp_rank(x) || hi.rank != tp_rank(x))
        return tp_fail(x.g, at, "tp_pad", "%d and %d numbers for %s; expected one an axis in each",
                       lo.rank, hi.rank, tp_describe(x));
    number = tp_full_at(x.g, tp_dtype_of(x), TP_SCALAR, value, at);
    args[0] = tp_val(x);
    args[1] = tp_val(number);
    return tp_give(x.g, ir_op_attr(x.g->ir, IR_pad, 2, args, attr, tp_place(x.g, at)));
}

static tp_tensor reversed(tp_tensor x, int axis, int64_t start, int64_t count, tp_loc at)
{
    return tp_flip_at(tp_narrow_at(x, axis, start, count, at), tp_dims(axis), at);
}

static tp_tensor repeated(tp_tensor x, int axis, int64_t start, int64_t count, tp_loc at)
{
    return tp_expand_at(tp_narrow_at(x, axis, start, 1, at), tp_with(x, axis, count), at);
}

tp_tensor tp_pad_mode_at(tp_tensor x, tp_shape lo, tp_shape hi, const char *mode, tp_loc at)
{
    const char *what = "tp_pad_mode";
    const bool mirror = mode && strcmp(mode, "reflect") == 0,
               around = mode && strcmp(mode, "circular") == 0;

    if (!tp_ready(x.g, at, what, 1, &x))
        return POISON(x.g);
    if (!mode || (!mirror && !around && strcmp(mode, "replicate") != 0))
        return tp_fail(x.g, at, what, "mode \"%.40s\"; expected reflect, replicate or circular",
                       mode ? mode : "");
    if (lo.rank != tp_rank(x) || hi.rank != tp_rank(x))
        return tp_fail(x.g, at, what, "%d and %d numbers for %s; expected one an axis in each",
                       lo.rank, hi.rank, tp_describe(x));
    for (int axis = 0; axis < lo.rank; axis++) {
        const int64_t n = tp_dim(x, axis), before = lo.dim[axis], after = hi.dim[axis],
                      most = mirror   ? n - 1
                             : around ? n
                             : n > 0  ? (int64_t)1 << 40
                                      : 0;
        tp_tensor part[3];
        int count = 0;

        if (before == 0 && after == 0)
            continue;
        if (!ir_dim_fixed(n) || before < 0 || after < 0 || before > most || after > most)
            return tp_fail(
                x.g, at, what,
                "%lld before and %lld after axis %d of %s; expected 0 to %lld of a known "
                "extent",
                (long long)before, (long long)after, axis, tp_describe(x), (long long)most);
        if (before)
            part[count++] = mirror   ? reversed(x, axis, 1, before, at)
                            : around ? tp_narrow_at(x, axis, n - before, before, at)
                                     : repeated(x, axis, 0, before, at);
        part[count++] = x;
        if (after)
            part[count++] = mirror   ? reversed(x, axis, n - 1 - after, after, at)
                            : around ? tp_narrow_at(x, axis, 0, after, at)
                                     : repeated(x, axis, n - 1, after, at);
        x = tp_concat_at(axis, (tp_list){ count, part }, at);
    }
    return x;
}
