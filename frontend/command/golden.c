/*
 * golden: answers questions about operators and about training, as a check from outside.
 *
 * For each case the operator is recorded on a fresh graph by the functions that users call, its
 * gradients are appended, and both are run. What cannot be done is answered `unsupported WORDS`.
 */
#define _GNU_SOURCE /* setenv */
#include "golden.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"

/* --- what operators ask of a question -------------------------------------------------------- */

tp_tensor golden_cannot(struct golden_work *w, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    if (!*w->why)
        vsnprintf(w->why, sizeof w->why, format, list);
    va_end(list);
    return (tp_tensor){ .g = w->g, .id = 0 };
}

static int find_in(const struct golden_case *c, const char *name)
{
    for (int i = 0; i < c->ins; i++)
        if (strcmp(c->in[i].name, name) == 0)
            return i;
    return -1;
}

bool golden_has(const struct golden_work *w, const char *name)
{
    return find_in(w->c, name) >= 0;
}

tp_tensor golden_in(struct golden_work *w, const char *name)
{
    const int i = find_in(w->c, name);

    return i < 0 ? golden_cannot(w, "there is no input %.40s", name) : w->in[i];
}

const struct golden_attr *golden_attr(const struct golden_case *c, const char *name)
{
    for (int i = 0; i < c->attrs; i++)
        if (strcmp(c->attr[i].name, name) == 0)
            return &c->attr[i];
    return NULL;
}

/* Extents, strides and the like: so small that a product with an array's size has no overflow. */
static int64_t sane(struct golden_work *w, const char *name, int64_t number)
{
    if (number >= -(1 << 20) && number <= 1 << 20)
        return number;
    golden_cannot(w, "%.40s has %lld", name, (long long)number);
    return 1;
}

int64_t golden_int(struct golden_work *w, const char *name, int64_t otherwise)
{
    const struct golden_attr *a = golden_attr(w->c, name);

    if (a && a->kind != 'i' && a->kind != 'b')
        golden_cannot(w, "%.40s is no integer", name);
    return a ? sane(w, name, a->integer) : otherwise;
}

double golden_real(struct golden_work *w, const char *name, double otherwise)
{
    const struct golden_attr *a = golden_attr(w->c, name);

    if (a && a->kind != 'f' && a->kind != 'i')
        golden_cannot(w, "%.40s is no number", name);
    return a ? a->kind == 'i' ? (double)a->integer : a->real : otherwise;
}

const char *golden_text(struct golden_work *w, const char *name, const char *otherwise)
{
    const struct golden_attr *a = golden_attr(w->c, name);

    if (a && a->kind != 's')
        golden_cannot(w, "%.40s is no text", name);
    return a && a->text ? a->text : otherwise;
}

tp_shape golden_ints(struct golden_work *w, const char *name)
{
    const struct golden_attr *a = golden_attr(w->c, name);
    tp_shape list = { 0 };

    if (!a || a->kind != 'I' || a->count > IR_RANK)
        golden_cannot(w, "%.40s is no list of at most %d integers", name, IR_RANK);
    else
        for (list.rank = 0; list.rank < a->count; list.rank++)
            list.dim[list.rank] = sane(w, name, a->integers[list.rank]);
    return list;
}

int golden_axis(struct golden_work *w, int64_t axis, int rank)
{
    const int64_t from_start = axis < 0 ? axis + rank : axis;

    if (from_start >= 0 && from_start < rank)
        return (int)from_start;
    golden_cannot(w, "axis %lld of %d", (long long)axis, rank);
    return 0;
}

void golden_out(struct golden_work *w, tp_tensor y)
{
    if (w->outputs == GOLDEN_OUTPUTS)
        golden_cannot(w, "more than %d outputs", GOLDEN_OUTPUTS);
    else
        w->y[w->outputs++] = y;
}

tp_tensor golden_maths(struct golden_work *w, const char *formula, tp_tensor a, tp_tensor b,
                       tp_tensor c, double p, double q, double r)
{
    const struct ir_loc at = { "golden", 0 };
    ir_val letter[26] = { [0] = tp_val(a), [1] = tp_val(b), [2] = tp_val(c) };
    const enum ir_dtype dtype = a.id ? tp_node(a)->dtype : IR_F32;

    if (*w->why || tp_error(w->g) || !a.id)
        return (tp_tensor){ .g = w->g, .id = 0 };
    letter['p' - 'a'] = ir_number(w->g->ir, dtype, p, at);
    letter['q' - 'a'] = ir_number(w->g->ir, dtype, q, at);
    letter['r' - 'a'] = ir_number(w->g->ir, dtype, r, at);
    return tp_give(w->g, ir_formula(w->g->ir, formula, letter, at));
}

/* --- running --------------------------------------------------------------------------------- */

static bool compiled_values(tp_graph *g, int bindings, const struct ir_binding *binding, int n,
                            const tp_tensor *values, struct ir_array *results,
                            struct ir_arena *arena)
{
    tp_program *p = tp_compile(g, ((tp_list){ n, values }), TP_TRAIN);
    bool ok = p != NULL;

    for (uint32_t v = 1; ok && v < g->ir->count; v++)
        for (int i = 0; i < bindings && g->ir->nodes[v].op == IR_input; i++)
            if (strcmp(g->ir->nodes[v].text, binding[i].name) == 0 &&
                tp_program_input(p, binding[i].name)) {
                size_t bytes;
                void *to = tp_buffer(p, (tp_tensor){ .g = g, .id = v }, &bytes);
                if (to && bytes)
                    memcpy(to, binding[i].array.data, bytes);
            }
    ok = ok && tp_run(p);
    for (int i = 0; ok && i < n; i++) {
        size_t bytes;
        const void *from = tp_buffer(p, values[i], &bytes);
        const struct ir_node *node = tp_node(values[i]);

        ok = from != NULL;
        results[i] = (struct ir_array){ node->dtype, node->shape, ir_alloc(arena, bytes + 1) };
        if (ok && bytes)
            memcpy(results[i].data, from, bytes);
    }
    tp_program_free(p);
    return ok;
}

bool golden_values(tp_graph *g, bool interpret, int bindings, const struct ir_binding *binding,
                   int n, const tp_tensor *values, struct ir_array *results, struct ir_arena *arena)
{
    ir_val *wanted = ir_alloc(arena, ((size_t)n + 1) * sizeof *wanted);

    if (!interpret)
        return compiled_values(g, bindings, binding, n, values, results, arena);
    for (int i = 0; i < n; i++)
        wanted[i] = tp_val(values[i]);
    return ir_evaluate(g->ir, bindings, binding, n, wanted, results, arena, &g->error);
}

/* --- one case -------------------------------------------------------------------------------- */

/* Inputs and upstream gradients are inputs of the graph: `in.NAME`, `ct.NAME`. */
static tp_tensor bind(struct golden_work *w, const char *prefix, const struct golden_array *a,
                      struct ir_binding *binding)
{
    tp_shape shape = { .rank = a->shape.rank };

    memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
    binding->name = ir_format(w->g->ir->arena, "%s.%.100s", prefix, a->name);
    binding->array = (struct ir_array){ a->dtype, a->shape, (void *)a->data };
    return tp_input(w->g, binding->name, (tp_dtype)(a->dtype + 1), shape);
}

/* Gradients of sum over outputs of ct * output with respect to the inputs that ask for one. */
static int gradients(struct golden_work *w, const tp_tensor *ct, tp_tensor *grad)
{
    ir_val y[GOLDEN_OUTPUTS], cotangent[GOLDEN_OUTPUTS], wrt[GOLDEN_INPUTS], found[GOLDEN_INPUTS];
    int outputs = 0, n = 0;

    for (int i = 0; i < w->c->cts; i++) {
        const char *name = w->c->ct[i].name;
        char *end;
        const long k = *name == 'y' ? strtol(name + 1, &end, 10) : -1;

        if (k < 0 || *end || k >= w->outputs) {
            golden_cannot(w, "an upstream gradient of %.40s, which is no output", name);
            return 0;
        }
        if (w->y[k].id && (tp_node(w->y[k])->dtype != tp_node(ct[i])->dtype ||
                           !ir_same_shape(&tp_node(w->y[k])->shape, &tp_node(ct[i])->shape)))
            golden_cannot(w, "the upstream gradient of %.40s has another type or shape", name);
        y[outputs] = tp_val(w->y[k]);
        cotangent[outputs++] = tp_val(ct[i]);
    }
    for (int i = 0; i < w->c->ins; i++)
        if (w->c->in[i].wanted)
            wrt[n++] = tp_val(w->in[i]);
    if (*w->why || tp_error(w->g) ||
        !pass_gradients(w->g->ir, outputs, y, cotangent, n, wrt, found))
        return 0;
    for (int i = 0; i < n; i++)
        grad[i] = tp_give(w->g, found[i]);
    return n;
}

static void answer_operator(const struct golden_case *c, bool interpret, struct golden_answers *to)
{
    struct golden_work w = { .g = tp_graph_new(1), .c = c };
    struct ir_binding binding[GOLDEN_INPUTS + GOLDEN_OUTPUTS];
    tp_tensor ct[GOLDEN_OUTPUTS], all[GOLDEN_OUTPUTS + GOLDEN_INPUTS];
    struct ir_array result[GOLDEN_OUTPUTS + GOLDEN_INPUTS];
    struct ir_arena *arena = ir_arena_new();
    golden_op *op = golden_operator(c->op);
    int n = 0;
    bool ok = false;

    if (!w.g)
        ir_bug("golden: no memory for a graph");
    tp_on_warning(w.g, NULL, NULL);
    if (c->ins > GOLDEN_INPUTS || c->cts > GOLDEN_OUTPUTS) {
        golden_cannot(&w, "more than %d inputs", GOLDEN_INPUTS);
    } else {
        for (int i = 0; i < c->ins; i++)
            w.in[i] = bind(&w, "in", &c->in[i], &binding[i]);
        for (int i = 0; i < c->cts; i++)
            ct[i] = bind(&w, "ct", &c->ct[i], &binding[c->ins + i]);
        if (op)
            op(&w);
        else if (!golden_formula(&w))
            golden_cannot(&w, "the operator %.60s", c->op);
        n = gradients(&w, ct, all + w.outputs);
        memcpy(all, w.y, sizeof *all * (size_t)w.outputs);
        if (!*w.why && !tp_error(w.g))
            ok = golden_values(w.g, interpret, c->ins + c->cts, binding, w.outputs + n, all, result,
                               arena);
    }
    if (!ok)
        ir_put(&to->text, "unsupported %s\n", *w.why ? w.why : tp_error(w.g) ? tp_error(w.g) : "");
    for (int i = 0; ok && i < w.outputs; i++)
        golden_put(to, "out", ir_format(arena, "y%d", i), &result[i]);
    for (int i = 0, k = w.outputs; ok && i < c->ins; i++)
        if (c->in[i].wanted)
            golden_put(to, "grad", c->in[i].name, &result[k++]);
    tp_graph_free(w.g);
    ir_arena_free(arena);
}

/* --- the command ----------------------------------------------------------------------------- */

int command_golden(int argc, char **argv, struct ir_error *error)
{
    const char *engine = "interpreter";
    const struct option options[] = { { "--engine", 's', &engine, "E",
                                        "interpreter (the default) or compiled" },
                                      { NULL, 0, NULL, NULL, NULL } };
    const struct usage usage = {
        "taper golden QUESTIONS ANSWERS [options]",
        "Answers QUESTIONS.txt and .bin (operators with their inputs and upstream gradients, "
        "training\n"
        "runs) in ANSWERS.txt and .bin: outputs, gradients, parameters after some steps.",
        "taper golden questions answers", options
    };
    struct golden questions = { 0 };
    struct golden_answers answers = { 0 };
    const int words = command_options(argc, argv, &usage, error);
    const bool interpret = strcmp(engine, "interpreter") == 0;

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 2)
        ir_error(error, IR_REFUSED, "golden: %d files; expected QUESTIONS and ANSWERS", words);
    else if (!interpret && strcmp(engine, "compiled") != 0)
        ir_error(error, IR_REFUSED, "golden: engine \"%.40s\"; expected interpreter or compiled",
                 engine);
    else if (golden_read(&questions, argv[0], error)) {
        if (interpret) /* programs of training runs as well */
            setenv("TAPER_ENGINE", "interpreter", 1);
        ir_put(&answers.text, "golden 1\n");
        for (int i = 0; i < questions.count; i++) {
            const struct golden_case *c = &questions.cases[i];

            ir_put(&answers.text, "case %s %s %s\n", c->id, c->op, c->dtype);
            if (golden_trains(c))
                golden_train(c, interpret, &answers);
            else
                answer_operator(c, interpret, &answers);
            ir_put(&answers.text, "end\n");
        }
        golden_write(&answers, argv[1], error);
    }
    golden_free(&questions);
    ir_text_free(&answers.text);
    free(answers.bytes);
    return error->status;
}
