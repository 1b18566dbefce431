/*
 * contract.h: what the files that tile a sum of products share.
 */
#ifndef TAPER_PASSES_CONTRACT_H
#define TAPER_PASSES_CONTRACT_H

#include "steps.h"

struct contraction {
    struct loop_kernel *k;
    const struct pass_options *options;
    struct loop_statement *set;  /* sum = fma(a, b, sum) */
    struct loop_statement **def; /* by value */
    uint32_t narrow, wide;
    int lanes;   /* axis */
    bool pack;   /* the wide operand lies across .. */
    bool copies; /* .. or is read so often that it should lie in slivers */
    int along;   /* .. along this axis of the reduction .. */
    int piece;   /* .. and this one around it, its pieces; -1: it is in one */
};

enum lies { LIES_STILL, LIES_BESIDE, LIES_ACROSS }; /* elements along an axis, in memory */
static inline bool pass_sees(const struct contraction *c, uint32_t value, int axis)
{
    return c->k->value[value].depends >> axis & 1;
}

/* schedule_pack.c: the wide operand's copy in slivers */
struct packing {  /* what the sliver's packed copy is made from; remembered while the loops are
                     rearranged */
    loop_ix from; /* the wide operand's address, in the loops as they were */
    int buffer, scratch;
    int64_t width;
    bool copies; /* it lies side by side already, but not where vectors begin */
    struct loop_axis lanes;
    loop_ix rows; /* how many, pieces together */
};
bool pass_transposes(struct loop_kernel *, const struct loop_statement *load,
                     int axis); /* 16 x 16 at a time, in registers */
struct packing pass_read_packed(struct contraction *, int64_t width);
void pass_write_packed(struct contraction *, const struct packing *, struct loop_statement *sliver);

/* schedule_tile.c */
void pass_tile(struct contraction *);
void pass_tile_images(struct contraction *, struct loop_statement *images);

#endif
