/*
 * nest: loops and blocks.
 *
 * An unrolled loop is its body, written out statement by statement; a vector loop is its body in
 * lanes; the threads of a GPU are there already. A loop that threads divide runs over this thread's
 * part.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

static const char *bound(struct gen *e, const struct loop_axis *a)
{
    int64_t lo, hi;
    const char *to = gen_index_text(e, a->to);

    loop_range(e->k, a->to, &lo, &hi);
    if (hi > a->hi && lo < a->hi)
        return ir_format(e->arena, "(%s < %" PRId64 " ? %s : %" PRId64 ")", to, a->hi, to, a->hi);
    return hi > a->hi ? ir_format(e->arena, "%" PRId64, a->hi) : to;
}

/* without the brackets around all of it */
static const char *bare(struct gen *e, const char *text)
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

/* A thread's part of a loop is where it begins and how far it steps; where that is one turn at
 * most, no loop is needed. False: no brace either. */
static bool put_steps(struct gen *e, const struct loop_axis *a, const char *i, const char *from,
                      const char *to)
{
    struct loop_guard inside = { gen_instance(e, a->from), gen_instance(e, a->to) };

    if (a->step < a->hi - a->lo) {
        gen_line(e, "for (long %s = %s; %s < %s; %s += %" PRId64 ") {", i, from, i, to, i, a->step);
        return true;
    }
    gen_line(e, "const long %s = %s;", i, bare(e, from));
    if (loop_guard_state(e->k, &inside) == 1)
        return false;
    gen_line(e, "if (%s < %s) {", i, to);
    return true;
}

static void put_loop(struct gen *e, const struct loop_statement *s)
{
    struct loop_axis *a = &e->k->axis[s->axis];
    const char *condition = gen_condition(e, s->guard, s->guards), *i;
    int aliases = e->aliases, loads = e->loads;
    bool brace = true;

    if (condition && !strcmp(condition, "0"))
        return;
    if (a->role == LOOP_UNROLL) {
        e->unrolled[e->unrolls++] = s->axis;
        gen_block(e, &s->body);
        e->unrolls--;
        return;
    }
    if (a->role == LOOP_VECTOR) {
        e->vector = s->axis;
        gen_block(e, &s->body);
        e->vector = -1;
        return;
    }
    if (a->role == LOOP_GRID || a->role == LOOP_BLOCK) { /* threads are there already */
        int threads = e->threads;
        if (a->role == LOOP_BLOCK)
            e->threads = 1;
        gen_block(e, &s->body);
        e->threads = threads;
        return;
    }
    const char *to = bound(e, a), *from = gen_index_text(e, a->from);
    int opened = e->opened;
    gen_open_axis(e, s->axis);
    i = e->axis[s->axis];
    if (condition) {
        gen_line(e, "if (%s)", condition);
        e->depth++;
    }
    int held = e->helds;
    for (int g = 0; g < s->guards && e->helds < 16; g++)
        e->held[e->helds++] = (struct loop_guard){ gen_instance(e, s->guard[g].ix),
                                                   gen_instance(e, s->guard[g].limit) };
    if (a->role == LOOP_PARALLEL) {
        /* two loops of a name may stand side by side, two numbers of a name may not */
        const char *count = e->crowded ? ir_format(e->arena, "%s_count_%d", i, s->axis)
                                       : ir_format(e->arena, "%s_count", i);
        gen_line(e, "const long %s = %s;", count, to);
        gen_line(e,
                 "for (long %s = %s * thread / threads; %s < %s * (thread + 1) / threads; %s++) {",
                 i, count, i, count, i);
    } else if (a->step > 1) {
        brace = put_steps(e, a, i, from, to);
    } else if (a->hi - a->lo == 1 &&
               !strcmp(to,
                       "1")) { /* no loop, but a block of names of its own where there are others */
        brace = condition || e->crowded;
        if (brace)
            gen_line(e, "{");
    } else {
        gen_line(e, "for (long %s = %s; %s < %s; %s++) {", i, from, i, to, i);
    }
    e->depth += brace;
    e->loads = 0; /* what was loaded before may change inside */
    struct gen_loaded *outer = e->loaded;
    e->loaded = NULL;
    int room = e->load_room;
    e->load_room = 0;
    gen_block(e, &s->body);
    e->loaded = outer;
    e->load_room = room;
    e->depth -= brace;
    if (brace)
        gen_line(e, "}");
    if (condition)
        e->depth--;
    e->helds = held;
    e->opened = opened +
                (a->step > 1 && a->step >= a->hi - a->lo); /* its name stays where no loop has it */
    gen_forget_names(e, aliases);
    e->loads = loads;
    for (int b = 0; b < e->k->buffers; b++)
        if (e->k->buffer[b].written)
            gen_forget_loads(e, b);
}

void gen_block(struct gen *e, const struct loop_block *block)
{
    bool crowded = e->crowded;
    int loops = 0;

    for (int i = 0; i < block->count; i++)
        loops += block->at[i]->kind == LOOP_FOR;
    e->crowded = loops > 1;
    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LOOP_FOR)
            put_loop(e, block->at[i]);
        else
            gen_instances(e, block->at[i], 0);
    e->crowded = crowded;
}
