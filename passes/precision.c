/*
 * precision: a forward part in f32 as one that computes with bf16 or f16 where that is safe.
 *
 * Parameters and every other state stay f32; what a contraction reads of them is rounded. The rule
 * is written down in taper.h: contractions take and give the narrow type; sums, transcendental
 * functions, softmax, norms, attention and losses take and give f32; the rest has the widest type
 * of its arguments, among which parameters and numbers do not count. Derivatives are taken
 * afterwards, so the backward part has the same types.
 */
#include "passes/passes.h"

struct precision {
    const struct ir_graph *in;
    struct ir_graph *out;
    enum ir_dtype narrow;
    ir_val *moved;       /* what users see */
    ir_val *inner;       /* of a wide region's result: what the region's rule sees; else poison */
    ir_val *args;        /* of the node at work: old value -> what it reads */
    bool *loose;         /* old value -> it takes the type of what it meets */
    uint32_t *result_of; /* old value -> the outermost wide region whose result it is */
};

enum policy { NARROW, WIDE, WIDEST, AS_IT_IS };

static enum policy policy_of(enum ir_op op)
{
    switch (op) {
    case IR_dot:
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        return NARROW;
    case IR_sum:
    case IR_prod:
    case IR_window_sum:
    case IR_window_spread:
    case IR_put_add:
    case IR_scatter_add:
    case IR_cumsum:
    case IR_cumprod:
    case IR_recur:
    case IR_bitcast:
    case IR_custom:
        return WIDE;
    case IR_input:
    case IR_state:
    case IR_const:
    case IR_cast: /* as the user wrote it */
        return AS_IT_IS;
    default:
        return ir_ops[op].kind == 'F' ? WIDE : WIDEST;
    }
}

/* --- regions ------------------------------------------------------------------------------------
 */

/* By the column `types` of regions.def: what a region is computed in, and gives. */
enum types { types_follow, types_f32, types_own };
static const enum types types_of[] = {
#define REGION(name, grad, types, doc) types_##types,
#include "ir/regions.def"
#undef REGION
};

static bool wide_inside(const struct ir_region *r)
{
    return r->kind >= 0 && types_of[r->kind] != types_follow;
}

/* The outermost wide region around one; 0: there is none. */
static uint32_t wide_around(const struct ir_graph *g, uint32_t region)
{
    uint32_t found = 0;

    for (; region; region = g->region[region].parent)
        if (wide_inside(&g->region[region]))
            found = region;
    return found;
}

/* --- types --------------------------------------------------------------------------------------
 */

static bool was_f32(const struct precision *p, ir_val old)
{
    return ir_at(p->in, old)->dtype == IR_F32;
}

/* An argument as f32 or narrow, where it was f32; others as they are. */
static ir_val as(const struct precision *p, ir_val old, enum ir_dtype dtype)
{
    const ir_val v = p->inner[old.id].id && dtype == IR_F32 ? p->inner[old.id] : p->moved[old.id];

    return was_f32(p, old) ? ir_cast(p->out, v, dtype, ir_at(p->in, old)->loc) : v;
}

/* The widest type of a node's arguments; of nothing but loose ones f32. */
static enum ir_dtype widest(const struct precision *p, const struct ir_node *n)
{
    bool narrow = false;

    for (int i = 0; i < n->arity; i++) {
        const ir_val a = n->args[i];

        if (!was_f32(p, a) || p->loose[a.id])
            continue;
        if (ir_at(p->out, p->moved[a.id])->dtype == IR_F32)
            return IR_F32;
        narrow = true;
    }
    return narrow ? p->narrow : IR_F32;
}

/* Parameters, numbers, and what is made of them one by one. */
static bool is_loose(const struct precision *p, const struct ir_node *n)
{
    bool all = n->op == IR_state || n->op == IR_const ||
               (n->arity > 0 && (ir_pointwise(n->op) || pass_is_view(n->op)));

    for (int i = 0; i < n->arity; i++)
        all &= p->loose[n->args[i].id];
    return all;
}

/* --- nodes --------------------------------------------------------------------------------------
 */

static struct ir_graph *body_of(const struct precision *p, const struct ir_graph *body);

/* A scan keeps what it carries, takes and gives in f32; its body follows the rule inside. */
static ir_val scan(const struct precision *p, const struct ir_node *n)
{
    ir_val *args = ir_alloc(p->out->arena, ((size_t)n->arity + 1) * sizeof *args), v;
    struct ir_graph *body = body_of(p, n->body);

    for (int i = 0; i < n->arity; i++)
        args[i] = as(p, n->args[i], IR_F32);
    v = ir_make_scan_like(p->out, p->in, n, body, args);
    ir_graph_free(body);
    return v;
}

static ir_val copied(const struct precision *p, uint32_t v, enum ir_dtype dtype)
{
    const struct ir_node *n = &p->in->nodes[v];

    if (n->op == IR_scan)
        return scan(p, n);
    for (int i = 0; i < n->arity; i++)
        p->args[n->args[i].id] =
            n->op == IR_cast ? p->moved[n->args[i].id] : as(p, n->args[i], dtype);
    return ir_copy(p->out, p->in, (ir_val){ v }, p->args);
}

/* The result of a wide region, as users see it. */
static void give(struct precision *p, uint32_t v, const struct ir_region *r)
{
    const ir_val first = r->arity ? p->moved[r->args[0].id] : (ir_val){ 0 };

    p->inner[v] = p->moved[v];
    if (types_of[r->kind] != types_own || ir_at(p->out, first)->dtype != p->narrow ||
        !was_f32(p, (ir_val){ v }))
        return;
    p->out->region_now = r->parent;
    p->moved[v] = ir_cast(p->out, p->moved[v], p->narrow, r->loc);
    p->out->region_now = 0;
}

static void move(struct precision *p, uint32_t v)
{
    const struct ir_node *n = &p->in->nodes[v];
    const enum policy policy =
        n->op == IR_assign || wide_around(p->in, n->region) ? WIDE : policy_of(n->op);

    p->loose[v] = is_loose(p, n);
    p->out->region_now = n->region;
    p->moved[v] = copied(p, v,
                         policy == NARROW   ? p->narrow
                         : policy == WIDEST ? widest(p, n)
                                            : IR_F32);
    p->out->region_now = 0;
    if (p->result_of[v])
        give(p, v, &p->in->region[p->result_of[v]]);
}

/* What a rule of a region needs to see: its result before it was rounded. */
static void move_regions(const struct precision *p)
{
    for (uint32_t r = 1; r < p->in->regions; r++) {
        const struct ir_region *from = &p->in->region[r];
        struct ir_region *to = &p->out->region[r];
        const bool wide = wide_around(p->in, r) != 0;

        for (int i = 0; i < from->arity; i++)
            to->args[i] = wide ? as(p, from->args[i], IR_F32) : p->moved[from->args[i].id];
        to->result = wide && p->inner[from->result.id].id ? p->inner[from->result.id]
                                                          : p->moved[from->result.id];
    }
}

/* --- graphs -------------------------------------------------------------------------------------
 */

static void walk(struct precision *p)
{
    const uint32_t count = p->in->count;

    p->moved = ir_moved(p->out, p->in);
    p->inner = ir_moved(p->out, p->in);
    p->args = ir_moved(p->out, p->in);
    p->loose = ir_alloc(p->out->arena, count * sizeof *p->loose);
    p->result_of = ir_alloc(p->out->arena, count * sizeof *p->result_of);
    for (uint32_t r = p->in->regions; r-- > 1;)
        if (wide_around(p->in, r))
            p->result_of[p->in->region[r].result.id] = wide_around(p->in, r) == r ? r : 0;
    p->result_of[0] = 0;
    for (uint32_t v = 1; v < count && p->out->error->status == IR_OK; v++)
        move(p, v);
    move_regions(p);
}

static struct ir_graph *body_of(const struct precision *p, const struct ir_graph *body)
{
    struct precision inside = { .in = body,
                                .out = ir_body_like(body, p->out),
                                .narrow = p->narrow };

    walk(&inside);
    for (int i = 0; i < body->output_count; i++)
        ir_output(inside.out, body->outputs[i].name, as(&inside, body->outputs[i].value, IR_F32));
    return inside.out;
}

struct ir_graph *pass_precision(const struct ir_graph *in, enum ir_dtype narrow, ir_val **moved)
{
    struct precision p = { .in = in, .out = ir_graph_like(in), .narrow = narrow };

    walk(&p);
    *moved = p.moved;
    return p.out;
}
