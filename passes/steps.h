/*
 * steps.h: the few moves that a schedule is made of (steps.c), and the schedules (schedule.c,
 * schedule_*.c).
 *
 * The loops over a kernel's results stand one in the other, each the only loop of its block: the
 * nest. Its axes are independent, so they may be split, swapped, written out, given to lanes and to
 * threads at will.
 */
#ifndef TAPER_PASSES_STEPS_H
#define TAPER_PASSES_STEPS_H

#include "passes.h"

struct nest { /* the loops around the innermost block, outermost first */
    int count;
    struct loop_statement *loop[2 * IR_RANK + 8];
    struct loop_block *inner;
};

/* steps.c */
struct nest pass_nest(struct loop_kernel *);
void pass_sink(struct loop_kernel *); /* what stands between the nest's loops goes inside, so that
                                         they can be swapped */
int pass_split(
    struct loop_kernel *, struct loop_statement *loop,
    int64_t by); /* i = by * i + new inner axis, whose loop goes
                    right inside; gives the inner axis. Adds the guards that over-running needs. */
void pass_inward(struct loop_kernel *,
                 struct loop_statement *loop); /* the loop becomes the innermost of the nest */
void pass_outward(struct loop_kernel *, struct loop_statement *loop); /* .. the outermost */
void pass_peel(struct loop_kernel *, struct loop_block *, int at,
               int64_t until); /* loop at -> one to `until`, one from it */
bool pass_flatten(struct loop_kernel *, int outer,
                  bool overrun); /* loops outer and outer + 1 of the nest as one, if every index
                                    allows it; overrun: through the padding between rows too */
void pass_raise_guards(struct loop_kernel *,
                       struct loop_block *); /* what a whole body asks is asked before its loop */
int pass_defer(
    struct loop_kernel *, struct loop_block *,
    int at); /* what the loop there does not need is computed after it: where it is now */
int64_t
pass_lane_step(struct loop_kernel *, loop_ix, int axis,
               bool *linear); /* how far an index moves from lane to lane of 16 along axis */
void pass_each(struct loop_block *, void (*)(struct loop_statement *, void *),
               void *); /* every statement, loops included */

/* schedule.c */
int64_t pass_rule(struct loop_kernel *, enum loop_knob,
                  int64_t by_rule);    /* what a rule decides, where nothing else was chosen */
bool pass_is_call(enum ir_op);         /* is it a function in C, or an operator? */
void pass_weigh(struct loop_kernel *); /* its flops and bytes */
void pass_share(
    struct loop_kernel *,
    struct loop_statement *loop); /* on all threads, along this loop, if it is worth it */
struct loop_statement *
pass_divided(struct loop_kernel *,
             struct loop_statement *by_rule); /* the loop of the nest that threads divide */
int64_t pass_unroll_short(struct loop_kernel *, struct loop_block *,
                          int64_t most); /* short loops along a reduction are written out */

/* schedule_contract.c, schedule_rows.c */
bool pass_tile_contraction(struct loop_kernel *,
                           const struct pass_options *); /* false: it is none */
bool pass_vectorise_rows(struct loop_kernel *, struct loop_statement *row);
bool pass_walk_rows(struct loop_kernel *, struct loop_block *around, struct loop_statement *row,
                    bool threads); /* 64 sums in lanes, or in threads; these two are false where
                                      there are more walks than a kernel has loops */

/* schedule_cuda.c, schedule_staged.c */
bool pass_schedule_cuda(struct loop_kernel *, const struct pass_options *);
bool pass_stage_product(struct loop_kernel *,
                        const struct pass_options *); /* false: it is none, or too small */

#endif
