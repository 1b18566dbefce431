/*
 * npy: one array of a .npy file, of a type and shape that are known beforehand.
 *
 * Nothing is guessed: another type, order, shape or length is refused with one line.
 */
#ifndef TAPER_BENCH_NPY_H
#define TAPER_BENCH_NPY_H

#include <stdbool.h>
#include <stddef.h>

#include <taper.h>

/* Into a new buffer of the shape's size; false fills why. f32 and i64. */
bool npy_read(const char *path, tp_dtype dtype, tp_shape shape, void **data, size_t *bytes,
              char *why, size_t size);

#endif
