/*
 * What is known of an index expression: its least and its greatest value, how it moves along an
 * axis, whether a condition on it holds.
 */
#include "loop_build.h"

#include <string.h>

int64_t loop_clamped(loop_wide x)
{
    return x > LOOP_FAR ? LOOP_FAR : x < -LOOP_FAR ? -LOOP_FAR : (int64_t)x;
}

static int64_t times(int64_t a, int64_t b)
{
    return loop_clamped((loop_wide)a * b);
}

static int64_t add(int64_t a, int64_t b)
{
    return loop_clamped((loop_wide)a + b);
}

int64_t loop_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0));
}

/* ---- sums ---- */

void loop_load_sum(struct loop_build *b, const struct loop_sum *s)
{
    *b = (struct loop_build){ .constant = s->constant, .count = s->count };
    if (s->count)
        memcpy(b->term, s->term, (size_t)s->count * sizeof *s->term);
}

void loop_add_term(struct loop_build *b, int64_t scale, uint32_t atom)
{
    int i = 0;

    while (i < b->count && b->term[i].atom < atom)
        i++;
    if (i < b->count && b->term[i].atom == atom) {
        b->term[i].scale = add(b->term[i].scale, scale);
        if (b->term[i].scale == 0)
            memmove(&b->term[i], &b->term[i + 1], (size_t)(--b->count - i) * sizeof *b->term);
        return;
    }
    if (scale == 0)
        return;
    if (b->count == LOOP_TERMS) {
        b->cut = true;
        return;
    }
    memmove(&b->term[i + 1], &b->term[i], (size_t)(b->count++ - i) * sizeof *b->term);
    b->term[i] = (struct loop_term){ scale, atom };
}

void loop_add_sum(struct loop_build *b, const struct loop_sum *s, int64_t scale)
{
    b->constant = add(b->constant, times(s->constant, scale));
    for (int i = 0; i < s->count; i++)
        loop_add_term(b, times(s->term[i].scale, scale), s->term[i].atom);
}

/* ---- ranges ---- */

struct range {
    int64_t lo, hi;
};

static struct range range_by_terms(const struct loop_kernel *k, struct loop_build left);

/* by terms alone: what is within quotients is not worth more, and it may be deep */
static struct range simple_range(const struct loop_kernel *k, loop_ix ix)
{
    struct loop_build sum;

    loop_load_sum(&sum, &k->sum[ix]);
    return range_by_terms(k, sum);
}

static void range_of_atom(const struct loop_kernel *k, uint32_t atom, int64_t *lo, int64_t *hi)
{
    const struct loop_atom *a = &k->atom[atom];
    struct range of;

    *lo = *hi = 0;
    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        *lo = k->axis[a->a].lo;
        *hi = k->axis[a->a].hi - 1;
        break;
    case LOOP_ATOM_DIM:
        *lo = ir_dim_min(k->graph, a->dim);
        *hi = ir_dim_max(k->graph, a->dim);
        break;
    case LOOP_ATOM_VALUE:
        *lo = k->value[a->a].bounded ? k->value[a->a].lo : INT32_MIN;
        *hi = k->value[a->a].bounded ? k->value[a->a].hi : INT32_MAX;
        break;
    case LOOP_ATOM_DIV:
        of = simple_range(k, a->a);
        *lo = loop_floor_div(of.lo, a->divisor);
        *hi = loop_floor_div(of.hi, a->divisor);
        break;
    }
}

/*
 * By what an atom divides x: d where it is x / d, and s d where it is y / d and x is s y and a rest
 * below s, so that it is x / (s d); 0 where it is neither.
 */
static int64_t divides(const struct loop_kernel *k, uint32_t atom, loop_ix x)
{
    const struct loop_atom *a = &k->atom[atom];
    const struct loop_sum *of, *whole = &k->sum[x];
    struct loop_build rest;
    int64_t scale, least, most;

    if (a->kind != LOOP_ATOM_DIV)
        return 0;
    if (a->a == x)
        return a->divisor;
    of = &k->sum[a->a];
    if (!of->count || !whole->count)
        return 0;
    for (int t = 0; t < whole->count; t++) {
        if (whole->term[t].atom != of->term[0].atom)
            continue;
        scale = whole->term[t].scale / of->term[0].scale;
        if (scale < 2)
            return 0;
        loop_load_sum(&rest, whole);
        loop_add_sum(&rest, of, -scale);
        least = most = rest.constant;
        for (int r = 0; r < rest.count; r++) {
            int64_t lo, hi, by = rest.term[r].scale;
            range_of_atom(k, rest.term[r].atom, &lo, &hi);
            least = add(least, times(by, by > 0 ? lo : hi));
            most = add(most, times(by, by > 0 ? hi : lo));
        }
        return least >= 0 && most < scale ? times(scale, a->divisor) : 0;
    }
    return 0;
}

/* How often all of x is in a sum; 0 where its terms are there in other proportions. */
static int64_t share_of(const struct loop_build *sum, const struct loop_sum *x)
{
    int64_t share = 0;

    for (int j = 0; j < x->count; j++) {
        int64_t scale = 0;

        for (int t = 0; t < sum->count; t++)
            if (sum->term[t].atom == x->term[j].atom)
                scale = sum->term[t].scale;
        if (j == 0 && scale % x->term[0].scale == 0)
            share = scale / x->term[0].scale;
        if (scale != times(share, x->term[j].scale))
            return 0;
    }
    return share;
}

struct part {
    int64_t divisor, scale; /* of one x */
};

/* The sum's quotients of x, and x itself, by their divisors; they leave the sum. */
static int take_parts(const struct loop_kernel *k, struct loop_build *sum, loop_ix x,
                      struct part part[LOOP_TERMS + 1])
{
    const int64_t share = share_of(sum, &k->sum[x]);
    int parts = 0;

    if (share) {
        part[parts++] = (struct part){ 1, share };
        loop_add_sum(sum, &k->sum[x], -share);
    }
    for (int t = 0; t < sum->count;) {
        struct part p = { divides(k, sum->term[t].atom, x), sum->term[t].scale };
        int at = parts;

        if (!p.divisor) {
            t++;
            continue;
        }
        for (; at > 0 && part[at - 1].divisor > p.divisor; at--)
            part[at] = part[at - 1];
        part[at] = p;
        parts++;
        loop_add_term(sum, -p.scale, sum->term[t].atom);
    }
    return parts;
}

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct range add_ranges(struct range a, struct range b)
{
    return (struct range){ add(a.lo, b.lo), add(a.hi, b.hi) };
}

/* Of s times a to b, with `of` added. */
static struct range around(int64_t s, int64_t a, int64_t b, struct range of)
{
    return (struct range){ add(of.lo, least_of(times(s, a), times(s, b))),
                           add(of.hi, -least_of(-times(s, a), -times(s, b))) };
}

static struct range both(struct range a, struct range b)
{
    return (struct range){ least_of(a.lo, b.lo), a.hi > b.hi ? a.hi : b.hi };
}

/*
 * Quotients of one x by numbers that divide each other, and x itself, become x's digits, which move
 * independently below the greatest x: where x is e + 4 f + 12 g, x / 4 is f + 3 g and x / 12 is g.
 */
static struct range range_of_parts(const struct part *part, int parts, int64_t x_lo, int64_t x_hi)
{
    struct range sum = { 0, 0 }, any = sum, last = sum; /* of all lower digits; of the greatest x */
    int64_t scale = 0;

    for (int p = 0; p < parts; p++) {
        const int64_t d = part[p].divisor, a = loop_floor_div(x_lo, d);
        int64_t b = loop_floor_div(x_hi, d), digits;

        scale = add(scale, part[p].scale);
        if (p + 1 == parts || part[p + 1].divisor % d) { /* the highest */
            last = around(scale, b, b, last);
            sum = add_ranges(sum, a < b ? both(last, around(scale, a, b - 1, any)) : last);
            any = last = (struct range){ 0, 0 };
            scale = 0;
            continue;
        }
        digits = part[p + 1].divisor / d;
        b -= digits * loop_floor_div(b, digits);
        last = around(scale, b, b, last);
        if (b > 0)
            last = both(last, around(scale, 0, b - 1, any));
        any = around(scale, 0, digits - 1, any);
        scale = times(scale, digits);
    }
    return sum;
}

static struct range range_by_digits(const struct loop_kernel *k, struct loop_build sum)
{
    struct part part[LOOP_TERMS + 1];
    struct range range = { 0, 0 };
    int64_t lo, hi;

    for (int i = 0; i < sum.count;) {
        const loop_ix x = k->atom[sum.term[i].atom].a;
        bool whole = k->atom[sum.term[i].atom].kind == LOOP_ATOM_DIV;

        for (int t = 0; whole && t < sum.count; t++) /* not itself a quotient of another's */
            whole = k->atom[sum.term[t].atom].kind != LOOP_ATOM_DIV ||
                    k->atom[sum.term[t].atom].a == x ||
                    !divides(k, sum.term[i].atom, k->atom[sum.term[t].atom].a);
        if (!whole) {
            i++;
            continue;
        }
        const struct range of = simple_range(k, x);
        const int parts = take_parts(k, &sum, x, part);
        range = add_ranges(range, range_of_parts(part, parts, of.lo, of.hi));
        i = 0;
    }
    for (int i = 0; i < sum.count; i++) {
        range_of_atom(k, sum.term[i].atom, &lo, &hi);
        range = around(sum.term[i].scale, lo, hi, range);
    }
    return add_ranges(range, (struct range){ sum.constant, sum.constant });
}

static struct range range_by_terms(const struct loop_kernel *k, struct loop_build left)
{
    struct range range = { 0, 0 };

    /* s * x - s * d * (x / d) is s * (x mod d): take such groups out first, they are narrower than
     * their parts */
    for (int i = 0; i < left.count; i++) {
        const struct loop_atom *a = &k->atom[left.term[i].atom];
        if (a->kind != LOOP_ATOM_DIV || left.term[i].scale % a->divisor)
            continue;
        const struct loop_sum *x = &k->sum[a->a];
        int64_t s = -left.term[i].scale / a->divisor;
        bool whole = x->count > 0;
        for (int j = 0; j < x->count && whole; j++) {
            whole = false;
            for (int t = 0; t < left.count; t++)
                if (left.term[t].atom == x->term[j].atom &&
                    left.term[t].scale == times(s, x->term[j].scale))
                    whole = true;
        }
        if (!whole)
            continue;
        struct loop_build rest = left;
        loop_add_sum(&rest, x, -s);
        loop_add_term(&rest, times(s, a->divisor), left.term[i].atom);
        left = rest;
        int64_t *side = s > 0 ? &range.hi : &range.lo;
        *side = add(*side, times(s, a->divisor - 1));
        i = -1;
    }
    for (int i = 0; i < left.count; i++) {
        int64_t lo, hi;

        range_of_atom(k, left.term[i].atom, &lo, &hi);
        range = around(left.term[i].scale, lo, hi, range);
    }
    return add_ranges(range, (struct range){ left.constant, left.constant });
}

void loop_range_of(const struct loop_kernel *k, const struct loop_build *sum, int64_t *lo,
                   int64_t *hi)
{
    const struct range terms = range_by_terms(k, *sum), digits = range_by_digits(k, *sum);

    *lo = terms.lo > digits.lo ? terms.lo : digits.lo;
    *hi = least_of(terms.hi, digits.hi);
}

int64_t loop_simple_most(const struct loop_kernel *k, loop_ix ix)
{
    return simple_range(k, ix).hi;
}

void loop_range(const struct loop_kernel *k, loop_ix ix, int64_t *lo, int64_t *hi)
{
    struct loop_build sum;

    loop_load_sum(&sum, &k->sum[ix]);
    loop_range_of(k, &sum, lo, hi);
}

int64_t loop_coefficient(const struct loop_kernel *k, loop_ix ix, int axis, bool *linear)
{
    int64_t scale = 0;

    *linear = true;
    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_term *t = &k->sum[ix].term[i];
        const struct loop_atom *a = &k->atom[t->atom];
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == axis)
            scale = t->scale;
        else if (a->kind == LOOP_ATOM_DIV && loop_axes_of(k, a->a) >> axis & 1)
            *linear = false;
        else if (a->kind == LOOP_ATOM_VALUE && k->value[a->a].depends >> axis & 1)
            *linear = false;
    }
    return scale;
}

uint64_t loop_axes_of(const struct loop_kernel *k, loop_ix ix)
{
    uint64_t set = 0;

    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom *a = &k->atom[k->sum[ix].term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS)
            set |= UINT64_C(1) << a->a;
        else if (a->kind == LOOP_ATOM_DIV)
            set |= loop_axes_of(k, a->a);
        else if (a->kind == LOOP_ATOM_VALUE)
            set |= k->value[a->a].depends;
    }
    return set;
}

bool loop_reads_values(const struct loop_kernel *k, loop_ix ix)
{
    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom *a = &k->atom[k->sum[ix].term[i].atom];
        if (a->kind == LOOP_ATOM_VALUE || (a->kind == LOOP_ATOM_DIV && loop_reads_values(k, a->a)))
            return true;
    }
    return false;
}

int loop_guard_state(const struct loop_kernel *k, const struct loop_guard *g)
{
    struct loop_build gap;
    int64_t lo, hi;

    loop_range(k, g->ix, &lo, &hi);
    if (hi < 0)
        return 0;
    loop_load_sum(&gap, &k->sum[g->limit]);
    loop_add_sum(&gap, &k->sum[g->ix], -1); /* limit - ix, which must be positive */
    int64_t gap_lo, gap_hi;
    loop_range_of(k, &gap, &gap_lo, &gap_hi);
    if (gap_hi <= 0)
        return 0;
    return lo >= 0 && gap_lo > 0 ? 1 : -1;
}
