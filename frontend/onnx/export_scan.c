/*
 * export_scan: a scan of ours as their Scan, where it walks along arrays; as their Loop where it
 * only counts; in an If where it has a `when`, whose other branch is what the carries were, and
 * zeros. What all steps read is seen from inside by its name.
 */
#include "frontend/onnx/export.h"

#include <string.h>

struct put {
    struct onnx_writer *w;
    const struct ir_node *n;
    int carry, slices, outputs;
    int64_t length;
    bool reverse, loop;
    ir_val *parameter;
    const char **result;          /* a name for each output of the body */
    const struct ir_node **typed; /* a node that has its type, or NULL: nothing reads it */
};

#define NEW(w, type, init) memcpy(ir_alloc((w)->arena, sizeof(type)), &(type)init, sizeof(type))

static void add_input(struct onnx_writer *w, Onnx__GraphProto *graph, const char *name,
                      const struct ir_node *like)
{
    graph->input[graph->n_input++] = onnx_port_of(w, name, like);
}

/* Each output of a graph is a value of its own, made in it. */
static void add_output(struct onnx_writer *w, Onnx__GraphProto *graph, const char *value,
                       const struct ir_node *like)
{
    graph->output[graph->n_output++] = onnx_port_of(w, onnx_says(w, "Identity", value), like);
}

static Onnx__GraphProto *graph_of(struct onnx_writer *w, size_t inputs, size_t outputs,
                                  const char *name)
{
    Onnx__GraphProto *graph = NEW(w, Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);

    graph->name = onnx_fresh(w, name);
    graph->input = ir_alloc(w->arena, (inputs + 1) * sizeof *graph->input);
    graph->output = ir_alloc(w->arena, (outputs + 1) * sizeof *graph->output);
    return graph;
}

static void finish(Onnx__GraphProto *graph, const struct onnx_nodes *nodes)
{
    graph->node = nodes->at;
    graph->n_node = (size_t)nodes->count;
}

static bool put_body(struct put *p, Onnx__GraphProto **body)
{
    const struct ir_graph *b = p->n->body;
    struct onnx_nodes nodes = { 0 };
    struct onnx_writer *in = onnx_writer_in(p->w, b, &nodes);
    ir_val *wanted = ir_alloc(p->w->arena, ((size_t)p->outputs + 1) * sizeof *wanted);
    Onnx__GraphProto *graph = graph_of(in, (size_t)p->n->arity + 2, (size_t)p->outputs + 1, "body");
    const struct ir_node count = { .dtype = IR_I64 }, truth = { .dtype = IR_BOOL };
    const char *again = NULL;

    if (p->loop) {
        add_input(in, graph, onnx_fresh(in, "step"), &count);
        again = onnx_fresh(in, "again");
        add_input(in, graph, again, &truth);
    }
    for (int i = 0; i < p->n->arity; i++) {
        const uint32_t v = p->parameter[i].id;
        if (i >= p->carry + p->slices) {
            in->name[v] = onnx_named(p->w, p->n, i);
            continue;
        }
        in->name[v] = onnx_fresh(in, "in");
        add_input(in, graph, in->name[v], &b->nodes[v]);
    }
    for (int i = 0; i < p->outputs; i++)
        wanted[i] = b->outputs[i].value;
    if (!onnx_write_values(in, p->outputs, wanted))
        return false;
    if (p->loop)
        add_output(in, graph, again, &truth);
    for (int i = 0; i < p->outputs; i++)
        add_output(in, graph, in->name[wanted[i].id], ir_at(b, wanted[i]));
    finish(graph, &nodes);
    *body = graph;
    return true;
}

/* The Scan or Loop, in the writer's nodes; its results' names. */
static bool put_loop(struct put *p)
{
    struct onnx_writer *w = p->w;
    const int stacked = p->outputs - p->carry;
    const char **in = ir_alloc(w->arena, ((size_t)p->n->arity + 3) * sizeof *in);
    int64_t *ones = ir_alloc(w->arena, ((size_t)p->n->arity + (size_t)p->outputs + 1) * 8);
    Onnx__GraphProto *body;
    Onnx__NodeProto *node;
    int n = 0;

    if (!put_body(p, &body))
        return false;
    if (p->loop) {
        in[n++] = onnx_says(w, "Squeeze", onnx_extents(w, 1, &p->length));
        in[n++] = onnx_an_integer(w, IR_BOOL, 1);
    }
    for (int i = 0; i < p->carry + p->slices; i++)
        in[n++] = onnx_named(w, p->n, i);
    if (!onnx_say(w, p->loop ? "Loop" : "Scan", n, in))
        return false;
    node = onnx_last(w);
    onnx_with_graph(w, "body", body);
    for (int i = 0; i < p->n->arity + p->outputs; i++)
        ones[i] = 1;
    if (!p->loop)
        onnx_with_int(w, "num_scan_inputs", p->slices);
    if (!p->loop && p->reverse) {
        onnx_with_ints(w, "scan_input_directions", p->slices, ones);
        if (stacked)
            onnx_with_ints(w, "scan_output_directions", stacked, ones);
    }
    for (int i = 0; i < p->outputs; i++)
        p->result[i] = i == 0 ? node->output[0] : onnx_more_output(w, node);
    for (int i = p->carry; p->loop && p->reverse && i < p->outputs;
         i++) { /* the last comes first */
        const int64_t back[] = { -1, INT64_MIN + 1, 0 };
        p->result[i] = onnx_says(w, "Slice", p->result[i], onnx_a_list(w, 1, back),
                                 onnx_a_list(w, 1, back + 1), onnx_a_list(w, 1, back + 2),
                                 onnx_a_list(w, 1, back));
    }
    return true;
}

/* if (when) results of the loop; else the carries as they came in, and zeros */
static bool put_if(struct put *p, int when)
{
    struct onnx_writer *w = p->w, inner = *w;
    struct onnx_nodes then_nodes = { 0 }, else_nodes = { 0 };
    Onnx__GraphProto *yes = graph_of(w, 0, (size_t)p->outputs, "then"),
                     *no = graph_of(w, 0, (size_t)p->outputs, "else");
    Onnx__NodeProto *node;

    if (w == w->top) /* constants go before the If, and are seen by both branches */
        inner.top = w;
    inner.nodes = &then_nodes;
    p->w = &inner;
    if (!put_loop(p))
        return false;
    for (int i = 0; i < p->outputs; i++)
        add_output(&inner, yes, p->result[i], p->typed[i]);
    inner.nodes = &else_nodes;
    for (int i = 0; i < p->outputs; i++)
        add_output(
            &inner, no,
            i < p->carry
                ? onnx_named(w, p->n, i)
                : onnx_says(&inner, "Expand", onnx_an_integer(w, p->typed[i]->dtype, 0),
                            onnx_extents(w, p->typed[i]->shape.rank, p->typed[i]->shape.dim)),
            p->typed[i]);
    p->w = w;
    finish(yes, &then_nodes);
    finish(no, &else_nodes);
    if (!onnx_says(w, "If", onnx_named(w, p->n, when)))
        return false;
    node = onnx_last(w);
    onnx_with_graph(w, "then_branch", yes);
    onnx_with_graph(w, "else_branch", no);
    for (int i = 0; i < p->outputs; i++)
        p->result[i] = i == 0 ? node->output[0] : onnx_more_output(w, node);
    return true;
}

/* One step without an array to walk along is the nodes of its body. */
static bool put_inline(struct put *p)
{
    struct onnx_writer *in = onnx_writer_in(p->w, p->n->body, p->w->nodes);
    const int own = (int)ir_scan_number(p->n, IR_SCAN_OWN);
    const int64_t first = 0;
    ir_val *wanted = ir_alloc(p->w->arena, ((size_t)p->outputs + 1) * sizeof *wanted);

    p->outputs = own ? own : p->outputs;
    for (int i = 0; i < p->n->arity; i++)
        in->name[p->parameter[i].id] = onnx_named(p->w, p->n, i);
    for (int i = 0; i < p->outputs; i++)
        wanted[i] = p->n->body->outputs[i].value;
    if (!onnx_write_values(in, p->outputs, wanted))
        return false;
    for (int i = 0; i < p->outputs; i++)
        p->result[i] =
            onnx_says(p->w, "Unsqueeze", in->name[wanted[i].id], onnx_a_list(p->w, 1, &first));
    return true;
}

bool onnx_put_scan(struct onnx_writer *w, uint32_t scan)
{
    const struct ir_node *n = &w->g->nodes[scan];
    struct put p = { .w = w,
                     .n = n,
                     .carry = (int)n->attr[IR_SCAN_CARRY].at[0],
                     .slices = (int)n->attr[IR_SCAN_SLICES].at[0],
                     .outputs = n->body->output_count,
                     .length = n->attr[IR_SCAN_LENGTH].at[0],
                     .reverse = n->attr[IR_SCAN_REVERSE].count != 0 };
    const int when = ir_scan_when(n);
    bool ok;

    p.loop = p.slices == 0;
    p.parameter = ir_alloc(w->arena, ((size_t)n->arity + 1) * sizeof *p.parameter);
    ir_parameters(n->body, p.parameter, n->arity);
    p.result = ir_alloc(w->arena, ((size_t)p.outputs + 1) * sizeof *p.result);
    p.typed = ir_alloc(w->arena, ((size_t)p.outputs + 1) * sizeof *p.typed);
    for (uint32_t v = scan + 1; v < w->g->count; v++)
        if (w->g->nodes[v].op == IR_result && w->g->nodes[v].args[0].id == scan)
            p.typed[w->g->nodes[v].attr[0].at[0]] = &w->g->nodes[v];
    for (int i = 0; when >= 0 && i < p.outputs; i++)
        if (!p.typed[i] && i < p.carry)
            p.typed[i] = &w->g->nodes[n->args[i].id];
        else if (!p.typed[i])
            return onnx_cannot(w, "an output of a loop that nothing reads") != NULL;
    if (p.outputs == 0)
        return true;
    if (when < 0 && p.carry == 0 && p.slices == 0 && p.length == 1)
        ok = put_inline(&p);
    else
        ok = when >= 0 ? put_if(&p, when) : put_loop(&p);
    for (uint32_t v = scan + 1; ok && v < w->g->count; v++)
        if (w->g->nodes[v].op == IR_result && w->g->nodes[v].args[0].id == scan)
            w->name[v] = p.result[w->g->nodes[v].attr[0].at[0]];
    return ok && w->error->status == IR_OK;
}
