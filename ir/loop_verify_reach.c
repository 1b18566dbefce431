/*
 * Which elements an index may reach.
 *
 * It is bounded by the ranges of its axes; where that is not enough, by facts: the bounds of the
 * loops and the conditions around it, each an expression that is never negative and may be added to
 * an upper bound as often as helps.
 */
#include "loop_check.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FACTS = 4 * LOOP_AXES + 64, ROUNDS = 6 };
struct facts { /* expressions that are never negative here */
    loop_ix at[FACTS];
    int count;
};

static void add_fact(struct loop_check *c, struct facts *f, loop_ix a, loop_ix minus,
                     int64_t constant)
{
    struct loop_kernel *k = c->shadow;

    if (f->count == FACTS || k->sum[a].count + k->sum[minus].count > LOOP_TERMS)
        return;
    f->at[f->count++] =
        loop_plus(k, loop_plus(k, a, loop_scale(k, minus, -1)), loop_const(k, constant));
}

static void gather_facts(struct loop_check *c, struct facts *f)
{
    struct loop_kernel *k = c->shadow;

    for (int i = 0; i <= c->depth; i++) {
        const struct loop_statement *s = i < c->depth ? c->around[i] : c->at;
        for (int g = 0; g < s->guards; g++) {
            add_fact(c, f, s->guard[g].ix, 0, 0);
            add_fact(c, f, s->guard[g].limit, s->guard[g].ix, -1);
            /* what is below a bound lies in no vector behind the bound's */
            loop_ix last = loop_plus(k, s->guard[g].limit, loop_const(k, -1));
            add_fact(c, f, loop_div(k, last, LOOP_LANES), loop_div(k, s->guard[g].ix, LOOP_LANES),
                     0);
        }
        if (i == c->depth)
            continue;
        const struct loop_axis *a = &c->k->axis[s->axis];
        loop_ix index = loop_axis_ix(k, s->axis);
        /* what is written out is so in full, however little is needed; but for rows as they are
         * lowered */
        if ((a->role == LOOP_UNROLL || a->role == LOOP_VECTOR) && loop_is_const(k, a->to, NULL))
            continue;
        add_fact(c, f, index, a->from, 0);
        add_fact(c, f, a->to, index, -1);
        if (a->step >= a->hi - a->lo) /* one turn */
            add_fact(c, f, a->from, index, 0);
    }
}

/* Least upper bound that the facts give, by adding them in: a fact is worth adding where it cancels
 * a term. */
static int64_t upper(struct loop_check *c, const struct facts *f, loop_ix ix)
{
    struct loop_kernel *k = c->shadow;
    int64_t lo, best, led = loop_simple_most(k, ix); /* which falls as terms cancel */

    loop_range(k, ix, &lo, &best);
    for (int round = 0; round < ROUNDS; round++) {
        loop_ix next = ix;
        for (int i = 0; i < f->count; i++)
            for (int t = 0; t < k->sum[ix].count; t++)
                for (int u = 0; u < k->sum[f->at[i]].count; u++) {
                    const struct loop_term *x = &k->sum[ix].term[t], *y = &k->sum[f->at[i]].term[u];
                    int64_t hi;
                    if (x->atom != y->atom || x->scale % y->scale || x->scale / y->scale >= 0 ||
                        k->sum[ix].count + k->sum[f->at[i]].count > LOOP_TERMS)
                        continue;
                    loop_ix with =
                        loop_plus(k, ix, loop_scale(k, f->at[i], -(x->scale / y->scale)));
                    loop_range(k, with, &lo, &hi);
                    best = hi < best ? hi : best;
                    hi = loop_simple_most(k, with);
                    if (hi < led) {
                        led = hi;
                        next = with;
                    }
                }
        if (next == ix)
            break;
        ix = next;
    }
    return best;
}

static void bound_below(struct loop_check *c, struct facts *f, struct loop_atom quotient,
                        loop_ix ix, loop_ix end)
{
    struct loop_kernel *k = c->shadow;

    add_fact(c, f, loop_div(k, loop_plus(k, end, loop_const(k, -1)), quotient.divisor), ix, 0);
}

/* i < n, by a loop or a condition: i / d <= (n - 1) / d */
static void bound_by_ends(struct loop_check *c, struct facts *f, struct loop_atom quotient,
                          loop_ix ix)
{
    for (int i = 0; i <= c->depth; i++) {
        const struct loop_statement *s = i < c->depth ? c->around[i] : c->at;
        const struct loop_axis *a = i < c->depth ? &c->k->axis[s->axis] : NULL;
        for (int g = 0; g < s->guards; g++)
            if (quotient.a == s->guard[g].ix)
                bound_below(c, f, quotient, ix, s->guard[g].limit);
        if (a && quotient.a == loop_axis_ix(c->shadow, s->axis) && a->role != LOOP_UNROLL &&
            a->role != LOOP_VECTOR)
            bound_below(c, f, quotient, ix, a->to);
    }
}

/* what is known of x is known of x / d, and x - d * (x / d) is 0 .. d - 1 */
static void bound_quotients(struct loop_check *c, struct facts *f, loop_ix ix)
{
    struct loop_kernel *k = c->shadow;

    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom a = k->atom[k->sum[ix].term[i].atom];
        if (a.kind != LOOP_ATOM_DIV)
            continue;
        bound_quotients(c, f, a.a);
        loop_ix quotient = loop_atom_ix(k, a);
        int64_t least = -upper(c, f, loop_scale(k, a.a, -1)), most = upper(c, f, a.a);
        loop_ix bounds[2] = { loop_div(k, loop_const(k, least), a.divisor),
                              loop_div(k, loop_const(k, most), a.divisor) };
        add_fact(c, f, quotient, bounds[0], 0);
        add_fact(c, f, bounds[1], quotient, 0);
        bound_by_ends(c, f, a, quotient);
        loop_ix whole = loop_scale(k, quotient, a.divisor);
        add_fact(c, f, a.a, whole, 0);
        add_fact(c, f, whole, a.a, a.divisor - 1);
    }
}

/* the same by up to `depth` facts that help only together; stops where the bound is low enough */
static int64_t search(struct loop_check *c, const struct facts *f, loop_ix ix, int depth,
                      int64_t enough)
{
    struct loop_kernel *k = c->shadow;
    int64_t lo, best, hi;

    loop_range(k, ix, &lo, &best);
    for (int i = 0; i < f->count && depth > 0; i++)
        for (int t = 0; t < k->sum[ix].count; t++)
            for (int u = 0; u < k->sum[f->at[i]].count; u++) {
                const struct loop_term x = k->sum[ix].term[t], y = k->sum[f->at[i]].term[u];
                if (best <= enough)
                    return best;
                if (x.atom != y.atom || x.scale % y.scale || x.scale / y.scale >= 0 ||
                    k->sum[ix].count + k->sum[f->at[i]].count > LOOP_TERMS)
                    continue;
                hi = search(c, f, loop_plus(k, ix, loop_scale(k, f->at[i], -(x.scale / y.scale))),
                            depth - 1, enough);
                best = hi < best ? hi : best;
            }
    return best;
}

/* an upper bound; where that is not `enough`, with more effort: of ix times its divisors too */
static int64_t bounded(struct loop_check *c, const struct facts *f, loop_ix ix, int64_t enough)
{
    struct loop_kernel *k = c->shadow;
    int64_t best = upper(c, f, ix);

    if (best > enough)
        best = search(c, f, ix, 3, enough);
    for (int i = 0; i < k->sum[ix].count && best > enough; i++) {
        const struct loop_atom a = k->atom[k->sum[ix].term[i].atom];
        int64_t hi;
        if (a.kind != LOOP_ATOM_DIV || a.divisor > 1000)
            continue;
        hi = search(c, f, loop_scale(k, ix, a.divisor), 3, enough * a.divisor);
        loop_is_const(k, loop_div(k, loop_const(k, hi), a.divisor), &hi);
        best = hi < best ? hi : best;
    }
    return best;
}

/* elements ix .. ix + more of the buffer are there */
bool loop_reaches_only(struct loop_check *c, int buffer, loop_ix ix, int64_t more, bool store)
{
    const struct loop_buffer *b = &c->k->buffer[buffer];
    int64_t lo, hi, end = b->elements;
    struct facts f = { .count = 0 };

    if (c->never)
        return true;
    if (!store && (!c->on_gpu || !b->elements)) /* a load may run on, a store may not */
        end += LOOP_OVERRUN / ir_dtypes[b->dtype].bytes;
    loop_range(c->shadow, ix, &lo, &hi);
    if (lo >= 0 && hi + more < end)
        return true;
    gather_facts(c, &f);
    for (int i = 0, count = f.count; i < count; i++)
        bound_quotients(c, &f, f.at[i]);
    bound_quotients(c, &f, ix);
    for (int i = 0; i < f.count; i++)
        if (upper(c, &f, f.at[i]) < 0)
            return true; /* a condition that is never true */
    hi = bounded(c, &f, ix, end - more - 1);
    if (lo < 0)
        lo = -bounded(c, &f, loop_scale(c->shadow, ix, -1), 0);
    if (lo >= 0 && hi + more < end)
        return true;
    if (!loop_reaches_at_points(c, ix, &lo, &hi) || (lo >= 0 && hi < end - more))
        return true;
    struct ir_text text = { 0 };
    loop_put_ix(&text, c->k, ix);
    if (lo < 0)
        loop_wrong(c, "[%.100s] goes down to %" PRId64 " of %.40s; expected 0 or more", text.data,
                   lo, b->name ? b->name : "it");
    else
        loop_wrong(c, "[%.100s] goes up to %" PRId64 "; expected less than %" PRId64 "%s",
                   text.data, hi + more, end, store ? "" : ", over-run included");
    ir_text_free(&text);
    return false;
}

/* how far apart the values of an index may be */
static int64_t width(struct loop_check *c, const struct facts *f, loop_ix ix)
{
    return upper(c, f, ix) + upper(c, f, loop_scale(c->shadow, ix, -1));
}

/* A thread's part of a loop is one number, and may be always a multiple of another. */
static int64_t multiple(const struct loop_kernel *k, const struct loop_axis *a)
{
    const struct loop_sum *s = &k->sum[a->from];
    int64_t all = llabs(s->constant);

    if (a->step < a->hi - a->lo || s->count == 0)
        return 1;
    for (int i = 0; i < s->count; i++)
        for (int64_t x = llabs(s->term[i].scale), rest; x; x = rest) {
            rest = all % x;
            all = x;
        }
    return all;
}

/*
 * No two iterations store in one element: each term of the index moves it further than all smaller
 * ones together can. Where an index is divided or read from memory, nothing is said.
 */
bool loop_stores_apart(struct loop_check *c, const struct loop_statement *s)
{
    struct loop_kernel *k = c->shadow;
    struct loop_term term[LOOP_TERMS];
    int64_t step[LOOP_TERMS]; /* at least so far it moves */
    int count = 0;
    struct facts f = { .count = 0 };
    loop_ix smaller = 0;

    for (int i = 0; i < k->sum[s->ix].count; i++) {
        const struct loop_term *t = &k->sum[s->ix].term[i];
        const struct loop_atom *a = &k->atom[t->atom];
        int at = count;
        if (a->kind == LOOP_ATOM_DIM ||
            (a->kind == LOOP_ATOM_AXIS && k->axis[a->a].hi - k->axis[a->a].lo <= 1))
            continue; /* it does not move */
        if (a->kind != LOOP_ATOM_AXIS || k->axis[a->a].ordered)
            return true;
        const int64_t moves = llabs(t->scale) * multiple(k, &k->axis[a->a]);
        while (at > 0 && step[at - 1] > moves) {
            term[at] = term[at - 1];
            step[at] = step[at - 1];
            at--;
        }
        term[at] = *t;
        step[at] = moves;
        count++;
    }
    gather_facts(c, &f);
    for (int i = 0; i < count && !c->never; i++) {
        const char *name = k->axis[k->atom[term[i].atom].a].name;
        int64_t reach = width(c, &f, smaller);
        if (step[i] <= reach)
            return loop_wrong(c,
                              "a step along %.40s is %" PRId64
                              " elements, and the loops inside reach %" PRId64
                              " further: they overwrite each other",
                              name ? name : "", term[i].scale < 0 ? -step[i] : step[i], reach);
        smaller = loop_plus(k, smaller,
                            loop_scale(k, loop_atom_ix(k, k->atom[term[i].atom]), term[i].scale));
    }
    return true;
}
