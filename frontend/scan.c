/*
 * scan: a user's function as the body of a loop.
 *
 * The function records into the trace like any other, on tensors that stand for the carries and for
 * one step's slices. What depends on them becomes the body, and is erased from the trace; what does
 * not (parameters, products of them) stays, computed once, and the body reads it.
 */
#include <string.h>

#include "frontend/body.h"

static bool same_type(struct body *s, const char *what, int i, tp_tensor a, tp_tensor b)
{
    if (tp_node(a)->dtype == tp_node(b)->dtype &&
        ir_same_shape(&tp_node(a)->shape, &tp_node(b)->shape))
        return true;
    tp_fail(s->g, s->at, "tp_scan", "%s %d is %s before a step and %s after it; expected the same",
            what, i, tp_describe(a), tp_describe(b));
    return false;
}

static bool good(struct body *s, int carries, const tp_tensor *carry, int slices,
                 const tp_tensor *x, int64_t *length)
{
    if (!tp_body_tensors(s, "carry", carries, carry) || !tp_body_tensors(s, "array", slices, x))
        return false;
    for (int i = 0; i < slices; i++) {
        if (tp_rank(x[i]) > 0 && (*length == 0 || tp_dim(x[i], 0) == *length)) {
            *length = tp_dim(x[i], 0);
            continue;
        }
        tp_fail(s->g, s->at, "tp_scan", "array %d is %s; expected %s", i, tp_describe(x[i]),
                i ? "a first axis as the others have" : "one slice a step along a first axis");
        return false;
    }
    if (slices == 0 && *length < 1)
        tp_fail(s->g, s->at, "tp_scan", "no arrays and no .length; expected one of them");
    return s->g->error.status == IR_OK;
}

/* The body's graph: what the function has recorded, moved out of the trace. */
static ir_val finish(struct body *s, int carries, const tp_tensor *carry, const tp_tensor *next,
                     int slices, const tp_tensor *x, const tp_tensor *stand, int outputs,
                     const tp_tensor *y, int64_t length, bool reverse)
{
    struct ir_graph *g = s->g->ir;

    tp_body_begin(s, "body");
    for (int i = 0; i < carries + slices; i++) {
        const struct ir_node *n = tp_node(stand[i]);
        const char *name = ir_format(s->body->arena, "%s%d", i < carries ? "h" : "x",
                                     i < carries ? i : i - carries);
        s->moved[stand[i].id] =
            ir_input(s->body, name, n->dtype, ir_shape_of(s->body, g, n->shape), s->loc);
        tp_body_take(s, tp_val(i < carries ? carry[i] : x[i - carries]));
    }
    tp_body_copy(s);
    tp_body_give(s, carries, next);
    tp_body_give(s, outputs, y);
    tp_body_erase(s);
    return tp_body_end(s, carries, slices, length, reverse, -1);
}

bool tp_scan_at(tp_graph *g, tp_body *body, void *user, int carries, tp_tensor *carry, int slices,
                const tp_tensor *x, int outputs, tp_scan_args args, tp_loc at)
{
    struct body s = { .g = g,
                      .at = at,
                      .what = "tp_scan",
                      .instead = "a carry",
                      .around = "all steps read or give" };
    tp_tensor *stand, *next;
    int64_t length = args.length;
    bool ok;

    for (int i = 0; i < outputs; i++)
        args.y[i] = POISON(g);
    if (!g || !good(&s, carries, carry, slices, x, &length))
        return false;
    s.loc = tp_place(g, at);
    s.before = g->ir->count;
    stand = ir_alloc(g->ir->arena, ((size_t)(carries + slices) + 1) * sizeof *stand);
    next = ir_alloc(g->ir->arena, ((size_t)carries + 1) * sizeof *next);
    for (int i = 0; i < carries; i++)
        next[i] = stand[i] = tp_body_stand_in(&s, "carry", i, carry[i], false);
    for (int i = 0; i < slices; i++)
        stand[carries + i] = tp_body_stand_in(&s, "slice", i, x[i], true);
    tp_eager_hold(g, true);
    body(user, next, stand + carries, args.y);
    tp_eager_hold(g, false);
    ok = tp_body_tensors(&s, "carry", carries, next) &&
         tp_body_tensors(&s, "output", outputs, args.y);
    if (ok)
        tp_body_find(&s, carries + slices, stand);
    for (int i = 0; ok && i < carries; i++)
        ok = same_type(&s, "carry", i, carry[i], next[i]);
    ok = ok && tp_body_may_move(&s);
    if (ok) {
        const ir_val scan = finish(&s, carries, carry, next, slices, x, stand, outputs, args.y,
                                   length, args.reverse);
        for (int i = 0; i < carries + outputs; i++)
            *(i < carries ? &carry[i] : &args.y[i - carries]) =
                tp_give(g, ir_make_result(g->ir, scan, i, s.loc));
        ok = g->error.status == IR_OK;
    }
    for (int i = 0; !ok && i < outputs; i++)
        args.y[i] = POISON(g);
    for (int i = 0; !ok && i < carries; i++)
        carry[i] = POISON(g);
    return ok;
}
