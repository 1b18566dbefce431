/*
 * The generator of random graphs: it reaches every row of the table, its graphs evaluate, and its
 * shrinker finds the culprit.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/evaluate.h"
#include "ir/ir.h"
#include "random.h"
#include "support.h"

static bool evaluates(struct random_case *c, void *user, struct ir_text *why)
{
    uint32_t *seen = user;
    const struct ir_array *a = random_values(c);

    if (!a) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    for (uint32_t v = 1; seen && v < c->graph->count; v++)
        seen[c->graph->nodes[v].op]++;
    return true;
}

Test(random, graphs_evaluate_and_reach_every_row)
{
    uint32_t seen[IR_OPS] = { 0 };

    for (uint64_t seed = 0; seed < 500; seed++)
        cr_expect(random_holds(evaluates, seen, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0,
                                                         .smooth = seed % 5 == 0 }),
                  "seed %lu", (unsigned long)seed);
    for (int op = 1; op < IR_OPS; op++)
        cr_expect(seen[op] >= 20 || random_never((enum ir_op)op),
                  "%s: %u times in 500 graphs; expected 20", ir_ops[op].name, seen[op]);
}

/* Floats stay small and are numbers: the domains are kept. */
static bool tame(struct random_case *c, void *user, struct ir_text *why)
{
    const struct ir_array *a = random_values(c);
    int64_t *finite = user;

    for (int i = 0; a && i < random_value_count(c); i++) {
        int64_t n = 1;

        for (int k = 0; k < a[i].shape.rank; k++)
            n *= a[i].shape.dim[k];
        for (int64_t k = 0; k < n && ir_dtypes[a[i].dtype].kind == 'f'; k++) {
            double x;

            ir_load_real(&x, &a[i], NULL, k, 1);
            if (!isfinite(x) || fabs(x) > 1e4) {
                ir_put(why, "%g", x);
                return false;
            }
            ++*finite;
        }
    }
    return a != NULL;
}

Test(random, values_are_tame)
{
    int64_t finite = 0;

    for (uint64_t seed = 1000; seed < 1200; seed++)
        cr_expect(
            random_holds(tame, &finite, seed, &(struct random_options){ .symbolic = seed & 1 }),
            "seed %lu", (unsigned long)seed);
    cr_expect(finite > 100000, "%ld numbers were looked at", (long)finite);
}

Test(random, a_case_is_its_seed)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct random_case a, b;
        struct ir_text x = { 0 }, y = { 0 };

        random_make(&a, seed, &(struct random_options){ 0 });
        random_make(&b, seed, &(struct random_options){ 0 });
        ir_print(&x, a.graph);
        ir_print(&y, b.graph);
        cr_expect(strcmp(x.data, y.data) == 0, "seed %lu", (unsigned long)seed);
        ir_text_free(&x);
        ir_text_free(&y);
        random_free(&a);
        random_free(&b);
    }
}

/* Fails where a tanh is computed: the smallest such graph is an input and a tanh. */
static bool without_tanh(struct random_case *c, void *user, struct ir_text *why)
{
    uint32_t *nodes = user;

    *nodes = c->graph->count - 1;
    for (uint32_t v = 1; v < c->graph->count; v++)
        if (c->graph->nodes[v].op == IR_tanh) {
            ir_put(why, "a tanh");
            return false;
        }
    return random_values(c) != NULL;
}

Test(random, failures_shrink)
{
    int failures = 0;

    for (uint64_t seed = 0; seed < 40 && failures < 3; seed++) {
        uint32_t nodes;

        if (random_holds(without_tanh, &nodes, seed, &(struct random_options){ 0 }))
            continue;
        failures++;
        cr_expect(nodes == 2, "seed %lu: %u nodes are left", (unsigned long)seed, nodes);
    }
    cr_expect(failures == 3);
}
