/*
 * Which elements an index reaches, point by point.
 *
 * Bounds of expressions are quick and may be too wide: of an index with several quotients they
 * reach where no iteration does. What they leave in doubt is therefore computed for each iteration,
 * with dims and values that are read at their least and at their greatest. A nest with more
 * iterations than can be tried is taken as sound.
 */
#include "loop_build.h"
#include "loop_check.h"

#include <limits.h>

enum { POINTS = 1 << 22 };

struct points {
    struct loop_check *c;
    const struct loop_kernel *k; /* has the expressions */
    loop_ix ix;
    int64_t index[LOOP_AXES], lo, hi;
    long left;
    bool most; /* dims and values are at their greatest */
};

static int64_t value_of(const struct points *p, loop_ix ix);

static int64_t value_of_atom(const struct points *p, const struct loop_atom *a)
{
    int64_t value;

    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        return p->index[a->a];
    case LOOP_ATOM_DIM:
        return p->most ? ir_dim_max(p->k->graph, a->dim) : ir_dim_min(p->k->graph, a->dim);
    case LOOP_ATOM_VALUE:
        if (!p->k->value[a->a].bounded)
            return p->most ? INT32_MAX : INT32_MIN;
        return p->most ? p->k->value[a->a].hi : p->k->value[a->a].lo;
    case LOOP_ATOM_DIV:
        value = value_of(p, a->a);
        return value / a->divisor - (value % a->divisor < 0);
    }
    return 0;
}

static int64_t value_of(const struct points *p, loop_ix ix)
{
    const struct loop_sum *s = &p->k->sum[ix];
    int64_t value = s->constant;

    for (int t = 0; t < s->count; t++)
        value = loop_clamped(
            (loop_wide)s->term[t].scale * value_of_atom(p, &p->k->atom[s->term[t].atom]) + value);
    return value;
}

static bool holds(const struct points *p, const struct loop_statement *s)
{
    for (int g = 0; g < s->guards; g++) {
        const int64_t value = value_of(p, s->guard[g].ix);
        if (value < 0 || value >= value_of(p, s->guard[g].limit))
            return false;
    }
    return true;
}

static void visit(struct points *p, int depth)
{
    const struct loop_statement *s = depth < p->c->depth ? p->c->around[depth] : p->c->at;

    if (p->left-- <= 0 || !holds(p, s))
        return;
    if (depth == p->c->depth) {
        const int64_t at = value_of(p, p->ix);
        p->lo = at < p->lo ? at : p->lo;
        p->hi = at > p->hi ? at : p->hi;
        return;
    }
    const struct loop_axis *a = &p->c->k->axis[s->axis];
    const int64_t to = value_of(p, a->to);
    for (int64_t i = value_of(p, a->from); i < to && i < a->hi && p->left > 0; i += a->step) {
        p->index[s->axis] = i;
        visit(p, depth + 1);
    }
}

bool loop_reaches_at_points(struct loop_check *c, loop_ix ix, int64_t *lo, int64_t *hi)
{
    struct points p = { .c = c, .k = c->shadow, .ix = ix, .lo = INT64_MAX, .hi = INT64_MIN };

    p.left = POINTS;
    for (int most = 0; most < 2; most++) {
        p.most = most;
        visit(&p, 0);
    }
    *lo = p.lo;
    *hi = p.hi;
    return p.left > 0;
}
