/*
 * device_program: a planned program on a GPU.
 *
 * All launches are one graph of the driver, with an edge where one touches what another has
 * written, or writes what another has read; a step is one launch of it. Where the program has loops
 * of kernels, the host walks them instead. Inputs go by two slots of pinned memory and a stream of
 * their own, so that a batch is copied while the step before computes; outputs come back when
 * somebody asks.
 */
#define _GNU_SOURCE 1
#include "runtime/cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 2, RANGES = 448, SYMBOLS = 64 }; /* 4 KiB of arguments */

struct slot { /* of inputs, on their way */
    char *pinned;
    run_cuda_memory staged;
    void *copied, *used; /* events */
};

struct run_device_program {
    struct run_device *device;
    const struct run_planned *planned;
    void **module, **function; /* by text, by launch */
    void **node;               /* by launch */
    void *exec;
    run_cuda_memory arena;
    uint64_t state_serial;
    int64_t symbols[SYMBOLS]; /* those that the graph's launches have */
    struct slot slot[SLOTS];
    size_t slot_bytes;
    int turn;
    bool fetched, loops;
    char *past; /* pinned: 8 bytes for each output of each of the last runs; NULL: not kept */
    uint64_t runs;
    bool settled; /* the last run has been waited for */
};

static bool check(const struct run_device_program *p, int status, const char *call,
                  struct ir_error *error)
{
    return run_cuda_check(p->device, status, call, error);
}

/* ---- texts to modules ---- */

struct compiling {
    const struct run_planned *planned;
    const char *arch;
    struct run_cubin *cubin;
    struct ir_error *error; /* by text */
    int next;
};

static void *compile_some(void *user)
{
    struct compiling *c = user;
    const struct run_options options = { 0 };

    for (;;) {
        const int i = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED);
        if (i >= c->planned->texts)
            return NULL;
        run_cubin_load(c->planned->text[i], c->arch, &options, &c->cubin[i], &c->error[i]);
    }
}

/* One NVRTC program a text, on as many threads as there are processors. */
static bool compile_all(struct compiling *c, struct ir_error *error)
{
    enum { MOST = 32 };
    pthread_t thread[MOST];
    const long here = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = 0, most = here < 1 ? 1 : here > MOST ? MOST : (int)here;

    while (threads < most - 1 && threads < c->planned->texts - 1 &&
           pthread_create(&thread[threads], NULL, compile_some, c) == 0)
        threads++;
    compile_some(c);
    while (threads > 0)
        pthread_join(thread[--threads], NULL);
    for (int i = 0; i < c->planned->texts; i++)
        if (c->error[i].status)
            return ir_error(error, c->error[i].status, "%s", c->error[i].text);
    return true;
}

static bool load_modules(struct run_device_program *p, bool *cached, struct ir_error *error)
{
    const struct run_planned *planned = p->planned;
    struct run_device *d = p->device;
    struct compiling c = { .planned = planned, .arch = d->arch };
    bool ok = true;

    if (!d->emulated) {
        c.cubin = calloc((size_t)planned->texts + 1, sizeof *c.cubin);
        c.error = calloc((size_t)planned->texts + 1, sizeof *c.error);
        ok = c.cubin && c.error ? compile_all(&c, error)
                                : ir_error(error, IR_FAILED, "device: not enough memory");
    }
    for (int i = 0; ok && i < planned->texts; i++) {
        ok = check(p,
                   d->cuda.module_load(&p->module[i], d->emulated ? (const void *)planned->text[i]
                                                                  : c.cubin[i].data),
                   "module", error);
        *cached &= d->emulated || c.cubin[i].cached;
    }
    for (int i = 0; c.cubin && i < planned->texts; i++)
        run_cubin_free(&c.cubin[i]);
    free(c.cubin);
    free(c.error);
    for (int i = 0; ok && i < planned->launches; i++)
        if (!planned->launch[i].loop)
            ok = check(p,
                       d->cuda.module_function(&p->function[i], p->module[planned->launch[i].text],
                                               planned->launch[i].kernel),
                       planned->launch[i].kernel, error);
    return ok;
}

/* ---- launches ---- */

/* Side by side: to a launch of several kernels they are one, which begins where the first does. */
struct arguments {
    uint64_t value[RANGES + SYMBOLS];
    void *at[RANGES + SYMBOLS];
};

static struct run_cuda_kernel kernel_of(const struct run_device_program *p, int i,
                                        const int64_t *symbols, struct arguments *a)
{
    const struct run_launch *l = &p->planned->launch[i];
    int n = 0;

    for (; n < l->ranges; n++)
        a->value[n] =
            (l->range[n].base == 1 ? p->device->states : p->arena) + (uint64_t)l->range[n].offset;
    for (int s = 0; s < p->planned->symbols; s++)
        a->value[n++] = (uint64_t)symbols[s];
    for (int j = 0; j < n; j++)
        a->at[j] = &a->value[j];
    if (p->device->cuda.expect)
        p->device->cuda.expect(l->range, l->ranges);
    return (struct run_cuda_kernel){ .function = p->function[i],
                                     .grid = { l->blocks, 1, 1 },
                                     .block = { l->threads, 1, 1 },
                                     .params = a->at };
}

static bool overlap(const struct run_range *a, const struct run_range *b)
{
    return a->base == b->base && (a->written || b->written) && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static bool depends(const struct run_launch *on, const struct run_launch *l)
{
    for (int i = 0; i < l->ranges; i++)
        for (int j = 0; j < on->ranges; j++)
            if (overlap(&l->range[i], &on->range[j]))
                return true;
    return false;
}

/* An edge from each launch that it must wait for, but for those that are waited for by the way. */
static bool build_graph(struct run_device_program *p, void *graph, struct ir_error *error)
{
    const struct run_planned *planned = p->planned;
    const int n = planned->launches;
    const size_t words = (size_t)n / 64 + 1;
    uint64_t *before = calloc((size_t)n * words, sizeof *before); /* by launch: all that precede */
    void **after = calloc((size_t)n + 1, sizeof *after);
    bool ok = before && after;

    if (!ok)
        ir_error(error, IR_FAILED, "device: not enough memory");
    for (int i = 0; ok && i < n; i++) {
        struct arguments a;
        size_t count = 0;
        uint64_t *mine = &before[(size_t)i * words];
        for (int j = i; j-- > 0;) {
            if ((mine[j / 64] >> (j % 64) & 1) ||
                !depends(&planned->launch[j], &planned->launch[i]))
                continue;
            after[count++] = p->node[j];
            mine[j / 64] |= UINT64_C(1) << (j % 64);
            for (size_t w = 0; w < words; w++)
                mine[w] |= before[(size_t)j * words + w];
        }
        const struct run_cuda_kernel k = kernel_of(p, i, p->symbols, &a);
        ok = check(p, p->device->cuda.graph_kernel(&p->node[i], graph, after, count, &k),
                   planned->launch[i].kernel, error);
    }
    free(before);
    free(after);
    return ok;
}

/* The graph with these symbols: made, made again after the states have moved, or its launches'
 * arguments changed. */
static bool make_exec(struct run_device_program *p, const int64_t *symbols, struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;
    const size_t bytes = (size_t)p->planned->symbols * sizeof *symbols;
    const bool same = p->exec && p->state_serial == p->device->state_serial;
    void *graph = NULL;
    bool ok = true;

    if (same && memcmp(p->symbols, symbols, bytes) == 0)
        return true;
    memcpy(p->symbols, symbols, bytes);
    if (same) {
        for (int i = 0; ok && i < p->planned->launches; i++) {
            struct arguments a;
            const struct run_cuda_kernel k = kernel_of(p, i, symbols, &a);
            ok = check(p, c->exec_kernel(p->exec, p->node[i], &k), "graph", error);
        }
        return ok;
    }
    if (p->exec)
        c->exec_destroy(p->exec);
    p->exec = NULL;
    ok = check(p, c->graph_create(&graph, 0), "graph", error) && build_graph(p, graph, error) &&
         check(p, c->graph_instantiate(&p->exec, graph, 0), "graph", error) &&
         check(p, c->exec_upload(p->exec, p->device->compute), "graph", error);
    if (graph)
        c->graph_destroy(graph);
    p->state_serial = p->device->state_serial;
    return ok;
}

/* ---- loops of launches: the host walks them ---- */

static bool launch_one(struct run_device_program *p, int i, const int64_t *symbols,
                       struct ir_error *error)
{
    const struct run_launch *l = &p->planned->launch[i];
    struct arguments a;
    const struct run_cuda_kernel k = kernel_of(p, i, symbols, &a);

    return check(p,
                 p->device->cuda.launch(k.function, l->blocks, 1, 1, l->threads, 1, 1, 0,
                                        p->device->compute, k.params, NULL),
                 l->kernel, error);
}

/* May the loop's next turn run? Where it asks, the truth value is read back. */
static bool asks(struct run_device_program *p, const struct run_launch *begin, bool *goes_on,
                 struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;
    unsigned char truth = 1;
    bool ok = true;

    if (begin->ranges) {
        const run_cuda_memory at = (begin->range[0].base == 1 ? p->device->states : p->arena) +
                                   (uint64_t)begin->range[0].offset;
        ok = check(p, c->download(&truth, at, 1, p->device->compute), "download", error) &&
             check(p, c->stream_synchronize(p->device->compute), "the step", error);
    }
    *goes_on = truth != 0;
    return ok;
}

static bool walk(struct run_device_program *p, int from, int to, int64_t *symbols,
                 struct ir_error *error)
{
    const struct run_launch *launch = p->planned->launch;

    for (int i = from; i < to; i++) {
        if (!launch[i].loop) {
            if (!launch_one(p, i, symbols, error))
                return false;
            continue;
        }
        int end = i + 1;
        for (int depth = 1; end < to; end++) {
            depth += launch[end].loop == 1 ? 1 : launch[end].loop == 2 ? -1 : 0;
            if (depth == 0)
                break;
        }
        const int64_t length = launch[i].length(p->planned->user, symbols, i);
        for (int64_t turn = 0; turn < length; turn++) {
            bool goes_on = true;
            if (!asks(p, &launch[i], &goes_on, error))
                return false;
            if (!goes_on)
                break;
            symbols[launch[i].index] = launch[i].reverse ? length - 1 - turn : turn;
            if (!walk(p, i + 1, end, symbols, error))
                return false;
        }
        i = end;
    }
    return true;
}

/* ---- a run ---- */

static bool send_inputs(struct run_device_program *p, struct ir_error *error)
{
    struct run_device *d = p->device;
    const struct run_cuda *c = &d->cuda;
    struct slot *s = &p->slot[p->turn];
    size_t at = 0;

    if (!p->slot_bytes)
        return true;
    p->turn = (p->turn + 1) % SLOTS;
    /* the run before the last has taken what is there */
    if (!check(p, c->event_synchronize(s->used), "the step", error))
        return false;
    for (int i = 0; i < p->planned->inputs; i++) {
        const struct run_transfer *t = &p->planned->input[i];
        memcpy(s->pinned + at, t->host, t->bytes);
        at += (t->bytes + 255) / 256 * 256;
    }
    if (!check(p, c->upload(s->staged, s->pinned, p->slot_bytes, d->copies), "upload", error) ||
        !check(p, c->event_record(s->copied, d->copies), "event", error) ||
        !check(p, c->stream_wait(d->compute, s->copied, 0), "event", error))
        return false;
    at = 0;
    for (int i = 0; i < p->planned->inputs; i++) {
        const struct run_transfer *t = &p->planned->input[i];
        if (t->bytes &&
            !check(p, c->copy(p->arena + (uint64_t)t->offset, s->staged + at, t->bytes, d->compute),
                   "copy", error))
            return false;
        at += (t->bytes + 255) / 256 * 256;
    }
    return check(p, c->event_record(s->used, d->compute), "event", error);
}

static bool begin_run(struct run_device_program *p, const int64_t *symbols, struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;
    int64_t now[SYMBOLS];

    memcpy(now, symbols, (size_t)p->planned->symbols * sizeof *now);
    if (!check(p, c->context_current(p->device->context), "context", error) ||
        !send_inputs(p, error))
        return false;
    if (p->loops)
        return walk(p, 0, p->planned->launches, now, error);
    return p->planned->launches == 0 ||
           (make_exec(p, now, error) &&
            check(p, c->exec_launch(p->exec, p->device->compute), "the step", error));
}

/* ---- what small outputs were ---- */

static char *past_of(const struct run_device_program *p, uint64_t run, int output)
{
    return p->past + 8 * ((run % RUN_PAST) * (size_t)p->planned->outputs + (size_t)output);
}

static bool keep_outputs(struct run_device_program *p, struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;

    for (int i = 0; i < p->planned->outputs; i++) {
        const struct run_transfer *t = &p->planned->output[i];
        const run_cuda_memory base = t->base == 1 ? p->device->states : p->arena;
        if (t->bytes && t->bytes <= 8 &&
            !check(p,
                   c->download(past_of(p, p->runs, i), base + (uint64_t)t->offset, t->bytes,
                               p->device->compute),
                   "download", error))
            return false;
    }
    return true;
}

bool run_device_keep(struct run_device_program *p, struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;
    const size_t bytes = (size_t)8 * RUN_PAST * (size_t)(p->planned->outputs + 1);

    return p->past || (check(p, c->context_current(p->device->context), "context", error) &&
                       check(p, c->host_alloc((void **)&p->past, bytes, 0), "host_alloc", error));
}

bool run_device_past(struct run_device_program *p, int output, int back, void *to,
                     struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;

    if (!p->settled)
        p->settled = check(p, c->context_current(p->device->context), "context", error) &&
                     check(p, c->stream_synchronize(p->device->compute), "the step", error);
    if (p->settled)
        memcpy(to, past_of(p, p->runs - (uint64_t)back, output), p->planned->output[output].bytes);
    return p->settled;
}

bool run_device_run(struct run_device_program *p, const int64_t *symbols, struct ir_error *error)
{
    p->runs++;
    p->fetched = p->settled = false;
    return begin_run(p, symbols, error) && (!p->past || keep_outputs(p, error));
}

bool run_device_fetch(struct run_device_program *p, struct ir_error *error)
{
    const struct run_cuda *c = &p->device->cuda;

    if (p->fetched)
        return true;
    if (!check(p, c->context_current(p->device->context), "context", error))
        return false;
    for (int i = 0; i < p->planned->outputs; i++) {
        const struct run_transfer *t = &p->planned->output[i];
        const run_cuda_memory base = t->base == 1 ? p->device->states : p->arena;
        if (t->bytes &&
            !check(p,
                   c->download(t->host, base + (uint64_t)t->offset, t->bytes, p->device->compute),
                   "download", error))
            return false;
    }
    return p->fetched = check(p, c->stream_synchronize(p->device->compute), "the step", error);
}

/* ---- made and freed ---- */

static bool make_memory(struct run_device_program *p, struct ir_error *error)
{
    struct run_device *d = p->device;
    const struct run_cuda *c = &d->cuda;
    char what[120];

    for (int i = 0; i < p->planned->inputs; i++)
        p->slot_bytes += (p->planned->input[i].bytes + 255) / 256 * 256;
    snprintf(what, sizeof what, "the program %.60s", p->planned->name);
    if (!run_device_alloc(d, p->planned->arena_bytes, what, &p->arena, error))
        return false;
    for (int i = 0; i < SLOTS && p->slot_bytes; i++) {
        struct slot *s = &p->slot[i];
        if (!run_device_alloc(d, p->slot_bytes, "its inputs", &s->staged, error) ||
            !check(p, c->host_alloc((void **)&s->pinned, p->slot_bytes, 0), "host_alloc", error) ||
            !check(p, c->event_create(&s->copied, 2), "event", error) ||
            !check(p, c->event_create(&s->used, 2), "event", error))
            return false;
        memset(s->pinned, 0, p->slot_bytes); /* rows that nobody has written are sent as well */
    }
    return true;
}

struct run_device_program *run_device_load(struct run_device *device,
                                           const struct run_planned *planned, bool *cached,
                                           struct ir_error *error)
{
    struct run_device_program *p = calloc(1, sizeof *p);
    const size_t n = (size_t)planned->launches + 1;
    bool ok = p != NULL;

    *cached = true;
    if (ok) {
        *p = (struct run_device_program){ .device = device, .planned = planned };
        p->module = calloc((size_t)planned->texts + 1, sizeof *p->module);
        p->function = calloc(n, sizeof *p->function);
        p->node = calloc(n, sizeof *p->node);
        ok = p->module && p->function && p->node;
    }
    if (!ok)
        ir_error(error, IR_FAILED, "device: not enough memory");
    ok = ok && (planned->symbols <= SYMBOLS ||
                ir_error(error, IR_UNSUPPORTED, "device: more than %d symbols", (int)SYMBOLS));
    for (int i = 0; ok && i < planned->launches; i++) {
        p->loops |= planned->launch[i].loop != 0;
        if (planned->launch[i].ranges > RANGES)
            ok = ir_error(error, IR_UNSUPPORTED, "%.80s: more than %d arrays",
                          planned->launch[i].kernel, (int)RANGES);
    }
    ok = ok && check(p, device->cuda.context_current(device->context), "context", error) &&
         load_modules(p, cached, error) && make_memory(p, error);
    if (ok)
        return p;
    run_device_unload(p);
    return NULL;
}

void run_device_unload(struct run_device_program *p)
{
    const struct run_cuda *c;

    if (!p)
        return;
    c = &p->device->cuda;
    c->context_current(p->device->context);
    c->stream_synchronize(p->device->copies); /* a batch may be on its way */
    c->stream_synchronize(p->device->compute);
    c->stream_synchronize(p->device->copies); /* a batch may be on its way */
    if (p->exec)
        c->exec_destroy(p->exec);
    for (int i = 0; p->module && i < p->planned->texts; i++)
        if (p->module[i])
            c->module_unload(p->module[i]);
    for (int i = 0; i < SLOTS; i++) {
        if (p->slot[i].pinned)
            c->host_free(p->slot[i].pinned);
        if (p->slot[i].staged)
            c->memory_free(p->slot[i].staged);
        if (p->slot[i].copied)
            c->event_destroy(p->slot[i].copied);
        if (p->slot[i].used)
            c->event_destroy(p->slot[i].used);
    }
    if (p->past)
        c->host_free(p->past);
    if (p->arena)
        c->memory_free(p->arena);
    free(p->module);
    free(p->function);
    free(p->node);
    free(p);
}
