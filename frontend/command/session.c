/*
 * session: a model, its data and its programs, from a name or a file.
 *
 * A built-in model is traced for the rows that its data have; model_file.c does the same for files.
 */
#define _POSIX_C_SOURCE 200809L
#include "command.h"
#include "frontend/data.h"
#include "frontend/models.h"
#include "frontend/onnx/onnx.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EVAL_BATCH = 200, MANY_WORDS = 10000 };

const struct settings command_unset = { .batch = -1,
                                        .epochs = -1,
                                        .hidden = -1,
                                        .layers = -1,
                                        .heads = -1,
                                        .vocabulary = -1,
                                        .points = -1,
                                        .threads = -1,
                                        .seed = -1,
                                        .rate = -1,
                                        .momentum = -1,
                                        .weight_decay = -1,
                                        .noise = -1,
                                        .warmup = -1,
                                        .context = -1,
                                        .step = -1,
                                        .accumulate = -1,
                                        .clip = -1 };

/* --- what was asked for, and the recipe's answer to the rest -----------------------------------
 */

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

void command_fill_in(struct settings *s, const struct model *m)
{
    const bool own = !s->optimiser || strcmp(s->optimiser, m->optimiser) == 0,
               sgd = s->optimiser && strcmp(s->optimiser, "sgd") == 0;

    pick_number(&s->rate, own ? m->rate : command_usual_rate(s->optimiser));
    pick_number(&s->momentum, own ? m->momentum : sgd ? 0.9 : 0);
    pick_text(&s->data, s->set ? s->set : m->data);
    pick_text(&s->optimiser, m->optimiser);
    pick_text(&s->schedule, m->schedule);
    pick_text(&s->format, m->format);
    pick_integer(&s->batch, m->batch);
    pick_integer(&s->epochs, m->epochs);
    pick_integer(&s->hidden, m->hidden);
    pick_integer(&s->layers, m->layers);
    pick_integer(&s->heads, m->heads);
    pick_integer(&s->vocabulary, m->vocabulary);
    pick_integer(&s->points, m->rows);
    pick_integer(&s->threads, 0);
    pick_integer(&s->seed, 1);
    pick_number(&s->weight_decay, own ? m->weight_decay : 0);
    pick_number(&s->noise, m->noise);
    pick_number(&s->clip, m->clip);
    pick_integer(&s->accumulate, 1);
    pick_number(&s->warmup, m->warmup);
    pick_text(&s->precision, "f32");
    pick_integer(&s->context, m->context);
    pick_integer(&s->step, m->step);
}

/* --- data --------------------------------------------------------------------------------------
 */

/* Scores of many words for many rows would need more memory than training does. */
static int64_t test_batch(const struct settings *s)
{
    return s->vocabulary > MANY_WORDS && s->batch ? s->batch : EVAL_BATCH;
}

static tp_loader *open_part(const struct settings *s, const char *part)
{
    const bool train = strcmp(part, "train") == 0;
    const char *format = s->format ? s->format : tp_data_format(s->data);
    struct stat about;
    tp_loader_args args = { .part = part,
                            .batch = train ? (s->batch ? s->batch : INT64_MAX) : test_batch(s),
                            .shuffle = train && s->batch,
                            .seed = (uint64_t)s->seed,
                            .count = strcmp(s->data, "digits") == 0 ? 0 : s->points,
                            .noise = s->noise,
                            .context = s->context,
                            .step = train ? s->step : 0 };

    if (format && strcmp(format, "words") == 0 && !train)
        args.part = "validation"; /* and the test is left for the end */
    /* a set's name is one wherever the command is called, beside a program called moons too */
    if (format || (!tp_data_made(s->data) && stat(s->data, &about) == 0))
        return tp_load_data_with(format, s->data, args);
    return tp_load_made(s->data, args);
}

/* What --data says is a path or a set's name; --set says nothing but a set of points. */
static bool known_data(const struct settings *s)
{
    struct stat about;

    return s->data == s->set || s->format || tp_data_format(s->data) || tp_data_made(s->data) ||
           stat(s->data, &about) == 0;
}

bool command_open_data(struct session *s)
{
    tp_loader *both[2];

    if (!known_data(&s->settings))
        return ir_error(&s->error, IR_REFUSED,
                        "--data \"%.200s\": there is no such file, folder or set; expected a path "
                        "whose end tells what it is (.csv .tsv .npz .txt), or digits, moons or a "
                        "planar set",
                        s->settings.data);
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

struct model_sizes command_sizes(const struct session *s)
{
    const struct data_set *set = tp_loader_set(s->train);
    const int64_t classes = set->classes ? set->classes : 2;

    const int64_t words = set->vocabulary_count ? set->vocabulary_count : classes;

    return (struct model_sizes){ .hidden = s->settings.hidden,
                                 .layers = s->settings.layers,
                                 .heads = s->settings.heads,
                                 .classes = classes,
                                 .vocabulary =
                                     s->settings.vocabulary ? s->settings.vocabulary : words };
}

/* --- a built-in model --------------------------------------------------------------------------
 */

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

/* TP_DEFAULT with an error for what is no precision. */
static tp_dtype precision_of(struct session *s)
{
    for (tp_dtype t = TP_F16; t <= TP_F32; t++)
        if (strcmp(s->settings.precision, ir_dtypes[t - 1].name) == 0)
            return t;
    ir_error(&s->error, IR_REFUSED, "--precision \"%.40s\": expected f32, bf16 or f16",
             s->settings.precision);
    return TP_DEFAULT;
}

bool command_target(struct session *s)
{
    const char *name = s->settings.target ? s->settings.target : "native";

    s->graph->target = ir_target_by_name(name);
    if (s->graph->target && (s->graph->target->processors == 0 || s->graph->no_engine))
        return true; /* a GPU's is to be looked at only */
    return ir_error(&s->error, IR_REFUSED,
                    "--target \"%.40s\": expected generic, x86-64-v3, x86-64-v4, armv8, cortex-m "
                    "or native",
                    name);
}

static bool good_sizes(struct session *s, const struct model_sizes *size)
{
    const struct data_set *set = tp_loader_set(s->train);

    if (size->layers && (size->heads < 1 || size->hidden < 1 || size->hidden % size->heads))
        return ir_error(&s->error, IR_REFUSED,
                        "--heads %" PRId64 ": expected a divisor of the width, %" PRId64,
                        size->heads, size->hidden);
    return size->vocabulary >= set->vocabulary_count ||
           ir_error(&s->error, IR_REFUSED,
                    "--vocabulary %" PRId64 ": expected %" PRId64 " or more, as the data has",
                    size->vocabulary, (int64_t)set->vocabulary_count);
}

static bool trace(struct session *s, const struct model *m, bool run)
{
    const struct data_set *set = tp_loader_set(s->train);
    const struct model_sizes sizes = command_sizes(s);
    const int64_t most = least(s->settings.batch ? s->settings.batch : INT64_MAX,
                               tp_loader_rows(s->train)),
                  most_test = least(test_batch(&s->settings), tp_loader_rows(s->test));
    int64_t batch;
    tp_tensor x, y;

    if (!good_sizes(s, &sizes))
        return false;
    s->graph = tp_graph_new((uint64_t)s->settings.seed);
    s->values = calloc(1, sizeof *s->values);
    if (!s->graph || !s->values)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    s->graph->no_engine = !run;
    if (!command_target(s) || !command_schedules(s))
        return false;
    s->graph->unfused = s->settings.unfused;
    s->graph->profiled = s->settings.profiled;
    batch = tp_symbol(s->graph, "batch", 1, most > most_test ? most : most_test);
    x = input_for(s->graph, set, "x", batch);
    y = input_for(s->graph, set, "y", batch);
    if (s->onnx) {
        if (!command_onnx_values(s, x, y, s->values))
            return false;
    } else {
        *s->values = tp_model_built(m, x, y, &sizes);
    }
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

/* The step of a built-in model, for so many rows; a plan alone where there is no limit yet. */
static tp_program *compile_step(struct session *s, int64_t batch, struct making making)
{
    tp_group groups[2] = { { 0 } };
    tp_schedule rate;
    tp_opt opt;

    const tp_dtype precision = precision_of(s);

    if (!precision || !command_choose(s, &opt, groups, &rate))
        return NULL;
    return tp_compile_train(s->values->loss, .opt = opt, .lr = rate, .clip_norm = s->settings.clip,
                            .accumulate = (int)s->settings.accumulate, .threads = making.threads,
                            .batch = batch, .memory = making.memory, .plan_only = making.plan_only,
                            .precision = precision, .check = making.check, .device = making.device,
                            .tf32 = making.tf32, .probe = s->settings.probe);
}

static tp_program *compile_eval(struct session *s, int64_t batch, struct making making)
{
    const tp_tensor told[2] = { s->values->loss, s->values->hits };
    const bool hits = told[1].g != NULL;

    return tp_compile_at(s->graph, (tp_list){ hits ? 2 : 1, told },
                         (tp_compile_args){ .mode = TP_EVAL,
                                            .threads = making.threads,
                                            .batch = batch,
                                            .names = hits ? "loss, hits" : "loss",
                                            .memory = making.memory,
                                            .plan_only = making.plan_only,
                                            .precision = precision_of(s),
                                            .device = making.device,
                                            .tf32 = making.tf32 },
                         TP_HERE);
}

static tp_program *plan_step(struct session *s, int64_t batch)
{
    return compile_step(s, batch,
                        (struct making){ .threads = (int)s->settings.threads,
                                         .plan_only = true,
                                         .device = s->settings.device,
                                         .tf32 = s->settings.tf32 });
}

static tp_program *plan_eval(struct session *s, int64_t batch)
{
    return compile_eval(s, batch,
                        (struct making){ .threads = (int)s->settings.threads,
                                         .plan_only = true,
                                         .device = s->settings.device,
                                         .tf32 = s->settings.tf32 });
}

bool command_compile(struct session *s)
{
    const int64_t rows =
        least(s->settings.batch ? s->settings.batch : INT64_MAX, tp_loader_rows(s->train));
    int64_t test = least(test_batch(&s->settings), tp_loader_rows(s->test));
    struct making making = { .threads = (int)s->settings.threads,
                             .device = s->settings.device,
                             .tf32 = s->settings.tf32 };

    if (!command_memory(s, plan_step, rows))
        return false;
    making.memory = s->memory;
    making.check = s->settings.check;
    s->step = compile_step(s, rows, making);
    making.check = false;
    if (s->step)
        test = command_fitting_batch(s, plan_eval, test);
    if (s->step && tp_loader_narrow(s->test, test))
        s->eval = compile_eval(s, test, making);
    return s->error.status == IR_OK &&
           (tp_error(s->graph) == NULL ||
            ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph)));
}

/* --- all of it ---------------------------------------------------------------------------------
 */

bool command_trace(struct session *s, const char *model, const struct settings *wanted)
{
    const struct model *m = tp_model_find(model);

    *s = (struct session){ .model = model, .settings = *wanted };
    if (!m)
        return ir_error(&s->error, IR_REFUSED,
                        "%.200s: there is no such model; taper train lists the models", model);
    command_fill_in(&s->settings, m);
    return command_open_data(s) && trace(s, m, false);
}

bool command_session(struct session *s, const char *model, const struct settings *wanted, bool run)
{
    const struct model *m = tp_model_find(model);
    const char *dot = strrchr(model, '.');
    double start = run_seconds();
    bool ok;

    *s = (struct session){ .model = model, .settings = *wanted };
    if (!m && dot && strcmp(dot, ".onnx") == 0) {
        m = &command_onnx_recipe;
        s->onnx = tp_onnx_read(model, &s->error);
        if (!s->onnx)
            return false;
    } else if (wanted->loss || wanted->head) {
        return ir_error(&s->error, IR_REFUSED, "%.200s: --loss and --head are of ONNX models",
                        model);
    }
    if (m) {
        command_fill_in(&s->settings, m);
        ok = command_open_data(s) && trace(s, m, run);
        start = run_seconds();
        ok = ok && command_compile(s);
    } else {
        ok = command_from_file(s, run);
    }
    if (ok && s->module && command_is_weights(model) && !tp_load_whole(s->graph, model))
        ok = ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
    s->memory_seconds = s->graph ? s->graph->memory_seconds : 0;
    s->compile_seconds = run_seconds() - start - s->memory_seconds;
    if (ok && run &&
        !(tp_loader_bind(s->train, s->step) && (!s->eval || tp_loader_bind(s->test, s->eval))))
        ok = ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
    return ok;
}

void command_session_free(struct session *s)
{
    tp_loader_free(s->train);
    tp_loader_free(s->test);
    tp_graph_free(s->graph);
    ir_module_free(s->module);
    tp_onnx_free(s->onnx);
    free(s->values);
}

bool command_schedules(struct session *s)
{
    const char *path = s->settings.schedules;

    return !path || tp_schedules(s->graph, strcmp(path, "none") == 0 ? NULL : path) ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}
