/*
 * Random graphs: pointwise rows, sources and effects.
 */
#include "support_random.h"

#include <math.h>
#include <string.h>

/* --- pointwise rows -------------------------------------------------------------------------- */

static bool decides(enum ir_op op) /* a last bit of the argument may change everything */
{
    return op == IR_sign || op == IR_floor || op == IR_ceil || op == IR_round || op == IR_trunc ||
           op == IR_rem || op == IR_mod || op == IR_eq || op == IR_ne || op == IR_lt ||
           op == IR_le || op == IR_isnan;
}

static bool keeps_bits(enum ir_op op) /* one correctly rounded operation, or none */
{
    return op == IR_neg || op == IR_abs || op == IR_not || op == IR_relu || op == IR_sqrt ||
           op == IR_add || op == IR_sub || op == IR_mul || op == IR_div || op == IR_max ||
           op == IR_min || op == IR_and || op == IR_or || op == IR_xor || op == IR_shl ||
           op == IR_shr || decides(op);
}

/* The first argument, moved into the domain of a floating row. */
static struct random_value domain_a(struct random_maker *m, enum ir_op op, struct random_value a)
{
    switch (op) {
    case IR_exp:
    case IR_exp2:
    case IR_expm1:
    case IR_sinh:
    case IR_cosh:
        return random_within(m, a, 3);
    case IR_tan:
        return random_within(m, a, 1);
    case IR_log:
    case IR_rsqrt:
    case IR_sqrt:
        return random_positive(m, a, 0.25);
    case IR_log1p:
        return random_positive(m, a, 0);
    case IR_pow:
        return random_positive(m, random_within(m, a, 3), 0.25);
    case IR_acosh:
        return random_positive(m, a, 1.25);
    case IR_asin:
    case IR_acos:
    case IR_atanh:
    case IR_erfinv:
        return (struct random_value){ random_op2(m, IR_mul, random_op1(m, IR_sin, a.v),
                                                 random_number(m, a.v, 0.875)),
                                      0.875, false };
    default:
        return a;
    }
}

static struct random_value domain_b(struct random_maker *m, enum ir_op op, struct random_value b)
{
    switch (op) {
    case IR_pow:
        return random_within(m, b, 2);
    case IR_div:
    case IR_rem:
    case IR_mod:
        return random_positive(
            m, b, 0.625); /* no half: mod(x, abs(x) + h) is h, and round jumps at halves */
    case IR_atan2:        /* at (0, 0) there is no slope */
        return m->options.smooth ? random_positive(m, b, 0.625) : b;
    default:
        return b;
    }
}

static double size_of(enum ir_op op, double a, double b)
{
    switch (op) {
    case IR_neg:
    case IR_abs:
    case IR_relu:
    case IR_asinh:
    case IR_log1p:
        return a;
    case IR_exp:
    case IR_expm1:
    case IR_sinh:
    case IR_cosh:
        return 21;
    case IR_pow:
        return 16;
    case IR_floor:
    case IR_ceil:
    case IR_round:
    case IR_trunc:
        return a + 1;
    case IR_sqrt:
    case IR_acosh:
        return sqrt(a) + 1;
    case IR_log:
        return fmax(1.4, a);
    case IR_add:
    case IR_sub:
        return a + b;
    case IR_mul:
        return a * b;
    case IR_div:
        return 2 * a;
    case IR_max:
    case IR_min:
        return fmax(a, b);
    case IR_rem:
    case IR_mod:
        return b;
    default: /* exp2, rsqrt and all that stay near 1 */
        return 8;
    }
}

bool random_pointwise(struct random_maker *m, enum ir_op op)
{
    const bool exact = decides(op), shift = op == IR_shl || op == IR_shr;
    struct random_value a = random_pick(m, shift ? 'i' : ir_ops[op].kind, exact),
                        b = { .exact = true };
    const bool real = random_kind(m, a.v) == 'f';
    ir_val y;

    if (ir_ops[op].arity == 2) {
        b = random_partner(m, a, exact);
        if (random_chance(m, 30)) {
            const struct random_value c = a;

            a = b;
            b = c;
        }
        if (real)
            b = domain_b(m, op, b);
        if (shift)
            b.v = random_op2(m, IR_and, b.v, random_number(m, b.v, 7));
    }
    if (real)
        a = domain_a(m, op, a);
    if (decides(op) && !(a.exact && b.exact))
        return false;
    y = ir_ops[op].arity == 2 ? random_op2(m, op, a.v, b.v) : random_op1(m, op, a.v);
    if (y.id && ir_elements(m->g, &random_node(m, y)->shape) > 4 * ELEMENTS)
        return false;
    return random_keep(m, y,
                       random_kind(m, y) == 'b' ? 1
                       : real                   ? size_of(op, a.size, b.size)
                                                : INFINITY,
                       a.exact && b.exact && (keeps_bits(op) || !real));
}

bool random_typed(struct random_maker *m, enum ir_op op) /* cast, bitcast */
{
    struct random_value a = random_pick(m, op == IR_cast ? 'A' : 'i', random_chance(m, 50));
    struct ir_node draft = {
        .op = op, .dtype = random_draw_dtype(m, 'A'), .arity = 1, .loc = random_here(m)
    };
    const enum ir_dtype from = random_node(m, a.v)->dtype;
    const bool truth = draft.dtype == IR_BOOL,
               integer = random_fits(ir_dtypes[draft.dtype].kind, 'i');

    if (op == IR_bitcast) {
        static const enum ir_dtype other[IR_DTYPES] = {
            [IR_U8] = IR_I8,   [IR_I8] = IR_U8,   [IR_U16] = IR_I16, [IR_I16] = IR_U16,
            [IR_U32] = IR_I32, [IR_I32] = IR_U32, [IR_U64] = IR_I64, [IR_I64] = IR_U64
        };
        draft.dtype = other[from];
        a.size = INFINITY;
    } else {
        if (from == IR_BOOL)
            a.size = 1;
        if ((truth || integer) && (!a.exact || (m->options.smooth && ir_dtypes[from].kind == 'f')))
            a = random_pick(m, 'i', true);
        if (!truth)
            a = random_within(m, a, 100);
        if (ir_dtypes[draft.dtype].kind == 'u')
            a.v = random_node(m, a.v)->dtype == IR_BOOL ? a.v : random_op1(m, IR_abs, a.v);
    }
    draft.args = &a.v;
    return random_keep(m, ir_add(m->g, &draft), truth ? 1 : a.size, a.exact);
}

bool random_choose(struct random_maker *m) /* select */
{
    struct random_value a = random_pick(m, 'A', false), b = random_partner(m, a, false),
                        c = { .size = 0 };

    for (int i = 0; i < m->count && c.v.id == 0; i++) {
        const struct random_value *v = &m->pool[random_below(m, m->count)];

        if (random_kind(m, v->v) == 'b' && random_broadcasts(m, v->v, a.v) &&
            random_broadcasts(m, v->v, b.v))
            c = *v;
    }
    if (c.v.id == 0)
        c = random_input(m, IR_BOOL, random_node(m, a.v)->shape);
    return random_keep(m, ir_select(m->g, c.v, a.v, b.v, random_here(m)), fmax(a.size, b.size),
                       a.exact && b.exact && c.exact);
}

/* --- sources and effects --------------------------------------------------------------------- */

bool random_source(struct random_maker *m, enum ir_op op)
{
    struct ir_shape s = random_draw_shape(m);
    struct ir_node bits = {
        .op = op, .dtype = IR_U32, .shape = s, .arity = 2, .loc = random_here(m)
    };
    char name[20];

    snprintf(name, sizeof name, "s%d", m->names);
    switch (op) {
    case IR_input:
        random_input(m, random_draw_dtype(m, 'A'), s);
        return true;
    case IR_state:
        m->names++;
        return random_keep(m,
                           ir_state(m->g, name, random_draw_dtype(m, 'F'), s, IR_INIT_UNIFORM, -2,
                                    2, random_here(m)),
                           2, true);
    case IR_const:
        return random_keep(m,
                           ir_number(m->g, random_draw_dtype(m, 'N'),
                                     (double)random_below(m, 17) / (random_chance(m, 50) ? 1 : 8),
                                     random_here(m)),
                           16, true);
    case IR_size:
        return random_keep(m,
                           ir_size(m->g, m->extent[0],
                                   m->options.smooth      ? random_draw_dtype(m, 'F')
                                   : random_chance(m, 50) ? IR_F32
                                                          : IR_I64,
                                   random_here(m)),
                           40, true);
    case IR_iota:
        return s.rank && random_keep(m,
                                     ir_iota(m->g, random_draw_dtype(m, 'N'), s,
                                             (int)random_below(m, s.rank), random_here(m)),
                                     40, true);
    default: /* bits */
        bits.args = (ir_val[]){ ir_integer(m->g, IR_I64, random_below(m, 1000), random_here(m)),
                                ir_integer(m->g, IR_I64, random_below(m, 9), random_here(m)) };
        bits.attr[0] = random_list(m, 1, (int64_t[]){ random_below(m, 4) });
        return random_keep(m, ir_add(m->g, &bits), INFINITY, true);
    }
}

bool random_assign(struct random_maker *m)
{
    const struct random_value a = random_pick(m, 'A', false);
    const struct ir_node *n = random_node(m, a.v);
    char name[20];

    snprintf(name, sizeof name, "s%d", m->names++);
    const ir_val state =
        ir_state(m->g, name, n->dtype, n->shape, IR_INIT_CONSTANT, 1, 0, random_here(m));
    return ir_assign(m->g, state, random_node(m, state)->dtype == n->dtype ? a.v : state,
                     random_here(m))
               .id != 0;
}
