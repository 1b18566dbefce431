/*
 * run: a training with a thread of its own. The thread trains for a picture's worth of time, says
 * what there is to see, and sleeps; between two pictures a request may look at it or change it.
 *
 * A slow visitor sees fewer pictures, never late ones: what is said replaces what was not read yet.
 */
#define _POSIX_C_SOURCE 200809L
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SHADES = PLANE_SIDE * PLANE_SIDE,
    LAYER_ROOM = 16,
    NAP_LEAST = 1000000,     /* nanoseconds that requests have between two pictures, at least */
    PICTURE_TIME = 20000000, /* from a picture to the next: 50 a second */
    TRAIN_TIME = 16000000    /* of which so much is for training */
};

struct run {
    struct visit *visit;
    int slot;
    struct plane plane;
    struct points points;
    struct trainer *trainer;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock: */
    bool playing, quit, fresh, done; /* fresh: there is something to be shown */
    int64_t steps;                   /* still to be taken one by one */
    int64_t epoch, step, pace;       /* pace: epochs a picture; 0: what fits */
    double sum, seen, last;          /* of this picture's steps: seconds, how many; the last loss */
    double busy;                     /* seconds in steps, of all of them */
    uint64_t pictures;
    char shade[4 * (SHADES + 2) / 3 + 4];
};

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- what is to be seen --------------------------------------------------------------------------
 */

static void base64(const unsigned char *from, size_t size, char *to)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        const unsigned a = from[i], b = i + 1 < size ? from[i + 1] : 0,
                       c = i + 2 < size ? from[i + 2] : 0;
        *to++ = letters[a >> 2];
        *to++ = letters[(a & 3) << 4 | b >> 4];
        *to++ = i + 1 < size ? letters[(b & 15) << 2 | c >> 6] : '=';
        *to++ = i + 2 < size ? letters[c & 63] : '=';
    }
    *to = 0;
}

static json_t *number(double x) /* JSON has no NaN */
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *layers_of(struct run *r)
{
    struct layer_state layer[LAYER_ROOM];
    const int count = play_trainer_layers(r->trainer, LAYER_ROOM, layer);
    json_t *list = json_array();

    for (int i = 0; i < count && r->step; i++)
        json_array_append_new(list, json_pack("[s, o, o]", layer[i].name, number(layer[i].gradient),
                                              number(layer[i].ratio)));
    return list;
}

static json_t *picture_of(struct run *r)
{
    double loss[2], accuracy[2];
    unsigned char shade[SHADES];

    if (!play_trainer_measure(r->trainer, loss, accuracy) ||
        !play_trainer_picture(r->trainer, shade))
        return NULL;
    base64(shade, SHADES, r->shade);
    return json_pack(
        "{s:i, s:I, s:I, s:I, s:[o, o], s:[o, o], s:o, s:o, s:s, s:b, s:b, s:o, s:s, s:I}", "slot",
        r->slot, "epoch", (json_int_t)r->epoch, "epochs", (json_int_t)r->plane.epochs, "step",
        (json_int_t)r->step, "loss", number(loss[0]), number(loss[1]), "accuracy",
        number(accuracy[0]), number(accuracy[1]), "step_seconds",
        number(r->seen ? r->sum / r->seen : NAN), "busy", number(r->busy), "engine",
        play_trainer_engine(r->trainer), "playing", r->playing, "done", r->done, "layers",
        layers_of(r), "shade", r->shade, "pictures", (json_int_t)r->pictures++);
}

static void say(struct run *r)
{
    json_t *picture = picture_of(r);
    char *text;

    if (!picture) {
        const char *why = play_trainer_error(r->trainer);
        picture = json_pack("{s:i, s:s}", "slot", r->slot, "error", why ? why : "it cannot go on");
        r->playing = false;
        r->steps = 0;
    }
    text = json_dumps(picture, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(picture);
    if (text)
        play_visit_publish(r->visit, r->slot, text);
    r->fresh = false;
}

/* --- the thread ----------------------------------------------------------------------------------
 */

/* False: it cannot go on, or is done. */
static bool take_step(struct run *r)
{
    const int64_t begun = now();
    bool ended;

    if (!play_train_step(r->trainer, &ended, &r->last))
        return false;
    if (ended) {
        r->epoch++;
        r->done = r->epoch >= r->plane.epochs;
        return !r->done;
    }
    r->sum += 1e-9 * (double)(now() - begun);
    r->busy += 1e-9 * (double)(now() - begun);
    r->seen++;
    r->step++;
    return true;
}

static void train(struct run *r)
{
    const int64_t begun = now(), until = r->epoch + r->pace;

    r->sum = r->seen = 0;
    if (!r->playing) { /* one step; the end of an epoch is none */
        const int64_t before = r->step;
        while (take_step(r) && r->step == before)
            ;
        r->steps = r->done ? 0 : r->steps - 1;
    } else {
        while (now() - begun < TRAIN_TIME && (r->pace == 0 || r->epoch < until))
            if (!take_step(r)) {
                r->playing = false;
                break;
            }
    }
    r->fresh = true;
}

static void *live(void *of)
{
    struct run *r = of;

    pthread_mutex_lock(&r->lock);
    while (!r->quit) {
        const int64_t begun = now();
        int64_t nap;
        if (!r->playing && !r->steps && !r->fresh) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        if (r->playing || r->steps)
            train(r);
        if (r->fresh)
            say(r);
        pthread_mutex_unlock(&r->lock);
        nap = PICTURE_TIME - (now() - begun);
        nap = nap > NAP_LEAST ? nap : NAP_LEAST;
        nanosleep(&(struct timespec){ .tv_nsec = nap }, NULL);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct run *play_run(struct visit *visit, int slot, const struct plane *plane,
                     pthread_mutex_t *compiling, struct ir_error *error)
{
    struct run *r = calloc(1, sizeof *r);

    if (!r) {
        ir_error(error, IR_FAILED, "not enough memory");
        return NULL;
    }
    r->visit = visit;
    r->slot = slot;
    r->plane = *plane;
    r->fresh = true;
    r->pace = 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    if (play_points(&r->points, &r->plane, error))
        r->trainer = play_trainer(&r->plane, &r->points, compiling, error);
    r->started = r->trainer && pthread_create(&r->thread, NULL, live, r) == 0;
    if (!r->started) {
        ir_error(error, IR_FAILED, "no thread is to be had");
        play_run_free(r);
        return NULL;
    }
    return r;
}

void play_run_free(struct run *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->started)
        pthread_join(r->thread, NULL);
    play_trainer_free(r->trainer);
    play_points_free(&r->points);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* --- what a request does -------------------------------------------------------------------------
 */

bool play_run_do(struct run *r, const char *what, double amount, struct ir_error *error)
{
    bool known = true;

    pthread_mutex_lock(&r->lock);
    if (strcmp(what, "start") == 0)
        r->playing = !r->done;
    else if (strcmp(what, "pause") == 0)
        r->playing = false;
    else if (strcmp(what, "step") == 0 && !r->playing)
        r->steps = r->done ? 0 : 1;
    else if (strcmp(what, "pace") == 0 && amount >= 0 && amount <= 1000 && amount == floor(amount))
        r->pace = (int64_t)amount;
    else
        known = false;
    r->fresh = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return known || ir_error(error, IR_REFUSED,
                             "do \"%.20s\": expected start, pause, step while it pauses, or pace "
                             "with a number from 0 to 1000",
                             what);
}

json_t *play_run_state(struct run *r)
{
    json_t *values;

    pthread_mutex_lock(&r->lock);
    values = json_pack("{s:o, s:I, s:I, s:o}", "settings", play_plane_write(&r->plane), "epoch",
                       (json_int_t)r->epoch, "step", (json_int_t)r->step, "values",
                       play_trainer_values(r->trainer));
    pthread_mutex_unlock(&r->lock);
    return values;
}

json_t *play_run_points(struct run *r)
{
    const struct points *p = &r->points;
    json_t *list = json_array();

    for (int64_t i = 0; i < p->count; i++)
        json_array_append_new(
            list, json_pack("[f, f, i]", (double)p->x[2 * i], (double)p->x[2 * i + 1], p->y[i]));
    return json_pack("{s:o, s:I, s:[f, f, f, f], s:i}", "points", list, "train",
                     (json_int_t)p->train, "box", (double)p->box[0], (double)p->box[1],
                     (double)p->box[2], (double)p->box[3], "side", PLANE_SIDE);
}

json_t *play_run_program(struct run *r, struct ir_error *error)
{
    struct ir_text text = { 0 };
    json_t *said = NULL;

    pthread_mutex_lock(&r->lock);
    if (play_trainer_text(r->trainer, &text, error))
        said = json_pack("{s:s#}", "text", text.data, (int)text.size);
    pthread_mutex_unlock(&r->lock);
    ir_text_free(&text);
    return said;
}

bool play_run_set(struct run *r, const json_t *values, double epoch, struct ir_error *error)
{
    bool good;

    pthread_mutex_lock(&r->lock);
    good = play_trainer_set(r->trainer, values, error);
    if (good && epoch >= 0 && epoch <= (double)r->plane.epochs && epoch == floor(epoch)) {
        r->epoch = (int64_t)epoch;
        r->done = r->epoch >= r->plane.epochs;
    }
    r->fresh = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return good;
}
