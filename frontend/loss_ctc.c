/*
 * loss_ctc: the probability of a sequence of classes, whatever the times at which they come (Graves
 * et al., ICML 2006): all ways through the classes with blanks between them, summed step by step in
 * logarithms by a scan. Its derivative is the scan's.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

#define NEVER -1e30 /* a logarithm of 0 that can be subtracted */

struct ways {        /* what every step reads */
    tp_tensor skips; /* may a place be reached past the blank before it: [n 2s+1] */
    tp_tensor steps; /* of each row: [n 1] */
    tp_loc at;
};

/* log (e^a + e^b (+ e^c)) of what is not -inf */
static tp_tensor log_of_sum(int n, const tp_tensor *x, tp_loc at)
{
    tp_tensor most = tp_binary_at("max", x[0], x[1], at), part[4];

    most = n > 2 ? tp_binary_at("max", most, x[2], at) : most;
    memcpy(part, x, (size_t)n * sizeof *x);
    part[n] = tp_unary_at("stop_gradient", most, at);
    return tp_maths(n > 2 ? "log(exp(a - d) + exp(b - d) + exp(c - d)) + d"
                          : "log(exp(a - c) + exp(b - c)) + c",
                    n + 1, part, 0, NULL, at);
}

/* x moved to the right along axis 1, NEVER comes in */
static tp_tensor moved(tp_tensor x, int64_t by, tp_loc at)
{
    const int64_t n = tp_dim(x, 1);

    if (by >= n)
        return tp_full_like_at(x, NEVER, at);
    return tp_pad_at(tp_cut(x, 1, 0, n - by, at), tp_dims(0, by), tp_dims(0, 0), NEVER, at);
}

/* carry: the logarithms [n 2s+1], the step [1 1]; x: those of the classes of each place */
static void one_step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    const struct ways *w = user;
    const tp_loc at = w->at;
    tp_tensor from[3] = { carry[0], moved(carry[0], 1, at), moved(carry[0], 2, at) }, next;

    (void)y;
    from[2] = tp_where_at(w->skips, from[2], tp_as_number(NEVER), at);
    next = tp_binary_at("add", log_of_sum(3, from, at), x[0], at);
    carry[0] = tp_where_at(tp_binary_at("lt", carry[1], w->steps, at), next, carry[0], at);
    carry[1] = tp_binary_at("add", carry[1], tp_as_number(1), at);
}

static bool lengths(tp_tensor logs, tp_tensor x, const char *which, tp_loc at)
{
    if (x.g && tp_rank(x) == 1 && tp_dim(x, 0) == tp_dim(logs, 1) &&
        strchr("iu", ir_dtypes[tp_node(x)->dtype].kind))
        return true;
    tp_fail(logs.g, at, "tp_ctc", "%s, %s %s; expected an integer for each row", tp_describe(logs),
            which, x.g ? tp_describe(x) : "missing");
    return false;
}

/* -> [n] of logarithms at place 2 length and the one before */
static tp_tensor ending(tp_tensor alpha, tp_tensor length, tp_loc at)
{
    tp_tensor end = tp_unsqueeze_at(tp_binary_at("mul", length, tp_as_number(2), at), 1, at), x[2];

    x[0] = tp_gather_at(alpha, 1, end, at);
    end = tp_binary_at("sub", end, tp_as_number(1), at);
    x[1] = tp_where_at(tp_binary_at("le", tp_as_number(0), end, at),
                       tp_gather_at(alpha, 1, tp_binary_at("max", end, tp_as_number(0), at), at),
                       tp_as_number(NEVER), at);
    return tp_squeeze_at(log_of_sum(2, x, at), 1, at);
}

tp_tensor tp_ctc_at(tp_tensor logs, tp_ctc_args a, tp_loc at)
{
    tp_graph *g = logs.g;
    const tp_tensor all[] = { logs, a.target, a.steps, a.lengths };
    struct ways w = { .at = at };
    tp_tensor places, own, before, carry[2], shown, loss, possible;

    if (!tp_ready(g, at, "tp_ctc", 4, all) || !tp_floating(logs, "tp_ctc", at))
        return POISON(g);
    if (tp_rank(logs) != 3 || !a.target.g || tp_rank(a.target) != 2 ||
        tp_dim(a.target, 0) != tp_dim(logs, 1) || !ir_dim_fixed(tp_dim(a.target, 1)) ||
        tp_dim(a.target, 1) < 1 || !strchr("iu", ir_dtypes[tp_node(a.target)->dtype].kind))
        return tp_fail(g, at, "tp_ctc",
                       "%s, target %s; expected [time n classes] and integers [n s]",
                       tp_describe(logs), a.target.g ? tp_describe(a.target) : "missing");
    if (!lengths(logs, a.steps, "steps", at) || !lengths(logs, a.lengths, "lengths", at))
        return POISON(g);
    const int64_t s = tp_dim(a.target, 1), n = tp_dim(logs, 1), blank = a.blank;
    const tp_tensor length = tp_cast_at(a.lengths, TP_I64, at);
    /* blank class blank class .. blank */
    own = tp_unsqueeze_at(tp_cast_at(a.target, TP_I64, at), 2, at);
    before = tp_full_at(g, TP_I64, tp_dims(n, s, 1), (double)blank, at);
    places = tp_reshape_at(tp_concat_at(2, tp_list(before, own), at), tp_dims(n, 2 * s), at);
    places = tp_pad_at(places, tp_dims(0, 0), tp_dims(0, 1), (double)blank, at);
    before = tp_pad_at(tp_cut(places, 1, 0, 2 * s - 1, at), tp_dims(0, 2), tp_dims(0, 0),
                       (double)blank, at);
    w.skips = tp_binary_at("and", tp_binary_at("ne", places, tp_as_number((double)blank), at),
                           tp_binary_at("ne", places, before, at), at);
    w.steps = tp_unsqueeze_at(tp_cast_at(a.steps, TP_I64, at), 1, at);
    if (!w.skips.id)
        return w.skips;
    shown =
        tp_gather_at(logs, 2, tp_expand_at(places, tp_dims(tp_dim(logs, 0), n, 2 * s + 1), at), at);
    /* before the first step: at the first place, from which the first two are reached */
    carry[0] = tp_where_at(
        tp_binary_at("eq", tp_index_along(g, tp_dims(n, 2 * s + 1), 1, at), tp_as_number(0), at),
        tp_full_at(g, tp_dtype_of(logs), tp_dims(n, 2 * s + 1), 0, at), tp_as_number(NEVER), at);
    carry[1] = tp_full_at(g, TP_I64, tp_dims(1, 1), 0, at);
    if (!shown.id || !tp_scan_at(g, one_step, &w, 2, carry, 1, &shown, 0, (tp_scan_args){ 0 }, at))
        return POISON(g);
    loss = tp_unary_at("neg", ending(carry[0], length, at), at);
    possible = tp_binary_at("lt", loss, tp_as_number(-NEVER / 2), at);
    loss = tp_where_at(possible, loss, tp_as_number(a.zero_infinity ? 0 : INFINITY), at);
    if (a.reduction == TP_MEAN)
        loss = tp_binary_at(
            "div", loss,
            tp_cast_at(tp_binary_at("max", length, tp_as_number(1), at), tp_dtype_of(logs), at),
            at);
    return tp_loss_reduced(loss, a.reduction, at);
}
