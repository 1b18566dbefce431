/*
 * statement: statements and loops, one line each.
 *
 * A statement inside unrolled loops stands once for every index of those that it depends on. What
 * depends on the vector axis is spelled in lanes; where it has no form in lanes (a gather, a
 * stride, a condition of some lanes), it is a loop over the lanes, which compilers know what to do
 * with.
 */
#include "codegen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define LANE "lane"

__attribute__((format(printf, 2, 3))) static void line(struct gen *e, const char *format, ...)
{
    va_list list;
    char text[4096];

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    ir_put(e->out, "%*s%s\n", 4 * e->depth, "", text);
}

static void *grown(struct gen *e, void *old, int count, int *room, size_t size)
{
    if (count < *room)
        return old;
    void *bigger = ir_alloc(e->arena, (size_t)(2 * *room + 32) * size);
    if (count)
        memcpy(bigger, old, (size_t)count * size);
    *room = 2 * *room + 32;
    return bigger;
}

/* ---- names of instances ---- */

static void call_it(struct gen *e, uint32_t value, const char *name)
{
    struct gen_alias a = { .value = value, .name = name, .before = e->newest[value] };

    for (int u = 0; u < e->unrolls; u++)
        a.index[u] = e->at[e->unrolled[u]];
    e->alias = grown(e, e->alias, e->aliases, &e->alias_room, sizeof *e->alias);
    e->newest[value] = e->aliases;
    e->alias[e->aliases++] = a;
}

/* names end with the block they were made in */
static void forget_names(struct gen *e, int kept)
{
    while (e->aliases > kept) {
        const struct gen_alias *a = &e->alias[--e->aliases];
        e->newest[a->value] = a->before;
    }
}

/* is it the name of a buffer or an axis? */
static bool taken(const struct gen *e, const char *name)
{
    for (int i = 0; i < e->k->buffers; i++)
        if (!strcmp(e->buffer[i], name))
            return true;
    for (int i = 0; i < e->k->axes; i++)
        if (!strcmp(e->axis[i], name))
            return true;
    return false;
}

/* a fresh name: what it is, its number, and the indices of the unrolled loops that it differs by */
static const char *new_name(struct gen *e, const struct loop_statement *s)
{
    const char *what = s->kind == LOOP_LOAD ? e->buffer[s->buffer] : NULL;
    struct ir_text text = { 0 };
    uint64_t depends = e->k->value[s->value].depends;

    if (s->kind == LOOP_LET)
        what = s->op == IR_POISON ? "at" : s->op == IR_const ? "number" : ir_ops[s->op].name;
    if (s->kind == LOOP_VAR)
        what = "sum";
    if (s->kind == LOOP_FOLD)
        what = s->op == IR_add ? "total" : ir_ops[s->op].name;
    const char *tail = strrchr(what, '_');
    if (s->kind == LOOP_LOAD && tail && tail[1] >= 'a' && tail[1] <= 'z')
        what = tail + 1; /* fc1_weight -> weight */
    int letters = (int)strnlen(what, 12);
    while (letters > 0 &&
           strchr("0123456789_", what[letters - 1])) /* the number begins where the word ends */
        letters--;
    ir_put(&text, "%.*s%u", letters ? letters : 1, letters ? what : "v", s->value);
    for (int u = 0; u < e->unrolls; u++)
        if (depends >> e->unrolled[u] & 1)
            ir_put(&text, "_%d", e->at[e->unrolled[u]]);
    while (taken(e, text.data))
        ir_put(&text, "_");
    const char *kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    call_it(e, s->value, kept);
    return kept;
}

static const char *comment(struct gen *e, const struct loop_statement *s)
{
    const struct ir_node *n = s->node.id ? ir_at(e->k->graph, s->node) : NULL;
    const char *place = gen_place(e->arena, s->loc, n ? n->name : NULL);

    return place ? ir_format(e->arena, " // %s", place) : "";
}

/* ---- loads and stores ---- */

static const char *element(struct gen *e, int buffer, loop_ix ix)
{
    return ir_format(e->arena, "%s[%s]", e->buffer[buffer], gen_index_text(e, ix));
}

/* buffer + index, without the + 0 */
static const char *address(struct gen *e, int buffer, loop_ix ix)
{
    const char *at = gen_index_text(e, ix);

    return strcmp(at, "0") ? ir_format(e->arena, "%s + %s", e->buffer[buffer], at)
                           : e->buffer[buffer];
}

/* does the index advance by one from lane to lane */
static bool contiguous(struct gen *e, loop_ix ix)
{
    bool linear;

    return loop_coefficient(e->k, gen_instance(e, ix), e->vector, &linear) == 1 && linear;
}

/* does a condition that is not settled differ from lane to lane */
static bool guard_varies(struct gen *e, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards && e->vector >= 0; i++) {
        struct loop_guard g = { gen_instance(e, s->guard[i].ix),
                                gen_instance(e, s->guard[i].limit) };
        if (loop_guard_state(e->k, &g) != 1 &&
            ((loop_axes_of(e->k, g.ix) | loop_axes_of(e->k, g.limit)) >> e->vector & 1))
            return true;
    }
    return false;
}

static void begin_lanes(struct gen *e)
{
    line(e, "for (int " LANE " = 0; " LANE " < 16; " LANE "++)");
    e->lane = LANE;
    e->depth++;
}

static void end_lanes(struct gen *e)
{
    e->lane = NULL;
    e->depth--;
}

static void put_load(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value), varies = guard_varies(e, s);
    enum ir_dtype dtype = s->dtype;
    const char *type = gen_type(e, dtype, vector), *condition = NULL;

    if (!varies)
        condition = gen_condition(e, s->guard, s->guards);
    if (condition && !strcmp(condition, "0")) {
        const char *otherwise = gen_literal(e, dtype, s->number, (int64_t)s->number);
        call_it(e, s->value,
                vector ? ir_format(e->arena, "splat_%s(%s)", type, otherwise) : otherwise);
        return;
    }
    if (!condition && !varies) { /* loaded before? */
        const char *text = ir_format(e->arena, "%d %s", vector, gen_index_text(e, s->ix));
        for (int i = e->loads; i-- > 0;)
            if (e->loaded[i].buffer == s->buffer && !strcmp(e->loaded[i].text, text)) {
                call_it(e, s->value, e->loaded[i].name);
                return;
            }
        e->loaded = grown(e, e->loaded, e->loads, &e->load_room, sizeof *e->loaded);
        const char *name = new_name(e, s);
        e->loaded[e->loads++] = (struct gen_loaded){ s->buffer, text, name };
        if (!vector) {
            line(e, "const %s %s = %s;", type, name, element(e, s->buffer, s->ix));
            return;
        }
        if (contiguous(e, s->ix)) {
            if (dtype == IR_BOOL)
                line(e, "const i32x16 %s = load_mask_i32x16(%s);", name,
                     address(e, s->buffer, s->ix));
            else
                line(e, "const %s %s = load_%s(%s);", type, name, type,
                     address(e, s->buffer, s->ix));
            return;
        }
        line(e, "%s %s;", type, name);
        begin_lanes(e);
        line(e, dtype == IR_BOOL ? "%s[" LANE "] = -%s;" : "%s[" LANE "] = %s;", name,
             element(e, s->buffer, s->ix));
        end_lanes(e);
        return;
    }
    const char *otherwise = gen_literal(e, dtype, s->number, (int64_t)s->number);
    const char *name = new_name(e, s);
    if (!vector) {
        line(e, "const %s %s = %s ? %s : %s;", type, name, condition, element(e, s->buffer, s->ix),
             otherwise);
        return;
    }
    if (varies || !contiguous(e, s->ix)) {
        line(e, "%s %s;", type, name);
        begin_lanes(e);
        condition = gen_condition(e, s->guard, s->guards);
        line(e, dtype == IR_BOOL ? "%s[" LANE "] = %s ? -%s : %s;" : "%s[" LANE "] = %s ? %s : %s;",
             name, condition ? condition : "1", element(e, s->buffer, s->ix), otherwise);
        end_lanes(e);
        return;
    }
    line(e, "%s %s = { 0 };", type, name);
    line(e, "if (%s)", condition);
    if (dtype == IR_BOOL)
        line(e, "    %s = load_mask_i32x16(%s);", name, address(e, s->buffer, s->ix));
    else
        line(e, "    %s = load_%s(%s);", name, type, address(e, s->buffer, s->ix));
}

static void forget_loads(struct gen *e, int buffer)
{
    int kept = 0;

    for (int i = 0; i < e->loads; i++)
        if (e->loaded[i].buffer != buffer)
            e->loaded[kept++] = e->loaded[i];
    e->loads = kept;
}

/* `base + lane < limit` and nothing else: the first lanes are stored. Gives how many, perhaps more
 * than there are. */
static const char *first_lanes(struct gen *e, const struct loop_statement *s)
{
    const char *count = NULL;

    for (int i = 0; i < s->guards; i++) {
        struct loop_guard g = { gen_instance(e, s->guard[i].ix),
                                gen_instance(e, s->guard[i].limit) };
        bool linear;
        int64_t lo, hi, most;
        if (loop_guard_state(e->k, &g) == 1)
            continue;
        loop_range(e->k, g.ix, &lo, &hi);
        if (count || lo < 0 || loop_coefficient(e->k, g.ix, e->vector, &linear) != 1 || !linear ||
            loop_axes_of(e->k, g.limit) >> e->vector & 1)
            return NULL;
        loop_ix first = loop_replace(e->k, g.ix, e->vector, loop_const(e->k, 0));
        loop_ix left = loop_plus(e->k, g.limit, loop_scale(e->k, first, -1));
        loop_range(e->k, left, &lo, &most);
        count = gen_index_text(e, left);
    }
    return count ? count : "16";
}

static void put_store(struct gen *e, const struct loop_statement *s)
{
    bool vector =
        e->vector >= 0 && (gen_is_vector(e, s->args[0]) ||
                           (loop_axes_of(e->k, s->ix) >> e->vector & 1) || guard_varies(e, s));
    const char *type = gen_type(e, s->dtype, vector), *said = comment(e, s);
    const char *mask = s->dtype == IR_BOOL ? "mask_" : "", *count = NULL;

    forget_loads(e, s->buffer);
    if (!guard_varies(e, s)) {
        const char *condition = gen_condition(e, s->guard, s->guards);
        if (condition && !strcmp(condition, "0"))
            return;
        if (e->threads > 1) /* all of them have it, one stores it */
            condition =
                condition ? ir_format(e->arena, "thread == 0 && %s", condition) : "thread == 0";
        if (condition) {
            line(e, "if (%s)", condition);
            e->depth++;
        }
        if (!vector)
            line(e,
                 s->dtype == IR_BOOL && gen_is_vector(e, s->args[0]) ? "%s = %s & 1;%s"
                                                                     : "%s = %s;%s",
                 element(e, s->buffer, s->ix), gen_name(e, s->args[0]), said);
        else if (contiguous(e, s->ix))
            line(e, "store_%s%s(%s, %s);%s", mask, type, address(e, s->buffer, s->ix),
                 gen_operand(e, s->args[0], true), said);
        else
            count = "16";
        if (condition)
            e->depth--;
        if (!count)
            return;
        if (condition)
            e->depth++;
    } else if (contiguous(e, s->ix) && s->dtype != IR_BOOL && (count = first_lanes(e, s))) {
        const char *to = address(e, s->buffer, s->ix), *value = gen_operand(e, s->args[0], true);
        if (e->k->buffer[s->buffer]
                .padded) { /* the vector that holds the last element is stored whole */
            line(e, "if (%s > 0)", count);
            line(e, "    store_%s(%s, %s);%s", type, to, value, said);
        } else if (strspn(count, "0123456789") == strlen(count)) {
            line(e, "store_part_%s(%s, %s, %s);%s", type, to, count, value, said);
        } else {
            line(e, "if (%s >= 16)", count);
            line(e, "    store_%s(%s, %s);%s", type, to, value, said);
            line(e, "else if (%s > 0)", count);
            line(e, "    store_part_%s(%s, %s, %s);", type, to, count, value);
        }
        return;
    }
    const char *name = gen_operand(e, s->args[0], true);
    bool lanes = gen_is_vector(e, s->args[0]);
    begin_lanes(e);
    const char *condition = guard_varies(e, s) ? gen_condition(e, s->guard, s->guards) : NULL;
    if (condition)
        line(e, "if (%s)", condition);
    line(e, s->dtype == IR_BOOL ? "%s%s = %s & 1;%s" : "%s%s = %s;%s", condition ? "    " : "",
         element(e, s->buffer, s->ix),
         lanes ? ir_format(e->arena, "%s[" LANE "]", name) : gen_name(e, s->args[0]), said);
    end_lanes(e);
    if (!guard_varies(e, s) && gen_condition(e, s->guard, s->guards))
        e->depth--;
}

/* ---- values ---- */

static void put_let(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value);
    const char *text = gen_expression(e, s, vector), *type = gen_type(e, s->dtype, vector);

    if (s->op == IR_const) { /* a number is spelled where it is used */
        call_it(e, s->value, text[0] == '-' ? ir_format(e->arena, "(%s)", text) : text);
        return;
    }
    if (text) {
        const char *name = new_name(e, s);
        line(e, "const %s %s = %s;%s", type, name, text, comment(e, s));
        return;
    }
    const char *name = new_name(e, s);
    line(e, "%s %s;", type, name);
    begin_lanes(e);
    text = gen_expression(e, s, true);
    line(e, s->dtype == IR_BOOL ? "%s[" LANE "] = -(%s);" : "%s[" LANE "] = %s;", name, text);
    end_lanes(e);
}

static void put_var(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value);
    const char *start = gen_operand(e, s->args[0], vector), *type = gen_type(e, s->dtype, vector);
    const char *name = new_name(e, s);

    line(e, "%s %s = %s;", type, name, start);
}

/* the new value of a variable; a uniform b */
static const char *updated(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype dtype = e->k->value[s->args[0]].dtype;
    const char *type = gen_type(e, dtype, vector);

    if (s->op == IR_POISON)
        return gen_operand(e, s->args[1], vector);
    if (s->op == IR_dot) {
        const char *a = gen_operand(e, s->args[1], vector), *b = gen_operand(e, s->args[2], vector);
        const char *sum = gen_name(e, s->args[0]);
        if (ir_dtypes[dtype].kind == 'f')
            return ir_format(e->arena, "fma_%s(%s, %s, %s)", type, a, b, sum);
        return ir_format(e->arena, "%s + %s * %s", sum, a, b);
    }
    struct loop_statement step = {
        .kind = LOOP_LET, .op = s->op, .dtype = dtype, .args = { s->args[0], s->args[1] }
    };
    return gen_expression(e, &step, vector);
}

static void put_set(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->args[0]), apart = guard_varies(e, s);
    const char *name = gen_name(e, s->args[0]);

    /* what is added lane by lane to one number is added in the lanes' order */
    apart |= !vector && ((s->args[1] && gen_is_vector(e, s->args[1])) ||
                         (s->args[2] && gen_is_vector(e, s->args[2])));
    if (!apart) {
        const char *condition = gen_condition(e, s->guard, s->guards);
        if (condition && !strcmp(condition, "0"))
            return;
        if (condition)
            line(e, "if (%s)", condition);
        line(e, "%s%s = %s;", condition ? "    " : "", name, updated(e, s, vector));
        return;
    }
    begin_lanes(e);
    const char *condition = gen_condition(e, s->guard, s->guards), *value = updated(e, s, true);
    if (condition)
        line(e, "if (%s)", condition);
    if (!vector)
        line(e, "%s%s = %s;", condition ? "    " : "", name, value);
    else
        line(e,
             e->k->value[s->args[0]].dtype == IR_BOOL ? "%s%s[" LANE "] = -(%s);"
                                                      : "%s%s[" LANE "] = %s;",
             condition ? "    " : "", name, value);
    end_lanes(e);
}

/* ---- folds ---- */

/* the lanes outside a guard take the value that changes nothing */
static const char *inside_only(struct gen *e, const struct loop_statement *s, const char *type,
                               const char *neutral)
{
    const char *name = gen_operand(e, s->args[0], true);
    bool linear;

    for (int i = 0; i < s->guards; i++) {
        struct loop_guard g = { gen_instance(e, s->guard[i].ix),
                                gen_instance(e, s->guard[i].limit) };
        int64_t lo, hi;
        int state = loop_guard_state(e->k, &g);
        if (state == 1)
            continue;
        if (state == 0)
            return ir_format(e->arena, s->dtype == IR_BOOL ? "splat_%s(-%s)" : "splat_%s(%s)", type,
                             neutral);
        loop_range(e->k, g.ix, &lo, &hi);
        if (lo < 0 || loop_coefficient(e->k, g.ix, e->vector, &linear) != 1 || !linear)
            ir_bug("kernel %s folds lanes under a condition that is not `lane < n`", e->k->name);
        loop_ix left =
            loop_plus(e->k, g.limit, loop_scale(e->k, loop_replace(e->k, g.ix, e->vector, 0), -1));
        const char *mask =
            ir_format(e->arena, "iota_i32x16() < (i32)(%s)", gen_index_text(e, left));
        if (ir_dtypes[s->dtype].bytes == 8)
            mask = ir_format(e->arena, "__builtin_convertvector(%s, i64x16)", mask);
        if (s->dtype == IR_BOOL)
            name = ir_format(e->arena, "select_i32x16(%s, %s, splat_i32x16(-%s))", mask, name,
                             neutral);
        else
            name = ir_format(e->arena, "select_%s(%s, %s, splat_%s(%s))", type, mask, name, type,
                             neutral);
    }
    return name;
}

static const char *neutral_of(struct gen *e, enum ir_op op, enum ir_dtype dtype)
{
    int bits = 8 * ir_dtypes[dtype].bytes;
    bool whole = ir_dtypes[dtype].kind == 'i';

    switch (op) {
    case IR_mul:
    case IR_and:
        return gen_literal(e, dtype, 1, 1);
    case IR_max:
        return gen_literal(e, dtype, -__builtin_inf(), whole ? INT64_MIN >> (64 - bits) : 0);
    case IR_min:
        return gen_literal(e, dtype, __builtin_inf(),
                           whole ? INT64_MAX >> (64 - bits) : (int64_t)(UINT64_MAX >> (64 - bits)));
    default:
        return gen_literal(e, dtype, 0, 0);
    }
}

static const char *combined(struct gen *e, const struct loop_statement *s, const char *type,
                            const char *a, const char *b)
{
    switch (s->op) {
    case IR_add:
        return ir_format(e->arena, "(%s + %s)", a, b);
    case IR_mul:
        return ir_format(e->arena, "%s * %s", a, b);
    case IR_and:
        return ir_format(e->arena, "(%s & %s)", a, b);
    case IR_or:
        return ir_format(e->arena, "(%s | %s)", a, b);
    default:
        return ir_format(e->arena, "%s_%s(%s, %s)", ir_ops[s->op].name, type, a, b);
    }
}

/* over the threads of a block */
static bool fold_threads(struct gen *e, const struct loop_statement *s)
{
    const char *result = gen_type(e, s->dtype, false), *x = gen_name(e, s->args[0]);
    bool threads = false;

    for (int i = 0; i < e->k->axes; i++)
        threads |= (s->over >> i & 1) && e->k->axis[i].role == LOOP_BLOCK;
    if (!threads)
        return false;
    const char *name = new_name(e, s);
    line(e, "const %s %s = %sfold_%s_%s(%s);%s", result, name,
         s->op == IR_add && ir_dtypes[s->dtype].kind == 'f' ? "0 + " : "", ir_ops[s->op].name,
         result, x, comment(e, s));
    return true;
}

static void put_fold(struct gen *e, const struct loop_statement *s)
{
    if (fold_threads(e, s))
        return;
    const char *part[64], *neutral = neutral_of(e, s->op, s->dtype);
    const char *type = gen_type(e, s->dtype, true);
    int parts = 0, axis = -1;
    enum ir_dtype dtype = s->dtype;

    for (int u = 0; u < e->unrolls; u++)
        if (s->over >> e->unrolled[u] & 1)
            axis = e->unrolled[u];
    int copies = axis < 0 ? 1 : (int)e->k->axis[axis].hi;
    int before = axis < 0 ? 0 : e->at[axis];
    for (int i = 0; i < copies; i++) {
        if (axis >= 0)
            e->at[axis] = i;
        part[parts++] = inside_only(e, s, type, neutral);
    }
    if (axis >= 0)
        e->at[axis] = before;
    while (parts > 1) { /* (0 + 1) + (2 + 3) */
        int half = 0;
        for (int i = 0; i < parts; i += 2)
            part[half++] = i + 1 < parts ? combined(e, s, type, part[i], part[i + 1]) : part[i];
        parts = half;
    }
    const char *name = new_name(e, s), *all = part[0];
    const char *result = gen_type(e, dtype, false);
    if (dtype == IR_BOOL) {
        line(e,
             s->op == IR_or ? "const i32 %s = any_i32x16(%s);"
                            : "const i32 %s = !any_i32x16(~(%s));",
             name, all);
        return;
    }
    if (ir_dtypes[dtype].kind == 'f' || s->op == IR_add) {
        line(e, "const %s %s = %sfold_%s_%s(%s);%s", result, name,
             s->op == IR_add && ir_dtypes[dtype].kind == 'f' ? "0 + " : "", ir_ops[s->op].name,
             type, all, comment(e, s)); /* a sum starts at 0, so it is never -0 */
        return;
    }
    line(e, "%s %s = %s;", result, name,
         neutral); /* whole numbers, for which the order does not matter */
    const char *lanes = ir_format(e->arena, "lanes%u", s->value);
    line(e, "const %s %s = %s;", type, lanes, all);
    line(e, "for (int " LANE " = 0; " LANE " < 16; " LANE "++)");
    if (s->op == IR_mul)
        line(e, "    %s *= %s[" LANE "];", name, lanes);
    else
        line(e, "    %s = %s_%s(%s, %s[" LANE "]);", name, ir_ops[s->op].name, result, name, lanes);
}

/* ---- loops ---- */

static void put_instance(struct gen *e, const struct loop_statement *s)
{
    switch (s->kind) {
    case LOOP_LET:
        put_let(e, s);
        break;
    case LOOP_LOAD:
        put_load(e, s);
        break;
    case LOOP_STORE:
        put_store(e, s);
        break;
    case LOOP_VAR:
        put_var(e, s);
        break;
    case LOOP_SET:
        put_set(e, s);
        break;
    case LOOP_FOLD:
        put_fold(e, s);
        break;
    case LOOP_PREFETCH:
        line(e, "__builtin_prefetch(%s, %d);", address(e, s->buffer, s->ix), s->number != 0);
        break;
    case LOOP_TRANSPOSE: {
        const char *name = ir_format(e->arena, "tile%u", s->value);
        line(e, "f32x16 %s[16];", name);
        line(e, "for (int row = 0; row < 16; row++)");
        line(e, "    %s[row] = load_f32x16(%s + %" PRId64 " * row);", name,
             address(e, s->buffer, s->ix), s->pitch);
        line(e, "transpose_f32x16(%s);", name);
        line(e, "for (int row = 0; row < 16; row++)");
        line(e, "    store_f32x16(%s + %" PRId64 " * row, %s[row]);",
             address(e, s->buffer2, s->ix2), s->pitch2, name);
        forget_loads(e, s->buffer2);
        break;
    }
    case LOOP_BARRIER:
        line(e, "%s;", e->target->barrier);
        break;
    case LOOP_FOR:
        break;
    }
}

/* for every index of the unrolled loops that s depends on */
static void put_instances(struct gen *e, const struct loop_statement *s, int from)
{
    uint64_t needed = s->value ? e->k->value[s->value].depends : 0;

    if (s->kind == LOOP_STORE || s->kind == LOOP_TRANSPOSE || s->kind == LOOP_PREFETCH) {
        needed = loop_axes_of(e->k, s->ix) | loop_axes_of(e->k, s->ix2) |
                 e->k->value[s->args[0]].depends;
        for (int i = 0; i < s->guards; i++)
            needed |= loop_axes_of(e->k, s->guard[i].ix) | loop_axes_of(e->k, s->guard[i].limit);
    }
    if (s->kind == LOOP_SET)
        needed = UINT64_MAX;
    while (from < e->unrolls && !(needed >> e->unrolled[from] & 1))
        from++;
    if (from == e->unrolls) {
        put_instance(e, s);
        return;
    }
    int axis = e->unrolled[from];
    for (int i = 0; i < (int)e->k->axis[axis].hi; i++) {
        e->at[axis] = i;
        put_instances(e, s, from + 1);
    }
    e->at[axis] = 0;
}

static const char *bound(struct gen *e, const struct loop_axis *a)
{
    int64_t lo, hi;
    const char *to = gen_index_text(e, a->to);

    loop_range(e->k, a->to, &lo, &hi);
    if (hi > a->hi && lo < a->hi)
        return ir_format(e->arena, "(%s < %" PRId64 " ? %s : %" PRId64 ")", to, a->hi, to, a->hi);
    return hi > a->hi ? ir_format(e->arena, "%" PRId64, a->hi) : to;
}

/* without the brackets around all of it */
static const char *bare(struct gen *e, const char *text)
{
    int open = 0;

    if (*text != '(')
        return text;
    for (const char *c = text; *c; c++) {
        open += *c == '(' ? 1 : *c == ')' ? -1 : 0;
        if (!open)
            return c[1] ? text : ir_format(e->arena, "%.*s", (int)(c - text - 1), text + 1);
    }
    return text;
}

/* A thread's part of a loop is where it begins and how far it steps; where that is one turn at
 * most, no loop is needed. False: no brace either. */
static bool put_steps(struct gen *e, const struct loop_axis *a, const char *i, const char *from,
                      const char *to)
{
    struct loop_guard inside = { gen_instance(e, a->from), gen_instance(e, a->to) };

    if (a->step < a->hi - a->lo) {
        line(e, "for (long %s = %s; %s < %s; %s += %" PRId64 ") {", i, from, i, to, i, a->step);
        return true;
    }
    line(e, "const long %s = %s;", i, bare(e, from));
    if (loop_guard_state(e->k, &inside) == 1)
        return false;
    line(e, "if (%s < %s) {", i, to);
    return true;
}

static void put_loop(struct gen *e, const struct loop_statement *s)
{
    struct loop_axis *a = &e->k->axis[s->axis];
    const char *condition = gen_condition(e, s->guard, s->guards), *i;
    int aliases = e->aliases, loads = e->loads;
    bool brace = true;

    if (condition && !strcmp(condition, "0"))
        return;
    if (a->role == LOOP_UNROLL) {
        e->unrolled[e->unrolls++] = s->axis;
        gen_block(e, &s->body);
        e->unrolls--;
        return;
    }
    if (a->role == LOOP_VECTOR) {
        e->vector = s->axis;
        gen_block(e, &s->body);
        e->vector = -1;
        return;
    }
    if (a->role == LOOP_GRID || a->role == LOOP_BLOCK) { /* threads are there already */
        int threads = e->threads;
        if (a->role == LOOP_BLOCK)
            e->threads = 1;
        gen_block(e, &s->body);
        e->threads = threads;
        return;
    }
    const char *to = bound(e, a), *from = gen_index_text(e, a->from);
    int opened = e->opened;
    gen_open_axis(e, s->axis);
    i = e->axis[s->axis];
    if (condition) {
        line(e, "if (%s)", condition);
        e->depth++;
    }
    int held = e->helds;
    for (int g = 0; g < s->guards && e->helds < 16; g++)
        e->held[e->helds++] = (struct loop_guard){ gen_instance(e, s->guard[g].ix),
                                                   gen_instance(e, s->guard[g].limit) };
    if (a->role == LOOP_PARALLEL) {
        /* two loops of a name may stand side by side, two numbers of a name may not */
        const char *count = e->crowded ? ir_format(e->arena, "%s_count_%d", i, s->axis)
                                       : ir_format(e->arena, "%s_count", i);
        line(e, "const long %s = %s;", count, to);
        line(e, "for (long %s = %s * thread / threads; %s < %s * (thread + 1) / threads; %s++) {",
             i, count, i, count, i);
    } else if (a->step > 1) {
        brace = put_steps(e, a, i, from, to);
    } else if (a->hi - a->lo == 1 &&
               !strcmp(to,
                       "1")) { /* no loop, but a block of names of its own where there are others */
        brace = condition || e->crowded;
        if (brace)
            line(e, "{");
    } else {
        line(e, "for (long %s = %s; %s < %s; %s++) {", i, from, i, to, i);
    }
    e->depth += brace;
    e->loads = 0; /* what was loaded before may change inside */
    struct gen_loaded *outer = e->loaded;
    e->loaded = NULL;
    int room = e->load_room;
    e->load_room = 0;
    gen_block(e, &s->body);
    e->loaded = outer;
    e->load_room = room;
    e->depth -= brace;
    if (brace)
        line(e, "}");
    if (condition)
        e->depth--;
    e->helds = held;
    e->opened = opened +
                (a->step > 1 && a->step >= a->hi - a->lo); /* its name stays where no loop has it */
    forget_names(e, aliases);
    e->loads = loads;
    for (int b = 0; b < e->k->buffers; b++)
        if (e->k->buffer[b].written)
            forget_loads(e, b);
}

void gen_block(struct gen *e, const struct loop_block *block)
{
    bool crowded = e->crowded;
    int loops = 0;

    for (int i = 0; i < block->count; i++)
        loops += block->at[i]->kind == LOOP_FOR;
    e->crowded = loops > 1;
    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LOOP_FOR)
            put_loop(e, block->at[i]);
        else
            put_instances(e, block->at[i], 0);
    e->crowded = crowded;
}
