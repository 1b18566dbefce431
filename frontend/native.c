/*
 * native: the engine that runs a program as machine code.
 *
 * The program becomes one function over two mappings: an arena of its own, planned in advance, and
 * the store of the graph's states. Its first call and its last differ in nothing: a run copies the
 * symbols' extents and calls.
 */
#define _GNU_SOURCE 1
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/tuned.h"

enum { SLACK = 8 << 10 }; /* bytes behind a mapping that over-running loads may touch */

struct native {
    struct engine engine;
    struct run_code *code;
    tp_entry *step;
    char *base[3]; /* arena, states, the users' functions */
    size_t mapped;
    int threads, symbols, kernels;
    struct profile *profile; /* of a profiled program, by kernel */
    tp_entry **entry;
    void **place; /* by value of the user's graph; NULL: not an input or output */
};

int tp_thread_count(int most)
{
    cpu_set_t set;
    int there = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    there = there < 1 ? 1 : there;
    return most > 0 && most < there ? most : there;
}

static void *place(struct engine *e, ir_val v)
{
    return ((struct native *)e)->place[v.id];
}

static bool run(struct engine *e, const int64_t *symbols)
{
    const struct native *n = (const struct native *)e;
    long dims[IR_SYMBOLS];

    for (int i = 0; i < n->symbols; i++)
        dims[i] = (long)symbols[i];
    n->step(n->base, dims, n->threads);
    return true;
}

static void free_native(struct engine *e)
{
    struct native *n = (struct native *)e;

    run_memory_free(n->base[0], n->mapped);
    run_code_free(n->code);
    free(n->base[2]);
    free(n);
}

/* --- from the graph to a loaded function ---------------------------------------------------------
 */

/* The states whose place an earlier program has chosen. */
static void add_known(const tp_graph *g, struct pass_options *options, struct ir_arena *arena)
{
    struct pass_known_state *known = ir_alloc(arena, ((size_t)g->state_count + 1) * sizeof *known);

    options->known = known;
    options->state_bytes = (int64_t)g->memory_used;
    for (int i = 0; i < g->state_count; i++)
        if (g->states[i].offset >= 0)
            known[options->known_count++] =
                (struct pass_known_state){ g->states[i].name, g->states[i].offset,
                                           g->states[i].storage };
}

/* A state that is handed out is copied, so that it shows what it was before the assignments. */
static void copy_states(struct ir_graph *g)
{
    for (int i = 0; i < g->output_count; i++) {
        const struct ir_node *n = ir_at(g, g->outputs[i].value);
        const ir_val state = g->outputs[i].value;
        struct ir_node copy = { .op = IR_reshape, .arity = 1, .args = &state, .loc = n->loc };

        if (n->op != IR_state)
            continue;
        copy.attr[0] = (struct ir_list){ n->shape.rank, n->shape.dim };
        g->outputs[i].value = ir_add(g, &copy);
    }
}

struct ir_program tp_simple_program(const struct ir_program *program)
{
    struct ir_program simple = *program;

    if (program->kernel_count) /* a text that stands behind these passes already */
        return simple;
    simple.graph = pass_simplify(program->graph);
    copy_states(simple.graph);
    return simple;
}

struct pass_compiled *tp_planned_program(tp_graph *g, const struct ir_program *simple,
                                         struct making making, struct ir_arena *arena)
{
    struct pass_options options = { .target = tp_target_for(g, making.device),
                                    .fuse = !g->unfused,
                                    .threads = tp_thread_count(making.threads),
                                    .memory = making.memory,
                                    .tf32 = making.tf32 };

    add_known(g, &options, arena);
    tp_tuned_options(g, &options, arena);
    return pass_pipeline(simple, &options, arena, &g->error);
}

struct run_code *tp_machine_code(struct loop_program *loops, bool profiled, tp_entry **entry,
                                 struct ir_error *error)
{
    struct run_options options = { .flags = loops->target->flags, .openmp = true };
    struct run_code *code = NULL;
    struct ir_text text = { 0 };

    /* a word that no function of the generated text has */
    if (strcmp(loops->name, "eval") != 0 && strcmp(loops->name, "step") != 0)
        loops->name = "program";
    if (profiled ? gen_profile(&text, loops, error)
                 : gen_program(&text, loops, &gen_target_c, error))
        code = run_code_load(text.data, &options, error);
    ir_text_free(&text);
    if (code)
        *(void **)entry = run_code_symbol(code, loops->name);
    if (!code || *entry)
        return code;
    ir_error(error, IR_FAILED, "program %s: its code has no entry", loops->name);
    run_code_free(code);
    return NULL;
}

/* A parallel region costs half a microsecond, even where thread 0 does all. */
int tp_useful_threads(const struct loop_program *loops, int threads)
{
    for (int k = 0; k < loops->kernels; k++)
        if (loops->kernel[k]->shared)
            return threads;
    return 1;
}

/* The states that the plan gave a place move there. */
bool tp_settle_states(tp_graph *g, const struct pass_compiled *c)
{
    if (!tp_store_grow(g, (size_t)c->loops->state_bytes + SLACK))
        return false;
    for (int i = 0; i < c->loops->places; i++) {
        const struct loop_place *p = &c->loops->place[i];
        struct state *s = p->base == 1 ? tp_state_find(g, p->name) : NULL;
        if (s && s->offset < 0 && !tp_state_settle(g, s, p->offset, &c->storage[p->value.id]))
            return false;
    }
    g->memory_used = (size_t)c->loops->state_bytes;
    return true;
}

static void *find_place(const struct native *n, const struct loop_program *loops, ir_val v)
{
    for (int i = 0; i < loops->places; i++)
        if (loops->place[i].value.id == v.id)
            return n->base[loops->place[i].base] + loops->place[i].offset;
    return NULL;
}

/* Passes number values anew: outputs are found by position, inputs by name. */
static void find_ports(struct native *n, const struct ir_graph *graph,
                       const struct loop_program *loops)
{
    const struct ir_graph *made = loops->graph;

    for (int i = 0; i < graph->output_count; i++)
        n->place[graph->outputs[i].value.id] = find_place(n, loops, made->outputs[i].value);
    for (uint32_t v = 1; v < graph->count; v++)
        for (uint32_t w = 1; graph->nodes[v].op == IR_input && w < made->count; w++)
            if (made->nodes[w].op == IR_input &&
                strcmp(made->nodes[w].text, graph->nodes[v].text) == 0)
                n->place[v] = find_place(n, loops, (ir_val){ w });
}

static void list_kernels(struct native *n, struct ir_arena *arena, const struct loop_program *loops)
{
    n->profile = ir_alloc(arena, ((size_t)loops->kernels + 1) * sizeof *n->profile);
    n->entry = ir_alloc(arena, ((size_t)loops->kernels + 1) * sizeof(tp_entry *));
    for (; n->kernels < loops->kernels; n->kernels++) {
        const struct loop_kernel *k = loops->kernel[n->kernels];
        char name[40];
        snprintf(name, sizeof name, "entry_of_kernel_%d", n->kernels);
        *(void **)&n->entry[n->kernels] = run_code_symbol(n->code, name);
        n->profile[n->kernels] =
            (struct profile){ ir_format(arena, "%s", k->name),
                              ir_format(arena, "%s", k->comment ? k->comment : ""),
                              k->flops,
                              k->bytes,
                              k->shared,
                              k->kind,
                              k->choice,
                              k->rule,
                              k->mark };
    }
}

int tp_engine_kernels(const struct engine *e, const struct profile **profile)
{
    const struct native *n = (const struct native *)e;

    if (!e || e->run != run)
        return 0;
    *profile = n->profile;
    return n->kernels;
}

int tp_program_kernels(const tp_program *p, const struct profile **profile)
{
    return tp_engine_kernels(p->engine, profile);
}

void tp_engine_run_kernel(struct engine *e, const int64_t *symbols, int kernel)
{
    const struct native *n = (const struct native *)e;
    long dims[IR_SYMBOLS];

    for (int i = 0; i < n->symbols; i++)
        dims[i] = (long)symbols[i];
    n->entry[kernel](n->base, dims, n->threads);
}

void tp_run_kernel(tp_program *p, int kernel)
{
    tp_engine_run_kernel(p->engine, p->symbol, kernel);
}

struct call { /* as the text of programs has it (codegen/call.c) */
    void (*function)(void);
    void *user;
};

bool tp_call_table(const struct loop_program *loops, char **table, struct ir_error *error)
{
    struct call *calls = NULL;

    *table = NULL;
    if (loops->calls && !(calls = calloc((size_t)loops->calls, sizeof *calls)))
        return ir_error(error, IR_FAILED, "program %s: not enough memory", loops->name);
    *table = (char *)calls;
    for (int k = 0; k < loops->kernels; k++) {
        const struct loop_call *call = loops->kernel[k]->call;
        if (call && !call->custom)
            return ir_error(error, IR_UNSUPPORTED,
                            "custom: %.60s is a C function, which a text does not hold",
                            call->name);
        if (call)
            calls[call->at] = (struct call){ call->custom->function, call->custom->user };
    }
    return true;
}

/* The program's memory: states that nobody has placed yet, and its arena. */
static bool make_memory(struct native *n, tp_graph *g, const struct pass_compiled *c)
{
    const double start = run_seconds();

    if (!tp_settle_states(g, c))
        return false;
    n->engine.bytes = (size_t)c->loops->arena_bytes;
    n->mapped = n->engine.bytes + SLACK;
    n->base[0] = run_memory_map(n->mapped, &g->error);
    n->base[1] = (char *)g->memory.base;
    g->memory_seconds += run_seconds() - start;
    return n->base[0] != NULL;
}

static bool assemble(struct native *n, tp_graph *g, const struct ir_graph *graph,
                     const struct ir_program *simple, struct making making, struct ir_arena *arena)
{
    struct pass_compiled *c = tp_planned_program(g, simple, making, arena);

    if (!c || !tp_call_table(c->loops, &n->base[2], &g->error))
        return false;
    n->code = tp_machine_code(c->loops, g->profiled, &n->step, &g->error);
    if (!n->code || !make_memory(n, g, c))
        return false;
    n->threads = tp_useful_threads(c->loops, n->threads);
    n->symbols = graph->symbols;
    find_ports(n, graph, c->loops);
    if (g->profiled)
        list_kernels(n, graph->arena, c->loops);
    return true;
}

struct engine *tp_engine_native(tp_graph *g, const struct ir_program *program, struct making making,
                                bool *cached)
{
    struct native *n = calloc(1, sizeof *n);
    struct ir_arena *arena = ir_arena_new();
    struct ir_program simple = tp_simple_program(program);
    bool ok = false;

    if (n) {
        n->engine = (struct engine){ "compiled", 0, place, run, free_native, NULL, NULL };
        n->threads = tp_thread_count(making.threads);
        n->place = ir_alloc(program->graph->arena, program->graph->count * sizeof *n->place);
        ok = assemble(n, g, program->graph, &simple, making, arena);
    } else {
        ir_error(&g->error, IR_FAILED, "program %s: not enough memory", program->graph->name);
    }
    if (simple.graph != program->graph)
        ir_graph_free(simple.graph);
    ir_arena_free(arena);
    *cached = ok && run_code_info(n->code).cached;
    if (ok)
        return &n->engine;
    if (n)
        free_native(&n->engine);
    return NULL;
}

/* --- a plan alone --------------------------------------------------------------------------------
 */

struct plan_engine {
    struct engine engine;
    tp_graph *g;
};

static void *no_place(struct engine *e, ir_val v)
{
    (void)e, (void)v;
    return NULL;
}

static bool no_run(struct engine *e, const int64_t *symbols)
{
    (void)symbols;
    return ir_error(&((struct plan_engine *)e)->g->error, IR_REFUSED,
                    "tp_run: the program was made with .plan_only");
}

static void free_plan(struct engine *e)
{
    free(e);
}

struct engine *tp_engine_plan(tp_graph *g, const struct ir_program *program, struct making making)
{
    struct plan_engine *e = calloc(1, sizeof *e);
    struct ir_arena *arena = ir_arena_new();
    struct ir_program simple = tp_simple_program(program);
    const struct pass_compiled *c = e ? tp_planned_program(g, &simple, making, arena) : NULL;

    if (c)
        *e = (struct plan_engine){
            { "plan", (size_t)c->loops->arena_bytes, no_place, no_run, free_plan, NULL, NULL }, g
        };
    if (!e)
        ir_error(&g->error, IR_FAILED, "program %s: not enough memory", program->graph->name);
    if (simple.graph != program->graph)
        ir_graph_free(simple.graph);
    ir_arena_free(arena);
    if (c)
        return &e->engine;
    free(e);
    return NULL;
}
