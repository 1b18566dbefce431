/*
 * prove.h: what prove.c, which finds wrong derivatives, and prove_where.c, which says whose they
 * are, share.
 */
#ifndef TAPER_PROVE_H
#define TAPER_PROVE_H

#include "frontend/frontend.h"

struct claim {                           /* a parameter and what the step says its gradient is */
    ir_val parameter, gradient, of_step; /* of_step: the gradient in the step's own graph */
    struct ir_array value;
    bool wrong;
    int64_t element; /* that is wrong; -1: along a direction */
    double slope, difference;
};

struct proof {
    struct ir_graph *graph; /* the step in f64 */
    struct ir_arena *arena;
    struct ir_error *error;
    const char *model, *out;
    ir_val loss, of_step;
    struct ir_array loss_value;
    int bindings, claims, samples, compared;
    struct ir_binding *binding;
    struct claim *claim;
    double forward, reverse;
};

struct ir_array *proof_array(struct proof *p, const char *name);
/* Which derivative it is that makes a gradient wrong, and the smallest graph that shows it. */
void proof_tell(struct proof *p, int claim, struct ir_text *said);

#endif
