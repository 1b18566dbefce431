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

/* after a `<` */
static const char *limit(struct gen *e, const char *to)
{
    return strpbrk(to, "<>?") ? to : gen_bare(e, to);
}

/* On a GPU: a short loop through a tile, of which the compiler shall see what lies side by side. */
static bool unrolls(const struct gen *e, const struct loop_statement *s)
{
    const struct loop_axis *a = &e->k->axis[s->axis];
    bool tile = false;

    for (int i = 0; i < s->body.count; i++) {
        const struct loop_statement *inner = s->body.at[i];
        tile |= inner->kind == LOOP_COPY || inner->kind == LOOP_FRAGMENT ||
                (inner->kind == LOOP_LOAD && e->k->buffer[inner->buffer].scratch);
    }
    return e->target->language == GEN_CUDA && tile && a->hi <= 16 &&
           loop_is_const(e->k, a->to, NULL);
}

/* A thread's part of a loop is where it begins and how far it steps; where that is one turn at
 * most, no loop is needed. False: no brace either. */
static bool put_steps(struct gen *e, const struct loop_axis *a, const char *i, const char *from,
                      const char *to)
{
    struct loop_guard inside = { gen_instance(e, a->from), gen_instance(e, a->to) };

    if (a->step < a->hi - a->lo) {
        gen_line(e, "for (long %s = %s; %s < %s; %s += %" PRId64 ") {", i, from, i, limit(e, to), i,
                 a->step);
        return true;
    }
    gen_line(e, "const long %s = %s;", i, gen_bare(e, from));
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
    /* no loop, but a block of names of its own where there are others */
    const bool once =
        a->role != LOOP_PARALLEL && a->step == 1 && a->hi - a->lo == 1 && !strcmp(to, "1");
    const bool braced = a->step > 1; /* what a condition is of may be more than one statement */
    int opened = e->opened;
    gen_open_axis(e, s->axis);
    i = e->axis[s->axis];
    if (condition && !once) {
        gen_line(e, braced ? "if (%s) {" : "if (%s)", condition);
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
        gen_line(e, "const long %s = %s;", count, gen_bare(e, to));
        gen_line(e,
                 "for (long %s = %s * thread / threads; %s < %s * (thread + 1) / threads; %s++) {",
                 i, count, i, count, i);
    } else if (a->step > 1) {
        brace = put_steps(e, a, i, from, to);
    } else if (once) {
        brace = condition || e->crowded;
        if (condition)
            gen_line(e, "if (%s) {", condition);
        else if (brace)
            gen_line(e, "{");
    } else {
        if (unrolls(e, s))
            gen_line(e, "#pragma unroll");
        gen_line(e, "for (long %s = %s; %s < %s; %s++) {", i, from, i, limit(e, to), i);
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
    if (condition && !once)
        e->depth--;
    if (condition && braced)
        gen_line(e, "}");
    e->helds = held;
    e->opened = opened +
                (a->step > 1 && a->step >= a->hi - a->lo); /* its name stays where no loop has it */
    gen_forget_names(e, aliases);
    e->loads = loads;
    for (int b = 0; b < e->k->buffers; b++)
        if (e->k->buffer[b].written)
            gen_forget_loads(e, b);
}

/* On a GPU each result of a thread is done with before the next one: else registers hold, of all
 * results, whatever any of them needs. */
static bool by_instance(const struct gen *e, const struct loop_block *block, int from)
{
    bool plain = e->target->language == GEN_CUDA;

    for (int i = from; i < block->count; i++) {
        const enum loop_kind kind = block->at[i]->kind;
        plain &= kind == LOOP_LET || kind == LOOP_LOAD || kind == LOOP_STORE || kind == LOOP_SET;
    }
    return plain;
}

void gen_block(struct gen *e, const struct loop_block *block)
{
    bool crowded = e->crowded;
    int loops = 0, tail = 0; /* what stands behind the last loop */

    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LOOP_FOR) {
            loops++;
            tail = i + 1;
        }
    e->crowded = loops > 1;
    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LOOP_FOR) {
            put_loop(e, block->at[i]);
        } else if (i == tail && loops && e->unrolls && by_instance(e, block, tail)) {
            gen_by_instance(e, block, tail, 0);
            break;
        } else {
            gen_instances(e, block->at[i], 0);
        }
    e->crowded = crowded;
}
