/*
 * read.h: what the files of the importer share and others do not see: the unpacked messages.
 */
#ifndef TAPER_FRONTEND_ONNX_READ_H
#define TAPER_FRONTEND_ONNX_READ_H

#include "frontend/onnx/onnx.h"
#include "ir/evaluate.h"
#include "onnx.pb-c.h"

enum { ONNX_OLDEST = 7, ONNX_NEWEST = 27 }; /* versions of the operators */

struct onnx_model {
    char *path;
    const char *file; /* path without its folder */
    Onnx__ModelProto *proto;
    const Onnx__GraphProto *graph;
    int64_t opset;
    struct ir_arena *arena;
    struct onnx_port *input, *output;
    int inputs, outputs;
    const Onnx__TensorProto **otherwise; /* the initialiser of each input, or NULL */
};

/* A message of a file, whole: counted first. NULL with an error. */
void *tp_onnx_unpack(const char *path, const ProtobufCMessageDescriptor *type,
                     struct ir_error *error);

/* external.c: numbers that stand in files beside the model come into the message. */
bool tp_onnx_fetch(const struct onnx_model *m, struct ir_error *error);

/* value.c */
bool tp_onnx_dtype(int type, enum ir_dtype *dtype); /* false: a type that is not supported */
/* A type that is supported, and a shape: bytes that its numbers take. */
bool tp_onnx_check_shape(const Onnx__TensorProto *t, const char *where, uint64_t *bytes,
                         struct ir_error *error);
/* The same, sound, and as many numbers as its shape says; `where` names the file
 * in errors. */
bool tp_onnx_check_value(const Onnx__TensorProto *t, const char *where, struct ir_error *error);
/* Of one that has been checked. */
void tp_onnx_value(const Onnx__TensorProto *t, struct ir_arena *arena, struct ir_array *array);

#endif
