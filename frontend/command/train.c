/*
 * train: a model, its data and a recipe; epochs of steps, with an evaluation after each.
 *
 * Three ways of telling: a bar that is drawn again on a terminal, a line an epoch elsewhere, and a
 * JSON object a line for programs. Nothing is printed before everything that can be refused has
 * been looked at.
 */
#include "frontend/parts.h"
#include "runtime/parts/report.h"

#include "command.h"
#include "frontend/data.h"
#include "frontend/models.h"
#include "runtime/cuda.h"

enum { PROBE_EVERY = 10 }; /* steps, where --log-every does not say */

struct train {
    struct session session;
    const char *save, *save_model, *load, *svg, *checkpoint, *resume;
    int64_t checkpoint_every;
    const char *log;
    tp_log *events;
    struct progress at;
    struct picture picture;
    char said[400]; /* of the file that was resumed from */
    struct report report;
};

/* --- telling -----------------------------------------------------------------------------------
 */

static void tell_start(const struct train *t)
{
    const struct session *s = &t->session;
    const int64_t parameters = tp_param_count(s->graph);

    if (t->report.json) {
        printf("{\"event\":\"start\"");
        report_text("model", s->model);
        printf(",\"parameters\":%lld,\"arena_bytes\":%zu", (long long)parameters,
               tp_program_bytes(s->step));
        report_number("compile_seconds", s->compile_seconds);
        report_number("memory_seconds", s->memory_seconds);
        printf(",\"cached\":%s", s->step->cached ? "true" : "false");
        if (t->resume)
            printf(",\"resumed_step\":%lld", (long long)t->at.step);
        printf("}\n");
    } else {
        printf(
            "%s on %s: %lld parameters, %lld rows in batches of %lld, arena %.0f KiB, compiled in "
            "%.2f s (%s)\n",
            s->model, s->data, (long long)parameters, (long long)tp_loader_rows(s->train),
            (long long)s->step->symbol[0], (double)tp_program_bytes(s->step) / 1024,
            s->compile_seconds, tp_program_engine(s->step));
        if (t->resume)
            printf("going on at epoch %lld, after %lld steps\n", (long long)t->at.epoch,
                   (long long)t->at.step);
    }
    fflush(stdout);
    if (t->said[0]) /* nothing was refused, so it is no error */
        fprintf(stderr, "taper: %s\n", t->said);
}

static void tell_done(const struct train *t)
{
    report_done(&t->report, t->at.last_loss, t->at.last_accuracy);
    if (!t->report.json)
        printf("%s%s%s%s\n", t->save ? ", weights in " : "", t->save ? t->save : "",
               t->svg ? ", picture in " : "", t->svg ? t->svg : "");
    fflush(stdout);
}

/* --- the work ----------------------------------------------------------------------------------
 */

static double number_of(const tp_program *p, const char *name)
{
    const struct port *port = tp_program_output(p, name);

    return port ? tp_port_number(p, port) : (double)NAN;
}

/* False when the graph has met an error, which is then the session's. */
static bool fine(struct session *s)
{
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static bool evaluate(struct session *s, struct report_epoch *e)
{
    double rows = 0, hits = 0, loss = 0;

    if (!s->eval)
        return true;
    while (tp_next(s->test, s->eval) && tp_run(s->eval)) {
        const double here = (double)s->eval->symbol[0];
        loss += here * number_of(s->eval, "loss");
        hits += number_of(s->eval, "hits");
        rows += here;
    }
    e->val_loss = loss / rows;
    e->val_accuracy = hits / rows;
    e->evaluated = rows > 0;
    return fine(s);
}

static bool save_checkpoint(struct train *t)
{
    struct session *s = &t->session;

    fflush(stdout); /* what was told before it will not be told again */
    return tp_checkpoint_write(s->graph,
                               &(tp_checkpoint_args){ .path = t->checkpoint, .data = s->train },
                               &t->at) ||
           fine(s);
}

static bool due(const struct train *t)
{
    const int64_t every = t->report.log_every ? t->report.log_every : PROBE_EVERY;

    return t->at.step % every == 0;
}

/* A step's numbers, for TensorBoard and as a JSON line. */
static bool log_step(struct train *t, double loss)
{
    if (!due(t))
        return true;
    if (t->session.settings.probe && t->report.json)
        tp_probes_print(t->at.step, t->session.step);
    return !t->events ||
           (tp_log_number(t->events, t->at.step, "loss", loss) &&
            tp_log_probes(t->events, t->at.step, t->session.step)) ||
           ir_error(&t->session.error, IR_FAILED, "%.200s: cannot be written", t->log);
}

static void log_epoch(struct train *t, const struct report_epoch *e)
{
    if (!t->events || !e->evaluated)
        return;
    tp_log_number(t->events, t->at.step, "val_loss", e->val_loss);
    if (!isnan(e->val_accuracy))
        tp_log_number(t->events, t->at.step, "val_accuracy", e->val_accuracy);
}

/* Steps whose loss has not been looked at: a device goes on meanwhile. */
struct late {
    double rows[RUN_PAST];
    int count, most;
};

static bool catch_up(struct train *t, struct late *late)
{
    const tp_program *p = t->session.step;
    const struct port *port = tp_program_output(p, "loss");

    for (int i = 0; i < late->count; i++) {
        const double loss = port ? tp_past_number(p, port, late->count - 1 - i) : (double)NAN;
        t->at.loss += loss * late->rows[i];
        t->at.seen += late->rows[i];
        t->at.batches++;
        t->at.step++;
        t->report.step = t->at.step;
        report_step(&t->report, loss);
        if (!log_step(t, loss))
            return false;
    }
    late->count = 0;
    return fine(&t->session);
}

/* From where t->at says, which is in the middle of one after --resume. */
static bool run_epoch(struct train *t, struct report_epoch *e)
{
    struct session *s = &t->session;
    const double begun = run_seconds();
    struct late late = { .most = 1 };
    int64_t here = 0;

    if (!t->events && !s->settings.probe && !s->settings.check) /* those look at each step */
        late.most = tp_program_keep(s->step);
    while (tp_next(s->train, s->step) && tp_run(s->step)) {
        late.rows[late.count++] = (double)s->step->symbol[0];
        here++;
        const bool save = t->checkpoint && t->checkpoint_every &&
                          (t->at.step + late.count) % t->checkpoint_every == 0;
        if ((late.count == late.most || save) && !catch_up(t, &late))
            return false;
        if (save && !save_checkpoint(t))
            return false;
    }
    if (!catch_up(t, &late))
        return false;
    e->number = t->at.epoch;
    e->batches = here;
    e->loss = t->at.loss / t->at.seen;
    e->seconds = run_seconds() - begun;
    if (!fine(s) || !evaluate(s, e))
        return false;
    log_epoch(t, e);
    command_picture_keep(&t->picture, e->number,
                         (double[]){ e->loss, e->evaluated ? e->val_loss : NAN,
                                     e->evaluated ? e->val_accuracy : NAN });
    t->at = (struct progress){ .step = t->at.step,
                               .epoch = t->at.epoch + 1,
                               .last_loss = e->loss,
                               .last_accuracy = e->evaluated ? e->val_accuracy : (double)NAN };
    return true;
}

/* Better to hear of a name that cannot be written before an hour of training than after it. */
static bool writable(const char *path, struct ir_error *error)
{
    struct file_aside *file = path ? tp_aside_open(path, error) : NULL;

    tp_aside_close(file, false, error);
    return !path || file;
}

/* A name whose end is another format's would hold what nobody expects there. */
static bool fits_its_end(const char *save, struct ir_error *error)
{
    static const char *const others[] = { ".pt",  ".pth", ".bin",  ".ckpt", ".pkl",   ".h5",
                                          ".npy", ".tp",  ".onnx", ".gguf", ".keras", ".gz" };
    const char *end = save ? strrchr(save, '.') : NULL;

    for (size_t i = 0; end && i < sizeof others / sizeof *others; i++)
        if (strcmp(end, others[i]) == 0)
            return ir_error(error, IR_REFUSED,
                            "--save %.200s: %s is not written; expected .safetensors, which "
                            "PyTorch's safetensors reads, or .npz",
                            save, end);
    return true;
}

static bool prepare(struct train *t, const char *model, const struct settings *wanted)
{
    struct session *s = &t->session;

    if (wanted->probe && !t->log && !t->report.json)
        return ir_error(&s->error, IR_REFUSED, "--probe: expected --log DIR, --json or both");
    if (!command_session(s, model, wanted, true))
        return false;
    if (!t->resume && !command_has_numbers(s, t->load != NULL))
        return false;
    if (s->settings.probe && tp_probes(s->step, 0, NULL) == 0)
        return ir_error(&s->error, IR_REFUSED,
                        "--probe: %.200s is a step already, and it has no probes", s->model);
    if (t->svg && !command_picture_begin(&t->picture, s))
        return false;
    if (t->load && !tp_load(s->graph, t->load))
        return fine(s);
    if (t->save_model && !command_is_weights(t->save_model))
        return ir_error(&s->error, IR_REFUSED,
                        "--save-model %.200s: expected a name that ends in .safetensors",
                        t->save_model);
    if (t->save_model && !command_has_text(s))
        return ir_error(&s->error, IR_UNSUPPORTED,
                        "--save-model: %.200s has no text of its own that gives loss, hits and "
                        "scores; expected a built-in or ONNX model, or --save",
                        s->model);
    if (!writable(t->save, &s->error) || !writable(t->save_model, &s->error) ||
        !writable(t->svg, &s->error) || !writable(t->checkpoint, &s->error))
        return false;
    if (t->log && !(t->events = tp_log_open(s->graph, t->log)))
        return fine(s);
    t->at.epoch = 1;
    if (!t->resume)
        return true;
    if (!tp_checkpoint_read(s->graph, &(tp_checkpoint_args){ .path = t->resume, .data = s->train },
                            &t->at, t->said))
        return fine(s);
    if (t->at.epoch < 1 || t->at.step < 0)
        return ir_error(&s->error, IR_REFUSED,
                        "%.200s: checkpoint: it is not of taper train: it has no epoch", t->resume);
    return true;
}

/* The weights and, among their notes, the model that they are of. */
static bool save_model(struct train *t, const struct notes *notes)
{
    struct session *s = &t->session;
    const int count = notes->sizes + (notes->tokens != NULL);
    struct file_pair pair[sizeof notes->pair / sizeof *notes->pair + 1];
    struct ir_text text = { 0 };
    bool ok = command_model_text(s, &text);

    memcpy(pair, notes->pair, (size_t)count * sizeof *pair);
    pair[count] = (struct file_pair){ COMMAND_MODEL_KEY, text.data };
    ok = ok && (tp_save_noted(s->graph, t->save_model, true, count + 1, pair) || fine(s));
    ir_text_free(&text);
    return ok;
}

static bool save_weights(struct train *t)
{
    struct session *s = &t->session;
    struct notes notes;
    bool ok;

    if (!command_notes(s, &notes))
        return false;
    ok =
        !t->save ||
        tp_save_noted(s->graph, t->save, false, notes.sizes + (notes.tokens != NULL), notes.pair) ||
        fine(s);
    ok = ok && (!t->save_model || save_model(t, &notes));
    free(notes.tokens);
    return ok;
}

static bool work(struct train *t)
{
    struct session *s = &t->session;

    t->report.begun = report_seconds();
    t->report.epochs = s->settings.epochs;
    t->report.steps = s->settings.epochs * tp_loader_batches(s->train);
    t->report.step = t->report.first = t->at.step;
    tell_start(t);
    while (t->at.epoch <= s->settings.epochs) {
        struct report_epoch e = { 0 };
        if (!run_epoch(t, &e))
            return false;
        report_epoch(&t->report,
                     &e); /* rather told twice than not at all by a run that is killed */
        if (t->checkpoint && !save_checkpoint(t))
            return false;
    }
    if (((t->save || t->save_model) && !save_weights(t)) ||
        (t->svg && !command_picture_draw(&t->picture, s, t->svg)))
        return false;
    tell_done(t);
    return true;
}

static void list_models(void)
{
    printf("Built-in models; each has a recipe, and data that the program makes itself:\n\n");
    for (const struct model *m = tp_models; m->name; m++)
        printf("  %-11s %s\n", m->name, m->about);
    printf("\nExample: taper train lenet --epochs 3\n");
}

int command_train(int argc, char **argv, struct ir_error *error)
{
    struct train t = { .checkpoint_every = 0 };
    struct settings set = command_unset;
    const struct option options[] = {
        COMMAND_SETTINGS(set),
        { "--device", 's', &set.device, "D", "where to run: cpu, cuda or cuda:N, cuda-emu; cpu" },
        { "--tf32", 'b', &set.tf32, NULL,
          "on a GPU: products of f32 are computed from TF32, by tensor cores" },
        { "--load", 's', &t.load, "F", "begin with these weights (safetensors, .npz)" },
        { "--save", 's', &t.save, "F", "write the weights at the end (safetensors, .npz)" },
        { "--save-model", 's', &t.save_model, "F",
          "the same with the model's text in it: train, run and export take the file as a model" },
        { "--svg", 's', &t.svg, "F",
          "draw the losses by epoch; of planar and moons what was learnt" },
        { "--log-every", 'i', &t.report.log_every, "N", "tell the loss every N steps" },
        { "--json", 'b', &t.report.json, NULL, "a JSON object a line" },
        { "--checkpoint", 's', &t.checkpoint, "F",
          "keep all that a run goes on from in F, and the one before it in F.1" },
        { "--checkpoint-every", 'i', &t.checkpoint_every, "N",
          "write it every N steps as well as at the end of each epoch" },
        { "--resume", 's', &t.resume, "F",
          "go on from a checkpoint, to the same bits as if never stopped" },
        { "--check", 'b', &set.check, NULL,
          "stop at the first NaN, infinity or index past its axis, and name the operation" },
        { "--probe", 'b', &set.probe, NULL,
          "norms of gradients, sizes of updates, dead units and histograms, to --log and --json" },
        { "--log", 's', &t.log, "DIR",
          "write losses (and probes) there as TensorBoard reads them, every --log-every steps; "
          "10" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper train MODEL [options]",
        "Trains a model: a built-in name (taper train lists them), a .tp, an .onnx or a\n"
        ".safetensors file (of --save-model).",
        "taper train lenet --data mnist/ --epochs 5 --save lenet.safetensors", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words == 0) {
        list_models();
        return 0;
    }
    if (words > 1)
        return ir_error(error, IR_REFUSED, "train takes one model; \"%.40s\" is one more", argv[1]),
               IR_REFUSED;
    if (set.tf32 && tp_device_is_cpu(set.device))
        return ir_error(error, IR_REFUSED,
                        "--tf32 is of a GPU's tensor cores; expected --device cuda as well"),
               IR_REFUSED;
    if (t.checkpoint_every && !t.checkpoint)
        return ir_error(error, IR_REFUSED, "--checkpoint-every: expected --checkpoint F as well"),
               IR_REFUSED;
    if (t.save && t.checkpoint && strcmp(t.save, t.checkpoint) == 0)
        return ir_error(error, IR_REFUSED, "--save and --checkpoint name one file, %.200s", t.save),
               IR_REFUSED;
    if (!fits_its_end(t.save, error))
        return IR_REFUSED;
    t.report.bar = !t.report.json && isatty(STDOUT_FILENO);
    if (prepare(&t, argv[0], &set) && !work(&t))
        t.session.error.status =
            IR_FAILED; /* what is wrong with a request is said before the start */
    tp_log_close(t.events);
    free(t.picture.numbers);
    *error = t.session.error;
    command_session_free(&t.session);
    return error->status;
}
