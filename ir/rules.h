/*
 * Inside ir/ only: the shape rules that ops.def names, and what they share. A rule reads the
 * draft's arguments and attributes, fills dtype and shape, or refuses with a sentence that says
 * what was found and what was expected.
 */
#ifndef TAPER_IR_RULES_H
#define TAPER_IR_RULES_H

#include "ir/ir.h"

#define UNARY(...)
#define PREDICATE(...)
#define BINARY(...)
#define COMPARE(...)
#define OP(name, arity, attributes, shape, ...) \
    bool ir_shape_of_##shape(struct ir_graph *g, struct ir_node *n);
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP

/* "a = fc1.weight f32[128 784]" of argument i, for messages; in the graph's arena */
const char *ir_shown(const struct ir_graph *g, const struct ir_node *n, int i);
const char *ir_shown_from(const struct ir_graph *g, const struct ir_node *n,
                          int i); /* its line too */
const char *ir_shown_dim(const struct ir_graph *g, int64_t dim);

static inline const struct ir_node *ir_arg(const struct ir_graph *g, const struct ir_node *n, int i)
{
    return &g->nodes[n->args[i].id];
}

/* The checks below refuse and return false; `what` is the attribute's name. */
bool ir_rule_kind(const struct ir_graph *g, const struct ir_node *n, int i, char kind);
bool ir_rule_same(const struct ir_graph *g, const struct ir_node *n, int i, int j); /* types */
bool ir_rule_list(const struct ir_graph *g, const struct ir_node *n, int attr, int count,
                  int64_t least, int64_t most);
bool ir_rule_axis(const struct ir_graph *g, const struct ir_node *n, int attr, int rank);
bool ir_rule_axes(const struct ir_graph *g, const struct ir_node *n, int attr,
                  int rank); /* ascending */

#endif
