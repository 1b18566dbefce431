/*
 * interpret: the engine that runs a program on the interpreter: where no compiler is at hand, and
 * with TAPER_ENGINE=interpreter.
 *
 * It computes the outputs and the values to be assigned from the old states; then, all being known,
 * the states change.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

enum { ALIGNMENT = 64 };

struct interpreter {
    struct engine engine;
    tp_graph *owner;
    struct ir_graph *graph;
    unsigned char *arena;
    int64_t *offset;      /* by value: in the arena, -1: not there; of a state, a row-major copy */
    int bindings, wanted; /* inputs, then states; outputs, then assignments */
    struct ir_binding *binding;
    ir_val *value;
    struct ir_array *result;
};

static void *place(struct engine *e, ir_val v)
{
    struct interpreter *in = (struct interpreter *)e;

    return in->offset[v.id] < 0 ? NULL : in->arena + in->offset[v.id];
}

/* How many bytes a value has now. */
static size_t bytes_now(const struct ir_graph *g, ir_val v, const int64_t *symbols)
{
    const struct ir_node *n = ir_at(g, v);
    size_t bytes = (size_t)ir_dtypes[n->dtype].bytes;

    for (int i = 0; i < n->shape.rank; i++)
        bytes *= (size_t)ir_dim_value(g, n->shape.dim[i], symbols);
    return bytes;
}

/* Between an array of so many elements an axis and a place laid out for the symbols' bounds. */
static void move(const struct ir_graph *g, const struct ir_node *n, const int64_t *symbols,
                 int axis, char **bounded, char **plain, bool out)
{
    const size_t bytes = (size_t)ir_dtypes[n->dtype].bytes;
    size_t rest = bytes;
    char *next = *bounded;
    int64_t extent;

    if (axis == n->shape.rank) {
        memcpy(out ? *bounded : *plain, out ? *plain : *bounded, bytes);
        *plain += bytes;
        return;
    }
    for (int i = axis + 1; i < n->shape.rank; i++)
        rest *= (size_t)ir_dim_max(g, n->shape.dim[i]);
    extent = ir_dim_value(g, n->shape.dim[axis], symbols);
    for (int64_t i = 0; i < extent; i++, next += rest) {
        char *at = next;
        move(g, n, symbols, axis + 1, &at, plain, out);
    }
}

/* Does it lie as if the symbols were at their bounds, whatever they are? */
static bool is_plain(const struct ir_node *n)
{
    for (int i = 1; i < n->shape.rank; i++)
        if (!ir_dim_fixed(n->shape.dim[i]))
            return false;
    return true;
}

static bool run(struct engine *e, const int64_t *symbols)
{
    struct interpreter *in = (struct interpreter *)e;
    const struct ir_graph *g = in->graph;
    struct ir_arena *arena = ir_arena_new();
    bool ok = true;

    for (int i = 0; i < in->bindings && ok; i++) {
        struct ir_array *array = &in->binding[i].array;
        const struct ir_node *n = ir_at(g, in->value[in->wanted + i]);
        if (n->op == IR_state)
            ok = tp_state_read(in->owner, tp_state_find(in->owner, n->text), array->data);
        for (int axis = 0; axis < n->shape.rank; axis++)
            array->shape.dim[axis] = ir_dim_value(g, n->shape.dim[axis], symbols);
        if (n->op == IR_input && !is_plain(n)) {
            char *from = place(e, in->value[in->wanted + i]), *to;
            array->data = to =
                ir_alloc(arena, bytes_now(g, in->value[in->wanted + i], symbols) + 1);
            move(g, n, symbols, 0, &from, &to, false);
        }
    }
    ok = ok && ir_evaluate(g, in->bindings, in->binding, in->wanted, in->value, in->result, arena,
                           &in->owner->error);
    for (int i = 0; ok && i < in->wanted; i++) {
        const struct ir_node *n = ir_at(g, in->value[i]);
        size_t bytes = bytes_now(g, in->value[i], symbols);
        if (n->op == IR_assign)
            ok = tp_state_write(in->owner, tp_state_find(in->owner, ir_at(g, n->args[0])->text),
                                in->result[i].data);
        else if (!is_plain(n)) {
            char *to = place(e, in->value[i]), *from = in->result[i].data;
            move(g, n, symbols, 0, &to, &from, true);
        } else if (bytes)
            memcpy(place(e, in->value[i]), in->result[i].data, bytes);
    }
    ir_arena_free(arena);
    return ok;
}

static void free_interpreter(struct engine *e)
{
    struct interpreter *in = (struct interpreter *)e;

    run_memory_free(in->arena, in->engine.bytes);
    free(in);
}

/* A place in the arena for an input or output. */
static bool settle(struct interpreter *in, ir_val v)
{
    const struct ir_node *n = ir_at(in->graph, v);
    int64_t elements = ir_elements(in->graph, &n->shape);
    size_t bytes;

    if (in->offset[v.id] >= 0)
        return true;
    if (elements < 0 ||
        __builtin_mul_overflow((size_t)elements, (size_t)ir_dtypes[n->dtype].bytes, &bytes) ||
        bytes > SIZE_MAX / 4 - in->engine.bytes)
        return ir_error(&in->owner->error, IR_REFUSED, "program %s: %s does not fit memory",
                        in->graph->name, n->text ? n->text : "a value");
    in->offset[v.id] = (int64_t)in->engine.bytes;
    in->engine.bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

static void bind(struct interpreter *in, uint32_t v)
{
    const struct ir_node *n = &in->graph->nodes[v];
    void *data = place(&in->engine, (ir_val){ v });

    in->value[in->wanted + in->bindings] = (ir_val){ v };
    in->binding[in->bindings++] =
        (struct ir_binding){ n->text, { .dtype = n->dtype, .shape = n->shape, .data = data } };
}

struct engine *tp_engine_interpreter(tp_graph *g, struct ir_graph *graph)
{
    struct interpreter *in = calloc(1, sizeof *in);
    const size_t many = (size_t)graph->count + (size_t)graph->output_count + 1;
    bool ok = in != NULL;

    if (!in) {
        ir_error(&g->error, IR_FAILED, "program %s: not enough memory", graph->name);
        return NULL;
    }
    in->engine = (struct engine){ "interpreter", 0, place, run, free_interpreter, NULL, NULL };
    in->owner = g;
    in->graph = graph;
    in->offset = ir_alloc(graph->arena, graph->count * sizeof *in->offset);
    in->binding = ir_alloc(graph->arena, many * sizeof *in->binding);
    in->value = ir_alloc(graph->arena, 2 * many * sizeof *in->value);
    in->result = ir_alloc(graph->arena, 2 * many * sizeof *in->result);
    memset(in->offset, 0xff, graph->count * sizeof *in->offset);
    for (uint32_t v = 1; ok && v < graph->count; v++)
        ok = (graph->nodes[v].op != IR_input && graph->nodes[v].op != IR_state) ||
             settle(in, (ir_val){ v });
    for (int i = 0; ok && i < graph->output_count; i++) {
        in->value[in->wanted++] = graph->outputs[i].value;
        ok = settle(in, graph->outputs[i].value);
    }
    for (int i = 0; i < graph->effect_count; i++)
        in->value[in->wanted++] = graph->effects[i];
    in->arena = ok ? run_memory_map(in->engine.bytes, &g->error) : NULL;
    if (!in->arena) {
        free(in);
        return NULL;
    }
    for (uint32_t v = 1; v < graph->count; v++)
        if (graph->nodes[v].op == IR_input || graph->nodes[v].op == IR_state)
            bind(in, v);
    return &in->engine;
}
