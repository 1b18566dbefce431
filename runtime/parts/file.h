/*
 * A file of data, plain or gzip, read from its beginning to its end.
 *
 * What its header declares is compared with the file's length before memory is asked for: exactly
 * when plain, and within what deflate can pack (1 : 1032) when gzip.
 */
#ifndef PART_FILE_H
#define PART_FILE_H

struct file {
    const char *path;
    uint64_t bytes; /* on the disk */
    bool packed;
    FILE *plain;
#ifdef USE_ZLIB
    gzFile unpacked;
#endif
};

PART void file_close(struct file *f)
{
    if (f->plain)
        fclose(f->plain);
    f->plain = NULL;
#ifdef USE_ZLIB
    if (f->unpacked)
        gzclose(f->unpacked);
    f->unpacked = NULL;
#endif
}

/* A plain file's descriptor, for reading; -1 with the error set. */
PART int file_descriptor(const char *path, uint64_t *bytes, struct part_error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    struct stat status;

    if (descriptor < 0) {
        part_fail(error, PART_REFUSED, "%.250s: cannot be read: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor);
        part_fail(error, PART_REFUSED, "%.250s: is not a plain file", path);
        return -1;
    }
    *bytes = (uint64_t)status.st_size;
    return descriptor;
}

PART bool file_open(struct file *f, const char *path, struct part_error *error)
{
    unsigned char magic[2] = { 0 };
    int descriptor;

    *f = (struct file){ .path = path };
    descriptor = file_descriptor(path, &f->bytes, error);
    if (descriptor < 0)
        return false;
    f->packed = pread(descriptor, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    if (!f->packed) {
        f->plain = fdopen(descriptor, "rb");
    } else {
#ifdef USE_ZLIB
        f->unpacked = gzdopen(descriptor, "rb");
        if (f->unpacked)
            gzbuffer(f->unpacked, 1 << 16);
        if (f->unpacked)
            return true;
#else
        close(descriptor);
        return part_fail(error, PART_UNSUPPORTED,
                         "%.250s: is gzip, and this program was compiled without zlib; gunzip it, "
                         "or compile with -DUSE_ZLIB and link -lz",
                         path);
#endif
    }
    if (f->plain)
        return true;
    close(descriptor);
    return part_no_memory(error, path);
}

/* At most `size` bytes, fewer only at the end; -1 with the error set. */
PART int64_t file_some(struct file *f, void *to, uint64_t size, struct part_error *error)
{
    uint64_t done = 0;

#ifdef USE_ZLIB
    while (f->packed && done < size) { /* in pieces that fit zlib's int */
        const uint64_t left = size - done;
        int got =
            gzread(f->unpacked, (char *)to + done, (unsigned)(left < 1u << 30 ? left : 1u << 30));
        int status = Z_OK;

        if (got <= 0) /* a file that is cut off ends without a word but for this */
            gzerror(f->unpacked, &status);
        if (got < 0 || status == Z_BUF_ERROR || status == Z_DATA_ERROR) {
            part_fail(error, PART_REFUSED, "%.250s: damaged gzip data after %llu bytes", f->path,
                      (unsigned long long)gztell(f->unpacked));
            return -1;
        }
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
#endif
    if (!f->packed) {
        done = fread(to, 1, size, f->plain);
        if (done < size && ferror(f->plain)) {
            part_fail(error, PART_FAILED, "%.250s: reading failed: %s", f->path, strerror(errno));
            return -1;
        }
    }
    return (int64_t)done;
}

/* Exactly that many. */
PART bool file_read(struct file *f, void *to, uint64_t size, struct part_error *error)
{
    int64_t got = file_some(f, to, size, error);

    return got >= 0 && ((uint64_t)got == size ||
                        part_fail(error, PART_REFUSED, "%.250s: the file ends %llu bytes early",
                                  f->path, (unsigned long long)(size - (uint64_t)got)));
}

/* Could the file hold that many bytes? Asked before memory for them is. */
PART bool file_holds(const struct file *f, uint64_t bytes, struct part_error *error)
{
    enum { PACKING = 1032 };

    return (f->packed ? bytes / PACKING <= f->bytes : bytes == f->bytes) ||
           part_fail(error, PART_REFUSED,
                     "%.250s: the header declares %llu bytes; the file has %llu%s", f->path,
                     (unsigned long long)bytes, (unsigned long long)f->bytes,
                     f->packed ? " in gzip form" : "");
}

/* Nothing may follow; reading on also makes zlib check its checksum. */
PART bool file_ends(struct file *f, struct part_error *error)
{
    char more;
    int64_t got = file_some(f, &more, 1, error);

    return got == 0 ||
           (got > 0 && part_fail(error, PART_REFUSED,
                                 "%.250s: more bytes follow what the header declares", f->path));
}

/* Reads the rest and forgets it: is it sound? */
PART bool file_skip(struct file *f, uint64_t bytes, struct part_error *error)
{
    char chunk[4096];

    for (uint64_t size; bytes; bytes -= size) {
        size = bytes < sizeof chunk ? bytes : sizeof chunk;
        if (!file_read(f, chunk, size, error))
            return false;
    }
    return true;
}

/* A whole file that ends with a zero behind it; NULL with the error set. free() it. */
PART char *file_whole(const char *path, uint64_t most, uint64_t *size, struct part_error *error)
{
    struct file f;
    uint64_t room;
    char *text = NULL;

    if (!file_open(&f, path, error))
        return NULL;
    *size = 0;
    room = f.bytes < 1 << 16 ? 1 << 16 : f.bytes; /* a packed one grows as it comes */
    while (!error->status) {
        char *more;
        int64_t got;

        if (*size > most || room > SIZE_MAX / 4) {
            part_fail(error, PART_REFUSED, "%.250s: more than %llu bytes", path,
                      (unsigned long long)most);
            break;
        }
        more = realloc(text, room + 1);
        if (!more) {
            part_no_memory(error, path);
            break;
        }
        text = more;
        got = file_some(&f, text + *size, room - *size, error);
        *size += got > 0 ? (uint64_t)got : 0;
        if (got < 0 || *size < room)
            break;
        room += room / 2;
    }
    if (text)
        text[*size] = 0;
    file_close(&f);
    if (error->status) {
        free(text);
        text = NULL;
    }
    return text;
}

#endif
