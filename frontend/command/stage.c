/*
 * stage: a model's text at any stage of the compiler. A stage's text is a .tp file, which the
 * command takes back as a model, or program text.
 */
#include "command.h"
#include "frontend/models.h"
#include "passes/passes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct stage command_stages[] = {
    { "trace", "what was recorded, composites as regions" },
    { "grad", "with derivatives and optimiser" },
    { "simple", "folded, shared, pruned" },
    { "layout", "with the storage of every value" },
    { "fuse", "split into kernels" },
    { "loops", "each kernel as a loop nest" },
    { "plan", "with places in the arena" },
    { "c", "the program's text" },
    { "cuda", "the same for CUDA" },
    { NULL, NULL },
};

/* What a .tp file says besides its programs, so that it trains as the model did. */
static void put_settings(struct session *s, struct ir_module *m)
{
    if (!s->module) {
        command_put_settings(s, m);
        return;
    }
    for (int i = 0; i < s->module->setting_count; i++)
        m->setting[m->setting_count++] = s->module->setting[i];
}

static void add_program(struct ir_module *m, struct ir_graph *graph)
{
    struct ir_program *p = ir_alloc(m->arena, sizeof *p);

    p->graph = graph;
    m->program[m->count++] = p;
}

static bool print(struct ir_module *m, const char *format, struct ir_text *out,
                  struct ir_error *error)
{
    if (strcmp(format, "dot") == 0)
        for (int i = 0; i < m->count; i++)
            ir_print_dot(out, m->program[i]);
    else if (strcmp(format, "text") == 0)
        ir_print_module(out, m);
    else
        return ir_error(error, strcmp(format, "json") == 0 ? IR_UNSUPPORTED : IR_REFUSED,
                        "--format \"%.40s\": expected text or dot", format);
    return true;
}

/* The trace of a built-in model: loss and hits, in the form for training. */
static struct ir_graph *traced(struct session *s)
{
    const uint32_t wanted[] = { s->values->loss.id, s->values->hits.id };
    ir_val values[2];
    struct ir_graph *g = tp_trace_part(s->graph, "trace", TP_TRAIN, 2, wanted, values, true);

    ir_output(g, "loss", values[0]);
    ir_output(g, "hits", values[1]);
    return g;
}

bool command_stage_text(struct session *s, const char *stage, const char *kernel,
                        const char *format, struct ir_text *out, struct ir_error *error)
{
    struct ir_module m = { .arena = ir_arena_new() };
    struct ir_graph *made[2] = { NULL, NULL };
    bool ok = true;
    int known = 0;

    while (command_stages[known].name && strcmp(command_stages[known].name, stage) != 0)
        known++;
    if (!command_stages[known].name)
        ok = ir_error(error, IR_REFUSED,
                      "--stage \"%.40s\": expected trace, grad, simple, layout, "
                      "fuse, loops, plan, c or cuda",
                      stage);
    else if (kernel)
        ok = ir_error(error, IR_UNSUPPORTED, "--kernel is not supported for the stage %s", stage);
    put_settings(s, &m);
    if (!ok) {
        ;
    } else if (strcmp(stage, "trace") == 0 && s->values) {
        add_program(&m, made[0] = traced(s));
    } else if (strcmp(stage, "trace") == 0 || strcmp(stage, "grad") == 0) {
        add_program(&m, s->step->graph);
        if (s->eval)
            add_program(&m, s->eval->graph);
    } else if (strcmp(stage, "simple") == 0) {
        add_program(&m, made[0] = pass_simplify(s->step->graph));
        if (s->eval)
            add_program(&m, made[1] = pass_simplify(s->eval->graph));
    } else {
        ok = ir_error(error, IR_UNSUPPORTED, "the stage %s is not supported yet", stage);
    }
    ok = ok && print(&m, format, out, error);
    ir_graph_free(made[0]);
    ir_graph_free(made[1]);
    ir_arena_free(m.arena);
    return ok;
}
