/*
 * cuda_watch: is an access inside of what the kernel was given, and has it been waited for?
 *
 * Every word that a launch may touch has a cell: who wrote it last, and who has read it since. A
 * stamp is a span and a thread; a span is a block between two barriers, numbered upwards. So two
 * stamps of one span and two threads are a race, and so are those of two blocks of a launch; stamps
 * from before the launch, or from an earlier span of the same block, are not.
 */
#include "runtime/cuda.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2048, SEVERAL = THREADS - 1, WORD = 4 };
#define SPANS (UINT32_MAX / THREADS - 2)

struct cell {
    uint32_t writer, reader; /* span * THREADS + thread; a thread of SEVERAL: more than one */
};

struct shadow { /* of an array, or of the shared memory */
    char *from;
    size_t bytes, room;
    bool written;
    struct cell *cell;
};

struct run_watch {
    struct shadow *array; /* of the launch, ascending */
    int arrays, array_room;
    struct shadow shared;
    const char *kernel;
    int block;
    uint32_t span, block_first;
    char found[300];
};

struct run_watch *run_watch_new(void)
{
    return calloc(1, sizeof(struct run_watch));
}

void run_watch_free(struct run_watch *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->array_room; i++)
        free(w->array[i].cell);
    free(w->array);
    free(w->shared.cell);
    free(w);
}

const char *run_watch_found(const struct run_watch *w)
{
    return w->found[0] ? w->found : NULL;
}

/* Cells that nobody has touched; false where there is no memory. */
static bool fresh(struct shadow *s, char *from, size_t bytes)
{
    const size_t cells = bytes / WORD + 2;

    s->from = from;
    s->bytes = bytes;
    if (s->room < cells) {
        free(s->cell);
        s->cell = malloc(cells * sizeof *s->cell);
        s->room = s->cell ? cells : 0;
    }
    if (s->cell)
        memset(s->cell, 0, cells * sizeof *s->cell);
    return s->cell != NULL;
}

static int by_address(const void *a, const void *b)
{
    const char *x = ((const struct shadow *)a)->from, *y = ((const struct shadow *)b)->from;

    return x < y ? -1 : x > y;
}

bool run_watch_launch(struct run_watch *w, const char *kernel, const struct run_range *range,
                      char *const *address, int ranges)
{
    if (ranges > w->array_room) {
        struct shadow *more = realloc(w->array, (size_t)ranges * sizeof *more);
        if (!more)
            return false;
        memset(more + w->array_room, 0, (size_t)(ranges - w->array_room) * sizeof *more);
        w->array = more;
        w->array_room = ranges;
    }
    w->kernel = kernel;
    w->found[0] = 0;
    w->span = 0;
    w->arrays = 0;
    for (int i = 0; i < ranges; i++) { /* two arguments may be the same array: its cells are one */
        int at = 0;
        while (at < w->arrays &&
               !(w->array[at].from == address[i] && w->array[at].bytes >= (size_t)range[i].bytes))
            at++;
        if (at < w->arrays) {
            w->array[at].written |= range[i].written;
            continue;
        }
        if (!fresh(&w->array[w->arrays], address[i], (size_t)range[i].bytes))
            return false;
        w->array[w->arrays++].written = range[i].written;
    }
    if (w->arrays > 1)
        qsort(w->array, (size_t)w->arrays, sizeof *w->array, by_address);
    return true;
}

void run_watch_block(struct run_watch *w, int block, void *shared, size_t bytes)
{
    w->block = block;
    w->block_first = ++w->span;
    if (w->shared.bytes != bytes || w->shared.from != shared || !w->shared.cell)
        fresh(&w->shared, shared, bytes);
    else if (w->shared.cell)
        memset(w->shared.cell, 0, (bytes / WORD + 2) * sizeof *w->shared.cell);
}

void run_watch_barrier(struct run_watch *w)
{
    w->span++;
    if (w->span < SPANS)
        return;
    for (int i = 0; i < w->arrays; i++) /* from the beginning: what came before is forgotten */
        fresh(&w->array[i], w->array[i].from, w->array[i].bytes);
    w->span = w->block_first = 1;
}

/* Has what was done at this stamp been waited for? */
static bool races(const struct run_watch *w, uint32_t stamp, int thread)
{
    const uint32_t span = stamp / THREADS;

    if (stamp == 0)
        return false;
    return span < w->block_first || (span == w->span && (int)(stamp % THREADS) != thread);
}

static void say(struct run_watch *w, const char *what, const char *address, const struct shadow *s,
                int thread, uint32_t other)
{
    if (w->found[0])
        return;
    snprintf(w->found, sizeof w->found, "%.80s: thread %d of block %d %s byte %lld of %s",
             w->kernel, thread, w->block, what,
             s ? (long long)(address - s->from) : (long long)(intptr_t)address,
             s == &w->shared ? "its shared memory"
             : s             ? "an array"
                             : "nothing");
    if (other)
        snprintf(w->found + strlen(w->found), sizeof w->found - strlen(w->found),
                 other % THREADS == SEVERAL ? ", as others do" : ", as thread %u of %s block does",
                 other % THREADS, other / THREADS < w->block_first ? "another" : "the same");
}

static void stamp(struct run_watch *w, struct shadow *s, int thread, const char *address, int bytes,
                  bool store)
{
    const uint32_t now = w->span * THREADS + (uint32_t)thread;

    if (!s->cell || bytes < WORD) /* neighbours of a word may be two threads' */
        return;
    const size_t first = (size_t)(address - s->from) / WORD,
                 last = (size_t)(address - s->from + bytes - 1) / WORD;
    for (size_t i = first; i <= last; i++) {
        struct cell *c = &s->cell[i];
        if (races(w, c->writer, thread))
            say(w, store ? "writes" : "reads", address, s, thread, c->writer);
        if (store && races(w, c->reader, thread))
            say(w, "writes", address, s, thread, c->reader);
        if (store)
            c->writer = now;
        else if (!races(w, c->reader, thread))
            c->reader = now;
        else
            c->reader = w->span * THREADS + SEVERAL;
    }
}

bool run_watch_touch(struct run_watch *w, int thread, const char *address, int bytes, bool store)
{
    int lo = 0, hi = w->arrays;

    if (address >= w->shared.from && address < w->shared.from + w->shared.bytes) {
        if (address + bytes > w->shared.from + w->shared.bytes)
            return say(w, "passes", address, &w->shared, thread, 0), false;
        stamp(w, &w->shared, thread, address, bytes, store);
        return true;
    }
    while (lo < hi) { /* the last array that begins at or before it */
        const int middle = (lo + hi) / 2;
        if (w->array[middle].from <= address)
            lo = middle + 1;
        else
            hi = middle;
    }
    /* arrays may lie one in the other: in place, and parts of one */
    for (int i = lo; i-- > 0;) {
        struct shadow *s = &w->array[i];
        if (address + bytes > s->from + s->bytes || (store && !s->written))
            continue;
        stamp(w, s, thread, address, bytes, store);
        return true;
    }
    say(w, store ? "writes" : "reads", address, lo > 0 ? &w->array[lo - 1] : NULL, thread, 0);
    return false;
}
