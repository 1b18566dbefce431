/*
 * command.h: what the files of the command share.
 *
 * A command gets the words after its name. It returns the exit status: 0; or 1 (failed), 2
 * (refused), 3 (not supported) with the one line for stderr in the error; with 2 and 3 it has
 * printed nothing.
 */
#ifndef TAPER_COMMAND_H
#define TAPER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "frontend/data.h"
#include "frontend/frontend.h"

typedef int command_function(int argc, char **argv, struct ir_error *error);
command_function command_train, command_show, command_ops, command_cache, command_verify,
    command_bench, command_golden, command_build, command_explain, command_check, command_sample,
    command_run, command_grad, command_play, command_export, command_tune;

/* options.c: options by name, in any order among the other words; each says what it is for. */
struct option {
    const char *name; /* "--epochs"; NULL ends the table */
    char kind;        /* s text, i integer, f number, b flag, - one that is not supported yet */
    void *to;         /* const char *, int64_t, double or bool */
    const char *meta; /* "N" in the help */
    const char *help;
};
struct usage {
    const char *call, *about; /* "taper train MODEL [options]" and a sentence or more */
    const char *example;
    const struct option *options;
};
/*
 * Takes the options out of argv and leaves the other words in it; returns how many, -1 with an
 * error, or -2 after --help, which it has printed: --help=words as a table (name TAB value TAB
 * help) for completion, --help=man as a part of the manual page.
 */
int command_options(int argc, char **argv, const struct usage *usage, struct ir_error *error);

/* manual.c: taper(1), of all that the commands say. */
void command_manual_begin(const char *version);
void command_manual_of(const struct usage *usage);
void command_manual_end(void);

/* session.c: a model with its data, ready to train: from its name or from a .tp file. */
struct settings { /* what can be asked for; 0, NULL or a negative number: the model's own */
    const char *data, *format, *optimiser, *schedule, *set, *rows, *freeze, *target;
    const char *precision; /* f32, bf16, f16 */
    const char *loss;      /* of an ONNX model; and the scores of a new last layer, 0: none */
    int64_t head;
    const char *memory; /* most bytes of a program's arena, as command_memory reads it */
    int64_t batch, epochs, hidden, layers, heads, vocabulary, context, step, points, threads, seed;
    int64_t accumulate;
    double rate, momentum, weight_decay, noise, clip, warmup;
    bool unfused, profiled; /* as in tp_graph */
    bool check, probe;      /* as in tp_compile_train */
    const char *device;     /* .. and these */
    bool tf32;
    const char *schedules; /* a file of taper tune --save, or none; NULL: the cache's */
};
extern const struct settings command_unset;
/* the options that fill them in, as rows of a table */
#define COMMAND_MEMORY(set) \
    { "--memory", 's', &(set).memory, "N", "most bytes of a step's arena: 800K 2MiB 75%" }
#define COMMAND_SIZES(set)                                                       \
    { "--hidden", 'i', &(set).hidden, "N", "width of the hidden layers" },       \
        { "--layers", 'i', &(set).layers, "N", "of a transformer" },             \
        { "--heads", 'i', &(set).heads, "N", "of its attention" },               \
        { "--vocabulary", 'i', &(set).vocabulary, "N", "tokens that it knows" }, \
        { "--context", 'i', &(set).context, "N", "tokens or characters in a row" }
#define COMMAND_SETTINGS(set)                                                                     \
    COMMAND_MEMORY(set),                                                                          \
        { "--data", 's', &(set).data, "PATH|NAME",                                                \
          "a folder of IDX, CIFAR-10, x.npy or train.tsv, a .csv .tsv .npz .txt file, a set's "   \
          "name" },                                                                               \
        { "--set", 's', &(set).set, "NAME",                                                       \
          "the planar set: simple diag split xor circle spiral moons" },                          \
        { "--points", 'i', &(set).points, "N", "of a planar set" },                               \
        { "--noise", 'f', &(set).noise, "X", "of a planar set" }, COMMAND_SIZES(set),             \
        { "--epochs", 'i', &(set).epochs, "N", "passes over the data" },                          \
        { "--batch", 'i', &(set).batch, "N", "rows a step; 0: all of them" },                     \
        { "--opt", 's', &(set).optimiser, "NAME",                                                 \
          "sgd adam adamw rmsprop adagrad adamax nadam radam adadelta lion lamb lars adafactor "  \
          "muon" },                                                                               \
        { "--lr", 'f', &(set).rate, "X", "learning rate" },                                       \
        { "--schedule", 's', &(set).schedule, "NAME",                                             \
          "constant cosine linear polynomial exponential step multistep restarts one-cycle "      \
          "inverse-sqrt wsd" },                                                                   \
        { "--accumulate", 'i', &(set).accumulate, "N", "steps whose gradients make one update" }, \
        { "--momentum", 'f', &(set).momentum, "X", "of sgd" },                                    \
        { "--weight-decay", 'f', &(set).weight_decay, "X", "as PyTorch's weight_decay" },         \
        { "--clip", 'f', &(set).clip, "X", "greatest norm of all gradients together; 0: none" },  \
        { "--precision", 's', &(set).precision, "T", "f32; bf16 or f16 with f32 parameters" },    \
        { "--warmup", 'f', &(set).warmup, "X", "the part of all steps in which the rate rises" }, \
        { "--freeze", 's', &(set).freeze, "GLOB", "parameters that are not trained" },            \
        { "--loss", 's', &(set).loss, "NAME", "of an ONNX model: cross_entropy mse l1 .." },      \
        { "--head", 'i', &(set).head, "N", "of an ONNX model: a new last layer of N scores" },    \
        { "--seed", 'i', &(set).seed, "N", "of initial values, order and chance" },               \
        { "--threads", 'i', &(set).threads, "N", "0: as many as the machine has" },               \
        { "--schedules", 's', &(set).schedules, "FILE", "of taper tune --save; none: the rules'" }

struct onnx_model;
struct session {
    struct ir_error error;
    const char *model, *data; /* names */
    struct settings settings; /* all filled in */
    struct ir_module *module; /* of a .tp file */
    struct onnx_model *onnx;  /* of an .onnx file */
    tp_graph *graph;
    struct model_values *values; /* of a built-in model */
    tp_loader *train, *test;
    tp_program *step, *eval;                /* eval may lack, with a file */
    double compile_seconds, memory_seconds; /* the rest of its start: memory and first numbers */
    int64_t memory;                         /* bytes that settings.memory came to; 0: no limit */
};
/* False with an error in the session; `run` false: the programs are made to be looked at. */
bool command_session(struct session *s, const char *model, const struct settings *wanted, bool run);
/* A built-in model alone, traced for the rows of its data; nothing is compiled. */
bool command_trace(struct session *s, const char *model, const struct settings *wanted);
void command_session_free(struct session *s);
struct model;
struct model_sizes;
struct model_sizes command_sizes(const struct session *s);
void command_fill_in(struct settings *s, const struct model *recipe); /* what was not asked for */
bool command_open_data(struct session *s);
bool command_target(struct session *s);    /* of its settings, for its graph */
bool command_schedules(struct session *s); /* .. too */
/* choose.c */
double command_usual_rate(const char *optimiser);
bool command_choose(struct session *s, tp_opt *opt, tp_group groups[2], tp_schedule *rate);
bool command_compile(struct session *s); /* its values to step and eval */

/* memory.c: --memory: "200000", "1.5M", "512KiB", "75%" of the arena that the step would take by
 * itself. Fills session.memory; plan gives that program, made with .plan_only, for a percentage. */
bool command_memory(struct session *s, tp_program *plan(struct session *s, int64_t batch),
                    int64_t batch);
/* The greatest batch, at most `most`, with which what plan makes fits into session.memory; 1
 * where none does. */
int64_t command_fitting_batch(struct session *s, tp_program *plan(struct session *s, int64_t batch),
                              int64_t most);

/* model_file.c */
bool command_from_file(struct session *s, bool run);
struct ir_module *command_read_module(const char *path, struct ir_error *error);
/* Has a text all that it begins with? Not of an ONNX file, whose numbers are in it; `weights`:
 * those come from elsewhere. */
bool command_has_numbers(struct session *s, bool weights);
/* Weights whose file holds their model as text, under this key (taper train --save-model). */
#define COMMAND_MODEL_KEY "taper.model.tp"
bool command_is_weights(const char *path);
/* A program of the module as the graph's trace, with its states; false with an error in g. */
bool command_adopt(tp_graph *g, const struct ir_program *p);
/* Its outputs in evaluation, but those that read an input which is not there. */
struct ir_graph *command_evaluated(tp_graph *g, bool there(void *user, const char *input),
                                   void *user);
struct ir_program command_copy_program(const struct ir_program *from, struct ir_error *error);
void command_put_settings(const struct session *s, struct ir_module *m); /* as `set` lines */

/* model_onnx.c: an .onnx file as a model: its recipe, and its scores and loss for x and y */
extern const struct model command_onnx_recipe;
struct model_values;
bool command_onnx_values(struct session *s, tp_tensor x, tp_tensor y, struct model_values *values);

/* run_onnx.c: `taper run` of an ONNX file */
bool command_is_onnx(const char *path);
command_function command_run_onnx;

/* build_library.c: NAME.c, NAME.h and what is compiled of them, in a folder (NULL: this one). */
bool command_build_library(struct session *s, const char *name, const char *folder,
                           bool freestanding, const char *made_by);

/* picture.c: what --svg draws: of points of the plane and two classes which are taken for which; of
 * everything else the losses and the accuracy by epoch. free(numbers). */
struct picture {
    struct svg_curve curve[3]; /* the loss, the test's, the accuracy */
    double *numbers;           /* theirs; NULL: of the plane, or none at all */
};
bool command_picture_begin(struct picture *p, struct session *s);
void command_picture_keep(struct picture *p, int64_t epoch, const double told[3]); /* NaN: none */
bool command_picture_draw(struct picture *p, struct session *s, const char *path);

/* stage.c: what `taper show` prints: of the program of that name; NULL: of all, but of C the first.
 */
struct stage {
    const char *name, *about;
};
extern const struct stage command_stages[]; /* ended by one without a name */
bool command_stage_text(struct session *s, const char *stage, const char *of, const char *kernel,
                        const char *format, struct ir_text *out, struct ir_error *error);
/* A model's text, from which it is read back: its trace, which returns its scores too, and what
 * trains it. */
bool command_has_text(const struct session *s);
bool command_model_text(struct session *s, struct ir_text *out);

/* notes.c: what `taper sample` needs to know of a model of text, for the weights' file;
 * free(tokens). None where the data has no vocabulary. */
struct notes {
    int sizes; /* pairs before the one of the tokens, which is there if they are */
    struct file_pair pair[7];
    char number[5][24];
    char *tokens;
};
bool command_notes(struct session *s, struct notes *n);

#endif
