/*
 * loops: which nodes run in which loop of kernels, found by what they read: a node is as deep
 * inside as the deepest of its arguments, and what reads no step stays outside.
 */
#include "passes.h"

static int innermost(const struct pass_loops *l, int a, int b)
{
    return a < 0 ? b : b < 0 || l->at[a].depth >= l->at[b].depth ? a : b;
}

static void begin(struct pass_loops *l, struct ir_arena *arena, const struct ir_graph *g,
                  uint32_t v)
{
    const struct ir_node *n = &g->nodes[v];
    const struct ir_node *first = n->arity ? ir_at(g, n->args[0]) : n;
    int parent = n->arity && first->op == IR_step ? l->loop_of[n->args[0].id] : -1;

    ir_grow(arena, l->at, l->count, l->room);
    l->loop_of[v] = l->count;
    l->at[l->count++] = (struct pass_loop){ .step = { v },
                                            .parent = parent,
                                            .depth = parent < 0 ? 0 : l->at[parent].depth + 1 };
}

struct pass_loops *pass_find_loops(const struct ir_graph *g, struct ir_arena *arena)
{
    struct pass_loops *l = ir_alloc(arena, sizeof *l);

    l->loop_of = ir_alloc(arena, g->count * sizeof *l->loop_of);
    l->loop_of[0] = -1;
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        l->loop_of[v] = -1;
        if (n->op == IR_step) {
            begin(l, arena, g, v);
            continue;
        }
        if (n->op == IR_done) {
            int loop = l->loop_of[n->args[0].id];
            l->at[loop].done = (ir_val){ v };
            l->loop_of[v] = l->at[loop].parent;
            continue;
        }
        for (int i = 0; i < n->arity; i++)
            l->loop_of[v] = innermost(l, l->loop_of[v], l->loop_of[n->args[i].id]);
    }
    return l;
}

bool pass_in_loop(const struct pass_loops *l, int loop, int around)
{
    while (loop >= 0 && loop != around)
        loop = l->at[loop].parent;
    return loop == around;
}

bool pass_has_loops(const struct ir_graph *g)
{
    return pass_outer_symbols(g) < g->symbols;
}

int pass_outer_symbols(const struct ir_graph *g)
{
    int least = g->symbols;

    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_step)
            for (int s = 0; s < least; s++)
                if (g->dimension[g->nodes[v].attr[0].at[0] - INT64_MIN].power[s])
                    least = s;
    return least;
}
