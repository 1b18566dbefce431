/*
 * body: what a function has recorded, moved out of the trace into a graph of its own.
 *
 * Who calls the function says which of the new nodes are inside. They become the body and are
 * erased from the trace; what they read of the rest becomes arguments.
 */
#include <string.h>

#include "frontend/body.h"

bool tp_body_tensors(struct body *s, const char *what, int n, const tp_tensor *x)
{
    if (!tp_ready(s->g, s->at, s->what, n, x))
        return false;
    for (int i = 0; i < n; i++)
        if (!x[i].g) {
            tp_fail(s->g, s->at, s->what, "%s %d is a number; expected a tensor", what, i);
            return false;
        }
    return true;
}

tp_tensor tp_body_stand_in(struct body *s, const char *what, int i, tp_tensor of, bool slice)
{
    struct ir_graph *g = s->g->ir;
    const struct ir_node n = *tp_node(of);
    struct ir_shape shape = n.shape;

    if (slice) {
        shape.rank--;
        memmove(shape.dim, shape.dim + 1, (size_t)shape.rank * sizeof *shape.dim);
    }
    return (tp_tensor){ .g = s->g,
                        .id = ir_input(g, ir_format(g->arena, "%s%d of %u", what, i, s->before),
                                       n.dtype, shape, s->loc)
                                  .id };
}

void tp_body_find(struct body *s, int n, const tp_tensor *stands)
{
    const struct ir_graph *g = s->g->ir;
    const char *kind;

    s->inside = ir_alloc(g->arena, g->count * sizeof *s->inside);
    for (int i = 0; i < n; i++)
        s->inside[stands[i].id] = true;
    for (uint32_t v = s->before; v < g->count; v++)
        for (int i = 0; i < g->nodes[v].arity; i++)
            s->inside[v] |= s->inside[g->nodes[v].args[i].id];
    if (!tp_no_notice_inside(s->g, s->inside, &kind))
        tp_fail(s->g, s->at, s->what, "its function calls %s; expected that outside of it", kind);
}

void tp_body_begin(struct body *s, const char *name)
{
    const struct ir_graph *g = s->g->ir;

    s->body = ir_body_new(g, name);
    s->moved = ir_alloc(s->body->arena, g->count * sizeof *s->moved);
    s->region = ir_alloc(s->body->arena, g->regions * sizeof *s->region);
}

ir_val tp_body_end(struct body *s, int carries, int slices, int64_t length, bool reverse, int when)
{
    const ir_val scan = ir_make_scan(s->g->ir, s->body, s->args, s->arg, carries, slices, length,
                                     reverse, when, s->loc);

    ir_graph_free(s->body);
    return scan;
}

void tp_body_take(struct body *s, ir_val arg)
{
    ir_grow(s->g->ir->arena, s->arg, s->args, s->room);
    s->arg[s->args++] = arg;
}

/* A value from outside: a number as it is, anything else as an argument. */
ir_val tp_body_captured(struct body *s, ir_val v)
{
    const struct ir_graph *g = s->g->ir;
    const struct ir_node *n = ir_at(g, v);

    if (s->moved[v.id].id)
        return s->moved[v.id];
    if (n->op == IR_const)
        return s->moved[v.id] = ir_copy(s->body, g, v, s->moved);
    s->moved[v.id] = ir_input(s->body, ir_format(s->body->arena, "in%d", s->args), n->dtype,
                              ir_shape_of(s->body, g, n->shape), n->loc);
    tp_body_take(s, v);
    return s->moved[v.id];
}

static uint32_t region_in_body(struct body *s, uint32_t r)
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

void tp_body_copy(struct body *s)
{
    const struct ir_graph *g = s->g->ir;
    const uint32_t count = g->count;

    for (uint32_t v = s->before; v < count; v++) { /* arguments first: carries, slices, the rest */
        const struct ir_node *n = &g->nodes[v];
        for (int i = 0; s->inside[v] && i < n->arity; i++)
            if (!s->inside[n->args[i].id])
                tp_body_captured(s, n->args[i]);
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

bool tp_body_may_move(struct body *s)
{
    const struct ir_graph *g = s->g->ir;

    for (uint32_t v = s->before; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        for (uint32_t r = n->region; s->inside[v] && r; r = g->region[r].parent)
            if (strcmp(g->region[r].name, "dropout") == 0 ||
                strcmp(g->region[r].name, "batch_norm") == 0) {
                tp_fail(s->g, s->at, s->what,
                        "%.40s inside the function; expected it outside, on what %s",
                        g->region[r].name, s->around);
                return false;
            }
        if (s->inside[v] && n->op == IR_assign) {
            tp_fail(s->g, s->at, s->what,
                    "state %.60s is assigned inside the function; expected %s",
                    ir_at(g, n->args[0])->text, s->instead);
            return false;
        }
    }
    return true;
}

void tp_body_give(struct body *s, int n, const tp_tensor *results)
{
    for (int i = 0; i < n; i++)
        ir_output(s->body, NULL, tp_body_captured(s, tp_val(results[i])));
}

void tp_body_erase(struct body *s)
{
    ir_erase(s->g->ir, s->inside, s->g->ir->count);
}
