/*
 * formula: maths as text -> nodes. "g * (1 - y * y)" becomes three nodes.
 *
 * The operators are C's, with C's precedence, and a word is the operation of the table with that
 * name; a letter stands for a value. A number has no type of its own: it stays a number until it
 * meets a value and becomes a constant of its type.
 */
#include "ir/ir.h"

#include <string.h>

enum { DEEPEST = 64 }; /* parentheses inside parentheses: a text may come from a file */

struct reader {
    struct ir_graph *graph;
    const char *text, *at;
    const ir_val *name;
    struct ir_loc loc;
    int depth;
    bool failed;
};

struct term { /* a value, or a number that waits for a type */
    ir_val value;
    double number;
    bool is_number;
};

/* Operators that take two, by how tightly they bind; `a > b` is `b < a`. Longer spellings come
 * first. */
static const struct infix {
    char spelling[3];
    char length, level;
    enum ir_op op;
    bool swap;
} infixes[] = {
    { "==", 2, 3, IR_eq, .swap = false }, { "!=", 2, 3, IR_ne, .swap = false },
    { "<=", 2, 4, IR_le, .swap = false }, { ">=", 2, 4, IR_le, .swap = true },
    { "<", 1, 4, IR_lt, .swap = false },  { ">", 1, 4, IR_lt, .swap = true },
    { "|", 1, 1, IR_or, .swap = false },  { "&", 1, 2, IR_and, .swap = false },
    { "+", 1, 5, IR_add, .swap = false }, { "-", 1, 5, IR_sub, .swap = false },
    { "*", 1, 6, IR_mul, .swap = false }, { "/", 1, 6, IR_div, .swap = false },
};

static struct term read_infix(struct reader *r, int level);

static struct term fail(struct reader *r, const char *expected)
{
    if (!r->failed)
        ir_error(r->graph->error, IR_REFUSED,
                 "%s:%d: formula \"%.120s\": found \"%.24s\"; expected %s",
                 r->loc.file ? r->loc.file : "?", r->loc.line, r->text, r->at, expected);
    r->failed = true;
    return (struct term){ .value = { 0 } };
}

static struct term value_term(ir_val value)
{
    return (struct term){ .value = value };
}

static struct term number_term(double number)
{
    return (struct term){ .number = number, .is_number = true };
}

static void skip_blanks(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n')
        r->at++;
}

static bool skip(struct reader *r, char c)
{
    skip_blanks(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

/* What a number is where nothing beside it has a type: the gradient's, the result's, or the first
 * argument's. */
static enum ir_dtype usual_type(const struct reader *r)
{
    for (const char *c = "gya"; *c; c++)
        if (r->name[*c - 'a'].id)
            return ir_at(r->graph, r->name[*c - 'a'])->dtype;
    return IR_F32;
}

static ir_val settle(struct reader *r, struct term t, enum ir_dtype type)
{
    return t.is_number ? ir_number(r->graph, type, t.number, r->loc) : t.value;
}

/* Gives the numbers among two terms the type of the other one. */
static void settle_two(struct reader *r, struct term a, struct term b, ir_val out[2])
{
    enum ir_dtype type = !a.is_number   ? ir_at(r->graph, a.value)->dtype
                         : !b.is_number ? ir_at(r->graph, b.value)->dtype
                                        : usual_type(r);

    out[0] = settle(r, a, type);
    out[1] = settle(r, b, type);
}

static struct term apply_infix(struct reader *r, const struct infix *op, struct term a,
                               struct term b)
{
    ir_val arg[2];

    if (r->failed)
        return value_term((ir_val){ 0 });
    if (a.is_number && b.is_number && op->level >= 5)
        return number_term(op->op == IR_add   ? a.number + b.number
                           : op->op == IR_sub ? a.number - b.number
                           : op->op == IR_mul ? a.number * b.number
                                              : a.number / b.number);
    settle_two(r, a, b, arg);
    return value_term(ir_op2(r->graph, op->op, arg[op->swap], arg[!op->swap], r->loc));
}

static struct term read_call(struct reader *r, enum ir_op op)
{
    int arity = ir_ops[op].arity;
    struct term t[3];
    ir_val arg[3];

    for (int i = 0; i < arity; i++) {
        if (!skip(r, i ? ',' : '('))
            return fail(r, i ? "a comma" : "an opening parenthesis");
        t[i] = read_infix(r, 1);
    }
    if (!skip(r, ')'))
        return fail(r, "a closing parenthesis");
    if (r->failed)
        return value_term((ir_val){ 0 });
    if (op == IR_select) {
        arg[0] = settle(r, t[0], IR_BOOL);
        settle_two(r, t[1], t[2], arg + 1);
        return value_term(ir_select(r->graph, arg[0], arg[1], arg[2], r->loc));
    }
    if (arity == 1)
        return value_term(ir_op1(r->graph, op, settle(r, t[0], usual_type(r)), r->loc));
    settle_two(r, t[0], t[1], arg);
    return value_term(ir_op2(r->graph, op, arg[0], arg[1], r->loc));
}

static struct term read_number(struct reader *r)
{
    size_t size = strspn(r->at, "0123456789.");
    double number;

    if (r->at[size] == 'e') {
        size += 1 + (r->at[size + 1] == '-');
        size += strspn(r->at + size, "0123456789");
    }
    if (!ir_read_number(r->at, size, &number))
        return fail(r, "a number");
    r->at += size;
    return number_term(number);
}

static struct term read_word(struct reader *r)
{
    size_t length = 1;
    enum ir_op op;

    while ((r->at[length] >= 'a' && r->at[length] <= 'z') ||
           (r->at[length] >= '0' && r->at[length] <= '9') || r->at[length] == '_')
        length++;
    if (length == 1) {
        ir_val value = r->name[*r->at - 'a'];
        if (value.id == 0)
            return fail(r, "a letter that stands for a value");
        r->at++;
        return value_term(value);
    }
    op = ir_op_by_name(r->at, length);
    if (op == IR_POISON || !ir_pointwise(op) || op == IR_cast || op == IR_bitcast)
        return fail(r, "an elementwise operation");
    r->at += length;
    return read_call(r, op);
}

static struct term read_one(struct reader *r)
{
    struct term t;

    skip_blanks(r);
    if (r->failed || ++r->depth > DEEPEST)
        return fail(r, "fewer parentheses");
    if (*r->at == '(') {
        r->at++;
        t = read_infix(r, 1);
        if (!skip(r, ')'))
            t = fail(r, "a closing parenthesis");
    } else if (*r->at == '-' || *r->at == '!') {
        bool minus = *r->at++ == '-';
        t = read_one(r);
        if (t.is_number && minus)
            t.number = -t.number;
        else if (!r->failed)
            t = value_term(
                ir_op1(r->graph, minus ? IR_neg : IR_not, settle(r, t, IR_BOOL), r->loc));
    } else if (*r->at >= 'a' && *r->at <= 'z') {
        t = read_word(r);
    } else if ((*r->at >= '0' && *r->at <= '9') || *r->at == '.') {
        t = read_number(r);
    } else {
        t = fail(r, "a letter, a number, a function or a parenthesis");
    }
    r->depth--;
    return t;
}

static const struct infix *find_infix(struct reader *r)
{
    skip_blanks(r);
    for (size_t i = 0; i < sizeof infixes / sizeof *infixes; i++)
        if (r->at[0] == infixes[i].spelling[0] &&
            (infixes[i].length == 1 || r->at[1] == infixes[i].spelling[1]))
            return &infixes[i];
    return NULL;
}

/* Operators of one level group from the left; what binds tighter is read first. */
static struct term read_infix(struct reader *r, int level)
{
    struct term left = read_one(r);
    const struct infix *op;

    while (!r->failed && (op = find_infix(r)) && op->level >= level) {
        r->at += op->length;
        left = apply_infix(r, op, left, read_infix(r, op->level + 1));
    }
    return left;
}

ir_val ir_formula(struct ir_graph *g, const char *text, const ir_val name[26], struct ir_loc loc)
{
    struct reader r = { .graph = g, .text = text, .at = text, .name = name, .loc = loc };
    struct term t = read_infix(&r, 1);

    skip_blanks(&r);
    if (!r.failed && *r.at)
        fail(&r, "an operator or the end");
    return r.failed ? (ir_val){ 0 } : settle(&r, t, usual_type(&r));
}
