/*
 * cuda_emulated_run: modules, launches and graphs of the emulated driver.
 *
 * Where the driver takes a cubin, this one takes the CUDA text and compiles it for the CPU. Blocks
 * of a launch run one after the other, in an order that the device's number says, and nodes of a
 * graph in some order that their edges allow.
 */
#define _GNU_SOURCE 1
#include "runtime/cuda_emulated_driver.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct emulated_module {
    struct emulated_context *context;
    struct run_code *code;
    struct emulated_machine *machine;
    char *shared, *shared_end, *image, *image_end;
    int *lock; /* the text's memory is one for all who have loaded it */
    const struct emulated_kernel *kernel;
    struct emulated_function *function;
};
struct emulated_function {
    struct emulated_module *module;
    const struct emulated_kernel *kernel;
};

/* ---- modules ---- */

static bool find_symbols(struct emulated_module *m)
{
    struct emulated_machine *(*machine)(char *at[4], int **lock);
    char *at[4];
    int count = 0;

    *(void **)&machine = run_code_symbol(m->code, "emulated_machine");
    m->kernel = run_code_symbol(m->code, "emulated_kernels");
    if (!machine || !m->kernel)
        return false;
    m->machine = machine(at, &m->lock);
    m->shared = at[0];
    m->shared_end = at[1];
    m->image = at[2];
    m->image_end = at[3];
    while (m->kernel[count].name)
        count++;
    m->function = calloc((size_t)count + 1, sizeof *m->function);
    for (int i = 0; m->function && i < count; i++)
        m->function[i] = (struct emulated_function){ m, &m->kernel[i] };
    return m->function != NULL;
}

int run_emulated_module(struct emulated_context *c, void **module, const void *image)
{
    struct emulated_module *m = calloc(1, sizeof *m);
    struct ir_text text = { 0 };
    struct ir_error error = { 0 };
    char flags[300];
    const char *own = secure_getenv("TAPER_CUDA_EMU_FLAGS"); /* of tests, which compile thousands */
    const struct run_options options = { .flags = flags,
                                         .any_loops = true,
                                         .no_cache = own != NULL };

    snprintf(flags, sizeof flags, "%.120s %s %.100s", ir_target_by_name("native")->flags,
             c->checked ? "-O1 -fsanitize-coverage=func,trace-loads,trace-stores" : "-O2",
             own ? own : "");
    if (m && run_emulated_text(&text, image, c->checked))
        m->code = run_code_load(text.data, &options, &error);
    ir_text_free(&text);
    if (!m || !m->code || !find_symbols(m)) {
        if (m)
            run_code_free(m->code);
        free(m);
        return run_emulated_fail(c, RUN_CUDA_BAD_IMAGE, "%s",
                                 error.text[0] ? error.text : "it is no text of kernels");
    }
    m->context = c;
    c->modules++;
    *module = m;
    return 0;
}

int run_emulated_unload(void *module)
{
    struct emulated_module *m = module;

    if (!m)
        return 400;
    m->context->modules--;
    run_code_free(m->code);
    free(m->function);
    free(m);
    return 0;
}

int run_emulated_function(void **function, void *module, const char *name)
{
    struct emulated_module *m = module;

    for (int i = 0; m && m->kernel[i].name; i++)
        if (strcmp(m->kernel[i].name, name) == 0) {
            *function = &m->function[i];
            return 0;
        }
    return m ? run_emulated_fail(m->context, RUN_CUDA_NOT_FOUND, "no kernel %.100s", name) : 400;
}

/* ---- launches ---- */

int run_emulated_take(struct emulated_context *c, const struct run_cuda_kernel *k,
                      struct emulated_launch *launch)
{
    const struct emulated_function *f = k->function;
    const int *words = f ? f->kernel->words : NULL;
    size_t n = 0, arguments = 0;
    const unsigned threads = k->block[0] * k->block[1] * k->block[2];

    *launch = (struct emulated_launch){ .function = f };
    if (!f || k->extra || !k->params || k->shared)
        return run_emulated_fail(c, RUN_CUDA_INVALID, "a launch without a kernel or arguments");
    if (!threads || threads > (unsigned)f->kernel->threads || !k->grid[0] || k->grid[1] != 1 ||
        k->grid[2] != 1 || k->block[1] != 1 || k->block[2] != 1)
        return run_emulated_fail(c, RUN_CUDA_INVALID,
                                 "%.100s: %u blocks of %u threads; expected up to %ld",
                                 f->kernel->name, k->grid[0], threads, f->kernel->threads);
    memcpy(launch->grid, k->grid, sizeof launch->grid);
    memcpy(launch->block, k->block, sizeof launch->block);
    for (; words[arguments]; arguments++)
        n += (size_t)words[arguments];
    launch->value = calloc(n + 1, sizeof *launch->value);
    launch->argument = calloc(arguments + 1, sizeof *launch->argument);
    if (!launch->value || !launch->argument) {
        run_emulated_drop(launch);
        return RUN_CUDA_NO_MEMORY;
    }
    n = 0;
    for (size_t i = 0; i < arguments; i++) { /* pointers and longs, or many of them in one */
        memcpy(&launch->value[n], k->params[i], (size_t)words[i] * sizeof *launch->value);
        launch->argument[i] = &launch->value[n];
        n += (size_t)words[i];
    }
    launch->range = c->expected;
    launch->ranges = c->expects;
    c->expected = NULL;
    c->expects = 0;
    return 0;
}

void run_emulated_drop(struct emulated_launch *launch)
{
    free(launch->value);
    free(launch->argument);
    free(launch->range);
    *launch = (struct emulated_launch){ 0 };
}

struct copy { /* that has set out */
    int thread, bytes;
    void *to;
    const void *from; /* NULL: zeros */
};
struct running {
    struct emulated_context *context;
    const struct emulated_launch *launch;
    struct emulated_machine *machine;
    struct copy *copy;
    int copies, copy_room;
    const char *fault; /* of a copy, or a fragment */
};

static void run_thread(void *user)
{
    const struct running *r = user;

    r->launch->function->kernel->call(r->launch->argument);
}

static void enter_thread(void *user, int thread)
{
    ((struct running *)user)->machine->thread.x = (unsigned)thread;
}

static void meet(void *user)
{
    const struct running *r = user;

    if (r->context->watch)
        run_watch_barrier(r->context->watch);
}

static void wait_at(void *user, int place)
{
    run_block_wait(((struct running *)user)->context->block, place);
}

static unsigned long long exchange(void *user, unsigned long long value, int from)
{
    return run_block_exchange(((struct running *)user)->context->block, value, from);
}

static unsigned ballot(void *user, int truth)
{
    return run_block_ballot(((struct running *)user)->context->block, truth);
}

/* Does a kernel write to the array that holds this byte? Then what is not there of it (rows that a
 * batch does not have) may be read, and comes to nothing. */
static bool is_made(struct emulated_context *c, const struct emulated_launch *l,
                    const struct emulated_memory *m, const char *at)
{
    if (at >= c->made_from && at < c->made_to)
        return true;
    for (int i = 0; i < l->ranges; i++) {
        const char *from = (const char *)(uintptr_t)l->value[i], *to = from + l->range[i].bytes;
        if (at < from || at >= to || from < (char *)m->at || to > (char *)m->at + m->bytes)
            continue;
        for (size_t w = (size_t)(from - (char *)m->at) / 4; w < (size_t)(to - (char *)m->at) / 4;
             w++)
            if (m->known[w] == EMULATED_BY_KERNEL) {
                c->made_from = from;
                c->made_to = to;
                return true;
            }
    }
    return l->ranges == 0; /* nobody has said what its arrays are */
}

/* A kernel reads what somebody has written. */
static void touch_known(const struct running *r, const char *at, int bytes, bool store)
{
    struct emulated_context *c = r->context;
    struct emulated_memory *m = run_emulated_memory_at(c, at);
    const size_t from = m ? (size_t)(at - (char *)m->at) : 0;

    if (!m || from + (size_t)bytes > m->bytes)
        return;
    for (size_t word = from / 4; word <= (from + (size_t)bytes - 1) / 4; word++) {
        if (store)
            m->known[word] = EMULATED_BY_KERNEL;
        if (m->known[word] || c->unknown || is_made(c, r->launch, m, at))
            continue;
        c->unknown = true;
        run_emulated_fail(c, RUN_CUDA_BAD_ADDRESS,
                          "%.80s: thread %u of block %u reads byte %zu of its memory, where nobody "
                          "has written",
                          r->launch->function->kernel->name, r->machine->thread.x,
                          r->machine->block.x, from);
    }
}

static void touch(void *user, const void *address, int bytes, int store)
{
    const struct running *r = user;
    const struct emulated_module *m = r->launch->function->module;
    const char *at = address;

    /* a thread's stack, and what the text keeps beside shared memory, are its own */
    if (run_block_owns(r->context->block, address) ||
        (at >= m->image && at < m->image_end && !(at >= m->shared && at < m->shared_end)))
        return;
    touch_known(r, at, bytes, store);
    if (!run_watch_touch(r->context->watch, (int)r->machine->thread.x, at, bytes, store))
        run_block_leave(r->context->block);
}

static void do_copy(const struct copy *c)
{
    if (c->from)
        memcpy(c->to, c->from, (size_t)c->bytes);
    else
        memset(c->to, 0, (size_t)c->bytes);
}

/* What sets out may be there at once, or not before somebody waits for it: in two of the orders
 * each. */
static void copy(void *user, void *to, const void *from, int bytes, int there)
{
    struct running *r = user;
    const struct copy c = { (int)r->machine->thread.x, bytes, to, there ? from : NULL };

    if ((uintptr_t)to % (unsigned)bytes || (there && (uintptr_t)from % (unsigned)bytes))
        r->fault = "a copy from or to an address that is no multiple of its size";
    if (r->context->watch) {
        touch(user, to, bytes, 1);
        if (there)
            touch(user, from, bytes, 0);
    }
    if (r->context->order % 2 == 0) {
        do_copy(&c);
        return;
    }
    if (r->copies == r->copy_room) {
        const int room = r->copy_room ? 2 * r->copy_room : 1024;
        struct copy *more = realloc(r->copy, (size_t)room * sizeof *more);
        if (!more) {
            r->fault = "no memory for its copies";
            return;
        }
        r->copy = more;
        r->copy_room = room;
    }
    r->copy[r->copies++] = c;
}

static void fault(void *user, const char *what)
{
    ((struct running *)user)->fault = what;
}

static void arrive(void *user)
{
    struct running *r = user;
    int left = 0;

    for (int i = 0; i < r->copies; i++)
        if (r->copy[i].thread != (int)r->machine->thread.x) {
            r->copy[left++] = r->copy[i];
        } else {
            if (r->context->watch)
                touch(user, r->copy[i].to, r->copy[i].bytes, 1);
            do_copy(&r->copy[i]);
        }
    r->copies = left;
}

static int run_blocks(struct emulated_context *c, const struct emulated_launch *l,
                      struct run_block_job *job)
{
    const struct emulated_module *m = l->function->module;
    const size_t shared = m->shared ? (size_t)(m->shared_end - m->shared) : 0;
    const unsigned blocks = l->grid[0];
    struct ir_error error = { 0 };

    for (unsigned i = 0; i < blocks; i++) {
        const unsigned b = c->order == 1                 ? blocks - 1 - i
                           : c->order == 2 && blocks % 2 ? (unsigned)((uint64_t)i * 2 % blocks)
                                                         : i;
        m->machine->block.x = b;
        if (shared)
            memset(m->shared, 0xff, shared);
        if (c->watch)
            run_watch_block(c->watch, (int)b, m->shared, shared);
        job->seed = c->seed++;
        ((struct running *)job->user)->copies = 0;
        if (!run_block_run(c->block, job, &error))
            return run_emulated_fail(c, RUN_CUDA_LAUNCH_FAILED, "%.100s: %s",
                                     l->function->kernel->name, error.text);
        if (((struct running *)job->user)->fault)
            return run_emulated_fail(c, RUN_CUDA_LAUNCH_FAILED, "%.100s: %s",
                                     l->function->kernel->name,
                                     ((struct running *)job->user)->fault);
        if (c->watch && run_watch_found(c->watch))
            return run_emulated_fail(c, RUN_CUDA_BAD_ADDRESS, "%s", run_watch_found(c->watch));
        if (c->unknown)
            return RUN_CUDA_BAD_ADDRESS;
    }
    return 0;
}

/* Who launches has said which arrays the kernel is given, or it is given all memory. */
static bool watch_launch(struct emulated_context *c, const struct emulated_launch *l)
{
    struct run_range *range;
    char **at;
    int count = 0;
    bool good;

    if (l->ranges)
        return run_watch_launch(c->watch, l->function->kernel->name, l->range,
                                (char *const *)l->value, l->ranges);
    for (const struct emulated_memory *m = c->memory; m; m = m->next)
        count++;
    range = calloc((size_t)count + 1, sizeof *range);
    at = calloc((size_t)count + 1, sizeof *at);
    count = 0;
    for (const struct emulated_memory *m = c->memory; range && at && m; m = m->next)
        if (m->device) {
            range[count] = (struct run_range){ .bytes = (int64_t)m->bytes, .written = true };
            at[count++] = m->at;
        }
    good = range && at && run_watch_launch(c->watch, l->function->kernel->name, range, at, count);
    free(range);
    free(at);
    return good;
}

int run_emulated_launch(struct emulated_context *c, const struct emulated_launch *l)
{
    const struct emulated_module *m = l->function->module;
    struct running r = { .context = c, .launch = l, .machine = m->machine };
    struct run_block_job job = { .threads = (int)l->block[0],
                                 .order = c->order,
                                 .run = run_thread,
                                 .enter = enter_thread,
                                 .meet = meet,
                                 .user = &r };
    int status;

    c->made_from = c->made_to = NULL;
    while (__atomic_exchange_n(m->lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    *m->machine = (struct emulated_machine){
        .user = &r,
        .wait = wait_at,
        .exchange = exchange,
        .ballot = ballot,
        .touch = c->watch ? touch : NULL,
        .copy = copy,
        .arrive = arrive,
        .fault = fault,
        .block_extent = { l->block[0], l->block[1], l->block[2] },
        .grid_extent = { l->grid[0], l->grid[1], l->grid[2] },
    };
    if (c->watch && !watch_launch(c, l))
        status = RUN_CUDA_NO_MEMORY;
    else
        status = run_blocks(c, l, &job);
    free(r.copy);
    __atomic_store_n(m->lock, 0, __ATOMIC_RELEASE);
    return status;
}

/* ---- graphs ---- */

struct node {
    struct emulated_launch launch;
    int *after, afters;
};
struct graph {
    struct emulated_context *context;
    struct node *node;
    int nodes, room, users; /* users: an exec, and launches of it that are to come */
};
struct exec {
    struct graph *graph;
};

int run_emulated_graph(struct emulated_context *c, void **graph, unsigned flags)
{
    struct graph *g = calloc(1, sizeof *g);

    if (!g || flags)
        return free(g), g ? RUN_CUDA_INVALID : RUN_CUDA_NO_MEMORY;
    g->context = c;
    g->users = 1;
    c->graphs++;
    *graph = g;
    return 0;
}

int run_emulated_graph_free(void *graph)
{
    struct graph *g = graph;

    if (!g)
        return 400;
    if (--g->users > 0)
        return 0;
    for (int i = 0; i < g->nodes; i++) {
        run_emulated_drop(&g->node[i].launch);
        free(g->node[i].after);
    }
    g->context->graphs--;
    free(g->node);
    free(g);
    return 0;
}

int run_emulated_exec_free(void *exec)
{
    struct exec *e = exec;
    const int status = e ? run_emulated_graph_free(e->graph) : 400;

    free(e);
    return status;
}

void *run_emulated_hold(void *exec)
{
    struct exec *e = exec;

    e->graph->users++;
    return e->graph;
}

/* A node's handle is its number plus one. */
int run_emulated_node(struct emulated_context *c, void **node, void *graph, void *const *after,
                      size_t count, const struct run_cuda_kernel *kernel)
{
    struct graph *g = graph;
    struct node n = { .afters = (int)count };
    int status;

    if (!g)
        return 400;
    if (g->nodes == g->room) {
        const int room = g->room ? 2 * g->room : 16;
        struct node *more = realloc(g->node, (size_t)room * sizeof *more);
        if (!more)
            return RUN_CUDA_NO_MEMORY;
        g->node = more;
        g->room = room;
    }
    if (!(n.after = calloc(count + 1, sizeof *n.after)))
        return RUN_CUDA_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        n.after[i] = (int)((uintptr_t)after[i] - 1);
    status = run_emulated_take(c, kernel, &n.launch);
    if (status) {
        free(n.after);
        return status;
    }
    g->node[g->nodes++] = n;
    *node = (void *)(uintptr_t)g->nodes;
    return 0;
}

static int copy_graph(struct emulated_context *c, void **to, const struct graph *g)
{
    void *made = NULL;
    int status = run_emulated_graph(c, &made, 0);

    for (int i = 0; status == 0 && i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        void *after[n->afters + 1], *node;
        struct run_cuda_kernel k = { .function = (void *)n->launch.function,
                                     .params = n->launch.argument };
        memcpy(k.grid, n->launch.grid, sizeof k.grid);
        memcpy(k.block, n->launch.block, sizeof k.block);
        for (int a = 0; a < n->afters; a++)
            after[a] = (void *)(uintptr_t)(n->after[a] + 1);
        free(c->expected);
        c->expects = n->launch.ranges;
        c->expected = calloc((size_t)c->expects + 1, sizeof *c->expected);
        if (c->expected && c->expects)
            memcpy(c->expected, n->launch.range, (size_t)c->expects * sizeof *c->expected);
        status = run_emulated_node(c, &node, made, after, (size_t)n->afters, &k);
    }
    if (status && made)
        run_emulated_graph_free(made);
    *to = status ? NULL : made;
    return status;
}

/* A copy, as the driver's: what happens to the graph afterwards does not matter. */
int run_emulated_instantiate(struct emulated_context *c, void **exec, void *graph,
                             unsigned long long flags)
{
    struct exec *e = calloc(1, sizeof *e);
    void *made = NULL;
    const int status = !e      ? RUN_CUDA_NO_MEMORY
                       : flags ? RUN_CUDA_INVALID
                               : copy_graph(c, &made, graph);

    if (status)
        return free(e), status;
    e->graph = made;
    *exec = e;
    return 0;
}

/* Launches that are under way have the graph as it was. */
int run_emulated_change(struct emulated_context *c, void *exec, void *node,
                        const struct run_cuda_kernel *kernel)
{
    struct exec *e = exec;
    struct graph *g = e ? e->graph : NULL;
    const int number = (int)((uintptr_t)node - 1);
    struct emulated_launch launch;
    void *copy;
    int status;

    if (!g || number < 0 || number >= g->nodes)
        return 400;
    status = run_emulated_take(c, kernel, &launch);
    if (status == 0 && g->users > 1 && (status = copy_graph(c, &copy, g)) == 0) {
        run_emulated_graph_free(g);
        g = e->graph = copy;
    }
    if (status)
        return run_emulated_drop(&launch), status;
    if (!launch.range) { /* what it may touch is the same */
        launch.range = g->node[number].launch.range;
        launch.ranges = g->node[number].launch.ranges;
        g->node[number].launch.range = NULL;
    }
    run_emulated_drop(&g->node[number].launch);
    g->node[number].launch = launch;
    return 0;
}

/* In the order of their numbers, from the last that may, or any other: as the device has it. */
int run_emulated_exec(struct emulated_context *c, void *graph)
{
    const struct graph *g = graph;
    bool *done = calloc((size_t)g->nodes + 1, sizeof *done);
    int status = done ? 0 : RUN_CUDA_NO_MEMORY;

    for (int left = done ? g->nodes : 0; left > 0 && status == 0; left--) {
        int next = -1;
        uint64_t best = 0;
        for (int i = 0; i < g->nodes; i++) {
            bool may = !done[i];
            for (int a = 0; a < g->node[i].afters && may; a++)
                may = done[g->node[i].after[a]];
            const uint64_t rank = c->order == 0   ? (uint64_t)(g->nodes - i)
                                  : c->order == 3 ? (c->seed + (uint64_t)i * 40503u) % 65521u + 1
                                                  : (uint64_t)i + 1;
            if (may && rank > best) {
                best = rank;
                next = i;
            }
        }
        if (next < 0) {
            status = run_emulated_fail(c, RUN_CUDA_INVALID, "nodes wait for each other");
            break;
        }
        done[next] = true;
        status = run_emulated_launch(c, &g->node[next].launch);
    }
    free(done);
    return status;
}
