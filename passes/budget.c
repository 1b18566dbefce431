/*
 * budget: what to compute a second time, so that a program fits into so many bytes.
 *
 * A value that waits for its next reader while memory is short may be given up and made again for
 * that reader. What it is made of must be there then: it is, or is cheap to keep, or is made again
 * as well. Of all such choices those are taken that relieve most for their arithmetic; then the
 * kernels are made and ordered anew, and what is too much still is looked at again. A round counts
 * only when it lowers the excess: the sum over kernels of the square of what is above the limit.
 */
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

enum {
    AT_ONCE = 64, /* nodes that one choice may compute again */
    LITTLE = 64   /* what is a smaller part of what is too much is not worth it */
};

struct budget {
    const struct pass_compiled *c;
    const struct ir_graph *g;
    struct ir_arena *arena;
    const struct pass_traffic *traffic;
    int64_t limit;
    int kernels;
    int64_t *alive;    /* by kernel: bytes of values, without scratch */
    int *first, *last; /* by node id: kernels; -1: not a value in the arena */
    bool *output;      /* by node id */
    /* of the choice at hand */
    int64_t *change; /* by kernel: bytes more or less */
    bool *made;      /* by node id */
    ir_val *list;    /* those that are */
    int count;
    double flops;
    bool fine;
};

/* --- what is alive -------------------------------------------------------------------------------
 */

static void find_lives(struct budget *b)
{
    const uint32_t count = b->g->count;

    b->first = ir_alloc(b->arena, count * sizeof *b->first);
    b->last = ir_alloc(b->arena, count * sizeof *b->last);
    b->output = ir_alloc(b->arena, count * sizeof *b->output);
    b->alive = ir_alloc(b->arena, (size_t)(b->kernels + 1) * sizeof *b->alive);
    for (int i = 0; i < b->g->output_count; i++)
        b->output[b->g->outputs[i].value.id] = true;
    for (uint32_t v = 0; v < count; v++)
        b->first[v] = b->last[v] = -1;
    for (int k = 0; k < b->kernels; k++) {
        const struct pass_traffic *t = &b->traffic[k];
        for (int i = 0; i < t->writes.count; i++)
            if (pass_kept(b->c, t->writes.at[i]))
                b->first[t->writes.at[i].id] = b->last[t->writes.at[i].id] = k;
        for (int i = 0; i < t->reads.count; i++)
            if (b->first[t->reads.at[i].id] >= 0)
                b->last[t->reads.at[i].id] = k;
    }
    for (uint32_t v = 1; v < count; v++) {
        if (b->first[v] < 0)
            continue;
        if (b->output[v])
            b->last[v] = b->kernels - 1;
        for (int k = b->first[v]; k <= b->last[v]; k++)
            b->alive[k] += pass_bytes(b->c, (ir_val){ v });
    }
}

static double square(int64_t alive, int64_t limit)
{
    const double over = alive > limit ? (double)(alive - limit) : 0;

    return over * over;
}

static double excess(const struct budget *b)
{
    double sum = 0;

    for (int k = 0; k < b->kernels; k++)
        sum += square(b->alive[k], b->limit);
    return sum;
}

/* --- what a choice costs -------------------------------------------------------------------------
 */

static double elements(const struct budget *b, ir_val v)
{
    return (double)ir_elements(b->g, &ir_at(b->g, v)->shape);
}

static double flops_of(const struct budget *b, ir_val v)
{
    const struct ir_node *n = ir_at(b->g, v);
    double result = elements(b, v);

    switch (n->op) {
    case IR_dot: {
        char letters[IR_RANK + 1];
        int contracted = ir_contracted(n, letters);
        for (int i = 0; i < contracted; i++)
            result *= (double)ir_dim_max(
                b->g, ir_at(b->g, n->args[0])->shape.dim[strchr(n->text, letters[i]) - n->text]);
        return 2 * result;
    }
    case IR_conv: /* a filter for each of the result's channels */
        return 2 * result * elements(b, n->args[1]) /
               (double)ir_dim_max(b->g, ir_at(b->g, n->args[1])->shape.dim[0]);
    case IR_conv_input:
        return 2 * elements(b, n->args[0]) * elements(b, n->args[1]) /
               (double)ir_dim_max(b->g, ir_at(b->g, n->args[1])->shape.dim[0]);
    case IR_conv_weight:
        return 2 * result * elements(b, n->args[1]) / (double)ir_dim_max(b->g, n->shape.dim[0]);
    case IR_exp:
    case IR_log:
    case IR_tanh:
    case IR_erf:
    case IR_sin:
    case IR_cos:
        return 16 * result;
    default:
        return n->arity && elements(b, n->args[0]) > result ? elements(b, n->args[0]) : result;
    }
}

static int64_t bytes_of(const struct budget *b, ir_val v)
{
    return b->first[v.id] >= 0 ? pass_bytes(b->c, v) : 0;
}

static void make(struct budget *b, ir_val v, int64_t bytes, int reader);

/* What a copy for the kernel `reader` is made of must be there. */
static void need(struct budget *b, ir_val v, int64_t bytes, int reader)
{
    const struct ir_node *n = ir_at(b->g, v);

    if (n->op == IR_input || n->op == IR_state || !b->fine)
        return;
    if (b->c->kernel_of[v.id] < 0) {
        for (int i = 0; i < n->arity; i++)
            need(b, n->args[i], bytes, reader);
        return;
    }
    if (b->first[v.id] >= 0 && b->last[v.id] >= reader)
        return;
    if (b->first[v.id] >= 0 && 8 * bytes_of(b, v) <= bytes) { /* it stays */
        for (int k = b->last[v.id] + 1; k <= reader; k++)
            b->change[k] += bytes_of(b, v);
        return;
    }
    make(b, v, bytes, reader);
}

static void make(struct budget *b, ir_val v, int64_t bytes, int reader)
{
    const struct ir_node *n = ir_at(b->g, v);

    if (b->made[v.id])
        return;
    if (b->count == AT_ONCE || ir_is_again(b->g, v) || n->op == IR_custom) { /* a call is once */
        b->fine = false;
        return;
    }
    b->made[v.id] = true;
    b->list[b->count++] = v;
    b->flops += flops_of(b, v);
    if (b->count > 1)
        b->change[reader] += bytes_of(b, v);
    for (int i = 0; i < n->arity; i++)
        need(b, n->args[i], bytes, reader);
}

/* Value v is given up after kernel `from` and made again for the kernel `reader`. */
static bool try_choice(struct budget *b, ir_val v, int from, int reader, double *relief)
{
    const int64_t bytes = bytes_of(b, v);

    memset(b->change, 0, (size_t)(reader + 1) * sizeof *b->change);
    for (int i = 0; i < b->count; i++)
        b->made[b->list[i].id] = false;
    b->count = 0;
    b->flops = 0;
    b->fine = true;
    make(b, v, bytes, reader);
    for (int k = from + 1; k < reader; k++)
        b->change[k] -= bytes;
    *relief = 0;
    for (int k = 0; k <= reader && b->fine; k++)
        if (b->change[k])
            *relief += square(b->alive[k], b->limit) - square(b->alive[k] + b->change[k], b->limit);
    return b->fine && *relief > 0;
}

struct choice {
    ir_val v;
    int from, reader;
    double worth;
};

static int by_worth(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->worth != y->worth)
        return x->worth < y->worth ? 1 : -1;
    return x->v.id != y->v.id ? (x->v.id < y->v.id ? -1 : 1) : x->from - y->from;
}

/* Every value in every stretch between two of its kernels. */
static struct choice *list_choices(struct budget *b, int *count)
{
    int *before = ir_alloc(b->arena, b->g->count * sizeof *before), room = 0;
    int64_t most = 0;
    struct choice *list = NULL;

    *count = 0;
    for (int k = 0; k < b->kernels; k++)
        most = b->alive[k] > most ? b->alive[k] : most;
    memcpy(before, b->first, b->g->count * sizeof *before);
    for (int k = 0; k < b->kernels; k++)
        for (int i = 0; i < b->traffic[k].reads.count; i++) {
            const ir_val v = b->traffic[k].reads.at[i];
            const int from = before[v.id];
            double relief;
            before[v.id] = k;
            if (b->first[v.id] < 0 || b->output[v.id] || k <= from + 1 ||
                bytes_of(b, v) < (most - b->limit) / LITTLE || !try_choice(b, v, from, k, &relief))
                continue;
            ir_grow(b->arena, list, *count, room);
            list[(*count)++] =
                (struct choice){ v, from, k,
                                 relief / (b->flops / 16 + 2 * (double)bytes_of(b, v)) };
        }
    if (*count)
        qsort(list, (size_t)*count, sizeof *list, by_worth);
    return list;
}

/* --- all -----------------------------------------------------------------------------------------
 */

static struct budget budget_of(const struct pass_compiled *c, int64_t limit, struct ir_arena *arena)
{
    const uint32_t count = c->program->graph->count;
    struct budget b = { .c = c,
                        .g = c->program->graph,
                        .arena = arena,
                        .limit = limit,
                        .kernels = c->program->kernel_count };

    b.traffic = pass_traffic(c, arena);
    b.change = ir_alloc(arena, (size_t)(b.kernels + 1) * sizeof *b.change);
    b.made = ir_alloc(arena, count * sizeof *b.made);
    b.list = ir_alloc(arena, (AT_ONCE + 1) * sizeof *b.list);
    find_lives(&b);
    return b;
}

double pass_excess(const struct pass_compiled *c, int64_t limit, int64_t *most)
{
    struct ir_arena *arena = ir_arena_new();
    const struct budget b = budget_of(c, limit, arena);
    const double sum = excess(&b);

    *most = 0;
    for (int k = 0; k < b.kernels; k++)
        *most = b.alive[k] > *most ? b.alive[k] : *most;
    ir_arena_free(arena);
    return sum;
}

bool pass_choose(const struct pass_compiled *c, int64_t limit, int skip, int most, int *after)
{
    struct ir_arena *arena = ir_arena_new();
    struct budget b = budget_of(c, limit, arena);
    int count, taken = 0;
    const struct choice *list = list_choices(&b, &count);

    for (uint32_t v = 0; v < b.g->count; v++)
        after[v] = -1;
    for (int i = skip; i < count && taken < most; i++) {
        double relief; /* less than it was, or none, after what has been taken */
        bool apart = try_choice(&b, list[i].v, list[i].from, list[i].reader, &relief);
        for (int j = 0; j < b.count && apart; j++)
            apart = after[b.list[j].id] < 0;
        for (int j = 0; j < b.count && apart; j++)
            after[b.list[j].id] = list[i].from;
        for (int k = 0; k <= list[i].reader && apart; k++)
            b.alive[k] += b.change[k];
        taken += apart;
    }
    ir_arena_free(arena);
    return taken > 0;
}
