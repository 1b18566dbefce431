/*
 * fuse: which nodes are computed together.
 *
 * Nodes join, in their order, the kernel of an argument when they can be computed there at the same
 * index: pointwise nodes join what has their shape, a reduction of the last axes joins the kernel
 * of its rows, pointwise nodes of a contraction's shape become its epilogue. A kernel that would
 * come to depend on itself is never made. What a node reads of another kernel is stored by it.
 */
#include "passes/fuse.h"

#include <string.h>

/* rows longer than this do not wait in registers or L1 for a second look: a kernel of their own per
 * phase is as good */
#define ROW_MOST 16384
/* nodes of a kernel; sums of a long row, each of which is a walk */
#define GROUP_MOST 200
#define WALKS_MOST 8
#define ROW_SHORT  64
#define DEPTH_MOST 500

static void put_alone(struct fuse *f, int k, ir_val v)
{
    struct fuse_group *g = &f->group[k];

    ir_grow(f->arena, g->nodes, g->count, g->room);
    g->nodes[g->count++] = v;
    g->depth += 1 + f->depth[v.id];
    g->walks += ir_reduces(ir_at(f->g, v)->op);
    f->group_of[v.id] = k;
}

/* k needs another group; and what a loop reads from outside is there before the loop begins */
static void need(struct fuse *f, int k, ir_val base)
{
    const int needed = f->group_of[base.id], of = f->loops->loop_of[base.id];

    if (needed < 0)
        return;
    pass_fuse_need(f, k, needed);
    if (ir_at(f->g, base)->op == IR_step)
        return;
    for (int loop = f->group[k].loop; !pass_in_loop(f->loops, of, loop);
         loop = f->loops->at[loop].parent)
        pass_fuse_need(f, f->begin[loop], needed);
}

static void put(struct fuse *f, int k, ir_val v)
{
    put_alone(f, k, v);
    pass_fuse_bases(f, v);
    for (int i = 0; i < f->bases; i++)
        need(f, k, f->base[i]);
}

static int new_group(struct fuse *f, enum fuse_class class, struct ir_shape domain,
                     const char *reason, ir_val v)
{
    const int k = pass_fuse_new_group(f, class, domain, reason);

    f->group[k].loop = f->loops->loop_of[v.id];
    return k;
}

/* --- into the kernel of an argument --------------------------------------------------------------
 */

/* would k need itself if it read v's bases? */
static bool makes_circle(struct fuse *f, int k, ir_val v)
{
    pass_fuse_bases(f, v);
    for (int i = 0; i < f->bases; i++) {
        int other = f->group_of[f->base[i].id];
        if (other >= 0 && pass_fuse_needs(f, other, k))
            return true;
    }
    return false;
}

/* a value lives at all axes of the domain, or at the first of them */
static bool is_prefix(const struct ir_shape *domain, const struct ir_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (i >= domain->rank || shape->dim[i] != domain->dim[i])
            return false;
    return true;
}

static int64_t row_elements(const struct ir_shape *domain, int prefix)
{
    int64_t n = 1;

    for (int i = prefix; i < domain->rank; i++) {
        if (!ir_dim_fixed(domain->dim[i]))
            return INT64_MAX;
        n *= domain->dim[i];
    }
    return n;
}

/* with so many nodes more, of so much depth */
static bool is_full(const struct fuse_group *g, int count, int depth)
{
    return g->count + count > GROUP_MOST || g->depth + depth > DEPTH_MOST;
}

/* Does v, a whole row, read anything of the row that kernel k makes or reads? */
static bool shares_row(struct fuse *f, int k, ir_val v)
{
    const struct fuse_group *g = &f->group[k];
    ir_val *base;
    int bases;

    pass_fuse_bases(f, v);
    bases = f->bases;
    base = ir_enlarge(f->scratch, f->base, (size_t)bases, (size_t)bases, sizeof *base);
    for (int b = 0; b < bases; b++)
        if (f->group_of[base[b].id] == k && ir_same_shape(&ir_at(f->g, base[b])->shape, &g->domain))
            return true;
    for (int i = 0; i < g->count; i++) {
        pass_fuse_bases(f, g->nodes[i]);
        for (int j = 0; j < f->bases; j++)
            for (int b = 0; b < bases; b++)
                if (f->base[j].id == base[b].id && f->group_of[base[b].id] != k)
                    return true;
    }
    return false;
}

/* Does v read a barrier of that kernel? */
static bool is_barred(struct fuse *f, int k, ir_val v)
{
    if (!f->barriers)
        return false;
    pass_fuse_bases(f, v);
    for (int i = 0; i < f->bases; i++)
        if (f->group_of[f->base[i].id] == k && ir_at(f->g, f->base[i])->op == IR_barrier)
            return true;
    return false;
}

static const char barred[] = "a barrier stands between";

/* NULL: it fits; else why not */
static const char *misfit_of_pointwise(struct fuse *f, int k, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    const struct fuse_group *g = &f->group[k];
    bool full = ir_same_shape(&n->shape, &g->domain);
    bool prefix =
        g->class == FUSE_ROW && n->shape.rank == g->prefix && is_prefix(&g->domain, &n->shape);

    if (g->loop != f->loops->loop_of[v.id])
        return "it runs in another loop";
    if (g->class == FUSE_SCATTER)
        return "what it reads is scattered, and complete only at the end";
    if (g->effect && !ir_is_store(n->op))
        return "what it reads is an update with a kernel of its own";
    if (!full && !prefix)
        return "it has another shape than what it reads";
    if (is_barred(f, k, v))
        return barred;
    if (is_full(g, 1, 1 + f->depth[v.id]))
        return "the kernel of what it reads is full";
    /* the norm of all gradients scales each of them: what takes that number alone is no part of it
     */
    if (full && g->class == FUSE_ROW && g->prefix == 0 && g->domain.rank && !shares_row(f, k, v))
        return "it takes a number from there and nothing else";
    /* what is computed along a row must be of the row; a column reduction's result has the domain's
     * shape */
    if (!pass_fuse_in_place(f, k, n, &n->shape))
        return "it reads elements where they are not made";
    return makes_circle(f, k, v) ? "it reads what waits for the kernel that it would join" : NULL;
}

static const char *misfit_of_reduce(struct fuse *f, int k, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v), *a = ir_at(f->g, n->args[0]);
    const struct fuse_group *g = &f->group[k];
    int64_t elements = row_elements(&g->domain, n->shape.rank);

    if (g->loop != f->loops->loop_of[v.id])
        return "it runs in another loop";
    if ((g->class != FUSE_MAP && g->class != FUSE_ROW) || !ir_same_shape(&a->shape, &g->domain))
        return "its rows are not those of the kernel that makes them";
    if (g->prefix >= 0 && g->prefix != n->shape.rank)
        return "it sums rows of another length";
    if (is_barred(f, k, v))
        return barred;
    if (elements > ROW_MOST)
        return "its rows are too long to wait for their sum";
    if (is_full(g, 1, 1 + f->depth[v.id]) || (elements > ROW_SHORT && g->walks >= WALKS_MOST))
        return "the kernel of what it reads is full";
    if (!pass_fuse_in_place(f, k, n, &a->shape))
        return "it reads elements where they are not made";
    return makes_circle(f, k, v) ? "it reads what waits for the kernel that it would join" : NULL;
}

/* --- what a kernel takes in ----------------------------------------------------------------------
 */

/* a sum of products reads its operands all over the place: what it reads is stored, not computed
 * again for every product */
static bool is_operand(struct fuse *f, int k, int other)
{
    for (int i = 0; i < f->group[k].count; i++) {
        ir_val v = f->group[k].nodes[i];
        if (ir_pointwise(ir_at(f->g, v)->op) || ir_reduces(ir_at(f->g, v)->op))
            continue;
        pass_fuse_bases(f, v);
        for (int b = 0; b < f->bases; b++)
            if (f->group_of[f->base[b].id] == other)
                return true;
    }
    return false;
}

static bool is_only_reader(const struct fuse *f, int k)
{
    for (int i = 0; i < f->group[k].count; i++) {
        ir_val v = f->group[k].nodes[i];
        if (!ir_pointwise(ir_at(f->g, v)->op) || f->readers[v.id] != 1)
            return false;
    }
    return true;
}

/* would all that k reads of the other kernel be read at the index where it is computed */
static bool merges_in_place(struct fuse *f, int k, int other)
{
    bool good = true;

    for (int i = 0; i < f->group[other].count; i++)
        f->group_of[f->group[other].nodes[i].id] = k;
    for (int i = 0; i < f->group[k].count && good; i++) {
        const struct ir_node *n = ir_at(f->g, f->group[k].nodes[i]);
        if (ir_pointwise(n->op))
            good = pass_fuse_in_place(f, k, n, &n->shape);
        else if (ir_reduces(n->op))
            good = pass_fuse_in_place(f, k, n, &ir_at(f->g, n->args[0])->shape);
    }
    for (int i = 0; i < f->group[other].count; i++)
        f->group_of[f->group[other].nodes[i].id] = other;
    return good;
}

/*
 * Pointwise kernels that kernel k reads at the same index become part of it, as long as nobody
 * between them needs the one and is needed by the other. For a kernel of another index space (a sum
 * of columns) only what nobody else reads is taken in, and computed inside its loops.
 */
static const char *misfit_of_group(struct fuse *f, int k, int other)
{
    const struct fuse_group *g = &f->group[k], *o = &f->group[other];
    bool inside = g->class == FUSE_COLUMN, same;

    if (o->loop != g->loop)
        return "it runs in another loop";
    if (g->again && !o->again)
        return "what it reads is computed again, apart from the first time";
    if (o->class != FUSE_MAP)
        return "both walk in loops of their own";
    if (o->effect)
        return "what it reads is an update with a kernel of its own";
    if (is_full(g, o->count, o->depth))
        return "the kernel is full";
    same = !inside && g->class != FUSE_SCATTER && ir_same_shape(&o->domain, &g->domain);
    if (!same && !is_only_reader(f, other))
        return "others read it too, and it has another shape";
    for (int i = 0; f->barriers && i < g->count; i++)
        if (is_barred(f, other, g->nodes[i]))
            return barred;
    if (!inside && is_operand(f, k, other))
        return "its sums read each element many times";
    if (same && !merges_in_place(f, k, other))
        return "it reads elements where they are not made";
    return pass_fuse_between(f, k, other) ? "a kernel between needs the one for the other" : NULL;
}

static bool may_absorb(struct fuse *f, int k, int other, ir_val v)
{
    const char *misfit = NULL;

    if (other < 0 || other == k)
        return false;
    misfit = misfit_of_group(f, k, other);
    if (misfit)
        pass_fuse_misfit(f, v, other, misfit);
    return !misfit;
}

static void absorb(struct fuse *f, int k, ir_val v)
{
    pass_fuse_bases(f, v);
    const int bases = f->bases;
    ir_val *base = ir_enlarge(f->scratch, f->base, (size_t)bases, (size_t)bases, sizeof *base);

    for (int i = 0; i < bases; i++) {
        int other = f->group_of[base[i].id];
        if (!may_absorb(f, k, other, v))
            continue;
        pass_fuse_absorb(f, k, other);
        for (int j = 0; j < f->group[other].count; j++)
            put_alone(f, k, f->group[other].nodes[j]);
        i = -1;
    }
}

/* --- a node --------------------------------------------------------------------------------------
 */

/* a contraction's epilogue first, then rows and the rest, and of equals the latest */
static int preference(const struct fuse *f, int k)
{
    static const int of[] = { [FUSE_MAP] = 0,    [FUSE_SCATTER] = 0, [FUSE_COLUMN] = 1,
                              [FUSE_WINDOW] = 2, [FUSE_ROW] = 3,     [FUSE_CONTRACT] = 4 };

    return of[f->group[k].class] * (1 << 25) + k;
}

enum { CANDIDATES = 64 };

static int find_candidates(struct fuse *f, ir_val v, int *candidate)
{
    int count = 0;

    pass_fuse_bases(f, v);
    for (int i = 0; i < f->bases && count < CANDIDATES; i++) {
        int k = f->group_of[f->base[i].id], at = 0;
        if (k < 0 || (ir_is_again(f->g, v) && !f->group[k].again))
            continue;
        while (at < count && preference(f, candidate[at]) > preference(f, k))
            at++;
        if (at < count && candidate[at] == k)
            continue;
        memmove(&candidate[at + 1], &candidate[at], (size_t)(count++ - at) * sizeof *candidate);
        candidate[at] = k;
    }
    return count;
}

/* Joins the first kernel that will have it; else says why the first would not. */
static bool join(struct fuse *f, ir_val v, bool row, const char **reason)
{
    const struct ir_node *n = ir_at(f->g, v);
    int candidate[CANDIDATES], count = find_candidates(f, v, candidate);

    *reason = "it reads no other kernel";
    for (int i = 0; i < count; i++) {
        int k = candidate[i];
        const char *misfit = row ? misfit_of_reduce(f, k, v) : misfit_of_pointwise(f, k, v);
        if (misfit) {
            pass_fuse_misfit(f, v, k, misfit);
            *reason = i ? *reason : misfit;
            continue;
        }
        if (row) {
            f->group[k].class = FUSE_ROW;
            f->group[k].prefix = n->shape.rank;
        }
        put(f, k, v);
        absorb(f, k, v);
        return true;
    }
    return false;
}

static bool same_window(const struct ir_node *a, const struct ir_node *b)
{
    for (int i = 0; i < 4; i++)
        if (a->attr[i].count != b->attr[i].count)
            return false;
        else if (a->attr[i].count && memcmp(a->attr[i].at, b->attr[i].at,
                                            (size_t)a->attr[i].count * sizeof *a->attr[i].at))
            return false;
    return a->arity == b->arity;
}

/* the tap and the value come from one walk over the window */
static bool join_window(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v), *first;

    for (int k = f->window[n->args[0].id]; k >= 0; k = f->group[k].other_window) {
        first = ir_at(f->g, f->group[k].nodes[0]);
        if (f->group[k].loop == f->loops->loop_of[v.id] && same_window(first, n) &&
            f->group[k].again == ir_is_again(f->g, v) &&
            ir_same_shape(&f->group[k].domain, &n->shape)) {
            put(f, k, v);
            return true;
        }
    }
    return false;
}

static void place(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    bool row = ir_reduces(n->op) && ir_order(f->g, n).kind == IR_LANES;
    const char *reason = f->options->fuse ? "it is not computed element by element" : NULL;
    enum fuse_class class = FUSE_MAP;
    int k;

    if (f->options->fuse && (ir_pointwise(n->op) || row) && join(f, v, row, &reason))
        return;
    switch (n->op) {
    case IR_dot:
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        class = FUSE_CONTRACT;
        break;
    case IR_window_spread:
    case IR_window_place: /* they have loops of their own, which no row walks through */
        class = FUSE_WINDOW;
        break;
    case IR_put_add:
    case IR_scatter_add:
    case IR_scatter_last:
    case IR_cumsum:
    case IR_cumprod:
    case IR_cummax:
    case IR_cummin:
    case IR_recur:
    case IR_argsort:
    case IR_custom:
        class = FUSE_SCATTER;
        break;
    case IR_window_sum:
    case IR_window_max:
    case IR_window_argmax:
        if (f->options->fuse && join_window(f, v))
            return;
        class = FUSE_WINDOW;
        break;
    default:
        if (row)
            class = FUSE_ROW;
        else if (ir_reduces(n->op) || n->op == IR_argmax || n->op == IR_argmin)
            class = FUSE_COLUMN;
    }
    k = new_group(f, class, row ? ir_at(f->g, n->args[0])->shape : n->shape, reason, v);
    f->group[k].again = ir_is_again(f->g, v);
    if (row)
        f->group[k].prefix = n->shape.rank;
    if (class == FUSE_WINDOW) {
        f->group[k].other_window = f->window[n->args[0].id];
        f->window[n->args[0].id] = k;
    }
    put(f, k, v);
    if (f->options->fuse && (class == FUSE_ROW || class == FUSE_COLUMN))
        absorb(f, k, v);
}

/* --- assignments ---------------------------------------------------------------------------------
 */

struct state_readers { /* the placed nodes that read a state, by state: first[id] .. first[id + 1]
                        */
    uint32_t *first;
    ir_val *at;
};

/* of the states, or of the locals: among the nodes from `from` on */
static struct state_readers find_readers(struct fuse *f, enum ir_op memory, uint32_t from)
{
    const uint32_t count = f->g->count;
    struct state_readers r = { .first = ir_alloc(f->arena, (count + 2) * sizeof *r.first) };

    for (int round = 0; round < 2; round++) { /* first how many, then who */
        for (uint32_t v = from; v < count; v++) {
            if (f->group_of[v] < 0 && !ir_is_store(f->g->nodes[v].op))
                continue;
            pass_fuse_bases(f, (ir_val){ v });
            for (int i = 0; i < f->bases; i++)
                if (ir_at(f->g, f->base[i])->op == memory && round == 0)
                    r.first[f->base[i].id + 2]++;
                else if (ir_at(f->g, f->base[i])->op == memory)
                    r.at[r.first[f->base[i].id + 1]++] = (ir_val){ v };
        }
        for (uint32_t v = 2; v < count + 2 && round == 0; v++)
            r.first[v] += r.first[v - 1];
        if (round == 0)
            r.at = ir_alloc(f->arena, (r.first[count + 1] + 1) * sizeof *r.at);
    }
    return r;
}

/* an assign joins the kernel of its value if all who read the old state come before it, or read it
 * there at the same index */
static void place_assign(struct fuse *f, ir_val v, const struct state_readers *readers)
{
    const struct ir_node *n = ir_at(f->g, v);
    ir_val state = n->args[0], value = n->args[1];
    const uint32_t first = readers->first[state.id], last = readers->first[state.id + 1];
    int k = f->group_of[value.id];
    bool fits = f->options->fuse && k >= 0 && !f->virtual[value.id] &&
                ir_same_shape(&n->shape, &f->group[k].domain) &&
                f->group[k].class != FUSE_SCATTER && f->group[k].loop == f->loops->loop_of[v.id];

    for (uint32_t i = first; i < last && fits; i++) {
        const struct ir_node *reader = ir_at(f->g, readers->at[i]);
        int other = f->group_of[readers->at[i].id];
        if (other < 0)
            continue;
        if (other != k) {
            fits = !pass_fuse_needs(f, other, k);
            continue;
        }
        f->asked = state; /* where is it read, as if it were of the kernel */
        fits = ir_pointwise(reader->op) && pass_fuse_in_place(f, k, reader, &reader->shape);
        f->asked = (ir_val){ 0 };
    }
    if (!fits) {
        k = new_group(f, FUSE_MAP, n->shape, "what it assigns is still read elsewhere", v);
        f->group[k].effect = true;
    }
    put(f, k, v);
    for (uint32_t i = first; i < last; i++)
        if (f->group_of[readers->at[i].id] >= 0)
            pass_fuse_need(f, k, f->group_of[readers->at[i].id]);
}

/* --- loops of kernels ----------------------------------------------------------------------------
 */

/* A step and its done are marks: kernels of their own that compute nothing. */
static void place_mark(struct fuse *f, ir_val v, int loop)
{
    const int k = new_group(f, FUSE_MAP, (struct ir_shape){ 0 }, NULL, v);

    f->group[k].effect = true;
    f->group[k].loop = loop;
    put(f, k, v);
}

/* What is stored before the loop joins who computes it. */
static void begin_loop(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    const int loop = f->loops->loop_of[v.id];
    const struct state_readers nobody = { .first = ir_alloc(f->scratch,
                                                            (f->g->count + 2) * sizeof(uint32_t)) };

    for (int i = 0; i < n->arity; i++)
        if (ir_at(f->g, n->args[i])->op == IR_store)
            place_assign(f, n->args[i], &nobody);
    place_mark(f, v, f->loops->at[loop].parent);
    f->begin[loop] = f->group_of[v.id];
}

/* The loop's nodes are all there, so it is known who reads what its stores change. */
static void end_loop(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    const struct state_readers readers = find_readers(f, IR_local, n->args[0].id);

    for (int i = 1; i < n->arity; i++)
        place_assign(f, n->args[i], &readers);
    place_mark(f, v, f->loops->loop_of[n->args[0].id]);
}

/* --- all -----------------------------------------------------------------------------------------
 */

static void count_readers(struct fuse *f, const bool *live)
{
    f->readers = ir_alloc(f->arena, f->g->count * sizeof *f->readers);
    for (int i = 0; i < f->g->output_count; i++) { /* what is handed out is stored, be it a view */
        ir_val v = f->g->outputs[i].value;
        f->readers[v.id] += 2;
        f->virtual[v.id] = false;
    }
    for (uint32_t v = 1; v < f->g->count; v++) {
        if (!live[v] || f->virtual[v])
            continue;
        pass_fuse_bases(f, (ir_val){ v });
        for (int i = 0; i < f->bases; i++)
            f->readers[f->base[i].id]++;
    }
}

/* index arithmetic is cheap, but it piles up */
static void drop_scratch(struct fuse *f)
{
    if (f->questions < 64)
        return;
    ir_arena_free(f->scratch);
    f->scratch = ir_arena_new();
    f->questions = 0;
}

static void place_all(struct fuse *f, const bool *live)
{
    const struct ir_graph *g = f->g;
    struct state_readers readers;

    f->groups = f->misfits = 0;
    f->virtual = pass_fuse_virtual(f);
    for (uint32_t v = 0; v < g->count; v++)
        f->group_of[v] = f->window[v] = f->misfit_of[v] = -1;
    count_readers(f, live);
    for (uint32_t v = 1; v < g->count; v++)
        if (live[v] && !f->virtual[v] && !ir_is_memory(g->nodes[v].op) &&
            !ir_is_store(g->nodes[v].op)) {
            if (g->nodes[v].op == IR_step)
                begin_loop(f, (ir_val){ v });
            else if (g->nodes[v].op == IR_done)
                end_loop(f, (ir_val){ v });
            else
                place(f, (ir_val){ v });
            drop_scratch(f);
        }
    readers = find_readers(f, IR_state, 1);
    for (int i = 0; i < g->effect_count; i++)
        place_assign(f, g->effects[i], &readers), drop_scratch(f);
}

struct ir_program *pass_fuse(const struct ir_graph *g, const struct pass_options *options,
                             struct ir_arena *arena)
{
    struct fuse f = { .g = g, .options = options, .arena = arena, .scratch = ir_arena_new() };
    const bool *live = ir_live(g, arena);
    struct ir_program *program;

    f.group_of = ir_alloc(arena, g->count * sizeof *f.group_of);
    f.window = ir_alloc(arena, g->count * sizeof *f.window);
    f.base = ir_alloc(arena, g->count * sizeof *f.base);
    f.seen = ir_alloc(arena, g->count * sizeof *f.seen);
    f.loops = pass_find_loops(g, arena);
    f.misfit_of = ir_alloc(arena, g->count * sizeof *f.misfit_of);
    f.begin = ir_alloc(arena, ((size_t)f.loops->count + 1) * sizeof *f.begin);
    place_all(&f, live);
    if (options->fuse && (f.cheap = pass_fuse_cheap(&f, live)))
        place_all(&f, live);
    program = pass_fuse_finish(&f);
    ir_arena_free(f.scratch);
    return program;
}
