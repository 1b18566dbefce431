/*
 * Text as a loop nest: what loop_print.c prints, and what one writes by hand in that form.
 *
 *   kernel     `kernel` NAME ( buffer, .. ) [`shared`] [`barrier` N] [`flops` X] [`bytes` X]
 * ["comment"] { statement.. } buffer     NAME[~N] [@N] : type[elements] [`read`] [`write`]
 * [`scratch`] [`padded`] [`at` base+offset]; @N instead of a name for        `for` NAME[~N] [role]
 * [`ordered`] [`from` ix] `to` ix [`step` N] [(hi) or (lo..hi)] [guards] { statement.. } statement
 * [%N =] what [: type] [`else` X] [guards], where what is `const` X, `index` ix, OP %N, .., `load`
 * NAME[ix], `store` NAME[ix] = %N, `var` %N, `set` %N = [OP] %N, .., `fold` OP %N `over` axis, ..
 * [`ascending`], `transpose` NAME[ix] `pitch` N = NAME[ix] `pitch` N, `prefetch` NAME[ix]
 * [`write`], `barrier`, `bits` %N, %N stream=N `at` ix guards     `if` 0 <= ix < ix `and` 0 <= ix <
 * ix .. ix         a sum of N, axis, extent, %N, N*axis, (ix)/N, (ix)%N, N*(ix); an extent that is
 * no word stands in brackets
 *
 * A text says what an expression is: nothing is simplified when it is read. Whether the nest is
 * sound is asked of loop_verify.
 */
#include "loop.h"
#include "parse.h"

#include <limits.h>
#include <string.h>

#define TEXT   ((size_t)64 << 20)
#define VALUES (1 << 20) /* the highest number of a value */
#define NESTED \
    12 /* parentheses in parentheses: remainders of remainders double what must be looked at */
#define FAR (INT64_C(1) << 62)

struct reader {
    struct ir_reader r; /* its scan, and the reader of comments */
    struct loop_kernel *k;
    int64_t axis_suffix[LOOP_AXES];
    bool open[LOOP_AXES]; /* we are inside */
    int64_t *buffer_suffix;
    size_t buffer_room;
    bool *known; /* by value */
    size_t known_room;
    int depth; /* of parentheses */
};

/* ---- names ---- */

static bool read_suffix(struct ir_scan *s, int64_t *suffix)
{
    *suffix = 1;
    return !ir_scan_accept(s, '~') || ir_scan_integer(s, 1, INT_MAX, suffix);
}

static int find_axis(const struct reader *p, const char *name, int64_t suffix)
{
    for (int a = 0; a < p->k->axes; a++)
        if (p->axis_suffix[a] == suffix && !strcmp(p->k->axis[a].name, name))
            return a;
    return -1;
}

static bool read_buffer_name(struct reader *p, const char **name, uint32_t *value, int64_t *suffix)
{
    struct ir_scan *s = &p->r.s;
    int64_t number = 0;

    *name = NULL;
    if (ir_scan_accept(s, '@') ? !ir_scan_integer(s, 0, UINT32_MAX, &number)
                               : !ir_scan_name(s, name))
        return false;
    *value = (uint32_t)number;
    return read_suffix(s, suffix);
}

static int find_buffer(const struct reader *p, const char *name, uint32_t value, int64_t suffix)
{
    for (int i = 0; i < p->k->buffers; i++) {
        const struct loop_buffer *b = &p->k->buffer[i];
        if (p->buffer_suffix[i] == suffix &&
            (name ? b->name && !strcmp(b->name, name) : !b->name && b->value.id == value))
            return i;
    }
    return -1;
}

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

/* a value that a line before this one has defined */
static bool read_value(struct reader *p, uint32_t *value)
{
    struct ir_scan *s = &p->r.s;
    int64_t number;

    if (!ir_scan_expect(s, "%") || !ir_scan_integer(s, 0, VALUES, &number))
        return false;
    if (number >= p->k->values || !p->known[number])
        return ir_scan_refuse(s, "%%%d is used and not defined before", (int)number);
    *value = (uint32_t)number;
    return true;
}

static bool read_new_value(struct reader *p, uint32_t *value)
{
    int64_t number;

    if (!ir_scan_integer(&p->r.s, 1, VALUES, &number) || !ir_scan_expect(&p->r.s, "="))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool define(struct reader *p, uint32_t value, enum ir_dtype dtype)
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

/* ---- index expressions ---- */

static bool read_ix(struct reader *p, loop_ix *ix);

static bool plus(struct reader *p, loop_ix *sum, loop_ix more)
{
    if (p->k->sum[*sum].count + p->k->sum[more].count > LOOP_TERMS)
        return ir_scan_refuse(&p->r.s, "an index of more than %d terms", LOOP_TERMS);
    *sum = loop_plus(p->k, *sum, more);
    return true;
}

/* the extents that the graph knows, by their text */
static bool find_extent(struct reader *p, const char *text, size_t length, loop_ix *ix)
{
    const struct ir_graph *g = p->k->graph;

    for (int i = 0; g && i < g->dimensions; i++) {
        int64_t dim = INT64_MIN + i;
        struct ir_text one = { 0 };
        bool same;
        ir_put_dim(&one, g, dim);
        same = one.size == length && !memcmp(one.data, text, length);
        ir_text_free(&one);
        if (same) {
            *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_DIM, .dim = dim });
            return true;
        }
    }
    return false;
}

static bool read_word(struct reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    int64_t suffix;
    int axis;

    if (!ir_scan_name(s, &name) || !read_suffix(s, &suffix))
        return false;
    axis = find_axis(p, name, suffix);
    if (axis >= 0) {
        *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_AXIS, .a = (uint32_t)axis });
        return true;
    }
    if (find_extent(p, name, strlen(name), ix))
        return true;
    return ir_scan_refuse(s, "%.60s is neither an axis nor an extent of the graph", name);
}

static bool read_bracket(struct reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *end = memchr(s->text + s->at, ']', s->size - s->at), *from = s->text + s->at;

    if (!end || memchr(from, '\n', (size_t)(end - from)))
        return ir_scan_refuse(s, "an extent without its ]");
    size_t length = (size_t)(end - from);
    if (!find_extent(p, from, length, ix))
        return ir_scan_refuse(s, "[%.*s] is no extent of the graph", length < 60 ? (int)length : 60,
                              from);
    s->at += length + 1;
    return true;
}

/* a word or parentheses, perhaps divided; after N* a division has parentheses of its own */
static bool read_primary(struct reader *p, bool scaled, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    uint32_t value;
    int64_t divisor;
    int c = ir_scan_peek(s);
    bool fine;

    if (c == '(') {
        if (++p->depth > NESTED)
            return ir_scan_refuse(s, "more than %d parentheses in each other", NESTED);
        fine = ir_scan_accept(s, '(') && read_ix(p, ix) && ir_scan_expect(s, ")");
        p->depth--;
    } else if (c == '%') {
        fine = read_value(p, &value);
        if (fine)
            *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_VALUE, .a = value });
    } else {
        fine = c == '[' ? ir_scan_accept(s, '[') && read_bracket(p, ix) : read_word(p, ix);
    }
    if (!fine)
        return false;
    c = ir_scan_peek(s);
    if (c != '/' && c != '%')
        return true;
    if (scaled)
        return ir_scan_wanted(s, "parentheses around what is divided, as in 4*(i/3)");
    s->at++;
    if (!ir_scan_integer(s, 1, FAR, &divisor))
        return false;
    loop_ix whole = loop_atom_ix(
        p->k, (struct loop_atom){ .kind = LOOP_ATOM_DIV, .a = *ix, .divisor = divisor });
    if (c == '/')
        *ix = whole;
    else
        return plus(p, ix, loop_scale(p->k, whole, -divisor));
    return true;
}

static bool read_term(struct reader *p, bool minus, loop_ix *sum)
{
    struct ir_scan *s = &p->r.s;
    int c = ir_scan_peek(s);
    int64_t scale = 1;
    loop_ix ix;

    if (c >= '0' && c <= '9') {
        if (!ir_scan_integer(s, 0, FAR, &scale))
            return false;
        if (!ir_scan_accept(s, '*')) {
            *sum = loop_plus(p->k, *sum, loop_const(p->k, minus ? -scale : scale));
            return true;
        }
        if (!read_primary(p, true, &ix))
            return false;
    } else if (!read_primary(p, false, &ix)) {
        return false;
    }
    return plus(p, sum, loop_scale(p->k, ix, minus ? -scale : scale));
}

static bool read_ix(struct reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    bool minus = ir_scan_accept(s, '-');

    *ix = 0;
    do {
        if (!read_term(p, minus, ix))
            return false;
        minus = ir_scan_peek(s) == '-';
    } while (ir_scan_accept(s, '+') || ir_scan_accept(s, '-'));
    return true;
}

/* ---- the parts of a statement ---- */

static bool read_guards(struct reader *p, struct loop_statement *st)
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
        if (!ir_scan_integer(s, 0, 0, &zero) || !ir_scan_expect(s, "<=") || !read_ix(p, &g->ix) ||
            !ir_scan_expect(s, "<") || !read_ix(p, &g->limit))
            return false;
        st->guards++;
    } while (ir_scan_take(s, "and"));
    return true;
}

static bool read_element(struct reader *p, int *buffer, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    uint32_t value;
    int64_t suffix;

    if (!read_buffer_name(p, &name, &value, &suffix))
        return false;
    *buffer = find_buffer(p, name, value, suffix);
    if (*buffer < 0)
        return name ? ir_scan_refuse(s, "%.60s is no buffer of the kernel", name)
                    : ir_scan_refuse(s, "@%u is no buffer of the kernel", value);
    return ir_scan_expect(s, "[") && read_ix(p, ix) && ir_scan_expect(s, "]");
}

static bool read_note(struct reader *p, struct loop_statement *st)
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

static bool read_args(struct reader *p, struct loop_statement *st, int from, int to)
{
    for (int i = from; i < to; i++)
        if ((i > from && !ir_scan_expect(&p->r.s, ",")) || !read_value(p, &st->args[i]))
            return false;
    return true;
}

/* ---- statements; each begins behind its word ---- */

static bool read_store(struct reader *p, struct loop_statement *st)
{
    st->kind = LOOP_STORE;
    if (!read_element(p, &st->buffer, &st->ix) || !ir_scan_expect(&p->r.s, "=") ||
        !read_value(p, &st->args[0]))
        return false;
    st->dtype = p->k->buffer[st->buffer].dtype;
    return true;
}

static bool read_set(struct reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_SET;
    if (!read_value(p, &st->args[0]) || !ir_scan_expect(s, "="))
        return false;
    st->dtype = p->k->value[st->args[0]].dtype;
    if (ir_scan_peek(s) == '%')
        return read_value(p, &st->args[1]);
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

static bool read_fold(struct reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    int64_t suffix;

    st->kind = LOOP_FOLD;
    if (!read_op(s, &st->op) || !read_value(p, &st->args[0]))
        return false;
    if (!ir_scan_take(s, "over"))
        return ir_scan_wanted(s, "over and axes");
    do {
        int axis;
        if (!ir_scan_name(s, &name) || !read_suffix(s, &suffix))
            return false;
        axis = find_axis(p, name, suffix);
        if (axis < 0)
            return ir_scan_refuse(s, "%.60s is no axis", name);
        st->over |= UINT64_C(1) << axis;
    } while (ir_scan_accept(s, ','));
    st->ascending = ir_scan_take(s, "ascending");
    return true;
}

static bool read_transpose(struct reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_TRANSPOSE;
    return read_element(p, &st->buffer2, &st->ix2) &&
           (ir_scan_take(s, "pitch") || ir_scan_wanted(s, "pitch")) &&
           ir_scan_integer(s, -FAR, FAR, &st->pitch2) && ir_scan_expect(s, "=") &&
           read_element(p, &st->buffer, &st->ix) &&
           (ir_scan_take(s, "pitch") || ir_scan_wanted(s, "pitch")) &&
           ir_scan_integer(s, -FAR, FAR, &st->pitch);
}

/* behind %N = : the type stands at the end of the line, so a number is kept as it is written */
static bool read_definition(struct reader *p, struct loop_statement *st, const char **number,
                            size_t *digits)
{
    struct ir_scan *s = &p->r.s;

    if (ir_scan_take(s, "const")) {
        st->op = IR_const;
        return ir_scan_run(s, "0123456789+-.abcdefinxpABCDEF", number, digits) ||
               ir_scan_wanted(s, "a number");
    }
    if (ir_scan_take(s, "index"))
        return read_ix(p, &st->ix);
    if (ir_scan_take(s, "load")) {
        st->kind = LOOP_LOAD;
        return read_element(p, &st->buffer, &st->ix);
    }
    if (ir_scan_take(s, "var")) {
        st->kind = LOOP_VAR;
        return read_value(p, &st->args[0]);
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
           (ir_scan_take(s, "at") || ir_scan_wanted(s, "at and an index")) && read_ix(p, &st->ix);
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

static bool read_block(struct reader *p, struct loop_block *block);

/* (hi) or (lo..hi); without them they are what the bounds say */
static bool read_bounds(struct reader *p, struct loop_axis *a)
{
    struct ir_scan *s = &p->r.s;
    int64_t least, from = 0;

    loop_is_const(p->k, a->from, &from);
    a->lo = from;
    loop_range(p->k, a->to, &least, &a->hi);
    if (!ir_scan_accept(s, '('))
        return true;
    if (!ir_scan_integer(s, -FAR, FAR, &a->hi))
        return false;
    if (ir_scan_peek(s) == '.') {
        a->lo = a->hi;
        if (!ir_scan_expect(s, "..") || !ir_scan_integer(s, -FAR, FAR, &a->hi))
            return false;
    }
    return ir_scan_expect(s, ")");
}

static bool same_axis(const struct loop_axis *a, const struct loop_axis *b)
{
    return a->role == b->role && a->from == b->from && a->to == b->to && a->step == b->step &&
           a->lo == b->lo && a->hi == b->hi && a->ordered == b->ordered;
}

static bool read_for(struct reader *p, struct loop_block *block)
{
    static const char *const role[] = { "serial", "parallel", "unroll", "vector", "grid", "block" };
    struct ir_scan *s = &p->r.s;
    struct loop_axis a = { .step = 1 };
    struct loop_statement st = { .kind = LOOP_FOR };
    int64_t suffix;

    if (!ir_scan_name(s, &a.name) || !read_suffix(s, &suffix))
        return false;
    for (int i = 0; i < (int)(sizeof role / sizeof *role); i++)
        if (ir_scan_take(s, role[i]))
            a.role = (enum loop_role)i;
    a.ordered = ir_scan_take(s, "ordered");
    if (ir_scan_take(s, "from") && !read_ix(p, &a.from))
        return false;
    if (!ir_scan_take(s, "to"))
        return ir_scan_wanted(s, "to and a bound");
    if (!read_ix(p, &a.to) || (ir_scan_take(s, "step") && !ir_scan_integer(s, 1, FAR, &a.step)) ||
        !read_bounds(p, &a) || !read_guards(p, &st) || !ir_scan_expect(s, "{") ||
        !read_note(p, &st))
        return false;
    st.axis = find_axis(p, a.name, suffix);
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

static bool read_statement(struct reader *p, struct loop_block *block)
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
static bool read_block(struct reader *p, struct loop_block *block)
{
    struct ir_scan *s = &p->r.s;

    for (ir_scan_blank_lines(s); !ir_scan_accept(s, '}'); ir_scan_blank_lines(s))
        if (!read_statement(p, block))
            return false;
    return ir_scan_line_end(s);
}

/* ---- the kernel ---- */

static bool read_buffer(struct reader *p)
{
    struct ir_scan *s = &p->r.s;
    struct loop_buffer b = { 0 };
    int64_t suffix, number = 0;
    uint32_t value;
    int i;

    if (!read_buffer_name(p, &b.name, &value, &suffix))
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
            !ir_scan_integer(s, 0, FAR, &b.offset))
            return false;
        b.base = (int)number;
    }
    if (find_buffer(p, b.name, b.value.id, suffix) >= 0)
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

static bool read_buffers(struct reader *p)
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

static bool read_head(struct reader *p)
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
    struct reader p = { .k = loop_kernel_new(arena, graph, "") };

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
