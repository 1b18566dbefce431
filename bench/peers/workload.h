/*
 * workload: what every peer trains; a row of the table and a model.
 */
#ifndef TAPER_BENCH_WORKLOAD_H
#define TAPER_BENCH_WORKLOAD_H

#include <taper.h>

struct workload {
    const char *name;
    tp_tensor (*loss)(tp_tensor x, tp_tensor y);
    tp_dtype x_dtype, y_dtype;
    tp_shape x, y; /* of a batch */
    tp_opt opt;    /* as written; tp_opt_of() fills in the defaults */
    double rate;
};

extern const struct workload workloads[]; /* ends with a row without a name */

#endif
