/*
 * fold: operations on constants, done now.
 *
 * Only what IEEE 754 fixes to the last bit, in the type itself: an exp computed here might differ
 * by one bit from the exp of the generated code, and then fused would not equal eager.
 */
#include "passes/simplify.h"

#include <math.h>
#include <string.h>

static char kind(enum ir_dtype type)
{
    return ir_dtypes[type].kind;
}

/* Does the type hold the integer as it is? */
static bool holds(enum ir_dtype type, int64_t value)
{
    return ir_in_range(type, value) && (kind(type) != 'u' || value >= 0);
}

/* the bits of a whole number that the floating type has */
static int digits(enum ir_dtype type)
{
    return type == IR_F64 ? 53 : type == IR_F32 ? 24 : type == IR_F16 ? 11 : 8;
}

bool pass_widens(enum ir_dtype from, enum ir_dtype to)
{
    int bits = 8 * ir_dtypes[from].bytes;

    if (from == to || kind(from) == 'b')
        return true;
    if (kind(to) == 'b')
        return false;
    if (kind(from) == 'f' || kind(to) == 'f')
        return kind(to) == 'f' && (kind(from) == 'f' ? bits < 8 * ir_dtypes[to].bytes
                                                     : bits - (kind(from) == 'i') <= digits(to));
    return kind(from) == kind(to) ? bits <= 8 * ir_dtypes[to].bytes
                                  : kind(from) == 'u' && bits < 8 * ir_dtypes[to].bytes;
}

static ir_val real(struct pass_simple *s, enum ir_dtype type, double value)
{
    return ir_number(s->out, type, value, s->at->loc);
}

static ir_val whole(struct pass_simple *s, enum ir_dtype type, int64_t value)
{
    return ir_integer(s->out, type, value, s->at->loc);
}

/*
 * In double for both widths: a double has more than twice the bits of a float, so rounding its
 * result once more gives the float's own result.
 */
static bool fold_real(enum ir_op op, double a, double b, double *y)
{
    switch (op) {
    case IR_neg:
        *y = -a;
        return true;
    case IR_abs:
        *y = fabs(a);
        return true;
    case IR_sqrt:
        *y = sqrt(a);
        return true;
    case IR_relu:
        *y = a <= 0 ? 0 : a;
        return true;
    case IR_floor:
        *y = floor(a);
        return true;
    case IR_ceil:
        *y = ceil(a);
        return true;
    case IR_add:
        *y = a + b;
        return true;
    case IR_sub:
        *y = a - b;
        return true;
    case IR_mul:
        *y = a * b;
        return true;
    case IR_div:
        *y = a / b;
        return true;
    case IR_max:
        *y = a > b ? a : b;
        return a != b && !isnan(a) && !isnan(b);
    case IR_min:
        *y = a < b ? a : b;
        return a != b && !isnan(a) && !isnan(b);
    default:
        return false;
    }
}

static bool fold_whole(enum ir_op op, int64_t a, int64_t b, int64_t *y)
{
    switch (op) {
    case IR_neg:
        return !__builtin_sub_overflow(0, a, y);
    case IR_add:
        return !__builtin_add_overflow(a, b, y);
    case IR_sub:
        return !__builtin_sub_overflow(a, b, y);
    case IR_mul:
        return !__builtin_mul_overflow(a, b, y);
    case IR_max:
        *y = a > b ? a : b;
        return true;
    case IR_min:
        *y = a < b ? a : b;
        return true;
    case IR_and:
        *y = a & b;
        return true;
    case IR_or:
        *y = a | b;
        return true;
    case IR_xor:
        *y = a ^ b;
        return true;
    default:
        return false;
    }
}

/* 0 or 1; -1: not a comparison */
#define COMPARED(op, a, b)        \
    ((op) == IR_eq   ? (a) == (b) \
     : (op) == IR_ne ? (a) != (b) \
     : (op) == IR_lt ? (a) < (b)  \
     : (op) == IR_le ? (a) <= (b) \
                     : -1)

static ir_val fold_cast(struct pass_simple *s, const struct ir_node *n, const struct ir_node *a)
{
    double value = ir_number_of(a);

    if (kind(n->dtype) == 'b')
        return whole(s, IR_BOOL, value != 0);
    if (kind(a->dtype) != 'f') {
        int64_t exact = a->attr[0].at[0];

        if (kind(n->dtype) != 'f')
            return holds(n->dtype, exact) ? whole(s, n->dtype, exact) : (ir_val){ 0 };
        if (a->dtype == IR_U64 && exact < 0)
            return (ir_val){ 0 };
        return real(s, n->dtype, n->dtype == IR_F64 ? (double)exact : (double)(float)exact);
    }
    if (kind(n->dtype) == 'f') /* ir_number rounds once */
        return real(s, n->dtype, value);
    return fabs(value) < 0x1p62 && value == trunc(value) && holds(n->dtype, (int64_t)value)
               ? whole(s, n->dtype, (int64_t)value)
               : (ir_val){ 0 };
}

ir_val pass_fold(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = n->arity > 0 ? ir_at(s->out, n->args[0]) : NULL;
    const struct ir_node *b = n->arity > 1 ? ir_at(s->out, n->args[1]) : a;
    int64_t exact = 0;
    double value = 0;
    int truth;

    if (n->arity < 1 || n->arity > 2 || a->op != IR_const || b->op != IR_const)
        return (ir_val){ 0 };
    if (n->op == IR_cast)
        return fold_cast(s, n, a);
    if (a->dtype == IR_U64 && (a->attr[0].at[0] < 0 || b->attr[0].at[0] < 0))
        return (ir_val){ 0 }; /* larger than the arithmetic below */
    if (n->op == IR_isnan)
        return whole(s, IR_BOOL, isnan(ir_number_of(a)));
    if (n->op == IR_not && a->dtype == IR_BOOL)
        return whole(s, IR_BOOL, !a->attr[0].at[0]);
    truth = kind(a->dtype) == 'f' ? COMPARED(n->op, ir_number_of(a), ir_number_of(b))
                                  : COMPARED(n->op, a->attr[0].at[0], b->attr[0].at[0]);
    if (truth >= 0)
        return whole(s, IR_BOOL, truth);
    if (kind(a->dtype) != 'f')
        return fold_whole(n->op, a->attr[0].at[0], b->attr[0].at[0], &exact) &&
                       holds(n->dtype, exact)
                   ? whole(s, n->dtype, exact)
                   : (ir_val){ 0 };
    if (fold_real(n->op, ir_number_of(a), ir_number_of(b), &value))
        return real(s, n->dtype, value);
    return (ir_val){ 0 };
}
