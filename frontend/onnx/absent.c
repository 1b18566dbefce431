/*
 * absent: what a build without protobuf-c or ONNX's schema says of ONNX files.
 */
#include "frontend/onnx/onnx.h"

static bool absent(struct ir_error *error)
{
    return ir_error(error, IR_UNSUPPORTED,
                    "this build reads no ONNX; it needs protobuf-c-compiler libprotobuf-c-dev "
                    "libonnx-dev");
}

struct onnx_model *tp_onnx_read(const char *path, struct ir_error *error)
{
    (void)path;
    absent(error);
    return NULL;
}

bool tp_onnx_read_value(const char *path, struct ir_arena *arena, struct ir_array *array,
                        struct ir_error *error)
{
    (void)path, (void)arena, (void)array;
    return absent(error);
}

bool tp_onnx_import(const struct onnx_model *m, tp_graph *g, const struct onnx_request *request,
                    struct ir_error *error)
{
    (void)m, (void)g, (void)request;
    return absent(error);
}

bool tp_onnx_supported(const struct onnx_model *m, struct ir_error *error)
{
    (void)m;
    return absent(error);
}

bool tp_onnx_write(tp_graph *owner, const struct ir_graph *g, const char *path,
                   struct ir_error *error)
{
    (void)owner, (void)g, (void)path;
    return absent(error);
}

void tp_onnx_free(struct onnx_model *m)
{
    (void)m;
}

int tp_onnx_inputs(const struct onnx_model *m)
{
    (void)m;
    return 0;
}

int tp_onnx_outputs(const struct onnx_model *m)
{
    (void)m;
    return 0;
}

int tp_onnx_nodes(const struct onnx_model *m)
{
    (void)m;
    return 0;
}

int tp_onnx_initialisers(const struct onnx_model *m)
{
    (void)m;
    return 0;
}

int64_t tp_onnx_opset(const struct onnx_model *m)
{
    (void)m;
    return 0;
}

const struct onnx_port *tp_onnx_input(const struct onnx_model *m, int i)
{
    (void)m, (void)i;
    return NULL;
}

const struct onnx_port *tp_onnx_output(const struct onnx_model *m, int i)
{
    (void)m, (void)i;
    return NULL;
}
