/*
 * eager_keep: a tape that is made short without an update.
 *
 * A language with values that come and go (the Python package) knows which tensors are still held.
 * The rest of the tape is forgotten: what is held and may be derived keeps what it was made of,
 * what is held for its numbers alone becomes an array. The graph is built anew, for arguments come
 * before users; so the numbers of nodes change, and with them the tensors that the caller hands in.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/eager.h"

enum { LIVE = 1, HISTORY = 2 }; /* of a node: is it needed, and what it was made of */

/* The region is still one where its result is, with all that it is made of. */
static bool whole(const struct ir_region *r, const struct ir_graph *g)
{
    bool good = r->result.id && ir_at(g, r->result)->op != IR_input;

    for (int i = 0; i < r->arity && good; i++)
        good = r->args[i].id != 0;
    return good;
}

/* Regions that are whole move together; nodes and regions of the others go to those around them. */
static void pack_regions(struct ir_graph *g)
{
    uint32_t *moved = ir_alloc(g->arena, (g->regions + 1) * sizeof *moved), count = 1;

    for (uint32_t r = 1; r < g->regions; r++) { /* a parent comes before its children */
        const uint32_t parent = moved[g->region[r].parent];
        if (!whole(&g->region[r], g)) {
            moved[r] = parent;
            continue;
        }
        moved[r] = count;
        g->region[count] = g->region[r];
        g->region[count++].parent = parent;
    }
    for (uint32_t v = 1; v < g->count; v++)
        g->nodes[v].region = moved[g->nodes[v].region];
    g->regions = count;
}

/* What the graph holds beside its nodes, in the new graph's arena. */
static void move_graph(tp_graph *g, struct ir_graph *to, const ir_val *moved)
{
    struct state *states = ir_alloc(to->arena, ((size_t)g->state_count + 1) * sizeof *states);
    int *slots = ir_alloc(to->arena, ((size_t)g->state_slots + 1) * sizeof *slots);

    if (g->state_count)
        memcpy(states, g->states, (size_t)g->state_count * sizeof *states);
    for (int i = 0; i < g->state_count; i++) {
        states[i].name = ir_format(to->arena, "%s", states[i].name);
        states[i].value = moved[states[i].value.id];
        states[i].changed = 0;
    }
    if (g->state_slots)
        memcpy(slots, g->state_slot, (size_t)g->state_slots * sizeof *slots);
    g->state_slot = slots;
    g->states = states;
    g->state_room = g->state_count;
    for (int i = 0; i < g->warnings; i++)
        g->warned[i].file = ir_format(to->arena, "%s", g->warned[i].file);
    g->file = NULL;
    ir_graph_free(g->ir);
    g->ir = to;
}

static ir_val as_array(tp_graph *g, struct ir_graph *to, uint32_t v)
{
    const struct ir_node *n = &g->ir->nodes[v];

    return ir_input(to, ir_format(to->arena, "array.%lld", (long long)g->eager->arrays++), n->dtype,
                    n->shape, n->loc);
}

/* The numbers go with the nodes; those of two nodes that became one are the same. */
static void move_values(struct eager *e, uint32_t count, const ir_val *moved, struct value *to)
{
    for (uint32_t v = 1; v < count && v < e->room; v++) {
        struct value *from = &e->values[v];
        if (from->data && moved[v].id && !to[moved[v].id].data)
            to[moved[v].id] = *from;
        else
            tp_eager_give_back(e, from->data, from->room);
    }
}

static void mark(const struct ir_graph *g, unsigned char *need)
{
    for (uint32_t v = g->count; v-- > 1;)
        for (int i = 0; need[v] == HISTORY && i < g->nodes[v].arity; i++)
            need[g->nodes[v].args[i].id] = HISTORY;
    need[0] = 0;
}

bool tp_keep(tp_graph *g, int n, tp_tensor held[], const bool derived[])
{
    struct eager *e = g ? g->eager : NULL;
    struct ir_graph *to;
    struct value *values;
    unsigned char *need;
    uint32_t count;
    ir_val *moved;

    if (!e || e->held || g->error.status != IR_OK || g->ir->effect_count)
        return false;
    for (int i = 0; i < n; i++)
        if (held[i].g != g || !held[i].id || held[i].id >= g->ir->count)
            return false;
        else if (!derived[i] && !tp_eager_demand(g, tp_val(held[i])))
            return tp_tell(g);
    count = g->ir->count;
    to = ir_graph_like(g->ir);
    moved = ir_moved(to, g->ir);
    need = ir_alloc(to->arena, count);
    for (int i = 0; i < n; i++)
        if (need[held[i].id] != HISTORY)
            need[held[i].id] = derived[i] ? HISTORY : LIVE;
    for (int i = 0; i < g->state_count; i++)
        need[g->states[i].value.id] = HISTORY;
    mark(g->ir, need);
    for (uint32_t v = 1; v < count; v++)
        if (need[v] == HISTORY)
            moved[v] = ir_copy(to, g->ir, (ir_val){ v }, moved);
        else if (need[v])
            moved[v] = as_array(g, to, v);
    values = calloc(to->room + e->room, sizeof *values);
    if (!values || g->error.status != IR_OK) {
        free(values);
        ir_graph_free(to);
        return ir_error(&g->error, IR_FAILED, "tp_keep: not enough memory");
    }
    ir_move_regions(to, g->ir, moved);
    pack_regions(to);
    move_values(e, count, moved, values);
    for (int i = 0; i < n; i++)
        held[i].id = moved[held[i].id].id;
    move_graph(g, to, moved);
    if (e->room)
        memcpy(e->values, values,
               e->room * sizeof *values); /* there are no more nodes than before */
    free(values);
    free(e->gradient);
    e->gradient = NULL;
    e->gradients = 0;
    for (e->seen = 1; e->seen < g->ir->count; e->seen++)
        tp_eager_look(g, e->seen);
    return true;
}

uint32_t tp_tape(const tp_graph *g, size_t *bytes)
{
    const struct eager *e = g ? g->eager : NULL;

    if (bytes)
        *bytes = 0;
    for (uint32_t v = 0; e && bytes && v < e->room && v < g->ir->count; v++)
        *bytes += e->values[v].data ? e->values[v].room : 0;
    return g ? g->ir->count : 0;
}

void tp_depends(tp_tensor y, int n, const tp_tensor x[], bool out[])
{
    const tp_graph *g = y.g;
    unsigned char *need = g && y.id && y.id < g->ir->count ? calloc(g->ir->count, 1) : NULL;

    if (need) {
        need[y.id] = HISTORY;
        mark(g->ir, need);
    }
    for (int i = 0; i < n; i++)
        out[i] = need && x[i].g == g && x[i].id < y.id + 1 && need[x[i].id];
    free(need);
}
