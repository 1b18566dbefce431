/*
 * pipeline: the ordered list of what happens between a graph and a planned program.
 */
#include "outline.h"
#include "traffic.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* the graph with the symbols' bounds narrowed to what this program is compiled for */
static const struct ir_graph *narrowed(const struct ir_graph *g, const struct pass_options *options,
                                       struct ir_arena *arena)
{
    struct ir_graph *copy = ir_alloc(arena, sizeof *copy);

    *copy = *g;
    for (int s = 0; s < g->symbols; s++)
        if (options->bound[s] > 0 && options->bound[s] < g->symbol[s].hi)
            copy->symbol[s].hi = options->bound[s];
    return copy;
}

/* what a pass made lives as long as the program */
static const struct ir_graph *kept(struct ir_arena *arena, const struct ir_graph *before,
                                   const struct ir_graph *after)
{
    if (after != before)
        ir_arena_adopt(arena, after->arena);
    return after;
}

static void number_kernels(struct pass_compiled *c)
{
    const uint32_t count = c->program->graph->count;

    c->kernel_of = ir_alloc(c->arena, count * sizeof *c->kernel_of);
    for (uint32_t v = 0; v < count; v++)
        c->kernel_of[v] = -1;
    for (int k = 0; k < c->program->kernel_count; k++)
        for (int i = 0; i < c->program->kernels[k].count; i++)
            c->kernel_of[c->program->kernels[k].nodes[i].id] = k;
}

/* From a graph to kernels in their order; a program with kernels keeps them. */
static struct pass_compiled *shape(const struct ir_program *program, const struct ir_graph *g,
                                   const struct pass_options *options, struct ir_arena *arena)
{
    struct pass_compiled *c = ir_alloc(arena, sizeof *c);

    c->arena = arena;
    if (program->kernel_count) {
        c->program = ir_alloc(arena, sizeof *c->program);
        *c->program = *program;
        c->program->graph = (struct ir_graph *)g;
    } else {
        c->program = pass_fuse(g, options, arena);
    }
    number_kernels(c);
    pass_layout(c, options);
    if (!program->kernel_count && !options->external && !pass_has_loops(g)) {
        c->program = pass_order(c, arena);
        number_kernels(c);
    }
    return c;
}

/* From kernels to loops, with their places. */
static bool finish(struct pass_compiled *c, const struct pass_options *options,
                   struct ir_error *error)
{
    const size_t kernels = (size_t)c->program->kernel_count;
    c->pieces = !options->target->processors; /* a launch is of one nest */
    struct pass_outline *seen = pass_outline_new(c->arena, c->program->kernel_count);

    c->loops = ir_alloc(c->arena, sizeof *c->loops);
    *c->loops = (struct loop_program){ .arena = c->arena,
                                       .graph = c->program->graph,
                                       .target = options->target,
                                       .symbols = pass_outer_symbols(c->program->graph),
                                       .name = c->program->graph->name };
    c->loops->kernel = ir_alloc(c->arena, (kernels + 1) * sizeof(struct loop_kernel *));
    for (size_t k = 0; k < kernels; k++) {
        struct ir_arena *own = ir_arena_new(), *all = c->arena;
        struct loop_kernel *kernel, *like = NULL;
        c->arena = own;
        kernel = pass_lower(c, (int)k, error);
        c->arena = all;
        if (kernel)
            like = pass_outline_find(seen, kernel);
        if (like) /* most of a deep network: what was lowered is not kept */
            ir_arena_free(own);
        else
            ir_arena_adopt(all, own);
        if (kernel && !like)
            pass_choose_schedule(kernel, options);
        if (!kernel || (!like && !pass_schedule(kernel, options, error)))
            return false;
        c->loops->kernel[c->loops->kernels++] = like ? like : kernel;
    }
    pass_outline_name(c->loops);
    if (!pass_plan(c, options, error))
        return false;
    if (options->target->processors) { /* its launches are a list: no loop runs them */
        pass_gather(c->loops, options->fuse);
        return true;
    }
    pass_stream(c->loops);
    pass_find_repeats(c);
    return true;
}

/* --- into so many bytes --------------------------------------------------------------------------
 */

/* One step nearer to the limit, with some values computed a second time; NULL: there is none. First
 * all that seems good together, then the best choices one by one. */
static struct pass_compiled *step_nearer(const struct pass_compiled *c, int64_t limit,
                                         const struct pass_options *options)
{
    enum { TRIES = 7 };
    const struct ir_program none = { 0 };
    int *after = ir_alloc(c->arena, c->program->graph->count * sizeof *after);
    int64_t most;
    const double excess = pass_excess(c, limit, &most);

    for (int try = 0; try < TRIES && excess > 0; try++) {
        struct pass_compiled *next;
        struct ir_graph *g;
        if (!pass_choose(c, limit, try ? try - 1 : 0, try ? 1 : INT_MAX, after))
            return NULL;
        g = pass_recompute(c, after);
        ir_arena_adopt(c->arena, g->arena);
        next = shape(&none, g, options, c->arena);
        if (pass_excess(next, limit, &most) < 0.999 * excess)
            return next;
    }
    return NULL;
}

/* Plans again with more and more computed twice, until it fits or nothing helps. */
static bool fit(struct pass_compiled **c, const struct pass_options *options,
                struct ir_error *error)
{
    enum { PLANS = 24, STEPS = 24 };
    int64_t slack = 0, most;

    for (int plan = 0; plan < PLANS && (*c)->loops->arena_bytes > options->memory; plan++) {
        struct pass_compiled *best = *c, *next;
        int64_t limit;
        pass_excess(*c, 0, &most);
        limit = options->memory - ((*c)->loops->arena_bytes - most) - slack;
        limit = limit > most - most / 8 ? limit : most - most / 8; /* not all at once */
        for (int i = 0; i < STEPS && (next = step_nearer(best, limit, options)); i++)
            best = next;
        if (best == *c)
            break;
        if (!finish(best, options, error))
            return false;
        if (best->loops->arena_bytes >= (*c)->loops->arena_bytes)
            break;
        *c = best;
        slack += (*c)->loops->arena_bytes > options->memory
                     ? (*c)->loops->arena_bytes - options->memory
                     : 0;
    }
    return true;
}

static struct pass_compiled *planned(const struct ir_program *program,
                                     const struct pass_options *options, struct ir_arena *arena,
                                     struct ir_error *error)
{
    const struct ir_graph *g = narrowed(program->graph, options, arena);
    struct pass_compiled *c;

    if (!program->kernel_count) {
        struct ir_graph *flat = pass_flatten_scans(g);
        if (flat) {
            ir_arena_adopt(arena, flat->arena);
            if (flat->error->status)
                return ir_error(error, flat->error->status, "%s", flat->error->text), NULL;
            g = flat;
        }
        g = kept(arena, g, pass_widen(g));
        if (!options->target->processors) /* lanes of images are for vectors */
            g = kept(arena, g, pass_relayout(g, options->external));
    }
    c = shape(program, g, options, arena);
    if (!finish(c, options, error))
        return NULL;
    if (options->memory && !program->kernel_count && !options->external && !pass_has_loops(g) &&
        !fit(&c, options, error))
        return NULL;
    return c;
}

/* The greatest batch with which it would fit; 0: none. */
static int64_t find_batch(const struct ir_program *program, struct pass_options options)
{
    const struct ir_graph *g = program->graph;
    int64_t fits = 0, fails = options.bound[0] > 0 && options.bound[0] < g->symbol[0].hi
                                  ? options.bound[0]
                                  : g->symbol[0].hi;

    while (g->symbols && fails - fits > 1) {
        struct ir_arena *arena = ir_arena_new();
        struct ir_error error = { 0 };
        const int64_t middle = fits + (fails - fits) / 2;
        const struct pass_compiled *c;
        if (middle < g->symbol[0].lo)
            break;
        options.bound[0] = middle;
        c = planned(program, &options, arena, &error);
        if (c && c->loops->arena_bytes <= options.memory)
            fits = middle;
        else
            fails = middle;
        ir_arena_free(arena);
    }
    return fits;
}

static bool refuse(const struct pass_compiled *c, const struct ir_program *program,
                   const struct pass_options *options, struct ir_error *error)
{
    const int64_t batch = find_batch(program, *options);
    struct ir_text text = { 0 };

    pass_print_fullest(&text, c->loops, 3);
    if (batch)
        ir_error(error, IR_REFUSED,
                 "%.40s: a memory of %" PRId64 " bytes is too small: %" PRId64
                 " are needed at %.150s; a %.20s of %" PRId64 " fits",
                 program->graph->name, options->memory, c->loops->arena_bytes, text.data,
                 program->graph->symbol[0].name, batch);
    else
        ir_error(error, IR_REFUSED,
                 "%.40s: a memory of %" PRId64 " bytes is too small: %" PRId64
                 " are needed at %.150s",
                 program->graph->name, options->memory, c->loops->arena_bytes, text.data);
    ir_text_free(&text);
    return false;
}

struct pass_compiled *pass_pipeline(const struct ir_program *program,
                                    const struct pass_options *options, struct ir_arena *arena,
                                    struct ir_error *error)
{
    struct pass_compiled *c = planned(program, options, arena, error);

    if (c && options->memory && c->loops->arena_bytes > options->memory)
        return refuse(c, program, options, error), NULL;
    return c;
}
