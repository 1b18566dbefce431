/*
 * session: from the common numbers to a step.
 */
#include "bench/peers/session.h"
#include "bench/peers/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- batches ------------------------------------------------------------------------------------
 */

static size_t elements(tp_shape shape)
{
    size_t n = 1;

    for (int i = 0; i < shape.rank; i++)
        n *= (size_t)shape.dim[i];
    return n;
}

/* For programs that only start: anything that trains. */
static bool make_up(struct session *s, const struct array *array, unsigned state, void **data,
                    size_t *bytes)
{
    const size_t n = elements(array->shape);
    const bool whole = array->dtype == TP_I64;

    *bytes = n * (whole ? sizeof(int64_t) : sizeof(float));
    *data = malloc(*bytes);
    if (!*data) {
        snprintf(s->why, sizeof s->why, "not enough memory");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        if (whole)
            ((int64_t *)*data)[i] = (int64_t)(state >> 8) % 10;
        else
            ((float *)*data)[i] = (float)(state >> 8) / (1 << 24);
    }
    return true;
}

static bool read_numbers(struct session *s, const char *name, tp_dtype dtype, tp_shape shape,
                         void **data, size_t *bytes)
{
    char path[400];

    snprintf(path, sizeof path, "%.200s/%s/%.100s.npy", s->numbers, s->w->name, name);
    return npy_read(path, dtype, shape, data, bytes, s->why, sizeof s->why);
}

static bool batch_of(struct session *s, const struct array *array, char letter, int i, void **data,
                     size_t *bytes)
{
    char name[20];

    snprintf(name, sizeof name, "%c%d", letter, i);
    return s->numbers ? read_numbers(s, name, array->dtype, array->shape, data, bytes)
                      : make_up(s, array, (unsigned)(letter + i), data, bytes);
}

bool session_data(struct session *s)
{
    for (int i = 0; i < BATCHES; i++)
        if (!batch_of(s, &s->w->x, 'x', i, &s->batch_x[i], &s->x_bytes) ||
            !batch_of(s, &s->w->y, 'y', i, &s->batch_y[i], &s->y_bytes))
            return false;
    return true;
}

/* --- the graph -----------------------------------------------------------------------------------
 */

static bool failed(struct session *s, const char *otherwise)
{
    const char *error = s->g ? tp_error(s->g) : NULL;

    snprintf(s->why, sizeof s->why, "%s", error ? error : otherwise);
    return false;
}

static bool load_parameters(struct session *s)
{
    tp_tensor parameter[256];
    int n = tp_params(s->g, "*", 256, parameter);

    if (n < 1 || n > 256)
        return failed(s, "the model has no parameters, or too many");
    for (int i = 0; i < n && s->numbers; i++) {
        void *data;
        size_t bytes;
        bool ok;

        if (!read_numbers(s, tp_name(parameter[i]), TP_F32, tp_shape_of(parameter[i]), &data,
                          &bytes))
            return false;
        ok = tp_set_values(parameter[i], data, bytes);
        free(data);
        if (!ok)
            return failed(s, "a parameter could not be set");
    }
    return true;
}

/*
 * An eager graph has its parameters once the model was recorded, but then their old values are on
 * the tape. A step of rate 0 clears it; after it the numbers are loaded, and steps are counted from
 * there.
 */
static bool setup_eager(struct session *s)
{
    const int64_t none = 0;
    tp_tensor steps;

    if (s->w->clip_norm)
        return failed(s, "an eager update does not clip gradients");
    s->g = tp_eager_new(1);
    if (!s->g)
        return failed(s, "not enough memory");
    s->x = tp_array(s->g, s->w->x.dtype, s->w->x.shape, s->batch_x[0]);
    s->y = tp_array(s->g, s->w->y.dtype, s->w->y.shape, s->batch_y[0]);
    if (!tp_backward(s->w->loss(s->x, s->y)) || !tp_update(s->g, tp_sgd(), tp_const(0)))
        return failed(s, "no eager step");
    steps = tp_find(s->g, "taper.steps");
    if (steps.id && !tp_set_values(steps, &none, sizeof none))
        return failed(s, "steps cannot be counted");
    return load_parameters(s);
}

static tp_shape one_of(int64_t count, tp_shape shape)
{
    tp_shape all = { shape.rank + 1, { count } };

    memcpy(all.dim + 1, shape.dim, sizeof shape.dim - sizeof shape.dim[0]);
    return all;
}

/* All batches as one array of the graph's own, of which a step takes one. */
static tp_tensor resident(struct session *s, const struct array *array, void *const *batch,
                          size_t bytes, tp_tensor which)
{
    char *all = malloc(BATCHES * bytes);
    tp_tensor x;

    for (size_t i = 0; all && i < BATCHES; i++)
        memcpy(all + i * bytes, batch[i], bytes);
    x = tp_array(s->g, array->dtype, one_of(BATCHES, array->shape), all);
    free(all);
    return tp_take(x, 0, which);
}

static bool find_inputs(struct session *s, tp_tensor which)
{
    size_t x_bytes, y_bytes;

    if (!s->copied) {
        s->which = tp_buffer(s->step, which, NULL);
        return s->which || failed(s, "the batch's number has no place");
    }
    s->to_x = tp_buffer(s->step, s->x, &x_bytes);
    s->to_y = tp_buffer(s->step, s->y, &y_bytes);
    return (s->to_x && s->to_y && x_bytes == s->x_bytes && y_bytes == s->y_bytes) ||
           failed(s, "the inputs have no place of their size");
}

static bool setup_compiled(struct session *s)
{
    const struct workload *w = s->w;
    tp_tensor which = { 0 };

    s->g = tp_graph_new(1);
    if (!s->g)
        return failed(s, "not enough memory");
    if (s->copied) {
        s->x = tp_input(s->g, "x", w->x.dtype, w->x.shape);
        s->y = tp_input(s->g, "y", w->y.dtype, w->y.shape);
    } else {
        which = tp_input(s->g, "which", TP_I32, TP_SCALAR);
        s->x = resident(s, &w->x, s->batch_x, s->x_bytes, which);
        s->y = resident(s, &w->y, s->batch_y, s->y_bytes, which);
    }
    s->loss = w->loss(s->x, s->y);
    s->step =
        tp_compile_train(s->loss, .opt = tp_opt_of(w->opt.kind, w->opt), .lr = tp_const(w->rate),
                         .clip_norm = w->clip_norm, .threads = s->threads);
    if (!s->step)
        return failed(s, "the step could not be compiled");
    return find_inputs(s, which) && load_parameters(s);
}

bool session_setup(struct session *s)
{
    return s->eager ? setup_eager(s) : setup_compiled(s);
}

/* --- a step --------------------------------------------------------------------------------------
 */

static bool step_eager(struct session *s, long i)
{
    s->x = tp_array(s->g, s->w->x.dtype, s->w->x.shape, s->batch_x[i % BATCHES]);
    s->y = tp_array(s->g, s->w->y.dtype, s->w->y.shape, s->batch_y[i % BATCHES]);
    s->loss = s->w->loss(s->x, s->y);
    s->last = tp_item(s->loss);
    return (tp_backward(s->loss) &&
            tp_update(s->g, tp_opt_of(s->w->opt.kind, s->w->opt), tp_const(s->w->rate))) ||
           failed(s, "the step failed");
}

bool session_step(struct session *s, long i)
{
    if (s->eager)
        return step_eager(s, i);
    if (s->copied) {
        memcpy(s->to_x, s->batch_x[i % BATCHES], s->x_bytes);
        memcpy(s->to_y, s->batch_y[i % BATCHES], s->y_bytes);
    } else {
        *s->which = (int32_t)(i % BATCHES);
    }
    return tp_run(s->step) || failed(s, "the step failed");
}

double session_loss(const struct session *s)
{
    return s->eager ? s->last : tp_get(s->step, s->loss);
}

void session_free(struct session *s)
{
    tp_graph_free(s->g);
    for (int i = 0; i < BATCHES; i++) {
        free(s->batch_x[i]);
        free(s->batch_y[i]);
    }
}
