/*
 * Inside ir/ only: what the files of the verifier share.
 */
#ifndef TAPER_IR_LOOP_CHECK_H
#define TAPER_IR_LOOP_CHECK_H

#include "loop.h"

struct loop_check {
    const struct loop_kernel *k;
    struct loop_kernel *shadow; /* index expressions are made here */
    struct ir_error *error;
    const struct loop_statement *at;
    bool *reach; /* by value: defined here or around */
    bool *variable, *fragment;
    uint64_t *inside; /* by value: the axes around its definition */
    uint64_t *over;   /* by value: the axes that it is folded over */
    uint32_t *open;   /* values in reach, in the order of their definition */
    uint32_t opened;
    uint64_t axes, unrolled, vector, parallel,
        members; /* around the statement at hand; members: of a block */
    const struct loop_statement *around[LOOP_AXES];
    int depth;
    bool never;  /* no iteration gets here */
    bool on_gpu; /* threads of blocks run it: nothing runs on behind a buffer */
};

/* loop_verify.c: "FILE:LINE: kernel NAME: statement: " and what is wrong with it; false */
bool loop_wrong(struct loop_check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* loop_verify_reach.c: elements ix .. ix + more are there; no two iterations store in one element
 */
bool loop_reaches_only(struct loop_check *c, int buffer, loop_ix ix, int64_t more, bool store);
bool loop_stores_apart(struct loop_check *c, const struct loop_statement *s);

/* loop_verify_points.c: the least and the greatest value of an index, by trying all iterations;
 * false: there are too many. lo > hi: there are none. */
bool loop_reaches_at_points(struct loop_check *c, loop_ix ix, int64_t *lo, int64_t *hi);

/* loop_verify_warp.c: fragments and what a warp makes of them */
bool loop_fragment_holds(struct loop_check *c, const struct loop_statement *s);
bool loop_multiply_holds(struct loop_check *c, const struct loop_statement *s);

/* loop_verify_value.c: arguments and types of a statement; what is known of the integer that it
 * defines */
bool loop_arity_is(struct loop_check *c, const struct loop_statement *s, int arity);
bool loop_types_agree(struct loop_check *c, enum ir_dtype found, enum ir_dtype expected);
bool loop_update_is_in_order(struct loop_check *c, uint32_t variable);
bool loop_let_holds(struct loop_check *c, const struct loop_statement *s);
bool loop_set_holds(struct loop_check *c, const struct loop_statement *s);
bool loop_fold_holds(struct loop_check *c, const struct loop_statement *s);
bool loop_store_holds(struct loop_check *c, const struct loop_statement *s);
void loop_bound_value(struct loop_check *c, const struct loop_statement *s);

#endif
