/*
 * autodiff: an expression over x, y and z with numbers for them: the graph of its operations, the
 * graph with the derivatives that taper appends, and what each node of both is, by the interpreter.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 64, RANK = 4, SHOWN = 200 };

struct variable {
    bool given;
    tp_shape shape;
    float value[ELEMENTS];
    int64_t count;
};

/* 2, [1, 2] or [[1, 2], [3, 4]]: numbers, or lists of one length. */
static bool read_axis(struct variable *v, const json_t *from, int axis)
{
    const size_t length = json_array_size(from);

    if (json_is_number(from)) {
        if (axis != v->shape.rank || v->count == ELEMENTS || fabs(json_number_value(from)) > 1e30)
            return false;
        v->value[v->count++] = (float)json_number_value(from);
        return true;
    }
    if (!length || length > ELEMENTS || axis >= v->shape.rank ||
        (int64_t)length != v->shape.dim[axis])
        return false;
    for (size_t i = 0; i < length; i++)
        if (!read_axis(v, json_array_get(from, i), axis + 1))
            return false;
    return true;
}

static bool read_variable(struct variable *v, const json_t *body, char name, struct ir_error *error)
{
    const char key[2] = { name, 0 };
    const json_t *from = json_object_get(body, key), *at = from;

    v->given = from != NULL;
    while (json_is_array(at) && v->shape.rank < RANK) {
        v->shape.dim[v->shape.rank++] = (int64_t)json_array_size(at);
        at = json_array_get(at, 0);
    }
    return !from || read_axis(v, from, 0) ||
           ir_error(error, IR_REFUSED,
                    "%c: expected a number, or lists of one length, of at most %d numbers and %d "
                    "axes",
                    name, ELEMENTS, RANK);
}

/* --- a graph with what its nodes are -------------------------------------------------------------
 */

static json_t *draw(struct play_request *r, struct ir_graph *g)
{
    struct ir_text dot = { 0 };
    json_t *drawn;

    ir_print_dot(&dot, &(struct ir_program){ .graph = g });
    drawn = play_drawing(r->play, &dot);
    ir_text_free(&dot);
    return drawn;
}

/* A line of its text for each node, and its value. */
static json_t *nodes(struct ir_graph *g, const struct variable *v, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_binding binding[3];
    struct ir_array *value = ir_alloc(arena, g->count * sizeof *value);
    ir_val *wanted = ir_alloc(arena, g->count * sizeof *wanted);
    json_t *list = json_array();
    int bindings = 0, count = 0;

    for (uint32_t i = 1; i < g->count; i++) {
        const struct ir_node *n = &g->nodes[i];
        wanted[count++] = (ir_val){ i };
        if (n->op == IR_input) {
            const struct variable *of = &v[n->text[0] - 'x'];
            binding[bindings++] =
                (struct ir_binding){ n->text, { IR_F32, n->shape, (void *)of->value } };
        }
    }
    if (ir_evaluate(g, bindings, binding, count, wanted, value, arena, error))
        for (int i = 0; i < count; i++) {
            const struct ir_node *n = ir_at(g, wanted[i]);
            struct ir_text text = { 0 };
            tp_put_array(&text, &value[i], NULL, NULL);
            json_array_append_new(
                list, json_pack("[i, s, s, s#]", (int)wanted[i].id, ir_ops[n->op].name,
                                n->op == IR_input ? n->text : "", text.size ? text.data : "",
                                (int)(text.size < SHOWN ? text.size : SHOWN)));
            ir_text_free(&text);
        }
    ir_arena_free(arena);
    return list;
}

static json_t *graph_of(struct play_request *r, tp_graph *g, const char *name, int n,
                        const tp_tensor *x, const char *const *names, const struct variable *v)
{
    struct wanted wanted = tp_wanted(g, (tp_list){ n, x }, (tp_list){ 0, NULL });
    struct ir_graph *part = tp_trace_part(g, name, TP_EVAL, &wanted, false);
    struct ir_text text = { 0 };
    json_t *said;

    for (int i = 0; i < n; i++)
        ir_output(part, names[i], wanted.value[i]);
    ir_print_program(&text, &(struct ir_program){ .graph = part });
    said = json_pack("{s:o, s:s#, s:o}", "svg", draw(r, part), "text", text.data, (int)text.size,
                     "nodes", nodes(part, v, &r->error));
    ir_text_free(&text);
    ir_graph_free(part);
    return said;
}

json_t *play_autodiff(struct play_request *r)
{
    static const char *const titles[] = { "f", "df/dx", "df/dy", "df/dz" };
    const char *text = json_string_value(json_object_get(r->body, "expression"));
    struct variable v[3] = { { .given = false } };
    const char *names[4] = { titles[0] };
    const tp_loc end = { "expression", (int)strlen(text ? text : "") };
    tp_tensor x[3], f, told[4], by[3];
    bool used[3], summed;
    tp_graph *g;
    json_t *forward = NULL, *backward = NULL;
    int count = 0;

    for (int i = 0; i < 3; i++)
        if (!read_variable(&v[i], r->body, (char)('x' + i), &r->error))
            return NULL;
    g = play_sketch(&r->error);
    if (!g)
        return NULL;
    for (int i = 0; i < 3; i++)
        x[i] = tp_input_at(g, ((const char *[]){ "x", "y", "z" })[i], TP_F32, v[i].shape,
                           (tp_loc){ "values", i + 1 });
    f = play_expression(g, text, x, false, used, &r->error);
    for (int i = 0; i < 3 && r->error.status == IR_OK; i++) {
        if (used[i] && !v[i].given)
            ir_error(&r->error, IR_REFUSED, "%c has no value", 'x' + i);
        if (used[i]) {
            by[count++] = x[i];
            names[count] = titles[i + 1];
        }
    }
    summed = r->error.status == IR_OK && tp_rank(f) > 0;
    if (summed)
        f = tp_reduce_at("sum", f, (tp_reduce_args){ .dim = TP_ALL }, end);
    told[0] = f;
    if (r->error.status == IR_OK) {
        forward = graph_of(r, g, "forward", 1, told, names, v);
        if (r->error.status == IR_OK && count &&
            tp_vjp_at(f, tp_as_number(1), count, by, told + 1, end))
            backward = graph_of(r, g, "backward", 1 + count, told, names, v);
    }
    if (tp_error(g))
        ir_error(&r->error, tp_status(g), "%s", tp_error(g));
    tp_graph_free(g);
    if (r->error.status != IR_OK) {
        json_decref(forward);
        json_decref(backward);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:b}", "forward", forward, "backward",
                     backward ? backward : json_null(), "summed", summed);
}
