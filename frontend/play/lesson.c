/*
 * lesson: what digits, characters and sentences share: a graph with its loader and compiled step,
 * the knobs that all of them have, and the weights on their way to a file and back.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 32 };

bool play_numbers(const json_t *body, int count, const struct play_number *number,
                  struct ir_error *error)
{
    for (int i = 0; i < count; i++) {
        const struct play_number *n = &number[i];
        const json_t *given = json_object_get(body, n->name);
        const double value = given ? json_number_value(given) : n->usual;

        if ((given && !json_is_number(given)) || !(value >= n->least && value <= n->most))
            return ir_error(error, IR_REFUSED, "%s: expected a number from %g to %g", n->name,
                            n->least, n->most);
        *n->to = value;
    }
    return true;
}

/* --- making one ----------------------------------------------------------------------------------
 */

void *play_lesson_new(size_t size, struct ir_error *error)
{
    void *of = calloc(1, size);

    if (!of)
        ir_error(error, IR_FAILED, "not enough memory");
    return of;
}

/* The optimiser that the request names, or `usual`. */
static bool read_optimiser(tp_opt *opt, const json_t *body, tp_opt usual, struct ir_error *error)
{
    const json_t *given = json_object_get(body, "optimiser");
    const char *word = json_string_value(given);

    *opt = usual;
    if (!given)
        return true;
    for (int kind = 0; word && tp_opt_name(kind); kind++)
        if (strcmp(word, tp_opt_name(kind)) == 0) {
            *opt = kind == usual.kind ? usual : tp_opt_of(kind, (tp_opt){ .kind = kind });
            return true;
        }
    return ir_error(error, IR_REFUSED, "optimiser \"%.30s\": expected a name of the list",
                    word ? word : "");
}

bool play_lesson_read(struct lesson *l, const json_t *body, struct lesson_usual usual,
                      struct ir_error *error)
{
    double rate, seed, epochs, batch;
    const struct play_number numbers[] = {
        { "rate", 1e-6, 1, usual.rate, &rate },
        { "seed", 0, 999999, 1, &seed },
        { "epochs", 1, 10000, (double)usual.epochs, &epochs },
        { "batch", 1, 256, (double)usual.batch, &batch },
    };

    if (!play_numbers(body, 4, numbers, error) || !read_optimiser(&l->opt, body, usual.opt, error))
        return false;
    l->rate = tp_const(rate);
    l->seed = (uint64_t)seed;
    l->epochs = (int64_t)epochs;
    l->batch = (int64_t)batch;
    l->g = tp_graph_new(l->seed);
    return l->g || ir_error(error, IR_FAILED, "not enough memory");
}

bool play_lesson_compile(struct lesson *l, pthread_mutex_t *compiling,
                         bool (*compile)(struct lesson *l), struct ir_error *error)
{
    bool good = l->train && !tp_loader_error(l->train);

    pthread_mutex_lock(compiling);
    good = good && compile(l);
    pthread_mutex_unlock(compiling);
    return good ||
           ir_error(error, IR_FAILED, "%s", tp_error(l->g) ? tp_error(l->g) : "not enough memory");
}

tp_program *play_lesson_step_of(struct lesson *l)
{
    return tp_compile_train(l->loss, .opt = l->opt, .lr = l->rate, .batch = l->batch, .threads = 1);
}

void play_lesson_end(struct lesson *l)
{
    tp_loader_free(l->train);
    tp_graph_free(l->g);
}

/* --- as a subject of a run -----------------------------------------------------------------------
 */

bool play_lesson_step(void *of, bool *ended, double *loss)
{
    struct lesson *l = of;

    *ended = !tp_next(l->train, l->step);
    if (*ended)
        return tp_error(l->g) == NULL;
    if (!tp_run(l->step))
        return false;
    *loss = tp_get(l->step, l->loss);
    return true;
}

const char *play_lesson_error(void *of)
{
    return tp_error(((struct lesson *)of)->g);
}

/* --- weights, out and in: float32, little-endian, in base64 --------------------------------------
 */

static size_t bytes_of(tp_tensor x)
{
    return (size_t)play_elements(x) * sizeof(float);
}

json_t *play_lesson_values(struct lesson *l)
{
    tp_tensor found[PARAMETERS];
    const int count = tp_params(l->g, "*", PARAMETERS, found);
    json_t *to = json_object();

    for (int i = 0; i < count && i < PARAMETERS; i++) {
        const size_t bytes = bytes_of(found[i]);
        unsigned char *value = malloc(bytes);
        char *text = malloc(4 * ((bytes + 2) / 3) + 1);

        if (value && text && tp_get_values(found[i], value, bytes)) {
            play_base64(value, bytes, text);
            json_object_set_new(to, tp_name(found[i]), json_string(text));
        }
        free(value);
        free(text);
    }
    return to;
}

static bool all_finite(const unsigned char *bytes, size_t size)
{
    float x;

    for (size_t i = 0; i < size; i += sizeof x) {
        memcpy(&x, bytes + i, sizeof x);
        if (!isfinite(x))
            return false;
    }
    return true;
}

bool play_lesson_set(struct lesson *l, const json_t *values, struct ir_error *error)
{
    tp_tensor found[PARAMETERS];
    const int count = tp_params(l->g, "*", PARAMETERS, found);

    for (int i = 0; i < count && i < PARAMETERS; i++) {
        const size_t bytes = bytes_of(found[i]);
        const char *text = json_string_value(json_object_get(values, tp_name(found[i])));
        unsigned char *value = malloc(bytes);
        const bool good = value && text && play_base64_read(text, bytes, value) &&
                          all_finite(value, bytes) && tp_set_values(found[i], value, bytes);

        free(value);
        if (!good)
            return ir_error(error, IR_REFUSED,
                            "%.60s: expected %zu finite numbers, as they were saved",
                            tp_name(found[i]), bytes / sizeof(float));
    }
    return true;
}
