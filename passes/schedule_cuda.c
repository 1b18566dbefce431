/*
 * schedule_cuda: threads of a GPU for a plain loop nest.
 *
 * The loops over a kernel's results become one index, which blocks of threads go through: thread t
 * of block b takes elements B * b + t, and where there are more than the machine holds at once,
 * every so many further on. Each of the loops then runs at most once a thread, at its own part of
 * that index, so that bounds are exact, symbolic ones too, and launches do not hang on them. A
 * thread does the sums of its elements in their order. A row is the work of a block: 64 threads
 * keep the 64 sums of ir_order() (schedule_rows.c) and fold them by its tree. So every bit is that
 * of the CPU. Of a large product a thread has a tile of results in registers, columns a warp apart:
 * what it loads of either operand serves a row or a column of them.
 */
#include "steps.h"

#define THREADS   256 /* of a block, at most */
#define WARP      32
#define RESIDENT  8   /* blocks that a processor holds at once */
#define REGISTERS 128 /* for the sums of a tile, and what each of its results reads besides */
#define TILED     64  /* threads a processor that tiles of products must leave */

/* ---- one index for all loops ---- */

/* a loop is a thread's own part of it: from there on, so far apart */
static void part(struct loop_axis *a, loop_ix from, int64_t step)
{
    a->from = from;
    a->step = step;
}

static void enclose(struct loop_kernel *k, struct loop_block *b, int at, int axis)
{
    struct loop_block one = { 0 };
    struct loop_statement loop = { .kind = LOOP_FOR, .axis = axis };

    loop_add(k, &loop.body, *b->at[at]);
    b->at[at] = loop_add(k, &one, loop);
}

static int members(struct loop_kernel *k, const char *name, enum loop_role role, int64_t count)
{
    int axis = loop_axis_new(k, name, loop_const(k, count), count);

    k->axis[axis].role = role;
    return axis;
}

/* The nest's loops, all inside of the kernel's first one, for a grid of blocks; threads: of a
 * block, 0 where a whole block works on one index. */
static void spread(struct loop_kernel *k, const struct nest *n, int64_t blocks, int64_t threads)
{
    struct loop_axis *wide[2 * IR_RANK + 8]; /* innermost first */
    int wides = 0, grid = members(k, "block", LOOP_GRID, blocks), block = -1, at = 0;
    loop_ix index = loop_axis_ix(k, grid);
    int64_t step = blocks * (threads ? threads : 1);

    if (threads) {
        block = members(k, "thread", LOOP_BLOCK, threads);
        index = loop_plus(k, loop_scale(k, index, threads), loop_axis_ix(k, block));
    }
    for (int i = n->count; i-- > 0;)
        if (k->axis[n->loop[i]->axis].hi > 1)
            wide[wides++] = &k->axis[n->loop[i]->axis];
    while (k->body.at[at]->kind != LOOP_FOR)
        at++;
    if (wides > 1) { /* one index, of which each takes its remainder and leaves the quotient */
        int taken[2 * IR_RANK + 8], takes = 0;
        int64_t inside = 1;
        for (int i = 0; i < wides - 1; i++)
            inside *= wide[i]->hi;
        struct loop_axis *outer = wide[wides - 1];
        taken[takes++] =
            loop_axis_new(k, "at", loop_scale(k, outer->to, inside), outer->hi * inside);
        part(&k->axis[taken[0]], index, step);
        index = loop_axis_ix(k, taken[0]);
        for (int i = 0; i < wides - 1; i++) {
            part(wide[i], loop_mod(k, index, wide[i]->hi), wide[i]->hi);
            index = loop_div(k, index, wide[i]->hi);
            inside /= wide[i]->hi;
            if (i == wides - 2)
                break;
            int rest = taken[takes++] =
                loop_axis_new(k, "rest", loop_const(k, outer->hi * inside), outer->hi * inside);
            part(&k->axis[rest], index, outer->hi * inside);
            index = loop_axis_ix(k, rest);
        }
        part(outer, index, outer->hi);
        outer->to = loop_const(k, outer->hi); /* the one index ends where it does */
        while (takes > 0)
            enclose(k, &k->body, at, taken[--takes]);
    } else {
        part(wide[0], index, step);
    }
    if (threads)
        enclose(k, &k->body, at, block);
    enclose(k, &k->body, at, grid);
}

/* how many there are at most; false: more than can be counted */
static bool extent_of(const struct loop_kernel *k, const struct nest *n, int64_t *extent)
{
    *extent = 1;
    for (int i = 0; i < n->count; i++)
        if (__builtin_mul_overflow(*extent, k->axis[n->loop[i]->axis].hi, extent))
            return false;
    return *extent < INT64_C(1) << 48;
}

/* ---- results that are independent ---- */

struct beside { /* accesses whose neighbours along an axis are neighbours in memory */
    struct loop_kernel *k;
    int axis, count;
};

static void look(struct loop_statement *s, void *with)
{
    struct beside *b = with;
    bool linear;

    if (s->kind == LOOP_LOAD || s->kind == LOOP_STORE)
        b->count += pass_lane_step(b->k, s->ix, b->axis, &linear) == 1 && linear
                        ? s->kind == LOOP_STORE ? 2 : 1
                        : 0;
}

/* the loop that neighbouring threads share */
static struct loop_statement *thread_loop(struct loop_kernel *k, struct nest *n)
{
    struct loop_statement *best = n->loop[n->count - 1];
    int most = 0;

    for (int i = n->count; i-- > 0;) {
        struct beside b = { k, n->loop[i]->axis, 0 };
        if (k->axis[b.axis].hi < 2)
            continue;
        pass_each(n->inner, look, &b);
        if (b.count > most) {
            best = n->loop[i];
            most = b.count;
        }
    }
    return best;
}

/* ---- products: a tile of results a thread ---- */

struct product {
    struct loop_kernel *k;
    const struct loop_statement *set; /* sum = fma(a, b, sum) */
    uint64_t bounds;                  /* axes that loops inside begin, end or are asked by */
};

static void find_product(struct loop_statement *s, void *with)
{
    struct product *p = with;

    if (s->kind == LOOP_SET && s->op == IR_dot)
        p->set = s;
    if (s->kind != LOOP_FOR)
        return;
    p->bounds |=
        loop_axes_of(p->k, p->k->axis[s->axis].from) | loop_axes_of(p->k, p->k->axis[s->axis].to);
    for (int i = 0; i < s->guards; i++)
        p->bounds |= loop_axes_of(p->k, s->guard[i].ix) | loop_axes_of(p->k, s->guard[i].limit);
}

struct whole { /* loads that each result has of its own */
    struct loop_kernel *k;
    uint64_t axes;
    int loads;
};

static void count_whole(struct loop_statement *s, void *with)
{
    struct whole *w = with;

    w->loads += s->kind == LOOP_LOAD && (loop_axes_of(w->k, s->ix) & w->axes) == w->axes;
}

/* does one operand move with i alone of the two, and the other with j alone? */
static bool crosses(const struct product *p, int i, int j)
{
    const uint64_t a = p->k->value[p->set->args[1]].depends,
                   b = p->k->value[p->set->args[2]].depends;

    return (a >> i & 1) != (b >> i & 1) && (a >> j & 1) != (b >> j & 1) &&
           (a >> i & 1) != (a >> j & 1);
}

static struct loop_statement *loop_of(struct loop_kernel *k, int axis)
{
    struct nest n = pass_nest(k);

    for (int i = 0; i < n.count; i++)
        if (n.loop[i]->axis == axis)
            return n.loop[i];
    ir_bug("kernel %s: a loop is not in its nest", k->name);
}

/* The largest tile that leaves enough threads: extents are its multiples, so nothing runs over. */
static void tile(struct loop_kernel *k, int j, const struct pass_options *options)
{
    static const struct {
        int64_t rows, columns;
    } sizes[] = { { 8, 8 }, { 8, 4 }, { 4, 8 }, { 4, 4 }, { 8, 2 }, { 4, 2 },
                  { 2, 4 }, { 2, 2 }, { 8, 1 }, { 4, 1 }, { 2, 1 }, { 1, 2 } };
    struct product p = { .k = k };
    struct nest n = pass_nest(k);
    int64_t extent, most = 1;
    int i = -1;

    loop_depends(k);
    pass_each(n.inner, find_product, &p);
    if (!p.set || !extent_of(k, &n, &extent) || p.bounds >> j & 1)
        return;
    for (int l = 0; l < n.count; l++) {
        const int axis = n.loop[l]->axis;
        if (axis != j && k->axis[axis].hi > most && !(p.bounds >> axis & 1) &&
            crosses(&p, axis, j)) {
            most = k->axis[axis].hi;
            i = axis;
        }
    }
    struct whole whole = { k, i < 0 ? 0 : UINT64_C(1) << i | UINT64_C(1) << j, 0 };
    pass_each(n.inner, count_whole, &whole);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes && i >= 0; s++) {
        const int64_t rows = sizes[s].rows, columns = sizes[s].columns;
        if (rows * columns * (1 + whole.loads) > REGISTERS || k->axis[i].hi % rows ||
            k->axis[j].hi % (columns * WARP) || k->axis[i].lo || k->axis[j].lo ||
            k->axes + 6 + 2 * n.count > LOOP_AXES ||
            extent / (rows * columns) < (int64_t)options->target->processors * TILED)
            continue;
        int down = -1, across = -1;
        if (columns > 1) { /* column t of a warp, and every 32nd from there on */
            across = pass_split(k, loop_of(k, j), columns * WARP);
            pass_split(k, loop_of(k, across), WARP);
            across = pass_nest(k).loop[pass_nest(k).count - 2]->axis;
        }
        if (rows > 1)
            down = pass_split(k, loop_of(k, i), rows);
        if (down >= 0)
            pass_inward(k, loop_of(k, down));
        if (across >= 0)
            pass_inward(k, loop_of(k, across));
        if (down >= 0)
            k->axis[down].role = LOOP_UNROLL;
        if (across >= 0)
            k->axis[across].role = LOOP_UNROLL;
        return;
    }
}

static void map(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest n = pass_nest(k);
    int64_t extent, threads = THREADS, most = (int64_t)options->target->processors * RESIDENT;

    if (!n.count)
        return;
    pass_sink(k);
    if (pass_stage_product(k, options))
        return;
    n = pass_nest(k);
    pass_inward(k, thread_loop(k, &n));
    n = pass_nest(k);
    tile(k, n.loop[n.count - 1]->axis, options);
    pass_raise_guards(k, &k->body);
    for (int i = pass_nest(k).count - 2; i >= 0; i--)
        pass_flatten(k, i, false);
    n = pass_nest(k);
    if (!extent_of(k, &n, &extent) || extent < 2)
        return;
    while (threads > WARP && extent < threads * options->target->processors)
        threads /= 2;
    int64_t blocks = (extent + threads - 1) / threads;
    spread(k, &n, blocks < most ? blocks : most, threads);
}

/* ---- rows ---- */

static bool rows(struct loop_kernel *k, const struct pass_options *options,
                 struct loop_statement *row)
{
    struct nest n = pass_nest(k);
    int64_t extent, most = (int64_t)options->target->processors * RESIDENT * (THREADS / 64);

    if (!pass_walk_rows(k, n.inner, row, true))
        return false;
    if (n.count && extent_of(k, &n, &extent) && extent > 1)
        spread(k, &n, extent < most ? extent : most, 0);
    return true;
}

bool pass_schedule_cuda(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest n = pass_nest(k);
    struct loop_statement *row = NULL;

    for (int i = 0; i < n.inner->count; i++) {
        struct loop_statement *s = n.inner->at[i];
        if (s->kind == LOOP_FOR && k->axis[s->axis].role == LOOP_UNROLL &&
            !k->axis[s->axis].ordered)
            row = s;
    }
    if (row && !rows(k, options, row))
        return false;
    if (!row)
        map(k, options);
    loop_depends(k);
    pass_weigh(k);
    k->shared = true; /* launches that depend on each other wait */
    return true;
}
