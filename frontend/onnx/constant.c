/*
 * constant: values that come from the file or from a shape.
 */
#include "frontend/onnx/ops.h"

#include <math.h>
#include <string.h>

void onnx_constant(struct onnx_node *n)
{
    const Onnx__AttributeProto *a = NULL;
    struct ir_array array = { 0 };
    const char *name = "none";
    char where[120];

    for (size_t i = 0; i < n->proto->n_attribute; i++)
        if (strncmp(n->proto->attribute[i]->name, "value", 5) == 0)
            a = onnx_attribute(n, name = n->proto->attribute[i]->name);
    snprintf(where, sizeof where, "%.80s:%d", n->at.file, n->at.line);
    if (a && a->t) {
        if (tp_onnx_check_value(a->t, where, &n->g->error)) {
            struct ir_arena *arena = ir_arena_new();
            tp_onnx_value(a->t, arena, &array);
            n->out[0] = onnx_array(n, &array);
            ir_arena_free(arena);
        }
    } else if (a && strcmp(name, "value_float") == 0) {
        n->out[0] = onnx_number(n, IR_F32, (double)a->f);
    } else if (a && strcmp(name, "value_int") == 0) {
        n->out[0] = tp_give(n->g, ir_integer(n->g->ir, IR_I64, a->i, onnx_place(n)));
    } else if (a && strcmp(name, "value_floats") == 0) {
        n->out[0] = tp_array_at(n->g, TP_F32, tp_dims((int64_t)a->n_floats),
                                a->floats ? a->floats : &(float){ 0 }, n->at);
    } else if (a && strcmp(name, "value_ints") == 0) {
        n->out[0] = tp_array_at(n->g, TP_I64, tp_dims((int64_t)a->n_ints),
                                a->ints ? a->ints : &(int64_t){ 0 }, n->at);
    } else {
        onnx_lacks(n, "constant \"%.40s\"; expected a dense one of numbers", name);
    }
}

/* A shape that an input says; all extents 0 or more. */
static bool shape_of(struct onnx_node *n, int i, tp_shape *shape)
{
    struct onnx_ints dims;
    int64_t elements = 1;

    if (!onnx_known_ints(n, i, &dims))
        return false;
    if (dims.count > IR_RANK) {
        onnx_lacks(n, "%d axes; expected at most %d", dims.count, IR_RANK);
        return false;
    }
    *shape = (tp_shape){ .rank = dims.count };
    for (int k = 0; k < dims.count; k++) {
        shape->dim[k] = dims.at[k];
        if (dims.at[k] < 0 || __builtin_mul_overflow(elements, dims.at[k], &elements) ||
            elements > (int64_t)1 << 40) {
            onnx_wrong(n, "extent %lld", (long long)dims.at[k]);
            return false;
        }
    }
    return true;
}

void onnx_filled(struct onnx_node *n)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, "value");
    tp_tensor number;
    tp_shape shape;

    if (!shape_of(n, 0, &shape))
        return;
    if (a && a->t) {
        struct ir_arena *arena;
        struct ir_array array;

        if (!tp_onnx_check_value(a->t, "value", &n->g->error))
            return;
        arena = ir_arena_new();
        tp_onnx_value(a->t, arena, &array);
        if (ir_count(&array.shape) != 1)
            onnx_wrong(n, "a value of many numbers; expected one");
        array.shape.rank = 0;
        number = onnx_ok(n) ? onnx_array(n, &array) : POISON(n->g);
        ir_arena_free(arena);
    } else {
        number = onnx_number(n, IR_F32, 0);
    }
    if (number.id)
        n->out[0] = shape.rank ? tp_expand_at(number, shape, n->at) : number;
}

/* Extents as numbers: of a symbol they are values of the graph. */
void onnx_shape(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    const int rank = x.id ? tp_rank(x) : 0;
    int64_t from = onnx_int(n, "start", 0), to = onnx_int(n, "end", rank), dim[IR_RANK];
    tp_tensor part[IR_RANK];
    bool fixed = true;
    int count = 0;

    if (!x.id)
        return;
    from = from < 0 ? from + rank : from;
    to = to < 0 ? to + rank : to;
    from = from < 0 ? 0 : from;
    for (int64_t i = from; i < to && i < rank; i++) {
        dim[count] = tp_dim(x, (int)i);
        fixed &= ir_dim_fixed(dim[count++]);
    }
    if (fixed) {
        n->out[0] = onnx_integers(n, count, dim);
        return;
    }
    for (int i = 0; i < count; i++) {
        const ir_val size = ir_size(n->g->ir, dim[i], IR_I64, onnx_place(n));
        part[i] = tp_reshape_at(tp_give(n->g, size), tp_dims(1), n->at);
    }
    n->out[0] = tp_concat_at(0, (tp_list){ count, part }, n->at);
}

void onnx_size(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);

    if (x.id)
        n->out[0] =
            tp_give(n->g, ir_size(n->g->ir, onnx_extent(x, 0, tp_rank(x)), IR_I64, onnx_place(n)));
}

/* start + i delta, in the type of the inputs */
void onnx_range(struct onnx_node *n)
{
    double start, limit, delta, count;
    struct ir_array first;
    tp_tensor index;

    if (!onnx_known(n, 0, &first) || !onnx_known_number(n, 0, &start) ||
        !onnx_known_number(n, 1, &limit) || !onnx_known_number(n, 2, &delta))
        return;
    count = ceil((limit - start) / delta);
    if (!(delta != 0) || !(count <= 1e9)) {
        onnx_wrong(n, "from %g to %g by %g", start, limit, delta);
        return;
    }
    index = tp_arange_at(n->g, TP_I64, count > 0 ? (int64_t)count : 0, n->at);
    index = onnx_cast(n, index, first.dtype);
    index = onnx_op2(n, IR_mul, index, onnx_number(n, first.dtype, delta));
    n->out[0] = onnx_op2(n, IR_add, index, onnx_number(n, first.dtype, start));
}

void onnx_eye(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    enum ir_dtype dtype;
    tp_tensor part[2];

    if (!x.id)
        return;
    dtype = onnx_type(x);
    if (onnx_attr(n, "dtype") && !tp_onnx_dtype((int)onnx_int(n, "dtype", 0), &dtype)) {
        onnx_lacks(n, "elements of that type; expected numbers");
        return;
    }
    if (tp_rank(x) != 2) {
        onnx_wrong(n, "%s; expected two axes", tp_describe(x));
        return;
    }
    part[0] = tp_index_along(n->g, tp_shape_of(x), 0, n->at);
    part[1] = tp_index_along(n->g, tp_shape_of(x), 1, n->at);
    n->out[0] = onnx_cast(
        n, tp_maths("a + p == b", 2, part, 1, (double[]){ (double)onnx_int(n, "k", 0) }, n->at),
        dtype);
}
