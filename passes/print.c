/*
 * print: what layout and plan have decided, as comments of a .tp file. The decisions are no part of
 * the graph, so a text that carries them is still the same model.
 */
#include "passes.h"

#include <inttypes.h>
#include <string.h>

/* "axis 0 / 16 * 144, axis 1 * 16, axis 0 % 16 * 1": part by part, outermost first, each with its
 * pitch */
static void put_storage(struct ir_text *t, const struct pass_storage *s)
{
    ir_put(t, "%" PRId64 " elements:", s->elements);
    for (int i = 0; i < s->parts; i++) {
        const struct pass_part *p = &s->part[i];
        ir_put(t, " axis %d", p->axis);
        if (p->divisor != 1)
            ir_put(t, " / %" PRId64, p->divisor);
        if (p->extent)
            ir_put(t, " %% %" PRId64, p->extent);
        ir_put(t, " * %" PRId64 "%s", p->pitch, i + 1 < s->parts ? "," : "");
    }
}

/* a value by its number and, where it has one, its name */
static void put_value(struct ir_text *t, ir_val v, const char *name)
{
    ir_put(t, name && *name ? "%%%u %s" : "%%%u", v.id, name);
}

void pass_print_layout(struct ir_text *t, const struct pass_compiled *c)
{
    const struct ir_graph *g = c->program->graph;

    for (uint32_t v = 1; v < g->count; v++) {
        if (c->storage[v].parts < 0)
            continue;
        ir_put(t, "# storage ");
        put_value(t, (ir_val){ v }, g->nodes[v].text);
        ir_put(t, " ");
        ir_put_shape(t, g, g->nodes[v].dtype, &g->nodes[v].shape);
        ir_put(t, " ");
        put_storage(t, &c->storage[v]);
        ir_put(t, "\n");
    }
}

/* --- the plan ------------------------------------------------------------------------------------
 */

static bool uses_scratch(const struct loop_kernel *k)
{
    for (int b = 0; b < k->buffers; b++)
        if (k->buffer[b].scratch)
            return true;
    return false;
}

/* Its bytes lie in the arena while the kernel runs, and are not the same as another's. */
static bool is_alive(const struct loop_program *p, int place, int kernel)
{
    const struct loop_place *l = &p->place[place];

    if (l->base != 0 || l->first > kernel || l->last < kernel)
        return false;
    for (int i = 0; i < p->places; i++)
        if (p->place[i].over == place && p->place[i].first <= kernel)
            return false;
    return true;
}

int64_t pass_alive(const struct loop_program *p, int kernel)
{
    int64_t bytes = uses_scratch(p->kernel[kernel]) ? p->scratch * p->threads : 0;

    for (int i = 0; i < p->places; i++)
        if (is_alive(p, i, kernel))
            bytes += p->place[i].bytes;
    return bytes;
}

int pass_fullest(const struct loop_program *p)
{
    int fullest = 0;

    for (int k = 1; k < p->kernels; k++)
        if (pass_alive(p, k) > pass_alive(p, fullest))
            fullest = k;
    return fullest;
}

static void put_place(struct ir_text *t, const struct loop_program *p, const struct loop_place *l)
{
    const struct ir_node *n = ir_at(p->graph, l->value);

    put_value(t, l->value, l->name);
    if (!l->name || !*l->name)
        ir_put(t, " %s", ir_ops[n->op].name);
    if (n->loc.file)
        ir_put(t, ", %s:%d", n->loc.file, n->loc.line);
}

/* What lies in the arena at kernel k, the largest first. */
static void put_alive(struct ir_text *t, const struct loop_program *p, int k)
{
    int64_t limit = INT64_MAX, below;

    for (; limit > 0; limit = below) {
        below = 0;
        for (int i = 0; i < p->places; i++)
            if (is_alive(p, i, k) && p->place[i].bytes < limit && p->place[i].bytes > below)
                below = p->place[i].bytes;
        for (int i = 0; i < p->places && below; i++)
            if (is_alive(p, i, k) && p->place[i].bytes == below) {
                ir_put(t, "#   %10" PRId64 "  ", below);
                put_place(t, p, &p->place[i]);
                ir_put(t, "\n");
            }
    }
    if (uses_scratch(p->kernel[k]))
        ir_put(t, "#   %10" PRId64 "  scratch of %d threads\n", p->scratch * p->threads,
               p->threads);
}

void pass_print_fullest(struct ir_text *t, const struct loop_program *p, int largest)
{
    const int k = pass_fullest(p);
    int64_t before = INT64_MAX;
    int last = -1;

    if (p->kernels == 0) { /* inputs that are outputs */
        ir_put(t, "its inputs");
        return;
    }
    ir_put(t, "%s (", p->kernel[k]->name);
    for (int i = 0; i < largest; i++) {
        int next = -1;
        for (int j = 0; j < p->places; j++) /* of equal ones the one that stands first */
            if (is_alive(p, j, k) &&
                (p->place[j].bytes < before || (p->place[j].bytes == before && j > last)) &&
                (next < 0 || p->place[j].bytes > p->place[next].bytes))
                next = j;
        if (next < 0)
            break;
        before = p->place[next].bytes;
        last = next;
        ir_put(t, "%s", i ? ", " : "");
        put_place(t, p, &p->place[next]);
        ir_put(t, " %" PRId64, before);
    }
    ir_put(t, ", ..)");
}

static void put_run(struct ir_text *t, const struct loop_program *p, int k, int64_t most)
{
    enum { WIDTH = 32 };
    const struct loop_kernel *kernel = p->kernel[k];
    const int64_t alive = pass_alive(p, k);
    const int full = most > 0 ? (int)((alive * WIDTH + most - 1) / most) : 0;

    ir_put(t, "# run %3d %10" PRId64 " %.*s%.*s %s%s%s\n", k, alive, full,
           "################################", WIDTH - full, "................................",
           kernel->name, kernel->shared ? " on all threads" : "",
           kernel->barrier ? ", after a barrier" : "");
}

/* What a GPU is told at once, where that is more than a kernel. */
static void put_launches(struct ir_text *t, const struct loop_program *p)
{
    for (int i = 0; i < p->launches; i++) {
        const struct loop_launch *l = &p->launch[i];
        if (l->kernels == 1)
            continue;
        ir_put(t, "# launch %d, %s: %" PRId64 " blocks of %" PRId64 " threads, runs", i, l->name,
               l->blocks, l->threads);
        for (int k = 0; k < l->kernels; k++)
            ir_put(t, "%s %d", k ? "," : "", l->kernel[k]);
        ir_put(t, "\n");
    }
}

static void put_places(struct ir_text *t, const struct loop_program *p)
{
    for (int i = 0; i < p->places; i++) {
        const struct loop_place *l = &p->place[i];
        ir_put(t, "# place ");
        put_value(t, l->value, l->name);
        ir_put(t, ": %s + %" PRId64 ", %" PRId64 " bytes", l->base ? "states" : "arena", l->offset,
               l->bytes);
        if (l->base == 0)
            ir_put(t, ", runs %d to %d", l->first, l->last);
        if (l->over >= 0)
            ir_put(t, ", over %%%u", p->place[l->over].value.id);
        ir_put(t, "\n");
    }
}

/* What is computed a second time, and what that saves and costs. */
static void put_again(struct ir_text *t, const struct loop_program *p)
{
    const struct ir_graph *g = p->graph;

    for (uint32_t r = 1; r < g->regions; r++) {
        const struct ir_region *region = &g->region[r];
        const struct ir_node *n = ir_at(g, region->result);
        if (strcmp(region->name, IR_AGAIN) != 0 || !region->result.id || !region->title)
            continue;
        ir_put(t, "# again %s", region->title);
        if (n->loc.file)
            ir_put(t, ", %s:%d", n->loc.file, n->loc.line);
        ir_put(t, ": %" PRId64 " bytes are not kept for who reads them late",
               ir_elements(g, &n->shape) * ir_dtypes[n->dtype].bytes);
        for (int k = 0; k < p->kernels; k++)
            if (strcmp(p->kernel[k]->name, region->title) == 0 && p->kernel[k]->flops > 0)
                ir_put(t, ", who pays %.3g flops", p->kernel[k]->flops);
        ir_put(t, "\n");
    }
}

void pass_print_plan(struct ir_text *t, const struct loop_program *p, const char *kernel)
{
    const int fullest = p->kernels ? pass_fullest(p) : 0;
    const int64_t most = p->kernels ? pass_alive(p, fullest) : 0;

    if (!kernel) {
        ir_put(t,
               "# arena %" PRId64 " bytes (no packing needs less than %" PRId64 "), states %" PRId64
               ", %d threads\n",
               p->arena_bytes, p->least, p->state_bytes, p->threads);
        put_places(t, p);
        put_again(t, p);
        if (p->kernels)
            ir_put(t, "# fullest: run %d, %s, with %" PRId64 " bytes\n", fullest,
                   p->kernel[fullest]->name, most);
        if (p->kernels)
            put_alive(t, p, fullest);
    }
    for (int k = 0; k < p->kernels; k++)
        if (!kernel || strcmp(p->kernel[k]->name, kernel) == 0)
            put_run(t, p, k, most);
    if (!kernel)
        put_launches(t, p);
}

/* --- the schedule --------------------------------------------------------------------------------
 */

static int64_t rounds_of(const struct loop_axis *a)
{
    return a->step > 1 ? (a->hi - a->lo + a->step - 1) / a->step : a->hi - a->lo;
}

/* arithmetic and memory of a block, all rounds of its loops together */
static double work_of(const struct loop_kernel *k, const struct loop_block *b)
{
    double work = 0;

    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        work +=
            s->kind == LOOP_FOR ? (double)rounds_of(&k->axis[s->axis]) * work_of(k, &s->body) : 1;
    }
    return work;
}

/* "threads n 4 > h 28 > unrolled w 7 > lanes n_ 16 > r 5": from the outermost loop inwards, where
 * there are several the one with most to do; loops of one round are left out */
void pass_print_schedule(struct ir_text *t, const struct loop_kernel *k)
{
    static const char *const roles[] = {
        [LOOP_SERIAL] = "",       [LOOP_PARALLEL] = "threads ", [LOOP_UNROLL] = "unrolled ",
        [LOOP_VECTOR] = "lanes ", [LOOP_GRID] = "grid ",        [LOOP_BLOCK] = "block "
    };
    const struct loop_block *b = &k->body;
    bool first = true;

    while (b) {
        const struct loop_statement *heaviest = NULL;
        double most = -1;

        for (int i = 0; i < b->count; i++) {
            const struct loop_statement *s = b->at[i];
            const double work = s->kind == LOOP_FOR
                                    ? (double)rounds_of(&k->axis[s->axis]) * work_of(k, &s->body)
                                    : -1;
            if (work > most) {
                heaviest = s;
                most = work;
            }
        }
        b = heaviest ? &heaviest->body : NULL;
        if (!heaviest || rounds_of(&k->axis[heaviest->axis]) <= 1)
            continue;
        ir_put(t, "%s%s%s %" PRId64, first ? "" : " > ", roles[k->axis[heaviest->axis].role],
               k->axis[heaviest->axis].name, rounds_of(&k->axis[heaviest->axis]));
        if (k->axis[heaviest->axis].step > 1)
            ir_put(t, " by %" PRId64, k->axis[heaviest->axis].step);
        first = false;
    }
}
