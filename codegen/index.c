/*
 * index: how index expressions and conditions are spelled, for the instance at hand: unrolled
 * indices are numbers, the vector axis stands at its first lane.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

loop_ix gen_instance(struct gen *e, loop_ix ix)
{
    uint64_t axes = loop_axes_of(e->k, ix);

    for (int u = 0; u < e->unrolls; u++)
        if (axes >> e->unrolled[u] & 1)
            ix = loop_replace(e->k, ix, e->unrolled[u], loop_const(e->k, e->at[e->unrolled[u]]));
    return ix;
}

bool gen_pattern(struct gen *e, loop_ix ix, int64_t at[LOOP_LANES])
{
    const loop_ix first = loop_replace(e->k, gen_instance(e, ix), e->vector, loop_const(e->k, 0));

    if (loop_axes_of(e->k, first) >> e->vector & 1) /* a value of the lanes' own */
        return false;
    for (int lane = 0; lane < LOOP_LANES; lane++) {
        const loop_ix there =
            loop_replace(e->k, gen_instance(e, ix), e->vector, loop_const(e->k, lane));
        if (!loop_is_const(e->k, loop_plus(e->k, there, loop_scale(e->k, first, -1)), &at[lane]))
            return false;
    }
    return true;
}

static void put_atom(struct gen *e, struct ir_text *out, const struct loop_atom *a);

/* sum without the terms that `skip` marks */
static void put_sum(struct gen *e, struct ir_text *out, const struct loop_sum *s, const bool *skip)
{
    bool any = false;

    for (int i = 0; i < s->count; i++) {
        int64_t scale = s->term[i].scale;
        const struct loop_atom *a = &e->k->atom[s->term[i].atom];
        if (skip && skip[i])
            continue;
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == e->vector && !e->lane)
            continue; /* its first lane */
        ir_put(out, any ? scale < 0 ? " - " : " + " : scale < 0 ? "-" : "");
        int64_t size = scale < 0 ? -scale : scale;
        if (size != 1)
            ir_put(out, "%" PRId64 " * ", size);
        put_atom(e, out, a);
        any = true;
    }
    if (s->constant || !any)
        ir_put(out, any ? s->constant < 0 ? " - %" PRId64 : " + %" PRId64 : "%" PRId64,
               any && s->constant < 0 ? -s->constant : s->constant);
}

/* s * x - s * d * (x / d), x in one piece, is s * (x % d): marks those terms and spells the
 * remainder */
static bool put_remainder(struct gen *e, struct ir_text *out, const struct loop_sum *s, bool *skip,
                          bool any)
{
    for (int i = 0; i < s->count; i++) {
        const struct loop_atom *a = &e->k->atom[s->term[i].atom];
        if (skip[i] || a->kind != LOOP_ATOM_DIV || s->term[i].scale % a->divisor)
            continue;
        const struct loop_sum *x = &e->k->sum[a->a];
        int64_t scale = -s->term[i].scale / a->divisor, lo, hi;
        int match[48], matched = 0;
        loop_range(e->k, a->a, &lo, &hi);
        if (lo < 0 || x->constant || scale < 1)
            continue;
        for (int j = 0; j < x->count; j++)
            for (int t = 0; t < s->count; t++)
                if (!skip[t] && s->term[t].atom == x->term[j].atom &&
                    s->term[t].scale == scale * x->term[j].scale)
                    match[matched++] = t;
        if (matched != x->count)
            continue;
        for (int j = 0; j < matched; j++)
            skip[match[j]] = true;
        skip[i] = true;
        ir_put(out, any ? " + " : "");
        if (scale != 1)
            ir_put(out, "%" PRId64 " * ", scale);
        bool alone = x->count == 1 && x->term[0].scale == 1;
        ir_put(out, alone ? "(" : "((");
        put_sum(e, out, x, NULL);
        ir_put(out, alone ? " %% %" PRId64 ")" : ") %% %" PRId64 ")", a->divisor);
        return true;
    }
    return false;
}

void gen_index(struct gen *e, struct ir_text *out, loop_ix ix)
{
    const struct loop_sum s = e->k->sum[ix];
    bool skip[64] = { false }, any = false;

    while (put_remainder(e, out, &s, skip, any))
        any = true;
    bool left = s.constant != 0 || !any;
    for (int i = 0; i < s.count; i++) {
        const struct loop_atom *a = &e->k->atom[s.term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == e->vector && !e->lane)
            skip[i] = true;
        left |= !skip[i];
    }
    if (!left)
        return;
    struct ir_text rest = { 0 };
    put_sum(e, &rest, &s, skip);
    if (any)
        ir_put(out, rest.data[0] == '-' ? " - %s" : " + %s", rest.data + (rest.data[0] == '-'));
    else
        ir_put(out, "%s", rest.data);
    ir_text_free(&rest);
}

/* "2 * batch + 1": false where it is more than a name */
static bool put_dim(struct gen *e, struct ir_text *out, int64_t dim)
{
    const struct ir_dimension *d = &e->k->graph->dimension[dim - INT64_MIN];
    int factors = 0;

    if (d->scale != 1 && ++factors)
        ir_put(out, "%" PRId64, d->scale);
    for (int s = 0; s < e->k->graph->symbols; s++)
        for (int p = 0; p < d->power[s]; p++)
            ir_put(out, "%s%s", factors++ ? " * " : "", gen_symbol(e->arena, e->k->graph, s));
    if (d->offset)
        ir_put(out, d->offset < 0 ? " - %" PRId64 : " + %" PRId64,
               d->offset < 0 ? -d->offset : d->offset);
    return factors == 1 && !d->offset;
}

static void put_atom(struct gen *e, struct ir_text *out, const struct loop_atom *a)
{
    int64_t lo, hi;

    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        ir_put(out, "%s", (int)a->a == e->vector ? e->lane : e->axis[a->a]);
        return;
    case LOOP_ATOM_DIM: {
        struct ir_text text = { 0 };
        bool simple = put_dim(e, &text, a->dim);
        ir_put(out, simple ? "%s" : "(%s)", text.data);
        ir_text_free(&text);
        return;
    }
    case LOOP_ATOM_VALUE:
        ir_put(out, "%s", gen_name(e, a->a));
        return;
    case LOOP_ATOM_DIV:
        loop_range(e->k, a->a, &lo, &hi);
        if (lo < 0 && (a->divisor & (a->divisor - 1))) { /* C rounds towards zero; floor is meant */
            ir_put(out, "floor_div(");
            gen_index(e, out, a->a);
            ir_put(out, ", %" PRId64 ")", a->divisor);
            return;
        }
        struct ir_text text = { 0 };
        gen_index(e, &text, a->a);
        bool simple = !strpbrk(text.data, " -");
        const char *form = simple ? "(%s %s %" PRId64 ")" : "((%s) %s %" PRId64 ")";
        int shift = 0;
        while (lo < 0 && INT64_C(1) << shift < a->divisor)
            shift++;
        ir_put(out, form, text.data, lo < 0 ? ">>" : "/", lo < 0 ? (int64_t)shift : a->divisor);
        ir_text_free(&text);
        return;
    }
}

const char *gen_index_text(struct gen *e, loop_ix ix)
{
    struct ir_text text = { 0 };

    gen_index(e, &text, gen_instance(e, ix));
    const char *kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

const char *gen_condition(struct gen *e, const struct loop_guard *guard, int guards)
{
    struct ir_text text = { 0 };
    const char *kept = NULL;

    for (int i = 0; i < guards; i++) {
        struct loop_guard g = { gen_instance(e, guard[i].ix), gen_instance(e, guard[i].limit) };
        int64_t lo, hi;
        int state = loop_guard_state(e->k, &g);
        if (state == 0) {
            ir_text_free(&text);
            return "0";
        }
        for (int h = 0; h < e->helds; h++)
            if (e->held[h].ix == g.ix && e->held[h].limit == g.limit)
                state = 1;
        if (state == 1)
            continue;
        loop_range(e->k, g.ix, &lo, &hi);
        const char *at = gen_index_text(e, g.ix), *limit = gen_index_text(e, g.limit);
        int64_t least, most;
        loop_range(e->k, g.limit, &least, &most);
        if (lo < 0)
            ir_put(&text, "%s%s >= 0", text.size ? " && " : "", at);
        if (hi >= least)
            ir_put(&text, "%s%s < %s", text.size ? " && " : "", at, limit);
    }
    if (text.size)
        kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

/* does a condition that is not settled differ from lane to lane */
/* A condition whose borders lie between vectors holds for all lanes or for none. */
static bool is_even(struct gen *e, const struct loop_guard *g)
{
    bool linear;
    int64_t rest, limit;
    const loop_ix first = loop_replace(e->k, g->ix, e->vector, loop_const(e->k, 0));

    return loop_is_const(e->k, g->limit, &limit) && limit % LOOP_LANES == 0 &&
           loop_coefficient(e->k, g->ix, e->vector, &linear) == 1 && linear &&
           loop_is_const(e->k, loop_mod(e->k, first, LOOP_LANES), &rest) && rest == 0;
}

bool gen_guard_varies(struct gen *e, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards && e->vector >= 0; i++) {
        struct loop_guard g = { gen_instance(e, s->guard[i].ix),
                                gen_instance(e, s->guard[i].limit) };
        if (loop_guard_state(e->k, &g) != 1 && !is_even(e, &g) &&
            ((loop_axes_of(e->k, g.ix) | loop_axes_of(e->k, g.limit)) >> e->vector & 1))
            return true;
    }
    return false;
}
