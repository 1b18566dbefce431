/*
 * tune: a search for quicker schedules, one knob after the other, by measuring.
 *
 * A try is the whole program compiled again with one value of one knob for all kernels that ask for
 * it, and run kernel by kernel in turns with what is best so far; each kind of kernels keeps what
 * suits it. Kernels in a loop of kernels, and kinds that are in several places, are one unit: they
 * are timed together. A try whose outputs or states differ in a bit is dropped, and so is a knob by
 * which the whole step has not become quicker.
 */
#include "frontend/tuned.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime.h"

enum { TURNS = 400, VALUES = 10 };
#define A_TRY  0.15 /* seconds, at least; and as many turns as make sense of them */
#define A_GAIN 0.97 /* of the time: else it is noise */
#define SMALL  0.01 /* of the step: not worth a try */

struct unit {           /* what is timed as one */
    double share, best; /* of the step; the time with the knob's best value, of what it was */
    int value;
};
struct kind {
    uint64_t kind;
    int first, unit; /* kernel, unit */
    struct loop_choice choice, rule;
};
struct search {
    tp_program *p;
    tp_graph *g;
    struct ir_arena *arena;
    char *states; /* as they were */
    size_t state_bytes;
    struct engine *best;
    const struct profile *profile; /* of its kernels */
    int kernels;
    int *group;   /* by kernel: a kernel of its unit, in the end the first */
    int *kind_of; /* by kernel; -1: none */
    struct kind *kind;
    int kinds;
    struct unit *unit; /* by their first kernel */
    struct pass_tuned *trial;
    double *took[2]; /* by kernel and turn */
    double until;
    uint64_t bits; /* of all results */
    struct tune_report *report;
};

/* --- a program with these schedules --------------------------------------------------------------
 */

static int by_kind(const void *a, const void *b)
{
    const uint64_t x = ((const struct pass_tuned *)a)->kind,
                   y = ((const struct pass_tuned *)b)->kind;

    return x < y ? -1 : x > y;
}

static void put_back(const struct search *s)
{
    memcpy(s->g->memory.base, s->states, s->state_bytes);
}

static void give_inputs(const struct search *s, struct engine *e)
{
    for (int i = 0; i < s->p->input_count; i++)
        memcpy(e->place(e, s->p->input[i].value), s->p->input[i].data, s->p->input[i].bytes);
}

static struct engine *compile(struct search *s, const struct loop_choice *choice)
{
    struct engine *e;
    bool cached;

    for (int i = 0; i < s->kinds; i++)
        s->trial[i] = (struct pass_tuned){ s->kind[i].kind, choice[i] };
    qsort(s->trial, (size_t)s->kinds, sizeof *s->trial, by_kind);
    s->g->trial = s->trial;
    s->g->trial_count = s->kinds;
    s->g->profiled = true;
    e = tp_engine_native(s->g, &s->p->kernels, s->p->making, &cached);
    s->g->profiled = false;
    s->g->trial = NULL;
    s->report->compiled++;
    if (e)
        give_inputs(s, e);
    return e;
}

static void mix(uint64_t *hash, const void *data, size_t bytes)
{
    uint64_t word;

    for (size_t i = 0; i < bytes; i += sizeof word) {
        word = 0;
        memcpy(&word, (const char *)data + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        *hash = (*hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        *hash ^= *hash >> 29;
    }
}

/* What a step gives, from the states that were there: its outputs and the states behind it. */
static bool results(struct search *s, struct engine *e, uint64_t *hash)
{
    const struct ir_graph *graph = s->p->graph;
    bool whole = true, ok;

    *hash = 0;
    put_back(s);
    ok = e->run(e, s->p->symbol);
    for (int i = 0; i < graph->symbols; i++)
        whole &= s->p->symbol[i] == graph->symbol[i].hi;
    for (int i = 0; ok && i < s->p->output_count; i++) {
        const struct port *port = &s->p->output[i];
        if (whole || ir_at(graph, port->value)->shape.rank == 0)
            mix(hash, e->place(e, port->value), port->bytes);
    }
    for (int i = 0; ok && i < s->g->state_count; i++) {
        struct state *state = &s->g->states[i];
        void *numbers = state->offset >= 0 ? malloc(state->bytes + 1) : NULL;
        if (numbers && (ok = tp_state_read(s->g, state, numbers)))
            mix(hash, numbers, state->bytes);
        free(numbers);
    }
    put_back(s);
    return ok;
}

/* --- time ----------------------------------------------------------------------------------------
 */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A quarter of the turns was quicker: what else the machine does only adds. */
static double quartile(double *took, int turns)
{
    qsort(took, (size_t)turns, sizeof *took, by_size);
    return took[turns / 4];
}

/* Steps of both in turns, kernel by kernel; seconds[] by unit. */
static void time_units(struct search *s, struct engine *const e[2], double *seconds[2])
{
    const double begun = run_seconds();
    int turns = 0;

    while (turns < TURNS && (turns < 7 || run_seconds() - begun < A_TRY))
        for (int side = 0; side < 2; turns += side++)
            for (int k = 0; k < s->kernels; k++) {
                const double from = run_seconds();
                tp_engine_run_kernel(e[side], s->p->symbol, k);
                s->took[side][k * TURNS + turns] = run_seconds() - from;
            }
    for (int side = 0; side < 2; side++) {
        memset(seconds[side], 0, (size_t)s->kernels * sizeof(double));
        for (int k = 0; k < s->kernels; k++)
            if (s->group[k] >= 0)
                seconds[side][s->group[k]] += quartile(&s->took[side][k * TURNS], turns);
    }
    put_back(s);
}

/* Whole steps of both, in turns. */
static void time_steps(struct search *s, struct engine *const e[2], double seconds[2])
{
    const double begun = run_seconds();
    int turns = 0;

    while (turns < TURNS && (turns < 9 || run_seconds() - begun < 2 * A_TRY))
        for (int side = 0; side < 2; turns += side++) {
            const double from = run_seconds();
            e[side]->run(e[side], s->p->symbol);
            s->took[side][turns] = run_seconds() - from;
        }
    for (int side = 0; side < 2; side++)
        seconds[side] = quartile(s->took[side], turns);
    put_back(s);
}

/* --- what is timed as one ------------------------------------------------------------------------
 */

static int group_of(struct search *s, int k)
{
    while (s->group[k] != k)
        k = s->group[k];
    return k;
}

static void join(struct search *s, int a, int b)
{
    a = group_of(s, a);
    b = group_of(s, b);
    s->group[a > b ? a : b] = a > b ? b : a;
}

static void find_units(struct search *s)
{
    int depth = 0, begin = 0;

    for (int k = 0; k < s->kernels; k++) {
        s->group[k] = k;
        s->kind_of[k] = -1;
        depth += s->profile[k].mark == LOOP_BEGIN;
        if (depth == 1 && s->profile[k].mark == LOOP_BEGIN)
            begin = k;
        if (depth > 0)
            join(s, begin, k);
        depth -= s->profile[k].mark == LOOP_END;
        for (int i = 0; s->profile[k].kind && i < s->kinds && s->kind_of[k] < 0; i++)
            if (s->kind[i].kind == s->profile[k].kind)
                s->kind_of[k] = i;
        if (s->kind_of[k] >= 0)
            join(s, s->kind[s->kind_of[k]].first, k);
        else if (s->profile[k].kind) {
            s->kind_of[k] = s->kinds;
            s->kind[s->kinds++] = (struct kind){
                .kind = s->profile[k].kind,
                .first = k,
                .choice = s->profile[k].choice,
            };
        }
    }
    for (int k = 0; k < s->kernels; k++)
        s->group[k] = group_of(s, k);
    for (int i = 0; i < s->kinds; i++)
        s->kind[i].unit = s->group[s->kind[i].first];
}

/* What the rules say where the best so far is used: rules ask each other. */
static void note_rules(struct search *s)
{
    tp_engine_kernels(s->best, &s->profile);
    for (int i = 0; i < s->kinds; i++)
        s->kind[i].rule = s->profile[s->kind[i].first].rule;
}

/* --- one knob ------------------------------------------------------------------------------------
 */

static const int values[LOOP_KNOBS][VALUES] = {
    [LOOP_ROWS] = { 6, 8, 4, 10, 14, 5, 7, 12, 3, 2 },
    [LOOP_VECTORS] = { 4, 3, 2, 1 },
    [LOOP_COPIED] = { 1, 2 },
    [LOOP_LANED] = { 1, 2, 3, 4 },
    [LOOP_SHARED] = { 1, 2 },
    [LOOP_DIVIDED] = { 1, 2, 3, 4 },
    [LOOP_BODIES] = { 1, 4, 9, 16 },
    [LOOP_SUMS] = { 1, 2 },
    [LOOP_AHEAD] = { 1 },
};

static int now(const struct kind *k, int knob)
{
    return k->choice.of[knob] ? k->choice.of[knob] : k->rule.of[knob];
}

/* The kinds that it would change take the value; how many? */
static int with_value(const struct search *s, int knob, int value, struct loop_choice *choice)
{
    int changed = 0;

    for (int i = 0; i < s->kinds; i++) {
        const struct kind *k = &s->kind[i];
        choice[i] = k->choice;
        if (k->rule.of[knob] && now(k, knob) != value && s->unit[k->unit].share >= SMALL) {
            choice[i].of[knob] = (uint8_t)value;
            changed++;
        }
    }
    return changed;
}

static bool same_bits(struct search *s, struct engine *e)
{
    uint64_t bits;

    if (results(s, e, &bits) && bits == s->bits)
        return true;
    s->report->strange++;
    return false;
}

/* The best value of a knob by unit. False with an error. */
static bool try_values(struct search *s, int knob, struct loop_choice *choice, double *seconds[2])
{
    for (int u = 0; u < s->kernels; u++)
        s->unit[u].value = 0, s->unit[u].best = A_GAIN;
    for (int v = 0; v < VALUES && values[knob][v]; v++) {
        const int value = values[knob][v];
        struct engine *e[2] = { s->best, NULL };
        if (run_seconds() > s->until || !with_value(s, knob, value, choice))
            continue;
        e[1] = compile(s, choice);
        if (!e[1])
            return false;
        if (same_bits(s, e[1])) {
            time_units(s, e, seconds);
            for (int i = 0; i < s->kinds; i++) {
                struct unit *u = &s->unit[s->kind[i].unit];
                const double ratio =
                    seconds[1][s->kind[i].unit] / fmax(seconds[0][s->kind[i].unit], 1e-9);
                if (memcmp(&choice[i], &s->kind[i].choice, sizeof *choice) != 0 &&
                    ratio < u->best) {
                    u->best = ratio;
                    u->value = value;
                }
            }
        }
        e[1]->free(e[1]);
    }
    return true;
}

/* .. becomes what is best so far, if the step is quicker by it. */
static bool adopt(struct search *s, int knob, struct loop_choice *choice)
{
    struct engine *e[2] = { s->best, NULL };
    double seconds[2];
    int changed = 0;

    for (int i = 0; i < s->kinds; i++) {
        const struct kind *k = &s->kind[i];
        const int value = s->unit[k->unit].value;
        choice[i] = k->choice;
        if (value && k->rule.of[knob] && now(k, knob) != value) {
            choice[i].of[knob] = (uint8_t)value;
            changed++;
        }
    }
    if (!changed)
        return true;
    e[1] = compile(s, choice);
    if (!e[1])
        return false;
    if (same_bits(s, e[1]))
        time_steps(s, e, seconds);
    else
        seconds[0] = 0, seconds[1] = 1;
    if (seconds[1] < seconds[0]) {
        s->best->free(s->best);
        s->best = e[1];
        for (int i = 0; i < s->kinds; i++)
            s->kind[i].choice = choice[i];
        note_rules(s);
    } else {
        e[1]->free(e[1]);
    }
    return true;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static bool begin(struct search *s)
{
    const size_t room = sizeof(double) * TURNS;
    bool cached;

    s->state_bytes = s->g->memory_used;
    s->states = malloc(s->state_bytes + 1);
    if (!s->states)
        return ir_error(&s->g->error, IR_FAILED, "tp_tune: not enough memory");
    if (s->state_bytes)
        memcpy(s->states, s->g->memory.base, s->state_bytes);
    s->g->profiled = true;
    s->best = tp_engine_native(s->g, &s->p->kernels, s->p->making, &cached);
    s->g->profiled = false;
    s->report->compiled++;
    if (!s->best)
        return false;
    give_inputs(s, s->best);
    s->kernels = tp_engine_kernels(s->best, &s->profile);
    const size_t count = (size_t)s->kernels + 1;
    s->group = ir_alloc(s->arena, count * sizeof *s->group);
    s->kind_of = ir_alloc(s->arena, count * sizeof *s->kind_of);
    s->kind = ir_alloc(s->arena, count * sizeof *s->kind);
    s->unit = ir_alloc(s->arena, count * sizeof *s->unit);
    s->trial = ir_alloc(s->arena, count * sizeof *s->trial);
    for (int side = 0; side < 2; side++)
        if (!(s->took[side] = malloc(count * room)))
            return ir_error(&s->g->error, IR_FAILED, "tp_tune: not enough memory");
    find_units(s);
    note_rules(s);
    return results(s, s->best, &s->bits) ||
           ir_error(&s->g->error, IR_FAILED, "tp_tune: the program does not run");
}

static void end(struct search *s)
{
    if (s->best)
        s->best->free(s->best);
    if (s->states)
        put_back(s);
    free(s->states);
    free(s->took[0]);
    free(s->took[1]);
}

/* How much of a step each unit is. */
static void weigh(struct search *s, double *seconds[2])
{
    double sum = 0;

    time_units(s, (struct engine *[]){ s->best, s->best }, seconds);
    for (int u = 0; u < s->kernels; u++)
        sum += seconds[0][u];
    for (int u = 0; u < s->kernels; u++)
        s->unit[u].share = seconds[0][u] / sum;
    for (int i = 0; i < s->kinds; i++)
        s->report->measured += s->unit[s->kind[i].unit].share >= SMALL;
}

/* What was chosen, beside what the rules would have; once more in turns with where it began. */
static bool report(struct search *s, const struct loop_choice *first, double *seconds[2])
{
    struct tune_report *r = s->report;
    struct engine *e[2] = { compile(s, first), s->best };
    double steps[2];

    if (!e[0])
        return false;
    r->kernel = ir_alloc(s->arena, ((size_t)s->kinds + 1) * sizeof *r->kernel);
    time_units(s, e, seconds);
    time_steps(s, e, steps);
    r->before = steps[0];
    r->after = steps[1];
    tp_engine_kernels(e[0], &s->profile);
    for (int i = 0; i < s->kinds; i++) {
        const struct kind *k = &s->kind[i];
        if (memcmp(&k->choice, &first[i], sizeof *first) == 0)
            continue;
        r->kernel[r->kernels++] =
            (struct tuned_kernel){ ir_format(s->arena, "%s", s->profile[k->first].name),
                                   seconds[0][k->unit],
                                   seconds[1][k->unit],
                                   s->profile[k->first].rule,
                                   k->choice,
                                   k->kind };
    }
    e[0]->free(e[0]);
    return true;
}

static bool keep(const struct search *s, const char *path)
{
    const struct ir_target *target = tp_target_for(s->g, NULL);
    const int threads = tp_thread_count(s->p->making.threads);
    struct tuned *t = tp_tuned_new();
    bool ok = tp_tuned_read(t, path, &s->g->error);

    for (int i = 0; ok && i < s->report->kernels; i++) {
        const struct tuned_kernel *k = &s->report->kernel[i];
        tp_tuned_set(t, &(struct tuned_line){
                            .machine = tp_tuned_machine(target, threads),
                            .kind = k->kind,
                            .choice = k->choice,
                            .note = ir_format(t->arena, "%s, %d threads: %.100s %.4g -> %.4g ms",
                                              target->name, threads, k->name, 1e3 * k->before,
                                              1e3 * k->after) });
    }
    ok = ok && (!s->report->kernels || tp_tuned_write(t, path, &s->g->error));
    tp_tuned_free(t);
    return ok;
}

static bool search(struct search *s)
{
    double *seconds[2];
    struct loop_choice *choice, *first;

    if (!begin(s))
        return false;
    for (int side = 0; side < 2; side++)
        seconds[side] = ir_alloc(s->arena, ((size_t)s->kernels + 1) * sizeof(double));
    choice = ir_alloc(s->arena, ((size_t)s->kinds + 1) * sizeof *choice);
    first = ir_alloc(s->arena, ((size_t)s->kinds + 1) * sizeof *first);
    for (int i = 0; i < s->kinds; i++)
        first[i] = s->kind[i].choice;
    weigh(s, seconds);
    for (int knob = 0; knob < LOOP_KNOBS; knob++)
        if (!try_values(s, knob, choice, seconds) || !adopt(s, knob, choice))
            return false;
    return report(s, first, seconds);
}

bool tp_tune_search(tp_program *p, double seconds, const char *path, struct ir_arena *arena,
                    struct tune_report *report)
{
    tp_graph *g = p->owner;
    struct search s = { .p = p, .g = g, .arena = arena, .report = report };
    struct tuned *file = tp_tuned_new();
    bool ok = tp_states_here(g);

    *report = (struct tune_report){ 0 };
    s.until = run_seconds() + (seconds > 0 ? seconds : 60);
    if (ok && (!p->engine || strcmp(p->engine->name, "compiled") != 0 || p->making.check))
        ok = ir_error(&g->error, IR_UNSUPPORTED,
                      "tp_tune: the engine %s; expected machine code of this processor",
                      tp_program_engine(p));
    ok = ok && tp_tuned_read(file, path, &g->error); /* before the search, not behind it */
    tp_tuned_free(file);
    if (ok) {
        tp_states_changed(g);
        ok = search(&s) && keep(&s, path);
        end(&s);
    }
    return ok;
}

bool tp_tune_with(tp_program *p, tp_tune_args args)
{
    struct ir_arena *arena;
    struct tune_report report;
    bool ok;

    if (!p || p->owner->error.status != IR_OK)
        return false;
    if (!(args.seconds >= 0 && args.seconds < 1e9))
        return ir_error(&p->owner->error, IR_REFUSED,
                        "tp_tune: seconds %g; expected 0 or more, up to 1e9", args.seconds),
               tp_tell(p->owner);
    arena = ir_arena_new();
    ok = tp_tune_search(p, args.seconds, args.save, arena, &report);
    ir_arena_free(arena);
    return ok || tp_tell(p->owner);
}
