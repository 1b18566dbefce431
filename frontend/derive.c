/*
 * derive: derivatives as tensors like any others, and assignments.
 */
#include "frontend/frontend.h"
#include "passes/passes.h"

bool tp_vjp_at(tp_tensor y, tp_tensor cotangent, int n, const tp_tensor wrt[], tp_tensor out[],
               tp_loc at)
{
    tp_graph *g = y.g;
    ir_val *v, *grads, from = tp_val(y), arriving = tp_val(cotangent);

    for (int i = 0; i < n; i++)
        out[i] = POISON(g);
    if (!tp_ready(g, at, "tp_vjp", 1, &y) || !tp_ready(g, at, "tp_vjp", 1, &cotangent) ||
        !tp_ready(g, at, "tp_vjp", n, wrt))
        return false;
    for (int i = 0; i < n; i++)
        if (!wrt[i].g) {
            tp_fail(g, at, "tp_vjp", "argument %d is a bare number; expected a tensor", i + 1);
            return false;
        }
    if (!cotangent.g) {
        if (tp_rank(y) != 0 && cotangent.number == 1) {
            tp_fail(g, at, "tp_grad",
                    "%s; expected a scalar, tp_vjp() takes a cotangent for others", tp_describe(y));
            return false;
        }
        arriving = ir_full_like(g->ir, from, cotangent.number, tp_place(g, at));
    }
    v = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *v);
    grads = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *grads);
    for (int i = 0; i < n; i++)
        v[i] = tp_val(wrt[i]);
    pass_gradients(g->ir, 1, &from, &arriving, n, v, grads);
    for (int i = 0; i < n; i++)
        out[i] = tp_give(g, grads[i]);
    return g->error.status == IR_OK;
}

bool tp_jvp_at(tp_tensor y, int n, const tp_tensor x[], const tp_tensor along[], tp_tensor *out,
               tp_loc at)
{
    tp_graph *g = y.g;
    ir_val *from, *tangent, result, of = tp_val(y);

    *out = POISON(g);
    if (!tp_ready(g, at, "tp_jvp", 1, &y) || !tp_ready(g, at, "tp_jvp", n, x) ||
        !tp_ready(g, at, "tp_jvp", n, along))
        return false;
    from = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *from);
    tangent = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *tangent);
    for (int i = 0; i < n; i++) {
        if (!x[i].g || !along[i].g ||
            !ir_same_shape(&tp_node(x[i])->shape, &tp_node(along[i])->shape) ||
            tp_node(x[i])->dtype != tp_node(along[i])->dtype) {
            tp_fail(g, at, "tp_jvp", "argument %d is %s and moves along %s; expected the same type",
                    i + 1, x[i].g ? tp_describe(x[i]) : "a bare number",
                    along[i].g ? tp_describe(along[i]) : "a bare number");
            return false;
        }
        from[i] = tp_val(x[i]);
        tangent[i] = tp_val(along[i]);
    }
    if (pass_jvp(g->ir, n, from, tangent, 1, &of, &result))
        *out = tp_give(g, result);
    return tp_tell(g);
}

tp_tensor tp_grad_of_at(tp_tensor y, tp_tensor x, tp_loc at)
{
    tp_tensor out;

    tp_vjp_at(y, tp_as_number(1), 1, &x, &out, at);
    return out;
}

void tp_assign_at(tp_tensor state, tp_tensor value, tp_loc at)
{
    const tp_tensor x[] = { state, value };
    tp_graph *g = state.g;
    tp_tensor full;

    if (!tp_ready(g, at, "tp_assign", 2, x))
        return;
    full = value.g ? value : tp_full_like_at(state, value.number, at);
    tp_give(g, ir_assign(g->ir, tp_val(state), tp_val(full), tp_place(g, at)));
}
