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
    struct lesson l; /* first: what all lessons share */
    tp_program *measure, *look;
    tp_tensor x, y, hits, scores;
    int64_t rows, context, hidden, letters;
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

static bool compile(struct lesson *l)
{
    struct writer *w = (struct writer *)l;
    const int64_t rows = tp_symbol(l->g, "batch", 1, MEASURED);
    tp_tensor h;

    w->x = tp_input(l->g, "x", TP_I32, tp_dims(rows, w->context));
    w->y = tp_input(l->g, "y", TP_I32, tp_dims(rows));
    h = tp_flatten(tp_embed(w->x, "embedding", w->letters, 16), 1);
    h = tp_tanh(tp_linear(h, "hidden", w->hidden));
    w->scores = tp_linear(h, "output", w->letters);
    l->loss = tp_cross_entropy(w->scores, w->y);
    w->hits = tp_sum(tp_eq(tp_argmax(w->scores, -1), w->y));
    l->step = play_lesson_step_of(l);
    w->measure =
        tp_compile(l->g, tp_list(l->loss, w->hits), TP_EVAL, .batch = MEASURED, .threads = 1);
    w->look = tp_compile(l->g, tp_list(w->scores), TP_EVAL, .batch = 1, .threads = 1);
    return l->step && w->measure && w->look;
}

static void drop(void *of)
{
    struct writer *w = of;

    play_lesson_end(&w->l);
    free(w->before);
    free(w->next);
    free(w->score);
    free(w);
}

static void *make(const json_t *body, const struct play_options *o, pthread_mutex_t *compiling,
                  struct ir_error *error)
{
    struct writer *w = play_lesson_new(sizeof *w, error);
    const struct lesson_usual usual = { tp_adam(), 0.005, BATCH, 200 };
    double context, hidden;
    const struct play_number numbers[] = {
        { "context", 1, 32, 10, &context },
        { "hidden", 1, 256, 96, &hidden },
        { "temperature", 0.05, 5, 0.7, w ? &w->temperature : NULL },
    };

    (void)o;
    if (!w)
        return NULL;
    if (play_numbers(body, 3, numbers, error) && play_lesson_read(&w->l, body, usual, error)) {
        w->context = (int64_t)context;
        w->hidden = (int64_t)hidden;
        w->chance = w->l.seed;
        if (read_text(w, json_string_value(json_object_get(body, "text")), error)) {
            w->score = malloc((size_t)w->letters * sizeof *w->score);
            w->l.train = tp_loader_from_arrays(
                tp_columns({ "x", TP_I32, tp_dims(w->context), w->before },
                           { "y", TP_I32, TP_SCALAR, w->next }),
                w->rows, .batch = w->l.batch, .shuffle = true, .seed = w->l.seed);
            if (w->score && play_lesson_compile(&w->l, compiling, compile, error))
                return w;
        }
    }
    drop(w);
    return NULL;
}

/* --- what a run does with it ---------------------------------------------------------------------
 */

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
    return json_pack("{s:o, s:f, s:s, s:I, s:I}", "loss", play_real(tp_get(w->measure, w->l.loss)),
                     "accuracy", tp_get(w->measure, w->hits) / (double)rows, "written", written,
                     "letters", (json_int_t)w->letters, "weights",
                     (json_int_t)tp_param_count(w->l.g));
}

static bool turn(void *of, const json_t *body, struct ir_error *error)
{
    struct writer *w = of;
    const struct play_number temperature = { "temperature", 0.05, 5, w->temperature,
                                             &w->temperature };

    return play_numbers(body, 1, &temperature, error);
}

static json_t *about(void *of, const struct play_options *o)
{
    (void)of, (void)o;
    return json_object();
}

const struct lesson_kind play_characters = {
    "characters", { play_lesson_step, picture, play_lesson_error, drop }, make, turn, about
};
