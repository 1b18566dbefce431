/*
 * characters: a model that learns which character comes next in a text, and writes while it learns:
 * the characters before, embedded, and one hidden layer (Bengio et al. 2003). What it writes is
 * drawn from its scores, one character after the other.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 20000, SHORTEST = 40, LETTERS = 100, MEASURED = 400, WRITTEN = 240, BATCH = 64 };

struct writer {
    tp_graph *g;
    tp_loader *train;
    tp_program *step, *measure, *look;
    tp_tensor x, y, loss, hits, scores;
    int64_t rows, context, letters;
    int32_t *before, *next;   /* [rows context] and [rows] */
    char letter[LETTERS + 1]; /* of a number; 0 is before the text begins */
    double temperature;
    uint64_t chance;
    float *score;
};

/* --- the text as numbers -------------------------------------------------------------------------
 */

/* Printable characters and ends of lines; others, as those of two bytes, are one of them. */
static char plain(char c)
{
    return (c >= ' ' && c <= '~') || c == '\n' ? c : c == '\t' || c == '\r' ? ' ' : '?';
}

static bool read_text(struct writer *w, const char *text, struct ir_error *error)
{
    const size_t length = text ? strlen(text) : 0;
    int number[128] = { 0 };

    if (length < SHORTEST || length > LONGEST)
        return ir_error(error, IR_REFUSED, "a text of %zu characters; expected %d to %d", length,
                        SHORTEST, LONGEST);
    w->rows = (int64_t)length;
    w->letters = 1;
    w->before = calloc(length * (size_t)w->context, sizeof *w->before);
    w->next = malloc(length * sizeof *w->next);
    if (!w->before || !w->next)
        return ir_error(error, IR_FAILED, "not enough memory");
    for (size_t i = 0; i < length; i++) {
        const int c = plain(text[i]);
        if (!number[c]) {
            number[c] = (int)w->letters;
            w->letter[w->letters++] = (char)c;
        }
        w->next[i] = number[c];
    }
    for (int64_t i = 0; i < w->rows; i++)
        for (int64_t k = 0; k < w->context; k++) {
            const int64_t at = i - w->context + k;
            w->before[i * w->context + k] = at >= 0 ? w->next[at] : 0;
        }
    return true;
}

/* --- making one ----------------------------------------------------------------------------------
 */

static bool compile(struct writer *w, int64_t hidden, double rate)
{
    const int64_t rows = tp_symbol(w->g, "batch", 1, MEASURED);
    tp_tensor h;

    w->x = tp_input(w->g, "x", TP_I32, tp_dims(rows, w->context));
    w->y = tp_input(w->g, "y", TP_I32, tp_dims(rows));
    h = tp_flatten(tp_embed(w->x, "embedding", w->letters, 16), 1);
    h = tp_tanh(tp_linear(h, "hidden", hidden));
    w->scores = tp_linear(h, "output", w->letters);
    w->loss = tp_cross_entropy(w->scores, w->y);
    w->hits = tp_sum(tp_eq(tp_argmax(w->scores, -1), w->y));
    w->step = tp_compile_train(w->loss, .opt = tp_adam(), .lr = tp_const(rate), .batch = BATCH,
                               .threads = 1);
    w->measure =
        tp_compile(w->g, tp_list(w->loss, w->hits), TP_EVAL, .batch = MEASURED, .threads = 1);
    w->look = tp_compile(w->g, tp_list(w->scores), TP_EVAL, .batch = 1, .threads = 1);
    return w->step && w->measure && w->look;
}

static void drop(void *of)
{
    struct writer *w = of;

    tp_loader_free(w->train);
    tp_graph_free(w->g);
    free(w->before);
    free(w->next);
    free(w->score);
    free(w);
}

void *play_writer_new(const json_t *body, pthread_mutex_t *compiling, int64_t *epochs,
                      struct ir_error *error)
{
    struct writer *w = calloc(1, sizeof *w);
    double context, hidden, rate, seed, passes;
    bool good = w != NULL;

    if (!good)
        ir_error(error, IR_FAILED, "not enough memory");
    good = good && play_in_bounds(body, "context", 1, 32, 10, &context, error) &&
           play_in_bounds(body, "hidden", 1, 256, 96, &hidden, error) &&
           play_in_bounds(body, "rate", 1e-5, 1, 0.005, &rate, error) &&
           play_in_bounds(body, "seed", 0, 999999, 1, &seed, error) &&
           play_in_bounds(body, "epochs", 1, 10000, 200, &passes, error) &&
           play_in_bounds(body, "temperature", 0.05, 5, 0.7, &w->temperature, error);
    if (good) {
        w->context = (int64_t)context;
        w->chance = (uint64_t)seed;
        *epochs = (int64_t)passes;
        good = read_text(w, json_string_value(json_object_get(body, "text")), error);
    }
    if (good) {
        w->g = tp_graph_new((uint64_t)seed);
        w->score = malloc((size_t)w->letters * sizeof *w->score);
        w->train =
            tp_loader_from_arrays(tp_columns({ "x", TP_I32, tp_dims(w->context), w->before },
                                             { "y", TP_I32, TP_SCALAR, w->next }),
                                  w->rows, .batch = BATCH, .shuffle = true, .seed = (uint64_t)seed);
        good = w->g && w->score && w->train && !tp_loader_error(w->train);
        pthread_mutex_lock(compiling);
        good = good && compile(w, (int64_t)hidden, rate);
        pthread_mutex_unlock(compiling);
        if (!good)
            ir_error(error, IR_FAILED, "%s",
                     w->g && tp_error(w->g) ? tp_error(w->g) : "not enough memory");
    }
    if (good)
        return w;
    if (w)
        drop(w);
    return NULL;
}

/* --- what a run does with it ---------------------------------------------------------------------
 */

static bool step(void *of, bool *ended, double *loss)
{
    struct writer *w = of;

    *ended = !tp_next(w->train, w->step);
    if (*ended)
        return tp_error(w->g) == NULL;
    if (!tp_run(w->step))
        return false;
    *loss = tp_get(w->step, w->loss);
    return true;
}

static const char *error_of(void *of)
{
    return tp_error(((struct writer *)of)->g);
}

static double draw_chance(struct writer *w) /* in [0, 1): splitmix64 */
{
    uint64_t x = w->chance += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

/* One of the letters, as its scores and the temperature say; never the one before the text. */
static int32_t draw(struct writer *w)
{
    double sum = 0, most = -INFINITY, at;

    for (int64_t i = 1; i < w->letters; i++)
        most = fmax(most, w->score[i]);
    for (int64_t i = 1; i < w->letters; i++)
        sum += exp(((double)w->score[i] - most) / w->temperature);
    at = sum * draw_chance(w);
    for (int64_t i = 1; i < w->letters; i++) {
        at -= exp(((double)w->score[i] - most) / w->temperature);
        if (at < 0)
            return (int32_t)i;
    }
    return 1;
}

static bool write_some(struct writer *w, char to[WRITTEN + 1])
{
    int32_t seen[32] = { 0 };
    int32_t *x = tp_buffer(w->look, w->x, NULL);
    const size_t context = (size_t)w->context;

    for (int i = 0; i < WRITTEN; i++) {
        if (!x)
            return false;
        memcpy(x, seen, context * sizeof *x);
        if (!tp_rows(w->look, 1) || !tp_run(w->look) ||
            !tp_read(w->look, w->scores, w->score, (size_t)w->letters * sizeof *w->score))
            return false;
        memmove(seen, seen + 1, (context - 1) * sizeof *seen);
        seen[context - 1] = draw(w);
        to[i] = w->letter[seen[context - 1]];
    }
    to[WRITTEN] = 0;
    return true;
}

static json_t *picture(void *of, bool begun)
{
    struct writer *w = of;
    const int64_t rows = w->rows < MEASURED ? w->rows : MEASURED;
    void *x = tp_buffer(w->measure, w->x, NULL), *y = tp_buffer(w->measure, w->y, NULL);
    char written[WRITTEN + 1];

    (void)begun;
    if (!x || !y)
        return NULL;
    memcpy(x, w->before, (size_t)(rows * w->context) * sizeof *w->before);
    memcpy(y, w->next, (size_t)rows * sizeof *w->next);
    if (!tp_rows(w->measure, rows) || !tp_run(w->measure) || !write_some(w, written))
        return NULL;
    return json_pack("{s:o, s:f, s:s, s:I, s:I}", "loss", play_real(tp_get(w->measure, w->loss)),
                     "accuracy", tp_get(w->measure, w->hits) / (double)rows, "written", written,
                     "letters", (json_int_t)w->letters, "weights",
                     (json_int_t)tp_param_count(w->g));
}

const struct subject play_writer_kind = { step, picture, error_of, drop };

json_t *play_writer_look(struct run *r, const json_t *body, struct ir_error *error)
{
    struct writer *w = play_run_hold(r, &play_writer_kind);
    bool good;

    if (!w)
        return NULL;
    good = play_in_bounds(body, "temperature", 0.05, 5, w->temperature, &w->temperature, error);
    if (!good)
        w->temperature = 1;
    play_run_let(r, good);
    return good ? json_object() : NULL;
}
