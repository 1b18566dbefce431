/*
 * run_onnx: an ONNX model on inputs from files, and its gradients. The inputs are there before the
 * model is built, so every extent is a number and what they say of shapes is known.
 */
#include "command.h"
#include "frontend/onnx/onnx.h"
#include "ir/evaluate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 512 };

struct job {
    const char *path, *folder, *weights;
    char *input[FILES], *upstream[FILES];
    int inputs, upstreams;
    struct onnx_model *model;
    struct ir_arena *arena;
    struct ir_array *given; /* for each input of the model; data NULL: its initialiser's */
    tp_graph *graph;
    tp_tensor *in, *out;
    struct ir_error *error;
};

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);

    return length >= tail && strcmp(path + length - tail, end) == 0;
}

bool command_is_onnx(const char *path)
{
    return ends_with(path, ".onnx");
}

static bool read_array(struct job *j, const char *path, struct ir_array *array)
{
    if (ends_with(path, ".npy") || ends_with(path, ".npy.gz"))
        return tp_npy_read(path, j->arena, array, j->error);
    return tp_onnx_read_value(path, j->arena, array, j->error);
}

/* The input that a file names before an equals sign; how many there are where it names none. */
static int named_input(const struct job *j, const char *file)
{
    const int count = tp_onnx_inputs(j->model);
    const char *equals = strchr(file, '=');
    int at = equals ? 0 : count;

    for (; at < count; at++) {
        const char *name = tp_onnx_input(j->model, at)->name;
        if (strlen(name) == (size_t)(equals - file) && strncmp(name, file, strlen(name)) == 0)
            break;
    }
    return at;
}

/* NAME=FILE where there is an input of that name; else the next input that has no file yet. Those
 * with an initialiser are passed over where the files are no more than the others. */
static bool take_inputs(struct job *j)
{
    const int count = tp_onnx_inputs(j->model);
    int needed = 0, unnamed = 0;

    for (int i = 0; i < count; i++)
        needed += !tp_onnx_input(j->model, i)->optional;
    for (int i = 0; i < j->inputs; i++) {
        const int at = named_input(j, j->input[i]);
        unnamed += at == count;
        needed -= at < count && !tp_onnx_input(j->model, at)->optional;
    }

    for (int i = 0; i < j->inputs; i++) {
        const char *file = j->input[i];
        int at = named_input(j, file);

        if (at < count)
            file = strchr(file, '=') + 1;
        else
            for (at = 0;
                 at < count && (j->given[at].data ||
                                (unnamed <= needed && tp_onnx_input(j->model, at)->optional));)
                at++;
        if (at == count)
            return ir_error(j->error, IR_REFUSED, "%.200s: the model has %d inputs", file, count);
        if (j->given[at].data)
            return ir_error(j->error, IR_REFUSED, "input \"%.60s\" is given twice",
                            tp_onnx_input(j->model, at)->name);
        if (!read_array(j, file, &j->given[at]))
            return false;
    }
    return true;
}

static bool check_input(struct job *j, int i)
{
    const struct onnx_port *p = tp_onnx_input(j->model, i);
    const struct ir_array *a = &j->given[i];
    struct ir_text has = { 0 };
    bool ok = a->dtype == p->dtype && (!p->shaped || p->rank == a->shape.rank);

    for (int k = 0; ok && p->shaped && k < p->rank; k++)
        ok = p->dim[k] < 0 || p->dim[k] == a->shape.dim[k];
    if (!ok) {
        ir_put_shape(&has, NULL, a->dtype, &a->shape);
        ir_error(j->error, IR_REFUSED, "input \"%.60s\": its file has %.80s; expected %s%s",
                 p->name, has.data, ir_dtypes[p->dtype].name,
                 p->shaped ? " and the model's shape" : "");
        ir_text_free(&has);
    }
    return ok;
}

static bool build(struct job *j)
{
    const int count = tp_onnx_inputs(j->model);

    j->graph = tp_graph_new(1);
    if (!j->graph)
        return ir_error(j->error, IR_FAILED, "not enough memory");
    tp_on_warning(j->graph, NULL, NULL);
    for (int i = 0; i < count; i++) {
        const struct onnx_port *p = tp_onnx_input(j->model, i);
        const struct ir_array *a = &j->given[i];
        tp_shape shape = { .rank = a->shape.rank };

        if (!a->data && p->optional)
            continue;
        if (!a->data)
            return ir_error(j->error, IR_REFUSED, "no file for input \"%.60s\"; expected --input",
                            p->name);
        if (!check_input(j, i))
            return false;
        memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
        j->in[i] = tp_input(j->graph, p->name, (tp_dtype)(a->dtype + 1), shape);
    }
    if (tp_error(j->graph))
        return ir_error(j->error, tp_status(j->graph), "%s", tp_error(j->graph));
    if (!tp_onnx_import(
            j->model, j->graph,
            &(struct onnx_request){ .input = j->in, .known = j->given, .output = j->out },
            j->error))
        return false;
    return !j->weights || tp_load(j->graph, j->weights) ||
           ir_error(j->error, tp_status(j->graph), "%s", tp_error(j->graph));
}

static bool make_folder(const char *folder, struct ir_error *error)
{
    struct stat about;

    if (mkdir(folder, 0777) == 0 ||
        (errno == EEXIST && stat(folder, &about) == 0 && S_ISDIR(about.st_mode)))
        return true;
    return ir_error(error, IR_REFUSED, "%.200s: cannot be made: %s", folder, strerror(errno));
}

static bool write_array(struct job *j, const char *name, int i, const struct ir_array *array)
{
    return tp_npy_write(ir_format(j->arena, "%s/%s_%d.npy", j->folder, name, i), array, j->error);
}

/* Compiled and run once; NAME_0.npy, .. of the values that are there. */
static bool run_values(struct job *j, int n, const tp_tensor *value, const char *const *name,
                       const int *number)
{
    tp_program *p;
    bool ok;

    p = tp_compile_at(j->graph, (tp_list){ n, value }, (tp_compile_args){ .mode = TP_EVAL },
                      TP_HERE);
    for (int i = 0; p && i < tp_onnx_inputs(j->model); i++) {
        const struct port *port =
            j->in[i].id ? tp_program_input(p, tp_onnx_input(j->model, i)->name) : NULL;
        if (port && port->bytes)
            memcpy(port->data, j->given[i].data, port->bytes);
    }
    ok = p && tp_run(p);
    for (int i = 0; ok && i < n; i++) {
        const struct ir_node *node = tp_node(value[i]);
        struct ir_array array = { .dtype = node->dtype, .shape = node->shape };
        const size_t bytes = (size_t)ir_count(&array.shape) * (size_t)ir_dtypes[node->dtype].bytes;

        array.data = ir_alloc(j->arena, bytes + 1);
        ok = tp_read(p, value[i], array.data, bytes) && write_array(j, name[i], number[i], &array);
    }
    if (!ok && tp_error(j->graph))
        ir_error(j->error, tp_status(j->graph), "%s", tp_error(j->graph));
    return ok;
}

static bool run_outputs(struct job *j)
{
    const int n = tp_onnx_outputs(j->model);
    const char **name = ir_alloc(j->arena, (size_t)(n + 1) * sizeof *name);
    int *number = ir_alloc(j->arena, (size_t)(n + 1) * sizeof *number);

    for (int i = 0; i < n; i++) {
        name[i] = "output";
        number[i] = i;
    }
    return run_values(j, n, j->out, name, number);
}

/* The gradient of the sum of upstream * output, by each input of a floating type; else zeros. */
static bool run_gradients(struct job *j)
{
    const int n = tp_onnx_outputs(j->model), inputs = tp_onnx_inputs(j->model);
    tp_tensor *value = ir_alloc(j->arena, (size_t)(n + inputs + 1) * sizeof *value),
              *wrt = ir_alloc(j->arena, (size_t)(inputs + 1) * sizeof *wrt),
              *grad = ir_alloc(j->arena, (size_t)(inputs + 1) * sizeof *grad);
    const char **name = ir_alloc(j->arena, (size_t)(n + inputs + 1) * sizeof *name);
    int *number = ir_alloc(j->arena, (size_t)(n + inputs + 1) * sizeof *number), count = 0,
        from = 0;
    int *which = ir_alloc(j->arena, (size_t)(inputs + 1) * sizeof *which);
    tp_tensor *total = ir_alloc(j->arena, (size_t)(inputs + 1) * sizeof *total);

    if (j->upstreams != n)
        return ir_error(j->error, IR_REFUSED,
                        "%d upstream gradients for %d outputs; expected one each, - for none",
                        j->upstreams, n);
    for (int i = 0; i < inputs; i++)
        if (j->in[i].id && ir_is_real(j->given[i].dtype)) {
            wrt[count] = j->in[i];
            which[count++] = i;
        }
    for (int i = 0; i < n; i++) {
        struct ir_array up;
        tp_tensor arriving;
        tp_shape shape = tp_shape_of(j->out[i]);

        if (strcmp(j->upstream[i], "-") == 0)
            continue;
        if (!read_array(j, j->upstream[i], &up))
            return false;
        if (up.dtype != tp_node(j->out[i])->dtype || !ir_is_real(up.dtype) ||
            !ir_same_shape(&up.shape, &tp_node(j->out[i])->shape))
            return ir_error(j->error, IR_REFUSED, "%.200s: expected the type and shape of %s",
                            j->upstream[i], tp_describe(j->out[i]));
        arriving = tp_array_at(j->graph, tp_dtype_of(j->out[i]), shape, up.data, TP_HERE);
        if (count && !tp_vjp_at(j->out[i], arriving, count, wrt, grad, TP_HERE))
            return ir_error(j->error, tp_status(j->graph), "%s", tp_error(j->graph));
        for (int k = 0; k < count; k++)
            total[k] = total[k].id ? tp_add(total[k], grad[k]) : grad[k];
    }
    for (int i = 0; i < n; i++, from++) {
        value[from] = j->out[i];
        name[from] = "output";
        number[from] = i;
    }
    for (int i = 0; i < inputs; i++) {
        struct ir_array zeros = j->given[i];
        int k = 0;

        while (k < count && which[k] != i)
            k++;
        if (k < count && total[k].id) {
            value[from] = total[k];
            name[from] = "grad";
            number[from++] = i;
        } else if (zeros.data) {
            zeros.data =
                ir_alloc(j->arena,
                         (size_t)ir_count(&zeros.shape) * (size_t)ir_dtypes[zeros.dtype].bytes + 1);
            if (!write_array(j, "grad", i, &zeros))
                return false;
        }
    }
    return run_values(j, from, value, name, number);
}

/* What follows --input and --upstream is files, until the next option. */
static int take_files(struct job *j, int argc, char **argv)
{
    char **list = j->input;
    int *count = &j->inputs, words = 0;

    for (int i = 0; i < argc; i++) {
        char *word = argv[i];

        if (strcmp(word, "--input") == 0) {
            list = j->input, count = &j->inputs;
        } else if (strcmp(word, "--upstream") == 0) {
            list = j->upstream, count = &j->upstreams;
        } else if (strncmp(word, "--", 2) == 0) {
            argv[words++] = word;
            if (i + 1 < argc && !strchr(word, '=') && strcmp(word, "--help") != 0)
                argv[words++] = argv[++i];
        } else if (command_is_onnx(word) && !j->path) {
            j->path = word;
        } else if (*count < FILES) {
            list[(*count)++] = word;
        }
    }
    return words;
}

static int model_once(int argc, char **argv, bool grad, struct ir_error *error)
{
    struct job j = { .error = error };
    const struct option options[] = {
        { "--output-dir", 's', &j.folder, "D", "where the arrays go" },
        { "--weights", 's', &j.weights, "F", "numbers of its parameters: .safetensors or .npz" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        grad ? "taper grad MODEL.onnx --input F.. --upstream F|-.. --output-dir D"
             : "taper run MODEL.onnx --input F.. --output-dir D",
        "Runs an ONNX model once. Inputs are files, .npy or .pb, in the graph's order or as "
        "NAME=F;\n"
        "those with an initialiser may be left out. The outputs become D/output_0.npy, ..; with\n"
        "`grad` the gradients of all inputs for the given ones of the outputs (- for none)\n"
        "D/grad_0.npy, ..",
        "taper run model.onnx --input x.npy --output-dir out", options
    };
    int words = take_files(&j, argc, argv);

    words = command_options(words, argv, &usage, error);
    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (!j.path || !j.folder || words != 0)
        return ir_error(error, IR_REFUSED,
                        "expected a model, files of its inputs and --output-dir"),
               IR_REFUSED;
    j.model = tp_onnx_read(j.path, error);
    if (j.model) {
        const size_t inputs = (size_t)tp_onnx_inputs(j.model) + 1;
        j.arena = ir_arena_new();
        j.given = ir_alloc(j.arena, inputs * sizeof *j.given);
        j.in = ir_alloc(j.arena, inputs * sizeof *j.in);
        j.out = ir_alloc(j.arena, ((size_t)tp_onnx_outputs(j.model) + 1) * sizeof *j.out);
        if (take_inputs(&j) && build(&j) && make_folder(j.folder, error) &&
            !(grad ? run_gradients(&j) : run_outputs(&j)))
            ir_error(error, IR_FAILED, "%.200s: the run failed", j.path);
        tp_graph_free(j.graph);
        ir_arena_free(j.arena);
        tp_onnx_free(j.model);
    }
    return error->status;
}

int command_run_onnx(int argc, char **argv, struct ir_error *error)
{
    return model_once(argc, argv, false, error);
}

int command_grad(int argc, char **argv, struct ir_error *error)
{
    return model_once(argc, argv, true, error);
}
