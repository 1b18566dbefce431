/*
 * file_safetensors: eight bytes of length, a JSON header, the values.
 *
 * Opening checks everything that the header says against the file: types, shapes, that the
 * values follow each other without a hole or an overlap, and end where the file ends. After that
 * a tensor is read where it is wanted, straight from the file; nothing else is kept of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/data.h"

enum { MAX_HEADER = 16 << 20, MAX_DEPTH = 3 };

/* The types of the format. A `type` of -1 is recognised and not supported. */
static const struct stored {
    const char *name;
    int type;
    int bytes;
} stored_types[] = {
    { "F32", IR_F32, 4 },  { "F64", IR_F64, 8 }, { "I64", IR_I64, 8 },   { "I32", IR_I32, 4 },
    { "U32", IR_U32, 4 },  { "U8", IR_U8, 1 },   { "BOOL", IR_BOOL, 1 }, { "F16", IR_F32, 2 },
    { "BF16", IR_F32, 2 }, { "I8", -1, 1 },      { "I16", -1, 2 },       { "U16", -1, 2 },
    { "U64", -1, 8 },      { "F8_E4M3", -1, 1 }, { "F8_E5M2", -1, 1 },
};
enum { STORED_F16 = 7, STORED_BF16 = 8, STORED_TYPES = sizeof stored_types / sizeof *stored_types };

static bool refuse(const char *path, const char *tensor, const char *what, struct ir_error *error)
{
    if (tensor)
        return ir_error(error, IR_REFUSED, "%s: safetensors: tensor \"%.80s\" %s", path, tensor,
                        what);
    return ir_error(error, IR_REFUSED, "%s: safetensors: %s", path, what);
}

/*
 * Values of the header stand in arrays, in objects, in the object; what nests otherwise is
 * refused before it is parsed, so that a header of brackets does not become a tree of nodes.
 */
static bool nests_as_it_should(const char *text, size_t size)
{
    int depth = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"') {
            while (++i < size && text[i] != '"')
                i += text[i] == '\\';
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > MAX_DEPTH || (text[i] == '[') != (depth == MAX_DEPTH))
                return false;
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return true;
}

/* A whole number from the header, not negative. */
static bool whole(const json_t *value, uint64_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_type(const char *path, struct file_tensor *tensor, const json_t *type,
                      struct ir_error *error)
{
    const char *name = json_string_value(type);

    for (int i = 0; name && i < STORED_TYPES; i++)
        if (strcmp(stored_types[i].name, name) == 0) {
            if (stored_types[i].type < 0)
                return ir_error(error, IR_UNSUPPORTED,
                                "%s: safetensors: tensor \"%.80s\" is %s; this version reads F64 "
                                "F32 F16 BF16 I64 I32 U32 U8 BOOL",
                                path, tensor->name, name);
            tensor->stored = i;
            tensor->dtype = (enum ir_dtype)stored_types[i].type;
            return true;
        }
    return refuse(path, tensor->name, "has no known dtype", error);
}

/* Fills a tensor from its entry; `end` is where its values end, counted like its offset. */
static bool read_entry(const char *path, struct file_tensor *tensor, const json_t *entry,
                       uint64_t *end, struct ir_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t elements = 1, dim;
    bool none = false;

    if (!json_is_object(entry) || json_object_size(entry) != 3 || !json_is_array(shape) ||
        !json_is_array(offsets))
        return refuse(path, tensor->name, "has not just dtype, shape and data_offsets", error);
    if (!read_type(path, tensor, json_object_get(entry, "dtype"), error))
        return false;
    if (json_array_size(shape) > IR_RANK)
        return refuse(path, tensor->name, "has more than 8 axes", error);
    tensor->rank = (int)json_array_size(shape);
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (!whole(json_array_get(shape, (size_t)axis), &dim))
            return refuse(path, tensor->name, "has an axis that is no size", error);
        tensor->dim[axis] = (int64_t)dim;
        none = none || dim == 0;
        if (__builtin_mul_overflow(elements, dim ? dim : 1, &elements) ||
            elements > (uint64_t)PTRDIFF_MAX / 8)
            return refuse(path, tensor->name, "has an impossible size", error);
    }
    if (none) /* and the other axes stay numbers that may be multiplied */
        elements = 0;
    if (json_array_size(offsets) != 2 || !whole(json_array_get(offsets, 0), &tensor->offset) ||
        !whole(json_array_get(offsets, 1), end) || *end < tensor->offset ||
        *end - tensor->offset != elements * (uint64_t)stored_types[tensor->stored].bytes)
        return refuse(path, tensor->name, "has data_offsets that do not fit its shape", error);
    tensor->bytes = (size_t)elements * (size_t)ir_dtypes[tensor->dtype].bytes;
    return true;
}

static bool read_metadata(struct file_safetensors *file, json_t *metadata, struct ir_error *error)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return refuse(file->path, NULL, "__metadata__ is not a map of texts", error);
    file->pair = calloc(json_object_size(metadata) + 1, sizeof *file->pair);
    if (!file->pair)
        return ir_error(error, IR_FAILED, "%s: not enough memory", file->path);
    json_object_foreach(metadata, key, value)
    {
        struct file_pair *pair = &file->pair[file->pairs++];

        if (!json_is_string(value))
            return refuse(file->path, NULL, "__metadata__ is not a map of texts", error);
        *pair = (struct file_pair){ strdup(key), strdup(json_string_value(value)) };
        if (!pair->key || !pair->value)
            return ir_error(error, IR_FAILED, "%s: not enough memory", file->path);
    }
    return true;
}

struct extent {
    uint64_t begin, end;
    int64_t entry;
};

static int by_place(const void *a, const void *b)
{
    const struct extent *p = a, *q = b;

    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    return p->end < q->end ? -1 : p->end > q->end; /* empty ones before what starts there */
}

/* Side by side from the first byte to the last. */
static bool values_fill(const struct file_safetensors *file, struct extent *extent, uint64_t size,
                        struct ir_error *error)
{
    uint64_t at = 0;

    qsort(extent, (size_t)file->count, sizeof *extent, by_place);
    for (int64_t i = 0; i < file->count; i++) {
        if (extent[i].begin != at)
            return refuse(file->path, file->tensor[extent[i].entry].name,
                          extent[i].begin > at ? "follows a hole" : "overlaps another", error);
        at = extent[i].end;
    }
    if (at != size)
        return ir_error(error, IR_REFUSED,
                        "%s: safetensors: the tensors have %" PRIu64 " bytes; the file holds "
                        "%" PRIu64,
                        file->path, at, size);
    return true;
}

/* Everything that the header says, checked; `values` is where they begin, `size` what they take. */
static bool read_header(struct file_safetensors *file, json_t *header, uint64_t values,
                        uint64_t size, struct ir_error *error)
{
    const size_t entries = json_object_size(header);
    struct extent *extent = calloc(entries + 1, sizeof *extent);
    const char *name;
    json_t *entry;
    bool fits;

    file->tensor = calloc(entries + 1, sizeof *file->tensor);
    fits =
        (extent && file->tensor) || ir_error(error, IR_FAILED, "%s: not enough memory", file->path);
    if (fits)
        json_object_foreach(header, name, entry)
        {
            if (strcmp(name, "__metadata__") == 0) {
                fits = read_metadata(file, entry, error);
            } else {
                struct file_tensor *tensor = &file->tensor[file->count];

                extent[file->count].entry = file->count;
                tensor->name = strdup(name);
                file->count++;
                fits =
                    tensor->name
                        ? read_entry(file->path, tensor, entry, &extent[file->count - 1].end, error)
                        : ir_error(error, IR_FAILED, "%s: not enough memory", file->path);
                extent[file->count - 1].begin = tensor->offset;
                tensor->offset += values; /* both are below 2^63 */
            }
            if (!fits)
                break;
        }
    fits = fits && values_fill(file, extent, size, error);
    free(extent);
    return fits;
}

static bool read_at(const struct file_safetensors *file, void *to, size_t size, uint64_t offset,
                    struct ir_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t got =
            pread(file->descriptor, (char *)to + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ir_error(error, IR_FAILED, "%s: reading failed: %s", file->path,
                            strerror(errno));
        if (got == 0)
            return refuse(file->path, NULL, "the file has become shorter", error);
        done += (size_t)got;
    }
    return true;
}

/* The header as a tree; NULL, with the error set, when it is none. */
static json_t *parse_header(const struct file_safetensors *file, uint64_t file_bytes,
                            uint64_t *values, struct ir_error *error)
{
    unsigned char length[8];
    uint64_t size = 0;
    json_error_t where;
    json_t *header;
    char *text;

    if (file_bytes < 8 || !read_at(file, length, 8, 0, error)) {
        refuse(file->path, NULL, "shorter than the eight bytes of a header's length", error);
        return NULL;
    }
    for (int i = 0; i < 8; i++)
        size |= (uint64_t)length[i] << 8 * i;
    if (size < 2 || size > MAX_HEADER || size > file_bytes - 8) {
        ir_error(
            error, IR_REFUSED,
            "%s: safetensors: the header should have %" PRIu64 " bytes; the file has %" PRIu64 "%s",
            file->path, size, file_bytes, size > MAX_HEADER ? ", a header at most 16 MiB" : "");
        return NULL;
    }
    text = malloc(size);
    if (!text) {
        ir_error(error, IR_FAILED, "%s: not enough memory", file->path);
        return NULL;
    }
    if (!read_at(file, text, size, 8, error)) {
        free(text);
        return NULL;
    }
    *values = 8 + size;
    if (text[0] != '{' || !nests_as_it_should(text, size)) {
        free(text);
        refuse(file->path, NULL, "the header is not an object of tensors", error);
        return NULL;
    }
    header = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!header) /* the parser's own text may quote the file: its place is enough */
        ir_error(error, IR_REFUSED, "%s: safetensors: the header is no sound JSON at byte %d",
                 file->path, where.position);
    return header;
}

struct file_safetensors *tp_safetensors_open(const char *path, struct ir_error *error)
{
    struct file_safetensors *file = calloc(1, sizeof *file);
    json_t *header = NULL;
    struct stat status;
    uint64_t values;
    bool sound;

    if (!file || !(file->path = strdup(path))) {
        free(file);
        ir_error(error, IR_FAILED, "%s: not enough memory", path);
        return NULL;
    }
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0)
        sound = ir_error(error, IR_REFUSED, "%s: cannot be read: %s", path, strerror(errno));
    else if (fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        sound = ir_error(error, IR_REFUSED, "%s: is not a plain file", path);
    else
        sound = (header = parse_header(file, (uint64_t)status.st_size, &values, error)) &&
                read_header(file, header, values, (uint64_t)status.st_size - values, error);
    json_decref(header);
    if (!sound) {
        tp_safetensors_close(file);
        return NULL;
    }
    return file;
}

void tp_safetensors_close(struct file_safetensors *file)
{
    if (!file)
        return;
    for (int64_t i = 0; i < file->count; i++)
        free((char *)file->tensor[i].name);
    for (int64_t i = 0; i < file->pairs; i++) {
        free((char *)file->pair[i].key);
        free((char *)file->pair[i].value);
    }
    if (file->descriptor >= 0)
        close(file->descriptor);
    free(file->tensor);
    free(file->pair);
    free(file->path);
    free(file);
}

const struct file_tensor *tp_safetensors_find(const struct file_safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

/* Half precision: the fraction is what a float's is, with 13 bits fewer; subnormals are normal. */
static uint32_t widen_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31;
    uint32_t fraction = half & 1023, shift = 0;

    if (exponent == 31)
        return sign | 0xffu << 23 | fraction << 13;
    if (exponent)
        return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction)
        return sign;
    for (; !(fraction & 1024); shift++)
        fraction <<= 1;
    return sign | (113 - shift) << 23 | (fraction & 1023) << 13;
}

/* Two bytes a value become four, from the last to the first, in place. */
static void widen(unsigned char *values, size_t count, int stored)
{
    for (size_t i = count; i-- > 0;) {
        uint16_t half;
        uint32_t full;

        memcpy(&half, values + 2 * i, 2);
        full = stored == STORED_BF16 ? (uint32_t)half << 16 : widen_f16(half);
        memcpy(values + 4 * i, &full, 4);
    }
}

bool tp_safetensors_read(const struct file_safetensors *file, const struct file_tensor *tensor,
                         void *destination, struct ir_error *error)
{
    const size_t count = tensor->bytes / (size_t)ir_dtypes[tensor->dtype].bytes;
    unsigned char *values = destination;

    if (!read_at(file, values, count * (size_t)stored_types[tensor->stored].bytes, tensor->offset,
                 error))
        return false;
    if (tensor->stored == STORED_F16 || tensor->stored == STORED_BF16)
        widen(values, count, tensor->stored);
    if (tensor->dtype == IR_BOOL)
        for (size_t i = 0; i < count; i++)
            if (values[i] > 1)
                return refuse(file->path, tensor->name, "has a truth value that is not 0 or 1",
                              error);
    return true;
}
