/*
 * schedule_cuda: threads of a GPU for a plain loop nest.
 *
 * The loops over a kernel's results become one index, which blocks of threads go through: thread t of block b takes elements
 * B * b + t, and where there are more than the machine holds at once, every so many further on. Each of the loops then runs at most once
 * a thread, at its own part of that index, so that bounds are exact, symbolic ones too, and launches do not hang on them. A thread does the
 * sums of its elements in their order. A row is the work of a block: 64 threads keep the 64 sums of ir_order()
 * (schedule_rows.c) and fold them by its tree. So every bit is that of the CPU.
 */
#include "steps.h"

#define THREADS  256 /* of a block, at most */
#define WARP     32
#define RESIDENT 8 /* blocks that a processor holds at once */

/* ---- one index for all loops ---- */

/*
 * The loops list[0..n), outermost first, inside of a grid of blocks. threads: of a block, 0 where a whole block works on one index.
 */
static void spread(struct loop_kernel *k, struct loop_block *block, int at, const struct nest *n, int64_t blocks, int64_t threads)
{
    int     grid = loop_axis_new(k, "block", loop_const(k, blocks), blocks), lane = -1, all = -1, wide = 0;
    int64_t size = 1;
    loop_ix index = loop_axis_ix(k, grid);

    k->axis[grid].role = LOOP_GRID;
    if (threads) {
        lane = loop_axis_new(k, "thread", loop_const(k, threads), threads);
        k->axis[lane].role = LOOP_BLOCK;
        index = loop_plus(k, loop_scale(k, index, threads), loop_axis_ix(k, lane));
    }
    for (int i = 0; i < n->count; i++)
        wide += k->axis[n->loop[i]->axis].hi > 1;
    int64_t step = blocks * (threads ? threads : 1);
    if (wide > 1) { /* an index that is taken apart */
        for (int i = n->count; i-- > 0;) {
            bool outermost = true;
            for (int j = 0; j < i; j++)
                outermost &= k->axis[n->loop[j]->axis].hi <= 1;
            if (outermost) {
                struct loop_axis *a = &k->axis[n->loop[i]->axis];
                all = loop_axis_new(k, "at", loop_scale(k, a->to, size), a->hi * size);
                break;
            }
            size *= k->axis[n->loop[i]->axis].hi;
        }
        k->axis[all].from = index;
        k->axis[all].step = step;
        index = loop_axis_ix(k, all);
    }
    size = 1;
    for (int i = n->count; i-- > 0;) {
        struct loop_axis *a = &k->axis[n->loop[i]->axis];
        if (a->hi <= 1)
            continue;
        if (wide == 1) {
            a->from = index;
            a->step = step;
            break;
        }
        a->from = loop_div(k, index, size);
        size *= a->hi;
        if (size < k->axis[all].hi)
            a->from = loop_mod(k, a->from, a->hi);
        a->step = a->hi;
    }
    struct loop_statement *inner = block->at[at];
    const int              around[] = { all, lane, grid };
    for (int i = 0; i < 3; i++) {
        if (around[i] < 0)
            continue;
        struct loop_block     body = { 0 };
        struct loop_statement loop = { .kind = LOOP_FOR, .axis = around[i] };
        loop_add(k, &body, *inner);
        loop.body = body;
        inner = loop_copy(k, &loop);
    }
    block->at[at] = inner;
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
    int                 axis, count;
};

static void look(struct loop_statement *s, void *with)
{
    struct beside *b = with;
    bool           linear;

    if (s->kind == LOOP_LOAD || s->kind == LOOP_STORE)
        b->count += pass_lane_step(b->k, s->ix, b->axis, &linear) == 1 && linear ? s->kind == LOOP_STORE ? 2 : 1 : 0;
}

/* the loop that neighbouring threads share */
static struct loop_statement *thread_loop(struct loop_kernel *k, struct nest *n)
{
    struct loop_statement *best = n->loop[n->count - 1];
    int                    most = 0;

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

static int place_of(const struct loop_block *b)
{
    int at = 0;

    while (at < b->count && b->at[at]->kind != LOOP_FOR)
        at++;
    return at;
}

static void map(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest n = pass_nest(k);
    int64_t     extent, threads = THREADS, most = (int64_t)options->target->processors * RESIDENT;

    if (!n.count)
        return;
    pass_sink(k);
    n = pass_nest(k);
    pass_inward(k, thread_loop(k, &n));
    for (int i = pass_nest(k).count - 2; i >= 0; i--)
        pass_flatten(k, i, false);
    n = pass_nest(k);
    if (!extent_of(k, &n, &extent) || extent < 2)
        return;
    while (threads > WARP && extent < threads * options->target->processors)
        threads /= 2;
    int64_t blocks = (extent + threads - 1) / threads;
    spread(k, &k->body, place_of(&k->body), &n, blocks < most ? blocks : most, threads);
}

/* ---- rows ---- */

static void rows(struct loop_kernel *k, const struct pass_options *options, struct loop_statement *row)
{
    struct nest n = pass_nest(k);
    int64_t     extent, most = (int64_t)options->target->processors * RESIDENT * (THREADS / 64);

    pass_walk_rows(k, n.inner, row, true);
    if (n.count && extent_of(k, &n, &extent) && extent > 1)
        spread(k, &k->body, place_of(&k->body), &n, extent < most ? extent : most, 0);
}

void pass_schedule_cuda(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest            n = pass_nest(k);
    struct loop_statement *row = NULL;

    for (int i = 0; i < n.inner->count; i++) {
        struct loop_statement *s = n.inner->at[i];
        if (s->kind == LOOP_FOR && k->axis[s->axis].role == LOOP_UNROLL && !k->axis[s->axis].ordered)
            row = s;
    }
    if (row)
        rows(k, options, row);
    else
        map(k, options);
    loop_depends(k);
    pass_weigh(k);
    k->shared = true; /* launches that depend on each other wait */
}
