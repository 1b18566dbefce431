/*
 * workload: what every peer trains; a row of the table and a model.
 */
#ifndef TAPER_BENCH_WORKLOAD_H
#define TAPER_BENCH_WORKLOAD_H

#include <taper.h>

struct array { /* of a batch; whole numbers are classes or tokens */
    tp_dtype dtype;
    tp_shape shape;
};

struct workload {
    const char *name;
    tp_tensor (*loss)(tp_tensor x, tp_tensor y);
    struct array x, y;
    tp_opt opt; /* as written; tp_opt_of() fills in the defaults */
    double rate, clip_norm;
};

extern const struct workload workloads[]; /* ends with a row without a name */

#endif
