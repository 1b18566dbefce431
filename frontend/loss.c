/*
 * loss: losses of an element of the input against one of the target, a formula each, and how they
 * become one number. Two shapes that a loss compares must be equal: broadcasting (32,1) against
 * (32,) to a matrix is never meant.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_loss_reduced(tp_tensor each, tp_reduction how, tp_loc at)
{
    const tp_reduce_args all = { .dim = TP_ALL };

    if (!each.id || how == TP_EACH)
        return each;
    if (how == TP_BATCHMEAN && tp_rank(each) > 0) /* the sum over what each row's loss is */
        return tp_binary_at("div", tp_reduce_at("sum", each, all, at),
                            tp_give(each.g, ir_size(each.g->ir, tp_dim(each, 0),
                                                    tp_node(each)->dtype, tp_place(each.g, at))),
                            at);
    return tp_reduce_at(how == TP_SUM ? "sum" : "mean", each, all, at);
}

/* Tensors of one floating type and shape; false with an error. */
bool tp_loss_alike(const char *what, int n, const tp_tensor *x, tp_loc at)
{
    if (!tp_ready(tp_graph_of(n, x), at, what, n, x))
        return false;
    for (int i = 0; i < n; i++)
        if (!x[i].g || tp_node(x[i])->dtype != tp_node(x[0])->dtype ||
            !ir_same_shape(&tp_node(x[i])->shape, &tp_node(x[0])->shape)) {
            tp_fail(tp_graph_of(n, x), at, what,
                    "%s against %s; expected tensors of one type and shape",
                    x[0].g ? tp_describe_from(x[0]) : "a number",
                    x[i].g ? tp_describe_from(x[i]) : "a number");
            return false;
        }
    return tp_floating(x[0], what, at);
}

#define OPTION(name) offsetof(tp_loss_args, name)
#define NOTHING      SIZE_MAX
static const struct loss {
    const char *name, *formula; /* of an element of a and of b, the target; c: a third tensor */
    size_t p, q;                /* options that stand for p and q */
    double p_default, q_default;
    bool third;
} losses[] = {
    { "mse", "(a - b) * (a - b)", NOTHING, NOTHING, 0, 0, false },
    { "l1", "abs(a - b)", NOTHING, NOTHING, 0, 0, false },
    { "smooth_l1", "select(abs(a - b) < p, 0.5 * (a - b) * (a - b) / p, abs(a - b) - 0.5 * p)",
      OPTION(beta), NOTHING, 1, 0, false },
    { "huber", "select(abs(a - b) <= p, 0.5 * (a - b) * (a - b), p * (abs(a - b) - 0.5 * p))",
      OPTION(delta), NOTHING, 1, 0, false },
    { "bce", "-(b * max(log(a), -100) + (1 - b) * max(log1p(-a), -100))", NOTHING, NOTHING, 0, 0,
      false },
    { "bce_with_logits", "max(a, 0) - a * b + log1p(exp(-abs(a)))", NOTHING, NOTHING, 0, 0, false },
    { "bce_with_logits weighted",
      "(1 - b) * a + (1 + (c - 1) * b) * (log1p(exp(-abs(a))) + max(-a, 0))", NOTHING, NOTHING, 0,
      0, true },
    { "kl_div", "select(b > 0, b * log(select(b > 0, b, 1)), 0) - b * a", NOTHING, NOTHING, 0, 0,
      false },
    { "kl_div log_target", "exp(b) * (b - a)", NOTHING, NOTHING, 0, 0, false },
    { "poisson_nll", "exp(a) - b * a", NOTHING, NOTHING, 0, 0, false },
    { "poisson_nll rate", "a - b * log(a + p)", OPTION(eps), NOTHING, 1e-8, 0, false },
    { "gaussian_nll",
      "0.5 * (log(c + stop_gradient(max(c, p) - c)) + "
      "(a - b) * (a - b) / (c + stop_gradient(max(c, p) - c)))",
      OPTION(eps), NOTHING, 1e-6, 0, true },
    { "hinge", "max(1 - a * b, 0)", NOTHING, NOTHING, 0, 0, false },
    { "hinge_embedding", "select(b == -1, 0, a) + select(b == 1, 0, max(p - a, 0))", OPTION(margin),
      NOTHING, 1, 0, false },
    { "soft_margin", "max(-(a * b), 0) + log1p(exp(-abs(a * b)))", NOTHING, NOTHING, 0, 0, false },
    { "margin_ranking", "max(p - c * (a - b), 0)", OPTION(margin), NOTHING, 0, 0, true },
    /* 1 - the probability of the target, by tanh, whose slope is finite everywhere */
    { "focal",
      "(p * b + (1 - p) * (1 - b)) * pow(0.5 + (0.5 - b) * tanh(0.5 * a), q) * "
      "(max(a, 0) - a * b + log1p(exp(-abs(a))))",
      OPTION(alpha), OPTION(gamma), 0.25, 2, false },
};

static const struct loss *find(const char *name)
{
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (strcmp(losses[i].name, name) == 0)
            return &losses[i];
    return NULL;
}

static double option(const tp_loss_args *a, size_t offset, double otherwise)
{
    const double given = offset == NOTHING ? 0 : *(const double *)((const char *)a + offset);

    return given == 0 && !signbit(given) ? otherwise : given;
}

/* The row that options ask for: `name`, or that with another form of the loss. */
static const struct loss *choose(const char *name, const tp_loss_args *a)
{
    if (a->pos_weight.g && strcmp(name, "bce_with_logits") == 0)
        return find("bce_with_logits weighted");
    if (a->log_target && strcmp(name, "kl_div") == 0)
        return find("kl_div log_target");
    if (a->rate && strcmp(name, "poisson_nll") == 0)
        return find("poisson_nll rate");
    if (strcmp(name, "smooth_l1") == 0 && a->beta == 0 && signbit(a->beta))
        return find("l1");
    return find(name);
}

/* What does not depend on the input, where all of the likelihood is asked for. */
static tp_tensor constant_part(const char *name, tp_tensor target, tp_loc at)
{
    if (strcmp(name, "gaussian_nll") == 0)
        return tp_full_like_at(target, 0.91893853320467274178, at); /* log(2 pi) / 2 */
    return tp_maths1("select(a > 1, a * log(a) - a + 0.5 * log(p * a), 0)", target, at,
                     6.28318530717958647693);
}

bool tp_loss_plain(const char *name, struct ir_text *names)
{
    const struct loss *row = find(name);

    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (!losses[i].third && !strchr(losses[i].name, ' ')) /* no form that options ask for */
            ir_put(names, ", %s", losses[i].name);
    return row && !row->third && !strchr(name, ' ');
}

tp_tensor tp_loss_at(const char *name, tp_tensor x, tp_loss_args a, tp_loc at)
{
    const struct loss *row = choose(name, &a);
    tp_tensor t[3] = { x, a.target, { .g = NULL } }, each;
    double p[2];

    if (!tp_ready(tp_graph_of(2, t), at, name, 2, t))
        return POISON(tp_graph_of(2, t));
    if (!row)
        return tp_fail(tp_graph_of(2, t), at, name, "no such loss; expected mse or another");
    if (!tp_loss_alike(name, 2, t, at))
        return POISON(tp_graph_of(2, t));
    if (row->third) {
        t[2] = a.pos_weight.g ? a.pos_weight : a.third;
        if (!tp_ready(x.g, at, name, 3, t))
            return POISON(x.g);
        if (!t[2].g)
            return tp_fail(x.g, at, name, "its third tensor is a number; expected one like %s",
                           tp_describe(x));
        if (!a.pos_weight.g && tp_rank(t[2]) != tp_rank(x))
            return tp_fail(x.g, at, name, "%s with %s; expected tensors of one rank",
                           tp_describe(x), tp_describe(t[2]));
    }
    p[0] = option(&a, row->p, row->p_default);
    p[1] = option(&a, row->q, row->q_default);
    each = tp_maths(row->formula, row->third ? 3 : 2, t, 2, p, at);
    if (a.full)
        each = tp_binary_at("add", each, constant_part(name, a.target, at), at);
    if (a.weight.g)
        each = tp_binary_at("mul", each, a.weight, at);
    return tp_loss_reduced(each, a.reduction, at);
}
