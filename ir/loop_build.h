/*
 * Inside ir/ only: index expressions while they are being built.
 */
#ifndef TAPER_IR_LOOP_BUILD_H
#define TAPER_IR_LOOP_BUILD_H

#include "loop.h"

__extension__ typedef __int128 loop_wide;

struct loop_build {
    int64_t constant;
    int count;
    bool cut;                          /* a term more did not fit */
    struct loop_term term[LOOP_TERMS]; /* ascending atoms, no zero scales */
};

/* loop_intern.c: equal ones have equal numbers */
loop_ix loop_intern(struct loop_kernel *, const struct loop_build *);
uint32_t loop_atom_of(struct loop_kernel *, struct loop_atom);

/* loop_range.c: sums that leave 64 bits stop at 2^62, far outside of every buffer, so that even a
 * text that was written in malice has a range */
int64_t loop_clamped(loop_wide);
int64_t loop_floor_div(int64_t a, int64_t b);
void loop_load_sum(struct loop_build *, const struct loop_sum *);
void loop_add_term(struct loop_build *, int64_t scale, uint32_t atom);
void loop_add_sum(struct loop_build *, const struct loop_sum *, int64_t scale);
void loop_range_of(const struct loop_kernel *, const struct loop_build *, int64_t *lo, int64_t *hi);

#endif
