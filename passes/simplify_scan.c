/*
 * simplify_scan: scans without what nobody reads.
 *
 * Two scans that differ in their outputs alone are one that has all of them: that is how a forward
 * scan and the one that saves values for its gradient become the same. An output that nobody reads
 * goes, and so does a carry that only itself reads, an argument that no step reads; a constant
 * argument goes into the body. Then the body is simplified like any graph.
 */
#include "passes/simplify.h"

struct joined { /* of a scan that is the first of its equals */
    int outputs, room;
    ir_val *output; /* in the body: the carries, then each output once */
    bool *live;     /* by output: somebody reads it, or a step does */
    bool *used;     /* by parameter */
    int *place;     /* by output: which result of the new scan */
    ir_val scan;    /* the new one */
};

struct trim {
    const struct ir_graph *in;
    struct ir_graph *out;
    uint32_t *first; /* scan -> the first of its equals */
    struct joined **joined;
    int **index; /* scan, output -> output of joined */
    bool *live;
    ir_val *moved;
    struct ir_arena *scratch;
};

static bool same_scan(const struct ir_node *a, const struct ir_node *b)
{
    if (a->arity != b->arity ||
        ir_scan_number(a, IR_SCAN_CARRY) != ir_scan_number(b, IR_SCAN_CARRY) ||
        ir_scan_number(a, IR_SCAN_SLICES) != ir_scan_number(b, IR_SCAN_SLICES) ||
        ir_scan_number(a, IR_SCAN_LENGTH) != ir_scan_number(b, IR_SCAN_LENGTH) ||
        ir_scan_number(a, IR_SCAN_REVERSE) != ir_scan_number(b, IR_SCAN_REVERSE) ||
        ir_scan_when(a) != ir_scan_when(b))
        return false;
    for (int i = 0; i < a->arity; i++)
        if (a->args[i].id != b->args[i].id)
            return false;
    if (!ir_same_body(a->body, b->body, false))
        return false;
    for (int j = 0; j < ir_scan_number(a, IR_SCAN_CARRY); j++)
        if (a->body->outputs[j].value.id != b->body->outputs[j].value.id)
            return false;
    return true;
}

static int output_of(struct joined *j, int carry, int i, ir_val v)
{
    for (int o = carry; o < j->outputs && i >= carry; o++)
        if (j->output[o].id == v.id)
            return o;
    if (i < j->outputs && i < carry)
        return i;
    j->output[j->outputs] = v;
    return j->outputs++;
}

static void join(struct trim *t)
{
    for (uint32_t v = 1; v < t->in->count; v++) {
        const struct ir_node *n = &t->in->nodes[v];
        uint32_t u = 1;
        if (n->op != IR_scan)
            continue;
        while (u < v && !(t->in->nodes[u].op == IR_scan && t->first[u] == u &&
                          same_scan(&t->in->nodes[u], n)))
            u++;
        t->first[v] = u;
        if (u == v) {
            struct joined *j = t->joined[v] = ir_alloc(t->scratch, sizeof *j);
            size_t most = n->body->count + (size_t)n->body->output_count + 1;
            j->output = ir_alloc(t->scratch, most * sizeof *j->output);
            j->live = ir_alloc(t->scratch, most * sizeof *j->live);
            j->place = ir_alloc(t->scratch, most * sizeof *j->place);
            j->used = ir_alloc(t->scratch, (size_t)n->arity + 1);
        }
        t->index[v] = ir_alloc(t->scratch, ((size_t)n->body->output_count + 1) * sizeof **t->index);
        for (int i = 0; i < n->body->output_count; i++)
            t->index[v][i] = output_of(t->joined[u], (int)ir_scan_number(n, IR_SCAN_CARRY), i,
                                       n->body->outputs[i].value);
    }
}

/* Which outputs a step must give, and which arguments it reads for them. */
static void reach_body(struct trim *t, const struct ir_node *n, struct joined *j)
{
    const struct ir_graph *body = n->body;
    int carry = (int)ir_scan_number(n, IR_SCAN_CARRY);
    bool *live = ir_alloc(t->scratch, body->count * sizeof *live), more = true;
    ir_val *parameter = ir_alloc(t->scratch, ((size_t)n->arity + 1) * sizeof *parameter);

    ir_parameters(body, parameter, n->arity);
    while (more) {
        more = false;
        for (int o = 0; o < j->outputs; o++)
            live[j->output[o].id] |= j->live[o];
        for (uint32_t v = body->count; v-- > 1;)
            for (int i = 0; live[v] && i < body->nodes[v].arity; i++)
                live[body->nodes[v].args[i].id] = true;
        for (int o = 0; o < carry; o++)
            if (live[parameter[o].id] && !j->live[o])
                more = j->live[o] = true;
    }
    for (int i = 0; i < n->arity; i++)
        j->used[i] = live[parameter[i].id] || (i < carry && j->live[i]) || i == ir_scan_when(n);
}

static void reach(struct trim *t)
{
    const struct ir_graph *g = t->in;

    for (int i = 0; i < g->output_count; i++)
        t->live[g->outputs[i].value.id] = true;
    for (int i = 0; i < g->effect_count; i++)
        t->live[g->effects[i].id] = true;
    for (uint32_t v = g->count; v-- > 1;) {
        const struct ir_node *n = &g->nodes[v];
        if (!t->live[v])
            continue;
        if (n->op == IR_result) {
            uint32_t of = n->args[0].id, u = t->first[of];
            t->live[u] = t->joined[u]->live[t->index[of][n->attr[0].at[0]]] = true;
            continue;
        }
        if (n->op == IR_scan)
            reach_body(t, n, t->joined[v]);
        for (int i = 0; i < n->arity; i++)
            t->live[n->args[i].id] |= n->op != IR_scan || t->joined[v]->used[i];
    }
}

/* the number that the whole array consists of */
static const struct ir_node *number(const struct ir_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g, v);

    while (n->op == IR_expand || n->op == IR_reshape)
        n = ir_at(g, n->args[0]);
    return n->op == IR_const ? n : NULL;
}

static ir_val constant(struct ir_graph *to, const struct ir_node *number, struct ir_shape shape)
{
    struct ir_node draft = { .op = IR_const, .dtype = number->dtype, .loc = number->loc };

    draft.attr[0] = number->attr[0];
    return ir_expand(to, ir_add(to, &draft), shape, number->loc);
}

/* A step that says its own derivative has been derived by now, and is one like others. */
static ir_val rebuild(struct trim *t, const struct ir_node *n, struct joined *j)
{
    const struct ir_graph *body = n->body;
    struct ir_graph *to = ir_body_like(body, t->out), *simple;
    ir_val *moved = ir_moved(to, body), *arg, *parameter, scan;
    int carry = (int)ir_scan_number(n, IR_SCAN_CARRY),
        slices = (int)ir_scan_number(n, IR_SCAN_SLICES), count = 0, carries = 0, sliced = 0,
        place = 0;
    const int asks = ir_scan_when(n);
    const bool always = asks >= 0 && ir_is_number(t->in, n->args[asks], 1);
    int64_t when = -1;

    arg = ir_alloc(t->scratch, ((size_t)n->arity + 1) * sizeof *arg);
    parameter = ir_alloc(t->scratch, ((size_t)n->arity + 1) * sizeof *parameter);
    ir_parameters(body, parameter, n->arity);
    for (int i = 0; i < n->arity; i++) {
        const bool runs = i == asks && !always; /* says so, whatever it is */
        const struct ir_node *c = i < carry || runs ? NULL : number(t->in, n->args[i]);
        if (!j->used[i])
            continue;
        if (c) {
            moved[parameter[i].id] =
                constant(to, c, ir_shape_of(to, body, ir_at(body, parameter[i])->shape));
            continue;
        }
        moved[parameter[i].id] = ir_copy(to, body, parameter[i], moved);
        when = runs ? count : when;
        arg[count++] = t->moved[n->args[i].id];
        carries += i < carry;
        sliced += i >= carry && i < carry + slices;
    }
    for (uint32_t v = 1; v < body->count; v++) {
        bool whole = body->nodes[v].op != IR_input;
        for (int i = 0; i < body->nodes[v].arity; i++)
            whole &= moved[body->nodes[v].args[i].id].id != 0;
        if (whole)
            moved[v] = ir_copy(to, body, (ir_val){ v }, moved);
    }
    ir_move_regions(to, body, moved);
    for (int o = 0; o < j->outputs; o++)
        if (j->live[o]) {
            ir_output(to, NULL, moved[j->output[o].id]);
            j->place[o] = place++;
        }
    simple = pass_simplify(to);
    ir_graph_free(to);
    struct ir_node draft = { .op = IR_scan,
                             .arity = count,
                             .args = arg,
                             .attr = { { 1, (int64_t[]){ carries } },
                                       { 1, (int64_t[]){ sliced } },
                                       n->attr[IR_SCAN_LENGTH],
                                       n->attr[IR_SCAN_REVERSE],
                                       { when >= 0, &when } },
                             .name = n->name,
                             .loc = n->loc,
                             .body = simple };
    t->out->region_now = n->region;
    scan = ir_add(t->out, &draft);
    t->out->region_now = 0;
    ir_graph_free(simple);
    return scan;
}

struct ir_graph *pass_trim_scans(const struct ir_graph *in)
{
    struct trim t = { .in = in };
    uint32_t v = 1;

    while (v < in->count && in->nodes[v].op != IR_scan)
        v++;
    if (v == in->count)
        return NULL;
    t.scratch = ir_arena_new();
    t.first = ir_alloc(t.scratch, in->count * sizeof *t.first);
    t.joined = ir_alloc(t.scratch, in->count * sizeof(struct joined *));
    t.index = ir_alloc(t.scratch, in->count * sizeof(int *));
    t.live = ir_alloc(t.scratch, in->count * sizeof *t.live);
    t.moved = ir_alloc(t.scratch, in->count * sizeof *t.moved);
    join(&t);
    reach(&t);
    t.out = ir_graph_like(in);
    for (v = 1; v < in->count; v++) {
        const struct ir_node *n = &in->nodes[v];
        if (!t.live[v] && n->op != IR_input)
            continue;
        if (n->op == IR_scan) {
            t.joined[v]->scan = rebuild(&t, n, t.joined[v]);
        } else if (n->op == IR_result) {
            struct joined *j = t.joined[t.first[n->args[0].id]];
            struct ir_node draft = *n;
            int64_t at = j->place[t.index[n->args[0].id][n->attr[0].at[0]]];
            draft.args = &j->scan;
            draft.attr[0] = (struct ir_list){ 1, &at };
            t.out->region_now = n->region;
            t.moved[v] = ir_add(t.out, &draft);
            t.out->region_now = 0;
        } else {
            t.moved[v] = ir_copy(t.out, in, (ir_val){ v }, t.moved);
        }
    }
    ir_move_outputs(t.out, in, t.moved);
    ir_move_regions(t.out, in, t.moved);
    ir_arena_free(t.scratch);
    return t.out;
}
