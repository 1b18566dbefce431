/*
 * pipeline: the ordered list of what happens between a graph and a planned program.
 */
#include "passes.h"

#include <string.h>

/* the graph with the symbols' bounds narrowed to what this program is compiled for */
static const struct ir_graph *narrowed(const struct ir_graph *g, const struct pass_options *options,
                                       struct ir_arena *arena)
{
    struct ir_graph *copy = ir_alloc(arena, sizeof *copy);

    *copy = *g;
    for (int s = 0; s < g->symbols; s++)
        if (options->bound[s] > 0 && options->bound[s] < g->symbol[s].hi)
            copy->symbol[s].hi = options->bound[s];
    return copy;
}

static void number_kernels(struct pass_compiled *c)
{
    const uint32_t count = c->program->graph->count;

    c->kernel_of = ir_alloc(c->arena, count * sizeof *c->kernel_of);
    for (uint32_t v = 0; v < count; v++)
        c->kernel_of[v] = -1;
    for (int k = 0; k < c->program->kernel_count; k++)
        for (int i = 0; i < c->program->kernels[k].count; i++)
            c->kernel_of[c->program->kernels[k].nodes[i].id] = k;
}

struct pass_compiled *pass_pipeline(const struct ir_program *program,
                                    const struct pass_options *options, struct ir_arena *arena,
                                    struct ir_error *error)
{
    struct pass_compiled *c = ir_alloc(arena, sizeof *c);
    const struct ir_graph *g = narrowed(program->graph, options, arena);

    c->arena = arena;
    if (!program->kernel_count) {
        const struct ir_graph *laid = pass_relayout(g, options->external);
        if (laid != g)
            ir_arena_adopt(arena, laid->arena);
        g = laid;
    }
    if (program->kernel_count) {
        c->program = ir_alloc(arena, sizeof *c->program);
        *c->program = *program;
        c->program->graph = (struct ir_graph *)g;
    } else {
        c->program = pass_fuse(g, options, arena);
    }
    number_kernels(c);
    pass_layout(c, options);
    if (!program->kernel_count && !options->external) {
        c->program = pass_order(c, arena);
        number_kernels(c);
    }
    c->loops = ir_alloc(arena, sizeof *c->loops);
    *c->loops = (struct loop_program){
        .arena = arena, .graph = g, .target = options->target, .name = g->name
    };
    c->loops->kernel =
        ir_alloc(arena, (size_t)(c->program->kernel_count + 1) * sizeof(struct loop_kernel *));
    for (int k = 0; k < c->program->kernel_count; k++) {
        struct loop_kernel *kernel = pass_lower(c, k, error);
        if (!kernel || !pass_schedule(kernel, options, error))
            return NULL;
        c->loops->kernel[c->loops->kernels++] = kernel;
    }
    return pass_plan(c, options, error) ? c : NULL;
}
