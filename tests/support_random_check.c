/*
 * Random cases: their inputs, their values by the interpreter, and the search for a small case that
 * still fails.
 */
#include "ir/evaluate.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static int64_t count(const struct ir_shape *s)
{
    int64_t n = 1;

    for (int i = 0; i < s->rank; i++)
        n *= s->dim[i];
    return n;
}

/* Floats in -2..2, in part quarters, so that ties and kinks are met (not in smooth cases); integers
 * in -9..9. */
static void fill(const struct random_case *c, struct ir_array *a, uint64_t key)
{
    for (int64_t i = 0; i < count(&a->shape); i++) {
        const uint64_t bits = mixed(key + (uint64_t)i * 0x9E3779B97F4A7C15);
        const int64_t small = (int64_t)(bits >> 40) % 19 - 9;
        double x = (double)(bits >> 11) * 0x1p-51 - 2;

        if (bits % 4 == 0 && !c->options.smooth)
            x = floor(x * 4) / 4;
        if (c->options.smooth && fabs(2 * x - nearbyint(2 * x)) < 1e-3)
            x += 0.01; /* away from where floor and round jump */
        if (a->dtype == IR_BOOL)
            x = (double)(bits >> 63);
        else if (ir_dtypes[a->dtype].kind != 'f')
            x = (double)(ir_dtypes[a->dtype].kind == 'u' ? llabs(small) : small);
        ir_store_real(a, i, 1, &x);
    }
}

void random_bind(struct random_case *c, int64_t batch)
{
    const struct ir_graph *g = c->graph;
    int64_t symbols[IR_SYMBOLS];

    for (int i = 0; i < IR_SYMBOLS; i++)
        symbols[i] = batch;
    c->bindings = 0;
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        struct ir_binding *b = &c->binding[c->bindings];
        uint64_t key = c->seed;

        if (n->op != IR_input)
            continue;
        if (c->bindings++ == RANDOM_INPUTS)
            ir_bug("random: more than %d inputs", RANDOM_INPUTS);
        *b = (struct ir_binding){ n->text, { n->dtype, n->shape, NULL } };
        for (int i = 0; i < n->shape.rank; i++)
            b->array.shape.dim[i] = ir_dim_value(g, n->shape.dim[i], symbols);
        b->array.data = ir_alloc(c->arena, 8 * (size_t)count(&b->array.shape) + 8);
        for (const char *p = n->text; *p; p++)
            key = mixed(key * 31 + (unsigned char)*p);
        fill(c, &b->array, key);
    }
}

void random_free(struct random_case *c)
{
    ir_graph_free(c->graph);
    ir_arena_free(c->arena);
    c->graph = NULL;
    c->arena = NULL;
}

struct ir_array *random_values(struct random_case *c)
{
    const int n = random_value_count(c);
    struct ir_array *results = ir_alloc(c->arena, (size_t)(n + 1) * sizeof *results);
    ir_val *wanted = ir_alloc(c->arena, (size_t)(n + 1) * sizeof *wanted);

    for (int i = 0; i < n; i++)
        wanted[i] = i < c->graph->output_count ? c->graph->outputs[i].value
                                               : c->graph->effects[i - c->graph->output_count];
    if (c->error.status ||
        !ir_evaluate(c->graph, c->bindings, c->binding, n, wanted, results, c->arena, &c->error))
        return NULL;
    return results;
}

static double element(const struct ir_array *a, int64_t i)
{
    double x;

    ir_load_real(&x, a, NULL, i, 1);
    return x;
}

bool random_equal(const struct ir_array *a, const struct ir_array *b, double relative,
                  double absolute, struct ir_text *why)
{
    if (a->dtype != b->dtype || !ir_same_shape(&a->shape, &b->shape)) {
        ir_put(why, "another type or shape");
        return false;
    }
    if (random_is_half(a->dtype) && relative > 0) /* some units of the last place */
        relative = absolute = a->dtype == IR_F16 ? 0x1p-8 : 0x1p-5;
    for (int64_t i = 0; i < count(&a->shape); i++) {
        const size_t bytes = (size_t)ir_dtypes[a->dtype].bytes;
        const double x = element(a, i), y = element(b, i);

        if (ir_dtypes[a->dtype].kind != 'f' &&
            memcmp((char *)a->data + (size_t)i * bytes, (char *)b->data + (size_t)i * bytes,
                   bytes) != 0)
            ;
        else if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= absolute + relative * fabs(x))
            continue;
        ir_put(why, "element %lld of %lld is %.9g and %.9g", (long long)i,
               (long long)count(&a->shape), x, y);
        return false;
    }
    return true;
}

/* --- shrinking ------------------------------------------------------------------------------- */

/* A way to make a case smaller. */
struct cut {
    int drop;      /* leave this output or effect out; -1: none */
    uint32_t only; /* return this node and nothing else; 0: what was returned */
    uint32_t node; /* make this node an input; 0: none */
};

/* The smaller case; what is dead in it goes. */
static void smaller(struct random_case *to, const struct random_case *from, struct cut how)
{
    const uint32_t cut = how.node;
    char name[40]; /* of the new input; bindings only grow, so it is new */
    const struct ir_graph *in = from->graph;
    struct ir_array value = { 0 };
    const ir_val at = { cut };
    bool *needed = calloc(in->count, sizeof *needed);
    ir_val *moved;

    *to = (struct random_case){ .seed = from->seed,
                                .options = from->options,
                                .arena = ir_arena_new() };
    if (!needed)
        abort();
    snprintf(name, sizeof name, "cut%d", from->bindings);
    for (int i = 0; i < in->output_count && !how.only; i++)
        needed[in->outputs[i].value.id] |= i != how.drop;
    for (int i = 0; i < in->effect_count && !how.only; i++)
        needed[in->effects[i].id] |= in->output_count + i != how.drop;
    needed[how.only] = how.only != 0;
    for (uint32_t v = in->count; v-- > 1;)
        for (int i = 0; needed[v] && v != cut && i < in->nodes[v].arity; i++)
            needed[in->nodes[v].args[i].id] = true;

    to->graph = ir_graph_like(in);
    to->graph->error = &to->error;
    moved = ir_moved(to->graph, in);
    for (uint32_t v = 1; v < in->count; v++) {
        const struct ir_node *n = &in->nodes[v];

        if (!needed[v])
            continue;
        moved[v] = v == cut ? ir_input(to->graph, name, n->dtype, n->shape, n->loc)
                            : ir_copy(to->graph, in, (ir_val){ v }, moved);
    }
    if (how.only)
        ir_output(to->graph, "y", moved[how.only]);
    for (int i = 0; i < in->output_count && !how.only; i++)
        if (i != how.drop)
            ir_output(to->graph, in->outputs[i].name, moved[in->outputs[i].value.id]);
    /* the inputs keep their values; the new one has the node's */
    if (cut &&
        ir_evaluate(in, from->bindings, from->binding, 1, &at, &value, to->arena, &to->error) &&
        from->bindings < RANDOM_INPUTS)
        to->binding[to->bindings++] =
            (struct ir_binding){ ir_format(to->arena, "%s", name), value };
    for (int i = 0; i < from->bindings && to->bindings < RANDOM_INPUTS; i++) {
        struct ir_binding *b = &to->binding[to->bindings++];
        const size_t bytes = (size_t)(count(&from->binding[i].array.shape) *
                                      ir_dtypes[from->binding[i].array.dtype].bytes);

        *b = from->binding[i];
        b->name = ir_format(to->arena, "%s", b->name);
        b->array.data = memcpy(ir_alloc(to->arena, bytes + 1), from->binding[i].array.data, bytes);
    }
    free(needed);
}

/* Whether the property fails for a case; tried on a copy, because it may append nodes. */
static bool fails(const struct random_case *c, random_property *property, void *user,
                  struct ir_text *why)
{
    struct random_case copy;
    bool failed;

    smaller(&copy, c, (struct cut){ .drop = -1 });
    failed = !copy.error.status && random_value_count(&copy) > 0 && !property(&copy, user, why);
    if (failed && copy.error.status)
        ir_put(why, " (%s)", copy.error.text);
    random_free(&copy);
    return failed;
}

/* Replaces c by a smaller case if that fails as well. */
static bool replaces(struct random_case *c, struct cut how, random_property *property, void *user)
{
    struct random_case next;
    struct ir_text why = { 0 };
    bool failed;

    smaller(&next, c, how);
    failed = !next.error.status && fails(&next, property, user, &why);
    ir_text_free(&why);
    random_free(failed ? c : &next);
    if (failed) {
        *c = next;
        c->graph->error = &c->error;
    }
    return failed;
}

/* Each round keeps what still fails; a case of n nodes takes a few rounds of n trials. */
static void shrink(struct random_case *c, random_property *property, void *user)
{
    bool again = true;

    while (again) {
        again = false;
        for (uint32_t v = 1; v < c->graph->count && random_value_count(c) > 1; v++)
            if (c->graph->nodes[v].op != IR_assign && c->graph->nodes[v].op != IR_scan)
                again |= replaces(c, (struct cut){ .drop = -1, .only = v }, property, user);
        for (int i = random_value_count(c); i-- > 0 && random_value_count(c) > 1;)
            again |= replaces(c, (struct cut){ .drop = i }, property, user);
        for (uint32_t v = c->graph->count; v-- > 1;)
            if (v < c->graph->count && c->graph->nodes[v].arity > 0 &&
                c->graph->nodes[v].op != IR_assign && c->graph->nodes[v].op != IR_scan)
                again |= replaces(c, (struct cut){ .drop = -1, .node = v }, property, user);
    }
}

bool random_holds(random_property *property, void *user, uint64_t seed,
                  const struct random_options *options)
{
    struct random_case c;
    struct ir_text why = { 0 }, last = { 0 }, text = { 0 };
    bool failed;

    random_make(&c, seed, options);
    c.graph->error = &c.error;
    failed = fails(&c, property, user, &why);
    if (failed) {
        shrink(&c, property, user);
        fails(&c, property, user, &last);
        ir_print(&text, c.graph);
        fprintf(stderr, "random: seed %llu%s%s: %s\nshrunken to: %s\n%s", (unsigned long long)seed,
                options->symbolic ? ", symbolic" : "", options->smooth ? ", smooth" : "",
                why.data ? why.data : "", last.data ? last.data : "", text.data ? text.data : "");
    }
    ir_text_free(&why);
    ir_text_free(&last);
    ir_text_free(&text);
    random_free(&c);
    return !failed;
}
