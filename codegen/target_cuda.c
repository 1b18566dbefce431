/*
 * target_cuda: what CUDA has that C has not. A kernel is a launch of `blocks` times `threads`
 * threads, all of which take the same arguments: the arena, the states, what the caller hands in
 * one by one, and the symbols' values. The text ends with the list of launches, from which a run
 * time (or nvcc's host side) makes a graph: launches are numbers, whatever the symbols' values are,
 * for a thread looks itself how much of its work is there.
 */
#include "codegen.h"

#include <inttypes.h>

void gen_launch(const struct loop_kernel *k, int64_t *blocks, int64_t *threads)
{
    *blocks = *threads = 1;
    for (int i = 0; i < k->axes; i++)
        if (k->axis[i].role == LOOP_GRID)
            *blocks = k->axis[i].hi;
        else if (k->axis[i].role == LOOP_BLOCK)
            *threads = k->axis[i].hi;
}

static const char *base(struct gen *e, int number)
{
    return number == 0   ? "arena"
           : number == 1 ? "state"
                         : ir_format(e->arena, "given%d", number - 2);
}

static void open_kernel(struct gen *e, const struct loop_program *p)
{
    int64_t blocks, threads;

    gen_launch(e->k, &blocks, &threads);
    ir_put(e->out,
           "extern \"C\" __global__ void __launch_bounds__(%" PRId64
           ") %s%s(char *arena, char *state",
           threads, e->prefix, e->k->name);
    for (int i = 2; i < p->bases; i++)
        ir_put(e->out, ", char *%s", base(e, i));
    for (int s = 0; s < p->graph->symbols; s++)
        ir_put(e->out, ", const long %s", gen_symbol(e->arena, p->graph, s));
    ir_put(e->out, ")\n{\n");
    if (blocks > 1)
        ir_put(e->out, "    const long block = blockIdx.x;\n");
    if (threads > 1)
        ir_put(e->out, "    const long thread = threadIdx.x;\n");
}

static void close_kernel(struct gen *e)
{
    ir_put(e->out, "}\n\n");
}

static void put_launches(struct ir_text *out, const struct gen_unit *u)
{
    const struct loop_program *p = u->program;

    ir_put(out, "/* kernel, blocks, threads, whether it waits for those before it; those between "
                "two that wait may run at once */\n");
    ir_put(out, "#define %s_launches(LAUNCH)", u->entry);
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        int64_t blocks, threads;
        gen_launch(k, &blocks, &threads);
        ir_put(out, " \\\n    LAUNCH(%s%s, %" PRId64 ", %" PRId64 ", %d)", u->prefix, k->name,
               blocks, threads, k->barrier);
    }
    ir_put(out, "\n");
}

const struct gen_target gen_target_cuda = {
    .language = GEN_CUDA,
    .begin = "",
    .barrier = "__syncthreads()",
    .offered = "\n",
    .called = "kernels take the arena, the states",
    .open = open_kernel,
    .close = close_kernel,
    .base = base,
    .run = put_launches,
};
