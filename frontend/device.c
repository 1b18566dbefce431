/*
 * device: the engine that runs a program on a GPU, or on the CPU as one.
 *
 * The states have a copy there. Who has the newer one is known: a run on the device takes the
 * host's along when it has changed, and whoever looks at a state on the host waits for the
 * device's. Outputs come back when somebody looks at them.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/device.h"
#include "frontend/frontend.h"

struct device { /* of a graph */
    struct run_device *at;
    const char *name;
    struct ir_target target;
    bool newer;   /* its states are; else the host's are the same or newer */
    bool changed; /* the host's are newer */
};

/* ---- the graph's device ---- */

bool tp_device_is_cpu(const char *name)
{
    return !name || !*name || strcmp(name, "cpu") == 0;
}

static bool open_device(tp_graph *g, const char *name)
{
    struct device *d = g->device;

    if (d)
        return strcmp(d->name, name) == 0 ||
               ir_error(&g->error, IR_REFUSED,
                        "device %.40s: the graph's states are on %.40s already", name, d->name);
    if (!(d = calloc(1, sizeof *d)))
        return ir_error(&g->error, IR_FAILED, "device %.40s: not enough memory", name);
    d->at = run_device_open(name, &g->error);
    if (!d->at) {
        free(d);
        return false;
    }
    d->name = ir_format(g->ir->arena, "%s", name);
    d->target = *ir_target_by_name("cuda");
    d->target.processors = run_device_processors(d->at);
    d->target.flags = run_device_arch(d->at);
    g->device = d;
    return true;
}

void tp_device_free(tp_graph *g)
{
    if (g->device)
        run_device_free(g->device->at);
    free(g->device);
    g->device = NULL;
}

const struct ir_target *tp_target_for(const tp_graph *g, const char *device)
{
    if (tp_device_is_cpu(device))
        return g->target ? g->target : ir_target_by_name("native");
    return g->device ? &g->device->target : ir_target_by_name("cuda");
}

bool tp_states_here(tp_graph *g)
{
    struct device *d = g->device;

    if (!d || !d->newer)
        return true;
    if (!run_device_get_states(d->at, g->memory.base, g->memory_used, &g->error))
        return false;
    d->newer = false;
    return true;
}

void tp_states_changed(tp_graph *g)
{
    if (g->device)
        g->device->changed = true;
}

static bool states_there(tp_graph *g)
{
    struct device *d = g->device;

    if (!d->changed)
        return true;
    if (!tp_states_here(g) ||
        !run_device_put_states(d->at, g->memory.base, g->memory_used, &g->error))
        return false;
    d->changed = false;
    return true;
}

/* ---- a plan as launches ---- */

static int64_t length_of(void *user, const int64_t *symbols, int launch)
{
    const struct loop_program *loops = user;

    return ir_dim_value(loops->graph, loops->kernel[loops->launch[launch].kernel[0]]->length,
                        symbols);
}

static int index_of(const struct ir_graph *g, int64_t dim)
{
    for (int s = 0; s < g->symbols; s++)
        if (g->dimension[dim - INT64_MIN].power[s])
            return s;
    return 0;
}

static void fill_launch(struct run_launch *to, const struct loop_program *p, int i,
                        const int *text_of)
{
    const struct loop_launch *l = &p->launch[i];
    const struct loop_kernel *k = p->kernel[l->kernel[0]];
    const size_t arrays = (size_t)loop_launch_arrays(p, l, NULL);
    const struct loop_buffer **array = ir_alloc(p->arena, (arrays + 1) * sizeof(void *));
    struct run_range *range = ir_alloc(p->arena, (arrays + 1) * sizeof *range);

    loop_launch_arrays(p, l, array);
    for (size_t b = 0; b < arrays; b++)
        range[b] = (struct run_range){ array[b]->base, array[b]->offset,
                                       array[b]->elements * ir_dtypes[array[b]->dtype].bytes,
                                       array[b]->written };
    *to = (struct run_launch){ .kernel = gen_launched(p->arena, p, l),
                               .text = text_of[i],
                               .blocks = (unsigned)l->blocks,
                               .threads = (unsigned)l->threads,
                               .ranges = (int)arrays,
                               .range = range,
                               .loop = (int)k->mark,
                               .reverse = k->reverse,
                               .length = length_of };
    if (k->mark == LOOP_BEGIN)
        to->index = index_of(p->graph, k->index);
}

/* The launch with whose text this one's comes: itself, where it is the first. */
static int text_from(const struct loop_program *p, int i)
{
    const struct loop_launch *l = &p->launch[i];

    if (l->first)
        return (int)(l->first - p->launch);
    for (int j = 0; j < i && !l->name; j++)
        if (!p->launch[j].name && loop_function(p->kernel[p->launch[j].kernel[0]]) ==
                                      loop_function(p->kernel[l->kernel[0]]))
            return j;
    return i;
}

/* One text, or one for each function that is launched. */
static bool put_texts(struct run_planned *planned, const struct loop_program *p, int *text_of,
                      bool apart, struct ir_error *error)
{
    const char **text = ir_alloc(p->arena, ((size_t)p->launches + 1) * sizeof *text);
    struct ir_text one = { 0 };
    bool ok = true;

    planned->text = text;
    for (int i = 0; i < p->launches && ok && apart; i++) {
        const int from = text_from(p, i);
        if (p->kernel[p->launch[i].kernel[0]]->mark)
            continue;
        text_of[i] = from < i ? text_of[from] : planned->texts;
        if (from < i)
            continue;
        ok = gen_launches(&one, p, i, i + 1, &gen_target_cuda, error);
        text[planned->texts++] = ok ? ir_format(p->arena, "%s", one.data) : "";
        ir_text_free(&one);
    }
    if (apart)
        return ok;
    ok = gen_launches(&one, p, 0, p->launches, &gen_target_cuda, error);
    text[planned->texts++] = ok ? ir_format(p->arena, "%s", one.data) : "";
    ir_text_free(&one);
    return ok;
}

bool tp_launches(struct run_planned *planned, struct loop_program *p, bool apart,
                 struct ir_error *error)
{
    struct run_launch *launch = ir_alloc(p->arena, ((size_t)p->launches + 1) * sizeof *launch);
    int *text_of = ir_alloc(p->arena, ((size_t)p->launches + 1) * sizeof *text_of);

    planned->name = ir_format(p->arena, "%s", p->name);
    planned->launch = launch;
    planned->launches = p->launches;
    planned->symbols = p->graph->symbols;
    planned->arena_bytes = (size_t)p->arena_bytes;
    planned->user = p;
    if (!put_texts(planned, p, text_of, apart, error))
        return false;
    for (int i = 0; i < p->launches; i++)
        fill_launch(&launch[i], p, i, text_of);
    return true;
}

/* ---- the engine ---- */

struct on_device {
    struct engine engine;
    tp_graph *g;
    struct ir_arena *arena; /* of the plan, which the program goes on from */
    struct run_planned planned;
    struct run_device_program *program;
    void **place; /* by value of the user's graph: the host's copy */
    int symbols;
    bool effects;
};

static void *place(struct engine *e, ir_val v)
{
    return ((struct on_device *)e)->place[v.id];
}

static bool run(struct engine *e, const int64_t *symbols)
{
    struct on_device *n = (struct on_device *)e;
    int64_t all[IR_SYMBOLS] = { 0 };

    memcpy(all, symbols, (size_t)n->symbols * sizeof *all);
    if (!states_there(n->g) || !run_device_run(n->program, all, &n->g->error))
        return false;
    n->g->device->newer |= n->effects;
    return true;
}

static bool fetch(struct engine *e)
{
    struct on_device *n = (struct on_device *)e;

    return run_device_fetch(n->program, &n->g->error);
}

/* The first call says that they are to be kept: it has no place. */
static bool past(struct engine *e, const void *at, int back, void *to)
{
    struct on_device *n = (struct on_device *)e;

    for (int i = 0; at && i < n->planned.outputs; i++)
        if (n->planned.output[i].host == at)
            return run_device_past(n->program, i, back, to, &n->g->error);
    return !at && run_device_keep(n->program, &n->g->error);
}

static void free_engine(struct engine *e)
{
    struct on_device *n = (struct on_device *)e;

    run_device_unload(n->program);
    for (int i = 0; i < n->planned.inputs; i++)
        free(n->planned.input[i].host);
    for (int i = 0; i < n->planned.outputs; i++)
        free(n->planned.output[i].host);
    ir_arena_free(n->arena);
    free(n);
}

static const struct loop_place *find_place(const struct loop_program *p, ir_val v)
{
    for (int i = 0; i < p->places; i++)
        if (p->place[i].value.id == v.id)
            return &p->place[i];
    return NULL;
}

/* The host's copy of an input or output, and where it is on the device. */
static bool add_transfer(struct on_device *n, const struct loop_program *p, ir_val mine,
                         ir_val planned, struct run_transfer *t)
{
    const struct loop_place *at = find_place(p, planned);
    const struct ir_node *node = ir_at(p->graph, planned);
    const int64_t bytes = ir_elements(p->graph, &node->shape) * ir_dtypes[node->dtype].bytes;

    if (!at) /* nobody reads the input */
        at = &(const struct loop_place){ .base = 0, .bytes = 0 };
    *t = (struct run_transfer){ .host = calloc(1, (size_t)bytes + 64),
                                .offset = at->offset,
                                .bytes = at->bytes ? (size_t)bytes : 0,
                                .base = at->base };
    n->place[mine.id] = t->host;
    return t->host || ir_error(&n->g->error, IR_FAILED, "program %s: not enough memory", p->name);
}

/* Passes number values anew: outputs are found by position, inputs by name. */
static bool list_ports(struct on_device *n, const struct ir_graph *graph,
                       const struct loop_program *p)
{
    const struct ir_graph *made = p->graph;
    struct run_transfer *input = ir_alloc(n->arena, (graph->count + 1) * sizeof *input),
                        *output =
                            ir_alloc(n->arena, ((size_t)graph->output_count + 1) * sizeof *output);
    bool ok = true;

    n->planned.input = input;
    n->planned.output = output;
    for (int i = 0; i < graph->output_count && ok; i++) {
        const ir_val mine = graph->outputs[i].value;
        if (n->place[mine.id]) /* one value by two names */
            continue;
        ok = add_transfer(n, p, mine, made->outputs[i].value, &output[n->planned.outputs]);
        n->planned.outputs += ok;
    }
    for (uint32_t v = 1; v < graph->count && ok; v++)
        for (uint32_t w = 1; graph->nodes[v].op == IR_input && w < made->count && ok; w++)
            if (made->nodes[w].op == IR_input && !n->place[v] &&
                strcmp(made->nodes[w].text, graph->nodes[v].text) == 0) {
                ok = add_transfer(n, p, (ir_val){ v }, (ir_val){ w }, &input[n->planned.inputs]);
                n->planned.inputs += ok;
            }
    return ok;
}

static bool assemble(struct on_device *n, const struct ir_graph *graph,
                     const struct ir_program *simple, struct making making, bool *cached)
{
    tp_graph *g = n->g;
    struct pass_compiled *c = tp_planned_program(g, simple, making, n->arena);

    if (!c || !tp_settle_states(g, c) ||
        !tp_launches(&n->planned, c->loops, run_device_apart(g->device->at), &g->error) ||
        !list_ports(n, graph, c->loops))
        return false;
    n->engine.bytes = (size_t)c->loops->arena_bytes;
    n->symbols = graph->symbols;
    n->effects = graph->effect_count > 0;
    g->device->changed = true; /* states that are new here are not there yet */
    n->program = run_device_load(g->device->at, &n->planned, cached, &g->error);
    return n->program != NULL;
}

struct engine *tp_engine_device(tp_graph *g, const struct ir_program *program, struct making making,
                                bool *cached)
{
    struct on_device *n;
    struct ir_program simple;
    bool ok;

    if (!open_device(g, making.device))
        return NULL;
    if (!(n = calloc(1, sizeof *n))) {
        ir_error(&g->error, IR_FAILED, "program %s: not enough memory", program->graph->name);
        return NULL;
    }
    simple = tp_simple_program(program);
    n->engine = (struct engine){ g->device->name, 0, place, run, free_engine, fetch, past };
    n->g = g;
    n->arena = ir_arena_new();
    n->place = ir_alloc(program->graph->arena, program->graph->count * sizeof *n->place);
    ok = assemble(n, program->graph, &simple, making, cached);
    if (simple.graph != program->graph)
        ir_arena_adopt(n->arena, simple.graph->arena); /* names in the plan are of there */
    if (ok)
        return &n->engine;
    free_engine(&n->engine);
    return NULL;
}
