/*
 * Text as a loop nest: what loop_print.c prints, and what one writes by hand in that form.
 *
 *   kernel     `kernel` NAME ( buffer, .. ) [`shared`] [`barrier` N] [`flops` X] [`bytes` X]
 *              [comment in quotes] { statement.. }
 *   buffer     NAME[~N] [@N] or @N : type[elements] [`read`] [`write`] [`scratch`] [`padded`]
 *              [`at` base+offset]
 *   for        `for` NAME[~N] [role] [`ordered`] [`from` ix] `to` ix [`step` N] [(hi) or (lo..hi)]
 *              [guards] { statement.. }
 *   statement  [%N =] what [: type] [`else` X] [guards]
 *   what       `const` X   `index` ix   OP %N, ..   `bits` %N, %N stream=N `at` ix
 *              `load` NAME[ix]   `store` NAME[ix] = %N   `prefetch` NAME[ix] [`write`]
 *              `transpose` NAME[ix] `pitch` N = NAME[ix] `pitch` N   `barrier`
 *              `var` %N   `set` %N = [OP] %N, ..   `fold` OP %N `over` axis, .. [`ascending`]
 *   guards     `if` 0 <= ix < ix `and` 0 <= ix < ix ..
 *   ix         a sum of N, axis, extent, %N, N*axis, (ix)/N, (ix)%N, N*(ix); an extent that is no
 *              word stands in brackets
 *
 * Whether the nest is sound is asked of loop_verify.
 */
#include "loop_text.h"

#include <limits.h>
#include <string.h>

#define TEXT ((size_t)64 << 20)

/* ---- the parts of a statement ---- */

static bool read_dtype(struct ir_scan *s, enum ir_dtype *dtype)
{
    const char *word;

    if (!ir_scan_name(s, &word))
        return false;
    for (int i = 0; i < IR_DTYPES; i++)
        if (!strcmp(ir_dtypes[i].name, word)) {
            *dtype = (enum ir_dtype)i;
            return true;
        }
    return ir_scan_refuse(s, "%.40s is no element type; expected f32, i64, bool or such", word);
}

static bool read_real(struct ir_scan *s, double *value)
{
    const char *run;
    size_t length;

    if (!ir_scan_run(s, "0123456789+-.abcdefinxpABCDEF", &run, &length) ||
        !ir_read_number(run, length, value))
        return ir_scan_wanted(s, "a number");
    return true;
}

static bool read_new_value(struct loop_reader *p, uint32_t *value)
{
    int64_t number;

    if (!ir_scan_integer(&p->r.s, 1, LOOP_VALUES, &number) || !ir_scan_expect(&p->r.s, "="))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool define(struct loop_reader *p, uint32_t value, enum ir_dtype dtype)
{
    while (p->k->values <= value) {
        IR_MORE(&p->r, p->known, p->k->values, p->known_room);
        p->known[loop_value_new(p->k, IR_F32)] = false;
    }
    if (p->known[value] && p->k->value[value].dtype != dtype)
        return ir_scan_refuse(&p->r.s, "%%%u is %s here and %s above", value, ir_dtypes[dtype].name,
                              ir_dtypes[p->k->value[value].dtype].name);
    p->known[value] = true;
    p->k->value[value].dtype = dtype;
    return true;
}

static bool read_guards(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;
    const int room = (int)(sizeof st->guard / sizeof *st->guard);
    int64_t zero;

    if (!ir_scan_take(s, "if"))
        return true;
    do {
        struct loop_guard *g = &st->guard[st->guards];
        if (st->guards == room)
            return ir_scan_refuse(s, "more than %d conditions", room);
        if (!ir_scan_integer(s, 0, 0, &zero) || !ir_scan_expect(s, "<=") ||
            !loop_read_ix(p, &g->ix) || !ir_scan_expect(s, "<") || !loop_read_ix(p, &g->limit))
            return false;
        st->guards++;
    } while (ir_scan_take(s, "and"));
    return true;
}

static bool read_element(struct loop_reader *p, int *buffer, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    uint32_t value;
    int64_t suffix;

    if (!loop_read_buffer_name(p, &name, &value, &suffix))
        return false;
    *buffer = loop_find_buffer(p, name, value, suffix);
    if (*buffer < 0)
        return name ? ir_scan_refuse(s, "%.60s is no buffer of the kernel", name)
                    : ir_scan_refuse(s, "@%u is no buffer of the kernel", value);
    return ir_scan_expect(s, "[") && loop_read_ix(p, ix) && ir_scan_expect(s, "]");
}

static bool read_note(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_node note = { .op = IR_input };

    if (!ir_parse_note(&p->r, &note))
        return false;
    st->loc = note.loc;
    st->node.id = note.region; /* {12 dot}: the node that it computes */
    if (st->node.id && (!p->k->graph || st->node.id >= p->k->graph->count))
        return ir_scan_refuse(&p->r.s, "node %u is not in the graph", st->node.id);
    return ir_scan_line_end(&p->r.s);
}

static bool read_op(struct ir_scan *s, enum ir_op *op)
{
    const char *run;
    size_t length;

    if (!ir_scan_run(s, "abcdefghijklmnopqrstuvwxyz_0123456789", &run, &length))
        return ir_scan_wanted(s, "an operation");
    *op = ir_op_by_name(run, length);
    return *op != IR_POISON ||
           ir_scan_refuse(s, "%.*s is no operation", length > 40 ? 40 : (int)length, run);
}

static bool read_args(struct loop_reader *p, struct loop_statement *st, int from, int to)
{
    for (int i = from; i < to; i++)
        if ((i > from && !ir_scan_expect(&p->r.s, ",")) || !loop_read_value(p, &st->args[i]))
            return false;
    return true;
}

/* ---- statements; each begins behind its word ---- */

static bool read_store(struct loop_reader *p, struct loop_statement *st)
{
    st->kind = LOOP_STORE;
    if (!read_element(p, &st->buffer, &st->ix) || !ir_scan_expect(&p->r.s, "=") ||
        !loop_read_value(p, &st->args[0]))
        return false;
    st->dtype = p->k->buffer[st->buffer].dtype;
    return true;
}

static bool read_set(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_SET;
    if (!loop_read_value(p, &st->args[0]) || !ir_scan_expect(s, "="))
        return false;
    st->dtype = p->k->value[st->args[0]].dtype;
    if (ir_scan_peek(s) == '%')
        return loop_read_value(p, &st->args[1]);
    if (!read_op(s, &st->op))
        return false;
    if (st->op == IR_dot)
        return read_args(p, st, 1, 3);
    uint32_t variable = st->args[0];
    if (!read_args(p, st, 0, 2))
        return false;
    return st->args[0] == variable || ir_scan_refuse(s, "set %%%u from %%%u; expected %%%u first",
                                                     variable, st->args[0], variable);
}

static bool read_fold(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    int64_t suffix;

    st->kind = LOOP_FOLD;
    if (!read_op(s, &st->op) || !loop_read_value(p, &st->args[0]))
        return false;
    if (!ir_scan_take(s, "over"))
        return ir_scan_wanted(s, "over and axes");
    do {
        int axis;
        if (!ir_scan_name(s, &name) || !loop_read_suffix(s, &suffix))
            return false;
        axis = loop_find_axis(p, name, suffix);
        if (axis < 0)
            return ir_scan_refuse(s, "%.60s is no axis", name);
        st->over |= UINT64_C(1) << axis;
    } while (ir_scan_accept(s, ','));
    st->ascending = ir_scan_take(s, "ascending");
    return true;
}

static bool read_transpose(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_TRANSPOSE;
    return read_element(p, &st->buffer2, &st->ix2) &&
           (ir_scan_take(s, "pitch") || ir_scan_wanted(s, "pitch")) &&
           ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &st->pitch2) && ir_scan_expect(s, "=") &&
           read_element(p, &st->buffer, &st->ix) &&
           (ir_scan_take(s, "pitch") || ir_scan_wanted(s, "pitch")) &&
           ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &st->pitch);
}

/* behind %N = : the type stands at the end of the line, so a number is kept as it is written */
static bool read_definition(struct loop_reader *p, struct loop_statement *st, const char **number,
                            size_t *digits)
{
    struct ir_scan *s = &p->r.s;

    if (ir_scan_take(s, "const")) {
        st->op = IR_const;
        return ir_scan_run(s, "0123456789+-.abcdefinxpABCDEF", number, digits) ||
               ir_scan_wanted(s, "a number");
    }
    if (ir_scan_take(s, "index"))
        return loop_read_ix(p, &st->ix);
    if (ir_scan_take(s, "load")) {
        st->kind = LOOP_LOAD;
        return read_element(p, &st->buffer, &st->ix);
    }
    if (ir_scan_take(s, "var")) {
        st->kind = LOOP_VAR;
        return loop_read_value(p, &st->args[0]);
    }
    if (ir_scan_take(s, "fold"))
        return read_fold(p, st);
    if (ir_scan_take(s, "transpose"))
        return read_transpose(p, st);
    if (!read_op(s, &st->op))
        return false;
    if (!ir_pointwise(st->op) && st->op != IR_bits)
        return ir_scan_refuse(s, "%s is no operation on single elements", ir_ops[st->op].name);
    if (!read_args(p, st, 0, ir_ops[st->op].arity))
        return false;
    if (st->op != IR_bits)
        return true;
    if (!ir_scan_take(s, "stream"))
        return ir_scan_wanted(s, "stream=N");
    return ir_scan_expect(s, "=") && ir_scan_integer(s, INT64_MIN, INT64_MAX, &st->integer) &&
           (ir_scan_take(s, "at") || ir_scan_wanted(s, "at and an index")) &&
           loop_read_ix(p, &st->ix);
}

static bool settle_const(struct ir_scan *s, struct loop_statement *st, const char *number,
                         size_t digits)
{
    struct ir_scan part = { .file = s->file,
                            .text = number,
                            .size = digits,
                            .line = s->line,
                            .arena = s->arena,
                            .error = s->error };

    if (ir_dtypes[st->dtype].kind == 'f')
        return ir_read_number(number, digits, &st->number) ||
               ir_scan_refuse(s, "a constant that is no number");
    if (!ir_scan_integer(&part, INT64_MIN, INT64_MAX, &st->integer) || part.at != digits)
        return ir_scan_refuse(s, "a constant of %s that is no whole number",
                              ir_dtypes[st->dtype].name);
    st->number = (double)st->integer;
    return true;
}

static bool read_block(struct loop_reader *p, struct loop_block *block);

/* (hi) or (lo..hi); without them they are what the bounds say */
static bool read_bounds(struct loop_reader *p, struct loop_axis *a)
{
    struct ir_scan *s = &p->r.s;
    int64_t least, from = 0;

    loop_is_const(p->k, a->from, &from);
    a->lo = from;
    loop_range(p->k, a->to, &least, &a->hi);
    if (!ir_scan_accept(s, '('))
        return true;
    if (!ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &a->hi))
        return false;
    if (ir_scan_peek(s) == '.') {
        a->lo = a->hi;
        if (!ir_scan_expect(s, "..") || !ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &a->hi))
            return false;
    }
    return ir_scan_expect(s, ")");
}

static bool same_axis(const struct loop_axis *a, const struct loop_axis *b)
{
    return a->role == b->role && a->from == b->from && a->to == b->to && a->step == b->step &&
           a->lo == b->lo && a->hi == b->hi && a->ordered == b->ordered;
}

static bool read_for(struct loop_reader *p, struct loop_block *block)
{
    static const char *const role[] = { "serial", "parallel", "unroll", "vector", "grid", "block" };
    struct ir_scan *s = &p->r.s;
    struct loop_axis a = { .step = 1 };
    struct loop_statement st = { .kind = LOOP_FOR };
    int64_t suffix;

    if (!ir_scan_name(s, &a.name) || !loop_read_suffix(s, &suffix))
        return false;
    for (int i = 0; i < (int)(sizeof role / sizeof *role); i++)
        if (ir_scan_take(s, role[i]))
            a.role = (enum loop_role)i;
    a.ordered = ir_scan_take(s, "ordered");
    if (ir_scan_take(s, "from") && !loop_read_ix(p, &a.from))
        return false;
    if (!ir_scan_take(s, "to"))
        return ir_scan_wanted(s, "to and a bound");
    if (!loop_read_ix(p, &a.to) ||
        (ir_scan_take(s, "step") && !ir_scan_integer(s, 1, LOOP_FAR, &a.step)) ||
        !read_bounds(p, &a) || !read_guards(p, &st) || !ir_scan_expect(s, "{") ||
        !read_note(p, &st))
        return false;
    st.axis = loop_find_axis(p, a.name, suffix);
    if (st.axis >= 0 && p->open[st.axis])
        return ir_scan_refuse(s, "a loop along %.60s inside of itself", a.name);
    if (st.axis >= 0 && !same_axis(&a, &p->k->axis[st.axis])) /* a copy of a loop has its axis */
        return ir_scan_refuse(s, "a second loop along %.60s that is another; expected %.60s~2",
                              a.name, a.name);
    if (st.axis < 0) {
        if (p->k->axes == LOOP_AXES)
            return ir_scan_refuse(s, "more than %d axes", LOOP_AXES);
        st.axis = loop_axis_new(p->k, a.name, a.to, a.hi);
        p->k->axis[st.axis] = a;
        p->axis_suffix[st.axis] = suffix;
    }
    p->open[st.axis] = true;
    if (!read_block(p, &st.body))
        return false;
    p->open[st.axis] = false;
    loop_add(p->k, block, st);
    return true;
}

static bool read_statement(struct loop_reader *p, struct loop_block *block)
{
    struct ir_scan *s = &p->r.s;
    struct loop_statement st = { .kind = LOOP_LET };
    const char *number = NULL;
    size_t digits = 0;
    bool fine;

    if (ir_scan_take(s, "for"))
        return read_for(p, block);
    if (ir_scan_accept(s, '%')) {
        fine = read_new_value(p, &st.value) && read_definition(p, &st, &number, &digits) &&
               ir_scan_expect(s, ":") && read_dtype(s, &st.dtype) &&
               (!number || settle_const(s, &st, number, digits));
    } else if (ir_scan_take(s, "store")) {
        fine = read_store(p, &st);
    } else if (ir_scan_take(s, "set")) {
        fine = read_set(p, &st);
    } else if (ir_scan_take(s, "transpose")) {
        fine = read_transpose(p, &st);
    } else if (ir_scan_take(s, "prefetch")) {
        st.kind = LOOP_PREFETCH;
        fine = read_element(p, &st.buffer, &st.ix);
        st.number = fine && ir_scan_take(s, "write");
    } else if (ir_scan_take(s, "barrier")) {
        st.kind = LOOP_BARRIER;
        fine = true;
    } else {
        return ir_scan_wanted(s, "for, %N =, store, set or }");
    }
    if (!fine || (st.kind == LOOP_LOAD && ir_scan_take(s, "else") && !read_real(s, &st.number)) ||
        !read_guards(p, &st) || !read_note(p, &st))
        return false;
    if (st.value && !define(p, st.value, st.dtype))
        return false;
    loop_add(p->k, block, st);
    return true;
}

/* statements up to the brace that ends them */
static bool read_block(struct loop_reader *p, struct loop_block *block)
{
    struct ir_scan *s = &p->r.s;

    for (ir_scan_blank_lines(s); !ir_scan_accept(s, '}'); ir_scan_blank_lines(s))
        if (!read_statement(p, block))
            return false;
    return ir_scan_line_end(s);
}

/* ---- the kernel ---- */

static bool read_buffer(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;
    struct loop_buffer b = { 0 };
    int64_t suffix, number = 0;
    uint32_t value;
    int i;

    if (!loop_read_buffer_name(p, &b.name, &value, &suffix))
        return false;
    if (b.name && ir_scan_accept(s, '@') && !ir_scan_integer(s, 0, UINT32_MAX, &number))
        return false;
    b.value.id = b.name ? (uint32_t)number : value;
    if (b.value.id && (!p->k->graph || b.value.id >= p->k->graph->count))
        return ir_scan_refuse(s, "@%u is not in the graph", b.value.id);
    if (!ir_scan_expect(s, ":") || !read_dtype(s, &b.dtype) || !ir_scan_expect(s, "[") ||
        !ir_scan_integer(s, 0, INT64_C(1) << 48, &b.elements) || !ir_scan_expect(s, "]"))
        return false;
    b.read = ir_scan_take(s, "read");
    b.written = ir_scan_take(s, "write");
    b.scratch = ir_scan_take(s, "scratch");
    b.padded = ir_scan_take(s, "padded");
    if (ir_scan_take(s, "at")) {
        if (!ir_scan_integer(s, 0, INT_MAX, &number) || !ir_scan_expect(s, "+") ||
            !ir_scan_integer(s, 0, LOOP_FAR, &b.offset))
            return false;
        b.base = (int)number;
    }
    if (loop_find_buffer(p, b.name, b.value.id, suffix) >= 0)
        return ir_scan_refuse(s, "a second buffer of the name; expected another, or ~2 behind it");
    for (i = 0; i < p->k->buffers; i++)
        if (b.value.id && p->k->buffer[i].value.id == b.value.id)
            return ir_scan_refuse(s, "a second buffer of @%u", b.value.id);
    IR_MORE(&p->r, p->buffer_suffix, (size_t)p->k->buffers, p->buffer_room);
    i = loop_buffer_of(p->k, b.name, b.dtype, b.value, b.elements);
    p->k->buffer[i] = b;
    p->buffer_suffix[i] = suffix;
    return true;
}

static bool read_buffers(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;

    if (!ir_scan_expect(s, "("))
        return false;
    ir_scan_blank_lines(s);
    while (!ir_scan_accept(s, ')')) {
        int before = p->k->buffers;
        if (before && !ir_scan_expect(s, ","))
            return false;
        ir_scan_blank_lines(s);
        if (before == 1 << 12)
            return ir_scan_refuse(s, "more than %d buffers", 1 << 12);
        if (!read_buffer(p))
            return false;
        ir_scan_blank_lines(s);
    }
    return true;
}

static bool read_head(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;
    struct loop_kernel *k = p->k;
    const char *name;
    int64_t number = 0;

    if (s->size > TEXT)
        return ir_scan_refuse(s, "a text of %zu bytes; expected at most %zu", s->size, TEXT);
    if (s->size && memchr(s->text, 0, s->size))
        return ir_scan_refuse(s, "a zero byte; expected text");
    ir_scan_blank_lines(s);
    if (!ir_scan_take(s, "kernel"))
        return ir_scan_wanted(s, "kernel");
    if (!ir_scan_name(s, &name))
        return false;
    k->name = name;
    if (!read_buffers(p))
        return false;
    k->shared = ir_scan_take(s, "shared");
    if (ir_scan_take(s, "barrier") && !ir_scan_integer(s, 0, INT_MAX, &number))
        return false;
    k->barrier = (int)number;
    if ((ir_scan_take(s, "flops") && !read_real(s, &k->flops)) ||
        (ir_scan_take(s, "bytes") && !read_real(s, &k->bytes)) ||
        (ir_scan_peek(s) == '"' && !ir_scan_quoted(s, &k->comment)))
        return false;
    return ir_scan_expect(s, "{") && ir_scan_line_end(s);
}

struct loop_kernel *loop_parse(const char *file, const char *text, size_t size,
                               const struct ir_graph *graph, struct ir_arena *arena,
                               struct ir_error *error)
{
    struct loop_reader p = { .k = loop_kernel_new(arena, graph, "") };

    p.r.s = (struct ir_scan){
        .file = file, .text = text, .size = size, .line = 1, .arena = arena, .error = error
    };
    p.r.kept = arena;
    IR_MORE(&p.r, p.known, (size_t)0, p.known_room); /* value 0, which is none */
    if (!read_head(&p) || !read_block(&p, &p.k->body))
        return NULL;
    ir_scan_blank_lines(&p.r.s);
    if (ir_scan_peek(&p.r.s)) {
        ir_scan_wanted(&p.r.s, "the end");
        return NULL;
    }
    loop_depends(p.k);
    return p.k;
}
