/*
 * repeats: equal stretches of kernels, one after the other, are a loop.
 *
 * A network's layers are the same functions in the same order on other places: forward, backward
 * and, sorted by kind, the updates. Such a stretch is written once and run for each turn. A barrier
 * that one turn needs stands in all of them.
 */
#include "outline.h"

#include <string.h>

enum {
    LEAST = 3,  /* calls that a loop must save */
    TRIES = 64, /* lengths that are tried from each kernel on */
    LINE = 64   /* bytes: places in a table are counted in lines */
};

static const struct loop_kernel *function_of(const struct loop_kernel *k)
{
    return k->first ? k->first : k;
}

/* Is a call of b one of a, but for places that a table can hold? */
static bool same_call(const struct loop_kernel *a, const struct loop_kernel *b)
{
    if (a->mark || b->mark || a->shared != b->shared || function_of(a) != function_of(b))
        return false;
    for (int i = 0; i < a->buffers; i++)
        if (a->buffer[i].base != b->buffer[i].base || a->buffer[i].offset % LINE ||
            b->buffer[i].offset % LINE)
            return false;
    return true;
}

static int turns_of(const struct loop_program *p, int first, int length)
{
    int same = 0;

    while (first + length + same < p->kernels &&
           same_call(p->kernel[first + same], p->kernel[first + length + same]))
        same++;
    return 1 + same / length;
}

/* The stretch from `first` on that saves most calls; turns 0: none is worth it. */
static struct loop_repeat longest(const struct loop_program *p, const int *next, int first)
{
    struct loop_repeat best = { .first = first, .length = 1 };

    for (int at = next[first], i = 0; at >= 0 && i < TRIES; at = next[at], i++) {
        const int length = at - first, turns = turns_of(p, first, length);
        const int saved = (turns - 1) * length;
        if (saved >= LEAST && saved > (best.turns - 1) * best.length) {
            best.length = length;
            best.turns = turns;
        }
    }
    return best;
}

/* A barrier wherever one of the turns has it. */
static void share_barriers(struct loop_program *p, const struct loop_repeat *r)
{
    for (int k = 0; k < r->length; k++) {
        int barrier = 0;
        for (int turn = 0; turn < r->turns; turn++)
            barrier |= p->kernel[r->first + turn * r->length + k]->barrier;
        for (int turn = 0; turn < r->turns; turn++)
            p->kernel[r->first + turn * r->length + k]->barrier = barrier;
    }
}

/* --- what the loops' bodies are called -----------------------------------------------------------
 */

static bool is_taken(const struct loop_program *p, const char *name)
{
    for (int i = 0; i < p->repeats; i++)
        if (p->repeat[i].name && !strcmp(p->repeat[i].name, name))
            return true;
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = function_of(p->kernel[i]);
        if (!strcmp(k->function ? k->function : k->name, name))
            return true;
    }
    return false;
}

/* A name of what kernel k computes, "h.0.ln_1" or "grad:h.0.ln_1"; NULL: it has none. */
static const char *path_of(const struct pass_compiled *c, int k)
{
    const struct ir_kernel *kernel = &c->program->kernels[k];
    const char *path = NULL;

    for (int i = 0; i < kernel->count && !path; i++)
        path = ir_at(c->program->graph, kernel->nodes[i])->name;
    return path;
}

/* Do paths begin with the same scope, whichever way they go? */
static size_t scope_of(const char **path)
{
    *path += strncmp(*path, "grad:", 5) ? 0 : 5;
    return strcspn(*path, ".");
}

/* h_forward, layer1_backward, after the scope that most of its kernels stand in; each_relu, after
 * the first of them, where they stand in none */
static const char *name_of(const struct pass_compiled *c, const struct loop_repeat *r)
{
    const struct loop_program *p = c->loops;
    const struct loop_kernel *first = function_of(p->kernel[r->first]);
    const char *scope = NULL, *plain, *name;
    int most = 0, named = 0, back = 0;

    for (int i = r->first; i < r->first + r->length; i++) {
        const char *path = path_of(c, i), *other;
        int same = 0;
        if (!path)
            continue;
        named++;
        back += !strncmp(path, "grad:", 5);
        const size_t length = scope_of(&path);
        for (int j = r->first; j < r->first + r->length; j++)
            same += (other = path_of(c, j)) && scope_of(&other) == length &&
                    !strncmp(path, other, length);
        if (same > most) {
            most = same;
            scope = path;
        }
    }
    if (r->length == 1 || 2 * named < r->length)
        plain = ir_format(p->arena, "each_%.60s", first->function ? first->function : first->name);
    else
        plain = ir_format(p->arena, "%.*s_%s", (int)scope_of(&scope), scope,
                          2 * back > named ? "backward" : "forward");
    name = plain;
    for (int tail = 2; is_taken(p, name); tail++)
        name = ir_format(p->arena, "%s_%d", plain, tail);
    return name;
}

void pass_find_repeats(struct pass_compiled *c)
{
    struct loop_program *p = c->loops;
    int *next = ir_alloc(p->arena, ((size_t)p->kernels + 1) * sizeof *next);
    int *newest = ir_alloc(p->arena, ((size_t)p->kernels + 1) * sizeof *newest), room = 0;

    for (int k = 0; k < p->kernels; k++)
        newest[p->kernel[k]->at = k] = -1;
    for (int k = p->kernels; k-- > 0;) { /* the next call of the same function, -1: none */
        int *later = &newest[function_of(p->kernel[k])->at];
        next[k] = p->kernel[k]->mark ? -1 : *later;
        *later = k;
    }
    for (int k = 0; k < p->kernels;) {
        const struct loop_repeat r = longest(p, next, k);
        k += r.turns ? r.length * r.turns : 1;
        if (!r.turns)
            continue;
        share_barriers(p, &r);
        ir_grow(p->arena, p->repeat, p->repeats, room);
        p->repeat[p->repeats] = r;
        p->repeat[p->repeats].name = name_of(c, &r);
        p->repeats++;
    }
}
