/*
 * golden_losses: losses with PyTorch's reductions.
 */
#include "golden.h"

#include <math.h>
#include <string.h>

/* The mean, the sum or all of it; `share` is what the mean divides by, poison: how many there are.
 */
static void reduce_loss(struct golden_work *w, tp_tensor each, tp_tensor share)
{
    const char *how = golden_text(w, "reduction", "mean");

    if (strcmp(how, "none") == 0)
        golden_out(w, each);
    else if (strcmp(how, "sum") == 0)
        golden_out(w, tp_sum(each));
    else if (strcmp(how, "batchmean") == 0 && tp_rank(each) > 0)
        golden_out(w, tp_div(tp_sum(each), (double)tp_dim(each, 0)));
    else if (strcmp(how, "mean") == 0)
        golden_out(w, share.g ? tp_div(tp_sum(each), share) : tp_mean(each));
    else
        golden_cannot(w, "the reduction %.40s", how);
}

void golden_op_loss(struct golden_work *w)
{
    static const struct {
        const char *op, *formula, *attr; /* a: input, b: target, p: the attribute */
    } losses[] = {
        { "mse_loss", "(a - b) * (a - b)", NULL },
        { "l1_loss", "abs(a - b)", NULL },
        { "smooth_l1_loss",
          "select(abs(a - b) < p, 0.5 * (a - b) * (a - b) / p, abs(a - b) - 0.5 * p)", "beta" },
        { "huber_loss",
          "select(abs(a - b) <= p, 0.5 * (a - b) * (a - b), p * (abs(a - b) - 0.5 * p))", "delta" },
        { "bce_loss", "-(b * max(log(a), -100) + (1 - b) * max(log1p(-a), -100))", NULL },
        { "bce_with_logits", "max(a, 0) - a * b + log1p(exp(-abs(a)))", NULL },
        { "kl_div", "select(b > 0, b * log(select(b > 0, b, 1)), 0) - b * a", NULL },
    };
    const tp_tensor x = golden_in(w, "input"), target = golden_in(w, "target");

    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (strcmp(losses[i].op, w->c->op) == 0) {
            const double p = losses[i].attr ? golden_real(w, losses[i].attr, 1) : 0;
            const bool no_corner = losses[i].attr && strcmp(losses[i].attr, "beta") == 0 && p == 0;
            reduce_loss(w,
                        golden_maths(w, no_corner ? "abs(a - b)" : losses[i].formula, x, target, x,
                                     p, 0, 0),
                        (tp_tensor){ 0 });
        }
}

/*
 * cross_entropy and nll_loss: of log-probabilities [N C ..], minus the one of the class, times its
 * weight. Targets that are ignored count nowhere.
 */
void golden_op_class_loss(struct golden_work *w)
{
    tp_tensor x = golden_in(w, "input"), target = golden_in(w, "target");
    const int axis = tp_rank(x) == 1 ? 0 : 1;
    const double smoothing = golden_real(w, "label_smoothing", 0);
    const int64_t ignored = golden_int(w, "ignore_index", -100), classes = tp_dim(x, axis);
    const tp_tensor counts = tp_ne(target, (double)ignored), at = tp_where(counts, target, 0);
    const bool weighted = golden_has(w, "weight");
    tp_tensor logs = strcmp(w->c->op, "nll_loss") == 0 ? x : tp_log_softmax(x, axis), taken, share,
              weight, each;

    if (tp_rank(x) < 1 || tp_rank(target) != tp_rank(x) - 1) {
        golden_cannot(w, "targets of rank %d", tp_rank(target));
        return;
    }
    taken = tp_squeeze(tp_gather(logs, axis, tp_unsqueeze(at, axis)), axis);
    share = tp_cast(counts, tp_dtype_of(x));
    if (weighted)
        share = tp_mul(share, tp_take(golden_in(w, "weight"), 0, at));
    each = tp_neg(tp_mul(tp_where(counts, taken, 0), share));
    if (smoothing != 0) {
        if (weighted) {
            weight = tp_rank(x) == 1 ? golden_in(w, "weight")
                                     : golden_channels(golden_in(w, "weight"), tp_rank(x));
            logs = tp_mul(logs, weight);
        }
        logs = tp_where(counts, tp_neg(tp_sum(logs, axis)), 0);
        each = golden_maths(w, "(1 - p) * a + q * b", each, logs, logs, smoothing,
                            smoothing / (double)classes, 0);
    }
    reduce_loss(w, each, tp_sum(share));
}
