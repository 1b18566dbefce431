/*
 * export: a graph of ours as a file of ONNX. Arguments come before users here as there, so one walk
 * over the nodes that the outputs need writes them in their order.
 *
 * Weights are initialisers under their own names, the graph's symbols the names of extents. What a
 * shape needs of them at run time is taken from the inputs that have them.
 */
#include "frontend/onnx/export.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"

#define NEW(w, type, init) memcpy(ir_alloc((w)->arena, sizeof(type)), &(type)init, sizeof(type))

/* --- names -------------------------------------------------------------------------------------
 */

static bool taken(const struct onnx_writer *w, const char *name)
{
    for (int i = 0; i < w->top->taken_count; i++)
        if (strcmp(w->top->taken[i], name) == 0)
            return true;
    return false;
}

char *onnx_fresh(struct onnx_writer *w, const char *what)
{
    const char *path = w->at && w->at->name ? w->at->name : NULL;
    char *name;

    do
        name = ir_format(w->arena, "%s%s%s_%d", path ? path : "", path ? "/" : "", what,
                         w->top->serial++);
    while (taken(w, name));
    return name;
}

const char *onnx_cannot(struct onnx_writer *w, const char *format, ...)
{
    char text[240];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (w->at && w->at->loc.file)
        ir_error(w->error, IR_UNSUPPORTED, "%.100s:%d: %s: %s", w->at->loc.file, w->at->loc.line,
                 ir_ops[w->at->op].name, text);
    else
        ir_error(w->error, IR_UNSUPPORTED, "%s: %s", w->at ? ir_ops[w->at->op].name : "export",
                 text);
    return NULL;
}

/* --- nodes -------------------------------------------------------------------------------------
 */

Onnx__NodeProto *onnx_last(const struct onnx_writer *w)
{
    return w->nodes->at[w->nodes->count - 1];
}

const char *onnx_more_output(struct onnx_writer *w, Onnx__NodeProto *node)
{
    char **all = ir_alloc(w->arena, (node->n_output + 1) * sizeof *all);

    if (node->n_output)
        memcpy(all, node->output, node->n_output * sizeof *all);
    all[node->n_output] = onnx_fresh(w, node->op_type);
    node->output = all;
    return all[node->n_output++];
}

const char *onnx_say(struct onnx_writer *w, const char *op, int n, const char *const in[])
{
    Onnx__NodeProto *node = NEW(w, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    struct onnx_nodes *to = w->nodes;

    for (int i = 0; i < n; i++)
        if (!in[i])
            return NULL; /* what could not be spelled */
    node->op_type = (char *)op;
    node->n_input = (size_t)n;
    node->input = ir_alloc(w->arena, ((size_t)n + 1) * sizeof *node->input);
    for (int i = 0; i < n; i++)
        node->input[i] = (char *)in[i];
    ir_grow(w->arena, to->at, to->count, to->room);
    to->at[to->count++] = node;
    node->name = (char *)onnx_more_output(w, node);
    return node->output[0];
}

static Onnx__AttributeProto *attribute(struct onnx_writer *w, const char *name, int type)
{
    Onnx__NodeProto *node = onnx_last(w);
    Onnx__AttributeProto **all = ir_alloc(w->arena, (node->n_attribute + 1) * sizeof *all);

    if (node->n_attribute)
        memcpy(all, node->attribute, node->n_attribute * sizeof *all);
    node->attribute = all;
    all[node->n_attribute] = NEW(w, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    all[node->n_attribute]->name = (char *)name;
    all[node->n_attribute]->has_type = true;
    all[node->n_attribute]->type = (Onnx__AttributeProto__AttributeType)type;
    return all[node->n_attribute++];
}

void onnx_with_int(struct onnx_writer *w, const char *name, int64_t i)
{
    Onnx__AttributeProto *a = attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);

    a->has_i = true;
    a->i = i;
}

void onnx_with_float(struct onnx_writer *w, const char *name, double f)
{
    Onnx__AttributeProto *a = attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);

    a->has_f = true;
    a->f = (float)f;
}

void onnx_with_word(struct onnx_writer *w, const char *name, const char *word)
{
    Onnx__AttributeProto *a = attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);

    a->has_s = true;
    a->s = (ProtobufCBinaryData){ strlen(word), (uint8_t *)word };
}

void onnx_with_ints(struct onnx_writer *w, const char *name, int n, const int64_t *at)
{
    Onnx__AttributeProto *a = attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);

    a->n_ints = (size_t)n;
    a->ints = ir_alloc(w->arena, ((size_t)n + 1) * sizeof *a->ints);
    memcpy(a->ints, at, (size_t)n * sizeof *at);
}

void onnx_with_graph(struct onnx_writer *w, const char *name, Onnx__GraphProto *graph)
{
    attribute(w, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH)->g = graph;
}

/* --- numbers -----------------------------------------------------------------------------------
 */

static Onnx__TensorProto *tensor(struct onnx_writer *w, enum ir_dtype dtype, int rank,
                                 const int64_t *dims, size_t bytes, const void *data)
{
    Onnx__TensorProto *t = NEW(w, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);

    t->has_data_type = t->has_raw_data = true;
    t->data_type = tp_onnx_type(dtype);
    t->n_dims = (size_t)rank;
    t->dims = ir_alloc(w->arena, ((size_t)rank + 1) * sizeof *t->dims);
    memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    t->raw_data = (ProtobufCBinaryData){ bytes, (uint8_t *)data };
    return t;
}

/* A node of the whole model, before whatever is being spelled; equal ones are one. */
static const char *constant(struct onnx_writer *w, enum ir_dtype dtype, int rank, int64_t count,
                            const void *data)
{
    struct onnx_writer *top = w->top;
    const size_t bytes = (size_t)count * (size_t)ir_dtypes[dtype].bytes;
    const struct ir_node *at = top->at;
    struct onnx_spoken said = { .key = (uint64_t)dtype << 32 | (uint64_t)rank };
    void *own;

    for (size_t i = 0; i < bytes; i++)
        said.key = said.key * 1099511628211u + ((const uint8_t *)data)[i];
    for (int i = 0; i < top->spoken_count; i++) {
        const struct onnx_spoken *s = &top->spoken[i];
        if (s->key == said.key && s->tensor->data_type == tp_onnx_type(dtype) &&
            s->tensor->n_dims == (size_t)rank && s->tensor->raw_data.len == bytes &&
            memcmp(s->tensor->raw_data.data, data, bytes) == 0)
            return s->name;
    }
    own = ir_alloc(top->arena, bytes + 1);
    memcpy(own, data, bytes);
    top->at = NULL; /* it is nobody's in particular */
    said.name = onnx_say(top, "Constant", 0, NULL);
    top->at = at;
    said.tensor = tensor(top, dtype, rank, &count, bytes, own);
    attribute(top, "value", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR)->t =
        (Onnx__TensorProto *)said.tensor;
    ir_grow(top->arena, top->spoken, top->spoken_count, top->spoken_room);
    top->spoken[top->spoken_count++] = said;
    return said.name;
}

const char *onnx_a_number(struct onnx_writer *w, enum ir_dtype dtype, double number)
{
    const float f = (float)number;
    const uint16_t half = ir_narrow(dtype) ? ir_half(dtype, f) : 0;

    return constant(w, dtype, 0, 1,
                    dtype == IR_F64   ? (const void *)&number
                    : dtype == IR_F32 ? (const void *)&f
                                      : (const void *)&half);
}

const char *onnx_an_integer(struct onnx_writer *w, enum ir_dtype dtype, int64_t number)
{
    if (ir_dtypes[dtype].kind == 'f')
        return onnx_a_number(w, dtype, (double)number);
    return constant(w, dtype, 0, 1, &number); /* little-endian: the low bytes come first */
}

const char *onnx_a_list(struct onnx_writer *w, int n, const int64_t *at)
{
    return constant(w, IR_I64, 1, n, at);
}

const char *onnx_cast_to(struct onnx_writer *w, const char *x, enum ir_dtype dtype)
{
    const char *y = onnx_says(w, "Cast", x);

    if (y)
        onnx_with_int(w, "to", tp_onnx_type(dtype));
    return y;
}

/* --- extents -----------------------------------------------------------------------------------
 */

/* Is it scale * symbol + offset? The symbol; else -1. */
static int of_one_symbol(const struct ir_graph *g, int64_t dim)
{
    const struct ir_dimension *d;
    int symbol = -1;

    if (ir_dim_fixed(dim))
        return -1;
    d = &g->dimension[dim - INT64_MIN];
    for (int s = 0; s < g->symbols; s++) {
        if (d->power[s] == 0)
            continue;
        if (d->power[s] > 1 || symbol >= 0)
            return -1;
        symbol = s;
    }
    return d->scale > 0 ? symbol : -1;
}

static const char *symbol_extent(struct onnx_writer *w, int symbol)
{
    struct onnx_writer *top = w->top;
    const struct ir_graph *g = top->g;
    const char *x = NULL;

    for (uint32_t v = 1; v < g->count && !top->symbol[symbol]; v++) {
        const struct ir_node *n = &g->nodes[v];
        for (int i = 0; n->op == IR_input && i < n->shape.rank && !x; i++)
            if (of_one_symbol(g, n->shape.dim[i]) == symbol) {
                const struct ir_dimension *d = &g->dimension[n->shape.dim[i] - INT64_MIN];
                const int64_t offset = d->offset, scale = d->scale;
                x = onnx_says(top, "Shape", n->text);
                onnx_with_int(top, "start", i);
                onnx_with_int(top, "end", i + 1);
                if (offset != 0)
                    x = onnx_says(top, "Sub", x, onnx_a_list(top, 1, &offset));
                if (scale != 1)
                    x = onnx_says(top, "Div", x, onnx_a_list(top, 1, &scale));
            }
        top->symbol[symbol] = x;
    }
    return top->symbol[symbol] ? top->symbol[symbol]
                               : onnx_cannot(w, "the extent %s is no input's; expected one",
                                             g->symbol[symbol].name);
}

static const char *extent(struct onnx_writer *w, int64_t dim)
{
    const struct ir_dimension *d;
    const char *x = NULL;

    if (ir_dim_fixed(dim))
        return onnx_a_list(w, 1, &dim);
    d = &w->g->dimension[dim - INT64_MIN];
    for (int s = 0; s < w->g->symbols; s++)
        for (int k = 0; k < d->power[s]; k++) {
            const char *factor = symbol_extent(w, s);
            x = x ? onnx_says(w->top, "Mul", x, factor) : factor;
        }
    if (d->scale != 1)
        x = onnx_says(w->top, "Mul", x, onnx_a_list(w, 1, &d->scale));
    if (d->offset != 0)
        x = onnx_says(w->top, "Add", x, onnx_a_list(w, 1, &d->offset));
    return x;
}

const char *onnx_extents(struct onnx_writer *w, int n, const int64_t *dims)
{
    const char *part[IR_RANK];
    const char *whole;
    bool fixed = true;

    for (int i = 0; i < n; i++)
        fixed &= ir_dim_fixed(dims[i]);
    if (fixed)
        return onnx_a_list(w, n, dims);
    for (int i = 0; i < n; i++)
        part[i] = extent(w, dims[i]);
    if (n == 1)
        return part[0];
    whole = onnx_say(w->top, "Concat", n, part);
    if (whole)
        onnx_with_int(w->top, "axis", 0);
    return whole;
}

/* A reshape: where one extent is not known, it is what the others leave. */
const char *onnx_shaped(struct onnx_writer *w, const char *x, const struct ir_shape *shape)
{
    int64_t dims[IR_RANK];
    int unknown = 0;
    bool empty = false;

    for (int i = 0; i < shape->rank; i++) {
        dims[i] = ir_dim_fixed(shape->dim[i]) ? shape->dim[i] : -1;
        unknown += dims[i] < 0;
        empty |= dims[i] == 0;
    }
    if (unknown > 1 || empty) {
        x = onnx_says(w, "Reshape", x, onnx_extents(w, shape->rank, shape->dim));
        if (x)
            onnx_with_int(w, "allowzero", 1);
        return x;
    }
    return onnx_says(w, "Reshape", x, onnx_a_list(w, shape->rank, dims));
}

Onnx__ValueInfoProto *onnx_port_of(struct onnx_writer *w, const char *name,
                                   const struct ir_node *node)
{
    Onnx__ValueInfoProto *port = NEW(w, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = NEW(w, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *t = NEW(w, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *s = NEW(w, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);

    port->name = (char *)name;
    port->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = t;
    t->has_elem_type = true;
    t->elem_type = tp_onnx_type(node->dtype);
    t->shape = s;
    s->n_dim = (size_t)node->shape.rank;
    s->dim = ir_alloc(w->arena, (s->n_dim + 1) * sizeof *s->dim);
    for (int i = 0; i < node->shape.rank; i++) {
        Onnx__TensorShapeProto__Dimension *d = s->dim[i] =
            NEW(w, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        if (ir_dim_fixed(node->shape.dim[i])) {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            d->dim_value = node->shape.dim[i];
        } else {
            struct ir_text text = { 0 };
            ir_put_dim(&text, w->g, node->shape.dim[i]);
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            d->dim_param = ir_format(w->arena, "%s", text.data);
            ir_text_free(&text);
        }
    }
    return port;
}

/* --- the walk ----------------------------------------------------------------------------------
 */

struct onnx_writer *onnx_writer_in(struct onnx_writer *w, const struct ir_graph *g,
                                   struct onnx_nodes *nodes)
{
    struct onnx_writer *in = ir_alloc(w->arena, sizeof *in);
    struct onnx_phrase phrase;

    *in = (struct onnx_writer){ .top = w->top,
                                .arena = w->arena,
                                .error = w->error,
                                .owner = w->owner,
                                .g = g,
                                .nodes = nodes };
    in->name = ir_alloc(w->arena, g->count * sizeof *in->name);
    in->live = ir_alloc(w->arena, g->count * sizeof *in->live);
    in->region_of = ir_alloc(w->arena, g->count * sizeof *in->region_of);
    for (uint32_t r = 1; r < g->regions; r++) { /* an outer one comes first */
        const uint32_t v = g->region[r].result.id;
        if (v && !in->region_of[v] && onnx_region_phrase(g, r, &phrase))
            in->region_of[v] = r;
    }
    return in;
}

static void mark(struct onnx_writer *w, int n, const ir_val *wanted)
{
    struct onnx_phrase p;

    for (int i = 0; i < n; i++)
        w->live[wanted[i].id] = true;
    for (uint32_t v = w->g->count; v-- > 1;) {
        const struct ir_node *node = &w->g->nodes[v];
        if (!w->live[v])
            continue;
        if (onnx_phrase(w, v, &p))
            for (int i = 0; i < p.n; i++)
                w->live[p.in[i].id] = true;
        else
            for (int i = 0; i < node->arity; i++)
                w->live[node->args[i].id] = true;
    }
}

static bool put_state(struct onnx_writer *w, uint32_t v)
{
    const struct ir_node *n = &w->g->nodes[v];
    struct state *s = tp_state_find(w->owner, n->text);
    void *numbers = NULL;

    if (!s)
        return onnx_cannot(w, "its numbers are not known") != NULL;
    if (s->offset < 0) {
        numbers = tp_state_numbers(w->owner, s);
    } else {
        numbers = ir_alloc(w->arena, s->bytes + 1);
        if (!tp_state_read(w->owner, s, numbers))
            numbers = NULL;
    }
    if (!numbers)
        return ir_error(w->error, w->owner->error.status ? w->owner->error.status : IR_FAILED, "%s",
                        w->owner->error.status ? w->owner->error.text : "not enough memory");
    ir_grow(w->arena, w->initialiser, w->initialisers, w->initialiser_room);
    w->initialiser[w->initialisers] =
        tensor(w, s->dtype, s->shape.rank, s->shape.dim, s->bytes, numbers);
    w->initialiser[w->initialisers++]->name = (char *)n->text;
    w->name[v] = n->text;
    return true;
}

bool onnx_write_values(struct onnx_writer *w, int n, const ir_val *wanted)
{
    struct onnx_phrase p;

    mark(w, n, wanted);
    for (uint32_t v = 1; v < w->g->count && w->error->status == IR_OK; v++) {
        const struct ir_node *node = &w->g->nodes[v];
        if (!w->live[v] || w->name[v])
            continue;
        w->at = node;
        if (node->op == IR_state)
            put_state(w, v);
        else if (node->op == IR_scan)
            onnx_put_scan(w, v);
        else if (node->op != IR_result)
            w->name[v] = onnx_phrase(w, v, &p) ? onnx_put_phrase(w, &p) : onnx_spell(w, node);
    }
    w->at = NULL;
    return w->error->status == IR_OK;
}

/* --- the file ----------------------------------------------------------------------------------
 */

struct to_file {
    ProtobufCBuffer base;
    struct file_aside *file;
    struct ir_error *error;
    bool ok;
};

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    struct to_file *to = (struct to_file *)buffer;

    to->ok = to->ok && tp_aside_write(to->file, data, size, to->error);
}

static bool write_model(const char *path, const Onnx__ModelProto *m, struct ir_error *error)
{
    struct to_file to = { .base.append = append, .error = error, .ok = true };

    if (protobuf_c_message_get_packed_size(&m->base) > INT32_MAX)
        return ir_error(error, IR_UNSUPPORTED,
                        "%.200s: more than 2 GiB; expected a model that one file of ONNX may hold",
                        path);
    to.file = tp_aside_open(path, error);
    if (to.file)
        protobuf_c_message_pack_to_buffer(&m->base, &to.base);
    return tp_aside_close(to.file, to.file && to.ok, error);
}

static bool is_read(const struct onnx_writer *w, ir_val v)
{
    for (uint32_t u = v.id + 1; u < w->g->count; u++)
        for (int i = 0; w->live[u] && i < w->g->nodes[u].arity; i++)
            if (w->g->nodes[u].args[i].id == v.id)
                return true;
    return false;
}

/* Outputs get names of their own: their node's where nothing else reads it. */
static void name_outputs(struct onnx_writer *w, const ir_val *value, const char **name,
                         Onnx__GraphProto *graph)
{
    for (int i = 0; i < (int)graph->n_output; i++) {
        const char *has = w->name[value[i].id];
        Onnx__NodeProto *maker = NULL;

        for (int k = 0; k < w->nodes->count && !maker && !is_read(w, value[i]); k++)
            if (w->nodes->at[k]->n_output == 1 && w->nodes->at[k]->output[0] == has)
                maker = w->nodes->at[k];
        if (maker && strcmp(maker->op_type, "Constant") != 0) {
            maker->output[0] = (char *)name[i];
            w->name[value[i].id] = name[i];
        } else {
            onnx_says(w, "Identity", has);
            onnx_last(w)->output[0] = (char *)name[i];
        }
        graph->output[i] = onnx_port_of(w, name[i], ir_at(w->g, value[i]));
    }
}

/* What nothing else may be called. Outputs whose name an input or a state has get another. */
static const char **take_names(struct onnx_writer *w, int n)
{
    const struct ir_graph *g = w->g;
    const char **name = ir_alloc(w->arena, ((size_t)n + 1) * sizeof *name);

    w->taken = ir_alloc(w->arena, (g->count + (size_t)n + 1) * sizeof *w->taken);
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_input || g->nodes[v].op == IR_state)
            w->taken[w->taken_count++] = g->nodes[v].text;
    for (int i = 0; i < n; i++) {
        const char *wish = g->outputs[i].name ? g->outputs[i].name : "output";
        name[i] = taken(w, wish) ? onnx_fresh(w, wish) : wish;
        w->taken[w->taken_count++] = name[i];
    }
    return name;
}

bool tp_onnx_write(tp_graph *owner, const struct ir_graph *g, const char *path,
                   struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct onnx_nodes nodes = { 0 };
    struct onnx_writer first = { .arena = arena, .error = error, .owner = owner }, *w;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = { &opset };
    ir_val *value = ir_alloc(arena, ((size_t)g->output_count + 1) * sizeof *value);
    const char **name;
    bool ok;

    w = onnx_writer_in(&first, g, &nodes);
    w->top = w;
    name = take_names(w, g->output_count);
    graph.input = ir_alloc(arena, (g->count + 1) * sizeof *graph.input);
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_input) {
            w->name[v] = g->nodes[v].text;
            graph.input[graph.n_input++] = onnx_port_of(w, g->nodes[v].text, &g->nodes[v]);
        }
    for (int i = 0; i < g->output_count; i++)
        value[i] = g->outputs[i].value;
    if (g->effect_count > 0) {
        w->at = ir_at(g, g->effects[0]);
        onnx_cannot(w, "the program changes %.60s; expected one that only computes",
                    ir_at(g, w->at->args[0])->text);
    } else if (g->output_count == 0) {
        ir_error(error, IR_REFUSED, "the program returns nothing; expected an output");
    }
    ok = error->status == IR_OK && onnx_write_values(w, g->output_count, value);
    if (ok) {
        graph.n_output = (size_t)g->output_count;
        graph.output = ir_alloc(arena, (graph.n_output + 1) * sizeof *graph.output);
        name_outputs(w, value, name, &graph);
        graph.name = (char *)(g->name ? g->name : "model");
        graph.node = nodes.at;
        graph.n_node = (size_t)nodes.count;
        graph.initializer = w->initialiser;
        graph.n_initializer = (size_t)w->initialisers;
        opset.domain = (char *)"";
        opset.has_version = true;
        opset.version = EXPORT_OPSET;
        model.has_ir_version = true;
        model.ir_version = EXPORT_IR_VERSION;
        model.producer_name = (char *)"taper";
        model.n_opset_import = 1;
        model.opset_import = opsets;
        model.graph = &graph;
        ok = write_model(path, &model, error);
    }
    ir_arena_free(arena);
    return ok;
}
