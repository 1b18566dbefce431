/*
 * value: a TensorProto as an array. Its numbers stand as raw bytes, or in the list that its type
 * has; either way there must be as many as its shape says.
 */
#include "frontend/onnx/export.h"

#include <stdlib.h>
#include <string.h>

static const struct type { /* where a type's numbers stand when they are not raw */
    int onnx;
    enum ir_dtype dtype;
    char list; /* f float_data, i int32_data, l int64_data, d double_data, u uint64_data */
} types[] = {
    { ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, IR_F32, 'f' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, IR_U8, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT8, IR_I8, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__UINT16, IR_U16, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT16, IR_I16, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT32, IR_I32, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT64, IR_I64, 'l' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, IR_BOOL, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, IR_F16, 'i' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, IR_F64, 'd' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__UINT32, IR_U32, 'u' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__UINT64, IR_U64, 'u' },
    { ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, IR_BF16, 'i' },
};

static const struct type *type_of(int onnx)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].onnx == onnx)
            return &types[i];
    return NULL;
}

bool tp_onnx_dtype(int type, enum ir_dtype *dtype)
{
    const struct type *t = type_of(type);

    if (t)
        *dtype = t->dtype;
    return t != NULL;
}

int tp_onnx_type(enum ir_dtype dtype)
{
    size_t i = 0;

    while (types[i].dtype != dtype) /* there is a row for each of ours */
        i++;
    return types[i].onnx;
}

static size_t listed(const Onnx__TensorProto *t, char list)
{
    switch (list) {
    case 'f':
        return t->n_float_data;
    case 'i':
        return t->n_int32_data;
    case 'l':
        return t->n_int64_data;
    case 'd':
        return t->n_double_data;
    default:
        return t->n_uint64_data;
    }
}

bool tp_onnx_check_shape(const Onnx__TensorProto *t, const char *where, uint64_t *bytes,
                         struct ir_error *error)
{
    const struct type *type = type_of(t->data_type);
    int64_t elements = 1;

    if (t->data_type == 0)
        return ir_error(error, IR_REFUSED, "%.220s: has no type of elements", where);
    if (!type)
        return ir_error(error, IR_UNSUPPORTED,
                        "%.220s: elements of type %d are not supported; expected numbers or bool",
                        where, (int)t->data_type);
    if (t->segment)
        return ir_error(error, IR_UNSUPPORTED, "%.220s: segments are not supported", where);
    if (t->n_dims > IR_RANK)
        return ir_error(error, IR_UNSUPPORTED, "%.220s: has %zu axes; expected at most %d", where,
                        t->n_dims, IR_RANK);
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 0 || t->dims[i] > (int64_t)1 << 40 ||
            __builtin_mul_overflow(elements, t->dims[i], &elements) || elements > (int64_t)1 << 40)
            return ir_error(error, IR_REFUSED, "%.220s: its axis %zu has extent %lld", where, i,
                            (long long)t->dims[i]);
    *bytes = (uint64_t)elements * (uint64_t)ir_dtypes[type->dtype].bytes;
    return true;
}

bool tp_onnx_check_value(const Onnx__TensorProto *t, const char *where, struct ir_error *error)
{
    const struct type *type = type_of(t->data_type);
    uint64_t has, wants;

    if (!tp_onnx_check_shape(t, where, &wants, error))
        return false;
    if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) /* not of a model's file */
        return ir_error(error, IR_UNSUPPORTED,
                        "%.220s: numbers in another file are not supported; expected them inside",
                        where);
    if (!t->has_raw_data)
        wants /= (uint64_t)ir_dtypes[type->dtype].bytes;
    has = t->has_raw_data ? t->raw_data.len : listed(t, type->list);
    if (has != wants)
        return ir_error(error, IR_REFUSED, "%.220s: has %llu %s; expected %llu, as its shape says",
                        where, (unsigned long long)has, t->has_raw_data ? "bytes" : "numbers",
                        (unsigned long long)wants);
    return true;
}

void tp_onnx_value(const Onnx__TensorProto *t, struct ir_arena *arena, struct ir_array *array)
{
    const struct type *type = type_of(t->data_type);
    const size_t bytes = (size_t)ir_dtypes[type->dtype].bytes;
    size_t count = 1;
    uint8_t *to;

    *array = (struct ir_array){ .dtype = type->dtype, .shape.rank = (int)t->n_dims };
    for (size_t i = 0; i < t->n_dims; i++)
        count *= (size_t)(array->shape.dim[i] = t->dims[i]);
    array->data = to = ir_alloc(arena, (count + 1) * bytes);
    if (t->has_raw_data) {
        if (count)
            memcpy(to, t->raw_data.data, count * bytes);
        for (size_t i = 0; type->dtype == IR_BOOL && i < count; i++)
            to[i] = to[i] != 0;
        return;
    }
    for (size_t i = 0; i < count; i++, to += bytes) {
        if (type->list == 'f')
            memcpy(to, &t->float_data[i], bytes);
        else if (type->list == 'd')
            memcpy(to, &t->double_data[i], bytes);
        else if (type->list == 'l')
            memcpy(to, &t->int64_data[i], bytes);
        else if (type->list == 'u')
            memcpy(to, &t->uint64_data[i], bytes); /* little-endian: the low bytes come first */
        else if (type->dtype == IR_BOOL)
            *to = t->int32_data[i] != 0;
        else
            memcpy(to, &t->int32_data[i], bytes);
    }
}

bool tp_onnx_read_value(const char *path, struct ir_arena *arena, struct ir_array *array,
                        struct ir_error *error)
{
    Onnx__TensorProto *t = tp_onnx_unpack(path, &onnx__tensor_proto__descriptor, error);
    const bool ok = t && tp_onnx_check_value(t, path, error);

    if (ok)
        tp_onnx_value(t, arena, array);
    if (t)
        onnx__tensor_proto__free_unpacked(t, NULL);
    return ok;
}
