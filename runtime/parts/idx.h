/*
 * MNIST's format: two zeros, type, rank, big-endian sizes, values.
 */
#ifndef PART_IDX_H
#define PART_IDX_H

enum { IDX_U8 = 8, IDX_RANK = 8 };

struct idx {
    struct file file;
    int rank;
    int64_t dim[IDX_RANK];
    uint64_t bytes; /* of the values */
};

PART bool idx_header(struct idx *idx, struct part_error *error)
{
    const char *path = idx->file.path;
    unsigned char magic[4], size[4];

    if (!file_read(&idx->file, magic, 4, error))
        return false;
    if (magic[0] || magic[1])
        return part_fail(error, PART_REFUSED, "%.250s: idx: starts with %02x%02x; want 0000", path,
                         magic[0], magic[1]);
    if (magic[2] != IDX_U8)
        return part_fail(error, PART_UNSUPPORTED,
                         "%.250s: idx: holds values of type 0x%02x; only bytes (0x08) are read",
                         path, magic[2]);
    if (magic[3] < 1 || magic[3] > IDX_RANK)
        return part_fail(error, PART_REFUSED, "%.250s: idx: has %d dimensions; want 1 to %d", path,
                         magic[3], IDX_RANK);
    idx->rank = magic[3];
    for (int axis = 0; axis < idx->rank; axis++) {
        if (!file_read(&idx->file, size, 4, error))
            return false;
        idx->dim[axis] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    }
    if (!part_elements(idx->rank, idx->dim, &idx->bytes))
        return part_fail(error, PART_REFUSED, "%.250s: idx: the header declares an impossible size",
                         path);
    return file_holds(&idx->file, 4 + 4 * (uint64_t)idx->rank + idx->bytes, error);
}

/* Leaves idx->file open on success only. */
PART bool idx_open(struct idx *idx, const char *path, struct part_error *error)
{
    *idx = (struct idx){ .rank = 0 };
    if (!file_open(&idx->file, path, error))
        return false;
    if (!idx_header(idx, error)) {
        file_close(&idx->file);
        return false;
    }
    return true;
}

/* One file, nothing kept. */
PART bool idx_check(const char *path, struct part_error *error)
{
    struct idx idx;
    bool sound = idx_open(&idx, path, error);

    if (sound) {
        sound = file_skip(&idx.file, idx.bytes, error) && file_ends(&idx.file, error);
        file_close(&idx.file);
    }
    return sound;
}

PART bool idx_images(struct idx *idx, struct columns *to, struct part_error *error)
{
    struct column *x;

    if (idx->rank != 3)
        return part_fail(error, PART_REFUSED, "%.250s: idx: has %d dimensions; images have 3",
                         idx->file.path, idx->rank);
    if (idx->bytes == 0)
        return part_fail(error, PART_REFUSED, "%.250s: idx: holds no images", idx->file.path);
    to->rows = idx->dim[0];
    const int64_t dim[] = { 1, idx->dim[1], idx->dim[2] };
    x = columns_add(to, "x", PART_U8, 3, dim, false, error);
    return x && file_read(&idx->file, x->rows, idx->bytes, error) && file_ends(&idx->file, error);
}

PART bool idx_labels(struct idx *idx, struct columns *to, struct part_error *error)
{
    unsigned char chunk[4096];
    struct column *y;
    int32_t *label;

    if (idx->rank != 1 || idx->dim[0] != to->rows)
        return part_fail(error, PART_REFUSED,
                         "%.250s: idx: has %lld labels in %d dimensions; the images are %lld",
                         idx->file.path, (long long)idx->dim[0], idx->rank, (long long)to->rows);
    y = columns_add(to, "y", PART_I32, 0, NULL, false, error);
    label = y ? (int32_t *)y->rows : NULL;
    for (int64_t row = 0, count; y && row < to->rows; row += count) {
        count = to->rows - row < 4096 ? to->rows - row : 4096;
        if (!file_read(&idx->file, chunk, (uint64_t)count, error))
            return false;
        for (int64_t i = 0; i < count; i++) {
            label[row + i] = chunk[i];
            if (chunk[i] >= to->classes)
                to->classes = chunk[i] + 1;
        }
    }
    return y && file_ends(&idx->file, error);
}

/* The first of the usual names that exists: train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz */
PART bool idx_find(char *path, size_t room, const char *folder, const char *set, const char *kind,
                   int rank, struct part_error *error)
{
    for (int name = 0; name < 4; name++) {
        int size = snprintf(path, room, "%s/%s-%s%cidx%d-ubyte%s", folder, set, kind, "--.."[name],
                            rank, name % 2 ? ".gz" : "");
        if (size > 0 && (size_t)size < room && access(path, F_OK) == 0)
            return true;
    }
    return part_fail(error, PART_REFUSED, "%.250s: has no %s-%s-idx%d-ubyte, plain or .gz", folder,
                     set, kind, rank);
}

/* x u8 [1 height width] and y i32 [] of a folder's "train" or "test" part. */
PART bool idx_read(const char *folder, const char *part, struct columns *to,
                   struct part_error *error)
{
    const char *set = strcmp(part, "train") == 0 ? "train" : "t10k";
    char path[4096];
    bool done = true;

    *to = (struct columns){ 0 };
    if (strcmp(part, "train") != 0 && strcmp(part, "test") != 0)
        return part_fail(error, PART_REFUSED,
                         "%.250s: there is no part \"%.40s\"; want train or test", folder, part);
    for (int labels = 0; done && labels < 2; labels++) {
        struct idx idx;

        done = idx_find(path, sizeof path, folder, set, labels ? "labels" : "images",
                        labels ? 1 : 3, error) &&
               idx_open(&idx, path, error);
        if (done) {
            done = labels ? idx_labels(&idx, to, error) : idx_images(&idx, to, error);
            file_close(&idx.file);
        }
    }
    if (!done)
        columns_free(to);
    return done;
}

#endif
