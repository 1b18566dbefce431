#define _GNU_SOURCE 1
#include "support_cuda.h"

#include "codegen/codegen.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* ---- as C ---- */

static const char before[] =
    "#define __global__\n"
    "#define __device__\n"
    "#define __forceinline__ inline\n"
    "#define __launch_bounds__(threads)\n"
    "#define __shared__ static __attribute__((section(\"shared_memory\")))\n"
    "#define __syncthreads() emulator.wait()\n"
    "extern char __start_shared_memory[] __attribute__((weak, visibility(\"hidden\")));\n"
    "extern char __stop_shared_memory[] __attribute__((weak, visibility(\"hidden\")));\n"
    "struct index { unsigned x, y, z; };\n"
    "static struct index threadIdx, blockIdx;\n"
    "static struct { void (*wait)(void); char *const *base; const long *dims; } emulator;\n"
    "#define BITS(name, to, from) static inline to name(from x) { union { from x; to y; } both = { "
    "x }; return both.y; }\n"
    "BITS(__int_as_float, float, int)\n"
    "BITS(__float_as_int, int, float)\n"
    "BITS(__longlong_as_double, double, long long)\n"
    "BITS(__double_as_longlong, long long, double)\n"
    "#define __fmaf_rn __builtin_fmaf\n"
    "#define __fma_rn __builtin_fma\n"
    "#define __fsqrt_rn __builtin_sqrtf\n"
    "#define __dsqrt_rn __builtin_sqrt\n";
static const char *const functions[] = { "rintf", "floorf", "ceilf", "truncf", "fmodf", "rint",
                                         "floor", "ceil",   "trunc", "fmod",   "sin",   "cos",
                                         "tan",   "asin",   "acos",  "atan",   "atan2", "sinh",
                                         "cosh",  "asinh",  "acosh", "atanh",  "erf",   "erfc",
                                         "exp2",  "expm1",  "log1p", "pow" };

struct launch { /* as in the text behind the kernels */
    void (*kernel)(void);
    long blocks, threads;
};

void support_cuda_as_c(struct ir_text *out, const char *text, const struct loop_program *p)
{
    static const char linkage[] = "extern \"C\" ";
    const char *name = gen_identifier(p->arena, p->name, "step");

    ir_put(out, "%s", before);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        ir_put(out, "#define %s __builtin_%s\n", functions[i], functions[i]);
    for (const char *next; (next = strstr(text, linkage)); text = next + strlen(linkage))
        ir_put_bytes(out, text, (size_t)(next - text));
    ir_put(out,
           "%s\n#define CALL(kernel, blocks, threads, waits) static void call_##kernel(void) { "
           "kernel(",
           text);
    for (int b = 0; b < p->bases; b++)
        ir_put(out, "%semulator.base[%d]", b ? ", " : "", b);
    for (int s = 0; s < p->graph->symbols; s++)
        ir_put(out, ", emulator.dims[%d]", s);
    ir_put(out, "); }\n%s_launches(CALL)\n", name);
    ir_put(out,
           "#define LAUNCH(kernel, blocks, threads, waits) { call_##kernel, blocks, threads },\n"
           "#define EXPORT __attribute__((visibility(\"default\")))\n"
           "struct launch { void (*kernel)(void); long blocks, threads; };\n"
           "EXPORT const struct launch emulated_launches[] = { %s_launches(LAUNCH) { 0, 0, 0 } };\n"
           "EXPORT void emulate(void (*wait)(void), char *const *base, const long *dims)\n"
           "{\n    emulator.wait = wait;\n    emulator.base = base;\n    emulator.dims = dims;\n}\n"
           "EXPORT void emulated_block(const long block)\n"
           "{\n    blockIdx.x = (unsigned)block;\n"
           "    if (__start_shared_memory)\n"
           "        __builtin_memset(__start_shared_memory, 0xff, __stop_shared_memory - "
           "__start_shared_memory);\n}\n"
           "EXPORT void emulated_thread(const long thread)\n{\n    threadIdx.x = "
           "(unsigned)thread;\n}\n",
           name);
}

/* ---- fibers ---- */

enum { STACK = 64 << 10, THREADS = 1024 };
struct fiber {
    ucontext_t context;
    bool done;
};
static struct {
    ucontext_t scheduler;
    struct fiber fiber[THREADS];
    char *stacks;
    long now;
    void (*kernel)(void);
} machine;

static void wait_for_others(void)
{
    struct fiber *f = &machine.fiber[machine.now];

    swapcontext(&f->context, &machine.scheduler);
}

static void run_thread(void)
{
    machine.kernel();
    machine.fiber[machine.now].done = true;
}

static __attribute__((noinline)) void start(struct fiber *f, char *stack)
{
    f->done = false;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = &machine.scheduler;
    makecontext(&f->context, run_thread, 0);
}

/* thread t runs until it waits or ends; 1: it has ended */
static long resume(long t)
{
    machine.now = t;
    swapcontext(&machine.scheduler, &machine.fiber[t].context);
    return machine.fiber[machine.now].done;
}

static bool run_block(long threads, void (*thread)(long), unsigned *order, struct ir_error *error)
{
    long ended = 0;

    for (long t = 0; t < threads; t++)
        start(&machine.fiber[t], machine.stacks + t * STACK);
    while (ended < threads) { /* up to the next barrier */
        ended = 0;
        *order = *order * 1103515245 + 12345;
        for (long i = 0; i < threads; i++) {
            const long t = ((*order >> 16 & 1 ? threads - 1 - i : i) + (*order >> 17)) % threads;
            thread(t);
            ended += resume(t);
        }
        if (ended != 0 && ended != threads)
            return ir_error(error, IR_FAILED,
                            "%ld of %ld threads end where the others wait for them", ended,
                            threads);
    }
    return true;
}

bool support_cuda_run(struct run_code *code, char *const *base, const long *dims, unsigned order,
                      struct ir_error *error)
{
    const struct launch *launch = run_code_symbol(code, "emulated_launches");
    void (*emulate)(void (*)(void), char *const *, const long *), (*block)(long), (*thread)(long);
    bool fine = true;

    *(void **)&emulate = run_code_symbol(code, "emulate");
    *(void **)&block = run_code_symbol(code, "emulated_block");
    *(void **)&thread = run_code_symbol(code, "emulated_thread");
    machine.stacks = malloc((size_t)STACK * THREADS);
    emulate(wait_for_others, base, dims);
    for (; launch->kernel && fine; launch++) {
        if (launch->threads < 1 || launch->threads > THREADS || launch->blocks < 1)
            fine = ir_error(error, IR_FAILED, "a launch of %ld times %ld threads", launch->blocks,
                            launch->threads);
        machine.kernel = launch->kernel;
        for (long b = 0; b < launch->blocks && fine; b++) {
            block(b);
            fine = run_block(launch->threads, thread, &order, error);
        }
    }
    free(machine.stacks);
    return fine;
}
