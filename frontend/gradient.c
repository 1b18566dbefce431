/*
 * gradient: a function with a derivative of the user's own.
 *
 * Both functions are recorded on tensors that stand for the arguments and for the gradients of the
 * results, and become the body of one step, a scan with `own`: its results are what the first
 * function gives and, behind them, what the second does. Where nobody derives, the second's nodes
 * are read by nobody and go.
 */
#include "frontend/body.h"

static const char what[] = "tp_with_gradient";

static bool floats(tp_graph *g, tp_loc at, int n, const tp_tensor *x)
{
    for (int i = 0; i < n; i++)
        if (ir_dtypes[tp_node(x[i])->dtype].kind != 'f') {
            tp_fail(g, at, what,
                    "argument %d is %s; expected a floating type, others are read from "
                    "outside",
                    i, tp_describe(x[i]));
            return false;
        }
    return true;
}

static bool gives(tp_graph *g, tp_loc at, int n, const tp_tensor *y)
{
    for (int i = 0; i < n && g->error.status == IR_OK; i++)
        if (y[i].g && !y[i].id)
            tp_fail(g, at, what, "the function gives no result %d; expected %d", i, n);
        else if (y[i].g && ir_dtypes[tp_node(y[i])->dtype].kind != 'f')
            tp_fail(g, at, what, "result %d is %s; expected a floating type", i, tp_describe(y[i]));
    return g->error.status == IR_OK;
}

/* One for each argument, like it; zeros where the function has left it out. */
static bool gradients_fit(struct body *s, int n, const tp_tensor *x, tp_tensor *dx)
{
    for (int i = 0; i < n && s->g->error.status == IR_OK; i++) {
        if (dx[i].g && !dx[i].id)
            dx[i].id = ir_full_like(s->g->ir, tp_val(x[i]), 0, s->loc).id;
        if (!tp_body_tensors(s, "gradient", 1, &dx[i]))
            return false;
        if (tp_node(dx[i])->dtype != tp_node(x[i])->dtype ||
            !ir_same_shape(&tp_node(dx[i])->shape, &tp_node(x[i])->shape)) {
            struct ir_text is = { 0 };
            ir_put_shape(&is, s->g->ir, tp_node(dx[i])->dtype, &tp_node(dx[i])->shape);
            tp_fail(s->g, s->at, what, "the gradient of argument %d, %s, is %s; expected the same",
                    i, tp_describe(x[i]), is.data);
            ir_text_free(&is);
        }
    }
    return s->g->error.status == IR_OK;
}

static void close_body(struct body *s, int n, const tp_tensor *x, int outputs,
                       const tp_tensor *stand, tp_tensor *y, const tp_tensor *dx)
{
    struct ir_graph *g = s->g->ir;
    struct ir_node *type = ir_alloc(g->arena, ((size_t)outputs + 1) * sizeof *type);
    const int64_t numbers[] = { 0, 1, outputs };
    struct ir_node draft = { .op = IR_scan, .loc = s->loc };
    ir_val step;

    tp_body_begin(s, "own");
    for (int i = 0; i < n + outputs; i++) {
        const struct ir_node *p = tp_node(stand[i]);
        const char *name = ir_format(s->body->arena, i < n ? "x%d" : "dy%d", i < n ? i : i - n);
        s->moved[stand[i].id] =
            ir_input(s->body, name, p->dtype, ir_shape_of(s->body, g, p->shape), s->loc);
        tp_body_take(s, i < n ? tp_val(x[i]) : (ir_val){ 0 });
    }
    tp_body_copy(s);
    tp_body_give(s, outputs, y);
    tp_body_give(s, n, dx);
    for (int i = 0; i < outputs; i++)
        type[i] = *tp_node(stand[n + i]);
    tp_body_erase(s);
    for (int i = 0; i < outputs; i++)
        s->arg[n + i] = ir_expand(g, ir_number(g, type[i].dtype, 0, s->loc), type[i].shape, s->loc);
    draft.arity = s->args;
    draft.args = s->arg;
    draft.body = s->body;
    draft.attr[IR_SCAN_CARRY] = draft.attr[IR_SCAN_SLICES] = (struct ir_list){ 1, &numbers[0] };
    draft.attr[IR_SCAN_LENGTH] = (struct ir_list){ 1, &numbers[1] };
    draft.attr[IR_SCAN_OWN] = (struct ir_list){ 1, &numbers[2] };
    step = ir_add(g, &draft);
    ir_graph_free(s->body);
    for (int i = 0; i < outputs; i++)
        y[i].id = ir_reshape(g, ir_make_result(g, step, i, s->loc), type[i].shape, s->loc).id;
}

bool tp_with_gradient_at(tp_branch *function, tp_gradient_rule *rule, void *user, int n,
                         const tp_tensor *x, int outputs, tp_tensor *y, tp_loc at)
{
    tp_graph *g = tp_graph_of(n, x);
    struct body s = { .g = g,
                      .at = at,
                      .what = what,
                      .instead = "a result",
                      .around = "the function reads or gives" };
    tp_tensor *stand, *dx, *made;
    bool ok;

    for (int i = 0; i < outputs; i++)
        y[i] = POISON(g);
    if (!g || !tp_body_tensors(&s, "argument", n, x) || !floats(g, at, n, x))
        return false;
    s.loc = tp_place(g, at);
    s.before = g->ir->count;
    stand = ir_alloc(g->ir->arena, ((size_t)(n + outputs) + 1) * sizeof *stand);
    dx = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *dx);
    made = ir_alloc(g->ir->arena, ((size_t)outputs + 1) * sizeof *made);
    for (int i = 0; i < n; i++) {
        stand[i] = tp_body_stand_in(&s, "argument", i, x[i], false);
        dx[i] = POISON(g);
    }
    for (int i = 0; i < outputs; i++)
        made[i] = POISON(g);
    tp_eager_hold(g, true);
    function(user, stand, made);
    ok = gives(g, at, outputs, made) && tp_body_tensors(&s, "result", outputs, made);
    for (int i = 0; ok && i < outputs; i++)
        stand[n + i] = tp_body_stand_in(&s, "gradient", i, made[i], false);
    if (ok)
        rule(user, stand, made, stand + n, dx);
    tp_eager_hold(g, false);
    ok = ok && gradients_fit(&s, n, x, dx);
    if (ok)
        tp_body_find(&s, n + outputs, stand);
    ok = ok && tp_body_may_move(&s);
    if (ok)
        close_body(&s, n, x, outputs, stand, made, dx);
    for (int i = 0; ok && i < outputs; i++)
        y[i] = tp_give(g, tp_val(made[i]));
    return ok && g->error.status == IR_OK;
}
