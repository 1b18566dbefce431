/*
 * measure: what all benches share: clocks, middle values, and what this machine can do just now.
 *
 * A virtual machine's cores are worth more at one moment than at the next, so figures are compared
 * as shares of a peak that is measured between them, by the threads that did the work.
 */
#ifndef TAPER_BENCH_MEASURE_H
#define TAPER_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

double bench_now(void);                                         /* seconds, monotonic */
double bench_quantile(const double *v, size_t count, double q); /* 0.5: the median; sorts a copy */

struct bench_cpu {
    double busy, own; /* core-seconds since the start: of the whole machine, of this process */
};
struct bench_cpu bench_cpu(void);
double bench_cpu_seconds(void); /* of this process, its threads and its children that ended */

/* All threads of this process, or as much of it as the user may. 0 is usual, -20 goes first. */
void bench_priority(int nice);

int bench_threads(void); /* $THREADS, $OMP_NUM_THREADS, or the cores */

double bench_fma(int threads, double seconds); /* GFLOP/s of f32 fused multiply-adds */
double bench_triad(int threads);               /* GB/s of a = b + 3 c, far outside the caches */

/* Plain loops over arrays far outside the caches: an element of each that is written is the sum of
 * those that are read; `in_place` of them are both. Each of `threads` has its part. */
struct bench_mix {
    int reads, writes, in_place;
};
struct bench_stream;
struct bench_stream *bench_stream_new(int threads);                 /* NULL: not enough memory */
double bench_stream(const struct bench_stream *, struct bench_mix); /* GB/s read and written */
void bench_stream_free(struct bench_stream *);

#endif
