/*
 * Shape rules of reductions over axes, and of dot, whose letters say which axes meet.
 */
#include "ir/rules.h"

#include <string.h>

static void without(struct ir_shape *to, const struct ir_shape *from, const struct ir_list *axes)
{
    to->rank = 0;
    for (int axis = 0, next = 0; axis < from->rank; axis++)
        if (next < axes->count && axes->at[next] == axis)
            next++;
        else
            to->dim[to->rank++] = from->dim[axis];
}

bool ir_shape_of_reduce(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0);
    bool truth = n->op == IR_all || n->op == IR_any;

    if (!ir_rule_kind(g, n, 0, truth ? 'B' : 'N') || !ir_rule_axes(g, n, 0, a->shape.rank))
        return false;
    for (int i = 0; i < n->attr[0].count && (n->op == IR_amax || n->op == IR_amin); i++)
        if (a->shape.dim[n->attr[0].at[i]] == 0)
            return ir_refuse(g, n, "axis %lld of %s is empty; expected an element",
                             (long long)n->attr[0].at[i], ir_shown(g, n, 0));
    n->dtype = a->dtype;
    without(&n->shape, &a->shape, &n->attr[0]);
    return true;
}

bool ir_shape_of_arg(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0);
    const struct ir_list *axes = &n->attr[0];

    if (!ir_rule_kind(g, n, 0, 'N') || !ir_rule_axes(g, n, 0, a->shape.rank))
        return false;
    if (axes->count > 1)
        return ir_refuse(g, n, "%d axes; expected one, or none for the flat value", axes->count);
    for (int i = 0; i < a->shape.rank; i++)
        if (a->shape.dim[i] == 0 && (axes->count == 0 || axes->at[0] == i))
            return ir_refuse(g, n, "axis %d of %s is empty; expected an element", i,
                             ir_shown(g, n, 0));
    n->dtype = IR_I64;
    without(&n->shape, &a->shape, axes);
    if (axes->count == 0)
        n->shape.rank = 0;
    return true;
}

/*
 * "mk,kn->mn": a letter an axis. A letter that only the arguments have is summed over; one that all
 * three have is a batch letter; one that one argument alone has is refused (sum it first).
 */
bool ir_shape_of_dot(struct ir_graph *g, struct ir_node *n)
{
    const char *text = n->text ? n->text : "", *c = text;
    int64_t size[26];
    uint8_t seen[3][26] = { 0 }; /* by a, by b, by the result */

    if (!ir_rule_kind(g, n, 0, 'N') || !ir_rule_same(g, n, 0, 1))
        return false;
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape.rank = 0;
    for (int part = 0; part < 3; part++) {
        const struct ir_shape *s = part < 2 ? &ir_arg(g, n, part)->shape : NULL;
        int axis = 0;
        for (; *c >= 'a' && *c <= 'z'; c++, axis++) {
            int letter = *c - 'a';
            if (seen[part][letter]++)
                return ir_refuse(g, n, "%c stands twice in %.40s; expected once in each part", *c,
                                 text);
            if (part == 2) {
                if (!seen[0][letter] && !seen[1][letter])
                    return ir_refuse(g, n, "%c in %.40s is in no argument", *c, text);
                if (axis == IR_RANK)
                    return ir_refuse(g, n, "the result of %.40s; expected at most %d axes", text,
                                     IR_RANK);
                n->shape.dim[n->shape.rank++] = size[letter];
                continue;
            }
            if (axis >= s->rank)
                break;
            if (part == 1 && seen[0][letter] && size[letter] != s->dim[axis])
                return ir_refuse(g, n, "%c is %s in %s but %s in %s; letters %.40s", *c,
                                 ir_shown_dim(g, size[letter]), ir_shown(g, n, 0),
                                 ir_shown_dim(g, s->dim[axis]), ir_shown(g, n, 1), text);
            size[letter] = s->dim[axis];
        }
        if (part < 2 && (axis != s->rank || (*c >= 'a' && *c <= 'z')))
            return ir_refuse(g, n, "%s; expected an axis for each letter of %.40s",
                             ir_shown(g, n, part), text);
        if (strncmp(c,
                    part == 0   ? ","
                    : part == 1 ? "->"
                                : "",
                    part == 1 ? 2 : 1) != 0 ||
            (part == 2 && *c))
            return ir_refuse(g, n, "letters %.40s; expected the form mk,kn->mn", text);
        c += part + 1;
    }
    for (int letter = 0; letter < 26; letter++)
        if (seen[0][letter] + seen[1][letter] + seen[2][letter] == 1)
            return ir_refuse(g, n, "%c stands in one part of %.40s; expected in two or three",
                             'a' + letter, text);
    return true;
}
