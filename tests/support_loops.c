/*
 * The kernels of a program as loop nests, made as pass_pipeline makes them, with a look at each on
 * the way.
 */
#include "support_loops.h"

#include <stdlib.h>
#include <string.h>

void support_nests(const struct ir_program *program, struct support_nests *n)
{
    struct pass_options options = { .target = ir_target_by_name("x86-64-v4"),
                                    .fuse = n->fuse,
                                    .threads = n->threads };
    struct pass_compiled c = { .arena = n->arena };
    const struct ir_graph *g = program->graph;

    if (!program->kernel_count) {
        const struct ir_graph *wide = pass_widen(g);
        if (wide != g)
            ir_arena_adopt(n->arena, wide->arena);
        g = wide;
    }
    c.program =
        program->kernel_count ? (struct ir_program *)program : pass_fuse(g, &options, n->arena);
    c.kernel_of = ir_alloc(n->arena, g->count * sizeof *c.kernel_of);
    for (uint32_t v = 0; v < g->count; v++)
        c.kernel_of[v] = -1;
    for (int k = 0; k < c.program->kernel_count; k++)
        for (int i = 0; i < c.program->kernels[k].count; i++)
            c.kernel_of[c.program->kernels[k].nodes[i].id] = k;
    pass_layout(&c, &options);
    c.pieces = !options.target->processors;
    n->kernels = c.program->kernel_count;
    n->kernel = ir_alloc(n->arena, (size_t)(n->kernels + 1) * sizeof(struct loop_kernel *));
    for (int k = 0; k < n->kernels; k++) {
        n->kernel[k] = pass_lower(&c, k, &n->refused);
        if (n->kernel[k] && n->schedule)
            pass_schedule(n->kernel[k], &options, &n->refused);
    }
}

bool support_sound(const struct loop_kernel *k, struct ir_text *why)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_error error = { 0 };
    struct ir_text once = { 0 }, twice = { 0 };
    struct loop_kernel *again;
    bool fine = loop_verify(k, &error);

    loop_print(&once, k);
    if (!fine) {
        ir_put(why, "%s\n%s", error.text, once.data);
    } else if (!(again = loop_parse("printed", once.data, once.size, k->graph, arena, &error))) {
        ir_put(why, "its text is refused: %s\n%s", error.text, once.data);
        fine = false;
    } else {
        loop_print(&twice, again);
        fine = !strcmp(once.data, twice.data);
        if (!fine)
            ir_put(why, "%s\nreads back as\n%s", once.data, twice.data);
        else if (!(fine = loop_verify(again, &error)))
            ir_put(why, "read back it is no longer sound: %s\n%s", error.text, once.data);
    }
    ir_text_free(&once);
    ir_text_free(&twice);
    ir_arena_free(arena);
    return fine;
}

struct ir_graph *support_graph(struct ir_error *error)
{
    struct ir_graph *g = ir_graph_new("g", error);
    int64_t batch = ir_symbol_new(g, "batch", 1, 64);
    struct ir_loc at = { "mlp.c", 14 };

    ir_input(g, "x", IR_F32, (struct ir_shape){ 2, { batch, 784 } }, at);
    ir_input(g, "w", IR_F32, (struct ir_shape){ 2, { 128, 784 } }, at);
    ir_input(g, "i", IR_I32, (struct ir_shape){ 1, { batch } }, at);
    ir_dim_add(g, ir_dim_mul(g, 4, batch), 2);
    return g;
}
