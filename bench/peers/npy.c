/*
 * npy: the header is a Python dictionary, which NumPy always spells the same way: so it is compared
 * with the one that is expected, key by key.
 */
#include "bench/peers/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 4096 };

static bool say(char *why, size_t size, const char *path, const char *what, const char *found)
{
    snprintf(why, size, "%s: %s%s%.60s", path, what, *found ? ": " : "", found);
    return false;
}

/* "'shape': (64, 784)"; a shape of one axis ends in a comma */
static void spell_shape(tp_shape shape, char *text, size_t size)
{
    int used = snprintf(text, size, "'shape': (");

    for (int i = 0; i < shape.rank; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%lld", i ? ", " : "",
                         (long long)shape.dim[i]);
    snprintf(text + used, size - (size_t)used, "%s)", shape.rank == 1 ? "," : "");
}

static bool check_header(const char *header, tp_dtype dtype, tp_shape shape, char *why, size_t size,
                         const char *path)
{
    const char *descr = dtype == TP_F32 ? "'descr': '<f4'" : "'descr': '<i8'";
    char wanted[300];

    spell_shape(shape, wanted, sizeof wanted);
    if (!strstr(header, descr))
        return say(why, size, path, "expected a file with", descr);
    if (!strstr(header, "'fortran_order': False"))
        return say(why, size, path, "expected rows one after the other", "");
    if (!strstr(header, wanted))
        return say(why, size, path, "expected a file with", wanted);
    return true;
}

static bool read_file(FILE *file, const char *path, tp_dtype dtype, tp_shape shape, void **data,
                      size_t *bytes, char *why, size_t size)
{
    unsigned char start[10];
    char header[HEADER + 1];
    size_t length;

    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\x01\x00", 8) != 0)
        return say(why, size, path, "this is no .npy file of version 1.0", "");
    length = (size_t)start[8] | (size_t)start[9] << 8;
    if (length > HEADER || fread(header, 1, length, file) != length)
        return say(why, size, path, "the header is cut off or too long", "");
    header[length] = 0;
    if (!check_header(header, dtype, shape, why, size, path))
        return false;
    *bytes = dtype == TP_F32 ? 4 : 8;
    for (int i = 0; i < shape.rank; i++)
        *bytes *= (size_t)shape.dim[i];
    *data = malloc(*bytes + 1);
    /* one byte more is asked for: there must be none */
    if (!*data || fread(*data, 1, *bytes + 1, file) != *bytes) {
        free(*data);
        return say(why, size, path, "its length does not fit its shape", "");
    }
    return true;
}

bool npy_read(const char *path, tp_dtype dtype, tp_shape shape, void **data, size_t *bytes,
              char *why, size_t size)
{
    FILE *file = fopen(path, "rbe");
    bool ok;

    if (!file)
        return say(why, size, path, "cannot be opened", "");
    ok = read_file(file, path, dtype, shape, data, bytes, why, size);
    fclose(file);
    return ok;
}
