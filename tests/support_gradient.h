/*
 * Gradients of random graphs: one number that feels every output, and its slope along the inputs,
 * which a finite difference says as well.
 */
#ifndef TESTS_SUPPORT_GRADIENT_H
#define TESTS_SUPPORT_GRADIENT_H

#include "random.h"

/* The sum of all outputs of that type, each element with a weight of its own; poison where there
 * is none. */
ir_val gradient_sum(struct random_case *c, enum ir_dtype dtype);

/* The inputs of that type, into wrt[RANDOM_INPUTS]; how many there are. */
int gradient_inputs(const struct random_case *c, enum ir_dtype dtype, ir_val *wrt);

/*
 * Whether grad[n], the gradients of sum with respect to the inputs wrt (all f64), say its slope
 * along a random direction in them, as (L(x + e d) - L(x - e d)) / 2e does. *slope: what it is.
 */
bool gradient_is_slope(struct random_case *c, ir_val sum, int n, const ir_val *wrt,
                       const struct ir_array *grad, double *slope, struct ir_text *why);

#endif
