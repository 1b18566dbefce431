/*
 * What is written as ONNX computes the same: every built-in model, and every program of the goldens
 * that can be spelled, is written, read again and computed by the interpreter on equal numbers.
 *
 * With $TAPER_EXPORT_DIR each model is left there beside its inputs and outputs, for
 * tests/onnx_export.py, which asks onnx's checker and onnxruntime.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontend/data.h"
#include "frontend/frontend.h"
#include "frontend/models.h"
#include "frontend/onnx/onnx.h"
#include "ir/evaluate.h"
#include "support_files.h"

enum { MOST = 40 };

TestSuite(onnx_out, .init = support_enter, .fini = support_leave);

static bool absent(void)
{
    struct ir_error error = { 0 };

    tp_onnx_free(tp_onnx_read("nothing.onnx", &error));
    return error.status == IR_UNSUPPORTED;
}

/* --- numbers -------------------------------------------------------------------------------------
 */

static double drawn(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 40) / (1 << 24);
}

/* Floats of 0.1 to 0.9; integers and bytes that are indices of small axes. */
static struct ir_array random_array(struct ir_arena *arena, enum ir_dtype dtype,
                                    struct ir_shape shape, int64_t below, uint64_t *state)
{
    struct ir_array a = { .dtype = dtype, .shape = shape };
    const int64_t count = ir_count(&shape);

    a.data = ir_alloc(arena, (size_t)(count + 1) * (size_t)ir_dtypes[dtype].bytes);
    for (int64_t i = 0; i < count; i++) {
        const double number = drawn(state);
        if (ir_is_real(dtype)) {
            const double value = 0.1 + 0.8 * number;
            ir_store_real(&a, i, 1, &value);
        } else {
            const wide value = (wide)(number * (double)(dtype == IR_BOOL ? 2 : below));
            ir_store_exact(&a, i, 1, &value);
        }
    }
    return a;
}

static double tolerance(enum ir_dtype dtype)
{
    return ir_narrow(dtype) ? 2e-2 : 1e-5;
}

static bool alike(const struct ir_array *a, const struct ir_array *b)
{
    if (a->dtype != b->dtype || !ir_same_shape(&a->shape, &b->shape))
        return false;
    if (!ir_is_real(a->dtype))
        return memcmp(a->data, b->data,
                      (size_t)ir_count(&a->shape) * (size_t)ir_dtypes[a->dtype].bytes) == 0;
    for (int64_t i = 0; i < ir_count(&a->shape); i++) {
        double x, y;
        ir_load_real(&x, a, NULL, i, 1);
        ir_load_real(&y, b, NULL, i, 1);
        if (!(fabs(x - y) <= tolerance(a->dtype) * (1 + fabs(x))) && !(isnan(x) && isnan(y)) &&
            x != y)
            return false;
    }
    return true;
}

/* --- there and back ------------------------------------------------------------------------------
 */

struct once { /* a model on some numbers */
    const char *name;
    struct ir_arena *arena;
    int inputs, outputs;
    struct ir_binding in[MOST];
    struct ir_array out[MOST];
};

static void keep(const struct once *o, const char *path)
{
    const char *dir = getenv("TAPER_EXPORT_DIR");
    struct ir_error error = { 0 };
    char to[400], command[1000];

    if (!dir)
        return;
    snprintf(to, sizeof to, "%s/%s", dir, o->name);
    mkdir(to, 0777);
    snprintf(command, sizeof command, "cp %s %s/model.onnx", path, to);
    cr_assert(system(command) == 0);
    for (int i = 0; i < o->inputs; i++)
        tp_npy_write(ir_format(o->arena, "%s/input_%d.npy", to, i), &o->in[i].array, &error);
    for (int i = 0; i < o->outputs; i++)
        tp_npy_write(ir_format(o->arena, "%s/output_%d.npy", to, i), &o->out[i], &error);
    cr_assert(error.status == IR_OK, "%s", error.text);
}

/* The file's values on the same numbers; `known`: as in a single run. */
static bool read_back(const struct once *o, const char *path, struct ir_array *out,
                      struct ir_error *error)
{
    struct onnx_model *m = tp_onnx_read(path, error);
    struct ir_binding bound[200];
    struct ir_array known[MOST] = { { 0 } };
    tp_tensor in[MOST] = { { 0 } }, value[MOST] = { { 0 } };
    ir_val wanted[MOST];
    int count = 0;
    bool ok = m != NULL;

    if (!ok)
        return false;
    tp_graph *g = tp_graph_new(1);
    cr_assert(tp_onnx_inputs(m) <= MOST && tp_onnx_outputs(m) == o->outputs);
    for (int i = 0; i < tp_onnx_inputs(m); i++)
        for (int k = 0; k < o->inputs; k++)
            if (strcmp(tp_onnx_input(m, i)->name, o->in[k].name) == 0) {
                tp_shape shape = { .rank = o->in[k].array.shape.rank };
                memcpy(shape.dim, o->in[k].array.shape.dim, sizeof shape.dim);
                known[i] = o->in[k].array;
                bound[count++] = o->in[k];
                in[i] = tp_input(g, o->in[k].name, (tp_dtype)(o->in[k].array.dtype + 1), shape);
            }
    ok = tp_onnx_import(
        m, g, &(struct onnx_request){ .input = in, .known = known, .output = value }, error);
    for (int i = 0; ok && i < g->state_count; i++)
        if (count < 200)
            bound[count++] = (struct ir_binding){ g->states[i].name,
                                                  { g->states[i].dtype, g->states[i].shape,
                                                    tp_state_numbers(g, &g->states[i]) } };
    for (int i = 0; ok && i < o->outputs; i++)
        wanted[i] = tp_val(value[i]);
    ok = ok && ir_evaluate(g->ir, count, bound, o->outputs, wanted, out, o->arena, error);
    tp_graph_free(g);
    tp_onnx_free(m);
    return ok;
}

static void compare(const struct once *o, const char *path)
{
    struct ir_array again[MOST];
    struct ir_error error = { 0 };

    keep(o, path);
    cr_assert(read_back(o, path, again, &error), "%s: read back: %s", o->name, error.text);
    for (int i = 0; i < o->outputs; i++)
        cr_expect(alike(&o->out[i], &again[i]), "%s: output %d is another", o->name, i);
}

/* --- the built-in models -------------------------------------------------------------------------
 */

/* Statistics and scales that are not 0 and 1, so that each of them is seen. */
static void stir(tp_graph *g, struct ir_arena *arena)
{
    uint64_t state = 7;

    for (int i = 0; i < g->state_count; i++)
        if (strstr(g->states[i].name, "running") || strstr(g->states[i].name, "bias")) {
            const struct state *s = &g->states[i];
            struct ir_array a = random_array(arena, s->dtype, s->shape, 1, &state);
            tp_set_values((tp_tensor){ .g = g, .id = s->value.id }, a.data,
                          (size_t)ir_count(&s->shape) * 4);
        }
}

Test(onnx_out, built_in_models_compute_the_same_read_back)
{
    static const struct {
        const char *name;
        tp_dtype dtype;
        tp_shape x, y;
        struct model_sizes size;
        int64_t below;
    } rows[] = {
        { "mlp", TP_U8, { 3, { 1, 28, 28 } }, { 0 }, { .hidden = 16, .classes = 10 }, 256 },
        { "mlp-wide", TP_U8, { 3, { 1, 28, 28 } }, { 0 }, { .hidden = 32, .classes = 10 }, 256 },
        { "lenet", TP_U8, { 3, { 1, 28, 28 } }, { 0 }, { .classes = 10 }, 256 },
        { "resnet20", TP_U8, { 3, { 3, 32, 32 } }, { 0 }, { .classes = 10 }, 256 },
        { "autoencoder", TP_U8, { 3, { 1, 28, 28 } }, { 0 }, { .hidden = 8, .classes = 10 }, 256 },
        { "planar", TP_F32, { 1, { 2 } }, { 0 }, { .hidden = 10, .classes = 2 }, 1 },
        { "moons", TP_F32, { 1, { 2 } }, { 0 }, { .hidden = 16, .classes = 2 }, 1 },
        { "gpt", TP_I32, { 1, { 12 } }, { 1, { 12 } }, { 32, 40, 40, 2, 4 }, 40 },
        { "gpt2", TP_I32, { 1, { 12 } }, { 1, { 12 } }, { 32, 40, 40, 2, 4 }, 40 },
        { "lstm", TP_I32, { 1, { 9 } }, { 1, { 9 } }, { 16, 30, 30, 0, 0 }, 30 },
        { "gru", TP_I32, { 1, { 9 } }, { 1, { 9 } }, { 16, 30, 30, 0, 0 }, 30 },
        { "names", TP_I32, { 1, { 8 } }, { 0 }, { 16, 27, 27, 0, 0 }, 27 },
        { "sentiment", TP_I32, { 1, { 20 } }, { 0 }, { 12, 2, 50, 0, 0 }, 50 },
    };

    if (absent())
        return;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        const struct model *m = tp_model_find(rows[r].name);
        const char *const output = "scores";
        struct once o = {
            .name = rows[r].name, .arena = ir_arena_new(), .inputs = 1, .outputs = 1
        };
        struct ir_shape sizes = { .rank = rows[r].x.rank + 1, .dim = { 3 } };
        tp_shape x = rows[r].x, y = rows[r].y;
        tp_graph *g = tp_graph_new(5);
        const int64_t batch = tp_symbol(g, "batch", 1, 50);
        uint64_t state = r + 1;
        struct model_values v;
        tp_program *p;
        size_t bytes;

        memcpy(sizes.dim + 1, x.dim, (size_t)x.rank * sizeof *x.dim);
        memmove(x.dim + 1, x.dim, (size_t)x.rank++ * sizeof *x.dim);
        memmove(y.dim + 1, y.dim, (size_t)y.rank++ * sizeof *y.dim);
        x.dim[0] = y.dim[0] = batch;
        v = m->build(tp_input(g, "x", rows[r].dtype, x), tp_input(g, "y", TP_I32, y),
                     &rows[r].size);
        cr_assert(tp_error(g) == NULL, "%s: %s", o.name, tp_error(g));
        stir(g, o.arena);
        o.in[0] =
            (struct ir_binding){ "x", random_array(o.arena, (enum ir_dtype)(rows[r].dtype - 1),
                                                   sizes, rows[r].below, &state) };
        cr_assert(tp_export_named(g, 1, &v.output, &output, "m.onnx"), "%s: %s", o.name,
                  tp_error(g));
        p = tp_compile_at(g, tp_list(v.output), (tp_compile_args){ .mode = TP_EVAL }, TP_HERE);
        cr_assert(p && tp_rows(p, 3), "%s: %s", o.name, tp_error(g));
        memcpy(tp_program_input(p, "x")->data, o.in[0].array.data,
               (size_t)ir_count(&sizes) * (size_t)ir_dtypes[rows[r].dtype - 1].bytes);
        cr_assert(tp_run(p), "%s: %s", o.name, tp_error(g));
        o.out[0] = (struct ir_array){ .dtype = tp_node(v.output)->dtype,
                                      .shape = tp_node(v.output)->shape };
        for (int i = 0; i < o.out[0].shape.rank; i++)
            if (!ir_dim_fixed(o.out[0].shape.dim[i]))
                o.out[0].shape.dim[i] = 3;
        bytes = (size_t)ir_count(&o.out[0].shape) * 4;
        o.out[0].data = ir_alloc(o.arena, bytes + 4);
        cr_assert(tp_read(p, v.output, o.out[0].data, bytes), "%s: %s", o.name, tp_error(g));
        compare(&o, "m.onnx");
        /* what is settled in a program's memory is written as well */
        cr_assert(tp_export_onnx(g, "again.onnx", v.output), "%s: %s", o.name, tp_error(g));
        ir_arena_free(o.arena);
        tp_graph_free(g);
    }
}

/* --- the goldens' programs -----------------------------------------------------------------------
 */

static char *text_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 18), *end;

    cr_assert(file && text);
    text[fread(text, 1, (1 << 18) - 1, file)] = 0;
    fclose(file);
    end = strstr(text, "\n----");
    if (end)
        end[1] = 0;
    return text;
}

/* Random numbers for the inputs and the program's own values of them; false: it has none. */
static bool computed(struct once *o, const struct ir_graph *g)
{
    int64_t symbols[IR_SYMBOLS];
    struct ir_error error = { 0 };
    ir_val wanted[MOST];
    uint64_t state = 11;

    if (g->effect_count || g->output_count == 0 || g->output_count > MOST)
        return false;
    for (int s = 0; s < g->symbols; s++)
        symbols[s] = g->symbol[s].hi < 3   ? g->symbol[s].hi
                     : g->symbol[s].lo > 3 ? g->symbol[s].lo
                                           : 3;
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        struct ir_shape shape = n->shape;
        if (ir_elements(g, &n->shape) > 1 << 20)
            return false;
        if (n->op != IR_input)
            continue;
        if (o->inputs == MOST)
            return false;
        for (int i = 0; i < shape.rank; i++)
            shape.dim[i] = ir_dim_value(g, shape.dim[i], symbols);
        o->in[o->inputs++] =
            (struct ir_binding){ n->text, random_array(o->arena, n->dtype, shape, 2, &state) };
    }
    o->outputs = g->output_count;
    for (int i = 0; i < o->outputs; i++)
        wanted[i] = g->outputs[i].value;
    return ir_evaluate(g, o->inputs, o->in, o->outputs, wanted, o->out, o->arena, &error);
}

static int one_golden(const char *stage, const char *name, int *refused)
{
    struct ir_arena *arena = ir_arena_new();
    char *text = text_of(ir_format(arena, "%s/tests/golden/%s/%s", TAPER_SOURCE, stage, name));
    struct ir_error error = { 0 };
    struct ir_module *m = ir_parse(name, text, strlen(text), &error);
    int written = 0;

    for (int i = 0; m && i < m->count; i++) {
        const struct ir_graph *g = m->program[i]->graph;
        struct once o = { .name = ir_format(arena, "%s-%s-%d", stage, name, i), .arena = arena };
        tp_graph *owner;

        if (m->program[i]->kernel_count || !computed(&o, g))
            continue;
        owner = tp_graph_new(g->seed);
        for (uint32_t v = 1; v < g->count; v++)
            if (g->nodes[v].op == IR_state)
                tp_state_of(owner, &g->nodes[v], STATE_PARAMETER);
        error = (struct ir_error){ 0 };
        if (tp_onnx_write(owner, g, "m.onnx", &error)) {
            compare(&o, "m.onnx");
            written++;
        } else {
            cr_expect(error.status == IR_UNSUPPORTED && support_one_line(&error), "%s: %s", o.name,
                      error.text);
            ++*refused;
        }
        tp_graph_free(owner);
    }
    ir_module_free(m);
    free(text);
    ir_arena_free(arena);
    return written;
}

Test(onnx_out, programs_of_the_goldens_compute_the_same_read_back)
{
    static const char *const stages[] = { "trace", "simple", "grad", "fuse" };
    int written = 0, refused = 0;

    if (absent())
        return;
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        char folder[300];
        struct dirent *entry;
        DIR *dir;

        snprintf(folder, sizeof folder, "%s/tests/golden/%s", TAPER_SOURCE, stages[s]);
        dir = opendir(folder);
        cr_assert(dir != NULL);
        while ((entry = readdir(dir)))
            if (entry->d_name[0] != '.')
                written += one_golden(stages[s], entry->d_name, &refused);
        closedir(dir);
    }
    fprintf(stderr, "%d programs written, %d not\n", written, refused);
    cr_expect(written >= 40 && refused * 8 < written, "%d written, %d refused", written, refused);
}

/* --- what cannot be ------------------------------------------------------------------------------
 */

Test(onnx_out, what_onnx_has_not_is_refused_by_one_line_and_the_file_stays)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4));
    char was[8] = { 0 };

    if (absent()) {
        tp_graph_free(g);
        return;
    }
    support_put_text("m.onnx", "before");
    cr_expect(!tp_export_onnx(g, "m.onnx", tp_erfinv(x)) && tp_status(g) == 3, "%s", tp_error(g));
    cr_expect(strstr(tp_error(g), "onnx_out.c:") && strstr(tp_error(g), "erfinv"), "%s",
              tp_error(g));
    cr_expect(support_get("m.onnx", was, sizeof was) == 6 && strcmp(was, "before") == 0);
    tp_graph_free(g);

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(4));
    cr_expect(!tp_export_onnx(g, "no/folder/m.onnx", tp_neg(x)) && tp_error(g));
    tp_graph_free(g);
}

/* --- damaged files -------------------------------------------------------------------------------
 */

/* Read, and recorded on inputs of the shapes that it says. */
static bool take(const char *path, struct ir_error *error)
{
    struct onnx_model *m = tp_onnx_read(path, error);
    tp_graph *g = m ? tp_graph_new(1) : NULL;
    tp_tensor in[MOST] = { { 0 } }, out[MOST] = { { 0 } };
    bool ok = m && tp_onnx_inputs(m) <= MOST && tp_onnx_outputs(m) <= MOST;

    if (m && !ok)
        ir_error(error, IR_UNSUPPORTED, "too many");
    for (int i = 0; ok && i < tp_onnx_inputs(m); i++) {
        const struct onnx_port *p = tp_onnx_input(m, i);
        tp_shape shape = { .rank = p->rank };
        for (int k = 0; k < p->rank; k++)
            shape.dim[k] = p->dim[k] < 0 ? 3 : p->dim[k];
        in[i] = tp_input(g, p->name, (tp_dtype)(p->dtype + 1), shape);
        ok = !tp_error(g) || ir_error(error, tp_status(g), "%s", tp_error(g));
    }
    ok = ok && tp_onnx_supported(m, error) &&
         tp_onnx_import(m, g, &(struct onnx_request){ .input = in, .output = out }, error);
    tp_graph_free(g);
    tp_onnx_free(m);
    return ok;
}

static void doubled(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    carry[0] = tp_add(tp_mul(carry[0], 2), x[0]);
    y[0] = tp_tanh(carry[0]);
}

Test(onnx_out, damaged_files_are_refused_by_one_line)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(3, 2)), y, h = tp_index(x, 0);

    if (!absent()) {
        cr_assert(tp_scan(g, doubled, NULL, 1, &h, 1, &x, 1, &y));
        y = tp_linear(y, "fc", 2);
        cr_assert(tp_export_onnx(g, "loop.onnx", y, h), "%s", tp_error(g));
        support_cuts("loop.onnx", take);
        support_flips("loop.onnx", take);
    }
    tp_graph_free(g);
}
