/*
 * traffic.h: what order, recompute and plan know of memory before there are loops.
 */
#ifndef TAPER_TRAFFIC_H
#define TAPER_TRAFFIC_H

#include "passes/passes.h"

struct pass_values {
    int count;
    ir_val *at;
};
struct pass_traffic { /* of a kernel: inputs, states and what others have stored; what it stores and
                         which states it assigns */
    struct pass_values reads, writes;
};

/* traffic.c: of each kernel, each value once */
struct pass_traffic *pass_traffic(const struct pass_compiled *, struct ir_arena *);
int64_t pass_bytes(const struct pass_compiled *, ir_val stored); /* in memory, whole lines */
bool pass_kept(const struct pass_compiled *, ir_val v); /* stored, and neither state nor input .. */

#endif
