/*
 * data.h: what the frontend knows of data, file by file.
 *
 * A data set is a few columns of equal length in memory; a loader walks it in batches. A row's
 * place in an epoch and every number drawn here is a function of (seed, index) in integers only,
 * so each machine sees the same rows in the same order.
 */
#ifndef TAPER_FRONTEND_DATA_H
#define TAPER_FRONTEND_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/ir.h"

/* data_set.c: columns and their rows. The set owns all memory that it points to. */
enum { DATA_COLUMNS = 8 };

struct data_column {
    const char *name;
    enum ir_dtype dtype;
    int rank;
    int64_t dim[IR_RANK];     /* of one row */
    size_t row_bytes, stride; /* from a row to the next; windows of a text overlap */
    void *rows;
    void *memory; /* that the set frees; NULL: another column's */
};

struct data_set {
    const char *name;
    int64_t rows;
    int columns;
    struct data_column column[DATA_COLUMNS];
    int classes;       /* 0: not a classification */
    char **vocabulary; /* what the tokens of a text stand for, as many as classes; else NULL */
    char *vocabulary_memory;
    int64_t vocabulary_count;
    void (*fill)(void *user, int64_t row, void *const column[]); /* rows that a function makes */
    void *user;
};

/* NULL, with the error set, when memory runs out; everything else that builds a set uses these. */
struct data_set *tp_data_new(const char *name, int64_t rows, struct ir_error *error);
void *tp_data_add_column(struct data_set *set, const char *name, enum ir_dtype dtype, int rank,
                         const int64_t dim[],
                         struct ir_error *error); /* the column's zeroed rows */
void tp_data_free(struct data_set *set);

/* What a part has read (runtime/parts/columns.h) becomes the set's, or is freed. */
struct columns;
struct data_set *tp_data_take(const char *name, struct columns *from, struct ir_error *error);

/* A copy of the caller's arrays; each description's `rows` is read, its `row_bytes` is not. */
struct data_set *tp_data_from_arrays(const char *name, int64_t rows, int columns,
                                     const struct data_column described[], struct ir_error *error);

/* "first:end" of a set's rows, either side may be missing, "80%:" counts in hundredths. */
bool tp_data_split(const char *split, int64_t rows, int64_t *first_row, int64_t *split_rows,
                   struct ir_error *error);

/* loader.c: batches of a set, in an order that (seed, epoch) alone decides. */
struct data_batches_options {
    int64_t batch;           /* rows a batch, at least 1 */
    bool shuffle, drop_last; /* drop_last: leave out the last batch of an epoch when partial */
    uint64_t seed;
    int64_t first_row, rows; /* the part of the set to walk; rows 0: all from first_row on */
    int ahead;               /* batches a second thread keeps ready; 0: none, gather when asked */
};

struct data_batches;

/* The set must outlive the loader. A loader is used by one thread at a time. */
struct data_batches *tp_batches_new(const struct data_set *set,
                                    const struct data_batches_options *options,
                                    struct ir_error *error);
void tp_batches_free(struct data_batches *batches);

/* Rows copied to destination[column] (NULL: not wanted); 0 once at the end of each epoch. */
int64_t tp_batches_next(struct data_batches *batches, void *const destination[]);

int64_t tp_batches_rows(const struct data_batches *batches);  /* of an epoch, all of them */
int64_t tp_batches_count(const struct data_batches *batches); /* of an epoch */
int64_t tp_batches_most(const struct data_batches *batches);  /* rows of the greatest batch */

/* Epochs * rows + rows taken of this epoch: all that is needed to go on at the same row. */
int64_t tp_batches_position(const struct data_batches *batches);
bool tp_batches_ended(const struct data_batches *batches); /* the next call says 0 */
bool tp_batches_seek(struct data_batches *batches, int64_t position, bool ended,
                     struct ir_error *error);
const struct data_batches_options *tp_batches_options(const struct data_batches *batches);

/* The set's row that an epoch shows at index, 0 <= index < tp_batches_rows. */
int64_t tp_batches_row(const struct data_batches *batches, int64_t epoch, int64_t index);

/*
 * data_files.c: sets that are read from files, plain or gzip. A format is idx cifar npy npz csv
 * text names words; NULL: what the path looks like. What each gives is said in taper.h.
 */
struct data_request {
    const char *part, *label;
    int64_t context, step, vocabulary;
};
struct data_set *tp_data_load(const char *format, const char *path,
                              const struct data_request *request, struct ir_error *error);
const char *tp_data_format(const char *path); /* or NULL */
/* One file, nothing kept; what it is, in words, is written to `said`. NULL: no such format. */
bool tp_data_verify(const char *format, const char *path, char said[100], struct ir_error *error);

/* data_digits.c: digits that the program draws: x u8 [1 28 28], y i32 []. */
struct data_set *tp_data_digits(int64_t rows, uint64_t seed, struct ir_error *error);

/* data_planar.c: points of the plane: x f32 [2], y i32 []. */
struct data_set *tp_data_planar(const char *set, int64_t points, double noise, uint64_t seed,
                                struct ir_error *error);
bool tp_data_made(const char *name); /* a set of points, or digits */

/* file_npy.c: an array of NumPy's, in the arena; and out. */
bool tp_npy_read(const char *path, struct ir_arena *arena, struct ir_array *array,
                 struct ir_error *error);
bool tp_npy_write(const char *path, const struct ir_array *array, struct ir_error *error);
const char *tp_npy_type(enum ir_dtype dtype, char text[4]); /* "<f4", as its header says it */

/* file_aside.c: a file that appears whole or not at all. */
struct file_aside;
struct file_aside *tp_aside_open(const char *path, struct ir_error *error);
bool tp_aside_write(struct file_aside *file, const void *bytes, size_t size,
                    struct ir_error *error);
/* To the disk and renamed, or forgotten; false where it is not there now. NULL is false. */
bool tp_aside_close(struct file_aside *file, bool commit, struct ir_error *error);

/* file_safetensors.c: named arrays, checked on opening, read one by one on demand. Files whose name
 * ends in .npz are NumPy's, without pairs. */
struct file_tensor {
    const char *name;
    enum ir_dtype dtype;
    int rank;
    int64_t dim[IR_RANK];
    size_t bytes;     /* of the values */
    const void *data; /* to write; NULL in an opened file */
    uint64_t offset;  /* in the file */
};

struct file_pair {
    const char *key, *value;
};

struct file_safetensors {
    char *path;
    int64_t count, pairs;
    struct file_tensor *tensor;   /* in the file's order */
    const struct file_pair *pair; /* __metadata__, by key */
};

struct file_safetensors *tp_safetensors_open(const char *path, struct ir_error *error);
const struct file_tensor *tp_safetensors_find(const struct file_safetensors *file,
                                              const char *name);
/* As `dtype`: the tensor's own, or, where both are f16, bf16 or f32, another of these. */
bool tp_safetensors_reads_as(const struct file_tensor *tensor, enum ir_dtype dtype);
bool tp_safetensors_read(const struct file_safetensors *file, const struct file_tensor *tensor,
                         enum ir_dtype dtype, void *destination, struct ir_error *error);
void tp_safetensors_close(struct file_safetensors *file);
/* Name, dtype, rank, dim, bytes and data of each tensor are read. */
bool tp_safetensors_write(const char *path, int64_t count, const struct file_tensor tensor[],
                          int64_t pairs, const struct file_pair pair[], struct ir_error *error);

/* file_npz.c: what these do of a .npz. tensor: the caller's, to be freed; names are z's. */
struct npz;
struct npz *tp_npz_open(const char *path, int64_t *count, struct file_tensor **tensor,
                        struct ir_error *error);
bool tp_npz_read(const struct npz *z, const struct file_tensor *tensor, void *to,
                 struct ir_error *error);
void tp_npz_close(struct npz *z);
bool tp_npz_write(const char *path, int64_t count, const struct file_tensor tensor[],
                  struct ir_error *error);

/* svg.c: pictures as text; the caller frees it; NULL when memory runs out. */
struct svg_curve {
    const char *name;
    int64_t count;
    const double *x, *y; /* x NULL: 1, 2, ...; what is not finite leaves a gap */
};
char *tp_svg_curves(const char *title, int curves, const struct svg_curve curve[]);

/* side * side points over the set's box (x f32 [2]), row by row from the top. */
void tp_svg_grid(const struct data_set *set, int side, float *points);
char *tp_svg_decision(const char *title, const struct data_set *set, int side,
                      const float *probability); /* of class 1 at the grid's points; NULL: none */

#endif
