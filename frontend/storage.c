/*
 * storage: between the order in which a value lies in memory and row-major.
 *
 * An element's address is a sum of one term an axis, so a table of terms for each axis turns the
 * walk over all elements into additions; where the last axis is contiguous, into copies of rows.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

/* What index i of an axis adds to the address. */
static int64_t term(const struct pass_storage *s, int axis, int64_t i)
{
    int64_t at = 0;

    for (int p = 0; p < s->parts; p++) {
        int64_t part = i / s->part[p].divisor;
        if (s->part[p].axis == axis)
            at += s->part[p].pitch * (s->part[p].extent ? part % s->part[p].extent : part);
    }
    return at;
}

struct walk {
    int rank;
    int64_t extent[IR_RANK], *term[IR_RANK]; /* of each axis; by its index */
    size_t bytes;
    bool rows; /* the last axis is contiguous */
    bool out;
    char *stored, *plain;
};

static void move(struct walk *w, int64_t at, size_t bytes)
{
    char *stored = w->stored + at * (int64_t)w->bytes;

    memcpy(w->out ? w->plain : stored, w->out ? stored : w->plain, bytes);
    w->plain += bytes;
}

static void walk(struct walk *w, int axis, int64_t at)
{
    if (axis == w->rank)
        move(w, at, w->bytes);
    else if (axis == w->rank - 1 && w->rows)
        move(w, at + w->term[axis][0], (size_t)w->extent[axis] * w->bytes);
    else
        for (int64_t i = 0; i < w->extent[axis]; i++)
            walk(w, axis + 1, at + w->term[axis][i]);
}

bool tp_storage_copy(const struct pass_storage *storage, const struct ir_shape *shape,
                     int64_t first, int64_t count, size_t bytes, void *stored, void *plain,
                     bool out)
{
    struct walk w = { shape->rank, { 0 }, { NULL }, bytes, true, out, stored, plain };
    int64_t *table, total = 0, elements = 1;

    for (int axis = 0; axis < shape->rank; axis++) {
        w.extent[axis] = axis == 0 ? count : shape->dim[axis];
        total += w.extent[axis];
        elements *= w.extent[axis];
    }
    if (elements == 0)
        return true;
    table = malloc(((size_t)total + 1) * sizeof *table);
    if (!table)
        return false;
    total = 0;
    for (int axis = 0; axis < shape->rank; axis++) {
        const int64_t from = axis == 0 ? first : 0;
        w.term[axis] = table + total;
        for (int64_t i = 0; i < w.extent[axis]; i++) {
            table[total++] = term(storage, axis, from + i);
            w.rows &= axis < shape->rank - 1 || w.term[axis][i] == w.term[axis][0] + i;
        }
    }
    walk(&w, 0, 0);
    free(table);
    return true;
}
