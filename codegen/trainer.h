/*
 * trainer.h: all that a generated trainer is made of, besides its programs.
 *
 * The frontend fills it in; trainer.c prints tables from it, and the kernels, parts and main()
 * around them.
 */
#ifndef TAPER_CODEGEN_TRAINER_H
#define TAPER_CODEGEN_TRAINER_H

#include "codegen/codegen.h"

struct gen_state { /* what lives from step to step */
    const char *name;
    enum ir_dtype dtype;
    int rank;
    int64_t dim[IR_RANK], elements;
    enum ir_init init; /* how it begins, with a and b */
    double a, b;
    const void *numbers; /* or the numbers themselves, row-major; else NULL */
    bool saved;          /* with the weights */
    int64_t offset;      /* in the store; its elements lie there as in struct pass_storage */
    int parts;
    struct gen_part {
        int axis;
        int64_t divisor, extent, pitch;
    } part[IR_RANK + 4];
};

struct gen_input { /* a column of the data: a row of it */
    const char *name;
    enum ir_dtype dtype;
    int rank;
    int64_t dim[IR_RANK];
    int64_t step, eval; /* where a program has its batch in the arena; -1: it has none */
};

struct gen_value { /* a scalar that a program leaves behind */
    bool there;
    enum ir_dtype dtype;
    int base;
    int64_t offset;
};

struct gen_check { /* what must hold after each step: where the count of what does not is */
    const char *text;
    int base;
    int64_t offset;
};
struct gen_probe { /* what a step says of itself: one f32, or 64 counts */
    const char *tag;
    bool histogram;
    int base;
    int64_t offset;
};

struct gen_data {       /* where rows come from */
    const char *reader; /* "idx", "csv", "digits", ..: trainer.c lists them */
    const char *set;    /* digits, or which planar set */
    int64_t rows;       /* of a set that is made; 0: its own number */
    double noise;
    const char *label;           /* of a table, or NULL */
    int64_t context, vocabulary; /* of a text */
    int classes;                 /* 0: not a classification */
    bool shuffle, drop_last;
    struct gen_rows { /* of a part, "train" say, empty: of all; count 0: all from `first` on */
        const char *part;
        int64_t first, count;
        int64_t step; /* of a text: from a window to the next; 0: side by side */
    } train, test;
};

struct gen_gpu { /* that it runs on, instead of the CPU */
    const char *arch;
    const void *image; /* its kernels, compiled; NULL: the file holds their text, for nvcc */
    size_t bytes;
};

struct gen_trainer {
    const char *file;    /* what the text will be called: "lenet.c" */
    const char *version; /* ours */
    const char *model;
    const char *made_by;                    /* the command, or NULL */
    const char *flags;                      /* for the C compiler: "-march=native" */
    const struct loop_program *step, *eval; /* eval may be NULL */
    int64_t state_bytes;                    /* of the store that both share */
    int states, inputs;
    const struct gen_state *state;
    const struct gen_input *input;
    struct gen_value step_loss, eval_loss, eval_hits;
    struct gen_data data;
    int notes; /* that stand in the weights' file, of a text's model */
    const struct gen_note {
        const char *key, *value;
    } *note;
    int checks;
    const struct gen_check *check;
    int probes;
    const struct gen_probe *probe;
    int64_t parameters;           /* numbers that training changes */
    int64_t seed, order_seed;     /* of the initial values, of the rows' order */
    int64_t epochs, batch, tests; /* rows a step, rows an evaluation */
    int64_t rate_steps;           /* the schedule's length; 0: the rate does not end */
    bool chance;                  /* the step draws random numbers from the seed */
    const struct gen_gpu *gpu;    /* NULL: the CPU */
};

/* The whole file. False with an error. */
bool gen_trainer(struct ir_text *out, const struct gen_trainer *, struct ir_error *);
/* trainer_gpu.c: the text of its programs' kernels, to be compiled into an image. */
bool gen_gpu_kernels(struct ir_text *out, const struct gen_trainer *, struct ir_error *);

#endif
