/*
 * tensor: elementwise operations, and the rule of types that goes before them.
 *
 * The IR's rows want arguments of one type. A bare number becomes a constant of the tensor's type;
 * integers widen among themselves; division of integers is done in f32; nothing else changes a
 * type silently.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

static bool is_real(enum ir_dtype dtype)
{
    return ir_dtypes[dtype].kind == 'f';
}

/* A number as a constant: exact where the type has integers. */
ir_val tp_number_as(tp_graph *g, const char *what, double number, enum ir_dtype dtype, tp_loc at)
{
    struct ir_loc loc = tp_place(g, at);

    if (is_real(dtype))
        return ir_number(g->ir, dtype, number, loc);
    if (number != floor(number) || fabs(number) > 9007199254740992.0) {
        tp_fail(g, at, what,
                "the number %g is no %s; expected an integer, or tp_cast() of the tensor", number,
                ir_dtypes[dtype].name);
        return (ir_val){ 0 };
    }
    return ir_integer(g->ir, dtype, (int64_t)number, loc);
}

/* The type that two integer types widen to: the smallest that holds both; i64 for u64 and a signed
 * one, which none holds. */
static enum ir_dtype wider(enum ir_dtype a, enum ir_dtype b)
{
    static const enum ir_dtype of_signed[] = { IR_I8, IR_I16, IR_I32, IR_I64, IR_I64 };
    const bool larger = ir_dtypes[a].bytes > ir_dtypes[b].bytes;
    int at = 0, bytes;

    if (ir_dtypes[a].kind == 'b' || ir_dtypes[b].kind == 'b')
        return ir_dtypes[a].kind == 'b' ? b : a;
    if (ir_dtypes[a].kind == ir_dtypes[b].kind)
        return larger ? a : b;
    if (ir_dtypes[a].kind == 'u') /* a: the signed one */
        return wider(b, a);
    bytes = ir_dtypes[a].bytes > ir_dtypes[b].bytes ? ir_dtypes[a].bytes : 2 * ir_dtypes[b].bytes;
    while (1 << at < bytes)
        at++;
    return of_signed[at];
}

/* Brings two arguments to one type; of a bare number it is the other's. */
static bool agree(tp_graph *g, const char *what, tp_tensor a, tp_tensor b, ir_val out[2], tp_loc at)
{
    struct ir_loc loc = tp_place(g, at);
    const tp_tensor x[2] = { a, b };
    const bool divide = strcmp(what, "div") == 0;
    enum ir_dtype dtype = tp_node(a.g ? a : b)->dtype;

    if (a.g && b.g && tp_node(a)->dtype != tp_node(b)->dtype) {
        if (is_real(tp_node(a)->dtype) || is_real(tp_node(b)->dtype)) {
            tp_fail(g, at, what, "a = %s and b = %s; expected one type, tp_cast() changes it",
                    tp_describe_from(a), tp_describe_from(b));
            return false;
        }
        dtype = wider(tp_node(a)->dtype, tp_node(b)->dtype);
    }
    if (divide && ir_dtypes[dtype].kind != 'f' && ir_dtypes[dtype].kind != 'b')
        dtype = IR_F32;
    for (int i = 0; i < 2; i++)
        out[i] = x[i].g ? ir_cast(g->ir, tp_val(x[i]), dtype, loc)
                        : tp_number_as(g, what, x[i].number, dtype, at);
    return out[0].id && out[1].id;
}

/* [n 1] with [n] makes [n n]: every row with every row, which is a mistake nearly always. */
void tp_beware(const char *what, tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor wide = tp_rank(a) > tp_rank(b) ? a : b, flat = tp_rank(a) > tp_rank(b) ? b : a;
    const struct ir_shape *w, *f;

    if (!a.g || !b.g || !is_real(tp_node(a)->dtype) || tp_rank(flat) < 1 ||
        tp_rank(wide) != tp_rank(flat) + 1)
        return;
    w = &tp_node(wide)->shape;
    f = &tp_node(flat)->shape;
    if (w->dim[f->rank] != 1 || f->dim[f->rank - 1] == 1 ||
        memcmp(w->dim, f->dim, (size_t)f->rank * sizeof *f->dim) != 0)
        return;
    tp_warn(
        a.g, at, what,
        "%s and %s broadcast to every row with every row; tp_squeeze() or tp_expand() says what "
        "is meant",
        tp_describe_from(a), tp_describe_from(b));
}

tp_tensor tp_unary_at(const char *op, tp_tensor x, tp_loc at)
{
    tp_graph *g = x.g;
    enum ir_op row = ir_op_by_name(op, strlen(op));

    if (!tp_ready(g, at, op, 1, &x))
        return POISON(g);
    if (ir_ops[row].arity != 1 || !ir_pointwise(row) || row == IR_cast || row == IR_bitcast)
        return tp_fail(g, at, op, "no such operation of one tensor; expected a row of ops.def");
    return tp_give(g, ir_op1(g->ir, row, tp_val(x), tp_place(g, at)));
}

tp_tensor tp_binary_at(const char *op, tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_graph *g = tp_graph_of(2, x);
    enum ir_op row = ir_op_by_name(op, strlen(op));
    ir_val v[2];

    if (!tp_ready(g, at, op, 2, x))
        return POISON(g);
    if (ir_ops[row].arity != 2 || ir_ops[row].group == IR_STRUCTURAL)
        return tp_fail(g, at, op, "no such operation of two tensors; expected a row of ops.def");
    if (!agree(g, op, a, b, v, at))
        return POISON(g);
    tp_beware(op, a, b, at);
    return tp_give(g, ir_op2(g->ir, row, v[0], v[1], tp_place(g, at)));
}

tp_tensor tp_where_at(tp_tensor condition, tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { condition, a, b };
    tp_graph *g = condition.g;
    ir_val v[2];

    if (!tp_ready(g, at, "tp_where", 3, x))
        return POISON(g);
    if (!a.g && !b.g) {
        v[0] = ir_number(g->ir, IR_F32, a.number, tp_place(g, at));
        v[1] = ir_number(g->ir, IR_F32, b.number, tp_place(g, at));
    } else if (!agree(g, "tp_where", a, b, v, at)) {
        return POISON(g);
    }
    tp_beware("tp_where", condition, a, at);
    tp_beware("tp_where", condition, b, at);
    tp_beware("tp_where", a, b, at);
    return tp_give(g, ir_select(g->ir, tp_val(condition), v[0], v[1], tp_place(g, at)));
}

tp_tensor tp_cast_at(tp_tensor x, tp_dtype dtype, tp_loc at)
{
    tp_graph *g = x.g;

    if (!tp_ready(g, at, "tp_cast", 1, &x) || !tp_good_dtype(g, at, "tp_cast", dtype))
        return POISON(g);
    return tp_give(g, ir_cast(g->ir, tp_val(x), tp_ir_dtype(dtype), tp_place(g, at)));
}

bool tp_floating(tp_tensor x, const char *what, tp_loc at)
{
    if (x.g && is_real(tp_node(x)->dtype))
        return true;
    tp_fail(x.g, at, what, "%s; expected a floating type, tp_cast() changes it",
            x.g ? tp_describe(x) : "a number");
    return false;
}

tp_tensor tp_maths(const char *text, int n, const tp_tensor *x, int numbers, const double *p,
                   tp_loc at)
{
    tp_graph *g = x[0].g;
    ir_val letter[26] = { 0 };

    if (!tp_ready(g, at, "maths", n, x))
        return POISON(g);
    for (int i = 0; i < n; i++)
        letter[i] = tp_val(x[i]);
    for (int i = 0; i < numbers; i++)
        letter['p' - 'a' + i] = ir_number(g->ir, tp_node(x[0])->dtype, p[i], tp_place(g, at));
    return tp_give(g, ir_formula(g->ir, text, letter, tp_place(g, at)));
}
