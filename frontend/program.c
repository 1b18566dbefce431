/*
 * program: what was compiled, ready to run.
 *
 * Inputs and outputs have their places for good, so a run is one call of the engine with the
 * symbols' extents. States are the graph's: every program of it sees the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/check.h"
#include "ir/evaluate.h"
#include "runtime/cuda.h"

static size_t bytes_of(const struct ir_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g, v);

    return (size_t)ir_elements(g, &n->shape) * (size_t)ir_dtypes[n->dtype].bytes;
}

/* $TAPER_ENGINE: machine code, but where it says interpreter. */
static struct engine *engine_for(tp_graph *g, const struct ir_program *program,
                                 struct making making, bool *cached)
{
    const char *wanted = getenv("TAPER_ENGINE");

    if (making.plan_only)
        return tp_engine_plan(g, program, making);
    if (!tp_device_is_cpu(making.device))
        return tp_engine_device(g, program, making, cached);
    if (!wanted || !*wanted || strcmp(wanted, "compiled") == 0)
        return tp_engine_native(g, program, making, cached);
    if (strcmp(wanted, "interpreter") == 0)
        return tp_engine_interpreter(g, program->graph);
    ir_error(&g->error, IR_REFUSED, "TAPER_ENGINE=%.40s; expected compiled or interpreter", wanted);
    return NULL;
}

/* Every state that the graph reads or writes is in the store before an engine is made. */
static bool know_states(tp_graph *g, const struct ir_graph *graph)
{
    for (uint32_t v = 1; v < graph->count; v++)
        if (graph->nodes[v].op == IR_state && !tp_state_of(g, &graph->nodes[v], STATE_HIDDEN))
            return false;
    return true;
}

/* `known`: outputs that the trace has; what a check adds it has not */
static void list_ports(tp_program *p, const uint32_t *traced, int known)
{
    struct ir_graph *graph = p->graph;

    p->input = ir_alloc(graph->arena, graph->count * sizeof *p->input);
    p->output = ir_alloc(graph->arena, ((size_t)graph->output_count + 1) * sizeof *p->output);
    for (uint32_t v = 1; v < graph->count; v++)
        if (graph->nodes[v].op == IR_input)
            p->input[p->input_count++] =
                (struct port){ .value = { v }, .name = graph->nodes[v].text };
    for (int i = 0; i < graph->output_count; i++)
        p->output[p->output_count++] = (struct port){ .traced = traced && i < known ? traced[i] : 0,
                                                      .value = graph->outputs[i].value,
                                                      .name = graph->outputs[i].name };
    for (int i = 0; i < p->input_count + p->output_count; i++) {
        struct port *port = i < p->input_count ? &p->input[i] : &p->output[i - p->input_count];
        port->bytes = bytes_of(graph, port->value);
        port->data = p->engine ? p->engine->place(p->engine, port->value) : NULL;
    }
    if (traced) /* inputs keep their names from the trace */
        for (int i = 0; i < p->input_count; i++)
            for (uint32_t v = 1; v < p->owner->ir->count && !p->input[i].traced; v++)
                if (p->owner->ir->nodes[v].op == IR_input &&
                    strcmp(p->owner->ir->nodes[v].text, p->input[i].name) == 0)
                    p->input[i].traced = v;
}

tp_program *tp_program_new(tp_graph *g, struct ir_program program, const uint32_t *traced,
                           struct making making)
{
    struct ir_graph *graph = program.graph;
    struct engine *engine = NULL;
    int known = graph->output_count; /* outputs that the trace has */
    bool cached = false, ok = false;
    tp_program *p = calloc(1, sizeof *p);

    while (known > 0 && (tp_is_probe(graph->outputs[known - 1].name) ||
                         tp_is_notice(graph->outputs[known - 1].name)))
        known--;
    if (making.check && !program.kernel_count)
        tp_check_indices(graph);
    if (!p)
        ir_error(&g->error, IR_FAILED, "program %s: not enough memory", graph->name);
    else if (know_states(g, graph))
        ok = (g->no_engine && !making.plan_only) ||
             (engine = engine_for(g, &program, making, &cached));
    if (!ok) {
        ir_graph_free(graph);
        free(p);
        tp_tell(g);
        return NULL;
    }
    *p = (tp_program){ .owner = g,
                       .graph = graph,
                       .kernels = program,
                       .engine = engine,
                       .making = making,
                       .cached = cached };
    p->serial = ++g->serials;
    list_ports(p, traced, known);
    for (int i = 0; i < p->output_count; i++)
        p->notices |= tp_is_notice(p->output[i].name);
    for (int i = 0; i < graph->symbols; i++)
        p->symbol[i] = graph->symbol[i].hi;
    p->next = g->programs;
    g->programs = p;
    return p;
}

void tp_program_free(tp_program *p)
{
    if (!p)
        return;
    for (tp_program **at = &p->owner->programs; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    if (p->engine)
        p->engine->free(p->engine);
    ir_graph_free(p->graph);
    tp_check_free(p->check);
    free(p);
}

/* Programs of the host find the states there, and leave them changed. */
static bool run_here(tp_program *p)
{
    if (!tp_states_here(p->owner))
        return false;
    tp_states_changed(p->owner);
    return p->making.check ? tp_check_run(p) : p->engine->run(p->engine, p->symbol);
}

bool tp_run(tp_program *p)
{
    bool ok;

    if (!p || !p->engine)
        return false;
    if (!p->engine->fetch)
        ok = run_here(p);
    else if (p->making.check)
        ok = tp_check_run(p);
    else
        ok = p->engine->run(p->engine, p->symbol) &&
             (!(p->watched || p->notices) || tp_program_fetch(p));
    if (ok && p->notices && !tp_notices_run(p)) {
        ok = false;
        if (p->check)
            tp_check_put_back(p);
    }
    return ok || tp_tell(p->owner);
}

bool tp_program_fetch(const tp_program *p)
{
    return !p->engine || !p->engine->fetch || p->engine->fetch(p->engine) || tp_tell(p->owner);
}

/* --- inputs and outputs --------------------------------------------------------------------------
 */

static bool complain(const tp_program *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool complain(const tp_program *p, const char *format, ...)
{
    char text[300];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    ir_error(&p->owner->error, IR_REFUSED, "%s", text);
    return tp_tell(p->owner);
}

static const struct port *find(const tp_program *p, const char *what, tp_tensor x)
{
    if (!p)
        return NULL;
    for (int i = 0; x.g == p->owner && x.id && i < p->output_count; i++)
        if (p->output[i].traced == x.id)
            return &p->output[i];
    for (int i = 0; x.g == p->owner && x.id && i < p->input_count; i++)
        if (p->input[i].traced == x.id)
            return &p->input[i];
    complain(p, "%s: the tensor is no input or output of the program \"%.40s\"", what,
             p->graph->name);
    return NULL;
}

const struct port *tp_program_input(const tp_program *p, const char *name)
{
    for (int i = 0; i < p->input_count; i++)
        if (strcmp(p->input[i].name, name) == 0)
            return &p->input[i];
    return NULL;
}

const struct port *tp_program_output(const tp_program *p, const char *name)
{
    for (int i = 0; i < p->output_count; i++)
        if (p->output[i].name && strcmp(p->output[i].name, name) == 0)
            return &p->output[i];
    return NULL;
}

void *tp_buffer(tp_program *p, tp_tensor x, size_t *bytes)
{
    const struct port *port = find(p, "tp_buffer", x);

    if (bytes)
        *bytes = port ? port->bytes : 0;
    if (p && port && !p->watched) /* its numbers are there after each run, from here on */
        p->watched = tp_program_fetch(p);
    return port ? port->data : NULL;
}

double tp_number_at(enum ir_dtype dtype, const void *data)
{
    struct ir_array one = { .dtype = dtype, .data = (void *)data };
    double number;

    ir_load_real(&number, &one, NULL, 0, 1);
    return number;
}

struct printed {
    const struct ir_array *array;
    int64_t pitch[IR_RANK]; /* in elements */
    bool long_one;
};

static void put_axis(struct ir_text *t, const struct printed *p, const char *at, int axis)
{
    const struct ir_array *a = p->array;
    const int64_t extent = axis < a->shape.rank ? a->shape.dim[axis] : 0;
    const char *between = axis + 1 == a->shape.rank ? " " : "\n ";

    if (axis == a->shape.rank) {
        const double number = tp_number_at(a->dtype, at);
        ir_put(t, "%g", number != number ? (double)NAN : number); /* not -nan */
        return;
    }
    ir_put(t, "[");
    for (int64_t i = 0; i < extent; i++) {
        if (p->long_one && extent > 6 && i == 3) {
            ir_put(t, "%s..", between);
            i = extent - 3;
        }
        ir_put(t, "%s", i == 0 ? "" : between);
        put_axis(t, p, at + i * p->pitch[axis] * ir_dtypes[a->dtype].bytes, axis + 1);
    }
    ir_put(t, "]");
}

void tp_put_array(struct ir_text *text, const struct ir_array *array, const struct ir_graph *graph,
                  const struct ir_shape *room)
{
    struct printed p = { .array = array };
    int64_t pitch = 1, elements = 1;

    for (int axis = array->shape.rank; axis-- > 0;) {
        p.pitch[axis] = pitch;
        pitch *= room ? ir_dim_max(graph, room->dim[axis]) : array->shape.dim[axis];
        elements *= array->shape.dim[axis];
    }
    p.long_one = elements > 1000;
    put_axis(text, &p, array->data, 0);
}

double tp_port_number(const tp_program *p, const struct port *port)
{
    return port->bytes && tp_program_fetch(p)
               ? tp_number_at(ir_at(p->graph, port->value)->dtype, port->data)
               : (double)NAN;
}

int tp_program_keep(tp_program *p)
{
    return p->engine && p->engine->past && p->engine->past(p->engine, NULL, 0, NULL) ? RUN_PAST : 1;
}

double tp_past_number(const tp_program *p, const struct port *port, int back)
{
    char bytes[8] = { 0 };

    if (!p->engine->past || port->bytes > sizeof bytes)
        return tp_port_number(p, port);
    return p->engine->past(p->engine, port->data, back, bytes) || tp_tell(p->owner)
               ? tp_number_at(ir_at(p->graph, port->value)->dtype, bytes)
               : (double)NAN;
}

double tp_get(const tp_program *p, tp_tensor x)
{
    const struct port *port = find(p, "tp_get", x);

    if (port && ir_at(p->graph, port->value)->shape.rank != 0) {
        complain(p, "tp_get: %s; expected a scalar, tp_buffer() gives arrays", tp_describe(x));
        return (double)NAN;
    }
    return port ? tp_port_number(p, port) : (double)NAN;
}

bool tp_read(const tp_program *p, tp_tensor x, void *to, size_t bytes)
{
    const struct port *port = find(p, "tp_read", x);

    if (port && bytes > port->bytes)
        return complain(p, "tp_read: %zu bytes of %s, which has %zu", bytes, tp_describe(x),
                        port->bytes);
    if (port && !tp_program_fetch(p))
        return false;
    if (port && bytes)
        memcpy(to, port->data, bytes);
    return port != NULL;
}

static bool set_symbol(tp_program *p, const char *what, int i, int64_t n)
{
    const struct ir_symbol *s = &p->graph->symbol[i];

    if (n < s->lo || n > s->hi)
        return complain(p, "%s: %s %lld for the program \"%.40s\"; expected %lld to %lld", what,
                        s->name, (long long)n, p->graph->name, (long long)s->lo, (long long)s->hi);
    p->symbol[i] = n;
    return true;
}

bool tp_rows(tp_program *p, int64_t rows)
{
    if (!p)
        return false;
    if (p->graph->symbols == 0)
        return complain(p, "tp_rows: the program \"%.40s\" has no symbol", p->graph->name);
    return set_symbol(p, "tp_rows", 0, rows);
}

bool tp_extent(tp_program *p, const char *symbol, int64_t n)
{
    for (int i = 0; p && symbol && i < p->graph->symbols; i++)
        if (strcmp(p->graph->symbol[i].name, symbol) == 0)
            return set_symbol(p, "tp_extent", i, n);
    return p && complain(p, "tp_extent: the program \"%.40s\" has no symbol \"%.40s\"",
                         p->graph->name, symbol ? symbol : "");
}

size_t tp_program_bytes(const tp_program *p)
{
    return p && p->engine ? p->engine->bytes : 0;
}

const char *tp_program_engine(const tp_program *p)
{
    return p && p->engine ? p->engine->name : "none";
}
