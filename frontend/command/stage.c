/*
 * stage: a model's text at any stage of the compiler.
 *
 * Up to `plan` a stage's text is a .tp file, which the command takes back as a model: from `layout`
 * on with its kernels, and with what else was decided as comments. `loops` and `c` are texts of
 * their own.
 */
#include "codegen/codegen.h"
#include "command.h"
#include "frontend/models.h"
#include "passes/passes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TRACE, GRAD, SIMPLE, LAYOUT, FUSE, LOOPS, PLAN, C, CUDA, STAGES };

const struct stage command_stages[] = {
    [TRACE] = { "trace", "what was recorded, composites as regions" },
    [GRAD] = { "grad", "with derivatives and optimiser" },
    [SIMPLE] = { "simple", "folded, shared, pruned" },
    [LAYOUT] = { "layout", "with the storage of every value" },
    [FUSE] = { "fuse", "split into kernels" },
    [LOOPS] = { "loops", "each kernel as a loop nest" },
    [PLAN] = { "plan", "with places in the arena" },
    [C] = { "c", "the program's text" },
    [CUDA] = { "cuda", "the same for CUDA" },
    [STAGES] = { NULL, NULL },
};

struct show {
    struct session *session;
    enum kind stage;
    const char *kernel; /* this one only, or NULL */
    const char *format;
    void (*print)(struct ir_text *, const struct ir_program *); /* graphs, in that format */
    struct ir_text *out;
    struct ir_error *error;
    bool found; /* the kernel */
};

/* --- what a .tp file says besides its programs, so that it trains as the model did --------------
 */

static void put_settings(const struct show *w)
{
    struct session *s = w->session;
    struct ir_module m = { .arena = ir_arena_new() };

    if (!s->module)
        command_put_settings(s, &m);
    for (int i = 0; s->module && i < s->module->setting_count; i++)
        m.setting[m.setting_count++] = s->module->setting[i];
    ir_print_module(w->out, &m);
    ir_arena_free(m.arena);
}

/* --- one program --------------------------------------------------------------------------------
 */

/* The text of one kernel out of the program's. */
static void put_kernel(struct ir_text *out, const struct ir_program *p, const struct ir_kernel *k)
{
    struct ir_text all = { 0 };
    int before = (int)(k - p->kernels);
    const char *at, *end;

    ir_print_program(&all, p);
    at = all.data;
    for (int i = 0; i <= before; i++)
        at = strstr(at + (i > 0), "\n  kernel ");
    end = strstr(at, "\n  }\n");
    ir_put(out, "%.*s\n", (int)(end + strlen("\n  }") - at - 1), at + 1);
    ir_text_free(&all);
}

static const struct gen_target *language(const struct show *w)
{
    return w->stage == CUDA ? &gen_target_cuda : &gen_target_c;
}

static void put_kernels(struct show *w, const struct pass_compiled *c)
{
    for (int k = 0; k < c->program->kernel_count; k++) {
        const struct ir_kernel *kernel = &c->program->kernels[k];
        if (w->kernel && strcmp(kernel->name, w->kernel) != 0)
            continue;
        w->found = true;
        if (w->stage == LOOPS)
            loop_print(w->out, c->loops->kernel[k]);
        else if (w->stage >= C)
            gen_kernel(w->out, c->loops, c->loops->kernel[k], language(w));
        else
            put_kernel(w->out, c->program, kernel);
    }
}

/* A later program finds the states where this one has them. */
static void keep_states(tp_graph *g, const struct pass_compiled *c)
{
    for (int i = 0; i < c->loops->places; i++) {
        const struct loop_place *p = &c->loops->place[i];
        struct state *s = p->base == 1 ? tp_state_find(g, p->name) : NULL;
        if (s) {
            s->offset = p->offset;
            s->storage = c->storage[p->value.id];
        }
    }
    g->memory_used = (size_t)c->loops->state_bytes;
}

static bool put_planned(struct show *w, const tp_program *program, const struct ir_program *simple)
{
    struct ir_arena *arena = ir_arena_new();
    struct pass_compiled *c = tp_planned_program(program->owner, simple, program->making, arena);
    bool ok = c != NULL;

    if (!ok) {
        ir_error(w->error, tp_status(program->owner), "%s", tp_error(program->owner));
    } else if (w->print != ir_print_program) {
        w->print(w->out, c->program);
    } else if (w->kernel || w->stage == LOOPS) {
        if (w->stage == PLAN)
            pass_print_plan(w->out, c->loops, w->kernel);
        put_kernels(w, c);
    } else if (w->stage >= C) {
        ok = gen_program(w->out, c->loops, language(w), w->error);
    } else {
        if (w->stage == LAYOUT)
            pass_print_layout(w->out, c);
        if (w->stage == PLAN)
            pass_print_plan(w->out, c->loops, NULL);
        ir_print_program(w->out, c->program);
    }
    if (ok)
        keep_states(program->owner, c);
    ir_arena_free(arena);
    return ok;
}

static bool put_program(struct show *w, const tp_program *program)
{
    struct ir_program p = program->kernels;
    bool ok = true;

    if (w->stage >= SIMPLE)
        p = tp_simple_program(&program->kernels);
    if (w->stage >= LAYOUT)
        ok = put_planned(w, program, &p);
    else
        w->print(w->out, &p);
    if (p.graph != program->graph)
        ir_graph_free(p.graph);
    return ok;
}

/* The trace of a built-in model: loss and hits, in the form for training; and its scores. */
static void put_trace(const struct show *w, bool scores)
{
    const struct session *s = w->session;
    const tp_tensor all[] = { s->values->loss, s->values->hits, s->values->output };
    struct wanted wanted = tp_wanted(s->graph, (tp_list){ scores ? 3 : 2, all }, (tp_list){ 0 });
    struct ir_graph *g = tp_trace_part(s->graph, "trace", TP_TRAIN, &wanted, true);
    const struct ir_program p = { .graph = g };

    ir_output(g, "loss", wanted.value[0]);
    ir_output(g, "hits", wanted.value[1]);
    if (scores)
        ir_output(g, "scores", wanted.value[2]);
    tp_name_notices(g, &wanted, false);
    w->print(w->out, &p);
    ir_graph_free(g);
}

/* --- the stage -----------------------------------------------------------------------------------
 */

static bool good(struct show *w, const char *stage)
{
    static const struct {
        const char *name;
        void (*print)(struct ir_text *, const struct ir_program *);
    } formats[] = { { "text", ir_print_program },
                    { "dot", ir_print_dot },
                    { "json", ir_print_json } };

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(w->format, formats[i].name) == 0)
            w->print = formats[i].print;
    while (command_stages[w->stage].name && strcmp(command_stages[w->stage].name, stage) != 0)
        w->stage++;
    if (w->stage == STAGES)
        return ir_error(w->error, IR_REFUSED,
                        "--stage \"%.40s\": expected trace, grad, simple, layout, "
                        "fuse, loops, plan, c or cuda",
                        stage);
    if (!w->print)
        return ir_error(w->error, IR_REFUSED, "--format \"%.40s\": expected text, dot or json",
                        w->format);
    if (w->kernel && w->stage < LAYOUT)
        return ir_error(w->error, IR_REFUSED,
                        "--kernel: the stage %s has none; expected layout, "
                        "fuse, loops, plan, c or cuda",
                        stage);
    if (w->print != ir_print_program && (w->kernel || w->stage == LOOPS || w->stage >= C))
        return ir_error(w->error, IR_REFUSED, "--format %s: expected a stage of whole graphs",
                        w->format);
    return true;
}

bool command_stage_text(struct session *s, const char *stage, const char *of, const char *kernel,
                        const char *format, struct ir_text *out, struct ir_error *error)
{
    struct show w = {
        .session = s, .kernel = kernel, .format = format, .out = out, .error = error
    };
    const tp_program *program[] = { s->step, s->eval };
    bool shown = false;

    if (!good(&w, stage))
        return false;
    if (w.stage != LOOPS && w.stage < C && !kernel && w.print == ir_print_program)
        put_settings(&w);
    if (of && w.stage == TRACE && s->values)
        return ir_error(error, IR_REFUSED, "--program: the stage trace comes before programs");
    if (w.stage == TRACE && s->values) {
        if (w.print == ir_print_program)
            ir_put(out, "\n");
        put_trace(&w, false);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (!program[i] || (of && strcmp(of, program[i]->graph->name) != 0))
            continue;
        if (out->size && !kernel && w.print != ir_print_json)
            ir_put(out, "\n");
        if (w.stage == LOOPS && !kernel)
            ir_put(out, "# the program %s\n", program[i]->graph->name);
        if (!put_program(&w, program[i]))
            return false;
        shown = true;
        /* a C file and a picture are one program, and a kernel is shown once */
        if (!of && (kernel ? w.found : w.stage >= C || strcmp(format, "dot") == 0))
            break;
    }
    if (!shown)
        return ir_error(error, IR_REFUSED, "--program \"%.60s\": expected step%s", of,
                        s->eval ? " or eval" : "");
    return !kernel || w.found ||
           ir_error(error, IR_REFUSED,
                    "--kernel \"%.60s\": there is none of that name; --stage fuse lists them",
                    kernel);
}

/* What has no hits is not read back. */
bool command_has_text(const struct session *s)
{
    return s->values && s->values->hits.id && s->values->output.id;
}

bool command_model_text(struct session *s, struct ir_text *out)
{
    struct show w = { .session = s, .print = ir_print_program, .out = out, .error = &s->error };

    put_settings(&w);
    ir_put(out, "\n");
    put_trace(&w, true);
    return s->error.status == IR_OK;
}
