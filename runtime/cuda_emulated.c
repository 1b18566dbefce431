/*
 * cuda_emulated: the driver's functions over the CPU.
 *
 * What a driver may do late is done late: a stream is a list of what is to be done, which begins
 * when somebody waits for it (on device 0 and 4 at once, which is the other extreme), and nodes of
 * a graph run in an order of their own, as far as their edges leave it open. Fresh memory holds
 * NaNs. So what a program forgot to wait for is seen in its numbers.
 *
 * cuda_emulated_run.c runs a kernel; this file is memory, streams, events and graphs. As with
 * NVIDIA's driver, each thread has a current context.
 */
#define _GNU_SOURCE 1
#include "runtime/cuda_emulated_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct emulated_context *current; /* the interface wants it so */

#define MEMORY ((size_t)4 << 30)
enum { WORD = 4 };

int run_emulated_fail(struct emulated_context *c, int status, const char *format, ...)
{
    va_list list;

    if (c && !c->why[0]) {
        va_start(list, format);
        vsnprintf(c->why, sizeof c->why, format, list);
        va_end(list);
    }
    return status;
}

/* the call that $TAPER_CUDA_EMU_FAIL counts to fails: what is above must say so and free all */
static bool fails_now(struct emulated_context *c)
{
    return c && c->fail_at && ++c->calls == c->fail_at;
}
#define ENTER(c)                                                     \
    do {                                                             \
        if (!(c))                                                    \
            return RUN_CUDA_INVALID;                                 \
        if (fails_now(c))                                            \
            return run_emulated_fail(c, 999, "it was told to fail"); \
    } while (0)

/* ---- devices and contexts ---- */

static int init(unsigned flags)
{
    return flags ? RUN_CUDA_INVALID : 0;
}

static int driver_version(int *version)
{
    *version = 13000;
    return 0;
}

static int device_count(int *count)
{
    *count = RUN_EMULATED_DEVICES;
    return 0;
}

static int device_get(int *device, int ordinal)
{
    *device = ordinal;
    return ordinal >= 0 && ordinal < RUN_EMULATED_DEVICES ? 0 : 101;
}

static int device_name(char *name, int size, int device)
{
    static const char *const order[] = { "ascending", "descending", "alternating", "mixed" };

    snprintf(name, (size_t)size, "the CPU as a GPU, %s%s", order[device % 4],
             device >= RUN_EMULATED_CHECKS ? ", checked" : "");
    return 0;
}

static int device_attribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == RUN_CUDA_PROCESSORS ? RUN_EMULATED_PROCESSORS
             : attribute == RUN_CUDA_MAJOR    ? 9
                                              : 0;
    return attribute == RUN_CUDA_PROCESSORS || attribute == RUN_CUDA_MAJOR ||
                   attribute == RUN_CUDA_MINOR
               ? 0
               : RUN_CUDA_INVALID;
}

static int context_retain(void **context, int device)
{
    struct emulated_context *c = calloc(1, sizeof *c);
    const char *fail = secure_getenv("TAPER_CUDA_EMU_FAIL");

    if (!c)
        return RUN_CUDA_NO_MEMORY;
    c->order = device % 4;
    c->checked = device >= RUN_EMULATED_CHECKS;
    c->fail_at = fail ? strtol(fail, NULL, 10) : 0;
    c->block = run_block_new(1024);
    c->watch = c->checked ? run_watch_new() : NULL;
    *context = c;
    if (c->block && (c->watch || !c->checked))
        return 0;
    run_block_free(c->block);
    run_watch_free(c->watch);
    free(c);
    return RUN_CUDA_NO_MEMORY;
}

static int context_current(void *context)
{
    current = context;
    return 0;
}

/* What has been left behind goes as well, and is a fault where checks are made. */
static int context_release(int device)
{
    struct emulated_context *c = current;
    int left = 0;

    (void)device;
    if (!c)
        return RUN_CUDA_INVALID;
    for (struct emulated_memory *m = c->memory, *next; m; m = next, left++) {
        next = m->next;
        free(m->known);
        free(m->at);
        free(m);
    }
    for (struct emulated_stream *s = c->streams, *next; s; s = next) {
        next = s->next;
        left += !s->destroyed;
        free(s->op);
        free(s);
    }
    left += c->modules + c->graphs + c->events;
    if (left && c->checked)
        fprintf(stderr, "cuda-emu: %d things of the driver were not given back\n", left);
    run_block_free(c->block);
    run_watch_free(c->watch);
    free(c->expected);
    free(c);
    current = NULL;
    return 0;
}

/* ---- memory ---- */

static int memory_info(size_t *available, size_t *total)
{
    ENTER(current);
    *total = MEMORY;
    *available = MEMORY - current->used;
    return 0;
}

static int new_memory(void **at, size_t bytes, bool device)
{
    struct emulated_memory *m;

    ENTER(current);
    if (!bytes || (device && bytes > MEMORY - current->used))
        return run_emulated_fail(current, bytes ? RUN_CUDA_NO_MEMORY : RUN_CUDA_INVALID,
                                 "%zu bytes", bytes);
    m = calloc(1, sizeof *m);
    if (m && device && current->checked && !(m->known = calloc(1, bytes / WORD + 1))) {
        free(m);
        m = NULL;
    }
    if (!m || !(m->at = aligned_alloc(256, (bytes + 255) / 256 * 256))) {
        free(m ? m->known : NULL);
        free(m);
        return RUN_CUDA_NO_MEMORY;
    }
    memset(m->at, 0xff, bytes);
    m->bytes = bytes;
    m->device = device;
    m->next = current->memory;
    current->memory = m;
    current->used += device ? bytes : 0;
    *at = m->at;
    return 0;
}

struct emulated_memory *run_emulated_memory_at(struct emulated_context *c, const void *at)
{
    for (struct emulated_memory *m = c->memory; m; m = m->next)
        if (m->device && (const char *)at >= (char *)m->at &&
            (const char *)at < (char *)m->at + m->bytes)
            return m;
    return NULL;
}

static int memory_alloc(run_cuda_memory *memory, size_t bytes)
{
    void *at = NULL;
    const int status = new_memory(&at, bytes, true);

    *memory = (run_cuda_memory)(uintptr_t)at;
    return status;
}

static int host_alloc(void **memory, size_t bytes, unsigned flags)
{
    (void)flags;
    return new_memory(memory, bytes, false);
}

static int free_memory(const void *at)
{
    for (struct emulated_memory **m = &current->memory; *m; m = &(*m)->next)
        if ((*m)->at == at) {
            struct emulated_memory *gone = *m;
            *m = gone->next;
            current->used -= gone->device ? gone->bytes : 0;
            free(gone->known);
            free(gone->at);
            free(gone);
            return 0;
        }
    return run_emulated_fail(current, RUN_CUDA_INVALID, "no memory begins there");
}

static int memory_free(run_cuda_memory memory)
{
    return current ? free_memory((void *)(uintptr_t)memory) : RUN_CUDA_INVALID;
}

static int host_free(void *memory)
{
    return current ? free_memory(memory) : RUN_CUDA_INVALID;
}

static bool is_device(const struct emulated_context *c, run_cuda_memory at, size_t bytes)
{
    for (const struct emulated_memory *m = c->memory; m; m = m->next) {
        const uint64_t from = (uint64_t)(uintptr_t)m->at;
        if (m->device && at >= from && at - from <= m->bytes && bytes <= m->bytes - (at - from))
            return true;
    }
    return false;
}

/* ---- streams: what is to be done, in order ---- */

static int drain(struct emulated_stream *s, uint64_t until);

static uint64_t sum_of(const void *at, size_t bytes)
{
    uint64_t sum = 14695981039346656037u;

    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const unsigned char *)at)[i]) * 1099511628211u;
    return sum;
}

static bool meet(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (const char *)a < (const char *)b + b_bytes &&
           (const char *)b < (const char *)a + a_bytes;
}

/* Is it to be read or written by what another stream has not done yet, and does not do after it? */
static bool copies_race(const struct emulated_stream *s, const struct emulated_op *op)
{
    const uint64_t mine = s->done - 1;

    for (const struct emulated_stream *o = s->context->streams; o; o = o->next) {
        bool after = o == s; /* from here on, it has waited for this one */
        for (uint64_t i = o->done > o->dropped ? o->done - 1 : o->done; !after && i < o->added;
             i++) {
            const struct emulated_op *other = &o->op[i - o->dropped];
            after = other->kind == EMULATED_WAIT && other->other == s && other->position > mine;
            if (i >= o->done && other->kind == EMULATED_COPY &&
                (meet(op->from, op->bytes, other->to, other->bytes) ||
                 meet(op->to, op->bytes, other->to, other->bytes) ||
                 meet(op->to, op->bytes, other->from, other->bytes)))
                return true;
        }
    }
    return false;
}

/* What has been written there is known, as far as what was copied was known itself. */
static void copy_known(struct emulated_context *c, const struct emulated_op *op)
{
    struct emulated_memory *to = run_emulated_memory_at(c, op->to);
    const struct emulated_memory *from = run_emulated_memory_at(c, op->from);

    for (size_t i = 0; to && i < op->bytes; i += WORD) {
        const size_t at = (size_t)((char *)op->to - (char *)to->at) + i;
        const bool known =
            !from || from->known[((size_t)((const char *)op->from - (char *)from->at) + i) / WORD];

        to->known[at / WORD] = known ? EMULATED_BY_COPY : EMULATED_UNKNOWN;
    }
}

static int do_copy(struct emulated_stream *s, const struct emulated_op *op)
{
    struct emulated_context *c = s->context;

    if (c->checked && copies_race(s, op))
        return run_emulated_fail(c, RUN_CUDA_BAD_ADDRESS,
                                 "a copy of %zu bytes meets one that another stream has not done "
                                 "yet: nobody has waited for it",
                                 op->bytes);
    if (op->sum && op->sum != sum_of(op->from, op->bytes))
        return run_emulated_fail(c, RUN_CUDA_BAD_ADDRESS,
                                 "the host has changed %zu bytes that were still to be copied from "
                                 "it",
                                 op->bytes);
    memcpy(op->to, op->from, op->bytes);
    if (c->checked)
        copy_known(c, op);
    return 0;
}

static int do_op(struct emulated_stream *s, struct emulated_op *op)
{
    struct emulated_context *c = s->context;
    int status = 0;

    switch (op->kind) {
    case EMULATED_COPY:
        status = do_copy(s, op);
        break;
    case EMULATED_WAIT:
        status = drain(op->other, op->position);
        break;
    case EMULATED_RECORD:
        break;
    case EMULATED_LAUNCH:
        status = run_emulated_launch(c, &op->launch);
        break;
    case EMULATED_EXEC:
        status = run_emulated_exec(c, op->exec);
        break;
    }
    return status;
}

static void drop(struct emulated_op *op)
{
    run_emulated_drop(&op->launch);
    if (op->kind == EMULATED_EXEC)
        run_emulated_graph_free(op->exec);
}

/* As NVIDIA's driver: after a failure, nothing more is done, and all that waits is told. */
static int drain(struct emulated_stream *s, uint64_t until)
{
    while (s->done < until && s->done < s->added) {
        struct emulated_op *op = &s->op[s->done++ - s->dropped];
        if (!s->context->broken)
            s->context->broken = do_op(s, op);
        drop(op);
    }
    if (s->done == s->added) {
        s->dropped = s->added;
        s->count = 0;
    }
    return s->context->broken;
}

static int room_for(struct emulated_stream *s)
{
    if (!s || s->destroyed)
        return run_emulated_fail(current, 400, "it is no stream");
    if (fails_now(s->context))
        return run_emulated_fail(s->context, 999, "it was told to fail");
    if (s->context->broken)
        return s->context->broken;
    if (s->count == s->room) {
        const size_t room = s->room ? 2 * s->room : 16;
        struct emulated_op *more = realloc(s->op, room * sizeof *more);
        if (!more)
            return RUN_CUDA_NO_MEMORY;
        s->op = more;
        s->room = room;
    }
    return 0;
}

/* The op is the stream's from here on, whatever becomes of it. */
static int add(void *stream, struct emulated_op op)
{
    struct emulated_stream *s = stream;
    const int status = room_for(s);

    if (status) {
        drop(&op);
        return status;
    }
    s->op[s->count++] = op;
    s->added++;
    return s->context->order == 0 ? drain(s, s->added) : 0;
}

static int upload(run_cuda_memory to, const void *from, size_t bytes, void *stream)
{
    if (!current || !is_device(current, to, bytes))
        return run_emulated_fail(current, RUN_CUDA_INVALID, "%zu bytes to no memory", bytes);
    return add(stream, (struct emulated_op){ .kind = EMULATED_COPY,
                                             .to = (void *)(uintptr_t)to,
                                             .from = from,
                                             .bytes = bytes,
                                             .sum = current->checked ? sum_of(from, bytes) : 0 });
}

static int download(void *to, run_cuda_memory from, size_t bytes, void *stream)
{
    if (!current || !is_device(current, from, bytes))
        return run_emulated_fail(current, RUN_CUDA_INVALID, "%zu bytes from no memory", bytes);
    return add(stream, (struct emulated_op){ .kind = EMULATED_COPY,
                                             .to = to,
                                             .from = (void *)(uintptr_t)from,
                                             .bytes = bytes });
}

static int copy(run_cuda_memory to, run_cuda_memory from, size_t bytes, void *stream)
{
    if (!current || !is_device(current, from, bytes))
        return run_emulated_fail(current, RUN_CUDA_INVALID, "%zu bytes from no memory", bytes);
    if (!is_device(current, to, bytes))
        return run_emulated_fail(current, RUN_CUDA_INVALID, "%zu bytes to no memory", bytes);
    return add(stream, (struct emulated_op){ .kind = EMULATED_COPY,
                                             .to = (void *)(uintptr_t)to,
                                             .from = (void *)(uintptr_t)from,
                                             .bytes = bytes });
}

static int stream_create(void **stream, unsigned flags)
{
    struct emulated_stream *s;

    (void)flags;
    ENTER(current);
    if (!(s = calloc(1, sizeof *s)))
        return RUN_CUDA_NO_MEMORY;
    s->context = current;
    s->next = current->streams;
    *stream = current->streams = s;
    return 0;
}

static int stream_synchronize(void *stream)
{
    struct emulated_stream *s = stream;

    if (!s || s->destroyed)
        return 400;
    if (fails_now(s->context)) /* what was enqueued is lost, as with a real fault */
        s->context->broken = run_emulated_fail(s->context, 999, "it was told to fail");
    return drain(s, s->added);
}

static int stream_destroy(void *stream)
{
    struct emulated_stream *s = stream;

    if (!s || s->destroyed)
        return 400;
    drain(s, s->added);
    s->destroyed = true;
    return 0;
}

/* ---- events: a place in a stream ---- */

struct event {
    struct emulated_context *context;
    struct emulated_stream *stream;
    uint64_t position;
};

static int event_create(void **event, unsigned flags)
{
    struct event *e;

    (void)flags;
    ENTER(current);
    if (!(e = calloc(1, sizeof *e)))
        return RUN_CUDA_NO_MEMORY;
    e->context = current;
    current->events++;
    *event = e;
    return 0;
}

static int event_destroy(void *event)
{
    struct event *e = event;

    if (!e)
        return 400;
    e->context->events--;
    free(e);
    return 0;
}

static int event_record(void *event, void *stream)
{
    struct event *e = event;
    struct emulated_stream *s = stream;
    const int status = add(stream, (struct emulated_op){ .kind = EMULATED_RECORD });

    if (status == 0) {
        e->stream = s;
        e->position = s->added;
    }
    return status;
}

static int stream_wait(void *stream, void *event, unsigned flags)
{
    const struct event *e = event;

    (void)flags;
    if (!e->stream) /* never recorded: nothing to wait for */
        return 0;
    return add(stream, (struct emulated_op){
                           .kind = EMULATED_WAIT, .other = e->stream, .position = e->position });
}

static int event_synchronize(void *event)
{
    const struct event *e = event;

    if (fails_now(e->context))
        e->context->broken = run_emulated_fail(e->context, 999, "it was told to fail");
    return e->stream ? drain(e->stream, e->position) : e->context->broken;
}

/* ---- kernels and graphs: cuda_emulated_run.c ---- */

static int module_load(void **module, const void *image)
{
    ENTER(current);
    return run_emulated_module(current, module, image);
}

static int launch(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned shared, void *stream, void **params, void **extra)
{
    struct run_cuda_kernel k = { .function = function,
                                 .grid = { gx, gy, gz },
                                 .block = { bx, by, bz },
                                 .shared = shared,
                                 .params = params,
                                 .extra = extra };
    struct emulated_op op = { .kind = EMULATED_LAUNCH };
    int status;

    ENTER(current);
    status = run_emulated_take(current, &k, &op.launch);
    return status ? status : add(stream, op);
}

static int exec_launch(void *exec, void *stream)
{
    return add(stream,
               (struct emulated_op){ .kind = EMULATED_EXEC, .exec = run_emulated_hold(exec) });
}

static int exec_upload(void *exec, void *stream)
{
    return exec && stream ? 0 : 400;
}

static int graph_create(void **graph, unsigned flags)
{
    ENTER(current);
    return run_emulated_graph(current, graph, flags);
}

static int graph_kernel(void **node, void *graph, void *const *after, size_t count,
                        const struct run_cuda_kernel *kernel)
{
    ENTER(current);
    return run_emulated_node(current, node, graph, after, count, kernel);
}

static int graph_instantiate(void **exec, void *graph, unsigned long long flags)
{
    ENTER(current);
    return run_emulated_instantiate(current, exec, graph, flags);
}

static int exec_kernel(void *exec, void *node, const struct run_cuda_kernel *kernel)
{
    ENTER(current);
    return run_emulated_change(current, exec, node, kernel);
}

/* ---- the table ---- */

static int error_name(int status, const char **text)
{
    *text = status == RUN_CUDA_INVALID         ? "CUDA_ERROR_INVALID_VALUE"
            : status == RUN_CUDA_NO_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
            : status == 101                    ? "CUDA_ERROR_INVALID_DEVICE"
            : status == RUN_CUDA_BAD_IMAGE     ? "CUDA_ERROR_INVALID_IMAGE"
            : status == 400                    ? "CUDA_ERROR_INVALID_HANDLE"
            : status == RUN_CUDA_NOT_FOUND     ? "CUDA_ERROR_NOT_FOUND"
            : status == RUN_CUDA_BAD_ADDRESS   ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : status == RUN_CUDA_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
                                               : "CUDA_ERROR_UNKNOWN";
    return 0;
}

static void expect(const struct run_range *range, int count)
{
    struct emulated_context *c = current;

    if (!c || !c->checked)
        return;
    free(c->expected);
    c->expected = calloc((size_t)count + 1, sizeof *range);
    c->expects = c->expected ? count : 0;
    if (c->expected && count)
        memcpy(c->expected, range, (size_t)count * sizeof *range);
}

static const char *reason(void)
{
    return current && current->why[0] ? current->why : NULL;
}

static int error_string(int status, const char **text)
{
    *text = reason();
    return *text ? 0 : error_name(status, text);
}

void run_cuda_emulated(struct run_cuda *cuda)
{
    *cuda = (struct run_cuda){ .expect = expect, .reason = reason };
#define IS(name) cuda->name = name
    IS(init), IS(driver_version), IS(device_count), IS(device_get), IS(device_name);
    IS(device_attribute), IS(context_retain), IS(context_release), IS(context_current);
    IS(memory_info), IS(memory_alloc), IS(memory_free), IS(host_alloc), IS(host_free);
    IS(upload), IS(download), IS(copy), IS(module_load), IS(launch);
    IS(stream_create), IS(stream_destroy), IS(stream_wait), IS(stream_synchronize);
    IS(event_create), IS(event_destroy), IS(event_record), IS(event_synchronize);
    IS(graph_create), IS(graph_kernel), IS(graph_instantiate), IS(exec_kernel), IS(exec_upload);
    IS(exec_launch), IS(error_name);
#undef IS
    cuda->module_unload = run_emulated_unload;
    cuda->module_function = run_emulated_function;
    cuda->graph_destroy = run_emulated_graph_free;
    cuda->exec_destroy = run_emulated_exec_free;
    cuda->error_string = error_string;
}
