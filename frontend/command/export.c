/*
 * taper export: what a model computes, as an ONNX file: of a built-in model its scores, of a .tp
 * file what its program returns, of an ONNX file its outputs.
 */
#include "command.h"
#include "frontend/models.h"
#include "frontend/onnx/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORTS = 64, LONGEST = 1 << 20 };

struct export
{
    const char *to, *weights, *program;
    struct session session;
    struct ir_error *error;
};

static bool said(struct export *e, tp_graph *g)
{
    return tp_error(g) == NULL || ir_error(e->error, tp_status(g), "%s", tp_error(g));
}

static bool weights(struct export *e, tp_graph *g)
{
    return !e->weights || tp_load(g, e->weights) || said(e, g);
}

static bool built_in(struct export *e, const char *name, const struct settings *wanted)
{
    struct session *s = &e->session;
    const char *const output = "output";

    if (!command_trace(s, name, wanted))
        return ir_error(e->error, s->error.status, "%s", s->error.text);
    return weights(e, s->graph) &&
           (tp_export_named(s->graph, 1, &s->values->output, &output, e->to) || said(e, s->graph));
}

/* --- a .tp file --------------------------------------------------------------------------------
 */

/* The one that is named; else what evaluates; else the only one. */
static const struct ir_program *choose(struct export *e, const struct ir_module *m)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->program[i]->graph->name, e->program ? e->program : "eval") == 0)
            return m->program[i];
    if (!e->program && m->count == 1)
        return m->program[0];
    ir_error(e->error, IR_REFUSED, "there is no program \"%.60s\" in it; --program names one",
             e->program ? e->program : "eval");
    return NULL;
}

static bool any(void *user, const char *input)
{
    (void)user, (void)input;
    return true;
}

/* Of a trace that is trained: who uses it has no targets. */
static bool is_no_target(void *user, const char *input)
{
    (void)user;
    return strcmp(input, "y") != 0;
}

/* In evaluation, but for a program that changes something: that is refused. */
static bool from_text(struct export *e, const char *path)
{
    struct ir_module *m = command_read_module(path, e->error);
    const struct ir_program *p = m ? choose(e, m) : NULL;
    const bool trace = p && strcmp(p->graph->name, "trace") == 0;
    tp_graph *g = p ? tp_graph_new(p->graph->seed) : NULL;
    struct ir_graph *out = NULL;
    bool ok = g != NULL;

    if (p && !g)
        ir_error(e->error, IR_FAILED, "not enough memory");
    ok = ok && (command_adopt(g, p) || said(e, g));
    ok = ok && (!command_is_weights(path) || tp_load_whole(g, path) || said(e, g)) && weights(e, g);
    if (ok && trace)
        out = command_evaluated(g, is_no_target, NULL);
    if (out && out->output_count == 0) {
        ir_graph_free(out);
        out = command_evaluated(g, any, NULL);
    }
    ok = ok && tp_onnx_write(g, out ? out : g->ir, e->to, e->error);
    if (out)
        ir_graph_free(out);
    tp_graph_free(g);
    ir_module_free(m);
    return ok;
}

/* --- an ONNX file ------------------------------------------------------------------------------
 */

/* Extents that the file leaves open are symbols: of one name one, others of their own. */
static int64_t open_extent(tp_graph *g, const struct onnx_port *p, int axis)
{
    const char *name = p->param[axis];

    if (!name || !*name)
        name = ir_format(g->ir->arena, "%s_%d", p->name, axis);
    for (int s = 0; s < g->ir->symbols; s++)
        if (strcmp(g->ir->symbol[s].name, name) == 0)
            return ir_symbol_dim(g->ir, s);
    return tp_symbol(g, name, 1, LONGEST);
}

static bool from_onnx(struct export *e, const char *path)
{
    struct onnx_model *m = tp_onnx_read(path, e->error);
    tp_graph *g = m ? tp_graph_new(1) : NULL;
    tp_tensor in[PORTS] = { { 0 } }, out[PORTS] = { { 0 } };
    const char *name[PORTS];
    bool ok = g != NULL;

    if (ok && (tp_onnx_inputs(m) > PORTS || tp_onnx_outputs(m) > PORTS))
        ok = ir_error(e->error, IR_UNSUPPORTED, "%.200s: more than %d inputs or outputs", path,
                      PORTS);
    if (g)
        tp_on_warning(g, NULL, NULL);
    for (int i = 0; ok && i < tp_onnx_inputs(m); i++) {
        const struct onnx_port *p = tp_onnx_input(m, i);
        tp_shape shape = { .rank = p->rank };
        if (p->optional)
            continue;
        if (!p->shaped)
            ok = ir_error(e->error, IR_UNSUPPORTED,
                          "%.200s: input \"%.60s\" has no shape; expected one", path, p->name);
        for (int k = 0; ok && k < p->rank; k++)
            shape.dim[k] = p->dim[k] >= 0 ? p->dim[k] : open_extent(g, p, k);
        if (ok)
            in[i] = tp_input(g, p->name, (tp_dtype)(p->dtype + 1), shape);
        ok = ok && said(e, g);
    }
    ok = ok && tp_onnx_import(m, g, &(struct onnx_request){ .input = in, .output = out }, e->error);
    for (int i = 0; ok && i < tp_onnx_outputs(m); i++)
        name[i] = tp_onnx_output(m, i)->name;
    ok = ok && weights(e, g) &&
         (tp_export_named(g, tp_onnx_outputs(m), out, name, e->to) || said(e, g));
    tp_graph_free(g);
    tp_onnx_free(m);
    return ok;
}

int command_export(int argc, char **argv, struct ir_error *error)
{
    struct settings wanted = command_unset;
    struct export e = { .error = error };
    const struct option options[] = {
        { "-o", 's', &e.to, "F.onnx", "the file" },
        { "--weights", 's', &e.weights, "F", "what taper train --save has written" },
        { "--program", 's', &e.program, "NAME", "of a .tp file with more than one: eval" },
        { "--data", 's', &wanted.data, "PATH|NAME", "whose rows the model is for: its own" },
        COMMAND_SIZES(wanted),
        { "--seed", 'i', &wanted.seed, "N", "of initial values" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper export MODEL|FILE.tp|FILE.onnx -o F.onnx [options]",
        "Writes what a model computes as an ONNX file (opset 20) with its weights: of a built-in\n"
        "model the scores, of a .tp file what its program returns, of an ONNX file its outputs.\n"
        "Extents that may vary have names. Exit status 3: ONNX has not what the model needs.",
        "taper export lenet --weights lenet.safetensors -o lenet.onnx", options
    };
    const int words = command_options(argc, argv, &usage, error);
    const char *dot;

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1 || !e.to) {
        ir_error(error, IR_REFUSED, "export takes one model, and -o with the file to write");
        return error->status;
    }
    dot = strrchr(argv[0], '.');
    if (command_is_onnx(argv[0]))
        from_onnx(&e, argv[0]);
    else if (!tp_model_find(argv[0]) && dot && strchr(dot, '/') == NULL)
        from_text(&e, argv[0]);
    else
        built_in(&e, argv[0], &wanted);
    command_session_free(&e.session);
    return error->status;
}
