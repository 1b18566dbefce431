/*
 * source_fill: numbers that are made where they are used: steps, grids, chance of many kinds.
 * Chance is made of the uniform numbers of source.c by the inverse of each distribution.
 */
#include <math.h>

#include "frontend/frontend.h"

tp_tensor tp_range_at(tp_graph *g, tp_dtype dtype, double start, double end, double step, tp_loc at)
{
    const double count = ceil((end - start) / step);
    tp_tensor i;

    if (!tp_ready(g, at, "tp_range", 0, NULL))
        return POISON(g);
    if (!(fabs(count) <= 1e12) || step == 0 || (count < 0))
        return tp_fail(g, at, "tp_range", "%g to %g by %g; expected a step that leads there", start,
                       end, step);
    i = tp_arange_at(g, dtype, (int64_t)count, at);
    i = step == 1 ? i : tp_binary_at("mul", i, tp_as_number(step), at);
    return start == 0 ? i : tp_binary_at("add", i, tp_as_number(start), at);
}

/* From both ends to the middle, so that both ends are exact. */
tp_tensor tp_linspace_at(tp_graph *g, tp_dtype dtype, double start, double end, int64_t count,
                         tp_loc at)
{
    const double step = count > 1 ? (end - start) / (double)(count - 1) : 0;
    tp_tensor i;

    if (!tp_ready(g, at, "tp_linspace", 0, NULL) || !tp_good_dtype(g, at, "tp_linspace", dtype))
        return POISON(g);
    if (count < 0 || !isfinite(step) || ir_dtypes[tp_ir_dtype(dtype)].kind != 'f')
        return tp_fail(g, at, "tp_linspace",
                       "%lld of %s from %g to %g; expected 0 or more, a floating type, finite ends",
                       (long long)count, ir_dtypes[tp_ir_dtype(dtype)].name, start, end);
    i = tp_arange_at(g, dtype, count, at);
    return tp_maths1("select(a < s, p + a * r, q - (t - a) * r)", i, at, start, end, step,
                     (double)((count + 1) / 2), (double)(count - 1));
}

bool tp_meshgrid_at(tp_list list, tp_tensor out[], tp_loc at)
{
    tp_graph *g = tp_graph_of(list.count, list.at);
    tp_shape all = { .rank = list.count };

    if (!tp_ready(g, at, "tp_meshgrid", list.count, list.at))
        return false;
    for (int i = 0; i < list.count; i++) {
        if (!list.at[i].g || tp_rank(list.at[i]) != 1 || list.count > IR_RANK) {
            tp_fail(g, at, "tp_meshgrid",
                    "%d arguments, argument %d of rank %d; expected vectors, "
                    "at most %d",
                    list.count, i + 1, list.at[i].g ? tp_rank(list.at[i]) : 0, IR_RANK);
            return false;
        }
        all.dim[i] = tp_dim(list.at[i], 0);
    }
    for (int i = 0; i < list.count; i++)
        out[i] = tp_expand_at(tp_along(list.at[i], i, list.count, at), all, at);
    return tp_tell(g);
}

/* --- chance ------------------------------------------------------------------------------------
 */

tp_tensor tp_randint_at(tp_graph *g, tp_dtype dtype, tp_shape shape, int64_t low, int64_t high,
                        tp_loc at)
{
    ir_val letter[26] = { 0 };
    struct ir_loc loc;

    if (!tp_ready(g, at, "tp_randint", 0, NULL) || !tp_good_dtype(g, at, "tp_randint", dtype) ||
        !tp_good_rank(g, at, "tp_randint", shape))
        return POISON(g);
    if (high <= low || low < -((int64_t)1 << 52) || high > (int64_t)1 << 52 ||
        high - low > UINT32_MAX)
        return tp_fail(g, at, "tp_randint", "%lld to %lld; expected low < high, at most 2^32 apart",
                       (long long)low, (long long)high);
    loc = tp_place(g, at);
    /* the word times the number of them, over 2^32: each within one part in 2^32 as likely */
    letter[0] = ir_cast(g->ir, tp_chance(g, tp_ir_shape(shape), loc), IR_F64, loc);
    letter[1] = ir_number(g->ir, IR_F64, (double)(high - low) / 4294967296.0, loc);
    letter[2] = ir_number(g->ir, IR_F64, (double)low, loc);
    return tp_cast_at(tp_give(g, ir_formula(g->ir, "floor(a * b) + c", letter, loc)),
                      dtype == TP_DEFAULT ? TP_I64 : dtype, at);
}

/* In (0, 1), never an end of it. */
static tp_tensor inside(tp_graph *g, tp_dtype dtype, tp_shape shape, tp_loc at)
{
    tp_tensor u = tp_rand_at(g, dtype, shape, at);

    return u.id ? tp_maths1("a + p", u, at, 0x1p-25) : u;
}

tp_tensor tp_bernoulli_at(tp_tensor p, tp_loc at)
{
    if (!tp_ready(p.g, at, "tp_bernoulli", 1, &p) || !tp_floating(p, "tp_bernoulli", at))
        return POISON(p.g);
    return tp_cast_at(
        tp_binary_at("lt", tp_rand_at(p.g, tp_dtype_of(p), tp_shape_of(p), at), p, at),
        tp_dtype_of(p), at);
}

tp_tensor tp_draw_at(tp_graph *g, const char *kind, tp_dtype dtype, tp_shape shape, double a,
                     double b, tp_loc at)
{
    if (!tp_ready(g, at, kind, 0, NULL) || !tp_good_dtype(g, at, kind, dtype) ||
        !tp_good_rank(g, at, kind, shape))
        return POISON(g);
    if (ir_dtypes[tp_ir_dtype(dtype)].kind != 'f')
        return tp_fail(g, at, kind, "of %s; expected a floating type",
                       ir_dtypes[tp_ir_dtype(dtype)].name);
    switch (*kind) {
    case 'u': /* uniform from a to b */
        return tp_maths1("p + (q - p) * a", tp_rand_at(g, dtype, shape, at), at, a, b);
    case 'n': /* normal of mean a and deviation b */
        return tp_maths1("p + q * a", tp_randn_at(g, dtype, shape, at), at, a, b);
    case 't': { /* of deviation b, within twice that of a: between the quantiles */
        const double lo = erf(-2 / sqrt(2.0));
        return tp_maths1("p + q * erfinv(r + s * a)", inside(g, dtype, shape, at), at, a,
                         b * sqrt(2.0), lo, -2 * lo);
    }
    case 'e': /* exponential of rate a */
        return tp_maths1("-log(a) / p", inside(g, dtype, shape, at), at, a);
    default: /* gumbel */
        return tp_maths1("p - q * log(-log(a))", inside(g, dtype, shape, at), at, a, b);
    }
}
