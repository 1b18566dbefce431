/*
 * What always holds of a loop nest: a schedule may do anything that this accepts.
 *
 * First everything that is named by a number must be there, so that the rest may look at it. Then
 * the nest is walked as it would run: values in reach, types by the rows of ops.def, roles of
 * loops, and the elements that loads and stores touch. An index is bounded by the ranges of its
 * axes; where that is not enough, by the bounds of the loops and the conditions around it, each an
 * expression that is never negative and may be added to an upper bound as often as helps.
 */
#include "loop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FAR (INT64_C(1) << 62)

struct check {
    const struct loop_kernel *k;
    struct loop_kernel *shadow; /* index expressions are made here */
    struct ir_error *error;
    const struct loop_statement *at;
    bool *reach; /* by value: defined here or around */
    bool *variable;
    uint64_t *inside; /* by value: the axes around its definition */
    uint64_t *over;   /* by value: the axes that it is folded over */
    uint32_t *open;   /* values in reach, in the order of their definition */
    uint32_t opened;
    uint64_t axes, unrolled, vector, parallel; /* around the statement at hand */
    const struct loop_statement *around[LOOP_AXES];
    int depth;
    bool never; /* no iteration gets here */
};

static bool wrong(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_what(struct ir_text *t, const struct check *c)
{
    const struct loop_statement *s = c->at;
    static const char *const word[] = { "for", "",     "load",      "store",    "var",
                                        "set", "fold", "transpose", "prefetch", "barrier" };

    if (s->value)
        ir_put(t, "%%%" PRIu32 " = ", s->value);
    if ((unsigned)s->kind >= sizeof word / sizeof *word) {
        ir_put(t, "a statement of kind %d", (int)s->kind);
        return;
    }
    ir_put(t, "%s", word[s->kind]);
    if (s->kind == LOOP_LET)
        ir_put(t, "%s",
               s->op == IR_POISON         ? "index"
               : (unsigned)s->op < IR_OPS ? ir_ops[s->op].name
                                          : "?");
    if (s->kind == LOOP_SET)
        ir_put(t, " %%%" PRIu32, s->args[0]);
    if (s->kind == LOOP_FOR && s->axis >= 0 && s->axis < c->k->axes)
        ir_put(t, " %.40s", c->k->axis[s->axis].name ? c->k->axis[s->axis].name : "");
    if ((s->kind == LOOP_LOAD || s->kind == LOOP_STORE) && s->buffer >= 0 &&
        s->buffer < c->k->buffers) {
        const struct loop_buffer *b = &c->k->buffer[s->buffer];
        if (b->name)
            ir_put(t, " %.40s", b->name);
        else
            ir_put(t, " @%" PRIu32, b->value.id);
    }
}

static bool wrong(struct check *c, const char *format, ...)
{
    struct ir_text text = { 0 };
    char place[100] = "";
    va_list list;

    if (c->at && c->at->loc.file) {
        size_t length = strlen(c->at->loc.file), cut = length > 80 ? length - 80 : 0;
        snprintf(place, sizeof place, "%s:%d: ", c->at->loc.file + cut, c->at->loc.line);
    }
    if (c->at) {
        put_what(&text, c);
        ir_put(&text, ": ");
    }
    va_start(list, format);
    ir_put_list(&text, format, list);
    va_end(list);
    ir_error(c->error, IR_REFUSED, "%skernel %.40s: %s", place, c->k->name ? c->k->name : "",
             text.data);
    ir_text_free(&text);
    return false;
}

/* ---- everything that is named is there ---- */

static bool index_is_there(struct check *c, loop_ix ix)
{
    return ix < c->k->sums || wrong(c, "index expression %u of %u", ix, c->k->sums);
}

static bool tables_hold(struct check *c)
{
    const struct loop_kernel *k = c->k;

    for (uint32_t i = 0; i < k->sums; i++)
        for (int t = 0; t < k->sum[i].count; t++)
            if (k->sum[i].term[t].atom >= k->atoms || k->sum[i].term[t].scale == 0 ||
                (t && k->sum[i].term[t - 1].atom >= k->sum[i].term[t].atom))
                return wrong(c, "index expression %u is not in its normal form", i);
    for (uint32_t i = 0; i < k->atoms; i++) {
        const struct loop_atom *a = &k->atom[i];
        bool good = a->kind == LOOP_ATOM_AXIS    ? a->a < LOOP_AXES
                    : a->kind == LOOP_ATOM_DIM   ? k->graph && ir_dim_valid(k->graph, a->dim)
                    : a->kind == LOOP_ATOM_VALUE ? a->a > 0 && a->a < k->values
                    : a->kind == LOOP_ATOM_DIV   ? a->a < k->sums && a->divisor > 0
                                                 : false;
        for (int t = 0; good && a->kind == LOOP_ATOM_DIV && t < k->sum[a->a].count; t++)
            good = k->sum[a->a].term[t].atom < i; /* none contains itself */
        if (!good)
            return wrong(c, "a part of an index that is nothing");
    }
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const char *name = b->name ? b->name : "";
        if (b->elements < 0 || (unsigned)b->dtype >= IR_DTYPES)
            return wrong(c, "buffer %.60s has no type or size", name);
        if (b->scratch && b->value.id)
            return wrong(c, "buffer %.60s is scratch and a value of the graph", name);
        if (b->value.id && k->graph &&
            (b->value.id >= k->graph->count || ir_at(k->graph, b->value)->dtype != b->dtype))
            return wrong(c, "buffer %.60s is %s, its value @%u is not", name,
                         ir_dtypes[b->dtype].name, b->value.id);
        for (int j = 0; j < i && b->value.id; j++)
            if (k->buffer[j].value.id == b->value.id)
                return wrong(c, "two buffers of the value @%u; expected one", b->value.id);
    }
    return true;
}

static bool names_hold(struct check *c, const struct loop_block *block, uint64_t axes)
{
    const struct loop_kernel *k = c->k;

    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = c->at = block->at[i];
        bool memory = s->kind == LOOP_LOAD || s->kind == LOOP_STORE || s->kind == LOOP_TRANSPOSE ||
                      s->kind == LOOP_PREFETCH;
        if ((unsigned)s->kind > LOOP_BARRIER || (unsigned)s->op >= IR_OPS ||
            (unsigned)s->dtype >= IR_DTYPES)
            return wrong(c, "no statement");
        if (s->value >= k->values || s->args[0] >= k->values || s->args[1] >= k->values ||
            s->args[2] >= k->values)
            return wrong(c, "a value that the kernel does not have");
        if (memory && (s->buffer < 0 || s->buffer >= k->buffers || s->buffer2 < 0 ||
                       s->buffer2 >= k->buffers))
            return wrong(c, "a buffer that the kernel does not have");
        if (s->guards < 0 || s->guards > (int)(sizeof s->guard / sizeof *s->guard))
            return wrong(c, "%d conditions", s->guards);
        if (s->node.id && k->graph && s->node.id >= k->graph->count)
            return wrong(c, "node %u is not in the graph", s->node.id);
        if (!index_is_there(c, s->ix) || !index_is_there(c, s->ix2))
            return false;
        for (int g = 0; g < s->guards; g++)
            if (!index_is_there(c, s->guard[g].ix) || !index_is_there(c, s->guard[g].limit))
                return false;
        if (s->kind != LOOP_FOR) {
            if (s->body.count)
                return wrong(c, "a body; expected it of loops only");
            continue;
        }
        if (s->axis < 0 || s->axis >= k->axes)
            return wrong(c, "an axis that the kernel does not have");
        if (axes >> s->axis & 1)
            return wrong(c, "a loop inside of a loop along the same axis");
        if (!index_is_there(c, k->axis[s->axis].from) || !index_is_there(c, k->axis[s->axis].to) ||
            !names_hold(c, &s->body, axes | UINT64_C(1) << s->axis))
            return false;
    }
    return true;
}

/* ---- index expressions ---- */

/* axes and values of an index are in reach; what a value depends on was in reach where it was made
 */
static bool index_holds(struct check *c, loop_ix ix)
{
    const struct loop_kernel *k = c->k;

    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom *a = &k->atom[k->sum[ix].term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS && (a->a >= (uint32_t)k->axes || !(c->axes >> a->a & 1)))
            return wrong(c, "axis %.40s is used outside of its loop",
                         a->a < (uint32_t)k->axes && k->axis[a->a].name ? k->axis[a->a].name : "?");
        if (a->kind == LOOP_ATOM_VALUE && !c->reach[a->a])
            return wrong(c, "an index reads %%%u, which is not in reach", a->a);
        if (a->kind == LOOP_ATOM_VALUE && !strchr("iu", ir_dtypes[k->value[a->a].dtype].kind))
            return wrong(c, "an index reads %%%u, which is %s; expected an integer", a->a,
                         ir_dtypes[k->value[a->a].dtype].name);
        if (a->kind == LOOP_ATOM_DIV && !index_holds(c, a->a))
            return false;
    }
    return true;
}

static bool guards_hold(struct check *c, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards; i++)
        if (!index_holds(c, s->guard[i].ix) || !index_holds(c, s->guard[i].limit))
            return false;
    return true;
}

/* ---- elements that are touched ---- */

enum { FACTS = 4 * LOOP_AXES + 64, ROUNDS = 6 };
struct facts { /* expressions that are never negative here */
    loop_ix at[FACTS];
    int count;
};

static void add_fact(struct check *c, struct facts *f, loop_ix a, loop_ix minus, int64_t constant)
{
    struct loop_kernel *k = c->shadow;

    if (f->count == FACTS || k->sum[a].count + k->sum[minus].count > LOOP_TERMS)
        return;
    f->at[f->count++] =
        loop_plus(k, loop_plus(k, a, loop_scale(k, minus, -1)), loop_const(k, constant));
}

static void gather_facts(struct check *c, struct facts *f)
{
    struct loop_kernel *k = c->shadow;

    for (int i = 0; i <= c->depth; i++) {
        const struct loop_statement *s = i < c->depth ? c->around[i] : c->at;
        for (int g = 0; g < s->guards; g++) {
            add_fact(c, f, s->guard[g].ix, 0, 0);
            add_fact(c, f, s->guard[g].limit, s->guard[g].ix, -1);
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
    }
}

/* Least upper bound that the facts give, by adding them in: a fact is worth adding where it cancels
 * a term. */
static int64_t upper(struct check *c, const struct facts *f, loop_ix ix)
{
    struct loop_kernel *k = c->shadow;
    int64_t lo, best;

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
                    if (hi < best) {
                        best = hi;
                        next = with;
                    }
                }
        if (next == ix)
            break;
        ix = next;
    }
    return best;
}

/* what is known of x is known of x / d, and x - d * (x / d) is 0 .. d - 1 */
static void bound_quotients(struct check *c, struct facts *f, loop_ix ix)
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
        loop_ix whole = loop_scale(k, quotient, a.divisor);
        add_fact(c, f, a.a, whole, 0);
        add_fact(c, f, whole, a.a, a.divisor - 1);
    }
}

/* the same by up to `depth` facts that help only together; stops where the bound is low enough */
static int64_t search(struct check *c, const struct facts *f, loop_ix ix, int depth, int64_t enough)
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
static int64_t bounded(struct check *c, const struct facts *f, loop_ix ix, int64_t enough)
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
static bool reaches_only(struct check *c, int buffer, loop_ix ix, int64_t more, bool store)
{
    const struct loop_buffer *b = &c->k->buffer[buffer];
    int64_t lo, hi, end = b->elements;
    struct facts f = { .count = 0 };

    if (c->never)
        return true;
    if (!store) /* a load may run on, a store may not */
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
    struct ir_text text = { 0 };
    loop_put_ix(&text, c->k, ix);
    if (lo < 0)
        wrong(c, "[%.100s] goes down to %" PRId64 " of %.40s; expected 0 or more", text.data, lo,
              b->name ? b->name : "it");
    else
        wrong(c, "[%.100s] goes up to %" PRId64 "; expected less than %" PRId64 "%s", text.data,
              hi + more, end, store ? "" : ", over-run included");
    ir_text_free(&text);
    return false;
}

/* how far apart the values of an index may be */
static int64_t width(struct check *c, const struct facts *f, loop_ix ix)
{
    return upper(c, f, ix) + upper(c, f, loop_scale(c->shadow, ix, -1));
}

/*
 * No two iterations store in one element: each term of the index moves it further than all smaller
 * ones together can. Where an index is divided or read from memory, nothing is said.
 */
static bool stores_apart(struct check *c, const struct loop_statement *s)
{
    struct loop_kernel *k = c->shadow;
    struct loop_term term[LOOP_TERMS];
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
        while (at > 0 && llabs(term[at - 1].scale) > llabs(t->scale)) {
            term[at] = term[at - 1];
            at--;
        }
        term[at] = *t;
        count++;
    }
    gather_facts(c, &f);
    for (int i = 0; i < count && !c->never; i++) {
        const char *name = k->axis[k->atom[term[i].atom].a].name;
        int64_t reach = width(c, &f, smaller);
        if (llabs(term[i].scale) <= reach)
            return wrong(c,
                         "a step along %.40s is %" PRId64
                         " elements, and the loops inside reach %" PRId64
                         " further: they overwrite each other",
                         name ? name : "", term[i].scale, reach);
        smaller = loop_plus(k, smaller,
                            loop_scale(k, loop_atom_ix(k, k->atom[term[i].atom]), term[i].scale));
    }
    return true;
}

/* ---- values ---- */

static bool in_reach(struct check *c, uint32_t v)
{
    return c->reach[v] || wrong(c, v ? "%%%u is not in reach" : "an argument is missing", v);
}

static bool kind_fits(char kind, enum ir_dtype dtype)
{
    char is = ir_dtypes[dtype].kind;

    return kind == 'A' || (kind == 'B' && is == 'b') || (kind == 'F' && is == 'f') ||
           (kind == 'N' && is != 'b') || (kind == 'I' && is != 'f');
}

static bool types_differ(struct check *c, enum ir_dtype found, enum ir_dtype expected)
{
    return found == expected ||
           wrong(c, "found %s; expected %s", ir_dtypes[found].name, ir_dtypes[expected].name);
}

static bool arity_is(struct check *c, const struct loop_statement *s, int arity)
{
    for (int i = 0; i < 3; i++)
        if (i < arity ? !in_reach(c, s->args[i]) : s->args[i] != 0)
            return i < arity ? false : wrong(c, "more than %d arguments", arity);
    return true;
}

/* op on values of type `of`, with the result `dtype` */
static bool op_fits(struct check *c, enum ir_op op, enum ir_dtype of, enum ir_dtype dtype)
{
    const struct ir_op_info *info = &ir_ops[op];
    bool truth = info->group == IR_PREDICATE || info->group == IR_COMPARE;

    if (!kind_fits(info->kind, of))
        return wrong(c, "%s has no form for %s", info->name, ir_dtypes[of].name);
    return types_differ(c, dtype, truth ? IR_BOOL : of);
}

static bool let_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_value *v = c->k->value;

    switch (s->op) {
    case IR_POISON:
        if (ir_dtypes[s->dtype].kind != 'i')
            return wrong(c, "an index of type %s; expected i64 or i32", ir_dtypes[s->dtype].name);
        return arity_is(c, s, 0);
    case IR_const:
        return arity_is(c, s, 0);
    case IR_bits:
        return arity_is(c, s, 2) && types_differ(c, v[s->args[0]].dtype, IR_I64) &&
               types_differ(c, v[s->args[1]].dtype, IR_I64) && types_differ(c, s->dtype, IR_U32);
    case IR_cast:
        return arity_is(c, s, 1);
    case IR_bitcast:
        return arity_is(c, s, 1) &&
               (ir_dtypes[v[s->args[0]].dtype].bytes == ir_dtypes[s->dtype].bytes ||
                wrong(c, "%s and %s are of different sizes", ir_dtypes[v[s->args[0]].dtype].name,
                      ir_dtypes[s->dtype].name));
    case IR_stop_gradient: /* another name of the value */
        return arity_is(c, s, 1) && types_differ(c, v[s->args[0]].dtype, s->dtype);
    case IR_select:
        return arity_is(c, s, 3) && types_differ(c, v[s->args[0]].dtype, IR_BOOL) &&
               types_differ(c, v[s->args[1]].dtype, s->dtype) &&
               types_differ(c, v[s->args[2]].dtype, s->dtype);
    default:
        break;
    }
    if (ir_ops[s->op].group == IR_STRUCTURAL)
        return wrong(c, "no operation on single elements");
    if (!arity_is(c, s, ir_ops[s->op].arity))
        return false;
    for (int i = 1; i < ir_ops[s->op].arity; i++)
        if (!types_differ(c, v[s->args[i]].dtype, v[s->args[0]].dtype))
            return false;
    return op_fits(c, s->op, v[s->args[0]].dtype, s->dtype);
}

/* what a variable takes in from loops that it stands outside of arrives in their order */
static bool update_is_in_order(struct check *c, uint32_t variable)
{
    bool unrolled = false;

    for (int i = 0; i < c->depth; i++) {
        const struct loop_axis *a = &c->k->axis[c->around[i]->axis];
        if (c->inside[variable] >> c->around[i]->axis & 1 || a->hi - a->lo <= 1)
            continue;
        if (c->parallel >> c->around[i]->axis & 1)
            return wrong(c, "threads share the variable; expected it inside of their loop");
        if (a->role == LOOP_VECTOR && !a->ordered)
            return wrong(
                c, "lanes share the variable; expected it inside of their loop, or an ordered one");
        if (a->role == LOOP_SERIAL && unrolled) /* it stands once, around the copies of its body */
            return wrong(c, "a loop inside of an unrolled one would update it in another order");
        unrolled |= a->role == LOOP_UNROLL || a->role == LOOP_VECTOR;
    }
    return true;
}

static bool set_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_value *v = c->k->value;
    uint32_t target = s->args[0];

    if (!arity_is(c, s, s->op == IR_dot ? 3 : 2) ||
        !types_differ(c, v[s->args[1]].dtype, v[target].dtype) ||
        !types_differ(c, s->dtype, v[target].dtype))
        return false;
    if (!c->variable[target])
        return wrong(c, "it is no variable");
    if (s->op == IR_dot && !types_differ(c, v[s->args[2]].dtype, v[target].dtype))
        return false;
    if (s->op != IR_dot && s->op != IR_POISON &&
        (ir_ops[s->op].group != IR_BINARY || !op_fits(c, s->op, v[target].dtype, v[target].dtype)))
        return wrong(c, "%s does not update a %s", ir_ops[s->op].name,
                     ir_dtypes[v[target].dtype].name);
    if (s->op == IR_dot && ir_dtypes[v[target].dtype].kind == 'b')
        return wrong(c, "a product of truth values");
    return update_is_in_order(c, target);
}

static bool fold_holds(struct check *c, const struct loop_statement *s)
{
    static const enum ir_op ops[] = { IR_add, IR_mul, IR_max, IR_min, IR_and, IR_or };
    bool known = false;

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        known |= s->op == ops[i];
    if (!known)
        return wrong(c, "%s is no way to fold", ir_ops[s->op].name);
    if (!arity_is(c, s, 1))
        return false;
    if (!s->over || s->over & ~c->axes)
        return wrong(c, "over axes whose loops are not around it");
    if (s->over & ~c->unrolled)
        return wrong(c,
                     "over a loop that runs one after the other; expected unrolled ones and lanes");
    return types_differ(c, c->k->value[s->args[0]].dtype, s->dtype) &&
           op_fits(c, s->op, s->dtype, s->dtype);
}

static bool store_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_buffer *b = &c->k->buffer[s->buffer];
    uint64_t where = loop_axes_of(c->shadow, s->ix), side = (c->unrolled | c->parallel) & c->axes;

    if (!arity_is(c, s, 1) || !types_differ(c, c->k->value[s->args[0]].dtype, b->dtype) ||
        !types_differ(c, s->dtype, b->dtype))
        return false;
    if (!b->written && !b->scratch)
        return wrong(c, "the buffer is not marked as written");
    for (int i = 0; i < s->guards; i++)
        where |=
            loop_axes_of(c->shadow, s->guard[i].ix) | loop_axes_of(c->shadow, s->guard[i].limit);
    for (int i = 0; i < c->depth;
         i++) { /* iterations that may run at once must not write one element */
        int axis = c->around[i]->axis;
        const struct loop_axis *a = &c->k->axis[axis];
        bool differs = c->shadow->value[s->args[0]].depends >> axis & 1;
        if (!(side >> axis & 1) || where >> axis & 1 || a->hi - a->lo <= 1 || b->scratch)
            continue;
        if ((c->parallel >> axis & 1) || (differs && !a->ordered))
            return wrong(c, "all iterations along %.40s write the same element",
                         a->name ? a->name : "");
    }
    return reaches_only(c, s->buffer, s->ix, 0, true) && stores_apart(c, s);
}

/* what is known of an integer, for the indices that read it */
static void bound_value(struct check *c, const struct loop_statement *s)
{
    struct loop_value *v = c->shadow->value, *to = &v[s->value];
    int bits = 8 * ir_dtypes[s->dtype].bytes;
    char kind = ir_dtypes[s->dtype].kind;
    int64_t least = kind == 'i' ? bits < 64 ? -(INT64_C(1) << (bits - 1)) : -FAR : 0;
    int64_t most = kind == 'b'   ? 1
                   : bits == 64  ? FAR
                   : kind == 'i' ? (INT64_C(1) << (bits - 1)) - 1
                                 : (INT64_C(1) << bits) - 1;
    int64_t lo = least, hi = most;
    const struct loop_value *a = &v[s->args[0]], *b = &v[s->args[1]];

    if (kind == 'f')
        return;
    if (s->kind == LOOP_LET && s->op == IR_POISON) {
        loop_range(c->shadow, s->ix, &lo, &hi);
    } else if (s->kind == LOOP_LET && s->op == IR_const) {
        lo = hi = s->integer;
    } else if (s->kind == LOOP_LET && (s->op == IR_max || s->op == IR_min)) {
        lo = (s->op == IR_max) == (a->lo > b->lo) ? a->lo : b->lo;
        hi = (s->op == IR_max) == (a->hi > b->hi) ? a->hi : b->hi;
    } else if (s->kind == LOOP_LET && (s->op == IR_cast || s->op == IR_stop_gradient) &&
               ir_dtypes[c->k->value[s->args[0]].dtype].kind != 'f') {
        lo = a->lo;
        hi = a->hi;
    }
    bool wraps = lo < least || hi > most;
    to->bounded = true;
    to->lo = wraps ? least : lo;
    to->hi = wraps ? most : hi;
}

/* ---- statements ---- */

static bool block_holds(struct check *c, const struct loop_block *block, int folded);

static bool axis_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_axis *a = &c->k->axis[s->axis];
    bool spread = a->role == LOOP_PARALLEL || a->role == LOOP_GRID || a->role == LOOP_BLOCK;
    bool written_out = a->role == LOOP_UNROLL || a->role == LOOP_VECTOR;
    int64_t lo, hi;
    uint64_t read = loop_axes_of(c->shadow, a->from) | loop_axes_of(c->shadow, a->to);

    if ((unsigned)a->role > LOOP_BLOCK || a->step < 1 || a->hi <= a->lo)
        return wrong(c, "no role, no step or no range");
    if (!index_holds(c, a->from) || !index_holds(c, a->to) || !guards_hold(c, s))
        return false;
    loop_range(c->shadow, a->from, &lo, &hi);
    if (lo < a->lo)
        return wrong(c, "begins at %" PRId64 ", before its bound %" PRId64, lo, a->lo);
    if ((written_out || spread) && (a->lo || a->from))
        return wrong(c, "is written out or shared and does not begin at 0");
    for (int g = 0; g < s->guards; g++)
        read |=
            loop_axes_of(c->shadow, s->guard[g].ix) | loop_axes_of(c->shadow, s->guard[g].limit);
    if (!written_out &&
        read & c->unrolled) /* the loop stands once, and their bodies inside of it */
        return wrong(c, "its bounds or conditions depend on an unrolled loop around it");
    if (spread && a->ordered)
        return wrong(c, "a reduction goes along it in order, so it cannot be shared");
    if (spread && a->role == LOOP_PARALLEL && c->parallel)
        return wrong(c, "a parallel loop inside of another");
    if (spread && c->unrolled)
        return wrong(c, "a parallel loop inside of an unrolled one");
    if (a->role == LOOP_VECTOR && c->vector)
        return wrong(c, "lanes inside of lanes");
    if (a->role == LOOP_VECTOR && a->hi - a->lo > LOOP_LANES)
        return wrong(c, "%" PRId64 " lanes; expected at most %d", a->hi - a->lo, LOOP_LANES);
    return true;
}

static bool for_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_axis *a = &c->k->axis[s->axis];
    struct check before = *c;
    uint64_t bit = UINT64_C(1) << s->axis;
    int64_t lo, hi, end;

    if (!axis_holds(c, s))
        return false;
    loop_range(c->shadow, a->from, &lo, &hi);
    loop_range(c->shadow, a->to, &hi, &end);
    c->never |= end <= lo;
    for (int g = 0; g < s->guards; g++)
        c->never |= loop_guard_state(c->shadow, &s->guard[g]) == 0;
    c->axes |= bit;
    c->unrolled |= a->role == LOOP_UNROLL || a->role == LOOP_VECTOR ? bit : 0;
    c->vector |= a->role == LOOP_VECTOR ? bit : 0;
    c->parallel |=
        a->role == LOOP_PARALLEL || a->role == LOOP_GRID || a->role == LOOP_BLOCK ? bit : 0;
    c->around[c->depth++] = s;
    if (!block_holds(c, &s->body, a->role == LOOP_UNROLL || a->role == LOOP_VECTOR ? s->axis : -1))
        return false;
    c->depth = before.depth;
    c->axes = before.axes;
    c->unrolled = before.unrolled;
    c->vector = before.vector;
    c->parallel = before.parallel;
    c->never = before.never;
    return true;
}

static bool transpose_holds(struct check *c, const struct loop_statement *s)
{
    if (c->k->buffer[s->buffer].dtype != IR_F32 || c->k->buffer[s->buffer2].dtype != IR_F32)
        return wrong(c, "of elements that are not f32");
    if (s->pitch < 0 || s->pitch2 < 0 || s->pitch > FAR / 16 || s->pitch2 > FAR / 16)
        return wrong(c, "a pitch below 0 or out of bounds");
    return reaches_only(c, s->buffer, s->ix, 15 * s->pitch + 15, false) &&
           reaches_only(c, s->buffer2, s->ix2, 15 * s->pitch2 + 15, true);
}

static bool statement_holds(struct check *c, const struct loop_statement *s)
{
    const struct loop_buffer *b = s->buffer < c->k->buffers ? &c->k->buffer[s->buffer] : NULL;
    bool defines =
        s->kind == LOOP_LET || s->kind == LOOP_LOAD || s->kind == LOOP_VAR || s->kind == LOOP_FOLD;

    if (s->kind == LOOP_FOR)
        return for_holds(c, s);
    if (!index_holds(c, s->ix) || !index_holds(c, s->ix2) || !guards_hold(c, s))
        return false;
    if (defines && !s->value)
        return wrong(c, "it defines no value");
    if (s->value && s->kind != LOOP_TRANSPOSE && !defines)
        return wrong(c, "it has no value to define");
    if (defines && !types_differ(c, s->dtype, c->k->value[s->value].dtype))
        return false;
    if (s->guards && (s->kind == LOOP_LET || s->kind == LOOP_VAR || s->kind == LOOP_BARRIER))
        return wrong(c, "a condition; expected it of loops, loads, stores, updates and folds");
    switch (s->kind) {
    case LOOP_LET:
        return let_holds(c, s);
    case LOOP_LOAD:
        if (!b->read && !b->scratch)
            return wrong(c, "the buffer is not marked as read");
        return arity_is(c, s, 0) && types_differ(c, s->dtype, b->dtype) &&
               reaches_only(c, s->buffer, s->ix, 0, false);
    case LOOP_STORE:
        return store_holds(c, s);
    case LOOP_VAR:
        return arity_is(c, s, 1) && types_differ(c, c->k->value[s->args[0]].dtype, s->dtype);
    case LOOP_SET:
        return set_holds(c, s);
    case LOOP_FOLD:
        return fold_holds(c, s);
    case LOOP_TRANSPOSE:
        return transpose_holds(c, s);
    case LOOP_BARRIER:
        return !(c->parallel | c->unrolled) ||
               wrong(c, "inside of a loop that threads share or that is written out");
    default:
        return true;
    }
}

/* folded: the axis of the unrolled loop or the lanes whose body it is, else -1 */
static bool block_holds(struct check *c, const struct loop_block *block, int folded)
{
    uint32_t before = c->opened;

    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = c->at = block->at[i];
        if (!statement_holds(c, s))
            return false;
        if (!s->value)
            continue;
        if (c->reach[s->value])
            return wrong(c, "it is defined already");
        c->reach[s->value] = true;
        c->variable[s->value] = s->kind == LOOP_VAR;
        c->inside[s->value] = c->axes;
        c->over[s->value] = s->kind == LOOP_FOLD ? s->over : 0;
        c->open[c->opened++] = s->value;
        bound_value(c, s);
    }
    /* what is folded over an unrolled loop is one value for all of it, and goes on behind it */
    uint32_t kept = before;
    for (uint32_t i = before; i < c->opened; i++) {
        uint32_t v = c->open[i];
        if (folded >= 0 && c->over[v] >> folded & 1)
            c->open[kept++] = v;
        else
            c->reach[v] = false;
    }
    c->opened = kept;
    return true;
}

bool loop_verify(const struct loop_kernel *k, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct check c = { .k = k, .error = error };
    bool fine = false;

    c.reach = ir_alloc(arena, k->values * sizeof *c.reach);
    c.variable = ir_alloc(arena, k->values * sizeof *c.variable);
    c.inside = ir_alloc(arena, k->values * sizeof *c.inside);
    c.over = ir_alloc(arena, k->values * sizeof *c.over);
    c.open = ir_alloc(arena, k->values * sizeof *c.open);
    if (tables_hold(&c) && names_hold(&c, &k->body, 0)) {
        c.shadow = loop_shadow(k, arena);
        loop_depends(c.shadow);
        fine = block_holds(&c, &k->body, -1);
    }
    ir_arena_free(arena);
    return fine;
}
