/*
 * What always holds. The rule that built a node is asked again, on a shadow of the graph that
 * shares its nodes and has an arena of its own, so the graph itself is not touched.
 */
#include "ir/ir.h"

#include <string.h>

static bool wrong(struct ir_error *error, const struct ir_graph *g, uint32_t v, const char *what)
{
    const struct ir_node *n = &g->nodes[v];

    return ir_error(error, IR_REFUSED, "%.60s: %%%u = %s: %s", g->name, v,
                    (unsigned)n->op < IR_OPS ? ir_ops[n->op].name : "?", what);
}

static bool node_holds(struct ir_graph *shadow, uint32_t v, struct ir_error *error)
{
    const struct ir_node *n = &shadow->nodes[v];
    struct ir_node again = *n;

    if (n->op == IR_POISON) /* a place that ir_forget emptied; nobody may read it */
        return true;
    if ((unsigned)n->op >= IR_OPS)
        return wrong(error, shadow, v, "no operation");
    for (int i = 0; i < n->arity; i++)
        if (n->args[i].id == 0 || n->args[i].id >= v ||
            shadow->nodes[n->args[i].id].op == IR_POISON)
            return wrong(error, shadow, v, "an argument that does not stand before it");
    if (n->region >= shadow->regions)
        return wrong(error, shadow, v, "a region that is not there");
    if (ir_has_identity(n->op) && n->identity == 0)
        return wrong(error, shadow, v, "no identity");
    if (n->identity > shadow->identities)
        return wrong(error, shadow, v, "an identity that was never given");
    if (n->body && !ir_verify(n->body, error))
        return false;
    if (!ir_infer(shadow, &again))
        return ir_error(error, IR_REFUSED, "%.60s: %%%u: %s", shadow->name, v, shadow->error->text);
    if (again.dtype != n->dtype || !ir_same_shape(&again.shape, &n->shape)) {
        struct ir_text text = { 0 };
        ir_put_shape(&text, shadow, again.dtype, &again.shape);
        ir_error(error, IR_REFUSED, "%.60s: %%%u = %s: its rule gives %.200s, not what it holds",
                 shadow->name, v, ir_ops[n->op].name, text.data);
        ir_text_free(&text);
        return false;
    }
    return true;
}

static bool effects_hold(const struct ir_graph *g, struct ir_arena *scratch, struct ir_error *error)
{
    bool *assigned = ir_alloc(scratch, g->count * sizeof *assigned);
    int next = 0;

    for (uint32_t v = 1; v < g->count; v++) {
        if (g->nodes[v].op != IR_assign)
            continue;
        if (next >= g->effect_count || g->effects[next++].id != v)
            return wrong(error, g, v, "an assignment that is not in its place among the effects");
        if (assigned[g->nodes[v].args[0].id])
            return wrong(error, g, v, "a second assignment of its state");
        assigned[g->nodes[v].args[0].id] = true;
    }
    if (next != g->effect_count)
        return ir_error(error, IR_REFUSED, "%.60s: an effect that is no assignment", g->name);
    for (int i = 0; i < g->output_count; i++) {
        uint32_t v = g->outputs[i].value.id;
        if (v == 0 || v >= g->count || g->nodes[v].op == IR_POISON)
            return ir_error(error, IR_REFUSED, "%.60s: output %d is no value", g->name, i);
        if (g->nodes[v].op == IR_assign)
            return wrong(error, g, v, "an output, but an assignment has no value");
        if (ir_has_results(g->nodes[v].op))
            return wrong(error, g, v, "an output; expected one of its results");
    }
    return true;
}

static bool regions_hold(const struct ir_graph *g, struct ir_error *error)
{
    for (uint32_t i = 1; i < g->regions; i++) {
        const struct ir_region *r = &g->region[i];
        bool fine = r->parent < i && r->result.id < g->count && r->name &&
                    r->kind == ir_region_kind(r->name);
        for (int k = 0; fine && k < r->arity; k++)
            fine = r->args[k].id < g->count;
        if (!fine)
            return ir_error(error, IR_REFUSED, "%.60s: region %u is not sound", g->name, i);
    }
    return true;
}

bool ir_verify(const struct ir_graph *g, struct ir_error *error)
{
    struct ir_graph shadow = *g;
    struct ir_error local = { 0 };
    bool fine = true;

    shadow.arena = ir_arena_new();
    shadow.error = &local;
    shadow.dimension_room = shadow.dimensions; /* a new dim would go into the shadow's arena */
    for (uint32_t v = 1; v < g->count && fine; v++)
        fine = node_holds(&shadow, v, error);
    fine = fine && effects_hold(g, shadow.arena, error) && regions_hold(g, error);
    ir_arena_free(shadow.arena);
    return fine;
}

/* computed wherever it is read, where it stands in no kernel */
static bool needs_no_kernel(enum ir_op op)
{
    return ir_pointwise(op) || op == IR_reshape || op == IR_permute || op == IR_expand ||
           op == IR_slice || op == IR_flip || op == IR_at || op == IR_within || op == IR_read ||
           op == IR_local;
}

/* numbers the values of kernels by their place in the order of execution, from 1 */
static bool number_kernels(const struct ir_program *p, uint32_t *place, struct ir_error *error)
{
    const struct ir_graph *g = p->graph;
    uint32_t count = 0;

    for (int k = 0; k < p->kernel_count; k++)
        for (int i = 0; i < p->kernels[k].count; i++) {
            const struct ir_kernel *kernel = &p->kernels[k];
            uint32_t v = kernel->nodes[i].id;
            if (v == 0 || v >= g->count)
                return ir_error(error, IR_REFUSED, "%.60s: kernel %.60s: no value %u", g->name,
                                kernel->name, v);
            if (g->nodes[v].op == IR_input || g->nodes[v].op == IR_state)
                return wrong(error, g, v, "in a kernel; expected that it stands outside");
            if (place[v])
                return wrong(error, g, v, "in two kernels; expected one");
            if (i && kernel->nodes[i - 1].id >= v)
                return wrong(error, g, v, "out of order in its kernel");
            place[v] = ++count;
        }
    return true;
}

/*
 * Kernels: every value that is needed and takes work (a sum, a product, an assignment) stands in
 * one of them, once, ascending; views and pointwise values stand in one or none, inputs and states
 * in none. A kernel reads only what earlier ones or its own earlier lines have computed, through
 * what stands in none. Outputs are stored, so they stand in one, or are inputs or states.
 */
bool ir_verify_program(const struct ir_program *p, struct ir_error *error)
{
    const struct ir_graph *g = p->graph;
    struct ir_arena *scratch;
    uint32_t *place; /* in the order of execution; of a value in no kernel: of the last it needs */
    bool *live, *inside, fine;

    if (!ir_verify(g, error))
        return false;
    if (p->kernel_count == 0)
        return true;
    scratch = ir_arena_new();
    place = ir_alloc(scratch, g->count * sizeof *place);
    inside = ir_alloc(scratch, g->count * sizeof *inside);
    live = ir_live(g, scratch);
    fine = number_kernels(p, place, error);
    for (uint32_t v = 1; v < g->count; v++)
        inside[v] = place[v] != 0;
    for (uint32_t v = 1; v < g->count && fine; v++) {
        const struct ir_node *n = &g->nodes[v];
        if (live[v] && !inside[v] && n->arity != 0 && !needs_no_kernel(n->op))
            fine = wrong(error, g, v, "in no kernel; expected one");
        for (int a = 0; a < n->arity && fine; a++) {
            uint32_t from = place[n->args[a].id];
            if (inside[v] && from >= place[v])
                fine = wrong(error, g, v, "reads what no earlier kernel has computed");
            else if (!inside[v] && from > place[v])
                place[v] = from;
        }
    }
    for (int i = 0; i < g->output_count && fine; i++) {
        uint32_t v = g->outputs[i].value.id;
        if (!inside[v] && g->nodes[v].op != IR_input && g->nodes[v].op != IR_state)
            fine = wrong(error, g, v, "handed out, but in no kernel");
    }
    ir_arena_free(scratch);
    return fine;
}
