/*
 * known.h: the values of an ONNX graph while it is imported (import.c): a tensor, or an initialiser
 * that becomes one when it is first read as such (known.c).
 */
#ifndef TAPER_FRONTEND_ONNX_KNOWN_H
#define TAPER_FRONTEND_ONNX_KNOWN_H

#include "frontend/onnx/import.h"

struct onnx_value {
    const char *name; /* NULL: an empty slot */
    tp_tensor tensor;
    const Onnx__TensorProto *initialiser;
    bool known;
    struct ir_array array;
};

struct onnx_import {
    const struct onnx_model *model;
    const struct onnx_request *request;
    tp_graph *g;
    struct ir_arena *arena;
    struct onnx_value *slot;
    size_t room;
    int64_t computed; /* elements, and operations */
    double work;
    const struct onnx_call *call; /* of the function whose nodes are being built */
    int built;
    int64_t values;
};

/* The slot of that name; its name is NULL where there is no such value. */
struct onnx_value *onnx_value_of(struct onnx_import *in, const char *name);
/* Made of its initialiser, if it is not there yet; without an id: it is poison. */
tp_tensor onnx_tensor_of(struct onnx_import *in, struct onnx_value *v, tp_loc at);

#endif
