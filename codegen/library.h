/*
 * library.h: a model as a C library without dependencies: what its text and its header are made of.
 */
#ifndef TAPER_CODEGEN_LIBRARY_H
#define TAPER_CODEGEN_LIBRARY_H

#include "codegen/trainer.h"

struct gen_array { /* an argument of the library's functions: rows of a batch */
    const char *name;
    enum ir_dtype dtype;
    int rank;
    int64_t dim[IR_RANK]; /* of a row */
    int base;             /* where the program has it .. */
    int64_t offset;       /* .. -1: it does not need it */
};

struct gen_library {
    const char *name;    /* of all its functions; gen_library_name() holds */
    const char *version; /* ours */
    const char *model;
    const char *made_by;                       /* the command, or NULL */
    const struct loop_program *step, *predict; /* predict may be NULL */
    int64_t state_bytes;
    int states;
    const struct gen_state *state;
    int inputs[2]; /* of step and predict */
    const struct gen_array *input[2];
    struct gen_array output; /* of predict */
    struct gen_value loss;
    int64_t rows; /* most of a batch */
    int threads;  /* most that run it */
    bool freestanding;
    bool chance; /* the step draws random numbers, from the seed that it was built with */
    int64_t seed;
};

/* A name that C and C++ take, and that the text does not use itself. */
bool gen_library_name(const char *name, struct ir_error *error);
/* NAME.c and NAME.h. False with an error. */
bool gen_library(struct ir_text *text, struct ir_text *header, const struct gen_library *,
                 struct ir_error *error);

#endif
