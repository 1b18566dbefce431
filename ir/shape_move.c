/*
 * Shape rules of movement: reshape, permute, slices and their like, and the four rows that pick or
 * place by indices.
 */
#include "ir/rules.h"

#include <string.h>

/* Equal extents are struck out first: a product of two sums is no dim, but both sides may have it.
 */
static bool same_count(struct ir_graph *g, const struct ir_shape *a, const struct ir_shape *b)
{
    int64_t left = 1, right = 1;
    bool struck[IR_RANK] = { false };

    for (int i = 0; i < a->rank; i++) {
        int j = 0;
        while (j < b->rank && (struck[j] || a->dim[i] != b->dim[j]))
            j++;
        if (j < b->rank)
            struck[j] = true;
        else
            left = ir_dim_mul(g, left, a->dim[i]); /* -1 stays -1 */
        if (a->dim[i] == 0)
            left = 0;
    }
    for (int i = 0; i < b->rank; i++) {
        if (!struck[i])
            right = ir_dim_mul(g, right, b->dim[i]);
        if (b->dim[i] == 0)
            right = 0;
    }
    return left != -1 && left == right;
}

static bool target_shape(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_list *dims = &n->attr[0];

    if (dims->count > IR_RANK)
        return ir_refuse(g, n, "rank %d; expected at most %d", dims->count, IR_RANK);
    n->shape.rank = dims->count;
    for (int i = 0; i < dims->count; i++) {
        n->shape.dim[i] = dims->at[i];
        if (!ir_dim_valid(g, dims->at[i]))
            return ir_refuse(g, n, "extent %s; expected 0 to 2^48", ir_shown_dim(g, dims->at[i]));
    }
    n->dtype = ir_arg(g, n, 0)->dtype;
    return true;
}

static const char *target(struct ir_graph *g, const struct ir_node *n)
{
    struct ir_text text = { 0 };
    const char *kept;

    ir_put_shape(&text, g, n->dtype, &n->shape);
    kept = ir_format(g->arena, "%.60s", text.data);
    ir_text_free(&text);
    return kept;
}

bool ir_shape_of_reshape(struct ir_graph *g, struct ir_node *n)
{
    if (!target_shape(g, n))
        return false;
    if (!same_count(g, &ir_arg(g, n, 0)->shape, &n->shape))
        return ir_refuse(g, n, "%s to %s; expected as many elements", ir_shown(g, n, 0),
                         target(g, n));
    return true;
}

bool ir_shape_of_expand(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape *a = &ir_arg(g, n, 0)->shape;
    int more;

    if (!target_shape(g, n))
        return false;
    more = n->shape.rank - a->rank;
    for (int i = 0; i < a->rank; i++)
        if (more < 0 || (a->dim[i] != 1 && a->dim[i] != n->shape.dim[i + more]))
            return ir_refuse(g, n,
                             "%s to %s; expected equal extents where a's is not 1, counted "
                             "from the last axis",
                             ir_shown(g, n, 0), target(g, n));
    return true;
}

bool ir_shape_of_permute(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape *a = &ir_arg(g, n, 0)->shape;
    const struct ir_list *axes = &n->attr[0];
    bool seen[IR_RANK] = { false };

    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape.rank = a->rank;
    if (!ir_rule_list(g, n, 0, a->rank, 0, a->rank - 1))
        return false;
    for (int i = 0; i < a->rank; i++) {
        if (seen[axes->at[i]])
            return ir_refuse(g, n, "axis %lld of %s stands twice; expected each once",
                             (long long)axes->at[i], ir_shown(g, n, 0));
        seen[axes->at[i]] = true;
        n->shape.dim[i] = a->dim[axes->at[i]];
    }
    return true;
}

bool ir_shape_of_slice(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape *a = &ir_arg(g, n, 0)->shape;

    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape.rank = a->rank;
    for (int list = 0; list < 3; list++)
        if (!ir_rule_list(g, n, list, a->rank, INT64_MIN, INT64_MAX))
            return false;
    for (int i = 0; i < a->rank; i++) {
        int64_t start = n->attr[0].at[i], stop = n->attr[1].at[i], step = n->attr[2].at[i], length;
        if (!ir_dim_valid(g, start) || !ir_dim_valid(g, stop) || step < 1 ||
            !ir_dim_fits(g, stop, a->dim[i]) || (length = ir_dim_sub(g, stop, start)) == -1)
            return ir_refuse(g, n,
                             "%s to %s by %s of axis %d of %s; expected 0 <= start <= stop <= "
                             "extent and a positive step",
                             ir_shown_dim(g, start), ir_shown_dim(g, stop), ir_shown_dim(g, step),
                             i, ir_shown(g, n, 0));
        if (step > 1 && !ir_dim_fixed(length))
            return ir_refuse(g, n,
                             "a step of %lld over %s elements; expected 1 for a symbolic "
                             "extent",
                             (long long)step, ir_shown_dim(g, length));
        n->shape.dim[i] = step > 1 ? length / step + (length % step != 0) : length;
    }
    return true;
}

bool ir_shape_of_pad(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape *a = &ir_arg(g, n, 0)->shape;

    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape.rank = a->rank;
    if (!ir_rule_same(g, n, 0, 1))
        return false;
    if (ir_arg(g, n, 1)->shape.rank)
        return ir_refuse(g, n, "%s; expected a scalar", ir_shown(g, n, 1));
    for (int list = 0; list < 2; list++)
        if (!ir_rule_list(g, n, list, a->rank, INT64_MIN, INT64_MAX))
            return false;
    for (int i = 0; i < a->rank; i++) {
        int64_t lo = n->attr[0].at[i], hi = n->attr[1].at[i], all = a->dim[i];
        bool fine = ir_dim_valid(g, lo) && ir_dim_valid(g, hi);
        all = fine ? ir_dim_add(g, all, lo) : -1;
        all = all != -1 ? ir_dim_add(g, all, hi) : -1;
        if (all == -1)
            return ir_refuse(g, n, "%s before and %s after axis %d of %s; expected extents",
                             ir_shown_dim(g, lo), ir_shown_dim(g, hi), i, ir_shown(g, n, 0));
        n->shape.dim[i] = all;
    }
    return true;
}

bool ir_shape_of_flip(struct ir_graph *g, struct ir_node *n)
{
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape = ir_arg(g, n, 0)->shape;
    return ir_rule_axes(g, n, 0, n->shape.rank);
}

bool ir_shape_of_concat(struct ir_graph *g, struct ir_node *n)
{
    int64_t axis;

    if (n->arity < 1)
        return ir_refuse(g, n, "no arguments; expected one or more");
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape = ir_arg(g, n, 0)->shape;
    if (!ir_rule_axis(g, n, 0, n->shape.rank))
        return false;
    axis = n->attr[0].at[0];
    for (int i = 1; i < n->arity; i++) {
        const struct ir_shape *s = &ir_arg(g, n, i)->shape;
        bool equal = s->rank == n->shape.rank;
        if (!ir_rule_same(g, n, 0, i))
            return false;
        for (int k = 0; equal && k < s->rank; k++)
            equal = k == axis || s->dim[k] == n->shape.dim[k];
        if (!equal)
            return ir_refuse(g, n, "%s and %s; expected equal extents but along axis %lld",
                             ir_shown(g, n, 0), ir_shown(g, n, i), (long long)axis);
        n->shape.dim[axis] = ir_dim_add(g, n->shape.dim[axis], s->dim[axis]);
        if (n->shape.dim[axis] == -1)
            return ir_refuse(g, n, "up to %s: the extents of axis %lld have no sum",
                             ir_shown(g, n, i), (long long)axis);
    }
    return true;
}

/* `count` axes of s from `from` on become those of `by` */
static bool replaced(struct ir_graph *g, struct ir_node *n, const struct ir_shape *s, int64_t from,
                     int count, const struct ir_shape *by)
{
    int rank = s->rank - count + by->rank;

    if (rank > IR_RANK)
        return ir_refuse(g, n, "%s by %s; expected a result of at most %d axes", ir_shown(g, n, 0),
                         ir_shown(g, n, 1), IR_RANK);
    n->shape.rank = 0;
    for (int i = 0; i < from; i++)
        n->shape.dim[n->shape.rank++] = s->dim[i];
    for (int i = 0; i < by->rank; i++)
        n->shape.dim[n->shape.rank++] = by->dim[i];
    for (int i = (int)from + count; i < s->rank; i++)
        n->shape.dim[n->shape.rank++] = s->dim[i];
    return true;
}

static bool new_extent(struct ir_graph *g, struct ir_node *n, struct ir_shape *one)
{
    if (n->attr[1].count != 1 || !ir_dim_valid(g, n->attr[1].at[0]))
        return ir_refuse(g, n, "a bad size; expected the extent of the axis");
    one->rank = 1;
    one->dim[0] = n->attr[1].at[0];
    return true;
}

bool ir_shape_of_take(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0), *b = ir_arg(g, n, 1);

    n->dtype = a->dtype;
    return ir_rule_kind(g, n, 1, 'i') && ir_rule_axis(g, n, 0, a->shape.rank) &&
           replaced(g, n, &a->shape, n->attr[0].at[0], 1, &b->shape);
}

bool ir_shape_of_put_add(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0), *b = ir_arg(g, n, 1);
    struct ir_shape one;
    int64_t axis;

    n->dtype = a->dtype;
    if (!ir_rule_kind(g, n, 0, 'N') || !ir_rule_kind(g, n, 1, 'i') ||
        !ir_rule_axis(g, n, 0, a->shape.rank - b->shape.rank + 1) || !new_extent(g, n, &one))
        return false;
    axis = n->attr[0].at[0];
    for (int i = 0; i < b->shape.rank; i++)
        if (a->shape.dim[axis + i] != b->shape.dim[i])
            return ir_refuse(g, n, "%s and %s; expected b's extents in a, from axis %lld on",
                             ir_shown(g, n, 0), ir_shown(g, n, 1), (long long)axis);
    return replaced(g, n, &a->shape, axis, b->shape.rank, &one);
}

bool ir_shape_of_gather(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0), *b = ir_arg(g, n, 1);
    bool equal = a->shape.rank == b->shape.rank;

    n->dtype = a->dtype;
    n->shape = b->shape;
    if (!ir_rule_kind(g, n, 1, 'i') || !ir_rule_axis(g, n, 0, a->shape.rank))
        return false;
    for (int i = 0; equal && i < a->shape.rank; i++)
        equal = i == n->attr[0].at[0] || a->shape.dim[i] == b->shape.dim[i];
    if (!equal)
        return ir_refuse(g, n,
                         "%s and %s; expected one rank, and equal extents but along axis "
                         "%lld",
                         ir_shown(g, n, 0), ir_shown(g, n, 1), (long long)n->attr[0].at[0]);
    return true;
}

bool ir_shape_of_scatter_add(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0), *b = ir_arg(g, n, 1);
    struct ir_shape one;

    n->dtype = a->dtype;
    if (!ir_rule_kind(g, n, 0, 'N') || !ir_rule_kind(g, n, 1, 'i') ||
        !ir_rule_axis(g, n, 0, a->shape.rank) || !new_extent(g, n, &one))
        return false;
    if (!ir_same_shape(&a->shape, &b->shape))
        return ir_refuse(g, n, "%s and %s; expected equal shapes", ir_shown(g, n, 0),
                         ir_shown(g, n, 1));
    return replaced(g, n, &a->shape, n->attr[0].at[0], 1, &one);
}

bool ir_shape_of_scatter_last(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape a = ir_arg(g, n, 0)->shape;
    struct ir_shape one;

    n->dtype = IR_I64;
    return ir_rule_kind(g, n, 0, 'i') && ir_rule_axis(g, n, 0, a.rank) && new_extent(g, n, &one) &&
           replaced(g, n, &a, n->attr[0].at[0], 1, &one);
}
