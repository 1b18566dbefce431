/*
 * ops: the tables of operations: primitives, as ir/ops.def has them, and the elementwise functions
 * composed of them, as frontend/formulas.def has them.
 */
#include "command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_op(const struct ir_op_info *op)
{
    static const char *const kinds[] = {
        ['F'] = "float", ['N'] = "number", ['I'] = "integer", ['B'] = "bool", ['A'] = "any"
    };

    if (op->group == IR_STRUCTURAL) {
        printf("%-14s %-7s %s\n", op->name,
               op->arity < 0 ? ".." : (char[]){ (char)('0' + op->arity), 0 }, op->doc);
        if (op->attributes && *op->attributes)
            printf("%-22s %s\n", "", op->attributes);
        return;
    }
    printf("%-14s %-7s %s", op->name, kinds[(unsigned char)op->kind], op->text);
    for (int i = 0; i < op->arity; i++)
        if (op->grad[i] && *op->grad[i])
            printf("   d/d%c: %s", 'a' + i, op->grad[i]);
    printf("\n");
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
static bool print_formulas(const char *name)
{
    int count;
    const struct tp_formula_row *rows = tp_formula_rows(&count);
    bool found = false;

    for (int i = 0; i < count; i++)
        if (!name || strcmp(rows[i].name, name) == 0) {
            print_formula(&rows[i]);
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

int command_ops(int argc, char **argv, struct ir_error *error)
{
    const struct option options[] = { { NULL, 0, NULL, NULL, NULL } };
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
        if (!print_formulas(argv[i]))
            print_op(&ir_ops[ir_op_by_name(argv[i], strlen(argv[i]))]);
    for (int op = IR_POISON + 1; words == 0 && op < IR_OPS; op++)
        print_op(&ir_ops[op]);
    if (words == 0)
        print_formulas(NULL);
    return 0;
}
