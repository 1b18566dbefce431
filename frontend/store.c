/*
 * store: what lives from run to run, by name.
 *
 * Programs of one graph share their states, so a state has one place and one order there: an
 * offset in one mapping of which more and more is memory. The first program that uses it chooses
 * both. A pointer into the mapping is good until the graph goes.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The row-major numbers that a state starts with, from the first on. */
static void draw(const tp_graph *g, const struct state *s, int64_t first, int64_t elements,
                 void *to)
{
    int64_t init[3] = { s->init };
    struct ir_node node = { .op = IR_state,
                            .dtype = s->dtype,
                            .shape = s->shape,
                            .text = s->name,
                            .attr = { { .count = 3, .at = init } } };

    memcpy(&init[1], &s->a, sizeof s->a);
    memcpy(&init[2], &s->b, sizeof s->b);
    ir_init_fill(&node, g->ir->seed, first, elements, to);
}

static void fill(const tp_graph *g, const struct state *s, void *to)
{
    if (!s->start)
        draw(g, s, 0, ir_elements(g->ir, &s->shape), to);
    else if (s->bytes)
        memcpy(to, s->start, s->bytes);
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
    return tp_storage_copy(&s->storage, &s->shape, 0, s->shape.rank ? s->shape.dim[0] : 1,
                           (size_t)ir_dtypes[s->dtype].bytes, g->memory.base + s->offset, plain,
                           out) ||
           no_memory(g, s);
}

enum {
    BEHIND = 4 << 10, /* bytes that over-running loads may touch */
    PIECE = 256 << 10,
    MANY = 1 << 20, /* bytes whose drawing is worth threads */
    HELPERS = 8
};

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

/* ---- the first numbers, drawn where they stay ---- */

struct drawing { /* of some rows: indices of the first axis */
    const tp_graph *g;
    const struct state *s;
    int64_t first, end;
    bool failed;
};

static void *draw_rows(void *of)
{
    struct drawing *d = of;
    const struct state *s = d->s;
    const int64_t rows = s->shape.rank ? s->shape.dim[0] : 1,
                  inside = ir_elements(d->g->ir, &s->shape) / (rows ? rows : 1),
                  bytes = ir_dtypes[s->dtype].bytes,
                  most = inside * bytes < PIECE ? PIECE / (inside * bytes + 1) + 1 : 1;
    void *plain = malloc((size_t)(most * inside * bytes) + 1);

    d->failed = !plain;
    for (int64_t at = d->first, count; !d->failed && at < d->end; at += count) {
        count = d->end - at < most ? d->end - at : most;
        draw(d->g, s, at * inside, count * inside, plain);
        d->failed = !tp_storage_copy(&s->storage, &s->shape, at, count, (size_t)bytes,
                                     d->g->memory.base + s->offset, plain, false);
    }
    free(plain);
    return NULL;
}

static bool draw_all(tp_graph *g, const struct state *s)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t rows = s->shape.rank ? s->shape.dim[0] : 1;
    const int threads = s->bytes < MANY || processors < 2 ? 1
                        : processors < HELPERS            ? (int)processors
                                                          : HELPERS;
    struct drawing part[HELPERS];
    pthread_t helper[HELPERS];
    bool running[HELPERS] = { 0 }, failed = false;

    for (int i = 0; i < threads; i++) {
        part[i] = (struct drawing){ g, s, rows * i / threads, rows * (i + 1) / threads, false };
        running[i] = i + 1 < threads && pthread_create(&helper[i], NULL, draw_rows, &part[i]) == 0;
    }
    for (int i = 0; i < threads; i++)
        if (!running[i])
            draw_rows(&part[i]);
    for (int i = 0; i < threads; i++) {
        if (running[i])
            pthread_join(helper[i], NULL);
        failed |= part[i].failed;
    }
    return !failed || no_memory(g, s);
}

bool tp_state_settle(tp_graph *g, struct state *s, int64_t offset,
                     const struct pass_storage *storage)
{
    bool ok = true;

    if (!tp_states_here(g))
        return false;
    tp_states_changed(g);
    s->offset = offset;
    s->storage = *storage;
    if (s->start)
        ok = convert(g, s, s->start, false);
    else if (s->init != IR_INIT_ZERO) /* memory that nobody has had is zero */
        ok = draw_all(g, s);
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
