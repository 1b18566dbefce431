/*
 * plan: where every stored value lives, and where threads must wait.
 *
 * A value occupies its bytes from the kernel that stores it to the last one that reads it; two that
 * are never alive together may share. A barrier stands before a kernel that touches what a kernel
 * since the last barrier wrote, or writes what one read: found by the addresses, so that sharing
 * memory is as safe as sharing values.
 */
#include "passes.h"

#include <string.h>

#define LINE 64

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

struct life {
    ir_val v;
    int first, last; /* kernels */
    int64_t offset, bytes;
};

struct plan {
    struct pass_compiled *c;
    const struct ir_graph *g;
    const struct pass_options *options;
    struct loop_program *p;
    struct life *life; /* of what lies in the arena */
    int lives;
    int *place_of; /* by node: index of its place, -1: none */
};

static int64_t bytes_of(const struct plan *p, ir_val v)
{
    return round_up(p->c->storage[v.id].elements * ir_dtypes[ir_at(p->g, v)->dtype].bytes, LINE);
}

static void add_place(struct plan *p, ir_val v, int base, int64_t offset, const char *name)
{
    struct loop_program *lp = p->p;

    p->place_of[v.id] = lp->places;
    lp->place[lp->places++] = (struct loop_place){ v, name, base, offset, bytes_of(p, v) };
}

static void place_states(struct plan *p)
{
    int64_t at = p->options->state_bytes;

    for (uint32_t v = 1; v < p->g->count; v++) {
        const struct ir_node *n = &p->g->nodes[v];
        int64_t offset = -1;
        if (n->op != IR_state)
            continue;
        for (int i = 0; i < p->options->known_count; i++)
            if (!strcmp(p->options->known[i].name, n->text))
                offset = p->options->known[i].offset;
        if (offset < 0) {
            offset = at;
            at += bytes_of(p, (ir_val){ v });
        }
        add_place(p, (ir_val){ v }, 1, offset, n->text);
    }
    p->p->state_bytes = at;
}

/* lowest offset at which the bytes are free during the life */
static int64_t fit(const struct plan *p, const struct life *new, int64_t start)
{
    int64_t at = start;
    bool moved = true;

    while (moved) {
        moved = false;
        for (int i = 0; i < p->lives; i++) {
            const struct life *l = &p->life[i];
            if (l->last < new->first || l->first > new->last)
                continue;
            if (at < l->offset + l->bytes && l->offset < at + new->bytes) {
                at = l->offset + l->bytes;
                moved = true;
            }
        }
    }
    return at;
}

static void find_lives(struct plan *p, int *first, int *last)
{
    for (uint32_t v = 0; v < p->g->count; v++) {
        first[v] = -1;
        last[v] = -1;
    }
    for (int k = 0; k < p->p->kernels; k++)
        for (int b = 0; b < p->p->kernel[k]->buffers; b++) {
            uint32_t v = p->p->kernel[k]->buffer[b].value.id;
            first[v] = first[v] < 0 ? k : first[v];
            last[v] = k;
        }
}

static void place_arena(struct plan *p)
{
    int *first = ir_alloc(p->c->arena, p->g->count * sizeof *first);
    int *last = ir_alloc(p->c->arena, p->g->count * sizeof *last);
    int64_t start = 2 * LINE, end = start; /* the barrier's words come first */
    int external = 2;

    find_lives(p, first, last);
    p->life = ir_alloc(p->c->arena, p->g->count * sizeof *p->life);
    for (int round = 0; round < 2; round++) /* what the caller touches lives all the time */
        for (uint32_t v = 1; v < p->g->count; v++) {
            const struct ir_node *n = &p->g->nodes[v];
            bool outside = n->op == IR_input;
            const char *name = n->op == IR_input ? n->text : n->name;
            if (p->place_of[v] >= 0 || p->c->storage[v].parts < 0)
                continue;
            for (int i = 0; i < p->g->output_count; i++)
                if (p->g->outputs[i].value.id == v) {
                    outside = true;
                    name = n->op == IR_input ? name : p->g->outputs[i].name;
                }
            if (outside != (round == 0))
                continue;
            if (outside && p->options->external) {
                add_place(p, (ir_val){ v }, external++, 0, name);
                continue;
            }
            if (!outside && first[v] < 0)
                continue;
            struct life life = {
                { v }, outside ? 0 : first[v], outside ? p->p->kernels : last[v], 0, 0
            };
            life.bytes = bytes_of(p, life.v);
            life.offset = fit(p, &life, start);
            p->life[p->lives++] = life;
            end = life.offset + life.bytes > end ? life.offset + life.bytes : end;
            add_place(p, life.v, 0, life.offset, name);
        }
    p->p->bases = external;
    p->p->arena_bytes = end;
}

static void resolve_buffers(struct plan *p)
{
    for (int k = 0; k < p->p->kernels; k++) {
        struct loop_kernel *kernel = p->p->kernel[k];
        int64_t scratch = 0;
        for (int b = 0; b < kernel->buffers; b++) {
            struct loop_buffer *buffer = &kernel->buffer[b];
            if (buffer->scratch) {
                buffer->offset = scratch;
                scratch += round_up(buffer->elements * ir_dtypes[buffer->dtype].bytes, LINE);
                continue;
            }
            const struct loop_place *place = &p->p->place[p->place_of[buffer->value.id]];
            buffer->base = place->base;
            buffer->offset = place->offset;
        }
        p->p->scratch = scratch > p->p->scratch ? scratch : p->p->scratch;
    }
    p->p->scratch_offset = p->p->arena_bytes;
    p->p->threads = p->options->threads > 0 ? p->options->threads : 1;
    p->p->arena_bytes +=
        p->p->scratch * p->p->threads + 4096; /* over-run reads end in the last page */
}

static bool touch(const struct loop_kernel *a, const struct loop_kernel *b)
{
    for (int i = 0; i < a->buffers; i++)
        for (int j = 0; j < b->buffers; j++) {
            const struct loop_buffer *x = &a->buffer[i], *y = &b->buffer[j];
            if (x->scratch || y->scratch || x->base != y->base || (!x->written && !y->written))
                continue;
            if (x->offset < y->offset + y->elements * ir_dtypes[y->dtype].bytes &&
                y->offset < x->offset + x->elements * ir_dtypes[x->dtype].bytes)
                return true;
        }
    return false;
}

static void place_barriers(struct loop_program *p)
{
    int since = 0; /* the kernels after the last barrier */

    for (int k = 0; k < p->kernels; k++)
        for (int j = since; j < k; j++)
            if ((p->kernel[j]->shared || p->kernel[k]->shared) &&
                touch(p->kernel[j], p->kernel[k])) {
                p->kernel[k]->barrier = 1;
                since = k;
                break;
            }
}

bool pass_plan(struct pass_compiled *c, const struct pass_options *options, struct ir_error *error)
{
    struct plan p = { .c = c, .g = c->program->graph, .options = options, .p = c->loops };

    (void)error;
    p.p->place = ir_alloc(c->arena, (p.g->count + 1) * sizeof *p.p->place);
    p.place_of = ir_alloc(c->arena, p.g->count * sizeof *p.place_of);
    for (uint32_t v = 0; v < p.g->count; v++)
        p.place_of[v] = -1;
    place_states(&p);
    place_arena(&p);
    resolve_buffers(&p);
    place_barriers(p.p);
    return true;
}
