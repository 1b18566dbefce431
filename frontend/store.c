/*
 * store: what lives from run to run, by name.
 *
 * Programs of one graph share their states, so a state has one place: an offset in one mapping of
 * which more and more is memory. A pointer into it is good until the graph goes.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

enum { ALIGNMENT = 64 };

struct state *tp_state_find(const tp_graph *g, const char *name)
{
    for (int i = 0; i < g->state_count; i++)
        if (strcmp(g->states[i].name, name) == 0)
            return &g->states[i];
    return NULL;
}

static double number_of_bits(int64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof number);
    return number;
}

static bool disagree(tp_graph *g, const struct ir_node *node, const struct state *s)
{
    struct ir_text text = { 0 };

    ir_put_shape(&text, g->ir, s->dtype, &s->shape);
    ir_put(&text, ", not ");
    ir_put_shape(&text, g->ir, node->dtype, &node->shape);
    ir_error(&g->error, IR_REFUSED, "%s:%d: state %.100s: it is %s", node->loc.file, node->loc.line,
             s->name, text.data);
    ir_text_free(&text);
    return false;
}

struct state *tp_state_of(tp_graph *g, const struct ir_node *node, enum state_kind kind)
{
    struct state *s = tp_state_find(g, node->text);

    if (s) {
        bool agree = s->dtype == node->dtype && ir_same_shape(&s->shape, &node->shape);
        return agree || disagree(g, node, s) ? s : NULL;
    }
    if (g->state_count == g->state_room) {
        int room = g->state_room ? 2 * g->state_room : 32;
        struct state *states = ir_alloc(g->ir->arena, (size_t)room * sizeof *states);

        if (g->state_count)
            memcpy(states, g->states, (size_t)g->state_count * sizeof *states);
        g->states = states;
        g->state_room = room;
    }
    s = &g->states[g->state_count++];
    *s = (struct state){ .name = ir_format(g->ir->arena, "%s", node->text),
                         .kind = kind,
                         .dtype = node->dtype,
                         .shape = node->shape,
                         .offset = -1 };
    if (node->attr[0].count == 3) {
        s->init = (enum ir_init)node->attr[0].at[0];
        s->a = number_of_bits(node->attr[0].at[1]);
        s->b = number_of_bits(node->attr[0].at[2]);
    }
    return s;
}

/* Addresses cost nothing, but some systems bound them: take less when much is refused. */
static bool reserve(tp_graph *g)
{
    struct ir_error last = { 0 };

    for (size_t bytes = (size_t)1 << 40; bytes >= (size_t)1 << 28; bytes >>= 2) {
        last = (struct ir_error){ 0 };
        if (run_memory_reserve(&g->memory, bytes, &last))
            return true;
    }
    return ir_error(&g->error, last.status, "%s", last.text);
}

/* The node that says how a state starts, for ir_init_fill. */
static void fill(tp_graph *g, struct state *s, int64_t elements)
{
    int64_t init[3] = { s->init };
    struct ir_node node = { .op = IR_state,
                            .dtype = s->dtype,
                            .shape = s->shape,
                            .text = s->name,
                            .attr = { { .count = 3, .at = init } } };

    memcpy(&init[1], &s->a, sizeof s->a);
    memcpy(&init[2], &s->b, sizeof s->b);
    if (s->start)
        memcpy(tp_state_data(g, s), s->start, s->bytes);
    else
        ir_init_fill(&node, g->ir->seed, tp_state_data(g, s), elements);
}

bool tp_state_settle(tp_graph *g, struct state *s)
{
    int64_t elements = ir_elements(g->ir, &s->shape);
    size_t bytes, end;

    if (s->offset >= 0)
        return true;
    if (elements < 0 ||
        __builtin_mul_overflow((size_t)elements, (size_t)ir_dtypes[s->dtype].bytes, &bytes) ||
        __builtin_add_overflow(g->memory_used, bytes, &end) || end > SIZE_MAX - ALIGNMENT)
        return ir_error(&g->error, IR_REFUSED, "state %.100s: it fits no memory", s->name);
    if ((!g->memory.base && !reserve(g)) ||
        !run_memory_commit(&g->memory, end ? end : 1, &g->error))
        return false;
    s->offset = (int64_t)g->memory_used;
    s->bytes = bytes;
    g->memory_used = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    fill(g, s, elements);
    return true;
}

void *tp_state_data(const tp_graph *g, const struct state *s)
{
    return g->memory.base + s->offset;
}

bool tp_state_read(tp_graph *g, struct state *s, void *to)
{
    if (!tp_state_settle(g, s))
        return false;
    memcpy(to, tp_state_data(g, s), s->bytes);
    return true;
}

bool tp_state_write(tp_graph *g, struct state *s, const void *from)
{
    if (!tp_state_settle(g, s))
        return false;
    memcpy(tp_state_data(g, s), from, s->bytes);
    return true;
}

void tp_store_free(tp_graph *g)
{
    run_memory_release(&g->memory);
}

bool tp_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *again = text;

    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            again = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) { /* let the last star take one more */
            pattern = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}
