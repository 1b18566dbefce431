/*
 * sample: drawing classes and orders by chance. Noise is a function of (seed, step, stream, index),
 * so what is drawn is the same for any number of threads and after a resume; choosing is by the
 * greatest of log-probability plus Gumbel noise (Gumbel 1954; arXiv:1611.01144), which needs no
 * running sums to draw.
 */
#include <math.h>

#include "frontend/frontend.h"

static tp_tensor noisy(tp_tensor logits, tp_loc at)
{
    return tp_binary_at(
        "add", logits,
        tp_draw_at(logits.g, "gumbel", tp_dtype_of(logits), tp_shape_of(logits), 0, 1, at), at);
}

static bool has_classes(const char *what, tp_tensor x, tp_loc at)
{
    if (!tp_ready(x.g, at, what, 1, &x) || !tp_floating(x, what, at))
        return false;
    if (tp_rank(x) < 1)
        tp_fail(x.g, at, what, "%s; expected [.. classes]", tp_describe(x));
    return tp_rank(x) >= 1;
}

tp_tensor tp_categorical_at(tp_tensor logits, tp_loc at)
{
    if (!has_classes("tp_categorical", logits, at))
        return POISON(logits.g);
    return tp_reduce_at("argmax", noisy(logits, at), (tp_reduce_args){ .dim = -1 }, at);
}

/* Without replacement the k greatest, with it k draws. */
tp_tensor tp_multinomial_at(tp_tensor p, int64_t count, bool replacement, tp_loc at)
{
    tp_tensor where;

    if (!has_classes("tp_multinomial", p, at))
        return POISON(p.g);
    if (count < 1 || (!replacement && !ir_dim_fits(p.g->ir, count, tp_dim(p, -1))))
        return tp_fail(p.g, at, "tp_multinomial",
                       "%lld of %s; expected 1 or more, and not more than there are without "
                       "replacement",
                       (long long)count, tp_describe(p));
    p = tp_unary_at("log", p, at);
    if (!replacement) {
        tp_topk_at(noisy(p, at), (tp_topk_args){ .k = count, .axis = -1, .index = &where }, at);
        return where;
    }
    tp_shape many = tp_shape_of(p);
    if (many.rank == 8)
        return tp_fail(p.g, at, "tp_multinomial", "%s; expected at most 7 axes", tp_describe(p));
    many.dim[many.rank] = many.dim[many.rank - 1];
    many.dim[many.rank++ - 1] = count;
    return tp_categorical_at(tp_expand_at(tp_unsqueeze_at(p, -2, at), many, at), at);
}

tp_tensor tp_randperm_at(tp_graph *g, int64_t count, tp_loc at)
{
    ir_val bits;

    if (!tp_ready(g, at, "tp_randperm", 0, NULL))
        return POISON(g);
    bits = tp_chance(g, (struct ir_shape){ 1, { count } }, tp_place(g, at));
    return tp_argsort_at(tp_give(g, bits), (tp_sort_args){ 0 }, at);
}

/*
 * The classes in falling order; of them the first top_k, and of these the fewest whose
 * probabilities reach top_p (arXiv:1904.09751), the first always.
 */
tp_tensor tp_sample_at(tp_tensor logits, tp_sample_args args, tp_loc at)
{
    const double temperature =
        args.temperature != 0 || signbit(args.temperature) ? args.temperature : 1;
    tp_tensor where, part[3];

    if (!has_classes("tp_sample", logits, at))
        return POISON(logits.g);
    if (!(temperature >= 0) || isinf(temperature) || args.top_k < 0 ||
        !(args.top_p >= 0 && args.top_p <= 1))
        return tp_fail(
            logits.g, at, "tp_sample",
            "temperature %g, top_k %lld, top_p %g; expected 0 or more, 0 or more, 0 to 1",
            temperature, (long long)args.top_k, args.top_p);
    if (temperature == 0) /* no chance: the first of the greatest */
        return tp_reduce_at("argmax", logits, (tp_reduce_args){ .dim = -1 }, at);
    if (temperature != 1)
        logits = tp_binary_at("div", logits, tp_as_number(temperature), at);
    if (args.top_k == 0 && (args.top_p == 0 || args.top_p == 1))
        return tp_categorical_at(logits, at);
    const int last = tp_rank(logits) - 1;
    int64_t kept = tp_dim(logits, last);
    if (args.top_k > 0 && ir_dim_fits(logits.g->ir, args.top_k, kept))
        kept = args.top_k;
    logits = tp_topk_at(logits, (tp_topk_args){ .k = kept, .axis = -1, .index = &where }, at);
    if (args.top_p > 0 && logits.id) {
        part[0] = logits;
        part[1] = tp_softmax_at("softmax", logits, last, at);
        part[2] = tp_cumulate_at("cumsum", part[1], last, at);
        logits = tp_where_at(tp_binary_at("lt", tp_binary_at("sub", part[2], part[1], at),
                                          tp_as_number(args.top_p), at),
                             part[0], tp_as_number(-INFINITY), at);
    }
    logits = tp_unsqueeze_at(tp_categorical_at(logits, at), -1, at);
    return tp_squeeze_at(tp_gather_at(where, last, logits, at), -1, at);
}
