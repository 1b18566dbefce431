/*
 * session: a model, its data and its programs, from a name or a file.
 *
 * A built-in model is traced for the rows that its data have. A .tp file holds the programs `step`
 * and `eval` and, in `set` lines, what a recipe says besides.
 */
#define _POSIX_C_SOURCE 200809L
#include "command.h"
#include "frontend/data.h"
#include "frontend/models.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { EVAL_BATCH = 200, LARGEST_FILE = 64 << 20 };

const struct settings command_unset = { .batch = -1,
                                        .epochs = -1,
                                        .hidden = -1,
                                        .points = -1,
                                        .threads = -1,
                                        .seed = -1,
                                        .rate = -1,
                                        .momentum = -1,
                                        .weight_decay = -1,
                                        .noise = -1,
                                        .clip = -1 };

/* What a .tp file's `set` lines may say, besides the model's name. */
static const struct row {
    const char *key;
    char kind; /* as an option's */
    size_t at;
} rows[] = {
    { "data", 's', offsetof(struct settings, data) },
    { "points", 'i', offsetof(struct settings, points) },
    { "noise", 'f', offsetof(struct settings, noise) },
    { "seed", 'i', offsetof(struct settings, seed) },
    { "batch", 'i', offsetof(struct settings, batch) },
    { "epochs", 'i', offsetof(struct settings, epochs) },
    { "opt", 's', offsetof(struct settings, optimiser) },
    { "lr", 'f', offsetof(struct settings, rate) },
    { "schedule", 's', offsetof(struct settings, schedule) },
    { "momentum", 'f', offsetof(struct settings, momentum) },
    { "weight_decay", 'f', offsetof(struct settings, weight_decay) },
    { "clip", 'f', offsetof(struct settings, clip) },
};
enum { ROWS = sizeof rows / sizeof *rows };

double command_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- what was asked for, and the recipe's answer to the rest
 * -------------------------------------- */

static void pick_text(const char **to, const char *otherwise)
{
    *to = *to ? *to : otherwise;
}

static void pick_integer(int64_t *to, int64_t otherwise)
{
    *to = *to >= 0 ? *to : otherwise;
}

static void pick_number(double *to, double otherwise)
{
    *to = *to >= 0 ? *to : otherwise;
}

static void fill_in(struct settings *s, const struct model *m)
{
    const bool sgd = !s->optimiser || strcmp(s->optimiser, "sgd") == 0;

    pick_number(&s->rate, sgd ? m->rate : 1e-3); /* of the optimiser that was asked for */
    pick_number(&s->momentum, sgd ? m->momentum : 0);
    pick_text(&s->data, s->set ? s->set : m->data);
    pick_text(&s->optimiser, m->optimiser);
    pick_text(&s->schedule, m->schedule);
    pick_integer(&s->batch, m->batch);
    pick_integer(&s->epochs, m->epochs);
    pick_integer(&s->hidden, m->hidden);
    pick_integer(&s->points, m->rows);
    pick_integer(&s->threads, 0);
    pick_integer(&s->seed, 1);
    pick_number(&s->weight_decay, 0);
    pick_number(&s->noise, m->noise);
    pick_number(&s->clip, 0);
}

/* --- data
 * ------------------------------------------------------------------------------------------- */

static tp_loader *open_part(const struct settings *s, const char *part)
{
    const bool train = strcmp(part, "train") == 0;
    struct stat about;
    tp_loader_args args = { .part = part,
                            .batch = train ? (s->batch ? s->batch : INT64_MAX) : EVAL_BATCH,
                            .shuffle = train && s->batch,
                            .seed = (uint64_t)s->seed,
                            .count = strcmp(s->data, "digits") == 0 ? 0 : s->points,
                            .noise = s->noise };

    if (stat(s->data, &about) == 0 && S_ISDIR(about.st_mode))
        return tp_load_idx_with(s->data, args);
    return tp_load_made(s->data, args);
}

static bool open_data(struct session *s)
{
    tp_loader *both[2];

    both[0] = s->train = open_part(&s->settings, "train");
    both[1] = s->test = open_part(&s->settings, "test");
    for (int i = 0; i < 2; i++)
        if (tp_loader_error(both[i]))
            return ir_error(&s->error, tp_loader_status(both[i]), "%s", tp_loader_error(both[i]));
    s->data = s->settings.data;
    return true;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- a built-in model
 * --------------------------------------------------------------------------------- */

/* An input for a column: its rows, as many as the symbol says. */
static tp_tensor input_for(tp_graph *g, const struct data_set *set, const char *name, int64_t batch)
{
    for (int i = 0; i < set->columns; i++) {
        const struct data_column *c = &set->column[i];
        tp_shape shape = { .rank = c->rank + 1, .dim = { batch } };
        if (strcmp(c->name, name) != 0)
            continue;
        for (int axis = 0; axis < c->rank; axis++)
            shape.dim[1 + axis] = c->dim[axis];
        return tp_input(g, name, (tp_dtype)(c->dtype + 1), shape);
    }
    return (tp_tensor){ .g = g };
}

static bool choose_optimiser(const struct settings *s, tp_opt *opt, tp_group groups[2],
                             struct ir_error *error)
{
    tp_opt o = { .momentum = s->momentum, .weight_decay = s->weight_decay };
    static const char *const names[] = { "sgd", "adam", "adamw", "rmsprop", "adagrad" };

    if (s->freeze) {
        groups[0] = (tp_group){ .match = s->freeze, .frozen = true };
        o.groups = groups;
    }
    for (int kind = 0; kind < 5; kind++)
        if (strcmp(s->optimiser, names[kind]) == 0) {
            *opt = tp_opt_of(kind, o);
            return true;
        }
    return ir_error(error, IR_REFUSED,
                    "--opt \"%.40s\": expected sgd, adam, adamw, rmsprop or adagrad", s->optimiser);
}

static bool choose_schedule(const struct session *s, tp_schedule *to, struct ir_error *error)
{
    const double rate = s->settings.rate,
                 steps = (double)(s->settings.epochs * tp_loader_batches(s->train));

    if (strcmp(s->settings.schedule, "constant") == 0)
        *to = tp_const(rate);
    else if (strcmp(s->settings.schedule, "cosine") == 0)
        *to = tp_cosine(rate, 0, steps);
    else if (strcmp(s->settings.schedule, "linear") == 0)
        *to = tp_linear_decay(rate, rate / 10, steps);
    else
        return ir_error(error, IR_REFUSED,
                        "--schedule \"%.40s\": expected constant, cosine or linear",
                        s->settings.schedule);
    return true;
}

static bool trace(struct session *s, const struct model *m)
{
    const struct data_set *set = tp_loader_set(s->train);
    const int64_t classes = set->classes ? set->classes : 2,
                  most = least(s->settings.batch ? s->settings.batch : INT64_MAX,
                               tp_loader_rows(s->train)),
                  most_test = least(EVAL_BATCH, tp_loader_rows(s->test));
    int64_t batch;
    tp_tensor x, y;

    s->graph = tp_graph_new((uint64_t)s->settings.seed);
    s->values = calloc(1, sizeof *s->values);
    if (!s->graph || !s->values)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    batch = tp_symbol(s->graph, "batch", 1, most > most_test ? most : most_test);
    x = input_for(s->graph, set, "x", batch);
    y = input_for(s->graph, set, "y", batch);
    *s->values = m->build(x, y, s->settings.hidden, classes);
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static bool compile_built_in(struct session *s)
{
    struct model_values v = *s->values;
    const tp_tensor hits = v.hits, loss = v.loss;
    tp_group groups[2] = { { 0 } };
    tp_schedule rate;
    tp_opt opt;

    if (!choose_optimiser(&s->settings, &opt, groups, &s->error) ||
        !choose_schedule(s, &rate, &s->error))
        return false;
    s->step = tp_compile_train(loss, .opt = opt, .lr = rate, .clip_norm = s->settings.clip,
                               .threads = (int)s->settings.threads,
                               .batch = least(s->settings.batch ? s->settings.batch : INT64_MAX,
                                              tp_loader_rows(s->train)));
    s->eval = tp_compile_at(s->graph, tp_list(loss, hits),
                            (tp_compile_args){ .mode = TP_EVAL,
                                               .threads = (int)s->settings.threads,
                                               .batch = least(EVAL_BATCH, tp_loader_rows(s->test)),
                                               .names = "loss, hits" },
                            TP_HERE);
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

/* --- a file
 * ------------------------------------------------------------------------------------------- */

struct ir_module *command_read_module(const char *path, struct ir_error *error)
{
    FILE *file = fopen(path, "rb");
    struct ir_module *module = NULL;
    char *text = NULL;
    size_t size = 0;

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

void command_put_settings(const struct session *s, struct ir_module *m)
{
    m->setting[m->setting_count].key = "model";
    m->setting[m->setting_count++].value = s->model;
    for (int i = 0; i < ROWS; i++) {
        const void *from = (const char *)&s->settings + rows[i].at;

        m->setting[m->setting_count].key = rows[i].key;
        m->setting[m->setting_count++].value =
            rows[i].kind == 's'   ? *(const char *const *)from
            : rows[i].kind == 'i' ? ir_format(m->arena, "%lld", (long long)*(const int64_t *)from)
                                  : ir_format(m->arena, "%.17g", *(const double *)from);
    }
}

static struct ir_graph *program_of(const struct ir_module *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->program[i]->graph->name, name) == 0)
            return m->program[i]->graph;
    return NULL;
}

/* A program's graph is freed with the program, so it is a copy of the module's. */
struct ir_graph *command_copy_graph(const struct ir_graph *from, struct ir_error *error)
{
    struct ir_graph *to = ir_graph_like(from);
    ir_val *moved = ir_moved(to, from);

    to->error = error;
    for (uint32_t v = 1; v < from->count; v++)
        moved[v] = ir_copy(to, from, (ir_val){ v }, moved);
    ir_move_regions(to, from, moved);
    ir_move_outputs(to, from, moved);
    return to;
}

/* States that the evaluation reads are the model; others are the optimiser's. */
static bool list_states(struct session *s, const struct ir_graph *graph, enum state_kind kind)
{
    for (uint32_t v = 1; graph && v < graph->count; v++) {
        const struct ir_node *n = &graph->nodes[v];
        bool weight = ir_dtypes[n->dtype].kind == 'f'; /* not a counter */
        struct state *state =
            n->op == IR_state ? tp_state_of(s->graph, n, weight ? kind : STATE_HIDDEN) : NULL;

        if (n->op == IR_state && !state)
            return ir_error(&s->error, s->graph->error.status, "%s", s->graph->error.text);
        if (state && graph == s->graph->ir)
            state->value = (ir_val){ v };
    }
    return true;
}

/* The forward part alone: it becomes the trace, and is trained as a built-in model is. */
static bool compile_trace(struct session *s, const struct ir_graph *forward)
{
    const char *name[2] = { "loss", "hits" };
    tp_tensor value[2];

    s->values = calloc(1, sizeof *s->values);
    if (!s->values)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    ir_graph_free(s->graph->ir);
    s->graph->ir = command_copy_graph(forward, &s->graph->error);
    if (!list_states(s, s->graph->ir, STATE_PARAMETER))
        return false;
    for (int i = 0; i < 2; i++) {
        int k = 0;
        while (
            k < s->graph->ir->output_count &&
            (!s->graph->ir->outputs[k].name || strcmp(s->graph->ir->outputs[k].name, name[i]) != 0))
            k++;
        if (k == s->graph->ir->output_count)
            return ir_error(
                &s->error, IR_REFUSED,
                "%.200s: its program has no output \"%s\"; expected step and eval, or a "
                "trace that returns loss and hits",
                s->model, name[i]);
        value[i] = (tp_tensor){ .g = s->graph, .id = s->graph->ir->outputs[k].value.id };
    }
    *s->values = (struct model_values){ .loss = value[0], .hits = value[1] };
    return compile_built_in(s);
}

static bool compile_file(struct session *s, struct ir_graph *step, struct ir_graph *eval)
{
    const int threads = (int)s->settings.threads;

    if (!list_states(s, eval, STATE_PARAMETER) || !list_states(s, step, STATE_HIDDEN))
        return false;
    s->step = tp_program_new(s->graph, command_copy_graph(step, &s->graph->error), NULL, threads);
    if (eval && s->step)
        s->eval =
            tp_program_new(s->graph, command_copy_graph(eval, &s->graph->error), NULL, threads);
    if (s->step && !tp_program_output(s->step, "loss"))
        return ir_error(&s->error, IR_REFUSED,
                        "%.200s: its program \"step\" has no output \"loss\"", s->model);
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static bool from_file(struct session *s, bool compile)
{
    static const struct model otherwise = { .data = "digits",
                                            .batch = 64,
                                            .epochs = 5,
                                            .optimiser = "sgd",
                                            .rate = 0.05,
                                            .momentum = 0.9,
                                            .schedule = "cosine" };
    struct ir_graph *step, *eval;
    int64_t most;

    s->module = command_read_module(s->model, &s->error);
    if (!s->module || !take_settings(s))
        return false;
    fill_in(&s->settings, &otherwise);
    if (!compile)
        return true;
    step = program_of(s->module, "step");
    eval = program_of(s->module, "eval");
    if (!step && s->module->count != 1)
        return ir_error(&s->error, IR_REFUSED, "%.200s: there is no program \"step\" in it",
                        s->model);
    most = step && step->symbols ? step->symbol[0].hi : INT64_MAX;
    if (s->settings.batch > most)
        return ir_error(&s->error, IR_REFUSED, "%.200s: batches of %lld; its program takes %lld",
                        s->model, (long long)s->settings.batch, (long long)most);
    if (!open_data(s))
        return false;
    s->graph = tp_graph_new(step ? step->seed : s->module->program[0]->graph->seed);
    if (!s->graph)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    return step ? compile_file(s, step, eval) : compile_trace(s, s->module->program[0]->graph);
}

/* --- all of it
 * ------------------------------------------------------------------------------------------ */

bool command_session(struct session *s, const char *model, const struct settings *wanted,
                     bool compile)
{
    const struct model *m = tp_model_find(model);
    const char *dot = strrchr(model, '.');
    double start = command_seconds();
    bool ok;

    *s = (struct session){ .model = model, .settings = *wanted };
    if (!m && dot && strcmp(dot, ".onnx") == 0)
        return ir_error(&s->error, IR_UNSUPPORTED, "%.200s: ONNX models are not supported yet",
                        model);
    if (m) {
        fill_in(&s->settings, m);
        ok = open_data(s) && trace(s, m);
        start = command_seconds();
        ok = ok && (!compile || compile_built_in(s));
    } else {
        ok = from_file(s, compile);
    }
    s->compile_seconds = command_seconds() - start;
    return ok;
}

void command_session_free(struct session *s)
{
    tp_loader_free(s->train);
    tp_loader_free(s->test);
    tp_graph_free(s->graph);
    ir_module_free(s->module);
    free(s->values);
}
