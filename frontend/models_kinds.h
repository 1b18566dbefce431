/*
 * models_kinds.h: the built-in models, file by file; models.c lists them.
 */
#ifndef TAPER_FRONTEND_MODELS_KINDS_H
#define TAPER_FRONTEND_MODELS_KINDS_H

#include "frontend/frontend.h"
#include "frontend/models.h"

typedef struct model_values tp_model_build(tp_tensor x, tp_tensor y, const struct model_sizes *);

/* models.c: what most of them end with: a score for each class, and the class */
struct model_values tp_model_classified(tp_tensor logits, tp_tensor y);
tp_tensor tp_model_classes(tp_tensor y); /* models_text.c: y, or an error where it has none */
tp_tensor tp_model_pixels(tp_tensor x);  /* bytes as fractions; what is not bytes as it is */

/* models_image.c, models_text.c */
tp_model_build tp_model_lenet, tp_model_resnet20, tp_model_autoencoder;
tp_model_build tp_model_gpt, tp_model_gpt2, tp_model_names, tp_model_sentiment;
tp_model_build tp_model_lstm, tp_model_gru;

#endif
