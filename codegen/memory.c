/*
 * memory: loads and stores.
 *
 * Lanes that lie side by side are one vector; those that lie close, by twos or every other one, are
 * a shuffle of one or two, which may end before its last lane. Others are a loop over the lanes,
 * which compilers know what to do with. What straight-line code
 * has loaded already is not loaded again.
 */
#include "codegen.h"

#include <string.h>

static const char *element(struct gen *e, int buffer, loop_ix ix)
{
    return ir_format(e->arena, "%s[%s]", e->buffer[buffer], gen_bare(e, gen_index_text(e, ix)));
}

/* buffer + index, without the + 0 */
const char *gen_address(struct gen *e, int buffer, loop_ix ix)
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

static const char *first_lanes(struct gen *e, const struct loop_statement *s);

/* What the lanes read of a few vectors side by side: loads and a shuffle. `count` of them, a text,
 * are there (NULL: all). NULL where no such form is known. */
static const char *shuffled(struct gen *e, const struct loop_statement *s, const char *count)
{
    const loop_ix first =
        loop_replace(e->k, gen_instance(e, s->ix), e->vector, loop_const(e->k, 0));
    const char *type = gen_type(e, s->dtype, true), *from = gen_address(e, s->buffer, first);
    struct ir_text text = { 0 };
    int64_t at[LOOP_LANES], last = 0, step = 0, share = 0;

    if (s->dtype == IR_BOOL || !gen_pattern(e, s->ix, at))
        return NULL;
    for (int i = 0; i < LOOP_LANES; i++) {
        if (at[i] < last || at[i] >= 2 * LOOP_LANES)
            return NULL;
        last = at[i];
        share += at[i] == 0;
    }
    step = at[1];
    for (int i = 0; i < LOOP_LANES && count; i++)
        if (at[i] != (step ? step * i : i / share))
            return NULL;
    if (count && step > 1) /* a whole vector behind the first */
        return NULL;
    if (count)
        count =
            step ? count : ir_format(e->arena, "(%s + %d) / %d", count, (int)share - 1, (int)share);
    if (last == LOOP_LANES - 1 && step == 1)
        return count ? ir_format(e->arena, "load_part_%s(%s, %s)", type, from, count)
                     : ir_format(e->arena, "load_%s(%s)", type, from);
    if (last < LOOP_LANES)
        ir_put(&text, "__builtin_shufflevector(load_part_%s(%s, %s), (%s){ 0 }", type, from,
               count ? count : ir_format(e->arena, "%d", (int)last + 1), type);
    else
        ir_put(&text, "__builtin_shufflevector(load_%s(%s), load_%s(%s + %d)", type, from, type,
               from, (int)last + 1 - LOOP_LANES);
    for (int i = 0; i < LOOP_LANES; i++)
        ir_put(&text, ", %d",
               (int)(at[i] < LOOP_LANES ? at[i] : at[i] - last + 2 * LOOP_LANES - 1));
    ir_put(&text, ")");
    const char *kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

/* The first lanes of a row that ends before the vector does; the others are `otherwise`. */
static bool load_first(struct gen *e, const struct loop_statement *s, const char *name,
                       const char *otherwise)
{
    const char *type = gen_type(e, s->dtype, true), *count = first_lanes(e, s);
    const char *whole = shuffled(e, s, NULL), *part = count ? shuffled(e, s, count) : NULL;

    if (!whole || !part || ir_dtypes[s->dtype].bytes != 4)
        return false;
    gen_line(e, "%s %s = splat_%s(%s);", type, name, type, otherwise);
    if (strspn(count, "0123456789") != strlen(count)) {
        gen_line(e, "if (%s >= 16)", count);
        gen_line(e, "    %s = %s;", name, whole);
        gen_line(e, "else if (%s > 0)", count);
        e->depth++;
    }
    gen_line(e, "%s = select_%s(iota_i32x16() < (i32)(%s), %s, %s);", name, type, count, part,
             name);
    if (strspn(count, "0123456789") != strlen(count))
        e->depth--;
    return true;
}

void gen_load(struct gen *e, const struct loop_statement *s)
{
    bool vector = gen_is_vector(e, s->value), varies = gen_guard_varies(e, s);
    enum ir_dtype dtype = s->dtype;
    const char *type = gen_type(e, dtype, vector), *condition = NULL;

    if (!varies)
        condition = gen_condition(e, s->guard, s->guards);
    if (condition && !strcmp(condition, "0")) {
        const char *otherwise = gen_literal(e, dtype, s->number, (int64_t)s->number);
        gen_call_it(e, s->value,
                    vector ? ir_format(e->arena, "splat_%s(%s)", type, otherwise) : otherwise);
        return;
    }
    if (!condition && !varies) { /* loaded before? */
        const loop_ix ix = gen_instance(e, s->ix);
        const char *text = gen_index_text(e, s->ix);
        for (int i = e->loads; i-- > 0;)
            if (e->loaded[i].buffer == s->buffer && e->loaded[i].ix == ix &&
                e->loaded[i].vector == vector && !strcmp(e->loaded[i].text, text)) {
                gen_call_it(e, s->value, e->loaded[i].name);
                return;
            }
        ir_grow(e->arena, e->loaded, e->loads, e->load_room);
        const char *name = gen_new_name(e, s);
        e->loaded[e->loads++] = (struct gen_loaded){ s->buffer, ix, vector, text, name };
        if (!vector) {
            gen_line(e, "const %s %s = %s;", type, name, element(e, s->buffer, s->ix));
            return;
        }
        if (contiguous(e, s->ix)) {
            if (dtype == IR_BOOL)
                gen_line(e, "const i32x16 %s = load_mask_i32x16(%s);", name,
                         gen_address(e, s->buffer, s->ix));
            else
                gen_line(e, "const %s %s = load_%s(%s);", type, name, type,
                         gen_address(e, s->buffer, s->ix));
            return;
        }
        if ((text = shuffled(e, s, NULL))) {
            gen_line(e, "const %s %s = %s;", type, name, text);
            return;
        }
        gen_line(e, "%s %s;", type, name);
        gen_begin_lanes(e);
        gen_line(e, dtype == IR_BOOL ? "%s[" GEN_LANE "] = -%s;" : "%s[" GEN_LANE "] = %s;", name,
                 element(e, s->buffer, s->ix));
        gen_end_lanes(e);
        return;
    }
    const char *otherwise = gen_literal(e, dtype, s->number, (int64_t)s->number);
    const char *name = gen_new_name(e, s);
    if (!vector) {
        gen_line(e, "const %s %s = %s ? %s : %s;", type, name, condition,
                 element(e, s->buffer, s->ix), otherwise);
        return;
    }
    if (varies && load_first(e, s, name, otherwise))
        return;
    if (varies || !contiguous(e, s->ix)) {
        gen_line(e, "%s %s;", type, name);
        gen_begin_lanes(e);
        condition = gen_condition(e, s->guard, s->guards);
        gen_line(e,
                 dtype == IR_BOOL ? "%s[" GEN_LANE "] = %s ? -%s : %s;"
                                  : "%s[" GEN_LANE "] = %s ? %s : %s;",
                 name, condition ? condition : "1", element(e, s->buffer, s->ix), otherwise);
        gen_end_lanes(e);
        return;
    }
    gen_line(e, "%s %s = { 0 };", type, name);
    gen_line(e, "if (%s)", condition);
    if (dtype == IR_BOOL)
        gen_line(e, "    %s = load_mask_i32x16(%s);", name, gen_address(e, s->buffer, s->ix));
    else
        gen_line(e, "    %s = load_%s(%s);", name, type, gen_address(e, s->buffer, s->ix));
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

void gen_store(struct gen *e, const struct loop_statement *s)
{
    bool vector =
        e->vector >= 0 && (gen_is_vector(e, s->args[0]) ||
                           (loop_axes_of(e->k, s->ix) >> e->vector & 1) || gen_guard_varies(e, s));
    const char *type = gen_type(e, s->dtype, vector), *said = gen_comment(e, s);
    const char *mask = s->dtype == IR_BOOL ? "mask_" : "", *count = NULL;

    gen_forget_loads(e, s->buffer);
    if (!gen_guard_varies(e, s)) {
        const char *condition = gen_condition(e, s->guard, s->guards);
        if (condition && !strcmp(condition, "0"))
            return;
        if (e->threads > 1) /* all of them have it, one stores it */
            condition =
                condition ? ir_format(e->arena, "thread == 0 && %s", condition) : "thread == 0";
        if (condition) {
            gen_line(e, "if (%s)", condition);
            e->depth++;
        }
        if (!vector)
            gen_line(e,
                     s->dtype == IR_BOOL && gen_is_vector(e, s->args[0]) ? "%s = %s & 1;%s"
                                                                         : "%s = %s;%s",
                     element(e, s->buffer, s->ix), gen_name(e, s->args[0]), said);
        else if (contiguous(e, s->ix)) {
            const bool past = s->number != 0 && !*mask;
            gen_line(e, "%s_%s%s(%s, %s);%s", past ? "stream" : "store", mask, type,
                     gen_address(e, s->buffer, s->ix), gen_operand(e, s->args[0], true), said);
            e->streams |= past;
        } else
            count = "16";
        if (condition)
            e->depth--;
        if (!count)
            return;
        if (condition)
            e->depth++;
    } else if (contiguous(e, s->ix) && s->dtype != IR_BOOL && (count = first_lanes(e, s))) {
        const char *to = gen_address(e, s->buffer, s->ix),
                   *value = gen_operand(e, s->args[0], true);
        if (e->k->buffer[s->buffer]
                .padded) { /* the vector that holds the last element is stored whole */
            gen_line(e, "if (%s > 0)", count);
            gen_line(e, "    store_%s(%s, %s);%s", type, to, value, said);
        } else if (strspn(count, "0123456789") == strlen(count)) {
            gen_line(e, "store_part_%s(%s, %s, %s);%s", type, to, count, value, said);
        } else {
            gen_line(e, "if (%s >= 16)", count);
            gen_line(e, "    store_%s(%s, %s);%s", type, to, value, said);
            gen_line(e, "else if (%s > 0)", count);
            gen_line(e, "    store_part_%s(%s, %s, %s);", type, to, count, value);
        }
        return;
    }
    const char *name = gen_operand(e, s->args[0], true);
    bool lanes = gen_is_vector(e, s->args[0]);
    gen_begin_lanes(e);
    const char *condition = gen_guard_varies(e, s) ? gen_condition(e, s->guard, s->guards) : NULL;
    if (condition)
        gen_line(e, "if (%s)", condition);
    gen_line(e, s->dtype == IR_BOOL ? "%s%s = %s & 1;%s" : "%s%s = %s;%s", condition ? "    " : "",
             element(e, s->buffer, s->ix),
             lanes ? ir_format(e->arena, "%s[" GEN_LANE "]", name) : gen_name(e, s->args[0]), said);
    gen_end_lanes(e);
    if (!gen_guard_varies(e, s) && gen_condition(e, s->guard, s->guards))
        e->depth--;
}

bool gen_copies(const struct loop_block *b)
{
    for (int i = 0; i < b->count; i++)
        if ((b->at[i]->kind == LOOP_COPY && !b->at[i]->args[0]) || gen_copies(&b->at[i]->body))
            return true;
    return false;
}

/* into a tile */
void gen_copy(struct gen *e, const struct loop_statement *s)
{
    const char *condition = gen_condition(e, s->guard, s->guards), *said = gen_comment(e, s);

    if (s->args[0]) {
        const char *value = gen_name(e, s->args[0]), *zero = gen_literal(e, s->dtype, 0, 0);
        if (condition)
            value = ir_format(e->arena, "%s ? %s : %s", condition, value, zero);
        gen_line(e, "%s = %s;%s", element(e, s->buffer2, s->ix2), value, said);
    } else {
        gen_line(e, "copy_%d(%s, %s, %s);%s", (int)(s->pitch * ir_dtypes[s->dtype].bytes),
                 gen_address(e, s->buffer2, s->ix2), gen_address(e, s->buffer, s->ix),
                 condition ? condition : "1", said);
    }
    gen_forget_loads(e, s->buffer2);
}

/* what a warp's threads have of a tile's rows */
void gen_fragment(struct gen *e, const struct loop_statement *s)
{
    const bool along = s->pitch2 == 1;
    const char *type = ir_dtypes[s->dtype].bytes == 2 ? "u16" : "f32", *name = gen_new_name(e, s);

    gen_line(e, "const u32x4 %s = fragment_%s_%s(%s, %d);%s", name, along ? "along" : "across",
             type, gen_address(e, s->buffer, s->ix), (int)(along ? s->pitch : s->pitch2),
             gen_comment(e, s));
}

/* every instance of the sum that stands for one of the 2 by 4 */
void gen_multiply(struct gen *e, const struct loop_statement *s)
{
    const bool half = e->k->value[s->args[1]].dtype == IR_BF16;
    struct ir_text sums = { 0 };
    int axis[2], axes = 0;

    for (int a = 0; a < e->k->axes && axes < 2; a++)
        if (s->over >> a & 1)
            axis[axes++] = a;
    for (int i = 0; i < 8; i++) {
        e->at[axis[0]] = i / 4;
        e->at[axis[1]] = i % 4;
        ir_put(&sums, ", &%s", gen_name(e, s->args[0]));
    }
    e->at[axis[0]] = e->at[axis[1]] = 0;
    gen_line(e, "multiply_%s_f32(%s, %s%s);%s", half ? "bf16" : "tf32", gen_name(e, s->args[1]),
             gen_name(e, s->args[2]), sums.data, gen_comment(e, s));
    ir_text_free(&sums);
}

void gen_forget_loads(struct gen *e, int buffer)
{
    int kept = 0;

    for (int i = 0; i < e->loads; i++)
        if (e->loaded[i].buffer != buffer)
            e->loaded[kept++] = e->loaded[i];
    e->loads = kept;
}
