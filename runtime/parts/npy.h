/*
 * NumPy's arrays: a magic, a Python dictionary that tells type and shape, the values.
 *
 * The header is read as exactly what NumPy writes: three keys, each once, and nothing else.
 */
#ifndef PART_NPY_H
#define PART_NPY_H

enum { NPY_RANK = 8, NPY_HEADER = 1 << 16 };

struct npy {
    enum part_type type;
    int rank;
    int64_t dim[NPY_RANK];
    uint64_t header, bytes; /* where the values begin, and what they take */
};

PART const char *npy_skip(const char *at, const char *text) /* spaces, then that; NULL without it */
{
    while (*at == ' ')
        at++;
    return strncmp(at, text, strlen(text)) == 0 ? at + strlen(text) : NULL;
}

PART bool npy_type(const char *code, size_t size, enum part_type *type)
{
    static const struct {
        const char *code;
        enum part_type type;
    } known[] = { { "b1", PART_BOOL }, { "u1", PART_U8 },  { "i1", PART_I8 },  { "u2", PART_U16 },
                  { "i2", PART_I16 },  { "u4", PART_U32 }, { "i4", PART_I32 }, { "u8", PART_U64 },
                  { "i8", PART_I64 },  { "f2", PART_F16 }, { "f4", PART_F32 }, { "f8", PART_F64 },
                  { "V2", PART_BF16 } }; /* two bytes of no kind: so ml_dtypes writes bfloat16 */

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (size == 3 && strncmp(code + 1, known[i].code, 2) == 0 &&
            (*code == '<' || *code == '=' ||
             (*code == '|' && (known[i].code[0] == 'V' || part_types[known[i].type].bytes == 1)))) {
            *type = known[i].type;
            return true;
        }
    return false;
}

/* (), (3,) or (3, 4); -1 when it is none. */
PART int npy_shape(const char **text, int64_t dim[NPY_RANK])
{
    const char *at = npy_skip(*text, "("), *next;
    int rank = 0;

    for (; at && !(next = npy_skip(at, ")")); rank++) {
        while (*at == ' ')
            at++;
        if (rank == NPY_RANK || *at < '0' || *at > '9')
            return -1;
        dim[rank] = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            if (__builtin_mul_overflow(dim[rank], 10, &dim[rank]) ||
                __builtin_add_overflow(dim[rank], *at - '0', &dim[rank]))
                return -1;
        next = npy_skip(at, ",");
        if (!next && (rank == 0 || !npy_skip(at, ")")))
            return -1;
        at = next ? next : at;
    }
    *text = at ? next : at;
    return at ? rank : -1;
}

/* The dictionary, ended by a zero. */
PART bool npy_dictionary(const char *path, const char *text, struct npy *npy,
                         struct part_error *error)
{
    const char *at = npy_skip(text, "{"), *next;
    bool seen[3] = { false };

    while (at && !(next = npy_skip(at, "}"))) {
        if ((next = npy_skip(at, "'descr':")) && !seen[0]) {
            const char *code = npy_skip(next, "'"), *end = code ? strchr(code, '\'') : NULL;

            seen[0] = true;
            if (code && (!end || !npy_type(code, (size_t)(end - code), &npy->type)))
                return part_fail(error, PART_UNSUPPORTED,
                                 "%.250s: npy: its type %.*s is not read; want b1 u1 to u8, i1 to "
                                 "i8, f2 f4 f8, V2 (bfloat16), little-endian",
                                 path, end && end - code < 20 ? (int)(end - code) : 0, code);
            next = end ? end + 1 : NULL;
        } else if ((next = npy_skip(at, "'fortran_order':")) && !seen[1]) {
            seen[1] = true;
            if (npy_skip(next, "True"))
                return part_fail(error, PART_UNSUPPORTED,
                                 "%.250s: npy: is in Fortran's order; save it with order='C'",
                                 path);
            next = npy_skip(next, "False");
        } else if ((next = npy_skip(at, "'shape':")) && !seen[2]) {
            seen[2] = true;
            npy->rank = npy_shape(&next, npy->dim);
            if (npy->rank < 0)
                next = NULL;
        } else {
            next = NULL;
        }
        at = next && npy_skip(next, ",") ? npy_skip(next, ",") : next;
    }
    if (!at || !seen[0] || !seen[1] || !seen[2])
        return part_fail(error, PART_REFUSED,
                         "%.250s: npy: the header is not one that NumPy writes", path);
    at = npy_skip(at, "}");
    if (at[strspn(at, " \n")])
        return part_fail(error, PART_REFUSED,
                         "%.250s: npy: something follows the header's dictionary", path);
    if (!part_elements(npy->rank, npy->dim, &npy->bytes))
        return part_fail(error, PART_REFUSED, "%.250s: npy: the header declares an impossible size",
                         path);
    npy->bytes *= part_types[npy->type].bytes;
    return true;
}

/*
 * What the first `size` bytes say, which hold the header if it is whole. `npy->header` is how many
 * are needed where they do not: then it is true, and npy->rank is -1.
 */
PART bool npy_header(const char *path, const unsigned char *head, size_t size, struct npy *npy,
                     struct part_error *error)
{
    uint64_t length;
    char *text;
    bool sound;

    *npy = (struct npy){ .rank = -1, .header = 12 };
    if (size < 12)
        return true;
    if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return part_fail(error, PART_REFUSED, "%.250s: npy: does not begin as an array of NumPy",
                         path);
    length = head[8] | head[9] << 8;
    if (head[6] > 1)
        length |= (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
    npy->header = (head[6] > 1 ? 12 : 10) + length;
    if (length > NPY_HEADER)
        return part_fail(error, PART_REFUSED,
                         "%.250s: npy: its header should have %llu bytes; want at most %d", path,
                         (unsigned long long)length, NPY_HEADER);
    if (size < npy->header)
        return true;
    text = malloc(length + 1);
    if (!text)
        return part_no_memory(error, path);
    memcpy(text, head + npy->header - length, length);
    text[length] = 0;
    sound = memchr(text, 0, length)
                ? part_fail(error, PART_REFUSED, "%.250s: npy: a zero in its header", path)
                : npy_dictionary(path, text, npy, error);
    free(text);
    return sound;
}

/* Opens a file at its values; leaves it open on success only. */
PART bool npy_open(const char *path, struct file *f, struct npy *npy, struct part_error *error)
{
    unsigned char *head = malloc(NPY_HEADER + 12);
    size_t size = 0;
    bool sound;

    if (!head)
        return part_no_memory(error, path);
    if (!file_open(f, path, error)) {
        free(head);
        return false;
    }
    do { /* twelve bytes, then as many as they say */
        sound = npy_header(path, head, size, npy, error);
        if (sound && npy->rank < 0) {
            sound = file_read(f, head + size, npy->header - size, error);
            size = npy->header;
        }
    } while (sound && npy->rank < 0);
    free(head);
    sound = sound && file_holds(f, npy->header + npy->bytes, error);
    if (!sound)
        file_close(f);
    return sound;
}

/* One file, nothing kept. */
PART bool npy_check(const char *path, struct npy *npy, struct part_error *error)
{
    struct file f;
    bool sound = npy_open(path, &f, npy, error);

    if (sound) {
        sound = file_skip(&f, npy->bytes, error) && file_ends(&f, error);
        file_close(&f);
    }
    return sound;
}

/* An array as a column, whose rows are along its first axis; its values are read by the caller. */
PART struct column *npy_column(const char *path, const struct npy *npy, const char *name,
                               struct columns *to, struct part_error *error)
{
    if (npy->rank == 0 || npy->dim[0] == 0 || (to->count && npy->dim[0] != to->rows)) {
        part_fail(error, PART_REFUSED, "%.200s: \"%.60s\" has %lld rows; want %s", path, name,
                  (long long)(npy->rank ? npy->dim[0] : 0),
                  to->count ? "as many as the array before it" : "at least one");
        return NULL;
    }
    to->rows = npy->dim[0];
    return columns_add(to, name, npy->type, npy->rank - 1, npy->dim + 1, false, error);
}

/* One more column from a file, in the type that training takes. */
PART bool npy_read(const char *path, const char *name, struct columns *to, struct part_error *error)
{
    struct column *column;
    struct npy npy;
    struct file f;
    bool done;

    if (!npy_open(path, &f, &npy, error))
        return false;
    column = npy_column(path, &npy, name, to, error);
    done = column && file_read(&f, column->rows, npy.bytes, error) && file_ends(&f, error) &&
           columns_convert(to, column, path, error);
    file_close(&f);
    return done;
}

/* NAME.npy, NAME_train.npy, NAME_test.npy, plain or .gz; false where it is not there. */
PART bool npy_find(char *path, size_t room, const char *folder, const char *name, const char *tail)
{
    for (int packed = 0; packed < 2; packed++) {
        int size = snprintf(path, room, "%s/%s%s.npy%s", folder, name, tail, packed ? ".gz" : "");

        if (size > 0 && (size_t)size < room && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/*
 * A folder's x, y and z, or x_train ..; the part "test" is x_test .., or, where there is none, some
 * rows of x. In the types that training takes.
 */
PART bool npy_read_folder(const char *folder, const char *part, struct columns *to,
                          struct part_error *error)
{
    static const char *const names[] = { "x", "y", "z" };
    char path[4096];
    const bool apart = npy_find(path, sizeof path, folder, "x", "_test"),
               test = apart && part && strcmp(part, "test") == 0;

    *to = (struct columns){ 0 };
    for (int i = 0; i < 3 && !error->status; i++)
        if (npy_find(path, sizeof path, folder, names[i], test ? "_test" : "") ||
            (!test && npy_find(path, sizeof path, folder, names[i], "_train")))
            npy_read(path, names[i], to, error);
    if (!error->status && !columns_find(to, "x"))
        part_fail(error, PART_REFUSED, "%.250s: has no x.npy, plain or .gz", folder);
    columns_count_classes(to, "y");
    if (!error->status && !apart)
        columns_part(to, folder, part, error);
    if (error->status)
        columns_free(to);
    return !error->status;
}

#endif
