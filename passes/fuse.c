/*
 * fuse: which nodes are computed together.
 *
 * Nodes join, in their order, the kernel of an argument when they can be computed there at the same
 * index: pointwise nodes join what has their shape, a reduction of the last axes joins the kernel
 * of its rows, pointwise nodes of a contraction's shape become its epilogue. A kernel that would
 * come to depend on itself is never made. Views, constants and index arithmetic belong to no
 * kernel: they are computed wherever they are read. What a node reads of another kernel is stored
 * by it.
 */
#include "passes.h"

#include <string.h>

enum class { MAP, ROW, COLUMN, CONTRACT, WINDOW, SCATTER };

struct group {
    enum class class;
    struct ir_shape domain;
    int prefix; /* ROW: values with the first `prefix` axes of the domain live here too; -1: none
                   yet */
    ir_val *nodes;
    int count, room;
    uint64_t *depends; /* on these groups, transitively */
    bool effect;
};

struct fuse {
    const struct ir_graph *g;
    const struct pass_options *options;
    struct ir_arena *arena;
    bool *live, *virtual;
    int *group_of;
    struct group *group;
    int groups, room, words;
    struct loop_kernel *k; /* for index arithmetic */
    ir_val *base;          /* scratch: what a node reads, views looked through, each once */
    uint32_t *seen, stamp;
    int steps; /* left for the question at hand */
    int bases;
};

static bool reads_memory(enum ir_op op)
{
    return op == IR_input || op == IR_state;
}

/* comparisons, and what is made of constants and indices alone: cheaper to compute again than to
 * store and read */
static bool is_free(const struct fuse *f, const struct ir_node *n)
{
    if (n->op == IR_const || n->op == IR_iota || n->op == IR_size)
        return true;
    if (!ir_pointwise(n->op))
        return false;
    for (int i = 0; i < n->arity; i++)
        if (!f->virtual[n->args[i].id])
            return false;
    return true;
}

static void find_virtual(struct fuse *f)
{
    for (uint32_t v = 1; v < f->g->count; v++) {
        const struct ir_node *n = &f->g->nodes[v];
        if (n->op == IR_stop_gradient)
            continue; /* a change of layout */
        if (pass_is_view(n->op))
            f->virtual[v] = true;
        else if (is_free(f, n)) /* a view of memory is virtual, but not free */
            f->virtual[v] = true;
    }
    /* pointwise over views of memory is computed, not free: only what reads no memory at all stays
     */
    bool *memory = ir_alloc(f->arena, f->g->count * sizeof *memory);
    for (uint32_t v = 1; v < f->g->count; v++) {
        const struct ir_node *n = &f->g->nodes[v];
        memory[v] = reads_memory(n->op) || !(f->virtual[v] || pass_is_view(n->op));
        for (int i = 0; i < n->arity; i++)
            memory[v] |= memory[n->args[i].id];
        bool compares = ir_ops[n->op].group == IR_COMPARE || ir_ops[n->op].group == IR_PREDICATE;
        if (memory[v] && !pass_is_view(n->op))
            f->virtual[v] = compares && f->options->fuse;
    }
}

/* the stored values that v reads, through what is virtual */
static void find_bases(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);

    for (int i = 0; i < n->arity; i++) {
        ir_val a = n->args[i];
        if ((n->op == IR_assign && i == 0) || f->seen[a.id] == f->stamp)
            continue;
        f->seen[a.id] = f->stamp;
        if (f->virtual[a.id])
            find_bases(f, a);
        else
            f->base[f->bases++] = a;
    }
}

static void bases_of(struct fuse *f, ir_val v)
{
    f->bases = 0;
    f->stamp++;
    find_bases(f, v);
}

static bool bit(const uint64_t *set, int i)
{
    return set[i / 64] >> (i % 64) & 1;
}

static void join_bits(struct fuse *f, uint64_t *set, const uint64_t *other)
{
    for (int w = 0; w < f->words; w++)
        set[w] |= other[w];
}

/* group k now depends on group on; and so does who depends on k */
static void add_dependence(struct fuse *f, int k, int on)
{
    if (k == on || bit(f->group[k].depends, on))
        return;
    for (int j = 0; j < f->groups; j++) {
        if (j != k && !bit(f->group[j].depends, k))
            continue;
        f->group[j].depends[on / 64] |= UINT64_C(1) << (on % 64);
        join_bits(f, f->group[j].depends, f->group[on].depends);
    }
}

/* would k depend on itself if it read v's bases? */
static bool makes_cycle(struct fuse *f, int k, ir_val v)
{
    bases_of(f, v);
    for (int i = 0; i < f->bases; i++) {
        int other = f->group_of[f->base[i].id];
        if (other >= 0 && other != k && bit(f->group[other].depends, k))
            return true;
    }
    return false;
}

static int new_group(struct fuse *f, enum class class, struct ir_shape domain)
{
    if (f->groups == f->room) {
        struct group *bigger = ir_alloc(f->arena, (size_t)(2 * f->room + 64) * sizeof *bigger);
        if (f->groups)
            memcpy(bigger, f->group, (size_t)f->groups * sizeof *bigger);
        f->group = bigger;
        f->room = 2 * f->room + 64;
    }
    f->group[f->groups] = (struct group){ .class = class, .domain = domain, .prefix = -1 };
    f->group[f->groups].depends = ir_alloc(f->arena, (size_t)f->words * sizeof(uint64_t));
    return f->groups++;
}

static void put(struct fuse *f, int k, ir_val v)
{
    struct group *g = &f->group[k];

    if (g->count == g->room) {
        ir_val *bigger = ir_alloc(f->arena, (size_t)(2 * g->room + 8) * sizeof *bigger);
        if (g->count)
            memcpy(bigger, g->nodes, (size_t)g->count * sizeof *bigger);
        g->nodes = bigger;
        g->room = 2 * g->room + 8;
    }
    g->nodes[g->count++] = v;
    f->group_of[v.id] = k;
    bases_of(f, v);
    for (int i = 0; i < f->bases; i++)
        if (f->group_of[f->base[i].id] >= 0)
            add_dependence(f, k, f->group_of[f->base[i].id]);
}

/* a stored value lives at all axes of the domain (full), or at the first `prefix` of them */
static bool has_prefix(const struct ir_shape *domain, const struct ir_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (i >= domain->rank || shape->dim[i] != domain->dim[i])
            return false;
    return true;
}

/*
 * Is every read of group k's values by v, v being at index[], at the very index where the group has
 * them? Reads of other groups are loads and may be anywhere.
 */
static bool reads_in_place(struct fuse *f, int k, ir_val v, const loop_ix *index,
                           const loop_ix *axes)
{
    const struct ir_node *n = ir_at(f->g, v);
    loop_ix inner[IR_RANK];

    if (f->steps-- <= 0) /* a tangle of index arithmetic: no */
        return false;
    if (f->group_of[v.id] == k || (reads_memory(n->op) && f->group_of[v.id] == -2 - k)) {
        for (int i = 0; i < n->shape.rank; i++)
            if (index[i] != axes[i])
                return false;
        return true;
    }
    if (!f->virtual[v.id])
        return true;
    if (pass_is_view(n->op))
        return pass_view(f->k, f->g, n, index, inner) &&
               reads_in_place(f, k, n->args[0], inner, axes);
    for (int i = 0; i < n->arity; i++) {
        pass_broadcast(f->k, &n->shape, &ir_at(f->g, n->args[i])->shape, index, inner);
        if (!reads_in_place(f, k, n->args[i], inner, axes))
            return false;
    }
    return true;
}

static void domain_axes(struct fuse *f, const struct ir_shape *domain, loop_ix *axes)
{
    f->k->axes = 0;
    for (int i = 0; i < domain->rank; i++) {
        int64_t most = ir_dim_max(f->g, domain->dim[i]);
        int axis = loop_axis_new(f->k, "i", loop_dim_ix(f->k, domain->dim[i]), most > 0 ? most : 1);
        axes[i] = loop_axis_ix(f->k, axis);
        /* two axes of one extent must not look alike; a symbolic one may be 1 but is an axis all
         * the same */
    }
}

/* A fresh index space for each question: expressions are cheap, but they pile up. */
static bool arguments_in_place(struct fuse *f, int k, const struct ir_node *n,
                               const struct ir_shape *at)
{
    loop_ix axes[IR_RANK], inner[IR_RANK];
    const struct ir_shape *domain = &f->group[k].domain;

    f->steps = 2000;
    f->k = loop_kernel_new(f->arena, f->g, "fuse");
    domain_axes(f, domain, axes);
    for (int i = 0; i < n->arity; i++) {
        const struct ir_shape *a = &ir_at(f->g, n->args[i])->shape;
        if (ir_pointwise(n->op) || n->op == IR_assign)
            pass_broadcast(f->k, at, a, axes, inner);
        else
            for (int j = 0; j < a->rank; j++)
                inner[j] = axes[j];
        if (!reads_in_place(f, k, n->args[i], inner, axes))
            return false;
    }
    return true;
}

static bool is_reduce(enum ir_op op)
{
    return op == IR_sum || op == IR_prod || op == IR_amax || op == IR_amin || op == IR_all ||
           op == IR_any;
}

/* rows longer than this do not wait in registers or L1 for a second look: a kernel of their own per
 * phase is as good */
#define ROW_MOST 16384

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

/* nodes of a kernel; sums of a long row, each of which is a walk */
#define GROUP_MOST 200
#define WALKS_MOST 8
#define ROW_SHORT  64

static int walks(const struct fuse *f, int k)
{
    int n = 0;

    for (int i = 0; i < f->group[k].count; i++)
        n += is_reduce(ir_at(f->g, f->group[k].nodes[i])->op);
    return n;
}

static bool try_pointwise(struct fuse *f, int k, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    struct group *g = &f->group[k];
    bool full = ir_same_shape(&n->shape, &g->domain);
    bool prefix =
        g->class == ROW && n->shape.rank == g->prefix && has_prefix(&g->domain, &n->shape);

    if (g->count >= GROUP_MOST || g->class == SCATTER || (g->effect && n->op != IR_assign) ||
        (!full && !prefix))
        return false;
    /* what is computed along a row must be of the row; a column reduction's result has the domain's
     * shape */
    return arguments_in_place(f, k, n, &n->shape) && !makes_cycle(f, k, v);
}

static bool try_reduce(struct fuse *f, int k, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v), *a = ir_at(f->g, n->args[0]);
    struct group *g = &f->group[k];

    if ((g->class != MAP && g->class != ROW) || !ir_same_shape(&a->shape, &g->domain))
        return false;
    if (g->prefix >= 0 && g->prefix != n->shape.rank)
        return false;
    int64_t elements = row_elements(&g->domain, n->shape.rank);
    if (elements > ROW_MOST || g->count >= GROUP_MOST ||
        (elements > ROW_SHORT && walks(f, k) >= WALKS_MOST))
        return false;
    return arguments_in_place(f, k, n, &a->shape) && !makes_cycle(f, k, v);
}

/*
 * Pointwise kernels that v's kernel k reads at the same index become part of it, as long as nobody
 * between them needs the one and is needed by the other. For a kernel of another index space (a sum
 * of columns) only what nobody else reads is taken in, and computed inside its loops.
 */
static bool between(const struct fuse *f, int k, int other)
{
    for (int x = 0; x < f->groups; x++)
        if (x != k && x != other && bit(f->group[k].depends, x) && bit(f->group[x].depends, other))
            return true;
    return false;
}

/* a sum of products reads its operands all over the place: what it reads is stored, not computed
 * again for every product */
static bool is_operand(struct fuse *f, int k, int other)
{
    for (int i = 0; i < f->group[k].count; i++) {
        ir_val v = f->group[k].nodes[i];
        if (ir_pointwise(ir_at(f->g, v)->op) || is_reduce(ir_at(f->g, v)->op))
            continue;
        bases_of(f, v);
        for (int b = 0; b < f->bases; b++)
            if (f->group_of[f->base[b].id] == other)
                return true;
    }
    return false;
}

static bool only_reader(struct fuse *f, const int *readers, int k)
{
    for (int i = 0; i < f->group[k].count; i++) {
        ir_val v = f->group[k].nodes[i];
        if (!ir_pointwise(ir_at(f->g, v)->op) || readers[v.id] != 1)
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
            good = arguments_in_place(f, k, n, &n->shape);
        else if (is_reduce(n->op))
            good = arguments_in_place(f, k, n, &ir_at(f->g, n->args[0])->shape);
    }
    for (int i = 0; i < f->group[other].count; i++)
        f->group_of[f->group[other].nodes[i].id] = other;
    return good;
}

static void absorb(struct fuse *f, int k, ir_val v, const int *readers)
{
    bases_of(f, v);
    for (int i = 0; i < f->bases; i++) {
        int other = f->group_of[f->base[i].id];
        if (other < 0 || other == k || f->group[other].class != MAP || f->group[other].effect ||
            between(f, k, other))
            continue;
        bool operand = f->group[k].class != COLUMN && is_operand(f, k, other);
        bases_of(f, v);
        if (operand)
            continue;
        bool same = ir_same_shape(&f->group[other].domain, &f->group[k].domain) &&
                    f->group[k].class != SCATTER;
        if (!(same && f->group[k].class != COLUMN) && !only_reader(f, readers, other))
            continue;
        if (f->group[k].count + f->group[other].count > GROUP_MOST ||
            (same && f->group[k].class != COLUMN && !merges_in_place(f, k, other)))
            continue;
        bases_of(f, v);
        struct group *o = &f->group[other];
        int count = o->count;
        o->count = 0;
        for (int j = 0; j < f->groups; j++) /* who waited for it waits for k */
            if (j != k && bit(f->group[j].depends, other))
                add_dependence(f, j, k);
        for (int j = 0; j < count; j++)
            put(f, k, o->nodes[j]);
        bases_of(f, v);
        i = -1;
    }
}

/* a contraction's epilogue first, then rows and the rest, and of equals the latest */
static int preference(const struct fuse *f, int k)
{
    static const int of[] = {
        [MAP] = 0, [SCATTER] = 0, [COLUMN] = 1, [WINDOW] = 2, [ROW] = 3, [CONTRACT] = 4
    };

    return of[f->group[k].class] * 1000000 + k;
}

static void place(struct fuse *f, ir_val v, const int *readers)
{
    const struct ir_node *n = ir_at(f->g, v);
    bool row = is_reduce(n->op) && ir_order(f->g, n).kind == IR_LANES;
    bool pointwise = ir_pointwise(n->op);

    if (f->options->fuse && (pointwise || row)) {
        bases_of(f, v);
        int count = f->bases;
        int candidate[64], candidates = 0;
        for (int i = 0; i < count; i++) {
            int k = f->group_of[f->base[i].id], at = 0;
            if (k < 0 || candidates == 64)
                continue;
            while (at < candidates && preference(f, candidate[at]) > preference(f, k))
                at++;
            if (at < candidates && candidate[at] == k)
                continue;
            memmove(&candidate[at + 1], &candidate[at],
                    (size_t)(candidates++ - at) * sizeof *candidate);
            candidate[at] = k;
        }
        for (int i = 0; i < candidates; i++) {
            int k = candidate[i];
            if (row ? !try_reduce(f, k, v) : !try_pointwise(f, k, v))
                continue;
            if (row) {
                f->group[k].class = ROW;
                f->group[k].prefix = n->shape.rank;
            }
            put(f, k, v);
            absorb(f, k, v, readers);
            return;
        }
    }
    int k;
    if (row) {
        k = new_group(f, ROW, ir_at(f->g, n->args[0])->shape);
        f->group[k].prefix = n->shape.rank;
        put(f, k, v);
        if (f->options->fuse)
            absorb(f, k, v, readers);
        return;
    }
    switch (n->op) {
    case IR_dot:
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        k = new_group(f, CONTRACT, n->shape);
        put(f, k, v);
        return;
    case IR_window_spread:
    case IR_window_place: /* they have loops of their own, which no row walks through */
        k = new_group(f, WINDOW, n->shape);
        put(f, k, v);
        return;
    case IR_put_add:
    case IR_scatter_add:
        k = new_group(f, SCATTER, n->shape);
        put(f, k, v);
        return;
    case IR_window_sum:
    case IR_window_max:
    case IR_window_argmax:
        /* the tap and the value come from one walk over the window */
        for (int j = f->groups - 1; f->options->fuse && j >= 0; j--) {
            const struct ir_node *first =
                f->group[j].count ? ir_at(f->g, f->group[j].nodes[0]) : NULL;
            if (f->group[j].class == WINDOW && first && first->arity == n->arity &&
                first->args[0].id == n->args[0].id &&
                ir_same_shape(&f->group[j].domain, &n->shape)) {
                put(f, j, v);
                return;
            }
        }
        k = new_group(f, WINDOW, n->shape);
        put(f, k, v);
        return;
    default:
        k = new_group(f,
                      is_reduce(n->op) || n->op == IR_argmax || n->op == IR_argmin ? COLUMN : MAP,
                      n->shape);
        put(f, k, v);
        if (f->options->fuse && f->group[k].class == COLUMN)
            absorb(f, k, v, readers);
    }
}

/* an assign joins the kernel of its value if all who read the old state come before it, or read it
 * there at the same index */
static void place_assign(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);
    ir_val state = n->args[0], value = n->args[1];
    int k = f->group_of[value.id];
    bool fits = f->options->fuse && k >= 0 && !f->virtual[value.id] &&
                ir_same_shape(&n->shape, &f->group[k].domain) && f->group[k].class != SCATTER;
    uint64_t *readers = ir_alloc(f->arena, (size_t)f->words * sizeof *readers);

    for (uint32_t r = 1; r < f->g->count; r++) {
        int other = f->group_of[r];
        if (other < 0)
            continue;
        bases_of(f, (ir_val){ r });
        for (int i = 0; i < f->bases; i++) {
            if (f->base[i].id != state.id)
                continue;
            if (other != k) {
                readers[other / 64] |= UINT64_C(1) << (other % 64);
                fits = fits && !bit(f->group[other].depends, k);
                continue;
            }
            const struct ir_node *reader = &f->g->nodes[r];
            f->group_of[state.id] = -2 - k; /* ask for the state as if it were of the kernel */
            fits = fits && ir_pointwise(reader->op) &&
                   arguments_in_place(f, k, reader, &reader->shape);
            f->group_of[state.id] = -1;
        }
    }
    if (!fits) {
        k = new_group(f, MAP, n->shape);
        f->group[k].effect = true;
    }
    put(f, k, v);
    for (int j = 0; j < f->groups; j++)
        if (j != k && bit(readers, j))
            add_dependence(f, k, j);
}

static const char *kernel_name(struct fuse *f, const struct group *g, const struct ir_program *p)
{
    struct ir_text text = { 0 };
    int parts = 0;
    char *name;

    for (int i = 0; i < g->count; i++) {
        const struct ir_node *n = ir_at(f->g, g->nodes[i]);
        if (n->op == IR_assign &&
            g->class == CONTRACT) { /* the gradient and the update of one parameter */
            text.size = 0;
            ir_put(&text, "grad_%s_update", ir_at(f->g, n->args[0])->text);
            parts = 5;
            break;
        }
        if (n->op == IR_assign && parts == 0)
            ir_put(&text, "%supdate_%s", parts++ ? "_" : "", ir_at(f->g, n->args[0])->text);
        else if (n->op != IR_assign && n->op != IR_cast && parts < 5)
            ir_put(&text, "%s%s", parts++ ? "_" : "", ir_ops[n->op].name);
    }
    const struct ir_node *anchor = g->count ? ir_at(f->g, g->nodes[0]) : NULL;
    if (anchor && anchor->name && parts < 5)
        name = ir_format(f->arena, "%.40s_%.60s", anchor->name, text.data ? text.data : "copy");
    else
        name = ir_format(f->arena, "%.80s", text.data ? text.data : "copy");
    ir_text_free(&text);
    for (char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '_';
    if (*name >= '0' && *name <= '9')
        name = ir_format(f->arena, "k_%s", name);
    if (!strchr(name, '_')) /* one word may be a word of C, or a function of the program */
        name = ir_format(f->arena, "%s_all", name);
    char *unique = name;
    for (int i = 0, n = 2; i < p->kernel_count; i++)
        if (!strcmp(p->kernels[i].name, unique)) {
            unique = ir_format(f->arena, "%s_%d", name, n++);
            i = -1;
        }
    return unique;
}

/* kernels in an order that respects the dependences, otherwise as they were made */
static struct ir_program *finish(struct fuse *f)
{
    struct ir_program *p = ir_alloc(f->arena, sizeof *p);
    bool *done = ir_alloc(f->arena, (size_t)f->groups + 1);

    p->graph = (struct ir_graph *)f->g;
    p->kernels = ir_alloc(f->arena, (size_t)(f->groups + 1) * sizeof *p->kernels);
    for (int left = f->groups; left > 0;) {
        bool moved = false;
        for (int k = 0; k < f->groups; k++) {
            struct group *g = &f->group[k];
            bool ready = !done[k];
            for (int j = 0; j < f->groups && ready; j++)
                ready = !bit(g->depends, j) || done[j];
            if (!ready)
                continue;
            done[k] = moved = true;
            left--;
            if (!g->count)
                break;
            for (int i = 1; i < g->count; i++) /* ascending */
                for (int j = i; j > 0 && g->nodes[j - 1].id > g->nodes[j].id; j--) {
                    ir_val swap = g->nodes[j];
                    g->nodes[j] = g->nodes[j - 1];
                    g->nodes[j - 1] = swap;
                }
            const char *name = kernel_name(f, g, p);
            p->kernels[p->kernel_count++] = (struct ir_kernel){ name, g->count, g->nodes };
            break;
        }
        if (!moved)
            ir_bug("fuse made kernels that wait for each other");
    }
    return p;
}

struct ir_program *pass_fuse(const struct ir_graph *g, const struct pass_options *options,
                             struct ir_arena *arena)
{
    struct fuse f = { .g = g, .options = options, .arena = arena };
    int *readers = ir_alloc(arena, g->count * sizeof *readers);
    size_t n = g->count;

    f.live = ir_live(g, arena);
    f.virtual = ir_alloc(arena, n * sizeof *f.virtual);
    f.group_of = ir_alloc(arena, n * sizeof *f.group_of);
    f.base = ir_alloc(arena, n * sizeof *f.base);
    f.seen = ir_alloc(arena, n * sizeof *f.seen);
    f.words = (int)(n / 64 + 1);
    find_virtual(&f);
    for (uint32_t v = 0; v < g->count; v++)
        f.group_of[v] = -1;
    for (int i = 0; i < g->output_count; i++) { /* what is handed out is stored, be it a view */
        ir_val v = g->outputs[i].value;
        readers[v.id] += 2;
        f.virtual[v.id] = false;
    }
    for (uint32_t v = 1; v < g->count; v++) {
        if (!f.live[v] || f.virtual[v])
            continue;
        bases_of(&f, (ir_val){ v });
        for (int i = 0; i < f.bases; i++)
            readers[f.base[i].id]++;
    }
    for (uint32_t v = 1; v < g->count; v++)
        if (f.live[v] && !f.virtual[v] && !reads_memory(g->nodes[v].op) &&
            g->nodes[v].op != IR_assign)
            place(&f, (ir_val){ v }, readers);
    for (int i = 0; i < g->effect_count; i++)
        place_assign(&f, g->effects[i]);
    return finish(&f);
}
