/*
 * Index expressions in one normal form: a sum of scale * atom plus a constant, where an atom is an
 * axis, a run-time extent, an integer read from memory, or the floor of another expression divided
 * by a constant. Remainders are x - d * (x / d), so that taking an index apart and putting it
 * together again cancels by mere addition, and a view of a view costs nothing. Equal expressions
 * have equal numbers. What a range proves is simplified when built: (16 * a + b) / 16 is a where 0
 * <= b < 16.
 */
#include "loop_build.h"

#include <string.h>

loop_ix loop_const(struct loop_kernel *k, int64_t value)
{
    return loop_intern(k, &(struct loop_build){ .constant = value });
}

static loop_ix single(struct loop_kernel *k, struct loop_atom atom)
{
    return loop_intern(k,
                       &(struct loop_build){ .count = 1, .term[0] = { 1, loop_atom_of(k, atom) } });
}

loop_ix loop_atom_ix(struct loop_kernel *k, struct loop_atom atom)
{
    return single(k, atom);
}

loop_ix loop_axis_ix(struct loop_kernel *k, int axis)
{
    const struct loop_axis *a = &k->axis[axis];

    if (a->hi - a->lo <= 1) /* it has one value only */
        return loop_const(k, a->lo);
    return single(k, (struct loop_atom){ .kind = LOOP_ATOM_AXIS, .a = (uint32_t)axis });
}

loop_ix loop_dim_ix(struct loop_kernel *k, int64_t dim)
{
    struct ir_dimension d;
    loop_ix ix;

    if (ir_dim_fixed(dim))
        return loop_const(k, dim);
    d = k->graph->dimension[dim - INT64_MIN];
    ix = single(k, (struct loop_atom){ .kind = LOOP_ATOM_DIM, .dim = dim });
    /* scale * symbol + offset of one symbol is spelled on the symbol, so that batch * 3 and batch
     * meet */
    for (int s = 0, powers = 0; s < k->graph->symbols; s++) {
        powers += d.power[s];
        if (s + 1 == k->graph->symbols && powers != 1)
            return ix;
    }
    if (d.scale == 1 && d.offset == 0)
        return ix;
    for (int i = 0; i < k->graph->dimensions; i++) {
        const struct ir_dimension *e = &k->graph->dimension[i];
        if (e->scale == 1 && e->offset == 0 && !memcmp(e->power, d.power, sizeof d.power))
            return loop_plus(
                k,
                loop_scale(
                    k, single(k, (struct loop_atom){ .kind = LOOP_ATOM_DIM, .dim = INT64_MIN + i }),
                    d.scale),
                loop_const(k, d.offset));
    }
    return ix;
}

loop_ix loop_value_ix(struct loop_kernel *k, uint32_t value)
{
    return single(k, (struct loop_atom){ .kind = LOOP_ATOM_VALUE, .a = value });
}

loop_ix loop_plus(struct loop_kernel *k, loop_ix a, loop_ix b)
{
    struct loop_build sum = { 0 };

    loop_add_sum(&sum, &k->sum[a], 1);
    loop_add_sum(&sum, &k->sum[b], 1);
    return loop_intern(k, &sum);
}

loop_ix loop_scale(struct loop_kernel *k, loop_ix a, int64_t by)
{
    struct loop_build sum = { 0 };

    if (by)
        loop_add_sum(&sum, &k->sum[a], by);
    return loop_intern(k, &sum);
}

static int64_t gcd(int64_t a, int64_t b)
{
    a = a < 0 ? -a : a;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

#define SHARED 32
/* what `by` has in common with one scale or several: greatest first, above 1 */
static int shared_divisors(const struct loop_build *b, int64_t by, int64_t list[SHARED])
{
    int count = 0;

    for (int i = 0; i < b->count; i++)
        for (int j = -1, before = count; j < before && count < SHARED; j++) {
            int64_t g = gcd(b->term[i].scale, j < 0 ? by : list[j]);
            int at = 0;
            while (at < count && list[at] != g)
                at++;
            if (at == count && g > 1)
                list[count++] = g;
        }
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && list[j - 1] < list[j]; j--) {
            int64_t swap = list[j];
            list[j] = list[j - 1];
            list[j - 1] = swap;
        }
    return count;
}

loop_ix loop_div(struct loop_kernel *k, loop_ix ix, int64_t by)
{
    struct loop_build whole = { 0 }, rest = { 0 };
    int64_t lo, hi;

    if (by <= 0)
        ir_bug("division of an index by %ld", (long)by);
    if (by == 1)
        return ix;
    const struct loop_sum s = k->sum[ix];
    whole.constant = loop_floor_div(s.constant, by);
    rest.constant = s.constant - whole.constant * by;
    for (int i = 0; i < s.count; i++) {
        int64_t q = loop_floor_div(s.term[i].scale, by);
        if (s.term[i].scale % by == 0)
            loop_add_term(&whole, q, s.term[i].atom);
        else
            loop_add_term(&rest, s.term[i].scale, s.term[i].atom);
    }
    loop_range_of(k, &rest, &lo, &hi);
    if (loop_floor_div(lo, by) == loop_floor_div(hi, by)) {
        whole.constant += loop_floor_div(lo, by);
        return loop_intern(k, &whole);
    }
    /* (g * x + r) / (g * d) is x / d where 0 <= r < g: the greatest such g is one that `by` shares
     * with some of the scales */
    int64_t shared[SHARED];
    int count = shared_divisors(&rest, by, shared);
    for (int c = 0; c < count; c++) {
        struct loop_build high = { 0 }, low = { .constant = rest.constant };
        int64_t g = shared[c];
        for (int i = 0; i < rest.count; i++)
            loop_add_term(rest.term[i].scale % g ? &low : &high,
                          rest.term[i].scale % g ? rest.term[i].scale : rest.term[i].scale / g,
                          rest.term[i].atom);
        loop_range_of(k, &low, &lo, &hi);
        if (loop_floor_div(lo, g) != loop_floor_div(hi, g))
            continue;
        high.constant = loop_floor_div(lo, g);
        loop_ix outer = loop_div(k, loop_intern(k, &high), by / g);
        return loop_plus(k, loop_intern(k, &whole), outer);
    }
    /* (x / c) / d is x / (c * d) */
    if (rest.count == 1 && rest.constant == 0 && rest.term[0].scale == 1 &&
        k->atom[rest.term[0].atom].kind == LOOP_ATOM_DIV &&
        k->atom[rest.term[0].atom].divisor < LOOP_FAR / by) {
        struct loop_atom inner = k->atom[rest.term[0].atom];
        return loop_plus(k, loop_intern(k, &whole), loop_div(k, inner.a, inner.divisor * by));
    }
    uint32_t atom = loop_atom_of(
        k, (struct loop_atom){ .kind = LOOP_ATOM_DIV, .a = loop_intern(k, &rest), .divisor = by });
    loop_add_term(&whole, 1, atom);
    return loop_intern(k, &whole);
}

loop_ix loop_mod(struct loop_kernel *k, loop_ix ix, int64_t by)
{
    return loop_plus(k, ix, loop_scale(k, loop_div(k, ix, by), -by));
}

loop_ix loop_replace(struct loop_kernel *k, loop_ix in, int axis, loop_ix by)
{
    if (!(loop_axes_of(k, in) >> axis & 1))
        return in;
    const struct loop_sum s = k->sum[in];
    loop_ix out = loop_const(k, s.constant);
    for (int i = 0; i < s.count; i++) {
        struct loop_atom a = k->atom[s.term[i].atom];
        loop_ix part;
        if (a.kind == LOOP_ATOM_AXIS && (int)a.a == axis)
            part = by;
        else if (a.kind == LOOP_ATOM_DIV)
            part = loop_div(k, loop_replace(k, a.a, axis, by), a.divisor);
        else
            part = single(k, a);
        out = loop_plus(k, out, loop_scale(k, part, s.term[i].scale));
    }
    return out;
}

bool loop_is_const(const struct loop_kernel *k, loop_ix ix, int64_t *value)
{
    if (k->sum[ix].count)
        return false;
    if (value)
        *value = k->sum[ix].constant;
    return true;
}
