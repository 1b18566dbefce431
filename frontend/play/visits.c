/*
 * visits: who is here, with their runs and their stream of events.
 *
 * There is room for so many at once. A visit whose stream has been gone for a while is swept away
 * with what it trains, so closed pages cost nothing.
 */
#define _POSIX_C_SOURCE 200809L
#include "play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { NAME = 16, PATIENCE = 30, HEARTBEAT = 5 }; /* seconds */

struct visit {
    struct visits *all;
    char name[NAME + 1];
    int uses;             /* requests and streams; under the lock of all */
    time_t last;          /* when one ended */
    pthread_mutex_t work; /* requests about its runs come one after the other */
    struct run *run[PLAY_SLOTS];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t news;
    char *text[PLAY_SLOTS];
    uint64_t number[PLAY_SLOTS];
    bool ended;
};

struct visits {
    pthread_mutex_t lock;
    struct visit *at[PLAY_VISITS];
    bool ended;
};

static time_t seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

struct visits *play_visits_new(void)
{
    struct visits *v = calloc(1, sizeof *v);

    if (v)
        pthread_mutex_init(&v->lock, NULL);
    return v;
}

static void free_visit(struct visit *v)
{
    for (int i = 0; i < PLAY_SLOTS; i++) {
        play_run_free(v->run[i]);
        free(v->text[i]);
    }
    pthread_cond_destroy(&v->news);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->work);
    free(v);
}

void play_visits_end(struct visits *v)
{
    pthread_mutex_lock(&v->lock);
    v->ended = true;
    for (int i = 0; i < PLAY_VISITS; i++)
        if (v->at[i]) {
            pthread_mutex_lock(&v->at[i]->lock);
            v->at[i]->ended = true;
            pthread_cond_broadcast(&v->at[i]->news);
            pthread_mutex_unlock(&v->at[i]->lock);
        }
    pthread_mutex_unlock(&v->lock);
}

void play_visits_free(struct visits *v)
{
    for (int i = 0; v && i < PLAY_VISITS; i++)
        if (v->at[i])
            free_visit(v->at[i]);
    if (v)
        pthread_mutex_destroy(&v->lock);
    free(v);
}

void play_visits_sweep(struct visits *v)
{
    struct visit *gone[PLAY_VISITS];
    int count = 0;

    pthread_mutex_lock(&v->lock);
    for (int i = 0; i < PLAY_VISITS; i++)
        if (v->at[i] && v->at[i]->uses == 0 && seconds() - v->at[i]->last > PATIENCE) {
            gone[count++] = v->at[i];
            v->at[i] = NULL;
        }
    pthread_mutex_unlock(&v->lock);
    while (count)
        free_visit(gone[--count]);
}

/* The visit that the path names, used until it is released; NULL with an error. */
static struct visit *visit_of(struct play_request *r)
{
    struct visits *v = play_visits(r->play);
    struct visit *found = NULL;

    pthread_mutex_lock(&v->lock);
    for (int i = 0; i < PLAY_VISITS && !found && !v->ended; i++)
        if (v->at[i] && strcmp(v->at[i]->name, r->word[0]) == 0)
            found = v->at[i];
    if (found)
        found->uses++;
    pthread_mutex_unlock(&v->lock);
    if (!found)
        ir_error(&r->error, IR_REFUSED, "this visit is over; load the page again");
    return found;
}

void play_visit_release(struct visit *v)
{
    struct visits *all = v->all;

    pthread_mutex_lock(&all->lock);
    v->uses--;
    v->last = seconds();
    pthread_mutex_unlock(&all->lock);
}

/* --- the stream ----------------------------------------------------------------------------------
 */

void play_visit_publish(struct visit *v, int slot, char *text)
{
    pthread_mutex_lock(&v->lock);
    free(v->text[slot]);
    v->text[slot] = text;
    v->number[slot]++;
    pthread_cond_broadcast(&v->news);
    pthread_mutex_unlock(&v->lock);
}

ssize_t play_visit_event(struct visit *v, uint64_t seen[PLAY_SLOTS], char *room, size_t size)
{
    struct timespec until;
    ssize_t got = 0;
    bool late = false;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HEARTBEAT;
    pthread_mutex_lock(&v->lock);
    while (!got && !v->ended && !late) {
        for (int i = 0; i < PLAY_SLOTS && !got; i++)
            if (v->text[i] && v->number[i] != seen[i]) {
                seen[i] = v->number[i];
                if (strlen(v->text[i]) + 16 < size)
                    got = snprintf(room, size, "data: %s\n\n", v->text[i]);
            }
        if (!got)
            late = pthread_cond_timedwait(&v->news, &v->lock, &until) != 0;
    }
    if (!got && !v->ended) /* finds out whether somebody is still there */
        got = snprintf(room, size, ":\n\n");
    if (v->ended)
        got = -1;
    pthread_mutex_unlock(&v->lock);
    return got;
}

/* --- requests ------------------------------------------------------------------------------------
 */

static struct visit *new_visit(struct visits *all)
{
    struct visit *v = calloc(1, sizeof *v);
    unsigned char bytes[NAME / 2];

    if (!v || getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        free(v);
        return NULL;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(v->name + 2 * i, 3, "%02x", bytes[i]);
    v->all = all;
    v->last = seconds();
    pthread_mutex_init(&v->work, NULL);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->news, NULL);
    return v;
}

json_t *play_visit_new(struct play_request *r)
{
    struct visits *all = play_visits(r->play);
    struct visit *v = new_visit(all);
    json_t *said = NULL;
    int free_place = -1;

    if (!v)
        return NULL;
    pthread_mutex_lock(&all->lock);
    for (int i = 0; i < PLAY_VISITS; i++)
        if (!all->at[i])
            free_place = i;
    if (free_place >= 0) {
        all->at[free_place] = v;
        said = json_pack("{s:s}", "visit", v->name);
    }
    pthread_mutex_unlock(&all->lock);
    if (free_place < 0) {
        free_visit(v);
        ir_error(&r->error, IR_REFUSED, "%d pages are open already; close one, or wait a minute",
                 PLAY_VISITS);
    }
    return said;
}

json_t *play_visit_events(struct play_request *r)
{
    r->events = visit_of(r);
    return NULL;
}

/* A run of a visit, and the right to work on it. */
struct place {
    struct visit *visit;
    int slot;
};

static bool open_slot(struct play_request *r, struct place *p, int slot)
{
    p->slot = slot;
    p->visit = visit_of(r);
    if (p->visit)
        pthread_mutex_lock(&p->visit->work);
    return p->visit != NULL;
}

static bool open_place(struct play_request *r, struct place *p)
{
    const int slot = r->word[1][0] - '0';

    if (r->word[1][1] || slot < 0 || slot >= PLAY_SLOTS)
        return ir_error(&r->error, IR_REFUSED, "a visit has the runs 0 to %d", PLAY_SLOTS - 1);
    return open_slot(r, p, slot);
}

static struct run *run_at(struct play_request *r, const struct place *p)
{
    struct run *run = p->visit->run[p->slot];

    if (!run)
        ir_error(&r->error, IR_REFUSED, "there is no such run yet");
    return run;
}

static void close_place(struct place *p)
{
    pthread_mutex_unlock(&p->visit->work);
    play_visit_release(p->visit);
}

json_t *play_run_make(struct play_request *r)
{
    struct plane plane;
    struct place at;
    struct run *run;
    void *of;
    json_t *said = NULL;

    if (r->word[1][0] - '0' >= PLAY_PLANES) {
        ir_error(&r->error, IR_REFUSED, "the plane has the runs 0 and 1");
        return NULL;
    }
    if (!play_plane_read(&plane, json_object_get(r->body, "settings"), &r->error) ||
        !open_place(r, &at))
        return NULL;
    /* the old one ends before: its last picture must not come after the new one's first */
    play_run_free(at.visit->run[at.slot]);
    at.visit->run[at.slot] = NULL;
    of = play_plane_new(&plane, play_compiling(r->play), &r->error);
    run = of ? play_run(at.visit, at.slot, &play_plane_kind, of, plane.epochs, &r->error) : NULL;
    at.visit->run[at.slot] = run;
    if (run && (!json_object_get(r->body, "values") ||
                play_plane_set(run, json_object_get(r->body, "values"),
                               json_number_value(json_object_get(r->body, "epoch")), &r->error)))
        said = play_plane_points(run);
    if (said) {
        json_t *state = play_plane_state(run);
        json_object_update(said, state);
        json_decref(state);
    }
    close_place(&at);
    return said;
}

json_t *play_run_look(struct play_request *r)
{
    struct place at;
    json_t *said = NULL;

    if (!open_place(r, &at))
        return NULL;
    if (run_at(r, &at))
        said = play_plane_state(at.visit->run[at.slot]);
    close_place(&at);
    return said;
}

json_t *play_run_text(struct play_request *r)
{
    struct place at;
    json_t *said = NULL;

    if (!open_place(r, &at))
        return NULL;
    if (run_at(r, &at))
        said = play_plane_text(at.visit->run[at.slot], &r->error);
    close_place(&at);
    return said;
}

json_t *play_run_order(struct play_request *r)
{
    const char *what = json_string_value(json_object_get(r->body, "do"));
    const double amount = json_number_value(json_object_get(r->body, "number"));
    struct place at;
    bool good;

    if (!open_place(r, &at))
        return NULL;
    good =
        run_at(r, &at) && play_run_do(at.visit->run[at.slot], what ? what : "", amount, &r->error);
    close_place(&at);
    return good ? json_object() : NULL;
}

json_t *play_run_change(struct play_request *r)
{
    struct place at;
    bool good;

    if (!open_place(r, &at))
        return NULL;
    good = run_at(r, &at) && play_plane_set(at.visit->run[at.slot],
                                            json_object_get(r->body, "values"), -1, &r->error);
    close_place(&at);
    return good ? json_object() : NULL;
}

/* --- lessons: a run of each kind, in a slot of its own -------------------------------------------
 */

static const struct lesson_kind *const kinds[PLAY_LESSONS] = { &play_digits, &play_characters,
                                                               &play_sentences };

/* The lesson that the path names, and its place. */
static const struct lesson_kind *open_lesson(struct play_request *r, struct place *p)
{
    for (int i = 0; i < PLAY_LESSONS; i++)
        if (strcmp(kinds[i]->name, r->word[1]) == 0)
            return open_slot(r, p, PLAY_PLANES + i) ? kinds[i] : NULL;
    ir_error(&r->error, IR_REFUSED, "there is nothing of that name");
    return NULL;
}

/* What was saved, if the request has it. */
static bool restore(struct run *run, const struct lesson_kind *kind, const json_t *body,
                    struct ir_error *error)
{
    const json_t *values = json_object_get(body, "values");
    struct lesson *l = values ? play_run_hold(run, &kind->subject) : NULL;
    bool good = true;

    if (l) {
        good = play_lesson_set(l, values, error);
        if (good)
            play_run_set_epoch(run, json_number_value(json_object_get(body, "epoch")));
        play_run_let(run, true);
    }
    return good;
}

json_t *play_lesson_make(struct play_request *r)
{
    const struct play_options *o = play_options(r->play);
    struct place at;
    const struct lesson_kind *kind = open_lesson(r, &at);
    struct lesson *l;
    struct run **run;
    json_t *said = NULL;

    if (!kind)
        return NULL;
    run = &at.visit->run[at.slot];
    play_run_free(*run); /* before: its last picture must not come after the new one's first */
    *run = NULL;
    l = kind->make(r->body, o, play_compiling(r->play), &r->error);
    if (l) {
        said = kind->about(l, o);
        *run = play_run(at.visit, at.slot, &kind->subject, l, l->epochs, &r->error);
    }
    if (!*run || !restore(*run, kind, r->body, &r->error)) {
        json_decref(said);
        said = NULL;
    }
    close_place(&at);
    return said;
}

json_t *play_lesson_see(struct play_request *r)
{
    struct place at;
    const struct lesson_kind *kind = open_lesson(r, &at);
    struct run *run = kind ? run_at(r, &at) : NULL;
    void *of = run ? play_run_hold(run, &kind->subject) : NULL;
    bool good = false;

    if (of) {
        good = kind->look(of, r->body, &r->error);
        play_run_let(run, good);
    }
    if (kind)
        close_place(&at);
    return good ? json_object() : NULL;
}

/* What is to be saved. */
json_t *play_lesson_keep(struct play_request *r)
{
    struct place at;
    const struct lesson_kind *kind = open_lesson(r, &at);
    struct run *run = kind ? run_at(r, &at) : NULL;
    struct lesson *l = run ? play_run_hold(run, &kind->subject) : NULL;
    json_t *said = NULL;
    int64_t epoch, step;

    if (l) {
        play_run_counts(run, &epoch, &step);
        said = json_pack("{s:I, s:o}", "epoch", (json_int_t)epoch, "values", play_lesson_values(l));
        play_run_let(run, false);
    }
    if (kind)
        close_place(&at);
    return said;
}
