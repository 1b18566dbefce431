/*
 * file_idx: MNIST's format, plain or gzip: two zeros, type, rank, big-endian sizes, values.
 *
 * The header must agree with the file's length before any memory is asked for: exactly when
 * plain, and within what deflate can pack (1 : 1032) when gzip.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "frontend/data.h"

enum { TYPE_U8 = 8, MAX_PACKING = 1032, CHUNK = 1 << 16 };

struct idx {
    const char *path;
    gzFile file;
    uint64_t file_bytes;
    int rank;
    int64_t dim[IR_RANK];
    uint64_t bytes; /* of the values */
};

/* Exactly that many bytes, in pieces that fit zlib's int. */
static bool read_exactly(struct idx *idx, void *to, uint64_t size, struct ir_error *error)
{
    for (uint64_t done = 0; done < size;) {
        uint64_t left = size - done;
        int got =
            gzread(idx->file, (char *)to + done, (unsigned)(left < 1u << 30 ? left : 1u << 30));

        if (got < 0)
            return ir_error(error, IR_REFUSED, "%s: idx: damaged gzip data after %llu bytes",
                            idx->path, (unsigned long long)done);
        if (got == 0)
            return ir_error(error, IR_REFUSED, "%s: idx: the file ends %llu bytes early", idx->path,
                            (unsigned long long)left);
        done += (uint64_t)got;
    }
    return true;
}

/* Nothing may follow the values; reading on also makes zlib check its checksum. */
static bool ends_here(struct idx *idx, struct ir_error *error)
{
    char more;
    int status, got = gzread(idx->file, &more, 1);

    gzerror(idx->file, &status);
    if (got < 0 || status == Z_BUF_ERROR || status == Z_DATA_ERROR)
        return ir_error(error, IR_REFUSED, "%s: idx: damaged gzip data at its end", idx->path);
    if (got > 0)
        return ir_error(error, IR_REFUSED,
                        "%s: idx: more bytes follow the %llu that the header declares", idx->path,
                        (unsigned long long)idx->bytes);
    return true;
}

static bool read_header(struct idx *idx, struct ir_error *error)
{
    unsigned char magic[4], size[4];
    uint64_t header;

    if (!read_exactly(idx, magic, 4, error))
        return false;
    if (magic[0] || magic[1])
        return ir_error(error, IR_REFUSED, "%s: idx: starts with %02x%02x; want 0000", idx->path,
                        magic[0], magic[1]);
    if (magic[2] != TYPE_U8)
        return ir_error(error, IR_UNSUPPORTED,
                        "%s: idx: holds values of type 0x%02x; only bytes (0x08) are read",
                        idx->path, magic[2]);
    if (magic[3] < 1 || magic[3] > IR_RANK)
        return ir_error(error, IR_REFUSED, "%s: idx: has %d dimensions; want 1 to %d", idx->path,
                        magic[3], IR_RANK);
    idx->rank = magic[3];
    idx->bytes = 1;
    for (int axis = 0; axis < idx->rank; axis++) {
        if (!read_exactly(idx, size, 4, error))
            return false;
        idx->dim[axis] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
        if (__builtin_mul_overflow(idx->bytes, (uint64_t)idx->dim[axis], &idx->bytes) ||
            idx->bytes > PTRDIFF_MAX)
            return ir_error(error, IR_REFUSED, "%s: idx: the header declares an impossible size",
                            idx->path);
    }
    header = 4 + 4 * (uint64_t)idx->rank;
    if (gzdirect(idx->file) ? header + idx->bytes != idx->file_bytes
                            : (header + idx->bytes) / MAX_PACKING > idx->file_bytes)
        return ir_error(
            error, IR_REFUSED, "%s: idx: the header declares %llu bytes; the file has %llu%s",
            idx->path, (unsigned long long)(header + idx->bytes),
            (unsigned long long)idx->file_bytes, gzdirect(idx->file) ? "" : " in gzip form");
    return true;
}

/* Leaves idx->file open on success only. */
static bool idx_open(struct idx *idx, const char *path, struct ir_error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    *idx = (struct idx){ .path = path };
    if (descriptor < 0)
        return ir_error(error, IR_REFUSED, "%s: cannot be read: %s", path, strerror(errno));
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor);
        return ir_error(error, IR_REFUSED, "%s: is not a plain file", path);
    }
    idx->file_bytes = (uint64_t)status.st_size;
    idx->file = gzdopen(descriptor, "rb"); /* reads plain files as well */
    if (!idx->file) {
        close(descriptor);
        return ir_error(error, IR_FAILED, "%s: not enough memory", path);
    }
    gzbuffer(idx->file, CHUNK);
    if (!read_header(idx, error)) {
        gzclose(idx->file);
        return false;
    }
    return true;
}

bool tp_data_verify_idx(const char *path, struct ir_error *error)
{
    struct idx idx;
    unsigned char chunk[4096];
    bool sound;

    if (!idx_open(&idx, path, error))
        return false;
    sound = true;
    for (uint64_t left = idx.bytes; sound && left;) {
        uint64_t size = left < sizeof chunk ? left : sizeof chunk;

        sound = read_exactly(&idx, chunk, size, error);
        left -= size;
    }
    sound = sound && ends_here(&idx, error);
    gzclose(idx.file);
    return sound;
}

/* The first of the usual names that exists; NULL, with the error set, when none does. */
static char *find_file(const char *directory, const char *set, const char *kind, int rank,
                       struct ir_error *error)
{
    static const char *const shapes[] = { "%s/%s-%s-idx%d-ubyte", "%s/%s-%s-idx%d-ubyte.gz",
                                          "%s/%s-%s.idx%d-ubyte", "%s/%s-%s.idx%d-ubyte.gz" };
    const size_t size = strlen(directory) + 64;
    char *path = malloc(size);

    for (int i = 0; path && i < 4; i++) {
        snprintf(path, size, shapes[i], directory, set, kind, rank);
        if (access(path, F_OK) == 0)
            return path;
    }
    free(path);
    ir_error(error, IR_REFUSED, "%s: has no %s-%s-idx%d-ubyte, plain or .gz", directory, set, kind,
             rank);
    return NULL;
}

static bool read_images(struct idx *idx, struct data_set *set, struct ir_error *error)
{
    void *x;

    if (idx->rank != 3)
        return ir_error(error, IR_REFUSED, "%s: idx: has %d dimensions; images have 3", idx->path,
                        idx->rank);
    if (idx->bytes == 0)
        return ir_error(error, IR_REFUSED, "%s: idx: holds no images", idx->path);
    set->rows = idx->dim[0];
    x = tp_data_add_column(set, "x", IR_U8, 3, (int64_t[]){ 1, idx->dim[1], idx->dim[2] }, error);
    return x && read_exactly(idx, x, idx->bytes, error) && ends_here(idx, error);
}

static bool read_labels(struct idx *idx, struct data_set *set, struct ir_error *error)
{
    unsigned char chunk[4096];
    int32_t *y;

    if (idx->rank != 1 || idx->dim[0] != set->rows)
        return ir_error(error, IR_REFUSED,
                        "%s: idx: has %lld labels in %d dimensions; the images are %lld", idx->path,
                        (long long)idx->dim[0], idx->rank, (long long)set->rows);
    y = tp_data_add_column(set, "y", IR_I32, 0, NULL, error);
    for (int64_t row = 0; y && row < set->rows;) {
        int64_t left = set->rows - row, count = left < 4096 ? left : 4096;

        if (!read_exactly(idx, chunk, (uint64_t)count, error))
            return false;
        for (int64_t i = 0; i < count; i++) {
            y[row + i] = chunk[i];
            if (chunk[i] >= set->classes)
                set->classes = chunk[i] + 1;
        }
        row += count;
    }
    return y && ends_here(idx, error);
}

static bool read_file(const char *directory, const char *kind, int rank, struct data_set *set,
                      bool read(struct idx *, struct data_set *, struct ir_error *),
                      struct ir_error *error)
{
    const char *prefix = strcmp(set->name, "train") == 0 ? "train" : "t10k";
    char *path = find_file(directory, prefix, kind, rank, error);
    struct idx idx;
    bool done = path && idx_open(&idx, path, error);

    if (done) {
        done = read(&idx, set, error);
        gzclose(idx.file);
    }
    free(path);
    return done;
}

struct data_set *tp_data_load_idx(const char *directory, const char *split, struct ir_error *error)
{
    struct data_set *set;

    if (strcmp(split, "train") != 0 && strcmp(split, "test") != 0) {
        ir_error(error, IR_REFUSED, "%s: split is \"%.40s\"; want train or test", directory, split);
        return NULL;
    }
    set = tp_data_new(split, 0, error);
    if (set && read_file(directory, "images", 3, set, read_images, error) &&
        read_file(directory, "labels", 1, set, read_labels, error))
        return set;
    tp_data_free(set);
    return NULL;
}
