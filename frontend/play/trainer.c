/*
 * trainer: steps and looks of one network in the plane. Steps are a program that was compiled
 * (fused, or a kernel an operation), or eager, where each operation runs when it is recorded; looks
 * are always compiled, of the same parameters.
 */
#include "frontend/data.h"
#include "frontend/models.h"
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = PLANE_SIDE * PLANE_SIDE, LAYERS = 2 * (PLANE_DEEPEST + 1), PROBES = 96 };

struct trainer {
    struct session s; /* its graph, data, step; eval measures */
    const struct plane *plane;
    const struct points *points;
    tp_program *look;
    tp_tensor x, y;
    tp_graph *tape; /* eager: steps are recorded here, and the parameters live here; or NULL */
    bool stale;     /* .. and have changed since the graph had them */
    tp_opt opt;
    tp_schedule rate;
    tp_group groups[2];
    float *rows_x, *grid, *shade; /* of an eager batch; of the picture */
    int32_t *rows_y;
    struct layer_state layer[LAYERS]; /* of the last eager step */
    int layers;
};

static tp_graph *broken(const struct trainer *t) /* the graph that has an error, or NULL */
{
    return t->tape && tp_error(t->tape)         ? t->tape
           : t->s.graph && tp_error(t->s.graph) ? t->s.graph
                                                : NULL;
}

/* --- eager: what the compiled step does, an operation at a time
 * -----------------------------------
 */

static struct model_values record(struct trainer *t, int64_t rows, const float *x, const int32_t *y)
{
    return play_plane_values(tp_array(t->tape, TP_F32, tp_dims(rows, 2), x),
                             tp_array(t->tape, TP_I32, tp_dims(rows), y), t->plane);
}

/* A first recording, which computes nothing, makes the parameters. */
static bool begin_tape(struct trainer *t)
{
    t->tape = tp_eager_new((uint64_t)t->plane->seed);
    if (!t->tape)
        return ir_error(&t->s.error, IR_FAILED, "not enough memory");
    tp_eager_hold(t->tape, true);
    record(t, 1, t->points->x, t->points->y);
    tp_eager_hold(t->tape, false);
    return tp_keep(t->tape, 0, NULL, NULL);
}

int64_t play_elements(tp_tensor x)
{
    const tp_shape shape = tp_shape_of(x);
    int64_t count = 1;

    for (int i = 0; i < shape.rank; i++)
        count *= shape.dim[i];
    return count;
}

/* A copy of what a parameter holds; free(). */
static float *numbers_of(tp_tensor x)
{
    const size_t bytes = (size_t)play_elements(x) * sizeof(float);
    float *to = malloc(bytes);

    if (to && tp_get_values(x, to, bytes))
        return to;
    free(to);
    return NULL;
}

static bool catch_up(struct trainer *t)
{
    tp_tensor found[LAYERS];
    const int count = t->tape && t->stale ? tp_params(t->tape, "*", LAYERS, found) : 0;

    for (int i = 0; i < count && i < LAYERS; i++) {
        float *values = numbers_of(found[i]);
        const bool good = values && tp_set_values(tp_find(t->s.graph, tp_name(found[i])), values,
                                                  (size_t)play_elements(found[i]) * sizeof *values);
        free(values);
        if (!good)
            return false;
    }
    t->stale = false;
    return true;
}

static double norm_of(const float *a, const float *b, int64_t count) /* b may be NULL */
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++) {
        const double x = (double)a[i] - (b ? (double)b[i] : 0);
        sum += x * x;
    }
    return sqrt(sum);
}

/* With what the probes of a compiled step say. */
static bool eager_update(struct trainer *t)
{
    tp_tensor found[LAYERS];
    float *before[LAYERS] = { NULL };
    int count = tp_params(t->tape, "*", LAYERS, found);

    count = count < LAYERS ? count : LAYERS;
    for (int i = 0; i < count; i++) {
        const float *slope = tp_values(tp_gradient(found[i]), NULL);
        const char *name = tp_name(tp_find(t->s.graph, tp_name(found[i])));
        t->layer[i] = (struct layer_state){
            .name = name, .gradient = slope ? norm_of(slope, NULL, play_elements(found[i])) : 0
        };
        before[i] = numbers_of(found[i]);
    }
    tp_update(t->tape, t->opt, t->rate);
    for (int i = 0; i < count; i++) {
        const tp_tensor x = tp_find(t->tape, t->layer[i].name);
        float *now = numbers_of(x);
        if (before[i] && now)
            t->layer[i].ratio = norm_of(now, before[i], play_elements(x)) /
                                fmax(norm_of(before[i], NULL, play_elements(x)), 1e-30);
        free(now);
        free(before[i]);
    }
    t->layers = count;
    t->stale = true;
    return tp_error(t->tape) == NULL;
}

static bool eager_step(struct trainer *t, bool *ended, double *loss)
{
    void *const to[] = { t->rows_x, t->rows_y };
    const int64_t rows = tp_batches_next(tp_loader_walk(t->s.train), to);
    struct model_values v;

    *ended = rows == 0;
    if (*ended)
        return true;
    v = record(t, rows, t->rows_x, t->rows_y);
    *loss = tp_item(v.loss);
    return tp_backward(v.loss) && eager_update(t);
}

/* --- making one ----------------------------------------------------------------------------------
 */

static void settings_of(struct session *s, const struct plane *p)
{
    s->model = "planar";
    s->settings = command_unset;
    s->settings.optimiser = p->optimiser;
    s->settings.schedule = p->schedule;
    s->settings.rate = p->rate;
    s->settings.momentum = p->momentum;
    s->settings.weight_decay = p->weight_decay;
    s->settings.epochs = p->epochs;
    s->settings.accumulate = 1;
    s->settings.warmup = 0;
    s->settings.data = p->set;
    s->settings.points = p->points;
    s->settings.noise = p->noise;
    s->settings.seed = p->seed;
    s->settings.batch = p->batch;
    s->settings.clip = 0;
    s->settings.precision = "f32";
    s->settings.unfused = strcmp(p->engine, "unfused") == 0;
}

static int64_t batch_of(const struct plane *p, const struct points *points)
{
    return p->batch && p->batch < points->train ? p->batch : points->train;
}

static bool compile(struct trainer *t)
{
    const int64_t batch = batch_of(t->plane, t->points), count = t->points->count,
                  most = count > GRID ? count : GRID;
    tp_graph *g = t->s.graph;
    const int64_t rows = tp_symbol(g, "batch", 1, most);
    struct model_values v;
    tp_tensor looked_at[2];

    g->unfused = t->s.settings.unfused;
    t->x = tp_input(g, "x", TP_F32, tp_dims(rows, 2));
    t->y = tp_input(g, "y", TP_I32, tp_dims(rows));
    v = play_plane_values(t->x, t->y, t->plane);
    *t->s.values = v;
    t->s.step = tp_compile_train(v.loss, .opt = t->opt, .lr = t->rate, .batch = batch, .threads = 1,
                                 .probe = true);
    looked_at[0] = v.loss;
    looked_at[1] = v.hits;
    t->s.eval = tp_compile_at(
        g, (tp_list){ 2, looked_at },
        (tp_compile_args){ .mode = TP_EVAL, .batch = count, .threads = 1, .names = "loss, hits" },
        TP_HERE);
    t->look = tp_compile(g, tp_list(v.output), TP_EVAL, .batch = GRID, .threads = 1);
    return t->s.step && t->s.eval && t->look;
}

static void make_grid(struct trainer *t)
{
    const float *box = t->points->box;

    for (int i = 0; i < GRID; i++) { /* from the top, as a picture is drawn */
        const double right = (i % PLANE_SIDE + 0.5) / PLANE_SIDE;
        const double down = (i / PLANE_SIDE + 0.5) / PLANE_SIDE;
        t->grid[2 * i] = (float)(box[0] + (box[1] - box[0]) * right);
        t->grid[2 * i + 1] = (float)(box[3] - (box[3] - box[2]) * down);
    }
}

struct trainer *play_trainer(const struct plane *p, const struct points *points,
                             pthread_mutex_t *compiling, struct ir_error *error)
{
    struct trainer *t = calloc(1, sizeof *t);
    const int64_t batch = batch_of(p, points);
    double loss[2], accuracy[2];
    bool good;

    if (!t) {
        ir_error(error, IR_FAILED, "not enough memory");
        return NULL;
    }
    t->plane = p;
    t->points = points;
    settings_of(&t->s, p);
    t->s.values = calloc(1, sizeof *t->s.values);
    t->grid = malloc(sizeof *t->grid * 2 * GRID);
    t->shade = malloc(sizeof *t->shade * GRID);
    t->rows_x = malloc(sizeof *t->rows_x * 2 * (size_t)batch);
    t->rows_y = malloc(sizeof *t->rows_y * (size_t)batch);
    t->s.graph = tp_graph_new((uint64_t)p->seed);
    t->s.train = tp_loader_from_arrays(
        tp_columns({ "x", TP_F32, tp_dims(2), points->x }, { "y", TP_I32, TP_SCALAR, points->y }),
        points->train, .batch = batch, .shuffle = batch < points->train, .seed = (uint64_t)p->seed);
    good = (t->s.values && t->grid && t->shade && t->rows_x && t->rows_y && t->s.graph &&
            t->s.train && !tp_loader_error(t->s.train)) ||
           ir_error(error, IR_FAILED, "not enough memory");
    pthread_mutex_lock(compiling);
    if (good) {
        make_grid(t);
        good = command_choose(&t->s, &t->opt, t->groups, &t->rate) && compile(t) &&
               (strcmp(p->engine, "eager") != 0 || begin_tape(t)) &&
               play_trainer_measure(t, loss, accuracy);
    }
    pthread_mutex_unlock(compiling);
    if (!good) {
        if (t->s.error.status != IR_OK)
            ir_error(error, t->s.error.status, "%s", t->s.error.text);
        else if (broken(t))
            ir_error(error, tp_status(broken(t)), "%s", tp_error(broken(t)));
        play_trainer_free(t);
        return NULL;
    }
    return t;
}

void play_trainer_free(struct trainer *t)
{
    if (!t)
        return;
    command_session_free(&t->s);
    tp_graph_free(t->tape);
    free(t->grid);
    free(t->shade);
    free(t->rows_x);
    free(t->rows_y);
    free(t);
}

const char *play_trainer_error(const struct trainer *t)
{
    return broken(t) ? tp_error(broken(t)) : NULL;
}

const char *play_trainer_engine(const struct trainer *t)
{
    return t->tape ? "eager" : tp_program_engine(t->s.step);
}

/* --- either --------------------------------------------------------------------------------------
 */

bool play_train_step(struct trainer *t, bool *ended, double *loss)
{
    if (t->tape)
        return eager_step(t, ended, loss);
    *ended = !tp_next(t->s.train, t->s.step);
    if (*ended)
        return tp_error(t->s.graph) == NULL;
    if (!tp_run(t->s.step))
        return false;
    *loss = tp_get(t->s.step, t->s.values->loss);
    return true;
}

static bool measure_part(struct trainer *t, int64_t first, int64_t rows, double *loss,
                         double *accuracy)
{
    const float *x = t->points->x + 2 * first;
    const int32_t *y = t->points->y + first;
    void *to_x, *to_y;

    *loss = *accuracy = NAN;
    if (rows == 0)
        return true;
    to_x = tp_buffer(t->s.eval, t->x, NULL);
    to_y = tp_buffer(t->s.eval, t->y, NULL);
    if (!to_x || !to_y)
        return false;
    memcpy(to_x, x, (size_t)rows * 2 * sizeof *x);
    memcpy(to_y, y, (size_t)rows * sizeof *y);
    if (!tp_rows(t->s.eval, rows) || !tp_run(t->s.eval))
        return false;
    *loss = tp_get(t->s.eval, t->s.values->loss);
    *accuracy = tp_get(t->s.eval, t->s.values->hits) / (double)rows;
    return true;
}

bool play_trainer_measure(struct trainer *t, double loss[2], double accuracy[2])
{
    const int64_t train = t->points->train;

    return catch_up(t) && measure_part(t, 0, train, &loss[0], &accuracy[0]) &&
           measure_part(t, train, t->points->count - train, &loss[1], &accuracy[1]);
}

bool play_trainer_picture(struct trainer *t, unsigned char *shade)
{
    const float *p = t->shade;
    void *to = tp_buffer(t->look, t->x, NULL);

    if (!to || !catch_up(t))
        return false;
    memcpy(to, t->grid, sizeof *t->grid * 2 * GRID);
    if (!tp_rows(t->look, GRID) || !tp_run(t->look) ||
        !tp_read(t->look, t->s.values->output, t->shade, sizeof *t->shade * GRID))
        return false;
    for (int i = 0; i < GRID; i++) /* NaN is neither class */
        shade[i] = p[i] >= 0 && p[i] <= 1 ? (unsigned char)(255 * p[i] + 0.5f) : 127;
    return true;
}

int play_trainer_layers(struct trainer *t, int room, struct layer_state *to)
{
    static const char *const kinds[] = { "grad_norm/", "update_ratio/" };
    tp_probe found[PROBES];
    int count = 0, probes;

    if (t->tape) {
        count = t->layers < room ? t->layers : room;
        memcpy(to, t->layer, sizeof *to * (size_t)count);
        return count;
    }
    probes = tp_probes(t->s.step, PROBES, found);
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < probes && i < PROBES; i++) {
            const char *name = found[i].tag + strlen(kinds[kind]);
            const float *value = found[i].data;
            int at = 0;

            if (strncmp(found[i].tag, kinds[kind], strlen(kinds[kind])) != 0)
                continue;
            while (at < count && strcmp(to[at].name, name) != 0)
                at++;
            if (at == room)
                continue;
            if (at == count)
                to[count++] = (struct layer_state){ .name = name };
            *(kind ? &to[at].ratio : &to[at].gradient) = *value;
        }
    return count;
}

bool play_trainer_text(struct trainer *t, struct ir_text *out, struct ir_error *error)
{
    return command_stage_text(&t->s, "trace", NULL, NULL, "text", out, error);
}

/* --- parameters, in and out ----------------------------------------------------------------------
 */

static json_t *values_of(tp_tensor x)
{
    const int64_t count = play_elements(x);
    const tp_shape shape = tp_shape_of(x);
    float *value = numbers_of(x);
    json_t *dims = json_array(), *numbers = json_array();

    for (int i = 0; i < shape.rank; i++)
        json_array_append_new(dims, json_integer(shape.dim[i]));
    for (int64_t i = 0; value && i < count; i++)
        json_array_append_new(numbers, isfinite(value[i]) ? json_real(value[i]) : json_null());
    free(value);
    return json_pack("{s:o, s:o}", "shape", dims, "values", numbers);
}

json_t *play_trainer_values(struct trainer *t)
{
    tp_tensor found[LAYERS];
    const int count = tp_params(t->s.graph, "*", LAYERS, found);
    json_t *to = json_object();

    catch_up(t);
    for (int i = 0; i < count && i < LAYERS; i++)
        json_object_set_new(to, tp_name(found[i]), values_of(found[i]));
    return to;
}

/* A parameter; other states are nobody's to change. */
static tp_tensor parameter(struct trainer *t, const char *name)
{
    tp_tensor found[LAYERS];
    const int count = tp_params(t->s.graph, "*", LAYERS, found);

    for (int i = 0; i < count && i < LAYERS; i++)
        if (strcmp(tp_name(found[i]), name) == 0)
            return found[i];
    return (tp_tensor){ .g = t->s.graph };
}

static bool set_one(struct trainer *t, const char *name, const json_t *list, struct ir_error *error)
{
    tp_tensor x = parameter(t, name);
    const size_t count = x.id ? (size_t)play_elements(x) : 0;
    float *value;
    bool good;

    if (!count || json_array_size(list) != count)
        return ir_error(error, IR_REFUSED, "%.40s: %zu numbers; expected %zu", name,
                        json_array_size(list), count);
    value = malloc(count * sizeof *value);
    good = value != NULL;
    for (size_t i = 0; good && i < count; i++) {
        const json_t *number = json_array_get(list, i);
        value[i] = (float)json_number_value(number);
        good = json_is_number(number) && fabsf(value[i]) < 1e30f;
    }
    good = (good && tp_set_values(x, value, count * sizeof *value) &&
            (!t->tape || tp_set_values(tp_find(t->tape, name), value, count * sizeof *value))) ||
           ir_error(error, IR_REFUSED, "%.40s: expected finite numbers", name);
    free(value);
    return good;
}

bool play_trainer_set(struct trainer *t, const json_t *values, struct ir_error *error)
{
    const char *name;
    json_t *list;

    if (!json_is_object(values))
        return ir_error(error, IR_REFUSED, "values: expected an object of lists by name");
    catch_up(t);
    json_object_foreach((json_t *)values, name, list)
    {
        if (!set_one(t, name, list, error))
            return false;
    }
    return true;
}
