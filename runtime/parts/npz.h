/*
 * Several of NumPy's arrays in a zip, stored or packed.
 *
 * The directory at the end is what counts. Before memory is asked for, an array's size is compared
 * with what its bytes in the file could hold; after it, its checksum with what came out.
 */
#ifndef PART_NPZ_H
#define PART_NPZ_H

enum { NPZ_ARRAYS = 1024, NPZ_NAME = 128, NPZ_CHUNK = 1 << 16 };

struct npz_entry {
    char name[NPZ_NAME]; /* without .npy */
    bool packed;
    uint32_t crc;
    uint64_t offset, stored,
        bytes; /* of its own header in the file, of its bytes there, unpacked */
};

struct npz {
    const char *path; /* the caller's */
    int descriptor;
    uint64_t bytes;
    int count;
    struct npz_entry entry[NPZ_ARRAYS];
};

PART uint64_t npz_number(const unsigned char *at, int bytes) /* the low byte first */
{
    uint64_t number = 0;

    while (bytes-- > 0)
        number = number << 8 | at[bytes];
    return number;
}

PART bool npz_refuse(const struct npz *z, const char *what, struct part_error *error)
{
    return part_fail(error, PART_REFUSED, "%.250s: npz: %s", z->path, what);
}

PART bool npz_at(const struct npz *z, void *to, uint64_t size, uint64_t offset,
                 struct part_error *error)
{
    if (offset > z->bytes || size > z->bytes - offset)
        return npz_refuse(z, "its directory points behind its end", error);
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(z->descriptor, (char *)to + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return part_fail(error, PART_FAILED, "%.250s: reading failed", z->path);
        done += (uint64_t)got;
    }
    return true;
}

PART uint32_t npz_crc(uint32_t crc, const unsigned char *at, size_t size)
{
#ifdef USE_ZLIB
    return (uint32_t)crc32(crc, at, (unsigned)size);
#else
    uint32_t table[256];

    for (uint32_t byte = 0; byte < 256; byte++) {
        table[byte] = byte;
        for (int bit = 0; bit < 8; bit++)
            table[byte] = table[byte] & 1 ? table[byte] >> 1 ^ 0xedb88320u : table[byte] >> 1;
    }
    crc = ~crc;
    for (; size; size--, at++)
        crc = crc >> 8 ^ table[(crc ^ *at) & 255];
    return ~crc;
#endif
}

/* One record of the directory; returns its length, 0 with the error set. */
PART uint64_t npz_record(struct npz *z, const unsigned char *at, uint64_t left,
                         struct part_error *error)
{
    enum { PACKING = 1032 };
    struct npz_entry *e = &z->entry[z->count];
    uint64_t name, size, method;

    if (left < 46 || npz_number(at, 4) != 0x02014b50)
        return npz_refuse(z, "its directory is damaged", error);
    name = npz_number(at + 28, 2);
    size = 46 + name + npz_number(at + 30, 2) + npz_number(at + 32, 2);
    method = npz_number(at + 10, 2);
    *e = (struct npz_entry){ .packed = method == 8,
                             .crc = (uint32_t)npz_number(at + 16, 4),
                             .offset = npz_number(at + 42, 4),
                             .stored = npz_number(at + 20, 4),
                             .bytes = npz_number(at + 24, 4) };
    if (size > left || name < 5 || memcmp(at + 46 + name - 4, ".npy", 4) != 0 ||
        name - 4 >= NPZ_NAME || memchr(at + 46, 0, name))
        return npz_refuse(z, "it holds something else than arrays with short names", error);
    memcpy(e->name, at + 46, name - 4);
    if (npz_number(at + 8, 2) & 1 || (method != 0 && method != 8))
        return part_fail(error, PART_UNSUPPORTED,
                         "%.250s: npz: \"%s\" is encrypted, or packed in a way that NumPy has not",
                         z->path, e->name);
    if (e->stored == UINT32_MAX || e->bytes == UINT32_MAX || e->offset == UINT32_MAX)
        return part_fail(error, PART_UNSUPPORTED, "%.250s: npz: \"%s\" has 4 GiB or more", z->path,
                         e->name);
    if (e->packed ? e->bytes / PACKING > e->stored : e->bytes != e->stored)
        return part_fail(error, PART_REFUSED,
                         "%.250s: npz: \"%s\" should have %llu bytes; the file has %llu", z->path,
                         e->name, (unsigned long long)e->bytes, (unsigned long long)e->stored);
    for (int i = 0; i < z->count; i++)
        if (strcmp(z->entry[i].name, e->name) == 0)
            return npz_refuse(z, "two arrays share a name", error);
    z->count++;
    return size;
}

PART void npz_close(struct npz *z)
{
    if (z->descriptor >= 0)
        close(z->descriptor);
    z->descriptor = -1;
}

/* The last record says where the directory is; a comment may follow it. */
PART bool npz_directory(struct npz *z, struct part_error *error)
{
    enum { LAST = 22, COMMENT = 1 << 16 };
    const uint64_t tail = z->bytes < LAST + COMMENT ? z->bytes : LAST + COMMENT;
    unsigned char *end = malloc(tail + 1), *list = NULL;
    uint64_t at = tail, count = 0, size = 0, begin = 0;

    if (!end)
        return part_no_memory(error, z->path);
    if (z->bytes < LAST)
        npz_refuse(z, "shorter than any zip", error);
    if (!error->status && npz_at(z, end, tail, z->bytes - tail, error)) {
        for (at = tail - LAST + 1; at-- > 0;)
            if (npz_number(end + at, 4) == 0x06054b50 &&
                npz_number(end + at + 20, 2) == tail - at - LAST)
                break;
        if (at > tail && npz_at(z, end, 2, 0, error))
            npz_refuse(z,
                       end[0] == 0x1f && end[1] == 0x8b ? "packed by gzip; expected it unpacked"
                                                        : "it has no directory at its end",
                       error);
    }
    if (!error->status) {
        count = npz_number(end + at + 10, 2);
        size = npz_number(end + at + 12, 4);
        begin = npz_number(end + at + 16, 4);
        if (count == 0 || count > NPZ_ARRAYS || size > z->bytes || begin > z->bytes - size)
            npz_refuse(z, "its directory is damaged, or has none or more than 1024 arrays", error);
    }
    if (!error->status && !(list = malloc(size + 1)))
        part_no_memory(error, z->path);
    if (!error->status && npz_at(z, list, size, begin, error))
        for (uint64_t done = 0, length; !error->status && z->count < (int)count; done += length)
            length = npz_record(z, list + done, size - done, error);
    free(list);
    free(end);
    return !error->status;
}

PART bool npz_open(struct npz *z, const char *path, struct part_error *error)
{
    struct stat status;

    z->path = path;
    z->count = 0;
    z->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (z->descriptor < 0)
        return part_fail(error, PART_REFUSED, "%.250s: cannot be read: %s", path, strerror(errno));
    if (fstat(z->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        part_fail(error, PART_REFUSED, "%.250s: is not a plain file", path);
    z->bytes = (uint64_t)status.st_size;
    if (!error->status)
        npz_directory(z, error);
    if (error->status)
        npz_close(z);
    return !error->status;
}

/* --- an array's bytes, as they come out --------------------------------------------------------
 */

struct npz_stream {
    const struct npz *z;
    const struct npz_entry *entry;
    uint64_t at, left, given; /* in the file, of its bytes there, unpacked so far */
    uint32_t crc;
#ifdef USE_ZLIB
    z_stream unpack;
#endif
    unsigned char chunk[NPZ_CHUNK];
};

PART void npz_stream_close(struct npz_stream *s)
{
#ifdef USE_ZLIB
    if (s && s->entry->packed)
        inflateEnd(&s->unpack);
#endif
    free(s);
}

PART struct npz_stream *npz_stream_open(const struct npz *z, const struct npz_entry *e,
                                        struct part_error *error)
{
    struct npz_stream *s = malloc(sizeof *s);
    unsigned char local[30];

    if (!s) {
        part_no_memory(error, z->path);
        return NULL;
    }
    s->z = z;
    s->entry = e;
    s->left = e->stored;
    s->given = 0;
    s->crc = 0;
    if (!npz_at(z, local, sizeof local, e->offset, error) || npz_number(local, 4) != 0x04034b50) {
        npz_refuse(z, "an array is not where its directory says", error);
        free(s);
        return NULL;
    }
    s->at = e->offset + 30 + npz_number(local + 26, 2) + npz_number(local + 28, 2);
    if (!e->packed)
        return s;
#ifdef USE_ZLIB
    memset(&s->unpack, 0, sizeof s->unpack);
    if (inflateInit2(&s->unpack, -15) == Z_OK)
        return s;
    part_no_memory(error, z->path);
#else
    part_fail(
        error, PART_UNSUPPORTED,
        "%.250s: npz: is packed, and this program was compiled without zlib; numpy.savez does "
        "not pack, or compile with -DUSE_ZLIB and link -lz",
        z->path);
#endif
    free(s);
    return NULL;
}

/* Exactly that many. */
PART bool npz_stream_read(struct npz_stream *s, void *to, uint64_t size, struct part_error *error)
{
    const char *what = "an array's packed bytes are damaged";
    uint64_t done = 0;

    if (size > s->entry->bytes - s->given)
        return npz_refuse(s->z, "an array is shorter than its header declares", error);
    if (!s->entry->packed) {
        if (!npz_at(s->z, to, size, s->at, error))
            return false;
        s->at += size;
        done = size;
    }
#ifdef USE_ZLIB
    while (done < size) {
        const uint64_t piece = size - done < 1u << 30 ? size - done : 1u << 30;
        int said;

        if (s->unpack.avail_in == 0 && s->left) {
            const uint64_t next = s->left < NPZ_CHUNK ? s->left : NPZ_CHUNK;

            if (!npz_at(s->z, s->chunk, next, s->at, error))
                return false;
            s->at += next;
            s->left -= next;
            s->unpack.next_in = s->chunk;
            s->unpack.avail_in = (unsigned)next;
        }
        s->unpack.next_out = (unsigned char *)to + done;
        s->unpack.avail_out = (unsigned)piece;
        said = inflate(&s->unpack, Z_NO_FLUSH);
        done += piece - s->unpack.avail_out;
        if (said == Z_MEM_ERROR)
            return part_no_memory(error, s->z->path);
        if ((said != Z_OK && said != Z_STREAM_END) || (said == Z_STREAM_END && done < size) ||
            (done < size && s->unpack.avail_in == 0 && s->left == 0))
            return npz_refuse(s->z, what, error);
    }
#endif
    if (done < size)
        return npz_refuse(s->z, what, error);
    for (uint64_t at = 0, piece; at < size; at += piece) {
        piece = size - at < 1u << 30 ? size - at : 1u << 30;
        s->crc = npz_crc(s->crc, (unsigned char *)to + at, (size_t)piece);
    }
    s->given += size;
    return true;
}

PART bool npz_stream_ends(struct npz_stream *s, struct part_error *error)
{
    return (s->given == s->entry->bytes && s->crc == s->entry->crc) ||
           npz_refuse(s->z,
                      s->given == s->entry->bytes ? "an array's checksum does not fit"
                                                  : "an array is longer than its header declares",
                      error);
}

/* The stream behind its header. */
PART struct npz_stream *npz_array(const struct npz *z, const struct npz_entry *e, struct npy *npy,
                                  struct part_error *error)
{
    struct npz_stream *s = npz_stream_open(z, e, error);
    unsigned char *head = malloc(NPY_HEADER + 12);
    size_t size = 0;
    bool sound = s && (head || part_no_memory(error, z->path));

    while (sound) {
        sound = npy_header(z->path, head, size, npy, error);
        if (!sound || npy->rank >= 0)
            break;
        sound = npz_stream_read(s, head + size, npy->header - size, error);
        size = npy->header;
    }
    free(head);
    if (sound && npy->header + npy->bytes != e->bytes)
        sound = part_fail(
            error, PART_REFUSED, "%.250s: npz: \"%s\" declares %llu bytes and has %llu", z->path,
            e->name, (unsigned long long)(npy->header + npy->bytes), (unsigned long long)e->bytes);
    if (sound)
        return s;
    if (s)
        npz_stream_close(s);
    return NULL;
}

/* Every array, nothing kept. */
PART bool npz_check(const char *path, int *arrays, struct part_error *error)
{
    struct npz *z = malloc(sizeof *z);
    unsigned char *chunk = malloc(NPZ_CHUNK);

    if (!z || !chunk)
        part_no_memory(error, path);
    else if (npz_open(z, path, error)) {
        for (int i = 0; i < z->count && !error->status; i++) {
            struct npy npy;
            struct npz_stream *s = npz_array(z, &z->entry[i], &npy, error);

            for (uint64_t left = s ? npy.bytes : 0, size; left && !error->status; left -= size) {
                size = left < NPZ_CHUNK ? left : NPZ_CHUNK;
                npz_stream_read(s, chunk, size, error);
            }
            if (s && !error->status)
                npz_stream_ends(s, error);
            if (s)
                npz_stream_close(s);
        }
        *arrays = z->count;
        npz_close(z);
    }
    free(chunk);
    free(z);
    return !error->status;
}

PART const struct npz_entry *npz_find(const struct npz *z, const char *name, const char *tail)
{
    char whole[NPZ_NAME];

    snprintf(whole, sizeof whole, "%s%s", name, tail);
    for (int i = 0; i < z->count; i++)
        if (strcmp(z->entry[i].name, whole) == 0)
            return &z->entry[i];
    return NULL;
}

/*
 * x, y and z, or x_train ..; the part "test" is x_test .., or, where there is none, some rows of x.
 * In the types that training takes.
 */
PART bool npz_read(const char *path, const char *part, struct columns *to, struct part_error *error)
{
    static const char *const names[] = { "x", "y", "z" };
    struct npz *z = malloc(sizeof *z);
    bool apart, test;

    *to = (struct columns){ 0 };
    if (!z)
        return part_no_memory(error, path);
    if (!npz_open(z, path, error)) {
        free(z);
        return false;
    }
    apart = npz_find(z, "x", "_test") != NULL;
    test = apart && part && strcmp(part, "test") == 0;
    for (int i = 0; i < 3 && !error->status; i++) {
        const struct npz_entry *e = npz_find(z, names[i], test ? "_test" : "");
        struct npz_stream *s;
        struct column *column;
        struct npy npy;

        if (!e && !test)
            e = npz_find(z, names[i], "_train");
        if (!e || !(s = npz_array(z, e, &npy, error)))
            continue;
        column = npy_column(path, &npy, names[i], to, error);
        if (column && npz_stream_read(s, column->rows, npy.bytes, error) &&
            npz_stream_ends(s, error))
            columns_convert(to, column, path, error);
        npz_stream_close(s);
    }
    if (!error->status && !columns_find(to, "x"))
        part_fail(error, PART_REFUSED, "%.250s: npz: has no array x", path);
    columns_count_classes(to, "y");
    if (!error->status && !apart)
        columns_part(to, path, part, error);
    if (error->status)
        columns_free(to);
    npz_close(z);
    free(z);
    return !error->status;
}

#endif
