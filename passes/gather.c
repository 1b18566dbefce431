/*
 * gather: small kernels that do not wait for each other are one launch of a GPU.
 *
 * Between two barriers of the plan no kernel touches what another writes, so they may stand in any
 * order, and several may be one launch, each a range of its blocks: the updates of all parameters,
 * sums of columns, numbers that an optimiser works out. Products stay alone: they need registers
 * and tiles, which every block of a launch would have to have. Kernels stay what they are; the
 * launch is a function that calls theirs, so equal ones are one text in it as well.
 */
#include "outline.h"
#include "steps.h"

#include <ctype.h>
#include <string.h>

enum {
    ARRAYS = 440, /* of a launch: its arguments are at most 4 KiB */
    WARP = 32,
    THREADS = 256 /* of a block, at most */
};

struct group { /* kernels of a stretch that are one launch */
    int *kernel, count, arrays;
    int64_t meets; /* so many threads of a block meet; 0: none do */
};

/* ---- which kernels may ---- */

struct manner { /* of a kernel's threads */
    const struct loop_kernel *k;
    bool product, meet, copies;
};

static void look(struct loop_statement *s, void *with)
{
    struct manner *m = with;

    m->product |= s->kind == LOOP_SET && s->op == IR_dot;
    m->copies |= s->kind == LOOP_MEET || s->kind == LOOP_COPY;
    for (int i = 0; i < m->k->axes; i++)
        m->meet |= s->kind == LOOP_FOLD && (s->over >> i & 1) && m->k->axis[i].role == LOOP_BLOCK;
}

static struct manner manner_of(const struct loop_kernel *k)
{
    struct manner m = { .k = loop_function(k) };
    struct loop_block body = m.k->body;

    pass_each(&body, look, &m);
    for (int b = 0; b < k->buffers; b++)
        m.copies |= k->buffer[b].scratch;
    return m;
}

/* Threads that meet are those of a block as it is: then all of the launch's blocks are such. */
static bool joins(const struct group *g, const struct loop_kernel *k, const struct manner *m)
{
    int64_t blocks, threads;

    loop_grid(m->k, &blocks, &threads);
    return g->arrays + loop_arrays(k) <= ARRAYS && (!m->meet || !g->meets || g->meets == threads);
}

/* ---- a launch ---- */

static void choose_blocks(const struct loop_program *p, struct loop_launch *l, int64_t meets)
{
    int64_t threads = 0;

    for (int i = 0; i < l->kernels; i++) {
        int64_t blocks, members;
        loop_grid(loop_function(p->kernel[l->kernel[i]]), &blocks, &members);
        threads += blocks * members;
    }
    l->threads = meets ? meets : THREADS;
    while (!meets && l->threads > WARP && threads < l->threads * p->target->processors)
        l->threads /= 2;
    l->blocks = 0;
    for (int i = 0; i < l->kernels; i++)
        l->blocks += loop_launch_blocks(p, l, i);
}

static void add_launch(struct loop_program *p, const struct group *g, bool barrier)
{
    int *kernel = ir_alloc(p->arena, (size_t)g->count * sizeof *kernel), count = 0;
    struct loop_launch *l = &p->launch[p->launches++];

    for (int i = 0; i < g->count; i++) { /* those of one function side by side */
        const struct loop_kernel *function = loop_function(p->kernel[g->kernel[i]]);
        bool seen = false;
        for (int j = 0; j < i; j++)
            seen |= loop_function(p->kernel[g->kernel[j]]) == function;
        for (int j = i; j < g->count && !seen; j++)
            if (loop_function(p->kernel[g->kernel[j]]) == function)
                kernel[count++] = g->kernel[j];
    }
    *l = (struct loop_launch){ .kernel = kernel, .kernels = count, .barrier = barrier };
    if (count == 1) {
        loop_grid(loop_function(p->kernel[kernel[0]]), &l->blocks, &l->threads);
        return;
    }
    choose_blocks(p, l, g->meets);
    for (int i = 0; i < count; i++) {
        struct loop_kernel *k = p->kernel[kernel[i]];
        (k->first ? k->first : k)->gathered = true;
    }
}

/* The kernels from `first` to before `end`, none of which touches what another writes: launches, in
 * the order of the first of each. */
static void add_stretch(struct loop_program *p, int first, int end, bool several)
{
    struct group *group = ir_alloc(p->arena, (size_t)(end - first) * sizeof *group);
    int groups = 0;

    for (int k = first; k < end; k++) {
        const struct loop_kernel *kernel = p->kernel[k];
        const struct manner m = manner_of(kernel);
        const bool small = several && !kernel->mark && !kernel->call && !m.product && !m.copies;
        int g = 0;
        while (g < groups && !(small && joins(&group[g], kernel, &m)))
            g++;
        if (g == groups) {
            group[groups++].kernel =
                ir_alloc(p->arena, (size_t)(small ? end - first : 1) * sizeof(int));
            group[g].arrays = small ? 0 : ARRAYS; /* nothing joins it */
        }
        group[g].kernel[group[g].count++] = k;
        group[g].arrays += loop_arrays(kernel);
        if (m.meet) {
            int64_t blocks;
            loop_grid(m.k, &blocks, &group[g].meets);
        }
    }
    for (int g = 0; g < groups; g++)
        add_launch(p, &group[g], g == 0 && p->kernel[first]->barrier);
}

/* ---- names ---- */

static bool same_functions(const struct loop_program *p, const struct loop_launch *a,
                           const struct loop_launch *b)
{
    if (a->kernels != b->kernels || a->threads != b->threads)
        return false;
    for (int i = 0; i < a->kernels; i++)
        if (loop_function(p->kernel[a->kernel[i]]) != loop_function(p->kernel[b->kernel[i]]))
            return false;
    return true;
}

static bool is_update(const struct loop_kernel *k)
{
    for (int b = 0; b < k->buffers; b++)
        if (k->buffer[b].written && k->buffer[b].base == 1)
            return true;
    return false;
}

static const char *name_of(const struct loop_program *p, const struct loop_launch *l)
{
    const struct loop_kernel *first = loop_function(p->kernel[l->kernel[0]]);
    const char *common = first->function ? first->function : first->name;
    bool updates = true;

    if (l->kernels == 1)
        return ir_format(p->arena, "%.70s_alone", common);
    for (int i = 0; i < l->kernels; i++) {
        const struct loop_kernel *k = loop_function(p->kernel[l->kernel[i]]);
        updates = updates && is_update(p->kernel[l->kernel[i]]);
        common = pass_outline_common(p->arena, common, k->function ? k->function : k->name);
    }
    if (updates)
        return "updates_together";
    return ir_format(p->arena, "%.70s_together",
                     isalpha((unsigned char)*common) ? common : "kernels");
}

static void name_launches(struct loop_program *p)
{
    for (int i = 0; i < p->launches; i++) {
        struct loop_launch *l = &p->launch[i];
        const struct loop_kernel *k = p->kernel[l->kernel[0]];
        if (l->kernels == 1 && (k->mark || !loop_function(k)->gathered))
            continue;
        for (int j = 0; j < i && !l->first; j++)
            if (p->launch[j].name && !p->launch[j].first && same_functions(p, &p->launch[j], l))
                l->first = &p->launch[j];
        l->name = l->first ? l->first->name : pass_outline_unique(p, name_of(p, l));
    }
}

void pass_gather(struct loop_program *p, bool several)
{
    p->launch = ir_alloc(p->arena, ((size_t)p->kernels + 1) * sizeof *p->launch);
    for (int k = 0, end; k < p->kernels; k = end) {
        end = k + 1;
        while (end < p->kernels && !p->kernel[k]->mark && !p->kernel[end]->mark &&
               !p->kernel[end]->barrier)
            end++;
        add_stretch(p, k, end, several);
    }
    name_launches(p);
}
