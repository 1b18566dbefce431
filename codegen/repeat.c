/*
 * repeat: equal stretches of calls, written once.
 *
 * One turn of the loop is a function of the turn's number. Where a buffer is at that turn, is said
 * in the shortest way there is: the same place at every turn, places evenly apart, or a column of a
 * table, which counts in lines of 64 bytes.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

#define LINE 64

/* the table of one loop */
struct gen_columns {
    const struct loop_program *p;
    const struct loop_repeat *r;
    struct column {
        int kernel, buffer;
    } *at; /* the first buffer with these places */
    int count, room;
    bool turns; /* some place differs from turn to turn */
};

static int64_t offset_of(const struct loop_program *p, const struct loop_kernel *k, int buffer)
{
    return k->buffer[buffer].offset + (k->buffer[buffer].scratch ? p->scratch_offset : 0);
}

static int64_t at_turn(const struct gen_columns *c, int kernel, int buffer, int turn)
{
    return offset_of(c->p, c->p->kernel[c->r->first + turn * c->r->length + kernel], buffer);
}

/* Are places evenly apart? */
static bool is_even(const struct gen_columns *c, int kernel, int buffer)
{
    const int64_t step = at_turn(c, kernel, buffer, 1) - at_turn(c, kernel, buffer, 0);
    bool even = true;

    for (int turn = 2; turn < c->r->turns && even; turn++)
        even = at_turn(c, kernel, buffer, turn) - at_turn(c, kernel, buffer, turn - 1) == step;
    return even;
}

static int column_of(struct gen_columns *c, int kernel, int buffer)
{
    for (int i = 0; i < c->count; i++) {
        int turn = 0;
        while (turn < c->r->turns && at_turn(c, kernel, buffer, turn) ==
                                         at_turn(c, c->at[i].kernel, c->at[i].buffer, turn))
            turn++;
        if (turn == c->r->turns)
            return i;
    }
    ir_grow(c->p->arena, c->at, c->count, c->room);
    c->at[c->count] = (struct column){ kernel, buffer };
    return c->count++;
}

const char *gen_place_of(const struct loop_program *p, struct gen_columns *c,
                         const struct loop_kernel *k, int buffer)
{
    const int64_t offset = offset_of(p, k, buffer);
    const int base = k->buffer[buffer].scratch ? 0 : k->buffer[buffer].base;

    if (c) {
        const int kernel = k->at - c->r->first;
        const int64_t step = at_turn(c, kernel, buffer, 1) - offset;
        const bool even = is_even(c, kernel, buffer);
        c->turns |= !even || step;
        if (!even)
            return ir_format(p->arena, "base[%d] + %d * (long)at[%d]", base, LINE,
                             column_of(c, kernel, buffer));
        if (step)
            return ir_format(p->arena, "base[%d] + %" PRId64 " %c %" PRId64 " * turn", base, offset,
                             step < 0 ? '-' : '+', step < 0 ? -step : step);
    }
    return ir_format(p->arena, "base[%d] + %" PRId64, base, offset);
}

static void put_table(struct ir_text *out, const struct gen_columns *c, const char *name)
{
    ir_put(out, "static const u32 %s_at[%d][%d] = { /* in lines of %d bytes, a row a turn */\n",
           name, c->r->turns, c->count, LINE);
    for (int turn = 0; turn < c->r->turns; turn++) {
        size_t line = out->size;
        ir_put(out, "    { ");
        for (int i = 0; i < c->count; i++) {
            if (out->size - line > 90) {
                line = out->size;
                ir_put(out, "\n      ");
            }
            ir_put(out, "%" PRId64 "%s", at_turn(c, c->at[i].kernel, c->at[i].buffer, turn) / LINE,
                   i + 1 < c->count ? ", " : " },\n");
        }
    }
    ir_put(out, "};\n");
}

void gen_repeat(struct ir_text *out, const struct gen_unit *u, const struct loop_repeat *r)
{
    const struct loop_program *p = u->program;
    struct gen_columns c = { .p = p, .r = r };
    struct ir_text body = { 0 };
    const char *name = gen_repeat_name(u, r);
    bool gates = false, shares = false;

    for (int i = r->first; i < r->first + r->length; i++) {
        gates |= p->kernel[i]->barrier && !u->alone;
        shares |= p->kernel[i]->shared || u->alone;
        gen_wait_and_call(&body, u, p->kernel[i], &c, 1);
    }
    ir_put(out, "/* %d kernels, %d times: from %s, ..\n * .. to %s */\n", r->length, r->turns,
           p->kernel[r->first]->name, p->kernel[r->first + (r->turns - 1) * r->length]->name);
    if (c.count)
        put_table(out, &c, name);
    ir_put(out,
           "static void %s(const int thread, const int threads, char *const *base, const long "
           "*dims,\n    const long turn)\n{\n",
           name);
    if (gates)
        ir_put(out, "    u32 *gate = (u32 *)base[0];\n");
    if (c.count)
        ir_put(out, "    const u32 *at = %s_at[turn];\n", name);
    ir_put(out, "%s%s%s}\n\n", body.data, shares || gates ? "" : "    (void)threads;\n",
           c.turns ? "" : "    (void)turn;\n");
    ir_text_free(&body);
}

const char *gen_repeat_name(const struct gen_unit *u, const struct loop_repeat *r)
{
    return ir_format(u->program->arena, "%s%s", u->prefix,
                     gen_identifier(u->program->arena, r->name, "block"));
}
