/*
 * store: what lives from run to run, by name.
 *
 * Programs of one graph share their states, so a state has one place and one order there: an
 * offset in one mapping of which more and more is memory. The first program that uses it chooses
 * both. A pointer into the mapping is good until the graph goes.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

/* The slot of the name: the state's, or the free one where it would be. */
static int *slot_of(const tp_graph *g, const char *name)
{
    uint32_t hash = 2166136261;

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    for (uint32_t at = hash ^ hash >> 15;; at++) {
        int *slot = &g->state_slot[at & (uint32_t)(g->state_slots - 1)];
        if (!*slot || strcmp(g->states[*slot - 1].name, name) == 0)
            return slot;
    }
}

struct state *tp_state_find(const tp_graph *g, const char *name)
{
    const int number = g->state_slots ? *slot_of(g, name) : 0;

    return number ? &g->states[number - 1] : NULL;
}

/* The newest state is found by its name from here on; half of the slots stay free. */
static void list_state(tp_graph *g)
{
    int from = g->state_count;

    if (2 * g->state_count > g->state_slots) {
        g->state_slots = g->state_slots ? 4 * g->state_slots : 64;
        g->state_slot = ir_alloc(g->ir->arena, (size_t)g->state_slots * sizeof *g->state_slot);
        from = 1;
    }
    for (int i = from; i <= g->state_count; i++)
        *slot_of(g, g->states[i - 1].name) = i;
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
    int64_t elements = ir_elements(g->ir, &node->shape);
    size_t bytes;

    if (elements < 0 ||
        __builtin_mul_overflow((size_t)elements, (size_t)ir_dtypes[node->dtype].bytes, &bytes)) {
        ir_error(&g->error, IR_REFUSED, "state %.100s: it fits no memory", node->text);
        return NULL;
    }
    if (s) {
        bool agree = s->dtype == node->dtype && ir_same_shape(&s->shape, &node->shape);
        return agree || disagree(g, node, s) ? s : NULL;
    }
    ir_grow(g->ir->arena, g->states, g->state_count, g->state_room);
    s = &g->states[g->state_count++];
    *s = (struct state){ .name = ir_format(g->ir->arena, "%s", node->text),
                         .kind = kind,
                         .dtype = node->dtype,
                         .shape = node->shape,
                         .offset = -1,
                         .bytes = bytes };
    list_state(g);
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

/* The row-major numbers that a state starts with. */
static void fill(const tp_graph *g, const struct state *s, void *to)
{
    int64_t init[3] = { s->init };
    struct ir_node node = { .op = IR_state,
                            .dtype = s->dtype,
                            .shape = s->shape,
                            .text = s->name,
                            .attr = { { .count = 3, .at = init } } };

    memcpy(&init[1], &s->a, sizeof s->a);
    memcpy(&init[2], &s->b, sizeof s->b);
    if (s->start && s->bytes)
        memcpy(to, s->start, s->bytes);
    else if (!s->start)
        ir_init_fill(&node, g->ir->seed, to, ir_elements(g->ir, &s->shape));
}

static bool no_memory(tp_graph *g, const struct state *s)
{
    return ir_error(&g->error, IR_FAILED, "state %.100s: not enough memory for %zu bytes", s->name,
                    s->bytes);
}

static bool convert(tp_graph *g, struct state *s, void *plain, bool out)
{
    if (!tp_states_here(g))
        return false;
    if (!out)
        tp_states_changed(g);
    return tp_storage_copy(&s->storage, &s->shape, (size_t)ir_dtypes[s->dtype].bytes,
                           g->memory.base + s->offset, plain, out) ||
           no_memory(g, s);
}

enum { BEHIND = 4 << 10 }; /* bytes that over-running loads may touch */

size_t tp_array_room(size_t bytes)
{
    return (bytes + 63) / 64 * 64 + BEHIND;
}

void *tp_array_new(size_t bytes)
{
    return bytes > SIZE_MAX / 2 ? NULL : aligned_alloc(64, tp_array_room(bytes));
}

void *tp_state_numbers(tp_graph *g, struct state *s)
{
    void *numbers = s->start;

    if (numbers)
        return numbers;
    numbers = tp_array_new(s->bytes);
    if (!numbers)
        no_memory(g, s);
    else
        fill(g, s, numbers);
    return s->start = numbers;
}

bool tp_store_grow(tp_graph *g, size_t bytes)
{
    return (g->memory.base || reserve(g)) &&
           run_memory_commit(&g->memory, bytes ? bytes : 1, &g->error);
}

bool tp_state_settle(tp_graph *g, struct state *s, int64_t offset,
                     const struct pass_storage *storage)
{
    void *plain = malloc(s->bytes + 1);
    bool ok;

    if (!plain)
        return no_memory(g, s);
    fill(g, s, plain);
    s->offset = offset;
    s->storage = *storage;
    ok = convert(g, s, plain, false);
    free(plain);
    free(s->start);
    s->start = NULL;
    return ok;
}

bool tp_state_read(tp_graph *g, struct state *s, void *to)
{
    if (s->offset >= 0)
        return convert(g, s, to, true);
    fill(g, s, to);
    return true;
}

bool tp_state_write(tp_graph *g, struct state *s, const void *from)
{
    if (s->offset >= 0)
        return convert(g, s, (void *)from, false);
    if (!s->start && !(s->start = tp_array_new(s->bytes)))
        return no_memory(g, s);
    if (s->bytes)
        memcpy(s->start, from, s->bytes);
    return true;
}

void tp_store_free(tp_graph *g)
{
    for (int i = 0; i < g->state_count; i++)
        free(g->states[i].start);
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
