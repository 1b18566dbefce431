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
        if (i && !ir_dim_fixed(n->shape.dim[i]))
            return pass_lower_fail(l, "a symbolic extent that is not the first");
        flat = loop_plus(l->k, loop_scale(l->k, flat, i ? n->shape.dim[i] : 1), index[i]);
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
    return b;
}

static uint32_t load(struct lower *l, ir_val v, const loop_ix *index)
{
    struct loop_statement s = { .kind = LOOP_LOAD, .dtype = ir_at(l->g, v)->dtype };

    s.buffer = pass_lower_buffer(l, v);
    l->k->buffer[s.buffer].read = true;
    s.ix = pass_address(l->k, &l->c->storage[v.id], index);
    for (int i = 0; i < l->guards; i++) {
        if (loop_guard_state(l->k, &l->guard[i]) == 1)
            continue;
        if (s.guards == (int)(sizeof s.guard / sizeof *s.guard))
            return pass_lower_fail(l, "too many conditions around one load");
        s.guard[s.guards++] = l->guard[i];
    }
    return pass_lower_emit(l, s);
}

uint32_t pass_lower_value(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);
    uint32_t value;
    uint64_t axes = 0;
    ir_val before = l->at;

    if (l->failed)
        return 0;
    for (int s = l->scopes; s-- > 0;)
        for (int m = 0; m < l->scope[s].memos; m++) {
            const struct lower_memo *memo = &l->scope[s].memo[m];
            if (memo->node.id == v.id && memo->guards == l->guards && !l->guards &&
                (!n->shape.rank ||
                 !memcmp(memo->index, index, (size_t)n->shape.rank * sizeof *index)))
                return memo->value;
        }
    if (n->loc.file || n->name)
        l->at = v;
    if (l->depth == LOWER_DEPTH)
        return pass_lower_fail(l,
                               "more than %d operations of a kernel in each other; expected "
                               "smaller kernels",
                               LOWER_DEPTH);
    l->depth++;
    value = is_stored(l, v) ? load(l, v, index) : pass_lower_table[n->op](l, n, index);
    l->at = before;
    l->depth--;
    if (l->failed)
        return 0;
    for (int i = 0; i < n->shape.rank; i++)
        axes |= loop_axes_of(l->k, index[i]);
    struct lower_scope *s = &l->scope[pass_lower_scope_for(l, axes, l->home[value])];
    ir_grow(l->c->arena, s->memo, s->memos, s->room);
    s->memo[s->memos] = (struct lower_memo){ .node = v, .value = value, .guards = l->guards };
    if (n->shape.rank)
        memcpy(s->memo[s->memos].index, index, (size_t)n->shape.rank * sizeof *index);
    s->memos++;
    return value;
}
