/*
 * import: the nodes of an ONNX graph, one after the other, into a trace; graphs in nodes, and
 * functions of the file, as often as they are called.
 */
#include "frontend/onnx/known.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_NODES = 200000,   /* with those in nodes and in functions, as often as they are built */
    MOST_VALUES = 1 << 18, /* of ours that they become */
    DEEPEST_CALL = 16
};

/* --- the graph ---------------------------------------------------------------------------------
 */

/* An error that an operation of ours has left gets the node's operator and name. */
static bool explain(const struct onnx_node *n, struct ir_error *error)
{
    const struct ir_error *of = &n->g->error;
    char here[140], text[sizeof of->text];
    const char *rest = text;
    size_t length;

    memcpy(text, of->text, sizeof text); /* error may be the same */
    length = (size_t)snprintf(here, sizeof here, "%.100s:%d: ", n->at.file, n->at.line);
    if (strncmp(rest, here, length) == 0)
        rest += length;
    return ir_error(error, of->status, "%s%.40s%s%.60s: %.250s", here, n->proto->op_type,
                    n->proto->name && *n->proto->name ? " " : "",
                    n->proto->name ? n->proto->name : "", rest);
}

static bool preview(const Onnx__NodeProto *p)
{
    return p->domain && strcmp(p->domain, "ai.onnx.preview.training") == 0;
}

static const Onnx__FunctionProto *function_of(const struct onnx_model *m, const Onnx__NodeProto *p)
{
    for (size_t i = 0; i < m->proto->n_functions; i++) {
        const Onnx__FunctionProto *f = m->proto->functions[i];
        if (strcmp(f->name ? f->name : "", p->op_type) == 0 &&
            strcmp(f->domain ? f->domain : "", p->domain ? p->domain : "") == 0)
            return f;
    }
    return NULL;
}

static const struct onnx_row *row_of(const struct onnx_model *m, const Onnx__NodeProto *p, int line,
                                     struct ir_error *error)
{
    const bool ours = !p->domain || !*p->domain || strcmp(p->domain, "ai.onnx") == 0 || preview(p);
    const struct onnx_row *row = ours ? tp_onnx_row(p->op_type, preview(p)) : NULL;

    if (!row)
        ir_error(error, IR_UNSUPPORTED,
                 "%.100s:%d: %.60s%s%.60s: no such operation; expected one that is supported",
                 m->file, line, p->op_type, p->name && *p->name ? " " : "", p->name ? p->name : "");
    if (row && m->opset < ONNX_OLDEST && !tp_onnx_unchanged(p->op_type)) {
        ir_error(error, IR_UNSUPPORTED,
                 "%.100s:%d: %.60s: operators of version %lld; expected %d to %d", m->file, line,
                 p->op_type, (long long)m->opset, ONNX_OLDEST, ONNX_NEWEST);
        return NULL;
    }
    return row;
}

static bool nodes_supported(const struct onnx_model *m, size_t count, Onnx__NodeProto *const *node,
                            int line, struct ir_error *error)
{
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++) {
        const int at = line ? line : (int)i + 1;
        ok = function_of(m, node[i]) || row_of(m, node[i], at, error);
        for (size_t k = 0; ok && k < node[i]->n_attribute; k++) {
            const Onnx__GraphProto *g = node[i]->attribute[k]->g;
            ok = !g || nodes_supported(m, g->n_node, g->node, at, error);
        }
    }
    return ok;
}

bool tp_onnx_supported(const struct onnx_model *m, struct ir_error *error)
{
    bool ok = nodes_supported(m, m->graph->n_node, m->graph->node, 0, error);

    for (size_t i = 0; ok && i < m->proto->n_functions; i++)
        ok = nodes_supported(m, m->proto->functions[i]->n_node, m->proto->functions[i]->node,
                             (int)i + 1, error);
    return ok;
}

static bool call(struct onnx_node *n, const Onnx__FunctionProto *f);

/* The line is the node's number, inside of others that of the outermost. */
static bool build_node(struct onnx_import *in, const Onnx__NodeProto *p, int line,
                       struct ir_error *error)
{
    const Onnx__FunctionProto *f = function_of(in->model, p);
    struct onnx_node n = { .in = in,
                           .proto = p,
                           .row = f ? NULL : row_of(in->model, p, line, error),
                           .call = in->call,
                           .g = in->g,
                           .at = { in->model->file, line },
                           .opset = in->call ? in->call->opset : in->model->opset,
                           .training = in->request->training,
                           .inputs = (int)p->n_input,
                           .outputs = (int)p->n_output };
    const struct {
        const struct ir_graph *graph;
        uint32_t values;
    } before = { in->g->ir, in->g->ir->count };

    if (!f && !n.row)
        return false;
    if (n.outputs > ONNX_OUTPUTS)
        onnx_lacks(&n, "%d outputs; expected at most %d", n.outputs, ONNX_OUTPUTS);
    if (++in->built > MOST_NODES)
        onnx_lacks(&n, "more than %d nodes, functions written out; expected fewer", MOST_NODES);
    for (size_t k = 0; k < p->n_attribute && !n.call; k++)
        if (p->attribute[k]->ref_attr_name && *p->attribute[k]->ref_attr_name)
            onnx_wrong(&n, "attribute of a function outside of one");
    while (n.outputs > 0 && !*p->output[n.outputs - 1])
        n.outputs--;
    if (onnx_ok(&n) && f)
        call(&n, f);
    else if (onnx_ok(&n))
        n.row->build(&n);
    in->values += before.graph == in->g->ir && !f ? in->g->ir->count - before.values : 0;
    if (in->values > MOST_VALUES && onnx_ok(&n))
        onnx_lacks(&n, "more than %d values; expected fewer", MOST_VALUES);
    if (!onnx_ok(&n))
        return explain(&n, error);
    for (int k = 0; k < n.outputs; k++)
        if (*p->output[k]) {
            struct onnx_value *v = onnx_value_of(in, p->output[k]);
            if (v->tensor.id || v->initialiser) {
                onnx_wrong(&n, "its output \"%.80s\" is there already; expected another name",
                           p->output[k]);
                return explain(&n, error);
            }
            *v = (struct onnx_value){ .name = p->output[k], .tensor = n.out[k] };
            v->tensor.g = in->g; /* poison: only who reads it complains */
        }
    return true;
}

/* --- graphs in nodes, and functions -------------------------------------------------------------
 */

/* How many names the nodes and the graphs in them make. */
static size_t names_in(size_t count, Onnx__NodeProto *const *node)
{
    size_t all = 0;

    for (size_t i = 0; i < count; i++) {
        all += node[i]->n_output;
        for (size_t k = 0; k < node[i]->n_attribute; k++) {
            const Onnx__GraphProto *g = node[i]->attribute[k]->g;
            if (g)
                all += g->n_initializer + g->n_input + names_in(g->n_node, g->node);
        }
    }
    return all;
}

static void make_room(struct onnx_import *in, struct ir_arena *arena, size_t names)
{
    for (in->room = 8; in->room < 2 * names + 2;)
        in->room *= 2;
    in->slot = ir_alloc(arena, in->room * sizeof *in->slot);
}

/* What stands in an initialiser becomes a value here, and not inside of a body that reads it. */
void onnx_capture(struct onnx_node *n, const Onnx__GraphProto *g)
{
    for (size_t i = 0; i < g->n_node; i++) {
        for (size_t k = 0; k < g->node[i]->n_input; k++)
            onnx_tensor_of(n->in, onnx_value_of(n->in, g->node[i]->input[k]), n->at);
        for (size_t k = 0; k < g->node[i]->n_attribute; k++)
            if (g->node[i]->attribute[k]->g)
                onnx_capture(n, g->node[i]->attribute[k]->g);
    }
    for (size_t i = 0; i < g->n_output; i++)
        onnx_tensor_of(n->in, onnx_value_of(n->in, g->output[i]->name), n->at);
}

/* A name of an inner graph; false: it is one of those around it. */
static bool define(struct onnx_node *n, const char *name, struct onnx_value as)
{
    struct onnx_value *v = onnx_value_of(n->in, name);

    if (v->tensor.id || v->initialiser) {
        onnx_wrong(n, "\"%.80s\" of a graph in it is there already; expected another name", name);
        return false;
    }
    *v = as;
    v->name = name;
    return true;
}

static void forget(struct onnx_import *in, const char *name)
{
    struct onnx_value *v = onnx_value_of(in, name);

    if (v->name)
        *v = (struct onnx_value){ .name = v->name };
}

static bool build_inner(struct onnx_node *n, size_t count, Onnx__NodeProto *const *node)
{
    struct ir_error *kept = &n->g->error;

    for (size_t i = 0; i < count; i++) {
        struct ir_error error = { 0 };
        if (!build_node(n->in, node[i], n->at.line, &error)) {
            *kept = error; /* with the names of the nodes inside */
            return false;
        }
    }
    return onnx_ok(n);
}

bool onnx_subgraph(struct onnx_node *n, const Onnx__GraphProto *g, int inputs, const tp_tensor *in,
                   int outputs, tp_tensor *out)
{
    bool ok = true;

    for (int i = 0; i < outputs; i++)
        out[i] = POISON(n->g);
    if (!onnx_ok(n))
        return false;
    if ((int)g->n_input != inputs || (int)g->n_output < outputs)
        ok = onnx_wrong(n, "a graph of %zu inputs and %zu outputs in it; expected %d and %d",
                        g->n_input, g->n_output, inputs, outputs)
                 .id;
    for (size_t i = 0; ok && i < g->n_initializer; i++)
        ok = define(n, g->initializer[i]->name,
                    (struct onnx_value){ .initialiser = g->initializer[i] });
    for (int i = 0; ok && i < inputs; i++)
        ok = define(n, g->input[i]->name, (struct onnx_value){ .tensor = in[i] });
    ok = ok && build_inner(n, g->n_node, g->node);
    for (int i = 0; ok && i < outputs; i++) {
        out[i] = onnx_tensor_of(n->in, onnx_value_of(n->in, g->output[i]->name), n->at);
        if (!out[i].id)
            ok = onnx_wrong(n, "\"%.80s\" is an output that no node of the graph in it makes",
                            g->output[i]->name)
                     .id;
    }
    for (size_t i = 0; i < g->n_initializer; i++)
        forget(n->in, g->initializer[i]->name);
    for (size_t i = 0; i < g->n_input; i++)
        forget(n->in, g->input[i]->name);
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (*g->node[i]->output[k])
                forget(n->in, g->node[i]->output[k]);
    return ok;
}

/* A function of the file: its nodes here, among names of their own. */
static bool call(struct onnx_node *n, const Onnx__FunctionProto *f)
{
    struct onnx_import *in = n->in;
    const struct onnx_import outer = *in;
    struct onnx_call frame = { in->call, n->proto, n->opset };
    struct ir_arena *arena;
    tp_tensor *arg;
    int depth = 0;
    bool ok = true;

    for (const struct onnx_call *c = in->call; c; c = c->outer)
        depth++;
    if (depth >= DEEPEST_CALL)
        return onnx_wrong(n, "%d functions in each other; expected fewer, and no circle", depth).id;
    if (n->inputs > (int)f->n_input || n->outputs > (int)f->n_output)
        return onnx_wrong(n, "%d inputs, %d outputs; the function has %zu and %zu", n->inputs,
                          n->outputs, f->n_input, f->n_output)
            .id;
    for (size_t i = 0; i < f->n_attribute; i++)
        for (size_t k = 0, given = 0; k <= n->proto->n_attribute && !given; k++) {
            if (k < n->proto->n_attribute)
                given = strcmp(n->proto->attribute[k]->name, f->attribute[i]) == 0;
            else
                return onnx_wrong(n, "no %.60s; expected one, as its function says",
                                  f->attribute[i])
                    .id;
        }
    if (f->base.n_unknown_fields) /* defaults of attributes, which the schema here has not */
        return onnx_lacks(n, "a function whose attributes have defaults").id;
    for (size_t i = 0; i < f->n_opset_import; i++)
        if (!f->opset_import[i]->domain || !*f->opset_import[i]->domain ||
            strcmp(f->opset_import[i]->domain, "ai.onnx") == 0)
            frame.opset = f->opset_import[i]->version;
    if (frame.opset < ONNX_OLDEST || frame.opset > ONNX_NEWEST)
        return onnx_lacks(n, "a function of version %lld", (long long)frame.opset).id;
    arg = ir_alloc(in->arena, ((size_t)n->inputs + 1) * sizeof *arg);
    for (int i = 0; i < n->inputs; i++) /* names out there */
        if (onnx_has(n, i))
            arg[i] = onnx_in(n, i);
    arena = ir_arena_new(); /* calls may be many */
    make_room(in, arena, f->n_input + names_in(f->n_node, f->node));
    for (int i = 0; ok && i < n->inputs; i++)
        ok = !arg[i].id || define(n, f->input[i], (struct onnx_value){ .tensor = arg[i] });
    in->call = &frame;
    ok = ok && onnx_ok(n) && build_inner(n, f->n_node, f->node);
    for (int i = 0; ok && i < n->outputs; i++)
        n->out[i] = onnx_tensor_of(in, onnx_value_of(in, f->output[i]), n->at);
    in->call = frame.outer;
    in->slot = outer.slot;
    in->room = outer.room;
    ir_arena_free(arena);
    return ok;
}

/* --- without its end -----------------------------------------------------------------------------
 */

static const Onnx__NodeProto *maker(const struct onnx_model *m, const char *name)
{
    for (size_t i = 0; i < m->graph->n_node; i++)
        for (size_t k = 0; k < m->graph->node[i]->n_output; k++)
            if (strcmp(m->graph->node[i]->output[k], name) == 0)
                return m->graph->node[i];
    return NULL;
}

static bool is(const Onnx__NodeProto *p, const char *op)
{
    return p && p->n_input > 0 && strcmp(p->op_type, op) == 0;
}

/* The value at which a model that is to be trained ends; NULL with an error. */
static const char *end_of(const struct onnx_model *m, int until, struct ir_error *error)
{
    const char *name = m->output[0].name;
    const Onnx__NodeProto *p = maker(m, name);

    while (until != ONNX_WHOLE && (is(p, "Softmax") || is(p, "LogSoftmax") || is(p, "Identity"))) {
        name = p->input[0];
        p = maker(m, name);
    }
    if (until != ONNX_FEATURES)
        return name;
    if (is(p, "Add"))
        for (size_t k = 0; k < p->n_input; k++)
            if (is(maker(m, p->input[k]), "MatMul")) {
                p = maker(m, p->input[k]);
                break;
            }
    if (is(p, "Gemm") || is(p, "MatMul"))
        return p->input[0];
    ir_error(error, IR_UNSUPPORTED,
             "%.100s: its last layer is %.40s; expected Gemm or MatMul, which a head replaces",
             m->file, p ? p->op_type : "none");
    return NULL;
}

/* Does the node read that value, itself or in a graph of its own? */
static bool reads(const Onnx__NodeProto *p, const char *name)
{
    for (size_t k = 0; k < p->n_input; k++)
        if (strcmp(p->input[k], name) == 0)
            return true;
    for (size_t k = 0; k < p->n_attribute; k++) {
        const Onnx__GraphProto *g = p->attribute[k]->g;
        for (size_t i = 0; g && i < g->n_node; i++)
            if (reads(g->node[i], name))
                return true;
        for (size_t i = 0; g && i < g->n_output; i++)
            if (strcmp(g->output[i]->name, name) == 0)
                return true;
    }
    return false;
}

/* Which nodes the end needs. */
static void mark(const struct onnx_model *m, const char *name, bool *needed)
{
    const Onnx__GraphProto *g = m->graph;

    for (size_t i = g->n_node; i-- > 0;) {
        const Onnx__NodeProto *p = g->node[i];
        for (size_t k = 0; k < p->n_output; k++)
            needed[i] |= strcmp(p->output[k], name) == 0;
        for (size_t j = i + 1; !needed[i] && j < g->n_node; j++)
            for (size_t o = 0; needed[j] && o < p->n_output; o++)
                needed[i] |= *p->output[o] && reads(g->node[j], p->output[o]);
    }
}

/* The trace of a model that is to be trained: as much of it as its end needs. */
static bool import_until(struct onnx_import *in, struct ir_error *error)
{
    const struct onnx_model *m = in->model;
    const char *end = end_of(m, in->request->until, error);
    bool *needed = ir_alloc(in->arena, (m->graph->n_node + 1) * sizeof *needed);

    if (!end)
        return false;
    mark(m, end, needed);
    for (size_t i = 0; i < m->graph->n_node; i++)
        if (needed[i] && !build_node(in, m->graph->node[i], (int)i + 1, error))
            return false;
    in->request->output[0] = onnx_tensor_of(in, onnx_value_of(in, end), (tp_loc){ m->file, 0 });
    return in->request->output[0].id ||
           ir_error(error, IR_UNSUPPORTED, "%.100s: \"%.80s\" is not supported", m->file, end);
}

static void enter(struct onnx_import *in)
{
    const Onnx__GraphProto *g = in->model->graph;

    make_room(in, in->arena,
              g->n_initializer + (size_t)in->model->inputs + names_in(g->n_node, g->node));
    for (size_t i = 0; i < g->n_initializer; i++) {
        struct onnx_value *v = onnx_value_of(in, g->initializer[i]->name);
        *v = (struct onnx_value){ .name = g->initializer[i]->name,
                                  .initialiser = g->initializer[i] };
    }
    for (int i = 0; i < in->model->inputs; i++)
        if (in->request->input[i].id) { /* else its initialiser stands */
            struct onnx_value *v = onnx_value_of(in, in->model->input[i].name);
            *v = (struct onnx_value){ .name = in->model->input[i].name,
                                      .tensor = in->request->input[i] };
        }
}

bool tp_onnx_import(const struct onnx_model *m, tp_graph *g, const struct onnx_request *request,
                    struct ir_error *error)
{
    struct onnx_import in = { .model = m, .request = request, .g = g, .arena = ir_arena_new() };
    bool ok = true;

    enter(&in);
    if (request->until != ONNX_WHOLE) {
        ok = import_until(&in, error);
        ir_arena_free(in.arena);
        return ok;
    }
    for (size_t i = 0; ok && i < m->graph->n_node; i++)
        ok = build_node(&in, m->graph->node[i], (int)i + 1, error);
    for (int i = 0; ok && i < m->outputs; i++) {
        struct onnx_value *v = onnx_value_of(&in, m->output[i].name);
        request->output[i] = onnx_tensor_of(&in, v, (tp_loc){ m->file, 0 });
        if (!request->output[i].id)
            ok = g->error.status
                     ? ir_error(error, g->error.status, "%s", g->error.text)
                     : ir_error(error, IR_UNSUPPORTED,
                                "%.100s: its output \"%.80s\" is not supported; expected another",
                                m->file, m->output[i].name);
    }
    ir_arena_free(in.arena);
    return ok;
}
