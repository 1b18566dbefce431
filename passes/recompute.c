/*
 * recompute: some values a second time, for those who read them late.
 *
 * A graph and its kernels come in with a decision for each value: from which kernel on its readers
 * get a copy. The graph that goes out holds the copies, each made just before the first of these
 * readers from what that reader sees. They stand in a region `again` and have an identity, so that
 * neither sharing nor fusion makes one of a value and its copy. The same operations on the same
 * numbers: not a bit changes.
 */
#include "traffic.h"

struct recompute {
    const struct pass_compiled *c;
    const struct ir_graph *in;
    struct ir_graph *out;
    const int *after;
    ir_val *moved, *again; /* by node id of `in`: as it was, and its copy */
    uint32_t *region_of;   /* by kernel: the region of the copies of its nodes, 0: none yet */
};

static bool is_leaf(const struct ir_node *n)
{
    return n->op == IR_input || n->op == IR_state;
}

static ir_val seen_by(struct recompute *r, ir_val v, int kernel);

/* Node v with its arguments as that kernel sees them. */
static struct ir_node draft_of(struct recompute *r, ir_val v, int kernel)
{
    struct ir_node draft = *ir_at(r->in, v);
    ir_val *args = ir_alloc(r->out->arena, (size_t)(draft.arity + 1) * sizeof *args);

    for (int i = 0; i < draft.arity; i++)
        args[i] = draft.op == IR_assign && i == 0 ? r->moved[draft.args[0].id]
                                                  : seen_by(r, draft.args[i], kernel);
    draft.args = args;
    return draft;
}

static ir_val add(struct recompute *r, const struct ir_node *draft, uint32_t region)
{
    ir_val v;

    r->out->region_now = region;
    v = ir_add(r->out, draft);
    r->out->region_now = 0;
    return v;
}

static ir_val copy_of(struct recompute *r, ir_val v, int kernel)
{
    struct ir_node draft = draft_of(r, v, kernel);
    const int from = r->c->kernel_of[v.id];
    uint32_t *region = &r->region_of[from];

    if (!*region) {
        *region = ir_region_open(r->out, IR_AGAIN, r->c->program->kernels[from].name, 0, NULL,
                                 (struct ir_list){ 0 }, draft.loc);
        r->out->region_now = 0;
    }
    draft.identity = ++r->out->identities;
    r->again[v.id] = add(r, &draft, *region);
    r->out->region[*region].result = r->again[v.id];
    return r->again[v.id];
}

static ir_val seen_by(struct recompute *r, ir_val v, int kernel)
{
    const struct ir_node *n = ir_at(r->in, v);

    if (is_leaf(n))
        return r->moved[v.id];
    if (r->c->kernel_of[v.id] < 0) { /* a view or the like, of either */
        struct ir_node draft = draft_of(r, v, kernel);
        return add(r, &draft, n->region);
    }
    if (r->after[v.id] < 0 || kernel <= r->after[v.id])
        return r->moved[v.id];
    return r->again[v.id].id ? r->again[v.id] : copy_of(r, v, kernel);
}

struct ir_graph *pass_recompute(const struct pass_compiled *c, const int *after)
{
    const struct ir_graph *in = c->program->graph;
    struct recompute r = { .c = c, .in = in, .after = after };

    r.out = ir_graph_like(in);
    r.moved = ir_moved(r.out, in);
    r.again = ir_moved(r.out, in);
    r.region_of = ir_alloc(r.out->arena, ((size_t)c->program->kernel_count + 1) * sizeof(uint32_t));
    for (uint32_t v = 1; v < in->count; v++) {
        const ir_val id = { v };
        if (is_leaf(&in->nodes[v])) {
            r.moved[v] = ir_copy(r.out, in, id, r.moved);
        } else if (c->kernel_of[v] >= 0) {
            struct ir_node draft = draft_of(&r, id, c->kernel_of[v]);
            r.moved[v] = add(&r, &draft, in->nodes[v].region);
        }
    }
    for (uint32_t i = 1; i < in->regions; i++) /* views that nobody else reads */
        for (int j = 0; j < in->region[i].arity; j++) {
            ir_val a = in->region[i].args[j];
            if (a.id && !r.moved[a.id].id && c->kernel_of[a.id] < 0)
                r.moved[a.id] = seen_by(&r, a, 0);
        }
    ir_move_outputs(r.out, in, r.moved);
    ir_move_regions(r.out, in, r.moved);
    return r.out;
}
