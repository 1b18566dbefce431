/*
 * Equal index expressions have equal numbers, and so have equal atoms: two tables of hashes a
 * kernel. A shadow is a kernel whose new expressions leave the first one as it is.
 */
#include "loop_build.h"

#include <string.h>

static uint32_t mixed(uint32_t hash, uint64_t word)
{
    word = (word ^ hash) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(word >> 32) ^ (uint32_t)word;
}

static uint32_t hash_of_sum(const struct loop_sum *s)
{
    uint32_t hash = mixed((uint32_t)s->count, (uint64_t)s->constant);

    for (int i = 0; i < s->count; i++)
        hash = mixed(mixed(hash, (uint64_t)s->term[i].scale), s->term[i].atom);
    return hash;
}

static uint32_t hash_of_atom(const struct loop_atom *a)
{
    return mixed(mixed(mixed((uint32_t)a->kind, a->a), (uint64_t)a->divisor), (uint64_t)a->dim);
}

static bool same_sum(const struct loop_sum *a, const struct loop_sum *b)
{
    if (a->constant != b->constant || a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->term[i].scale != b->term[i].scale || a->term[i].atom != b->term[i].atom)
            return false;
    return true;
}

static bool same_atom(const struct loop_atom *a, const struct loop_atom *b)
{
    return a->kind == b->kind && a->a == b->a && a->divisor == b->divisor && a->dim == b->dim;
}

/* Makes room for one more number in a table of hashes that is at most half full; true where the
 * table is new and empty. */
static bool widen(struct loop_kernel *k, struct loop_table *t, uint32_t count)
{
    if (2 * count + 2 <= t->room)
        return false;
    for (t->room = t->room ? t->room : 64; 2 * count + 2 > t->room;)
        t->room *= 2;
    t->slot = ir_alloc(k->arena, t->room * sizeof *t->slot); /* a number plus one, 0: free */
    return true;
}

static void enter(struct loop_table *t, uint32_t hash, uint32_t number)
{
    uint32_t i = hash & (t->room - 1);

    while (t->slot[i])
        i = (i + 1) & (t->room - 1);
    t->slot[i] = number + 1;
}

static int size_of(const struct loop_kernel *k, const struct loop_build *b)
{
    int size = b->count;

    for (int i = 0; i < b->count; i++) {
        const struct loop_atom *a = &k->atom[b->term[i].atom];
        size += a->kind == LOOP_ATOM_DIV ? k->sum[a->a].size : 0;
    }
    return size;
}

loop_ix loop_intern(struct loop_kernel *k, const struct loop_build *b)
{
    const struct loop_sum draft = { b->constant, b->count, size_of(k, b), b->term };

    if (b->cut || draft.size > LOOP_SIZE) { /* nobody will look at what comes of it */
        k->tangled = true;
        return 0;
    }
    const struct loop_table *t = &k->sum_table;
    uint32_t hash = hash_of_sum(&draft);

    if (widen(k, &k->sum_table, k->sums))
        for (uint32_t i = 0; i < k->sums; i++)
            enter(&k->sum_table, hash_of_sum(&k->sum[i]), i);
    for (uint32_t i = hash & (t->room - 1); t->slot[i]; i = (i + 1) & (t->room - 1))
        if (same_sum(&k->sum[t->slot[i] - 1], &draft))
            return t->slot[i] - 1;
    ir_grow(k->arena, k->sum, k->sums, k->sum_room);
    struct loop_term *term = NULL;
    if (b->count) {
        term = ir_alloc(k->arena, (size_t)b->count * sizeof *term);
        memcpy(term, b->term, (size_t)b->count * sizeof *term);
    }
    k->sum[k->sums] = (struct loop_sum){ b->constant, b->count, draft.size, term };
    enter(&k->sum_table, hash, k->sums);
    return k->sums++;
}

uint32_t loop_atom_of(struct loop_kernel *k, struct loop_atom a)
{
    const struct loop_table *t = &k->atom_table;
    uint32_t hash = hash_of_atom(&a);

    if (widen(k, &k->atom_table, k->atoms))
        for (uint32_t i = 0; i < k->atoms; i++)
            enter(&k->atom_table, hash_of_atom(&k->atom[i]), i);
    for (uint32_t i = hash & (t->room - 1); t->slot[i]; i = (i + 1) & (t->room - 1))
        if (same_atom(&k->atom[t->slot[i] - 1], &a))
            return t->slot[i] - 1;
    ir_grow(k->arena, k->atom, k->atoms, k->atom_room);
    k->atom[k->atoms] = a;
    enter(&k->atom_table, hash, k->atoms);
    return k->atoms++;
}

struct loop_kernel *loop_shadow(const struct loop_kernel *k, struct ir_arena *arena)
{
    struct loop_kernel *shadow = ir_alloc(arena, sizeof *shadow);

    *shadow = *k;
    shadow->arena = arena;
    shadow->sum_room = k->sums; /* the next one moves all into the shadow's arena */
    shadow->atom_room = k->atoms;
    shadow->sum_table = shadow->atom_table = (struct loop_table){ 0 };
    shadow->value = ir_alloc(arena, k->values * sizeof *shadow->value);
    memcpy(shadow->value, k->value, k->values * sizeof *shadow->value);
    shadow->value_room = k->values;
    return shadow;
}
