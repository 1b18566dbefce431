/*
 * Random graphs: a pool of values that grows by one operation at a time. Each value remembers how
 * large it can be, so that the next operation can be given arguments of its domain, and whether
 * every machine gets the same bits.
 */
#include "support_random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- chance ---------------------------------------------------------------------------------- */

uint64_t random_mixed(uint64_t x) /* SplitMix64 */
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

int64_t random_below(struct random_maker *m, int64_t n)
{
    return (int64_t)(random_mixed(m->state += 0x9E3779B97F4A7C15) % (uint64_t)n);
}

bool random_chance(struct random_maker *m, int percent)
{
    return random_below(m, 100) < percent;
}

/* --- values ---------------------------------------------------------------------------------- */

struct ir_loc random_here(struct random_maker *m)
{
    return (struct ir_loc){ "random", m->line };
}

const struct ir_node *random_node(const struct random_maker *m, ir_val v)
{
    return ir_at(m->g, v);
}

char random_kind(const struct random_maker *m, ir_val v)
{
    return ir_dtypes[random_node(m, v)->dtype].kind;
}

bool random_fits(char has, char wanted) /* kinds of ops.def, and i: integers */
{
    return wanted == 'A' || (wanted == 'F' && has == 'f') || (wanted == 'N' && has != 'b') ||
           (wanted == 'I' && has != 'f') || (wanted == 'i' && (has == 'i' || has == 'u')) ||
           (wanted == 'B' && has == 'b');
}

struct ir_list random_list(struct random_maker *m, int n, const int64_t *numbers)
{
    int64_t *at = ir_alloc(m->g->arena, (size_t)(n + 1) * sizeof *at);

    for (int i = 0; i < n; i++)
        at[i] = numbers[i];
    return (struct ir_list){ n, at };
}

ir_val random_number(struct random_maker *m, ir_val like, double x)
{
    return ir_number(m->g, random_node(m, like)->dtype, x, random_here(m));
}

ir_val random_op1(struct random_maker *m, enum ir_op op, ir_val a)
{
    return ir_op1(m->g, op, a, random_here(m));
}

ir_val random_op2(struct random_maker *m, enum ir_op op, ir_val a, ir_val b)
{
    return ir_op2(m->g, op, a, b, random_here(m));
}

/* Puts a value in the pool; what the graph refused is forgotten. Floats that grow large are scaled
 * down. */
bool random_keep(struct random_maker *m, ir_val v, double size, bool exact)
{
    if (v.id == 0) {
        m->g->error->status = IR_OK;
        return false;
    }
    if (random_kind(m, v) == 'f' && size > 32) {
        const double scale = exp2(-ceil(log2(size / 2)));

        v = random_op2(m, IR_mul, v, random_number(m, v, scale));
        size *= scale;
    }
    if (random_is_half(random_node(m, v)->dtype) && !exact)
        return true; /* a last bit of it is so much that nothing may be made of it */
    if (m->count < VALUES)
        m->pool[m->count++] = (struct random_value){ v, size, exact };
    return true;
}

enum ir_dtype random_draw_dtype(struct random_maker *m, char wanted)
{
    for (;;) {
        static const enum ir_dtype often[] = { IR_F32,  IR_F32, IR_F32, IR_F32, IR_F64,  IR_F16,
                                               IR_BF16, IR_I32, IR_I32, IR_I64, IR_U8,   IR_U32,
                                               IR_I8,   IR_I16, IR_U16, IR_U64, IR_BOOL, IR_BOOL };
        enum ir_dtype t = often[random_below(m, sizeof often / sizeof *often)];

        if (ir_dtypes[t].kind == 'f' && m->options.smooth)
            t = m->options.reals ? m->options.reals : IR_F64;
        if (random_fits(ir_dtypes[t].kind, wanted))
            return t;
    }
}

struct random_value random_input(struct random_maker *m, enum ir_dtype dtype, struct ir_shape shape)
{
    char name[20];
    struct random_value in = { .size = ir_dtypes[dtype].kind == 'b'   ? 1
                                       : ir_dtypes[dtype].kind == 'f' ? 2
                                                                      : 9,
                               .exact = true };

    snprintf(name, sizeof name, "x%d", m->names++);
    in.v = ir_input(m->g, name, dtype, shape, random_here(m));
    if (m->count < VALUES)
        m->pool[m->count++] = in;
    return in;
}

struct ir_shape random_draw_shape(struct random_maker *m)
{
    struct ir_shape s = { .rank = random_chance(m, 10) ? 0 : 1 + (int)random_below(m, 4) };

    for (int i = 0; i < s.rank; i++)
        s.dim[i] = m->extent[i == 0 ? random_below(m, 2) : 1 + random_below(m, 4)];
    while (ir_elements(m->g, &s) > ELEMENTS)
        s.dim[random_below(m, s.rank)] = 1;
    return s;
}

/* A value of a kind and, where asked, exact; mostly a late one of the pool, else a new input. */
struct random_value random_pick(struct random_maker *m, char wanted, bool exact)
{
    for (int tries = 0; tries < 12 && m->count && !random_chance(m, 8); tries++) {
        const struct random_value *v =
            &m->pool[m->count - 1 -
                     random_below(m, random_chance(m, 70) && m->count > 6 ? 6 : m->count)];

        if (random_fits(random_kind(m, v->v), wanted) && (v->exact || !exact))
            return *v;
    }
    return random_input(m, random_draw_dtype(m, wanted), random_draw_shape(m));
}

/* The same value within -limit..limit. */
struct random_value random_within(struct random_maker *m, struct random_value a, double limit)
{
    if (a.size <= limit)
        return a;
    if (random_kind(m, a.v) == 'u' || random_kind(m, a.v) == 'i') {
        a.v = random_op2(m, IR_rem, a.v, random_number(m, a.v, floor(limit)));
        a.size = limit;
        return a;
    }
    if (a.exact && !m->options.smooth)
        a.v = random_op2(m, IR_max, random_op2(m, IR_min, a.v, random_number(m, a.v, limit)),
                         random_number(m, a.v, -limit));
    else
        a = (struct random_value){ random_op2(m, IR_mul, random_op1(m, IR_tanh, a.v),
                                              random_number(m, a.v, limit)),
                                   limit, false };
    a.size = limit;
    return a;
}

struct random_value random_positive(struct random_maker *m, struct random_value a, double least)
{
    a.v = random_op2(m, IR_add, random_op1(m, IR_abs, a.v), random_number(m, a.v, least));
    a.size += least;
    return a;
}

bool random_broadcasts(const struct random_maker *m, ir_val a, ir_val b)
{
    const struct ir_shape *s = &random_node(m, a)->shape, *t = &random_node(m, b)->shape;

    for (int i = 1; i <= s->rank && i <= t->rank; i++)
        if (s->dim[s->rank - i] != t->dim[t->rank - i] && s->dim[s->rank - i] != 1 &&
            t->dim[t->rank - i] != 1)
            return false;
    return true;
}

/* A second argument of a's type that broadcasts with it. */
struct random_value random_partner(struct random_maker *m, struct random_value a, bool exact)
{
    const struct ir_node *n = random_node(m, a.v);
    struct ir_shape s = n->shape;
    const int gone = s.rank ? (int)random_below(m, s.rank + 1) : 0;

    if (random_chance(m, 12) && n->dtype != IR_BOOL)
        return (struct random_value){ random_number(m, a.v, 1 + (double)random_below(m, 3)), 3,
                                      true };
    for (int tries = 0; tries < 20 && !random_chance(m, 15); tries++) {
        const struct random_value *v = &m->pool[random_below(m, m->count)];

        if (random_node(m, v->v)->dtype == n->dtype && random_broadcasts(m, a.v, v->v) &&
            (v->exact || !exact))
            return *v;
    }
    if (random_chance(m, 50)) { /* fewer axes */
        s.rank -= gone;
        memmove(s.dim, s.dim + gone, sizeof *s.dim * (size_t)s.rank);
        memset(s.dim + s.rank, 0, sizeof *s.dim * (size_t)gone);
    }
    for (int i = 0; i < s.rank; i++)
        if (random_chance(m, 25))
            s.dim[i] = 1;
    return random_input(m, n->dtype, s);
}

struct ir_list random_axes(struct random_maker *m, int rank)
{
    int64_t axes[IR_RANK];
    int n = 0;

    for (int i = 0; i < rank; i++)
        if (random_chance(m, 50))
            axes[n++] = i;
    if (n == 0 && rank)
        axes[n++] = random_below(m, rank);
    return random_list(m, n, axes);
}

/* --- a graph --------------------------------------------------------------------------------- */

static bool attempt(struct random_maker *m, enum ir_op op)
{
    m->line++;
    switch (op) {
    case IR_input:
    case IR_state:
    case IR_const:
    case IR_size:
    case IR_iota:
    case IR_bits:
        return random_source(m, op);
    case IR_assign:
        return random_assign(m);
    case IR_cast:
    case IR_bitcast:
        return random_typed(m, op);
    case IR_select:
        return random_choose(m);
    case IR_sum:
    case IR_prod:
    case IR_amax:
    case IR_amin:
    case IR_all:
    case IR_any:
    case IR_argmax:
    case IR_argmin:
        return random_reduce(m, op);
    case IR_dot:
        return random_dot(m);
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight:
        return random_convolution(m, op);
    case IR_window_sum:
    case IR_window_spread:
    case IR_window_max:
    case IR_window_argmax:
    case IR_window_pick:
    case IR_window_place:
        return random_windows(m, op);
    case IR_reshape:
        return random_reshape(m, random_pick(m, 'A', false));
    case IR_permute:
    case IR_flip:
        return random_turn(m, op, random_pick(m, 'A', false));
    case IR_expand:
        return random_expand(m, random_pick(m, 'A', false));
    case IR_slice:
        return random_slice(m, random_pick(m, 'A', false));
    case IR_pad:
        return random_pad(m, random_pick(m, 'A', false));
    case IR_concat:
        return random_concat(m, random_pick(m, 'A', false));
    case IR_take:
    case IR_put_add:
        return random_pick_rows(m, op);
    case IR_gather:
    case IR_scatter_add:
    case IR_scatter_last:
        return random_pick_elements(m, op);
    case IR_cumsum:
    case IR_cumprod:
    case IR_cummax:
    case IR_cummin:
    case IR_recur:
    case IR_argsort:
        return random_order(m, op);
    case IR_scan:
    case IR_result:
        return random_scan(m);
    case IR_stop_gradient: {
        if (m->options.smooth) /* a finite difference sees through it */
            return false;
        const struct random_value a = random_pick(m, 'A', false);
        return random_keep(m, random_op1(m, op, a.v), a.size, a.exact);
    }
    default:
        return ir_ops[op].group != IR_STRUCTURAL && random_pointwise(m, op);
    }
}

/* Outputs: what nobody reads, and one value in eight of the others. */
static void outputs(struct random_maker *m)
{
    struct ir_graph *g = m->g;
    const uint32_t count = g->count;
    bool *read = calloc(count, sizeof *read);

    for (uint32_t v = 1; read && v < count; v++)
        for (int i = 0; i < g->nodes[v].arity; i++)
            read[g->nodes[v].args[i].id] = true;
    for (uint32_t v = 1; read && v < count; v++)
        if (g->nodes[v].op != IR_assign && g->nodes[v].op != IR_scan &&
            (!read[v] || random_chance(m, 12)))
            ir_output(g, ir_format(g->arena, "y%u", v), (ir_val){ v });
    free(read);
}

void random_make(struct random_case *c, uint64_t seed, const struct random_options *options)
{
    static const int64_t extents[] = { 1, 2, 3, 5, 7, 8, 16, 17, 33 };
    struct random_maker *m = calloc(1, sizeof *m);
    int left;

    *c = (struct random_case){ .seed = seed, .options = *options, .arena = ir_arena_new() };
    c->graph = ir_graph_new("random", &c->error);
    c->graph->seed = seed;
    if (!m)
        abort();
    m->g = c->graph;
    m->options = *options;
    m->state = random_mixed(seed + 1);
    for (int i = 0; i < 5; i++)
        m->extent[i] = random_chance(m, 3) ? 0 : extents[random_below(m, 9)];
    if (options->empty)
        m->extent[random_below(m, 5)] = 0, m->extent[random_below(m, 5)] = 1;
    if (options->symbolic)
        m->extent[0] = ir_symbol_new(m->g, "batch", 1, 17);
    random_input(m, random_draw_dtype(m, 'F'),
                 (struct ir_shape){ 2, { m->extent[0], m->extent[1] } });
    random_input(m, random_draw_dtype(m, 'F'), random_draw_shape(m));
    left = options->operations ? options->operations : 4 + (int)random_below(m, 13);
    for (int tries = 40 * left; left > 0 && tries > 0 && m->count < VALUES - 20; tries--)
        left -= attempt(m, options->only ? options->only
                                         : (enum ir_op)(1 + random_below(m, IR_OPS - 1)));
    outputs(m);
    free(m);
    random_bind(c, 5);
}
