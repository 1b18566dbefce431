/*
 * memory: large memory, known before the first step.
 *
 * The arena is one mapping in huge pages where the system allows them, and each of its pages is
 * made at the start: a step meets no page fault, and memory that is not there is an error before
 * the run instead of a kill in the middle of it.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

enum { HELPERS = 8, MANY = 32 }; /* threads; huge pages that are worth one */

/* Up to whole huge pages, so that the last one is not split; 0 when it does not fit a size. */
static size_t whole_pages(size_t bytes)
{
    return bytes > SIZE_MAX - 2 * HUGE_PAGE ? 0 : (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* length addresses that start at a huge page; what was mapped beyond them is given back */
static unsigned char *map_aligned(size_t length, int protection, int flags)
{
    unsigned char *raw =
        mmap(NULL, length + HUGE_PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (before)
        munmap(raw, before);
    munmap(raw + before + length, HUGE_PAGE - before);
    return raw + before;
}

struct pages {
    unsigned char *from;
    size_t length;
    int error;
};

/* Makes every page. Kernels before 5.14 cannot say that memory is short; there, touching must do.
 */
static void *make_pages(void *of)
{
    struct pages *p = of;

#ifdef MADV_POPULATE_WRITE
    if (madvise(p->from, p->length, MADV_POPULATE_WRITE) == 0)
        return NULL;
    if (errno != EINVAL) {
        p->error = errno;
        return NULL;
    }
#endif
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < p->length; i += page)
        *(volatile unsigned char *)(p->from + i) = 0;
    return NULL;
}

/* Whole huge pages, by several threads where they are many: they are zeroed as they are made. */
static bool populate(unsigned char *memory, size_t length)
{
    const size_t pages = length / HUGE_PAGE;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t threads = processors < 1 ? 1 : processors > HELPERS ? HELPERS : (size_t)processors;
    struct pages part[HELPERS];
    pthread_t helper[HELPERS];
    bool running[HELPERS] = { 0 };

    threads = pages / MANY < 1 ? 1 : pages / MANY < threads ? pages / MANY : threads;
    for (size_t i = 0; i < threads; i++) {
        const size_t from = pages * i / threads, end = pages * (i + 1) / threads;
        part[i] = (struct pages){ memory + from * HUGE_PAGE, (end - from) * HUGE_PAGE, 0 };
        running[i] = i + 1 < threads && pthread_create(&helper[i], NULL, make_pages, &part[i]) == 0;
    }
    for (size_t i = 0; i < threads; i++)
        if (!running[i])
            make_pages(&part[i]);
    errno = 0;
    for (size_t i = 0; i < threads; i++) {
        if (running[i])
            pthread_join(helper[i], NULL);
        if (part[i].error)
            errno = part[i].error;
    }
    return errno == 0;
}

static bool refuse(struct ir_error *error, size_t bytes, const char *what)
{
    return ir_error(error, IR_FAILED, "memory: %.1f MiB %s: %s", (double)bytes / (1 << 20), what,
                    strerror(errno));
}

void *run_memory_map(size_t bytes, struct ir_error *error)
{
    const size_t length = whole_pages(bytes ? bytes : 1);
    errno = ENOMEM;
    unsigned char *memory = length ? map_aligned(length, PROT_READ | PROT_WRITE, 0) : NULL;
    if (!memory) {
        refuse(error, bytes, "cannot be mapped");
        return NULL;
    }
    madvise(memory, length, MADV_HUGEPAGE); /* a wish: without it all works, a little slower */
    if (!populate(memory, length)) {
        refuse(error, bytes, "are not there");
        munmap(memory, length);
        return NULL;
    }
    return memory;
}

void run_memory_free(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, whole_pages(bytes ? bytes : 1));
}

bool run_memory_reserve(struct run_memory *memory, size_t bytes, struct ir_error *error)
{
    const size_t length = whole_pages(bytes ? bytes : 1);
    *memory = (struct run_memory){ 0 };
    errno = ENOMEM;
    memory->base = length ? map_aligned(length, PROT_NONE, MAP_NORESERVE) : NULL;
    if (!memory->base)
        return refuse(error, bytes, "of addresses cannot be reserved");
    memory->reserved = length;
    return true;
}

bool run_memory_commit(struct run_memory *memory, size_t bytes, struct ir_error *error)
{
    if (bytes <= memory->committed)
        return true;
    errno = ENOMEM;
    if (bytes > memory->reserved)
        return refuse(error, bytes, "are more than was reserved");
    const size_t upto = whole_pages(bytes), more = upto - memory->committed;
    unsigned char *from = memory->base + memory->committed;
    if (mprotect(from, more, PROT_READ | PROT_WRITE) != 0)
        return refuse(error, bytes, "cannot be committed");
    madvise(from, more, MADV_HUGEPAGE);
    if (!populate(from, more)) {
        const int reason = errno;
        madvise(from, more, MADV_DONTNEED);
        mprotect(from, more, PROT_NONE);
        errno = reason;
        return refuse(error, bytes, "are not there");
    }
    memory->committed = upto;
    return true;
}

void run_memory_release(struct run_memory *memory)
{
    if (memory->base)
        munmap(memory->base, memory->reserved);
    *memory = (struct run_memory){ 0 };
}
