/*
 * A line of a loop nest as text: the statements but loops, as loop_parse.c says them.
 */
#include "loop_text.h"

#include <string.h>

#define CONDITIONS 100 /* of a line: more are no use to anybody */

/* ---- the parts of a statement ---- */

bool loop_read_dtype(struct ir_scan *s, enum ir_dtype *dtype)
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

bool loop_read_real(struct ir_scan *s, double *value)
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

bool loop_read_guards(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;
    struct loop_guard g;
    int64_t zero;

    if (!ir_scan_take(s, "if"))
        return true;
    do {
        if (st->guards == CONDITIONS)
            return ir_scan_refuse(s, "more than %d conditions", CONDITIONS);
        if (!ir_scan_integer(s, 0, 0, &zero) || !ir_scan_expect(s, "<=") ||
            !loop_read_ix(p, &g.ix) || !ir_scan_expect(s, "<") || !loop_read_ix(p, &g.limit))
            return false;
        loop_add_guard(p->k, st, g);
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

bool loop_read_note(struct loop_reader *p, struct loop_statement *st)
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
    st->number = ir_scan_take(&p->r.s, "stream");
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

static bool read_over(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    int64_t suffix;

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
    return true;
}

static bool read_fold(struct loop_reader *p, struct loop_statement *st)
{
    st->kind = LOOP_FOLD;
    return read_op(&p->r.s, &st->op) && loop_read_value(p, &st->args[0]) && read_over(p, st);
}

static bool read_fragment(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_FRAGMENT;
    return read_element(p, &st->buffer, &st->ix) &&
           (ir_scan_take(s, "pitch") || ir_scan_wanted(s, "pitch")) &&
           ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &st->pitch) && ir_scan_expect(s, ",") &&
           ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &st->pitch2);
}

static bool read_multiply(struct loop_reader *p, struct loop_statement *st)
{
    st->kind = LOOP_MULTIPLY;
    st->dtype = IR_F32;
    return loop_read_value(p, &st->args[0]) && ir_scan_expect(&p->r.s, "=") &&
           read_args(p, st, 1, 3) && read_over(p, st);
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

static bool read_copy(struct loop_reader *p, struct loop_statement *st)
{
    struct ir_scan *s = &p->r.s;

    st->kind = LOOP_COPY;
    st->pitch = 1;
    if (!read_element(p, &st->buffer2, &st->ix2) || !ir_scan_expect(s, "="))
        return false;
    st->dtype = p->k->buffer[st->buffer2].dtype;
    if (ir_scan_peek(s) == '%' ? !loop_read_value(p, &st->args[0])
                               : !read_element(p, &st->buffer, &st->ix))
        return false;
    return !ir_scan_take(s, "by") || ir_scan_integer(s, 1, LOOP_LANES, &st->pitch);
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
    if (ir_scan_take(s, "fragment"))
        return read_fragment(p, st);
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

bool loop_read_statement(struct loop_reader *p, struct loop_block *block)
{
    struct ir_scan *s = &p->r.s;
    struct loop_statement st = { .kind = LOOP_LET };
    const char *number = NULL;
    size_t digits = 0;
    bool fine;

    if (ir_scan_accept(s, '%')) {
        fine = read_new_value(p, &st.value) && read_definition(p, &st, &number, &digits) &&
               ir_scan_expect(s, ":") && loop_read_dtype(s, &st.dtype) &&
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
    } else if (ir_scan_take(s, "copy")) {
        fine = read_copy(p, &st);
    } else if (ir_scan_take(s, "meet")) {
        st.kind = LOOP_MEET;
        fine = true;
    } else if (ir_scan_take(s, "multiply")) {
        fine = read_multiply(p, &st);
    } else {
        return ir_scan_wanted(s, "for, %N =, store, set or }");
    }
    if (!fine ||
        (st.kind == LOOP_LOAD && ir_scan_take(s, "else") && !loop_read_real(s, &st.number)) ||
        !loop_read_guards(p, &st) || !loop_read_note(p, &st))
        return false;
    if (st.value && !define(p, st.value, st.dtype))
        return false;
    loop_add(p->k, block, st);
    return true;
}
