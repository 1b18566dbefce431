/*
 * file_safetensors: weights by name, in the types that the IR has; of a file whose name ends in
 * .npz as NumPy keeps them (file_npz.c).
 */
#include "frontend/parts.h"
#include "runtime/parts/aside.h"
#include "runtime/parts/safetensors.h"

#include "frontend/data.h"
#include "ir/evaluate.h"

/* What others see stands first; the part's own is behind it. */
struct opened {
    struct file_safetensors shown;
    struct safetensors part;
    struct npz *npz; /* or NULL */
};

static bool is_npz(const char *path)
{
    const size_t size = strlen(path);

    return (size > 4 && strcmp(path + size - 4, ".npz") == 0) ||
           (size > 7 && strcmp(path + size - 7, ".npz.gz") == 0); /* which says that it is packed */
}

static bool show(struct file_tensor *to, const struct safetensor *t, const char *path,
                 struct ir_error *error)
{
    enum part_type type = t->type;
    uint64_t elements;

    *to = (struct file_tensor){ .name = t->name, .rank = t->rank, .offset = t->offset };
    memcpy(to->dim, t->dim, sizeof to->dim);
    if (!tp_type_of_part(type, &to->dtype))
        return ir_error(error, IR_UNSUPPORTED,
                        "%.200s: safetensors: tensor \"%.80s\" is %s, which no tensor here can be",
                        path, t->name, part_types[t->type].name);
    part_elements(t->rank, t->dim, &elements);
    to->bytes = (size_t)elements * part_types[type].bytes;
    return true;
}

struct file_safetensors *tp_safetensors_open(const char *path, struct ir_error *error)
{
    struct opened *file = calloc(1, sizeof *file);
    struct part_error part = { 0 };
    bool ok;

    if (!file || !(file->shown.path = strdup(path))) {
        free(file);
        ir_error(error, IR_FAILED, "%.250s: not enough memory", path);
        return NULL;
    }
    if (is_npz(path)) {
        file->part.descriptor = -1;
        file->npz = tp_npz_open(file->shown.path, &file->shown.count, &file->shown.tensor, error);
        ok = file->npz;
    } else {
        safetensors_open(&file->part, file->shown.path, &part);
        ok = tp_part_told(&part, error);
    }
    if (ok && !file->npz) {
        file->shown.tensor = calloc((size_t)file->part.count + 1, sizeof *file->shown.tensor);
        file->shown.pairs = file->part.pairs;
        file->shown.pair = (const struct file_pair *)file->part.pair;
        ok = file->shown.tensor || ir_error(error, IR_FAILED, "%.250s: not enough memory", path);
    }
    for (int64_t i = 0; ok && i < file->part.count; i++, file->shown.count++)
        ok = show(&file->shown.tensor[i], &file->part.tensor[i], path, error);
    if (ok)
        return &file->shown;
    tp_safetensors_close(&file->shown);
    return NULL;
}

void tp_safetensors_close(struct file_safetensors *shown)
{
    struct opened *file = (struct opened *)shown;

    if (!file)
        return;
    safetensors_close(&file->part);
    tp_npz_close(file->npz);
    free(file->shown.tensor);
    free(file->shown.path);
    free(file);
}

const struct file_tensor *tp_safetensors_find(const struct file_safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

bool tp_safetensors_reads_as(const struct file_tensor *tensor, enum ir_dtype dtype)
{
    return tensor->dtype == dtype ||
           (ir_dtypes[tensor->dtype].arithmetic == IR_F32 && ir_dtypes[dtype].arithmetic == IR_F32);
}

bool tp_safetensors_read(const struct file_safetensors *shown, const struct file_tensor *tensor,
                         enum ir_dtype dtype, void *destination, struct ir_error *error)
{
    const struct opened *file = (const struct opened *)shown;
    const int64_t elements = (int64_t)tensor->bytes / ir_dtypes[tensor->dtype].bytes;
    void *values = tensor->dtype == dtype ? destination : malloc(tensor->bytes + 1);
    struct ir_array from = { .dtype = tensor->dtype, .data = values };
    struct ir_array to = { .dtype = dtype, .data = destination };
    struct part_error part = { 0 };
    double number;
    bool ok;

    if (!values)
        return ir_error(error, IR_FAILED, "%.250s: not enough memory", shown->path);
    if (!file->npz)
        safetensors_read(&file->part, &file->part.tensor[tensor - shown->tensor], false, values,
                         &part);
    ok = file->npz ? tp_npz_read(file->npz, tensor, values, error) : tp_part_told(&part, error);
    for (int64_t i = 0; values != destination && i < elements && ok; i++) {
        ir_load_real(&number, &from, NULL, i, 1);
        ir_store_real(&to, i, 1, &number);
    }
    if (values != destination)
        free(values);
    return ok;
}

bool tp_safetensors_write(const char *path, int64_t count, const struct file_tensor tensor[],
                          int64_t pairs, const struct file_pair pair[], struct ir_error *error)
{
    struct safetensor *list;
    struct part_error part = { 0 };

    if (strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".gz") == 0)
        return ir_error(error, IR_REFUSED,
                        "%.200s: weights are written unpacked; expected a name that ends in "
                        ".safetensors or .npz",
                        path);
    if (is_npz(path))
        return tp_npz_write(path, count, tensor, error);
    list = calloc((size_t)count + 1, sizeof *list);
    if (!list)
        return ir_error(error, IR_FAILED, "%.250s: not enough memory", path);
    for (int64_t i = 0; i < count; i++) {
        list[i] = (struct safetensor){ .name = (char *)tensor[i].name,
                                       .type = tp_part_of_type(tensor[i].dtype),
                                       .rank = tensor[i].rank,
                                       .bytes = tensor[i].bytes,
                                       .data = tensor[i].data };
        memcpy(list[i].dim, tensor[i].dim, sizeof list[i].dim);
    }
    safetensors_write(path, count, list, pairs, (const struct safetensors_pair *)pair, &part);
    free(list);
    return tp_part_told(&part, error);
}
