/*
 * picture: what a training run has come to, as SVG.
 */
#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"
#include "frontend/models.h"

/* Points, and the probability of one of two classes. */
static bool in_the_plane(const struct session *s)
{
    const struct data_column *x = &tp_loader_set(s->train)->column[0];

    return s->values && s->values->output.g && tp_rank(s->values->output) == 1 && x->rank == 1 &&
           x->dim[0] == 2 && x->dtype == IR_F32;
}

/* The model's probabilities of class 1 at points of the plane. */
static bool look(struct session *s, const float *points, int count, float *shown)
{
    tp_program *p = tp_compile_at(s->graph, tp_list(s->values->output),
                                  (tp_compile_args){ .mode = TP_EVAL, .names = "output" }, TP_HERE);

    for (int done = 0, rows; p && done < count; done += rows) {
        rows = p->symbol[0] < count - done ? (int)p->symbol[0] : count - done;
        memcpy(p->input[0].data, points + 2 * done, sizeof(float) * 2 * (size_t)rows);
        if (!tp_rows(p, rows) || !tp_run(p) || !tp_program_fetch(p))
            break;
        memcpy(shown + done, p->output[0].data, sizeof(float) * (size_t)rows);
    }
    return tp_error(s->graph) == NULL ||
           ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

static char *decision(struct session *s)
{
    enum { SIDE = 80, POINTS = SIDE * SIDE };
    const struct data_set *set = tp_loader_set(s->train);
    float *points = malloc(sizeof(float) * 3 * POINTS);
    char *text = NULL;

    if (points)
        tp_svg_grid(set, SIDE, points);
    if (points && look(s, points, POINTS, points + 2 * POINTS))
        text = tp_svg_decision(s->model, set, SIDE, points + 2 * POINTS);
    free(points);
    return text;
}

bool command_picture_begin(struct picture *p, struct session *s)
{
    static const char *const name[] = { "loss", "test loss", "accuracy" };
    const size_t room = (size_t)s->settings.epochs + 1;

    if (in_the_plane(s))
        return true;
    p->numbers = calloc(4 * room, sizeof *p->numbers);
    for (size_t i = 0; p->numbers && i < 3; i++)
        p->curve[i] = (struct svg_curve){ .name = name[i],
                                          .x = p->numbers,
                                          .y = p->numbers + (i + 1) * room };
    return p->numbers || ir_error(&s->error, IR_FAILED, "not enough memory for a picture");
}

void command_picture_keep(struct picture *p, int64_t epoch, const double told[3])
{
    if (!p->numbers)
        return;
    p->numbers[p->curve[0].count] = (double)epoch;
    for (int i = 0; i < 3; i++)
        p->numbers[p->curve[i].y - p->numbers + p->curve[i].count++] = told[i];
}

/* Curves that were told nothing are left out: no test, or nothing to be right about. */
static char *curves(const struct picture *p, const char *title)
{
    int shown = 0;

    while (shown < 3 && p->curve[shown].count && !isnan(p->curve[shown].y[0]))
        shown++;
    return tp_svg_curves(title, shown, p->curve);
}

bool command_picture_draw(struct picture *p, struct session *s, const char *path)
{
    char *text = p->numbers ? curves(p, s->model) : decision(s);
    bool ok = text && tp_write_text(path, &(struct ir_text){ .data = text, .size = strlen(text) },
                                    &s->error);

    if (!ok)
        ir_error(&s->error, IR_FAILED, "%.200s: no memory for a picture", path);
    free(text);
    return ok;
}
