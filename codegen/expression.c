/*
 * expression: how values, indices and operations are spelled.
 *
 * The text of a pointwise operation is its column in ops.def; words in capitals become the
 * functions of the lane type at hand: EXP(a) -> exp_f32x16(x3). A single number that meets lanes is
 * broadcast. An index is spelled for the instance at hand: unrolled indices are numbers, the vector
 * axis stands at its first lane.
 */
#include "codegen.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- types and names ---- */

const char *gen_type(const struct gen *e, enum ir_dtype dtype, bool vector)
{
    static const char *const lanes[IR_DTYPES] = { "i32x16", "u8x16",  "i32x16", "u32x16",
                                                  "i64x16", "f32x16", "f64x16" };
    static const char *const alone[IR_DTYPES] = { "i32", "u8", "i32", "u32", "i64", "f32", "f64" };

    return vector && !e->lane ? lanes[dtype] : alone[dtype];
}

/* what the elements of a buffer are called: truth is kept in bytes */
bool gen_is_vector(const struct gen *e, uint32_t value)
{
    return e->vector >= 0 && (e->k->value[value].depends >> e->vector & 1);
}

static const char *alias_of(const struct gen *e, uint32_t value)
{
    for (int i = e->newest[value]; i >= 0; i = e->alias[i].before) {
        const struct gen_alias *a = &e->alias[i];
        bool same = true;
        for (int u = 0; u < e->unrolls && same; u++)
            if (e->k->value[value].depends >> e->unrolled[u] & 1)
                same = a->index[u] == e->at[e->unrolled[u]];
        if (same)
            return a->name;
    }
    return NULL;
}

const char *gen_name(struct gen *e, uint32_t value)
{
    const char *name = alias_of(e, value);

    if (!name)
        ir_bug("kernel %s uses value %u before it is made", e->k->name, value);
    if (!e->lane || !gen_is_vector(e, value))
        return name;
    /* truth is all ones in a lane, 1 alone */
    return ir_format(e->arena, e->k->value[value].dtype == IR_BOOL ? "(%s[%s] & 1)" : "%s[%s]",
                     name, e->lane);
}

const char *gen_operand(struct gen *e, uint32_t value, bool vector)
{
    const char *name = gen_name(e, value);

    if (vector && !e->lane && !gen_is_vector(e, value)) {
        enum ir_dtype dtype = e->k->value[value].dtype;
        if (dtype == IR_BOOL)
            return ir_format(e->arena, "splat_i32x16(-%s)", name);
        return ir_format(e->arena, "splat_%s(%s)", gen_type(e, dtype, true), name);
    }
    return name;
}

/* words of C and of CUDA's C++, and what generated text itself uses: between two blanks each */
static const char reserved[] = " alignas alignof and and_eq asm auto bitand bitor bool break case "
                               "catch char char16_t char32_t class compl concept const "
                               "const_cast constexpr continue decltype default delete do double "
                               "dynamic_cast else enum explicit export extern false float for "
                               "friend goto if inline int long mutable namespace new noexcept not "
                               "not_eq nullptr operator or or_eq private protected public "
                               "register reinterpret_cast requires restrict return short signed "
                               "sizeof static static_assert static_cast struct switch template "
                               "this thread_local throw true try typedef typeid typename typeof "
                               "union unsigned using virtual void volatile wchar_t while xor "
                               "xor_eq linux unix threadIdx blockIdx blockDim gridDim warpSize "
                               "f32 f64 i32 u32 i64 u64 u8 i8 base dims thread threads block arena "
                               "state gate lane row run floor_div barrier main ";

const char *gen_identifier(struct ir_arena *arena, const char *name, const char *otherwise)
{
    char *text;

    if (!name || !*name)
        return otherwise;
    text = ir_format(arena, "%s%.60s", isalpha((unsigned char)*name) || *name == '_' ? "" : "v_",
                     name);
    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            *c = '_';
    return strstr(reserved, ir_format(arena, " %s ", text)) ? ir_format(arena, "%s_", text) : text;
}

const char *gen_symbol(struct ir_arena *arena, const struct ir_graph *g, int symbol)
{
    const char *name = gen_identifier(arena, g->symbol[symbol].name, "n");

    for (int i = 0; i < symbol; i++)
        if (!strcmp(gen_identifier(arena, g->symbol[i].name, "n"), name))
            return ir_format(arena, "%s_%d_", name, symbol);
    return name;
}

const char *gen_place(struct ir_arena *arena, struct ir_loc loc, const char *name)
{
    const char *file = loc.file ? strrchr(loc.file, '/') : NULL;
    char *text;

    if (!loc.file && !name)
        return NULL;
    file = file ? file + 1 : loc.file;
    if (loc.file)
        text =
            ir_format(arena, "%.60s:%d%s%.60s", file, loc.line, name ? " " : "", name ? name : "");
    else
        text = ir_format(arena, "%.60s", name);
    for (char *c = text; *c;
         c++) /* names come from files: nothing that ends a comment or starts a line */
        if (!isprint((unsigned char)*c) || *c == '\\' || *c == '?' || (c[0] == '*' && c[1] == '/'))
            *c = '_';
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
    case IR_I32:
        return integer == INT32_MIN ? "(-2147483647 - 1)"
                                    : ir_format(e->arena, "%" PRId64, integer);
    case IR_U32:
        return ir_format(e->arena, "%" PRIu32 "u", (uint32_t)integer);
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

/* ---- indices ---- */

loop_ix gen_instance(struct gen *e, loop_ix ix)
{
    uint64_t axes = loop_axes_of(e->k, ix);

    for (int u = 0; u < e->unrolls; u++)
        if (axes >> e->unrolled[u] & 1)
            ix = loop_replace(e->k, ix, e->unrolled[u], loop_const(e->k, e->at[e->unrolled[u]]));
    return ix;
}

static void put_atom(struct gen *e, struct ir_text *out, const struct loop_atom *a);

/* sum without the terms that `skip` marks */
static void put_sum(struct gen *e, struct ir_text *out, const struct loop_sum *s, const bool *skip)
{
    bool any = false;

    for (int i = 0; i < s->count; i++) {
        int64_t scale = s->term[i].scale;
        const struct loop_atom *a = &e->k->atom[s->term[i].atom];
        if (skip && skip[i])
            continue;
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == e->vector && !e->lane)
            continue; /* its first lane */
        ir_put(out, any ? scale < 0 ? " - " : " + " : scale < 0 ? "-" : "");
        int64_t size = scale < 0 ? -scale : scale;
        if (size != 1)
            ir_put(out, "%" PRId64 " * ", size);
        put_atom(e, out, a);
        any = true;
    }
    if (s->constant || !any)
        ir_put(out, any ? s->constant < 0 ? " - %" PRId64 : " + %" PRId64 : "%" PRId64,
               any && s->constant < 0 ? -s->constant : s->constant);
}

/* s * x - s * d * (x / d), x in one piece, is s * (x % d): marks those terms and spells the
 * remainder */
static bool put_remainder(struct gen *e, struct ir_text *out, const struct loop_sum *s, bool *skip,
                          bool any)
{
    for (int i = 0; i < s->count; i++) {
        const struct loop_atom *a = &e->k->atom[s->term[i].atom];
        if (skip[i] || a->kind != LOOP_ATOM_DIV || s->term[i].scale % a->divisor)
            continue;
        const struct loop_sum *x = &e->k->sum[a->a];
        int64_t scale = -s->term[i].scale / a->divisor, lo, hi;
        int match[48], matched = 0;
        loop_range(e->k, a->a, &lo, &hi);
        if (lo < 0 || x->constant || scale < 1)
            continue;
        for (int j = 0; j < x->count; j++)
            for (int t = 0; t < s->count; t++)
                if (!skip[t] && s->term[t].atom == x->term[j].atom &&
                    s->term[t].scale == scale * x->term[j].scale)
                    match[matched++] = t;
        if (matched != x->count)
            continue;
        for (int j = 0; j < matched; j++)
            skip[match[j]] = true;
        skip[i] = true;
        ir_put(out, any ? " + " : "");
        if (scale != 1)
            ir_put(out, "%" PRId64 " * ", scale);
        bool alone = x->count == 1 && x->term[0].scale == 1;
        ir_put(out, alone ? "(" : "((");
        put_sum(e, out, x, NULL);
        ir_put(out, alone ? " %% %" PRId64 ")" : ") %% %" PRId64 ")", a->divisor);
        return true;
    }
    return false;
}

void gen_index(struct gen *e, struct ir_text *out, loop_ix ix)
{
    const struct loop_sum s = e->k->sum[ix];
    bool skip[64] = { false }, any = false;

    while (put_remainder(e, out, &s, skip, any))
        any = true;
    bool left = s.constant != 0 || !any;
    for (int i = 0; i < s.count; i++) {
        const struct loop_atom *a = &e->k->atom[s.term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == e->vector && !e->lane)
            skip[i] = true;
        left |= !skip[i];
    }
    if (!left)
        return;
    struct ir_text rest = { 0 };
    put_sum(e, &rest, &s, skip);
    if (any)
        ir_put(out, rest.data[0] == '-' ? " - %s" : " + %s", rest.data + (rest.data[0] == '-'));
    else
        ir_put(out, "%s", rest.data);
    ir_text_free(&rest);
}

/* "2 * batch + 1": false where it is more than a name */
static bool put_dim(struct gen *e, struct ir_text *out, int64_t dim)
{
    const struct ir_dimension *d = &e->k->graph->dimension[dim - INT64_MIN];
    int factors = 0;

    if (d->scale != 1 && ++factors)
        ir_put(out, "%" PRId64, d->scale);
    for (int s = 0; s < e->k->graph->symbols; s++)
        for (int p = 0; p < d->power[s]; p++)
            ir_put(out, "%s%s", factors++ ? " * " : "", gen_symbol(e->arena, e->k->graph, s));
    if (d->offset)
        ir_put(out, d->offset < 0 ? " - %" PRId64 : " + %" PRId64,
               d->offset < 0 ? -d->offset : d->offset);
    return factors == 1 && !d->offset;
}

static void put_atom(struct gen *e, struct ir_text *out, const struct loop_atom *a)
{
    int64_t lo, hi;

    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        ir_put(out, "%s", (int)a->a == e->vector ? e->lane : e->axis[a->a]);
        return;
    case LOOP_ATOM_DIM: {
        struct ir_text text = { 0 };
        bool simple = put_dim(e, &text, a->dim);
        ir_put(out, simple ? "%s" : "(%s)", text.data);
        ir_text_free(&text);
        return;
    }
    case LOOP_ATOM_VALUE:
        ir_put(out, "%s", gen_name(e, a->a));
        return;
    case LOOP_ATOM_DIV:
        loop_range(e->k, a->a, &lo, &hi);
        if (lo < 0 && (a->divisor & (a->divisor - 1))) { /* C rounds towards zero; floor is meant */
            ir_put(out, "floor_div(");
            gen_index(e, out, a->a);
            ir_put(out, ", %" PRId64 ")", a->divisor);
            return;
        }
        struct ir_text text = { 0 };
        gen_index(e, &text, a->a);
        bool simple = !strpbrk(text.data, " -");
        const char *form = simple ? "(%s %s %" PRId64 ")" : "((%s) %s %" PRId64 ")";
        int shift = 0;
        while (lo < 0 && INT64_C(1) << shift < a->divisor)
            shift++;
        ir_put(out, form, text.data, lo < 0 ? ">>" : "/", lo < 0 ? (int64_t)shift : a->divisor);
        ir_text_free(&text);
        return;
    }
}

const char *gen_index_text(struct gen *e, loop_ix ix)
{
    struct ir_text text = { 0 };

    gen_index(e, &text, gen_instance(e, ix));
    const char *kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

const char *gen_condition(struct gen *e, const struct loop_guard *guard, int guards)
{
    struct ir_text text = { 0 };
    const char *kept = NULL;

    for (int i = 0; i < guards; i++) {
        struct loop_guard g = { gen_instance(e, guard[i].ix), gen_instance(e, guard[i].limit) };
        int64_t lo, hi;
        int state = loop_guard_state(e->k, &g);
        if (state == 0) {
            ir_text_free(&text);
            return "0";
        }
        for (int h = 0; h < e->helds; h++)
            if (e->held[h].ix == g.ix && e->held[h].limit == g.limit)
                state = 1;
        if (state == 1)
            continue;
        loop_range(e->k, g.ix, &lo, &hi);
        const char *at = gen_index_text(e, g.ix), *limit = gen_index_text(e, g.limit);
        int64_t least, most;
        loop_range(e->k, g.limit, &least, &most);
        if (lo < 0)
            ir_put(&text, "%s%s >= 0", text.size ? " && " : "", at);
        if (hi >= least)
            ir_put(&text, "%s%s < %s", text.size ? " && " : "", at, limit);
    }
    if (text.size)
        kept = ir_format(e->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

/* ---- operations ---- */

/* the type whose functions an operation uses: that of its arguments */
static enum ir_dtype type_of(const struct gen *e, const struct loop_statement *s)
{
    if (s->op == IR_select)
        return s->dtype;
    return s->args[0] ? e->k->value[s->args[0]].dtype : s->dtype;
}

/* spells the C column of ops.def for lanes or a single number */
static const char *pointwise(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype dtype = type_of(e, s);
    const char *type = gen_type(e, dtype, vector), *name[3] = { 0 }, *kept;
    const char *text = ir_ops[s->op].text;
    struct ir_text out = { 0 };

    for (int i = 0; i < 3 && s->args[i]; i++)
        name[i] = gen_operand(e, s->args[i], vector);
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
    kept = ir_format(e->arena, "%s", out.data);
    ir_text_free(&out);
    if (s->dtype == IR_BOOL && vector && !e->lane && dtype != IR_BOOL &&
        ir_dtypes[dtype].bytes != 4)
        kept =
            ir_format(e->arena, "__builtin_convertvector(%s, i32x16)", kept); /* masks are of i32 */
    if (dtype == IR_U8 && s->dtype == IR_U8 && !(vector && !e->lane))
        kept = ir_format(e->arena, "(u8)(%s)", kept);
    return kept;
}

static const char *cast(struct gen *e, const struct loop_statement *s, bool vector)
{
    enum ir_dtype from = e->k->value[s->args[0]].dtype;
    const char *a = gen_operand(e, s->args[0], vector), *type = gen_type(e, s->dtype, vector);

    if (from == s->dtype)
        return a;
    if (!vector || e->lane)
        return s->dtype == IR_BOOL ? ir_format(e->arena, "(%s != 0)", a)
                                   : ir_format(e->arena, "(%s)%s", type, a);
    if (s->dtype == IR_BOOL) {
        a = ir_format(e->arena, "%s != 0", a);
        return ir_dtypes[from].bytes == 4
                   ? a
                   : ir_format(e->arena, "__builtin_convertvector(%s, i32x16)", a);
    }
    if (from == IR_BOOL) /* all ones is true */
        return ir_format(e->arena, "__builtin_convertvector(%s & 1, %s)", a, type);
    return ir_format(e->arena, "__builtin_convertvector(%s, %s)", a, type);
}

static const char *choose(struct gen *e, const struct loop_statement *s, bool vector)
{
    const char *mask = gen_operand(e, s->args[0], vector), *type = gen_type(e, s->dtype, vector);
    const char *a = gen_operand(e, s->args[1], vector), *b = gen_operand(e, s->args[2], vector);

    if (vector && !e->lane) {
        if (ir_dtypes[s->dtype].bytes == 8)
            mask = ir_format(e->arena, "__builtin_convertvector(%s, i64x16)", mask);
        if (s->dtype == IR_U8)
            return ir_format(
                e->arena,
                "__builtin_convertvector(select_i32x16(%s, __builtin_convertvector(%s, i32x16), "
                "__builtin_convertvector(%s, i32x16)), u8x16)",
                mask, a, b);
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
    if (!linear)
        return NULL; /* lane by lane */
    const char *base = gen_index_text(e, ix), *lanes = "iota_i64x16()";
    if (scale != 1)
        lanes = ir_format(e->arena, "iota_i64x16() * %" PRId64, scale);
    return strcmp(base, "0") ? ir_format(e->arena, "%s + (i64)(%s)", lanes, base) : lanes;
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
