/*
 * widen: types for memory only are left to memory.
 *
 * A bf16 or an i8 is loaded, moved and stored as it is, and computed in the type that its row of
 * dtype.def names: before an operation its arguments are cast up, after it the result is cast down,
 * which rounds. So every operation rounds, fused or not, and what comes after this pass has
 * arithmetic in the wide types alone.
 */
#include "passes.h"

struct widen {
    const struct ir_graph *in;
    struct ir_graph *out;
    ir_val *moved;
};

/* what moves elements and does not look at them */
static bool moves(enum ir_op op)
{
    switch (op) {
    case IR_input:
    case IR_state:
    case IR_assign:
    case IR_const:
    case IR_pad:
    case IR_concat:
    case IR_take:
    case IR_gather:
    case IR_window_pick:
    case IR_local:
    case IR_read:
    case IR_store:
    case IR_step:
    case IR_done:
    case IR_bitcast:
    case IR_select:
        return true;
    default:
        return pass_is_view(op);
    }
}

static bool any_narrow(const struct ir_graph *g)
{
    for (uint32_t v = 1; v < g->count; v++)
        if (ir_narrow(g->nodes[v].dtype))
            return true;
    return false;
}

static ir_val wide(struct widen *w, ir_val v, struct ir_loc loc)
{
    const struct ir_node *n = ir_at(w->out, v);
    const enum ir_dtype to = ir_dtypes[n->dtype].arithmetic;

    if (n->op == IR_const && ir_narrow(n->dtype))
        return ir_dtypes[to].kind == 'f' ? ir_number(w->out, to, ir_number_of(n), loc)
                                         : ir_integer(w->out, to, n->attr[0].at[0], loc);
    return ir_cast(w->out, v, to, loc);
}

/* The greatest of nothing is the least of the type, not of the one it was looked for in. */
static ir_val bounded(struct widen *w, const struct ir_node *n, ir_val v)
{
    const bool most = n->op == IR_amax || n->op == IR_window_max;
    const enum ir_op op = most ? IR_max : IR_min;

    if ((!most && n->op != IR_amin) || ir_dtypes[n->dtype].kind == 'f')
        return v;
    return ir_op2(
        w->out, op, v,
        ir_integer(w->out, ir_at(w->out, v)->dtype, ir_neutral(op, n->dtype).integer, n->loc),
        n->loc);
}

static ir_val computed(struct widen *w, const struct ir_node *n)
{
    struct ir_node draft = *n;
    ir_val *args = ir_alloc(w->out->arena, ((size_t)n->arity + 1) * sizeof *args), result;

    for (int i = 0; i < n->arity; i++)
        args[i] = wide(w, w->moved[n->args[i].id], n->loc);
    draft.args = args;
    draft.dtype = ir_dtypes[n->dtype].arithmetic;
    result =
        n->op == IR_cast ? ir_cast(w->out, args[0], draft.dtype, n->loc) : ir_add(w->out, &draft);
    if (!ir_narrow(n->dtype))
        return result;
    draft = (struct ir_node){ .op = IR_cast,
                              .dtype = n->dtype,
                              .arity = 1,
                              .args = (ir_val[]){ bounded(w, n, result) },
                              .name = n->name,
                              .loc = n->loc };
    return ir_add(w->out, &draft);
}

const struct ir_graph *pass_widen(const struct ir_graph *in)
{
    struct widen w = { .in = in };

    if (!any_narrow(in))
        return in;
    w.out = ir_graph_like(in);
    w.moved = ir_moved(w.out, in);
    for (uint32_t v = 1; v < in->count; v++) {
        const struct ir_node *n = &in->nodes[v];
        bool narrow = ir_narrow(n->dtype);
        for (int i = 0; i < n->arity; i++)
            narrow |= ir_narrow(ir_at(in, n->args[i])->dtype);
        if (!narrow || moves(n->op)) {
            w.moved[v] = ir_copy(w.out, in, (ir_val){ v }, w.moved);
            continue;
        }
        w.out->region_now = n->region < w.out->regions ? n->region : 0;
        w.moved[v] = computed(&w, n);
        w.out->region_now = 0;
    }
    ir_move_outputs(w.out, in, w.moved);
    ir_move_regions(w.out, in, w.moved);
    return w.out;
}
