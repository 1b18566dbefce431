/*
 * The kernels in an order: whatever one needs stands before it.
 *
 * The order is kept while kernels grow and join. A new need that the order contradicts moves only
 * the kernels that stand between the two (Pearce and Kelly, "A dynamic topological sort algorithm
 * for directed acyclic graphs", JEA 11, 2007); and a search for a way from one to another looks at
 * those between them alone. In long programs what meets is close together, so both stay short.
 */
#include "passes/fuse.h"

#include <stdlib.h>

/* A search that has looked at so many kernels gives up: then nothing is joined. */
#define SEARCH 4096

static int live(const struct fuse *f, int k)
{
    while (f->group[k].absorbed >= 0)
        k = f->group[k].absorbed;
    return k;
}

int pass_fuse_new_group(struct fuse *f, enum fuse_class class, struct ir_shape domain,
                        const char *reason)
{
    ir_grow(f->arena, f->group, f->groups, f->room);
    ir_grow(f->arena, f->at, f->groups, f->at_room);
    f->group[f->groups] = (struct fuse_group){ .class = class,
                                               .domain = domain,
                                               .prefix = -1,
                                               .reason = reason,
                                               .other_window = -1,
                                               .absorbed = -1,
                                               .loop = -1,
                                               .position = f->groups };
    f->at[f->groups] = f->groups;
    return f->groups++;
}

static void push(struct fuse *f, int *count, int k)
{
    ir_grow(f->arena, f->stack, *count, f->stack_room);
    f->stack[(*count)++] = k;
}

/*
 * Is there a way by needs to `to`? Starts from what `from` needs, `to` itself left out where
 * `indirect`. A way that leads before `to` in the order cannot come back to it.
 */
static bool reaches(struct fuse *f, int from, int to, bool indirect)
{
    const int last = f->group[to].position;
    int count = 0, looks = 0;

    f->group_stamp++;
    for (int first = from;; first = f->stack[--count]) {
        const struct fuse_group *g = &f->group[first];
        for (int i = 0; i < g->needs.count; i++) {
            int k = live(f, g->needs.to[i]);
            if (k == to && (first != from || !indirect))
                return true;
            if (f->group[k].position <= last || f->group[k].stamp == f->group_stamp)
                continue;
            f->group[k].stamp = f->group_stamp;
            if (++looks > SEARCH)
                return true;
            push(f, &count, k);
        }
        if (count == 0)
            return false;
    }
}

bool pass_fuse_needs(struct fuse *f, int group, int needed)
{
    return group != needed && f->group[group].position > f->group[needed].position &&
           reaches(f, group, needed, false);
}

bool pass_fuse_between(struct fuse *f, int group, int needed)
{
    return f->group[group].position > f->group[needed].position && reaches(f, group, needed, true);
}

/* --- a new need ----------------------------------------------------------------------------------
 */

/* All from k on by needs (or users), itself included, whose position is past (before) the limit:
 * onto the stack from `base` on. */
static int gather(struct fuse *f, int k, bool needs, int limit, int base)
{
    int count = base;

    f->group_stamp++;
    f->group[k].stamp = f->group_stamp;
    push(f, &count, k);
    for (int i = base; i < count; i++) {
        const struct fuse_edges *edges =
            needs ? &f->group[f->stack[i]].needs : &f->group[f->stack[i]].users;
        for (int e = 0; e < edges->count; e++) {
            int to = live(f, edges->to[e]), position = f->group[to].position;
            if (f->group[to].stamp == f->group_stamp ||
                (needs ? position < limit : position > limit))
                continue;
            f->group[to].stamp = f->group_stamp;
            push(f, &count, to);
        }
    }
    return count;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Groups by their positions: positions are sorted, then read as groups again. */
static void sort_groups(const struct fuse *f, int *group, int count)
{
    for (int i = 0; i < count; i++)
        group[i] = f->group[group[i]].position;
    qsort(group, (size_t)count, sizeof *group, ascending);
    for (int i = 0; i < count; i++)
        group[i] = f->at[group[i]];
}

/* What `needed` needs moves before what needs k, all within the places that they have. */
static void reorder(struct fuse *f, int k, int needed)
{
    int before = gather(f, needed, true, f->group[k].position, 0);
    int all = gather(f, k, false, f->group[needed].position, before);
    int *place;

    sort_groups(f, f->stack, before);
    sort_groups(f, f->stack + before, all - before);
    if (f->place_room < all) {
        f->place_room = 2 * all;
        f->place = ir_alloc(f->arena, (size_t)f->place_room * sizeof *f->place);
    }
    place = f->place;
    for (int i = 0; i < all; i++)
        place[i] = f->group[f->stack[i]].position;
    qsort(place, (size_t)all, sizeof *place, ascending);
    for (int i = 0; i < all; i++) {
        f->group[f->stack[i]].position = place[i];
        f->at[place[i]] = f->stack[i];
    }
}

static void put_edge(struct fuse *f, struct fuse_edges *edges, int to)
{
    ir_grow(f->arena, edges->to, edges->count, edges->room);
    edges->to[edges->count++] = to;
}

void pass_fuse_need(struct fuse *f, int k, int needed)
{
    struct fuse_group *g = &f->group[k];

    if (k == needed || (g->needs.count && g->needs.to[g->needs.count - 1] == needed))
        return;
    if (g->position < f->group[needed].position)
        reorder(f, k, needed);
    put_edge(f, &g->needs, needed);
    put_edge(f, &f->group[needed].users, k);
}

/* Each edge stands at its other end already, under the name of the absorbed group. */
void pass_fuse_absorb(struct fuse *f, int k, int other)
{
    const struct fuse_edges needs = f->group[other].needs, users = f->group[other].users;

    f->group[other].absorbed = k;
    for (int i = 0; i < needs.count; i++)
        put_edge(f, &f->group[k].needs, needs.to[i]);
    for (int i = 0; i < users.count; i++) {
        int user = live(f, users.to[i]);
        if (f->group[user].position < f->group[k].position)
            reorder(f, user, k);
        put_edge(f, &f->group[k].users, user);
    }
}
