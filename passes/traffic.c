/*
 * traffic: what each kernel reads and stores.
 *
 * Views, constants and index arithmetic belong to no kernel, so what a kernel reads of memory is
 * found through them. From this follow which kernel must wait for which, and between which two a
 * value has to be kept.
 */
#include "traffic.h"

#include <string.h>

#define LINE 64

int64_t pass_bytes(const struct pass_compiled *c, ir_val v)
{
    const int64_t bytes =
        c->storage[v.id].elements * ir_dtypes[ir_at(c->program->graph, v)->dtype].bytes;

    return (bytes + LINE - 1) / LINE * LINE;
}

bool pass_kept(const struct pass_compiled *c, ir_val v)
{
    const enum ir_op op = ir_at(c->program->graph, v)->op;

    return op != IR_state && !ir_is_store(op) && c->storage[v.id].parts >= 0;
}

struct walk {
    const struct pass_compiled *c;
    int kernel;
    int *seen; /* by node id: the kernel that met it last, plus one */
    ir_val *found;
    int count;
};

static void meet(struct walk *w, ir_val v)
{
    const struct ir_node *n = ir_at(w->c->program->graph, v);
    const bool leaf = ir_is_memory(n->op);

    if (w->seen[v.id] == w->kernel + 1)
        return;
    w->seen[v.id] = w->kernel + 1;
    if (leaf || (w->c->kernel_of[v.id] >= 0 && w->c->kernel_of[v.id] != w->kernel))
        w->found[w->count++] = v;
    else if (w->c->kernel_of[v.id] < 0)
        for (int i = 0; i < n->arity; i++)
            meet(w, n->args[i]);
}

static struct pass_values keep(struct ir_arena *arena, const ir_val *v, int count)
{
    struct pass_values kept = { count, ir_alloc(arena, (size_t)(count + 1) * sizeof *kept.at) };

    if (count)
        memcpy(kept.at, v, (size_t)count * sizeof *v);
    return kept;
}

struct pass_traffic *pass_traffic(const struct pass_compiled *c, struct ir_arena *arena)
{
    const struct ir_graph *g = c->program->graph;
    const int kernels = c->program->kernel_count;
    struct pass_traffic *t = ir_alloc(arena, (size_t)(kernels + 1) * sizeof *t);
    struct walk w = { .c = c };

    w.seen = ir_alloc(arena, g->count * sizeof *w.seen);
    w.found = ir_alloc(arena, g->count * sizeof *w.found);
    for (w.kernel = 0; w.kernel < kernels; w.kernel++) {
        const struct ir_kernel *k = &c->program->kernels[w.kernel];

        w.count = 0;
        for (int i = 0; i < k->count; i++) {
            const struct ir_node *n = ir_at(g, k->nodes[i]);
            for (int j = ir_is_store(n->op); j < n->arity; j++)
                meet(&w, n->args[j]);
        }
        t[w.kernel].reads = keep(arena, w.found, w.count);
        w.count = 0;
        for (int i = 0; i < k->count; i++)
            if (ir_is_store(ir_at(g, k->nodes[i])->op))
                w.found[w.count++] = ir_at(g, k->nodes[i])->args[0];
            else if (pass_kept(c, k->nodes[i]))
                w.found[w.count++] = k->nodes[i];
        t[w.kernel].writes = keep(arena, w.found, w.count);
    }
    return t;
}
