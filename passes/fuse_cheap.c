/*
 * fuse_cheap: values that were to be stored for other kernels although these can compute them from
 * what they can read anyway.
 *
 * A kernel's pointwise values that others read at the same index need not be stored when a few
 * additions and products make them of one that is stored all the same, or of two that the others
 * read already: half the steps of a GELU, a normalised row, the factor that a gradient will take.
 * They become virtual, computed where they are read, and fuse begins again. Bases are stored for it
 * where they are fewer than what they make. The same operations on the same numbers: not a bit
 * changes.
 */
#include "passes/fuse.h"

#define FLOPS  8 /* most that one costs, with all in it that is computed again */
#define SMALL  4 /* a base of so many times fewer elements may be stored for it */
#define ROUNDS 4

struct reader { /* a kernel that reads a value, and the next of them */
    int group, next;
};

struct cheap {
    struct fuse *f;
    int *readers; /* by node id: kernels but its own, each once or more; -1: none */
    struct reader *reader;
    int count, room;
    bool *stored; /* by node id: for a reader in another kernel */
    bool *apart;  /* .. and it must be: it is read elsewhere than at the index where it is made */
    bool *chosen;
    ir_val with[FLOPS]; /* what the candidate at hand would be computed again with .. */
    int withs, flops;
    ir_val base[2];   /* .. and of what, beside what is small */
    int bases, lacks; /* of which so many are not stored */
};

/* u reads a; `at`: the shape of the index at which it does, NULL: it reads it anywhere */
static void note_read(struct cheap *c, ir_val u, ir_val a, const struct ir_shape *at)
{
    const struct fuse *f = c->f;
    const struct ir_node *n = ir_at(f->g, a);

    at = at && ir_same_shape(at, &n->shape) ? at : NULL;
    if (f->virtual[a.id]) {
        for (int i = 0; i < n->arity; i++)
            note_read(c, u, n->args[i], ir_pointwise(n->op) ? at : NULL);
        return;
    }
    if (f->group_of[a.id] != f->group_of[u.id]) {
        c->stored[a.id] = true;
        ir_grow(f->arena, c->reader, c->count, c->room);
        c->reader[c->count] = (struct reader){ f->group_of[u.id], c->readers[a.id] };
        c->readers[a.id] = c->count++;
    }
    c->apart[a.id] |= !at || f->loops->loop_of[a.id] != f->loops->loop_of[u.id];
}

static void note_reads(struct cheap *c, const bool *live)
{
    const struct ir_graph *g = c->f->g;

    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        const struct ir_shape *at = ir_pointwise(n->op) ? &n->shape
                                    : ir_reduces(n->op) ? &ir_at(g, n->args[0])->shape
                                                        : NULL;
        for (int i = 0; i < n->arity && (live[v] || ir_is_store(n->op)) && !c->f->virtual[v]; i++)
            note_read(c, (ir_val){ v }, n->args[i], at);
    }
    for (int i = 0; i < g->output_count; i++)
        note_read(c, (ir_val){ 0 }, g->outputs[i].value, NULL);
}

/* Is all that a view shows much smaller than so many elements, and no memory that may change? */
static bool is_small(const struct cheap *c, ir_val a, int64_t elements)
{
    const struct fuse *f = c->f;
    const struct ir_node *n = ir_at(f->g, a);
    bool small = true;

    if (n->op == IR_input || !f->virtual[a.id])
        return (n->op == IR_input || !ir_is_memory(n->op)) &&
               ir_elements(f->g, &n->shape) <= elements / SMALL;
    for (int i = 0; i < n->arity && small; i++)
        small = is_small(c, n->args[i], elements);
    return small;
}

static bool expand(struct cheap *c, ir_val v);

/* What v is made of: bases, what is small, and what is cheap itself. */
static bool expand_arg(struct cheap *c, ir_val v, ir_val a)
{
    const struct fuse *f = c->f;
    const struct ir_node *n = ir_at(f->g, a);
    const bool same = ir_same_shape(&n->shape, &ir_at(f->g, v)->shape);

    if (is_small(c, a, ir_elements(f->g, &ir_at(f->g, v)->shape)))
        return true;
    if (!same || (ir_is_memory(n->op) && n->op != IR_input))
        return false;
    if (f->virtual[a.id])
        return ir_pointwise(n->op) && expand(c, a);
    if (c->chosen[a.id])
        return expand(c, a);
    for (int i = 0; i < c->bases; i++)
        if (c->base[i].id == a.id)
            return true;
    const bool lacks = !c->stored[a.id] && !c->apart[a.id] && n->op != IR_input;
    if (lacks && ir_cheap(n->op) && c->withs < FLOPS) {
        c->with[c->withs++] = a;
        return expand(c, a);
    }
    if (c->bases == 2)
        return false;
    c->base[c->bases++] = a;
    c->lacks += lacks;
    return true;
}

static bool expand(struct cheap *c, ir_val v)
{
    const struct ir_node *n = ir_at(c->f->g, v);

    if (++c->flops > FLOPS)
        return false;
    for (int i = 0; i < n->arity; i++)
        if (!expand_arg(c, v, n->args[i]))
            return false;
    return true;
}

static bool is_candidate(const struct cheap *c, uint32_t v)
{
    return c->stored[v] && !c->apart[v] && !c->chosen[v] && c->f->group_of[v] >= 0 &&
           ir_cheap(c->f->g->nodes[v].op) && c->f->g->nodes[v].shape.rank > 0;
}

static void choose(struct cheap *c, uint32_t v)
{
    c->chosen[v] = true;
    for (int i = 0; i < c->withs; i++)
        c->chosen[c->with[i].id] = true;
}

static bool reads(const struct cheap *c, int group, ir_val a)
{
    for (int r = c->readers[a.id]; r >= 0; r = c->reader[r].next)
        if (c->reader[r].group == group)
            return true;
    return c->f->group_of[a.id] == group;
}

/* Two bases instead of one value: not more is read than is stored and read now. */
static bool pays(const struct cheap *c, uint32_t v)
{
    int more = -1; /* it is not stored */

    for (int r = c->readers[v]; r >= 0; r = c->reader[r].next) {
        const int group = c->reader[r].group;
        bool seen = false;
        for (int q = c->readers[v]; q != r && !seen; q = c->reader[q].next)
            seen = c->reader[q].group == group;
        more += seen ? 0 : 1 - reads(c, group, c->base[0]) - reads(c, group, c->base[1]);
    }
    return more <= 0;
}

static bool try(struct cheap *c, uint32_t v)
{
    c->withs = c->flops = c->bases = c->lacks = 0;
    return expand(c, (ir_val){ v }) && (c->bases < 2 || c->lacks || pays(c, v));
}

struct lack { /* what a candidate lacks */
    ir_val base[2];
    int bases;
};

static bool within(const struct lack *a, const struct lack *all)
{
    for (int i = 0; i < a->bases; i++)
        if (a->base[i].id != all->base[0].id && a->base[i].id != all->base[1].id)
            return false;
    return true;
}

/* Bases that make more values than they are: they are worth storing instead. */
static bool store_missing(struct cheap *c)
{
    struct lack *lack = NULL;
    int lacks = 0, room = 0;
    bool any = false;

    for (uint32_t v = 1; v < c->f->g->count; v++) {
        struct lack one = { 0 };
        if (!is_candidate(c, v) || !try(c, v) || !c->lacks)
            continue;
        for (int i = 0; i < c->bases; i++)
            if (!c->stored[c->base[i].id])
                one.base[one.bases++] = c->base[i];
        ir_grow(c->f->arena, lack, lacks, room);
        lack[lacks++] = one;
    }
    for (int i = 0; i < lacks; i++) {
        int made = 0;
        for (int j = 0; j < lacks && made <= lack[i].bases; j++)
            made += within(&lack[j], &lack[i]);
        for (int k = 0; k < lack[i].bases && made > lack[i].bases; k++)
            c->stored[lack[i].base[k].id] = any = true;
    }
    return any;
}

bool *pass_fuse_cheap(struct fuse *f, const bool *live)
{
    struct cheap c = { .f = f };
    bool any = false, more = true;

    c.stored = ir_alloc(f->arena, f->g->count * sizeof *c.stored);
    c.apart = ir_alloc(f->arena, f->g->count * sizeof *c.apart);
    c.chosen = ir_alloc(f->arena, f->g->count * sizeof *c.chosen);
    c.readers = ir_alloc(f->arena, f->g->count * sizeof *c.readers);
    for (uint32_t v = 0; v < f->g->count; v++)
        c.readers[v] = -1;
    note_reads(&c, live);
    for (int round = 0; round < ROUNDS && more; round++) {
        more = false;
        for (uint32_t v = 1; v < f->g->count; v++)
            if (is_candidate(&c, v) && try(&c, v) && !c.lacks) {
                choose(&c, v);
                more = any = true;
            }
        more |= store_missing(&c);
    }
    return any ? c.chosen : NULL;
}
