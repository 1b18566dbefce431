/*
 * The last step of fuse: groups become kernels, in an order that respects what they need and
 * otherwise as they were made, each with a name that says what it computes.
 */
#include "passes/fuse.h"

#include <stdlib.h>
#include <string.h>

/* --- names ---------------------------------------------------------------------------------------
 */

/* what is computed: the first five operations; gives how many there are */
static int put_operations(struct ir_text *text, const struct fuse *f, const struct fuse_group *g)
{
    int parts = 0;

    for (int i = 0; i < g->count && parts < 5; i++) {
        const struct ir_node *n = ir_at(f->g, g->nodes[i]);
        if (n->op == IR_store)
            continue;
        if (n->op == IR_assign && parts == 0)
            ir_put(text, "%supdate_%s", parts++ ? "_" : "", ir_at(f->g, n->args[0])->text);
        else if (n->op == IR_custom)
            ir_put(text, "%scall_%s%s", parts++ ? "_" : "", n->text,
                   n->attr[0].count ? "_gradient" : "");
        else if (n->op != IR_assign && n->op != IR_cast)
            ir_put(text, "%s%s", parts++ ? "_" : "", ir_ops[n->op].name);
    }
    return parts;
}

/* a sum or product whose result goes into a parameter and its moments: fc1.bias, not
 * fc1.bias.momentum_buffer */
static const char *updated_here(const struct fuse *f, const struct fuse_group *g)
{
    const char *shortest = NULL;

    if (g->class != FUSE_CONTRACT && g->class != FUSE_COLUMN && g->class != FUSE_ROW)
        return NULL;
    for (int i = 0; i < g->count; i++) {
        const struct ir_node *n = ir_at(f->g, g->nodes[i]);
        const char *name = n->op == IR_assign ? ir_at(f->g, n->args[0])->text : NULL;
        if (name && (!shortest || strlen(name) < strlen(shortest)))
            shortest = name;
    }
    return shortest;
}

/* the region that most of the kernel belongs to, if it is more than a scope: cross_entropy */
static const char *region_of(const struct fuse *f, const struct fuse_group *g)
{
    const struct ir_node *first = ir_at(f->g, g->nodes[0]);
    const struct ir_region *region = &f->g->region[first->region];
    int inside = 0;

    if (!first->region || region->kind < 0 || g->class == FUSE_CONTRACT)
        return NULL;
    for (int i = 0; i < g->count; i++)
        inside += ir_at(f->g, g->nodes[i])->region == first->region;
    return 2 * inside > g->count ? region->name : NULL;
}

/* a number that an optimiser works out for all parameters */
static bool is_rate(const struct fuse *f, const struct fuse_group *g)
{
    const struct ir_node *last = ir_at(f->g, g->nodes[g->count - 1]);

    return g->class == FUSE_MAP && last->shape.rank == 0 && last->op != IR_assign && last->region &&
           !strcmp(f->g->region[last->region].name, "optimiser");
}

static const char *plain_name(const struct fuse *f, const struct fuse_group *g)
{
    const struct ir_node *anchor = ir_at(f->g, g->nodes[0]);
    const char *updates = updated_here(f, g), *region = region_of(f, g);
    struct ir_text text = { 0 };
    bool room = true; /* for the name of what it began with */
    char *name;

    if (updates) /* the gradient and the update of one parameter */
        ir_put(&text, "grad_%s_update", updates);
    else if (is_rate(f, g))
        ir_put(&text, "learning_rate");
    else if (region && g->count > 2)
        ir_put(&text, "%s", region);
    else {
        if (region)
            ir_put(&text, "%s_", region);
        room = put_operations(&text, f, g) < 5;
    }
    if (ir_is_again(f->g, g->nodes[0]) && f->g->region[anchor->region].title && !updates)
        name = ir_format(f->arena, "%.60s_%.60s", IR_AGAIN, f->g->region[anchor->region].title);
    else if (anchor->name && room && !updates && !is_rate(f, g))
        name = ir_format(f->arena, "%.40s_%.60s", anchor->name, text.data ? text.data : "copy");
    else
        name = ir_format(f->arena, "%.80s", text.data ? text.data : "copy");
    ir_text_free(&text);
    for (char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '_';
    if (*name >= '0' && *name <= '9')
        name = ir_format(f->arena, "k_%s", name);
    if (!strchr(name, '_')) /* one word may be a word of C, or a function of the program */
        name = ir_format(f->arena, "%s_all", name);
    return name;
}

struct names { /* given already; each knows where the search for a next one like it goes on */
    struct {
        const char *name;
        int next;
    } *slot;
    uint32_t room;
};

static uint32_t find_name(const struct names *t, const char *name)
{
    uint32_t hash = 2166136261;

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    hash = (hash ^ hash >> 15) & (t->room - 1);
    while (t->slot[hash].name && strcmp(t->slot[hash].name, name) != 0)
        hash = (hash + 1) & (t->room - 1);
    return hash;
}

static const char *unique_name(struct fuse *f, struct names *t, const char *name)
{
    const uint32_t plain = find_name(t, name);
    const char *unique = name;
    uint32_t at = plain;

    while (t->slot[at].name) {
        unique = ir_format(f->arena, "%s_%d", name, t->slot[plain].next++);
        at = find_name(t, unique);
    }
    t->slot[at].name = unique;
    t->slot[at].next = 2;
    return unique;
}

/* --- the order -----------------------------------------------------------------------------------
 */

static void heap_put(int *heap, int *count, int k)
{
    int at = (*count)++;

    for (; at > 0 && heap[(at - 1) / 2] > k; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = k;
}

static int heap_take(int *heap, int *count)
{
    const int least = heap[0], last = heap[--*count];
    int at = 0;

    for (int child = 1; child < *count; child = 2 * at + 1) {
        child += child + 1 < *count && heap[child + 1] < heap[child];
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return least;
}

static int live(const struct fuse *f, int k)
{
    while (f->group[k].absorbed >= 0)
        k = f->group[k].absorbed;
    return k;
}

static int by_id(const void *a, const void *b)
{
    const ir_val *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* who waits for nobody, loop by loop: from the step of a loop on, its own kernels run until its
 * done */
struct ready {
    int *heap, count;
};

static struct ready *ready_lists(const struct fuse *f)
{
    struct ready *ready =
        ir_alloc(f->arena, ((size_t)f->loops->count + 1) * sizeof *ready); /* [0]: in no loop */

    for (int k = 0; k < f->groups; k++)
        ready[f->group[k].loop + 1].count++;
    for (int loop = 0; loop <= f->loops->count; loop++) {
        ready[loop].heap = ir_alloc(f->arena, ((size_t)ready[loop].count + 1) * sizeof(int));
        ready[loop].count = 0;
    }
    return ready;
}

static void make_ready(const struct fuse *f, struct ready *ready, int k)
{
    struct ready *r = &ready[f->group[k].loop + 1];

    heap_put(r->heap, &r->count, k);
}

struct ir_program *pass_fuse_finish(struct fuse *f)
{
    struct ir_program *p = ir_alloc(f->arena, sizeof *p);
    int *waits = ir_alloc(f->arena, ((size_t)f->groups + 1) * sizeof *waits); /* for so many */
    struct ready *ready = ready_lists(f), *now = ready;
    int left = 0;
    struct names names = { .room = 64 };

    while (names.room < 2 * (uint32_t)f->groups)
        names.room *= 2;
    names.slot = ir_alloc(f->arena, names.room * sizeof *names.slot);
    p->graph = (struct ir_graph *)f->g;
    p->kernels = ir_alloc(f->arena, ((size_t)f->groups + 1) * sizeof *p->kernels);
    for (int k = 0; k < f->groups; k++) {
        const struct fuse_edges *needs = &f->group[k].needs;
        if (f->group[k].absorbed >= 0)
            continue;
        left++;
        for (int i = 0; i < needs->count; i++)
            waits[k] += live(f, needs->to[i]) != k;
        if (!waits[k])
            make_ready(f, ready, k);
    }
    for (; now->count > 0; left--) {
        int k = heap_take(now->heap, &now->count);
        struct fuse_group *g = &f->group[k];
        const struct ir_node *first = ir_at(f->g, g->nodes[0]);

        qsort(g->nodes, (size_t)g->count, sizeof *g->nodes, by_id);
        p->kernels[p->kernel_count] = (struct ir_kernel){
            unique_name(f, &names, plain_name(f, g)), g->count, g->nodes, g->reason, 0, NULL
        };
        pass_fuse_boundaries(f, k, &p->kernels[p->kernel_count++]);
        for (int i = 0; i < g->users.count; i++) {
            int user = live(f, g->users.to[i]);
            if (user != k && --waits[user] == 0)
                make_ready(f, ready, user);
        }
        if (first->op == IR_step || first->op == IR_done) /* into it, or back around it */
            now = &ready[f->loops->loop_of[g->nodes[0].id] + 1];
    }
    if (left)
        ir_bug("fuse made kernels that wait for each other");
    return p;
}
