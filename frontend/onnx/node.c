/*
 * node: what the functions of operators ask of a node: its attributes, and short ways to record.
 */
#include "frontend/onnx/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- attributes --------------------------------------------------------------------------------
 */

static const Onnx__AttributeProto *named(const Onnx__NodeProto *p, const char *name)
{
    for (size_t i = 0; i < p->n_attribute; i++)
        if (strcmp(p->attribute[i]->name, name) == 0)
            return p->attribute[i];
    return NULL;
}

/* In a function an attribute may stand for one of the call. */
const Onnx__AttributeProto *onnx_attribute(const struct onnx_node *n, const char *name)
{
    const Onnx__AttributeProto *a = named(n->proto, name);

    for (const struct onnx_call *c = n->call; a && a->ref_attr_name && *a->ref_attr_name;
         c = c->outer)
        a = named(c->proto, a->ref_attr_name); /* import.c: outside of calls there are none */
    return a;
}

bool onnx_attr(const struct onnx_node *n, const char *name)
{
    return onnx_attribute(n, name) != NULL;
}

int64_t onnx_int(const struct onnx_node *n, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);

    return a && a->has_i ? a->i : otherwise;
}

double onnx_float(const struct onnx_node *n, const char *name, double otherwise)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);

    return a && a->has_f ? (double)a->f : otherwise;
}

const char *onnx_word(const struct onnx_node *n, const char *name, const char *otherwise)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);

    if (!a || !a->has_s || a->s.len > 1000)
        return otherwise;
    return ir_format(n->g->ir->arena, "%.*s", (int)a->s.len, (const char *)a->s.data);
}

bool onnx_ints(struct onnx_node *n, const char *name, struct onnx_ints *ints)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);

    *ints = (struct onnx_ints){ 0, NULL };
    if (!a)
        return false;
    if (a->n_ints > 1 << 16) {
        onnx_wrong(n, "%.40s has %zu numbers; expected fewer", name, a->n_ints);
        return false;
    }
    ints->count = (int)a->n_ints;
    ints->at = ir_alloc(n->g->ir->arena, (a->n_ints + 1) * sizeof *ints->at);
    for (int i = 0; i < ints->count; i++)
        ints->at[i] = a->ints[i];
    return true;
}

bool onnx_attr_or_input(struct onnx_node *n, const char *name, int i, struct onnx_ints *ints,
                        bool *there)
{
    *ints = (struct onnx_ints){ 0, NULL };
    *there = onnx_attr(n, name);
    if (*there)
        return onnx_ints(n, name, ints);
    *there = onnx_has(n, i);
    return !*there || onnx_known_ints(n, i, ints);
}

/* --- short ways --------------------------------------------------------------------------------
 */

bool onnx_axis(struct onnx_node *n, int64_t *axis, int rank)
{
    if (*axis < -rank || *axis >= rank) {
        onnx_wrong(n, "axis %lld; expected one of %d", (long long)*axis, rank);
        return false;
    }
    *axis += *axis < 0 ? rank : 0;
    return true;
}

bool onnx_axes(struct onnx_node *n, struct onnx_ints *axes, int rank)
{
    unsigned seen = 0;

    if (axes->count > rank) {
        onnx_wrong(n, "%d axes of %d", axes->count, rank);
        return false;
    }
    for (int i = 0; i < axes->count; i++) {
        if (!onnx_axis(n, &axes->at[i], rank))
            return false;
        if (seen >> axes->at[i] & 1) {
            onnx_wrong(n, "axis %lld twice", (long long)axes->at[i]);
            return false;
        }
        seen |= 1u << axes->at[i];
    }
    return true;
}

struct ir_loc onnx_place(struct onnx_node *n)
{
    return tp_place(n->g, n->at);
}

enum ir_dtype onnx_type(tp_tensor x)
{
    return tp_node(x)->dtype;
}

bool onnx_real(tp_tensor x)
{
    return ir_dtypes[tp_node(x)->dtype].kind == 'f';
}

tp_tensor onnx_cast(struct onnx_node *n, tp_tensor x, enum ir_dtype dtype)
{
    return x.id ? tp_give(n->g, ir_cast(n->g->ir, tp_val(x), dtype, onnx_place(n))) : x;
}

tp_tensor onnx_op1(struct onnx_node *n, enum ir_op op, tp_tensor a)
{
    return a.id ? tp_give(n->g, ir_op1(n->g->ir, op, tp_val(a), onnx_place(n))) : a;
}

tp_tensor onnx_op2(struct onnx_node *n, enum ir_op op, tp_tensor a, tp_tensor b)
{
    if (!a.id || !b.id)
        return POISON(n->g);
    if (onnx_type(a) != onnx_type(b))
        return onnx_wrong(n, "%s and %s; expected one type", tp_describe(a), tp_describe(b));
    return tp_give(n->g, ir_op2(n->g->ir, op, tp_val(a), tp_val(b), onnx_place(n)));
}

tp_tensor onnx_select(struct onnx_node *n, tp_tensor c, tp_tensor a, tp_tensor b)
{
    if (!c.id || !a.id || !b.id)
        return POISON(n->g);
    if (onnx_type(a) != onnx_type(b) || onnx_type(c) != IR_BOOL)
        return onnx_wrong(n, "%s, %s and %s; expected bool and two of one type", tp_describe(c),
                          tp_describe(a), tp_describe(b));
    return tp_give(n->g, ir_select(n->g->ir, tp_val(c), tp_val(a), tp_val(b), onnx_place(n)));
}

tp_tensor onnx_reduce(struct onnx_node *n, enum ir_op op, tp_tensor x, const struct onnx_ints *axes,
                      bool keep)
{
    int64_t sorted[IR_RANK];
    struct ir_shape shape;
    tp_tensor y;
    int count = 0;

    if (!x.id)
        return x;
    shape = tp_node(x)->shape;
    for (int64_t i = 0; i < shape.rank; i++)
        for (int k = 0; k < axes->count; k++)
            if (axes->at[k] == i) {
                sorted[count++] = i;
                shape.dim[i] = 1;
            }
    if (count == 0)
        return x;
    y = tp_give(n->g, ir_reduce(n->g->ir, op, tp_val(x), count, sorted, onnx_place(n)));
    return keep && y.id ? tp_give(n->g, ir_reshape(n->g->ir, tp_val(y), shape, onnx_place(n))) : y;
}

tp_tensor onnx_number(struct onnx_node *n, enum ir_dtype dtype, double number)
{
    return tp_give(n->g, ir_dtypes[dtype].kind == 'f'
                             ? ir_number(n->g->ir, dtype, number, onnx_place(n))
                             : ir_integer(n->g->ir, dtype, (int64_t)number, onnx_place(n)));
}

tp_tensor onnx_integers(struct onnx_node *n, int count, const int64_t *at)
{
    return tp_array_at(n->g, TP_I64, tp_dims(count), at, n->at);
}

tp_tensor onnx_wrapped(struct onnx_node *n, tp_tensor index, int64_t extent)
{
    if (!index.id)
        return index;
    return onnx_maths(n, "select(a < 0, a + p, a)", 1, &index, (double)extent);
}

int64_t onnx_extent(tp_tensor x, int from, int to)
{
    int64_t all = 1;

    for (int i = from; i < to; i++)
        all = ir_dim_mul(x.g->ir, all, tp_dim(x, i));
    return all;
}
