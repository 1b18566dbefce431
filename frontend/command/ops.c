/*
 * ops: the tables of operations: primitives, as ir/ops.def has them, and the elementwise functions
 * composed of them, as frontend/formulas.def has them.
 */
#include "command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *kind_name(char kind)
{
    switch (kind) {
    case 'F':
        return "float";
    case 'N':
        return "number";
    case 'I':
        return "integer";
    case 'B':
        return "bool";
    default:
        return "any";
    }
}

static void print_op(const struct ir_op_info *op)
{
    if (op->group == IR_STRUCTURAL) {
        printf("%-14s %-7s %s\n", op->name,
               op->arity < 0 ? ".." : (char[]){ (char)('0' + op->arity), 0 }, op->doc);
        if (op->attributes && *op->attributes)
            printf("%-22s %s\n", "", op->attributes);
        return;
    }
    printf("%-14s %-7s %s", op->name, kind_name(op->kind), op->text);
    for (int i = 0; i < op->arity; i++)
        if (op->grad[i] && *op->grad[i])
            printf("   d/d%c: %s", 'a' + i, op->grad[i]);
    printf("\n");
}

/* The functions that a structural row names, as ir/ops.def says them. */
static const char *const functions[IR_OPS][4] = {
#define UNARY(...)
#define PREDICATE(...)
#define BINARY(...)
#define COMPARE(...)
#define OP(op, n, attributes, shape, grad, value, lower, doc) \
    [IR_##op] = { #shape, #grad, #value, #lower },
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};

/* "name":"text", the text as JSON has it; behind another pair after a comma */
static void put_pair(const char *name, const char *text)
{
    printf("%s\"%s\":\"", strcmp(name, "op") == 0 ? "" : ",", name);
    for (const char *c = text; *c; c++)
        printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    printf("\"");
}

static void json_op(const struct ir_op_info *op, const char *const *function)
{
    static const char *const groups[] = { "unary", "predicate", "binary", "compare", "structural" };
    static const char *const names[] = { "shape", "grad", "value", "lower" };

    printf("{");
    put_pair("op", op->name);
    put_pair("group", groups[op->group]);
    printf(",\"arity\":%d", op->arity);
    if (op->group == IR_STRUCTURAL) {
        put_pair("doc", op->doc);
        put_pair("attributes", op->attributes);
        for (int i = 0; i < 4; i++)
            put_pair(names[i], function[i]);
    } else {
        put_pair("takes", kind_name(op->kind));
        put_pair("c", op->text);
        for (int i = 0; i < op->arity; i++)
            put_pair((char[]){ 'd', (char)('a' + i), 0 }, op->grad[i] ? op->grad[i] : "");
    }
    printf("}\n");
}

static void json_formula(const struct tp_formula_row *f)
{
    const char *number = f->numbers;

    printf("{");
    put_pair("op", f->name);
    put_pair("group", "formula");
    printf(",\"arity\":%d", f->tensors);
    put_pair("formula", f->text);
    put_pair("s", f->inner);
    printf(",\"numbers\":[");
    for (int i = 0; *number; i++) {
        const int length = (int)strcspn(number, " ");

        printf("%s[\"%.*s\",", i ? "," : "", length, number);
        printf(isnan(f->otherwise[i]) ? "null]" : "%.9g]", f->otherwise[i]);
        number += length + (number[length] == ' ');
    }
    printf("]}\n");
}

static void print_formula(const struct tp_formula_row *f)
{
    const char *number = f->numbers;

    printf("%-14s %-7d %s", f->name, f->tensors, f->text);
    if (*f->inner)
        printf("   s: %s(a)", f->inner);
    for (int i = 0; *number; i++) {
        const int length = (int)strcspn(number, " ");

        printf("   %c: %.*s", 'p' + i, length, number);
        if (!isnan(f->otherwise[i]))
            printf(" (%g)", f->otherwise[i]);
        number += length + (number[length] == ' ');
    }
    printf("\n");
}

/* All of them with no name. */
static bool print_formulas(const char *name, bool json)
{
    int count;
    const struct tp_formula_row *rows = tp_formula_rows(&count);
    bool found = false;

    for (int i = 0; i < count; i++)
        if (!name || strcmp(rows[i].name, name) == 0) {
            (json ? json_formula : print_formula)(&rows[i]);
            found = true;
        }
    return found;
}

static bool known_formula(const char *name)
{
    int count;
    const struct tp_formula_row *rows = tp_formula_rows(&count);

    while (count > 0 && strcmp(rows[count - 1].name, name) != 0)
        count--;
    return count > 0;
}

static void print(enum ir_op op, bool json)
{
    if (json)
        json_op(&ir_ops[op], functions[op]);
    else
        print_op(&ir_ops[op]);
}

int command_ops(int argc, char **argv, struct ir_error *error)
{
    bool json = false;
    const struct option options[] = { { "--json", 'b', &json, NULL, "an object a line" },
                                      { NULL, 0, NULL, NULL, NULL } };
    const struct usage usage = {
        "taper ops [NAME...]",
        "Prints the table of operations: elementwise rows with the types they take, "
        "their C text and\nderivatives; the others with the number of arguments, "
        "what they do and their attributes;\nthen functions composed of them, with the numbers "
        "that "
        "they take and the defaults.",
        "taper ops relu conv", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    for (int i = 0; i < words; i++)
        if (ir_op_by_name(argv[i], strlen(argv[i])) == IR_POISON && !known_formula(argv[i]))
            return ir_error(error, IR_REFUSED, "no operation \"%.40s\"; taper ops lists them",
                            argv[i]),
                   IR_REFUSED;
    for (int i = 0; i < words; i++)
        if (!print_formulas(argv[i], json))
            print(ir_op_by_name(argv[i], strlen(argv[i])), json);
    for (int op = IR_POISON + 1; words == 0 && op < IR_OPS; op++)
        print((enum ir_op)op, json);
    if (words == 0)
        print_formulas(NULL, json);
    return 0;
}
