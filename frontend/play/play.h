/*
 * play.h: the playground, file by file: a server of one page, and what the page asks for.
 *
 * A visitor's page holds one `visit`: two runs side by side at most, and one stream of events that
 * carries what they show. A run has a thread of its own, which alone trains; requests look at it
 * under its lock, between two pictures.
 */
#ifndef TAPER_PLAY_H
#define TAPER_PLAY_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "frontend/command/command.h"

enum {
    PLAY_VISITS = 24, /* at once */
    PLAY_PLANES = 2,  /* runs of a visit in the plane */
    PLAY_LESSONS = 3, /* .. and others, one of a kind */
    PLAY_SLOTS = PLAY_PLANES + PLAY_LESSONS,
    PLAY_BODY = 1 << 20,
    PLAY_CONNECTIONS = 96,
    PLAY_TOKEN = 32,
    PLAY_WORDS = 3 /* of a path that stand for something: a visit's name, a slot */
};

/* server.c: serves until a signal ends it. */
struct play_options {
    const char *host;
    int64_t port;                  /* 0: one that is free */
    const char *mnist, *sentences; /* folders, or NULL */
    bool open;                     /* in a browser */
};
int play_serve(const struct play_options *options, struct ir_error *error);

struct play;
const struct play_options *play_options(struct play *p);
struct play_request {
    struct play *play;
    const char *word[PLAY_WORDS]; /* what stood for a * of the route */
    const json_t *body;           /* of a POST; an object */
    struct ir_error error;        /* refused: what the page is told */
    const char *kind;             /* of a text; NULL: the answer is JSON */
    const char *text;             /* it stays where it is */
    size_t size;
    struct visit *events; /* the stream is the answer */
};
/* The answer, or NULL with an error, or with a text. */
typedef json_t *play_handler(struct play_request *r);

/* routes.c: the table. NULL: there is none, *known: but of another method. */
play_handler *play_route(const char *method, const char *path, char *room, size_t size,
                         struct play_request *r, bool *known);

/* pages.c: what lies in the program. */
play_handler play_page, play_source;
bool play_page_named(const char *name);

/* visits.c */
struct visits;
struct visit;
struct visits *play_visits_new(void);
void play_visits_end(struct visits *v); /* streams and trainings stop */
void play_visits_free(struct visits *v);
void play_visits_sweep(struct visits *v); /* those that nobody looks at any more */
struct visits *play_visits(struct play *p);
pthread_mutex_t *play_compiling(struct play *p); /* one at a time: machine code is made under it */
/* A new event of a visit, "data: ..\n\n", into room; 0: none for some seconds; -1: the end. */
ssize_t play_visit_event(struct visit *v, uint64_t seen[PLAY_SLOTS], char *room, size_t size);
void play_visit_release(struct visit *v);
/* From a run's thread; the text is the visit's, from malloc. */
void play_visit_publish(struct visit *v, int slot, char *text);
play_handler play_visit_new, play_visit_events, play_run_make, play_run_order, play_run_look,
    play_run_change, play_run_text, play_lesson_make, play_lesson_see, play_lesson_keep;

/* compiler.c: a model, or a pasted text, at each stage. child.c: another program, bounded; its exit
 * status, -1: it could not be started, PLAY_BEYOND: it was ended. fold.c: boxes as nodes. */
play_handler play_models, play_show, play_draw, play_explain;
pthread_mutex_t *play_children(struct play *p); /* one at a time */
enum { PLAY_BEYOND = 1000 };
int play_child(const char *const argv[], const char *folder, const char *input, size_t size,
               struct ir_text *out, struct ir_text *err);
json_t *play_drawing(struct play *p, const struct ir_text *dot); /* as SVG; null where it fails */
void play_fold(const char *dot, struct ir_text *out);

/* expression.c: operations of a text over x, y, z; an error where it is none. Of `apart` elements
 * sum and mean are of the arguments. maths.c, autodiff.c, tensor.c, modules.c: the sandboxes. */
tp_tensor play_expression(tp_graph *g, const char *text, const tp_tensor variable[3], bool apart,
                          bool used[3], struct ir_error *error);
tp_graph *play_sketch(struct ir_error *error); /* a graph to look at: no engine, no warnings */
play_handler play_functions, play_maths, play_autodiff, play_tensor, play_modules,
    play_module_kinds;

/* plane.c: what is trained: points of the plane, and a network for them. */
enum { PLANE_DEEPEST = 6, PLANE_WIDEST = 200, PLANE_WEIGHTS = 60000, PLANE_SIDE = 44 };
struct plane {
    char set[12], activation[16], optimiser[16], schedule[16], engine[12];
    int64_t points, seed, batch, epochs, depth, width[PLANE_DEEPEST];
    double noise, validation, rate, momentum, weight_decay;
};
play_handler play_knobs; /* the table of all that can be chosen, for the page to draw */
bool play_plane_read(struct plane *p, const json_t *body, struct ir_error *error);
json_t *play_plane_write(const struct plane *p);
tp_tensor play_plane_score(tp_tensor x, const struct plane *p);
struct model_values;
struct model_values play_plane_values(tp_tensor x, tp_tensor y, const struct plane *p);

/* points.c: its data: the first `train` of the points are learnt from, the rest only looked at. */
struct points {
    int64_t count, train;
    float *x; /* [count 2] */
    int32_t *y;
    float box[4]; /* x from, x to, y from, y to */
};
bool play_points(struct points *to, const struct plane *p, struct ir_error *error);
void play_points_free(struct points *p);

/* trainer.c: steps and looks of one network: compiled, or one operation at a time. */
struct trainer;
struct layer_state { /* of a parameter, in the last step */
    const char *name;
    double gradient, ratio; /* the gradient's norm; the update's beside the parameter's own */
};
struct trainer *play_trainer(const struct plane *p, const struct points *points,
                             pthread_mutex_t *compiling, struct ir_error *error);
void play_trainer_free(struct trainer *t);
bool play_train_step(struct trainer *t, bool *ended, double *loss); /* ended: an epoch */
bool play_trainer_measure(struct trainer *t, double loss[2], double accuracy[2]);
bool play_trainer_picture(struct trainer *t, unsigned char *shade); /* PLANE_SIDE squared */
int play_trainer_layers(struct trainer *t, int room, struct layer_state *to);
int64_t play_elements(tp_tensor x);
json_t *play_trainer_values(struct trainer *t);
bool play_trainer_set(struct trainer *t, const json_t *values, struct ir_error *error);
/* Its network as a .tp file, which is a model. */
bool play_trainer_text(struct trainer *t, struct ir_text *out, struct ir_error *error);
const char *play_trainer_error(const struct trainer *t);
const char *play_trainer_engine(const struct trainer *t);
/* run.c: a training with its thread; what it trains is a subject of one of two kinds. */
struct subject {
    bool (*step)(void *of, bool *ended, double *loss); /* ended: an epoch, and no step */
    json_t *(*picture)(void *of, bool begun);          /* what there is to see; NULL: an error */
    const char *(*error)(void *of);                    /* or NULL */
    void (*free)(void *of);
};
struct run;
/* The subject is the run's, even where there is none. */
struct run *play_run(struct visit *visit, int slot, const struct subject *kind, void *of,
                     int64_t epochs, struct ir_error *error);
void play_run_free(struct run *r);
bool play_run_do(struct run *r, const char *what, double number, struct ir_error *error);
/* Between two pictures: the subject, until it is let go; NULL: it is of another kind. */
void *play_run_hold(struct run *r, const struct subject *kind);
void play_run_let(struct run *r, bool changed);
/* While it is held. */
void play_run_counts(const struct run *r, int64_t *epoch, int64_t *step);
void play_run_set_epoch(struct run *r, double epoch);
json_t *play_real(double x); /* null where it is not finite */
void play_base64(const unsigned char *from, size_t size, char *to);
bool play_base64_read(const char *text, size_t size, unsigned char *to); /* of exactly that size */

/* plane_run.c: a subject of a run; NULL with an error. */
extern const struct subject play_plane_kind;
void *play_plane_new(const struct plane *plane, pthread_mutex_t *compiling, struct ir_error *error);
json_t *play_plane_state(struct run *r);
json_t *play_plane_points(struct run *r);
json_t *play_plane_text(struct run *r, struct ir_error *error);
bool play_plane_set(struct run *r, const json_t *values, double epoch, struct ir_error *error);

/* lesson.c: what the other kinds share; theirs begin with it. */
struct lesson {
    tp_graph *g;
    tp_loader *train;
    tp_program *step;
    tp_tensor loss;
    tp_opt opt;
    tp_schedule rate;
    int64_t batch, epochs;
    uint64_t seed;
};
struct lesson_usual { /* where a request says nothing */
    tp_opt opt;
    double rate;
    int64_t batch, epochs;
};
struct play_number { /* of a request */
    const char *name;
    double least, most, usual;
    double *to;
};
bool play_numbers(const json_t *body, int count, const struct play_number *number,
                  struct ir_error *error);
void *play_lesson_new(size_t size, struct ir_error *error); /* zeroed */
bool play_lesson_read(struct lesson *l, const json_t *body, struct lesson_usual usual,
                      struct ir_error *error); /* its knobs; a graph */
/* `compile` under the lock, once the loader is there. */
bool play_lesson_compile(struct lesson *l, pthread_mutex_t *compiling,
                         bool (*compile)(struct lesson *l), struct ir_error *error);
tp_program *play_lesson_step_of(struct lesson *l);
void play_lesson_end(struct lesson *l);
bool play_lesson_step(void *of, bool *ended, double *loss);
const char *play_lesson_error(void *of);
json_t *play_lesson_values(struct lesson *l);
bool play_lesson_set(struct lesson *l, const json_t *values, struct ir_error *error);

/* digits.c, characters.c, sentences.c: the kinds. */
struct lesson_kind {
    const char *name; /* in a path */
    struct subject subject;
    void *(*make)(const json_t *body, const struct play_options *o, pthread_mutex_t *compiling,
                  struct ir_error *error);
    bool (*look)(void *of, const json_t *body, struct ir_error *error); /* what is to be shown */
    json_t *(*about)(void *of, const struct play_options *o);           /* once it is made */
};
extern const struct lesson_kind play_digits, play_characters, play_sentences;

#endif
