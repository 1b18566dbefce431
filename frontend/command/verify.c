/*
 * verify: is a file sound? It is read as hostile and nothing in it is run.
 *
 * What a file is, is told by its first bytes; its name decides only where those say nothing.
 */
#include "command.h"
#include "frontend/data.h"
#include "frontend/onnx/onnx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 64, BURDEN = 64 /* MiB */ };

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);

    return length >= tail && strcmp(path + length - tail, end) == 0;
}

static bool verify_safetensors(const char *path, struct ir_error *error)
{
    struct file_safetensors *file = tp_safetensors_open(path, error);

    if (!file)
        return false;
    printf("%s: safetensors, %lld tensors, sound\n", path, (long long)file->count);
    tp_safetensors_close(file);
    return true;
}

static bool verify_checkpoint(const char *path, struct ir_error *error)
{
    int64_t states, bytes;

    if (!tp_checkpoint_verify(path, &states, &bytes, error))
        return false;
    printf("%s: checkpoint, %lld states of %lld bytes, sound\n", path, (long long)states,
           (long long)bytes);
    return true;
}

static bool verify_data(const char *format, const char *path, struct ir_error *error)
{
    char said[100];

    if (!tp_data_verify(format, path, said, error))
        return false;
    printf("%s: %s, sound\n", path, said);
    return true;
}

/* What a program's states, inputs and outputs need; -1 when it fits no machine. */
static int64_t memory_of(const struct ir_graph *g)
{
    int64_t total = 0;

    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        const int64_t elements = ir_elements(g, &n->shape);

        if (n->op != IR_state && n->op != IR_input)
            continue;
        if (elements < 0 || __builtin_add_overflow(total, elements * 8, &total))
            return -1;
    }
    for (int i = 0; i < g->output_count; i++)
        if (__builtin_add_overflow(total, ir_elements(g, &ir_at(g, g->outputs[i].value)->shape) * 8,
                                   &total))
            return -1;
    return total;
}

/* Programs are made ready to run, but for those whose memory alone would be a burden. */
static bool build(const struct ir_module *m, int *built, struct ir_error *error)
{
    tp_graph *g = tp_graph_new(1);

    if (!g)
        return ir_error(error, IR_FAILED, "not enough memory");
    for (int i = 0; i < m->count && !tp_error(g); i++) {
        const struct ir_graph *graph = m->program[i]->graph;
        const int64_t bytes = memory_of(graph);
        if (bytes >= 0 && bytes <= (int64_t)BURDEN << 20)
            *built += tp_program_new(g, command_copy_program(m->program[i], &g->error), NULL,
                                     (struct making){ 0 }) != NULL;
    }
    if (tp_error(g))
        ir_error(error, tp_status(g), "%s", tp_error(g));
    tp_graph_free(g);
    return error->status == IR_OK;
}

static bool verify_model(const char *path, bool compile, struct ir_error *error)
{
    struct ir_module *m = command_read_module(path, error);
    bool ok = m != NULL;
    int built = 0;

    for (int i = 0; ok && i < m->count; i++)
        ok = ir_verify_program(m->program[i], error);
    ok = ok && (!compile || build(m, &built, error));
    if (ok && compile)
        printf("%s: %d program%s, sound, %d built\n", path, m->count, m->count == 1 ? "" : "s",
               built);
    else if (ok)
        printf("%s: %d program%s, sound\n", path, m->count, m->count == 1 ? "" : "s");
    ir_module_free(m);
    return ok;
}

/* With --compile the model is recorded and compiled, open extents being 1. */
static bool build_onnx(const struct onnx_model *m, struct ir_arena *arena, int *built,
                       struct ir_error *error)
{
    const int inputs = tp_onnx_inputs(m), outputs = tp_onnx_outputs(m);
    struct onnx_request request = { .output = ir_alloc(arena, (size_t)(outputs + 1) *
                                                                  sizeof *request.output) };
    tp_tensor *in = ir_alloc(arena, (size_t)(inputs + 1) * sizeof *in);
    tp_graph *g = tp_graph_new(1);
    bool ok = g != NULL;

    if (!ok)
        return ir_error(error, IR_FAILED, "not enough memory");
    tp_on_warning(g, NULL, NULL);
    for (int i = 0; ok && i < inputs; i++) {
        const struct onnx_port *p = tp_onnx_input(m, i);
        tp_shape shape = { .rank = p->rank };

        if (p->optional)
            continue;
        ok = p->shaped || ir_error(error, IR_UNSUPPORTED,
                                   "input \"%.60s\": its shape is not said; expected one", p->name);
        for (int k = 0; k < p->rank; k++)
            shape.dim[k] = p->dim[k] < 0 ? 1 : p->dim[k];
        if (ok)
            in[i] = tp_input(g, p->name, (tp_dtype)(p->dtype + 1), shape);
    }
    request.input = in;
    ok = ok && tp_onnx_import(m, g, &request, error);
    for (int i = 0; ok && i < outputs; i++)
        ir_output(g->ir, tp_onnx_output(m, i)->name, tp_val(request.output[i]));
    if (ok) {
        const int64_t bytes = memory_of(g->ir);
        if (bytes >= 0 && bytes <= (int64_t)BURDEN << 20)
            *built = tp_compile_at(g, (tp_list){ outputs, request.output },
                                   (tp_compile_args){ .mode = TP_EVAL }, TP_HERE) != NULL;
    }
    if (tp_error(g))
        ir_error(error, tp_status(g), "%s", tp_error(g));
    tp_graph_free(g);
    return error->status == IR_OK;
}

static bool verify_onnx(const char *path, bool compile, struct ir_error *error)
{
    struct onnx_model *m = tp_onnx_read(path, error);
    struct ir_arena *arena = ir_arena_new();
    int built = 0;
    const bool ok =
        m && tp_onnx_supported(m, error) && (!compile || build_onnx(m, arena, &built, error));

    if (ok)
        printf("%s: ONNX, operators of version %lld, %d nodes, %d initialisers, sound%s\n", path,
               (long long)tp_onnx_opset(m), tp_onnx_nodes(m), tp_onnx_initialisers(m),
               built ? ", built" : "");
    ir_arena_free(arena);
    tp_onnx_free(m);
    return ok;
}

static bool verify_value(const char *path, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_array array;
    struct ir_text shape = { 0 };
    const bool ok = tp_onnx_read_value(path, arena, &array, error);

    if (ok) {
        ir_put_shape(&shape, NULL, array.dtype, &array.shape);
        printf("%s: ONNX value, %s, sound\n", path, shape.data);
    }
    ir_text_free(&shape);
    ir_arena_free(arena);
    return ok;
}

static bool verify(const char *path, bool compile, struct ir_error *error)
{
    unsigned char head[HEAD] = { 0 };
    struct stat about;
    const char *format;
    FILE *file;
    size_t size;

    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return ir_error(error, IR_REFUSED, "%.200s: is not a plain file", path);
    if (!(file = fopen(path, "rb")))
        return ir_error(error, IR_REFUSED, "%.200s: cannot be read: %s", path, strerror(errno));
    size = fread(head, 1, sizeof head, file);
    fclose(file);
    if (ends_with(path, ".onnx"))
        return verify_onnx(path, compile, error);
    if (ends_with(path, ".pb"))
        return verify_value(path, error);
    if (memcmp(head, "taperck1", 8) == 0)
        return verify_checkpoint(path, error);
    if (memcmp(head, "\x93NUMPY", 6) == 0)
        return verify_data("npy", path, error);
    if (memcmp(head, "PK\3\4", 4) == 0)
        return verify_data("npz", path, error);
    if (ends_with(path, ".safetensors") || (size > 8 && head[8] == '{'))
        return verify_safetensors(path, error);
    format = tp_data_format(path);
    if (ends_with(path, ".safetensors.gz")) /* which are not read packed */
        return verify_safetensors(path, error);
    if (ends_with(path, ".npz.gz"))
        return verify_data("npz", path, error);
    if (format)
        return verify_data(format, path, error);
    if ((head[0] == 0x1f && head[1] == 0x8b) || (size >= 4 && head[0] == 0 && head[1] == 0))
        return verify_data("idx", path, error);
    return verify_model(path, compile, error);
}

int command_verify(int argc, char **argv, struct ir_error *error)
{
    bool compile = false;
    const struct option options[] = {
        { "--compile", 'b', &compile, NULL, "build its program as well" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper verify FILE [--compile]",
        "Says whether a file (.tp, .onnx, .safetensors, checkpoint, IDX, CIFAR, "
        ".npy, .npz, .csv, .txt) is sound,\nwithout running it.",
        "taper verify model.tp --compile", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1)
        ir_error(error, IR_REFUSED, "verify takes one file, %d are given", words);
    else
        verify(argv[0], compile, error);
    return error->status;
}
