/*
 * layout: how the elements of every stored value lie in memory.
 *
 * The plain storage is row-major with the rows padded to whole vectors, and off multiples of 1 KiB, where rows would fall into the same
 * sets of the first cache. What the caller hands in or reads is dense.
 */
#include "passes.h"

#include <string.h>

loop_ix pass_address(struct loop_kernel *k, const struct pass_storage *s, const loop_ix *index)
{
    loop_ix at = loop_const(k, 0);

    for (int i = 0; i < s->parts; i++) {
        const struct pass_part *p = &s->part[i];
        loop_ix                 part = loop_div(k, index[p->axis], p->divisor);
        if (p->extent)
            part = loop_mod(k, part, p->extent);
        at = loop_plus(k, at, loop_scale(k, part, p->pitch));
    }
    return at;
}

#define VECTOR 16

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static struct pass_storage rows(const struct ir_graph *g, const struct ir_node *n, bool dense)
{
    struct pass_storage s = { .parts = n->shape.rank, .elements = 1, .padded = !dense };

    for (int i = n->shape.rank; i-- > 0;) {
        int64_t extent = ir_dim_max(g, n->shape.dim[i]);
        s.part[i] = (struct pass_part){ i, 1, 0, s.elements };
        if (i == n->shape.rank - 1 && !dense) {
            bool wide = extent >= 8 || n->shape.rank == 1;
            if (wide)
                extent = round_up(extent, VECTOR);
            else
                s.padded = false;
            if (wide && n->shape.rank > 1 && extent * ir_dtypes[n->dtype].bytes % 1024 == 0)
                extent += VECTOR;
        }
        s.elements *= extent;
    }
    s.elements = round_up(s.elements, VECTOR);
    return s;
}

/* what kernel reads of others is stored; virtual nodes are computed in the kernel that reads them */
static void walk_reads(const struct pass_compiled *c, int kernel, ir_val v, bool *stored)
{
    const struct ir_node *n = ir_at(c->program->graph, v);

    for (int i = 0; i < n->arity; i++) {
        ir_val a = n->args[i];
        int    of = c->kernel_of[a.id];
        if (of == -1 && ir_at(c->program->graph, a)->op != IR_input && ir_at(c->program->graph, a)->op != IR_state)
            walk_reads(c, kernel, a, stored);
        else if (of != kernel)
            stored[a.id] = true;
    }
}

void pass_layout(struct pass_compiled *c, const struct pass_options *options)
{
    const struct ir_graph *g = c->program->graph;
    bool                  *stored = ir_alloc(c->arena, g->count * sizeof *stored);
    bool                  *dense = ir_alloc(c->arena, g->count * sizeof *dense);

    for (int k = 0; k < c->program->kernel_count; k++)
        for (int i = 0; i < c->program->kernels[k].count; i++)
            walk_reads(c, k, c->program->kernels[k].nodes[i], stored);
    for (int i = 0; i < g->output_count; i++)
        dense[g->outputs[i].value.id] = stored[g->outputs[i].value.id] = true;
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_input || g->nodes[v].op == IR_state)
            dense[v] |= g->nodes[v].op == IR_input, stored[v] = true;
    c->storage = ir_alloc(c->arena, g->count * sizeof *c->storage);
    for (uint32_t v = 0; v < g->count; v++) {
        c->storage[v].parts = -1;
        if (v == 0 || !stored[v] || g->nodes[v].op == IR_assign)
            continue;
        c->storage[v] = rows(g, &g->nodes[v], dense[v]);
        for (int i = 0; i < options->known_count; i++)
            if (g->nodes[v].op == IR_state && !strcmp(options->known[i].name, g->nodes[v].text))
                c->storage[v] = options->known[i].storage;
    }
}
