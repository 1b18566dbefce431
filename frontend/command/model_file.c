/*
 * model_file: a .tp file as a model. It holds the programs `step` and `eval`, or the forward part
 * alone, which is then trained as a built-in model is; and in `set` lines what a recipe says
 * besides.
 */
#include "command.h"
#include "frontend/data.h"
#include "frontend/models.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

/* What a .tp file's `set` lines may say, besides the model's name. */
static const struct row {
    const char *key;
    char kind; /* as an option's */
    size_t at;
    bool rare; /* is not said where it is 0 or nothing, which is its default */
} rows[] = {
    { "data", 's', offsetof(struct settings, data), false },
    { "points", 'i', offsetof(struct settings, points), false },
    { "noise", 'f', offsetof(struct settings, noise), false },
    { "seed", 'i', offsetof(struct settings, seed), false },
    { "batch", 'i', offsetof(struct settings, batch), false },
    { "epochs", 'i', offsetof(struct settings, epochs), false },
    { "opt", 's', offsetof(struct settings, optimiser), false },
    { "lr", 'f', offsetof(struct settings, rate), false },
    { "schedule", 's', offsetof(struct settings, schedule), false },
    { "momentum", 'f', offsetof(struct settings, momentum), false },
    { "weight_decay", 'f', offsetof(struct settings, weight_decay), false },
    { "clip", 'f', offsetof(struct settings, clip), false },
    { "precision", 's', offsetof(struct settings, precision), false },
    { "accumulate", 'i', offsetof(struct settings, accumulate), false },
    { "warmup", 'f', offsetof(struct settings, warmup), true },
    { "freeze", 's', offsetof(struct settings, freeze), true },
    { "format", 's', offsetof(struct settings, format), true },
    { "context", 'i', offsetof(struct settings, context), true },
    { "step", 'i', offsetof(struct settings, step), true },
    { "vocabulary", 'i', offsetof(struct settings, vocabulary), true },
};
enum { ROWS = sizeof rows / sizeof *rows };

bool command_is_weights(const char *path)
{
    const size_t length = strlen(path);

    return length > 12 && strcmp(path + length - 12, ".safetensors") == 0;
}

static struct ir_module *module_of_weights(const char *path, struct ir_error *error)
{
    struct file_safetensors *file = tp_safetensors_open(path, error);
    struct ir_module *module = NULL;
    const char *text = NULL;

    for (int64_t i = 0; file && i < file->pairs; i++)
        if (strcmp(file->pair[i].key, COMMAND_MODEL_KEY) == 0)
            text = file->pair[i].value;
    if (file && !text)
        ir_error(error, IR_REFUSED,
                 "%.200s: it holds weights and no model; expected what taper train --save-model "
                 "has written",
                 path);
    else if (file)
        module = ir_parse(path, text, strlen(text), error);
    tp_safetensors_close(file);
    return module;
}

struct ir_module *command_read_module(const char *path, struct ir_error *error)
{
    const char *end = strrchr(path, '.');
    FILE *file = fopen(path, "rb");
    struct ir_module *module = NULL;
    char *text = NULL;
    size_t size = 0;

    if (file && command_is_weights(path)) {
        fclose(file);
        return module_of_weights(path, error);
    }
    if (!file) {
        ir_error(error, IR_REFUSED,
                 "%.200s: there is no such model or file; taper train lists the "
                 "models",
                 path);
        return NULL;
    }
    text = malloc(LARGEST_FILE + 1);
    if (text)
        size = fread(text, 1, LARGEST_FILE + 1, file);
    if (!text || ferror(file))
        ir_error(error, IR_FAILED, "%.200s: it cannot be read", path);
    else if (size > LARGEST_FILE)
        ir_error(error, IR_REFUSED, "%.200s: more than %d MiB; expected a small text", path,
                 LARGEST_FILE >> 20);
    else
        module = ir_parse(path, text, size, error);
    if (!module && error->status == IR_REFUSED && !(end && strcmp(end, ".tp") == 0)) {
        const struct ir_error said = *error;

        *error = (struct ir_error){ .status = IR_OK }; /* some other file, by mistake */
        ir_error(error, said.status, "%s; it was read as a .tp file", said.text);
    }
    free(text);
    fclose(file);
    return module;
}

static const char *setting(const struct ir_module *m, const char *key)
{
    for (int i = 0; i < m->setting_count; i++)
        if (strcmp(m->setting[i].key, key) == 0)
            return m->setting[i].value;
    return NULL;
}

/* What was not asked for on the command's line is taken from the file. */
static bool take_settings(struct session *s)
{
    for (int i = 0; i < ROWS; i++) {
        void *to = (char *)&s->settings + rows[i].at;
        const char *text = setting(s->module, rows[i].key);
        double number = 0;

        if (!text || (rows[i].kind == 's' && *(const char **)to) ||
            (rows[i].kind == 'i' && *(int64_t *)to >= 0) ||
            (rows[i].kind == 'f' && *(double *)to >= 0))
            continue;
        if (rows[i].kind == 's') {
            *(const char **)to = text;
            continue;
        }
        if (!ir_read_number(text, strlen(text), &number) || !(number >= 0 && number <= 1e15) ||
            (rows[i].kind == 'i' && number != (double)(int64_t)number))
            return ir_error(&s->error, IR_REFUSED,
                            "%.120s: set %s = \"%.40s\"; expected a number, 0 or more", s->model,
                            rows[i].key, text);
        if (rows[i].kind == 'i')
            *(int64_t *)to = (int64_t)number;
        else
            *(double *)to = number;
    }
    return true;
}

/* 0.05, not 0.050000000000000003: the fewest digits that read back as the number */
static const char *shortest(struct ir_arena *arena, double number)
{
    struct ir_text digits = { 0 };
    const char *kept;

    ir_put_number(&digits, IR_F64, number);
    kept = ir_format(arena, "%s", digits.data);
    ir_text_free(&digits);
    return kept;
}

void command_put_settings(const struct session *s, struct ir_module *m)
{
    m->setting[m->setting_count].key = "model";
    m->setting[m->setting_count++].value = s->model;
    for (int i = 0; i < ROWS; i++) {
        const void *from = (const char *)&s->settings + rows[i].at;
        const double said = rows[i].kind == 's'   ? *(const char *const *)from != NULL
                            : rows[i].kind == 'i' ? (double)*(const int64_t *)from
                                                  : *(const double *)from;

        if ((rows[i].rare && said == 0) || said < 0) /* below 0: nobody has chosen it */
            continue;
        m->setting[m->setting_count].key = rows[i].key;
        m->setting[m->setting_count++].value =
            rows[i].kind == 's'   ? *(const char *const *)from
            : rows[i].kind == 'i' ? ir_format(m->arena, "%lld", (long long)*(const int64_t *)from)
                                  : shortest(m->arena, *(const double *)from);
    }
}

static const struct ir_program *program_of(const struct ir_module *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->program[i]->graph->name, name) == 0)
            return m->program[i];
    return NULL;
}

/* A program's graph is freed with the program, so it is a copy of the module's. */
struct ir_program command_copy_program(const struct ir_program *from, struct ir_error *error)
{
    const struct ir_graph *g = from->graph;
    struct ir_graph *to = ir_graph_like(g);
    struct ir_program copy = { .graph = to, .kernel_count = from->kernel_count };
    ir_val *moved = ir_moved(to, g);

    to->error = error;
    for (uint32_t v = 1; v < g->count; v++)
        moved[v] = ir_copy(to, g, (ir_val){ v }, moved);
    ir_move_regions(to, g, moved);
    ir_move_outputs(to, g, moved);
    copy.kernels = ir_alloc(to->arena, ((size_t)from->kernel_count + 1) * sizeof *copy.kernels);
    for (int k = 0; k < from->kernel_count; k++) {
        struct ir_kernel *kernel = &copy.kernels[k];
        *kernel = from->kernels[k];
        kernel->name = ir_format(to->arena, "%s", kernel->name);
        kernel->nodes = ir_alloc(to->arena, ((size_t)kernel->count + 1) * sizeof *kernel->nodes);
        for (int i = 0; i < kernel->count; i++)
            kernel->nodes[i] = moved[from->kernels[k].nodes[i].id];
    }
    return copy;
}

/* Running statistics: what the forward part assigns itself is not trained. */
static bool assigned(const struct ir_graph *g, const char *state)
{
    for (int i = 0; i < g->effect_count; i++) {
        const struct ir_node *n = ir_at(g, g->effects[i]);
        if (n->op == IR_assign && strcmp(ir_at(g, n->args[0])->text, state) == 0)
            return true;
    }
    return false;
}

/* States that the evaluation reads are the model; others are the optimiser's. */
static bool list_states(tp_graph *g, const struct ir_graph *graph, enum state_kind kind)
{
    for (uint32_t v = 1; graph && v < graph->count; v++) {
        const struct ir_node *n = &graph->nodes[v];
        bool weight = ir_dtypes[n->dtype].kind == 'f'; /* not a counter */
        const bool is = n->op == IR_state, array = is && tp_is_array(n->text);
        const bool own = is && kind == STATE_PARAMETER && assigned(graph, n->text);
        struct state *state = is ? tp_state_of(g, n,
                                               !weight || array ? STATE_HIDDEN
                                               : own            ? STATE_BUFFER
                                                                : kind)
                                 : NULL;

        if (is && !state)
            return false;
        if (array)
            state->frozen = true;
        if (state && graph == g->ir)
            state->value = (ir_val){ v };
    }
    return true;
}

bool command_adopt(tp_graph *g, const struct ir_program *p)
{
    ir_graph_free(g->ir);
    g->ir = command_copy_program(p, &g->error).graph;
    return list_states(g, g->ir, STATE_PARAMETER);
}

static struct ir_graph *evaluated(tp_graph *g, int n, const tp_tensor *output,
                                  const char *const *name)
{
    struct wanted w = tp_wanted(g, (tp_list){ n, output }, (tp_list){ 0 });
    struct ir_graph *out;

    w.notice = NULL;
    out = tp_trace_part(g, g->ir->name, TP_EVAL, &w, false);
    for (int i = 0; i < n; i++)
        ir_output(out, name[i], w.value[i]);
    return out;
}

struct ir_graph *command_evaluated(tp_graph *g, bool there(void *user, const char *input),
                                   void *user)
{
    const struct ir_graph *t = g->ir;
    tp_tensor *output = ir_alloc(t->arena, ((size_t)t->output_count + 1) * sizeof *output);
    const char **name = ir_alloc(t->arena, ((size_t)t->output_count + 1) * sizeof *name);
    int n = 0;

    for (int i = 0; i < t->output_count; i++) {
        struct ir_graph *one;
        bool all = !t->outputs[i].name || !tp_is_notice(t->outputs[i].name);

        output[n] = (tp_tensor){ .g = g, .id = t->outputs[i].value.id };
        name[n] = t->outputs[i].name;
        one = evaluated(g, 1, &output[n], &name[n]);
        for (uint32_t v = 1; v < one->count; v++)
            all &= one->nodes[v].op != IR_input || there(user, one->nodes[v].text);
        ir_graph_free(one);
        n += all;
    }
    return evaluated(g, n, output, name);
}

static ir_val output_of(const struct ir_graph *g, const char *name)
{
    for (int k = 0; k < g->output_count; k++)
        if (g->outputs[k].name && strcmp(g->outputs[k].name, name) == 0)
            return g->outputs[k].value;
    return (ir_val){ 0 };
}

/* The forward part alone: it becomes the trace, and is trained as a built-in model is. */
static bool compile_trace(struct session *s, const struct ir_program *forward)
{
    const char *name[3] = { "loss", "hits", "scores" };
    tp_tensor value[3];

    s->values = calloc(1, sizeof *s->values);
    if (!s->values)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    if (!command_adopt(s->graph, forward))
        return ir_error(&s->error, s->graph->error.status, "%s", s->graph->error.text);
    for (int i = 0; i < 3; i++) {
        value[i] = (tp_tensor){ .g = s->graph, .id = output_of(s->graph->ir, name[i]).id };
        if (!value[i].id && i < 2)
            return ir_error(
                &s->error, IR_REFUSED,
                "%.200s: its program has no output \"%s\"; expected step and eval, or a "
                "trace that returns loss and hits",
                s->model, name[i]);
    }
    *s->values = (struct model_values){ .loss = value[0], .hits = value[1], .output = value[2] };
    tp_read_notices(s->graph);
    return command_compile(s);
}

bool command_has_numbers(struct session *s, bool weights)
{
    const char *of = s->module ? setting(s->module, "model") : NULL;

    if (!s->module || command_is_weights(s->model))
        return true;
    for (int i = 0; i < s->graph->state_count; i++)
        if (tp_is_array(s->graph->states[i].name))
            return ir_error(&s->error, IR_REFUSED,
                            "%.120s: %.40s is an array, whose numbers a text has not; expected the "
                            "file of --save-model",
                            s->model, s->graph->states[i].name);
    return weights || !of || !command_is_onnx(of) ||
           ir_error(&s->error, IR_REFUSED,
                    "%.120s: its weights are in %.80s; expected --load F, or the file of "
                    "--save-model",
                    s->model, of);
}

/* A program of the file for at most so many rows. */
static tp_program *compile_program(struct session *s, const char *name, int64_t batch,
                                   struct making making)
{
    struct ir_program copy = command_copy_program(program_of(s->module, name), &s->graph->error);

    if (copy.graph->symbols && batch < copy.graph->symbol[0].hi &&
        batch >= copy.graph->symbol[0].lo)
        copy.graph->symbol[0].hi = batch;
    return tp_program_new(s->graph, copy, NULL, making);
}

static tp_program *plan_step(struct session *s, int64_t batch)
{
    return compile_program(s, "step", batch,
                           (struct making){ .threads = (int)s->settings.threads,
                                            .plan_only = true,
                                            .device = s->settings.device,
                                            .tf32 = s->settings.tf32 });
}

static tp_program *plan_eval(struct session *s, int64_t batch)
{
    return compile_program(s, "eval", batch,
                           (struct making){ .threads = (int)s->settings.threads,
                                            .plan_only = true,
                                            .device = s->settings.device,
                                            .tf32 = s->settings.tf32 });
}

static bool compile_file(struct session *s, const struct ir_program *step,
                         const struct ir_program *eval)
{
    struct making making = { .threads = (int)s->settings.threads,
                             .device = s->settings.device,
                             .tf32 = s->settings.tf32 };
    int64_t rows;

    if (!list_states(s->graph, eval ? eval->graph : NULL, STATE_PARAMETER) ||
        !list_states(s->graph, step->graph, STATE_HIDDEN))
        return ir_error(&s->error, s->graph->error.status, "%s", s->graph->error.text);
    if (!command_memory(s, plan_step, INT64_MAX))
        return false;
    making.memory = s->memory;
    making.check = s->settings.check;
    s->step = compile_program(s, "step", INT64_MAX, making);
    making.check = false;
    rows = eval && eval->graph->symbols ? eval->graph->symbol[0].hi : INT64_MAX;
    if (eval && s->step && eval->graph->symbols && s->memory) {
        rows = command_fitting_batch(s, plan_eval, rows);
        if (!tp_loader_narrow(s->test, rows))
            return false;
    }
    if (eval && s->step)
        s->eval = compile_program(s, "eval", rows, making);
    if (s->step && !s->graph->no_engine && !tp_program_output(s->step, "loss"))
        return ir_error(&s->error, IR_REFUSED,
                        "%.200s: its program \"step\" has no output \"loss\"", s->model);
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static bool returns(const struct ir_graph *g, const char *name)
{
    for (int i = 0; i < g->output_count; i++)
        if (g->outputs[i].name && strcmp(g->outputs[i].name, name) == 0)
            return true;
    return false;
}

/* A program that is no model, to be looked at. */
static bool compile_alone(struct session *s, const struct ir_graph *graph)
{
    s->eval = compile_program(s, graph->name, INT64_MAX,
                              (struct making){ .threads = (int)s->settings.threads });
    return s->eval || ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

bool command_from_file(struct session *s, bool run)
{
    struct model otherwise = { .data = "digits",
                               .batch = 64,
                               .epochs = 5,
                               .optimiser = "sgd",
                               .rate = 0.05,
                               .momentum = 0.9,
                               .schedule = "cosine" };
    const struct ir_program *step, *eval;
    int64_t most;

    s->module = command_read_module(s->model, &s->error);
    if (!s->module)
        return false;
    step = program_of(s->module, "step");
    if (step && s->settings.precision)
        return ir_error(&s->error, IR_REFUSED,
                        "%.200s: --precision %.20s; its program \"step\" has its types already",
                        s->model, s->settings.precision);
    if (!take_settings(s))
        return false;
    eval = program_of(s->module, "eval");
    most = step && step->graph->symbols ? step->graph->symbol[0].hi : INT64_MAX;
    otherwise.batch = otherwise.batch < most ? otherwise.batch : most;
    command_fill_in(&s->settings, &otherwise);
    if (!step && s->module->count != 1)
        return ir_error(&s->error, IR_REFUSED, "%.200s: there is no program \"step\" in it",
                        s->model);
    if (s->settings.batch > most)
        return ir_error(&s->error, IR_REFUSED, "%.200s: batches of %lld; its program takes %lld",
                        s->model, (long long)s->settings.batch, (long long)most);
    if (!command_open_data(s))
        return false;
    s->graph = tp_graph_new((step ? step : s->module->program[0])->graph->seed);
    if (!s->graph)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    s->graph->no_engine = !run;
    if (!command_target(s) || !command_schedules(s))
        return false;
    s->graph->unfused = s->settings.unfused;
    s->graph->profiled = s->settings.profiled;
    if (step)
        return compile_file(s, step, eval);
    eval = s->module->program[0];
    return run || (returns(eval->graph, "loss") && returns(eval->graph, "hits"))
               ? compile_trace(s, eval)
               : compile_alone(s, eval->graph);
}
