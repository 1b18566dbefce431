/*
 * in_place: may a kernel write one array over another that it reads?
 *
 * It may when every element is read before it is written. For a load and a store that share some
 * loops this is seen in two steps: turns of these loops never meet, because what lies inside a turn
 * spans less than what a turn adds to the address; and within a turn the load comes first, or the
 * two touch different parts.
 */
#include "plan.h"

#include <string.h>

enum { DEPTH = LOOP_AXES };

struct access {
    const struct loop_statement *s;
    int axis[DEPTH], at[DEPTH + 1]; /* the loops around, outermost first; the place in each block */
    int depth;
};

struct accesses {
    const struct loop_kernel *k;
    int buffer; /* the one that is looked for */
    bool stores;
    struct access *found;
    int count, room;
    bool strange; /* an access that is not looked into */
    struct access path;
};

static void note(struct accesses *a, const struct loop_statement *s)
{
    if (a->count == a->room) {
        a->strange = true;
        return;
    }
    a->found[a->count] = a->path;
    a->found[a->count++].s = s;
}

static void walk(struct accesses *a, const struct loop_block *block)
{
    for (int i = 0; i < block->count; i++) {
        const struct loop_statement *s = block->at[i];

        a->path.at[a->path.depth] = i;
        if (s->kind == LOOP_FOR) {
            a->path.axis[a->path.depth++] = s->axis;
            walk(a, &s->body);
            a->path.depth--;
        } else if (s->kind == LOOP_TRANSPOSE || s->kind == LOOP_COPY) {
            a->strange |= s->buffer == a->buffer || s->buffer2 == a->buffer;
        } else if (s->kind == (a->stores ? LOOP_STORE : LOOP_LOAD) && s->buffer == a->buffer) {
            note(a, s);
        }
    }
}

/* The address as a coefficient for each axis; false where it is not such a sum. */
static bool spread(const struct loop_kernel *k, loop_ix ix, int64_t *constant, int64_t *by_axis)
{
    const struct loop_sum *sum = &k->sum[ix];

    memset(by_axis, 0, LOOP_AXES * sizeof *by_axis);
    *constant = sum->constant;
    for (int i = 0; i < sum->count; i++) {
        const struct loop_atom *atom = &k->atom[sum->term[i].atom];
        if (atom->kind != LOOP_ATOM_AXIS)
            return false;
        by_axis[atom->a] = sum->term[i].scale;
    }
    return true;
}

static bool of_threads(enum loop_role role)
{
    return role == LOOP_PARALLEL || role == LOOP_GRID || role == LOOP_BLOCK;
}

/* What the loops from `depth` on add to the address at least and at most. */
static void inner_range(const struct loop_kernel *k, const struct access *x, int depth,
                        const int64_t *by_axis, int64_t *lo, int64_t *hi)
{
    for (int i = depth; i < x->depth; i++) {
        const struct loop_axis *axis = &k->axis[x->axis[i]];
        const int64_t c = by_axis[x->axis[i]], a = c * axis->lo, b = c * (axis->hi - 1);
        *lo += a < b ? a : b;
        *hi += a < b ? b : a;
    }
}

/* Two turns of the shared loops differ by more than what lies inside one spans. */
static bool turns_apart(const struct loop_kernel *k, const struct access *x, int shared,
                        const int64_t *by_axis, int64_t span)
{
    bool used[DEPTH] = { false };

    for (int round = 0; round < shared; round++) {
        int least = -1;
        for (int i = 0; i < shared; i++)
            if (!used[i] && (least < 0 || by_axis[x->axis[i]] < by_axis[x->axis[least]]))
                least = i;
        const struct loop_axis *axis = &k->axis[x->axis[least]];
        const int64_t turns = axis->hi - axis->lo, c = by_axis[x->axis[least]];
        used[least] = true;
        if (turns <= 1 || (axis->step > 1 && turns <= axis->step))
            continue;
        if (c <= 0 || c * axis->step <= span)
            return false;
        span += c * (turns - 1);
    }
    return true;
}

static bool reads_first(const struct loop_kernel *k, const struct access *load,
                        const struct access *store)
{
    int64_t from[LOOP_AXES], to[LOOP_AXES], lo[2], hi[2];
    int shared = 0;

    if (!spread(k, load->s->ix, &lo[0], from) || !spread(k, store->s->ix, &lo[1], to))
        return false;
    while (shared < load->depth && shared < store->depth && load->at[shared] == store->at[shared] &&
           load->axis[shared] == store->axis[shared])
        shared++;
    for (int i = 0; i < shared; i++)
        if (from[load->axis[i]] != to[load->axis[i]])
            return false;
    for (int i = shared; i < load->depth || i < store->depth; i++)
        if ((i < load->depth && of_threads(k->axis[load->axis[i]].role)) ||
            (i < store->depth && of_threads(k->axis[store->axis[i]].role)))
            return false;
    hi[0] = lo[0];
    hi[1] = lo[1];
    inner_range(k, load, shared, from, &lo[0], &hi[0]);
    inner_range(k, store, shared, to, &lo[1], &hi[1]);
    int64_t least = lo[0] < lo[1] ? lo[0] : lo[1], most = hi[0] > hi[1] ? hi[0] : hi[1];
    if (!turns_apart(k, load, shared, to, most - least))
        return false;
    return load->at[shared] < store->at[shared] || hi[0] < lo[1] || hi[1] < lo[0];
}

bool pass_in_place(const struct loop_kernel *k, int read, int written)
{
    enum { MOST = 24 };
    struct access found[2][MOST];
    struct accesses loads = { .k = k, .buffer = read, .found = found[0], .room = MOST };
    struct accesses stores = {
        .k = k, .buffer = written, .stores = true, .found = found[1], .room = MOST
    };
    const struct loop_buffer *a = &k->buffer[read], *b = &k->buffer[written];

    if (k->call || a->scratch || b->scratch || a->written ||
        ir_dtypes[a->dtype].bytes != ir_dtypes[b->dtype].bytes)
        return false;
    walk(&loads, &k->body);
    walk(&stores, &k->body);
    if (loads.strange || stores.strange)
        return false;
    for (int i = 0; i < loads.count; i++)
        for (int j = 0; j < stores.count; j++)
            if (!reads_first(k, &loads.found[i], &stores.found[j]))
                return false;
    return loads.count > 0 && stores.count > 0;
}
