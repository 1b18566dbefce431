/*
 * The table of operations and of element types, unfolded. The C text of a pointwise row is kept as
 * text here; the interpreter compiles the same text.
 */
#include "ir/ir.h"

#include <string.h>

const struct ir_dtype_info ir_dtypes[IR_DTYPES] = {
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) { #name, bytes, kind, IR_##arithmetic },
#include "ir/dtype.def"
#undef DTYPE
};

/* clang-format off */
const struct ir_op_info ir_ops[IR_OPS] = {
    { .name = "poison", .group = IR_STRUCTURAL, .attributes = "", .doc = "the result of an error" },
#define UNARY(op, k, c, da)      { #op, IR_UNARY, 1, #k[0], #c, { da }, "", NULL },
#define PREDICATE(op, k, c)      { #op, IR_PREDICATE, 1, #k[0], #c, { "" }, "", NULL },
#define BINARY(op, k, c, da, db) { #op, IR_BINARY, 2, #k[0], #c, { da, db }, "", NULL },
#define COMPARE(op, k, c)        { #op, IR_COMPARE, 2, #k[0], #c, { "", "" }, "", NULL },
#define OP(op, n, attrs, shape, grad, value, lower, text) \
    { #op, IR_STRUCTURAL, n, 0, NULL, { NULL }, attrs, text },
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};
/* clang-format on */

enum ir_op ir_op_by_name(const char *name, size_t length)
{
    for (int op = 1; op < IR_OPS; op++)
        if (strlen(ir_ops[op].name) == length && memcmp(ir_ops[op].name, name, length) == 0)
            return (enum ir_op)op;
    return IR_POISON;
}

int ir_attributes(enum ir_op op)
{
    const char *names = ir_ops[op].attributes;
    int count = *names != 0;

    for (; *names; names++)
        count += *names == ' ';
    return count;
}

const char *ir_attribute(enum ir_op op, int i, int *length)
{
    const char *names = ir_ops[op].attributes;

    while (i-- > 0)
        names = strchr(names, ' ') + 1;
    *length = (int)strcspn(names, " ");
    return names;
}

static const char *const region_kinds[] = {
#define REGION(name, grad, types, doc) #name,
#include "ir/regions.def"
#undef REGION
};

int ir_region_kind(const char *name)
{
    for (size_t i = 0; i < sizeof region_kinds / sizeof *region_kinds; i++)
        if (strcmp(region_kinds[i], name) == 0)
            return (int)i;
    return -1;
}
