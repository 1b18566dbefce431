/*
 * What a reduction does with one more element, what it starts from, and the order in which it takes
 * them in: part of what it means. ir.h says which and why; the order is decided here from the
 * places of the axes and from nothing else.
 */
#include "ir/ir.h"

#include <math.h>
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
    if (ir_reduces(n->op) || n->op == IR_argmax || n->op == IR_argmin)
        return order_of_axes(g, n);
    if (n->op == IR_dot)
        return order_of_dot(n);
    return (struct ir_order){ IR_ASCENDING, n->op == IR_conv_weight };
}

enum ir_op ir_step(enum ir_op reduction)
{
    static const enum ir_op step[IR_OPS] = {
        [IR_sum] = IR_add,        [IR_window_sum] = IR_add, [IR_prod] = IR_mul, [IR_amax] = IR_max,
        [IR_window_max] = IR_max, [IR_amin] = IR_min,       [IR_all] = IR_and,  [IR_any] = IR_or
    };

    return step[reduction];
}

bool ir_reduces(enum ir_op op)
{
    return ir_step(op) != IR_POISON && op != IR_window_sum && op != IR_window_max;
}

struct ir_neutral ir_neutral(enum ir_op step, enum ir_dtype dtype)
{
    const struct ir_dtype_info *info = &ir_dtypes[dtype];
    int spare = 64 - 8 * info->bytes;

    switch (step) {
    case IR_mul:
    case IR_and:
        return (struct ir_neutral){ 1, 1 };
    case IR_max:
        return (struct ir_neutral){ -INFINITY, info->kind == 'i' ? INT64_MIN >> spare : 0 };
    case IR_min:
        return (struct ir_neutral){ INFINITY, info->kind == 'i' ? INT64_MAX >> spare
                                              : info->kind == 'b'
                                                  ? 1
                                                  : (int64_t)(UINT64_MAX >> spare) };
    default:
        return (struct ir_neutral){ 0, 0 };
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
