/*
 * cond: one of two functions, as a truth value says at run time.
 *
 * A branch is a scan of one step that runs or not (`when`): it carries the results, reads none of
 * them, and gives its own. The first begins with zeros and runs where the value is true, the second
 * begins with what the first gave and runs where it is false. So there is no second kind of control
 * flow: derivatives, plans and texts are those of scans, and the derivative of a choice is a
 * choice, for the gradient goes by the branch that did not run.
 *
 * All that a branch records belongs to it, be it made of values from outside alone: it is computed
 * where the branch runs.
 */
#include "frontend/body.h"

struct choice {
    int n, outputs;
    const tp_tensor *x;
    void *user;
    tp_tensor *y;         /* a branch's results, in the trace */
    struct ir_node *type; /* those of the first branch */
    ir_val *carried;      /* what a branch begins with, then what it gives; 0: zeros */
};

static const char *const branch_name[] = { "then", "else" };

/* Parameters made by the branch stay in the trace, as all of them do; numbers are copied. */
static void find_inside(struct body *s)
{
    const struct ir_graph *g = s->g->ir;

    s->inside = ir_alloc(g->arena, g->count * sizeof *s->inside);
    for (uint32_t v = s->before; v < g->count; v++) /* poison: a branch inside has taken it */
        s->inside[v] =
            g->nodes[v].op != IR_state && g->nodes[v].op != IR_input && g->nodes[v].op != IR_POISON;
}

static bool same_types(struct body *s, const struct choice *c)
{
    for (int i = 0; i < c->outputs; i++) {
        const struct ir_node *n = tp_node(c->y[i]);
        struct ir_text was = { 0 };
        if (n->dtype == c->type[i].dtype && ir_same_shape(&n->shape, &c->type[i].shape))
            continue;
        ir_put_shape(&was, s->g->ir, c->type[i].dtype, &c->type[i].shape);
        tp_fail(s->g, s->at, s->what,
                "result %d is %s of the first branch and %s of the second; "
                "expected the same",
                i, was.data, tp_describe(c->y[i]));
        ir_text_free(&was);
        return false;
    }
    return true;
}

/* What the function has recorded becomes a step that runs where the value is true. */
static void close_branch(struct body *s, struct choice *c, ir_val when, const char *name)
{
    struct ir_graph *g = s->g->ir;
    const int at = c->outputs;
    ir_val scan;

    tp_body_begin(s, name);
    for (int i = 0; i < c->outputs; i++) {
        const char *carry = ir_format(s->body->arena, "h%d", i);
        ir_input(s->body, carry, c->type[i].dtype, ir_shape_of(s->body, g, c->type[i].shape),
                 s->loc);
        tp_body_take(s, c->carried[i]);
    }
    ir_input(s->body, "when", IR_BOOL, (struct ir_shape){ 0 }, s->loc);
    tp_body_take(s, when);
    tp_body_copy(s);
    tp_body_give(s, c->outputs, c->y);
    tp_body_erase(s);
    for (int i = 0; i < c->outputs; i++) /* not before: it would share what is gone now */
        if (!c->carried[i].id)
            s->arg[i] =
                ir_expand(g, ir_number(g, c->type[i].dtype, 0, s->loc), c->type[i].shape, s->loc);
    scan = tp_body_end(s, c->outputs, 0, 1, false, at);
    for (int i = 0; i < c->outputs; i++)
        c->carried[i] = ir_make_result(g, scan, i, s->loc);
}

static bool run_branch(tp_graph *g, struct choice *c, int which, tp_branch *branch, ir_val when,
                       tp_loc at)
{
    struct body s = { .g = g,
                      .at = at,
                      .what = "tp_cond",
                      .instead = "a result",
                      .around = "the branch reads or gives",
                      .loc = tp_place(g, at),
                      .before = g->ir->count };

    for (int i = 0; i < c->outputs; i++)
        c->y[i] = POISON(g);
    tp_eager_hold(g, true);
    branch(c->user, c->x, c->y);
    tp_eager_hold(g, false);
    for (int i = 0; i < c->outputs && g->error.status == IR_OK; i++)
        if (c->y[i].g && !c->y[i].id)
            tp_fail(g, at, "tp_cond", "the %s branch gives no result %d; expected %d results",
                    which ? "second" : "first", i, c->outputs);
    if (!tp_body_tensors(&s, "result", c->outputs, c->y))
        return false;
    find_inside(&s);
    if (!tp_body_may_move(&s) || (which && !same_types(&s, c)))
        return false;
    for (int i = 0; !which && i < c->outputs; i++)
        c->type[i] = *tp_node(c->y[i]);
    close_branch(&s, c, when, branch_name[which]);
    return g->error.status == IR_OK;
}

bool tp_cond_at(tp_tensor when, tp_branch *then, tp_branch *otherwise, void *user, int n,
                const tp_tensor *x, int outputs, tp_tensor *y, tp_loc at)
{
    tp_graph *g = when.g ? when.g : tp_graph_of(n, x);
    struct choice c = { .n = n, .outputs = outputs, .x = x, .user = user };
    struct body s = { .g = g, .at = at, .what = "tp_cond" };
    bool ok;

    for (int i = 0; i < outputs; i++)
        y[i] = POISON(g);
    if (!g || !tp_body_tensors(&s, "condition", 1, &when) || !tp_ready(g, at, "tp_cond", n, x))
        return false;
    if (tp_node(when)->dtype != IR_BOOL || tp_rank(when) != 0) {
        tp_fail(g, at, "tp_cond", "the condition is %s; expected one truth value",
                tp_describe(when));
        return false;
    }
    if (outputs < 1) {
        tp_fail(g, at, "tp_cond", "%d results; expected 1 or more", outputs);
        return false;
    }
    c.y = ir_alloc(g->ir->arena, (size_t)outputs * sizeof *c.y);
    c.carried = ir_alloc(g->ir->arena, (size_t)outputs * sizeof *c.carried);
    c.type = ir_alloc(g->ir->arena, (size_t)outputs * sizeof *c.type);
    ok = run_branch(g, &c, 0, then, tp_val(when), at) &&
         run_branch(g, &c, 1, otherwise, ir_op1(g->ir, IR_not, tp_val(when), tp_place(g, at)), at);
    for (int i = 0; ok && i < outputs; i++)
        y[i] = tp_give(g, c.carried[i]);
    return ok && g->error.status == IR_OK;
}
