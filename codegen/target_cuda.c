/*
 * target_cuda: what CUDA has that C has not. A kernel is a launch of `blocks` times `threads`
 * threads, all of which take the same arguments: where its arrays are, and the symbols' values. So
 * kernels of one form share one text, wherever their arrays lie. The text ends with the list of
 * launches, from which nvcc's host side can make a graph: launches are numbers, whatever the
 * symbols' values are, for a thread looks itself how much of its work is there.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

static const char *base(struct ir_arena *arena, int number)
{
    return number == 0 ? "arena" : number == 1 ? "state" : ir_format(arena, "given%d", number - 2);
}

/* ", " or a new line where the next argument would be far to the right */
static void put_next(struct ir_text *out, size_t *line, int number, const char *argument)
{
    if (number && out->size - *line + strlen(argument) > 94) {
        *line = out->size + 1;
        ir_put(out, ",\n    %s", argument);
    } else {
        ir_put(out, "%s%s", number ? ", " : "", argument);
    }
}

static void open_kernel(struct gen *e, const struct loop_program *p)
{
    int64_t blocks, threads;
    size_t line = e->out->size;
    int n = 0;

    loop_grid(e->k, &blocks, &threads);
    if (e->k->gathered) /* called by launches, for a part of their blocks */
        ir_put(e->out, "static __device__ void %s%s(", e->prefix, gen_function(e->arena, e->k));
    else
        ir_put(e->out, "extern \"C\" __global__ void __launch_bounds__(%" PRId64 ") %s%s(", threads,
               e->prefix, gen_function(e->arena, e->k));
    for (int i = 0; i < 2 && e->k->gathered; i++)
        put_next(e->out, &line, n++, i ? "const long thread" : "const long block");
    for (int i = 0; i < e->k->buffers; i++) {
        const struct loop_buffer *b = &e->k->buffer[i];
        if (b->scratch)
            continue;
        put_next(e->out, &line, n++,
                 ir_format(e->arena, "%s%s *%s", b->written ? "" : "const ",
                           b->dtype == IR_BOOL ? "u8" : gen_type(e, b->dtype, false),
                           e->buffer[i]));
    }
    for (int s = 0; s < p->graph->symbols; s++, n++)
        put_next(e->out, &line, n,
                 ir_format(e->arena, "const long %s", gen_symbol(e->arena, p->graph, s)));
    ir_put(e->out, ")\n{\n");
    for (int i = 0; i < e->k->buffers; i++)
        if (e->k->buffer[i].order)
            ir_put(e->out, "    // %s is %s\n", e->buffer[i], e->k->buffer[i].order);
    for (int i = 0; i < e->k->buffers; i++)
        if (e->k->buffer[i].scratch)
            ir_put(e->out, "    __shared__ __align__(16) %s %s[%" PRId64 "];\n",
                   gen_type(e, e->k->buffer[i].dtype, false), e->buffer[i],
                   e->k->buffer[i].elements);
    if (blocks > 1 && !e->k->gathered)
        ir_put(e->out, "    const long block = blockIdx.x;\n");
    if (threads > 1 && !e->k->gathered)
        ir_put(e->out, "    const long thread = threadIdx.x;\n");
}

static void close_kernel(struct gen *e)
{
    ir_put(e->out, "}\n\n");
}

static void put_launches(struct ir_text *out, const struct gen_unit *u)
{
    const struct loop_program *p = u->program;

    ir_put(out, "/* kernel, blocks, threads, whether it waits for those before it (those between "
                "two that wait may\n * run at once); then its arguments, or what its one "
                "argument holds */\n");
    ir_put(out, "#define %s_launches(LAUNCH)", u->entry);
    for (int i = 0; i < p->launches; i++) {
        const struct loop_launch *l = &p->launch[i];
        const struct loop_buffer **array;
        if (p->kernel[l->kernel[0]]->mark) /* whoever launches walks the loop */
            continue;
        array = ir_alloc(p->arena, (size_t)loop_launch_arrays(p, l, NULL) * sizeof(void *) + 1);
        const int arrays = loop_launch_arrays(p, l, array);
        ir_put(out, " \\\n    LAUNCH(%s%s, %" PRId64 ", %" PRId64 ", %d", u->prefix,
               gen_launched(p->arena, p, l), l->blocks, l->threads, l->barrier);
        for (int b = 0; b < arrays; b++)
            ir_put(out, ", %s + %" PRId64, base(p->arena, array[b]->base), array[b]->offset);
        for (int s = 0; s < p->graph->symbols; s++)
            ir_put(out, ", %s", gen_symbol(p->arena, p->graph, s));
        ir_put(out, ")");
    }
    ir_put(out, "\n");
}

/* NVRTC is told that all functions are the GPU's; nvcc takes them for the host's. */
static const char begin[] = "#if defined __CUDACC__ && !defined __CUDACC_RTC__\n"
                            "#define inline inline __device__\n"
                            "#endif\n";

const struct gen_target gen_target_cuda = {
    .language = GEN_CUDA,
    .begin = begin,
    .barrier = "__syncthreads()",
    .offered = "\n#undef inline\n",
    .called = "kernels take where their arrays are, and the symbols:",
    .open = open_kernel,
    .close = close_kernel,
    .run = put_launches,
};
