/*
 * prove_where: the operation whose derivative is wrong.
 *
 * The gradients of all values between a parameter and the loss are derived anew in the same graph,
 * where equal nodes are one node. So where the step's own gradient stops being made of them, going
 * from the loss to the parameter, is the derivative that somebody wrote otherwise. It is printed
 * as the smallest graph that shows it: the operation by itself, with its arguments and the gradient
 * that arrives as inputs, and what was found for the derivative.
 */
#include "frontend/proof.h"

#include <stdlib.h>
#include <string.h>

static bool *ancestors(const struct ir_graph *g, int n, const ir_val *of, struct ir_arena *arena)
{
    bool *made = ir_alloc(arena, g->count * sizeof *made);

    for (int i = 0; i < n; i++)
        made[of[i].id] = true;
    for (uint32_t v = g->count; v-- > 1;)
        for (int i = 0; made[v] && i < g->nodes[v].arity; i++)
            made[g->nodes[v].args[i].id] = true;
    return made;
}

/* Values between the parameter and the loss; a number of them. */
static int list_path(const struct ir_graph *g, ir_val parameter, ir_val loss, ir_val *path,
                     struct ir_arena *arena)
{
    const bool *read = ancestors(g, 1, &loss, arena);
    bool *made = ir_alloc(arena, g->count * sizeof *made);
    int count = 0;

    made[parameter.id] = true;
    for (uint32_t v = parameter.id; v <= loss.id; v++) {
        for (int i = 0; i < g->nodes[v].arity; i++)
            made[v] |= made[g->nodes[v].args[i].id];
        if (made[v] && read[v] && ir_dtypes[g->nodes[v].dtype].kind == 'f' &&
            !ir_has_results(g->nodes[v].op))
            path[count++] = (ir_val){ v };
    }
    return count;
}

struct small { /* the graph that is printed */
    struct ir_graph *g;
    const struct ir_graph *from;
    ir_val *moved;
    uint32_t before; /* nodes of the forward part come before it */
    int inputs;
};

static ir_val as_input(struct small *s, ir_val v, const char *name)
{
    const struct ir_node *n = ir_at(s->from, v);

    if (!s->moved[v.id].id)
        s->moved[v.id] = n->op == IR_const ? ir_copy(s->g, s->from, v, s->moved)
                                           : ir_input(s->g, name, n->dtype, n->shape, n->loc);
    return s->moved[v.id];
}

/* What a found derivative is made of; the forward part's other values are inputs. */
static ir_val copy_cone(struct small *s, ir_val v)
{
    const struct ir_node *n = ir_at(s->from, v);

    if (s->moved[v.id].id)
        return s->moved[v.id];
    if (n->op == IR_input || n->op == IR_state || (n->arity && v.id < s->before))
        return as_input(s, v, ir_format(s->g->arena, "in%d", s->inputs++));
    for (int i = 0; i < n->arity; i++)
        copy_cone(s, n->args[i]);
    return s->moved[v.id] = ir_copy(s->g, s->from, v, s->moved);
}

static void put_small(struct proof *p, uint32_t op, ir_val arriving, ir_val found, uint32_t before,
                      struct ir_text *said)
{
    const struct ir_node n = *ir_at(p->graph, (ir_val){ op });
    struct small s = { .g = ir_graph_like(p->graph), .from = p->graph, .before = before };
    static const char *const names[] = { "a", "b", "c", "d" };
    ir_val value;

    s.g->name = "check";
    s.g->region_now = 0;
    s.moved = ir_moved(s.g, p->graph);
    for (int i = 0; i < n.arity; i++)
        as_input(&s, n.args[i], i < 4 ? names[i] : ir_format(s.g->arena, "arg%d", i));
    s.moved[op] = ir_copy(s.g, p->graph, (ir_val){ op }, s.moved);
    if (arriving.id != op)
        as_input(&s, arriving, "g");
    value = copy_cone(&s, found);
    for (uint32_t v = 1; v < s.g->count; v++)
        s.g->nodes[v].region = 0;
    s.g->regions = 1;
    ir_output(s.g, "y", s.moved[op]);
    ir_output(s.g, "gradient", value);
    if (p->out) {
        FILE *file = fopen(p->out, "wb");
        struct ir_text text = { 0 };
        ir_print(&text, s.g);
        if (!file || fwrite(text.data, 1, text.size, file) != text.size)
            ir_error(p->error, IR_FAILED, "%.200s: cannot be written", p->out);
        if (file)
            fclose(file);
        ir_text_free(&text);
    } else {
        ir_print(said, s.g);
    }
    ir_graph_free(s.g);
}

/* The value nearest to the loss whose gradient the claim is not made of, and who reads it. */
static bool find_edit(struct proof *p, const struct claim *c, struct ir_arena *arena,
                      struct ir_text *said)
{
    struct ir_graph *g = p->graph;
    const uint32_t forward = p->loss.id + 1, before = g->count;
    ir_val *path = ir_alloc(arena, before * sizeof *path);
    const int count = list_path(g, c->parameter, p->loss, path, arena);
    ir_val *derived = ir_alloc(arena, ((size_t)count + 1) * sizeof *derived);
    ir_val *of = ir_alloc(arena, before * sizeof *of);
    const bool *claimed, *right;

    if (!pass_gradients(g, 1, &p->loss, NULL, count, path, derived))
        return false;
    claimed = ancestors(g, 1, &c->gradient, arena);
    right = ancestors(g, count, derived, arena);
    for (int i = 0; i < count; i++)
        of[path[i].id] = derived[i];
    for (int i = count; i-- > 0;) {
        uint32_t reader = 0, edit = 0;

        if (claimed[derived[i].id] || derived[i].id == c->gradient.id)
            continue;
        for (int k = i + 1; k < count && !reader; k++)
            for (int a = 0; a < ir_at(g, path[k])->arity; a++)
                if (ir_at(g, path[k])->args[a].id == path[i].id && claimed[derived[k].id])
                    reader = path[k].id;
        for (uint32_t v = 1; v < g->count && !edit; v++)
            if (claimed[v] && !right[v] && v >= forward &&
                ir_same_shape(&g->nodes[v].shape, &ir_at(g, path[i])->shape))
                edit = v;
        if (!reader || !edit)
            continue;
        ir_put(said, "  the derivative of %s", ir_ops[g->nodes[reader].op].name);
        if (g->nodes[reader].loc.file)
            ir_put(said, " at %.80s:%d", g->nodes[reader].loc.file, g->nodes[reader].loc.line);
        ir_put(said, " is another one; the smallest graph with it:\n");
        put_small(p, reader, of[reader], (ir_val){ edit }, forward, said);
        return true;
    }
    return false;
}

void proof_tell(struct proof *p, int claim, struct ir_text *said)
{
    const struct claim *c = &p->claim[claim];
    const struct ir_node n = *ir_at(p->graph, c->parameter);
    struct ir_arena *arena = ir_arena_new();

    ir_put(said, "%s: ", n.text);
    if (n.loc.file)
        ir_put(said, "%.80s:%d: ", n.loc.file, n.loc.line);
    if (c->element < 0)
        ir_put(said, "the slope along a direction");
    else
        ir_put(said, "the slope of element %lld", (long long)c->element);
    ir_put(said, " is %.9g; a difference says %.9g\n", c->slope, c->difference);
    find_edit(p, c, arena, said);
    ir_arena_free(arena);
}
