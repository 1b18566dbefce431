/*
 * Index expressions in one normal form: a sum of scale * atom plus a constant, where an atom is an
 * axis, a run-time extent, an integer read from memory, or the floor of another expression divided
 * by a constant. Remainders are x - d * (x / d), so that taking an index apart and putting it
 * together again cancels by mere addition, and a view of a view costs nothing. Equal expressions
 * have equal numbers. What a range proves is simplified when built: (16 * a + b) / 16 is a where 0
 * <= b < 16.
 */
#include "loop.h"

#include <limits.h>
#include <string.h>

#define TERMS \
    LOOP_TERMS /* an expression of more terms is a fault of ours: real ones have a dozen */

/* Sums that leave 64 bits stop at 2^62, far outside of every buffer, so that even a text that was
 * written in malice has a range. */
#define FAR (INT64_C(1) << 62)
__extension__ typedef __int128 wide;

static int64_t clamped(wide x)
{
    return x > FAR ? FAR : x < -FAR ? -FAR : (int64_t)x;
}

static int64_t times(int64_t a, int64_t b)
{
    return clamped((wide)a * b);
}

static int64_t add(int64_t a, int64_t b)
{
    return clamped((wide)a + b);
}

struct build {
    int64_t constant;
    int count;
    struct loop_term term[TERMS];
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0));
}

static void add_term(struct build *b, int64_t scale, uint32_t atom)
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
    if (b->count == TERMS)
        ir_bug("an index expression of more than %d terms", TERMS);
    memmove(&b->term[i + 1], &b->term[i], (size_t)(b->count++ - i) * sizeof *b->term);
    b->term[i] = (struct loop_term){ scale, atom };
}

static void add_sum(struct build *b, const struct loop_sum *s, int64_t scale)
{
    b->constant = add(b->constant, times(s->constant, scale));
    for (int i = 0; i < s->count; i++)
        add_term(b, times(s->term[i].scale, scale), s->term[i].atom);
}

/* ---- equal ones have equal numbers ---- */

static uint32_t mixed(uint32_t hash, uint64_t word)
{
    word = (word ^ hash) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(word >> 32) ^ (uint32_t)word;
}

static uint32_t hash_of_sum(const struct loop_sum *s)
{
    uint32_t hash = mixed((uint32_t)s->count, (uint64_t)s->constant);

    for (int i = 0; i < s->count; i++)
        hash = mixed(mixed(hash, (uint64_t)s->term[i].scale), s->term[i].atom);
    return hash;
}

static uint32_t hash_of_atom(const struct loop_atom *a)
{
    return mixed(mixed(mixed((uint32_t)a->kind, a->a), (uint64_t)a->divisor), (uint64_t)a->dim);
}

static bool same_sum(const struct loop_sum *a, const struct loop_sum *b)
{
    if (a->constant != b->constant || a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->term[i].scale != b->term[i].scale || a->term[i].atom != b->term[i].atom)
            return false;
    return true;
}

static bool same_atom(const struct loop_atom *a, const struct loop_atom *b)
{
    return a->kind == b->kind && a->a == b->a && a->divisor == b->divisor && a->dim == b->dim;
}

/* Makes room for one more number in a table of hashes that is at most half full; true where the
 * table is new and empty. */
static bool widen(struct loop_kernel *k, struct loop_table *t, uint32_t count)
{
    if (2 * count + 2 <= t->room)
        return false;
    for (t->room = t->room ? t->room : 64; 2 * count + 2 > t->room;)
        t->room *= 2;
    t->slot = ir_alloc(k->arena, t->room * sizeof *t->slot); /* a number plus one, 0: free */
    return true;
}

static void enter(struct loop_table *t, uint32_t hash, uint32_t number)
{
    uint32_t i = hash & (t->room - 1);

    while (t->slot[i])
        i = (i + 1) & (t->room - 1);
    t->slot[i] = number + 1;
}

static loop_ix intern(struct loop_kernel *k, const struct build *b)
{
    const struct loop_sum draft = { b->constant, b->count, b->term };
    const struct loop_table *t = &k->sum_table;
    uint32_t hash = hash_of_sum(&draft);

    if (widen(k, &k->sum_table, k->sums))
        for (uint32_t i = 0; i < k->sums; i++)
            enter(&k->sum_table, hash_of_sum(&k->sum[i]), i);
    for (uint32_t i = hash & (t->room - 1); t->slot[i]; i = (i + 1) & (t->room - 1))
        if (same_sum(&k->sum[t->slot[i] - 1], &draft))
            return t->slot[i] - 1;
    if (k->sums == k->sum_room) {
        struct loop_sum *bigger = ir_alloc(k->arena, 2 * (k->sum_room + 32) * sizeof *bigger);
        if (k->sums)
            memcpy(bigger, k->sum, k->sums * sizeof *bigger);
        k->sum = bigger;
        k->sum_room = 2 * (k->sum_room + 32);
    }
    struct loop_term *term = NULL;
    if (b->count) {
        term = ir_alloc(k->arena, (size_t)b->count * sizeof *term);
        memcpy(term, b->term, (size_t)b->count * sizeof *term);
    }
    k->sum[k->sums] = (struct loop_sum){ b->constant, b->count, term };
    enter(&k->sum_table, hash, k->sums);
    return k->sums++;
}

static uint32_t atom_of(struct loop_kernel *k, struct loop_atom a)
{
    const struct loop_table *t = &k->atom_table;
    uint32_t hash = hash_of_atom(&a);

    if (widen(k, &k->atom_table, k->atoms))
        for (uint32_t i = 0; i < k->atoms; i++)
            enter(&k->atom_table, hash_of_atom(&k->atom[i]), i);
    for (uint32_t i = hash & (t->room - 1); t->slot[i]; i = (i + 1) & (t->room - 1))
        if (same_atom(&k->atom[t->slot[i] - 1], &a))
            return t->slot[i] - 1;
    if (k->atoms == k->atom_room) {
        struct loop_atom *bigger = ir_alloc(k->arena, 2 * (k->atom_room + 16) * sizeof *bigger);
        if (k->atoms)
            memcpy(bigger, k->atom, k->atoms * sizeof *bigger);
        k->atom = bigger;
        k->atom_room = 2 * (k->atom_room + 16);
    }
    k->atom[k->atoms] = a;
    enter(&k->atom_table, hash, k->atoms);
    return k->atoms++;
}

struct loop_kernel *loop_shadow(const struct loop_kernel *k, struct ir_arena *arena)
{
    struct loop_kernel *shadow = ir_alloc(arena, sizeof *shadow);

    *shadow = *k;
    shadow->arena = arena;
    shadow->sum_room = k->sums; /* the next one moves all into the shadow's arena */
    shadow->atom_room = k->atoms;
    shadow->sum_table = shadow->atom_table = (struct loop_table){ 0 };
    shadow->value = ir_alloc(arena, k->values * sizeof *shadow->value);
    memcpy(shadow->value, k->value, k->values * sizeof *shadow->value);
    shadow->value_room = k->values;
    return shadow;
}

/* ---- building ---- */

loop_ix loop_const(struct loop_kernel *k, int64_t value)
{
    return intern(k, &(struct build){ .constant = value });
}

static loop_ix single(struct loop_kernel *k, struct loop_atom atom)
{
    return intern(k, &(struct build){ .count = 1, .term[0] = { 1, atom_of(k, atom) } });
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
    struct build sum = { 0 };

    add_sum(&sum, &k->sum[a], 1);
    add_sum(&sum, &k->sum[b], 1);
    return intern(k, &sum);
}

loop_ix loop_scale(struct loop_kernel *k, loop_ix a, int64_t by)
{
    struct build sum = { 0 };

    if (by)
        add_sum(&sum, &k->sum[a], by);
    return intern(k, &sum);
}

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
        *lo = floor_div(*lo, a->divisor);
        *hi = floor_div(*hi, a->divisor);
        break;
    }
}

static void range_of(const struct loop_kernel *k, const struct build *sum, int64_t *lo, int64_t *hi)
{
    struct build left = *sum;

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
        struct build rest = left;
        add_sum(&rest, x, -s);
        add_term(&rest, times(s, a->divisor), left.term[i].atom);
        left = rest;
        int64_t *side = s > 0 ? hi : lo;
        *side = add(*side, times(s, a->divisor - 1));
        i = -1;
    }
    wide least = (wide)*lo + left.constant, most = (wide)*hi + left.constant;
    for (int i = 0; i < left.count; i++) {
        int64_t a, b, s = left.term[i].scale;
        range_of_atom(k, left.term[i].atom, &a, &b);
        least += (wide)s * (s > 0 ? a : b);
        most += (wide)s * (s > 0 ? b : a);
    }
    *lo = clamped(least);
    *hi = clamped(most);
}

static void load(struct build *b, const struct loop_sum *s)
{
    *b = (struct build){ .constant = s->constant, .count = s->count };
    if (s->count)
        memcpy(b->term, s->term, (size_t)s->count * sizeof *s->term);
}

void loop_range(const struct loop_kernel *k, loop_ix ix, int64_t *lo, int64_t *hi)
{
    struct build sum;

    load(&sum, &k->sum[ix]);
    range_of(k, &sum, lo, hi);
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
static int shared_divisors(const struct build *b, int64_t by, int64_t list[SHARED])
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
    struct build whole = { 0 }, rest = { 0 };
    int64_t lo, hi;

    if (by <= 0)
        ir_bug("division of an index by %ld", (long)by);
    if (by == 1)
        return ix;
    const struct loop_sum s = k->sum[ix];
    whole.constant = floor_div(s.constant, by);
    rest.constant = s.constant - whole.constant * by;
    for (int i = 0; i < s.count; i++) {
        int64_t q = floor_div(s.term[i].scale, by);
        if (s.term[i].scale % by == 0)
            add_term(&whole, q, s.term[i].atom);
        else
            add_term(&rest, s.term[i].scale, s.term[i].atom);
    }
    range_of(k, &rest, &lo, &hi);
    if (floor_div(lo, by) == floor_div(hi, by)) {
        whole.constant += floor_div(lo, by);
        return intern(k, &whole);
    }
    /* (g * x + r) / (g * d) is x / d where 0 <= r < g: the greatest such g is one that `by` shares
     * with some of the scales */
    int64_t shared[SHARED];
    int count = shared_divisors(&rest, by, shared);
    for (int c = 0; c < count; c++) {
        struct build high = { 0 }, low = { .constant = rest.constant };
        int64_t g = shared[c];
        for (int i = 0; i < rest.count; i++)
            add_term(rest.term[i].scale % g ? &low : &high,
                     rest.term[i].scale % g ? rest.term[i].scale : rest.term[i].scale / g,
                     rest.term[i].atom);
        range_of(k, &low, &lo, &hi);
        if (floor_div(lo, g) != floor_div(hi, g))
            continue;
        high.constant = floor_div(lo, g);
        loop_ix outer = loop_div(k, intern(k, &high), by / g);
        return loop_plus(k, intern(k, &whole), outer);
    }
    /* (x / c) / d is x / (c * d) */
    if (rest.count == 1 && rest.constant == 0 && rest.term[0].scale == 1 &&
        k->atom[rest.term[0].atom].kind == LOOP_ATOM_DIV &&
        k->atom[rest.term[0].atom].divisor < FAR / by) {
        struct loop_atom inner = k->atom[rest.term[0].atom];
        return loop_plus(k, intern(k, &whole), loop_div(k, inner.a, inner.divisor * by));
    }
    uint32_t atom = atom_of(
        k, (struct loop_atom){ .kind = LOOP_ATOM_DIV, .a = intern(k, &rest), .divisor = by });
    add_term(&whole, 1, atom);
    return intern(k, &whole);
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
    struct build gap;
    int64_t lo, hi;

    loop_range(k, g->ix, &lo, &hi);
    if (hi < 0)
        return 0;
    load(&gap, &k->sum[g->limit]);
    add_sum(&gap, &k->sum[g->ix], -1); /* limit - ix, which must be positive */
    int64_t gap_lo, gap_hi;
    range_of(k, &gap, &gap_lo, &gap_hi);
    if (gap_hi <= 0)
        return 0;
    return lo >= 0 && gap_lo > 0 ? 1 : -1;
}
