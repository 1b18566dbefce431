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

/*
 * budget.c: what to compute a second time. pass_excess: how far the values of c are above the limit
 * (0: nowhere), and the most bytes that are alive at once, without scratch. pass_choose: fills
 * after by node id with the kernel behind which readers get a copy, or -1, with the `most` best
 * choices behind the first `skip`; false when there is none.
 */
double pass_excess(const struct pass_compiled *c, int64_t limit, int64_t *most);
bool pass_choose(const struct pass_compiled *c, int64_t limit, int skip, int most, int *after);
/* recompute.c: a fresh graph with these copies */
struct ir_graph *pass_recompute(const struct pass_compiled *c, const int *after);

#endif
