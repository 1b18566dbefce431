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

static void range_of_atom(const struct loop_kernel *k, uint32_t atom, int64_t *lo, int64_t *hi)
{
    const struct loop_atom *a = &k->atom[atom];

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
        loop_range(k, a->a, lo, hi);
        *lo = loop_floor_div(*lo, a->divisor);
        *hi = loop_floor_div(*hi, a->divisor);
        break;
    }
}

void loop_range_of(const struct loop_kernel *k, const struct loop_build *sum, int64_t *lo,
                   int64_t *hi)
{
    struct loop_build left = *sum;

    *lo = *hi = 0;
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
        int64_t *side = s > 0 ? hi : lo;
        *side = add(*side, times(s, a->divisor - 1));
        i = -1;
    }
    loop_wide least = (loop_wide)*lo + left.constant, most = (loop_wide)*hi + left.constant;
    for (int i = 0; i < left.count; i++) {
        int64_t a, b, s = left.term[i].scale;
        range_of_atom(k, left.term[i].atom, &a, &b);
        least += (loop_wide)s * (s > 0 ? a : b);
        most += (loop_wide)s * (s > 0 ? b : a);
    }
    *lo = loop_clamped(least);
    *hi = loop_clamped(most);
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
