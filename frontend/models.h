/*
 * models.h: the built-in models: each a short function, with a recipe that trains it.
 */
#ifndef TAPER_FRONTEND_MODELS_H
#define TAPER_FRONTEND_MODELS_H

#include "frontend/taper.h"

struct model_values { /* what a model makes of inputs x and targets y */
    tp_tensor output; /* scores */
    tp_tensor loss;   /* a mean over rows */
    tp_tensor hits;   /* how many rows are right; none: nothing is told apart */
};

struct model_sizes { /* what the data and the settings say */
    int64_t hidden, classes, vocabulary, layers, heads;
};

struct model {
    const char *name, *about;
    struct model_values (*build)(tp_tensor x, tp_tensor y, const struct model_sizes *size);
    const char *data;   /* the set it trains on unless another is asked for; NULL: none */
    const char *format; /* how a path is to be read, NULL: as it looks */
    int64_t hidden;     /* where the model has such a number */
    int64_t layers, heads, vocabulary; /* of a transformer; vocabulary 0: the data's */
    int64_t rows, batch;   /* of a set that is made, 0: its own; of a step, 0: all rows */
    int64_t context, step; /* of a text: tokens a row, and from a row to the next */
    int epochs;
    const char *optimiser;
    double rate, momentum, weight_decay, clip;
    const char *schedule; /* cosine, linear, constant */
    double warmup;        /* the part of all steps in which the rate rises */
    double noise;
};

extern const struct model tp_models[]; /* ended by one without a name */
const struct model *tp_model_find(const char *name);
struct model_values tp_model_built(const struct model *, tp_tensor x, tp_tensor y,
                                   const struct model_sizes *); /* an error names the model */

#endif
