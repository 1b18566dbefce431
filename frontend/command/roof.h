/*
 * roof.h: the machine's limits, measured in the run that they are compared with.
 */
#ifndef TAPER_ROOF_H
#define TAPER_ROOF_H

#include <stdbool.h>

#include "ir/ir.h"

enum { ROOF_SIZES = 7 };
extern const double roof_bytes[ROOF_SIZES]; /* of three arrays together */

struct roof {
    int threads;
    double flops[2];             /* a second, by f32 multiply-adds: one thread, all */
    double bytes[2][ROOF_SIZES]; /* a second, of a = b + 3 c over so many bytes */
};
/* Takes a tenth of a second. False with an error where nothing can be compiled. */
bool roof_measure(struct roof *r, const char *flags, int threads, struct ir_error *error);
double roof_rate(const struct roof *r, bool shared, double bytes);
/* What these flops or these bytes take at least, whichever is more; which one it was. */
double roof_seconds(const struct roof *r, bool shared, double flops, double bytes, bool *by_bytes);

#endif
