/*
 * points: the data of a training in the plane. Which points are kept for validation is a keyed
 * permutation of the seed, so the same address in the browser shows the same split.
 */
#include "frontend/parts.h"
#include "runtime/parts/shuffle.h"

#include "frontend/data.h"
#include "play.h"

#include <math.h>
#include <stdlib.h>

/* A square around all points, so that the picture is not stretched. */
static void box_of(struct points *p)
{
    double from[2] = { INFINITY, INFINITY }, to[2] = { -INFINITY, -INFINITY }, half = 0;

    for (int64_t i = 0; i < 2 * p->count; i++) {
        from[i % 2] = fmin(from[i % 2], p->x[i]);
        to[i % 2] = fmax(to[i % 2], p->x[i]);
    }
    for (int a = 0; a < 2; a++)
        half = fmax(half, 0.56 * (to[a] - from[a]) + 1e-3);
    for (int a = 0; a < 2; a++) {
        p->box[2 * a] = (float)((from[a] + to[a]) / 2 - half);
        p->box[2 * a + 1] = (float)((from[a] + to[a]) / 2 + half);
    }
}

bool play_points(struct points *to, const struct plane *p, struct ir_error *error)
{
    struct data_set *set = tp_data_planar(p->set, p->points, p->noise, (uint64_t)p->seed, error);
    const struct shuffle order = shuffle_of((uint64_t)p->points, (uint64_t)p->seed, 7);
    int64_t kept;

    *to = (struct points){ .count = p->points };
    if (!set)
        return false;
    kept = (int64_t)(p->validation * (double)p->points);
    to->train = p->points - kept;
    to->x = malloc((size_t)p->points * 2 * sizeof *to->x);
    to->y = malloc((size_t)p->points * sizeof *to->y);
    for (int64_t i = 0; to->x && to->y && i < p->points; i++) {
        const int64_t row = (int64_t)shuffle_place(&order, (uint64_t)i);
        to->x[2 * i] = ((const float *)set->column[0].rows)[2 * row];
        to->x[2 * i + 1] = ((const float *)set->column[0].rows)[2 * row + 1];
        to->y[i] = ((const int32_t *)set->column[1].rows)[row];
    }
    tp_data_free(set);
    if (!to->x || !to->y)
        return ir_error(error, IR_FAILED, "not enough memory");
    box_of(to);
    return true;
}

void play_points_free(struct points *p)
{
    free(p->x);
    free(p->y);
    *p = (struct points){ .count = 0 };
}
