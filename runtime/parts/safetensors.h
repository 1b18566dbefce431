/*
 * Weights: eight bytes of length, a JSON header, the values.
 *
 * Opening checks everything that the header says against the file: types, shapes, that the values
 * follow each other without a hole or an overlap, and end where the file ends. After that a tensor
 * is read where it is wanted; nothing else is kept of it. A written file is a function of what is
 * saved, so equal weights are equal files.
 */
#ifndef PART_SAFETENSORS_H
#define PART_SAFETENSORS_H

enum { SAFETENSORS_RANK = 8, SAFETENSORS_HEADER = 16 << 20 };

struct safetensor {
    char *name;
    enum part_type type;
    int rank;
    int64_t dim[SAFETENSORS_RANK];
    uint64_t offset, bytes; /* in the file */
    const void *data;       /* to write; NULL in an opened file */
};

struct safetensors_pair {
    char *key, *value;
};

struct safetensors {
    const char *path; /* the caller's */
    int descriptor;
    int64_t count, pairs;
    struct safetensor *tensor;     /* in the header's order */
    struct safetensors_pair *pair; /* __metadata__, by key */
};

/* The format's name of a type is ours in capitals. */
PART void safetensors_type_name(enum part_type type, char name[8])
{
    int i = 0;

    for (; part_types[type].name[i]; i++)
        name[i] = (char)(part_types[type].name[i] >= 'a' ? part_types[type].name[i] - 32
                                                         : part_types[type].name[i]);
    name[i] = 0;
}

PART bool safetensors_refuse(const char *path, const char *tensor, const char *what,
                             struct part_error *error)
{
    if (tensor)
        return part_fail(error, PART_REFUSED, "%.200s: safetensors: tensor \"%.80s\" %s", path,
                         tensor, what);
    return part_fail(error, PART_REFUSED, "%.200s: safetensors: %s", path, what);
}

/* --- the header's JSON: objects, arrays of whole numbers, texts ---------------------------------
 */

struct safetensors_json {
    const char *begin, *at, *end;
};

PART char safetensors_json_next(struct safetensors_json *j) /* 0 at the end */
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
    return j->at < j->end ? *j->at : 0;
}

PART bool safetensors_json_take(struct safetensors_json *j, char c)
{
    if (safetensors_json_next(j) != c || !c)
        return false;
    j->at++;
    return true;
}

/* The length of a character of UTF-8 at `at`, 0 when it is none. */
PART int safetensors_json_utf8(const char *at, const char *end)
{
    const unsigned char *c = (const unsigned char *)at;
    const int size = *c < 0x80   ? 1
                     : *c < 0xc2 ? 0
                     : *c < 0xe0 ? 2
                     : *c < 0xf0 ? 3
                     : *c < 0xf5 ? 4
                                 : 0;

    if (size == 0 || end - at < size)
        return 0;
    for (int i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0; /* too long, a half of a pair, beyond the last */
    return size;
}

PART bool safetensors_json_four_digits(struct safetensors_json *j, uint32_t *code)
{
    *code = 0;
    if (j->end - j->at < 4)
        return false;
    for (int i = 0; i < 4; i++, j->at++) {
        const char c = *j->at;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
        *code = *code << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return true;
}

/* What follows \u, as UTF-8; pairs are one character, and there is no zero in a text. */
PART bool safetensors_json_code(struct safetensors_json *j, char **to)
{
    uint32_t code, low;

    if (!safetensors_json_four_digits(j, &code) || code == 0 || (code >= 0xdc00 && code < 0xe000))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (j->end - j->at < 6 || *j->at++ != '\\' || *j->at++ != 'u' ||
            !safetensors_json_four_digits(j, &low) || low < 0xdc00 || low >= 0xe000)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code < 0x80) {
        *(*to)++ = (char)code;
        return true;
    }
    for (int shift = code < 0x800     ? 6
                     : code < 0x10000 ? 12
                                      : 18,
             first = 1;
         shift >= 0; shift -= 6) {
        const uint32_t lead = shift == 6 ? 0xc0 : shift == 12 ? 0xe0 : 0xf0;
        *(*to)++ = (char)(first ? lead | code >> shift : 0x80 | (code >> shift & 0x3f));
        first = 0;
    }
    return true;
}

/* A text of its own; NULL when there is none. No escape is shorter than what it stands for. */
PART char *safetensors_json_text(struct safetensors_json *j)
{
    static const char escape[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    const char *end;
    char *text, *to;

    if (!safetensors_json_take(j, '"'))
        return NULL;
    for (end = j->at; end < j->end && *end != '"'; end++)
        end += *end == '\\';
    if (end >= j->end)
        return NULL;
    text = to = malloc((size_t)(end - j->at) + 1);
    while (text && j->at < end) {
        const int size = safetensors_json_utf8(j->at, end);
        bool fine = size > 0 && (unsigned char)*j->at >= 32;

        if (fine && *j->at == '\\') {
            const char *known = strchr(escape, j->at[1]);
            j->at += 2;
            if (j->at[-1] == 'u')
                fine = safetensors_json_code(j, &to);
            else if (known && *known)
                *to++ = meaning[known - escape];
            else
                fine = false;
        } else if (fine) {
            memcpy(to, j->at, (size_t)size);
            to += size;
            j->at += size;
        }
        if (!fine) {
            free(text);
            return NULL;
        }
    }
    if (text) {
        *to = 0;
        j->at = end + 1;
    }
    return text;
}

PART bool safetensors_json_whole(struct safetensors_json *j, uint64_t *number)
{
    const char first = safetensors_json_next(j);
    const char *begin = j->at;

    *number = 0;
    for (; j->at < j->end && *j->at >= '0' && *j->at <= '9'; j->at++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*j->at - '0'), number))
            return false;
    return j->at > begin && *number <= INT64_MAX && (first != '0' || j->at == begin + 1);
}

/* [a, b, ..]: as many as there is room for; -1 when it is no such list. */
PART int safetensors_json_list(struct safetensors_json *j, uint64_t number[], int room)
{
    int count = 0;

    if (!safetensors_json_take(j, '['))
        return -1;
    if (safetensors_json_take(j, ']'))
        return 0;
    do {
        if (count == room || !safetensors_json_whole(j, &number[count++]))
            return -1;
    } while (safetensors_json_take(j, ','));
    return safetensors_json_take(j, ']') ? count : -1;
}

/* --- reading ------------------------------------------------------------------------------------
 */

PART bool safetensors_type(const char *path, struct safetensor *t, struct safetensors_json *j,
                           struct part_error *error)
{
    char *name = safetensors_json_text(j), known[8];
    bool found = false;

    for (int type = 0; name && type < PART_TYPES && !found; type++) {
        safetensors_type_name((enum part_type)type, known);
        found = strcmp(name, known) == 0;
        if (found)
            t->type = (enum part_type)type;
    }
    if (name && strncmp(name, "F8_", 3) == 0)
        part_fail(error, PART_UNSUPPORTED,
                  "%.200s: safetensors: tensor \"%.80s\" is %.20s, which is not read", path,
                  t->name, name);
    free(name);
    return found || safetensors_refuse(path, t->name, "has no known dtype", error);
}

/* {"dtype": .., "shape": [..], "data_offsets": [begin, end]}, in any order, and nothing else. */
PART bool safetensors_entry(const char *path, struct safetensor *t, struct safetensors_json *j,
                            struct part_error *error)
{
    uint64_t shape[SAFETENSORS_RANK], place[2], elements;
    bool seen[3] = { false };

    if (!safetensors_json_take(j, '{'))
        return safetensors_refuse(path, t->name, "is not described by an object", error);
    do {
        char *key = safetensors_json_text(j);
        int field = !key                               ? 3
                    : strcmp(key, "dtype") == 0        ? 0
                    : strcmp(key, "shape") == 0        ? 1
                    : strcmp(key, "data_offsets") == 0 ? 2
                                                       : 3;
        free(key);
        if (field == 3 || seen[field] || !safetensors_json_take(j, ':'))
            return safetensors_refuse(path, t->name, "has not just dtype, shape and data_offsets",
                                      error);
        seen[field] = true;
        if (field == 0 && !safetensors_type(path, t, j, error))
            return false;
        if (field == 1 && (t->rank = safetensors_json_list(j, shape, SAFETENSORS_RANK)) < 0)
            return safetensors_refuse(path, t->name, "has a shape that is not up to 8 sizes",
                                      error);
        if (field == 2 && safetensors_json_list(j, place, 2) != 2)
            return safetensors_refuse(path, t->name, "has data_offsets that are not two places",
                                      error);
    } while (safetensors_json_take(j, ','));
    if (!safetensors_json_take(j, '}') || !seen[0] || !seen[1] || !seen[2])
        return safetensors_refuse(path, t->name, "has not just dtype, shape and data_offsets",
                                  error);
    for (int axis = 0; axis < t->rank; axis++)
        t->dim[axis] = (int64_t)shape[axis];
    if (!part_elements(t->rank, t->dim, &elements))
        return safetensors_refuse(path, t->name, "has an impossible size", error);
    t->offset = place[0];
    t->bytes = elements * part_types[t->type].bytes;
    return (place[1] >= place[0] && place[1] - place[0] == t->bytes) ||
           safetensors_refuse(path, t->name, "has data_offsets that do not fit its shape", error);
}

PART bool safetensors_metadata(struct safetensors *file, struct safetensors_json *j,
                               struct part_error *error)
{
    int64_t room = 0;

    if (file->pair || !safetensors_json_take(j, '{'))
        return safetensors_refuse(file->path, NULL, "__metadata__ is not a map of texts", error);
    if (safetensors_json_take(j, '}'))
        return true;
    do {
        struct safetensors_pair *pair;

        if (file->pairs == room) {
            room = 2 * room + 8;
            pair = realloc(file->pair, (size_t)room * sizeof *pair);
            if (!pair)
                return part_no_memory(error, file->path);
            file->pair = pair;
        }
        pair = &file->pair[file->pairs++];
        pair->value = NULL;
        pair->key = safetensors_json_text(j);
        if (!pair->key || !safetensors_json_take(j, ':') ||
            !(pair->value = safetensors_json_text(j)))
            return safetensors_refuse(file->path, NULL, "__metadata__ is not a map of texts",
                                      error);
    } while (safetensors_json_take(j, ','));
    return safetensors_json_take(j, '}') ||
           safetensors_refuse(file->path, NULL, "__metadata__ is not a map of texts", error);
}

/* The header's entries, as they come. */
PART bool safetensors_entries(struct safetensors *file, struct safetensors_json *j,
                              struct part_error *error)
{
    int64_t room = 0;

    if (!safetensors_json_take(j, '{') || j->at != j->begin + 1)
        return safetensors_refuse(file->path, NULL, "the header is not an object of tensors",
                                  error);
    if (!safetensors_json_take(j, '}')) {
        do {
            struct safetensor *t;
            char *name = safetensors_json_text(j);
            bool fine = name && safetensors_json_take(j, ':');

            if (fine && strcmp(name, "__metadata__") == 0) {
                free(name);
                if (!safetensors_metadata(file, j, error))
                    return false;
                continue;
            }
            if (fine && file->count == room) {
                room = 2 * room + 32;
                t = realloc(file->tensor, (size_t)room * sizeof *t);
                if (t)
                    file->tensor = t;
                else
                    fine = part_no_memory(error, file->path);
            }
            if (!fine) {
                free(name);
                break;
            }
            t = &file->tensor[file->count++];
            *t = (struct safetensor){ .name = name };
            if (!safetensors_entry(file->path, t, j, error))
                return false;
        } while (safetensors_json_take(j, ','));
        if (!error->status && !safetensors_json_take(j, '}'))
            part_fail(error, PART_REFUSED,
                      "%.200s: safetensors: the header is no sound JSON at byte %lld", file->path,
                      (long long)(j->at - j->begin));
    }
    if (!error->status && safetensors_json_next(j))
        part_fail(error, PART_REFUSED, "%.200s: safetensors: something follows the header's object",
                  file->path);
    return !error->status;
}

PART int safetensors_by_place(const void *a, const void *b)
{
    const struct safetensor *p = *(const struct safetensor *const *)a,
                            *q = *(const struct safetensor *const *)b;

    if (p->offset != q->offset)
        return p->offset < q->offset ? -1 : 1;
    return p->bytes < q->bytes ? -1 : p->bytes > q->bytes; /* empty ones before what starts there */
}

PART int safetensors_by_name(const void *a, const void *b)
{
    return strcmp((*(const struct safetensor *const *)a)->name,
                  (*(const struct safetensor *const *)b)->name);
}

PART int safetensors_by_key(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_pair *)a)->key,
                  ((const struct safetensors_pair *)b)->key);
}

/* Each name once: reading and writing ask for it. `order` is scratch. */
PART bool safetensors_distinct(const char *path, int64_t count, const struct safetensor *order[],
                               struct part_error *error)
{
    qsort(order, (size_t)count, sizeof *order, safetensors_by_name);
    for (int64_t i = 1; i < count; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            return safetensors_refuse(path, order[i]->name, "is there twice", error);
    return true;
}

/* Side by side from the first byte to the last. */
PART bool safetensors_fill(const struct safetensors *file, uint64_t size, struct part_error *error)
{
    const struct safetensor **order = calloc((size_t)file->count + 1, sizeof *order);
    uint64_t at = 0;
    bool sound;

    if (!order)
        return part_no_memory(error, file->path);
    for (int64_t i = 0; i < file->count; i++)
        order[i] = &file->tensor[i];
    sound = safetensors_distinct(file->path, file->count, order, error);
    if (sound)
        qsort(order, (size_t)file->count, sizeof *order, safetensors_by_place);
    if (file->pairs)
        qsort(file->pair, (size_t)file->pairs, sizeof *file->pair, safetensors_by_key);
    for (int64_t i = 0; sound && i < file->count; i++) {
        if (order[i]->offset != at)
            sound = safetensors_refuse(
                file->path, order[i]->name,
                order[i]->offset > at ? "follows a hole" : "overlaps another", error);
        at = order[i]->offset + order[i]->bytes; /* both are below 2^62 */
    }
    free(order);
    if (sound && at != size)
        sound = part_fail(error, PART_REFUSED,
                          "%.200s: safetensors: the tensors have %llu bytes; the file holds %llu",
                          file->path, (unsigned long long)at, (unsigned long long)size);
    for (int64_t i = 1; sound && i < file->pairs; i++)
        if (strcmp(file->pair[i - 1].key, file->pair[i].key) == 0)
            sound = safetensors_refuse(file->path, NULL, "__metadata__ has a key twice", error);
    return sound;
}

PART bool safetensors_at(const struct safetensors *file, void *to, uint64_t size, uint64_t offset,
                         struct part_error *error)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t got =
            pread(file->descriptor, (char *)to + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return part_fail(error, PART_FAILED, "%.200s: reading failed: %s", file->path,
                             strerror(errno));
        if (got == 0)
            return safetensors_refuse(file->path, NULL, "the file has become shorter", error);
        done += (uint64_t)got;
    }
    return true;
}

PART void safetensors_close(struct safetensors *file)
{
    for (int64_t i = 0; i < file->count; i++)
        free(file->tensor[i].name);
    for (int64_t i = 0; i < file->pairs; i++) {
        free(file->pair[i].key);
        free(file->pair[i].value);
    }
    free(file->tensor);
    free(file->pair);
    if (file->descriptor >= 0)
        close(file->descriptor);
    *file = (struct safetensors){ .descriptor = -1 };
}

/* `path` must outlive the file. Leaves nothing open when it fails. */
PART bool safetensors_open(struct safetensors *file, const char *path, struct part_error *error)
{
    struct safetensors_json json;
    unsigned char length[8];
    uint64_t size = 0, bytes = 0;
    struct stat status;
    char *text = NULL;

    *file = (struct safetensors){ .path = path };
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0)
        return part_fail(error, PART_REFUSED, "%.200s: cannot be read: %s", path, strerror(errno));
    if (fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        part_fail(error, PART_REFUSED, "%.200s: is not a plain file", path);
    else if ((bytes = (uint64_t)status.st_size) < 8)
        safetensors_refuse(path, NULL, "shorter than the eight bytes of a header's length", error);
    else
        safetensors_at(file, length, 8, 0, error);
    if (!error->status && length[0] == 0x1f && length[1] == 0x8b)
        safetensors_refuse(path, NULL, "packed by gzip; expected it unpacked", error);
    for (int i = 0; !error->status && i < 8; i++)
        size |= (uint64_t)length[i] << 8 * i;
    if (!error->status && (size < 2 || size > SAFETENSORS_HEADER || size > bytes - 8))
        part_fail(error, PART_REFUSED,
                  "%.200s: safetensors: none, or cut off: the header should have %llu bytes; the "
                  "file has %llu%s",
                  path, (unsigned long long)size, (unsigned long long)bytes,
                  size > SAFETENSORS_HEADER ? ", a header at most 16 MiB" : "");
    if (!error->status && !(text = malloc(size)))
        part_no_memory(error, path);
    if (!error->status && safetensors_at(file, text, size, 8, error)) {
        json = (struct safetensors_json){ text, text, text + size };
        if (safetensors_entries(file, &json, error))
            safetensors_fill(file, bytes - 8 - size, error);
    }
    for (int64_t i = 0; i < file->count; i++)
        file->tensor[i].offset += 8 + size;
    free(text);
    if (error->status)
        safetensors_close(file);
    return !error->status;
}

PART const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

/* Half precision: the fraction is what a float's is, with 13 bits fewer; subnormals are normal. */
PART uint32_t safetensors_f16(uint16_t half)
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

/* A tensor's values as they are, or, with `wide`, f16 and bf16 as f32: room for those then. */
PART bool safetensors_read(const struct safetensors *file, const struct safetensor *t, bool wide,
                           void *to, struct part_error *error)
{
    unsigned char *values = (unsigned char *)to;

    if (!safetensors_at(file, values, t->bytes, t->offset, error))
        return false;
    if (wide && (t->type == PART_F16 || t->type == PART_BF16))
        for (size_t i = (size_t)t->bytes / 2; i-- > 0;) { /* from the last to the first, in place */
            uint16_t half;
            uint32_t full;

            memcpy(&half, values + 2 * i, 2);
            full = t->type == PART_BF16 ? (uint32_t)half << 16 : safetensors_f16(half);
            memcpy(values + 4 * i, &full, 4);
        }
    for (uint64_t i = 0; t->type == PART_BOOL && i < t->bytes; i++)
        if (values[i] > 1)
            return safetensors_refuse(file->path, t->name, "has a truth value that is not 0 or 1",
                                      error);
    return true;
}

/* --- writing ------------------------------------------------------------------------------------
 */

struct safetensors_text {
    char *data;
    size_t size, room;
    bool failed; /* no memory, or a name that is no text */
};

PART void safetensors_put(struct safetensors_text *t, const char *bytes, size_t size)
{
    if (!t->failed && t->room - t->size < size + 1) {
        size_t room = 2 * t->room + size + 256;
        char *more = realloc(t->data, room);

        t->failed = !more;
        if (more) {
            t->data = more;
            t->room = room;
        }
    }
    if (t->failed)
        return;
    memcpy(t->data + t->size, bytes, size);
    t->data[t->size += size] = 0;
}

PART void safetensors_quote(struct safetensors_text *t, const char *text)
{
    const char *end = text + strlen(text);

    safetensors_put(t, "\"", 1);
    for (int size; text < end; text += size) {
        char code[8];

        size = safetensors_json_utf8(text, end);
        if (size == 0) {
            t->failed = true;
            return;
        }
        if (*text == '"' || *text == '\\')
            safetensors_put(t, "\\", 1);
        if ((unsigned char)*text < 32) {
            snprintf(code, sizeof code, "\\u%04x", *text);
            safetensors_put(t, code, 6);
        } else {
            safetensors_put(t, text, (size_t)size);
        }
    }
    safetensors_put(t, "\"", 1);
}

/* The header, padded with spaces to eight bytes; `order` is that of the values. */
PART struct safetensors_text safetensors_header(int64_t count,
                                                const struct safetensor *const order[],
                                                int64_t pairs, const struct safetensors_pair pair[])
{
    struct safetensors_text t = { 0 };
    uint64_t offset = 0;
    char text[64], type[8];

    safetensors_put(&t, "{", 1);
    for (int64_t i = 0; i < pairs; i++) {
        safetensors_put(&t, i ? "," : "\"__metadata__\":{", i ? 1 : 16);
        safetensors_quote(&t, pair[i].key);
        safetensors_put(&t, ":", 1);
        safetensors_quote(&t, pair[i].value);
    }
    if (pairs)
        safetensors_put(&t, count ? "}," : "}", count ? 2 : 1);
    for (int64_t i = 0; i < count; i++) {
        safetensors_type_name(order[i]->type, type);
        safetensors_put(&t, ",", i > 0);
        safetensors_quote(&t, order[i]->name);
        safetensors_put(
            &t, text, (size_t)snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[", type));
        for (int axis = 0; axis < order[i]->rank; axis++)
            safetensors_put(&t, text,
                            (size_t)snprintf(text, sizeof text, "%s%lld", axis ? "," : "",
                                             (long long)order[i]->dim[axis]));
        safetensors_put(&t, text,
                        (size_t)snprintf(text, sizeof text, "],\"data_offsets\":[%llu,%llu]}",
                                         (unsigned long long)offset,
                                         (unsigned long long)(offset + order[i]->bytes)));
        offset += order[i]->bytes;
        t.failed = t.failed || strcmp(order[i]->name, "__metadata__") == 0;
    }
    safetensors_put(&t, "}", 1);
    while (!t.failed && t.size % 8)
        safetensors_put(&t, " ", 1);
    return t;
}

/* Larger elements first, so that each tensor lies aligned to its own; else the order given. */
PART void safetensors_order(int64_t count, const struct safetensor tensor[],
                            const struct safetensor *order[])
{
    int64_t written = 0;

    for (unsigned bytes = 8; bytes > 0; bytes /= 2)
        for (int64_t i = 0; i < count; i++)
            if (part_types[tensor[i].type].bytes == bytes)
                order[written++] = &tensor[i];
}

/* name, type, rank, dim, bytes and data of each tensor are read; written aside and renamed. */
PART bool safetensors_write(const char *path, int64_t count, const struct safetensor tensor[],
                            int64_t pairs, const struct safetensors_pair pair[],
                            struct part_error *error)
{
    const struct safetensor **order = calloc((size_t)count + 1, sizeof *order);
    struct safetensors_text header = { 0 };
    struct aside file = { .descriptor = -1 };
    unsigned char length[8];

    if (!order)
        return part_no_memory(error, path);
    safetensors_order(count, tensor, order);
    if (safetensors_distinct(path, count, order, error)) {
        safetensors_order(count, tensor, order);
        header = safetensors_header(count, order, pairs, pair);
        if (header.failed)
            safetensors_refuse(path, NULL, "a name is no UTF-8 text", error);
    }
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(header.size >> 8 * i);
    if (!error->status && aside_open(&file, path, true, error) &&
        aside_write(&file, length, 8, error) && aside_write(&file, header.data, header.size, error))
        for (int64_t i = 0; i < count && !error->status; i++)
            aside_write(&file, order[i]->data, order[i]->bytes, error);
    if (error->status || !aside_commit(&file, error))
        aside_abandon(&file);
    free(header.data);
    free(order);
    return !error->status;
}

#endif
