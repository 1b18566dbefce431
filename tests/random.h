/*
 * Random graphs for tests: fused equals eager equals interpreter, gradient equals finite
 * difference, and what else must hold for every graph. A case is a function of its seed and options
 * alone.
 *
 *     static bool holds(const struct random_case *c, void *user, struct ir_text *why) { ... }
 *     cr_expect(random_holds(holds, NULL, seed, &(struct random_options){ .symbolic = true }));
 *
 * Values that decide something (floor, casts to integers, comparisons, argmax, indices) are drawn
 * from values that every correct machine computes with the same bits, so that engines which add in
 * another order still agree on them.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include "ir/ir.h"

struct random_options {
    int operations;      /* attempts; 0: 4 to 16 */
    bool smooth;         /* floats are f64 and never lie on a kink: for finite differences */
    enum ir_dtype reals; /* smooth: of this type instead */
    enum ir_op only;     /* this row and what leads to its domain; IR_POISON: all rows */
    bool empty;          /* there is an extent of 0, and one of 1 */
    bool flat;           /* no scans */
    bool symbolic;       /* the first axis of many values is `batch`, 1..17 */
};

static inline bool random_is_half(enum ir_dtype dtype)
{
    return dtype == IR_F16 || dtype == IR_BF16;
}

/* Is it in no random graph? It stands between kernels only, or calls a function of the user's
 * (tests/custom.c). */
static inline bool random_never(enum ir_op op)
{
    return (op >= IR_step && op <= IR_done) || op == IR_custom;
}

enum { RANDOM_INPUTS = 200 };
struct random_case {
    uint64_t seed;
    struct random_options options;
    struct ir_graph
        *graph; /* outputs: everything that nobody reads, and some more; effects: assignments */
    struct ir_error error;
    struct ir_arena *arena;
    int bindings; /* of the inputs; states start by their init */
    struct ir_binding binding[RANDOM_INPUTS];
};

void random_make(struct random_case *, uint64_t seed, const struct random_options *);
void random_bind(struct random_case *,
                 int64_t batch); /* other values of the inputs: by seed and name, for that batch */
void random_free(struct random_case *);

/* The interpreter's values of all outputs, then of all effects; NULL with c->error. In the case's
 * arena. */
struct ir_array *random_values(struct random_case *);
static inline int random_value_count(const struct random_case *c)
{
    return c->graph->output_count + c->graph->effect_count;
}

/* |a - b| <= absolute + relative * |a|, NaN equals NaN; the first difference goes to why */
bool random_equal(const struct ir_array *a, const struct ir_array *b, double relative,
                  double absolute, struct ir_text *why);

/* Whether the property holds for a seed. If not, the case is shrunk (outputs are dropped, nodes
 * become inputs) as long as it still fails, and printed with its seed to stderr. */
typedef bool random_property(struct random_case *, void *user, struct ir_text *why);
bool random_holds(random_property *, void *user, uint64_t seed, const struct random_options *);

#endif
