/*
 * evaluate: the interpreter, the oracle of the tests and what runs where no compiler is at hand.
 *
 * A forward loop over the nodes, each by the function that the `value` column of ops.def names.
 * Arithmetic is done in double (or in exact integers) and rounded to the value's type once per
 * operation. A value's memory goes with its last reader.
 */
#include "evaluate.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* --- elements -------------------------------------------------------------------------------- */

#define TYPES(X)     \
    X(BOOL, uint8_t) \
    X(U8, uint8_t)   \
    X(I8, int8_t)    \
    X(U16, uint16_t) \
    X(I16, int16_t)  \
    X(U32, uint32_t) \
    X(I32, int32_t)  \
    X(U64, uint64_t) \
    X(I64, int64_t)  \
    X(F32, float)    \
    X(F64, double)

#define LOAD(NAME, C)                                                \
    case IR_##NAME:                                                  \
        for (int64_t i = 0; i < n; i++)                              \
            to[i] = ((const C *)from->data)[at ? at[i] : first + i]; \
        return;

void ir_load_real(double *to, const struct ir_array *from, const int64_t *at, int64_t first,
                  int64_t n)
{
#define REAL(NAME, C) LOAD(NAME, C)
    switch (from->dtype) {
        TYPES(REAL)
    case IR_F16:
    case IR_BF16:
        for (int64_t i = 0; i < n; i++)
            to[i] = (double)ir_of_half(from->dtype,
                                       ((const uint16_t *)from->data)[at ? at[i] : first + i]);
        return;
    default:
        ir_bug("evaluate: type %d", from->dtype);
    }
}

void ir_load_exact(wide *to, const struct ir_array *from, const int64_t *at, int64_t first,
                   int64_t n)
{
#define EXACT(NAME, C) LOAD(NAME, C)
    switch (from->dtype) {
        TYPES(EXACT)
    default:
        ir_bug("evaluate: type %d", from->dtype);
    }
}

static double clamp(double x, double lo, double hi) /* hi: one beyond */
{
    return x != x ? 0 : x < lo ? lo : x >= hi ? hi : x;
}

#define STORE(NAME, C, value)                        \
    case IR_##NAME:                                  \
        for (int64_t i = 0; i < n; i++)              \
            ((C *)to->data)[first + i] = (C)(value); \
        return;

void ir_store_real(struct ir_array *to, int64_t first, int64_t n, const double *from)
{
    switch (to->dtype) {
        STORE(BOOL, uint8_t, from[i] != 0)
        STORE(U8, uint8_t, clamp(from[i], 0, 255))
        STORE(I8, int8_t, clamp(from[i], INT8_MIN, INT8_MAX))
        STORE(U16, uint16_t, clamp(from[i], 0, UINT16_MAX))
        STORE(I16, int16_t, clamp(from[i], INT16_MIN, INT16_MAX))
        STORE(I32, int32_t, clamp(from[i], INT32_MIN, INT32_MAX))
        STORE(U64, uint64_t, from[i] >= 0x1p64 ? UINT64_MAX : (uint64_t)clamp(from[i], 0, 0x1p64))
        STORE(F16, uint16_t, ir_half(IR_F16, (float)from[i]))
        STORE(BF16, uint16_t, ir_half(IR_BF16, (float)from[i]))
        STORE(U32, uint32_t, clamp(from[i], 0, UINT32_MAX))
        STORE(I64, int64_t,
              from[i] >= 0x1p63 ? INT64_MAX : (int64_t)clamp(from[i], -0x1p63, 0x1p63))
        STORE(F32, float, from[i])
        STORE(F64, double, from[i])
    default:
        ir_bug("evaluate: type %d", to->dtype);
    }
}

void ir_store_exact(struct ir_array *to, int64_t first, int64_t n, const wide *from)
{
    switch (to->dtype) {
        STORE(BOOL, uint8_t, from[i] != 0)
        STORE(U8, uint8_t, (unsigned_wide)from[i])
        STORE(I8, int8_t, (unsigned_wide)from[i])
        STORE(U16, uint16_t, (unsigned_wide)from[i])
        STORE(I16, int16_t, (unsigned_wide)from[i])
        STORE(I32, int32_t, (unsigned_wide)from[i])
        STORE(U64, uint64_t, (unsigned_wide)from[i])
        STORE(F16, uint16_t, ir_half(IR_F16, (float)from[i]))
        STORE(BF16, uint16_t, ir_half(IR_BF16, (float)from[i]))
        STORE(U32, uint32_t, (unsigned_wide)from[i])
        STORE(I64, int64_t, (unsigned_wide)from[i])
        STORE(F32, float, from[i])
        STORE(F64, double, from[i])
    default:
        ir_bug("evaluate: type %d", to->dtype);
    }
}

/* --- index spaces ---------------------------------------------------------------------------- */

int64_t ir_count(const struct ir_shape *fixed)
{
    int64_t n = 1;

    for (int i = 0; i < fixed->rank; i++)
        n *= fixed->dim[i];
    return n;
}

void ir_strides(const struct ir_shape *fixed, int64_t stride[])
{
    int64_t step = 1;

    for (int i = fixed->rank; i-- > 0;) {
        stride[i] = step;
        step *= fixed->dim[i];
    }
}

void ir_walk_start(struct ir_walk *w)
{
    w->done = false;
    for (int i = 0; i < w->rank; i++) {
        w->index[i] = 0;
        w->done |= w->extent[i] == 0;
    }
}

void ir_walk_next(struct ir_walk *w)
{
    for (int i = w->rank; i-- > 0;) {
        const bool carry = ++w->index[i] == w->extent[i];
        const int64_t steps = carry ? 1 - w->extent[i] : 1;

        for (int a = 0; a < IR_WALKERS; a++)
            w->offset[a] += steps * w->stride[a][i];
        if (!carry)
            return;
        w->index[i] = 0;
    }
    w->done = true;
}

/* --- errors ---------------------------------------------------------------------------------- */

bool ir_value_error(const struct ir_evaluation *e, const char *format, ...)
{
    const struct ir_loc at = e->node->loc;
    char text[300];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return at.file ? ir_error(e->error, IR_FAILED, "%s:%d: %s: %s", at.file, at.line,
                              ir_ops[e->node->op].name, text)
                   : ir_error(e->error, IR_FAILED, "%s: %s", ir_ops[e->node->op].name, text);
}

/* --- inputs, states and symbols -------------------------------------------------------------- */

int64_t ir_extent(const struct ir_evaluation *e, int64_t dim)
{
    return dim < IR_SYMBOLIC ? ir_dim_value(e->graph, dim, e->symbol) : dim;
}

static const struct ir_array *bound(const char *name, int bindings,
                                    const struct ir_binding *binding)
{
    for (int i = 0; i < bindings; i++)
        if (name && strcmp(binding[i].name, name) == 0)
            return &binding[i].array;
    return NULL;
}

/* scale * s^1 * (known symbols) + offset = extent: the one unknown symbol, or -1 */
static int unknown_symbol(const struct ir_evaluation *e, const struct ir_dimension *d)
{
    int found = -1;

    for (int s = 0; s < e->graph->symbols; s++)
        if (d->power[s] && e->symbol[s] < 0) {
            if (found >= 0 || d->power[s] > 1)
                return -1;
            found = s;
        }
    return found;
}

/* Learns a symbol from an extent, if just one is unknown in the dim. */
static bool learn(struct ir_evaluation *e, int64_t dim, int64_t extent, bool *learnt)
{
    const struct ir_dimension *d = &e->graph->dimension[dim - INT64_MIN];
    const int s = unknown_symbol(e, d);
    int64_t factor = d->scale;

    if (s < 0)
        return true;
    for (int i = 0; i < e->graph->symbols; i++)
        for (int p = 0; p < d->power[i] && i != s; p++)
            factor *= e->symbol[i];
    if (factor == 0)
        return true;
    const int64_t value = (extent - d->offset) / factor;
    if (value < e->graph->symbol[s].lo || value > e->graph->symbol[s].hi)
        return ir_error(e->error, IR_REFUSED, "%s: %s is %ld; expected %ld..%ld", e->node->text,
                        e->graph->symbol[s].name, (long)value, (long)e->graph->symbol[s].lo,
                        (long)e->graph->symbol[s].hi);
    e->symbol[s] = value;
    *learnt = true;
    return true;
}

static bool mismatch(const struct ir_evaluation *e, const struct ir_node *n,
                     const struct ir_array *a)
{
    struct ir_text found = { 0 }, wanted = { 0 };

    ir_put_shape(&found, e->graph, a->dtype, &a->shape);
    ir_put_shape(&wanted, e->graph, n->dtype, &n->shape);
    ir_error(e->error, IR_REFUSED, "%s: %s is bound; expected %s", n->text, found.data,
             wanted.data);
    ir_text_free(&found);
    ir_text_free(&wanted);
    return false;
}

/* Every symbol from what is bound, then every binding against its node. A symbol that no binding
 * shows stays -1. */
static bool solve_symbols(struct ir_evaluation *e, int bindings, const struct ir_binding *binding)
{
    const struct ir_graph *g = e->graph;
    bool learnt = true;

    while (learnt) {
        learnt = false;
        for (uint32_t v = 1; v < g->count; v++) {
            const struct ir_node *n = &g->nodes[v];
            const struct ir_array *a =
                n->op == IR_input || n->op == IR_state ? bound(n->text, bindings, binding) : NULL;

            e->node = n;
            for (int i = 0; a && i < n->shape.rank && i < a->shape.rank; i++)
                if (n->shape.dim[i] < IR_SYMBOLIC &&
                    !learn(e, n->shape.dim[i], a->shape.dim[i], &learnt))
                    return false;
        }
    }
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        const struct ir_array *a =
            n->op == IR_input || n->op == IR_state ? bound(n->text, bindings, binding) : NULL;

        if (a && (a->dtype != n->dtype || a->shape.rank != n->shape.rank))
            return mismatch(e, n, a);
        for (int i = 0; a && i < n->shape.rank; i++)
            if (ir_extent(e, n->shape.dim[i]) != a->shape.dim[i])
                return mismatch(e, n, a);
    }
    return true;
}

/* --- nodes ----------------------------------------------------------------------------------- */

bool ir_value_of_given(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                       struct ir_array *result)
{
    (void)arg;
    if (n->op == IR_state) {
        ir_init_fill(n, e->graph->seed, 0, ir_count(&result->shape), result->data);
        return true;
    }
    return ir_error(e->error, IR_REFUSED, "%s: the input has no value", n->text);
}

bool ir_value_of_custom(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    if (!n->custom)
        return ir_error(e->error, IR_UNSUPPORTED,
                        "custom: %.60s is a C function, which a text does not hold", n->text);
    n->custom->call(n->custom, n->attr[0].count ? (int)n->attr[0].at[0] : -1, n->arity, arg,
                    result);
    return true;
}

static ir_value_function *const functions[IR_OPS] = {
#define ROW(name, ...)                                       [IR_##name] = ir_value_of_row,
#define UNARY                                                ROW
#define PREDICATE                                            ROW
#define BINARY                                               ROW
#define COMPARE                                              ROW
#define OP(name, arity, attributes, shape, grad, value, ...) [IR_##name] = ir_value_of_##value,
#include "ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};

/* The shape in this evaluation; false where a symbol is unknown or the bytes do not fit. */
static bool fix_shape(struct ir_evaluation *e, const struct ir_node *n, struct ir_shape *fixed)
{
    int64_t bytes = ir_dtypes[n->dtype].bytes;

    fixed->rank = n->shape.rank;
    for (int i = 0; i < fixed->rank; i++) {
        const int64_t dim = n->shape.dim[i];
        const bool symbolic = dim < IR_SYMBOLIC;

        for (int s = 0; symbolic && s < e->graph->symbols; s++)
            if (e->graph->dimension[dim - INT64_MIN].power[s] && e->symbol[s] < 0)
                return ir_error(e->error, IR_REFUSED, "evaluate: no input shows the extent of %s",
                                e->graph->symbol[s].name);
        fixed->dim[i] = ir_extent(e, dim);
        if (fixed->dim[i] < 0)
            return ir_value_error(e, "axis %d has the extent %ld; expected 0 or more", i,
                                  (long)fixed->dim[i]);
        if (__builtin_mul_overflow(bytes, fixed->dim[i] ? fixed->dim[i] : 1, &bytes))
            return ir_value_error(e, "the value does not fit in memory");
    }
    return true;
}

static bool evaluate_node(struct ir_evaluation *e, struct ir_array *value, uint32_t v)
{
    const struct ir_node *n = &e->graph->nodes[v];
    struct ir_array few[8], *arg = n->arity <= 8 ? few : malloc((size_t)n->arity * sizeof *arg);
    bool ok;

    e->node = n;
    value[v].dtype = n->dtype;
    ok = arg && fix_shape(e, n, &value[v].shape);
    if (ok) {
        const int64_t bytes = ir_count(&value[v].shape) * ir_dtypes[n->dtype].bytes;

        value[v].data = calloc((size_t)bytes + 1, 1); /* never NULL for want of elements */
        ok = value[v].data || ir_value_error(e, "no memory for %ld bytes", (long)bytes);
    }
    for (int i = 0; ok && i < n->arity; i++)
        arg[i] = value[n->args[i].id];
    ok = ok && functions[n->op](e, n, arg, &value[v]);
    if (arg != few)
        free(arg);
    return ok;
}

/* How many readers each needed value has; 0: nobody needs it. */
static void count_readers(const struct ir_graph *g, int n, const ir_val *wanted, uint32_t *readers)
{
    for (int i = 0; i < n; i++)
        readers[wanted[i].id]++;
    for (uint32_t v = g->count; v-- > 1;)
        for (int i = 0; readers[v] && i < g->nodes[v].arity; i++)
            readers[g->nodes[v].args[i].id]++;
}

static void release(const struct ir_array *borrowed, struct ir_array *value, uint32_t *readers,
                    uint32_t v)
{
    if (--readers[v] == 0) {
        if (!borrowed[v].data)
            free(value[v].data);
        value[v].data = NULL;
    }
}

/* All that is wanted, the symbols being known. */
static bool compute(struct ir_evaluation *e, int bindings, const struct ir_binding *binding, int n,
                    const ir_val *values, struct ir_array *results, struct ir_arena *arena)
{
    const struct ir_graph *g = e->graph;
    struct ir_array *value = calloc(g->count, sizeof *value),
                    *borrowed = calloc(g->count, sizeof *borrowed);
    uint32_t *readers = calloc(g->count, sizeof *readers);
    bool ok = value && borrowed && readers;

    if (ok)
        count_readers(g, n, values, readers);
    else
        ir_error(e->error, IR_FAILED, "evaluate: no memory for %u values", g->count);
    for (uint32_t v = 1; ok && v < g->count; v++) {
        const struct ir_node *node = &g->nodes[v];
        const struct ir_array *given = node->op == IR_input || node->op == IR_state
                                           ? bound(node->text, bindings, binding)
                                           : NULL;

        if (readers[v] == 0)
            continue;
        if (given)
            value[v] = borrowed[v] = *given;
        else
            ok = evaluate_node(e, value, v);
        for (int i = 0; ok && i < node->arity; i++)
            release(borrowed, value, readers, node->args[i].id);
    }
    for (int i = 0; ok && i < n; i++) {
        const struct ir_array *a = &value[values[i].id];
        const size_t bytes = (size_t)(ir_count(&a->shape) * ir_dtypes[a->dtype].bytes);

        results[i] = *a;
        results[i].data = memcpy(ir_alloc(arena, bytes + 1), a->data, bytes);
    }
    for (uint32_t v = 1; value && borrowed && v < g->count; v++)
        if (!borrowed[v].data)
            free(value[v].data);
    free(value);
    free(borrowed);
    free(readers);
    return ok;
}

bool ir_evaluate(const struct ir_graph *g, int bindings, const struct ir_binding *binding, int n,
                 const ir_val *values, struct ir_array *results, struct ir_arena *arena,
                 struct ir_error *error)
{
    struct ir_evaluation e = { .graph = g, .error = error };

    for (int s = 0; s < IR_SYMBOLS; s++)
        e.symbol[s] = s < g->symbols && g->symbol[s].lo == g->symbol[s].hi ? g->symbol[s].lo : -1;
    for (int i = 0; i < n; i++)
        if (values[i].id == 0 || values[i].id >= g->count)
            return ir_error(error, IR_FAILED, "evaluate: value %u is poison", values[i].id);
    return solve_symbols(&e, bindings, binding) &&
           compute(&e, bindings, binding, n, values, results, arena);
}

bool ir_evaluate_body(const struct ir_evaluation *around, const struct ir_graph *g, int bindings,
                      const struct ir_binding *binding, int n, const ir_val *values,
                      struct ir_array *results, struct ir_arena *arena)
{
    struct ir_evaluation e = *around;

    e.graph = g;
    return compute(&e, bindings, binding, n, values, results, arena);
}

bool ir_fix_shape(struct ir_evaluation *e, const struct ir_graph *g, const struct ir_shape *s,
                  struct ir_shape *fixed)
{
    struct ir_evaluation of = *e;
    const struct ir_node n = {
        .op = e->node->op, .dtype = IR_F64, .shape = *s, .loc = e->node->loc
    };

    of.graph = g;
    of.node = &n;
    return fix_shape(&of, &n, fixed);
}
