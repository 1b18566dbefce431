/*
 * Rows in memory: what readers of data make, and steps are fed with.
 *
 * A column holds one array a row, side by side, or overlapping: the windows of a text are its
 * tokens, where each row begins `stride` bytes after the one before.
 */
#ifndef PART_COLUMNS_H
#define PART_COLUMNS_H

enum { COLUMNS = 8, COLUMN_RANK = 8, COLUMN_NAME = 64 };

struct column {
    char name[COLUMN_NAME];
    enum part_type type;
    int rank;
    int64_t dim[COLUMN_RANK]; /* of one row */
    size_t row_bytes, stride;
    void *rows;
    void *memory; /* that columns_free() gives back; NULL: another column's */
};

struct columns {
    int64_t rows;
    int count;
    int classes; /* 0: not a classification */
    struct column column[COLUMNS];
};

PART void columns_free(struct columns *c)
{
    for (int i = 0; i < c->count; i++)
        free(c->column[i].memory);
    *c = (struct columns){ 0 };
}

PART struct column *columns_find(struct columns *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->column[i].name, name) == 0)
            return &c->column[i];
    return NULL;
}

/* One more column of c->rows rows; its memory is zeroed, or none with `borrowed`. */
PART struct column *columns_add(struct columns *c, const char *name, enum part_type type, int rank,
                                const int64_t dim[], bool borrowed, struct part_error *error)
{
    struct column *column = &c->column[c->count];
    uint64_t elements;
    size_t bytes = 0;

    if (c->count == COLUMNS || rank < 0 || rank > COLUMN_RANK ||
        !part_elements(rank, dim, &elements)) {
        part_fail(error, PART_REFUSED,
                  "column %d \"%.60s\" of rank %d: at most %d columns of rank %d", c->count + 1,
                  name, rank, COLUMNS, COLUMN_RANK);
        return NULL;
    }
    *column = (struct column){ .type = type, .rank = rank };
    snprintf(column->name, sizeof column->name, "%s", name);
    for (int axis = 0; axis < rank; axis++)
        column->dim[axis] = dim[axis];
    column->row_bytes = column->stride = (size_t)elements * part_types[type].bytes;
    if (c->rows < 0 || __builtin_mul_overflow(column->row_bytes, (size_t)c->rows, &bytes) ||
        bytes > PTRDIFF_MAX) {
        part_fail(error, PART_REFUSED, "column \"%.60s\": %lld rows have an impossible size", name,
                  (long long)c->rows);
        return NULL;
    }
    if (!borrowed)
        column->rows = column->memory = calloc(bytes ? bytes : 1, 1);
    if (!borrowed && !column->rows) {
        part_fail(error, PART_FAILED, "column \"%.60s\": not enough memory for %lld rows", name,
                  (long long)c->rows);
        return NULL;
    }
    c->count++;
    return column;
}

/* --- types --------------------------------------------------------------------------------------
 */

/* A value as a whole number or as a number; halves are widened. */
PART bool columns_value(enum part_type type, const void *at, int64_t *whole, double *number)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } v;

    memcpy(&v, at, part_types[type].bytes);
    *whole = 0;
    *number = 0;
    switch (type) {
    case PART_BOOL:
    case PART_U8:
        *whole = v.u8;
        break;
    case PART_I8:
        *whole = v.i8;
        break;
    case PART_U16:
        *whole = v.u16;
        break;
    case PART_I16:
        *whole = v.i16;
        break;
    case PART_U32:
        *whole = v.u32;
        break;
    case PART_I32:
        *whole = v.i32;
        break;
    case PART_U64:
        *whole = (int64_t)v.u64;
        return v.u64 <= INT64_MAX;
    case PART_I64:
        *whole = v.i64;
        break;
    case PART_F16:
    case PART_BF16: {
        const uint16_t exponent = v.u16 >> 10 & 31, fraction = v.u16 & 1023;
        const uint32_t wide = (uint32_t)v.u16 << 16;

        if (type == PART_BF16)
            memcpy(&v.f32, &wide, 4);
        *number = type == PART_BF16 ? (double)v.f32
                  : exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                  : exponent        ? ldexp(1024 + fraction, exponent - 25)
                                    : ldexp(fraction, -24);
        if (type == PART_F16 && v.u16 >> 15)
            *number = -*number;
        break;
    }
    case PART_F32:
        *number = (double)v.f32;
        break;
    default:
        *number = v.f64;
    }
    return true;
}

/* The types that training takes for those that files hold: f32, i32, u8 and bool. */
PART enum part_type columns_usual(enum part_type type)
{
    return type == PART_F64 || type == PART_F16 || type == PART_BF16  ? PART_F32
           : type == PART_BOOL || type == PART_U8 || type == PART_F32 ? type
                                                                      : PART_I32;
}

/* A column in its usual type; whole numbers that do not fit into 32 bits are refused. */
PART bool columns_convert(struct columns *c, struct column *column, const char *path,
                          struct part_error *error)
{
    const enum part_type type = columns_usual(column->type);
    const size_t from = part_types[column->type].bytes, to = part_types[type].bytes;
    const size_t count = column->row_bytes / from * (size_t)c->rows;
    unsigned char *rows;

    if (type == column->type)
        return true;
    rows = malloc(count * to + 1);
    if (!rows)
        return part_no_memory(error, path);
    for (size_t i = 0; i < count; i++) {
        int64_t whole;
        double number;
        bool fits =
            columns_value(column->type, (unsigned char *)column->rows + i * from, &whole, &number);

        const float real = (float)number;
        const int32_t integer = (int32_t)whole;

        if (type == PART_F32)
            memcpy(rows + 4 * i, &real, 4);
        else if (fits && whole >= INT32_MIN && whole <= INT32_MAX)
            memcpy(rows + 4 * i, &integer, 4);
        else {
            free(rows);
            return part_fail(error, PART_REFUSED, "%.250s: \"%.60s\" holds a number beyond 32 bits",
                             path, column->name);
        }
    }
    free(column->memory);
    column->rows = column->memory = rows;
    column->type = type;
    column->row_bytes = column->stride = column->row_bytes / from * to;
    return true;
}

/* A column of labels says how many classes there are: from 0 to the greatest. */
PART void columns_count_classes(struct columns *c, const char *name)
{
    const struct column *y = columns_find(c, name);
    int64_t most = -1;

    if (!y || y->type != PART_I32 || y->row_bytes != 4)
        return;
    for (int64_t row = 0; row < c->rows; row++) {
        const int32_t label = ((const int32_t *)y->rows)[row];

        if (label < 0)
            return;
        most = label > most ? label : most;
    }
    c->classes = most < INT32_MAX ? (int)most + 1 : 0;
}

/*
 * Parts of a set that has none: the rows that a keyed permutation sends to the last tenth are the
 * part "test", the others "train", each in the set's order; NULL keeps all. Only for rows that do
 * not overlap.
 */
PART bool columns_part(struct columns *c, const char *path, const char *part,
                       struct part_error *error)
{
    const struct shuffle s = shuffle_of((uint64_t)c->rows, 0, 0);
    const int64_t first = c->rows - (c->rows + 9) / 10; /* of the tenth */
    int64_t kept = 0;

    if (!part)
        return true;
    if (strcmp(part, "train") != 0 && strcmp(part, "test") != 0)
        return part_fail(error, PART_REFUSED,
                         "%.250s: there is no part \"%.40s\"; want train or test", path, part);
    if (c->rows < 2)
        return part_fail(error, PART_REFUSED, "%.250s: %lld rows have no parts", path,
                         (long long)c->rows);
    for (int64_t row = 0; row < c->rows; row++) {
        const bool test = (int64_t)shuffle_place(&s, (uint64_t)row) >= first;

        if (test != (*part == 't' && part[1] == 'e'))
            continue;
        for (int i = 0; i < c->count; i++)
            memmove((char *)c->column[i].rows + (size_t)kept * c->column[i].stride,
                    (char *)c->column[i].rows + (size_t)row * c->column[i].stride,
                    c->column[i].row_bytes);
        kept++;
    }
    c->rows = kept;
    return true;
}

#endif
