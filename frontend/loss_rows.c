/*
 * loss_rows: losses that compare rows: by angle, by distance, by the margin between classes, by
 * overlap.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

static tp_tensor sum_last(tp_tensor x, int axis, tp_loc at)
{
    return tp_reduce_at("sum", x, (tp_reduce_args){ .dim = axis }, at);
}

static double or_default(double given, double otherwise)
{
    return given == 0 && !signbit(given) ? otherwise : given;
}

tp_tensor tp_cosine_similarity_at(tp_tensor a, tp_tensor b, int axis, double eps, tp_loc at)
{
    const tp_tensor both[] = { a, b };

    if (!tp_loss_alike("tp_cosine_similarity", 2, both, at))
        return POISON(a.g);
    return sum_last(tp_binary_at("mul", tp_normalize_at(a, 2, axis, eps, at),
                                 tp_normalize_at(b, 2, axis, eps, at), at),
                    axis, at);
}

/* eps is added to each difference, as PyTorch does, so that a distance of 0 has a slope. */
tp_tensor tp_pairwise_distance_at(tp_tensor a, tp_tensor b, double p, double eps, tp_loc at)
{
    const tp_tensor both[] = { a, b };

    if (!tp_loss_alike("tp_pairwise_distance", 2, both, at))
        return POISON(a.g);
    return tp_norm_at(tp_maths("a - b + p", 2, both, 1, &eps, at), p, (tp_reduce_args){ .dim = -1 },
                      at);
}

/* The target of the losses below: +1 or -1 for each row. */
static bool signs(const char *what, tp_tensor x, tp_tensor y, tp_loc at)
{
    if (y.g && tp_rank(y) == tp_rank(x) - 1 && tp_node(y)->dtype == tp_node(x)->dtype &&
        memcmp(tp_shape_of(y).dim, tp_shape_of(x).dim, (size_t)tp_rank(y) * sizeof(int64_t)) == 0)
        return true;
    tp_fail(x.g, at, what, "%s, targets %s; expected 1 or -1 for each row, of the same type",
            tp_describe_from(x), y.g ? tp_describe_from(y) : "a number");
    return false;
}

tp_tensor tp_cosine_embedding_at(tp_tensor a, tp_tensor b, tp_loss_args args, tp_loc at)
{
    const char *what = "tp_cosine_embedding";
    const tp_tensor all[] = { a, b, args.target };
    const double eps = 1e-12;
    tp_tensor x[3], each;

    if (!tp_ready(a.g, at, what, 3, all) || !tp_loss_alike(what, 2, all, at) ||
        !signs(what, a, args.target, at))
        return POISON(a.g);
    x[0] = sum_last(tp_binary_at("mul", a, b, at), -1, at);
    x[1] = sum_last(tp_binary_at("mul", a, a, at), -1, at);
    x[2] = sum_last(tp_binary_at("mul", b, b, at), -1, at);
    x[0] = tp_maths("a / sqrt((b + p) * (c + p))", 3, x, 1, &eps, at);
    x[1] = args.target;
    each = tp_maths("select(b == 1, 1 - a, max(a - p, 0))", 2, x, 1, &args.margin, at);
    return tp_loss_reduced(each, args.reduction, at);
}

tp_tensor tp_triplet_margin_at(tp_tensor anchor, tp_tensor positive, tp_loss_args args, tp_loc at)
{
    const char *what = "tp_triplet_margin";
    const tp_tensor negative = args.target, all[] = { anchor, positive, negative };
    const double p = or_default(args.p, 2), margin = or_default(args.margin, 1),
                 eps = or_default(args.eps, 1e-6);
    tp_tensor x[2];

    if (!tp_loss_alike(what, 3, all, at))
        return POISON(anchor.g);
    x[0] = tp_pairwise_distance_at(anchor, positive, p, eps, at);
    x[1] = tp_pairwise_distance_at(anchor, negative, p, eps, at);
    if (args.swap)
        x[1] =
            tp_binary_at("min", x[1], tp_pairwise_distance_at(positive, negative, p, eps, at), at);
    return tp_loss_reduced(tp_maths("max(p + a - b, 0)", 2, x, 1, &margin, at), args.reduction, at);
}

/* sum over the other classes of max(0, margin - x[target] + x[i])^p / classes */
tp_tensor tp_multi_margin_at(tp_tensor x, tp_loss_args args, tp_loc at)
{
    const char *what = "tp_multi_margin";
    const tp_tensor all[] = { x, args.target };
    const double p = or_default(args.p, 1), margin = or_default(args.margin, 1);
    tp_tensor hit, own, each;

    if (!tp_ready(x.g, at, what, 2, all) || !tp_floating(x, what, at))
        return POISON(x.g);
    if (!args.target.g || tp_rank(x) < 1 || tp_rank(args.target) != tp_rank(x) - 1 ||
        !strchr("iu", ir_dtypes[tp_node(args.target)->dtype].kind) || (p != 1 && p != 2) ||
        !ir_dim_fixed(tp_dim(x, -1)))
        return tp_fail(x.g, at, what,
                       "%s, targets %s, p %g; expected [.. classes], class numbers "
                       "[..] and 1 or 2",
                       tp_describe(x), args.target.g ? tp_describe(args.target) : "a number", p);
    hit = tp_arange_at(x.g, tp_dtype_of(args.target), tp_dim(x, -1), at);
    hit = tp_binary_at("eq", tp_along(hit, tp_rank(x) - 1, tp_rank(x), at),
                       tp_unsqueeze_at(args.target, -1, at), at);
    own = tp_unsqueeze_at(sum_last(tp_where_at(hit, x, tp_as_number(0), at), -1, at), -1, at);
    each = tp_maths("max(p - a + b, 0)", 2, (tp_tensor[]){ own, x }, 1, &margin, at);
    each = p == 2 ? tp_binary_at("mul", each, each, at) : each;
    if (args.weight.g)
        each = tp_binary_at(
            "mul", each, tp_unsqueeze_at(tp_take_at(args.weight, 0, args.target, at), -1, at), at);
    each = tp_where_at(hit, tp_as_number(0), each, at);
    return tp_loss_reduced(tp_reduce_at("mean", each, (tp_reduce_args){ .dim = -1 }, at),
                           args.reduction, at);
}

/* 1 - (2 sum(x t) + eps) / (sum x + sum t + eps) of each image, all axes but the first */
tp_tensor tp_dice_at(tp_tensor x, tp_loss_args args, tp_loc at)
{
    const tp_tensor both[] = { x, args.target };
    const double eps = or_default(args.eps, 1);
    tp_tensor part[3] = { x, args.target };

    if (!tp_loss_alike("tp_dice", 2, both, at))
        return POISON(x.g);
    if (tp_rank(x) < 2)
        return tp_fail(x.g, at, "tp_dice", "%s; expected two axes or more", tp_describe(x));
    part[2] = tp_binary_at("mul", x, args.target, at);
    for (int i = 0; i < 3; i++)
        part[i] = sum_last(tp_flatten_at(part[i], (tp_flatten_args){ .from = 1 }, at), 1, at);
    return tp_loss_reduced(tp_maths("1 - (c + c + p) / (a + b + p)", 3, part, 1, &eps, at),
                           args.reduction, at);
}
