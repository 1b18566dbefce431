/*
 * simplify.h: what the walk of simplify.c and the rules in simplify_move.c and fold.c share. A rule
 * sees a draft whose arguments are simple already, and gives a value of the new graph, or 0.
 */
#ifndef TAPER_SIMPLIFY_H
#define TAPER_SIMPLIFY_H

#include "passes/passes.h"

struct pass_rules; /* rules.def, read */
struct pass_simple {
    struct ir_graph *out, *patterns;
    const struct pass_rules *rules;
    const struct ir_graph *in;
    const ir_val *moved;     /* value of in -> value of out */
    const uint32_t *readers; /* value of in -> how many read it */
    const struct ir_node
        *at; /* node of in that is being written; new nodes have its name and place */
    struct ir_arena *scratch;
    int depth;
};

/* simplify.c: adds the draft, or what a rule writes in its place */
ir_val pass_simple(struct pass_simple *, struct ir_node draft);
ir_val pass_simple_op(struct pass_simple *, enum ir_op, int arity, const ir_val *args,
                      const struct ir_list *attr);
ir_val pass_simple_reshape(struct pass_simple *, ir_val, struct ir_shape);
ir_val pass_simple_expand(struct pass_simple *, ir_val, struct ir_shape);

/* fold.c: pointwise rows of constants */
ir_val pass_fold(struct pass_simple *, const struct ir_node *);
bool pass_widens(enum ir_dtype from,
                 enum ir_dtype to); /* every value of the one is a value of the other */

/* simplify_move.c: rules of structural rows that no formula can say */
ir_val pass_simple_structural(struct pass_simple *, const struct ir_node *);

/* simplify_scan.c: bodies simplified, equal scans joined, nothing that nobody reads; NULL: there
 * are no scans */
struct ir_graph *pass_trim_scans(const struct ir_graph *in);

#endif
