/*
 * file_safetensors_write: the same format the other way.
 *
 * The file is a function of what is saved: no time, no order of chance, so equal weights are
 * equal files.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"

enum { ALIGNMENT = 8 };

/* Larger elements first, so that each tensor lies aligned to its own; else the order given. */
static int64_t *order_to_write(int64_t count, const struct file_tensor tensor[])
{
    int64_t *order = calloc((size_t)count + 1, sizeof *order), written = 0;

    for (int bytes = 8; order && bytes > 0; bytes /= 2)
        for (int64_t i = 0; i < count; i++)
            if (ir_dtypes[tensor[i].dtype].bytes == bytes)
                order[written++] = i;
    return order;
}

/* The format's name of a type is ours in capitals. */
static const char *type_name(enum ir_dtype dtype, char name[8])
{
    int i = 0;

    for (; i < 7 && ir_dtypes[dtype].name[i]; i++)
        name[i] = (char)toupper((unsigned char)ir_dtypes[dtype].name[i]);
    name[i] = 0;
    return name;
}

/* Adds a value under a name that must be new, and text. */
static bool add(json_t *object, const char *name, json_t *value)
{
    if (value && json_object_get(object, name)) {
        json_decref(value);
        return false;
    }
    return json_object_set_new(object, name, value) == 0;
}

/* The header's text, padded with spaces; NULL when a name or a text does not fit into JSON. */
static char *header_text(int64_t count, const struct file_tensor tensor[], const int64_t *order,
                         int64_t pairs, const struct file_pair pair[])
{
    json_t *header = json_object(), *metadata = json_object();
    uint64_t offset = 0;
    char *text = NULL;
    bool fits = header && metadata;

    for (int64_t i = 0; fits && i < pairs; i++)
        fits = add(metadata, pair[i].key, json_string(pair[i].value));
    if (fits && pairs)
        fits = json_object_set(header, "__metadata__", metadata) == 0;
    for (int64_t i = 0; fits && i < count; i++) {
        const struct file_tensor *t = &tensor[order[i]];
        json_t *shape = json_array();
        char type[8];

        for (int axis = 0; axis < t->rank; axis++)
            json_array_append_new(shape, json_integer(t->dim[axis]));
        fits = strcmp(t->name, "__metadata__") != 0 &&
               add(header, t->name,
                   json_pack("{s:s, s:o, s:[I, I]}", "dtype", type_name(t->dtype, type), "shape",
                             shape, "data_offsets", (json_int_t)offset,
                             (json_int_t)(offset + t->bytes)));
        offset += t->bytes;
    }
    if (fits && (text = json_dumps(header, JSON_COMPACT))) {
        size_t size = strlen(text), padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        char *wider = realloc(text, padded + 1);

        if (wider) {
            memset(wider + size, ' ', padded - size);
            wider[padded] = 0;
            text = wider;
        } else {
            free(text);
            text = NULL;
        }
    }
    json_decref(metadata);
    json_decref(header);
    return text;
}

bool tp_safetensors_write(const char *path, int64_t count, const struct file_tensor tensor[],
                          int64_t pairs, const struct file_pair pair[], struct ir_error *error)
{
    int64_t *order = order_to_write(count, tensor);
    char *header = order ? header_text(count, tensor, order, pairs, pair) : NULL;
    struct file_aside file;
    bool done;

    if (!header) {
        free(order);
        return ir_error(error, IR_REFUSED,
                        "%s: safetensors: two tensors share a name, or a name is no UTF-8 text",
                        path);
    }
    done = tp_aside_open(&file, path, error);
    if (done) {
        unsigned char length[8];
        const size_t size = strlen(header);

        for (int i = 0; i < 8; i++)
            length[i] = (unsigned char)(size >> 8 * i);
        done =
            tp_aside_write(&file, length, 8, error) && tp_aside_write(&file, header, size, error);
    }
    for (int64_t i = 0; done && i < count; i++)
        done = tp_aside_write(&file, tensor[order[i]].data, tensor[order[i]].bytes, error);
    done = done && tp_aside_commit(&file, error);
    if (!done)
        tp_aside_abandon(&file);
    free(header);
    free(order);
    return done;
}
