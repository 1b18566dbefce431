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
#include "frontend/emit_plan.h"
#include "runtime/runtime.h"

struct plan {
    const struct trainer_args *args;
    struct emit_plan emit;
    struct run_cubin cubin;
};

enum { THREADS = 16 }; /* that an arena has room for, where nobody says */

/* --- tables --------------------------------------------------------------------------------------
 */

/* Inputs are the columns of the set that a program asks for by name, as tp_next binds them. */
static bool describe_inputs(struct plan *p, struct gen_trainer *t, struct ir_error *error)
{
    struct gen_input *input = ir_alloc(p->emit.arena, 2 * DATA_COLUMNS * sizeof *input);
    const struct data_set *set = tp_loader_set(p->args->train);

    for (int which = 0; which < 2 && p->emit.made[which]; which++) {
        const struct ir_graph *g = p->emit.made[which]->loops->graph;

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
                                                   .step = tp_emit_input(&p->emit, 0, n->text),
                                                   .eval = tp_emit_input(&p->emit, 1, n->text) };
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
    struct gen_rows rows = { s->part[0] ? s->part : NULL, 0, 0, s->args.step };

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
                           .vocabulary = s->args.vocabulary,
                           .classes = set->classes,
                           .shuffle = s->args.shuffle,
                           .drop_last = s->args.drop_last,
                           .train = rows_of(train),
                           .test = { s->part[0] ? "test" : NULL, 0, 0, s->args.step } };
    if (test)
        t->data.test = rows_of(test);
    t->order_seed = (int64_t)s->args.seed;
    t->batch = tp_loader_most(train);
    t->tests = t->eval ? t->eval->graph->symbol[0].hi : 0;
    if (test && tp_loader_most(test) < t->tests)
        t->tests = tp_loader_most(test);
}

static void describe_notes(const struct plan *p, struct gen_trainer *t)
{
    struct gen_note *note = ir_alloc(p->emit.arena, ((size_t)p->args->notes + 1) * sizeof *note);

    for (int i = 0; i < p->args->notes; i++)
        note[t->notes++] = (struct gen_note){ p->args->note[i].key, p->args->note[i].value };
    t->note = note;
}

static void describe_probes(const struct plan *p, struct gen_trainer *t)
{
    const struct loop_program *loops = p->emit.made[0]->loops;
    const struct ir_graph *g = loops->graph;
    struct gen_probe *probe =
        ir_alloc(p->emit.arena, ((size_t)g->output_count + 1) * sizeof *probe);

    for (int i = 0; i < g->output_count; i++) {
        const struct loop_place *place = tp_emit_place(loops, g->outputs[i].value);
        if (place && tp_is_probe(g->outputs[i].name))
            probe[t->probes++] = (struct gen_probe){ strchr(g->outputs[i].name, '/') + 1,
                                                     ir_at(g, g->outputs[i].value)->shape.rank == 1,
                                                     place->base, place->offset };
    }
    t->probe = probe;
}

static void describe_checks(const struct plan *p, struct gen_trainer *t)
{
    const struct loop_program *loops = p->emit.made[0]->loops;
    const struct ir_graph *g = loops->graph;
    struct gen_check *check =
        ir_alloc(p->emit.arena, ((size_t)g->output_count + 1) * sizeof *check);

    for (int i = 0; i < g->output_count; i++) {
        const struct loop_place *place = tp_emit_place(loops, g->outputs[i].value);
        if (place && tp_is_check(g->outputs[i].name) &&
            ir_at(g, g->outputs[i].value)->dtype == IR_I64)
            check[t->checks++] = (struct gen_check){ tp_check_words(p->emit.arena, g, i),
                                                     place->base, place->offset };
    }
    t->check = check;
}

static bool draws(const struct loop_program *loops)
{
    for (uint32_t v = 1; v < loops->graph->count; v++)
        if (loops->graph->nodes[v].op == IR_bits)
            return true;
    return false;
}

static bool for_gpu(const struct trainer_args *a)
{
    return a->nvcc || !tp_device_is_cpu(a->device);
}

/* What it brings along for the GPU: a cubin, the emulator's text, or nothing for nvcc. */
static bool make_image(struct plan *p, const struct gen_trainer *t, struct gen_gpu *gpu,
                       struct ir_error *error)
{
    struct ir_text text = { 0 };
    bool ok;

    gpu->arch = p->emit.target->flags;
    if (p->args->nvcc)
        return true;
    ok = gen_gpu_kernels(&text, t, error);
    if (ok && strcmp(p->args->device, "cuda-emu") == 0) {
        gpu->arch = "cuda-emu";
        gpu->bytes = text.size + 1;
        gpu->image = ir_format(p->emit.arena, "%s", text.data);
    } else if (ok && (ok = run_cubin_load(text.data, gpu->arch, &(struct run_options){ 0 },
                                          &p->cubin, error))) {
        gpu->bytes = p->cubin.length;
        gpu->image = p->cubin.data;
    }
    ir_text_free(&text);
    return ok;
}

static bool describe(struct plan *p, struct ir_text *out, struct ir_error *error)
{
    const struct trainer_args *a = p->args;
    tp_graph *g = a->step->owner;
    struct gen_gpu gpu = { 0 };
    struct gen_trainer t = { .file = a->file,
                             .version = TAPER_VERSION,
                             .model = a->model,
                             .made_by = a->made_by,
                             .flags = p->emit.target->flags,
                             .step = p->emit.made[0]->loops,
                             .eval = p->emit.made[1] ? p->emit.made[1]->loops : NULL,
                             .parameters = tp_param_count(g),
                             .seed = (int64_t)g->ir->seed,
                             .epochs = a->epochs,
                             .rate_steps = (int64_t)ceil(a->step->rate_steps) };

    t.step_loss = tp_emit_value(&p->emit, 0, "loss", true);
    if (t.eval) {
        t.eval_loss = tp_emit_value(&p->emit, 1, "loss", true);
        t.eval_hits = tp_emit_value(&p->emit, 1, "hits", false);
        if (!t.eval_loss.there && !t.eval_hits.there)
            t.eval = NULL;
    }
    describe_checks(p, &t);
    describe_probes(p, &t);
    t.chance = draws(t.step) || (t.eval && draws(t.eval));
    if (!describe_inputs(p, &t, error))
        return false;
    describe_data(p, &t);
    describe_notes(p, &t);
    if (t.eval && !t.data.test.part && !a->test)
        return ir_error(error, IR_REFUSED,
                        "trainer: the data has no parts; expected .test = a loader of rows to "
                        "evaluate on");
    t.state = tp_emit_states(&p->emit, g, &t.states);
    if (!t.state)
        return ir_error(error, IR_FAILED, "trainer: not enough memory");
    t.state_bytes = (p->emit.state_bytes + 63) / 64 * 64;
    if (for_gpu(a)) {
        if (!make_image(p, &t, &gpu, error))
            return false;
        t.gpu = &gpu;
    }
    return gen_trainer(out, &t, error);
}

bool tp_trainer_text(const struct trainer_args *args, struct ir_text *out, const char **flags,
                     struct ir_error *error)
{
    struct plan p = { .args = args };
    const int threads = args->threads ? (int)args->threads : THREADS;
    bool ok =
        (for_gpu(args) ? tp_emit_open_gpu(&p.emit, args->step->owner, args->target, error)
                       : tp_emit_open(&p.emit, args->step->owner, args->target, threads, error)) &&
        tp_emit_program(&p.emit, 0, args->step, "step", error) &&
        (!args->eval || tp_emit_program(&p.emit, 1, args->eval, "eval", error)) &&
        describe(&p, out, error);

    if (flags)
        *flags = p.emit.target && !for_gpu(args) ? p.emit.target->flags : "";
    run_cubin_free(&p.cubin);
    tp_emit_close(&p.emit);
    return ok;
}
