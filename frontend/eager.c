/*
 * eager: the same operations, computed when they are recorded.
 *
 * The trace is the tape. After each operation the nodes that are new are computed one by one, each
 * as a program of one operation, and their values kept; so a debugger sees numbers, and backward
 * is pass_gradients on the tape, whose nodes are computed like any others. An update assigns the
 * parameters and forgets the tape.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

struct value {
    void *data; /* NULL: not computed, or a state's, which lives in the store */
    size_t bytes;
};

struct eager {
    struct value *values; /* by node */
    uint32_t room, computed;
    bool busy;
    int64_t arrays;   /* that were entered, for their names */
    ir_val *gradient; /* by state, from the last backward; NULL: none */
    int gradients;
};

tp_graph *tp_eager_new(uint64_t seed)
{
    tp_graph *g = tp_graph_new(seed);

    if (!g)
        return NULL;
    g->eager = calloc(1, sizeof *g->eager);
    if (!g->eager)
        ir_error(&g->error, IR_FAILED, "tp_eager_new: not enough memory");
    else
        g->eager->computed = 1; /* poison has no value */
    return g;
}

static void drop_values(struct eager *e)
{
    for (uint32_t v = 0; v < e->room; v++) {
        free(e->values[v].data);
        e->values[v] = (struct value){ 0 };
    }
    free(e->gradient);
    e->gradient = NULL;
    e->gradients = 0;
}

void tp_eager_free(tp_graph *g)
{
    if (!g->eager)
        return;
    drop_values(g->eager);
    free(g->eager->values);
    free(g->eager);
}

static bool make_room(tp_graph *g, uint32_t count)
{
    struct eager *e = g->eager;
    uint32_t room = e->room ? e->room : 256;
    struct value *more;

    while (room < count)
        room *= 2;
    if (room == e->room)
        return true;
    more = realloc(e->values, room * sizeof *more);
    if (!more)
        return ir_error(&g->error, IR_FAILED, "eager: not enough memory");
    memset(more + e->room, 0, (room - e->room) * sizeof *more);
    e->values = more;
    e->room = room;
    return true;
}

/* A state in row-major order, of its own accord. */
static bool in_store(tp_graph *g, struct state *s)
{
    struct pass_storage plain = { .parts = s->shape.rank, .elements = 1 };
    const size_t end = g->memory_used + (s->bytes + 63) / 64 * 64;

    if (s->offset >= 0)
        return true;
    for (int i = s->shape.rank; i-- > 0;) {
        plain.part[i] = (struct pass_part){ .axis = i, .divisor = 1, .pitch = plain.elements };
        plain.elements *= s->shape.dim[i];
    }
    if (!tp_store_grow(g, end) || !tp_state_settle(g, s, (int64_t)g->memory_used, &plain))
        return false;
    g->memory_used = end;
    return true;
}

/* Where a node's numbers are. */
static void *numbers(tp_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g->ir, v);
    struct state *s = n->op == IR_state ? tp_state_of(g, n, STATE_HIDDEN) : NULL;

    if (n->op != IR_state)
        return v.id < g->eager->computed ? g->eager->values[v.id].data : NULL;
    return s && in_store(g, s) ? g->memory.base + s->offset : NULL;
}

static bool keep(tp_graph *g, uint32_t v, const void *data)
{
    const struct ir_node *n = &g->ir->nodes[v];
    size_t bytes = (size_t)ir_elements(g->ir, &n->shape) * (size_t)ir_dtypes[n->dtype].bytes;
    void *copy = malloc(bytes + 1);

    if (!copy)
        return ir_error(&g->error, IR_FAILED, "eager: not enough memory for %zu bytes", bytes);
    if (bytes)
        memcpy(copy, data, bytes);
    g->eager->values[v] = (struct value){ copy, bytes };
    return true;
}

/* One operation as a program of its own: its arguments are the inputs. */
static bool compute(tp_graph *g, uint32_t v)
{
    const struct ir_node *n = &g->ir->nodes[v];
    struct ir_graph *one = ir_graph_new(ir_ops[n->op].name, &g->error);
    ir_val *moved = ir_moved(one, g->ir), y;
    struct ir_binding *binding = ir_alloc(one->arena, ((size_t)n->arity + 1) * sizeof *binding);
    struct ir_array result = { 0 };
    int inputs = 0;
    bool ok;

    for (int i = 0; i < n->arity; i++) {
        const struct ir_node *arg = ir_at(g->ir, n->args[i]);
        const char *name = ir_format(one->arena, "%c", 'a' + inputs);
        if (moved[n->args[i].id].id)
            continue;
        moved[n->args[i].id] = ir_input(one, name, arg->dtype, arg->shape, arg->loc);
        binding[inputs++] = (struct ir_binding){
            name, { .dtype = arg->dtype, .shape = arg->shape, .data = numbers(g, n->args[i]) }
        };
        if (!binding[inputs - 1].array.data)
            break;
    }
    y = ir_copy(one, g->ir, (ir_val){ v }, moved);
    ok = g->error.status == IR_OK && y.id &&
         ir_evaluate(one, inputs, binding, 1, &y, &result, one->arena, &g->error) &&
         keep(g, v, result.data);
    ir_graph_free(one);
    return ok;
}

/* The state changes at once; what was computed from its old value stays as it is. */
static bool assign(tp_graph *g, uint32_t v)
{
    const struct ir_node *n = &g->ir->nodes[v];
    struct state *s = tp_state_of(g, ir_at(g->ir, n->args[0]), STATE_HIDDEN);

    return s && in_store(g, s) && tp_state_write(g, s, numbers(g, n->args[1]));
}

void tp_eager_compute(tp_graph *g)
{
    struct eager *e = g->eager;

    if (!e || e->busy || g->error.status != IR_OK || !make_room(g, g->ir->count))
        return;
    e->busy = true;
    for (; e->computed < g->ir->count && g->error.status == IR_OK; e->computed++) {
        const struct ir_node *n = &g->ir->nodes[e->computed];
        if (n->op == IR_assign)
            assign(g, e->computed);
        else if (n->op == IR_input && !e->values[e->computed].data)
            ir_error(&g->error, IR_REFUSED,
                     "%s:%d: input: it has no value in an eager graph; expected tp_array()",
                     n->loc.file, n->loc.line);
        else if (n->op != IR_state && n->op != IR_input && n->op != IR_POISON)
            compute(g, e->computed);
    }
    e->busy = false;
    tp_tell(g);
}

ir_val tp_eager_array(tp_graph *g, enum ir_dtype dtype, struct ir_shape shape, const void *data,
                      struct ir_loc at)
{
    char name[40];
    ir_val v;

    snprintf(name, sizeof name, "array.%lld", (long long)g->eager->arrays++);
    v = ir_input(g->ir, name, dtype, shape, at);
    if (v.id && make_room(g, g->ir->count))
        keep(g, v.id, data);
    return v;
}

/* --- looking ------------------------------------------------------------------------------------
 */

const void *tp_values(tp_tensor x, size_t *bytes)
{
    const struct ir_node *n;

    if (bytes)
        *bytes = 0;
    if (!x.g || !x.g->eager || !x.id || x.id >= x.g->ir->count || x.g->error.status != IR_OK)
        return NULL;
    n = tp_node(x);
    if (bytes)
        *bytes = (size_t)ir_elements(x.g->ir, &n->shape) * (size_t)ir_dtypes[n->dtype].bytes;
    return numbers(x.g, tp_val(x));
}

double tp_item(tp_tensor x)
{
    size_t bytes;
    const void *data = tp_values(x, &bytes);

    return data && bytes == (size_t)ir_dtypes[tp_node(x)->dtype].bytes
               ? tp_number_at(tp_node(x)->dtype, data)
               : (double)NAN;
}

static void put_axis(struct ir_text *t, tp_tensor x, const char **at, int axis)
{
    const struct ir_node *n = tp_node(x);
    const int64_t extent = axis < n->shape.rank ? n->shape.dim[axis] : 0;

    if (axis == n->shape.rank) {
        ir_put(t, "%g", tp_number_at(n->dtype, *at));
        *at += ir_dtypes[n->dtype].bytes;
        return;
    }
    ir_put(t, "[");
    for (int64_t i = 0; i < extent; i++) {
        ir_put(t, "%s", i == 0 ? "" : axis + 1 == n->shape.rank ? " " : "\n ");
        put_axis(t, x, at, axis + 1);
    }
    ir_put(t, "]");
}

void tp_print(tp_tensor x)
{
    struct ir_text text = { 0 };
    const char *at = tp_values(x, NULL);

    if (at)
        put_axis(&text, x, &at, 0);
    else
        ir_put(&text, "no value");
    printf("%s %s\n", x.g && x.id ? tp_describe(x) : "poison", text.data ? text.data : "");
    ir_text_free(&text);
}

/* --- derivatives and updates -------------------------------------------------------------------
 */

bool tp_backward_at(tp_tensor loss, tp_loc at)
{
    tp_graph *g = loss.g;
    ir_val y = tp_val(loss), *wrt, *grads;
    int n = 0;

    if (!tp_ready(g, at, "tp_backward", 1, &loss))
        return false;
    if (!g->eager || tp_rank(loss) != 0) {
        tp_fail(g, at, "tp_backward", "%s; expected a scalar of a graph from tp_eager_new",
                tp_describe(loss));
        return false;
    }
    free(g->eager->gradient);
    g->eager->gradients = g->state_count;
    g->eager->gradient = calloc((size_t)g->state_count + 1, sizeof *grads);
    wrt = ir_alloc(g->ir->arena, ((size_t)g->state_count + 1) * sizeof *wrt);
    grads = ir_alloc(g->ir->arena, ((size_t)g->state_count + 1) * sizeof *grads);
    for (int i = 0; i < g->state_count; i++)
        if (g->states[i].kind == STATE_PARAMETER && !g->states[i].frozen)
            wrt[n++] = g->states[i].value;
    if (!g->eager->gradient)
        return ir_error(&g->error, IR_FAILED, "tp_backward: not enough memory");
    pass_gradients(g->ir, 1, &y, NULL, n, wrt, grads);
    tp_give(g, y);
    for (int i = 0, j = 0; i < g->state_count && g->error.status == IR_OK; i++)
        if (g->states[i].kind == STATE_PARAMETER && !g->states[i].frozen)
            g->eager->gradient[i] = grads[j++];
    return g->error.status == IR_OK;
}

tp_tensor tp_gradient(tp_tensor parameter)
{
    tp_graph *g = parameter.g;

    for (int i = 0; g && g->eager && g->eager->gradient && i < g->eager->gradients; i++)
        if (g->states[i].value.id == parameter.id)
            return (tp_tensor){ .g = g, .id = g->eager->gradient[i].id };
    return POISON(g);
}

bool tp_update_at(tp_graph *g, tp_opt opt, tp_schedule rate, tp_loc at)
{
    struct update u = { .opt = &opt, .rate = &rate };
    struct eager *e = g ? g->eager : NULL;

    if (!tp_ready(g, at, "tp_update", 0, NULL))
        return false;
    if (!e || !e->gradient || rate.kind == 0) {
        tp_fail(g, at, "tp_update", "%s",
                !e               ? "expected a graph from tp_eager_new"
                : rate.kind == 0 ? "there is no rate"
                                 : "expected a call of tp_backward before it");
        return false;
    }
    u.graph = g->ir;
    u.at = tp_place(g, at);
    u.steps = tp_counter(g->ir, u.at);
    for (int i = 0; i < e->gradients; i++) {
        const struct state *s = &g->states[i];
        if (e->gradient[i].id && !ir_is_number(g->ir, e->gradient[i], 0) &&
            !tp_opt_frozen(&opt, s->name))
            tp_opt_update(&u, s->value, e->gradient[i]);
    }
    ir_assign(g->ir, u.steps,
              ir_op2(g->ir, IR_add, u.steps, ir_integer(g->ir, IR_I64, 1, u.at), u.at), u.at);
    tp_give(g, u.steps);
    drop_values(e);
    ir_forget(g->ir);
    e->computed = g->ir->count;
    return g->error.status == IR_OK;
}
