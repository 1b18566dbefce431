/*
 * The order in which a reduction adds: part of what it means. ir.h says which and why; here it is
 * decided, from the places of the axes and from nothing else.
 */
#include "ir/ir.h"

#include <string.h>

int ir_contracted(const struct ir_node *dot, char letters[IR_RANK + 1])
{
    const char *second = strchr(dot->text, ',') + 1, *result = strstr(dot->text, "->") + 2;
    int count = 0;

    for (const char *c = dot->text; *c != ','; c++)
        if (memchr(second, *c, (size_t)(result - 2 - second)) && !strchr(result, *c))
            letters[count++] = *c;
    letters[count] = 0;
    return count;
}

static struct ir_order order_of_dot(const struct ir_node *n)
{
    const char *second = strchr(n->text, ',') + 1;
    char letters[IR_RANK + 1];
    int count = ir_contracted(n, letters);
    struct ir_order order = { IR_ASCENDING, 0 };

    if (count && strncmp(n->text, letters, (size_t)count) == 0 &&
        strncmp(second, letters, (size_t)count) == 0)
        order.piece = count > 1 ? 1 : 512;
    return order;
}

static struct ir_order order_of_axes(const struct ir_graph *g, const struct ir_node *n)
{
    const struct ir_list *axes = &n->attr[0];
    int rank = g->nodes[n->args[0].id].shape.rank;

    if (axes->count == 0 ||
        axes->at[0] == rank - axes->count) /* ascending: exactly the last ones */
        return (struct ir_order){ IR_LANES, 16384 };
    return (struct ir_order){ IR_ASCENDING, axes->count > 1 ? 1 : 1024 };
}

struct ir_order ir_order(const struct ir_graph *g, const struct ir_node *n)
{
    switch (n->op) {
    case IR_sum:
    case IR_prod:
    case IR_amax:
    case IR_amin:
    case IR_all:
    case IR_any:
    case IR_argmax:
    case IR_argmin:
        return order_of_axes(g, n);
    case IR_dot:
        return order_of_dot(n);
    case IR_conv_weight:
        return (struct ir_order){ IR_ASCENDING, 1 };
    default:
        return (struct ir_order){ IR_ASCENDING, 0 };
    }
}

bool ir_same_order(const struct ir_graph *g, const struct ir_node *a, const struct ir_graph *h,
                   const struct ir_node *b)
{
    struct ir_order x = ir_order(g, a), y = ir_order(h, b);
    char one[IR_RANK + 1] = "", other[IR_RANK + 1] = "";

    if (a->op != b->op || x.kind != y.kind || x.piece != y.piece)
        return false;
    if (a->op == IR_dot) {
        ir_contracted(a, one);
        ir_contracted(b, other);
    }
    return strcmp(one, other) == 0;
}
