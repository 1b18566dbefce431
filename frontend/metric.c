/*
 * metric: how good predictions are, as numbers of the graph. Counts are sums of truth values, so
 * that batches add up.
 */
#include <string.h>

#include "frontend/frontend.h"

static tp_tensor mean_of_truth(tp_tensor right, tp_loc at)
{
    return tp_reduce_at("mean", tp_cast_at(right, TP_F32, at), (tp_reduce_args){ .dim = TP_ALL },
                        at);
}

/* [..] of an integer type, which names classes of [.. classes] */
static bool names_rows(const char *what, tp_tensor x, tp_tensor target, tp_loc at)
{
    const tp_tensor both[] = { x, target };

    if (!tp_ready(x.g, at, what, 2, both))
        return false;
    if (tp_rank(x) > 0 && target.g && tp_rank(target) == tp_rank(x) - 1 &&
        strchr("iu", ir_dtypes[tp_node(target)->dtype].kind) &&
        memcmp(tp_shape_of(x).dim, tp_shape_of(target).dim,
               (size_t)tp_rank(target) * sizeof(int64_t)) == 0)
        return true;
    tp_fail(x.g, at, what, "%s, classes %s; expected [.. classes] and integers [..]",
            tp_describe(x), target.g ? tp_describe(target) : "a number");
    return false;
}

tp_tensor tp_accuracy_at(tp_tensor x, tp_tensor target, tp_loc at)
{
    if (!names_rows("tp_accuracy", x, target, at))
        return POISON(x.g);
    x = tp_reduce_at("argmax", x, (tp_reduce_args){ .dim = -1 }, at);
    return mean_of_truth(tp_binary_at("eq", x, target, at), at);
}

/* A class is among the k first when fewer than k go before it: those that are greater, and of the
 * equal ones those with smaller numbers, as tp_topk() takes them. */
tp_tensor tp_topk_accuracy_at(tp_tensor x, tp_tensor target, int64_t k, tp_loc at)
{
    tp_tensor own, first, before, place;

    if (!names_rows("tp_topk_accuracy", x, target, at))
        return POISON(x.g);
    if (k < 1)
        return tp_fail(x.g, at, "tp_topk_accuracy", "the first %lld; expected 1 or more",
                       (long long)k);
    target = tp_unsqueeze_at(tp_cast_at(target, TP_I64, at), -1, at);
    own = tp_gather_at(x, -1, target, at);
    place = tp_index_along(x.g, tp_shape_of(x), tp_rank(x) - 1, at);
    first = tp_binary_at("and", tp_binary_at("eq", x, own, at),
                         tp_binary_at("lt", place, target, at), at);
    before = tp_binary_at("or", tp_binary_at("lt", own, x, at), first, at);
    before = tp_reduce_at("sum", before, (tp_reduce_args){ .dim = -1 }, at);
    return mean_of_truth(tp_binary_at("lt", before, tp_as_number((double)k), at), at);
}

/* i64 [classes classes]: rows are what it is, columns what was said */
tp_tensor tp_confusion_matrix_at(tp_tensor said, tp_tensor target, int64_t classes, tp_loc at)
{
    const tp_tensor both[] = { said, target };
    tp_tensor flat;

    if (!tp_ready(said.g, at, "tp_confusion_matrix", 2, both))
        return POISON(said.g);
    if (classes < 1 || classes > 1 << 20 || !target.g ||
        !strchr("iu", ir_dtypes[tp_node(said)->dtype].kind) ||
        !strchr("iu", ir_dtypes[tp_node(target)->dtype].kind) ||
        !ir_same_shape(&tp_node(said)->shape, &tp_node(target)->shape))
        return tp_fail(said.g, at, "tp_confusion_matrix",
                       "%s, classes %s, %lld of them; expected integers of one shape, 1 or more",
                       tp_describe(said), target.g ? tp_describe(target) : "a number",
                       (long long)classes);
    flat = tp_binary_at(
        "add",
        tp_binary_at("mul", tp_cast_at(target, TP_I64, at), tp_as_number((double)classes), at),
        tp_cast_at(said, TP_I64, at), at);
    return tp_reshape_at(tp_bincount_at(flat, tp_as_number(1), classes * classes, at),
                         tp_dims(classes, classes), at);
}

/* Of a confusion matrix, by class: f32 [classes]; 0 where nothing was said, or there is none. */
tp_tensor tp_class_score_at(const char *what, tp_tensor matrix, tp_loc at)
{
    tp_tensor part[3];

    if (!tp_ready(matrix.g, at, what, 1, &matrix))
        return POISON(matrix.g);
    if (tp_rank(matrix) != 2 || tp_dim(matrix, 0) != tp_dim(matrix, 1))
        return tp_fail(matrix.g, at, what, "%s; expected a confusion matrix [classes classes]",
                       tp_describe(matrix));
    matrix = tp_cast_at(matrix, TP_F32, at);
    part[0] = tp_diag_at(matrix, 0, at);
    part[1] = tp_reduce_at("sum", matrix, (tp_reduce_args){ .dim = 0 }, at); /* said */
    part[2] = tp_reduce_at("sum", matrix, (tp_reduce_args){ .dim = 1 }, at); /* there */
    return tp_maths(strcmp(what, "tp_precision") == 0 ? "a / max(b, 1)"
                    : strcmp(what, "tp_recall") == 0  ? "a / max(c, 1)"
                                                      : "2 * a / max(b + c, 1)",
                    3, part, 0, NULL, at);
}

/* exp of the mean of the negative log-probabilities of what came next */
tp_tensor tp_perplexity_at(tp_tensor logits, tp_tensor target, tp_loc at)
{
    return tp_unary_at(
        "exp", tp_class_loss_at("tp_perplexity", logits, (tp_class_args){ .target = target }, at),
        at);
}

/* 1 - squares of what is left / squares of the target off its mean */
tp_tensor tp_r2_at(tp_tensor x, tp_tensor target, tp_loc at)
{
    const tp_tensor both[] = { x, target };
    tp_tensor part[2];

    if (!tp_ready(x.g, at, "tp_r2", 2, both) || !tp_loss_alike("tp_r2", 2, both, at))
        return POISON(x.g);
    part[0] = tp_binary_at("sub", target, x, at);
    part[1] = tp_binary_at("sub", target,
                           tp_reduce_at("mean", target, (tp_reduce_args){ .dim = TP_ALL }, at), at);
    for (int i = 0; i < 2; i++)
        part[i] = tp_reduce_at("sum", tp_binary_at("mul", part[i], part[i], at),
                               (tp_reduce_args){ .dim = TP_ALL }, at);
    return tp_maths("1 - a / b", 2, part, 0, NULL, at);
}
