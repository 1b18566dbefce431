/*
 * onnx.h: ONNX files as the rest of the frontend sees them: read and checked, then built into a
 * graph's trace. Where the build had no protobuf-c or ONNX, absent.c answers all of it with status
 * 3.
 */
#ifndef TAPER_FRONTEND_ONNX_ONNX_H
#define TAPER_FRONTEND_ONNX_ONNX_H

#include "frontend/frontend.h"

struct onnx_model;

struct onnx_port { /* an input or output of the model's graph */
    const char *name;
    enum ir_dtype dtype;
    bool shaped; /* its rank is known */
    int rank;
    int64_t dim[IR_RANK];       /* -1: not said */
    const char *param[IR_RANK]; /* the name of such an extent, or NULL */
    bool optional;              /* an initialiser gives its value where the caller does not */
};

/*
 * read.c: a file, read as hostile: nesting and memory are counted on its bytes before anything is
 * unpacked, then names, shapes and sizes are checked. NULL with an error: 2 for a bad file, 3 for
 * one that is sound and holds what is not supported.
 */
struct onnx_model *tp_onnx_read(const char *path, struct ir_error *error);
void tp_onnx_free(struct onnx_model *);
int tp_onnx_inputs(const struct onnx_model *); /* initialisers are not counted among them */
int tp_onnx_outputs(const struct onnx_model *);
int tp_onnx_nodes(const struct onnx_model *);
int tp_onnx_initialisers(const struct onnx_model *);
int64_t tp_onnx_opset(const struct onnx_model *);
const struct onnx_port *tp_onnx_input(const struct onnx_model *, int i);
const struct onnx_port *tp_onnx_output(const struct onnx_model *, int i);

/* value.c: a TensorProto in a file (.pb); free with the arena. */
bool tp_onnx_read_value(const char *path, struct ir_arena *arena, struct ir_array *array,
                        struct ir_error *error);

/* import.c: the model's operations in the graph's trace. */
struct onnx_request {
    const tp_tensor *input;       /* for each input of the model: what stands for it */
    const struct ir_array *known; /* or NULL: the numbers that the inputs have in the only run */
    bool training;                /* batch-norm and dropout as in training; weights learn */
    tp_tensor *output;            /* filled in; for each output of the model */
    enum {
        ONNX_WHOLE,
        ONNX_SCORES,
        ONNX_FEATURES
    } until; /* the first output without a softmax at
its end; or what the last layer with weights reads */
};
bool tp_onnx_import(const struct onnx_model *, tp_graph *g, const struct onnx_request *request,
                    struct ir_error *error);
/* Is there a row for each of the model's operations? Else an error of status 3. */
bool tp_onnx_supported(const struct onnx_model *, struct ir_error *error);

/*
 * export.c: a graph as a file of ONNX, with the numbers that its states have in owner. An error of
 * status 3 names the operation that ONNX has not.
 */
bool tp_onnx_write(tp_graph *owner, const struct ir_graph *g, const char *path,
                   struct ir_error *error);

#endif
