/*
 * steps: the moves of a schedule on a loop nest: split, swap, peel, flatten.
 */
#include "steps.h"

#include <string.h>

/* a loop over results: not along a reduction, and the only loop of its block */
static struct loop_statement *only_loop(struct loop_kernel *k, struct loop_block *block)
{
    struct loop_statement *found = NULL;

    for (int i = 0; i < block->count; i++) {
        if (block->at[i]->kind != LOOP_FOR) {
            if (found && block->at[i]->kind != LOOP_LET)
                return NULL; /* something happens after the loop */
            continue;
        }
        if (found)
            return NULL;
        found = block->at[i];
    }
    if (!found || k->axis[found->axis].ordered || found->guards)
        return NULL;
    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LOOP_VAR || block->at[i]->kind == LOOP_STORE ||
            block->at[i]->kind == LOOP_FOLD)
            return NULL;
    return found;
}

struct nest pass_nest(struct loop_kernel *k)
{
    struct nest n = { .inner = &k->body };
    struct loop_statement *loop;

    while ((loop = only_loop(k, n.inner)) && k->axis[loop->axis].role != LOOP_UNROLL &&
           n.count < (int)(sizeof n.loop / sizeof *n.loop)) {
        n.loop[n.count++] = loop;
        n.inner = &loop->body;
    }
    return n;
}

static void insert(struct loop_kernel *k, struct loop_block *b, int at, struct loop_statement *s)
{
    loop_add(k, b, *s);
    memmove(&b->at[at + 1], &b->at[at], (size_t)(b->count - 1 - at) * sizeof *b->at);
    b->at[at] = s;
}

void pass_sink(struct loop_kernel *k)
{
    struct nest n = pass_nest(k);

    for (int i = n.count - 2; i >= 0; i--) {
        struct loop_block *b = &n.loop[i]->body;
        for (int j = b->count - 1; j >= 0; j--)
            if (b->at[j]->kind != LOOP_FOR)
                insert(k, n.inner, 0, b->at[j]);
        b->at[0] = n.loop[i + 1];
        b->count = 1;
    }
}

int64_t pass_lane_step(struct loop_kernel *k, loop_ix ix, int axis, bool *linear)
{
    /* two axes that are never part of the kernel: the block of 16 and the lane in it */
    int block = k->axes, lane = k->axes + 1;
    int64_t step;

    if (k->axes + 2 > LOOP_AXES)
        ir_bug("kernel %s has no axes left", k->name);
    k->axis[block] = (struct loop_axis){ .hi = k->axis[axis].hi / LOOP_LANES + 2, .step = 1 };
    k->axis[lane] = (struct loop_axis){ .hi = LOOP_LANES, .step = 1 };
    k->axes += 2;
    loop_ix by =
        loop_plus(k, loop_scale(k, loop_axis_ix(k, block), LOOP_LANES), loop_axis_ix(k, lane));
    step = loop_coefficient(k, loop_replace(k, ix, axis, by), lane, linear);
    k->axes -= 2;
    return step;
}

void pass_each(struct loop_block *b, void (*call)(struct loop_statement *, void *), void *with)
{
    for (int i = 0; i < b->count; i++) {
        call(b->at[i], with);
        pass_each(&b->at[i]->body, call, with);
    }
}

/* ---- split ---- */

struct overrun { /* an axis will run past its extent */
    struct loop_kernel *k;
    int axis;
    loop_ix whole, limit;
    bool beyond;  /* past the greatest extent too, where no memory is set aside */
    bool padding; /* and no further than rows are padded, to whole vectors */
};

/* blocks of 16 that lie far from each other: what runs on past the last leaves the buffer */
static bool far_apart(struct loop_kernel *k, loop_ix ix, int axis)
{
    bool linear;

    loop_coefficient(k, ix, axis, &linear);
    return !linear;
}

static void guard_overrun(struct loop_statement *s, void *with)
{
    struct overrun *o = with;
    struct loop_kernel *k = o->k;
    bool linear, exact = false;

    if (s->kind == LOOP_FOLD) {
        exact = true;
    } else if (s->kind == LOOP_STORE && o->beyond) {
        /* padding lies behind the last axis only, where neighbours are neighbours in memory */
        int64_t step = pass_lane_step(k, s->ix, o->axis, &linear);
        exact = !(k->buffer[s->buffer].padded && o->padding && linear && step == 1) &&
                (loop_axes_of(k, s->ix) >> o->axis & 1);
    } else if (s->kind == LOOP_LOAD && o->beyond) {
        int64_t step = pass_lane_step(k, s->ix, o->axis, &linear);
        exact = !linear || (step != 0 && step != 1);
        exact = exact && (loop_axes_of(k, s->ix) >> o->axis & 1);
        if (!exact && step == 1 && !o->padding && !k->buffer[s->buffer].scratch &&
            far_apart(k, s->ix, o->axis)) { /* slivers in scratch have all their lanes */
            loop_ix past = loop_plus(k, o->limit, loop_const(k, LOOP_LANES - 1));
            loop_add_guard(k, s,
                           (struct loop_guard){ loop_div(k, o->whole, LOOP_LANES),
                                                loop_div(k, past, LOOP_LANES) });
        }
    } else if (s->kind == LOOP_LOAD) {
        /* what counts down from a symbol falls below the first element where the symbol is small */
        exact = pass_lane_step(k, s->ix, o->axis, &linear) < 0;
    } else if (s->kind == LOOP_SET) {
        /* a variable that lives outside the axis takes in only what is there */
        exact = !(k->value[s->args[0]].depends >> o->axis & 1);
    }
    if (!exact)
        return;
    loop_add_guard(k, s, (struct loop_guard){ o->whole, o->limit });
}

int pass_split(struct loop_kernel *k, struct loop_statement *loop, int64_t by)
{
    struct loop_axis *a = &k->axis[loop->axis];
    int64_t start = 0, hi, exact;
    loop_ix limit = a->to, to;

    loop_is_const(k, a->from, &start);
    hi = a->hi - start;
    to = loop_plus(k, limit, loop_const(k, -start));
    bool whole = loop_is_const(k, to, &exact) && exact == hi && exact % by == 0;
    int inner = loop_axis_new(k, ir_format(k->arena, "%s_", a->name), loop_const(k, by), by);

    loop_depends(k);
    int outer = loop_axis_new(k, a->name, loop_div(k, loop_plus(k, to, loop_const(k, by - 1)), by),
                              (hi + by - 1) / by);
    k->axis[inner].ordered = a->ordered;
    k->axis[outer].ordered = a->ordered;
    loop_ix index = loop_plus(k, loop_scale(k, loop_axis_ix(k, outer), by), loop_axis_ix(k, inner));
    index = loop_plus(k, index, loop_const(k, start));
    if (!whole) {
        struct overrun o = {
            k, loop->axis, loop_axis_ix(k, loop->axis), limit, hi % by != 0, false
        };
        o.padding =
            start + (hi + by - 1) / by * by <= (a->hi + LOOP_LANES - 1) / LOOP_LANES * LOOP_LANES;
        pass_each(&loop->body, guard_overrun, &o);
    }
    loop_replace_axis(k, &loop->body, loop->axis, index);
    struct loop_statement in = *loop;
    in.axis = inner;
    in.guards = 0;
    loop->body = (struct loop_block){ 0 };
    loop->axis = outer;
    loop_add(k, &loop->body, in);
    loop_depends(k);
    return inner;
}

/* ---- order ---- */

static void swap_with_next(struct loop_statement *outer)
{
    struct loop_statement *inner = outer->body.at[0];
    int axis = outer->axis;

    outer->axis = inner->axis;
    inner->axis = axis;
}

/* loops are swapped by swapping what they run over, so the statement that carries an axis changes:
 * find it by its axis */
static int find(const struct nest *n, int axis)
{
    for (int i = 0; i < n->count; i++)
        if (n->loop[i]->axis == axis)
            return i;
    ir_bug("a loop is not in its nest");
}

void pass_inward(struct loop_kernel *k, struct loop_statement *loop)
{
    struct nest n = pass_nest(k);

    for (int i = find(&n, loop->axis); i + 1 < n.count; i++)
        swap_with_next(n.loop[i]);
}

void pass_outward(struct loop_kernel *k, struct loop_statement *loop)
{
    struct nest n = pass_nest(k);

    for (int i = find(&n, loop->axis); i > 0; i--)
        swap_with_next(n.loop[i - 1]);
}

/* ---- peel ---- */

void pass_peel(struct loop_kernel *k, struct loop_block *b, int at, int64_t until)
{
    struct loop_statement *first = b->at[at], *rest = loop_copy(k, first);
    struct loop_axis whole = k->axis[first->axis];
    int head = loop_axis_new(k, whole.name, loop_const(k, until), until);
    int tail = loop_axis_new(k, whole.name, whole.to, whole.hi);

    k->axis[head].role = k->axis[tail].role = whole.role;
    k->axis[head].ordered = k->axis[tail].ordered = whole.ordered;
    k->axis[head].from = whole.from;
    k->axis[head].lo = whole.lo;
    if (whole.to != loop_const(k, whole.hi)) /* symbolic: it may end before */
        k->axis[head].to = whole.to;
    k->axis[tail].from = loop_const(k, until);
    k->axis[tail].lo = until;
    loop_replace_axis(k, &first->body, first->axis, loop_axis_ix(k, head));
    loop_replace_axis(k, &rest->body, rest->axis, loop_axis_ix(k, tail));
    first->axis = head;
    rest->axis = tail;
    insert(k, b, at + 1, rest);
}

/* ---- flatten ---- */

static int divisions(const struct loop_kernel *k, loop_ix ix)
{
    int count = 0;

    for (int i = 0; i < k->sum[ix].count; i++)
        count += k->atom[k->sum[ix].term[i].atom].kind == LOOP_ATOM_DIV;
    return count;
}

struct flat {
    struct loop_kernel *k;
    int outer, inner;
    loop_ix high, low;
    bool good;
};

static loop_ix both(struct flat *f, loop_ix ix)
{
    /* the outer one is named by the inner's new expression too, so put both in at once through a
     * stand-in */
    return loop_replace(f->k, loop_replace(f->k, ix, f->outer, f->high), f->inner, f->low);
}

static int more_divisions(struct flat *f, loop_ix ix)
{
    return divisions(f->k, both(f, ix)) - divisions(f->k, ix);
}

static void try_flat(struct loop_statement *s, void *with)
{
    struct flat *f = with;
    int more = more_divisions(f, s->ix) + more_divisions(f, s->ix2);

    for (int i = 0; i < s->guards; i++)
        more += more_divisions(f, s->guard[i].ix) + more_divisions(f, s->guard[i].limit);
    if (more > 0)
        f->good = false;
    if (s->kind == LOOP_FOR && ((loop_axes_of(f->k, f->k->axis[s->axis].to) |
                                 loop_axes_of(f->k, f->k->axis[s->axis].from)) &
                                (UINT64_C(1) << f->outer | UINT64_C(1) << f->inner)))
        f->good = false;
}

/* rows one behind the other without a gap, or with a gap that everybody has and nobody minds, are
 * one long row */
static bool flatten_with(struct loop_kernel *k, struct loop_statement *outer, int64_t pitch)
{
    struct loop_statement *inner = outer->body.at[0];
    struct loop_axis *a = &k->axis[outer->axis];
    int axis = loop_axis_new(k, a->name, loop_scale(k, a->to, pitch), a->hi * pitch);
    loop_ix i = loop_axis_ix(k, axis);
    struct flat f = { k,   outer->axis, inner->axis, loop_div(k, i, pitch), loop_mod(k, i, pitch),
                      true };

    pass_each(&inner->body, try_flat, &f);
    if (!f.good) {
        k->axes--;
        return false;
    }
    loop_replace_axis(k, &inner->body, outer->axis, f.high);
    loop_replace_axis(k, &inner->body, inner->axis, f.low);
    outer->axis = axis;
    outer->body = inner->body;
    loop_depends(k);
    return true;
}

struct pitch {
    struct loop_kernel *k;
    int outer, inner;
    int64_t pitch;
    bool padded;
};

static void find_pitch(struct loop_statement *s, void *with)
{
    struct pitch *p = with;
    bool linear;

    /* what is read from the last element down has nothing behind the first */
    if (s->kind == LOOP_LOAD && loop_coefficient(p->k, s->ix, p->inner, &linear) < 0)
        p->padded = false;
    if (s->kind != LOOP_STORE)
        return;
    p->pitch = loop_coefficient(p->k, s->ix, p->outer, &linear);
    p->padded &= p->k->buffer[s->buffer].padded && linear;
}

bool pass_flatten(struct loop_kernel *k, int outer, bool overrun)
{
    struct nest n = pass_nest(k);
    struct loop_statement *o = n.loop[outer];
    int64_t extent;
    struct pitch p = { .k = k, .outer = o->axis, .padded = true };

    if (outer + 1 >= n.count || o->body.count != 1 ||
        !loop_is_const(k, k->axis[n.loop[outer + 1]->axis].to, &extent) || extent < 1)
        return false;
    p.inner = n.loop[outer + 1]->axis;
    pass_each(&o->body, find_pitch, &p);
    if (overrun && p.padded && p.pitch > extent && p.pitch <= 2 * extent &&
        flatten_with(k, o, p.pitch))
        return true;
    return flatten_with(k, o, extent);
}

static int guard_at(const struct loop_statement *s, const struct loop_guard *g)
{
    for (int i = 0; i < s->guards; i++)
        if (s->guard[i].ix == g->ix && s->guard[i].limit == g->limit)
            return i;
    return -1;
}

/* without its guard at `gone` */
static void drop_guard(struct loop_kernel *k, struct loop_statement *s, int gone)
{
    const struct loop_statement all = *s;

    s->guards = 0;
    s->guard = NULL;
    for (int i = 0; i < all.guards; i++)
        if (i != gone)
            loop_add_guard(k, s, all.guard[i]);
}

void pass_raise_guards(struct loop_kernel *k, struct loop_block *block)
{
    for (int i = 0; i < block->count; i++) {
        struct loop_statement *loop = block->at[i], *act[64]; /* what does more than compute */
        int acts = 0;
        bool fits = true;
        if (loop->kind != LOOP_FOR)
            continue;
        pass_raise_guards(k, &loop->body);
        for (int j = 0; j < loop->body.count; j++) {
            struct loop_statement *s = loop->body.at[j];
            const bool acting = s->kind == LOOP_FOR || s->kind == LOOP_SET || s->kind == LOOP_STORE;
            fits &= (acting && acts < 64) || s->kind == LOOP_LET || s->kind == LOOP_LOAD ||
                    s->kind == LOOP_VAR;
            if (acting && acts < 64)
                act[acts++] = s;
        }
        for (int g = fits && acts > 0 ? act[0]->guards : 0; g-- > 0;) {
            const struct loop_guard guard = act[0]->guard[g];
            bool all =
                !((loop_axes_of(k, guard.ix) | loop_axes_of(k, guard.limit)) >> loop->axis & 1) &&
                !loop_reads_values(k, guard.ix) && !loop_reads_values(k, guard.limit);
            for (int j = 1; j < acts; j++)
                all &= guard_at(act[j], &guard) >= 0;
            if (!all)
                continue;
            for (int j = 0; j < acts; j++)
                drop_guard(k, act[j], guard_at(act[j], &guard));
            if (guard_at(loop, &guard) < 0)
                loop_add_guard(k, loop, guard);
        }
    }
}

/* which value an index reads does not matter here */
static bool needs(const struct loop_kernel *k, const struct loop_statement *s, uint32_t value)
{
    bool found = loop_reads_values(k, s->ix);

    if (s->kind == LOOP_FOR)
        found |= loop_reads_values(k, k->axis[s->axis].from) ||
                 loop_reads_values(k, k->axis[s->axis].to);
    for (int i = 0; i < s->guards; i++)
        found |= loop_reads_values(k, s->guard[i].ix) || loop_reads_values(k, s->guard[i].limit);
    for (int i = 0; i < 3; i++)
        found |= s->args[i] == value;
    for (int i = 0; i < s->body.count && !found; i++)
        found = needs(k, s->body.at[i], value);
    return found;
}

int pass_defer(struct loop_kernel *k, struct loop_block *b, int at)
{
    struct loop_statement **early = ir_alloc(k->arena, ((size_t)at + 1) * sizeof *early),
                          **late = ir_alloc(k->arena, ((size_t)at + 1) * sizeof *late);
    int first = at, lates = 0;

    for (int i = at; i >= 0; i--) { /* both from their ends */
        struct loop_statement *s = b->at[i];
        bool needed = i == at || (s->kind != LOOP_LET && s->kind != LOOP_LOAD);
        for (int j = first + 1; j <= at && !needed; j++)
            needed = needs(k, early[j], s->value);
        if (needed)
            early[first--] = s;
        else
            late[at - lates++] = s;
    }
    const int earlies = at - first;
    memcpy(b->at, early + first + 1, (size_t)earlies * sizeof *b->at);
    memcpy(b->at + earlies, late + at + 1 - lates, (size_t)lates * sizeof *b->at);
    return earlies - 1;
}
