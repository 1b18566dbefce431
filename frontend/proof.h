/*
 * proof.h: gradients against differences and forward mode. proof.c finds those that are wrong, for
 * tp_gradcheck and for `taper check`, of which command/prove_where.c says whose they are.
 */
#ifndef TAPER_FRONTEND_PROOF_H
#define TAPER_FRONTEND_PROOF_H

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

enum ir_dtype tp_proof_type(enum ir_dtype dtype); /* f64 for every float */
/* All of a graph but its effects, in these types; parent: of a body. */
struct ir_graph *tp_proof_graph(const struct ir_graph *g, const struct ir_graph *parent,
                                ir_val **moved);
int64_t tp_proof_count(const struct ir_shape *fixed);
struct ir_array *tp_proof_array(struct proof *p, const char *name);
/* How many claims are wrong; they say so. */
int tp_proof_differences(struct proof *p);
/* Does forward mode say another slope? -1: there is none for the graph, and `why` says why. */
int tp_proof_forward(struct proof *p, struct ir_error *why);
/* command/prove_where.c */
/* Which derivative it is that makes a gradient wrong, and the smallest graph that shows it. */
void proof_tell(struct proof *p, int claim, struct ir_text *said);

#endif
