/*
 * simplify keeps every bit: each rule of rules.def on the values where arithmetic is strange, and
 * whole random graphs, with their gradients, before and after. What structural rules write is in
 * golden/simple.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/evaluate.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"

static const struct ir_loc here = { "tests.c", 1 };

static int64_t count(const struct ir_shape *s)
{
    int64_t all = 1;

    for (int i = 0; i < s->rank; i++)
        all *= s->dim[i];
    return all;
}

/* The same bits, but any NaN equals any other. */
static bool same_bits(const struct ir_array *a, const struct ir_array *b, struct ir_text *why)
{
    size_t bytes = (size_t)ir_dtypes[a->dtype].bytes;

    if (a->dtype != b->dtype || !ir_same_shape(&a->shape, &b->shape)) {
        ir_put(why, "type or shape differs");
        return false;
    }
    for (int64_t i = 0; i < count(&a->shape); i++) {
        const char *x = (const char *)a->data + (size_t)i * bytes;
        const char *y = (const char *)b->data + (size_t)i * bytes;
        const bool real = ir_dtypes[a->dtype].kind == 'f';
        double u = 0, v = 0;

        if (real) {
            ir_load_real(&u, a, NULL, i, 1);
            ir_load_real(&v, b, NULL, i, 1);
        }
        if (memcmp(x, y, bytes) != 0 && !(isnan(u) && isnan(v))) {
            ir_put(why, "element %ld is %.17g, and %.17g when simplified", (long)i, u, v);
            return false;
        }
    }
    return true;
}

/* --- the rules of the table
 * ------------------------------------------------------------------------ */

static const struct rule {
    const char *types, *pattern, *replacement;
} rules[] = {
#define RULE(types, pattern, replacement) { #types, pattern, replacement },
#include "passes/rules.def"
#undef RULE
};

#define STRANGE 18
static const double strange[STRANGE] = { 0,        -0.0,      1,      -1,         0.5,    -2.75,
                                         3,        1e-45,     -1e-45, 1.1754e-38, 3.4e38, -3.4e38,
                                         INFINITY, -INFINITY, NAN,    0.1,        1e-310, 7 };

static void fill(void *data, enum ir_dtype type, int64_t i, int64_t k)
{
    switch (type) {
    case IR_F32:
        ((float *)data)[i] = (float)strange[k % STRANGE];
        break;
    case IR_F64:
        ((double *)data)[i] = strange[k % STRANGE];
        break;
    case IR_I32:
        ((int32_t *)data)[i] =
            (int32_t[]){ 0, 1, -1, 5, -7, INT32_MAX, INT32_MIN, INT32_MIN + 1, 100 }[k % 9];
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)(k & 1);
        break;
    }
}

/* Letters a b c against each other in all pairs: a varies along one axis, b and c along others. */
static struct ir_graph *strange_graph(enum ir_dtype type, ir_val name[26],
                                      struct ir_binding binding[5], struct ir_arena *arena,
                                      struct ir_error *error)
{
    struct ir_graph *g = ir_graph_new("rule", error);
    struct ir_shape shape = { 3, { STRANGE, STRANGE, 2 } };

    memset(name, 0, 26 * sizeof *name);
    for (int i = 0; i < 5; i++) {
        char letter = "abcpq"[i];
        enum ir_dtype own = i < 3 ? type : IR_BOOL;
        char *data = ir_alloc(arena, (size_t)count(&shape) * 8);

        for (int64_t k = 0; k < count(&shape); k++)
            fill(data, own, k,
                 i == 0   ? k / 2 / STRANGE
                 : i == 3 ? k
                 : i == 4 ? k / 2
                          : k / 2 % STRANGE);
        binding[i] = (struct ir_binding){ ir_format(arena, "%c", letter), { own, shape, data } };
        name[letter - 'a'] = ir_input(g, binding[i].name, own, shape, here);
    }
    return g;
}

static void rule_keeps_bits(const struct rule *rule, enum ir_dtype type)
{
    struct ir_error error = { 0 };
    struct ir_arena *arena = ir_arena_new();
    struct ir_text why = { 0 };
    ir_val name[26], sides[2];
    struct ir_binding binding[5];
    struct ir_array results[2];
    struct ir_graph *g = strange_graph(type, name, binding, arena, &error);
    struct ir_shape shape;

    sides[0] = ir_formula(g, rule->pattern, name, here);
    sides[1] = ir_formula(g, rule->replacement, name, here);
    cr_assert(error.status == 0, "%s: %s", rule->pattern, error.text);
    shape = ir_at(g, sides[0])->shape;
    sides[1] = ir_cast(g, ir_expand(g, sides[1], shape, here), ir_at(g, sides[0])->dtype, here);
    cr_assert(ir_evaluate(g, 5, binding, 2, sides, results, arena, &error), "%s", error.text);
    cr_expect(same_bits(&results[0], &results[1], &why), "%s -> %s (%s): %s", rule->pattern,
              rule->replacement, ir_dtypes[type].name, why.data);
    ir_text_free(&why);
    ir_graph_free(g);
    ir_arena_free(arena);
}

Test(rules, each_keeps_every_bit)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (*rules[i].types != 'I') {
            rule_keeps_bits(&rules[i], IR_F32);
            rule_keeps_bits(&rules[i], IR_F64);
        }
        if (*rules[i].types != 'F')
            rule_keeps_bits(&rules[i], IR_I32);
    }
}

static void print_simple(struct ir_text *text, const char *formula, enum ir_dtype type)
{
    struct ir_error error = { 0 };
    struct ir_arena *arena = ir_arena_new();
    ir_val name[26], y;
    struct ir_binding binding[5];
    struct ir_graph *g = strange_graph(type, name, binding, arena, &error), *simple;

    y = ir_formula(g, formula, name, here);
    ir_output(g, NULL, ir_expand(g, y, ir_at(g, name[0])->shape, here));
    cr_assert(error.status == 0, "%s: %s", formula, error.text);
    simple = pass_simplify(g);
    ir_print(text, simple);
    ir_graph_free(simple);
    ir_graph_free(g);
    ir_arena_free(arena);
}

/* A rule that another one always forestalls, or whose pattern nobody can write, would be dead text.
 */
Test(rules, each_is_applied)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct ir_text from = { 0 }, to = { 0 };
        enum ir_dtype type = *rules[i].types == 'I' ? IR_I32 : IR_F32;

        if (strchr("01", rules[i].replacement[0])) /* a lone number has no type */
            continue;
        print_simple(&from, rules[i].pattern, type);
        print_simple(&to, rules[i].replacement, type);
        cr_expect(strcmp(from.data, to.data) == 0, "%s is written\n%s and not\n%s",
                  rules[i].pattern, from.data, to.data);
        ir_text_free(&from);
        ir_text_free(&to);
    }
}

/* --- whole graphs
 * ---------------------------------------------------------------------------------- */

struct tally {
    int64_t before, after;
};

static bool keeps_bits(struct random_case *c, void *user, struct ir_text *why)
{
    struct tally *tally = user;
    struct ir_graph *graph = c->graph, *simple, *again;
    const struct ir_array *before = random_values(c), *after;
    bool same;

    if (!before) {
        ir_put(why, "%s", c->error.text);
        return false;
    }
    simple = pass_simplify(graph);
    again = pass_simplify(simple);
    c->graph = simple;
    after = random_values(c);
    same = after && simple->output_count == graph->output_count &&
           simple->effect_count == graph->effect_count && ir_verify(simple, &c->error);
    if (!same)
        ir_put(why, "%s", c->error.text);
    for (int i = 0; same && i < random_value_count(c); i++)
        same = same_bits(&before[i], &after[i], why);
    if (same && again->count > simple->count) {
        ir_put(why, "simplified again it grows");
        same = false;
    }
    tally->before += graph->count;
    tally->after += simple->count;
    c->graph = graph;
    ir_graph_free(again);
    ir_graph_free(simple);
    return same;
}

Test(graphs, random_ones_keep_every_bit)
{
    struct tally tally = { 0 };
    uint64_t cases = support_long() ? 6000 : 600;

    for (uint64_t seed = 0; seed < cases; seed++)
        cr_expect(random_holds(keeps_bits, &tally, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0,
                                                         .operations = seed % 7 == 0 ? 40 : 0 }),
                  "seed %lu", (unsigned long)seed);
    cr_expect(tally.after < tally.before);
}

/* Backward nodes are where expansions, masks and transposes meet. */
static bool keeps_bits_of_gradients(struct random_case *c, void *user, struct ir_text *why)
{
    struct ir_graph *g = c->graph;
    ir_val y[64], wrt[RANDOM_INPUTS], grads[RANDOM_INPUTS], ones[64];
    int n_y = 0, n = 0;

    for (int i = 0; i < g->output_count && n_y < 64; i++)
        if (ir_dtypes[ir_at(g, g->outputs[i].value)->dtype].kind == 'f') {
            ones[n_y] = ir_full_like(g, g->outputs[i].value, 0.75, here);
            y[n_y++] = g->outputs[i].value;
        }
    for (uint32_t v = 1; v < g->count && n < RANDOM_INPUTS; v++)
        if (g->nodes[v].op == IR_input && ir_dtypes[g->nodes[v].dtype].kind == 'f')
            wrt[n++] = (ir_val){ v };
    if (!pass_gradients(g, n_y, y, ones, n, wrt, grads)) {
        ir_put(why, "%s", g->error->text);
        return g->error->status == IR_UNSUPPORTED;
    }
    for (int i = 0; i < n; i++)
        ir_output(g, NULL, grads[i]);
    return keeps_bits(c, user, why);
}

Test(graphs, gradients_keep_every_bit)
{
    struct tally tally = { 0 };
    uint64_t cases = support_long() ? 3000 : 300;

    for (uint64_t seed = 5000; seed < 5000 + cases; seed++)
        cr_expect(random_holds(keeps_bits_of_gradients, &tally, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0 }),
                  "seed %lu", (unsigned long)seed);
    cr_expect(tally.after < tally.before);
}
