/*
 * tangents: forward mode. How y changes when wrt moves, one walk with the nodes' own order.
 *
 * It follows from the same table as the backward mode: a pointwise row's formula, with the tangent
 * in the place of the gradient, is what the argument adds; a structural row is linear in what
 * gradients reach, so it is applied to the tangents. Those that are neither stand below.
 */
#include "passes/gradients.h"

#include <string.h>

struct forward {
    struct ir_graph *g;
    const ir_val *tangent; /* old value -> its tangent; 0: it does not move */
};

static ir_val tangent_of(const struct forward *f, ir_val v)
{
    return f->tangent[v.id];
}

static ir_val zeros_like(const struct forward *f, ir_val v, struct ir_loc loc)
{
    return ir_full_like(f->g, v, 0, loc);
}

static ir_val plus(const struct forward *f, ir_val a, ir_val b, struct ir_loc loc)
{
    return a.id == 0 ? b : b.id == 0 ? a : ir_op2(f->g, IR_add, a, b, loc);
}

/* The node again, with other arguments. */
static ir_val again(const struct forward *f, const struct ir_node *n, const ir_val *args)
{
    struct ir_node draft = *n;

    draft.args = args;
    draft.name = NULL;
    return ir_add(f->g, &draft);
}

static ir_val pointwise(const struct forward *f, const struct ir_node *n, ir_val y)
{
    ir_val sum = { 0 }, name[26] = { ['y' - 'a'] = y };

    for (int i = 0; i < n->arity; i++)
        name[i] = n->args[i];
    for (int i = 0; i < n->arity; i++) {
        name['g' - 'a'] = tangent_of(f, n->args[i]);
        if (name['g' - 'a'].id && ir_ops[n->op].grad[i][0])
            sum = plus(f, sum, ir_formula(f->g, ir_ops[n->op].grad[i], name, n->loc), n->loc);
    }
    return sum.id ? ir_expand(f->g, sum, n->shape, n->loc) : sum;
}

/* Linear in all its floating arguments together: those that stand still have the tangent zero. */
static ir_val linear(const struct forward *f, const struct ir_node *n)
{
    ir_val *args = ir_alloc(f->g->arena, (size_t)n->arity * sizeof *args);
    ir_val result;

    for (int i = 0; i < n->arity; i++) {
        bool moves = ir_dtypes[ir_at(f->g, n->args[i])->dtype].kind == 'f';
        args[i] = !moves                         ? n->args[i]
                  : tangent_of(f, n->args[i]).id ? tangent_of(f, n->args[i])
                                                 : zeros_like(f, n->args[i], n->loc);
    }
    result = again(f, n, args);
    return result;
}

/* Linear in each argument by itself: one term for each that moves. */
static ir_val product(const struct forward *f, const struct ir_node *n)
{
    ir_val sum = { 0 };

    for (int i = 0; i < 2; i++) {
        ir_val args[2] = { n->args[0], n->args[1] };

        args[i] = tangent_of(f, n->args[i]);
        if (args[i].id)
            sum = plus(f, sum, again(f, n, args), n->loc);
    }
    return sum;
}

/* The tangent of a reduction or of window_max, which is not linear but picks or weighs: the sum of
 * its gradient (of ones) times the tangent, which is its backward rule read the other way. */
static ir_val weighted(const struct forward *f, const struct ir_node *n, ir_val y)
{
    ir_val one = ir_full_like(f->g, y, 1, n->loc), weight = { 0 };
    bool wanted = true;
    struct pass_step step = { f->g, n, NULL, y, one, NULL, &wanted, &weight };

    if (n->op == IR_prod)
        pass_grad_of_prod(&step);
    else
        pass_grad_of_extreme(&step);
    weight = ir_op2(f->g, IR_mul, weight, tangent_of(f, n->args[0]), n->loc);
    return ir_reduce(f->g, IR_sum, weight, n->attr[0].count, n->attr[0].at, n->loc);
}

static ir_val picked(const struct forward *f, const struct ir_node *n)
{
    ir_val taken = ir_op_attr(f->g, IR_window_argmax, 1, n->args, n->attr, n->loc);

    return ir_op_attr(f->g, IR_window_pick, 2, (ir_val[]){ tangent_of(f, n->args[0]), taken },
                      n->attr, n->loc);
}

static ir_val step_forward(const struct forward *f, ir_val y)
{
    struct ir_node n = *ir_at(f->g, y); /* a copy: the array moves while nodes are added */
    bool any = false;

    for (int i = 0; i < n.arity; i++)
        any |= tangent_of(f, n.args[i]).id != 0;
    if (any && n.op == IR_scan && n.attr[IR_SCAN_OWN].count) {
        ir_refuse(f->g, &n, "its own derivative is a gradient; expected reverse mode");
        return (ir_val){ 0 };
    }
    if (any && n.op == IR_scan) {
        ir_val *tangent = ir_alloc(f->g->arena, (size_t)n.arity * sizeof *tangent);
        for (int i = 0; i < n.arity; i++)
            tangent[i] = tangent_of(f, n.args[i]);
        return pass_tangent_of_scan(f->g, &n, tangent);
    }
    if (!any || ir_dtypes[n.dtype].kind != 'f')
        return (ir_val){ 0 };
    if (n.op == IR_result) {
        struct ir_node scan = *ir_at(f->g, n.args[0]);
        return pass_tangent_of_result(f->g, &scan, tangent_of(f, n.args[0]), (int)n.attr[0].at[0]);
    }
    if (ir_ops[n.op].group != IR_STRUCTURAL)
        return pointwise(f, &n, y);
    switch (n.op) {
    case IR_custom:
        ir_refuse(f->g, &n, "forward mode through %.60s, a C function; expected reverse mode",
                  n.text);
        return (ir_val){ 0 };
    case IR_stop_gradient:
    case IR_bitcast:
    case IR_assign:
        return (ir_val){ 0 };
    case IR_dot:
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        return product(f, &n);
    case IR_prod:
    case IR_amax:
    case IR_amin:
        return weighted(f, &n, y);
    case IR_window_max:
        return picked(f, &n);
    case IR_cumprod:
    case IR_cummax:
    case IR_cummin:
    case IR_recur: {
        ir_val tangent[2] = { tangent_of(f, n.args[0]), { 0 } };
        if (n.arity == 2)
            tangent[1] = tangent_of(f, n.args[1]);
        return pass_tangent_of_order(f->g, &n, y, tangent);
    }
    default:
        return linear(f, &n);
    }
}

bool pass_jvp(struct ir_graph *g, int n, const ir_val *wrt, const ir_val *tangent, int n_y,
              const ir_val *y, ir_val *tangents)
{
    uint32_t count = g->count;
    struct ir_arena *scratch;
    struct forward f = { .g = g };
    ir_val *moves;
    bool *asked, ok = pass_differentiable(g, "the argument", n, wrt) &&
                      pass_differentiable(g, "the result", n_y, y);

    if (!ok)
        return false;
    scratch = ir_arena_new();
    f.tangent = moves = ir_alloc(scratch, count * sizeof *moves);
    asked = ir_alloc(scratch, count * sizeof *asked); /* who else is in the graph is left alone */
    for (int i = 0; i < n_y; i++)
        asked[y[i].id] = true;
    for (uint32_t v = count; v-- > 1;)
        for (int i = 0; asked[v] && i < g->nodes[v].arity; i++)
            asked[g->nodes[v].args[i].id] = true;
    for (int i = 0; ok && i < n; i++) {
        moves[wrt[i].id] = pass_seed(g, "tangent", wrt[i], tangent, i);
        ok = moves[wrt[i].id].id != 0;
    }
    for (uint32_t v = 1; ok && v < count; v++) {
        uint32_t before = g->count;

        if (moves[v].id || !asked[v]) /* a wrt moves as it is told */
            continue;
        moves[v] = step_forward(&f, (ir_val){ v });
        pass_name_after(g, before, "tangent", g->nodes[v].name);
    }
    for (int i = 0; ok && i < n_y; i++)
        tangents[i] =
            moves[y[i].id].id ? moves[y[i].id] : ir_full_like(g, y[i], 0, ir_at(g, y[i])->loc);
    ir_arena_free(scratch);
    return ok && g->error->status == IR_OK;
}
