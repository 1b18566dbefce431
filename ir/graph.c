/*
 * The graph: nodes are added at the end and never changed. ir_add infers, refuses or shares; that
 * is all there is to building, so that no pass and no frontend can make a node that is not sound.
 */
#include "ir/ir.h"

#include <string.h>

#define NODES    (1u << 24)
#define REGIONS  (1u << 20)
#define DEPTH    200 /* of regions in regions: who walks them may recurse */
#define ASSIGNED (1u << 31)

static void table_fill(struct ir_graph *g);

struct ir_graph *ir_graph_new(const char *name, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_graph *g = ir_alloc(arena, sizeof *g);

    g->arena = arena;
    g->error = error ? error : ir_alloc(arena, sizeof *error);
    g->name = ir_format(arena, "%s", name);
    g->room = 64;
    g->nodes = ir_alloc(arena, g->room * sizeof *g->nodes);
    g->count = 1; /* poison */
    g->region_room = 8;
    g->region = ir_alloc(arena, g->region_room * sizeof *g->region);
    g->regions = 1; /* the whole graph */
    g->region[0].kind = -1;
    table_fill(g);
    return g;
}

void ir_graph_free(struct ir_graph *g)
{
    if (g)
        ir_arena_free(g->arena);
}

static void take_symbols(struct ir_graph *g, const struct ir_graph *in)
{
    for (int i = 0; i < in->symbols; i++) {
        g->symbol[i] = in->symbol[i];
        g->symbol[i].name = ir_format(g->arena, "%s", in->symbol[i].name);
    }
    g->symbols = in->symbols;
    g->dimensions = g->dimension_room =
        in->dimensions; /* the same table: dims keep their numbers */
    if (in->dimensions)
        g->dimension = ir_enlarge(g->arena, in->dimension, (size_t)in->dimensions,
                                  (size_t)in->dimensions, sizeof *in->dimension);
    g->seed = in->seed;
}

/* in's regions behind those that g has; ir_copy and ir_move_regions know them as in's from now on
 */
void ir_take_regions(struct ir_graph *g, const struct ir_graph *in)
{
    const uint32_t first = g->regions;

    g->region_shift = first - 1;
    g->regions = g->region_room = first + in->regions - 1;
    g->region = ir_enlarge(g->arena, g->region, first, g->region_room, sizeof *g->region);
    for (uint32_t i = first; i < g->regions; i++) {
        struct ir_region *r = &g->region[i];
        *r = in->region[i - g->region_shift];
        r->name = ir_format(g->arena, "%s", r->name);
        r->title = r->title ? ir_format(g->arena, "%s", r->title) : NULL;
        r->loc.file = r->loc.file ? ir_format(g->arena, "%s", r->loc.file) : NULL;
        r->attr.at = ir_enlarge(g->arena, r->attr.at, (size_t)r->attr.count, (size_t)r->attr.count,
                                sizeof *r->attr.at);
        r->args = ir_alloc(g->arena, (size_t)r->arity * sizeof *r->args); /* ir_move_regions */
        r->result = (ir_val){ 0 };
        r->parent += r->parent ? g->region_shift : 0;
    }
}

/* empty, with in's name and regions, and the symbols of another graph */
static struct ir_graph *like(const struct ir_graph *in, const struct ir_graph *symbols)
{
    struct ir_graph *g = ir_graph_new(in->name, symbols->error);

    while (g->room < in->count) /* it will hold about as much */
        g->room *= 2;
    g->nodes = ir_alloc(g->arena, g->room * sizeof *g->nodes);
    table_fill(g);
    take_symbols(g, symbols);
    ir_take_regions(g, in);
    g->identities = in->identities;
    return g;
}

struct ir_graph *ir_graph_like(const struct ir_graph *in)
{
    return like(in, in);
}

struct ir_graph *ir_body_like(const struct ir_graph *body, const struct ir_graph *parent)
{
    return like(body, parent);
}

struct ir_graph *ir_body_new(const struct ir_graph *parent, const char *name)
{
    struct ir_graph *g = ir_graph_new(name, parent->error);

    take_symbols(g, parent);
    return g;
}

/* Each node is there once already, so the ids come out as they are. */
struct ir_graph *ir_clone(const struct ir_graph *in, const struct ir_graph *symbols)
{
    struct ir_graph *g = like(in, symbols);
    ir_val *moved = ir_moved(g, in);

    for (uint32_t v = 1; v < in->count; v++) {
        moved[v] = ir_copy(g, in, (ir_val){ v }, moved);
        if (moved[v].id != v && g->error->status == IR_OK)
            ir_bug("clone of %s: node %u became %u", in->name, v, moved[v].id);
    }
    ir_move_outputs(g, in, moved);
    ir_move_regions(g, in, moved);
    return g;
}

/* --- sharing ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct ir_node *n)
{
    uint64_t hash = mix(0, (uint64_t)n->op << 32 | (uint64_t)n->dtype << 16 |
                               (uint64_t)n->shape.rank << 8 | (uint64_t)n->arity);

    hash = mix(hash, n->identity);
    for (int i = 0; i < n->shape.rank; i++)
        hash = mix(hash, (uint64_t)n->shape.dim[i]);
    for (int i = 0; i < n->arity; i++)
        hash = mix(hash, n->args[i].id);
    for (int list = 0; list < IR_ATTRS; list++)
        for (int i = 0; i < n->attr[list].count; i++)
            hash = mix(hash, (uint64_t)n->attr[list].at[i] + (uint64_t)list);
    for (const char *c = n->text ? n->text : ""; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    hash = n->body ? mix(hash, ir_body_hash(n->body)) : hash;
    return mix(hash, hash >> 32); /* the table takes the lowest bits: all of them must count */
}

static bool same_custom(const struct ir_custom *a, const struct ir_custom *b)
{
    return !a == !b &&
           (!a || (a->function == b->function && a->user == b->user &&
                   strcmp(a->source ? a->source : "", b->source ? b->source : "") == 0));
}

static bool equal(const struct ir_node *a, const struct ir_node *b)
{
    if (a->op != b->op || a->dtype != b->dtype || a->arity != b->arity ||
        a->identity != b->identity || !ir_same_shape(&a->shape, &b->shape) ||
        !a->body != !b->body || strcmp(a->text ? a->text : "", b->text ? b->text : "") != 0)
        return false;
    for (int i = 0; i < a->arity; i++)
        if (a->args[i].id != b->args[i].id)
            return false;
    for (int i = 0; i < IR_ATTRS; i++)
        if (a->attr[i].count != b->attr[i].count ||
            (a->attr[i].count && memcmp(a->attr[i].at, b->attr[i].at,
                                        (size_t)a->attr[i].count * sizeof *a->attr[i].at) != 0))
            return false;
    return (!a->body || ir_same_body(a->body, b->body, true)) && same_custom(a->custom, b->custom);
}

/* the place of an equal node, or the empty one where it would go */
static uint32_t *slot(struct ir_graph *g, const struct ir_node *n)
{
    uint32_t at = (uint32_t)hash_of(n) & (g->table_room - 1);

    while (g->table[at] && !equal(&g->nodes[g->table[at]], n))
        at = (at + 1) & (g->table_room - 1);
    return &g->table[at];
}

static bool shared(const struct ir_graph *g, uint32_t v)
{
    const enum ir_op op = g->nodes[v].op;

    return op == IR_input || op == IR_state || (op != IR_POISON && v >= g->renewed);
}

static void table_fill(struct ir_graph *g)
{
    g->table_room = g->room * 2;
    g->table = ir_alloc(g->arena, g->table_room * sizeof *g->table);
    for (uint32_t i = 1; i < g->count; i++)
        if (shared(g, i))
            *slot(g, &g->nodes[i]) = i;
}

/* --- adding ----------------------------------------------------------------------------------- */

static const char *kept(struct ir_graph *g, const char *text)
{
    return text ? ir_format(g->arena, "%s", text) : NULL;
}

/* Inputs and states are bound by name, so a name means one of them: a second table, by name. */
static uint32_t *named(struct ir_graph *g, const char *name)
{
    uint64_t hash = 0;
    uint32_t at;

    for (const char *c = name; *c; c++)
        hash = mix(hash, (unsigned char)*c);
    at = (uint32_t)hash & (g->named_room - 1);
    while (g->named[at] && strcmp(g->nodes[g->named[at] & ~ASSIGNED].text, name) != 0)
        at = (at + 1) & (g->named_room - 1);
    return &g->named[at];
}

static bool name_free(struct ir_graph *g, const struct ir_node *n)
{
    uint32_t other;

    if (2 * g->named_count >= g->named_room) {
        uint32_t before = g->named_room, *old = g->named;
        g->named_room = before ? 2 * before : 64;
        g->named = ir_alloc(g->arena, g->named_room * sizeof *g->named);
        for (uint32_t i = 0; i < before; i++)
            if (old[i])
                *named(g, g->nodes[old[i] & ~ASSIGNED].text) = old[i];
    }
    other = *named(g, n->text) & ~ASSIGNED;
    if (other)
        return ir_refuse(g, n, "%.60s is already %s; expected one type, shape and start a name",
                         n->text, g->nodes[other].op == IR_input ? "an input" : "a state");
    return true;
}

static bool assigned_once(struct ir_graph *g, const struct ir_node *n)
{
    uint32_t *state = named(g, ir_at(g, n->args[0])->text);

    if (*state & ASSIGNED)
        return ir_refuse(g, n, "%.60s is assigned a second time; expected once a run",
                         ir_at(g, n->args[0])->text);
    *state |= ASSIGNED;
    return true;
}

static void effect(struct ir_graph *g, ir_val v)
{
    ir_grow(g->arena, g->effects, g->effect_count, g->effect_room);
    g->effects[g->effect_count++] = v;
}

static ir_val append(struct ir_graph *g, const struct ir_node *draft)
{
    struct ir_node *n;

    if (g->count == g->room) {
        g->room *= 2;
        g->nodes = ir_enlarge(g->arena, g->nodes, g->count, g->room, sizeof *g->nodes);
        table_fill(g);
    }
    *slot(g, draft) = g->count;
    n = &g->nodes[g->count];
    *n = *draft;
    n->args = ir_enlarge(g->arena, n->args, (size_t)n->arity, (size_t)n->arity, sizeof *n->args);
    for (int i = 0; i < IR_ATTRS; i++)
        if (n->attr[i].count)
            n->attr[i].at = ir_enlarge(g->arena, n->attr[i].at, (size_t)n->attr[i].count,
                                       (size_t)n->attr[i].count, sizeof *n->attr[i].at);
        else
            n->attr[i].at = NULL;
    n->text = kept(g, n->text);
    if (n->body) {
        struct ir_graph *body = ir_clone(n->body, g);
        ir_arena_adopt(g->arena, body->arena);
        n->body = body;
    }
    if (n->custom) { /* it goes with the graph that has the node */
        struct ir_custom *custom = ir_alloc(g->arena, sizeof *custom);
        *custom = *n->custom;
        custom->name = n->text;
        custom->source = kept(g, custom->source);
        n->custom = custom;
    }
    n->name = n->op == IR_input || n->op == IR_state ? n->text : kept(g, n->name);
    if (n->loc.file) { /* runs of nodes come from one file */
        const char *last = n[-1].loc.file;
        n->loc.file = last && strcmp(last, n->loc.file) == 0 ? last : kept(g, n->loc.file);
    }
    n->region = g->region_now;
    return (ir_val){ g->count++ };
}

ir_val ir_add(struct ir_graph *g, const struct ir_node *draft)
{
    struct ir_node n = *draft;
    uint32_t *at;
    ir_val v;

    for (int i = 0; i < n.arity; i++) {
        if (n.args[i].id >= g->count)
            ir_bug("%s: argument %u of a graph with %u nodes", ir_ops[n.op].name, n.args[i].id,
                   g->count);
        if (n.args[i].id == 0)
            return (ir_val){ 0 };
    }
    if (!ir_infer(g, &n))
        return (ir_val){ 0 };
    if (!n.identity && ir_has_identity(n.op))
        n.identity = ++g->identities;
    if (n.identity > g->identities)
        g->identities = n.identity;
    at = slot(g, &n);
    if (*at)
        return (ir_val){ *at };
    if (g->count >= NODES) {
        ir_refuse(g, &n, "more than %u nodes", NODES);
        return (ir_val){ 0 };
    }
    if ((n.op == IR_input || n.op == IR_state) && !name_free(g, &n))
        return (ir_val){ 0 };
    if (n.op == IR_assign && !assigned_once(g, &n))
        return (ir_val){ 0 };
    v = append(g, &n);
    if (n.op == IR_assign)
        effect(g, v);
    if (n.op == IR_input || n.op == IR_state) {
        *named(g, n.text) = v.id;
        g->named_count++;
    }
    return v;
}

/* the dims among the numbers are of another graph */
static struct ir_list translated(struct ir_graph *out, const struct ir_graph *in,
                                 struct ir_list list)
{
    int64_t *own = NULL;

    for (int i = 0; i < list.count; i++) {
        int64_t here = ir_dim_of(out, in, list.at[i]);
        if (here == list.at[i])
            continue;
        if (!own)
            list.at = own = ir_enlarge(out->arena, list.at, (size_t)list.count, (size_t)list.count,
                                       sizeof *list.at);
        own[i] = here;
    }
    return list;
}

ir_val ir_copy(struct ir_graph *out, const struct ir_graph *in, ir_val v, const ir_val *moved)
{
    struct ir_node draft = *ir_at(in, v);
    ir_val few[4], *args = few, copy;
    uint32_t region = out->region_now;

    if (v.id == 0)
        return v;
    if (draft.arity > 4)
        args = ir_alloc(out->arena, (size_t)draft.arity * sizeof *args);
    for (int i = 0; i < draft.arity; i++)
        args[i] = moved[draft.args[i].id];
    draft.args = args;
    draft.shape = ir_shape_of(out, in, draft.shape);
    if (draft.op != IR_const && draft.op != IR_state)
        for (int i = 0; i < IR_ATTRS; i++)
            draft.attr[i] = translated(out, in, draft.attr[i]);
    draft.region += draft.region ? out->region_shift : 0;
    out->region_now = draft.region < out->regions ? draft.region : 0;
    copy = ir_add(out, &draft);
    out->region_now = region;
    return copy;
}

ir_val *ir_moved(struct ir_graph *out, const struct ir_graph *in)
{
    return ir_alloc(out->arena, in->count * sizeof(ir_val));
}

void ir_move_regions(struct ir_graph *out, const struct ir_graph *in, const ir_val *moved)
{
    for (uint32_t r = 1; r < in->regions && r + out->region_shift < out->regions; r++) {
        struct ir_region *to = &out->region[r + out->region_shift];
        for (int i = 0; i < in->region[r].arity; i++)
            to->args[i] = moved[in->region[r].args[i].id];
        to->result = moved[in->region[r].result.id];
    }
}

void ir_move_outputs(struct ir_graph *out, const struct ir_graph *in, const ir_val *moved)
{
    for (int i = 0; i < in->output_count; i++)
        ir_output(out, in->outputs[i].name, moved[in->outputs[i].value.id]);
}

void ir_output(struct ir_graph *g, const char *name, ir_val v)
{
    if (v.id >= g->count)
        ir_bug("output %u of a graph with %u nodes", v.id, g->count);
    ir_grow(g->arena, g->outputs, g->output_count, g->output_room);
    g->outputs[g->output_count++] = (struct ir_output){ kept(g, name), v };
}

bool ir_is_again(const struct ir_graph *g, ir_val v)
{
    const uint32_t region = ir_at(g, v)->region;

    return region && strcmp(g->region[region].name, IR_AGAIN) == 0;
}

bool *ir_live(const struct ir_graph *g, struct ir_arena *arena)
{
    bool *live = ir_alloc(arena, g->count * sizeof *live);

    for (int i = 0; i < g->output_count; i++)
        live[g->outputs[i].value.id] = true;
    for (int i = 0; i < g->effect_count; i++)
        live[g->effects[i].id] = true;
    for (uint32_t v = g->count; v-- > 1;) /* users before arguments */
        for (int i = 0; live[v] && i < g->nodes[v].arity; i++)
            live[g->nodes[v].args[i].id] = true;
    live[0] = false;
    return live;
}

void ir_renew(struct ir_graph *g)
{
    g->renewed = g->count;
    memset(g->table, 0, g->table_room * sizeof *g->table);
    for (uint32_t v = 1; v < g->count; v++)
        if (shared(g, v))
            *slot(g, &g->nodes[v]) = v;
    for (uint32_t i = 0; i < g->named_room; i++)
        g->named[i] &= ~ASSIGNED;
}

/* What stands in the place of an erased node is poison; nobody may read it. */
void ir_erase(struct ir_graph *g, const bool *gone, uint32_t count)
{
    const uint32_t before = g->named_room;
    uint32_t *old = g->named;

    g->named = ir_alloc(g->arena, before * sizeof *g->named);
    g->named_count = 0;
    for (uint32_t i = 0; i < before; i++)
        if (old[i] && ((old[i] & ~ASSIGNED) >= count || !gone[old[i] & ~ASSIGNED])) {
            *named(g, g->nodes[old[i] & ~ASSIGNED].text) = old[i];
            g->named_count++;
        }
    for (uint32_t r = 1; r < g->regions; r++) {
        struct ir_region *region = &g->region[r];
        for (int i = 0; i < region->arity; i++)
            if (region->args[i].id < count && gone[region->args[i].id])
                region->args[i].id = 0;
        if (region->result.id < count && gone[region->result.id])
            region->result.id = 0;
    }
    for (uint32_t v = 1; v < count; v++)
        if (gone[v])
            g->nodes[v] = (struct ir_node){ .op = IR_POISON };
    memset(g->table, 0, g->table_room * sizeof *g->table);
    for (uint32_t v = 1; v < g->count; v++)
        if (shared(g, v))
            *slot(g, &g->nodes[v]) = v;
}

/* Ids of states stay; nothing that is added from now on is shared with what was. */
void ir_forget(struct ir_graph *g)
{
    uint32_t last = 0;

    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_state)
            last = v;
        else
            g->nodes[v] = (struct ir_node){ .op = IR_POISON };
    g->count = last + 1;
    g->renewed = 0;
    g->output_count = g->effect_count = 0;
    g->regions = 1;
    g->region_now = 0;
    memset(g->table, 0, g->table_room * sizeof *g->table);
    memset(g->named, 0, g->named_room * sizeof *g->named);
    g->named_count = 0;
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_state) {
            g->nodes[v].region = 0;
            *slot(g, &g->nodes[v]) = v;
            *named(g, g->nodes[v].text) = v;
            g->named_count++;
        }
}

/* --- regions ---------------------------------------------------------------------------------- */

uint32_t ir_region_open(struct ir_graph *g, const char *name, const char *title, int n,
                        const ir_val *args, struct ir_list attr, struct ir_loc loc)
{
    struct ir_region *r;
    int depth = 0;

    for (uint32_t p = g->region_now; p; p = g->region[p].parent)
        depth++;
    if (g->regions >= REGIONS || depth >= DEPTH) {
        ir_error(g->error, IR_REFUSED, "region %.60s: more than %u of them or %d in each other",
                 name, REGIONS, DEPTH);
        return 0;
    }
    if (g->regions == g->region_room) {
        g->region_room *= 2;
        g->region = ir_enlarge(g->arena, g->region, g->regions, g->region_room, sizeof *g->region);
    }
    r = &g->region[g->regions];
    r->name = kept(g, name);
    r->title = kept(g, title);
    r->parent = g->region_now;
    r->kind = ir_region_kind(name);
    r->arity = n;
    r->args = ir_enlarge(g->arena, args, (size_t)n, (size_t)n, sizeof *args);
    r->attr.count = attr.count;
    r->attr.at =
        ir_enlarge(g->arena, attr.at, (size_t)attr.count, (size_t)attr.count, sizeof *attr.at);
    r->loc = (struct ir_loc){ kept(g, loc.file), loc.line };
    g->region_now = g->regions;
    return g->regions++;
}

ir_val ir_region_close(struct ir_graph *g, uint32_t region, ir_val result)
{
    if (region == 0 || region >= g->regions)
        return result; /* one that was refused */
    g->region[region].result = result;
    g->region_now = g->region[region].parent;
    return result;
}
