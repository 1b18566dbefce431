/*
 * run: a training with a thread of its own. The thread trains for a picture's worth of time, says
 * what there is to see, and sleeps; between two pictures a request may look at it or change it.
 *
 * A slow visitor sees fewer pictures, never late ones: what is said replaces what was not read yet.
 */
#define _POSIX_C_SOURCE 200809L
#include "play.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    NAP_LEAST = 1000000,     /* nanoseconds that requests have between two pictures, at least */
    PICTURE_TIME = 20000000, /* from a picture to the next: 50 a second */
    TRAIN_TIME = 16000000,   /* of which so much is for training, */
    TRAIN_MOST = 200000000,  /* or, where pictures take longer, as much as they, up to this */
    PATIENCE = 500           /* naps for a request that waits */
};

struct run {
    struct visit *visit;
    int slot;
    const struct subject *kind;
    void *of;
    int64_t epochs;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_int asking; /* requests that wait for the lock */
    /* under the lock: */
    bool playing, quit, fresh, done; /* fresh: there is something to be shown */
    int64_t steps;                   /* still to be taken one by one */
    int64_t looked;                  /* how long the last picture took: training gets as much */
    int64_t epoch, step, pace;       /* pace: epochs a picture; 0: what fits */
    double sum, seen, last;          /* of this picture's steps: seconds, how many; the last loss */
};

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* From a request. A lock alone is not fair: on a busy machine the thread would have it again before
 * the request has woken up. */
static void enter(struct run *r)
{
    atomic_fetch_add(&r->asking, 1);
    pthread_mutex_lock(&r->lock);
    atomic_fetch_sub(&r->asking, 1);
}

/* --- what is to be seen --------------------------------------------------------------------------
 */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void play_base64(const unsigned char *from, size_t size, char *to)
{
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

bool play_base64_read(const char *text, size_t size, unsigned char *to)
{
    unsigned bits = 0;
    int held = 0;

    if (strlen(text) != 4 * ((size + 2) / 3))
        return false;
    for (size_t done = 0; done < size; text++) {
        const char *at = *text ? strchr(letters, *text) : NULL;
        if (!at)
            return false;
        bits = bits << 6 | (unsigned)(at - letters);
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[done++] = (unsigned char)(bits >> held);
        }
    }
    return true;
}

json_t *play_real(double x) /* JSON has no NaN */
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *picture_of(struct run *r)
{
    json_t *picture = r->kind->picture(r->of, r->step > 0);

    if (!picture)
        return NULL;
    json_object_set_new(picture, "slot", json_integer(r->slot));
    json_object_set_new(picture, "epoch", json_integer(r->epoch));
    json_object_set_new(picture, "epochs", json_integer(r->epochs));
    json_object_set_new(picture, "step", json_integer(r->step));
    json_object_set_new(picture, "step_seconds", play_real(r->seen ? r->sum / r->seen : NAN));
    json_object_set_new(picture, "playing", json_boolean(r->playing));
    json_object_set_new(picture, "done", json_boolean(r->done));
    return picture;
}

static void say(struct run *r)
{
    const int64_t begun = now();
    json_t *picture = picture_of(r);
    char *text;

    if (!picture) {
        const char *why = r->kind->error(r->of);
        picture = json_pack("{s:i, s:s}", "slot", r->slot, "error", why ? why : "it cannot go on");
        r->playing = false;
        r->steps = 0;
    }
    text = json_dumps(picture, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(picture);
    if (text)
        play_visit_publish(r->visit, r->slot, text);
    r->fresh = false;
    r->looked = now() - begun;
}

/* --- the thread ----------------------------------------------------------------------------------
 */

/* False: it cannot go on, or is done. */
static bool take_step(struct run *r)
{
    const int64_t begun = now();
    bool ended;

    if (!r->kind->step(r->of, &ended, &r->last))
        return false;
    if (ended) {
        r->epoch++;
        r->done = r->epoch >= r->epochs;
        return !r->done;
    }
    r->sum += 1e-9 * (double)(now() - begun);
    r->seen++;
    r->step++;
    return true;
}

static void train(struct run *r)
{
    const int64_t begun = now(), until = r->epoch + r->pace;
    const int64_t time = r->looked < TRAIN_TIME   ? TRAIN_TIME
                         : r->looked < TRAIN_MOST ? r->looked
                                                  : TRAIN_MOST;

    r->sum = r->seen = 0;
    if (!r->playing) { /* one step; the end of an epoch is none */
        const int64_t before = r->step;
        while (take_step(r) && r->step == before)
            ;
        r->steps = r->done ? 0 : r->steps - 1;
    } else {
        while (now() - begun < time && (r->pace == 0 || r->epoch < until))
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
        for (int i = 0; i < PATIENCE && atomic_load(&r->asking); i++)
            nanosleep(&(struct timespec){ .tv_nsec = NAP_LEAST }, NULL);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct run *play_run(struct visit *visit, int slot, const struct subject *kind, void *of,
                     int64_t epochs, struct ir_error *error)
{
    struct run *r = of ? calloc(1, sizeof *r) : NULL;

    if (!r) {
        ir_error(error, IR_FAILED, "not enough memory");
        if (of)
            kind->free(of);
        return NULL;
    }
    r->visit = visit;
    r->slot = slot;
    r->kind = kind;
    r->of = of;
    r->epochs = epochs;
    r->fresh = true;
    r->pace = 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->started = pthread_create(&r->thread, NULL, live, r) == 0;
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
    enter(r);
    r->quit = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->started)
        pthread_join(r->thread, NULL);
    r->kind->free(r->of);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* --- what a request does -------------------------------------------------------------------------
 */

bool play_run_do(struct run *r, const char *what, double amount, struct ir_error *error)
{
    bool known = true;

    enter(r);
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

void *play_run_hold(struct run *r, const struct subject *kind)
{
    if (r->kind != kind)
        return NULL;
    enter(r);
    return r->of;
}

void play_run_let(struct run *r, bool changed)
{
    if (changed) {
        r->fresh = true;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
}

void play_run_counts(const struct run *r, int64_t *epoch, int64_t *step)
{
    *epoch = r->epoch;
    *step = r->step;
}

void play_run_set_epoch(struct run *r, double epoch)
{
    if (!(epoch >= 0 && epoch <= (double)r->epochs && epoch == floor(epoch)))
        return;
    r->epoch = (int64_t)epoch;
    r->done = r->epoch >= r->epochs;
}
