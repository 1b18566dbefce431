/*
 * order: kernels in an order in which little is kept at once.
 *
 * They stand in the order in which they were made, forward then backward then updates; a value that
 * an update alone still reads would wait until the end. So whenever a few kernels would leave less
 * in memory than there was before them, without a higher peak on the way, they run now. The order
 * that came is kept where this does not lower the peak.
 */
#include "traffic.h"

#include <string.h>

enum { FEW = 8 }; /* kernels that run early together */

struct order {
    const struct pass_compiled *c;
    const struct pass_traffic *traffic;
    struct ir_arena *arena;
    int kernels;
    int64_t *bytes; /* by node id; 0: inputs and states, which are always there */
    bool *output;
    int *producer;               /* by node id; -1: none */
    struct pass_values *readers; /* by node id: kernels, as ids */
    struct pass_values *needs;   /* by kernel: kernels that come before it, as ids */
    struct pass_values *users;   /* by kernel: those that it comes before */
    /* while it runs */
    bool *done;
    int *left; /* by node id: readers that have not run */
    int64_t live, peak;
    int *sequence, count;
    ir_val *asked; /* values around what has run last: are they worth a look? */
    bool *is_asked;
    int askeds;
};

static void push(struct ir_arena *arena, struct pass_values *list, uint32_t id)
{
    if ((list->count & (list->count - 1)) == 0) { /* full at 0, 1, 2, 4, .. */
        ir_val *more = ir_alloc(arena, (size_t)(list->count ? 2 * list->count : 1) * sizeof *more);
        if (list->count)
            memcpy(more, list->at, (size_t)list->count * sizeof *more);
        list->at = more;
    }
    list->at[list->count++].id = id;
}

static void find_needs(struct order *o)
{
    const struct ir_graph *g = o->c->program->graph;

    for (int k = 0; k < o->kernels; k++) {
        const struct pass_traffic *t = &o->traffic[k];
        for (int i = 0; i < t->writes.count; i++)
            if (ir_at(g, t->writes.at[i])->op != IR_state) {
                o->producer[t->writes.at[i].id] = k;
                o->bytes[t->writes.at[i].id] = pass_bytes(o->c, t->writes.at[i]);
            }
        for (int i = 0; i < t->reads.count; i++)
            push(o->arena, &o->readers[t->reads.at[i].id], (uint32_t)k);
    }
    for (int k = 0; k < o->kernels; k++) {
        const struct pass_traffic *t = &o->traffic[k];
        for (int i = 0; i < t->reads.count; i++)
            if (o->producer[t->reads.at[i].id] >= 0)
                push(o->arena, &o->needs[k], (uint32_t)o->producer[t->reads.at[i].id]);
        for (int i = 0; i < t->writes.count; i++) { /* who reads a state sees its old value */
            const struct pass_values *readers = &o->readers[t->writes.at[i].id];
            for (int j = 0; ir_at(g, t->writes.at[i])->op == IR_state && j < readers->count; j++)
                if ((int)readers->at[j].id != k)
                    push(o->arena, &o->needs[k], readers->at[j].id);
        }
        for (int i = 0; i < o->needs[k].count; i++)
            push(o->arena, &o->users[o->needs[k].at[i].id], (uint32_t)k);
    }
}

/* --- running -----------------------------------------------------------------------------------
 */

/* What kernel k adds while it runs; `after`: what it leaves. */
static int64_t adds(const struct order *o, int k, int64_t *after)
{
    const struct pass_traffic *t = &o->traffic[k];
    int64_t during = 0;

    *after = 0;
    for (int i = 0; i < t->writes.count; i++) {
        ir_val v = t->writes.at[i];
        during += o->bytes[v.id];
        *after += o->left[v.id] > 0 || o->output[v.id] ? o->bytes[v.id] : 0;
    }
    for (int i = 0; i < t->reads.count; i++) {
        ir_val v = t->reads.at[i];
        *after -= o->left[v.id] == 1 && !o->output[v.id] ? o->bytes[v.id] : 0;
    }
    return during;
}

static void run(struct order *o, int k)
{
    const struct pass_traffic *t = &o->traffic[k];
    int64_t after, during = adds(o, k, &after);

    o->peak = o->live + during > o->peak ? o->live + during : o->peak;
    o->live += after;
    for (int i = 0; i < t->reads.count; i++)
        o->left[t->reads.at[i].id]--;
    o->done[k] = true;
    o->sequence[o->count++] = k;
}

/* Takes it back where it was the last. */
static void undo(struct order *o, int64_t live, int64_t peak)
{
    const int k = o->sequence[--o->count];
    const struct pass_traffic *t = &o->traffic[k];

    for (int i = 0; i < t->reads.count; i++)
        o->left[t->reads.at[i].id]++;
    o->done[k] = false;
    o->live = live;
    o->peak = peak;
}

/* Adds to the few what must run before k, and k, ascending; false: they are more. */
static bool gather(const struct order *o, int k, int *few, int *count)
{
    int at = *count;

    for (int i = 0; i < *count; i++)
        if (few[i] == k)
            return true;
    if (o->done[k])
        return true;
    if (*count == FEW)
        return false;
    while (at > 0 && few[at - 1] > k) {
        few[at] = few[at - 1];
        at--;
    }
    few[at] = k;
    ++*count;
    for (int i = 0; i < o->needs[k].count; i++)
        if (!gather(o, (int)o->needs[k].at[i].id, few, count))
            return false;
    return true;
}

/* The few kernels after which value v is no more needed, and what is gained by running them now. */
static int64_t gain_of(struct order *o, ir_val v, int64_t allowed, int *few, int *count)
{
    const int64_t live = o->live, peak = o->peak;
    const int before = o->count;
    int64_t gain = 0, lives[FEW], peaks[FEW];
    bool fine = true;

    *count = 0;
    for (int i = 0; i < o->readers[v.id].count; i++)
        if (!gather(o, (int)o->readers[v.id].at[i].id, few, count))
            return 0;
    for (int i = 0; i < *count; i++) {
        lives[i] = o->live;
        peaks[i] = o->peak;
        run(o, few[i]);
    }
    fine = o->peak <= allowed;
    gain = fine ? live - o->live : 0;
    while (o->count > before)
        undo(o, lives[o->count - before - 1], peaks[o->count - before - 1]);
    o->live = live;
    o->peak = peak;
    return gain;
}

static void ask_about_reads(struct order *o, int k)
{
    const struct pass_values *reads = &o->traffic[k].reads;

    for (int i = 0; i < reads->count; i++)
        if (o->bytes[reads->at[i].id] && !o->is_asked[reads->at[i].id]) {
            o->is_asked[reads->at[i].id] = true;
            o->asked[o->askeds++] = reads->at[i];
        }
}

/* Kernel k has run for good. What it, its users and theirs read may be worth another look. */
static void ask_around(struct order *o, int k)
{
    ask_about_reads(o, k);
    for (int i = 0; i < o->users[k].count; i++) {
        const int user = (int)o->users[k].at[i].id;
        if (o->done[user])
            continue;
        ask_about_reads(o, user);
        for (int j = 0; j < o->users[user].count && j < FEW; j++)
            ask_about_reads(o, (int)o->users[user].at[j].id);
    }
}

static bool is_alive(const struct order *o, ir_val v)
{
    return o->producer[v.id] >= 0 && o->done[o->producer[v.id]] && o->left[v.id] > 0;
}

static void start(struct order *o)
{
    const uint32_t count = o->c->program->graph->count;

    o->live = o->peak = o->count = o->askeds = 0;
    memset(o->is_asked, 0, count);
    memset(o->done, 0, (size_t)o->kernels);
    for (uint32_t v = 0; v < count; v++)
        o->left[v] = o->readers[v].count;
}

static void as_it_came(struct order *o)
{
    start(o);
    for (int k = 0; k < o->kernels; k++)
        run(o, k);
}

static void what_frees_first(struct order *o)
{
    start(o);
    for (int next = 0; next < o->kernels;) {
        int few[FEW], count, best[FEW], best_count = 0;
        int64_t best_gain = 0, after, allowed;
        ir_val best_of = { 0 };

        if (o->done[next]) {
            next++;
            continue;
        }
        allowed = o->live + adds(o, next, &after);
        allowed = allowed > o->peak ? allowed : o->peak;
        for (int i = 0; i < o->askeds;) {
            const ir_val v = o->asked[i];
            int64_t gain = is_alive(o, v) ? gain_of(o, v, allowed, few, &count) : 0;
            if (gain <= 0) { /* until something around it runs */
                o->is_asked[v.id] = false;
                o->asked[i] = o->asked[--o->askeds];
                continue;
            }
            i++;
            if (gain < best_gain || (gain == best_gain && best_count && v.id > best_of.id))
                continue;
            best_gain = gain;
            best_count = count;
            best_of = v;
            memcpy(best, few, sizeof best);
        }
        if (!best_count) {
            best[0] = next;
            best_count = 1;
        }
        for (int i = 0; i < best_count; i++) {
            run(o, best[i]);
            ask_around(o, best[i]);
        }
    }
}

struct ir_program *pass_order(const struct pass_compiled *c, struct ir_arena *arena)
{
    const size_t values = c->program->graph->count, kernels = (size_t)c->program->kernel_count;
    struct order o = { .c = c, .arena = arena, .kernels = (int)kernels };
    struct ir_program *p = ir_alloc(arena, sizeof *p);
    int64_t peak;

    o.traffic = pass_traffic(c, arena);
    o.bytes = ir_alloc(arena, values * sizeof *o.bytes);
    o.output = ir_alloc(arena, values * sizeof *o.output);
    o.producer = ir_alloc(arena, values * sizeof *o.producer);
    o.readers = ir_alloc(arena, values * sizeof *o.readers);
    o.needs = ir_alloc(arena, (kernels + 1) * sizeof *o.needs);
    o.done = ir_alloc(arena, kernels + 1);
    o.left = ir_alloc(arena, values * sizeof *o.left);
    o.sequence = ir_alloc(arena, (kernels + 1) * sizeof *o.sequence);
    o.users = ir_alloc(arena, (kernels + 1) * sizeof *o.users);
    o.asked = ir_alloc(arena, values * sizeof *o.asked);
    o.is_asked = ir_alloc(arena, values * sizeof *o.is_asked);
    for (size_t v = 0; v < values; v++)
        o.producer[v] = -1;
    for (int i = 0; i < c->program->graph->output_count; i++)
        o.output[c->program->graph->outputs[i].value.id] = true;
    find_needs(&o);
    as_it_came(&o);
    peak = o.peak;
    what_frees_first(&o);
    if (o.peak >= peak)
        as_it_came(&o);
    *p = *c->program;
    p->kernels = ir_alloc(arena, (kernels + 1) * sizeof *p->kernels);
    for (size_t k = 0; k < kernels; k++)
        p->kernels[k] = c->program->kernels[o.sequence[k]];
    return p;
}
