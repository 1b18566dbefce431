/*
 * Errors, and what every part needs: the system's headers, PART, the types of elements.
 *
 * A function that can fail takes the error last and returns false or NULL; the first error is
 * kept, as one printable line of at most 400 bytes, with the exit status that it calls for.
 */
#ifndef PART_ERROR_H
#define PART_ERROR_H

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#ifdef USE_ZLIB
#include <zlib.h>
#endif

/* A program may use some functions of a part and not others. */
#define PART static __attribute__((unused))

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie in memory");

enum { PART_OK, PART_FAILED = 1, PART_REFUSED = 2, PART_UNSUPPORTED = 3 }; /* exit statuses */

struct part_error {
    int status; /* PART_OK: none yet */
    char text[400];
};

PART bool part_fail(struct part_error *error, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
PART bool part_fail(struct part_error *error, int status, const char *format, ...)
{
    va_list list;

    if (error->status != PART_OK)
        return false;
    error->status = status;
    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    for (char *c = error->text; *c; c++) /* whatever a file's names held */
        if (*c < 32 || *c > 126)
            *c = '?';
    return false;
}

PART bool part_no_memory(struct part_error *error, const char *path)
{
    return part_fail(error, PART_FAILED, "%.250s: not enough memory", path);
}

/* Types of elements, by the names that taper gives them. */
enum part_type {
    PART_BOOL,
    PART_U8,
    PART_I8,
    PART_U16,
    PART_I16,
    PART_U32,
    PART_I32,
    PART_U64,
    PART_I64,
    PART_F16,
    PART_BF16,
    PART_F32,
    PART_F64,
    PART_TYPES
};

static const struct part_type_info {
    const char *name;
    unsigned bytes;
} part_types[PART_TYPES] __attribute__((unused)) = {
    { "bool", 1 }, { "u8", 1 },  { "i8", 1 },  { "u16", 2 }, { "i16", 2 },
    { "u32", 4 },  { "i32", 4 }, { "u64", 8 }, { "i64", 8 }, { "f16", 2 },
    { "bf16", 2 }, { "f32", 4 }, { "f64", 8 },
};

/* Elements of a shape; false where they are more than memory could hold. */
PART bool part_elements(int rank, const int64_t dim[], uint64_t *elements)
{
    bool none = false;

    *elements = 1;
    for (int axis = 0; axis < rank; axis++) {
        none = none || dim[axis] == 0;
        if (dim[axis] < 0 ||
            __builtin_mul_overflow(*elements, (uint64_t)(dim[axis] ? dim[axis] : 1), elements) ||
            *elements > (uint64_t)PTRDIFF_MAX / 8)
            return false;
    }
    if (none) /* and the other axes stay numbers that may be multiplied */
        *elements = 0;
    return true;
}

#endif
