/*
 * gradients: the derivatives that no formula can say, a function for each word of the column `grad`
 * of ops.def.
 *
 * A structural op is linear in what gradients reach, so its rule is its transpose: slice and pad,
 * take and put_add, the three convolutions are each other's. Broadcasting is not undone here.
 */
#include "passes/gradients.h"

#include <string.h>

static struct ir_shape shape_of(const struct ir_graph *g, ir_val v)
{
    return ir_at(g, v)->shape;
}

static ir_val zero(const struct pass_step *s)
{
    return ir_number(s->g, s->node->dtype, 0, s->node->loc);
}

/* An op of one or two arguments with as many lists as its row names. */
static ir_val apply(const struct pass_step *s, enum ir_op op, ir_val a, ir_val b,
                    const struct ir_list *attr)
{
    return ir_op_attr(s->g, op, ir_ops[op].arity, (ir_val[]){ a, b }, attr, s->node->loc);
}

/* The node's own lists and then one more: what the transpose of a window or a take is told. */
static const struct ir_list *with_size(const struct pass_step *s, struct ir_list lists[IR_ATTRS],
                                       int own, int count, const int64_t *size)
{
    memcpy(lists, s->node->attr, (size_t)own * sizeof *lists);
    lists[own] = (struct ir_list){ count, size };
    return lists;
}

void pass_grad_of_cast(struct pass_step *s)
{
    s->to[0] = ir_cast(s->g, s->grad, ir_at(s->g, s->node->args[0])->dtype, s->node->loc);
}

void pass_grad_of_select(struct pass_step *s)
{
    ir_val condition = s->node->args[0];

    if (s->wanted[1])
        s->to[1] = ir_select(s->g, condition, s->grad, zero(s), s->node->loc);
    if (s->wanted[2])
        s->to[2] = ir_select(s->g, condition, zero(s), s->grad, s->node->loc);
}

/* --- reductions ---------------------------------------------------------------------------------
 */

/* v, which lacks the axes that the node reduces, with the shape of the node's argument. */
static ir_val put_back(const struct pass_step *s, ir_val v)
{
    const struct ir_list axes = s->node->attr[0];

    return ir_expand_axes(s->g, v, shape_of(s->g, s->node->args[0]), axes.count, axes.at,
                          s->node->loc);
}

void pass_grad_of_sum(struct pass_step *s)
{
    s->to[0] = put_back(s, s->grad);
}

/*
 * Elements that are the extreme share the gradient. Where it is NaN there is none of them, and the
 * product of zero and infinity makes all the row NaN, which is what it should say.
 */
void pass_grad_of_extreme(struct pass_step *s)
{
    ir_val name[26] = { [0] = s->node->args[0], ['y' - 'a'] = put_back(s, s->y) };
    ir_val mask, count;

    name['g' - 'a'] = s->grad;
    mask = ir_formula(s->g, "select(a == y, 1, 0)", name, s->node->loc);
    count =
        ir_reduce(s->g, IR_sum, mask, s->node->attr[0].count, s->node->attr[0].at, s->node->loc);
    s->to[0] =
        ir_op2(s->g, IR_mul, mask, put_back(s, ir_op2(s->g, IR_div, s->grad, count, s->node->loc)),
               s->node->loc);
}

/* a moved by `by` places along an axis, towards its end where by is positive; ones come in. */
static ir_val shift(struct ir_graph *g, ir_val a, int axis, int64_t by, struct ir_loc loc)
{
    struct ir_shape shape = shape_of(g, a);
    int64_t start[IR_RANK] = { 0 }, step[IR_RANK], lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 };
    ir_val one = ir_number(g, ir_at(g, a)->dtype, 1, loc);

    for (int i = 0; i < shape.rank; i++)
        step[i] = 1;
    start[axis] = by < 0 ? -by : 0;
    shape.dim[axis] -= by > 0 ? by : 0;
    *(by > 0 ? &lo[axis] : &hi[axis]) = by > 0 ? by : -by;
    a = ir_op_attr(g, IR_slice, 1, &a,
                   (struct ir_list[]){
                       { shape.rank, start }, { shape.rank, shape.dim }, { shape.rank, step } },
                   loc);
    return ir_op_attr(g, IR_pad, 2, (ir_val[]){ a, one },
                      (struct ir_list[]){ { shape.rank, lo }, { shape.rank, hi } }, loc);
}

/* Along an axis of symbolic extent: a row for each element, in which a one stands in its place. */
static ir_val product_by_rows(struct ir_graph *g, ir_val a, int axis, struct ir_loc loc)
{
    struct ir_shape shape = shape_of(g, a), wide = { shape.rank + 1, { 0 } };
    int64_t summed = axis + 1;
    ir_val one = ir_number(g, ir_at(g, a)->dtype, 1, loc), row, same;

    for (int i = 0; i < wide.rank; i++)
        wide.dim[i] = shape.dim[i - (i > axis)];
    row = ir_expand_axes(g, a, wide, 1, &(int64_t){ axis }, loc);
    same = ir_op2(g, IR_eq, ir_iota(g, IR_I32, wide, axis, loc),
                  ir_iota(g, IR_I32, wide, axis + 1, loc), loc);
    return ir_reduce(g, IR_prod, ir_select(g, same, one, row, loc), 1, &summed, loc);
}

/*
 * Of each element, the product of all the others along an axis, without a division: right with
 * zeros, and again differentiable. What is before it and what is behind, each in log2(n) doublings.
 */
static ir_val product_of_others(struct ir_graph *g, ir_val a, int axis, struct ir_loc loc)
{
    int64_t extent = shape_of(g, a).dim[axis];
    ir_val side[2];

    if (!ir_dim_fixed(extent))
        return product_by_rows(g, a, axis, loc);
    if (extent < 2)
        return ir_full_like(g, a, 1, loc);
    for (int i = 0; i < 2; i++) {
        int64_t sign = i ? -1 : 1;
        side[i] = shift(g, a, axis, sign, loc);
        for (int64_t reach = 1; reach < extent - 1; reach *= 2)
            side[i] = ir_op2(g, IR_mul, side[i], shift(g, side[i], axis, sign * reach, loc), loc);
    }
    return ir_op2(g, IR_mul, side[0], side[1], loc);
}

/* Several axes are one: the reduced ones are brought to the end and laid in a row. */
void pass_grad_of_prod(struct pass_step *s)
{
    struct ir_graph *g = s->g;
    const struct ir_list axes = s->node->attr[0];
    struct ir_loc loc = s->node->loc;
    ir_val a = s->node->args[0], others;
    struct ir_shape moved, flat, shape = shape_of(g, a);
    int64_t order[IR_RANK], back[IR_RANK];
    int kept = 0;

    if (axes.count == 1) {
        others = product_of_others(g, a, (int)axes.at[0], loc);
    } else {
        for (int64_t i = 0, next = 0; i < shape.rank; i++) {
            if (next < axes.count && axes.at[next] == i)
                next++;
            else
                order[kept++] = i;
        }
        flat = (struct ir_shape){ kept + 1, { 0 } };
        flat.dim[kept] = 1;
        for (int i = 0; i < axes.count; i++) {
            order[kept + i] = axes.at[i];
            flat.dim[kept] = ir_dim_mul(g, flat.dim[kept], shape.dim[axes.at[i]]);
        }
        for (int i = 0; i < shape.rank; i++)
            back[order[i]] = i;
        for (int i = 0; i < kept; i++)
            flat.dim[i] = shape.dim[order[i]];
        a = ir_permute(g, a, order, loc);
        moved = shape_of(g, a);
        others = product_of_others(g, ir_reshape(g, a, flat, loc), kept, loc);
        others = ir_permute(g, ir_reshape(g, others, moved, loc), back, loc);
    }
    s->to[0] = ir_op2(g, IR_mul, put_back(s, s->grad), others, loc);
}

/* --- contractions -------------------------------------------------------------------------------
 */

/*
 * y = sum a b, so the gradient of a is sum g b over the letters that a lacks: a dot again, since
 * each letter stands in two parts or three.
 */
void pass_grad_of_dot(struct pass_step *s)
{
    const char *b = strchr(s->node->text, ',') + 1, *y = strstr(b, "->") + 2;
    int a_size = (int)(b - 1 - s->node->text), b_size = (int)(y - 2 - b);
    char text[4 * IR_RANK];

    if (s->wanted[0]) {
        snprintf(text, sizeof text, "%s,%.*s->%.*s", y, b_size, b, a_size, s->node->text);
        s->to[0] = ir_dot(s->g, s->grad, s->node->args[1], text, s->node->loc);
    }
    if (s->wanted[1]) {
        snprintf(text, sizeof text, "%.*s,%s->%.*s", a_size, s->node->text, y, b_size, b);
        s->to[1] = ir_dot(s->g, s->node->args[0], s->grad, text, s->node->loc);
    }
}

/* One of the three faces of sum x w y; like: the value whose spatial extents the result has. */
static ir_val trilinear(struct pass_step *s, enum ir_op op, ir_val a, ir_val b, ir_val like)
{
    struct ir_shape shape = shape_of(s->g, like);
    struct ir_list lists[IR_ATTRS];

    return apply(s, op, a, b, with_size(s, lists, 4, shape.rank - 2, shape.dim + 2));
}

void pass_grad_of_conv(struct pass_step *s) /* y from x, w */
{
    ir_val x = s->node->args[0], w = s->node->args[1];

    if (s->wanted[0])
        s->to[0] = trilinear(s, IR_conv_input, s->grad, w, x);
    if (s->wanted[1])
        s->to[1] = trilinear(s, IR_conv_weight, x, s->grad, w);
}

void pass_grad_of_conv_input(struct pass_step *s) /* x from y, w */
{
    ir_val y = s->node->args[0], w = s->node->args[1];

    if (s->wanted[0])
        s->to[0] = apply(s, IR_conv, s->grad, w, s->node->attr);
    if (s->wanted[1])
        s->to[1] = trilinear(s, IR_conv_weight, s->grad, y, w);
}

void pass_grad_of_conv_weight(struct pass_step *s) /* w from x, y */
{
    ir_val x = s->node->args[0], y = s->node->args[1];

    if (s->wanted[0])
        s->to[0] = trilinear(s, IR_conv_input, y, s->grad, x);
    if (s->wanted[1])
        s->to[1] = apply(s, IR_conv, x, s->grad, s->node->attr);
}

/* --- windows ------------------------------------------------------------------------------------
 */

static const struct ir_list *back_to(const struct pass_step *s, struct ir_list lists[IR_ATTRS],
                                     struct ir_shape *shape)
{
    int windows = s->node->attr[0].count;

    *shape = shape_of(s->g, s->node->args[0]);
    return with_size(s, lists, 4, windows, shape->dim + shape->rank - windows);
}

void pass_grad_of_window_sum(struct pass_step *s)
{
    struct ir_list lists[IR_ATTRS];
    struct ir_shape shape;

    s->to[0] = apply(s, IR_window_spread, s->grad, s->grad, back_to(s, lists, &shape));
}

void pass_grad_of_window_spread(struct pass_step *s)
{
    s->to[0] = apply(s, IR_window_sum, s->grad, s->grad, s->node->attr);
}

void pass_grad_of_window_max(struct pass_step *s)
{
    struct ir_list lists[IR_ATTRS];
    struct ir_shape shape;
    ir_val a = s->node->args[0], taken = apply(s, IR_window_argmax, a, a, s->node->attr);

    s->to[0] = apply(s, IR_window_place, s->grad, taken, back_to(s, lists, &shape));
}

void pass_grad_of_window_pick(struct pass_step *s)
{
    struct ir_list lists[IR_ATTRS];
    struct ir_shape shape;

    s->to[0] = apply(s, IR_window_place, s->grad, s->node->args[1], back_to(s, lists, &shape));
}

void pass_grad_of_window_place(struct pass_step *s)
{
    s->to[0] = apply(s, IR_window_pick, s->grad, s->node->args[1], s->node->attr);
}

/* --- movement -----------------------------------------------------------------------------------
 */

void pass_grad_of_reshape(struct pass_step *s)
{
    s->to[0] = ir_reshape(s->g, s->grad, shape_of(s->g, s->node->args[0]), s->node->loc);
}

void pass_grad_of_permute(struct pass_step *s)
{
    int64_t back[IR_RANK];

    for (int i = 0; i < s->node->attr[0].count; i++)
        back[s->node->attr[0].at[i]] = i;
    s->to[0] = ir_permute(s->g, s->grad, back, s->node->loc);
}

void pass_grad_of_expand(struct pass_step *s)
{
    s->to[0] = s->grad; /* broadcasting, which the walk undoes */
}

/* Zeros on both sides of each axis. */
static ir_val pad(struct pass_step *s, ir_val a, const int64_t *lo, const int64_t *hi)
{
    int rank = shape_of(s->g, a).rank;

    return apply(s, IR_pad, a, zero(s), (struct ir_list[]){ { rank, lo }, { rank, hi } });
}

static ir_val slice(struct pass_step *s, ir_val a, const int64_t *start, const int64_t *stop)
{
    int rank = shape_of(s->g, a).rank;
    int64_t one[IR_RANK];

    for (int i = 0; i < rank; i++)
        one[i] = 1;
    return apply(s, IR_slice, a, a,
                 (struct ir_list[]){ { rank, start }, { rank, stop }, { rank, one } });
}

/* Elements that lie `step` apart, with zeros between: each is the head of a row of a new axis. The
 * last row may reach past `length`. */
static ir_val spread_out(struct pass_step *s, ir_val a, int axis, int64_t step, int64_t length)
{
    struct ir_shape shape = shape_of(s->g, a), wide = { shape.rank + 1, { 0 } };
    int64_t lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 };
    struct ir_loc loc = s->node->loc;

    for (int i = 0; i < shape.rank; i++)
        wide.dim[i + (i > axis)] = shape.dim[i];
    wide.dim[axis + 1] = 1;
    hi[axis + 1] = step - 1;
    a = pad(s, ir_reshape(s->g, a, wide, loc), lo, hi);
    shape.dim[axis] *= step;
    a = ir_reshape(s->g, a, shape, loc);
    shape.dim[axis] = length;
    return slice(s, a, lo, shape.dim);
}

void pass_grad_of_slice(struct pass_step *s)
{
    const struct ir_list *attr = s->node->attr;
    struct ir_shape whole = shape_of(s->g, s->node->args[0]);
    int64_t hi[IR_RANK];
    ir_val to = s->grad;

    for (int i = 0; i < whole.rank; i++) {
        int64_t start = attr[0].at[i], stop = attr[1].at[i], step = attr[2].at[i];

        if (step > 1 && whole.rank == IR_RANK) {
            ir_error(s->g->error, IR_UNSUPPORTED,
                     "%s:%d: slice: a gradient by steps at rank %d; expected at most rank %d",
                     s->node->loc.file ? s->node->loc.file : "?", s->node->loc.line, whole.rank,
                     IR_RANK - 1);
            return;
        }
        if (step > 1) /* then the length is a number */
            to = spread_out(s, to, i, step, ir_dim_sub(s->g, stop, start));
        hi[i] = ir_dim_sub(s->g, whole.dim[i], stop);
    }
    s->to[0] = pad(s, to, attr[0].at, hi);
}

void pass_grad_of_pad(struct pass_step *s)
{
    struct ir_node node = *s->node;
    int rank = node.shape.rank;
    int64_t stop[IR_RANK], all[IR_RANK];
    ir_val a = node.args[0], no, outside;

    for (int i = 0; i < rank; i++) {
        stop[i] = ir_dim_add(s->g, shape_of(s->g, a).dim[i], node.attr[0].at[i]);
        all[i] = i;
    }
    if (s->wanted[0])
        s->to[0] = slice(s, s->grad, node.attr[0].at, stop);
    if (s->wanted[1]) {
        no = ir_expand(s->g, ir_integer(s->g, IR_BOOL, 0, node.loc), shape_of(s->g, a), node.loc);
        outside = apply(s, IR_pad, no, ir_integer(s->g, IR_BOOL, 1, node.loc), node.attr);
        s->to[1] = ir_reduce(s->g, IR_sum, ir_select(s->g, outside, s->grad, zero(s), node.loc),
                             rank, all, node.loc);
    }
}

void pass_grad_of_flip(struct pass_step *s)
{
    s->to[0] = apply(s, IR_flip, s->grad, s->grad, s->node->attr);
}

void pass_grad_of_concat(struct pass_step *s)
{
    struct ir_shape part = s->node->shape;
    int axis = (int)s->node->attr[0].at[0];
    int64_t start[IR_RANK] = { 0 };

    for (int i = 0; i < s->node->arity; i++) {
        int64_t extent = shape_of(s->g, s->node->args[i]).dim[axis];

        part.dim[axis] = ir_dim_add(s->g, start[axis], extent);
        if (s->wanted[i])
            s->to[i] = slice(s, s->grad, start, part.dim);
        start[axis] = part.dim[axis];
    }
}

/* --- indexing -----------------------------------------------------------------------------------
 */

/* The transpose of picking along an axis: it needs to know the extent that was picked from. */
static void put_where_picked(struct pass_step *s, enum ir_op op)
{
    struct ir_list lists[IR_ATTRS];
    int64_t size = shape_of(s->g, s->node->args[0]).dim[s->node->attr[0].at[0]];

    s->to[0] = apply(s, op, s->grad, s->node->args[1], with_size(s, lists, 1, 1, &size));
}

void pass_grad_of_take(struct pass_step *s)
{
    put_where_picked(s, IR_put_add);
}

void pass_grad_of_put_add(struct pass_step *s)
{
    s->to[0] = apply(s, IR_take, s->grad, s->node->args[1], s->node->attr);
}

void pass_grad_of_gather(struct pass_step *s)
{
    put_where_picked(s, IR_scatter_add);
}

void pass_grad_of_scatter_add(struct pass_step *s)
{
    s->to[0] = apply(s, IR_gather, s->grad, s->node->args[1], s->node->attr);
}

/* One with a derivative is in a scan that says so (tp_custom): who comes here asks for more. */
void pass_grad_of_custom(struct pass_step *s)
{
    if (s->node->attr[0].count)
        ir_refuse(s->g, s->node,
                  "a second derivative of %.60s, a C function; expected the first at most",
                  s->node->text);
    else
        ir_refuse(s->g, s->node, "a derivative of %.60s, a C function; expected it with .backward",
                  s->node->text);
}
