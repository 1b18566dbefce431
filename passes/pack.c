/*
 * pack: where in the arena what is alive together lies apart.
 *
 * Which first decides how well it goes: each goes to the lowest place that is free for as long as
 * it lives. Several orders are tried, each again and again with what came to lie at the end moved
 * to the front, and the best is kept; one that needs no more than what is alive at the fullest
 * moment cannot be beaten.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

enum { ORDERS = 4 };

static int64_t used(const struct pass_life *l, int first, int last)
{
    return l->uses ? l->uses[last + 1] - l->uses[first] : 1;
}

static bool together(const struct pass_life *a, const struct pass_life *b)
{
    const int first = a->first > b->first ? a->first : b->first,
              last = a->last < b->last ? a->last : b->last;

    return first <= last && used(a, first, last) && used(b, first, last);
}

/* The lowest place: `placed` are the indices of those that have one, by offset. */
static int64_t lowest(const struct pass_life *life, const int *placed, int count,
                      const struct pass_life *new)
{
    int64_t at = 0;

    for (int i = 0; i < count; i++) {
        const struct pass_life *l = &life[placed[i]];
        if (!together(l, new) || l->offset + l->bytes <= at)
            continue;
        if (l->offset >= at + new->bytes)
            break;
        at = l->offset + l->bytes;
    }
    return at;
}

static int64_t place_in(struct pass_life *life, const int *order, int count, int *placed)
{
    int64_t end = 0;

    for (int i = 0; i < count; i++) {
        struct pass_life *l = &life[order[i]];
        int at = i;
        l->offset = lowest(life, placed, i, l);
        end = l->offset + l->bytes > end ? l->offset + l->bytes : end;
        while (at > 0 && life[placed[at - 1]].offset > l->offset) {
            placed[at] = placed[at - 1];
            at--;
        }
        placed[at] = order[i];
    }
    return end;
}

/* How early a life is placed, by one of the orders. */
static double weight(const struct pass_life *l, int order)
{
    const double bytes = (double)l->bytes, turns = (double)(l->last - l->first + 1);

    switch (order) {
    case 0:
        return -(double)l->first;
    case 1:
        return bytes;
    case 2:
        return bytes * turns;
    default:
        return turns;
    }
}

struct weighed {
    double weight;
    int life;
};

static int by_weight(const void *a, const void *b)
{
    const struct weighed *x = a, *y = b;

    return x->weight != y->weight ? (x->weight < y->weight ? 1 : -1) : x->life - y->life;
}

static void sort(const struct pass_life *life, struct weighed *list, int *order, int count, int by)
{
    for (int i = 0; i < count; i++)
        list[i] = (struct weighed){ weight(&life[i], by), i };
    qsort(list, (size_t)count, sizeof *list, by_weight);
    for (int i = 0; i < count; i++)
        order[i] = list[i].life;
}

static int64_t fullest(const struct pass_life *life, int count, int kernels, struct ir_arena *arena)
{
    int64_t *change = ir_alloc(arena, (size_t)(kernels + 2) * sizeof *change), now = 0, most = 0;

    for (int i = 0; i < count; i++)
        for (int k = life[i].first; k <= life[i].last;
             k = life[i].uses ? k + 1 : life[i].last + 1) {
            const int end = life[i].uses ? k + 1 : life[i].last + 1;
            change[k] += used(&life[i], k, end - 1) ? life[i].bytes : 0;
            change[end] -= used(&life[i], k, end - 1) ? life[i].bytes : 0;
        }
    for (int k = 0; k <= kernels; k++) {
        now += change[k];
        most = now > most ? now : most;
    }
    return most;
}

/* What lies at the end is placed first in the next try. */
static void promote_highest(const struct pass_life *life, int *order, int count)
{
    int top = 0, it;

    for (int i = 1; i < count; i++) {
        const struct pass_life *a = &life[order[i]], *b = &life[order[top]];
        if (a->offset + a->bytes > b->offset + b->bytes)
            top = i;
    }
    it = order[top];
    memmove(&order[1], &order[0], (size_t)top * sizeof *order);
    order[0] = it;
}

int64_t pass_pack(struct pass_life *life, int count, int kernels, struct ir_arena *arena,
                  int64_t *least)
{
    const int tries = count > 1000 ? 1 : count > 200 ? 8 : 40;
    int *order = ir_alloc(arena, (size_t)(count + 1) * sizeof *order);
    int *placed = ir_alloc(arena, (size_t)(count + 1) * sizeof *placed);
    struct weighed *list = ir_alloc(arena, (size_t)(count + 1) * sizeof *list);
    int64_t *best = ir_alloc(arena, (size_t)(count + 1) * sizeof *best), end = INT64_MAX;

    *least = fullest(life, count, kernels, arena);
    for (int by = 0; by < ORDERS && end > *least; by++) {
        sort(life, list, order, count, by);
        for (int i = 0; i < tries && end > *least; i++) {
            int64_t here = place_in(life, order, count, placed);
            for (int j = 0; here < end && j < count; j++)
                best[j] = life[j].offset;
            end = here < end ? here : end;
            promote_highest(life, order, count);
        }
    }
    for (int i = 0; i < count; i++)
        life[i].offset = best[i];
    return end;
}
