/*
 * control: If, Loop and Scan, whose graphs become bodies of the frontend's choices and loops. How
 * often a loop may run must be known beforehand; whether it stops earlier may be the run's matter.
 */
#include "frontend/onnx/ops.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 1 << 20 };

struct inner {
    struct onnx_node *n;
    const Onnx__GraphProto *graph[2];
    int carries, slices, outputs;
};

static const Onnx__GraphProto *graph_of(struct onnx_node *n, const char *name)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);

    if (!a || !a->g)
        onnx_wrong(n, "no %s; expected a graph", name);
    else
        onnx_capture(n, a->g);
    return a ? a->g : NULL;
}

/* A truth value without axes. */
static tp_tensor truth(struct onnx_node *n, tp_tensor x)
{
    if (!x.id)
        return x;
    if (onnx_type(x) != IR_BOOL || onnx_extent(x, 0, tp_rank(x)) != 1)
        return onnx_wrong(n, "%s; expected one truth value", tp_describe(x));
    return tp_rank(x) ? tp_reshape_at(x, TP_SCALAR, n->at) : x;
}

/* --- If ----------------------------------------------------------------------------------------
 */

static void then_branch(void *user, const tp_tensor x[], tp_tensor y[])
{
    struct inner *i = user;

    (void)x;
    onnx_subgraph(i->n, i->graph[0], 0, NULL, i->outputs, y);
}

static void else_branch(void *user, const tp_tensor x[], tp_tensor y[])
{
    struct inner *i = user;

    (void)x;
    onnx_subgraph(i->n, i->graph[1], 0, NULL, i->outputs, y);
}

void onnx_if(struct onnx_node *n)
{
    struct inner inner = { .n = n, .outputs = n->outputs };
    double known;
    tp_tensor when;
    struct ir_array array;

    inner.graph[0] = graph_of(n, "then_branch");
    inner.graph[1] = graph_of(n, "else_branch");
    if (!onnx_ok(n) || n->outputs < 1)
        return;
    if (onnx_is_known(n, 0, &array)) { /* the other branch need not even fit */
        if (onnx_known_number(n, 0, &known))
            onnx_subgraph(n, inner.graph[known == 0], 0, NULL, n->outputs, n->out);
        return;
    }
    when = truth(n, onnx_in(n, 0));
    if (when.id)
        tp_cond_at(when, then_branch, else_branch, &inner, 0, NULL, n->outputs, n->out, n->at);
}

/* --- Loop ----------------------------------------------------------------------------------------
 */

/* Does the graph go on whatever happens: its first output is its second input, or true? */
static bool goes_on(const Onnx__GraphProto *g)
{
    const char *name = g->n_output ? g->output[0]->name : "";

    for (size_t i = g->n_node; i-- > 0;) {
        const Onnx__NodeProto *p = g->node[i];
        if (p->n_output != 1 || strcmp(p->output[0], name) != 0)
            continue;
        if (strcmp(p->op_type, "Identity") == 0 && p->n_input == 1)
            name = p->input[0];
        else if (strcmp(p->op_type, "Constant") == 0 && p->n_attribute == 1 && p->attribute[0]->t) {
            const Onnx__TensorProto *t = p->attribute[0]->t;
            return (t->has_raw_data && t->raw_data.len == 1 && t->raw_data.data[0]) ||
                   (t->n_int32_data == 1 && t->int32_data[0]);
        }
    }
    for (size_t i = 0; i < g->n_initializer; i++)
        if (strcmp(g->initializer[i]->name, name) == 0) {
            const Onnx__TensorProto *t = g->initializer[i];
            return (t->has_raw_data && t->raw_data.len == 1 && t->raw_data.data[0]) ||
                   (t->n_int32_data == 1 && t->int32_data[0]);
        }
    return g->n_input > 1 && strcmp(g->input[1]->name, name) == 0;
}

/* Carries: the number of the step, whether to go on, and the node's own. */
static void turn(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    struct inner *i = user;
    struct onnx_node *n = i->n;
    const int all = 1 + i->carries + i->outputs;
    tp_tensor *out = ir_alloc(n->g->ir->arena, (size_t)(all + 1) * sizeof *out);
    const bool ok = onnx_subgraph(n, i->graph[0], 2 + i->carries, carry, all, out);

    (void)x;
    carry[0] = ok ? onnx_op2(n, IR_add, carry[0], onnx_number(n, IR_I64, 1)) : POISON(n->g);
    carry[1] = truth(n, out[0]);
    memcpy(carry + 2, out + 1, (size_t)i->carries * sizeof *out);
    for (int k = 0; k < i->outputs; k++)
        y[k] = out[1 + i->carries + k];
}

static tp_tensor still(void *user, const tp_tensor carry[])
{
    (void)user;
    return carry[1];
}

/* How often at most, and whether it begins at all. */
static bool bounds(struct onnx_node *n, bool stops, int64_t *most)
{
    struct ir_array array;
    double number = MOST_STEPS;

    if (onnx_has(n, 1) && onnx_is_known(n, 1, &array)) {
        if (!onnx_known_number(n, 1, &number))
            return false;
        if (number == 0) {
            *most = 0;
            return true;
        }
    } else if (onnx_has(n, 1) && !stops) {
        onnx_lacks(n, "whether it begins is computed; expected that it is known before the run");
        return false;
    }
    number = -1;
    if (onnx_has(n, 0) && !onnx_known_number(n, 0, &number))
        return false;
    if (number < 0 && !onnx_has(n, 0)) {
        onnx_lacks(n, "no bound; expected the greatest number of steps");
        return false;
    }
    if (number > MOST_STEPS && !(stops && number >= 0x1p62)) {
        onnx_lacks(n, "%g steps; expected at most %d", number, MOST_STEPS);
        return false;
    }
    *most = number < 0 ? 0 : number > MOST_STEPS ? MOST_STEPS : (int64_t)number;
    return true;
}

void onnx_loop(struct onnx_node *n)
{
    struct inner inner = { .n = n, .carries = n->inputs - 2 };
    tp_tensor carry[2 + ONNX_OUTPUTS];
    int64_t most = 0;
    bool stops;

    inner.graph[0] = graph_of(n, "body");
    if (!onnx_ok(n))
        return;
    inner.outputs = (int)inner.graph[0]->n_output - 1 - inner.carries;
    if (inner.carries < 0 || inner.outputs < 0 || n->outputs > inner.carries + inner.outputs ||
        inner.carries + inner.outputs > ONNX_OUTPUTS) {
        onnx_wrong(n, "%d inputs, %d outputs, a body of %zu; expected as many carries in and out",
                   n->inputs, n->outputs, inner.graph[0]->n_output);
        return;
    }
    stops = !goes_on(inner.graph[0]);
    if (!bounds(n, stops, &most))
        return;
    carry[0] = onnx_number(n, IR_I64, 0);
    carry[1] = onnx_has(n, 1) ? truth(n, onnx_in(n, 1)) : onnx_number(n, IR_BOOL, 1);
    for (int i = 0; i < inner.carries; i++)
        carry[2 + i] = onnx_in(n, 2 + i);
    if (!onnx_ok(n))
        return;
    if ((stops || most == 0) && inner.outputs) {
        onnx_lacks(n, "as many outputs of steps as the run says; expected a known number");
        return;
    }
    if (most > 0 && stops)
        tp_while_at(n->g, still, turn, &inner, 2 + inner.carries, carry, most, n->at);
    else if (most > 0)
        tp_scan_at(n->g, turn, &inner, 2 + inner.carries, carry, 0, NULL, inner.outputs,
                   (tp_scan_args){ .y = n->out + inner.carries, .length = most }, n->at);
    for (int i = 0; i < inner.carries; i++)
        n->out[i] = carry[2 + i];
}

/* --- Scan ----------------------------------------------------------------------------------------
 */

static void step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    struct inner *i = user;
    const int in = i->carries + i->slices, all = i->carries + i->outputs;
    tp_tensor *both = ir_alloc(i->n->g->ir->arena, (size_t)(in + all + 1) * sizeof *both);
    tp_tensor *out = both + in;

    memcpy(both, carry, (size_t)i->carries * sizeof *both);
    memcpy(both + i->carries, x, (size_t)i->slices * sizeof *both);
    onnx_subgraph(i->n, i->graph[0], in, both, all, out);
    memcpy(carry, out, (size_t)i->carries * sizeof *out);
    memcpy(y, out + i->carries, (size_t)i->outputs * sizeof *out);
}

/* The i-th of a list that may be left out. */
static int64_t listed(const struct onnx_ints *list, int i)
{
    return i < list->count ? list->at[i] : 0;
}

static tp_tensor turned(struct onnx_node *n, tp_tensor x, int axis)
{
    const int64_t axes[] = { axis };
    const struct ir_list attr[] = { { 1, axes } };
    const ir_val v = tp_val(x);

    return x.id ? tp_give(n->g, ir_op_attr(n->g->ir, IR_flip, 1, &v, attr, onnx_place(n))) : x;
}

void onnx_scan(struct onnx_node *n)
{
    struct inner inner = { .n = n, .slices = (int)onnx_int(n, "num_scan_inputs", 0) };
    struct onnx_ints in_axes, out_axes, in_ways, out_ways;
    tp_tensor *carry = NULL, *x, y[ONNX_OUTPUTS] = { { 0 } };

    inner.graph[0] = graph_of(n, "body");
    inner.carries = n->inputs - inner.slices;
    if (!onnx_ok(n))
        return;
    if (n->opset < 9) {
        onnx_lacks(n, "of version 8; expected 9 or newer");
        return;
    }
    inner.outputs = (int)inner.graph[0]->n_output - inner.carries;
    if (inner.slices < 1 || inner.carries < 0 || inner.outputs < 0 ||
        inner.carries + inner.outputs > ONNX_OUTPUTS ||
        n->outputs > inner.carries + inner.outputs) {
        onnx_wrong(n, "%d inputs, of which %d are scanned, %d outputs, a body of %zu", n->inputs,
                   inner.slices, n->outputs, inner.graph[0]->n_output);
        return;
    }
    onnx_ints(n, "scan_input_axes", &in_axes);
    onnx_ints(n, "scan_output_axes", &out_axes);
    onnx_ints(n, "scan_input_directions", &in_ways);
    onnx_ints(n, "scan_output_directions", &out_ways);
    carry = ir_alloc(n->g->ir->arena, (size_t)(n->inputs + 1) * sizeof *carry);
    x = carry + inner.carries;
    for (int i = 0; i < n->inputs; i++)
        carry[i] = onnx_in(n, i);
    for (int i = 0; i < inner.slices && onnx_ok(n); i++) {
        int64_t axis = listed(&in_axes, i);
        if (!onnx_axis(n, &axis, tp_rank(x[i])))
            return;
        x[i] = axis ? tp_moved(x[i], (int)axis, 0, n->at) : x[i];
        x[i] = listed(&in_ways, i) ? turned(n, x[i], 0) : x[i];
    }
    if (!onnx_ok(n) || !tp_scan_at(n->g, step, &inner, inner.carries, carry, inner.slices, x,
                                   inner.outputs, (tp_scan_args){ .y = y }, n->at))
        return;
    for (int i = 0; i < inner.carries; i++)
        n->out[i] = carry[i];
    for (int i = 0; i < inner.outputs; i++) {
        int64_t axis = listed(&out_axes, i);
        if (!onnx_axis(n, &axis, tp_rank(y[i])))
            return;
        y[i] = listed(&out_ways, i) ? turned(n, y[i], 0) : y[i];
        n->out[inner.carries + i] = axis ? tp_moved(y[i], 0, (int)axis, n->at) : y[i];
    }
}
