/*
 * import: the nodes of an ONNX graph, one after the other, into a trace.
 *
 * A value is a tensor, or an initialiser that becomes one when it is first read as such. What has
 * to be known before anything runs (a shape, an axis) is computed there and then by the
 * interpreter, from initialisers and, for a single run, from the inputs.
 */
#include "frontend/onnx/import.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_KNOWN = 1 << 24,  /* elements that are computed beforehand, all together */
    MOST_WORK = 1 << 26,   /* and the operations on them: about a second */
    NODE_WORK = 16,        /* of a node, whatever its size */
    MOST_NODES = 200000,   /* with those in nodes and in functions, as often as they are built */
    MOST_VALUES = 1 << 18, /* of ours that they become */
    DEEPEST_CALL = 16
};

struct value {
    const char *name; /* NULL: an empty slot */
    tp_tensor tensor;
    const Onnx__TensorProto *initialiser;
    bool known;
    struct ir_array array;
};

struct onnx_import {
    const struct onnx_model *model;
    const struct onnx_request *request;
    tp_graph *g;
    struct ir_arena *arena;
    struct value *slot;
    size_t room;
    int64_t computed; /* elements, and operations */
    double work;
    const struct onnx_call *call; /* of the function whose nodes are being built */
    int built;
    int64_t values;
};

static struct value *value_of(struct onnx_import *in, const char *name)
{
    size_t h = 1469598103934665603u;

    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    h ^= h >> 29;
    for (;; h++) {
        struct value *v = &in->slot[h & (in->room - 1)];
        if (!v->name || strcmp(v->name, name) == 0)
            return v;
    }
}

/* --- errors ------------------------------------------------------------------------------------
 */

static tp_tensor fail(struct onnx_node *n, int status, const char *format, va_list list)
{
    char text[300];

    vsnprintf(text, sizeof text, format, list);
    ir_error(&n->g->error, status, "%.100s:%d: %s", n->at.file, n->at.line, text);
    return POISON(n->g);
}

tp_tensor onnx_wrong(struct onnx_node *n, const char *format, ...)
{
    va_list list;
    tp_tensor poison;

    va_start(list, format);
    poison = fail(n, IR_REFUSED, format, list);
    va_end(list);
    return poison;
}

tp_tensor onnx_lacks(struct onnx_node *n, const char *format, ...)
{
    va_list list;
    tp_tensor poison;

    va_start(list, format);
    poison = fail(n, IR_UNSUPPORTED, format, list);
    va_end(list);
    return poison;
}

bool onnx_ok(const struct onnx_node *n)
{
    return n->g->error.status == IR_OK;
}

/* --- values ------------------------------------------------------------------------------------
 */

bool onnx_has(const struct onnx_node *n, int i)
{
    return i < n->inputs && *n->proto->input[i];
}

/* A number without axes is part of the program; what has axes is a weight, or an array. */
static tp_tensor materialise(struct onnx_import *in, const char *name, const struct ir_array *a,
                             bool weight, tp_loc at)
{
    tp_graph *g = in->g;
    tp_shape shape = { .rank = a->shape.rank };
    const tp_dtype dtype = (tp_dtype)(a->dtype + 1);
    tp_tensor t;

    memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
    if (a->shape.rank == 0) {
        double number;
        if (!ir_dtypes[a->dtype].bytes || ir_is_real(a->dtype)) {
            ir_load_real(&number, a, NULL, 0, 1);
            return tp_give(g, ir_number(g->ir, a->dtype, number, tp_place(g, at)));
        }
        wide whole;
        ir_load_exact(&whole, a, NULL, 0, 1);
        return tp_give(g, ir_integer(g->ir, a->dtype, (int64_t)whole, tp_place(g, at)));
    }
    if (!weight || !ir_is_real(a->dtype))
        return tp_array_at(g, dtype, shape, a->data, at);
    t = tp_param_at(g, name, shape, (tp_param_args){ .init = TP_ZEROS, .dtype = dtype }, at);
    if (t.id)
        tp_state_find(g, tp_node(t)->text)->given = true;
    if (t.id && ir_count(&a->shape))
        tp_set_values(t, a->data, (size_t)ir_count(&a->shape) * (size_t)ir_dtypes[a->dtype].bytes);
    return t;
}

tp_tensor onnx_array(struct onnx_node *n, const struct ir_array *array)
{
    return materialise(n->in, "", array, false, n->at);
}

static tp_tensor tensor_of(struct onnx_import *in, struct value *v, tp_loc at)
{
    if (!v->tensor.id && v->initialiser) {
        if (!v->known)
            tp_onnx_value(v->initialiser, in->arena, &v->array);
        v->known = true;
        v->tensor = materialise(in, v->name, &v->array, true, at);
    }
    return v->tensor;
}

tp_tensor onnx_in(struct onnx_node *n, int i)
{
    struct value *v;

    if (!onnx_has(n, i))
        return onnx_wrong(n, "input %d is missing", i);
    v = value_of(n->in, n->proto->input[i]);
    if (!v->name)
        return onnx_wrong(n, "its input \"%.80s\" is not there", n->proto->input[i]);
    if (!v->tensor.id && !v->initialiser)
        return onnx_ok(n) ? onnx_lacks(n, "input %d, \"%.60s\", is an output that is not supported",
                                       i, n->proto->input[i])
                          : POISON(n->g);
    return tensor_of(n->in, v, n->at);
}

static double size_of(const struct ir_graph *g, ir_val v)
{
    return (double)ir_elements(g, &ir_at(g, v)->shape);
}

/* No less than the operations that the interpreter needs for a node whose extents are known. */
static double work_of(const struct ir_graph *g, const struct ir_node *n)
{
    double work = (double)ir_elements(g, &n->shape), step = 0;

    switch (n->op) {
    case IR_dot: /* b m n k: the square root of all three sizes has b^1.5 */
        work = sqrt(size_of(g, n->args[0]) * size_of(g, n->args[1]) * work) + work;
        break;
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight: /* each element of the greater one with each of a filter */
        work = fmax(work, size_of(g, n->args[0])) *
               fmax(1, size_of(g, n->args[1]) / (double)ir_at(g, n->args[1])->shape.dim[0]);
        break;
    case IR_window_sum:
    case IR_window_spread:
    case IR_window_max:
    case IR_window_argmax:
    case IR_window_place:
        for (int i = 0; i < n->attr[0].count; i++)
            work *= (double)n->attr[0].at[i];
        break;
    case IR_scan:
        for (uint32_t v = 1; v < n->body->count; v++)
            step += work_of(n->body, &n->body->nodes[v]);
        work = step * (double)ir_scan_number(n, IR_SCAN_LENGTH);
        break;
    default:
        break;
    }
    return work + NODE_WORK;
}

/* The elements that a node's value has, and the nodes of its body. */
static int64_t elements_of(const struct ir_graph *g, const struct ir_node *n)
{
    int64_t all = ir_elements(g, &n->shape);

    for (int i = 0; i < n->shape.rank; i++)
        if (!ir_dim_fixed(n->shape.dim[i]))
            return -1;
    for (uint32_t v = 1; n->body && all >= 0 && v < n->body->count; v++) {
        const int64_t inner = elements_of(n->body, &n->body->nodes[v]);
        all = inner < 0 || inner > MOST_KNOWN ? -1 : all + inner;
    }
    return all;
}

/* The numbers of v where they follow from what is known; marks what it reaches. */
static bool reached(struct onnx_import *in, uint32_t from, bool *seen, int64_t *room, double *work)
{
    const struct ir_graph *g = in->g->ir;

    seen[from] = true;
    for (uint32_t v = from; v >= 1; v--) {
        const struct ir_node *n = &g->nodes[v];
        int64_t elements;

        if (!seen[v])
            continue;
        if ((n->op == IR_input && !in->request->known) || n->op == IR_size || n->op == IR_bits)
            return false;
        elements = elements_of(g, n);
        if (elements < 0 || (*room += elements + 1) > MOST_KNOWN ||
            (*work += work_of(g, n)) > MOST_WORK)
            return false;
        for (int i = 0; i < n->arity; i++)
            seen[n->args[i].id] = true;
    }
    return true;
}

static bool compute(struct onnx_import *in, tp_tensor t, struct ir_array *array)
{
    const struct ir_graph *g = in->g->ir;
    const int inputs = in->model->inputs;
    bool *seen = calloc(g->count + 1, sizeof *seen);
    struct ir_binding *binding;
    struct ir_error error = { 0 };
    const ir_val value = tp_val(t);
    int64_t room = in->computed; /* what is not computed in the end costs nothing */
    double work = in->work;
    int bound = 0;
    bool ok = seen && reached(in, t.id, seen, &room, &work);

    if (ok) {
        in->computed = room;
        in->work = work;
    }
    binding = ir_alloc(in->arena, (size_t)(in->g->state_count + inputs + 1) * sizeof *binding);
    for (int i = 0; ok && in->request->known && i < inputs; i++)
        if (in->request->known[i].data)
            binding[bound++] =
                (struct ir_binding){ in->model->input[i].name, in->request->known[i] };
    for (int i = 0; ok && i < in->g->state_count; i++) {
        struct state *s = &in->g->states[i];
        if (s->value.id && seen[s->value.id])
            binding[bound++] =
                (struct ir_binding){ s->name, { s->dtype, s->shape, tp_state_numbers(in->g, s) } };
    }
    ok = ok && ir_evaluate(g, bound, binding, 1, &value, array, in->arena, &error);
    free(seen);
    return ok;
}

bool onnx_is_known(struct onnx_node *n, int i, struct ir_array *array)
{
    struct value *v;

    if (!onnx_has(n, i) || !onnx_ok(n))
        return false;
    v = value_of(n->in, n->proto->input[i]);
    if (!v->known && v->initialiser)
        tp_onnx_value(v->initialiser, n->in->arena, &v->array);
    else if (!v->known && !(v->tensor.id && compute(n->in, v->tensor, &v->array)))
        return false;
    v->known = true;
    *array = v->array;
    return true;
}

bool onnx_known(struct onnx_node *n, int i, struct ir_array *array)
{
    if (onnx_is_known(n, i, array))
        return true;
    if (onnx_ok(n) && !onnx_has(n, i))
        onnx_wrong(n, "input %d is missing", i);
    else if (onnx_ok(n))
        onnx_lacks(n, "its input \"%.60s\" is computed; expected one that is known before the run",
                   n->proto->input[i]);
    return false;
}

/*
 * Extents of symbols in a list of integers, which no interpreter can compute: what Shape gave,
 * taken apart and put together. How many; -1: it is something else.
 */
static int extents_of(struct onnx_import *in, tp_tensor t, int64_t *out, int room, int depth)
{
    const struct ir_node *n = tp_node(t);
    const tp_tensor first = { .g = t.g, .id = n->arity ? n->args[0].id : 0 };
    const int64_t elements = ir_elements(t.g->ir, &n->shape);
    struct ir_array a;
    int64_t own[64];
    int count = 0;

    if (elements < 0 || elements > room || elements > 64 || depth > 50)
        return -1;
    switch (n->op) {
    case IR_size:
        out[0] = n->attr[0].at[0];
        return 1;
    case IR_reshape:
    case IR_cast:
        return extents_of(in, first, out, room, depth + 1);
    case IR_concat:
        for (int i = 0; i < n->arity; i++) {
            const tp_tensor part = { .g = t.g, .id = n->args[i].id };
            const int more = extents_of(in, part, out + count, room - count, depth + 1);
            if (more < 0)
                return -1;
            count += more;
        }
        return count;
    case IR_slice:
        count = n->shape.rank == 1 ? extents_of(in, first, own, 64, depth + 1) : -1;
        for (int64_t i = 0; count >= 0 && i < elements; i++)
            out[i] = own[n->attr[0].at[0] + i * n->attr[2].at[0]];
        return count < 0 ? -1 : (int)elements;
    case IR_take:
        count = extents_of(in, first, own, 64, depth + 1);
        if (count < 0 || !compute(in, (tp_tensor){ .g = t.g, .id = n->args[1].id }, &a) ||
            ir_count(&a.shape) != elements)
            return -1;
        for (int64_t i = 0; i < elements; i++) {
            double at;
            ir_load_real(&at, &a, NULL, i, 1);
            if (!(at >= 0 && at < count))
                return -1;
            out[i] = own[(int)at];
        }
        return (int)elements;
    case IR_mul:
        count = extents_of(in, first, own, 1, depth + 1);
        if (count != 1 || extents_of(in, (tp_tensor){ .g = t.g, .id = n->args[1].id }, own + 1, 1,
                                     depth + 1) != 1)
            return -1;
        out[0] = ir_dim_mul(t.g->ir, own[0], own[1]);
        return out[0] == -1 ? -1 : 1;
    default:
        if (!compute(in, t, &a) || ir_is_real(a.dtype))
            return -1;
        for (int64_t i = 0; i < elements; i++) {
            wide whole;
            ir_load_exact(&whole, &a, NULL, i, 1);
            out[i] = (int64_t)whole;
        }
        return (int)elements;
    }
}

bool onnx_known_ints(struct onnx_node *n, int i, struct onnx_ints *ints)
{
    struct ir_array a;
    int64_t count;

    if (!onnx_is_known(n, i, &a) && onnx_has(n, i)) {
        const tp_tensor t = onnx_in(n, i);

        ints->at = ir_alloc(n->in->arena, 64 * sizeof *ints->at);
        ints->count = t.id ? extents_of(n->in, t, ints->at, 64, 0) : -1;
        if (ints->count >= 0)
            return true;
    }
    if (!onnx_known(n, i, &a))
        return false;
    count = ir_count(&a.shape);
    if (a.shape.rank > 1 || ir_is_real(a.dtype) || count > 1 << 16) {
        onnx_wrong(n, "input %d, \"%.60s\"; expected a list of integers", i, n->proto->input[i]);
        return false;
    }
    ints->count = (int)count;
    ints->at = ir_alloc(n->in->arena, (size_t)(count + 1) * sizeof *ints->at);
    for (int k = 0; k < ints->count; k++) {
        wide whole;
        ir_load_exact(&whole, &a, NULL, k, 1);
        ints->at[k] = (int64_t)whole;
    }
    return true;
}

bool onnx_known_number(struct onnx_node *n, int i, double *number)
{
    struct ir_array a;

    if (!onnx_known(n, i, &a))
        return false;
    if (ir_count(&a.shape) != 1) {
        onnx_wrong(n, "input %d, \"%.60s\"; expected one number", i, n->proto->input[i]);
        return false;
    }
    ir_load_real(number, &a, NULL, 0, 1);
    return true;
}

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
            struct value *v = value_of(in, p->output[k]);
            if (v->tensor.id || v->initialiser) {
                onnx_wrong(&n, "its output \"%.80s\" is there already; expected another name",
                           p->output[k]);
                return explain(&n, error);
            }
            *v = (struct value){ .name = p->output[k], .tensor = n.out[k] };
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
            tensor_of(n->in, value_of(n->in, g->node[i]->input[k]), n->at);
        for (size_t k = 0; k < g->node[i]->n_attribute; k++)
            if (g->node[i]->attribute[k]->g)
                onnx_capture(n, g->node[i]->attribute[k]->g);
    }
    for (size_t i = 0; i < g->n_output; i++)
        tensor_of(n->in, value_of(n->in, g->output[i]->name), n->at);
}

/* A name of an inner graph; false: it is one of those around it. */
static bool define(struct onnx_node *n, const char *name, struct value as)
{
    struct value *v = value_of(n->in, name);

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
    struct value *v = value_of(in, name);

    if (v->name)
        *v = (struct value){ .name = v->name };
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
        ok = define(n, g->initializer[i]->name, (struct value){ .initialiser = g->initializer[i] });
    for (int i = 0; ok && i < inputs; i++)
        ok = define(n, g->input[i]->name, (struct value){ .tensor = in[i] });
    ok = ok && build_inner(n, g->n_node, g->node);
    for (int i = 0; ok && i < outputs; i++) {
        out[i] = tensor_of(n->in, value_of(n->in, g->output[i]->name), n->at);
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
        ok = !arg[i].id || define(n, f->input[i], (struct value){ .tensor = arg[i] });
    in->call = &frame;
    ok = ok && onnx_ok(n) && build_inner(n, f->n_node, f->node);
    for (int i = 0; ok && i < n->outputs; i++)
        n->out[i] = tensor_of(in, value_of(in, f->output[i]), n->at);
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
    in->request->output[0] = tensor_of(in, value_of(in, end), (tp_loc){ m->file, 0 });
    return in->request->output[0].id ||
           ir_error(error, IR_UNSUPPORTED, "%.100s: \"%.80s\" is not supported", m->file, end);
}

static void enter(struct onnx_import *in)
{
    const Onnx__GraphProto *g = in->model->graph;

    make_room(in, in->arena,
              g->n_initializer + (size_t)in->model->inputs + names_in(g->n_node, g->node));
    for (size_t i = 0; i < g->n_initializer; i++) {
        struct value *v = value_of(in, g->initializer[i]->name);
        *v = (struct value){ .name = g->initializer[i]->name, .initialiser = g->initializer[i] };
    }
    for (int i = 0; i < in->model->inputs; i++)
        if (in->request->input[i].id) { /* else its initialiser stands */
            struct value *v = value_of(in, in->model->input[i].name);
            *v =
                (struct value){ .name = in->model->input[i].name, .tensor = in->request->input[i] };
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
        struct value *v = value_of(&in, m->output[i].name);
        request->output[i] = tensor_of(&in, v, (tp_loc){ m->file, 0 });
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
