/*
 * scan: a user's function as the body of a loop.
 *
 * The function records into the trace like any other, on tensors that stand for the carries and for
 * one step's slices. What depends on them becomes the body, and is erased from the trace; what does
 * not (parameters, products of them) stays, computed once, and the body reads it.
 */
#include <string.h>

#include "frontend/frontend.h"

struct scan {
    tp_graph *g;
    struct ir_loc loc;
    tp_loc at;
    uint32_t before; /* nodes of the trace */
    bool *inside;    /* node: depends on a carry or a slice */
    struct ir_graph *body;
    ir_val *moved;    /* node of the trace -> of the body */
    uint32_t *region; /* region of the trace -> of the body */
    ir_val *arg;
    int args, room;
};

static tp_tensor stand_in(struct scan *s, const char *what, int i, tp_tensor of, bool slice)
{
    struct ir_graph *g = s->g->ir;
    const struct ir_node n = *tp_node(of);
    struct ir_shape shape = n.shape;

    if (slice) {
        shape.rank--;
        memmove(shape.dim, shape.dim + 1, (size_t)shape.rank * sizeof *shape.dim);
    }
    return (tp_tensor){ .g = s->g,
                        .id =
                            ir_input(g, ir_format(g->arena, "%s%d of scan %u", what, i, s->before),
                                     n.dtype, shape, s->loc)
                                .id };
}

static void find_inside(struct scan *s, int n, const tp_tensor *stands)
{
    const struct ir_graph *g = s->g->ir;

    s->inside = ir_alloc(g->arena, g->count * sizeof *s->inside);
    for (int i = 0; i < n; i++)
        s->inside[stands[i].id] = true;
    for (uint32_t v = s->before; v < g->count; v++)
        for (int i = 0; i < g->nodes[v].arity; i++)
            s->inside[v] |= s->inside[g->nodes[v].args[i].id];
}

static void take(struct scan *s, ir_val arg)
{
    ir_grow(s->g->ir->arena, s->arg, s->args, s->room);
    s->arg[s->args++] = arg;
}

/* A value from outside: a number as it is, anything else as an argument. */
static ir_val captured(struct scan *s, ir_val v)
{
    const struct ir_graph *g = s->g->ir;
    const struct ir_node *n = ir_at(g, v);

    if (s->moved[v.id].id)
        return s->moved[v.id];
    if (n->op == IR_const)
        return s->moved[v.id] = ir_copy(s->body, g, v, s->moved);
    s->moved[v.id] = ir_input(s->body, ir_format(s->body->arena, "in%d", s->args), n->dtype,
                              ir_shape_of(s->body, g, n->shape), n->loc);
    take(s, v);
    return s->moved[v.id];
}

static uint32_t region_in_body(struct scan *s, uint32_t r)
{
    const struct ir_region *of = &s->g->ir->region[r];
    uint32_t parent;

    if (r == 0 || s->region[r])
        return s->region[r];
    parent = region_in_body(s, of->parent);
    s->body->region_now = parent;
    s->region[r] =
        ir_region_open(s->body, of->name, of->title, of->arity, of->args, of->attr, of->loc);
    s->body->region_now = 0;
    return s->region[r];
}

static void copy_inside(struct scan *s)
{
    const struct ir_graph *g = s->g->ir;
    const uint32_t count = g->count;

    for (uint32_t v = s->before; v < count; v++) { /* arguments first: carries, slices, the rest */
        const struct ir_node *n = &g->nodes[v];
        for (int i = 0; s->inside[v] && i < n->arity; i++)
            if (!s->inside[n->args[i].id])
                captured(s, n->args[i]);
    }
    for (uint32_t v = s->before; v < count; v++)
        if (s->inside[v] && !s->moved[v].id) {
            s->body->region_now = region_in_body(s, g->nodes[v].region);
            s->moved[v] = ir_copy(s->body, g, (ir_val){ v }, s->moved);
            s->body->nodes[s->moved[v].id].region = region_in_body(s, g->nodes[v].region);
        }
    s->body->region_now = 0;
    for (uint32_t r = 1; r < g->regions; r++)
        if (s->region[r]) {
            struct ir_region *to = &s->body->region[s->region[r]];
            for (int i = 0; i < to->arity; i++)
                to->args[i] = s->moved[g->region[r].args[i].id];
            to->result = s->moved[g->region[r].result.id];
        }
}

static bool may_repeat(struct scan *s)
{
    const struct ir_graph *g = s->g->ir;

    for (uint32_t v = s->before; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        for (uint32_t r = n->region; s->inside[v] && r; r = g->region[r].parent)
            if (strcmp(g->region[r].name, "dropout") == 0 ||
                strcmp(g->region[r].name, "batch_norm") == 0) {
                tp_fail(s->g, s->at, "tp_scan",
                        "%.40s inside the function; expected it outside, on what all steps read "
                        "or give",
                        g->region[r].name);
                return false;
            }
        if (s->inside[v] && n->op == IR_assign) {
            tp_fail(s->g, s->at, "tp_scan",
                    "state %.60s is assigned inside the function; expected a carry",
                    ir_at(g, n->args[0])->text);
            return false;
        }
    }
    return true;
}

static bool are_tensors(struct scan *s, const char *what, int n, const tp_tensor *x)
{
    if (!tp_ready(s->g, s->at, "tp_scan", n, x))
        return false;
    for (int i = 0; i < n; i++)
        if (!x[i].g) {
            tp_fail(s->g, s->at, "tp_scan", "%s %d is a number; expected a tensor", what, i);
            return false;
        }
    return true;
}

static bool same_type(struct scan *s, const char *what, int i, tp_tensor a, tp_tensor b)
{
    if (tp_node(a)->dtype == tp_node(b)->dtype &&
        ir_same_shape(&tp_node(a)->shape, &tp_node(b)->shape))
        return true;
    tp_fail(s->g, s->at, "tp_scan", "%s %d is %s before a step and %s after it; expected the same",
            what, i, tp_describe(a), tp_describe(b));
    return false;
}

static bool good(struct scan *s, int carries, const tp_tensor *carry, int slices,
                 const tp_tensor *x, int64_t *length)
{
    if (!are_tensors(s, "carry", carries, carry) || !are_tensors(s, "array", slices, x))
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
static ir_val finish(struct scan *s, int carries, const tp_tensor *carry, const tp_tensor *next,
                     int slices, const tp_tensor *x, const tp_tensor *stand, int outputs,
                     const tp_tensor *y, int64_t length, bool reverse)
{
    struct ir_graph *g = s->g->ir;
    const uint32_t counted = g->count;
    ir_val scan;

    s->body = ir_body_new(g, "body");
    s->moved = ir_alloc(s->body->arena, g->count * sizeof *s->moved);
    s->region = ir_alloc(s->body->arena, g->regions * sizeof *s->region);
    for (int i = 0; i < carries + slices; i++) {
        const struct ir_node *n = tp_node(stand[i]);
        const char *name = ir_format(s->body->arena, "%s%d", i < carries ? "h" : "x",
                                     i < carries ? i : i - carries);
        s->moved[stand[i].id] =
            ir_input(s->body, name, n->dtype, ir_shape_of(s->body, g, n->shape), s->loc);
        take(s, tp_val(i < carries ? carry[i] : x[i - carries]));
    }
    copy_inside(s);
    for (int i = 0; i < carries; i++)
        ir_output(s->body, NULL, captured(s, tp_val(next[i])));
    for (int i = 0; i < outputs; i++)
        ir_output(s->body, NULL, captured(s, tp_val(y[i])));
    scan = ir_make_scan(g, s->body, s->args, s->arg, carries, slices, length, reverse, s->loc);
    ir_graph_free(s->body);
    ir_erase(g, s->inside, counted);
    return scan;
}

bool tp_scan_at(tp_graph *g, tp_body *body, void *user, int carries, tp_tensor *carry, int slices,
                const tp_tensor *x, int outputs, tp_scan_args args, tp_loc at)
{
    struct scan s = { .g = g, .at = at };
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
        next[i] = stand[i] = stand_in(&s, "carry", i, carry[i], false);
    for (int i = 0; i < slices; i++)
        stand[carries + i] = stand_in(&s, "slice", i, x[i], true);
    tp_eager_hold(g, true);
    body(user, next, stand + carries, args.y);
    tp_eager_hold(g, false);
    ok = are_tensors(&s, "carry", carries, next) && are_tensors(&s, "output", outputs, args.y);
    if (ok)
        find_inside(&s, carries + slices, stand);
    for (int i = 0; ok && i < carries; i++)
        ok = same_type(&s, "carry", i, carry[i], next[i]);
    ok = ok && may_repeat(&s);
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
