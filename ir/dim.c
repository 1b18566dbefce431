/*
 * Extents, fixed or symbolic. A symbolic one is scale * s * t * ... + offset (64 - t too); each
 * distinct one stands once in the graph's table, so that equal extents are equal numbers. What
 * cannot be written so (a product of two sums, a negative extent, more than 2^48) is -1: it is no
 * dim.
 */
#include "ir/ir.h"

#include <string.h>

#define EXTENT ((int64_t)1 << 48)

static bool monomial_equal(const struct ir_dimension *a, const struct ir_dimension *b)
{
    return memcmp(a->power, b->power, sizeof a->power) == 0;
}

static struct ir_dimension spread(const struct ir_graph *g, int64_t dim)
{
    if (ir_dim_fixed(dim))
        return (struct ir_dimension){ .offset = dim };
    return g->dimension[dim - INT64_MIN];
}

/* scale * product + offset with each symbol at value[i]; -1: negative or past the limit */
static int64_t value_of(const struct ir_graph *g, const struct ir_dimension *d,
                        const int64_t *value)
{
    int64_t all = d->scale;

    for (int i = 0; i < g->symbols; i++)
        for (int p = 0; p < d->power[i]; p++)
            if (__builtin_mul_overflow(all, value[i], &all) || all > 2 * EXTENT ||
                all < -2 * EXTENT)
                return -1;
    if (__builtin_add_overflow(all, d->offset, &all) || all < 0 || all >= EXTENT)
        return -1;
    return all;
}

static int64_t bound(const struct ir_graph *g, const struct ir_dimension *d, bool upper)
{
    int64_t value[IR_SYMBOLS] = { 0 };

    for (int i = 0; i < g->symbols; i++)
        value[i] = upper == (d->scale >= 0) ? g->symbol[i].hi : g->symbol[i].lo;
    return value_of(g, d, value);
}

static int64_t dim_of(struct ir_graph *g, const struct ir_dimension *d)
{
    static const uint8_t none[IR_SYMBOLS];

    if (d->scale == 0 || memcmp(d->power, none, sizeof none) == 0) {
        int64_t all;
        if (__builtin_add_overflow(d->scale, d->offset, &all) || all < 0 || all >= EXTENT)
            return -1;
        return all;
    }
    if (bound(g, d, false) < 0 || bound(g, d, true) < 0)
        return -1;
    for (int i = 0; i < g->dimensions; i++)
        if (g->dimension[i].scale == d->scale && g->dimension[i].offset == d->offset &&
            monomial_equal(&g->dimension[i], d))
            return INT64_MIN + i;
    if (g->dimensions == (1 << 10)) /* far more than programs have, and a search stays short */
        return -1;
    ir_grow(g->arena, g->dimension, g->dimensions, g->dimension_room);
    g->dimension[g->dimensions] = *d;
    return INT64_MIN + g->dimensions++;
}

bool ir_dim_valid(const struct ir_graph *g, int64_t dim)
{
    return dim >= 0 ? dim < EXTENT : dim < IR_SYMBOLIC && dim - INT64_MIN < g->dimensions;
}

int64_t ir_dim_of(struct ir_graph *g, const struct ir_graph *other, int64_t dim)
{
    const struct ir_dimension *d;

    if (dim >= IR_SYMBOLIC || !ir_dim_valid(other, dim))
        return dim;
    d = &other->dimension[dim - INT64_MIN];
    if (ir_dim_valid(g, dim) && memcmp(d, &g->dimension[dim - INT64_MIN], sizeof *d) == 0)
        return dim;
    return dim_of(g, d);
}

struct ir_shape ir_shape_of(struct ir_graph *g, const struct ir_graph *other, struct ir_shape s)
{
    for (int i = 0; i < s.rank; i++)
        s.dim[i] = ir_dim_of(g, other, s.dim[i]);
    return s;
}

bool ir_same_dims(const struct ir_graph *a, const struct ir_graph *b, int n, const int64_t *of_a,
                  const int64_t *of_b)
{
    for (int i = 0; i < n; i++) {
        if (of_a[i] >= IR_SYMBOLIC || of_b[i] >= IR_SYMBOLIC) {
            if (of_a[i] != of_b[i])
                return false;
        } else if (of_a[i] - INT64_MIN >= a->dimensions || of_b[i] - INT64_MIN >= b->dimensions) {
            return false;
        } else if (memcmp(&a->dimension[of_a[i] - INT64_MIN], &b->dimension[of_b[i] - INT64_MIN],
                          sizeof *a->dimension) != 0) {
            return false;
        }
    }
    return true;
}

int64_t ir_symbol_new(struct ir_graph *g, const char *name, int64_t lo, int64_t hi)
{
    struct ir_dimension d = { .scale = 1 };

    for (int i = 0; i < g->symbols; i++)
        if (strcmp(g->symbol[i].name, name) == 0) {
            ir_error(g->error, IR_REFUSED, "symbol %.60s: it is there already", name);
            return -1;
        }
    if (lo < 0 || hi < lo || hi >= (int64_t)1 << 31) {
        ir_error(g->error, IR_REFUSED,
                 "symbol %.60s: bounds %lld..%lld; expected 0 <= lo <= hi < 2^31", name,
                 (long long)lo, (long long)hi);
        return -1;
    }
    if (g->symbols == IR_SYMBOLS) {
        ir_error(g->error, IR_REFUSED, "symbol %.60s: a graph may have %d symbols", name,
                 IR_SYMBOLS);
        return -1;
    }
    g->symbol[g->symbols] = (struct ir_symbol){ ir_format(g->arena, "%s", name), lo, hi };
    d.power[g->symbols++] = 1;
    return dim_of(g, &d);
}

int64_t ir_symbol_dim(struct ir_graph *g, int symbol)
{
    struct ir_dimension d = { .scale = 1 };

    d.power[symbol] = 1;
    return dim_of(g, &d);
}

int64_t ir_dim_mul(struct ir_graph *g, int64_t a, int64_t b)
{
    struct ir_dimension x, y, all = { 0 };

    if (!ir_dim_valid(g, a) || !ir_dim_valid(g, b))
        return -1;
    if (a == 0 || b == 0)
        return 0;
    x = spread(g, a);
    y = spread(g, b);
    if (x.scale && y.scale) { /* two symbolic ones: plain products only */
        if (x.offset || y.offset || __builtin_mul_overflow(x.scale, y.scale, &all.scale))
            return -1;
        for (int i = 0; i < IR_SYMBOLS; i++) {
            if (x.power[i] + y.power[i] > 40)
                return -1;
            all.power[i] = (uint8_t)(x.power[i] + y.power[i]);
        }
        return dim_of(g, &all);
    }
    if (y.scale)
        all = x, x = y, y = all;
    all = x;
    if (__builtin_mul_overflow(x.scale, y.offset, &all.scale) ||
        __builtin_mul_overflow(x.offset, y.offset, &all.offset))
        return -1;
    return dim_of(g, &all);
}

/* a + sign * b; a fixed b may be negative */
static int64_t add(struct ir_graph *g, int64_t a, int64_t b, int sign)
{
    struct ir_dimension x, y, all;

    if (!ir_dim_valid(g, a) || (!ir_dim_valid(g, b) && (b < -EXTENT || b >= EXTENT)))
        return -1;
    x = spread(g, a);
    y = b < 0 && b >= -EXTENT ? (struct ir_dimension){ .offset = b } : spread(g, b);
    if (x.scale && y.scale && !monomial_equal(&x, &y))
        return -1;
    all = x.scale ? x : y;
    all.scale = x.scale + sign * y.scale; /* each within 2^48 */
    all.offset = x.offset + sign * y.offset;
    return dim_of(g, &all);
}

int64_t ir_dim_add(struct ir_graph *g, int64_t a, int64_t b)
{
    return add(g, a, b, 1);
}

int64_t ir_dim_sub(struct ir_graph *g, int64_t a, int64_t b)
{
    return add(g, a, b, -1);
}

int64_t ir_dim_div(struct ir_graph *g, int64_t a, int64_t b)
{
    struct ir_dimension x, y, all = { 0 };

    if (!ir_dim_valid(g, a) || !ir_dim_valid(g, b) || b == 0)
        return -1;
    if (a == 0)
        return 0;
    x = spread(g, a);
    y = spread(g, b);
    if (y.scale == 0) {
        if (x.scale % y.offset || x.offset % y.offset)
            return -1;
        all = x;
        all.scale = x.scale / y.offset;
        all.offset = x.offset / y.offset;
        return dim_of(g, &all);
    }
    if (x.scale == 0 || x.scale % y.scale)
        return -1;
    if (monomial_equal(&x, &y) && x.offset == x.scale / y.scale * y.offset)
        return x.scale / y.scale;
    if (x.offset || y.offset)
        return -1;
    all.scale = x.scale / y.scale;
    for (int i = 0; i < IR_SYMBOLS; i++) {
        if (x.power[i] < y.power[i])
            return -1;
        all.power[i] = (uint8_t)(x.power[i] - y.power[i]);
    }
    return dim_of(g, &all);
}

int64_t ir_dim_max(const struct ir_graph *g, int64_t dim)
{
    return ir_dim_fixed(dim) ? dim : bound(g, &g->dimension[dim - INT64_MIN], true);
}

int64_t ir_dim_min(const struct ir_graph *g, int64_t dim)
{
    return ir_dim_fixed(dim) ? dim : bound(g, &g->dimension[dim - INT64_MIN], false);
}

int64_t ir_dim_value(const struct ir_graph *g, int64_t dim, const int64_t *symbols)
{
    return ir_dim_fixed(dim) ? dim : value_of(g, &g->dimension[dim - INT64_MIN], symbols);
}

/* a <= b for every value of the symbols, as far as it can be seen */
bool ir_dim_fits(const struct ir_graph *g, int64_t a, int64_t b)
{
    struct ir_dimension x = spread(g, a), y = spread(g, b);

    if (x.scale && y.scale && monomial_equal(&x, &y)) {
        y.scale -= x.scale;
        y.offset -= x.offset;
        return bound(g, &y, false) >= 0;
    }
    return ir_dim_max(g, a) <= ir_dim_min(g, b);
}

bool ir_same_shape(const struct ir_shape *a, const struct ir_shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

int64_t ir_elements(const struct ir_graph *g, const struct ir_shape *s)
{
    int64_t all = 1;

    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 0)
            return 0;
    for (int i = 0; i < s->rank; i++)
        if (__builtin_mul_overflow(all, ir_dim_max(g, s->dim[i]), &all) || all > (int64_t)1 << 62)
            return -1;
    return all;
}

void ir_put_dim(struct ir_text *t, const struct ir_graph *g, int64_t dim)
{
    const struct ir_dimension *d;
    const char *between = "";

    if (dim >= IR_SYMBOLIC || !ir_dim_valid(g, dim)) {
        ir_put(t, "%lld", (long long)dim);
        return;
    }
    d = &g->dimension[dim - INT64_MIN];
    if (d->scale < 0) /* 64-time */
        ir_put(t, "%lld-", (long long)d->offset);
    if (d->scale != 1 && d->scale != -1) {
        ir_put(t, "%lld", (long long)(d->scale < 0 ? -d->scale : d->scale));
        between = "*";
    }
    for (int i = 0; i < g->symbols; i++)
        for (int p = 0; p < d->power[i]; p++) {
            ir_put(t, "%s", between);
            ir_put_name(t, g->symbol[i].name);
            between = "*";
        }
    if (d->offset && d->scale > 0)
        ir_put(t, "%+lld", (long long)d->offset);
}

void ir_put_shape(struct ir_text *t, const struct ir_graph *g, enum ir_dtype dtype,
                  const struct ir_shape *s)
{
    ir_put(t, "%s", ir_dtypes[dtype].name);
    if (s->rank == 0) /* a scalar is its type */
        return;
    for (int i = 0; i < s->rank; i++) {
        ir_put(t, "%s", i ? " " : "[");
        ir_put_dim(t, g, s->dim[i]);
    }
    ir_put(t, "]");
}
