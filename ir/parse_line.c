/*
 * A line of the textual IR: values, extents, types, what stands behind #, and a node of all that.
 */
#include "ir/parse.h"

#include <limits.h>
#include <string.h>

/* --- small parts ------------------------------------------------------------------------------ */

bool ir_parse_ref(struct ir_reader *r, struct ir_ref *ref)
{
    int64_t id;

    *ref = (struct ir_ref){ IR_UNNUMBERED, NULL };
    if (!ir_scan_accept(&r->s, '%'))
        return ir_scan_name(&r->s, &ref->name);
    if (!ir_scan_integer(&r->s, 0, IR_UNNUMBERED - 1, &id))
        return false;
    ref->id = (uint32_t)id;
    return true;
}

/* 28, batch, 4*batch*time: factors */
static bool read_product(struct ir_reader *r, int64_t *dim)
{
    struct ir_scan *s = &r->s;
    int64_t part;

    *dim = 1;
    for (;;) {
        const int c = ir_scan_peek(s);
        if (c >= '0' && c <= '9') {
            if (!ir_scan_integer(s, 0, ((int64_t)1 << 48) - 1, &part))
                return false;
        } else {
            const char *name;
            int i = 0;
            if (!ir_scan_name(s, &name))
                return false;
            while (i < r->g->symbols && strcmp(r->g->symbol[i].name, name) != 0)
                i++;
            if (i == r->g->symbols)
                return ir_scan_refuse(s,
                                      "%.60s is no symbol of this program; expected a line "
                                      "`symbol %.60s in 1..64` before it",
                                      name, name);
            part = ir_symbol_dim(r->g, i);
        }
        *dim = ir_dim_mul(r->g, *dim, part);
        if (*dim == -1)
            return ir_scan_refuse(s, "an extent that is too large or has no such form; expected "
                                     "4*batch*time+2");
        if (s->at >= s->size || s->text[s->at] != '*')
            return true;
        s->at++;
    }
}

/* .. and what is added: 4*batch*time+2, 64-time; a negative number passes here, and the rules
 * refuse it */
static bool read_dim(struct ir_reader *r, int64_t *dim)
{
    struct ir_scan *s = &r->s;
    int64_t part;
    bool plus;

    if (ir_scan_peek(s) == '-')
        return ir_scan_integer(s, -((int64_t)1 << 48), 0, dim);
    if (!read_product(r, dim))
        return false;
    if (s->at >= s->size || (s->text[s->at] != '+' && s->text[s->at] != '-'))
        return true;
    plus = s->text[s->at++] == '+';
    if (!read_product(r, &part))
        return false;
    *dim = plus ? ir_dim_add(r->g, *dim, part) : ir_dim_sub(r->g, *dim, part);
    return *dim != -1 || ir_scan_refuse(s, "an extent that may be negative or too large");
}

/* [ dim .. ], the bracket taken already; the numbers are in the scratch arena */
bool ir_parse_dims(struct ir_reader *r, struct ir_list *list)
{
    int64_t *numbers = NULL;
    size_t count = 0, room = 0;

    while (!ir_scan_accept(&r->s, ']')) {
        IR_MORE(r, numbers, count, room);
        if (count == 1 << 16)
            return ir_scan_refuse(&r->s, "more than %d numbers in a list", 1 << 16);
        if (!read_dim(r, &numbers[count++]))
            return false;
    }
    *list = (struct ir_list){ (int)count, numbers };
    return true;
}

/* Nothing but digits, up to a blank or the bracket */
static bool is_plain(struct ir_scan *s)
{
    const size_t begin = ir_scan_peek(s) == '-' ? s->at + 1 : s->at;
    size_t at = begin;

    while (at < s->size && s->text[at] >= '0' && s->text[at] <= '9')
        at++;
    return at > begin && at < s->size && (s->text[at] == ' ' || s->text[at] == ']');
}

/* The same, plain numbers of any size: a region's may be the bits of a double. */
bool ir_parse_numbers(struct ir_reader *r, struct ir_list *list)
{
    int64_t *numbers = NULL;
    size_t count = 0, room = 0;

    while (!ir_scan_accept(&r->s, ']')) {
        IR_MORE(r, numbers, count, room);
        if (count == IR_RANK * 2)
            return ir_scan_refuse(&r->s, "more than %d numbers of a region", IR_RANK * 2);
        if (!(is_plain(&r->s) ? ir_scan_integer(&r->s, INT64_MIN, INT64_MAX, &numbers[count])
                              : read_dim(r, &numbers[count])))
            return false;
        count++;
    }
    *list = (struct ir_list){ (int)count, numbers };
    return true;
}

bool ir_parse_type(struct ir_reader *r, struct ir_node *n)
{
    struct ir_scan *s = &r->s;
    const char *word;
    struct ir_list dims = { 0 };
    int dtype = 0;

    if (!ir_scan_name(s, &word))
        return false;
    while (dtype < IR_DTYPES && strcmp(ir_dtypes[dtype].name, word) != 0)
        dtype++;
    if (dtype == IR_DTYPES)
        return ir_scan_refuse(s, "%.40s is no element type; expected f32, i64, bool or such", word);
    if (s->at < s->size && s->text[s->at] == '[' &&
        (!ir_scan_accept(s, '[') || !ir_parse_dims(r, &dims)))
        return false;
    if (dims.count > IR_RANK)
        return ir_scan_refuse(s, "rank %d; expected at most %d", dims.count, IR_RANK);
    n->dtype = (enum ir_dtype)dtype;
    n->shape.rank = dims.count;
    for (int i = 0; i < dims.count; i++)
        n->shape.dim[i] = dims.at[i];
    return true;
}

static bool place(struct ir_reader *r, struct ir_loc *loc)
{
    static const char bytes[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789./+-";
    struct ir_scan *s = &r->s;
    const char *run;
    size_t length;
    int64_t line;

    *loc = (struct ir_loc){ NULL, 0 };
    if (ir_scan_peek(s) == '"') {
        if (!ir_scan_quoted(s, &loc->file))
            return false;
    } else if (!ir_scan_run(s, bytes, &run, &length) || length > 1000) {
        return false;
    } else if (length == 1 && *run == '-') {
        return true;
    } else {
        loc->file = ir_format(s->arena, "%.*s", (int)length, run);
    }
    if (s->at >= s->size || s->text[s->at++] != ':' || !ir_scan_integer(s, 0, INT_MAX, &line))
        return false;
    loc->line = (int)line;
    return true;
}

/*
 * What stands behind #. A comment that is not of our form is a comment: it is tried on a copy of
 * the scan whose errors go nowhere.
 */
bool ir_parse_note(struct ir_reader *r, struct ir_node *n)
{
    struct ir_reader trial = *r;
    struct ir_error nowhere = { 0 };
    struct ir_loc loc;
    const char *name = NULL;
    int64_t region = 0;

    trial.s.error = &nowhere;
    if (!ir_scan_accept(&trial.s, '#') || !place(&trial, &loc))
        return true;
    n->loc = loc;
    if (ir_scan_peek(&trial.s) != '{' && ir_scan_peek(&trial.s) != '\n' &&
        ir_scan_peek(&trial.s) != 0 && !ir_scan_name(&trial.s, &name))
        return true;
    if (ir_scan_accept(&trial.s, '{')) {
        if (!ir_scan_integer(&trial.s, 1, INT_MAX, &region))
            return true;
        if (ir_scan_peek(&trial.s) != '}' && !ir_scan_name(&trial.s, &(const char *){ NULL }))
            return true;
        if (!ir_scan_accept(&trial.s, '}'))
            return true;
    }
    if (ir_scan_peek(&trial.s) != '\n' && ir_scan_peek(&trial.s) != 0)
        return true;
    if (name)
        n->name = name;
    n->region = (uint32_t)region;
    return true;
}

/* --- a node's line ---------------------------------------------------------------------------- */

static bool read_attribute(struct ir_reader *r, struct ir_node *n)
{
    struct ir_scan *s = &r->s;
    const char *word;
    int64_t *one;
    int i, length;

    if (!ir_scan_name(s, &word))
        return false;
    for (i = 0; i < ir_attributes(n->op); i++) {
        const char *name = ir_attribute(n->op, i, &length);
        if (strlen(word) == (size_t)length && memcmp(word, name, (size_t)length) == 0)
            break;
    }
    if (i == ir_attributes(n->op) || n->op == IR_const || n->op == IR_state)
        return ir_scan_refuse(s, "%.40s is no attribute of %s; expected %s", word,
                              ir_ops[n->op].name,
                              *ir_ops[n->op].attributes ? ir_ops[n->op].attributes : "none");
    if (n->attr[i].count)
        return ir_scan_refuse(s, "%.40s stands twice", word);
    if (!ir_scan_expect(s, "="))
        return false;
    if (ir_scan_accept(s, '['))
        return ir_parse_dims(r, &n->attr[i]);
    one = ir_alloc(s->arena, sizeof *one);
    n->attr[i] = (struct ir_list){ 1, one };
    return read_dim(r, one);
}

static bool read_init(struct ir_reader *r, struct ir_node *n)
{
    static const char *const names[] = { "zero", "constant", "uniform", "normal" };
    static const int numbers[] = { 0, 1, 2, 2 };
    struct ir_scan *s = &r->s;
    int64_t *init = ir_alloc(s->arena, 3 * sizeof *init);
    int kind = 0;

    n->attr[0] = (struct ir_list){ 3, init };
    if (!ir_scan_take(s, "init"))
        return ir_scan_wanted(s, "init zero, constant(a), uniform(a, b) or normal(a, b)");
    while (kind < 4 && !ir_scan_take(s, names[kind]))
        kind++;
    if (kind == 4)
        return ir_scan_wanted(s, "zero, constant(a), uniform(a, b) or normal(a, b)");
    init[0] = kind;
    for (int i = 0; i < numbers[kind]; i++) {
        const char *run;
        size_t length;
        double value;
        if (!ir_scan_expect(s, i ? "," : "("))
            return false;
        if (!ir_scan_run(s, "0123456789+-.abcdefinxpABCDEF", &run, &length) ||
            !ir_read_number(run, length, &value))
            return ir_scan_wanted(s, "a number");
        memcpy(init + 1 + i, &value, sizeof value);
    }
    return numbers[kind] == 0 || ir_scan_expect(s, ")");
}

/* is a value next, and not an attribute or the type? */
static bool is_value(struct ir_reader *r)
{
    struct ir_error nowhere = { 0 };
    struct ir_scan ahead = r->s;
    const char *name;

    ahead.error = &nowhere;
    return ir_scan_peek(&ahead) == '%' ||
           (strchr(":(#~\n", ir_scan_peek(&ahead)) == NULL && ir_scan_name(&ahead, &name) &&
            !ir_scan_accept(&ahead, '='));
}

static bool read_args(struct ir_reader *r, struct ir_line *l)
{
    int arity = ir_ops[l->draft.op].arity;
    size_t count = 0, room = 0;

    if (arity < 0 && l->draft.op != IR_concat && !is_value(r))
        return true;

    while (arity < 0 ? count == 0 || ir_scan_accept(&r->s, ',') : (int)count < arity) {
        if (count && arity >= 0 && !ir_scan_expect(&r->s, ","))
            return false;
        if (count == 1 << 20)
            return ir_scan_refuse(&r->s, "more than %d arguments", 1 << 20);
        IR_MORE(r, l->args, count, room);
        if (!ir_parse_ref(r, &l->args[count++]))
            return false;
    }
    l->draft.arity = (int)count;
    return true;
}

/* A graph of its own, with the symbols of the one around. */
static bool read_body(struct ir_reader *r, struct ir_node *n)
{
    struct ir_reader body = { .s = r->s, .kept = r->kept, .depth = r->depth + 1 };
    bool fine;

    if (body.depth >= IR_BODIES)
        return ir_scan_refuse(&r->s, "more than %d scans in each other", IR_BODIES);
    body.program = ir_alloc(r->s.arena, sizeof *body.program);
    body.program->graph = body.g = ir_body_new(r->g, "body");
    ir_arena_adopt(r->s.arena, body.g->arena);
    fine = ir_parse_graph(&body, n);
    r->s = body.s;
    n->body = body.g;
    return fine;
}

bool ir_parse_node(struct ir_reader *r, int kernel)
{
    struct ir_scan *s = &r->s;
    struct ir_line *l;
    struct ir_node *n;
    const char *run;
    size_t length;
    int64_t number;

    if (r->count >= 1 << 24)
        return ir_scan_refuse(s, "more than %d nodes", 1 << 24);
    IR_MORE(r, r->lines, r->count, r->room);
    l = &r->lines[r->count];
    *l = (struct ir_line){ .id = IR_UNNUMBERED, .at = s->line, .kernel = kernel };
    l->order = r->count ? l[-1].order : 0;
    n = &l->draft;
    if (ir_scan_accept(s, '%')) {
        if (!ir_scan_integer(s, 1, IR_UNNUMBERED - 1, &number) || !ir_scan_expect(s, "="))
            return false;
        l->id = l->order = (uint32_t)number;
    }
    if (!ir_scan_run(s, "abcdefghijklmnopqrstuvwxyz_0123456789", &run, &length))
        return ir_scan_wanted(s, "an operation");
    n->op = ir_op_by_name(run, length);
    if (n->op == IR_POISON || n->op == IR_input)
        return ir_scan_refuse(s, "%.*s is no operation of a line; `taper ops` lists them",
                              length > 40 ? 40 : (int)length, run);
    if (l->id == IR_UNNUMBERED && n->op != IR_assign)
        return ir_scan_refuse(s, "%s without a number; expected %%N = before it",
                              ir_ops[n->op].name);
    if (!read_args(r, l))
        return false;
    if (n->op == IR_dot) {
        if (!ir_scan_run(s, "abcdefghijklmnopqrstuvwxyz,->", &run, &length) || length > 60)
            return ir_scan_wanted(s, "letters like mk,kn->mn");
        n->text = ir_format(s->arena, "%.*s", (int)length, run);
    } else if ((n->op == IR_state || n->op == IR_custom) && !ir_scan_name(s, &n->text)) {
        return false;
    } else if (n->op == IR_const &&
               !ir_scan_run(s, "0123456789+-.abcdefinxpABCDEF", &l->number, &l->digits)) {
        return ir_scan_wanted(s, "a number");
    }
    while (ir_scan_peek(s) == '_' || (ir_scan_peek(s) >= 'a' && ir_scan_peek(s) <= 'z'))
        if (!read_attribute(r, n))
            return false;
    if (ir_scan_accept(s, '~')) {
        if (!ir_scan_integer(s, 1, INT_MAX, &number))
            return false;
        n->identity = (uint32_t)number;
    }
    if (ir_has_results(n->op)) {
        r->count++;
        return read_body(r, n);
    }
    if (ir_scan_accept(s, ':')) {
        if (!ir_parse_type(r, n))
            return false;
        l->typed = true;
    } else if (n->op == IR_cast || n->op == IR_bitcast || n->op == IR_reshape ||
               n->op == IR_expand || n->op == IR_bits || n->op == IR_custom || n->arity == 0) {
        return ir_scan_wanted(s, ": and a type");
    }
    if (n->op == IR_state && !read_init(r, n))
        return false;
    r->count++;
    return ir_parse_note(r, n) && ir_scan_line_end(s);
}
