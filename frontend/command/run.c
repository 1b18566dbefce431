/*
 * run: a program of a .tp file, once, by the interpreter: numbers in as words, values out as text.
 *
 * What an operation gives can so be looked at without writing a program; the manual's examples are
 * computed like this.
 */
#include "command.h"
#include "ir/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 << 20 }; /* elements of all values together: a program is to be looked at */

struct run {
    const struct ir_graph *graph;
    tp_graph *weights; /* whose states have numbers; NULL: they start as their lines say */
    struct ir_arena *arena;
    struct ir_error *error;
    char **word;
    int words;
    bool used[64];
    struct ir_binding *binding;
    int bindings;
};

/* What stands behind NAME= among the words; NULL where nothing does. */
static const char *given(struct run *r, const char *name)
{
    const size_t length = strlen(name);

    for (int i = 0; i < r->words; i++)
        if (strncmp(r->word[i], name, length) == 0 && r->word[i][length] == '=') {
            r->used[i] = true;
            return r->word[i] + length + 1;
        }
    return NULL;
}

/* Numbers with commas between them, into the array where it has memory; how many, -1 with an error.
 */
static int64_t read_numbers(struct run *r, const char *name, const char *text,
                            struct ir_array *into)
{
    int64_t count = 0;

    while (*text) {
        const size_t length = strcspn(text, ",");
        double number;

        if (!ir_read_number(text, length, &number)) {
            ir_error(r->error, IR_REFUSED, "%.60s: \"%.*s\"; expected numbers with commas between",
                     name, (int)(length < 40 ? length : 40), text);
            return -1;
        }
        if (into)
            ir_store_real(into, count, 1, &number);
        count++;
        text += length + (text[length] == ',');
    }
    return count;
}

/* A shape in numbers: symbols that a word gives, and at most one that the count of numbers tells.
 */
static bool fix(struct run *r, const struct ir_node *n, int64_t count, struct ir_shape *shape)
{
    const struct ir_graph *g = r->graph;
    int64_t symbol[IR_SYMBOLS], rest = 1;
    int open = -1;

    for (int s = 0; s < g->symbols; s++) {
        const char *text = given(r, g->symbol[s].name);
        symbol[s] = text ? atoll(text) : g->symbol[s].lo == g->symbol[s].hi ? g->symbol[s].lo : -1;
        if (text && (symbol[s] < g->symbol[s].lo || symbol[s] > g->symbol[s].hi))
            return ir_error(r->error, IR_REFUSED, "%.60s=%.40s: expected %lld to %lld",
                            g->symbol[s].name, text, (long long)g->symbol[s].lo,
                            (long long)g->symbol[s].hi);
    }
    *shape = n->shape;
    for (int i = 0; i < shape->rank; i++) {
        bool known = true;
        for (int s = 0; n->shape.dim[i] < IR_SYMBOLIC && s < g->symbols; s++)
            known = known && (symbol[s] >= 0 ||
                              ir_dim_max(g, n->shape.dim[i]) == ir_dim_min(g, n->shape.dim[i]));
        shape->dim[i] = known ? ir_dim_value(g, n->shape.dim[i], symbol) : -1;
        if (!known && open >= 0)
            return ir_error(r->error, IR_REFUSED,
                            "%.60s has more than one symbolic extent; expected SYMBOL=N among the "
                            "words",
                            n->text);
        if (!known)
            open = i;
        else if (shape->dim[i] && rest > MOST / shape->dim[i])
            rest = MOST;
        else
            rest *= shape->dim[i];
    }
    if (open >= 0 && rest > 0 && count % rest == 0)
        rest *= shape->dim[open] = count / rest;
    if (rest != count || (open >= 0 && shape->dim[open] < 0)) {
        struct ir_text wanted = { 0 };
        ir_put_shape(&wanted, g, n->dtype, &n->shape);
        ir_error(r->error, IR_REFUSED, "%.60s: %lld numbers are given; expected those of %.100s",
                 n->text, (long long)count, wanted.data);
        ir_text_free(&wanted);
        return false;
    }
    return true;
}

static bool bind(struct run *r, const struct ir_node *n)
{
    const char *text = given(r, n->text);
    struct ir_array array = { .dtype = n->dtype };
    int64_t count = text ? read_numbers(r, n->text, text, NULL) : 0;

    if (!text && n->op == IR_state && r->weights) {
        struct state *s = tp_state_find(r->weights, n->text);
        array.shape = s->shape;
        array.data = tp_state_numbers(r->weights, s);
        if (!array.data)
            return ir_error(r->error, IR_FAILED, "not enough memory");
        r->binding[r->bindings++] = (struct ir_binding){ n->text, array };
        return true;
    }
    if (!text && n->op == IR_state)
        return true; /* it starts as its line says */
    if (!text)
        return ir_error(r->error, IR_REFUSED, "no numbers for %.60s; expected %.60s=1,2,..",
                        n->text, n->text);
    if (count < 0 || !fix(r, n, count, &array.shape))
        return false;
    array.data = ir_alloc(r->arena, (size_t)(count + 1) * (size_t)ir_dtypes[n->dtype].bytes);
    read_numbers(r, n->text, text, &array);
    r->binding[r->bindings++] = (struct ir_binding){ n->text, array };
    return true;
}

/* Programs that would need a great deal of memory are refused before any is asked for. */
static bool small(const struct ir_graph *g, struct ir_error *error)
{
    int64_t total = 0;

    for (uint32_t v = 1; v < g->count; v++) {
        const int64_t elements = ir_elements(g, &g->nodes[v].shape);
        if (elements < 0 || __builtin_add_overflow(total, elements, &total) || total > MOST)
            return ir_error(error, IR_REFUSED,
                            "%s: its values have more than %d elements; expected a small program",
                            g->name, MOST);
    }
    return true;
}

static void print(const char *name, const struct ir_graph *g, const struct ir_array *a)
{
    struct ir_text text = { 0 };

    if (name)
        ir_put(&text, "%s = ", name);
    ir_put_shape(&text, g, a->dtype, &a->shape);
    ir_put(&text, " ");
    tp_put_array(&text, a, NULL, NULL);
    printf("%s\n", text.data);
    ir_text_free(&text);
}

static bool run(struct run *r)
{
    const struct ir_graph *g = r->graph;
    const int count = g->output_count + g->effect_count;
    ir_val *value = ir_alloc(r->arena, (size_t)(count + 1) * sizeof *value);
    struct ir_array *result = ir_alloc(r->arena, (size_t)(count + 1) * sizeof *result);

    r->binding = ir_alloc(r->arena, (size_t)g->count * sizeof *r->binding);
    for (uint32_t v = 1; v < g->count; v++)
        if ((g->nodes[v].op == IR_input || g->nodes[v].op == IR_state) && !bind(r, &g->nodes[v]))
            return false;
    for (int i = 0; i < r->words; i++)
        if (!r->used[i])
            return ir_error(r->error, IR_REFUSED,
                            "%.60s: the program has no such input, state or symbol; expected "
                            "NAME=NUMBERS",
                            r->word[i]);
    for (int i = 0; i < g->output_count; i++)
        value[i] = g->outputs[i].value;
    for (int i = 0; i < g->effect_count; i++)
        value[g->output_count + i] = g->effects[i];
    if (!ir_evaluate(g, r->bindings, r->binding, count, value, result, r->arena, r->error))
        return false;
    for (int i = 0; i < g->output_count; i++)
        print(g->outputs[i].name, g, &result[i]);
    for (int i = 0; i < g->effect_count; i++)
        print(ir_at(g, ir_at(g, g->effects[i])->args[0])->text, g, &result[g->output_count + i]);
    return true;
}

/* The program of that name; without one `step`, or the only one. */
static const struct ir_program *choose(const struct ir_module *m, const char *name,
                                       struct ir_error *error)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->program[i]->graph->name, name ? name : "step") == 0)
            return m->program[i];
    if (!name && m->count == 1)
        return m->program[0];
    ir_error(error, IR_REFUSED, "there is no program \"%.60s\" in it; --program names one",
             name ? name : "step");
    return NULL;
}

static bool is_given(void *user, const char *input)
{
    return given(user, input) != NULL;
}

/* A file of weights and their model: what its outputs are in evaluation, as far as the inputs that
 * are given say. */
static void run_weights(struct run *r, const char *path, const struct ir_program *p)
{
    tp_graph *g = tp_graph_new(p->graph->seed);
    struct ir_graph *evaluated = NULL;

    if (!g)
        ir_error(r->error, IR_FAILED, "not enough memory");
    else if (command_adopt(g, p) && tp_load_whole(g, path))
        evaluated = command_evaluated(g, is_given, r);
    if (evaluated) {
        r->graph = evaluated;
        r->weights = g;
        if (evaluated->output_count == 0)
            ir_error(r->error, IR_REFUSED,
                     "no output follows from what is given; expected NAME=NUMBERS of its inputs");
        else if (small(evaluated, r->error))
            run(r);
        ir_graph_free(evaluated);
    }
    if (g && tp_error(g))
        ir_error(r->error, tp_status(g), "%s", tp_error(g));
    tp_graph_free(g);
}

int command_run(int argc, char **argv, struct ir_error *error)
{
    const char *name = NULL;
    const struct option options[] = {
        { "--program", 's', &name, "NAME", "of a file with more than one" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper run FILE.tp|FILE.safetensors [NAME=NUMBERS...] | taper run MODEL.onnx --input F.. "
        "--output-dir D",
        "Runs a program of a .tp file once, by the interpreter, and prints what it returns and, "
        "of\n"
        "states that it assigns, the new values. NAME is an input, a state (which otherwise "
        "starts\n"
        "as its line says) or a symbol; numbers stand row by row, with commas between them.\n"
        "Of weights with their model (taper train --save-model) it prints the outputs that follow "
        "from\n"
        "what is given, in evaluation. Of an ONNX model the inputs are files, .npy or .pb, in its "
        "order or as NAME=F, and the\n"
        "outputs become output_0.npy, ..",
        "taper run dot.tp a=1,2,3,4 b=0,1,1,0", options
    };
    int words;
    struct ir_module *m = NULL;
    const struct ir_program *p = NULL;

    for (int i = 0; i < argc; i++)
        if (command_is_onnx(argv[i]))
            return command_run_onnx(argc, argv, error);
    words = command_options(argc, argv, &usage, error);
    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words < 1 || words > 64)
        return ir_error(error, IR_REFUSED, "run takes one file and the numbers of its inputs"),
               IR_REFUSED;
    m = command_read_module(argv[0], error);
    if (m)
        p = choose(m, name, error);
    if (p && ir_verify_program(p, error) &&
        (command_is_weights(argv[0]) || small(p->graph, error))) {
        struct run r = { .graph = p->graph,
                         .arena = ir_arena_new(),
                         .error = error,
                         .word = argv + 1,
                         .words = words - 1 };
        if (command_is_weights(argv[0]))
            run_weights(&r, argv[0], p);
        else
            run(&r);
        ir_arena_free(r.arena);
    }
    ir_module_free(m);
    return error->status;
}
