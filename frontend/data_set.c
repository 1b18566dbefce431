/*
 * data_set: columns of equal length, each one block of memory.
 *
 * Sizes come from files and users, so every product is checked before memory is asked for.
 */
#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"
#include "runtime/parts/columns.h"

#include "frontend/data.h"

static bool out_of_memory(struct ir_error *error, const char *name)
{
    return ir_error(error, IR_FAILED, "data %s: not enough memory for its rows", name);
}

struct data_set *tp_data_new(const char *name, int64_t rows, struct ir_error *error)
{
    struct data_set *set = calloc(1, sizeof *set);

    if (set)
        *set = (struct data_set){ .name = strdup(name), .rows = rows };
    if (!set || !set->name) {
        out_of_memory(error, name);
        tp_data_free(set);
        return NULL;
    }
    return set;
}

void tp_data_free(struct data_set *set)
{
    if (!set)
        return;
    for (int c = 0; c < set->columns; c++) {
        free((char *)set->column[c].name);
        free(set->column[c].memory);
    }
    free(set->vocabulary);
    free(set->vocabulary_memory);
    free((char *)set->name);
    free(set);
}

/* Bytes of one row; false where they pass what memory could hold. */
static bool row_size(enum ir_dtype dtype, int rank, const int64_t dim[], size_t *bytes)
{
    *bytes = (size_t)ir_dtypes[dtype].bytes;
    for (int axis = 0; axis < rank; axis++)
        if (dim[axis] < 0 || __builtin_mul_overflow(*bytes, (size_t)dim[axis], bytes))
            return false;
    return *bytes <= PTRDIFF_MAX;
}

void *tp_data_add_column(struct data_set *set, const char *name, enum ir_dtype dtype, int rank,
                         const int64_t dim[], struct ir_error *error)
{
    struct data_column *column = &set->column[set->columns];
    size_t row_bytes, bytes;

    if (set->columns == DATA_COLUMNS || rank < 0 || rank > IR_RANK) {
        ir_error(error, IR_REFUSED, "data %s: column %d of rank %d; at most %d columns of rank %d",
                 set->name, set->columns + 1, rank, DATA_COLUMNS, IR_RANK);
        return NULL;
    }
    if (set->rows < 0 || !row_size(dtype, rank, dim, &row_bytes) ||
        __builtin_mul_overflow(row_bytes, (size_t)set->rows, &bytes) || bytes > PTRDIFF_MAX) {
        ir_error(error, IR_REFUSED, "data %s: a column of %lld rows has an impossible size",
                 set->name, (long long)set->rows);
        return NULL;
    }
    *column = (struct data_column){ .name = strdup(name),
                                    .dtype = dtype,
                                    .rank = rank,
                                    .row_bytes = row_bytes,
                                    .stride = row_bytes,
                                    .memory = calloc(bytes ? bytes : 1, 1) };
    column->rows = column->memory;
    if (rank)
        memcpy(column->dim, dim, (size_t)rank * sizeof *dim);
    set->columns++; /* data_free now frees whichever of the two was got */
    if (!column->name || !column->rows) {
        out_of_memory(error, set->name);
        return NULL;
    }
    return column->rows;
}

struct data_set *tp_data_take(const char *name, struct columns *from, struct ir_error *error)
{
    struct data_set *set = tp_data_new(name, from->rows, error);

    for (int c = 0; set && c < from->count; c++) {
        const struct column *column = &from->column[c];
        struct data_column *to = &set->column[c];

        *to = (struct data_column){ .name = strdup(column->name),
                                    .rank = column->rank,
                                    .row_bytes = column->row_bytes,
                                    .stride = column->stride,
                                    .rows = column->rows };
        memcpy(to->dim, column->dim, sizeof to->dim);
        set->columns++;
        if (to->name && tp_type_of_part(column->type, &to->dtype))
            continue;
        ir_error(error, IR_UNSUPPORTED, "data %.200s: column \"%.60s\" is %s; no input can be",
                 name, column->name, part_types[column->type].name);
        tp_data_free(set);
        set = NULL;
    }
    if (!set) {
        columns_free(from);
        return NULL;
    }
    set->classes = from->classes;
    for (int c = 0; c < from->count; c++)
        set->column[c].memory = from->column[c].memory;
    return set;
}

struct data_set *tp_data_from_arrays(const char *name, int64_t rows, int columns,
                                     const struct data_column described[], struct ir_error *error)
{
    struct data_set *set = tp_data_new(name, rows, error);

    for (int c = 0; set && c < columns; c++) {
        const struct data_column *from = &described[c];
        void *to = tp_data_add_column(set, from->name, from->dtype, from->rank, from->dim, error);

        if (!to) {
            tp_data_free(set);
            return NULL;
        }
        if (rows && set->column[c].row_bytes)
            memcpy(to, from->rows, (size_t)rows * set->column[c].row_bytes);
    }
    return set;
}

/* A bound such as "55000" or "80%"; nothing there means the default. */
static bool split_bound(const char **text, int64_t rows, int64_t missing, int64_t *bound)
{
    const char *from = *text;
    int64_t value = 0;

    for (; **text >= '0' && **text <= '9'; ++*text)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, **text - '0', &value))
            return false;
    if (*text == from) {
        *bound = missing;
        return true;
    }
    if (**text == '%') {
        ++*text;
        value = value <= 100 ? rows / 100 * value + rows % 100 * value / 100 : INT64_MAX;
    }
    *bound = value;
    return value <= rows;
}

bool tp_data_split(const char *split, int64_t rows, int64_t *first_row, int64_t *split_rows,
                   struct ir_error *error)
{
    const char *text = split;
    int64_t end;

    if (!split_bound(&text, rows, 0, first_row) || *text++ != ':' ||
        !split_bound(&text, rows, rows, &end) || *text || end <= *first_row)
        return ir_error(error, IR_REFUSED,
                        "split \"%.40s\": want FIRST:END within the set's %lld rows", split,
                        (long long)rows);
    *split_rows = end - *first_row;
    return true;
}
