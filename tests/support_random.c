/*
 * Random graphs: a pool of values that grows by one operation at a time. Each value remembers how
 * large it can be, so that the next operation can be given arguments of its domain, and whether
 * every machine gets the same bits.
 */
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct value {
    ir_val v;
    double size; /* a bound of the absolute value; of integers INFINITY after arithmetic */
    bool exact;  /* the same bits on every machine */
};

enum { VALUES = 400, ELEMENTS = 3000 };
struct maker {
    struct ir_graph *g;
    struct random_options options;
    uint64_t state;
    struct value pool[VALUES];
    int count, names, line;
    int64_t extent[5]; /* of this graph; [0] may be the symbol */
};

/* --- chance
 * ------------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t x) /* SplitMix64 */
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static int64_t below(struct maker *m, int64_t n)
{
    return (int64_t)(mixed(m->state += 0x9E3779B97F4A7C15) % (uint64_t)n);
}

static bool chance(struct maker *m, int percent)
{
    return below(m, 100) < percent;
}

/* --- values
 * --------------------------------------------------------------------------------------------- */

static struct ir_loc here(struct maker *m)
{
    return (struct ir_loc){ "random", m->line };
}

static const struct ir_node *node(const struct maker *m, ir_val v)
{
    return ir_at(m->g, v);
}

static char kind(const struct maker *m, ir_val v)
{
    return ir_dtypes[node(m, v)->dtype].kind;
}

static bool fits(char has, char wanted) /* kinds of ops.def, and i: integers */
{
    return wanted == 'A' || (wanted == 'F' && has == 'f') || (wanted == 'N' && has != 'b') ||
           (wanted == 'I' && has != 'f') || (wanted == 'i' && (has == 'i' || has == 'u')) ||
           (wanted == 'B' && has == 'b');
}

static struct ir_list list(struct maker *m, int n, const int64_t *numbers)
{
    int64_t *at = ir_alloc(m->g->arena, (size_t)(n + 1) * sizeof *at);

    for (int i = 0; i < n; i++)
        at[i] = numbers[i];
    return (struct ir_list){ n, at };
}

static ir_val number(struct maker *m, ir_val like, double x)
{
    return ir_number(m->g, node(m, like)->dtype, x, here(m));
}

static ir_val op1(struct maker *m, enum ir_op op, ir_val a)
{
    return ir_op1(m->g, op, a, here(m));
}

static ir_val op2(struct maker *m, enum ir_op op, ir_val a, ir_val b)
{
    return ir_op2(m->g, op, a, b, here(m));
}

/* Puts a value in the pool; what the graph refused is forgotten. Floats that grow large are scaled
 * down. */
static bool keep(struct maker *m, ir_val v, double size, bool exact)
{
    if (v.id == 0) {
        m->g->error->status = IR_OK;
        return false;
    }
    if (kind(m, v) == 'f' && size > 32) {
        const double scale = exp2(-ceil(log2(size / 2)));

        v = op2(m, IR_mul, v, number(m, v, scale));
        size *= scale;
    }
    if (m->count < VALUES)
        m->pool[m->count++] = (struct value){ v, size, exact };
    return true;
}

static enum ir_dtype draw_dtype(struct maker *m, char wanted)
{
    for (;;) {
        static const enum ir_dtype often[] = { IR_F32, IR_F32, IR_F32, IR_F64, IR_I32,
                                               IR_I32, IR_I64, IR_U8,  IR_U32, IR_BOOL };
        enum ir_dtype t = often[below(m, 10)];

        if (t == IR_F32 && m->options.smooth)
            t = IR_F64;
        if (fits(ir_dtypes[t].kind, wanted))
            return t;
    }
}

static struct value input(struct maker *m, enum ir_dtype dtype, struct ir_shape shape)
{
    char name[20];
    struct value in = { .size = ir_dtypes[dtype].kind == 'b'   ? 1
                                : ir_dtypes[dtype].kind == 'f' ? 2
                                                               : 9,
                        .exact = true };

    snprintf(name, sizeof name, "x%d", m->names++);
    in.v = ir_input(m->g, name, dtype, shape, here(m));
    if (m->count < VALUES)
        m->pool[m->count++] = in;
    return in;
}

static struct ir_shape draw_shape(struct maker *m)
{
    struct ir_shape s = { .rank = chance(m, 10) ? 0 : 1 + (int)below(m, 4) };

    for (int i = 0; i < s.rank; i++)
        s.dim[i] = m->extent[i == 0 ? below(m, 2) : 1 + below(m, 4)];
    while (ir_elements(m->g, &s) > ELEMENTS)
        s.dim[below(m, s.rank)] = 1;
    return s;
}

/* A value of a kind and, where asked, exact; mostly a late one of the pool, else a new input. */
static struct value pick(struct maker *m, char wanted, bool exact)
{
    for (int tries = 0; tries < 12 && m->count && !chance(m, 8); tries++) {
        const struct value *v =
            &m->pool[m->count - 1 - below(m, chance(m, 70) && m->count > 6 ? 6 : m->count)];

        if (fits(kind(m, v->v), wanted) && (v->exact || !exact))
            return *v;
    }
    return input(m, draw_dtype(m, wanted), draw_shape(m));
}

/* The same value within -limit..limit. */
static struct value within(struct maker *m, struct value a, double limit)
{
    if (a.size <= limit)
        return a;
    if (kind(m, a.v) == 'u' || kind(m, a.v) == 'i') {
        a.v = op2(m, IR_rem, a.v, number(m, a.v, floor(limit)));
        a.size = limit;
        return a;
    }
    if (a.exact && !m->options.smooth)
        a.v = op2(m, IR_max, op2(m, IR_min, a.v, number(m, a.v, limit)), number(m, a.v, -limit));
    else
        a = (struct value){ op2(m, IR_mul, op1(m, IR_tanh, a.v), number(m, a.v, limit)), limit,
                            false };
    a.size = limit;
    return a;
}

static struct value positive(struct maker *m, struct value a, double least)
{
    a.v = op2(m, IR_add, op1(m, IR_abs, a.v), number(m, a.v, least));
    a.size += least;
    return a;
}

static bool broadcasts(const struct maker *m, ir_val a, ir_val b)
{
    const struct ir_shape *s = &node(m, a)->shape, *t = &node(m, b)->shape;

    for (int i = 1; i <= s->rank && i <= t->rank; i++)
        if (s->dim[s->rank - i] != t->dim[t->rank - i] && s->dim[s->rank - i] != 1 &&
            t->dim[t->rank - i] != 1)
            return false;
    return true;
}

/* A second argument of a's type that broadcasts with it. */
static struct value partner(struct maker *m, struct value a, bool exact)
{
    const struct ir_node *n = node(m, a.v);
    struct ir_shape s = n->shape;
    const int gone = s.rank ? (int)below(m, s.rank + 1) : 0;

    if (chance(m, 12) && n->dtype != IR_BOOL)
        return (struct value){ number(m, a.v, 1 + (double)below(m, 3)), 3, true };
    for (int tries = 0; tries < 20 && !chance(m, 15); tries++) {
        const struct value *v = &m->pool[below(m, m->count)];

        if (node(m, v->v)->dtype == n->dtype && broadcasts(m, a.v, v->v) && (v->exact || !exact))
            return *v;
    }
    if (chance(m, 50)) { /* fewer axes */
        s.rank -= gone;
        memmove(s.dim, s.dim + gone, sizeof *s.dim * (size_t)s.rank);
        memset(s.dim + s.rank, 0, sizeof *s.dim * (size_t)gone);
    }
    for (int i = 0; i < s.rank; i++)
        if (chance(m, 25))
            s.dim[i] = 1;
    return input(m, n->dtype, s);
}

/* --- pointwise rows
 * ---------------------------------------------------------------------------------------- */

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
static struct value domain_a(struct maker *m, enum ir_op op, struct value a)
{
    switch (op) {
    case IR_exp:
    case IR_exp2:
    case IR_expm1:
    case IR_sinh:
    case IR_cosh:
        return within(m, a, 3);
    case IR_tan:
        return within(m, a, 1);
    case IR_log:
    case IR_rsqrt:
    case IR_sqrt:
        return positive(m, a, 0.25);
    case IR_log1p:
        return positive(m, a, 0);
    case IR_pow:
        return positive(m, within(m, a, 3), 0.25);
    case IR_acosh:
        return positive(m, a, 1.25);
    case IR_asin:
    case IR_acos:
    case IR_atanh:
    case IR_erfinv:
        return (struct value){ op2(m, IR_mul, op1(m, IR_sin, a.v), number(m, a.v, 0.875)), 0.875,
                               false };
    default:
        return a;
    }
}

static struct value domain_b(struct maker *m, enum ir_op op, struct value b)
{
    switch (op) {
    case IR_pow:
        return within(m, b, 2);
    case IR_div:
    case IR_rem:
    case IR_mod:
        return positive(m, b,
                        0.625); /* no half: mod(x, abs(x) + h) is h, and round jumps at halves */
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

static bool pointwise(struct maker *m, enum ir_op op)
{
    const bool exact = decides(op), shift = op == IR_shl || op == IR_shr;
    struct value a = pick(m, shift ? 'i' : ir_ops[op].kind, exact), b = { .exact = true };
    const bool real = kind(m, a.v) == 'f';
    ir_val y;

    if (ir_ops[op].arity == 2) {
        b = partner(m, a, exact);
        if (chance(m, 30)) {
            const struct value c = a;

            a = b;
            b = c;
        }
        if (real)
            b = domain_b(m, op, b);
        if (shift)
            b.v = op2(m, IR_and, b.v, number(m, b.v, 7));
    }
    if (real)
        a = domain_a(m, op, a);
    if (decides(op) && !(a.exact && b.exact))
        return false;
    y = ir_ops[op].arity == 2 ? op2(m, op, a.v, b.v) : op1(m, op, a.v);
    if (y.id && ir_elements(m->g, &node(m, y)->shape) > 4 * ELEMENTS)
        return false;
    return keep(m, y,
                kind(m, y) == 'b' ? 1
                : real            ? size_of(op, a.size, b.size)
                                  : INFINITY,
                a.exact && b.exact && (keeps_bits(op) || !real));
}

static bool typed(struct maker *m, enum ir_op op) /* cast, bitcast */
{
    struct value a = pick(m, op == IR_cast ? 'A' : 'i', chance(m, 50));
    struct ir_node draft = { .op = op, .dtype = draw_dtype(m, 'A'), .arity = 1, .loc = here(m) };
    const enum ir_dtype from = node(m, a.v)->dtype;
    const bool truth = draft.dtype == IR_BOOL, integer = fits(ir_dtypes[draft.dtype].kind, 'i');

    if (op == IR_bitcast) {
        draft.dtype = from == IR_I32 ? IR_U32 : from == IR_U32 ? IR_I32 : from;
        a.size = INFINITY;
    } else {
        if (from == IR_BOOL)
            a.size = 1;
        if ((truth || integer) && (!a.exact || (m->options.smooth && ir_dtypes[from].kind == 'f')))
            a = pick(m, 'i', true);
        if (!truth)
            a = within(m, a, 100);
        if (draft.dtype == IR_U8 || draft.dtype == IR_U32)
            a.v = node(m, a.v)->dtype == IR_BOOL ? a.v : op1(m, IR_abs, a.v);
    }
    draft.args = &a.v;
    return keep(m, ir_add(m->g, &draft), truth ? 1 : a.size, a.exact);
}

static bool choose(struct maker *m) /* select */
{
    struct value a = pick(m, 'A', false), b = partner(m, a, false), c = { .size = 0 };

    for (int i = 0; i < m->count && c.v.id == 0; i++) {
        const struct value *v = &m->pool[below(m, m->count)];

        if (kind(m, v->v) == 'b' && broadcasts(m, v->v, a.v) && broadcasts(m, v->v, b.v))
            c = *v;
    }
    if (c.v.id == 0)
        c = input(m, IR_BOOL, node(m, a.v)->shape);
    return keep(m, ir_select(m->g, c.v, a.v, b.v, here(m)), fmax(a.size, b.size),
                a.exact && b.exact && c.exact);
}

/* --- sources and effects
 * ------------------------------------------------------------------------------------- */

static bool source(struct maker *m, enum ir_op op)
{
    struct ir_shape s = draw_shape(m);
    struct ir_node bits = { .op = op, .dtype = IR_U32, .shape = s, .arity = 2, .loc = here(m) };
    char name[20];

    snprintf(name, sizeof name, "s%d", m->names);
    switch (op) {
    case IR_input:
        input(m, draw_dtype(m, 'A'), s);
        return true;
    case IR_state:
        m->names++;
        return keep(m,
                    ir_state(m->g, name, m->options.smooth ? IR_F64 : IR_F32, s, IR_INIT_UNIFORM,
                             -2, 2, here(m)),
                    2, true);
    case IR_const:
        return keep(m,
                    ir_number(m->g, draw_dtype(m, 'N'),
                              (double)below(m, 17) / (chance(m, 50) ? 1 : 8), here(m)),
                    16, true);
    case IR_size:
        return keep(m,
                    ir_size(m->g, m->extent[0],
                            m->options.smooth ? IR_F64
                            : chance(m, 50)   ? IR_F32
                                              : IR_I64,
                            here(m)),
                    40, true);
    case IR_iota:
        return s.rank &&
               keep(m, ir_iota(m->g, draw_dtype(m, 'N'), s, (int)below(m, s.rank), here(m)), 40,
                    true);
    default: /* bits */
        bits.args = (ir_val[]){ ir_integer(m->g, IR_I64, below(m, 1000), here(m)),
                                ir_integer(m->g, IR_I64, below(m, 9), here(m)) };
        bits.attr[0] = list(m, 1, (int64_t[]){ below(m, 4) });
        return keep(m, ir_add(m->g, &bits), INFINITY, true);
    }
}

static bool assign(struct maker *m)
{
    const struct value a = pick(m, 'A', false);
    const struct ir_node *n = node(m, a.v);
    char name[20];

    snprintf(name, sizeof name, "s%d", m->names++);
    const ir_val state = ir_state(m->g, name, n->dtype, n->shape, IR_INIT_CONSTANT, 1, 0, here(m));
    return ir_assign(m->g, state, node(m, state)->dtype == n->dtype ? a.v : state, here(m)).id != 0;
}

/* --- reductions
 * -------------------------------------------------------------------------------------------------
 */

static double elements_along(const struct maker *m, const struct ir_node *n, struct ir_list axes)
{
    double all = 1;

    for (int i = 0; i < axes.count; i++)
        all *= (double)ir_dim_max(m->g, n->shape.dim[axes.at[i]]);
    return all;
}

static struct ir_list some_axes(struct maker *m, int rank)
{
    int64_t axes[IR_RANK];
    int n = 0;

    for (int i = 0; i < rank; i++)
        if (chance(m, 50))
            axes[n++] = i;
    if (n == 0 && rank)
        axes[n++] = below(m, rank);
    return list(m, n, axes);
}

static bool reduce(struct maker *m, enum ir_op op)
{
    const bool arg = op == IR_argmax || op == IR_argmin, truth = op == IR_all || op == IR_any;
    struct value a = pick(m, truth ? 'B' : 'N', arg);
    struct ir_list axes = some_axes(m, node(m, a.v)->shape.rank);
    double n, size;

    if (arg && axes.count > 1)
        axes.count = (int)below(m, 2);
    if (op == IR_prod)
        a = within(m, a, 1.25);
    n = elements_along(m, node(m, a.v), axes);
    if (op == IR_prod && n > 12 && kind(m, a.v) == 'f')
        return false;
    size = op == IR_sum ? a.size * n : op == IR_prod ? pow(a.size, n) : arg ? ELEMENTS : a.size;
    return keep(m, ir_op_attr(m->g, op, 1, &a.v, &axes, here(m)), size,
                a.exact && (kind(m, a.v) != 'f' || (op != IR_sum && op != IR_prod)));
}

/* --- contractions
 * -------------------------------------------------------------------------------------------------
 */

static bool dot(struct maker *m)
{
    struct value a = pick(m, chance(m, 80) ? 'F' : 'N', false);
    struct ir_shape s = node(m, a.v)->shape, t = { 0 };
    char text[64], *c = text, batch[IR_RANK + 1] = "", summed[IR_RANK + 1] = "",
                   free_a[IR_RANK + 1] = "", extra[3] = "";
    double n = 1;

    if (s.rank == 0 || s.rank > 4)
        return false;
    for (int i = 0; i < s.rank; i++) {
        const int role = (int)below(m, 3);
        char *const part = role == 0 ? batch : role == 1 ? summed : free_a;

        part[strlen(part)] = (char)('a' + i);
        n *= role == 1 ? (double)ir_dim_max(m->g, s.dim[i]) : 1;
        *c++ = (char)('a' + i);
    }
    for (int i = 0; i < (int)below(m, 3); i++)
        extra[i] = (char)('x' + i);
    *c++ = ',';
    for (const char *p = batch; *p; p++, t.rank++)
        t.dim[t.rank] = s.dim[*p - 'a'], *c++ = *p;
    if (chance(m, 50))
        for (const char *p = extra; *p; p++, t.rank++)
            t.dim[t.rank] = m->extent[1 + below(m, 4)], *c++ = *p;
    for (const char *p = summed; *p; p++, t.rank++)
        t.dim[t.rank] = s.dim[*p - 'a'], *c++ = *p;
    for (const char *p = extra; *p && !memchr(text, *p, (size_t)(c - text)); p++, t.rank++)
        t.dim[t.rank] = m->extent[1 + below(m, 4)], *c++ = *p;
    {
        const bool swapped = chance(m, 30);
        const char *second = swapped ? extra : free_a, *third = swapped ? free_a : extra;

        c += snprintf(c, 30, "->%s%s%s", batch, second, third);
    }
    *c = 0;
    if (ir_elements(m->g, &t) > ELEMENTS)
        return false;
    struct value b = input(m, node(m, a.v)->dtype, t);
    const ir_val y = ir_dot(m->g, a.v, b.v, ir_format(m->g->arena, "%s", text), here(m));
    if (y.id && ir_elements(m->g, &node(m, y)->shape) > 4 * ELEMENTS)
        return false;
    return keep(m, y, kind(m, a.v) == 'f' ? a.size * b.size * n : INFINITY,
                a.exact && kind(m, a.v) != 'f');
}

/* A picture [n c s..] of some axes: a value of the pool in another shape, or an input. */
static struct value picture(struct maker *m, int axes, int64_t channels, enum ir_dtype dtype)
{
    struct ir_shape s = { 2 + axes,
                          { m->options.symbolic && chance(m, 50) ? m->extent[0] : 1 + below(m, 3),
                            channels } };

    for (int i = 0; i < axes; i++)
        s.dim[2 + i] = 1 + below(m, axes == 1 ? 17 : axes == 2 ? 9 : 5);
    for (int tries = 0; tries < 10; tries++) {
        const struct value *v = &m->pool[below(m, m->count)];
        const struct ir_shape *shape = &node(m, v->v)->shape;
        bool fine = node(m, v->v)->dtype == dtype && shape->rank == 2 + axes;

        for (int i = 1; fine && i < shape->rank; i++)
            fine = shape->dim[i] > 0 && (i > 1 || shape->dim[i] % channels == 0);
        if (fine)
            return *v;
    }
    return input(m, dtype, s);
}

/* Strides, paddings and dilations that a window has over extents; false where it does not fit. */
static bool draw_window(struct maker *m, int axes, const int64_t *in, int64_t *window, int64_t *out,
                        struct ir_list attr[3])
{
    int64_t stride[3], pad[6], dilation[3];

    for (int i = 0; i < axes; i++) {
        window[i] = 1 + below(m, 3);
        stride[i] = 1 + below(m, 2);
        dilation[i] = chance(m, 25) ? 2 : 1;
        for (int side = 0; side < 2; side++)
            pad[2 * i + side] = chance(m, 40) ? below(m, (window[i] - 1) * dilation[i] + 1) : 0;
        out[i] =
            ir_window_extent(in[i], window[i], stride[i], pad[2 * i], pad[2 * i + 1], dilation[i]);
        if (out[i] < 1)
            return false;
    }
    attr[0] = list(m, axes, stride);
    attr[1] = list(m, 2 * axes, pad);
    attr[2] = list(m, axes, dilation);
    return true;
}

/* Whether every window has a tap inside the extents: the greatest of none is no number. */
static bool touches(int axes, const int64_t *in, const int64_t *window, const int64_t *out,
                    const struct ir_list attr[3])
{
    for (int i = 0; i < axes; i++)
        for (int64_t o = 0; o < out[i]; o++) {
            bool inside = false;
            for (int64_t t = 0; t < window[i] && !inside; t++) {
                const int64_t at = o * attr[0].at[i] - attr[1].at[2 * i] + t * attr[2].at[i];
                inside = at >= 0 && at < in[i];
            }
            if (!inside)
                return false;
        }
    return true;
}

static bool convolution(struct maker *m, enum ir_op op)
{
    const int axes = 1 + (int)below(m, 3);
    const int64_t groups = chance(m, 25) ? 2 : 1;
    struct value x = picture(m, axes, groups, m->options.smooth ? IR_F64 : IR_F32), y, w;
    struct ir_shape xs = node(m, x.v)->shape, ws, ys;
    struct ir_list attr[5];
    int64_t window[3], out[3];
    double n;

    if (!draw_window(m, axes, xs.dim + 2, window, out, attr))
        return false;
    ws = (struct ir_shape){ 2 + axes, { groups * (1 + below(m, 4)), xs.dim[1] / groups } };
    memcpy(ws.dim + 2, window, sizeof window);
    ys = (struct ir_shape){ 2 + axes, { xs.dim[0], ws.dim[0] } };
    memcpy(ys.dim + 2, out, sizeof *out * (size_t)axes);
    for (int i = 2 + axes; i < IR_RANK; i++)
        ws.dim[i] = ys.dim[i] = 0;
    if (ir_elements(m->g, &ys) > 2 * ELEMENTS || ir_elements(m->g, &xs) > 2 * ELEMENTS)
        return false;
    attr[3] = list(m, 1, &groups);
    attr[4] = op == IR_conv_input ? list(m, axes, xs.dim + 2) : list(m, axes, window);
    w = op == IR_conv_weight ? x : input(m, node(m, x.v)->dtype, ws);
    y = op == IR_conv ? x : input(m, node(m, x.v)->dtype, ys);
    n = op == IR_conv_weight
            ? (double)ir_elements(m->g, &ys) / (double)ys.dim[1]
            : (double)ir_elements(m->g, &ws) / (double)ws.dim[op == IR_conv ? 0 : 1];
    return keep(m,
                ir_op_attr(m->g, op, 2,
                           op == IR_conv         ? (ir_val[]){ x.v, w.v }
                           : op == IR_conv_input ? (ir_val[]){ y.v, w.v }
                                                 : (ir_val[]){ x.v, y.v },
                           attr, here(m)),
                4 * n * x.size / 2, false);
}

static bool windows(struct maker *m, enum ir_op op)
{
    const int axes = 1 + (int)below(m, 2);
    const bool transposed = op == IR_window_spread || op == IR_window_place,
               taps = op == IR_window_pick || op == IR_window_place;
    struct value x = pick(m, 'N', op == IR_window_argmax), y, tap;
    const struct ir_node *n = node(m, x.v);
    const int outer = n->shape.rank - axes;
    struct ir_shape ys = n->shape;
    struct ir_list attr[5];
    int64_t window[3], out[3], all = 1;

    if (outer < 0)
        return false;
    for (int i = outer; i < n->shape.rank; i++)
        if (n->shape.dim[i] < 1)
            return false;
    if (!draw_window(m, axes, n->shape.dim + outer, window, out, attr + 1))
        return false;
    if ((op == IR_window_max || op == IR_window_argmax) &&
        !touches(axes, n->shape.dim + outer, window, out, attr + 1))
        return false;
    attr[0] = list(m, axes, window);
    attr[4] = list(m, axes, n->shape.dim + outer);
    memcpy(ys.dim + outer, out, sizeof *out * (size_t)axes);
    y = transposed ? input(m, n->dtype, ys) : x;
    for (int i = 0; i < axes; i++)
        all *= window[i];
    tap = taps ? input(m, IR_I32, ys) : y;
    if (taps) /* any number becomes a tap */
        tap.v = op2(m, IR_mod, tap.v, ir_integer(m->g, IR_I32, all, here(m)));
    return keep(m, ir_op_attr(m->g, op, taps ? 2 : 1, (ir_val[]){ y.v, tap.v }, attr, here(m)),
                op == IR_window_argmax
                    ? (double)all
                    : y.size * (double)(op == IR_window_max || op == IR_window_pick ? 1 : all),
                y.exact && (op != IR_window_sum || kind(m, y.v) != 'f') &&
                    (!transposed || kind(m, y.v) != 'f'));
}

/* --- movement
 * ---------------------------------------------------------------------------------------------------------
 */

static bool reshape(struct maker *m, struct value a)
{
    struct ir_shape s = node(m, a.v)->shape, t = { 0 };

    if (chance(m, 30)) { /* one axis split in two */
        for (int i = 0; i < s.rank; i++) {
            int64_t d = s.dim[i];
            if (ir_dim_fixed(d) && d > 1 && s.rank + t.rank - i < IR_RANK)
                for (int64_t f = 2; f <= d / 2; f++)
                    if (d % f == 0) {
                        t.dim[t.rank++] = f;
                        d /= f;
                        break;
                    }
            t.dim[t.rank++] = d;
        }
    } else /* neighbours merged, ones put in */
        for (int i = 0; i < s.rank; i++) {
            const int64_t merged = t.rank ? ir_dim_mul(m->g, t.dim[t.rank - 1], s.dim[i]) : -1;
            if (merged != -1 && chance(m, 50))
                t.dim[t.rank - 1] = merged;
            else
                t.dim[t.rank++] = s.dim[i];
            if (chance(m, 15) && t.rank < 4)
                t.dim[t.rank++] = 1;
        }
    return keep(m, ir_reshape(m->g, a.v, t, here(m)), a.size, a.exact);
}

static bool slice(struct maker *m, struct value a)
{
    const struct ir_shape s = node(m, a.v)->shape;
    int64_t start[IR_RANK] = { 0 }, stop[IR_RANK], step[IR_RANK];

    for (int i = 0; i < s.rank; i++) {
        step[i] = 1;
        stop[i] = s.dim[i];
        if (ir_dim_fixed(s.dim[i]) && s.dim[i] > 0 && chance(m, 60)) {
            start[i] = below(m, s.dim[i]);
            stop[i] = start[i] + 1 + below(m, s.dim[i] - start[i]);
            step[i] = 1 + below(m, 3);
        }
    }
    return keep(m,
                ir_op_attr(m->g, IR_slice, 1, &a.v,
                           (struct ir_list[]){ list(m, s.rank, start), list(m, s.rank, stop),
                                               list(m, s.rank, step) },
                           here(m)),
                a.size, a.exact);
}

static bool pad(struct maker *m, struct value a)
{
    const struct ir_shape s = node(m, a.v)->shape;
    int64_t lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 };
    const double with = (double)below(m, 2);

    for (int i = 0; i < s.rank; i++)
        if (chance(m, 50)) {
            lo[i] = below(m, 3);
            hi[i] = below(m, 3);
        }
    return keep(m,
                ir_op_attr(m->g, IR_pad, 2, (ir_val[]){ a.v, number(m, a.v, with) },
                           (struct ir_list[]){ list(m, s.rank, lo), list(m, s.rank, hi) }, here(m)),
                fmax(a.size, with), a.exact);
}

static bool concat(struct maker *m, struct value a)
{
    const struct ir_shape s = node(m, a.v)->shape;
    ir_val args[3] = { a.v };
    int n = 1;
    const int64_t axis = s.rank ? below(m, s.rank) : 0;

    if (s.rank == 0)
        return false;
    for (int more = 1 + (int)below(m, 2); n <= more; n++) {
        struct ir_shape t = s;

        if (!ir_dim_fixed(s.dim[axis]) || chance(m, 60))
            t.dim[axis] = 1 + below(m, 4);
        args[n] = chance(m, 20) ? a.v : input(m, node(m, a.v)->dtype, t).v;
    }
    return keep(
        m, ir_op_attr(m->g, IR_concat, n, args, (struct ir_list[]){ list(m, 1, &axis) }, here(m)),
        fmax(a.size, 9), a.exact);
}

static bool expand(struct maker *m, struct value a)
{
    struct ir_shape s = node(m, a.v)->shape, t = { 0 };

    if (s.rank < 4 && chance(m, 60))
        t.dim[t.rank++] = m->extent[below(m, 3)];
    for (int i = 0; i < s.rank; i++)
        t.dim[t.rank++] = s.dim[i] == 1 ? m->extent[1 + below(m, 4)] : s.dim[i];
    if (ir_elements(m->g, &t) > 2 * ELEMENTS)
        return false;
    return keep(m, ir_expand(m->g, a.v, t, here(m)), a.size, a.exact);
}

static bool turn(struct maker *m, enum ir_op op, struct value a) /* permute, flip */
{
    const int rank = node(m, a.v)->shape.rank;
    int64_t order[IR_RANK];
    struct ir_list axes;

    for (int i = 0; i < rank; i++) {
        const int64_t j = below(m, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    axes = op == IR_permute ? list(m, rank, order) : some_axes(m, rank);
    return keep(m, ir_op_attr(m->g, op, 1, &a.v, &axes, here(m)), a.size, a.exact);
}

/* Integers of a shape, each below an extent: an exact integer of the pool, modulo the extent. */
static ir_val indices(struct maker *m, struct ir_shape shape, int64_t extent)
{
    const enum ir_dtype t = chance(m, 50) ? IR_I32 : IR_I64;

    return op2(m, IR_mod, input(m, t, shape).v, ir_size(m->g, extent, t, here(m)));
}

static bool pick_rows(struct maker *m, enum ir_op op)
{
    struct value a = pick(m, op == IR_take ? 'A' : 'N', false);
    struct ir_shape s = node(m, a.v)->shape, t = { 0 };
    const int64_t axis = s.rank ? below(m, s.rank) : 0, extent = s.rank ? s.dim[axis] : 0;

    if (s.rank == 0 || ir_dim_min(m->g, extent) < 1)
        return false;
    if (op == IR_take) {
        for (t.rank = 0; t.rank < (int)below(m, 3); t.rank++)
            t.dim[t.rank] = m->extent[t.rank ? 1 : below(m, 3)];
        if (s.rank + t.rank > 5)
            return false;
        return keep(m,
                    ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, t, extent) },
                               (struct ir_list[]){ list(m, 1, &axis) }, here(m)),
                    a.size, a.exact);
    }
    /* put_add: one or two axes of a from `axis` on are given by indices */
    const int64_t size = 1 + below(m, 9);
    for (int i = 0; i < 2 && axis + i < s.rank && (i == 0 || chance(m, 40)); i++)
        t.dim[t.rank++] = s.dim[axis + i];
    return keep(m,
                ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, t, size) },
                           (struct ir_list[]){ list(m, 1, &axis), list(m, 1, &size) }, here(m)),
                a.size * (double)ir_elements(m->g, &t), a.exact && kind(m, a.v) != 'f');
}

static bool pick_elements(struct maker *m, enum ir_op op)
{
    struct value a = pick(m, op == IR_gather ? 'A' : 'N', false);
    struct ir_shape s = node(m, a.v)->shape;
    const int64_t axis = s.rank ? below(m, s.rank) : 0, extent = s.rank ? s.dim[axis] : 0,
                  size = 1 + below(m, 9);

    if (s.rank == 0 || ir_dim_min(m->g, extent) < 1)
        return false;
    if (op == IR_gather) {
        if (chance(m, 50))
            s.dim[axis] = size;
        return keep(m,
                    ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, s, extent) },
                               (struct ir_list[]){ list(m, 1, &axis) }, here(m)),
                    a.size, a.exact);
    }
    return keep(m,
                ir_op_attr(m->g, op, 2, (ir_val[]){ a.v, indices(m, s, size) },
                           (struct ir_list[]){ list(m, 1, &axis), list(m, 1, &size) }, here(m)),
                a.size * (double)ir_dim_max(m->g, extent), a.exact && kind(m, a.v) != 'f');
}

/* --- a graph
 * ------------------------------------------------------------------------------------------------------------
 */

static bool attempt(struct maker *m, enum ir_op op)
{
    m->line++;
    switch (op) {
    case IR_input:
    case IR_state:
    case IR_const:
    case IR_size:
    case IR_iota:
    case IR_bits:
        return source(m, op);
    case IR_assign:
        return assign(m);
    case IR_cast:
    case IR_bitcast:
        return typed(m, op);
    case IR_select:
        return choose(m);
    case IR_sum:
    case IR_prod:
    case IR_amax:
    case IR_amin:
    case IR_all:
    case IR_any:
    case IR_argmax:
    case IR_argmin:
        return reduce(m, op);
    case IR_dot:
        return dot(m);
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        return convolution(m, op);
    case IR_window_sum:
    case IR_window_spread:
    case IR_window_max:
    case IR_window_argmax:
    case IR_window_pick:
    case IR_window_place:
        return windows(m, op);
    case IR_reshape:
        return reshape(m, pick(m, 'A', false));
    case IR_permute:
    case IR_flip:
        return turn(m, op, pick(m, 'A', false));
    case IR_expand:
        return expand(m, pick(m, 'A', false));
    case IR_slice:
        return slice(m, pick(m, 'A', false));
    case IR_pad:
        return pad(m, pick(m, 'A', false));
    case IR_concat:
        return concat(m, pick(m, 'A', false));
    case IR_take:
    case IR_put_add:
        return pick_rows(m, op);
    case IR_gather:
    case IR_scatter_add:
        return pick_elements(m, op);
    case IR_stop_gradient: {
        if (m->options.smooth) /* a finite difference sees through it */
            return false;
        const struct value a = pick(m, 'A', false);
        return keep(m, op1(m, op, a.v), a.size, a.exact);
    }
    default:
        return ir_ops[op].group != IR_STRUCTURAL && pointwise(m, op);
    }
}

/* Outputs: what nobody reads, and one value in eight of the others. */
static void outputs(struct maker *m)
{
    struct ir_graph *g = m->g;
    const uint32_t count = g->count;
    bool *read = calloc(count, sizeof *read);

    for (uint32_t v = 1; read && v < count; v++)
        for (int i = 0; i < g->nodes[v].arity; i++)
            read[g->nodes[v].args[i].id] = true;
    for (uint32_t v = 1; read && v < count; v++)
        if (g->nodes[v].op != IR_assign && (!read[v] || chance(m, 12)))
            ir_output(g, ir_format(g->arena, "y%u", v), (ir_val){ v });
    free(read);
}

void random_make(struct random_case *c, uint64_t seed, const struct random_options *options)
{
    static const int64_t extents[] = { 1, 2, 3, 5, 7, 8, 16, 17, 33 };
    struct maker *m = calloc(1, sizeof *m);
    int left;

    *c = (struct random_case){ .seed = seed, .options = *options, .arena = ir_arena_new() };
    c->graph = ir_graph_new("random", &c->error);
    c->graph->seed = seed;
    if (!m)
        abort();
    m->g = c->graph;
    m->options = *options;
    m->state = mixed(seed + 1);
    for (int i = 0; i < 5; i++)
        m->extent[i] = chance(m, 3) ? 0 : extents[below(m, 9)];
    if (options->symbolic)
        m->extent[0] = ir_symbol_new(m->g, "batch", 1, 17);
    input(m, draw_dtype(m, 'F'), (struct ir_shape){ 2, { m->extent[0], m->extent[1] } });
    input(m, draw_dtype(m, 'F'), draw_shape(m));
    left = options->operations ? options->operations : 4 + (int)below(m, 13);
    for (int tries = 40 * left; left > 0 && tries > 0 && m->count < VALUES - 20; tries--)
        left -= attempt(m, (enum ir_op)(1 + below(m, IR_OPS - 1)));
    outputs(m);
    free(m);
    random_bind(c, 5);
}
