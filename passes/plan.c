/*
 * plan: where every stored value lives, and where threads must wait.
 *
 * A value occupies its bytes from the kernel that stores it to the last one that reads it; two that
 * are never alive together may share, and a kernel may turn the bytes of one that ends there into
 * the next. A barrier stands before a kernel that touches what a kernel
 * since the last barrier wrote, or writes what one read: found by the addresses, so that sharing
 * memory is as safe as sharing values.
 */
#include "plan.h"

#include <string.h>

#define LINE 64

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

struct plan {
    struct pass_compiled *c;
    const struct ir_graph *g;
    const struct pass_options *options;
    struct loop_program *p;
    int *place_of; /* by node: index of its place, -1: none */
    const struct pass_loops *loops;
    int *begin, *end; /* by loop: the kernels that mark it */
    int *runs_in;     /* by kernel: the loop that it runs in, -1: none */
    /* of what lies in the arena, by place */
    int *life_of; /* one life for all places that take over the same bytes, one from the other */
    struct pass_life *life;
    int lives;
    bool *kept; /* by place: nobody may take it over: it is handed out, or somebody has */
};

static int64_t bytes_of(const struct plan *p, ir_val v)
{
    return round_up(p->c->storage[v.id].elements * ir_dtypes[ir_at(p->g, v)->dtype].bytes, LINE);
}

static void add_place(struct plan *p, ir_val v, int base, int64_t offset, const char *name)
{
    struct loop_program *lp = p->p;

    p->place_of[v.id] = lp->places;
    lp->place[lp->places++] = (struct loop_place){ .value = v,
                                                   .name = name,
                                                   .base = base,
                                                   .offset = offset,
                                                   .bytes = bytes_of(p, v),
                                                   .over = -1 };
}

static void place_states(struct plan *p)
{
    int64_t at = p->options->state_bytes;
    int next = 0;

    for (uint32_t v = 1; v < p->g->count; v++) {
        const struct ir_node *n = &p->g->nodes[v];
        const struct pass_known_state *settled;
        int64_t offset;
        if (n->op != IR_state)
            continue;
        settled = pass_settled(p->options, n->text, &next);
        offset = settled ? settled->offset : at;
        if (!settled)
            at += bytes_of(p, (ir_val){ v });
        add_place(p, (ir_val){ v }, 1, offset, n->text);
    }
    p->p->state_bytes = at;
}

static void find_loops(struct plan *p)
{
    const struct loop_program *lp = p->p;
    struct ir_arena *arena = p->c->arena;
    int loop = -1;

    p->loops = pass_find_loops(p->g, arena);
    p->begin = ir_alloc(arena, ((size_t)p->loops->count + 1) * sizeof *p->begin);
    p->end = ir_alloc(arena, ((size_t)p->loops->count + 1) * sizeof *p->end);
    p->runs_in = ir_alloc(arena, ((size_t)lp->kernels + 1) * sizeof *p->runs_in);
    for (int k = 0; k < lp->kernels; k++) {
        const ir_val first = p->c->program->kernels[k].nodes[0];
        if (lp->kernel[k]->mark == LOOP_END) {
            p->end[loop] = k;
            loop = p->loops->at[loop].parent;
        }
        p->runs_in[k] = loop;
        if (lp->kernel[k]->mark == LOOP_BEGIN) {
            loop = p->loops->loop_of[first.id];
            p->begin[loop] = k;
        }
    }
}

/* What comes from outside of a loop that touches it is there for all of its turns. */
static void stretch_over_loops(const struct plan *p, int *first, int *last)
{
    for (int loop = p->loops->count; loop-- > 0;)
        for (int k = p->begin[loop]; k < p->end[loop]; k++)
            for (int b = 0; b < p->p->kernel[k]->buffers; b++) {
                uint32_t v = p->p->kernel[k]->buffer[b].value.id;
                if (v == 0 || pass_in_loop(p->loops, p->loops->loop_of[v], loop))
                    continue;
                first[v] = p->begin[loop] < first[v] ? p->begin[loop] : first[v];
                last[v] = p->end[loop] > last[v] ? p->end[loop] : last[v];
            }
}

static void find_lives(const struct plan *p, int *first, int *last)
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
    stretch_over_loops(p, first, last);
}

/* What the caller puts in stays for the next run, and what it takes out until then. */
static void add_life(struct plan *p, ir_val v, bool output, int first, int last)
{
    struct loop_place *place = &p->p->place[p->place_of[v.id]];
    const bool input = ir_at(p->g, v)->op == IR_input;
    const int end = p->p->kernels > 0 ? p->p->kernels - 1 : 0;

    place->first = input || first < 0 ? 0 : first;
    place->last = input || output ? end : last;
    p->kept[p->place_of[v.id]] = output;
    p->life_of[p->place_of[v.id]] = p->lives;
    p->life[p->lives++] =
        (struct pass_life){ .first = place->first, .last = place->last, .bytes = place->bytes };
}

static void add_arena(struct plan *p)
{
    int *first = ir_alloc(p->c->arena, p->g->count * sizeof *first);
    int *last = ir_alloc(p->c->arena, p->g->count * sizeof *last);
    int external = 2;

    find_lives(p, first, last);
    for (int round = 0; round < 2; round++) /* what the caller touches stands first */
        for (uint32_t v = 1; v < p->g->count; v++) {
            const struct ir_node *n = &p->g->nodes[v];
            bool output = false;
            const char *name = n->op == IR_input ? n->text : n->name;
            if (p->place_of[v] >= 0 || p->c->storage[v].parts < 0)
                continue;
            for (int i = 0; i < p->g->output_count; i++)
                if (p->g->outputs[i].value.id == v) {
                    output = true;
                    name = n->op == IR_input ? name : p->g->outputs[i].name;
                }
            if ((output || n->op == IR_input) != (round == 0))
                continue;
            if (round == 0 && p->options->external) {
                add_place(p, (ir_val){ v }, external++, 0, name);
                continue;
            }
            if (round == 1 && first[v] < 0)
                continue;
            add_place(p, (ir_val){ v }, 0, 0, name);
            add_life(p, (ir_val){ v }, output, first[v], last[v]);
        }
    p->p->bases = external;
}

/* The buffer of kernel k that ends there and that buffer `written`, which begins there, may take
 * over; -1: none. */
static int taken_over(const struct plan *p, int k, int written)
{
    const struct loop_kernel *kernel = p->p->kernel[k];
    const struct loop_place *to = &p->p->place[p->place_of[kernel->buffer[written].value.id]];

    for (int b = 0; b < kernel->buffers; b++) {
        const struct loop_buffer *from = &kernel->buffer[b];
        const struct loop_place *place;
        bool free = b != written && !from->scratch;
        if (!free)
            continue;
        place = &p->p->place[p->place_of[from->value.id]];
        free = place->base == 0 && place->last == k &&
               p->loops->loop_of[from->value.id] == p->runs_in[k] &&
               p->loops->loop_of[to->value.id] == p->runs_in[k] && place->first < k &&
               place->bytes == to->bytes && ir_at(p->g, from->value)->op != IR_input;
        if (free && !p->kept[p->place_of[from->value.id]] && pass_in_place(kernel, b, written))
            return b;
    }
    return -1;
}

static void share_bytes(struct plan *p)
{
    for (int k = 0; k < p->p->kernels; k++)
        for (int b = 0; b < p->p->kernel[k]->buffers; b++) {
            const struct loop_buffer *buffer = &p->p->kernel[k]->buffer[b];
            int place = buffer->scratch ? -1 : p->place_of[buffer->value.id], from;
            if (place < 0 || !buffer->written || p->p->place[place].base != 0 ||
                p->p->place[place].first != k)
                continue;
            from = taken_over(p, k, b);
            if (from < 0)
                continue;
            from = p->place_of[p->p->kernel[k]->buffer[from].value.id];
            p->p->place[place].over = from;
            p->kept[from] = true;
            p->life[p->life_of[place]].bytes = 0; /* it goes on in the other's */
            p->life_of[place] = p->life_of[from];
            p->life[p->life_of[from]].last = p->p->place[place].last;
        }
}

/* Each thread has its piece, at the same place in every kernel that needs one. */
static void add_scratch(struct plan *p)
{
    struct loop_program *lp = p->p;
    int *uses = ir_alloc(p->c->arena, (size_t)(lp->kernels + 2) * sizeof *uses);

    for (int k = 0; k < lp->kernels; k++) {
        struct loop_kernel *kernel = lp->kernel[k];
        int64_t scratch = 0;
        for (int b = 0; b < kernel->buffers; b++) {
            struct loop_buffer *buffer = &kernel->buffer[b];
            if (!buffer->scratch || p->p->target->processors) /* a block's tile is no memory */
                continue;
            buffer->offset = scratch;
            scratch += round_up(buffer->elements * ir_dtypes[buffer->dtype].bytes, LINE);
        }
        uses[k + 1] = uses[k] + (scratch > 0);
        lp->scratch = scratch > lp->scratch ? scratch : lp->scratch;
    }
    lp->threads = p->options->threads > 0 ? p->options->threads : 1;
    p->life[p->lives] = (struct pass_life){ .last = lp->kernels ? lp->kernels - 1 : 0,
                                            .bytes = lp->scratch * lp->threads,
                                            .uses = uses };
}

static void place_arena(struct plan *p)
{
    const int64_t start = 2 * LINE; /* the barrier's words come first */
    int64_t end;

    p->life = ir_alloc(p->c->arena, (p->g->count + 1) * sizeof *p->life);
    p->life_of = ir_alloc(p->c->arena, (p->g->count + 1) * sizeof *p->life_of);
    p->kept = ir_alloc(p->c->arena, p->g->count + 1);
    add_arena(p);
    add_scratch(p);
    if (p->options->fuse)
        share_bytes(p);
    end = pass_pack(p->life, p->lives + 1, p->p->kernels, p->c->arena, &p->p->least);
    for (int i = 0; i < p->p->places; i++)
        if (p->p->place[i].base == 0)
            p->p->place[i].offset = start + p->life[p->life_of[i]].offset;
    p->p->scratch_offset = start + p->life[p->lives].offset;
    p->p->least += start + LOOP_OVERRUN;
    p->p->arena_bytes = start + end + LOOP_OVERRUN;
}

static void resolve_buffers(struct plan *p)
{
    for (int k = 0; k < p->p->kernels; k++)
        for (int b = 0; b < p->p->kernel[k]->buffers; b++) {
            struct loop_buffer *buffer = &p->p->kernel[k]->buffer[b];
            const struct loop_place *place;
            if (buffer->scratch)
                continue;
            place = &p->p->place[p->place_of[buffer->value.id]];
            buffer->base = place->base;
            buffer->offset = place->offset;
        }
}

static void number_calls(struct loop_program *p)
{
    for (int k = 0; k < p->kernels; k++)
        if (p->kernel[k]->call)
            p->kernel[k]->call->at = p->calls++;
}

static bool meet(int64_t a, int64_t a_bytes, int64_t b, int64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* A thread's scratch is its own, but what lay there may have been another's. */
static bool touch_scratch(const struct loop_program *p, const struct loop_kernel *a,
                          const struct loop_kernel *b)
{
    bool has = false;

    for (int i = 0; i < a->buffers; i++)
        has |= a->buffer[i].scratch;
    for (int i = 0; has && i < b->buffers; i++) {
        const struct loop_buffer *y = &b->buffer[i];
        if (!y->scratch && y->base == 0 &&
            meet(p->scratch_offset, p->scratch * p->threads, y->offset,
                 y->elements * ir_dtypes[y->dtype].bytes))
            return true;
    }
    return false;
}

static bool touch(const struct loop_program *p, const struct loop_kernel *a,
                  const struct loop_kernel *b)
{
    for (int i = 0; i < a->buffers; i++)
        for (int j = 0; j < b->buffers; j++) {
            const struct loop_buffer *x = &a->buffer[i], *y = &b->buffer[j];
            if (x->scratch || y->scratch || x->base != y->base || (!x->written && !y->written))
                continue;
            if (meet(x->offset, x->elements * ir_dtypes[x->dtype].bytes, y->offset,
                     y->elements * ir_dtypes[y->dtype].bytes))
                return true;
        }
    return touch_scratch(p, a, b) || touch_scratch(p, b, a);
}

/*
 * The kernels as they run, each loop for two turns, and what has run since the last barrier. A loop
 * may have no turn at all: behind it, what ran before it counts as well.
 */
struct running {
    const struct loop_program *p;
    int *since, count;
};

static void wait_for(struct running *r, int k)
{
    struct loop_kernel *now = r->p->kernel[k];

    for (int i = 0; i < r->count && !now->barrier; i++) {
        const struct loop_kernel *before = r->p->kernel[r->since[i]];
        now->barrier = (before->shared || now->shared) && touch(r->p, before, now);
    }
    if (now->barrier)
        r->count = 0;
    for (int i = 0; i < r->count; i++)
        if (r->since[i] == k)
            return;
    r->since[r->count++] = k;
}

static void run_all(struct running *r, const struct plan *p, int from, int until)
{
    for (int k = from; k < until; k++) {
        if (r->p->kernel[k]->mark != LOOP_BEGIN) {
            wait_for(r, k);
            continue;
        }
        const bool asks = r->p->kernel[k]->buffers > 0;
        if (asks)
            wait_for(r, k);
        int loop = p->runs_in[k + 1], before = r->count;
        int *kept = ir_alloc(p->c->arena, ((size_t)r->p->kernels + 1) * sizeof *kept);
        memcpy(kept, r->since, (size_t)before * sizeof *kept);
        if (p->end[loop] > k + 1)
            for (int turn = 0; turn < 2; turn++)
                run_all(r, p, k + 1, p->end[loop]);
        for (int i = 0; i < before; i++) {
            int j = 0;
            while (j < r->count && r->since[j] != kept[i])
                j++;
            if (j == r->count && (asks || ir_dim_min(p->g, r->p->kernel[k]->length) == 0))
                r->since[r->count++] = kept[i];
        }
        k = p->end[loop];
    }
}

static void place_barriers(const struct plan *p)
{
    struct running r = { .p = p->p };

    r.since = ir_alloc(p->c->arena, ((size_t)p->p->kernels + 1) * sizeof *r.since);
    run_all(&r, p, 0, p->p->kernels);
}

bool pass_plan(struct pass_compiled *c, const struct pass_options *options, struct ir_error *error)
{
    struct plan p = { .c = c, .g = c->program->graph, .options = options, .p = c->loops };

    (void)error;
    p.p->place = ir_alloc(c->arena, (p.g->count + 1) * sizeof *p.p->place);
    p.place_of = ir_alloc(c->arena, p.g->count * sizeof *p.place_of);
    for (uint32_t v = 0; v < p.g->count; v++)
        p.place_of[v] = -1;
    find_loops(&p);
    place_states(&p);
    place_arena(&p);
    resolve_buffers(&p);
    number_calls(p.p);
    place_barriers(&p);
    return true;
}
