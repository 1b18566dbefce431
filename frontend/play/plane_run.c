/*
 * plane_run: a training in the plane, as what a run trains: the picture of the plane, losses, and
 * what each layer's gradient is.
 */
#include "play.h"

#include <stdlib.h>

enum { SHADES = PLANE_SIDE * PLANE_SIDE, LAYER_ROOM = 16 };

struct plane_run {
    struct plane plane;
    struct points points;
    struct trainer *trainer;
};

static void drop(void *of)
{
    struct plane_run *p = of;

    play_trainer_free(p->trainer);
    play_points_free(&p->points);
    free(p);
}

void *play_plane_new(const struct plane *plane, pthread_mutex_t *compiling, struct ir_error *error)
{
    struct plane_run *p = calloc(1, sizeof *p);

    if (!p) {
        ir_error(error, IR_FAILED, "not enough memory");
        return NULL;
    }
    p->plane = *plane;
    if (play_points(&p->points, &p->plane, error))
        p->trainer = play_trainer(&p->plane, &p->points, compiling, error);
    if (p->trainer)
        return p;
    drop(p);
    return NULL;
}

static bool step(void *of, bool *ended, double *loss)
{
    return play_train_step(((struct plane_run *)of)->trainer, ended, loss);
}

static const char *error_of(void *of)
{
    return play_trainer_error(((struct plane_run *)of)->trainer);
}

static json_t *layers_of(struct trainer *t, bool begun)
{
    struct layer_state layer[LAYER_ROOM];
    const int count = begun ? play_trainer_layers(t, LAYER_ROOM, layer) : 0;
    json_t *list = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("[s, o, o]", layer[i].name, play_real(layer[i].gradient),
                                        play_real(layer[i].ratio)));
    return list;
}

static json_t *picture(void *of, bool begun)
{
    struct trainer *t = ((struct plane_run *)of)->trainer;
    double loss[2], accuracy[2];
    unsigned char shade[SHADES];
    char text[4 * (SHADES + 2) / 3 + 4];

    if (!play_trainer_measure(t, loss, accuracy) || !play_trainer_picture(t, shade))
        return NULL;
    play_base64(shade, SHADES, text);
    return json_pack("{s:[o, o], s:[o, o], s:s, s:o, s:s}", "loss", play_real(loss[0]),
                     play_real(loss[1]), "accuracy", play_real(accuracy[0]), play_real(accuracy[1]),
                     "engine", play_trainer_engine(t), "layers", layers_of(t, begun), "shade",
                     text);
}

const struct subject play_plane_kind = { step, picture, error_of, drop };

/* --- what a request asks of it -------------------------------------------------------------------
 */

json_t *play_plane_state(struct run *r)
{
    struct plane_run *p = play_run_hold(r, &play_plane_kind);
    int64_t epoch, steps;
    json_t *state;

    if (!p)
        return NULL;
    play_run_counts(r, &epoch, &steps);
    state = json_pack("{s:o, s:I, s:I, s:o}", "settings", play_plane_write(&p->plane), "epoch",
                      (json_int_t)epoch, "step", (json_int_t)steps, "values",
                      play_trainer_values(p->trainer));
    play_run_let(r, false);
    return state;
}

json_t *play_plane_points(struct run *r)
{
    struct plane_run *p = play_run_hold(r, &play_plane_kind);
    json_t *list = json_array(), *said;

    for (int64_t i = 0; p && i < p->points.count; i++)
        json_array_append_new(list, json_pack("[f, f, i]", (double)p->points.x[2 * i],
                                              (double)p->points.x[2 * i + 1], p->points.y[i]));
    if (!p) {
        json_decref(list);
        return NULL;
    }
    said = json_pack("{s:o, s:I, s:[f, f, f, f], s:i}", "points", list, "train",
                     (json_int_t)p->points.train, "box", (double)p->points.box[0],
                     (double)p->points.box[1], (double)p->points.box[2], (double)p->points.box[3],
                     "side", PLANE_SIDE);
    play_run_let(r, false);
    return said;
}

json_t *play_plane_text(struct run *r, struct ir_error *error)
{
    struct plane_run *p = play_run_hold(r, &play_plane_kind);
    struct ir_text text = { 0 };
    json_t *said = NULL;

    if (!p)
        return NULL;
    if (play_trainer_text(p->trainer, &text, error))
        said = json_pack("{s:s#}", "text", text.data, (int)text.size);
    play_run_let(r, false);
    ir_text_free(&text);
    return said;
}

bool play_plane_set(struct run *r, const json_t *values, double epoch, struct ir_error *error)
{
    struct plane_run *p = play_run_hold(r, &play_plane_kind);
    bool good;

    if (!p)
        return ir_error(error, IR_REFUSED, "this run has no values to be set");
    good = play_trainer_set(p->trainer, values, error);
    if (good)
        play_run_set_epoch(r, epoch);
    play_run_let(r, true);
    return good;
}
