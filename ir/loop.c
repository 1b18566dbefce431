/*
 * Building and walking loop nests. Statements live in the kernel's arena; a block is an array of
 * pointers to them, so that a schedule step rearranges pointers and never copies but on purpose.
 */
#include "loop.h"

#include <string.h>

struct loop_kernel *loop_kernel_new(struct ir_arena *arena, const struct ir_graph *graph,
                                    const char *name)
{
    struct loop_kernel *k = ir_alloc(arena, sizeof *k);

    k->arena = arena;
    k->graph = graph;
    k->name = name;
    loop_const(k, 0);          /* expression 0 */
    loop_value_new(k, IR_F32); /* value 0 is none */
    return k;
}

int loop_axis_new(struct loop_kernel *k, const char *name, loop_ix to, int64_t hi)
{
    if (k->axes == LOOP_AXES)
        ir_bug("kernel %s needs more than %d axes", k->name, LOOP_AXES);
    k->axis[k->axes] = (struct loop_axis){ .name = name, .to = to, .step = 1, .hi = hi };
    return k->axes++;
}

uint32_t loop_value_new(struct loop_kernel *k, enum ir_dtype dtype)
{
    ir_grow(k->arena, k->value, k->values, k->value_room);
    k->value[k->values] = (struct loop_value){ .dtype = dtype };
    return k->values++;
}

int loop_buffer_of(struct loop_kernel *k, const char *name, enum ir_dtype dtype, ir_val value,
                   int64_t elements)
{
    for (int i = 0; i < k->buffers && value.id; i++)
        if (k->buffer[i].value.id == value.id)
            return i;
    ir_grow(k->arena, k->buffer, k->buffers, k->buffer_room);
    k->buffer[k->buffers] =
        (struct loop_buffer){ .name = name, .dtype = dtype, .value = value, .elements = elements };
    return k->buffers++;
}

/* a copy of `count` guards, with room for some */
static struct loop_guard *kept_guards(struct loop_kernel *k, const struct loop_guard *guard,
                                      int count, int room)
{
    struct loop_guard *kept = room ? ir_alloc(k->arena, (size_t)room * sizeof *kept) : NULL;

    if (count)
        memcpy(kept, guard, (size_t)count * sizeof *kept);
    return kept;
}

void loop_add_guard(struct loop_kernel *k, struct loop_statement *s, struct loop_guard guard)
{
    struct loop_guard *more = kept_guards(k, s->guard, s->guards, s->guards + 1);

    more[s->guards++] = guard;
    s->guard = more;
}

struct loop_statement *loop_add(struct loop_kernel *k, struct loop_block *block,
                                struct loop_statement draft)
{
    struct loop_statement *s = ir_alloc(k->arena, sizeof *s);

    *s = draft;
    s->guard = kept_guards(k, draft.guard, draft.guards, draft.guards);
    ir_grow(k->arena, block->at, block->count, block->room);
    block->at[block->count++] = s;
    return s;
}

struct loop_statement *loop_copy(struct loop_kernel *k, const struct loop_statement *s)
{
    struct loop_statement *copy = ir_alloc(k->arena, sizeof *copy);

    *copy = *s;
    copy->body = (struct loop_block){ 0 };
    for (int i = 0; i < s->body.count; i++) {
        struct loop_statement *inner = loop_copy(k, s->body.at[i]);
        ir_grow(k->arena, copy->body.at, copy->body.count, copy->body.room);
        copy->body.at[copy->body.count++] = inner;
    }
    return copy;
}

static void replace_in(struct loop_kernel *k, struct loop_statement *s, int axis, loop_ix by)
{
    s->ix = loop_replace(k, s->ix, axis, by);
    s->ix2 = loop_replace(k, s->ix2, axis, by);
    if (!s->guards)
        return;
    struct loop_guard *guard = kept_guards(k, s->guard, s->guards, s->guards);
    for (int i = 0; i < s->guards; i++) {
        guard[i].ix = loop_replace(k, guard[i].ix, axis, by);
        guard[i].limit = loop_replace(k, guard[i].limit, axis, by);
    }
    s->guard = guard;
}

void loop_replace_axis(struct loop_kernel *k, struct loop_block *block, int axis, loop_ix by)
{
    for (int i = 0; i < block->count; i++) {
        replace_in(k, block->at[i], axis, by);
        if (block->at[i]->kind == LOOP_FOR) {
            struct loop_axis *a = &k->axis[block->at[i]->axis];
            a->from = loop_replace(k, a->from, axis, by);
            a->to = loop_replace(k, a->to, axis, by);
        }
        loop_replace_axis(k, &block->at[i]->body, axis, by);
    }
}

/* A variable stands once for every loop around it, whether or not what is added to it varies along
 * that loop. */
static bool depends_in(struct loop_kernel *k, const struct loop_block *block, uint64_t around)
{
    bool changed = false;

    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = block->at[i];
        uint64_t set = 0;
        changed |=
            depends_in(k, &s->body, s->kind == LOOP_FOR ? around | UINT64_C(1) << s->axis : around);
        if (s->kind == LOOP_FOR || s->kind == LOOP_STORE || s->kind == LOOP_TRANSPOSE ||
            s->kind == LOOP_SET || s->kind == LOOP_COPY || s->kind == LOOP_MEET ||
            s->kind == LOOP_MULTIPLY)
            continue;
        if (s->kind == LOOP_LOAD || s->kind == LOOP_LET || s->kind == LOOP_FRAGMENT)
            set |= loop_axes_of(k, s->ix);
        for (int a = 0; a < 3; a++)
            set |= k->value[s->args[a]].depends;
        for (int g = 0; g < s->guards; g++)
            set |= loop_axes_of(k, s->guard[g].ix) | loop_axes_of(k, s->guard[g].limit);
        if (s->kind == LOOP_FOLD)
            set &= ~s->over;
        uint32_t target = s->value;
        if (!target)
            continue;
        if (s->kind == LOOP_VAR) {
            k->value[target].variable = true;
            set |= around;
        }
        changed |= (k->value[target].depends | set) != k->value[target].depends;
        k->value[target].depends |= set;
    }
    return changed;
}

void loop_depends(struct loop_kernel *k)
{
    for (uint32_t v = 0; v < k->values; v++)
        k->value[v].depends = 0;
    while (depends_in(k, &k->body, 0))
        ;
}
