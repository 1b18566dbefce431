/*
 * reach: parameters that training leaves as they are because no gradient comes to them.
 *
 * Nearly always a mistake: a layer whose result is dropped, or a whole number, a comparison or
 * tp_stop_gradient on every way to the loss. Said when a training step is compiled, once a line,
 * with the name, the parameter's line and the reason; who means it freezes them.
 */
#include "frontend/frontend.h"

#include <string.h>

/* Where the ways from a value to the loss end: the first node that lets no gradient through. */
static const struct ir_node *find_stop(const struct ir_graph *graph, ir_val from, ir_val loss,
                                       struct ir_arena *arena)
{
    const uint32_t before = loss.id + 1;
    bool *made_of = ir_alloc(arena, before * sizeof *made_of);
    bool *read = ir_alloc(arena, before * sizeof *read); /* by the loss */
    const struct ir_node *stop = NULL;

    read[loss.id] = true;
    for (uint32_t v = before; v-- > 1;)
        for (int i = 0; read[v] && i < graph->nodes[v].arity; i++)
            read[graph->nodes[v].args[i].id] = true;

    made_of[from.id] = true;
    for (uint32_t v = from.id + 1; v < before && !stop; v++) {
        const struct ir_node *n = &graph->nodes[v];
        for (int i = 0; i < n->arity && !stop; i++) {
            if (!read[v] || !made_of[n->args[i].id])
                continue;
            made_of[v] |= pass_gradient_passes(n, i) || n->op == IR_scan;
            stop = made_of[v] ? NULL : n;
        }
    }
    return stop;
}

static const char *reason_of(const struct ir_graph *graph, ir_val parameter, ir_val loss,
                             struct ir_arena *arena)
{
    const struct ir_node *stop;

    if (!parameter.id)
        return "the loss is not made of it";
    stop = find_stop(graph, parameter, loss, arena);
    if (!stop)
        return "its gradient is zero whatever it is";
    return stop->loc.file
               ? ir_format(arena, "%.40s at %.60s:%d lets no gradient through",
                           ir_ops[stop->op].name, stop->loc.file, stop->loc.line)
               : ir_format(arena, "%.40s lets no gradient through", ir_ops[stop->op].name);
}

static bool same_line(struct ir_loc a, struct ir_loc b)
{
    return a.line == b.line && a.file && b.file && strcmp(a.file, b.file) == 0;
}

struct unreached {
    const char *name, *reason;
    struct ir_loc at;
    bool told;
};

/* What was declared on one line, for one reason, is said together: a layer's weight and bias. */
static void tell(tp_graph *g, struct unreached *all, int count, tp_loc otherwise)
{
    for (int i = 0; i < count; i++) {
        struct ir_text names = { 0 };
        int more = 0;

        for (int k = i; k < count; k++) {
            if (all[k].told || strcmp(all[k].reason, all[i].reason) != 0 ||
                !(k == i || same_line(all[k].at, all[i].at)))
                continue;
            all[k].told = true;
            if (names.size < 120)
                ir_put(&names, "%s%.80s", names.size ? ", " : "", all[k].name);
            else
                more++;
        }
        if (more)
            ir_put(&names, " and %d more", more);
        if (names.size)
            tp_warn(g, all[i].at.file ? (tp_loc){ all[i].at.file, all[i].at.line } : otherwise,
                    names.data, "no gradient arrives: %s; frozen ones are not asked for any",
                    all[i].reason);
        ir_text_free(&names);
    }
}

void tp_report_unreached(tp_graph *g, const struct ir_graph *graph, const tp_opt *opt,
                         const struct trained *t, ir_val loss, tp_loc at)
{
    struct ir_arena *arena = ir_arena_new();
    struct unreached *all = ir_alloc(arena, ((size_t)g->state_count + 1) * sizeof *all);
    int count = 0;

    for (int i = 0; i < g->state_count; i++) {
        const struct state *s = &g->states[i];
        ir_val parameter = { 0 };
        bool reached = false;

        if (s->kind != STATE_PARAMETER || s->frozen || !s->value.id ||
            ir_dtypes[s->dtype].kind != 'f' || tp_opt_frozen(opt, s->name))
            continue;
        for (int k = 0; k < t->count && !parameter.id; k++)
            if (strcmp(ir_at(graph, t->parameter[k])->text, s->name) == 0) {
                parameter = t->parameter[k];
                reached = !ir_is_number(graph, t->gradient[k], 0);
            }
        if (!reached)
            all[count++] = (struct unreached){ s->name, reason_of(graph, parameter, loss, arena),
                                               ir_at(g->ir, s->value)->loc, false };
    }
    tell(g, all, count, at);
    ir_arena_free(arena);
}
