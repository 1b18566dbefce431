/*
 * Shape rules of what follows an axis in its order: running sums and extremes, recurrences,
 * sorting.
 */
#include "ir/rules.h"

static bool like_first(struct ir_graph *g, struct ir_node *n, char kind)
{
    const struct ir_node *a = ir_arg(g, n, 0);

    n->dtype = a->dtype;
    n->shape = a->shape;
    return ir_rule_kind(g, n, 0, kind) && ir_rule_axis(g, n, 0, a->shape.rank);
}

bool ir_shape_of_cumulate(struct ir_graph *g, struct ir_node *n)
{
    return like_first(g, n, 'N');
}

bool ir_shape_of_recur(struct ir_graph *g, struct ir_node *n)
{
    if (!ir_rule_same(g, n, 0, 1) || !like_first(g, n, 'N'))
        return false;
    if (!ir_same_shape(&n->shape, &ir_arg(g, n, 1)->shape))
        return ir_refuse(g, n, "%s and %s; expected equal shapes", ir_shown(g, n, 0),
                         ir_shown(g, n, 1));
    return true;
}

bool ir_shape_of_argsort(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_list *down = &n->attr[1];

    if (!like_first(g, n, 'A'))
        return false;
    if (down->count && (down->count != 1 || down->at[0] != 1))
        return ir_refuse(g, n, "a bad `descending`; expected 1, or nothing");
    if (ir_dim_max(g, n->shape.dim[n->attr[0].at[0]]) > INT32_MAX / 2)
        return ir_refuse(g, n, "%s; expected fewer than 2^30 elements along axis %lld",
                         ir_shown(g, n, 0), (long long)n->attr[0].at[0]);
    n->dtype = IR_I64;
    return true;
}
