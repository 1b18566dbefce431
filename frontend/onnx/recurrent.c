/*
 * recurrent: LSTM, GRU and RNN. The inputs' part of all gates is one product; the rest is a scan
 * over time. Where rows have lengths of their own, a row that is over keeps its state.
 */
#include "frontend/onnx/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cell {
    struct onnx_node *n;
    char kind; /* l, g, r */
    int gates;
    int64_t hidden;
    tp_tensor recurrent, bias, peephole[3], lengths;
    const char *activation[3];
    double clip;
    bool reset_after;
};

static tp_tensor activated(const struct cell *c, int i, tp_tensor x)
{
    static const char *const names[][2] = { { "sigmoid", "1 / (1 + exp(-a))" },
                                            { "tanh", "tanh(a)" },
                                            { "relu", "relu(a)" },
                                            { "softsign", "a / (1 + abs(a))" },
                                            { "softplus", "max(a, 0) + log1p(exp(-abs(a)))" } };

    if (!x.id)
        return x;
    if (c->clip > 0)
        x = tp_maths("min(max(a, p), q)", 1, &x, 2, (double[]){ -c->clip, c->clip }, c->n->at);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (strcmp(c->activation[i], names[k][0]) == 0)
            return tp_maths(names[k][1], 1, &x, 0, NULL, c->n->at);
    return onnx_lacks(c->n, "activation \"%.40s\"; expected Sigmoid, Tanh, Relu or Softsign",
                      c->activation[i]);
}

/* The i-th of the gates that stand side by side in the last axis. */
static tp_tensor gate(const struct cell *c, tp_tensor all, int i)
{
    return all.id ? tp_cut(all, tp_rank(all) - 1, i * c->hidden, (i + 1) * c->hidden, c->n->at)
                  : all;
}

static tp_tensor plus(const struct cell *c, tp_tensor a, tp_tensor b)
{
    return onnx_op2(c->n, IR_add, a, b);
}

static tp_tensor times(const struct cell *c, tp_tensor a, tp_tensor b)
{
    return onnx_op2(c->n, IR_mul, a, b);
}

static void lstm(const struct cell *c, tp_tensor all, tp_tensor h[2])
{
    tp_tensor in = gate(c, all, 0), out = gate(c, all, 1), forget = gate(c, all, 2), new;

    if (c->peephole[0].id) {
        in = plus(c, in, times(c, c->peephole[0], h[1]));
        forget = plus(c, forget, times(c, c->peephole[2], h[1]));
    }
    in = activated(c, 0, in);
    forget = activated(c, 0, forget);
    new = activated(c, 1, gate(c, all, 3));
    h[1] = plus(c, times(c, forget, h[1]), times(c, in, new));
    if (c->peephole[0].id)
        out = plus(c, out, times(c, c->peephole[1], h[1]));
    h[0] = times(c, activated(c, 0, out), activated(c, 2, h[1]));
}

static void gru(const struct cell *c, tp_tensor x, tp_tensor h[2])
{
    const tp_loc at = c->n->at;
    const int64_t H = c->hidden;
    tp_tensor first, z, r, new, weight[2];

    weight[0] = tp_cut(c->recurrent, 0, 0, 2 * H, at);
    weight[1] = tp_cut(c->recurrent, 0, 2 * H, 3 * H, at);
    first = plus(c, tp_cut(x, 1, 0, 2 * H, at), tp_matmul_nt_at(h[0], weight[0], at));
    z = activated(c, 0, gate(c, first, 0));
    r = activated(c, 0, gate(c, first, 1));
    if (c->reset_after) {
        new = tp_matmul_nt_at(h[0], weight[1], at);
        if (c->bias.id)
            new = plus(c, new, c->bias);
        new = times(c, r, new);
    } else {
        new = tp_matmul_nt_at(times(c, r, h[0]), weight[1], at);
    }
    new = activated(c, 1, plus(c, new, gate(c, x, 2)));
    if (new.id)
        h[0] = tp_maths("(1 - a) * b + a * c", 3, (tp_tensor[]){ z, new, h[0] }, 0, NULL, at);
}

static void one_step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    const struct cell *c = user;
    const tp_loc at = c->n->at;
    const int states = c->kind == 'l' ? 2 : 1;
    tp_tensor next[2] = { carry[0], carry[states - 1] };

    if (c->kind == 'g') {
        gru(c, x[0], next);
    } else {
        const tp_tensor all = plus(c, x[0], tp_matmul_nt_at(carry[0], c->recurrent, at));
        if (c->kind == 'l')
            lstm(c, all, next);
        else
            next[0] = activated(c, 0, all);
    }
    y[0] = next[0];
    if (c->lengths.id) {
        const tp_tensor alive = onnx_op2(c->n, IR_lt, x[1], c->lengths); /* [batch 1] */
        for (int i = 0; i < states; i++)
            next[i] = onnx_select(c->n, alive, next[i], carry[i]);
        if (y[0].id)
            y[0] = onnx_select(c->n, alive, y[0], onnx_number(c->n, onnx_type(y[0]), 0));
    }
    for (int i = 0; i < states; i++)
        carry[i] = next[i];
}

/* Direction d of an input [directions ..]. */
static tp_tensor part(struct onnx_node *n, int input, int d)
{
    const tp_tensor all = onnx_in(n, input);

    return all.id ? tp_index_at(all, 0, d, n->at) : all;
}

static bool read_activations(struct onnx_node *n, struct cell *c, int d)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, "activations");
    const int count = c->kind == 'l' ? 3 : c->kind == 'g' ? 2 : 1;

    c->activation[0] = c->kind == 'r' ? "tanh" : "sigmoid";
    c->activation[1] = c->activation[2] = "tanh";
    if (onnx_attr(n, "activation_alpha") || onnx_attr(n, "activation_beta")) {
        onnx_lacks(n, "activations with numbers");
        return false;
    }
    for (int i = 0; a && i < count; i++) {
        const size_t at = (size_t)(d * count + i);
        char *word;
        if (at >= a->n_strings || a->strings[at].len > 40) {
            onnx_wrong(n, "%zu activations", a->n_strings);
            return false;
        }
        word = ir_format(n->g->ir->arena, "%.*s", (int)a->strings[at].len,
                         (const char *)a->strings[at].data);
        for (char *k = word; *k; k++)
            *k = (char)(*k >= 'A' && *k <= 'Z' ? *k + 32 : *k);
        c->activation[i] = word;
    }
    return true;
}

/* One direction: y [time batch hidden], and the last h and c [batch hidden]. */
static bool direction(struct onnx_node *n, struct cell *c, tp_tensor x, int d, bool reverse,
                      tp_tensor y[3])
{
    const bool batch_first = onnx_int(n, "layout", 0);
    const int64_t H = c->hidden, G = c->gates * H, B = tp_dim(x, 1), T = tp_dim(x, 0);
    tp_tensor weight = part(n, 1, d), bias, carry[2], slices[2], out;
    const int states = c->kind == 'l' ? 2 : 1;

    c->recurrent = part(n, 2, d);
    if (!weight.id || !c->recurrent.id || !read_activations(n, c, d))
        return false;
    if (tp_rank(weight) != 2 || tp_dim(weight, 0) != G || tp_rank(c->recurrent) != 2 ||
        tp_dim(c->recurrent, 0) != G || tp_dim(c->recurrent, 1) != H ||
        tp_dim(weight, 1) != tp_dim(x, 2)) {
        onnx_wrong(n, "weights %s and %s for a hidden size of %lld", tp_describe(weight),
                   tp_describe(c->recurrent), (long long)H);
        return false;
    }
    slices[0] = tp_matmul_nt_at(x, weight, n->at);
    c->bias = (tp_tensor){ 0 };
    if (onnx_has(n, 3)) {
        bias = part(n, 3, d);
        if (!bias.id || tp_rank(bias) != 1 || tp_dim(bias, 0) != 2 * G) {
            onnx_wrong(n, "bias; expected %lld numbers", (long long)(2 * G));
            return false;
        }
        slices[0] = plus(c, slices[0], tp_cut(bias, 0, 0, G, n->at));
        if (c->reset_after) { /* its last part is inside of the reset */
            tp_tensor outer = tp_cut(bias, 0, G, 2 * G - H, n->at);
            outer = tp_pad_at(outer, tp_dims(0), tp_dims(H), 0, n->at);
            c->bias = tp_cut(bias, 0, 2 * G - H, 2 * G, n->at);
            slices[0] = plus(c, slices[0], outer);
        } else {
            slices[0] = plus(c, slices[0], tp_cut(bias, 0, G, 2 * G, n->at));
        }
    }
    for (int i = 0; i < states; i++) {
        carry[i] = tp_full_at(n->g, tp_dtype_of(x), tp_dims(B, H), 0, n->at);
        if (onnx_has(n, 5 + i)) {
            const tp_tensor all = onnx_in(n, 5 + i);
            carry[i] = all.id ? tp_index_at(all, batch_first ? 1 : 0, d, n->at) : all;
        }
    }
    memset(c->peephole, 0, sizeof c->peephole);
    if (c->kind == 'l' && onnx_has(n, 7)) {
        const tp_tensor all = part(n, 7, d);
        for (int i = 0; i < 3 && all.id; i++)
            c->peephole[i] = gate(c, all, i);
    }
    c->lengths = (tp_tensor){ 0 };
    if (onnx_has(n, 4)) {
        c->lengths = onnx_cast(n, onnx_in(n, 4), IR_I64);
        c->lengths = tp_reshape_at(c->lengths, tp_dims(B, 1), n->at);
        slices[1] = tp_arange_at(n->g, TP_I64, T, n->at);
    }
    if (!onnx_ok(n) || !tp_scan_at(n->g, one_step, c, states, carry, c->lengths.id ? 2 : 1, slices,
                                   1, (tp_scan_args){ .y = &out, .reverse = reverse }, n->at))
        return false;
    y[0] = out;
    y[1] = carry[0];
    y[2] = carry[states - 1];
    return true;
}

void onnx_recurrent(struct onnx_node *n)
{
    const char *kind = n->row->detail, *way = onnx_word(n, "direction", "forward");
    const bool both = strcmp(way, "bidirectional") == 0, batch_first = onnx_int(n, "layout", 0);
    tp_tensor x = onnx_in(n, 0), y[2][3], made[3];
    struct cell c = { .n = n,
                      .kind = kind[0],
                      .gates = kind[0] == 'l'   ? 4
                               : kind[0] == 'g' ? 3
                                                : 1,
                      .hidden = onnx_int(n, "hidden_size", 0),
                      .clip = onnx_float(n, "clip", 0),
                      .reset_after = onnx_int(n, "linear_before_reset", 0) };

    if (!x.id)
        return;
    if (onnx_int(n, "input_forget", 0)) {
        onnx_lacks(n, "coupled input and forget gates");
        return;
    }
    if (tp_rank(x) != 3 || !onnx_real(x)) {
        onnx_wrong(n, "%s; expected [time batch in]", tp_describe(x));
        return;
    }
    if (c.hidden == 0 && onnx_has(n, 2)) {
        const tp_tensor r = onnx_in(n, 2);
        c.hidden = r.id && tp_rank(r) == 3 ? tp_dim(r, 2) : 0;
    }
    if (c.hidden < 1 || c.hidden > 1 << 24) {
        onnx_wrong(n, "hidden_size %lld", (long long)c.hidden);
        return;
    }
    if (batch_first)
        x = tp_permute_at(x, tp_dims(1, 0, 2), n->at);
    for (int d = 0; d <= both; d++)
        if (!direction(n, &c, x, d, d == 1 || strcmp(way, "reverse") == 0, y[d]))
            return;
    for (int i = 0; i < 3; i++) { /* Y [time directions batch hidden]; Y_h, Y_c without time */
        const tp_tensor parts[2] = { y[0][i], y[both][i] };
        made[i] = tp_stack_at(i == 0 ? 1 : 0, (tp_list){ 1 + both, parts }, n->at);
        if (batch_first && made[i].id)
            made[i] =
                tp_permute_at(made[i], i == 0 ? tp_dims(2, 0, 1, 3) : tp_dims(1, 0, 2), n->at);
        n->out[i] = made[i];
    }
}
