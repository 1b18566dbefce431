/*
 * expression: what a visitor writes of x, y and z, as operations of a graph.
 *
 *     sum     = product { (+ | -) product }         sign  = - sign | power
 *     product = sign { (* | /) sign }               power = call [ (^ | **) sign ]
 *     call    = atom { . name ( [sums] ) }          atom  = number | x | y | z | name ( sums ) | (
 * sum )
 *
 * Names are rows of the table below, and nothing else: no text of a visitor goes any further.
 * Length, depth and the number of operations are bounded.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz_0123456789"
enum { LONGEST = 400, DEEPEST = 40, MOST = 200, ARGUMENTS = 6 };

enum kind { UNARY, FORMULA, BINARY, TRUTH, SWAPPED, REDUCE };
static const struct name {
    const char *name, *operation;
    enum kind kind;
} names[] = {
    { "exp", "exp", UNARY },           { "log", "log", UNARY },
    { "sqrt", "sqrt", UNARY },         { "sin", "sin", UNARY },
    { "cos", "cos", UNARY },           { "tan", "tan", UNARY },
    { "tanh", "tanh", UNARY },         { "sinh", "sinh", UNARY },
    { "cosh", "cosh", UNARY },         { "atan", "atan", UNARY },
    { "abs", "abs", UNARY },           { "sign", "sign", UNARY },
    { "relu", "relu", UNARY },         { "erf", "erf", UNARY },
    { "floor", "floor", UNARY },       { "neg", "neg", UNARY },
    { "sigmoid", "sigmoid", FORMULA }, { "softplus", "softplus", FORMULA },
    { "gelu", "gelu", FORMULA },       { "silu", "silu", FORMULA },
    { "elu", "elu", FORMULA },         { "leaky_relu", "leaky_relu", FORMULA },
    { "square", "square", FORMULA },   { "cube", "cube", FORMULA },
    { "inv", "reciprocal", FORMULA },  { "pow", "pow", BINARY },
    { "atan2", "atan2", BINARY },      { "max", "max", BINARY },
    { "min", "min", BINARY },          { "lt", "lt", TRUTH },
    { "gt", "lt", SWAPPED },           { "eq", "eq", TRUTH },
    { "sum", "sum", REDUCE },          { "mean", "mean", REDUCE },
};

struct parser {
    tp_graph *g;
    const tp_tensor *variable; /* of x, y, z */
    const char *text, *at;
    bool apart; /* elements are apart: sum(a, b) is of its arguments, not over elements */
    bool *used; /* which of x, y, z */
    int depth, operations;
    struct ir_error *error;
};

tp_graph *play_sketch(struct ir_error *error)
{
    tp_graph *g = tp_graph_new(1);

    if (!g) {
        ir_error(error, IR_FAILED, "not enough memory");
        return NULL;
    }
    g->no_engine = true;
    tp_on_warning(g, NULL, NULL);
    return g;
}

static tp_tensor sum(struct parser *p);

static tp_loc here(const struct parser *p) /* what messages say: expression:COLUMN */
{
    return (tp_loc){ "expression", (int)(p->at - p->text) };
}

static tp_tensor wrong(struct parser *p, const char *expected)
{
    const size_t place = (size_t)(p->at - p->text) + 1;

    ir_error(p->error, IR_REFUSED, "at %zu, \"%.12s\": expected %s", place,
             *p->at ? p->at : "the end", expected);
    return (tp_tensor){ .g = p->g };
}

static bool well(const struct parser *p)
{
    return p->error->status == IR_OK;
}

static void skip(struct parser *p)
{
    p->at += strspn(p->at, " \t\n");
}

static bool take(struct parser *p, char c)
{
    skip(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static tp_tensor counted(struct parser *p, tp_tensor x)
{
    if (++p->operations > MOST)
        return wrong(p, "fewer operations");
    return x;
}

static tp_tensor binary(struct parser *p, const char *op, tp_tensor a, tp_tensor b)
{
    return well(p) ? counted(p, tp_binary_at(op, a, b, here(p))) : a;
}

/* Over the elements of one tensor, or, where these are apart, over the arguments. */
static tp_tensor reduced(struct parser *p, const char *op, int count, const tp_tensor *x)
{
    tp_tensor y = x[0];

    if (!p->apart && count == 1)
        return tp_reduce_at(op, y, (tp_reduce_args){ .dim = TP_ALL }, here(p));
    for (int i = 1; i < count; i++)
        y = binary(p, "add", y, x[i]);
    return strcmp(op, "mean") == 0 ? tp_binary_at("div", y, tp_as_number(count), here(p)) : y;
}

static tp_tensor applied(struct parser *p, const struct name *f, int count, const tp_tensor *x)
{
    const int wanted = f->kind == UNARY || f->kind == FORMULA ? 1 : 2;

    if (!well(p))
        return x[0];
    if (f->kind != REDUCE && count != wanted)
        return wrong(p, wanted == 1 ? "one argument before here" : "two arguments before here");
    switch (f->kind) {
    case UNARY:
        return counted(p, tp_unary_at(f->operation, x[0], here(p)));
    case FORMULA:
        return counted(p, tp_formula_at(f->operation, tp_list(x[0]), TP_NONE, here(p)));
    case BINARY:
        return binary(p, f->operation, x[0], x[1]);
    case TRUTH:
        return tp_cast_at(binary(p, f->operation, x[0], x[1]), TP_F32, here(p));
    case SWAPPED:
        return tp_cast_at(binary(p, f->operation, x[1], x[0]), TP_F32, here(p));
    default:
        return counted(p, reduced(p, f->operation, count, x));
    }
}

static const struct name *name_here(struct parser *p)
{
    const size_t length = strspn(p->at, LETTERS);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, p->at, length) == 0) {
            p->at += length;
            return &names[i];
        }
    return NULL;
}

/* ( sum, sum ) after x[0..first) */
static tp_tensor call(struct parser *p, const struct name *f, int first, tp_tensor x[ARGUMENTS])
{
    int count = first;

    if (!take(p, '('))
        return wrong(p, "(");
    if (!(first && take(p, ')'))) {
        do {
            if (count == ARGUMENTS)
                return wrong(p, "fewer arguments");
            x[count++] = sum(p);
        } while (well(p) && take(p, ','));
        if (well(p) && !take(p, ')'))
            return wrong(p, ")");
    }
    return applied(p, f, count, x);
}

static tp_tensor number(struct parser *p)
{
    const size_t length = strspn(p->at, "0123456789.");
    char digits[40] = "", *end;
    double value;

    if (length >= sizeof digits)
        return wrong(p, "a shorter number");
    memcpy(digits, p->at, length);
    value = strtod(digits, &end);
    if (*end || end == digits)
        return wrong(p, "a number");
    p->at += length;
    return counted(p, tp_full_at(p->g, TP_F32, TP_SCALAR, value, here(p)));
}

static tp_tensor atom(struct parser *p)
{
    tp_tensor x[ARGUMENTS] = { { .g = p->g } };
    const struct name *f;

    skip(p);
    if ((*p->at >= '0' && *p->at <= '9') || (*p->at == '.' && p->at[1] >= '0' && p->at[1] <= '9'))
        return number(p);
    if (take(p, '(')) {
        x[0] = sum(p);
        return !well(p) || take(p, ')') ? x[0] : wrong(p, ")");
    }
    if (*p->at >= 'x' && *p->at <= 'z' && !strspn(p->at + 1, LETTERS)) {
        p->used[*p->at - 'x'] = true;
        return p->variable[*p->at++ - 'x'];
    }
    f = name_here(p);
    return f ? call(p, f, 0, x) : wrong(p, "a number, x, y, z, ( or a function of the list");
}

static tp_tensor called(struct parser *p)
{
    tp_tensor x[ARGUMENTS] = { atom(p) };

    while (well(p) && take(p, '.')) {
        const struct name *f = name_here(p);
        x[0] = f ? call(p, f, 1, x) : wrong(p, "a function of the list");
    }
    return x[0];
}

static tp_tensor sign(struct parser *p)
{
    tp_tensor x;

    if (++p->depth > DEEPEST)
        return wrong(p, "less depth");
    if (take(p, '-')) {
        x = sign(p);
        x = well(p) ? counted(p, tp_unary_at("neg", x, here(p))) : x;
    } else {
        x = called(p);
        skip(p);
        if (well(p) && (*p->at == '^' || (p->at[0] == '*' && p->at[1] == '*'))) {
            p->at += 1 + (*p->at == '*');
            x = binary(p, "pow", x, sign(p));
        }
    }
    p->depth--;
    return x;
}

static tp_tensor product(struct parser *p)
{
    tp_tensor x = sign(p);
    const char *op;

    for (;;) {
        skip(p);
        if (!well(p) || (*p->at != '*' && *p->at != '/'))
            return x;
        op = *p->at++ == '*' ? "mul" : "div";
        x = binary(p, op, x, sign(p));
    }
}

static tp_tensor sum(struct parser *p)
{
    const char *op;
    tp_tensor x;

    if (++p->depth > DEEPEST)
        return wrong(p, "less depth");
    x = product(p);
    for (;;) {
        skip(p);
        if (!well(p) || (*p->at != '+' && *p->at != '-'))
            break;
        op = *p->at++ == '+' ? "add" : "sub";
        x = binary(p, op, x, product(p));
    }
    p->depth--;
    return x;
}

tp_tensor play_expression(tp_graph *g, const char *text, const tp_tensor variable[3], bool apart,
                          bool used[3], struct ir_error *error)
{
    struct parser p = { .g = g,
                        .variable = variable,
                        .text = text ? text : "",
                        .apart = apart,
                        .used = used,
                        .error = error };
    tp_tensor x = { .g = g };

    p.at = p.text;
    used[0] = used[1] = used[2] = false;
    if (strlen(p.text) > LONGEST)
        return wrong(&p, "an expression of at most 400 characters"), x;
    x = sum(&p);
    skip(&p);
    if (well(&p) && *p.at)
        return wrong(&p, "an operator, or the end");
    if (well(&p) && tp_error(g))
        ir_error(error, tp_status(g), "%s", tp_error(g));
    return x;
}

json_t *play_functions(struct play_request *r)
{
    json_t *list = json_array();

    (void)r;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_array_append_new(list, json_string(names[i].name));
    return json_pack("{s:o}", "functions", list);
}
