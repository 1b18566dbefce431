/*
 * Shorter ways to ir_add, for passes and frontends. Each makes the nodes that a person would write.
 */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

ir_val ir_op1(struct ir_graph *g, enum ir_op op, ir_val a, struct ir_loc loc)
{
    return ir_add(g, &(struct ir_node){ .op = op, .arity = 1, .args = &a, .loc = loc });
}

ir_val ir_op2(struct ir_graph *g, enum ir_op op, ir_val a, ir_val b, struct ir_loc loc)
{
    return ir_add(
        g, &(struct ir_node){ .op = op, .arity = 2, .args = (ir_val[]){ a, b }, .loc = loc });
}

ir_val ir_op_attr(struct ir_graph *g, enum ir_op op, int arity, const ir_val *args,
                  const struct ir_list *attr, struct ir_loc loc)
{
    struct ir_node n = { .op = op, .arity = arity, .args = args, .loc = loc };

    for (int i = 0; i < ir_attributes(op); i++)
        n.attr[i] = attr[i];
    return ir_add(g, &n);
}

ir_val ir_input(struct ir_graph *g, const char *name, enum ir_dtype dtype, struct ir_shape shape,
                struct ir_loc loc)
{
    return ir_add(g,
                  &(struct ir_node){
                      .op = IR_input, .dtype = dtype, .shape = shape, .text = name, .loc = loc });
}

static int64_t bits_of(double value)
{
    int64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

ir_val ir_state(struct ir_graph *g, const char *name, enum ir_dtype dtype, struct ir_shape shape,
                enum ir_init init, double a, double b, struct ir_loc loc)
{
    int64_t start[3] = { init, bits_of(a), bits_of(b) };

    return ir_add(g, &(struct ir_node){ .op = IR_state,
                                        .dtype = dtype,
                                        .shape = shape,
                                        .attr = { { 3, start } },
                                        .text = name,
                                        .loc = loc });
}

static ir_val constant(struct ir_graph *g, enum ir_dtype dtype, int64_t bits, struct ir_loc loc)
{
    return ir_add(g, &(struct ir_node){
                         .op = IR_const, .dtype = dtype, .attr = { { 1, &bits } }, .loc = loc });
}

ir_val ir_number(struct ir_graph *g, enum ir_dtype dtype, double value, struct ir_loc loc)
{
    if (ir_dtypes[dtype].kind == 'f')
        return constant(g, dtype, bits_of(value), loc);
    if (!(value >= -0x1p63 && value < 0x1p63) || value != trunc(value)) {
        struct ir_node n = { .op = IR_const, .dtype = dtype, .loc = loc };
        ir_refuse(g, &n, "%g as %s; expected a whole number", value, ir_dtypes[dtype].name);
        return (ir_val){ 0 };
    }
    return constant(g, dtype, (int64_t)value, loc);
}

ir_val ir_integer(struct ir_graph *g, enum ir_dtype dtype, int64_t value, struct ir_loc loc)
{
    return constant(g, dtype, ir_dtypes[dtype].kind == 'f' ? bits_of((double)value) : value, loc);
}

ir_val ir_full_like(struct ir_graph *g, ir_val like, double value, struct ir_loc loc)
{
    const struct ir_node n = *ir_at(g, like);

    if (like.id == 0)
        return like;
    return ir_expand(g, ir_number(g, n.dtype, value, loc), n.shape, loc);
}

ir_val ir_cast(struct ir_graph *g, ir_val a, enum ir_dtype dtype, struct ir_loc loc)
{
    if (a.id == 0 || ir_at(g, a)->dtype == dtype)
        return a;
    return ir_add(
        g, &(struct ir_node){ .op = IR_cast, .dtype = dtype, .arity = 1, .args = &a, .loc = loc });
}

ir_val ir_select(struct ir_graph *g, ir_val condition, ir_val a, ir_val b, struct ir_loc loc)
{
    return ir_add(
        g, &(struct ir_node){
               .op = IR_select, .arity = 3, .args = (ir_val[]){ condition, a, b }, .loc = loc });
}

ir_val ir_reduce(struct ir_graph *g, enum ir_op op, ir_val a, int n, const int64_t axes[],
                 struct ir_loc loc)
{
    const struct ir_shape *shape = &ir_at(g, a)->shape;
    int64_t inner[IR_RANK], outer[IR_RANK], from = 0;
    int inners = 0, outers = 0;

    for (int i = 0; i < n; i++) /* what is not there is refused below */
        if (axes[i] > from && axes[i] < shape->rank && !ir_dim_fixed(shape->dim[axes[i]]))
            from = axes[i]; /* the last symbolic one begins a row */
    for (int i = 0; i < n && i < IR_RANK; i++)
        if (axes[i] < from)
            outer[outers++] = axes[i];
        else
            inner[inners++] = axes[i];
    if (outers && n <= IR_RANK && op != IR_argmax && op != IR_argmin) {
        a = ir_op_attr(g, op, 1, &a, &(struct ir_list){ inners, inner }, loc);
        return ir_reduce(g, op, a, outers, outer, loc);
    }
    return ir_op_attr(g, op, 1, &a, &(struct ir_list){ n, axes }, loc);
}

ir_val ir_sum_to(struct ir_graph *g, ir_val a, struct ir_shape to, struct ir_loc loc)
{
    const struct ir_shape from = ir_at(g, a)->shape;
    int more = from.rank - to.rank, count = 0;
    int64_t axes[IR_RANK];

    if (a.id == 0 || ir_same_shape(&from, &to))
        return a;
    for (int i = 0; i < from.rank; i++)
        if (i < more || (to.dim[i - more] == 1 && from.dim[i] != 1))
            axes[count++] = i;
    if (count)
        a = ir_reduce(g, IR_sum, a, count, axes, loc);
    return ir_reshape(g, a, to, loc);
}

ir_val ir_dot(struct ir_graph *g, ir_val a, ir_val b, const char *letters, struct ir_loc loc)
{
    return ir_add(
        g, &(struct ir_node){
               .op = IR_dot, .arity = 2, .args = (ir_val[]){ a, b }, .text = letters, .loc = loc });
}

/* What the one -1 among the extents stands for; 0 or more, or a symbolic extent; -1: it is not one.
 */
static int64_t rest(struct ir_graph *g, const struct ir_shape *from, const struct ir_shape *to)
{
    int64_t all = 1, others = 1;
    bool struck[IR_RANK] = { false };

    for (int i = 0; i < from->rank; i++) { /* equal extents first, as the rule of reshape does */
        int j = 0;
        while (j < to->rank && (struck[j] || to->dim[j] != from->dim[i] || to->dim[j] == 0))
            j++;
        if (j < to->rank)
            struck[j] = true;
        else
            all = ir_dim_mul(g, all, from->dim[i]);
    }
    for (int j = 0; j < to->rank; j++)
        if (!struck[j] && to->dim[j] != -1)
            others = ir_dim_mul(g, others, to->dim[j]);
    return ir_dim_div(g, all, others);
}

ir_val ir_reshape(struct ir_graph *g, ir_val a, struct ir_shape to, struct ir_loc loc)
{
    const struct ir_shape from = ir_at(g, a)->shape;
    struct ir_node n = { .op = IR_reshape, .arity = 1, .args = &a, .loc = loc };
    int open = -1;

    if (a.id == 0 || ir_same_shape(&from, &to))
        return a;
    if (to.rank < 0 || to.rank > IR_RANK) {
        ir_refuse(g, &n, "rank %d; expected at most %d", to.rank, IR_RANK);
        return (ir_val){ 0 };
    }
    for (int i = 0; i < to.rank; i++)
        if (to.dim[i] == -1) {
            if (open >= 0) {
                ir_refuse(g, &n, "-1 stands for axes %d and %d; expected at most one", open, i);
                return (ir_val){ 0 };
            }
            open = i;
        }
    if (open >= 0 && (to.dim[open] = rest(g, &from, &to)) == -1) {
        struct ir_text text = { 0 };
        ir_put_shape(&text, g, ir_at(g, a)->dtype, &from);
        ir_refuse(g, &n,
                  "%.100s: -1 at axis %d is no extent; expected that the others divide the "
                  "number of elements",
                  text.data, open);
        ir_text_free(&text);
        return (ir_val){ 0 };
    }
    if (ir_same_shape(&from, &to))
        return a;
    n.attr[0] = (struct ir_list){ to.rank, to.dim };
    return ir_add(g, &n);
}

ir_val ir_permute(struct ir_graph *g, ir_val a, const int64_t axes[], struct ir_loc loc)
{
    int rank = ir_at(g, a)->shape.rank, i = 0;

    while (i < rank && axes[i] == i)
        i++;
    if (a.id == 0 || i == rank)
        return a;
    return ir_op_attr(g, IR_permute, 1, &a, &(struct ir_list){ rank, axes }, loc);
}

ir_val ir_expand(struct ir_graph *g, ir_val a, struct ir_shape to, struct ir_loc loc)
{
    if (a.id == 0 || ir_same_shape(&ir_at(g, a)->shape, &to))
        return a;
    return ir_op_attr(g, IR_expand, 1, &a, &(struct ir_list){ to.rank, to.dim }, loc);
}

ir_val ir_expand_axes(struct ir_graph *g, ir_val a, struct ir_shape to, int n, const int64_t axes[],
                      struct ir_loc loc)
{
    struct ir_shape ones = to;

    for (int i = 0; i < n; i++)
        ones.dim[axes[i]] = 1;
    return ir_expand(g, ir_reshape(g, a, ones, loc), to, loc);
}

ir_val ir_iota(struct ir_graph *g, enum ir_dtype dtype, struct ir_shape shape, int axis,
               struct ir_loc loc)
{
    int64_t at = axis;

    return ir_add(
        g, &(struct ir_node){
               .op = IR_iota, .dtype = dtype, .shape = shape, .attr = { { 1, &at } }, .loc = loc });
}

ir_val ir_size(struct ir_graph *g, int64_t dim, enum ir_dtype dtype, struct ir_loc loc)
{
    if (ir_dim_fixed(dim))
        return ir_integer(g, dtype, dim, loc);
    return ir_add(
        g, &(struct ir_node){ .op = IR_size, .dtype = dtype, .attr = { { 1, &dim } }, .loc = loc });
}

ir_val ir_assign(struct ir_graph *g, ir_val state, ir_val value, struct ir_loc loc)
{
    return ir_op2(g, IR_assign, state, value, loc);
}

double ir_number_of(const struct ir_node *n)
{
    double value;

    if (n->op != IR_const)
        ir_bug("the number of %s", ir_ops[n->op].name);
    if (n->dtype == IR_U64)
        return (double)(uint64_t)n->attr[0].at[0];
    if (ir_dtypes[n->dtype].kind != 'f')
        return (double)n->attr[0].at[0];
    memcpy(&value, n->attr[0].at, sizeof value);
    return value;
}

bool ir_is_number(const struct ir_graph *g, ir_val v, double value)
{
    const struct ir_node *n = ir_at(g, v);
    double has;

    while (n->op == IR_expand || n->op == IR_reshape)
        n = ir_at(g, n->args[0]);
    if (n->op != IR_const)
        return false;
    has = ir_number_of(n); /* 0 and -0 are two numbers; one nan is as good as another */
    return has == value ? signbit(has) == signbit(value) : isnan(has) && isnan(value);
}
