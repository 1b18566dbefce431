/*
 * file_npz: weights by name as NumPy has them: a zip, not packed, of an array a member.
 */
#include "frontend/parts.h"
#include "runtime/parts/aside.h"
#include "runtime/parts/file.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"
#include "runtime/parts/npy.h"
#include "runtime/parts/npz.h"

#include "frontend/data.h"

/* --- reading ------------------------------------------------------------------------------------
 */

static bool list(const struct npz *z, struct file_tensor *to, struct part_error *error)
{
    for (int i = 0; i < z->count; i++) {
        const struct npz_entry *e = &z->entry[i];
        struct npz_stream *s;
        struct npy npy;

        if (!(s = npz_array(z, e, &npy, error)))
            return false;
        npz_stream_close(s);
        to[i] = (struct file_tensor){
            .name = e->name, .rank = npy.rank, .bytes = npy.bytes, .offset = (uint64_t)i
        };
        memcpy(to[i].dim, npy.dim, sizeof to[i].dim);
        if (!tp_type_of_part(npy.type, &to[i].dtype))
            return part_fail(error, PART_UNSUPPORTED,
                             "%.200s: npz: \"%.80s\" has a type that no tensor here can have",
                             z->path, e->name);
    }
    return true;
}

struct npz *tp_npz_open(const char *path, int64_t *count, struct file_tensor **tensor,
                        struct ir_error *error)
{
    struct npz *z = malloc(sizeof *z);
    struct part_error part = { 0 };

    *tensor = NULL;
    if (!z)
        part_no_memory(&part, path);
    else if (npz_open(z, path, &part)) {
        *count = z->count;
        *tensor = calloc((size_t)z->count + 1, sizeof **tensor);
        if (!*tensor)
            part_no_memory(&part, path);
        else
            list(z, *tensor, &part);
        if (part.status)
            npz_close(z);
    }
    if (tp_part_told(&part, error))
        return z;
    free(*tensor);
    *tensor = NULL;
    free(z);
    return NULL;
}

bool tp_npz_read(const struct npz *z, const struct file_tensor *tensor, void *to,
                 struct ir_error *error)
{
    struct part_error part = { 0 };
    const unsigned char *values = to;
    struct npz_stream *s;
    struct npy npy;

    s = npz_array(z, &z->entry[tensor->offset], &npy, &part);
    if (s && npy.bytes != tensor->bytes)
        npz_refuse(z, "it has become another file", &part);
    if (s && !part.status && npz_stream_read(s, to, npy.bytes, &part))
        npz_stream_ends(s, &part);
    if (s)
        npz_stream_close(s);
    for (size_t i = 0; !part.status && tensor->dtype == IR_BOOL && i < tensor->bytes; i++)
        if (values[i] > 1)
            npz_refuse(z, "a truth value is not 0 or 1", &part);
    return tp_part_told(&part, error);
}

void tp_npz_close(struct npz *z)
{
    if (!z)
        return;
    npz_close(z);
    free(z);
}

/* --- writing ------------------------------------------------------------------------------------
 */

enum { LOCAL = 30, RECORD = 46, LAST = 22, HEADER = 256, DAY = 0x21 /* the first of zip's days */ };

struct member {
    char head[HEADER]; /* of the array */
    size_t head_size;
    uint32_t crc;
    uint64_t offset, bytes;
};

static void little(unsigned char **at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*at)++ = (unsigned char)(number >> 8 * i);
}

/* Version 1.0 of the format: as long as a multiple of 64, and it ends a line. */
static bool head_of(struct member *m, const struct file_tensor *t)
{
    char type[4], text[HEADER];
    int size = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                        tp_npy_type(t->dtype, type));

    for (int axis = 0; axis < t->rank && size < HEADER; axis++)
        size += snprintf(text + size, (size_t)(HEADER - size), "%lld%s", (long long)t->dim[axis],
                         t->rank == 1         ? ","
                         : axis < t->rank - 1 ? ", "
                                              : "");
    if (size < HEADER)
        size += snprintf(text + size, (size_t)(HEADER - size), "), }");
    m->head_size = ((size_t)size + 11 + 63) / 64 * 64;
    if (m->head_size > HEADER)
        return false;
    memset(m->head, ' ', sizeof m->head);
    memcpy(m->head, "\x93NUMPY\x01", 8);
    m->head[8] = (char)((m->head_size - 10) & 255);
    m->head[9] = (char)((m->head_size - 10) >> 8);
    memcpy(m->head + 10, text, (size_t)size);
    m->head[m->head_size - 1] = '\n';
    return true;
}

/* What the records before an array and in the directory have in common, from the version on. */
static void describe(unsigned char **at, const struct member *m, const char *name)
{
    little(at, 20, 2);
    little(at, 0x800, 2); /* names are UTF-8 */
    little(at, 0, 4);     /* not packed, at midnight */
    little(at, DAY, 2);
    little(at, m->crc, 4);
    little(at, m->bytes, 4);
    little(at, m->bytes, 4);
    little(at, strlen(name) + 4, 2);
    little(at, 0, 2);
}

static bool put_name(struct aside *file, const char *name, struct part_error *error)
{
    return aside_write(file, name, strlen(name), error) && aside_write(file, ".npy", 4, error);
}

static bool put_array(struct aside *file, const struct member *m, const struct file_tensor *t,
                      struct part_error *error)
{
    unsigned char record[LOCAL], *at = record;

    little(&at, 0x04034b50, 4);
    describe(&at, m, t->name);
    return aside_write(file, record, LOCAL, error) && put_name(file, t->name, error) &&
           aside_write(file, m->head, m->head_size, error) &&
           aside_write(file, t->data, t->bytes, error);
}

static bool put_directory(struct aside *file, int64_t count, const struct member *m,
                          const struct file_tensor *t, uint64_t begin, struct part_error *error)
{
    unsigned char record[RECORD], last[LAST], *at;
    uint64_t size = 0;

    for (int64_t i = 0; i < count; i++) {
        at = record;
        little(&at, 0x02014b50, 4);
        little(&at, 20, 2);
        describe(&at, &m[i], t[i].name);
        little(&at, 0, 8); /* no comment, disk 0, no attributes */
        little(&at, 0, 2);
        little(&at, m[i].offset, 4);
        if (!aside_write(file, record, RECORD, error) || !put_name(file, t[i].name, error))
            return false;
        size += RECORD + strlen(t[i].name) + 4;
    }
    at = last;
    little(&at, 0x06054b50, 4);
    little(&at, 0, 4);
    little(&at, (uint64_t)count, 2);
    little(&at, (uint64_t)count, 2);
    little(&at, size, 4);
    little(&at, begin, 4);
    little(&at, 0, 2);
    return aside_write(file, last, LAST, error);
}

/* Places and checksums; *end is where the directory goes. */
static bool settle(const char *path, int64_t count, const struct file_tensor tensor[],
                   struct member *m, uint64_t *end, struct part_error *error)
{
    *end = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct file_tensor *t = &tensor[i];

        if (strlen(t->name) + 4 >= NPZ_NAME || !head_of(&m[i], t))
            return part_fail(error, PART_UNSUPPORTED,
                             "%.120s: npz: the name \"%.80s\" is too long; a .safetensors takes it",
                             path, t->name);
        m[i].bytes = m[i].head_size + t->bytes;
        m[i].offset = *end;
        *end += LOCAL + strlen(t->name) + 4 + m[i].bytes;
        if (i >= NPZ_ARRAYS || *end >= UINT32_MAX)
            return part_fail(error, PART_UNSUPPORTED,
                             "%.120s: npz: 4 GiB or more than %d arrays; a .safetensors takes them",
                             path, NPZ_ARRAYS);
        m[i].crc = npz_crc(0, (const unsigned char *)m[i].head, m[i].head_size);
        for (size_t done = 0, piece; done < t->bytes; done += piece) {
            piece = t->bytes - done < 1u << 30 ? t->bytes - done : 1u << 30;
            m[i].crc = npz_crc(m[i].crc, (const unsigned char *)t->data + done, piece);
        }
    }
    return count > 0 || part_fail(error, PART_REFUSED, "%.200s: npz: no arrays", path);
}

bool tp_npz_write(const char *path, int64_t count, const struct file_tensor tensor[],
                  struct ir_error *error)
{
    struct member *m = calloc((size_t)count + 1, sizeof *m);
    struct aside file = { .descriptor = -1 };
    struct part_error part = { 0 };
    uint64_t end = 0;

    if (!m)
        part_no_memory(&part, path);
    else if (settle(path, count, tensor, m, &end, &part))
        aside_open(&file, path, true, &part);
    for (int64_t i = 0; i < count && !part.status; i++)
        put_array(&file, &m[i], &tensor[i], &part);
    if (!part.status)
        put_directory(&file, count, m, tensor, end, &part);
    if (part.status || !aside_commit(&file, &part))
        aside_abandon(&file);
    free(m);
    return tp_part_told(&part, error);
}
