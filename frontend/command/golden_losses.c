/*
 * golden_losses: losses with PyTorch's options.
 */
#include "golden.h"

#include <string.h>

static tp_reduction reduction(struct golden_work *w)
{
    static const char *const names[] = {
        [TP_MEAN] = "mean", [TP_SUM] = "sum", [TP_EACH] = "none", [TP_BATCHMEAN] = "batchmean"
    };
    const char *how = golden_text(w, "reduction", "mean");

    for (int i = 0; i < 4; i++)
        if (strcmp(how, names[i]) == 0)
            return (tp_reduction)i;
    golden_cannot(w, "the reduction %.40s", how);
    return TP_MEAN;
}

/* A number that is given, 0 too; else the default. */
static double given(struct golden_work *w, const char *name)
{
    const double number = golden_real(w, name, 0);

    return golden_attr(w->c, name) && number == 0 ? TP_ZERO : number;
}

void golden_op_loss(struct golden_work *w)
{
    const char *op = w->c->op;
    const size_t length =
        strlen(op) > 5 && strcmp(op + strlen(op) - 5, "_loss") == 0 ? strlen(op) - 5 : strlen(op);
    const char *name = ir_format(w->g->ir->arena, "%.*s", (int)length, op);

    golden_out(w, tp_loss(name, golden_in(w, "input"), golden_in(w, "target"),
                          .reduction = reduction(w), .beta = given(w, "beta"),
                          .delta = given(w, "delta")));
}

void golden_op_class_loss(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_class_args args = { .target = golden_in(w, "target"),
                           .reduction = reduction(w),
                           .smoothing = golden_real(w, "label_smoothing", 0),
                           .ignore_index = (double)golden_int(w, "ignore_index", -100),
                           .axis = tp_rank(x) > 1 };

    if (args.ignore_index == 0)
        args.ignore_index = TP_ZERO;
    if (golden_has(w, "weight"))
        args.weight = golden_in(w, "weight");
    golden_out(w,
               tp_class_loss_at(strcmp(w->c->op, "nll_loss") == 0 ? "tp_nll" : "tp_cross_entropy",
                                x, args, TP_HERE));
}
