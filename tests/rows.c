/*
 * Every row of ops.def, one after the other: small random graphs of that row alone, in f32 and in
 * f64, with arguments that broadcast, with extents of 0 and of 1. Each argument's gradient is the
 * finite difference; values and gradients are the interpreter's when they are compiled, and a GPU's
 * text, run by the CPU, has the bits of the C text.
 *
 * A row that no graph has, or an argument that no gradient reached, fails: a new row needs its
 * lines in tests/support_random*.c.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "ir/evaluate.h"
#include "passes/passes.h"
#include "support.h"
#include "support_compiled.h"
#include "support_gradient.h"

enum { ARGUMENTS = 3 }; /* that are told apart; of rows with more, the first ones */

/* What was met of a row. */
struct census {
    int nodes[2], empty[2], one[2], broadcast[2]; /* in graphs whose reals are f32, f64 */
    int reached[2][ARGUMENTS]; /* gradients that arrive at an argument and are not 0 */
    int cuda[2];               /* graphs that ran as a GPU's, or that none can run yet */
};

struct row {
    enum ir_op op;
    struct census *census;
};

static bool has_extent(const struct ir_graph *g, ir_val v, int64_t extent)
{
    const struct ir_shape *s = &ir_at(g, v)->shape;

    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == extent)
            return true;
    return false;
}

static void count_node(struct census *census, const struct ir_graph *g, uint32_t v, int type)
{
    const struct ir_node *n = &g->nodes[v];
    bool empty = has_extent(g, (ir_val){ v }, 0), one = has_extent(g, (ir_val){ v }, 1);

    census->nodes[type]++;
    for (int i = 0; i < n->arity; i++) {
        empty |= has_extent(g, n->args[i], 0);
        one |= has_extent(g, n->args[i], 1);
        census->broadcast[type] +=
            i > 0 && ir_pointwise(n->op) &&
            !ir_same_shape(&ir_at(g, n->args[i])->shape, &ir_at(g, n->args[0])->shape);
    }
    census->empty[type] += empty;
    census->one[type] += one;
}

/* Which arguments of the row's nodes a gradient arrives at. */
static bool count_reached(struct random_case *c, const struct row *row, ir_val sum, int type,
                          uint32_t nodes)
{
    for (uint32_t v = 1; v < nodes; v++)
        for (int i = 0; i < c->graph->nodes[v].arity && i < ARGUMENTS; i++) {
            const ir_val a = c->graph->nodes[v].args[i];
            ir_val grad;
            struct ir_array value;

            if (c->graph->nodes[v].op != row->op || ir_at(c->graph, a)->dtype != c->options.reals ||
                row->census->reached[type][i])
                continue;
            if (!pass_gradients(c->graph, 1, &sum, NULL, 1, &a, &grad) ||
                !ir_evaluate(c->graph, c->bindings, c->binding, 1, &grad, &value, c->arena,
                             &c->error))
                return false;
            for (int64_t k = 0; k < ir_count(&value.shape); k++) {
                double x;
                ir_load_real(&x, &value, NULL, k, 1);
                row->census->reached[type][i] += x != 0;
            }
        }
    return true;
}

/* The bits of the C program, on the CPU as a GPU that looks at each access. */
static bool is_cuda(struct random_case *c, const struct row *row, const struct ir_array *want,
                    struct ir_text *why)
{
    const struct ir_array *got =
        compiled_values(c, &(struct compiled_how){ .fuse = true, .threads = 1, .target = "cuda" });

    row->census->cuda[c->options.reals == IR_F64]++;
    if (!got && c->error.status == IR_UNSUPPORTED &&
        strstr(c->error.text, "memory of its own for each row")) { /* sorting */
        c->error.status = IR_OK;
        return true;
    }
    if (!got) {
        ir_put(why, "CUDA: %s", c->error.text);
        return false;
    }
    for (int i = 0; i < random_value_count(c); i++) {
        ir_put(why, "value %d, CUDA against C: ", i);
        if (!random_equal(&want[i], &got[i], 0, 0, why))
            return false;
    }
    return true;
}

/* One graph in four, or all of them. */
static bool wants_cuda(const struct random_case *c, const struct row *row)
{
    const int type = c->options.reals == IR_F64;

    return support_long() || (((int)row->op + type) % 4 == 0 && row->census->cuda[type] == 0);
}

static bool as_it_should(struct random_case *c, void *user, struct ir_text *why)
{
    const struct row *row = user;
    const int type = c->options.reals == IR_F64;
    const uint32_t nodes = c->graph->count;
    const double rounding = type ? 1e-9 : 2e-4;
    ir_val wrt[RANDOM_INPUTS], grad[RANDOM_INPUTS];
    struct ir_array gradient[RANDOM_INPUTS];
    const ir_val sum = c->options.smooth ? gradient_sum(c, c->options.reals) : (ir_val){ 0 };
    const int n = sum.id ? gradient_inputs(c, c->options.reals, wrt) : 0;

    for (uint32_t v = 1; v < nodes; v++)
        if (c->graph->nodes[v].op == row->op)
            count_node(row->census, c->graph, v, type);
    if (n > 0 && !pass_gradients(c->graph, 1, &sum, NULL, n, wrt, grad)) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    if (n > 0 && type) { /* argument by argument */
        if (!ir_evaluate(c->graph, c->bindings, c->binding, n, grad, gradient, c->arena,
                         &c->error)) {
            ir_put(why, "%s", c->error.text);
            return false;
        }
        for (int i = 0; i < n; i++) {
            double slope;
            ir_put(why, "d/d%s: ", ir_at(c->graph, wrt[i])->text);
            if (!gradient_is_slope(c, sum, 1, &wrt[i], &gradient[i], &slope, why))
                return false;
        }
    }
    if (n > 0 && !count_reached(c, row, sum, type, nodes))
        return false;
    for (int i = 0; i < n; i++)
        ir_output(c->graph, ir_format(c->arena, "d_%s", ir_at(c->graph, wrt[i])->text), grad[i]);

    const struct ir_array *want = random_values(c);
    const struct ir_array *got =
        want ? compiled_values(c, &(struct compiled_how){ .fuse = true, .threads = 2 }) : NULL;
    if (!got) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    for (int i = 0; i < c->graph->output_count; i++) {
        if (ir_at(c->graph, c->graph->outputs[i].value)->op == IR_state)
            continue; /* its memory shows it after the run */
        ir_put(why, "compiled %s: ", c->graph->outputs[i].name);
        if (!random_equal(&want[i], &got[i], rounding, rounding, why))
            return false;
    }
    return !wants_cuda(c, row) || is_cuda(c, row, got, why);
}

/* One graph of the row; where the generator makes none of smooth values, one of any. */
static void try(struct row *row, struct random_options options, uint64_t seed)
{
    const int type = options.reals == IR_F64, before = row->census->nodes[type];

    cr_expect(random_holds(as_it_should, row, seed, &options), "%s in %s, seed %lu%s%s",
              ir_ops[row->op].name, ir_dtypes[options.reals].name, (unsigned long)seed,
              options.empty ? ", empty" : "", options.symbolic ? ", symbolic" : "");
    if (row->census->nodes[type] == before && options.smooth) {
        options.smooth = false;
        try(row, options, seed);
    }
}

static const char *const rule[IR_OPS] = {
#define UNARY(name, ...)
#define PREDICATE(name, ...)
#define BINARY(name, ...)
#define COMPARE(name, ...)
#define OP(name, arity, attributes, shape, grad, ...) [IR_##name] = #grad,
#include "ir/ops.def"
};

/* Is there an argument that a gradient should have reached, and has not? */
static bool unreached(enum ir_op op, const int reached[ARGUMENTS])
{
    const struct ir_op_info *info = &ir_ops[op];

    if (info->group == IR_STRUCTURAL) /* the rule is code: some argument; of a result, the scan's */
        return strcmp(rule[op], "none") != 0 && op != IR_result &&
               !(reached[0] || reached[1] || reached[2]);
    for (int i = 0; i < info->arity; i++)
        if (info->grad[i] && *info->grad[i] && !reached[i])
            return true;
    return false;
}

/* What is still to be met of a row, or NULL. */
static const char *missing(enum ir_op op, const struct census *census, int type)
{
    if (census->nodes[type] == 0)
        return "a graph with it";
    if (ir_ops[op].arity == 0)
        return NULL;
    if (unreached(op, census->reached[type]))
        return "a gradient for each argument";
    if (census->empty[type] == 0)
        return "an extent of 0";
    if (census->one[type] == 0)
        return "an extent of 1";
    if (ir_ops[op].group == IR_BINARY && census->broadcast[type] == 0)
        return "arguments that broadcast";
    if (support_long() && census->cuda[type] == 0)
        return "a run as a GPU's";
    return NULL;
}

/* A third of the rows, so that a test is not long. */
static void rows(int part)
{
    const uint64_t least = (uint64_t)support_cases(2, 8);

    for (int op = 1; op < IR_OPS; op++) {
        struct census census = { 0 };
        struct row row = { (enum ir_op)op, &census };

        if (random_never((enum ir_op)op) || op % 3 != part)
            continue;
        for (int type = 0; type < 2; type++) {
            const enum ir_dtype dtype = type ? IR_F64 : IR_F32;
            const char *what = NULL;

            for (uint64_t seed = 1; seed <= least || (what && seed <= 60); seed++) {
                try(&row,
                    (struct random_options){ .only = (enum ir_op)op,
                                             .operations = 3,
                                             .smooth = true,
                                             .reals = dtype,
                                             .empty = seed % 2 == 0,
                                             .symbolic = seed % 3 == 0 },
                    seed);
                what = missing((enum ir_op)op, &census, type);
            }
            cr_expect(!what, "%s in %s: 60 graphs are without %s; see tests/support_random*.c",
                      ir_ops[op].name, ir_dtypes[dtype].name, what);
        }
    }
}

Test(rows, first_third_of_the_table)
{
    rows(0);
}

Test(rows, second_third_of_the_table)
{
    rows(1);
}

Test(rows, last_third_of_the_table)
{
    rows(2);
}
