/*
 * cuda_threads: the threads of a block, one after the other.
 *
 * Each is a fiber: a stack, and a switch of a few instructions. A thread runs until it waits for
 * the block or for its warp; when all that must come have come, they go on, in the order that the
 * job asks for. A block of threads that never wait costs one stack.
 */
#define _GNU_SOURCE 1
#include "runtime/cuda.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined __x86_64__ && !defined __aarch64__
#include <ucontext.h>
#endif

enum { STACK = 64 << 10, WARP = 32 };
enum state { FRESH, READY, AT_BARRIER, AT_WARP, DONE };

struct fiber {
#if defined __x86_64__ || defined __aarch64__
    void *top; /* of its stack, with the registers on it */
#else
    ucontext_t at;
#endif
    char *stack;
    enum state state;
    int place;       /* of the barrier that it waits at */
    uint64_t value;  /* what it hands to its warp */
    unsigned rounds; /* exchanges that it has taken part in */
};

struct run_block {
    int most;
    char *stacks;
    int *order;
    struct fiber *fiber, scheduler;
    uint64_t (*handed)[2]; /* by thread: of even and of odd exchanges */
    int now;
    bool left;
    const struct run_block_job *job;
};

/* ---- the switch ---- */

#if defined __x86_64__
void run_block_switch(void **from, void *to);
__asm__(".text\n.globl run_block_switch\n.hidden run_block_switch\n"
        ".type run_block_switch, @function\nrun_block_switch:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, (%rdi)\n    mov %rsi, %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n.size run_block_switch, .-run_block_switch\n");
enum { SAVED = 6, RETURN = 6 }; /* words below the return address; which of them it is */
#elif defined __aarch64__
void run_block_switch(void **from, void *to);
__asm__(".text\n.globl run_block_switch\n.hidden run_block_switch\n"
        ".type run_block_switch, %function\nrun_block_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n    str x9, [x0]\n    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n    add sp, sp, #160\n    ret\n"
        ".size run_block_switch, .-run_block_switch\n");
enum { SAVED = 20, RETURN = 11 };
#endif

static void go(struct fiber *from, struct fiber *to)
{
#if defined __x86_64__ || defined __aarch64__
    run_block_switch(&from->top, to->top);
#else
    swapcontext(&from->at, &to->at);
#endif
}

/* Where a fiber begins; it never returns. The block is found in what stands at its stack's end. */
static void begin(struct run_block *b)
{
    struct fiber *f = &b->fiber[b->now];

    b->job->run(b->job->user);
    f->state = DONE;
    go(f, &b->scheduler);
}

static void enter(void)
{
    /* stacks are aligned to their size, and the block's address lies at the lower end of each */
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    begin(*(struct run_block **)(here / STACK * STACK));
}

static void make_ready(struct run_block *b, struct fiber *f, char *stack)
{
    f->stack = stack;
    f->rounds = 0;
    *(struct run_block **)stack = b;
#if defined __x86_64__ || defined __aarch64__
    void **top = (void **)(stack + STACK - 256);
    void (*start)(void) = enter;
    memset(top - SAVED, 0, (SAVED + 2) * sizeof *top);
    memcpy(&top[RETURN - SAVED], &start, sizeof start);
    f->top = top - SAVED;
#else
    getcontext(&f->at);
    f->at.uc_stack.ss_sp = stack + 64;
    f->at.uc_stack.ss_size = STACK - 64;
    f->at.uc_link = NULL;
    makecontext(&f->at, enter, 0);
#endif
}

/* ---- waiting ---- */

static void wait_as(struct run_block *b, enum state state, int place)
{
    struct fiber *f = &b->fiber[b->now];

    f->state = state;
    f->place = place;
    go(f, &b->scheduler);
}

void run_block_wait(struct run_block *b, int place)
{
    wait_as(b, AT_BARRIER, place);
}

/* Two places by turns: who is late with reading this one is waited for before the next but one. */
uint64_t run_block_exchange(struct run_block *b, uint64_t value, int from)
{
    const int me = b->now, turn = b->fiber[me].rounds++ & 1;

    b->handed[me][turn] = value;
    wait_as(b, AT_WARP, 0);
    const int other = me / WARP * WARP + (from & (WARP - 1));
    return b->handed[other < b->job->threads ? other : me][turn];
}

uint32_t run_block_ballot(struct run_block *b, bool truth)
{
    const int me = b->now, turn = b->fiber[me].rounds & 1, first = me / WARP * WARP;
    uint32_t all = 0;

    run_block_exchange(b, truth, me);
    for (int i = 0; i < WARP && first + i < b->job->threads; i++)
        all |= (uint32_t)(b->handed[first + i][turn] & 1) << i;
    return all;
}

void run_block_leave(struct run_block *b)
{
    b->left = true;
    go(&b->fiber[b->now], &b->scheduler);
}

bool run_block_owns(const struct run_block *b, const void *address)
{
    return (const char *)address >= b->stacks &&
           (const char *)address < b->stacks + (size_t)STACK * (size_t)b->most;
}

/* ---- who is next ---- */

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* the threads' order in a round between two barriers */
static void put_order(struct run_block *b, const struct run_block_job *job, uint64_t round)
{
    const int n = job->threads;
    int order = job->order == 2 ? (int)(round & 1) : job->order;

    for (int i = 0; i < n; i++)
        b->order[i] = order == 1 ? n - 1 - i : i;
    for (int i = n - 1; order == 3 && i > 0; i--) {
        const int j = (int)(mixed(job->seed + 977 * round + (uint64_t)i) % (uint64_t)(i + 1));
        const int kept = b->order[i];
        b->order[i] = b->order[j];
        b->order[j] = kept;
    }
}

/* Of a warp, all that have not ended wait for each other: they go on. */
static bool release_warps(struct run_block *b, const struct run_block_job *job)
{
    bool any = false;

    for (int first = 0; first < job->threads; first += WARP) {
        int waiting = 0, here = 0;
        for (int t = first; t < first + WARP && t < job->threads; t++, here++)
            waiting += b->fiber[t].state == AT_WARP;
        if (!waiting || waiting < here)
            continue;
        for (int t = first; t < first + here; t++)
            b->fiber[t].state = READY;
        any = true;
    }
    return any;
}

static bool stuck(const struct run_block *b, const struct run_block_job *job,
                  struct ir_error *error)
{
    int at[DONE + 1] = { 0 };

    for (int t = 0; t < job->threads; t++)
        at[b->fiber[t].state]++;
    if (at[AT_BARRIER] == job->threads)
        return ir_error(error, IR_FAILED, "threads of a block wait at different barriers");
    return ir_error(error, IR_FAILED,
                    "of %d threads of a block, %d wait for all and %d for their warp where %d have "
                    "ended",
                    job->threads, at[AT_BARRIER], at[AT_WARP], at[DONE]);
}

/* All have come to one barrier: the next round begins. */
static bool release_all(struct run_block *b, const struct run_block_job *job)
{
    for (int t = 0; t < job->threads; t++)
        if (b->fiber[t].state != AT_BARRIER || b->fiber[t].place != b->fiber[0].place)
            return false;
    for (int t = 0; t < job->threads; t++)
        b->fiber[t].state = READY;
    job->meet(job->user);
    return true;
}

bool run_block_run(struct run_block *b, const struct run_block_job *job, struct ir_error *error)
{
    char *stack = b->stacks;
    int done = 0;

    if (job->threads < 1 || job->threads > b->most)
        return ir_error(error, IR_FAILED, "a block of %d threads; expected 1 to %d", job->threads,
                        b->most);
    b->job = job;
    b->left = false;
    for (int t = 0; t < job->threads; t++)
        b->fiber[t].state = FRESH;
    for (uint64_t round = 0; done < job->threads; round++) {
        bool ran = false;
        put_order(b, job, round);
        for (int i = 0; i < job->threads; i++) {
            struct fiber *f = &b->fiber[b->order[i]];
            if (f->state != FRESH && f->state != READY)
                continue;
            if (f->state == FRESH)
                make_ready(b, f, stack);
            b->now = b->order[i];
            job->enter(job->user, b->now);
            go(&b->scheduler, f);
            if (b->left)
                return true;
            ran = true;
            done += f->state == DONE;
            if (round == 0 && f->state != DONE) /* it keeps its stack */
                stack += STACK;
        }
        if (!ran && !release_warps(b, job) && !release_all(b, job))
            return stuck(b, job, error);
    }
    return true;
}

/* ---- room ---- */

struct run_block *run_block_new(int most)
{
    struct run_block *b = calloc(1, sizeof *b);
    const size_t bytes = (size_t)STACK * (size_t)(most + 1);

    if (!b)
        return NULL;
    b->most = most;
    b->fiber = calloc((size_t)most, sizeof *b->fiber);
    b->order = calloc((size_t)most, sizeof *b->order);
    b->handed = calloc((size_t)most, sizeof *b->handed);
    b->stacks = aligned_alloc(STACK, bytes);
    if (b->fiber && b->order && b->handed && b->stacks)
        return b;
    run_block_free(b);
    return NULL;
}

void run_block_free(struct run_block *b)
{
    if (!b)
        return;
    free(b->fiber);
    free(b->order);
    free(b->handed);
    free(b->stacks);
    free(b);
}
