/*
 * What always holds of a loop nest: a schedule may do anything that this accepts.
 *
 * First everything that is named by a number must be there, so that the rest may look at it. Then
 * the nest is walked as it would run: values in reach and types by the rows of ops.def
 * (loop_verify_value.c), roles of loops, and the elements that loads and stores touch
 * (loop_verify_reach.c).
 */
#include "loop_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void put_what(struct ir_text *t, const struct loop_check *c)
{
    const struct loop_statement *s = c->at;
    static const char *const word[] = { "for",  "",         "load",      "store",    "var",
                                        "set",  "fold",     "transpose", "prefetch", "copy",
                                        "meet", "fragment", "multiply" };

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
    if (s->kind == LOOP_SET || s->kind == LOOP_MULTIPLY)
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

bool loop_wrong(struct loop_check *c, const char *format, ...)
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

static bool index_is_there(struct loop_check *c, loop_ix ix)
{
    return ix < c->k->sums || loop_wrong(c, "index expression %u of %u", ix, c->k->sums);
}

static bool tables_hold(struct loop_check *c)
{
    const struct loop_kernel *k = c->k;

    for (uint32_t i = 0; i < k->sums; i++)
        for (int t = 0; t < k->sum[i].count; t++)
            if (k->sum[i].term[t].atom >= k->atoms || k->sum[i].term[t].scale == 0 ||
                (t && k->sum[i].term[t - 1].atom >= k->sum[i].term[t].atom))
                return loop_wrong(c, "index expression %u is not in its normal form", i);
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
            return loop_wrong(c, "a part of an index that is nothing");
    }
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const char *name = b->name ? b->name : "";
        if (b->elements < 0 || (unsigned)b->dtype >= IR_DTYPES)
            return loop_wrong(c, "buffer %.60s has no type or size", name);
        if (b->scratch && b->value.id)
            return loop_wrong(c, "buffer %.60s is scratch and a value of the graph", name);
        if (b->value.id && k->graph &&
            (b->value.id >= k->graph->count || ir_at(k->graph, b->value)->dtype != b->dtype))
            return loop_wrong(c, "buffer %.60s is %s, its value @%u is not", name,
                              ir_dtypes[b->dtype].name, b->value.id);
        for (int j = 0; j < i && b->value.id; j++)
            if (k->buffer[j].value.id == b->value.id)
                return loop_wrong(c, "two buffers of the value @%u; expected one", b->value.id);
    }
    return true;
}

static bool names_hold(struct loop_check *c, const struct loop_block *block, uint64_t axes)
{
    const struct loop_kernel *k = c->k;

    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = c->at = block->at[i];
        bool memory = s->kind == LOOP_LOAD || s->kind == LOOP_STORE || s->kind == LOOP_TRANSPOSE ||
                      s->kind == LOOP_PREFETCH || s->kind == LOOP_COPY || s->kind == LOOP_FRAGMENT;
        if ((unsigned)s->kind > LOOP_MULTIPLY || (unsigned)s->op >= IR_OPS ||
            (unsigned)s->dtype >= IR_DTYPES)
            return loop_wrong(c, "no statement");
        if (s->value >= k->values || s->args[0] >= k->values || s->args[1] >= k->values ||
            s->args[2] >= k->values)
            return loop_wrong(c, "a value that the kernel does not have");
        if (memory && (s->buffer < 0 || s->buffer >= k->buffers || s->buffer2 < 0 ||
                       s->buffer2 >= k->buffers))
            return loop_wrong(c, "a buffer that the kernel does not have");
        if (s->guards < 0 || (s->guards && !s->guard))
            return loop_wrong(c, "%d conditions", s->guards);
        if (s->node.id && k->graph && s->node.id >= k->graph->count)
            return loop_wrong(c, "node %u is not in the graph", s->node.id);
        if (!index_is_there(c, s->ix) || !index_is_there(c, s->ix2))
            return false;
        for (int g = 0; g < s->guards; g++)
            if (!index_is_there(c, s->guard[g].ix) || !index_is_there(c, s->guard[g].limit))
                return false;
        if (s->kind != LOOP_FOR) {
            if (s->body.count)
                return loop_wrong(c, "a body; expected it of loops only");
            continue;
        }
        if (s->axis < 0 || s->axis >= k->axes)
            return loop_wrong(c, "an axis that the kernel does not have");
        if (axes >> s->axis & 1)
            return loop_wrong(c, "a loop inside of a loop along the same axis");
        if (!index_is_there(c, k->axis[s->axis].from) || !index_is_there(c, k->axis[s->axis].to) ||
            !names_hold(c, &s->body, axes | UINT64_C(1) << s->axis))
            return false;
    }
    return true;
}

/* ---- index expressions ---- */

/* axes and values of an index are in reach; what a value depends on was in reach where it was made
 */
static bool index_holds(struct loop_check *c, loop_ix ix)
{
    const struct loop_kernel *k = c->k;

    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom *a = &k->atom[k->sum[ix].term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS && (a->a >= (uint32_t)k->axes || !(c->axes >> a->a & 1)))
            return loop_wrong(c, "axis %.40s is used outside of its loop",
                              a->a < (uint32_t)k->axes && k->axis[a->a].name ? k->axis[a->a].name
                                                                             : "?");
        if (a->kind == LOOP_ATOM_VALUE && !c->reach[a->a])
            return loop_wrong(c, "an index reads %%%u, which is not in reach", a->a);
        if (a->kind == LOOP_ATOM_VALUE && !strchr("iu", ir_dtypes[k->value[a->a].dtype].kind))
            return loop_wrong(c, "an index reads %%%u, which is %s; expected an integer", a->a,
                              ir_dtypes[k->value[a->a].dtype].name);
        if (a->kind == LOOP_ATOM_DIV && !index_holds(c, a->a))
            return false;
    }
    return true;
}

static bool guards_hold(struct loop_check *c, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards; i++)
        if (!index_holds(c, s->guard[i].ix) || !index_holds(c, s->guard[i].limit))
            return false;
    return true;
}

/* ---- statements ---- */

static bool block_holds(struct loop_check *c, const struct loop_block *block, int folded);

static bool axis_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_axis *a = &c->k->axis[s->axis];
    bool spread = a->role == LOOP_PARALLEL || a->role == LOOP_GRID || a->role == LOOP_BLOCK;
    bool written_out = a->role == LOOP_UNROLL || a->role == LOOP_VECTOR;
    int64_t lo, hi;
    uint64_t read = loop_axes_of(c->shadow, a->from) | loop_axes_of(c->shadow, a->to);

    if ((unsigned)a->role > LOOP_BLOCK || a->step < 1 || a->hi <= a->lo)
        return loop_wrong(c, "no role, no step or no range");
    if (!index_holds(c, a->from) || !index_holds(c, a->to) || !guards_hold(c, s))
        return false;
    loop_range(c->shadow, a->from, &lo, &hi);
    if (lo < a->lo)
        return loop_wrong(c, "begins at %" PRId64 ", before its bound %" PRId64, lo, a->lo);
    if ((written_out || spread) && (a->lo || a->from))
        return loop_wrong(c, "is written out or shared and does not begin at 0");
    for (int g = 0; g < s->guards; g++)
        read |=
            loop_axes_of(c->shadow, s->guard[g].ix) | loop_axes_of(c->shadow, s->guard[g].limit);
    if (!written_out &&
        read & c->unrolled) /* the loop stands once, and their bodies inside of it */
        return loop_wrong(c, "its bounds or conditions depend on an unrolled loop around it");
    if (spread && a->ordered)
        return loop_wrong(c, "a reduction goes along it in order, so it cannot be shared");
    if (spread && a->role == LOOP_PARALLEL && c->parallel)
        return loop_wrong(c, "a parallel loop inside of another");
    if (spread && c->unrolled)
        return loop_wrong(c, "a parallel loop inside of an unrolled one");
    if (a->role == LOOP_VECTOR && c->vector)
        return loop_wrong(c, "lanes inside of lanes");
    if (a->role == LOOP_VECTOR && a->hi - a->lo > LOOP_LANES)
        return loop_wrong(c, "%" PRId64 " lanes; expected at most %d", a->hi - a->lo, LOOP_LANES);
    return true;
}

static bool for_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_axis *a = &c->k->axis[s->axis];
    struct loop_check before = *c;
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
    c->members |= a->role == LOOP_BLOCK ? bit : 0;
    c->around[c->depth++] = s;
    if (!block_holds(c, &s->body, (c->unrolled | c->members) & bit ? s->axis : -1))
        return false;
    c->depth = before.depth;
    c->axes = before.axes;
    c->unrolled = before.unrolled;
    c->vector = before.vector;
    c->parallel = before.parallel;
    c->members = before.members;
    c->never = before.never;
    return true;
}

static bool transpose_holds(struct loop_check *c, const struct loop_statement *s)
{
    if (c->k->buffer[s->buffer].dtype != IR_F32 || c->k->buffer[s->buffer2].dtype != IR_F32)
        return loop_wrong(c, "of elements that are not f32");
    if (s->pitch < 0 || s->pitch2 < 0 || s->pitch > LOOP_FAR / 16 || s->pitch2 > LOOP_FAR / 16)
        return loop_wrong(c, "a pitch below 0 or out of bounds");
    return loop_reaches_only(c, s->buffer, s->ix, 15 * s->pitch + 15, false) &&
           loop_reaches_only(c, s->buffer2, s->ix2, 15 * s->pitch2 + 15, true);
}

/* what lies before and behind a tile is another's */
static bool copy_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_buffer *to = &c->k->buffer[s->buffer2];

    if (!to->scratch || !c->members)
        return loop_wrong(c, "into what is no tile of a block");
    if (s->pitch < 1 || s->pitch > LOOP_LANES || (s->args[0] && s->pitch != 1))
        return loop_wrong(c, "of %" PRId64 " elements", s->pitch);
    if (!loop_types_agree(
            c, s->args[0] ? c->k->value[s->args[0]].dtype : c->k->buffer[s->buffer].dtype,
            to->dtype))
        return false;
    if (!s->args[0] && !c->k->buffer[s->buffer].read)
        return loop_wrong(c, "the buffer is not marked as read");
    return (s->args[0] || loop_reaches_only(c, s->buffer, s->ix, s->pitch - 1, false)) &&
           loop_reaches_only(c, s->buffer2, s->ix2, s->pitch - 1, true);
}

static bool statement_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_buffer *b = s->buffer < c->k->buffers ? &c->k->buffer[s->buffer] : NULL;
    bool defines = s->kind == LOOP_LET || s->kind == LOOP_LOAD || s->kind == LOOP_VAR ||
                   s->kind == LOOP_FOLD || s->kind == LOOP_FRAGMENT;

    if (s->kind == LOOP_FOR)
        return for_holds(c, s);
    if (!index_holds(c, s->ix) || !index_holds(c, s->ix2) || !guards_hold(c, s))
        return false;
    if (defines && !s->value)
        return loop_wrong(c, "it defines no value");
    if (s->value && s->kind != LOOP_TRANSPOSE && !defines)
        return loop_wrong(c, "it has no value to define");
    if (defines && !loop_types_agree(c, s->dtype, c->k->value[s->value].dtype))
        return false;
    if (s->guards && (s->kind == LOOP_LET || s->kind == LOOP_VAR))
        return loop_wrong(c, "a condition; expected it of loops, loads, stores, updates and folds");
    switch (s->kind) {
    case LOOP_LET:
        return loop_let_holds(c, s);
    case LOOP_LOAD:
        if (!b->read && !b->scratch)
            return loop_wrong(c, "the buffer is not marked as read");
        return loop_arity_is(c, s, 0) && loop_types_agree(c, s->dtype, b->dtype) &&
               loop_reaches_only(c, s->buffer, s->ix, 0, false);
    case LOOP_STORE:
        return loop_store_holds(c, s);
    case LOOP_VAR:
        return loop_arity_is(c, s, 1) &&
               loop_types_agree(c, c->k->value[s->args[0]].dtype, s->dtype);
    case LOOP_SET:
        return loop_set_holds(c, s);
    case LOOP_FOLD:
        return loop_fold_holds(c, s);
    case LOOP_TRANSPOSE:
        return transpose_holds(c, s);
    case LOOP_COPY:
        return loop_arity_is(c, s, s->args[0] ? 1 : 0) && copy_holds(c, s);
    case LOOP_MEET:
        return (c->members && !s->guards) ||
               loop_wrong(c, "without a block of threads, or on a condition");
    case LOOP_FRAGMENT:
        return loop_fragment_holds(c, s);
    case LOOP_MULTIPLY:
        return loop_multiply_holds(c, s);
    default:
        return true;
    }
}

/* folded: the axis of the unrolled loop, the lanes or the threads whose body it is, else -1 */
static bool block_holds(struct loop_check *c, const struct loop_block *block, int folded)
{
    uint32_t before = c->opened;

    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = c->at = block->at[i];
        if (!statement_holds(c, s))
            return false;
        if (!s->value)
            continue;
        if (c->reach[s->value])
            return loop_wrong(c, "it is defined already");
        c->reach[s->value] = true;
        c->variable[s->value] = s->kind == LOOP_VAR;
        c->fragment[s->value] = s->kind == LOOP_FRAGMENT;
        c->inside[s->value] = c->axes;
        c->over[s->value] = s->kind == LOOP_FOLD ? s->over : 0;
        c->open[c->opened++] = s->value;
        loop_bound_value(c, s);
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

void loop_assert(const struct loop_kernel *k, const char *pass)
{
    const char *wish = getenv("TAPER_VERIFY");
    struct ir_error error = { 0 };
    struct ir_text nest = { 0 };

    if (!wish || strcmp(wish, "1") != 0 || loop_verify(k, &error))
        return;
    loop_print(&nest, k);
    ir_bug("%s has made a nest that is not sound: %s\n%s", pass, error.text, nest.data);
}

bool loop_verify(const struct loop_kernel *k, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct loop_check c = { .k = k, .error = error };
    bool fine = false;

    c.reach = ir_alloc(arena, k->values * sizeof *c.reach);
    c.variable = ir_alloc(arena, k->values * sizeof *c.variable);
    c.fragment = ir_alloc(arena, k->values * sizeof *c.fragment);
    c.inside = ir_alloc(arena, k->values * sizeof *c.inside);
    c.over = ir_alloc(arena, k->values * sizeof *c.over);
    c.open = ir_alloc(arena, k->values * sizeof *c.open);
    if (tables_hold(&c) && names_hold(&c, &k->body, 0)) {
        c.shadow = loop_shadow(k, arena);
        loop_depends(c.shadow);
        for (int i = 0; i < k->axes; i++)
            c.on_gpu |= k->axis[i].role == LOOP_GRID || k->axis[i].role == LOOP_BLOCK;
        fine = block_holds(&c, &k->body, -1);
    }
    ir_arena_free(arena);
    return fine;
}
