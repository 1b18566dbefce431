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

#endif
