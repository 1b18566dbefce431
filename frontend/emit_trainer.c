/*
 * emit_trainer: a step, its evaluation and its data, described for the one file that trains them.
 *
 * Both programs are planned anew for the target, the step first, so that it chooses where the
 * states lie, as in a run. Nothing is allocated or computed: sizes come from the plan.
 */
#include <math.h>
#include <string.h>

#include "codegen/trainer.h"
#include "frontend/data.h"
#include "frontend/frontend.h"

struct plan {
    const struct trainer_args *args;
    struct ir_arena *arena;
    const struct ir_target *target;
    struct ir_program simple[2]; /* of step and eval */
    struct pass_compiled *made[2];
    struct pass_known_state *known; /* states that have a place */
    int known_count;
    int64_t state_bytes;
};

enum { THREADS = 16 }; /* that an arena has room for, where nobody says */

/* --- planning ------------------------------------------------------------------------------------
 */

static void know(struct plan *p, const struct pass_compiled *c)
{
    for (int i = 0; i < c->loops->places; i++) {
        const struct loop_place *place = &c->loops->place[i];
        int k = 0;

        if (place->base != 1)
            continue;
        while (k < p->known_count && strcmp(p->known[k].name, place->name) != 0)
            k++;
        if (k == p->known_count)
            p->known[p->known_count++] = (struct pass_known_state){ place->name, place->offset,
                                                                    c->storage[place->value.id] };
    }
    p->state_bytes = c->loops->state_bytes;
}

static bool plan(struct plan *p, int which, const tp_program *program, struct ir_error *error)
{
    const struct pass_options options = {
        .target = p->target,
        .fuse = !program->owner->unfused,
        .threads = p->args->threads ? (int)p->args->threads : THREADS,
        .memory = program->making.memory,
        .known = p->known,
        .known_count = p->known_count,
        .state_bytes = p->state_bytes,
    };

    p->simple[which] = tp_simple_program(&program->kernels);
    p->made[which] = pass_pipeline(&p->simple[which], &options, p->arena, error);
    if (!p->made[which])
        return false;
    p->made[which]->loops->name = which ? "eval" : "step";
    know(p, p->made[which]);
    return true;
}

/* --- tables --------------------------------------------------------------------------------------
 */

static const struct loop_place *place_of(const struct loop_program *loops, ir_val v)
{
    for (int i = 0; i < loops->places; i++)
        if (loops->place[i].value.id == v.id)
            return &loops->place[i];
    return NULL;
}

/* The output of that name, or the first scalar whose type is of that kind. */
static struct gen_value find_value(const struct plan *p, int which, const char *name, bool floating)
{
    const struct loop_program *loops = p->made[which]->loops;
    const struct ir_graph *g = loops->graph;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < g->output_count; i++) {
            const struct ir_node *n = ir_at(g, g->outputs[i].value);
            const struct loop_place *place = place_of(loops, g->outputs[i].value);
            const bool named = g->outputs[i].name && strcmp(g->outputs[i].name, name) == 0;

            if (place && n->shape.rank == 0 && (ir_dtypes[n->dtype].kind == 'f') == floating &&
                (named || pass))
                return (struct gen_value){ true, n->dtype, place->base, place->offset };
        }
    return (struct gen_value){ .there = false };
}

static struct gen_state describe_state(const struct plan *p, tp_graph *g, struct state *s)
{
    struct gen_state to = { .name = s->name,
                            .dtype = s->dtype,
                            .rank = s->shape.rank,
                            .elements = ir_elements(g->ir, &s->shape),
                            .init = s->init,
                            .a = s->a,
                            .b = s->b,
                            .saved = s->kind != STATE_HIDDEN,
                            .offset = -1 };

    memcpy(to.dim, s->shape.dim, sizeof to.dim);
    for (int i = 0; i < p->known_count; i++) {
        const struct pass_storage *storage = &p->known[i].storage;
        if (strcmp(p->known[i].name, s->name) != 0)
            continue;
        to.offset = p->known[i].offset;
        to.parts = storage->parts;
        for (int k = 0; k < storage->parts; k++)
            to.part[k] = (struct gen_part){ storage->part[k].axis, storage->part[k].divisor,
                                            storage->part[k].extent, storage->part[k].pitch };
    }
    return to;
}

/* A saved state that neither program knows lies behind the others, row-major. */
static void give_place(struct plan *p, struct gen_state *s)
{
    int64_t pitch = 1;

    p->state_bytes = (p->state_bytes + 63) / 64 * 64;
    s->offset = p->state_bytes;
    s->parts = s->rank;
    for (int axis = s->rank; axis-- > 0; pitch *= s->dim[axis])
        s->part[axis] = (struct gen_part){ axis, 1, 0, pitch };
    p->state_bytes += s->elements * ir_dtypes[s->dtype].bytes;
}

/* The program's numbers where it was given some: tp_array. */
static bool copy_numbers(struct plan *p, tp_graph *g, struct state *s, struct gen_state *to)
{
    void *numbers;

    if (!s->given)
        return true;
    numbers = ir_alloc(p->arena, s->bytes + 1);
    to->numbers = numbers;
    return tp_state_read(g, s, numbers);
}

static bool describe_states(struct plan *p, struct gen_trainer *t)
{
    tp_graph *g = p->args->step->owner;
    struct gen_state *state = ir_alloc(p->arena, ((size_t)g->state_count + 1) * sizeof *state);

    for (int i = 0; i < g->state_count; i++) {
        struct gen_state *to = &state[t->states];
        *to = describe_state(p, g, &g->states[i]);
        if (to->offset < 0 && to->saved)
            give_place(p, to);
        if (to->offset < 0)
            continue;
        if (!copy_numbers(p, g, &g->states[i], to))
            return false;
        t->states++;
    }
    t->state = state;
    return true;
}

static int64_t input_offset(const struct plan *p, int which, const char *name)
{
    const struct loop_program *loops = p->made[which] ? p->made[which]->loops : NULL;

    for (uint32_t v = 1; loops && v < loops->graph->count; v++)
        if (loops->graph->nodes[v].op == IR_input &&
            strcmp(loops->graph->nodes[v].text, name) == 0) {
            const struct loop_place *place = place_of(loops, (ir_val){ v });
            return place ? place->offset : -1;
        }
    return -1;
}

/* Inputs are the columns of the set that a program asks for by name, as tp_next binds them. */
static bool describe_inputs(struct plan *p, struct gen_trainer *t, struct ir_error *error)
{
    struct gen_input *input = ir_alloc(p->arena, 2 * DATA_COLUMNS * sizeof *input);
    const struct data_set *set = tp_loader_set(p->args->train);

    for (int which = 0; which < 2 && p->made[which]; which++) {
        const struct ir_graph *g = p->made[which]->loops->graph;

        for (uint32_t v = 1; v < g->count; v++) {
            const struct ir_node *n = &g->nodes[v];
            int c = 0, known = 0;

            if (n->op != IR_input)
                continue;
            while (known < t->inputs && strcmp(input[known].name, n->text) != 0)
                known++;
            while (c < set->columns && strcmp(set->column[c].name, n->text) != 0)
                c++;
            if (known < t->inputs)
                continue;
            if (c == set->columns || n->dtype != set->column[c].dtype ||
                n->shape.rank != set->column[c].rank + 1 || ir_dim_fixed(n->shape.dim[0]))
                return ir_error(error, IR_REFUSED,
                                "trainer: the input \"%.40s\" has no column of its type and rank "
                                "in the data %.40s, or no symbol for its rows",
                                n->text, set->name);
            input[t->inputs] = (struct gen_input){ .name = n->text,
                                                   .dtype = n->dtype,
                                                   .rank = n->shape.rank - 1,
                                                   .step = input_offset(p, 0, n->text),
                                                   .eval = input_offset(p, 1, n->text) };
            memcpy(input[t->inputs].dim, n->shape.dim + 1,
                   (size_t)(n->shape.rank - 1) * sizeof(int64_t));
            t->inputs++;
        }
    }
    t->input = input;
    return t->inputs > 0 || ir_error(error, IR_REFUSED, "trainer: the step has no input");
}

/* The part of the data that a loader walks; sets that are made have two, others may be one. */
static struct gen_rows rows_of(const tp_loader *l)
{
    const struct loader_source *s = tp_loader_source(l);
    struct gen_rows rows = { s->part[0] ? s->part : NULL, 0, 0 };

    if (s->args.rows) {
        rows.first = s->first_row;
        rows.count = s->rows;
    }
    return rows;
}

static void describe_data(const struct plan *p, struct gen_trainer *t)
{
    const tp_loader *train = p->args->train, *test = p->args->test;
    const struct data_set *set = tp_loader_set(train);
    const struct loader_source *s = tp_loader_source(train);

    t->data =
        (struct gen_data){ .reader = strcmp(s->reader, "arrays") == 0 ? "npy" : s->reader,
                           .set = set->name,
                           .rows = strcmp(s->reader, "planar") == 0 ? set->rows : s->args.count,
                           .noise = s->args.noise,
                           .label = s->args.label,
                           .context = set->column[0].dim[0],
                           .step = s->args.step,
                           .vocabulary = s->args.vocabulary,
                           .classes = set->classes,
                           .shuffle = s->args.shuffle,
                           .drop_last = s->args.drop_last,
                           .train = rows_of(train),
                           .test = { s->part[0] ? "test" : NULL, 0, 0 } };
    if (test)
        t->data.test = rows_of(test);
    t->order_seed = (int64_t)s->args.seed;
    t->batch = tp_loader_most(train);
    t->tests = t->eval ? t->eval->graph->symbol[0].hi : 0;
    if (test && tp_loader_most(test) < t->tests)
        t->tests = tp_loader_most(test);
}

static bool draws(const struct loop_program *loops)
{
    for (uint32_t v = 1; v < loops->graph->count; v++)
        if (loops->graph->nodes[v].op == IR_bits)
            return true;
    return false;
}

static bool describe(struct plan *p, struct ir_text *out, struct ir_error *error)
{
    const struct trainer_args *a = p->args;
    tp_graph *g = a->step->owner;
    struct gen_trainer t = { .file = a->file,
                             .version = TAPER_VERSION,
                             .model = a->model,
                             .made_by = a->made_by,
                             .flags = p->target->flags,
                             .step = p->made[0]->loops,
                             .eval = p->made[1] ? p->made[1]->loops : NULL,
                             .parameters = tp_param_count(g),
                             .seed = (int64_t)g->ir->seed,
                             .epochs = a->epochs,
                             .rate_steps = (int64_t)ceil(a->step->rate_steps) };

    t.step_loss = find_value(p, 0, "loss", true);
    if (t.eval) {
        t.eval_loss = find_value(p, 1, "loss", true);
        t.eval_hits = find_value(p, 1, "hits", false);
        if (!t.eval_loss.there && !t.eval_hits.there)
            t.eval = NULL;
    }
    t.chance = draws(t.step) || (t.eval && draws(t.eval));
    if (!describe_inputs(p, &t, error))
        return false;
    describe_data(p, &t);
    if (t.eval && !t.data.test.part && !a->test)
        return ir_error(error, IR_REFUSED,
                        "trainer: the data has no parts; expected .test = a loader of rows to "
                        "evaluate on");
    if (!describe_states(p, &t))
        return ir_error(error, IR_FAILED, "trainer: not enough memory");
    t.state_bytes = p->state_bytes;
    return gen_trainer(out, &t, error);
}

bool tp_trainer_text(const struct trainer_args *args, struct ir_text *out, const char **flags,
                     struct ir_error *error)
{
    struct plan p = { .args = args, .arena = ir_arena_new() };
    const tp_graph *g = args->step->owner;
    bool ok;

    p.target = ir_target_by_name(args->target ? args->target : "native");
    p.known = ir_alloc(p.arena, ((size_t)g->state_count + 1) * sizeof *p.known);
    if (!p.target || p.target->processors)
        ir_error(error, IR_REFUSED,
                 "target \"%.40s\": expected generic, x86-64-v3, x86-64-v4, native or armv8",
                 args->target);
    ok = error->status == IR_OK && plan(&p, 0, args->step, error) &&
         (!args->eval || plan(&p, 1, args->eval, error)) && describe(&p, out, error);
    if (flags)
        *flags = p.target ? p.target->flags : "";
    for (int i = 0; i < 2; i++)
        if (p.simple[i].graph && p.simple[i].graph != (i ? args->eval : args->step)->graph)
            ir_graph_free(p.simple[i].graph);
    ir_arena_free(p.arena);
    return ok;
}
