/*
 * expression: how types, literals and operations are spelled.
 *
 * The text of a pointwise operation is its column in ops.def; words in capitals become the
 * functions of the lane type at hand: EXP(a) -> exp_f32x16(x3). A single number that meets lanes is
 * broadcast.
 */
#include "codegen.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *gen_type(const struct gen *e, enum ir_dtype dtype, bool vector)
{
    static const char *const lanes[] = {
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) #c "x16",
#include "ir/dtype.def"
#undef DTYPE
    };
    static const char *const alone[] = {
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) #c,
#include "ir/dtype.def"
#undef DTYPE
    };

    if (dtype == IR_BOOL) /* in registers a mask */
        dtype = IR_I32;
    return vector && !e->lane ? lanes[dtype] : alone[dtype];
}

const char *gen_bare(struct gen *e, const char *text)
{
    int open = 0;

    if (*text != '(')
        return text;
    for (const char *c = text; *c; c++) {
        open += *c == '(' ? 1 : *c == ')' ? -1 : 0;
        if (!open)
            return c[1] ? text : ir_format(e->arena, "%.*s", (int)(c - text - 1), text + 1);
    }
    return text;
}

/* ---- literals ---- */

const char *gen_literal(struct gen *e, enum ir_dtype dtype, double number, int64_t integer)
{
    char text[64];

    switch (dtype) {
    case IR_BOOL:
        return integer ? "1" : "0";
    case IR_U8:
    case IR_I8:
    case IR_U16:
    case IR_I16:
    case IR_I32:
        return integer == INT32_MIN ? "(-2147483647 - 1)"
                                    : ir_format(e->arena, "%" PRId64, integer);
    case IR_U32:
        return ir_format(e->arena, "%" PRIu32 "u", (uint32_t)integer);
    case IR_U64:
        return ir_format(e->arena, "%" PRIu64 "ull", (uint64_t)integer);
    case IR_F16:
    case IR_BF16:
        return ir_format(e->arena, "%u", ir_half(dtype, (float)number));
    case IR_I64:
        return integer == INT64_MIN ? "(-9223372036854775807 - 1)"
                                    : ir_format(e->arena, "%" PRId64, integer);
    default:
        break;
    }
    bool f32 = dtype == IR_F32;
    if (isnan(number))
        return f32 ? "nan_f32" : "nan_f64";
    if (isinf(number))
        return ir_format(e->arena, "%sinf_%s", number < 0 ? "-" : "", f32 ? "f32" : "f64");
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (f32 ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number)
            break;
    }
    if (!strpbrk(text, ".en"))
        strcat(text, ".0");
    return ir_format(e->arena, "%s%s", text, f32 ? "f" : "");
}

/* ---- operations ---- */

/* the type whose functions an operation uses: that of its arguments */
static enum ir_dtype type_of(const struct gen *e, const struct loop_statement *s)
{
    if (s->op == IR_select)
        return s->dtype;
    return s->args[0] ? e->k->value[s->args[0]].dtype : s->dtype;
}

/* signed numbers wrap, for which C has no word: the type in which their sums are taken; NULL: their
 * own */
const char *gen_wraps(enum ir_dtype dtype)
{
    return dtype == IR_I32 ? "u32" : dtype == IR_I64 ? "u64" : NULL;
}

/* spells the C column of ops.def for lanes or a single number */
static const char *pointwise(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype dtype = type_of(e, s);
    const char *type = gen_type(e, dtype, vector), *name[3] = { 0 }, *kept;
    const char *text = ir_ops[s->op].text;
    struct ir_text out = { 0 };

    const bool sums = !strchr(text, '(') && strpbrk(text, "+-*"); /* of no function's arguments */
    const char *whole = sums ? gen_wraps(dtype) : NULL;
    const char *lanes = vector && !e->lane ? "x16" : "";

    for (int i = 0; i < 3 && s->args[i]; i++) {
        name[i] = gen_operand(e, s->args[i], vector);
        if (whole)
            name[i] = ir_format(e->arena, "(%s%s)%s", whole, lanes, name[i]);
    }
    for (const char *c = text; *c;) {
        if (isupper((unsigned char)*c)) {
            size_t n = strspn(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
            if (n == 1 && *c == 'K') { /* K(-1) */
                double number = strtod(c + 2, NULL);
                const char *literal = gen_literal(e, dtype, number, (int64_t)number);
                if (vector && !e->lane)
                    ir_put(&out, "splat_%s(%s)", type, literal);
                else
                    ir_put(&out, "%s", literal);
                c = strchr(c, ')') + 1;
                continue;
            }
            if (n == 3 && !strncmp(c, "NOT", 3)) { /* of truth and of bits */
                ir_put(&out, dtype == IR_BOOL && !(vector && !e->lane) ? "!" : "~");
            } else {
                for (size_t i = 0; i < n; i++)
                    ir_put(&out, "%c", tolower((unsigned char)c[i]));
                ir_put(&out, "_%s", type);
            }
            c += n;
        } else if (*c >= 'a' && *c <= 'c' && !isalnum((unsigned char)c[1])) {
            ir_put(&out, "%s", name[*c - 'a']);
            c++;
        } else {
            ir_put(&out, "%c", *c++);
        }
    }
    kept = whole ? ir_format(e->arena, "(%s)(%s)", type, out.data)
                 : ir_format(e->arena, "%s", out.data);
    ir_text_free(&out);
    if (s->dtype == IR_BOOL && vector && !e->lane && dtype != IR_BOOL &&
        ir_dtypes[dtype].bytes != 4)
        kept =
            ir_format(e->arena, "__builtin_convertvector(%s, i32x16)", kept); /* masks are of i32 */
    if (dtype == IR_U8 && s->dtype == IR_U8 && !(vector && !e->lane))
        kept = ir_format(e->arena, "(u8)(%s)", kept);
    return kept;
}

/* `a` of type `from` as `to`; both are computed in themselves, or integers */
static const char *convert(struct gen *e, enum ir_dtype from, enum ir_dtype to, const char *a,
                           bool vector)
{
    const char *type = gen_type(e, to, vector);

    if (from == to)
        return a;
    if (!vector || e->lane)
        return to == IR_BOOL ? ir_format(e->arena, "(%s != 0)", a)
                             : ir_format(e->arena, "(%s)%s", type, a);
    if (to == IR_BOOL) {
        a = ir_format(e->arena, "%s != 0", a);
        return ir_dtypes[from].bytes == 4
                   ? a
                   : ir_format(e->arena, "__builtin_convertvector(%s, i32x16)", a);
    }
    if (from == IR_BOOL) /* all ones is true */
        return ir_format(e->arena, "__builtin_convertvector(%s & 1, %s)", a, type);
    return ir_format(e->arena, "__builtin_convertvector(%s, %s)", a, type);
}

static bool is_half(enum ir_dtype dtype)
{
    return dtype == IR_F16 || dtype == IR_BF16;
}

static const char *cast(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype from = e->k->value[s->args[0]].dtype, to = s->dtype;
    const char *a = gen_operand(e, s->args[0], vector), *type = gen_type(e, IR_F32, vector);

    if (from == to)
        return a;
    if (is_half(from)) {
        a = ir_format(e->arena, "widen_%s_%s(%s)", ir_dtypes[from].name, type, a);
        from = IR_F32;
    }
    if (!is_half(to))
        return convert(e, from, to, a, vector);
    return ir_format(e->arena, "narrow_%s_%s(%s)", ir_dtypes[to].name, type,
                     convert(e, from, IR_F32, a, vector));
}

static const char *choose(struct gen *e, const struct loop_statement *s, bool vector)
{
    const char *mask = gen_operand(e, s->args[0], vector), *type = gen_type(e, s->dtype, vector);
    const char *a = gen_operand(e, s->args[1], vector), *b = gen_operand(e, s->args[2], vector);

    if (vector && !e->lane) {
        if (ir_dtypes[s->dtype].bytes == 8)
            mask = ir_format(e->arena, "__builtin_convertvector(%s, i64x16)", mask);
        if (ir_dtypes[s->dtype].bytes < 4 && s->dtype != IR_BOOL)
            return ir_format(
                e->arena,
                "__builtin_convertvector(select_i32x16(%s, __builtin_convertvector(%s, i32x16), "
                "__builtin_convertvector(%s, i32x16)), %s)",
                mask, a, b, type);
        return ir_format(e->arena, "select_%s(%s, %s, %s)", type, mask, a, b);
    }
    return ir_format(e->arena, "%s ? %s : %s", mask, a, b);
}

/* the index expression as a number: in lanes the lanes' own */
static const char *index_value(struct gen *e, const struct loop_statement *s, bool vector)
{
    loop_ix ix = gen_instance(e, s->ix);
    bool linear;

    if (!vector || e->lane)
        return gen_index_text(e, ix);
    int64_t scale = loop_coefficient(e->k, ix, e->vector, &linear);
    const char *lanes = "iota_i64x16()";
    if (!linear) {
        int64_t at[LOOP_LANES];
        struct ir_text text = { 0 };
        if (!gen_pattern(e, ix, at))
            return NULL; /* lane by lane */
        for (int i = 0; i < LOOP_LANES; i++)
            ir_put(&text, "%s%" PRId64, i ? ", " : "", at[i]);
        lanes = ir_format(e->arena, "(i64x16){ %s }", text.data);
        ir_text_free(&text);
        ix = loop_replace(e->k, ix, e->vector, loop_const(e->k, 0));
    }
    const char *base = gen_index_text(e, ix);
    if (linear && scale != 1)
        lanes = ir_format(e->arena, "iota_i64x16() * %" PRId64, scale);
    return strcmp(base, "0") ? ir_format(e->arena, "%s + (i64)(%s)", lanes, gen_bare(e, base))
                             : lanes;
}

static const char *random_bits(struct gen *e, const struct loop_statement *s, bool vector)
{
    loop_ix ix = gen_instance(e, s->ix);
    const char *key = gen_name(e, s->args[0]), *counter = gen_name(e, s->args[1]);
    bool linear;

    if (!vector || e->lane)
        return ir_format(e->arena, "philox_u32(%s, %s, %" PRId64 "u, (u32)(%s))", key, counter,
                         s->integer, gen_index_text(e, ix));
    if (loop_coefficient(e->k, ix, e->vector, &linear) != 1 || !linear)
        return NULL;
    return ir_format(e->arena, "philox_u32x16(%s, %s, %" PRId64 "u, iota_u32x16() + (u32)(%s))",
                     key, counter, s->integer, gen_index_text(e, ix));
}

static const char *bits_as(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype from = e->k->value[s->args[0]].dtype;
    const char *a = gen_operand(e, s->args[0], vector);

    if (vector && !e->lane)
        return ir_format(e->arena, "(%s)%s", gen_type(e, s->dtype, true), a);
    if (ir_dtypes[from].bytes < 4)
        return ir_format(e->arena, "(%s)%s", gen_type(e, s->dtype, false), a);
    if (ir_dtypes[s->dtype].kind == 'f')
        return ir_format(e->arena, "from_bits_%s((%s)%s)", ir_dtypes[s->dtype].name,
                         ir_dtypes[s->dtype].bytes == 4 ? "i32" : "i64", a);
    if (ir_dtypes[from].kind == 'f')
        return ir_format(e->arena, "(%s)bits_%s(%s)", gen_type(e, s->dtype, false),
                         ir_dtypes[from].name, a);
    return ir_format(e->arena, "(%s)%s", gen_type(e, s->dtype, false), a);
}

/* NULL: it has no form in lanes and must be spelled lane by lane */
const char *gen_expression(struct gen *e, const struct loop_statement *s, bool vector)
{
    switch (s->op) {
    case IR_POISON:
        return index_value(e, s, vector);
    case IR_const: {
        const char *literal = gen_literal(e, s->dtype, s->number, s->integer);
        return literal;
    }
    case IR_cast:
        return cast(e, s, vector);
    case IR_stop_gradient: /* another name */
        return gen_operand(e, s->args[0], vector);
    case IR_bitcast:
        return bits_as(e, s, vector);
    case IR_select:
        return choose(e, s, vector);
    case IR_bits:
        return random_bits(e, s, vector);
    default:
        return pointwise(e, s, vector);
    }
}
