/*
 * recurrent: rnn, lstm and gru, on scan.
 *
 * What the inputs give to the gates is one product for all steps, outside; a step adds what the
 * last state gives. Names, shapes, the order of the gates and the start are PyTorch's.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

struct cell {
    const char *name, *layer;
    int gates, carries;
    void (*step)(struct ir_graph *b, const ir_val *carry, ir_val in, ir_val old, ir_val *next,
                 struct ir_loc at); /* in, old: [batch gates * hidden] */
};

static ir_val gate(struct ir_graph *b, ir_val all, int i, int64_t hidden, struct ir_loc at)
{
    struct ir_shape shape = ir_at(b, all)->shape;
    const int64_t start[] = { 0, i * hidden }, stop[] = { shape.dim[0], (i + 1) * hidden },
                  step[] = { 1, 1 };
    const struct ir_list attr[] = { { 2, start }, { 2, stop }, { 2, step } };

    return ir_op_attr(b, IR_slice, 1, &all, attr, at);
}

static int64_t width(const struct ir_graph *b, ir_val h)
{
    return ir_at(b, h)->shape.dim[1];
}

static void step_tanh(struct ir_graph *b, const ir_val *carry, ir_val in, ir_val old, ir_val *next,
                      struct ir_loc at)
{
    (void)carry;
    next[0] = ir_op1(b, IR_tanh, ir_op2(b, IR_add, in, old, at), at);
}

static void step_relu(struct ir_graph *b, const ir_val *carry, ir_val in, ir_val old, ir_val *next,
                      struct ir_loc at)
{
    (void)carry;
    next[0] = ir_op1(b, IR_relu, ir_op2(b, IR_add, in, old, at), at);
}

/* i f g o: c = f c + i g, h = o tanh(c) */
static void step_lstm(struct ir_graph *b, const ir_val *carry, ir_val in, ir_val old, ir_val *next,
                      struct ir_loc at)
{
    const int64_t n = width(b, carry[0]);
    ir_val all = ir_op2(b, IR_add, in, old, at), v[4];

    for (int i = 0; i < 4; i++) {
        v[i] = gate(b, all, i, n, at);
        v[i] = i == 2 ? ir_op1(b, IR_tanh, v[i], at) : tp_formula_value(b, "sigmoid", v[i], at);
    }
    next[1] = ir_op2(b, IR_add, ir_op2(b, IR_mul, v[1], carry[1], at),
                     ir_op2(b, IR_mul, v[0], v[2], at), at);
    next[0] = ir_op2(b, IR_mul, v[3], ir_op1(b, IR_tanh, next[1], at), at);
}

/* r z n: n = tanh(in + r old), h = (1 - z) n + z h */
static void step_gru(struct ir_graph *b, const ir_val *carry, ir_val in, ir_val old, ir_val *next,
                     struct ir_loc at)
{
    const int64_t n = width(b, carry[0]);
    ir_val v[2], new;

    for (int i = 0; i < 2; i++)
        v[i] = tp_formula_value(
            b, "sigmoid", ir_op2(b, IR_add, gate(b, in, i, n, at), gate(b, old, i, n, at), at), at);
    new = ir_op2(b, IR_mul, v[0], gate(b, old, 2, n, at), at);
    new = ir_op1(b, IR_tanh, ir_op2(b, IR_add, gate(b, in, 2, n, at), new, at), at);
    next[0] = ir_op2(b, IR_add,
                     ir_op2(b, IR_mul,
                            ir_op2(b, IR_sub, ir_number(b, ir_at(b, new)->dtype, 1, at), v[1], at),
                            new, at),
                     ir_op2(b, IR_mul, v[1], carry[0], at), at);
}

static const struct cell cells[] = { { "rnn", "tp_rnn", 1, 1, step_tanh },
                                     { "rnn_relu", "tp_rnn", 1, 1, step_relu },
                                     { "lstm", "tp_lstm", 4, 2, step_lstm },
                                     { "gru", "tp_gru", 3, 1, step_gru } };

static const struct cell *find_cell(const char *name)
{
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (strcmp(cells[i].name, name) == 0)
            return &cells[i];
    return NULL;
}

/* --- one direction of one layer ------------------------------------------------------------------
 */

static ir_val like(struct ir_graph *b, const struct ir_graph *g, const char *name, ir_val v,
                   bool slice, struct ir_loc at)
{
    const struct ir_node *n = ir_at(g, v);
    struct ir_shape shape = n->shape;

    if (slice) {
        shape.rank--;
        memmove(shape.dim, shape.dim + 1, (size_t)shape.rank * sizeof *shape.dim);
    }
    return ir_input(b, name, n->dtype, ir_shape_of(b, g, shape), at);
}

/* x [time batch in], w: w_ih w_hh b_ih b_hh (0: none); carry: h (and c), replaced by the last ones
 */
static ir_val run(struct ir_graph *g, const struct cell *cell, const char *name, ir_val x,
                  const ir_val w[4], ir_val *carry, bool reverse, struct ir_loc at)
{
    static const char *const names[] = { "h", "c" };
    struct ir_graph *b;
    ir_val in = ir_dot(g, x, w[0], "abk,nk->abn", at), arg[6], inside[2], next[2], old, scan;
    int args = 0;

    if (w[2].id)
        in = ir_op2(g, IR_add, in, w[2], at);
    if (g->error->status)
        return (ir_val){ 0 };
    b = ir_body_new(g, cell->name);
    for (int i = 0; i < cell->carries; i++) {
        inside[i] = like(b, g, names[i], carry[i], false, at);
        arg[args++] = carry[i];
    }
    arg[args++] = in;
    arg[args++] = w[1];
    in = like(b, g, "x", in, true, at);
    old = ir_dot(b, inside[0], like(b, g, "w_hh", w[1], false, at), "mk,nk->mn", at);
    if (w[3].id) {
        arg[args++] = w[3];
        old = ir_op2(b, IR_add, old, like(b, g, "b_hh", w[3], false, at), at);
    }
    if (g->error->status == IR_OK)
        cell->step(b, inside, in, old, next, at);
    for (uint32_t v = 1; v < b->count; v++)
        b->nodes[v].name = name;
    for (int i = 0; i < cell->carries && g->error->status == IR_OK; i++)
        ir_output(b, NULL, next[i]);
    if (g->error->status == IR_OK)
        ir_output(b, NULL, next[0]);
    scan = g->error->status ? (ir_val){ 0 }
                            : ir_make_scan(g, b, args, arg, cell->carries, 1,
                                           ir_at(g, x)->shape.dim[0], reverse, -1, at);
    ir_graph_free(b);
    for (int i = 0; i < cell->carries; i++)
        carry[i] = ir_make_result(g, scan, i, at);
    return ir_make_result(g, scan, cell->carries, at);
}

/* -1: any extent */
static bool is(tp_tensor x, int rank, int64_t first, int64_t second)
{
    return tp_rank(x) == rank && (first == -1 || tp_dim(x, 0) == first) &&
           (rank < 2 || second == -1 || tp_dim(x, 1) == second);
}

static bool fits(tp_graph *g, const struct cell *cell, const char *kind, tp_tensor x, tp_list start,
                 tp_list weights, tp_loc at)
{
    int64_t hidden, wide;
    bool good = start.count > 0 && start.at[0].g;

    for (int i = 1; i < start.count; i++)
        good = good && start.at[i].g;
    for (int i = 0; i < weights.count; i++)
        good = good && weights.at[i].g;
    if (!good || !cell || start.count != cell->carries ||
        (weights.count != 2 && weights.count != 4)) {
        tp_fail(g, at, "tp_recurrent_cell",
                "\"%.20s\" with %d states and %d weights; expected rnn, rnn_relu, lstm or gru, a "
                "tensor of state (lstm: 2), 2 or 4 of weights",
                kind ? kind : "", start.count, weights.count);
        return false;
    }
    hidden = tp_dim(start.at[0], -1);
    good = is(x, 3, -1, -1) && is(start.at[0], 2, tp_dim(x, 1), -1) && ir_dim_fixed(hidden) &&
           hidden < INT32_MAX && ir_dim_fixed(tp_dim(x, 2));
    wide = good ? cell->gates * hidden : 0;
    for (int i = 1; i < start.count; i++)
        good = good && is(start.at[i], 2, tp_dim(x, 1), hidden);
    for (int i = 0; i < weights.count; i++)
        good = good && is(weights.at[i], i < 2 ? 2 : 1, wide, i ? hidden : tp_dim(x, 2));
    if (!good)
        tp_fail(g, at, cell->layer,
                "input %s, start %s, weights %s and %s; expected [time batch in], [batch hidden], "
                "[%d*hidden in], [%d*hidden hidden], biases [%d*hidden]",
                tp_describe(x), tp_describe(start.at[0]), tp_describe(weights.at[0]),
                tp_describe(weights.at[1]), cell->gates, cell->gates, cell->gates);
    return good;
}

/* name: of what is recorded, or NULL */
static tp_recurrent one_way(const char *kind, const char *name, tp_tensor x, tp_list start,
                            tp_list weights, bool reverse, tp_loc at)
{
    tp_graph *g = x.g;
    const struct cell *cell = find_cell(kind);
    const char *what = cell ? cell->layer : "tp_recurrent_cell";
    tp_recurrent r = { POISON(g), POISON(g), POISON(g) };
    ir_val w[4] = { { 0 } }, carry[2], y;
    uint32_t before;

    if (!tp_ready(g, at, what, 1, &x) || !tp_ready(g, at, what, start.count, start.at) ||
        !tp_ready(g, at, what, weights.count, weights.at) ||
        !fits(g, cell, kind, x, start, weights, at))
        return r;
    for (int i = 0; i < weights.count; i++)
        w[i] = tp_val(weights.at[i]);
    for (int i = 0; i < cell->carries; i++)
        carry[i] = tp_val(start.at[i]);
    before = g->ir->count;
    y = run(g->ir, cell, name, tp_val(x), w, carry, reverse, tp_place(g, at));
    for (uint32_t v = before; v < g->ir->count; v++)
        g->ir->nodes[v].name = g->ir->nodes[v].name ? g->ir->nodes[v].name : name;
    r.y = tp_give(g, y);
    r.h = tp_give(g, carry[0]);
    r.c = cell->carries > 1 ? tp_give(g, carry[1]) : r.h;
    return r;
}

tp_recurrent tp_recurrent_cell_at(const char *kind, tp_tensor x, tp_list start, tp_list weights,
                                  bool reverse, tp_loc at)
{
    return one_way(kind, NULL, x, start, weights, reverse, at);
}

/* --- layers --- */

enum { LAYERS = 64 };

static tp_tensor parameter(struct layer *l, const char *leaf, int layer, bool back, tp_shape shape,
                           const tp_recurrent_args *args)
{
    double bound = 1 / sqrt((double)args->hidden);
    char name[64];

    snprintf(name, sizeof name, "%s_l%d%s", leaf, layer, back ? "_reverse" : "");
    return tp_layer_param(l, name, l->dtype, shape, TP_UNIFORM(-bound, bound), args->shared,
                          args->frozen);
}

/* of a state that the caller brings, or zeros */
static tp_tensor first(struct layer *l, tp_tensor given, int i, tp_tensor x, int64_t hidden)
{
    ir_val zero;

    if (given.g)
        return tp_index_at(given, 0, i, l->at);
    zero = ir_number(l->g->ir, l->dtype, 0, l->loc);
    return tp_give(
        l->g, ir_expand(l->g->ir, zero, (struct ir_shape){ 2, { tp_dim(x, 1), hidden } }, l->loc));
}

static tp_recurrent layer(struct layer *l, const struct cell *cell, tp_tensor x, int layer,
                          bool back, int state, const tp_recurrent_args *a)
{
    const int64_t wide = cell->gates * a->hidden;
    tp_tensor w[4], start[2];

    w[0] = parameter(l, "weight_ih", layer, back, tp_dims(wide, tp_dim(x, 2)), a);
    w[1] = parameter(l, "weight_hh", layer, back, tp_dims(wide, a->hidden), a);
    if (!a->no_bias) {
        w[2] = parameter(l, "bias_ih", layer, back, tp_dims(wide), a);
        w[3] = parameter(l, "bias_hh", layer, back, tp_dims(wide), a);
    }
    start[0] = first(l, a->h, state, x, a->hidden);
    start[1] = cell->carries > 1 ? first(l, a->c, state, x, a->hidden) : start[0];
    return one_way(cell->name, tp_path(l->g, l->name), x, (tp_list){ cell->carries, start },
                   (tp_list){ a->no_bias ? 2 : 4, w }, back, l->at);
}

static bool good(struct layer *l, const struct cell *cell, tp_tensor x, int states,
                 const tp_recurrent_args *a)
{
    const tp_tensor given[] = { a->h, a->c };
    const int64_t batch = tp_dim(x, a->batch_first ? 0 : 1);

    if (tp_rank(x) != 3 || !ir_dim_fixed(tp_dim(x, 2)) || a->hidden < 1 || a->hidden > INT32_MAX ||
        a->layers < 0 || a->layers > LAYERS) {
        tp_fail(
            l->g, l->at, l->what,
            "\"%.60s\": input %s, %lld hidden, %d layers; expected rank 3, a last axis of known "
            "extent, 1 hidden or more, 1 to %d layers",
            l->name, tp_describe(x), (long long)a->hidden, a->layers ? a->layers : 1, LAYERS);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        const bool has = i < cell->carries;
        if (!given[i].g ||
            (has && is(given[i], 3, states, batch) && tp_dim(given[i], 2) == a->hidden))
            continue;
        if (tp_ready(l->g, l->at, l->what, 1, &given[i]))
            tp_fail(l->g, l->at, l->what, "\"%.60s\": start %c %s; expected %s", l->name, "hc"[i],
                    tp_describe(given[i]),
                    has ? "[layers * directions, batch, hidden]" : "h alone");
        return false;
    }
    return true;
}

tp_recurrent tp_recurrent_at(const char *kind, tp_tensor x, const char *name,
                             tp_recurrent_args args, tp_loc at)
{
    const struct cell *cell = find_cell(args.relu && strcmp(kind, "rnn") == 0 ? "rnn_relu" : kind);
    const char *what = cell ? cell->layer : "tp_recurrent";
    const int layers = args.layers ? args.layers : 1, ways = args.bidirectional ? 2 : 1;
    tp_recurrent bad = { POISON(x.g), POISON(x.g), POISON(x.g) };
    tp_tensor last[2][2 * LAYERS];
    struct layer l;

    if (!tp_layer_begin(&l, what, name, x, at))
        return bad;
    if (!cell) {
        tp_fail(x.g, at, what, "\"%.20s\"; expected rnn, lstm or gru", kind);
        return bad;
    }
    if (!good(&l, cell, x, layers * ways, &args))
        return bad;
    if (args.batch_first)
        x = tp_permute_at(x, tp_dims(1, 0, 2), at);
    for (int i = 0; i < layers; i++) {
        tp_tensor y[2];
        if (i && args.dropout > 0)
            x = tp_dropout_at(l.what, x, args.dropout, 0, at);
        for (int back = 0; back < ways; back++) {
            tp_recurrent one = layer(&l, cell, x, i, back, i * ways + back, &args);
            y[back] = one.y;
            last[0][i * ways + back] = one.h;
            last[1][i * ways + back] = one.c;
        }
        x = ways == 2 ? tp_concat_at(-1, (tp_list){ 2, y }, at) : y[0];
    }
    if (args.batch_first)
        x = tp_permute_at(x, tp_dims(1, 0, 2), at);
    return (tp_recurrent){ x, tp_stack_at(0, (tp_list){ layers * ways, last[0] }, at),
                           tp_stack_at(0, (tp_list){ layers * ways, last[1] }, at) };
}
