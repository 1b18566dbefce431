/*
 * lower: each kernel as a plain loop nest.
 *
 * The element of a value at an index is asked for, and that asks for elements of its arguments, by
 * the function that the column `lower` of ops.def names: views only change the index, pointwise
 * rows emit a statement, reductions open loops; what another kernel has stored is loaded. Every
 * statement goes into the outermost open loop that has the axes it needs (lower_scope.c), and the
 * same element is never computed twice in reach of its loop. So hoisting and sharing happen by
 * construction, and what schedule gets is simple: loops over the kernel's index space
 * (lower_kernel.c), and statements.
 */
#include "lower.h"

#include <stdarg.h>
#include <string.h>

pass_lower_function *const pass_lower_table[IR_OPS] = {
#define UNARY(op, ...)     [IR_##op] = pass_lower_of_row,
#define PREDICATE(op, ...) [IR_##op] = pass_lower_of_row,
#define BINARY(op, ...)    [IR_##op] = pass_lower_of_row,
#define COMPARE(op, ...)   [IR_##op] = pass_lower_of_row,
#define OP(op, arity, attributes, shape, grad, value, lower, text) \
    [IR_##op] = pass_lower_of_##lower,
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};

uint32_t pass_lower_fail(struct lower *l, const char *format, ...)
{
    char text[300];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!l->failed) {
        const struct ir_node *n = ir_at(l->g, l->at);
        if (n->loc.file)
            ir_error(l->error, IR_UNSUPPORTED, "%s:%d: %s: %s", n->loc.file, n->loc.line,
                     ir_ops[n->op].name, text);
        else
            ir_error(l->error, IR_UNSUPPORTED, "%s: %s", ir_ops[n->op].name, text);
    }
    l->failed = true;
    return 0;
}

/* ---- rows without loops ---- */

uint32_t pass_lower_of_row(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    loop_ix inner[IR_RANK];
    uint32_t arg[3] = { 0 };

    for (int i = 0; i < n->arity; i++) {
        pass_broadcast(l->k, &n->shape, &ir_at(l->g, n->args[i])->shape, index, inner);
        arg[i] = pass_lower_value(l, n->args[i], inner);
    }
    return pass_lower_let(l, n->op, n->dtype, arg[0], arg[1], arg[2]);
}

uint32_t pass_lower_of_view(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    loop_ix inner[IR_RANK];

    if (!pass_view(l->k, l->g, n, index, inner))
        return pass_lower_fail(l, "merges symbolic extents, which this version cannot index");
    return pass_lower_value(l, n->args[0], inner);
}

uint32_t pass_lower_of_same(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_value(l, n->args[0], index);
}

uint32_t pass_lower_of_assign(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_value(l, n->args[1], index);
}

uint32_t pass_lower_of_constant(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)index;
    return pass_lower_emit(l, (struct loop_statement){ .kind = LOOP_LET,
                                                       .op = IR_const,
                                                       .dtype = n->dtype,
                                                       .number = ir_number_of(n),
                                                       .integer = n->attr[0].at[0] });
}

uint32_t pass_lower_of_iota(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_index(l, n->dtype, index[n->attr[0].at[0]]);
}

uint32_t pass_lower_of_size(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)index;
    return pass_lower_index(l, n->dtype, loop_dim_ix(l->k, n->attr[0].at[0]));
}

/* inputs and states are loaded, whoever asks */
uint32_t pass_lower_of_given(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)n, (void)index;
    return pass_lower_fail(l, "is in a kernel; expected it to be handed in");
}

uint32_t pass_lower_of_bits(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    loop_ix flat = loop_const(l->k, 0);

    for (int i = 0; i < n->shape.rank; i++) {
        const int64_t pitch = i ? ir_dim_max(l->g, n->shape.dim[i]) : 1;
        flat = loop_plus(l->k, loop_scale(l->k, flat, pitch), index[i]);
    }
    return pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_LET,
                                    .op = IR_bits,
                                    .dtype = n->dtype,
                                    .ix = flat,
                                    .integer = n->attr[0].at[0],
                                    .args = { pass_lower_value(l, n->args[0], NULL),
                                              pass_lower_value(l, n->args[1], NULL) } });
}

/* ---- the element of a value at an index ---- */

static bool is_stored(const struct lower *l, ir_val v)
{
    return l->c->kernel_of[v.id] != l->kernel && l->c->storage[v.id].parts >= 0;
}

int pass_lower_buffer(struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v);
    const struct pass_storage *s = &l->c->storage[v.id];
    const char *name = n->op == IR_input || n->op == IR_state ? n->text : n->name;
    int b = loop_buffer_of(l->k, name, n->dtype, v, s->elements);

    l->k->buffer[b].padded = s->padded;
    if (!l->k->buffer[b].order)
        l->k->buffer[b].order = pass_lower_storage(l, v);
    return b;
}

bool pass_lower_is_empty(const struct ir_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 0)
            return true;
    return false;
}

static uint32_t load(struct lower *l, ir_val v, const loop_ix *index)
{
    struct loop_statement s = { .kind = LOOP_LOAD, .dtype = ir_at(l->g, v)->dtype };

    /* a loop that never runs asks for it, and statements leave loops that they do not hang on */
    if (pass_lower_is_empty(&ir_at(l->g, v)->shape))
        return pass_lower_number(l, s.dtype, 0);
    s.buffer = pass_lower_buffer(l, v);
    l->k->buffer[s.buffer].read = true;
    s.ix = pass_address(l->k, &l->c->storage[v.id], index);
    for (int i = 0; i < l->guards; i++)
        if (loop_guard_state(l->k, &l->guard[i]) != 1)
            loop_add_guard(l->k, &s, l->guard[i]);
    return pass_lower_emit(l, s);
}

static const struct lower_memo *known(const struct lower *l, ir_val v, const loop_ix *index)
{
    const size_t size = (size_t)ir_at(l->g, v)->shape.rank * sizeof *index;

    for (int s = l->scopes; s-- > 0;)
        for (int m = 0; m < l->scope[s].memos; m++) {
            const struct lower_memo *memo = &l->scope[s].memo[m];
            if (memo->node.id == v.id && memo->under == l->under &&
                (!size || !memcmp(memo->index, index, size)))
                return memo;
        }
    return NULL;
}

static void remember(struct lower *l, ir_val v, const loop_ix *index, uint32_t value)
{
    const int rank = ir_at(l->g, v)->shape.rank;
    struct lower_memo memo = { .node = v, .value = value, .under = l->under };
    uint64_t axes = 0;

    for (int i = 0; i < rank; i++) {
        memo.index[i] = index[i];
        axes |= loop_axes_of(l->k, index[i]);
    }
    struct lower_scope *s = &l->scope[pass_lower_scope_for(l, axes, l->home[value])];
    ir_grow(l->c->arena, s->memo, s->memos, s->room);
    s->memo[s->memos++] = memo;
}

uint32_t pass_lower_value(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);
    const struct lower_memo *memo;
    ir_val before = l->at;

    if (l->failed)
        return 0;
    if ((memo = known(l, v, index)))
        return memo->value;
    if (l->depth == LOWER_DEPTH)
        return pass_lower_fail(l,
                               "more than %d values, one made of the other, are one kernel; "
                               "expected some in a kernel of their own",
                               LOWER_DEPTH);
    if (n->loc.file || n->name)
        l->at = v;
    l->depth++;
    uint32_t value = is_stored(l, v) ? load(l, v, index) : pass_lower_table[n->op](l, n, index);
    l->depth--;
    l->at = before;
    if (l->failed)
        return 0;
    remember(l, v, index, value);
    return value;
}
