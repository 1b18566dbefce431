/*
 * gradients.h: what the walk of differentiate.c and the rules in gradients.c and regions.c share.
 * A rule is named by the column `grad` of ops.def, or by regions.def, and declared here by it.
 */
#ifndef TAPER_GRADIENTS_H
#define TAPER_GRADIENTS_H

#include "passes/passes.h"

struct pass_step { /* one node's turn in the backward walk */
    struct ir_graph *g;
    const struct ir_node *node;
    const struct ir_region
        *region;         /* its arguments count where it has a rule of its own; else NULL */
    ir_val y, grad;      /* the node's value, and the gradient that has arrived at it */
    const ir_val *grads; /* of a node with results, by result; 0: none has arrived */
    const bool *wanted;  /* by argument: does anybody ask for its gradient? */
    ir_val *to; /* by argument: its gradient, of its shape or of one that broadcasting made of it */
};

void pass_grad_of_cast(struct pass_step *);
void pass_grad_of_select(struct pass_step *);
void pass_grad_of_sum(struct pass_step *);
void pass_grad_of_prod(struct pass_step *);
void pass_grad_of_extreme(struct pass_step *);
void pass_grad_of_dot(struct pass_step *);
void pass_grad_of_conv(struct pass_step *);
void pass_grad_of_conv_input(struct pass_step *);
void pass_grad_of_conv_weight(struct pass_step *);
void pass_grad_of_window_sum(struct pass_step *);
void pass_grad_of_window_spread(struct pass_step *);
void pass_grad_of_window_max(struct pass_step *);
void pass_grad_of_window_pick(struct pass_step *);
void pass_grad_of_window_place(struct pass_step *);
void pass_grad_of_reshape(struct pass_step *);
void pass_grad_of_permute(struct pass_step *);
void pass_grad_of_expand(struct pass_step *);
void pass_grad_of_slice(struct pass_step *);
void pass_grad_of_pad(struct pass_step *);
void pass_grad_of_flip(struct pass_step *);
void pass_grad_of_concat(struct pass_step *);
void pass_grad_of_take(struct pass_step *);
void pass_grad_of_put_add(struct pass_step *);
void pass_grad_of_gather(struct pass_step *);
void pass_grad_of_scatter_add(struct pass_step *);
void pass_grad_of_cumsum(struct pass_step *);
void pass_grad_of_cumprod(struct pass_step *);
void pass_grad_of_cumextreme(struct pass_step *);
void pass_grad_of_recur(struct pass_step *);
void pass_grad_of_scan(struct pass_step *);
void pass_grad_of_result(struct pass_step *);
void pass_grad_of_custom(struct pass_step *);
void pass_grad_of_region_softmax(struct pass_step *);
void pass_grad_of_region_log_softmax(struct pass_step *);
void pass_grad_of_region_cross_entropy(struct pass_step *);
void pass_grad_of_region_sigmoid(struct pass_step *);
void pass_grad_of_region_standardise(struct pass_step *);
void pass_grad_of_region_rms(struct pass_step *);
void pass_grad_of_region_gelu(struct pass_step *);
void pass_grad_of_region_gelu_tanh(struct pass_step *);
void pass_grad_of_region_silu(struct pass_step *);
void pass_grad_of_region_tiled_attention(struct pass_step *);

/* gradients_scan.c, forward: a scan that carries tangents too, and which of its results is the
 * tangent of result i of the scan (poison: it has none) */
ir_val pass_tangent_of_scan(struct ir_graph *, const struct ir_node *scan, const ir_val *tangent);
ir_val pass_tangent_of_result(struct ir_graph *, const struct ir_node *scan, ir_val tangents,
                              int i);

/* gradients_order.c, forward: of what is linear in no one argument; poison: it does not move */
ir_val pass_tangent_of_order(struct ir_graph *, const struct ir_node *, ir_val y,
                             const ir_val tangent[2]);

/* differentiate.c, for both directions */
bool pass_differentiable(struct ir_graph *, const char *what, int n,
                         const ir_val *); /* or an error */
ir_val pass_seed(struct ir_graph *, const char *what, ir_val v, const ir_val *given, int i);
void pass_name_after(struct ir_graph *, uint32_t from, const char *prefix, const char *name);

#endif
