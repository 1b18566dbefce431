/*
 * digits: LeNet-5 on digits that the program draws, or on MNIST where the command was given its
 * folder: what it says of a picture, what each layer makes of it, and which digits it takes for
 * which, while it trains.
 */
#include "frontend/data.h"
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, TEST = 300, MAPS = 4, MOST = 6000 };

static const struct {
    const char *name;
    int channels, side;
} maps[MAPS] = { { "conv1", 6, 28 }, { "pool1", 6, 14 }, { "conv2", 16, 10 }, { "pool2", 16, 5 } };

struct digits {
    struct lesson l; /* first: what all lessons share */
    tp_program *measure, *look;
    tp_tensor x, y, hits, confusion, chances, map[MAPS];
    struct data_set *set, *test; /* the same, or two */
    int64_t first, count;        /* of the test's rows */
    unsigned char shown[PIXELS];
    int label; /* of what is shown; -1: nobody knows */
};

/* --- making one ----------------------------------------------------------------------------------
 */

static void record(struct digits *d, int64_t rows)
{
    tp_tensor h, scores;

    d->x = tp_input(d->l.g, "x", TP_U8, tp_dims(rows, 1, SIDE, SIDE));
    d->y = tp_input(d->l.g, "y", TP_I32, tp_dims(rows));
    h = d->map[0] = tp_relu(tp_conv2d(tp_div(d->x, 255), "conv1", 6, 5, .pad = 2));
    h = d->map[1] = tp_max_pool2d(h, 2);
    h = d->map[2] = tp_relu(tp_conv2d(h, "conv2", 16, 5));
    h = d->map[3] = tp_max_pool2d(h, 2);
    h = tp_relu(tp_linear(tp_flatten(h, 1), "fc1", 120));
    h = tp_relu(tp_linear(h, "fc2", 84));
    scores = tp_linear(h, "fc3", CLASSES);
    d->l.loss = tp_cross_entropy(scores, d->y);
    d->hits = tp_sum(tp_eq(tp_argmax(scores, -1), d->y));
    d->confusion = tp_confusion_matrix(tp_argmax(scores, -1), d->y, CLASSES);
    d->chances = tp_softmax(scores, -1);
}

static bool open_data(struct digits *d, int64_t rows, uint64_t seed, const char *folder,
                      struct ir_error *error)
{
    struct data_request request = { .part = "train" };

    if (!folder) {
        d->set = d->test = tp_data_digits(rows + TEST, seed, error);
        d->first = rows;
        d->count = TEST;
        return d->set != NULL;
    }
    d->set = tp_data_load("idx", folder, &request, error);
    request.part = "test";
    d->test = d->set ? tp_data_load("idx", folder, &request, error) : NULL;
    if (!d->test)
        return false;
    d->count = d->test->rows < TEST ? d->test->rows : TEST;
    return (d->set->rows >= rows && d->set->column[0].row_bytes == PIXELS &&
            d->test->column[0].row_bytes == PIXELS) ||
           ir_error(error, IR_REFUSED, "%.200s: expected %lld pictures of 28 by 28", folder,
                    (long long)rows);
}

static void show_row(struct digits *d, int64_t row)
{
    memcpy(d->shown, (const unsigned char *)d->test->column[0].rows + (d->first + row) * PIXELS,
           PIXELS);
    d->label = ((const int32_t *)d->test->column[1].rows)[d->first + row];
}

static bool compile(struct lesson *l)
{
    struct digits *d = (struct digits *)l;

    record(d, tp_symbol(l->g, "batch", 1, l->batch > TEST ? l->batch : TEST));
    l->step = play_lesson_step_of(l);
    d->measure = tp_compile(l->g, tp_list(l->loss, d->hits, d->confusion), TP_EVAL, .batch = TEST,
                            .threads = 1);
    d->look = tp_compile(l->g, tp_list(d->chances, d->map[0], d->map[1], d->map[2], d->map[3]),
                         TP_EVAL, .batch = 1, .threads = 1);
    return l->step && d->measure && d->look;
}

static void drop(void *of)
{
    struct digits *d = of;

    play_lesson_end(&d->l);
    if (d->test && d->test != d->set)
        tp_data_free(d->test);
    if (d->set)
        tp_data_free(d->set);
    free(d);
}

static void *make(const json_t *body, const struct play_options *o, pthread_mutex_t *compiling,
                  struct ir_error *error)
{
    struct digits *d = play_lesson_new(sizeof *d, error);
    const struct lesson_usual usual = { tp_sgd(.momentum = 0.9), 0.05, 32, 20 };
    double rows;
    const struct play_number numbers[] = { { "samples", 100, MOST, 1000, &rows } };
    const bool mnist = json_is_true(json_object_get(body, "mnist"));

    if (!d)
        return NULL;
    if (play_numbers(body, 1, numbers, error) && play_lesson_read(&d->l, body, usual, error) &&
        open_data(d, (int64_t)rows, d->l.seed, mnist ? o->mnist : NULL, error)) {
        show_row(d, 0);
        d->l.train = tp_loader_from_arrays(
            tp_columns({ "x", TP_U8, tp_dims(1, SIDE, SIDE), d->set->column[0].rows },
                       { "y", TP_I32, TP_SCALAR, d->set->column[1].rows }),
            (int64_t)rows, .batch = d->l.batch, .shuffle = true, .seed = d->l.seed);
        if (play_lesson_compile(&d->l, compiling, compile, error))
            return d;
    }
    drop(d);
    return NULL;
}

/* --- what a run does with it ---------------------------------------------------------------------
 */

/* Of the test's rows, or of the first ones that are learnt from. */
static bool measure(struct digits *d, const struct data_set *set, int64_t first, int64_t rows,
                    double *loss, double *accuracy)
{
    void *x = tp_buffer(d->measure, d->x, NULL), *y = tp_buffer(d->measure, d->y, NULL);

    if (!x || !y)
        return false;
    memcpy(x, (const unsigned char *)set->column[0].rows + first * PIXELS, (size_t)rows * PIXELS);
    memcpy(y, (const int32_t *)set->column[1].rows + first, (size_t)rows * sizeof(int32_t));
    if (!tp_rows(d->measure, rows) || !tp_run(d->measure))
        return false;
    *loss = tp_get(d->measure, d->l.loss);
    *accuracy = tp_get(d->measure, d->hits) / (double)rows;
    return true;
}

/* A layer's pictures, each byte a part of the greatest value. */
static json_t *map_of(struct digits *d, int which)
{
    const size_t size = (size_t)(maps[which].channels * maps[which].side * maps[which].side);
    float value[6 * PIXELS], most = 1e-6f;
    unsigned char shade[6 * PIXELS];
    char text[4 * (6 * PIXELS + 2) / 3 + 4];

    if (!tp_read(d->look, d->map[which], value, size * sizeof *value))
        return json_null();
    for (size_t i = 0; i < size; i++)
        most = fmaxf(most, value[i]);
    for (size_t i = 0; i < size; i++)
        shade[i] = (unsigned char)(value[i] > 0 ? 255 * value[i] / most : 0);
    play_base64(shade, size, text);
    return json_pack("{s:s, s:i, s:i, s:s}", "name", maps[which].name, "channels",
                     maps[which].channels, "side", maps[which].side, "shade", text);
}

static json_t *look(struct digits *d)
{
    void *x = tp_buffer(d->look, d->x, NULL);
    char text[4 * (PIXELS + 2) / 3 + 4];
    json_t *said, *layers = json_array(), *chances = json_array();
    float chance[CLASSES];

    if (x)
        memcpy(x, d->shown, PIXELS);
    if (!x || !tp_rows(d->look, 1) || !tp_run(d->look) ||
        !tp_read(d->look, d->chances, chance, sizeof chance)) {
        json_decref(layers);
        json_decref(chances);
        return json_null();
    }
    for (int i = 0; i < CLASSES; i++)
        json_array_append_new(chances, play_real(chance[i]));
    for (int i = 0; i < MAPS; i++)
        json_array_append_new(layers, map_of(d, i));
    play_base64(d->shown, PIXELS, text);
    said = json_pack("{s:s, s:i, s:o, s:o}", "pixels", text, "label", d->label, "chances", chances,
                     "maps", layers);
    return said;
}

static json_t *picture(void *of, bool begun)
{
    struct digits *d = of;
    double loss[2], accuracy[2];
    int64_t counted[CLASSES * CLASSES];
    const int64_t rows = tp_loader_rows(d->l.train);
    json_t *matrix = json_array();

    (void)begun;
    if (!measure(d, d->set, 0, rows < TEST ? rows : TEST, &loss[0], &accuracy[0]) ||
        !measure(d, d->test, d->first, d->count, &loss[1], &accuracy[1]) ||
        !tp_read(d->measure, d->confusion, counted, sizeof counted)) {
        json_decref(matrix);
        return NULL;
    }
    for (int i = 0; i < CLASSES * CLASSES; i++)
        json_array_append_new(matrix, json_integer(counted[i]));
    return json_pack("{s:[o, o], s:[o, o], s:s, s:o, s:o}", "loss", play_real(loss[0]),
                     play_real(loss[1]), "accuracy", play_real(accuracy[0]), play_real(accuracy[1]),
                     "engine", tp_program_engine(d->l.step), "confusion", matrix, "look", look(d));
}

/* --- what a request asks of it: a picture by its number, or one that was drawn -------------------
 */

static bool show(void *of, const json_t *body, struct ir_error *error)
{
    const json_t *pixels = json_object_get(body, "pixels"), *index = json_object_get(body, "image");
    const double row = json_number_value(index);
    struct digits *d = of;

    if (json_is_number(index) && row >= 0 && row < (double)d->count && row == floor(row)) {
        show_row(d, (int64_t)row);
    } else if (json_array_size(pixels) == PIXELS) {
        for (size_t i = 0; i < PIXELS; i++) {
            const double shade = json_number_value(json_array_get(pixels, i));
            d->shown[i] = (unsigned char)(shade > 255 ? 255 : shade > 0 ? shade : 0);
        }
        d->label = -1;
    } else {
        return ir_error(error, IR_REFUSED, "expected image, from 0 to %lld, or 784 pixels",
                        (long long)d->count - 1);
    }
    return true;
}

static json_t *about(void *of, const struct play_options *o)
{
    (void)of;
    return json_pack("{s:b}", "mnist", o->mnist != NULL);
}

const struct lesson_kind play_digits = {
    "digits", { play_lesson_step, picture, play_lesson_error, drop }, make, show, about
};
