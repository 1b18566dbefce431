/*
 * file_npy: one array of NumPy's, of any shape and type that the IR has, in and out.
 */
#include "frontend/parts.h"
#include "runtime/parts/file.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/npy.h"

#include "frontend/data.h"

bool tp_npy_read(const char *path, struct ir_arena *arena, struct ir_array *array,
                 struct ir_error *error)
{
    struct part_error wrong = { 0 };
    struct npy npy = { 0 };
    struct file f = { 0 };
    bool ok = npy_open(path, &f, &npy, &wrong);

    if (ok) {
        *array = (struct ir_array){ .shape.rank = npy.rank };
        while (strcmp(ir_dtypes[array->dtype].name, part_types[npy.type].name) != 0)
            array->dtype++;
        for (int i = 0; i < npy.rank; i++)
            array->shape.dim[i] = npy.dim[i];
        array->data = ir_alloc(arena, npy.bytes + 8);
        ok = file_read(&f, array->data, npy.bytes, &wrong) && file_ends(&f, &wrong);
        file_close(&f);
        for (uint64_t i = 0; ok && array->dtype == IR_BOOL && i < npy.bytes; i++)
            ((uint8_t *)array->data)[i] = ((uint8_t *)array->data)[i] != 0;
    }
    return ok || ir_error(error, wrong.status, "%s", wrong.text);
}

/* NumPy has no bf16: two bytes as they are, which is what ml_dtypes writes for its bfloat16. */
const char *tp_npy_type(enum ir_dtype dtype, char text[4])
{
    static const char kinds[] = { ['b'] = 'b', ['i'] = 'i', ['u'] = 'u', ['f'] = 'f' };
    const struct ir_dtype_info *type = &ir_dtypes[dtype];

    snprintf(text, 4, "%c%c%d", type->bytes == 1 ? '|' : '<',
             dtype == IR_BF16 ? 'V' : kinds[(int)type->kind], type->bytes);
    return text;
}

bool tp_npy_write(const char *path, const struct ir_array *array, struct ir_error *error)
{
    struct file_aside *file = tp_aside_open(path, error);
    struct ir_text head = { 0 };
    char magic[10] = "\x93NUMPY\x01", type[4];
    size_t bytes = (size_t)ir_dtypes[array->dtype].bytes;
    bool ok;

    if (!file)
        return false;
    ir_put(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (",
           tp_npy_type(array->dtype, type));
    for (int i = 0; i < array->shape.rank; i++) {
        bytes *= (size_t)array->shape.dim[i];
        ir_put(&head, "%lld,%s", (long long)array->shape.dim[i],
               i + 1 < array->shape.rank ? " " : "");
    }
    ir_put(&head, "), }");
    while ((10 + head.size + 1) % 64)
        ir_put(&head, " ");
    ir_put(&head, "\n");
    magic[8] = (char)(head.size & 255);
    magic[9] = (char)(head.size >> 8);
    ok = tp_aside_write(file, magic, 10, error) &&
         tp_aside_write(file, head.data, head.size, error) &&
         tp_aside_write(file, array->data, bytes, error);
    ok = tp_aside_close(file, ok, error) && ok;
    ir_text_free(&head);
    return ok;
}
